"""Send what a plan says, read every result, and report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from collectfasta.checksums import Pair
from collectfasta.errors import CollectfastaError, describe, redact
from collectfasta.executor import Executor
from collectfasta.observed import ObservedSource
from collectfasta.plan import Decision, Plan
from collectfasta.source import SourceFile
from collectfasta.strategies.base import Strategy

# So many refusals and nothing sent: the next thousand files will not fare better.
_HOPELESS = 3


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
        sent: The files that were sent.
        failures: The errors of those that were not, by name.
        refusal: Why the remote refuses whatever is sent, where it does.
        left: How many files were not tried, after a refusal or an interrupt.
    """

    sent: list[Sent] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    refusal: str | None = None
    left: int = 0

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
) -> None:
    """Send every file that the plan names, the largest first.

    Args:
        plan: What to send.
        strategy: Sends a file.
        report: Is kept up to date, so that an interrupted transfer is known too.
        threads: Files sent at a time; 0 sends inline.
        on_sent: Called in this thread for each file that was sent.
    """
    uploads = sorted(plan.uploads, key=lambda each: each.source.size or 0, reverse=True)
    report.left += len(uploads)
    executor = Executor(threads, strategy.abort)
    outcomes = executor.run(partial(_send, strategy), uploads)
    with strategy.exact_names(), closing(outcomes):
        for decision, sent, error in outcomes:
            report.left -= 1
            if error is None:
                error = _attempt(on_sent, decision.source)
            if error is None:
                report.sent.append(sent)
                continue
            report.failures[decision.source.name] = error
            report.refusal = report.refusal or _common_refusal(strategy, report)
            if report.refusal:
                executor.cancel()


def _send(strategy: Strategy[Any], decision: Decision) -> Sent:
    # Where nothing is remembered, nothing needs a checksum.
    source = ObservedSource.of(decision.source, is_hashed=strategy.target_id is not None)
    remote = strategy.upload(source)
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


def _common_refusal(strategy: Strategy[Any], report: Report) -> str | None:
    """Return why the remote refuses everything, None if it doesn't."""
    if report.sent or len(report.failures) < _HOPELESS:
        return None
    causes = {strategy.explain_error(error) for error in report.failures.values()}
    return causes.pop() if len(causes) == 1 else None


def describe_failures(report: Report, strategy: Strategy[Any], *, full: bool) -> str:
    """Name every file that failed with its cause, or the one reason why none could be sent.

    Args:
        report: What became of the plan.
        strategy: Explains refusals.
        full: Add the traceback behind each failure.
    """
    number = len(report.failures) + report.left
    head = f"{number} {'file was' if number == 1 else 'files were'} not sent"
    if report.refusal:
        lines = [f"{head} to {strategy.target_name}: {report.refusal}"]
        failures = dict([*report.failures.items()][:1])
    else:
        lines = [f"{head} to {strategy.target_name}:"]
        failures = dict(sorted(report.failures.items()))
    for name, error in failures.items():
        if not report.refusal:
            cause = strategy.explain_error(error) or describe(error, strategy.secrets)
            lines.append(f"  {name!r}: {cause}")
        if full:
            lines.append(describe(error, strategy.secrets, full=True))
    return redact("\n".join(lines), strategy.secrets)
