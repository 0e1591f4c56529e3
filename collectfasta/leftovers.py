"""What ``--clear`` and ``--prune`` delete: objects that this deploy does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.core.exceptions import SuspiciousOperation

from collectfasta.checksums import Pair
from collectfasta.entries import is_entry
from collectfasta.errors import CollectfastaError
from collectfasta.remote import StoredObject
from collectfasta.strategies.base import Strategy


class Leftovers:
    """Stand in for a storage that holds the leftovers only, for Django's own ``clear_dir()``.

    Args:
        names: The leftovers.

    Attributes:
        deleted: The names that Django has deleted.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(names)
        self.deleted: list[str] = []

    def exists(self, path: str) -> bool:
        """Return True: there is a folder to be cleared."""
        return True

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return all names as files of the one folder."""
        return [], self._names

    def path(self, name: str) -> str:
        """Raise NotImplementedError, as storages do that are no file systems."""
        raise NotImplementedError("Leftovers have no path.")

    def delete(self, name: str) -> None:
        """Note a name for the batch."""
        self.deleted.append(name)


class PruneError(CollectfastaError):
    """A storage that can't be pruned; nothing was sent."""


def list_stored(
    strategy: Strategy[Any], *, warn: Callable[[str], None]
) -> list[StoredObject] | None:
    """Return all that is under the storage's location before a deploy begins.

    What comes later is another deploy's, which runs at the same time, and not to be deleted.

    Args:
        strategy: Knows the remote.
        warn: Tells the user that there is no location: then it is None.
    """
    stored = strategy.list_stored()
    if stored is None:
        warn(
            f"{strategy.target_name} has no location, which would tell what belongs to this "
            "project: --clear deletes only what the last deploy is remembered to have sent there."
        )
        return None
    return list(stored)


def list_to_prune(strategy: Strategy[Any], grace: timedelta | None) -> list[StoredObject]:
    """Return all that is under the storage's location before a deploy begins.

    Raises:
        PruneError: There is no location, or it can't be told how old objects are.
    """
    name = strategy.target_name
    if grace is not None and not strategy.tells_ages:
        raise PruneError(
            f"Nothing was sent: {name} does not tell when objects were written (it has no "
            "get_modified_time()), so --prune-older-than can't be used with it."
        )
    stored = strategy.list_stored()
    if stored is None:
        raise PruneError(
            f"Nothing was sent: {name} has no location, which would tell what belongs to this "
            "project and may be pruned. Set the storage's location, or leave --prune out."
        )
    return list(stored)


def find_leftovers(
    strategy: Strategy[Any],
    stored: Iterable[StoredObject] | None,
    pairs: Mapping[str, Pair],
    kept: Iterable[str],
    grace: timedelta | None = None,
) -> list[str]:
    """Return the names of objects that are this project's and not among those to keep.

    All that was under the storage's location is this project's, but not the entries of a
    StorageCache. Without a location, only what the last deploy remembers to have put there, and
    nobody has written since, is.

    Args:
        strategy: Knows the remote.
        stored: What was under the location before; None where there is none.
        pairs: What is remembered of the last deploy.
        kept: Names that belong to this deploy.
        grace: How long ago they must have been written; None: at any time.
    """
    keys = {*_keys(strategy, kept)}
    if stored is None:
        stored = _remembered(strategy, pairs)
    return [
        each.name
        for each in stored
        if not is_entry(each.name)
        and strategy.object_key(each.name) not in keys
        and (grace is None or _is_older(strategy, each, grace))
    ]


def _is_older(strategy: Strategy[Any], stored: StoredObject, grace: timedelta) -> bool:
    age = strategy.read_age(stored.name) if stored.age is None else stored.age
    return age is not None and age > grace


def _keys(strategy: Strategy[Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        # A published manifest may name what the remote can't have: such a name keeps nothing.
        with suppress(SuspiciousOperation, ValueError):
            yield strategy.object_key(name)


def _remembered(strategy: Strategy[Any], pairs: Mapping[str, Pair]) -> list[StoredObject]:
    objects = strategy.list_remote(list(pairs)) or ()
    return [StoredObject(each.name) for each in objects if each.version == pairs[each.name].version]


def published_names(storage: Any) -> set[str]:
    """Return what the manifest of the last deploy names, which its storage has loaded; itself too.

    None of it is missed by pages that are live, or in a cache.
    """
    hashed: Mapping[str, str] = getattr(storage, "hashed_files", {})
    if not hashed:
        return set()
    return {*hashed, *hashed.values(), storage.manifest_name}
