"""The atomic replacement of files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from collectfasta.files import remove_stale_temporary, replacing, temporary_beside


def write_half(path: Path, error: BaseException) -> None:
    with replacing(str(path)) as temporary:
        Path(temporary).write_bytes(b"half")
        raise error


class TestReplacing:
    def test_a_file_is_replaced_in_one_step(self, tmp_path: Path) -> None:
        path = tmp_path / "a.css"
        path.write_bytes(b"before")
        # Whoever has the old one open reads it to its end.
        with path.open("rb") as reader:
            with replacing(str(path)) as temporary:
                Path(temporary).write_bytes(b"after")
                assert path.read_bytes() == b"before"
            assert reader.read() == b"before"
        assert path.read_bytes() == b"after"
        assert [*tmp_path.iterdir()] == [path]

    def test_a_file_is_created(self, tmp_path: Path) -> None:
        # A name can be as long as file systems allow: the temporary one is not made from it.
        path = tmp_path / ("n" * 255)
        with replacing(str(path)) as temporary:
            Path(temporary).write_bytes(b"new")
        assert path.read_bytes() == b"new"

    def test_what_fails_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        path = tmp_path / "a.css"
        path.write_bytes(b"before")
        for error in (ValueError("broken"), KeyboardInterrupt()):
            with pytest.raises(type(error)):
                write_half(path, error)
        assert path.read_bytes() == b"before"
        assert [*tmp_path.iterdir()] == [path]

    def test_an_error_names_the_file_and_not_the_temporary_one(self, tmp_path: Path) -> None:
        path = tmp_path / "missing" / "a.css"
        with pytest.raises(FileNotFoundError) as caught, replacing(str(path)) as temporary:
            Path(temporary).write_bytes(b"x")
        assert caught.value.filename == str(path)


def test_only_old_temporary_files_of_ours_are_removed(tmp_path: Path) -> None:
    old, young = (Path(temporary_beside(str(tmp_path / "a.css"))) for _ in range(2))
    link = Path(temporary_beside(str(tmp_path / "a.css")))
    others = [tmp_path / name for name in (".collectfasta-1.tmp", "a.css", f"{old.name}.css")]
    for path in (old, young, *others):
        path.touch()
    link.symlink_to("a.css")
    two_hours_ago = time.time() - 7200
    for path in (old, *others):
        os.utime(path, (two_hours_ago, two_hours_ago))
    remove_stale_temporary(str(tmp_path))
    assert {*tmp_path.iterdir()} == {young, link, *others}
    remove_stale_temporary(str(tmp_path / "missing"))
