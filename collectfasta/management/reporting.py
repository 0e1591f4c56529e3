"""When a command's report is written: at the end of a run, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from collectfasta import settings
from collectfasta.errors import describe
from collectfasta.record import Record
from collectfasta.report import ReportError, write_report


@contextmanager
def reporting(
    record: Callable[[], Record], interrupted: Callable[[], str], tell: Callable[[str], object]
) -> Iterator[None]:
    """Write the report of a run, if one is asked for.

    Args:
        record: Returns what is known of the run.
        interrupted: Returns what is to be said of one that was interrupted.
        tell: Says that the report of a run that has failed can't be written.

    Raises:
        CommandError: The report of a run that has not failed can't be written. Who waits for it
            has to know.
    """
    try:
        yield
    except BaseException as error:
        try:
            _write(record(), *_end_of(error, record(), interrupted))
        except ReportError as failure:
            # What has failed before is the cause of the end.
            tell(str(failure))
        raise
    try:
        _write(record(), "succeeded", None)
    except ReportError as failure:
        raise CommandError(f"All is done, but: {failure}") from None


def _end_of(
    error: BaseException, record: Record, interrupted: Callable[[], str]
) -> tuple[str, str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", interrupted()
    if isinstance(error, CommandError):
        return ("differs" if record.differs else "failed"), str(error)
    return "failed", describe(error, settings.secrets())


def _write(record: Record, status: str, error: str | None) -> None:
    path = record.options.report
    if path is not None:
        write_report(path, record, status=status, error=error, hidden=settings.secrets())
