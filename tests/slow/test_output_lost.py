"""Output that nobody can read any more: a deploy depends on it in nothing."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.conftest import CollectStatic, StaticTree
from tests.project import Project, end
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

LOST = "stdout can't be written ({}): the deploy goes on without messages.\n"
# More than a pipe and the buffer before it hold.
MANY = 400


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for number in range(5):
        static_tree.write(f"{number}.js", b"let it;")
    return static_tree


@pytest.fixture
def project(s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", s3_obstore, tree, is_measured=True)


@pytest.fixture
def nobody() -> Iterator[int]:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def close(descriptors: str) -> Sequence[str]:
    """Return what runs a command as ``command >&-`` does."""
    return ["sh", "-c", f'exec "$@" {descriptors}', "sh"]


class TestStdout:
    def test_that_nobody_reads_costs_one_line(
        self, project: Project, tree: StaticTree, nobody: int
    ) -> None:
        ended = project.run(stdout=nobody)

        assert (ended.status, ended.stderr) == (0, LOST.format("Broken pipe"))
        assert project.cloud.keys() == tree.names()

    def test_that_nobody_reads_is_nothing_to_what_follows_the_command(
        self, project: Project, nobody: int
    ) -> None:
        """Or else the interpreter ends with status 120: it flushes once more."""
        project.manage(
            "import sys\nfrom django.core.management import execute_from_command_line\n"
            "execute_from_command_line(sys.argv)\nprint('done')\n"
        )

        ended = project.run(stdout=nobody)

        assert (ended.status, ended.stderr) == (0, LOST.format("Broken pipe"))

    def test_that_breaks_amid_the_deploy_costs_one_line(
        self, project: Project, tree: StaticTree, nobody: int
    ) -> None:
        for number in range(MANY):
            tree.write(f"files/with/a/long/name/{number}.js", b"")

        ended = project.run("--verbosity=2", stdout=nobody)

        assert (ended.status, ended.stderr) == (0, LOST.format("Broken pipe"))
        assert project.cloud.keys() == tree.names()

    def test_that_is_a_full_disk_costs_one_line(self, project: Project, tree: StaticTree) -> None:
        with open("/dev/full", "w") as full:
            ended = project.run(stdout=full)

        assert (ended.status, ended.stderr) == (0, LOST.format("No space left on device"))
        assert project.cloud.keys() == tree.names()

    def test_that_is_closed_from_the_start_costs_one_line(
        self, project: Project, tree: StaticTree
    ) -> None:
        ended = project.run(wrapper=close(">&-"))

        assert (ended.status, ended.stderr) == (0, LOST.format("it is closed"))
        assert project.cloud.keys() == tree.names()

    def test_of_a_pipeline_that_wants_the_first_line_only(
        self, project: Project, tree: StaticTree
    ) -> None:
        for number in range(MANY):
            tree.write(f"files/with/a/long/name/{number}.js", b"")
        process = project.start("--verbosity=2")
        with subprocess.Popen(["head", "-1"], stdin=process.stdout, stdout=subprocess.PIPE) as head:
            assert process.stdout
            process.stdout.close()
            process.stdout = None
            ended = end(process)
            assert head.stdout
            assert head.stdout.read().startswith(b"Copying '")

        assert (ended.status, ended.stderr) == (0, LOST.format("Broken pipe"))
        assert project.cloud.keys() == tree.names()

    def test_does_not_hide_that_the_deploy_failed(
        self, s3_obstore: S3Cloud, project: Project, nobody: int
    ) -> None:
        s3_obstore.recorder.fail(lambda request: request.path.endswith("/3.js"), 400)

        ended = project.run("--verbosity=2", stdout=nobody)

        assert ended.status == 1
        assert "1 file was not sent" in ended.stderr
        assert ended.stderr.count("3.js") == 1

    def test_is_djangos_own_affair_where_collectfasta_is_off(
        self, project: Project, nobody: int
    ) -> None:
        ended = project.run("--disable-collectfasta", stdout=nobody)

        assert ended.status != 0
        assert LOST.format("Broken pipe") not in ended.stderr


class TestStderr:
    def test_that_is_closed_from_the_start_costs_nothing(
        self, project: Project, tree: StaticTree
    ) -> None:
        ended = project.run(wrapper=close("2>&-"))

        assert ended.status == 0
        assert "5 static files copied" in ended.stdout
        assert project.cloud.keys() == tree.names()

    @pytest.mark.parametrize("descriptors", ["2>&-", ">&- 2>&-", "2>/dev/full", ">/dev/full 2>&1"])
    def test_that_can_not_be_written_leaves_the_status_true(
        self, s3_obstore: S3Cloud, project: Project, descriptors: str
    ) -> None:
        s3_obstore.recorder.fail(lambda request: request.path.endswith("/3.js"), 400)

        assert project.run(wrapper=close(descriptors)).status == 1

    @pytest.mark.parametrize("descriptors", [">&- 2>&-", ">/dev/full 2>&1"])
    def test_that_is_lost_with_stdout_costs_nothing(
        self, project: Project, tree: StaticTree, descriptors: str
    ) -> None:
        assert project.run(wrapper=close(descriptors)).status == 0
        assert project.cloud.keys() == tree.names()


def test_warning_of_the_checks_is_lost_with_stderr(project: Project, tree: StaticTree) -> None:
    """It is written before anything is deployed."""
    project.configure(STATICFILES_DIRS=[str(tree.root), "/nowhere"])
    with open("/dev/full", "w") as full:
        ended = project.run(stderr=full)

    assert ended.status == 0
    assert project.cloud.keys() == tree.names()


class ClosedAfterTheFirst(io.StringIO):
    """A stream of the caller's own that is lost amid the command."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize("threads", [0, 8])
def test_stream_of_the_caller_costs_no_file(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    """A message is written for each file that was sent: it must not make it one that failed."""
    collectstatic(s3, threads=threads, dry_run=True)
    stdout, stderr = ClosedAfterTheFirst(), io.StringIO()

    options: Any = {"stdout": stdout, "stderr": stderr, "verbosity": 2, "interactive": False}
    call_command("collectstatic", **options)

    assert s3.keys() == tree.names()
    assert len(stdout.getvalue().splitlines()) == 1
    assert stderr.getvalue() == LOST.format("Broken pipe")


def test_name_that_stdout_can_not_spell_is_escaped(
    filesystem: FileSystemCloud, static_tree: StaticTree, tmp_path: Path
) -> None:
    static_tree.write("é.js", b"")
    project = Project(tmp_path / "project", filesystem, static_tree)

    ended = project.run("--verbosity=2", environment={"PYTHONIOENCODING": "ascii"})

    assert (ended.status, ended.stderr) == (0, "")
    assert r"\xe9.js" in ended.stdout
    assert filesystem.keys() == ["é.js"]
