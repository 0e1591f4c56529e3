"""Errors that users are expected to meet, and how any error is put into words for them."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# Signed URLs carry their secret in the query (X-Amz-Signature, sig, Signature, tokens), and none
# of the queries that the SDKs put into their exceptions helps a reader.
_URL_QUERY = re.compile(r"(\w://[^\s?\"<>]*)\?[^\s\"<>]*")
_PATH_QUERY = re.compile(r"(/[^\s?\"'<>]*)\?[^\s\"'<>]*=[^\s\"'<>]*")
_SHORTEST_SECRET = 4
_USER_INFO = re.compile(r"(?<=://)[^\s/?#\"]*@")


_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNWRITABLE = {*_FULL, errno.EROFS}
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}


class CollectfastaError(Exception):
    """Something that the user can mend; its text says what, where and what to do."""


def describe(error: BaseException, secrets: Iterable[str] = (), *, full: bool = False) -> str:
    """Put an error into words without any secret.

    Args:
        error: The error.
        secrets: Texts that must not appear.
        full: Give the traceback, not the single line of type and message.
    """
    if full:
        return redact("".join(traceback.format_exception(error)).rstrip(), secrets)
    message = " ".join(redact(str(error), secrets).split()) + _advice(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _advice(error: BaseException) -> str:
    """Say what to do about what the system lacks."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _TOO_MANY_FILES:
        return " (lower COLLECTFASTA_THREADS, or raise the limit: ulimit -n)"
    if number not in _UNWRITABLE:
        return ""
    what = "free some space there" if number in _FULL else "mount it for writing"
    is_temporary = getattr(error, "filename", None) == tempfile.gettempdir()
    other = ", or let TMPDIR name another directory" if is_temporary else ""
    return f" ({what}{other})"


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


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without queries of URLs, user names in URLs and the given secrets."""
    # The longest first: one may be the beginning of another. What is shorter than any key is a
    # test server's, and part of half the words.
    known = (each for each in secrets if len(each) >= _SHORTEST_SECRET)
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _USER_INFO.sub("***@", text)
    return _PATH_QUERY.sub(r"\1?***", _URL_QUERY.sub(r"\1?***", text))
