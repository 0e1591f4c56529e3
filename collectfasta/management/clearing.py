"""What ``--clear`` and ``--prune`` do: list before a deploy, delete what is left over after it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib.staticfiles.management.commands import collectstatic

from collectfasta.deploy import Deploy
from collectfasta.leftovers import (
    Leftovers,
    find_leftovers,
    list_stored,
    list_to_prune,
    published_names,
)
from collectfasta.options import Options
from collectfasta.plan import requests_from_now
from collectfasta.record import Record
from collectfasta.remote import StoredObject
from collectfasta.strategies import Strategy
from collectfasta.terminal.progress import Progress
from collectfasta.transfer import again_if_passing

# The most that one request takes of S3, so that it takes no more of them.
_DELETED_AT_A_TIME = 1000


class ClearingCommand(collectstatic.Command):
    """Delete what is left over, through Django's ``clear_dir()`` for its messages and its count.

    Attributes:
        options: What the run was asked for.
        record: What the run has planned and done so far.
        progress: Shows how far the steps have come.
    """

    options = Options()
    record = Record()
    progress = Progress()

    def warn(self, msg: str) -> None:
        """Print a line that the user should see."""
        self.log(msg, level=1)

    def list_stored(self, strategy: Strategy[Any]) -> list[StoredObject] | None:
        """List what there is, before anything is sent; None where nothing is to be deleted."""
        if not (self.clear or self.options.prune):
            return None
        with self.progress.step("Listing", noun="object") as step:
            with step.at_first("Listing", "request", requests_from_now(strategy)):
                stored = again_if_passing(strategy, partial(self._list_now, strategy))
            step.advance(len(stored or ()))
        return stored

    def _list_now(self, strategy: Strategy[Any]) -> list[StoredObject] | None:
        if self.options.prune:
            return list_to_prune(strategy, self.options.grace)
        return list_stored(strategy, warn=self.warn)

    def names_in_use(self, strategy: Strategy[Any], *, is_replaced: bool) -> set[str]:
        """Return what the manifest of the last deploy names, where pruning has to keep that.

        Args:
            strategy: Knows the storage, which has loaded that manifest.
            is_replaced: There will be another manifest.
        """
        if not self.options.prune or (is_replaced and self.options.grace is None):
            return set()
        return published_names(strategy.target_storage)

    def delete_leftovers(
        self, deploy: Deploy, stored: list[StoredObject] | None, kept: set[str]
    ) -> None:
        """Delete what is left over.

        Args:
            deploy: Has sent everything.
            stored: What there was before.
            kept: Names that belong to the deploy.
        """
        if not (self.clear or self.options.prune):
            return
        strategy, grace = deploy.strategy, self.options.grace
        names = again_if_passing(
            strategy, lambda: find_leftovers(strategy, stored, deploy.pairs, kept, grace)
        )
        leftovers = Leftovers(names)
        storage, verbosity = self.storage, self.verbosity
        self.storage = leftovers
        if self.options.prune and self.dry_run and verbosity:
            # From 6.0 on, Django tells of these at verbosity 2; of copies it does at 1.
            self.verbosity = max(verbosity, 2)
        try:
            super().clear_dir("")
        finally:
            self.storage, self.verbosity = storage, verbosity
        if self.dry_run:
            self.record.deleted = names
        else:
            self._delete(strategy, leftovers.deleted)

    def _delete(self, strategy: Strategy[Any], names: Sequence[str]) -> None:
        with self.progress.step("Deleting", total=len(names), noun="object") as step:
            for first in range(0, len(names), _DELETED_AT_A_TIME):
                some = names[first : first + _DELETED_AT_A_TIME]
                again_if_passing(strategy, partial(strategy.delete_files, some))
                self.record.deleted += some
                step.advance(len(some))
