"""The file that ``--report`` names: what a run has done, as JSON, for scripts.

Its fields are documented in ``docs/report.md``.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import collectfasta
from collectfasta.errors import CollectfastaError, describe, redact
from collectfasta.record import Entry, Record

VERSION = 1

# Names and causes as they are; what is not ASCII, also halves of surrogate pairs, as escapes.
_encode = json.JSONEncoder(ensure_ascii=True).encode


class ReportError(CollectfastaError):
    """A report that can't be written."""


def check_path(path: str) -> None:
    """Refuse a path at which no report can be written, before anything is done.

    Raises:
        ReportError: It can't be.
    """
    with _in_words(path):
        place = os.path.realpath(path)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(place).st_mode):
                raise ReportError(f"The report {path!r} can't be written: it is no file.")
        # Whether a file can be made there can only be told by making one.
        temporary = _temporary_beside(place)
        with open(temporary, "x"):
            pass
        os.unlink(temporary)


def write_report(
    path: str, record: Record, *, status: str, error: str | None, hidden: Iterable[str] = ()
) -> None:
    """Write a report, whole or not at all.

    Args:
        path: Where to; what is there is replaced.
        record: What the run has done.
        status: How it has ended.
        error: Why it has failed, None if it has not.
        hidden: Texts that must not appear, beside the storage's secrets.

    Raises:
        ReportError: It can't be written.
    """
    known = [*hidden, *(record.deploy.strategy.secrets if record.deploy else ())]
    with _in_words(path):
        place = os.path.realpath(path)
        temporary = _temporary_beside(place)
        try:
            with open(temporary, "x", encoding="ascii", newline="\n") as file:
                _write(file, _fields(record, status, error and redact(error, known), known))
            os.replace(temporary, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise


@contextmanager
def _in_words(path: str) -> Iterator[None]:
    """Say of what goes wrong with the file what it is about.

    Raises:
        ReportError: In the place of what the file system, or a path that is none, makes Python
            raise.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise ReportError(f"The report {path!r} can't be written: {describe(error)}.") from None


def _temporary_beside(place: str) -> str:
    return os.path.join(os.path.dirname(place), f".collectfasta-{secrets.token_hex(8)}.tmp")


def _fields(
    record: Record, status: str, error: str | None, hidden: list[str]
) -> Iterator[tuple[str, Any]]:
    """Yield what is in a report, in the order of docs/report.md; lists as iterators."""
    strategy = type(record.strategy)
    made = record.strategy is not None
    yield "version", VERSION
    yield "collectfasta", collectfasta.__version__
    yield "status", status
    yield "error", error
    yield "strategy", f"{strategy.__module__}.{strategy.__qualname__}" if made else None
    yield "target", record.target
    yield "dry_run", record.options.dry_run
    yield "check", record.options.check
    yield "copied", (_sent(record, each) for each in record.copied)
    yield "unmodified", (_named(record, each) for each in record.unmodified)
    yield "deleted", (_named(record, each) for each in record.deleted)
    yield (
        "failed",
        ({**_named(record, name), "cause": redact(cause, hidden)} for name, cause in record.failed),
    )
    yield "pending", (_sent(record, each) for each in record.pending)
    yield "bytes", sum(each.size or 0 for each in record.copied)
    yield "requests", record.requests
    yield "seconds", round(record.seconds, 3)


def _named(record: Record, name: str) -> dict[str, Any]:
    return {"name": name, "key": record.key(name)}


def _sent(record: Record, entry: Entry) -> dict[str, Any]:
    return {**_named(record, entry.name), "reason": entry.reason.value, "size": entry.size}


def _write(file: IO[str], fields: Iterable[tuple[str, Any]]) -> None:
    """Write an object, entry by entry: a list of all of them would take as much memory again."""
    separator = "{\n"
    for name, value in fields:
        file.write(f"{separator}{_encode(name)}: ")
        if isinstance(value, Iterator):
            _write_list(file, value)
        else:
            file.write(_encode(value))
        separator = ",\n"
    file.write("\n}\n")


def _write_list(file: IO[str], items: Iterator[Mapping[str, Any]]) -> None:
    separator = "["
    for item in items:
        file.write(f"{separator}\n{_encode(item)}")
        separator = ","
    file.write("[]" if separator == "[" else "\n]")
