"""Errors that users are expected to meet, and the words for any error."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from itertools import chain
from urllib.parse import quote, quote_plus

_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNWRITABLE = {*_FULL, errno.EROFS}
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}

# Signed URLs carry their secret in the query (X-Amz-Signature, sig, Signature, tokens), and none
# of the queries that the SDKs put into their exceptions helps a reader.
_URL_QUERY = re.compile(r"(\w://[^\s?\"<>]*)\?[^\s\"<>]*")
_PATH_QUERY = re.compile(r"(/[^\s?\"'<>]*)\?[^\s\"'<>]*=[^\s\"'<>]*")
_SHORTEST_SECRET = 4
_USER_INFO = re.compile(r"(?<=://)[^\s/?#\"]*@")
_PERCENT = re.compile("%[0-9A-F]{2}")
# Headers by which a request is let in, where an answer or an SDK repeats them.
_AUTHORIZATION = re.compile(
    r"(\b(?:Bearer |Basic (?=\S*[\d=])|SharedKey(?:Lite)? |Signature[=:] ?))[\w.~+/:=-]{16,}",
    re.IGNORECASE,
)

# What steers a terminal, ends a line or reorders what is shown: control characters, the separators
# of lines and paragraphs, the marks of bidirectional text
# (https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters), and the halves of
# surrogate pairs by which Python stands for bytes that are not text, which can't be printed at all.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# The longest text of one error that is printed: a server's answer may be of any length.
_LONGEST = 1000

# What to do about a transient failure.
AGAIN = "Run the command again when the service answers: it sends only what is missing."


class CollectfastaError(Exception):
    """Something that the user can fix; its text says what, where and what to do."""


class SourceChangedError(CollectfastaError):
    """A source file that is not what it was when it was hashed, or when its transfer began."""


class StoreError(CollectfastaError):
    """A request that a storage's service has refused or not answered, whatever its SDK raises.

    Args:
        text: What the SDK says, without secrets.
        kind: What all errors of its kind have in common, "503 SlowDown" for instance: it names no
            object and no request.
        transient: The same request may succeed a little later.
        advice: Why the service refuses permanently and what to do, in a line; None if unknown.
        missing: There is no such object.
        denied: The credentials do not suffice.
    """

    def __init__(
        self,
        text: str,
        *,
        kind: str,
        transient: bool = False,
        advice: str | None = None,
        missing: bool = False,
        denied: bool = False,
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.transient = transient
        self.advice = advice
        self.missing = missing
        self.denied = denied


def describe(error: BaseException, secrets: Iterable[str] = (), *, full: bool = False) -> str:
    """Put an error into words without any secret, on one line of bounded length.

    Args:
        error: The error.
        secrets: Texts that must not appear.
        full: Give the traceback, not the single line of message and, if it is not one of
            Collectfasta's own, type.
    """
    if full:
        return redact("".join(traceback.format_exception(error)).rstrip(), secrets)
    # Hidden before white space is collapsed, or else a secret that has some would not be found.
    message = shorten(printable(" ".join(_hide(str(error), secrets).split()))) + _disk_advice(error)
    # Our own are whole in themselves.
    kind = "" if message and isinstance(error, CollectfastaError) else type(error).__name__
    return ": ".join(filter(None, (kind, message)))


def again(reason: str) -> str:
    """Return the text of a transient failure with what to do about it."""
    return f"{reason.rstrip('.')}. {AGAIN}"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without queries of URLs, user names in URLs and the given secrets.

    Its lines stay lines; everything else that is not printable is escaped.
    """
    return _printable_lines(_hide(text, secrets))


def printable_error(error: Exception, name: str) -> Exception:
    """Return an error whose text and notes can be printed: the error itself where they can.

    Args:
        error: The error.
        name: The file that it is about, whose name must not begin new lines.
    """
    texts = [str(error), *getattr(error, "__notes__", ())]
    told = [_printable_lines(text.replace(name, printable(name))) for text in texts]
    if told == texts:
        return error
    other = CollectfastaError(told[0]).with_traceback(error.__traceback__)
    vars(other)["__notes__"] = told[1:]
    return other


def printable(text: object) -> str:
    """Return a text on one line, with what could forge output escaped as in Python's source.

    Names that can be printed, in any script, come out as they are.
    """
    return _UNPRINTABLE.sub(lambda found: repr(found.group())[1:-1], str(text))


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def shorten(text: str) -> str:
    """Return a text, cut where it is longer than anyone reads."""
    left_out = len(text) - _LONGEST
    return text if left_out <= 0 else f"{text[:_LONGEST]}... ({left_out} more characters)"


def _hide(text: str, secrets: Iterable[str]) -> str:
    # What is shorter than any key is a test server's, and part of half the words.
    known = (each for each in secrets if len(each) >= _SHORTEST_SECRET)
    # The longest first: one might be the beginning of another.
    for form in sorted({*chain.from_iterable(map(_forms, known))}, key=len, reverse=True):
        text = text.replace(form, "***")
    text = _AUTHORIZATION.sub(r"\1***", _USER_INFO.sub("***@", text))
    return _PATH_QUERY.sub(r"\1?***", _URL_QUERY.sub(r"\1?***", text))


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as URLs, XML and headers have it that echo it."""
    content = secret.encode(errors="surrogatepass")
    quoted = [quote(content, safe=""), quote(content), quote_plus(content)]
    yield from (secret, escape(secret), escape(secret, quote=False), b64encode(content).decode())
    yield from quoted
    # Either case of the digits means the same.
    yield from (_PERCENT.sub(lambda found: found.group().lower(), each) for each in quoted)


def _disk_advice(error: BaseException) -> str:
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
