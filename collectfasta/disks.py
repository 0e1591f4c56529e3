"""What the local system lacks, in words: disks, and open files."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNWRITABLE = {*_FULL, errno.EROFS}
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}


def advice(error: BaseException) -> str:
    """Say in parentheses what to do about what the system lacks; nothing for other errors."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _TOO_MANY_FILES:
        return " (lower COLLECTFASTA_THREADS, or raise the limit: ulimit -n)"
    if number not in _UNWRITABLE:
        return ""
    what = "free some space there" if number in _FULL else "mount it for writing"
    if getattr(error, "filename", None) == tempfile.gettempdir():
        return f" ({what}, or let TMPDIR name another directory)"
    return f" ({what})"


@contextmanager
def naming_disks(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the directory that is written to where its disk takes nothing.

    Of a full one the system names nothing, of one that is read-only whichever file came first.

    Raises:
        OSError: The disk is full, the quota is used up, or the disk is read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _UNWRITABLE:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
