"""Source files that change while they are read: named, and never stored as a mixture."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.project import MANIFEST, MANIFEST_BACKENDS, once
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.recorder import Request

MEGABYTE = 1024 * 1024
LARGE = "large.bin"
BODIES = {"PUT", "UPLOAD", "PUT_BLOCK", "MULTIPART"}
# More than a connection holds on its way, and one request to S3; pieces everywhere else.
STREAMED = 7 * MEGABYTE
IN_PARTS = 40 * MEGABYTE


def vanish(path: Path) -> None:
    path.unlink()


def shrink(path: Path) -> None:
    os.truncate(path, 100)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def write_over(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"other" * MEGABYTE)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"o" * path.stat().st_size)
    other.replace(path)


CHANGES = [vanish, shrink, grow, write_over, replace]
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("small.js", b"let it;")
    return static_tree


def at_first_body(cloud: RecordedCloud, action: Callable[[], object]) -> None:
    """Act when the beginning of the first body is on its way."""
    is_first = once(lambda request: cloud.kind(request) in BODIES and request.body_size > 1000)

    def act(request: Request) -> None:
        if is_first(request):
            action()

    cloud.recorder.before(lambda _: True, act)


def failed(collectstatic: CollectStatic, cloud: Any, **options: Any) -> str:
    with pytest.raises(CommandError) as caught:
        collectstatic(cloud, **options)
    return str(caught.value)


@each_change
@pytest.mark.parametrize("size", [STREAMED, IN_PARTS], ids=["streamed", "parts"])
def test_large_file_is_named_and_stored_whole_or_not_at_all(
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    change: Callable[[Path], None],
    size: int,
) -> None:
    before = os.urandom(size)
    path = tree.write(LARGE, before)
    at_first_body(recorded_cloud, lambda: change(path))

    message = failed(collectstatic, recorded_cloud, threads=0)

    assert f"'{LARGE}': " in message
    assert "run the command again" in message or "No such file" in message or "shorter" in message
    assert recorded_cloud.exists("small.js")
    if recorded_cloud.exists(LARGE):
        assert recorded_cloud.get(LARGE).body == before


@each_change
def test_next_run_sends_what_it_is_then(
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    change: Callable[[Path], None],
) -> None:
    path = tree.write(LARGE, os.urandom(STREAMED))
    at_first_body(recorded_cloud, lambda: change(path))
    failed(collectstatic, recorded_cloud)
    recorded_cloud.recorder.reset()

    collectstatic(recorded_cloud)

    assert not path.exists() or recorded_cloud.get(LARGE).body == path.read_bytes()


@each_change
def test_name_that_tells_the_content_is_never_given_to_other_content(
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    change: Callable[[Path], None],
) -> None:
    path = tree.write(LARGE, os.urandom(IN_PARTS))
    at_first_body(recorded_cloud, lambda: change(path))

    backend = MANIFEST_BACKENDS[recorded_cloud.backend]
    message = failed(collectstatic, recorded_cloud, backend=backend, threads=0)

    assert "large." in message
    assert not recorded_cloud.exists(MANIFEST)
    for key in recorded_cloud.keys():
        name, *middle, _ = key.split(".")
        if middle:
            body = recorded_cloud.get(key).body
            assert hashlib.md5(body, usedforsecurity=False).hexdigest()[:12] == middle[0], name


@pytest.mark.parametrize("threads", [0, 2])
@each_change
def test_file_that_is_copied_stays_what_it_was(
    filesystem: FileSystemCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    change: Callable[[Path], None],
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tree.write(LARGE, os.urandom(STREAMED))
    filesystem.put(LARGE, b"old")
    chunks = File.chunks

    def change_amid(self: File[Any], chunk_size: int | None = None) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks(self, chunk_size)):
            yield chunk
            if number == 1:
                change(path)

    monkeypatch.setattr(File, "chunks", change_amid)

    message = failed(collectstatic, filesystem, threads=threads)

    assert f"'{LARGE}': " in message or LARGE in message
    assert filesystem.keys() == [LARGE, "small.js"]
    assert filesystem.get(LARGE).body == b"old"


@pytest.mark.parametrize("threads", [0, 2])
def test_directory_that_becomes_a_file_is_named_file_by_file(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    """The rest is sent."""
    tree.write(LARGE, b"x" * 5000)
    for number in range(2):
        tree.write(f"folder/{number}.js", b"")

    def change() -> None:
        shutil.rmtree(tree.path("folder"))
        tree.write("folder", b"")

    recorded_cloud.recorder.before(
        once(lambda request: recorded_cloud.kind(request) == "LIST"), lambda _: change()
    )

    message = failed(collectstatic, recorded_cloud, threads=threads)

    assert [line.split(":")[1] for line in message.splitlines()[1:]] == [" NotADirectoryError"] * 2
    assert recorded_cloud.keys() == [LARGE, "small.js"]


@pytest.mark.skipif(os.geteuid() == 0, reason="Root may read everything.")
def test_file_that_may_not_be_read_any_more_is_named(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    tree.write(LARGE, b"x")
    recorded_cloud.recorder.before(
        once(lambda request: recorded_cloud.kind(request) == "LIST"),
        lambda _: tree.path(LARGE).chmod(0),
    )

    message = failed(collectstatic, recorded_cloud)

    assert f"'{LARGE}': PermissionError" in message
    assert recorded_cloud.keys() == ["small.js"]


def test_file_that_has_grown_since_the_plan_is_sent_as_large_as_it_is(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    """Also where that takes another way of sending."""
    tree.write(LARGE, b"x")
    content = os.urandom(IN_PARTS)
    recorded_cloud.recorder.before(
        once(lambda request: recorded_cloud.kind(request) == "LIST"),
        lambda _: tree.write(LARGE, content),
    )

    collectstatic(recorded_cloud)

    assert recorded_cloud.get(LARGE).body == content
