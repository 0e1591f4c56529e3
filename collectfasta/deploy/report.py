"""Report: what every step has planned and done, for the summary, ``--check`` and ``--report``.

The fields of the JSON file are documented in ``docs/report.md``.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import collectfasta
from collectfasta import settings
from collectfasta.deploy.plan import Decision, Reason, is_remote
from collectfasta.errors import AGAIN, CollectfastaError, StoreError, describe, redact
from collectfasta.files import replacing, temporary_beside
from collectfasta.options import Options
from collectfasta.remote import CachedChecksum
from collectfasta.strategies.contract import Strategy
from collectfasta.terminal.output import amount, count, plural

VERSION = 1


class DifferenceError(CollectfastaError):
    """A storage that differs from the files."""


class ReportError(CollectfastaError):
    """A report that can't be written."""


@dataclass(frozen=True)
class Sent:
    """A file that is in the storage now.

    Attributes:
        decision: What the plan said.
        size: Bytes sent.
        cached: What to cache about the object.
    """

    decision: Decision
    size: int
    cached: CachedChecksum | None


@dataclass
class Report:
    """What a run has planned and done so far, in one target.

    Attributes:
        options: What the run was asked for.
        strategy: Sends to the target; None where there is none.
        chosen: The strategy that was chosen, which may leave the sending to another one.
        started: When the run began, by the monotonic clock.
        decisions: What was decided, in the order of the plans.
        asked: How many files were to be sent.
        sent: The files that were sent.
        failures: The errors of those that were not, by name.
        refusal: The error by which the remote refuses whatever is sent, where it does.
        refused: The causes why nothing was sent, by name.
        saved: What post-processing in the storage has saved there: sizes in bytes by name.
        deleted: The names of what was deleted, or would be in a dry run.
        elsewhere: The report of a manifest that goes to its own storage.
        differs: A check has found a difference.
    """

    options: Options = field(default_factory=Options)
    strategy: Strategy[Any] | None = None
    chosen: Strategy[Any] | None = None
    started: float = field(default_factory=time.monotonic)
    decisions: list[Decision] = field(default_factory=list)
    asked: int = 0
    sent: list[Sent] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    refusal: Exception | None = None
    refused: dict[str, str] = field(default_factory=dict)
    saved: dict[str, int | None] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    elsewhere: Report | None = None
    differs: bool = False

    @property
    def target(self) -> str | None:
        """What messages call the target; None where it has no name."""
        with suppress(CollectfastaError):
            return self.strategy.store.url if self.strategy else None
        return None

    @property
    def secrets(self) -> list[str]:
        """Texts that must not appear."""
        return self.strategy.store.secrets if self.strategy else []

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self.started

    @property
    def untried(self) -> int:
        """How many files were not tried, after a refusal or an interrupt."""
        return self.asked - len(self.sent) - len(self.failures)

    @property
    def uploads(self) -> list[Decision]:
        """What was to be sent."""
        return [each for each in self.decisions if each.reason is not Reason.UNMODIFIED]

    @property
    def cached(self) -> dict[str, CachedChecksum]:
        """What to cache about the objects that are known to be in the storage."""
        found = {each.source.name: each.cached for each in self.decisions}
        found.update({each.decision.source.name: each.cached for each in self.sent})
        return {name: cached for name, cached in found.items() if cached}


# Words


def named(reason: Reason, number: int) -> str:
    """Return what is the case with a number of objects that are sent for a reason."""
    if reason is Reason.UNKNOWN:
        return f"unknown (the storage tells no checksum of {'it' if number == 1 else 'them'})"
    return str(reason.value)


def reason_of(error: Exception, strategy: Strategy[Any]) -> Hashable:
    """Return what all failures for the same reason share; None where it is the file's own."""
    explained = strategy.explain_error(error)
    if explained or not is_remote(error, strategy):
        return explained
    return error.kind if isinstance(error, StoreError) else type(error).__name__


