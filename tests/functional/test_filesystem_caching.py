"""CachingFileSystemStrategy: files in the target that are known need not be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from collectfasta.strategies.filesystem import CachingFileSystemStrategy, FileSystemStrategy
from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds.filesystem import FileSystemCloud

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], (str, bytes)):
        _opened.append(os.fsdecode(arguments[0]))


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    # It can't be removed, so it is added once.
    sys.addaudithook(_note)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths that this process has opened since the test began."""
    global _opened
    _opened = []
    yield _opened
    _opened = None


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FileSystemCloud]:
    """Another empty directory."""
    with FileSystemCloud(tmp_path / "other") as cloud:
        yield cloud


@pytest.fixture(params=[0, 8])
def deploy(request: pytest.FixtureRequest, collectstatic: CollectStatic) -> Callable[..., Run]:
    """The command with the strategy."""

    def run(cloud: FileSystemCloud, **options: Any) -> Run:
        return collectstatic(
            cloud, **{"threads": request.param, "strategy": CachingFileSystemStrategy} | options
        )

    return run


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("a.css", b"aaa")
    static_tree.write("css/b.css", b"bbb")


def of(cloud: FileSystemCloud, paths: list[str]) -> list[str]:
    """Return those of the paths that lie in the directory."""
    return [path for path in paths if path.startswith(str(cloud.root))]


def tamper(path: Path, content: bytes) -> None:
    """Change a file in its place, with its old size, and its old age as far as one can."""
    before = path.stat()
    assert before.st_size == len(content)
    # The clock of a file system ticks every few milliseconds.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_known_files_are_not_read(
    filesystem: FileSystemCloud, deploy: Callable[..., Run], opened: list[str]
) -> None:
    deploy(filesystem)
    opened.clear()

    run = deploy(filesystem)

    assert "2 unmodified" in run.stdout
    assert of(filesystem, opened) == []


def test_files_that_were_there_before_are_read_once(
    filesystem: FileSystemCloud, deploy: Callable[..., Run], opened: list[str]
) -> None:
    filesystem.put("a.css", b"aaa")
    filesystem.put("css/b.css", b"bbb")
    opened.clear()
    deploy(filesystem)
    read = sorted(of(filesystem, opened))
    opened.clear()

    run = deploy(filesystem)

    assert read == [str(filesystem.root / "a.css"), str(filesystem.root / "css/b.css")]
    assert "2 unmodified" in run.stdout
    assert of(filesystem, opened) == []


def test_without_caching_files_are_read_each_time(
    filesystem: FileSystemCloud, deploy: Callable[..., Run], opened: list[str]
) -> None:
    deploy(filesystem, strategy=FileSystemStrategy)
    opened.clear()

    deploy(filesystem, strategy=FileSystemStrategy)

    assert len(of(filesystem, opened)) == 2


def test_a_cold_cache_costs_reading_and_changes_nothing(
    filesystem: FileSystemCloud, deploy: Callable[..., Run], opened: list[str]
) -> None:
    deploy(filesystem)
    cache.clear()
    opened.clear()

    run = deploy(filesystem)

    assert "2 unmodified" in run.stdout
    assert len(of(filesystem, opened)) == 2


def test_a_file_tampered_with_is_replaced(
    filesystem: FileSystemCloud, deploy: Callable[..., Run]
) -> None:
    deploy(filesystem)
    tamper(filesystem.root / "a.css", b"xxx")

    deploy(filesystem)

    assert filesystem.get("a.css").body == b"aaa"


def test_a_file_that_was_deleted_is_written_again(
    filesystem: FileSystemCloud, deploy: Callable[..., Run]
) -> None:
    deploy(filesystem)
    filesystem.empty()

    deploy(filesystem)

    assert filesystem.keys() == ["a.css", "css/b.css"]


def test_a_changed_source_of_the_same_size_is_sent(
    filesystem: FileSystemCloud, deploy: Callable[..., Run], static_tree: StaticTree
) -> None:
    deploy(filesystem)
    tamper(static_tree.path("a.css"), b"new")

    deploy(filesystem)

    assert filesystem.get("a.css").body == b"new"


def test_two_directories_share_a_cache(
    filesystem: FileSystemCloud,
    other: FileSystemCloud,
    deploy: Callable[..., Run],
    opened: list[str],
) -> None:
    deploy(filesystem)
    other.put("a.css", b"xxx")

    deploy(other)

    assert {key: each.body for key, each in other.objects().items()} == {
        "a.css": b"aaa",
        "css/b.css": b"bbb",
    }
    opened.clear()
    assert "2 unmodified" in deploy(filesystem).stdout
    assert of(filesystem, opened) == []


def test_a_dry_run_remembers_nothing(
    filesystem: FileSystemCloud, deploy: Callable[..., Run], opened: list[str]
) -> None:
    filesystem.put("a.css", b"aaa")
    deploy(filesystem, dry_run=True)
    opened.clear()

    deploy(filesystem, dry_run=True)

    assert of(filesystem, opened) == [str(filesystem.root / "a.css")]
