"""Transfer: send what a plan says, read every result, and send transient failures again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from collectfasta.checksum_cache import ChecksumCache
from collectfasta.deploy.plan import Decision, Reason, make_plan
from collectfasta.deploy.report import Report, Sent, describe_failures, reason_of
from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.executor import Executor
from collectfasta.remote import CachedChecksum
from collectfasta.source import Body, SourceFile, md5_of
from collectfasta.strategies.contract import Strategy, in_words
from collectfasta.terminal.progress import Progress, Step

T = TypeVar("T")

logger = logging.getLogger("collectfasta")

# When this many files fail for one reason and none was sent, or this many more in a row, the next
# thousand files will not fare better.
_ABORT_AFTER = 3
_ABORT_AFTER_MIDWAY = 20

# Between the rounds: each request has been repeated by then, for some seconds. A service that is
# overloaded gets fewer at a time.
PAUSE_SECONDS = 2.0
_THREADS_OF_SECOND_ROUND = 8


class TransferError(CollectfastaError):
    """Files that are not in the storage as they should be."""


class Target:
    """Plan and transfer files to one storage.

    Args:
        strategy: Sends; its store is prepared here.
        report: Is filled.
        progress: Shows how far the steps have come.

    Attributes:
        cached: What is cached about the target's objects.
    """

    def __init__(self, strategy: Strategy[Any], report: Report, progress: Progress) -> None:
        self.strategy, self.report, self.progress = strategy, report, progress
        self.options = report.options
        strategy.dry_run = self.options.dry_run
        self.cached: dict[str, CachedChecksum] = {}
        self._cache: ChecksumCache | None = None
        with self.explaining():
            store = strategy.store
            threads = self.options.threads
            self.threads = store.default_threads if threads is None else threads
            store.prepare(self.threads)
            if store.identity is not None:
                self._cache = ChecksumCache(store.identity)
                self.cached = self._cache.load()

    def explaining(self) -> AbstractContextManager[None]:
        """Explain what the target refuses, and what to do about it."""
        return in_words(self.strategy, full=self.options.full)

    def plan(self, files: Sequence[SourceFile]) -> list[Decision]:
        """Decide for each file.

        Raises:
            PlanError: Some files can't be deployed.
        """
        plan = again_if_transient(
            self.strategy,
            lambda: make_plan(
                files,
                self.strategy,
                self.cached,
                threads=self.threads,
                forced=self.options.forced,
                full=self.options.full,
                progress=self.progress,
            ),
        )
        self.report.decisions += plan
        return plan

    def send(self, decisions: Iterable[Decision], on_sent: Callable[[SourceFile], None]) -> None:
        """Send the files that have to be sent, the largest first, and go no further if one failed.

        Transient failures are sent once more, when all others have been tried. Where the remote
        refuses file after file for one reason, the rest is not tried.

        Args:
            decisions: What was planned.
            on_sent: Called in this thread for each file that was sent.

        Raises:
            TransferError: Names all files that failed, with their causes.
        """
        uploads = [each for each in decisions if each.reason is not Reason.UNMODIFIED]
        uploads.sort(key=lambda each: each.source.size or 0, reverse=True)
        self.report.asked += len(uploads)
        size = sum(each.source.size or 0 for each in uploads)
        sending = self.progress.step("Sending", total=len(uploads), size=size)
        with self.strategy.store.exact_names(), sending as step:
            transferring = _Transfer(self.strategy, self.report, on_sent, step)
            transferring.send(uploads, self.threads)
            again = transferring.take_back(uploads)
            if again:
                time.sleep(PAUSE_SECONDS)
                transferring.send(again, min(self.threads, _THREADS_OF_SECOND_ROUND))
        if self.report.failures:
            raise TransferError(describe_failures(self.report, self.strategy))

    def remember(self) -> None:
        """Cache the checksum of every object that is known to be in the storage.

        Also of a run that failed: a cached checksum speaks for one version of one object, so it
        can't become wrong, and the next run need not send again what this one has sent. A run that
        has found out nothing leaves what was cached before.
        """
        if self._cache and self.report.decisions and not self.options.dry_run:
            self._cache.save(self.report.cached)


class _Streak:
    """The failures for one reason that began after everything that succeeded.

    A success says nothing about what began after it: one of many threads might be slow.
    """

    def __init__(self) -> None:
        self._reason: Hashable = None
        self._positions: list[int] = []
        self._last_success = -1

    def end(self, position: int) -> None:
        """Note a success, by its position among everything that was begun."""
        self._last_success = max(self._last_success, position)
        self._positions = [each for each in self._positions if each > position]

    def extend(self, position: int, reason: Hashable) -> int:
        """Add a failure, and return how many there are; none where it is the file's own."""
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
        report, streak, aborted = self.report, _Streak(), threading.Event()

        def abort() -> None:
            aborted.set()
            self.strategy.store.abort()

        executor = Executor(threads, abort)
        send = partial(_send, self.strategy, self.step, aborted)
        with closing(executor.run(send, [*enumerate(uploads)])) as outcomes:
            for (position, decision), sent, failure in outcomes:
                error = _attempt(self.on_sent, decision.source) if failure is None else failure
                if error is None:
                    report.sent.append(sent)
                    streak.end(position)
                    continue
                report.failures[decision.source.name] = error
                most = _ABORT_AFTER_MIDWAY if report.sent else _ABORT_AFTER
                length = streak.extend(position, reason_of(error, self.strategy))
                if length >= most and report.refusal is None:
                    report.refusal = error
                    executor.cancel()

    def take_back(self, uploads: Sequence[Decision]) -> list[Decision]:
        """Remove transient failures from the report, and return what to send again."""
        report, is_transient = self.report, self.strategy.is_passing
        transient = {name: each for name, each in report.failures.items() if is_transient(each)}
        if not transient or (report.refusal is not None and not is_transient(report.refusal)):
            return []
        first = next(iter(transient.values()))
        logger.warning(
            "%d of %d files were not sent for a reason that may pass (%s). Sending them again.",
            len(transient) + report.untried,
            report.asked,
            kind_of(first),
        )
        for name in transient:
            del report.failures[name]
        report.refusal = None
        done = {*report.failures, *(each.decision.source.name for each in report.sent)}
        return [each for each in uploads if each.source.name not in done]


