"""The tree of files that the benchmarks deploy."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from benchmarks.static_tree import change_tree, replace_references, write_tree

FILES = 120


def test_a_tree_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert write_tree(tmp_path / "one", FILES) == write_tree(tmp_path / "two", FILES)


def test_the_checksums_are_of_what_was_written(tmp_path: Path) -> None:
    checksums = write_tree(tmp_path, FILES)
    for name, checksum in checksums.items():
        content = (tmp_path / name).read_bytes()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == checksum


def test_each_style_sheet_refers_to_files_of_the_tree(tmp_path: Path) -> None:
    checksums = write_tree(tmp_path, FILES)
    others = {name: f"other/{name}" for name in checksums}
    for name in checksums:
        if name.endswith(".css"):
            # A name that the tree doesn't have would be a KeyError.
            assert "other/" in replace_references((tmp_path / name).read_text(), others)


def test_other_links_to_changed_files_keep_their_content(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    checksums = write_tree(tmp_path / "tree", FILES)
    shutil.copytree(tmp_path / "tree", tmp_path / "linked", copy_function=os.link)
    changed = change_tree(tmp_path / "linked", FILES)
    for name, checksum in changed.items():
        content = (tmp_path / "tree" / name).read_bytes()
        kept = hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert kept == checksums[name] != checksum


def test_one_percent_of_the_files_changes(tmp_path: Path) -> None:
    write_tree(tmp_path, FILES)
    assert len(change_tree(tmp_path, FILES)) == 2


def test_only_images_are_scaled(tmp_path: Path) -> None:
    write_tree(tmp_path, 4, scale=3)
    sizes = [path.stat().st_size for path in sorted(tmp_path.rglob("file-*"))]
    assert sizes == [3 * 1024, 4 * 1024, 3 * 8 * 1024, 16 * 1024]
