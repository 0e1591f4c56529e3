"""One deploy to one target: what is known before it, what it does, what is remembered of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from collectfasta.checksums import ChecksumCache, Pair
from collectfasta.errors import again, describe, redact
from collectfasta.options import Options
from collectfasta.plan import Decision, Plan, PlanError, Reason, make_plan
from collectfasta.source import SourceFile
from collectfasta.strategies.contract import Strategy
from collectfasta.terminal.output import amount, count
from collectfasta.terminal.progress import Progress
from collectfasta.transfer import (
    Report,
    TransferError,
    again_if_passing,
    describe_failures,
    transfer,
)


@contextmanager
def in_words(strategy: Strategy[Any], *, full: bool) -> Iterator[None]:
    """Put what a target's SDK raises into words that tell the user what to do.

    Args:
        strategy: Explains it.
        full: Add the traceback behind it.

    Raises:
        TransferError: In the place of an error that is the target's.
    """
    try:
        yield
    except (PlanError, TransferError):
        raise
    except Exception as error:
        reason = strategy.explain_error(error)
        if reason is None and isinstance(error, strategy.remote_errors):
            reason = f"{strategy.target_name} can't be used: {describe(error, strategy.secrets)}"
        if reason is None:
            raise
        if strategy.is_passing(error):
            reason = again(reason)
        if full:
            reason += "\n" + describe(error, strategy.secrets, full=True)
        # Without its cause, whose text may hold a signed URL.
        raise TransferError(redact(reason, strategy.secrets)) from None


class Deploy:
    """Plan, transfer and commit files to a target.

    Args:
        strategy: Sends; it is made ready here.
        options: How.
        progress: Shows how far it has come.

    Attributes:
        pairs: What was remembered of the target's objects.
        report: What was sent and what failed so far.
        options: As given.
    """

    def __init__(
        self, strategy: Strategy[Any], options: Options, progress: Progress | None = None
    ) -> None:
        strategy.dry_run = options.dry_run
        self.strategy = strategy
        self.options = options
        self.threads = strategy.default_threads if options.threads is None else options.threads
        self.report = Report()
        self.pairs: dict[str, Pair] = {}
        self._decisions: list[Decision] = []
        self._cache: ChecksumCache | None = None
        self._progress = progress or Progress()
        self._started = time.monotonic()
        strategy.prepare(self.threads)
        if strategy.target_id is not None:
            self._cache = ChecksumCache(strategy.target_id)
            self.pairs = self._cache.load()

    @property
    def decisions(self) -> Sequence[Decision]:
        """What was decided so far, in the order of the plans."""
        return self._decisions

    def plan(self, files: Sequence[SourceFile]) -> Plan:
        """Decide for each file.

        Raises:
            PlanError: Some files can't be deployed.
        """
        plan = again_if_passing(
            self.strategy,
            lambda: make_plan(
                files,
                self.strategy,
                self.pairs,
                threads=self.threads,
                forced=self.options.forced,
                full=self.options.full,
                progress=self._progress,
            ),
        )
        self._decisions += plan.decisions
        return plan

    def send(self, decisions: Iterable[Decision], on_sent: Callable[[SourceFile], None]) -> None:
        """Send files, and go no further if one failed.

        Raises:
            TransferError: Names all files that failed, with their causes.
        """
        plan = Plan(tuple(decisions))
        transfer(
            plan,
            self.strategy,
            self.report,
            threads=self.threads,
            on_sent=on_sent,
            progress=self._progress,
        )
        if self.report.failures:
            failures = describe_failures(self.report, self.strategy, full=self.options.full)
            raise TransferError(failures)

    def to(self, strategy: Strategy[Any]) -> Deploy:
        """Return a deploy to another target in the same manner."""
        return Deploy(strategy, self.options, self._progress)

    def remember(self) -> None:
        """Remember every object that is known to be in the storage, also of a run that failed.

        What is remembered speaks for one version of one object, so nothing of it can become
        wrong, and the next run need not send again what this one has sent. A run that has found out
        nothing leaves what was remembered before.
        """
        if self._cache and self._decisions and not self.options.dry_run:
            self._cache.save({**Plan(tuple(self._decisions)).pairs, **self.report.pairs})

    def tell(self, name: str, *, verbose: bool = False) -> str:
        """Say in a line what it took.

        Args:
            name: How the strategy is called.
            verbose: Say too what made the requests, and in a line before why each was sent.
        """
        sent, size, verb = [each.decision for each in self.report.sent], self.report.size, "sent"
        if self.options.dry_run:
            sent = Plan(tuple(self._decisions)).uploads
            size, verb = sum(each.source.size or 0 for each in sent), "to be sent"
        requests = self.strategy.requests_made
        made = "" if requests is None else f", {count(requests, 'request')}"
        if verbose and requests and self.strategy.engine_name:
            made += f" by {self.strategy.engine_name}"
        seconds = time.monotonic() - self._started
        facts = (
            f"{name}: {count(len(sent), 'object')} ({amount(size)}) {verb} "
            f"to {self.strategy.target_name}{made}, {seconds:.1f} s."
        )
        return f"{self._tell_why(sent, verb)}\n{facts}" if verbose else facts

    def _tell_why(self, sent: Iterable[Decision], verb: str) -> str:
        unmodified = len(self._decisions) - len(Plan(tuple(self._decisions)).uploads)
        numbers = Counter(each.reason for each in sent)
        reasons = ", ".join(
            f"{numbers[reason]} {why(reason, numbers[reason], self.strategy)}"
            for reason in Reason
            if numbers[reason]
        )
        return f"Objects {verb}: {reasons or 'none'}; {unmodified} unmodified."


def why(reason: Reason, number: int, strategy: Strategy[Any]) -> str:
    """Say what is the matter with objects that are sent.

    Args:
        reason: Why they are sent.
        number: How many they are.
        strategy: Knows the remote.
    """
    if reason is Reason.UNKNOWN:
        return f"unknown (the storage tells no checksum of {'it' if number == 1 else 'them'})"
    return named(reason, strategy)


def named(reason: Reason, strategy: Strategy[Any]) -> str:
    """Name a reason; a strategy that decides by itself does not tell two of them apart."""
    if reason is Reason.CHANGED and strategy.is_asked_per_file:
        return "missing or changed"
    return str(reason.value)
