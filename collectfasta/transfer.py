"""Send what a plan says, read every result, send again what failed by chance, and report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from collectfasta.checksums import Pair
from collectfasta.errors import AGAIN, CollectfastaError, describe, redact
from collectfasta.executor import Executor
from collectfasta.observed import ObservedSource
from collectfasta.plan import Decision, Plan
from collectfasta.source import SourceFile
from collectfasta.strategies.contract import Strategy
from collectfasta.terminal.progress import Progress, Step

T = TypeVar("T")

logger = logging.getLogger("collectfasta")

# So many failures for one reason and nothing sent, or so many more in a row: the next thousand
# files will not fare better.
_HOPELESS = 3
_HOPELESS_MIDWAY = 20

# Between the rounds: each request has been repeated by then, for some seconds. A service that is
# overloaded gets fewer at a time.
PAUSE_SECONDS = 2.0
_THREADS_OF_SECOND_ROUND = 8


class TransferError(CollectfastaError):
    """Files that are not in the storage as they should be."""


@dataclass(frozen=True)
class Sent:
    """A file that is in the storage now.

    Attributes:
        decision: What the plan said.
        size: Bytes sent.
        pair: What there is to remember of the object.
    """

    decision: Decision
    size: int
    pair: Pair | None


@dataclass
class Report:
    """What became of a plan.

    Attributes:
        asked: How many files were to be sent.
        sent: The files that were sent.
        failures: The errors of those that were not, by name.
        refusal: The error by which the remote refuses whatever is sent, where it does.
    """

    asked: int = 0
    sent: list[Sent] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    refusal: Exception | None = None

    @property
    def left(self) -> int:
        """How many files were not tried, after a refusal or an interrupt."""
        return self.asked - len(self.sent) - len(self.failures)

    @property
    def pairs(self) -> dict[str, Pair]:
        """What there is to remember of the objects that were sent."""
        return {each.decision.source.name: each.pair for each in self.sent if each.pair}

    @property
    def size(self) -> int:
        """Bytes sent."""
        return sum(each.size for each in self.sent)


def transfer(
    plan: Plan,
    strategy: Strategy[Any],
    report: Report,
    *,
    threads: int,
    on_sent: Callable[[SourceFile], None],
    progress: Progress | None = None,
) -> None:
    """Send every file that the plan names, the largest first.

    Files that fail for a reason which may pass are sent once more, when all others have been tried.
    Where the remote refuses file after file for one reason, the rest is not tried.

    Args:
        plan: What to send.
        strategy: Sends a file.
        report: Is kept up to date, so that an interrupted transfer is known too.
        threads: Files sent at a time; 0 sends inline.
        on_sent: Called in this thread for each file that was sent.
        progress: Shows how many files and bytes were sent.
    """
    uploads = sorted(plan.uploads, key=lambda each: each.source.size or 0, reverse=True)
    report.asked += len(uploads)
    size = sum(each.source.size or 0 for each in uploads)
    sending = (progress or Progress()).step("Sending", total=len(uploads), size=size)
    with strategy.exact_names(), sending as step:
        transferring = _Transfer(strategy, report, on_sent, step)
        transferring.send(uploads, threads)
        again = transferring.take_back(uploads)
        if again:
            time.sleep(PAUSE_SECONDS)
            transferring.send(again, min(threads, _THREADS_OF_SECOND_ROUND))


class _Streak:
    """The failures for one reason that began after all that succeeded.

    A success says nothing of what began after it: of many threads one may be slow.
    """

    def __init__(self) -> None:
        self._reason: Hashable = None
        self._positions: list[int] = []
        self._last_success = -1

    def end(self, position: int) -> None:
        """Take note of a success, by its position among all that is begun."""
        self._last_success = max(self._last_success, position)
        self._positions = [each for each in self._positions if each > position]

    def extend(self, position: int, reason: Hashable) -> int:
        """Add a failure, and return how many there are; none where it is a file's own."""
        if position < self._last_success:
            return 0
        if reason != self._reason:
            self._reason, self._positions = reason, []
        self._positions.append(position)
        return len(self._positions) if reason is not None else 0


