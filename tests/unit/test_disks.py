"""What is said of a local system that lacks something."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from collectfasta.disks import advice, naming_disks


def error_of(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (error_of(errno.ENOSPC, "/a"), " (free some space there)"),
        (error_of(errno.EDQUOT, "/a"), " (free some space there)"),
        (error_of(errno.EROFS, "/a"), " (mount it for writing)"),
        (
            error_of(errno.EMFILE),
            " (lower COLLECTFASTA_THREADS, or raise the limit: ulimit -n)",
        ),
        (error_of(errno.ENOENT, "/a"), ""),
        (ValueError("no"), ""),
    ],
    ids=repr,
)
def test_advice(error: Exception, expected: str) -> None:
    assert advice(error) == expected


def test_temporary_directory_can_be_another() -> None:
    error = error_of(errno.ENOSPC, tempfile.gettempdir())

    assert advice(error) == " (free some space there, or let TMPDIR name another directory)"


def write_to_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")


def test_full_disk_is_named_by_its_directory(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, naming_disks(tmp_path):
        write_to_full_disk()

    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))


def test_other_errors_keep_the_name_of_the_file(tmp_path: Path) -> None:
    missing = tmp_path / "missing"

    with pytest.raises(FileNotFoundError) as caught, naming_disks(tmp_path):
        missing.read_bytes()

    assert caught.value.filename == str(missing)


def test_what_can_be_written_is_left_alone(tmp_path: Path) -> None:
    with naming_disks(tmp_path):
        (tmp_path / "a").write_bytes(b"x")

    assert (tmp_path / "a").read_bytes() == b"x"
