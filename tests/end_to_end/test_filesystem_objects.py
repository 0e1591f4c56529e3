"""How a deploy replaces files in a directory: by a rename, and reading no more than it has to."""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches

from tests.servers.clouds.filesystem import FileSystemCloud

from . import storages
from .site import MakeSite, Site
from .storages import path_of

REMEMBERING = "collectfasta.strategies.filesystem.CachingFileSystemStrategy"
FILES = {"a.css": b"aaa", "css/b.css": b"bbb"}
HOUR = 3600

_opened: list[str] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        _opened.append(os.fsdecode(arguments[0]))


@cache
def _listen() -> None:
    # Once: it can't be taken back.
    sys.addaudithook(_note)


def root_of(site: Site) -> Path:
    """Return the directory that a site is deployed to."""
    assert isinstance(site.cloud, FileSystemCloud)
    return site.cloud.root


def opened_by(site: Site, **options: Any) -> list[str]:
    """Deploy what is deployed, and return the names in the directory that were opened."""
    _listen()
    _opened.clear()
    deploy = site.deploy(**options)
    root = str(root_of(site)) + "/"
    found = sorted(path.removeprefix(root) for path in _opened if path.startswith(root))
    assert (deploy.summary.split()[0], "2 unmodified" in deploy.summary) == ("0", True)
    return found


def tamper(path: Path, content: bytes) -> None:
    """Change a file in its place, with its old size, and its old age as far as one can."""
    before = path.stat()
    assert before.st_size == len(content)
    # The clock of a file system ticks every few milliseconds.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class TestReading:
    """Files in the target that are remembered need not be read."""

    def test_what_is_remembered_is_not_read(self, make_site: MakeSite) -> None:
        site = make_site("filesystem", FILES, strategy=REMEMBERING)
        site.deploy()
        assert opened_by(site) == []

    def test_what_was_there_before_is_read_once(self, make_site: MakeSite) -> None:
        site = make_site("filesystem", FILES, strategy=REMEMBERING)
        for name, content in FILES.items():
            site.cloud.put(name, content)
        assert opened_by(site, dry_run=True) == [*FILES]
        assert opened_by(site) == [*FILES]
        assert opened_by(site) == []
        caches["default"].clear()
        assert opened_by(site) == [*FILES]

    def test_by_default_all_is_read_each_time(self, make_site: MakeSite) -> None:
        site = make_site("filesystem", FILES)
        site.deploy()
        assert opened_by(site) == [*FILES]

    def test_two_directories_share_a_cache(self, make_site: MakeSite) -> None:
        first = make_site("filesystem", FILES, strategy=REMEMBERING)
        second = make_site("filesystem", FILES, strategy=REMEMBERING)
        first.deploy()
        second.cloud.put("a.css", b"xxx")
        second.deploy()
        assert second.bodies() == FILES
        assert opened_by(first) == []


@pytest.mark.parametrize("strategy", [None, REMEMBERING])
class TestReplacement:
    """What is in a target is what is found, whatever its size and age."""

    def test_other_content_of_the_same_size_and_age_is_replaced(
        self, make_site: MakeSite, strategy: str | None
    ) -> None:
        site = make_site("filesystem", FILES, strategy=strategy)
        for name in FILES:
            source = site.tree.path(name).stat()
            site.cloud.put(name, b"old")
            os.utime(root_of(site) / name, ns=(source.st_atime_ns, source.st_mtime_ns))
        site.deploy()
        first = site.bodies()
        tamper(root_of(site) / "a.css", b"xxx")
        site.deploy()
        second = site.bodies()
        tamper(site.tree.path("a.css"), b"new")
        site.deploy()

        assert first == second == FILES
        assert site.bodies() == {**FILES, "a.css": b"new"}

    def test_an_unmodified_file_is_left_alone(
        self, make_site: MakeSite, strategy: str | None
    ) -> None:
        site = make_site("filesystem", FILES, strategy=strategy)
        site.deploy()
        before = {name: site.cloud.version(name) for name in FILES}
        os.utime(site.tree.path("a.css"))
        site.deploy()
        assert {name: site.cloud.version(name) for name in FILES} == before

    def test_an_open_handle_still_reads_the_old_content(
        self, make_site: MakeSite, strategy: str | None
    ) -> None:
        site = make_site("filesystem", FILES, strategy=strategy)
        site.cloud.put("css/b.css", b"old content")
        target = root_of(site) / "css/b.css"
        inode = target.stat().st_ino
        with target.open("rb") as handle:
            site.deploy()
            assert handle.read() == b"old content"
        assert target.read_bytes() == b"bbb"
        assert target.stat().st_ino != inode
        assert site.cloud.keys() == [*FILES]


