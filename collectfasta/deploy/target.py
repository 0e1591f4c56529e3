"""One target of a deploy: what is cached about it, what is planned for it and sent to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from collectfasta.checksum_cache import ChecksumCache
from collectfasta.deploy.plan import Decision, Reason, make_plan
from collectfasta.deploy.report import Report, describe_failures
from collectfasta.deploy.transfer import again_if_transient, transfer
from collectfasta.errors import CollectfastaError
from collectfasta.remote import CachedChecksum
from collectfasta.source import SourceFile
from collectfasta.strategies.contract import Strategy, in_words
from collectfasta.terminal.progress import Progress


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
        """Send the files that have to be sent, and go no further if one failed.

        Raises:
            TransferError: Names all files that failed, with their causes.
        """
        transfer(
            [each for each in decisions if each.reason is not Reason.UNMODIFIED],
            self.strategy,
            self.report,
            threads=self.threads,
            on_sent=on_sent,
            progress=self.progress,
        )
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