@dataclass(frozen=True)
class _Transfer:
    strategy: Strategy[Any]
    report: Report
    on_sent: Callable[[SourceFile], None]
    step: Step

    def send(self, uploads: Sequence[Decision], threads: int) -> None:
        """Send files until all are tried, or the remote refuses one after the other."""
        report, executor, streak = self.report, Executor(threads, self.strategy.abort), _Streak()
        send = partial(_send, self.strategy, self.step)
        with closing(executor.run(lambda item: send(item[1]), [*enumerate(uploads)])) as outcomes:
            for (position, decision), sent, failure in outcomes:
                error = _attempt(self.on_sent, decision.source) if failure is None else failure
                if error is None:
                    report.sent.append(sent)
                    streak.end(position)
                    continue
                report.failures[decision.source.name] = error
                most = _HOPELESS_MIDWAY if report.sent else _HOPELESS
                length = streak.extend(position, _reason(self.strategy, error))
                if length >= most and report.refusal is None:
                    report.refusal = error
                    executor.cancel()

    def take_back(self, uploads: Sequence[Decision]) -> list[Decision]:
        """Take what may be sent after all out of the report, and return it."""
        report, is_passing = self.report, self.strategy.is_passing
        passing = {name: each for name, each in report.failures.items() if is_passing(each)}
        if not passing or (report.refusal is not None and not is_passing(report.refusal)):
            return []
        first = next(iter(passing.values()))
        logger.warning(
            "%d of %d files were not sent for a reason that may pass (%s). Sending them again.",
            len(passing) + report.left,
            report.asked,
            self.strategy.error_kind(first),
        )
        for name in passing:
            del report.failures[name]
        report.refusal = None
        done = {*report.failures, *(each.decision.source.name for each in report.sent)}
        return [each for each in uploads if each.source.name not in done]


def again_if_passing(strategy: Strategy[Any], attempt: Callable[[], T]) -> T:
    """Do what changes nothing when done twice, once more if it fails for a reason that may pass.

    Args:
        strategy: Tells such reasons.
        attempt: Lists, looks up or deletes.
    """
    try:
        return attempt()
    except Exception as error:
        if not strategy.is_passing(error):
            raise
        logger.warning(
            "%s failed for a reason that may pass (%s). Trying again.",
            strategy.target_name,
            strategy.error_kind(error),
        )
    time.sleep(PAUSE_SECONDS)
    return attempt()


def _send(strategy: Strategy[Any], step: Step, decision: Decision) -> Sent:
    with step.file(decision.source.size or 0) as move:
        # Where nothing is remembered, nothing needs a checksum.
        source = ObservedSource.of(
            decision.source,
            is_hashed=strategy.target_id is not None,
            on_read=strategy.check_aborted,
            on_move=move,
        )
        return _upload(strategy, decision, source)


def _upload(strategy: Strategy[Any], decision: Decision, source: ObservedSource) -> Sent:
    try:
        remote = strategy.upload(source)
    except Exception:
        # If it has changed, that is why: of a server that refuses a checksum, for instance.
        source.check()
        raise
    source.check()
    size = source.size if remote is None or remote.size is None else remote.size
    if not strategy.target_id or remote is None or not remote.version:
        return Sent(decision, size or 0, None)
    return Sent(decision, size or 0, Pair(remote.version, source.md5(), remote.parameters))


def _attempt(hook: Callable[[SourceFile], None], source: SourceFile) -> Exception | None:
    try:
        hook(source)
    except Exception as error:  # noqa: BLE001 - a user's hook: its failure is the file's
        return error
    return None


def _reason(strategy: Strategy[Any], error: Exception) -> Hashable:
    """Return what all failures for the same reason share; None where it is the file's own."""
    explained = strategy.explain_error(error)
    if explained or not isinstance(error, strategy.remote_errors):
        return explained
    return strategy.error_kind(error)


def describe_failures(report: Report, strategy: Strategy[Any], *, full: bool) -> str:
    """Name every file that failed with its cause; those that one refusal stands for by number.

    Args:
        report: What became of the plan.
        strategy: Explains refusals.
        full: Add the traceback behind each failure.
    """
    number = len(report.failures) + report.left
    head = f"{number} {'file was' if number == 1 else 'files were'} not sent"
    lines = [f"{head} to {strategy.target_name}:"]
    failures = dict(sorted(report.failures.items()))
    if report.refusal is not None:
        lines[0] += f" {cause_of(report.refusal, strategy)}"
        reason = _reason(strategy, report.refusal)
        failures = {k: v for k, v in failures.items() if _reason(strategy, v) != reason}
        if full:
            lines.append(describe(report.refusal, strategy.secrets, full=True))
    for name, error in failures.items():
        lines.append(f"  {name!r}: {cause_of(error, strategy)}")
        if full:
            lines.append(describe(error, strategy.secrets, full=True))
    if any(map(strategy.is_passing, report.failures.values())):
        lines.append(AGAIN)
    return redact("\n".join(lines), strategy.secrets)


def cause_of(error: Exception, strategy: Strategy[Any]) -> str:
    """Say why a file was not sent."""
    return strategy.explain_error(error) or describe(error, strategy.secrets)