def again_if_transient(strategy: Strategy[Any], attempt: Callable[[], T]) -> T:
    """Do what changes nothing when done twice, once more if its failure is transient.

    Args:
        strategy: Knows such failures.
        attempt: Lists, heads or deletes.
    """
    try:
        return attempt()
    except Exception as error:
        if not strategy.is_passing(error):
            raise
        logger.warning(
            "%s failed for a reason that may pass (%s). Trying again.",
            strategy.store.url,
            kind_of(error),
        )
    time.sleep(PAUSE_SECONDS)
    return attempt()


def kind_of(error: Exception) -> str:
    """Name an error by what all errors of its kind have in common."""
    return error.kind if isinstance(error, StoreError) else type(error).__name__


def _send(
    strategy: Strategy[Any], step: Step, aborted: threading.Event, item: tuple[int, Decision]
) -> Sent:
    decision = item[1]
    with step.file(decision.source.size or 0) as move:

        def on_read(position: int) -> None:
            if aborted.is_set():
                raise InterruptedError("interrupted")
            move(position)

        # Where nothing is cached, nothing needs a checksum.
        is_hashed = strategy.store.identity is not None
        with decision.source.open_body(is_hashed=is_hashed, on_read=on_read) as body:
            return _upload(strategy, decision, body)


def _upload(strategy: Strategy[Any], decision: Decision, body: Body) -> Sent:
    try:
        remote = strategy.upload(decision.source.with_body(body))
    except Exception:
        # If it has changed, that is why: for instance of a server that refuses a checksum.
        body.check()
        raise
    body.check()
    size = body.size if remote is None or remote.size is None else remote.size
    if not strategy.store.identity or remote is None or not remote.version:
        return Sent(decision, size or 0, None)
    checksum = body.md5 or md5_of(decision.source)
    return Sent(decision, size or 0, CachedChecksum(remote.version, checksum, remote.headers))


def _attempt(hook: Callable[[SourceFile], None], source: SourceFile) -> Exception | None:
    try:
        hook(source)
    except Exception as error:  # noqa: BLE001 - a user's hook: its failure is the file's
        return error
    return None