def cause_of(error: Exception, strategy: Strategy[Any]) -> str:
    """Return why a file was not sent, in a line."""
    return strategy.explain_error(error) or describe(error, strategy.store.secrets)


def describe_failures(report: Report, strategy: Strategy[Any]) -> str:
    """Name every file that failed with its cause; those that one refusal stands for by number."""
    full, secrets = report.options.full, strategy.store.secrets
    number = len(report.failures) + report.untried
    head = f"{number} {'file was' if number == 1 else 'files were'} not sent"
    lines = [f"{head} to {strategy.store.url}:"]
    failures = dict(sorted(report.failures.items()))
    if report.refusal is not None:
        lines[0] += f" {cause_of(report.refusal, strategy)}"
        reason = reason_of(report.refusal, strategy)
        failures = {k: v for k, v in failures.items() if reason_of(v, strategy) != reason}
        if full:
            lines.append(describe(report.refusal, secrets, full=True))
    for name, error in failures.items():
        lines.append(f"  {name!r}: {cause_of(error, strategy)}")
        if full:
            lines.append(describe(error, secrets, full=True))
    if any(map(strategy.is_passing, report.failures.values())):
        lines.append(AGAIN)
    return redact("\n".join(lines), secrets)


# The three readers


def summary(report: Report, service: str, *, verbose: bool = False) -> str:
    """Return in a line what the run took.

    Args:
        report: Of a run that is done.
        service: What the line begins with.
        verbose: Add what made the requests, and a line before it about why each file was sent.
    """
    strategy = report.strategy
    if strategy is None:
        return ""
    store, verb = strategy.store, "sent"
    decisions, size = [each.decision for each in report.sent], sum(s.size for s in report.sent)
    if report.options.dry_run:
        decisions, verb = report.uploads, "to be sent"
        size = sum(each.source.size or 0 for each in decisions)
    made = "" if store.requests is None else f", {count(store.requests, 'request')}"
    if verbose and store.requests and store.sender:
        made += f" by {store.sender}"
    facts = (
        f"{service}: {count(len(decisions), 'object')} ({amount(size)}) {verb} "
        f"to {store.url}{made}, {report.seconds:.1f} s."
    )
    if not verbose:
        return facts
    numbers = Counter(each.reason for each in decisions)
    reasons = [f"{numbers[r]} {named(r, numbers[r])}" for r in Reason if numbers[r]]
    unmodified = len(report.decisions) - len(report.uploads)
    why = ", ".join(reasons) or "none"
    return f"Objects {verb}: {why}; {unmodified} unmodified.\n{facts}"


def verdict(report: Report) -> str:
    """Return in a line that a storage has what it should, and nothing that would be deleted.

    Raises:
        DifferenceError: It does not; says what differs, and why. The report notes it.
    """
    reports = [each for each in (report, report.elsewhere) if each]
    decisions = [decision for each in reports for decision in each.decisions]
    numbers = Counter(each.reason for each in decisions)
    del numbers[Reason.UNMODIFIED]
    differences = []
    if numbers:
        ordered = [reason for reason in Reason if numbers[reason]]
        why = ", ".join(f"{numbers[reason]:,} {reason.value}" for reason in ordered)
        total = _objects(len(decisions))
        differences.append(f"{numbers.total():,} of {total} would be sent ({why})")
    if report.deleted:
        differences.append(f"{_objects(len(report.deleted))} would be deleted")
    report.differs = bool(differences)
    if differences:
        raise DifferenceError(f"{report.target} differs from the files: {', '.join(differences)}.")
    compared = _objects(len(decisions))
    return f"{report.target} does not differ from the files: {compared} compared."


def _objects(number: int) -> str:
    return f"{number:,} {plural(number, 'object')}"