class TestLinks:
    """In the target; Django's own command makes them."""

    @pytest.mark.parametrize("backend", [None, path_of(storages.LocalUppercase)])
    def test_are_replaced_by_files_and_what_they_lead_to_stays(
        self, make_site: MakeSite, backend: str | None
    ) -> None:
        site = make_site("filesystem", FILES, backend=backend)
        site.deploy(link=True)
        (root_of(site) / "a.css").unlink()
        (root_of(site) / "a.css").symlink_to("nowhere")

        site.deploy()

        expected = {name: body.upper() + b"!" for name, body in FILES.items()}
        assert site.bodies() == (expected if backend else FILES)
        assert not any(path.is_symlink() for path in root_of(site).rglob("*"))
        assert site.tree.path("css/b.css").read_bytes() == b"bbb"

    def test_are_not_followed_by_clear(self, make_site: MakeSite, tmp_path: Path) -> None:
        site = make_site("filesystem", FILES)
        (tmp_path / "folder").mkdir()
        for name in ("folder/theirs.css", "theirs.css"):
            (tmp_path / name).write_bytes(b"theirs")
        for name, target in (("link", "folder"), ("link.css", "theirs.css"), ("gone", "nowhere")):
            (root_of(site) / name).symlink_to(tmp_path / target)

        site.deploy(clear=True)

        links = {path.name for path in root_of(site).rglob("*") if path.is_symlink()}
        assert links == {"link"}
        assert (tmp_path / "folder/theirs.css").read_bytes() == b"theirs"
        assert (tmp_path / "theirs.css").read_bytes() == b"theirs"


class TestTarget:
    """The directory itself."""

    def test_that_is_missing_is_made_and_not_by_a_dry_run(self, make_site: MakeSite) -> None:
        site = make_site("filesystem", FILES)
        options = {"location": str(root_of(site) / "not" / "yet")}
        for clear in (False, True):
            site.deploy(options=options, dry_run=True, clear=clear)
            assert list(root_of(site).iterdir()) == []

        site.deploy(options=options, clear=True)

        assert site.cloud.keys() == ["not/yet/a.css", "not/yet/css/b.css"]

    def test_where_something_is_in_the_way_is_an_error_that_names_the_files(
        self, make_site: MakeSite
    ) -> None:
        names = ("folder/a.css", "file.css", "c.css")
        site = make_site("filesystem", dict.fromkeys(names, b"new"))
        site.cloud.put("folder", b"is a file")
        site.cloud.put("file.css/a", b"is a folder")

        head, *lines = site.refused().error.splitlines()

        assert head == f"2 files were not sent to {root_of(site)}:"
        assert lines[0].startswith("  'file.css': IsADirectoryError: ")
        assert lines[1].startswith("  'folder/a.css': ")
        assert len(lines) == 2
        assert site.cloud.keys() == ["c.css", "file.css/a", "folder"]

    def test_loses_what_a_killed_deploy_has_left_and_nothing_else(
        self, make_site: MakeSite, tmp_path: Path
    ) -> None:
        site = make_site("filesystem", {"css/a.css": b"a"})
        folder, left = root_of(site) / "css", ".collectfasta-0123456789abcdef.tmp"
        precious = tmp_path / "precious"
        stays = {
            # Another deploy is writing it.
            ".collectfasta-fedcba9876543210.tmp": 0,
            f"{left}.css": 2 * HOUR,
            ".collectfasta-mine.tmp": 2 * HOUR,
        }
        folder.mkdir()
        for path, age in (
            (folder / left, 2 * HOUR),
            (precious, 2 * HOUR),
            *((folder / name, age) for name, age in stays.items()),
        ):
            path.write_bytes(b"half")
            os.utime(path, (time.time() - age,) * 2)
        (folder / ".collectfasta-00000000000000ff.tmp").symlink_to(precious)

        site.deploy(dry_run=True)
        after_dry_run = {path.name for path in folder.iterdir()}
        site.deploy()

        assert left in after_dry_run
        assert {path.name for path in folder.iterdir()} - {*stays} <= {
            "a.css",
            ".collectfasta-00000000000000ff.tmp",
        }
        assert {*stays} < {path.name for path in folder.iterdir()}
        assert precious.read_bytes() == b"half"
