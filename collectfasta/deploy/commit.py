"""Commit: publish the manifest, then delete what is stale."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from django.core.exceptions import SuspiciousOperation

from collectfasta.cache import is_entry
from collectfasta.deploy.plan import Decision, requests_from_now
from collectfasta.deploy.report import Report
from collectfasta.deploy.stage import Stage
from collectfasta.deploy.transfer import Target, again_if_transient
from collectfasta.errors import CollectfastaError
from collectfasta.remote import CachedChecksum, StoredObject
from collectfasta.source import SourceFile
from collectfasta.stores.store import batches
from collectfasta.strategies.contract import Strategy
from collectfasta.strategies.selection import sending_strategy
from collectfasta.terminal.output import count
from collectfasta.terminal.progress import Progress

# How many objects are deleted between two steps of the progress: the most that S3 takes at once.
_DELETED_AT_A_TIME = 1000


class PruneError(CollectfastaError):
    """A storage that can't be pruned; nothing was sent."""


# The manifest


def publish(
    target: Target,
    manifest: Sequence[Decision],
    stage: Stage,
    on_sent: Callable[[SourceFile], None],
) -> list[SourceFile]:
    """Publish the manifest, in the storage where it belongs.

    Args:
        target: Has all files that the manifest names; none of them has failed.
        manifest: What was decided for the manifest, if it goes to the same storage.
        stage: Has made the manifest.
        on_sent: Called with the manifest if it is sent.

    Returns:
        What a class with its own ``save_manifest()`` has saved.

    Raises:
        TransferError: It could not be sent.
    """
    target.send(manifest, on_sent)
    own = stage.publish()
    if stage.manifest_storage is None:
        target.send(target.plan(own) if own else (), on_sent)
    else:
        other = _elsewhere(target, stage)
        with other.explaining():
            other.send(other.plan([each for each in (*own, stage.manifest) if each]), on_sent)
    stage.is_published = True
    return own


def plan_elsewhere(target: Target, stage: Stage) -> Sequence[Decision]:
    """Compare a manifest with its own storage, if it has one, for a dry run."""
    if stage.manifest is None or stage.manifest_storage is None:
        return ()
    other = _elsewhere(target, stage)
    with other.explaining():
        other.plan([stage.manifest])
    target.report.elsewhere = other.report
    return other.report.decisions


def _elsewhere(target: Target, stage: Stage) -> Target:
    assert stage.manifest_storage is not None  # noqa: S101 - for the type checker
    strategy = sending_strategy(stage.manifest_storage)
    return Target(strategy, Report(target.report.options, strategy), target.progress)


def published_names(storage: Any) -> set[str]:
    """Return what the manifest of the last deploy names, which its storage has loaded; itself too.

    Pages that are live, or cached somewhere, refer to all of it.
    """
    hashed: Mapping[str, str] = getattr(storage, "hashed_files", {})
    if not hashed:
        return set()
    return {*hashed, *hashed.values(), storage.manifest_name}


# Stale objects


class StaleObjects:
    """Stand in for a storage that holds stale objects only, for Django's own ``clear_dir()``.

    Args:
        names: Their names.

    Attributes:
        names: As given, sorted.
        deleted: The names that Django has deleted.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(names)
        self.deleted: list[str] = []

    def exists(self, path: str) -> bool:
        """Return True: there is a folder to be cleared."""
        return True

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return all names as files of the one folder."""
        return [], self.names

    def path(self, name: str) -> str:
        """Raise NotImplementedError, as storages do that are not file systems."""
        raise NotImplementedError("Stale objects have no path.")

    def delete(self, name: str) -> None:
        """Note a name for the batch."""
        self.deleted.append(name)


def list_stored(
    target: Target, *, prune: bool, grace: timedelta | None, warn: Callable[[str], None]
) -> list[StoredObject] | None:
    """Return everything under the storage's location, before a deploy sends anything.

    What comes later belongs to another deploy, which runs at the same time.

    Args:
        target: Where.
        prune: For ``--prune``, otherwise for ``--clear``.
        grace: How old objects must be to be pruned, None for any age.
        warn: Warns the user that there is no location: then it is None.

    Raises:
        PruneError: There is no location, or it can't be known how old objects are.
    """
    strategy = target.strategy
    if grace is not None and not strategy.store.has_last_modified:
        raise PruneError(
            f"Nothing was sent: {strategy.store.url} does not tell when objects were written (it "
            "has no get_modified_time()), so --prune-older-than can't be used with it."
        )
    requests = requests_from_now(strategy.store)
    with (
        target.progress.step("Listing", noun="object") as step,
        step.at_first("Listing", "request", requests),
    ):
        stored = again_if_transient(strategy, partial(_list_now, strategy))
        step.advance(len(stored or ()))
    if stored is not None:
        return stored
    if not prune:
        warn(
            f"{strategy.store.url} has no location, which would tell what belongs to this "
            "project: --clear deletes only what the last deploy is remembered to have sent there."
        )
        return None
    raise PruneError(
        f"Nothing was sent: {strategy.store.url} has no location, which would tell what belongs to "
        "this project and may be pruned. Set the storage's location, or leave --prune out."
    )


