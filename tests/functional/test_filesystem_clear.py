"""What ``--clear`` deletes from a file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.files.storage import Storage
from django.core.management.base import CommandError

from collectfasta.strategies.filesystem import FileSystemStrategy
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.summary import deleted

pytestmark = pytest.mark.parametrize("threads", [0, 8])


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("a.css", b"a")
    static_tree.write("css/b.css", b"b")


def test_files_that_are_left_are_deleted_and_counted(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    for name in ("old.css", "css/old.css", "old/folder/c.css", ".a.css.Abcd1234.tmp"):
        filesystem.put(name, b"old")

    run = collectstatic(filesystem, threads=threads, clear=True)

    assert filesystem.keys() == ["a.css", "css/b.css"]
    assert f"\n{deleted(4)}2 static files copied" in run.stdout


def test_links_to_folders_are_not_followed(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, tmp_path: Path, threads: int
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs.css").write_bytes(b"theirs")
    (filesystem.root / "link").symlink_to(elsewhere)

    run = collectstatic(filesystem, threads=threads, clear=True)

    assert (elsewhere / "theirs.css").read_bytes() == b"theirs"
    assert (filesystem.root / "link").readlink() == elsewhere
    assert "2 static files copied" in run.stdout
    assert "deleted" not in run.stdout


@pytest.mark.parametrize("target", ["elsewhere.css", "nowhere.css"])
def test_links_to_files_are_deleted_and_what_they_lead_to_stays(
    filesystem: FileSystemCloud,
    collectstatic: CollectStatic,
    tmp_path: Path,
    threads: int,
    target: str,
) -> None:
    elsewhere = tmp_path / "elsewhere.css"
    elsewhere.write_bytes(b"theirs")
    (filesystem.root / "link.css").symlink_to(tmp_path / target)

    run = collectstatic(filesystem, threads=threads, clear=True)

    assert not (filesystem.root / "link.css").is_symlink()
    assert elsewhere.read_bytes() == b"theirs"
    assert f"\n{deleted(1)}2 static files copied" in run.stdout


def test_a_dry_run_deletes_nothing(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    filesystem.put("old.css", b"old")
    (filesystem.root / "link.css").symlink_to(filesystem.root / "nowhere")

    run = collectstatic(filesystem, threads=threads, clear=True, dry_run=True, verbosity=2)

    assert filesystem.keys() == ["link.css", "old.css"]
    assert "Pretending to delete 'old.css'" in run.stdout
    assert f"\n{deleted(2)}2 static files copied" in run.stdout


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_folder_that_may_not_be_cleared_is_one_line(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int, mode: int
) -> None:
    filesystem.put("old/a.css", b"old")
    folder = filesystem.root / "old"
    folder.chmod(mode)
    if os.access(folder, os.W_OK):
        pytest.skip("Root may write everywhere.")
    try:
        with pytest.raises(CommandError) as caught:
            collectstatic(filesystem, threads=threads, clear=True)
    finally:
        folder.chmod(0o755)

    assert str(caught.value).startswith("PermissionError: [Errno 13] Permission denied: ")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_missing_while_files_are_sent(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    before = {"a.css", "css/b.css", "old.css"}
    for name in before:
        filesystem.put(name, b"old")
    seen: list[set[str]] = []

    class Watching(FileSystemStrategy):
        def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
            seen.append(set(filesystem.keys()))

    collectstatic(filesystem, threads=threads, strategy=Watching, clear=True)

    assert len(seen) == 2
    assert all(names >= before for names in seen)
    assert filesystem.keys() == ["a.css", "css/b.css"]