def to_json(report: Report, *, status: str, error: str | None) -> str:
    """Return the text of the file that ``--report`` names.

    Args:
        report: What the run has done.
        status: How it has ended.
        error: Why it has failed, None if it has not.
    """
    hidden = [*settings.secrets(), *report.secrets]
    chosen = type(report.chosen)
    copied = [*_copied(report)]
    fields = {
        "version": VERSION,
        "collectfasta": collectfasta.__version__,
        "status": status,
        "error": error and redact(error, hidden),
        "strategy": f"{chosen.__module__}.{chosen.__qualname__}" if report.chosen else None,
        "target": report.target,
        "dry_run": report.options.dry_run,
        "check": report.options.check,
        "copied": copied,
        "unmodified": [
            _name(report, each.source.name)
            for each in report.decisions
            if each.reason is Reason.UNMODIFIED
        ],
        "deleted": [_name(report, name) for name in report.deleted],
        "failed": [
            {**_name(report, name), "cause": redact(cause, hidden)}
            for name, cause in _failed(report)
        ],
        "pending": [*_pending(report)],
        "bytes": sum(each["size"] or 0 for each in copied),
        "requests": report.strategy.store.requests if report.strategy else None,
        "seconds": round(report.seconds, 3),
    }
    return json.dumps(fields, indent=1) + "\n"


def _name(report: Report, name: str) -> dict[str, Any]:
    key = name
    # The remote may not be able to have it.
    with suppress(Exception):
        key = report.strategy.object_key(name) if report.strategy else name
    return {"name": name, "key": key}


def _entry(report: Report, name: str, reason: Reason, size: int | None) -> dict[str, Any]:
    return {**_name(report, name), "reason": reason.value, "size": size}


def _copied(report: Report) -> Iterator[dict[str, Any]]:
    if report.options.dry_run:
        for each in report.uploads:
            yield _entry(report, each.source.name, each.reason, each.source.size)
    for sent in report.sent:
        yield _entry(report, sent.decision.source.name, sent.decision.reason, sent.size)
    for name, size in report.saved.items():
        yield _entry(report, name, Reason.UNKNOWN, size)


def _failed(report: Report) -> Iterator[tuple[str, str]]:
    yield from report.refused.items()
    if report.strategy:
        for name, error in report.failures.items():
            yield name, cause_of(error, report.strategy)


def _pending(report: Report) -> Iterator[dict[str, Any]]:
    """Yield what was to be sent and is not known to be: untried, or in flight at an interrupt."""
    if report.options.dry_run:
        return
    known = {*report.failures, *(each.decision.source.name for each in report.sent)}
    for each in report.uploads:
        if each.source.name not in known:
            yield _entry(report, each.source.name, each.reason, each.source.size)


def check_path(path: str) -> None:
    """Refuse a path at which no report can be written, before anything is done.

    Raises:
        ReportError: It can't be.
    """
    with _explaining(path):
        place = os.path.realpath(path)
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(place).st_mode):
                raise ReportError(f"The report {path!r} can't be written: it is no file.")
        # Only creating a file there shows whether one can be created.
        temporary = temporary_beside(place)
        with open(temporary, "x"):
            pass
        os.unlink(temporary)


def write_report(path: str, report: Report, *, status: str, error: str | None) -> None:
    """Write a report as JSON, whole or not at all.

    Args:
        path: Where to; what is there is replaced.
        report: What the run has done.
        status: How it has ended.
        error: Why it has failed, None if it has not.

    Raises:
        ReportError: It can't be written.
    """
    text = to_json(report, status=status, error=error)
    with _explaining(path), replacing(os.path.realpath(path)) as temporary:
        # Half surrogate pairs in names are escaped, as everything outside of ASCII.
        Path(temporary).write_bytes(text.encode("ascii"))


@contextmanager
def _explaining(path: str) -> Iterator[None]:
    """Raise a ReportError in place of what the file system, or an impossible path, causes."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise ReportError(f"The report {path!r} can't be written: {describe(error)}.") from None