def _list_now(strategy: Strategy[Any]) -> list[StoredObject] | None:
    stored = strategy.list_stored()
    return None if stored is None else list(stored)


def find_stale(
    target: Target,
    stored: Iterable[StoredObject] | None,
    kept: Iterable[str],
    grace: timedelta | None = None,
) -> list[str]:
    """Return the names of objects that belong to this project and not to this deploy.

    Everything that was under the storage's location belongs to this project, but not the entries of
    a StorageCache. Without a location only what the last deploy has cached belongs to it, where
    nobody has written since.

    Args:
        target: Where.
        stored: What was under the location, None where there is none.
        kept: Names that belong to the deploy.
        grace: Keep what was written less than this ago; None keeps nothing.
    """
    keys = {*_keys(target.strategy, kept)}
    if stored is None:
        stored = _cached_objects(target.strategy, target.cached)
    oldest = None if grace is None else datetime.now(timezone.utc) - grace
    return [
        each.name
        for each in stored
        if not is_entry(each.name)
        and target.strategy.object_key(each.name) not in keys
        and (oldest is None or _is_older(target.strategy, each, oldest))
    ]


def without_variants(
    target: Target,
    stale: Sequence[str],
    kept: Iterable[str],
    began: datetime,
    warn: Callable[[str], None],
) -> list[str]:
    """Return stale names without those that a class may have written of deployed files, unseen.

    These were written since the deploy began, or have the name of a deployed file and an extension
    more: ``a.css.gz``.

    Args:
        target: Where. Its storage's class saves or post-processes in its own way.
        stale: What ``find_stale()`` has found.
        kept: Names that belong to the deploy.
        began: When the deploy began.
        warn: Tells the user what stays.
    """
    strategy, keys = target.strategy, {*_keys(target.strategy, kept)}
    variants = {name for name in stale if not keys.isdisjoint(_origins(strategy.object_key(name)))}
    left = {*stale} - variants
    if variants:
        warn(
            f"{count(len(variants), 'object')} under {strategy.store.url} may be what "
            f"{type(strategy.target_storage).__name__} makes of deployed files, and stay: "
            f"{min(variants)!r} for instance."
        )
    if left and strategy.store.has_last_modified:
        now = again_if_transient(strategy, partial(_list_now, strategy)) or ()
        # A service that knows whole seconds only has another clock, too.
        rough = began - timedelta(seconds=2)
        left -= {
            each.name
            for each in now
            if each.name in left
            and not _is_older(strategy, each, began if _is_exact(each) else rough)
        }
    return sorted(left)


def _is_exact(stored: StoredObject) -> bool:
    return stored.last_modified is None or stored.last_modified.microsecond != 0


def _origins(key: str) -> Iterator[str]:
    """Yield a key without its last extension, its last two and so on."""
    while "." in posixpath.basename(key):
        key = key.rpartition(".")[0]
        yield key


def _is_older(strategy: Strategy[Any], stored: StoredObject, oldest: datetime) -> bool:
    written = stored.last_modified
    if written is None:
        listed = strategy.store.head(strategy.object_key(stored.name))
        written = listed.last_modified if listed else None
    return written is not None and written < oldest


def _keys(strategy: Strategy[Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        # A published manifest may name what the remote can't have: such a name keeps nothing.
        with suppress(SuspiciousOperation, ValueError):
            yield strategy.object_key(name)


def _cached_objects(
    strategy: Strategy[Any], cached: Mapping[str, CachedChecksum]
) -> list[StoredObject]:
    objects = strategy.list_remote(list(cached)) or ()
    return [
        StoredObject(each.name) for each in objects if each.version == cached[each.name].version
    ]


def delete_stale(
    strategy: Strategy[Any], names: Sequence[str], deleted: list[str], progress: Progress
) -> None:
    """Delete objects.

    Args:
        strategy: Deletes.
        names: The objects'.
        deleted: Gets the names of those that are gone, batch by batch.
        progress: Shows how many are.
    """
    with progress.step("Deleting", total=len(names), noun="object") as step:
        for batch in batches(names, _DELETED_AT_A_TIME):
            again_if_transient(strategy, partial(strategy.delete_files, batch))
            deleted += batch
            step.advance(len(batch))
