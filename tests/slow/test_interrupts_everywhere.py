"""Interrupts of deploys to other clouds than S3, at other moments, and of those in a hurry."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.project import (
    MANIFEST,
    MANIFEST_BACKENDS,
    WAIT_SECONDS,
    Project,
    after,
    end,
    is_in_one_line,
    once,
    settle,
)
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Match, Request

MEGABYTE = 1024 * 1024
FILES = 12
UPLOADS = {"PUT", "UPLOAD"}
# Each sent in one request; of what is larger, what is sent piece by piece.
PIECES = {"UPLOAD", "PUT_BLOCK", "MULTIPART"}

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)


@pytest.fixture(params=["gcs", "azure"])
def other_cloud(request: pytest.FixtureRequest) -> RecordedCloud:
    """Those that test_manifest_interrupts.py leaves out."""
    cloud: RecordedCloud = request.getfixturevalue(request.param)
    return cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for number in range(FILES):
        static_tree.write(f"{number}.js", f"let it{number};".encode())
    return static_tree


def project_for(cloud: Any, tree: StaticTree, root: Path, **settings: Any) -> Project:
    settings.setdefault("COLLECTFASTA_THREADS", 2)
    return Project(root / "project", cloud, tree, is_measured=True, **settings)


def uploads(cloud: RecordedCloud) -> Match:
    return lambda request: cloud.kind(request) in UPLOADS


class TestOtherClouds:
    @BOTH
    def test_pending_files_are_left_to_the_next_run(
        self,
        other_cloud: RecordedCloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        tmp_path: Path,
        number: signal.Signals,
    ) -> None:
        backend = MANIFEST_BACKENDS[other_cloud.backend]
        project = project_for(other_cloud, tree, tmp_path, backend=backend)

        ended = project.interrupt(number, after(3, uploads(other_cloud)))

        assert is_in_one_line(ended), ended
        sent = set(other_cloud.keys())
        assert MANIFEST not in sent
        assert 0 < len(sent) < 2 * FILES
        assert list(project.temporary.iterdir()) == []
        other_cloud.recorder.reset()
        run = collectstatic(other_cloud, backend=backend)
        assert other_cloud.exists(MANIFEST)
        number_sent = sum(map(uploads(other_cloud), other_cloud.requests))
        assert number_sent == 2 * FILES + 1 - len(sent), run

    @BOTH
    def test_a_large_upload_is_broken_off(
        self, other_cloud: RecordedCloud, static_tree: StaticTree, tmp_path: Path, number: Any
    ) -> None:
        static_tree.write("large.bin", os.urandom(24 * MEGABYTE))
        project = project_for(other_cloud, static_tree, tmp_path)
        is_piece = lambda request: other_cloud.kind(request) in PIECES  # noqa: E731

        ended = project.interrupt(number, after(1, is_piece))

        assert is_in_one_line(ended), ended
        assert other_cloud.keys() == []
        assert sum(map(is_piece, other_cloud.requests)) < 6


class TestPlainS3:
    @BOTH
    def test_pending_files_are_left_to_the_next_run(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        tmp_path: Path,
        number: signal.Signals,
    ) -> None:
        ended = project_for(s3, tree, tmp_path).interrupt(number, after(3, uploads(s3)))

        assert is_in_one_line(ended), ended
        assert "manifest" not in ended.stderr
        sent = s3.keys()
        assert 0 < len(sent) < FILES
        s3.recorder.reset()
        collectstatic(s3)
        assert s3.counts()["PUT"] == FILES - len(sent)
        assert s3.keys() == tree.names()


@pytest.mark.parametrize("threads", [0, 2])
class TestFileSystem:
    @BOTH
    def test_a_large_file_is_whole_or_not_there(
        self,
        filesystem: FileSystemCloud,
        static_tree: StaticTree,
        tmp_path: Path,
        number: signal.Signals,
        threads: int,
    ) -> None:
        filesystem.put("large.bin", b"old")
        with static_tree.write("large.bin", b"").open("wb") as large:
            large.truncate(1024 * MEGABYTE)
        static_tree.write("small.js", b"let it;")
        project = project_for(filesystem, static_tree, tmp_path, COLLECTFASTA_THREADS=threads)
        process = project.start()
        # It is the first, and still being copied when a beginning of it is there.
        while not [path for path in filesystem.root.glob(".*") if path.stat().st_size]:
            time.sleep(0.001)
            assert process.poll() is None
        process.send_signal(number)

        ended = end(process)

        assert is_in_one_line(ended), ended
        assert {path.name for path in filesystem.root.iterdir()} <= {"large.bin", "small.js"}
        assert filesystem.get("large.bin").body == b"old"


def test_closed_terminal_ends_it_as_ctrl_c_does(
    s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path
) -> None:
    project = project_for(s3_obstore, tree, tmp_path)

    ended = project.interrupt(signal.SIGHUP, after(3, uploads(s3_obstore)))

    assert is_in_one_line(ended), ended


def test_nohup_lets_it_go_on(s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path) -> None:
    project = project_for(s3_obstore, tree, tmp_path)
    # That of the tests takes back what it is started with.
    project.manage(
        "import sys\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n"
    )
    started: list[subprocess.Popen[str]] = []
    is_first = once(uploads(s3_obstore))

    def hang_up(request: Request) -> None:
        if is_first(request):
            started[0].send_signal(signal.SIGHUP)

    s3_obstore.recorder.before(uploads(s3_obstore), hang_up)
    started.append(project.start(wrapper=["nohup"]))

    assert end(started[0]).status == 0
    assert s3_obstore.keys() == tree.names()


class TestServerThatDoesNotAnswer:
    """The client waits in code that no signal reaches."""

    @pytest.fixture
    def arrived(self) -> threading.Event:
        return threading.Event()

    @pytest.fixture
    def silent(self, s3: S3Cloud, arrived: threading.Event) -> Iterator[S3Cloud]:
        """A server that answers no upload until the test has ended."""
        is_over = threading.Event()

        def wait(request: Request) -> None:
            arrived.set()
            is_over.wait(WAIT_SECONDS)

        s3.recorder.before(uploads(s3), wait)
        yield s3
        is_over.set()
        settle(s3)

    @pytest.mark.parametrize("threads", [0, 2])
    def test_second_interrupt_ends_it_at_once(
        self,
        silent: S3Cloud,
        tree: StaticTree,
        tmp_path: Path,
        arrived: threading.Event,
        threads: int,
    ) -> None:
        process = project_for(silent, tree, tmp_path, COLLECTFASTA_THREADS=threads).start()
        assert arrived.wait(WAIT_SECONDS)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)

        ended = end(process)

        # One that comes when the interpreter is taking its modules down ends it as it ends any
        # process, which is 130 to a shell, too.
        assert ended.status in (130, -signal.SIGINT)
        assert len(ended.stderr.splitlines()) == 1, ended
        assert ended.stderr.startswith("CommandError: Interrupted"), ended

    def test_nothing_more_ends_it_in_seconds(
        self, silent: S3Cloud, tree: StaticTree, tmp_path: Path, arrived: threading.Event
    ) -> None:
        process = project_for(silent, tree, tmp_path).start()
        assert arrived.wait(WAIT_SECONDS)
        process.send_signal(signal.SIGTERM)

        ended = end(process)

        assert is_in_one_line(ended), ended
        assert "Temporary files may be left." in ended.stderr

    def test_signals_that_come_together_are_one(
        self, s3: S3Cloud, tree: StaticTree, tmp_path: Path
    ) -> None:
        """What is under way still ends: as after one."""
        started: list[subprocess.Popen[str]] = []
        is_first = once(uploads(s3))

        def stop(request: Request) -> None:
            if is_first(request):
                started[0].send_signal(signal.SIGTERM)
                started[0].send_signal(signal.SIGHUP)
                time.sleep(0.3)

        s3.recorder.before(uploads(s3), stop)
        started.append(project_for(s3, tree, tmp_path).start())
        ended = end(started[0])

        assert is_in_one_line(ended), ended
        assert "Temporary files may be left." not in ended.stderr


AT_THE_END = """
import atexit, os, signal, sys
from django.core.management import execute_from_command_line

signal.signal(signal.SIGINT, signal.default_int_handler)

class AtTheEnd:
    # Runs when the interpreter has begun to take its modules down.
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {number})

keep = sys.modules["keep"] = AtTheEnd()
execute_from_command_line(sys.argv)
"""


@BOTH
def test_interrupt_of_the_interpreters_end_makes_no_noise(
    s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path, number: signal.Signals
) -> None:
    project = project_for(s3_obstore, tree, tmp_path)
    project.manage(AT_THE_END.format(number=int(number)))

    ended = project.run()

    assert (ended.status, ended.stderr) == (-number, "")
    assert s3_obstore.keys() == tree.names()
