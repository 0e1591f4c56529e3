"""Deploys of a manifest in processes of their own: interrupted, killed, and two at once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collectfasta.strategies.boto3 import (
    Boto3ManifestFileSystemStrategy,
    Boto3ManifestMemoryStrategy,
)
from tests.conftest import CollectStatic, StaticTree
from tests.project import (
    MANIFEST,
    WAIT_SECONDS,
    Ended,
    Project,
    after,
    end,
    is_in_one_line,
    once,
)
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Recorder, Request
from tests.servers.s3 import S3Server

BACKEND = "storages.backends.s3.S3ManifestStaticStorage"
FILES = 15
MEGABYTE = 1024 * 1024


def is_put(request: Request) -> bool:
    return request.method == "PUT" and "uploadId" not in request.query


def is_manifest(request: Request) -> bool:
    return is_put(request) and request.path.endswith(f"/{MANIFEST}")


def is_list(request: Request) -> bool:
    return "list-type=2" in request.query


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" in request.query


def is_stored(request: Request) -> bool:
    return is_put(request) and request.status == 200


def write_files(tree: StaticTree, text: str, number: int = FILES) -> None:
    for each in range(number):
        tree.write(f"{each}.js", f"let {text}{each};\n".encode())


def live(cloud: S3Cloud) -> dict[str, bytes]:
    """Return the published manifest and every file that it names."""
    manifest = cloud.get(MANIFEST).body
    return {MANIFEST: manifest} | {key: cloud.get(key).body for key in paths(cloud).values()}


def paths(cloud: S3Cloud) -> dict[str, str]:
    found: dict[str, str] = json.loads(cloud.get(MANIFEST).body)["paths"]
    return found


def settings_of(strategy: type, threads: int) -> dict[str, Any]:
    path = f"{strategy.__module__}.{strategy.__qualname__}"
    return {"COLLECTFASTA_STRATEGY": path, "COLLECTFASTA_THREADS": threads}


@dataclass(frozen=True)
class Broken:
    """A live site, what a deploy of all its changed files left that was broken off, and the next.

    Attributes:
        before: The live site before.
        ended: How the process ended.
        live: The live site after.
        requests: What it has sent.
        temporary: What it left in its directory for temporary files.
        next_puts: How many files the next deploy sent.
        next_paths: What the manifest of that one names.
        next_keys: The keys of all objects then.
    """

    before: Mapping[str, bytes]
    ended: Ended
    live: Mapping[str, bytes]
    requests: list[Request]
    temporary: list[str]
    next_puts: int
    next_paths: Mapping[str, str]
    next_keys: list[str]


Break = Callable[[S3Cloud, Project], Ended]


def break_off(s3_server: S3Server, root: Path, variant: dict[str, Any], break_: Break) -> Broken:
    tree = StaticTree(root / "source")
    with ExitStack() as stack:
        cloud = stack.enter_context(S3Cloud(s3_server))
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        collectstatic = CollectStatic(tree, monkeypatch)
        stack.callback(collectstatic.close)
        write_files(tree, "first")
        collectstatic(cloud, backend=BACKEND, settings=variant)
        before = live(cloud)
        write_files(tree, "second")
        cloud.clear_requests()

        project = Project(root / "project", cloud, tree, backend=BACKEND, **variant)
        ended = break_(cloud, project)
        left = [path.name for path in project.temporary.iterdir()]
        requests, after = cloud.requests, live(cloud)

        cloud.recorder.reset()
        collectstatic(cloud, backend=BACKEND, settings=variant)
        puts = sum(map(is_put, cloud.requests))
        return Broken(before, ended, after, requests, left, puts, paths(cloud), cloud.keys())


# How it is staged, and what it is sent with: what differs where a signal comes from outside.
VARIANTS = [
    (signal.SIGINT, Boto3ManifestMemoryStrategy, 8),
    (signal.SIGTERM, Boto3ManifestFileSystemStrategy, 0),
    (signal.SIGKILL, Boto3ManifestMemoryStrategy, 0),
    (signal.SIGKILL, Boto3ManifestFileSystemStrategy, 8),
]


@pytest.mark.parametrize(
    ("number", "strategy", "threads"), VARIANTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_manifest_deploy_that_is_stopped_after_five_of_thirty_files(
    s3_server: S3Server, tmp_path: Path, number: signal.Signals, strategy: type, threads: int
) -> None:
    def interrupt(_: S3Cloud, project: Project) -> Ended:
        return project.interrupt(number, after(4, is_put))

    broken = break_off(s3_server, tmp_path, settings_of(strategy, threads), interrupt)

    if number == signal.SIGKILL:
        # It lets nothing be tidied up.
        assert broken.ended.status == -signal.SIGKILL
    else:
        assert is_in_one_line(broken.ended), broken.ended
        assert {request.status for request in broken.requests} == {200}, "what is under way ends"
        assert broken.temporary == []
    assert not any(map(is_manifest, broken.requests))
    assert sum(map(is_put, broken.requests)) < 2 * FILES, "pending work is not begun"
    assert broken.live == broken.before
    assert broken.next_puts == 2 * FILES + 1 - sum(map(is_stored, broken.requests))
    assert len(broken.next_paths) == FILES
    assert set(broken.next_paths.values()) < set(broken.next_keys)
    assert not set(broken.next_paths.values()) & set(broken.before)


@pytest.fixture
def project(s3: S3Cloud, static_tree: StaticTree, tmp_path: Path) -> Project:
    """A project of fifteen files."""
    write_files(static_tree, "it")
    return Project(tmp_path / "project", s3, static_tree, backend=BACKEND)


@pytest.mark.parametrize("threads", [0, 8])
def test_a_large_upload_is_aborted(
    s3: S3Cloud, static_tree: StaticTree, project: Project, threads: int
) -> None:
    static_tree.write("large.bin", os.urandom(32 * MEGABYTE))
    project.configure(backend=BACKEND, COLLECTFASTA_THREADS=threads)

    ended = project.interrupt(signal.SIGTERM, is_part)

    assert is_in_one_line(ended), ended.stderr
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=s3.name)
    assert not [key for key in s3.keys() if key.startswith("large")]


def test_while_the_storage_is_made(s3: S3Cloud, project: Project) -> None:
    """It looks for the last manifest then."""
    ended = project.interrupt(signal.SIGINT, lambda request: request.method == "HEAD")

    assert is_in_one_line(ended), ended.stderr
    assert s3.keys() == []


def test_while_the_manifest_is_sent(s3: S3Cloud, project: Project) -> None:
    """Whether it arrives or not, nothing else is said."""
    ended = project.interrupt(signal.SIGINT, is_manifest)

    assert is_in_one_line(ended), ended.stderr
    is_published = s3.exists(MANIFEST)
    assert ("the manifest was not published" in ended.stderr) is not is_published
    assert not is_published or set(paths(s3).values()) < set(s3.keys())


class TestTwoAtOnce:
    """Two deploys of different trees into one bucket."""

    @pytest.fixture
    def other(
        self, s3: S3Cloud, s3_server: S3Server, tmp_path: Path
    ) -> Iterator[tuple[Project, Recorder]]:
        """A project with other files, some of the same names, behind a recorder of its own."""
        tree = StaticTree(tmp_path / "other-source")
        write_files(tree, "other", FILES + 2)
        with Recorder(s3_server.endpoint) as recorder:
            options = {"endpoint_url": recorder.url}
            yield Project(tmp_path / "other", s3, tree, backend=BACKEND, options=options), recorder

    def test_one_within_the_commit_of_the_other(
        self, s3: S3Cloud, project: Project, other: tuple[Project, Recorder]
    ) -> None:
        ended: list[Ended] = []
        s3.recorder.before(is_manifest, lambda _: ended.append(other[0].run()))

        ended.append(project.run())

        assert [each.status for each in ended] == [0, 0]
        assert len(paths(s3)) == FILES
        assert_complete(s3)

    def test_both_plan_before_either_sends(
        self, s3: S3Cloud, project: Project, other: tuple[Project, Recorder]
    ) -> None:
        barrier = threading.Barrier(2, timeout=WAIT_SECONDS)
        for recorder in (s3.recorder, other[1]):
            recorder.before(once(is_put), lambda _: barrier.wait())

        processes = [project.start(), other[0].start()]
        ended = [end(process) for process in processes]

        assert [each.status for each in ended] == [0, 0]
        assert len(paths(s3)) in (FILES, FILES + 2)
        assert_complete(s3)


def assert_complete(cloud: S3Cloud) -> None:
    """Assert that the manifest names files that exist, with the content that the names tell."""
    for name in paths(cloud).values():
        digest = hashlib.md5(cloud.get(name).body, usedforsecurity=False).hexdigest()
        assert digest[:12] in name
