"""What ``--clear`` deletes: objects of earlier deploys that this one does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.core.exceptions import SuspiciousOperation

from collectfasta.checksums import Pair
from collectfasta.entries import is_entry
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


def find_leftovers(
    strategy: Strategy[Any],
    pairs: Mapping[str, Pair],
    kept: Iterable[str],
    *,
    warn: Callable[[str], None],
) -> list[str]:
    """Return the names of objects that are this project's and not among those to keep.

    All under the storage's location is this project's, but not the entries of a StorageCache.
    Without a location, only what the last deploy remembers to have put there, and nobody has
    written since, is.

    Args:
        strategy: Knows the remote.
        pairs: What is remembered of the last deploy.
        kept: Names that belong to this deploy.
        warn: Tells the user that there is no location.
    """
    keys = {*_keys(strategy, kept)}
    stored = strategy.stored_names()
    if stored is None:
        warn(
            f"{strategy.target_name} has no location, which would tell what belongs to this "
            "project: --clear deletes only what the last deploy is remembered to have sent there."
        )
        stored = _remembered(strategy, pairs)
    return [name for name in stored if not is_entry(name) and strategy.object_key(name) not in keys]


def _keys(strategy: Strategy[Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        # A published manifest may name what the remote can't have: such a name keeps nothing.
        with suppress(SuspiciousOperation, ValueError):
            yield strategy.object_key(name)


def _remembered(strategy: Strategy[Any], pairs: Mapping[str, Pair]) -> list[str]:
    objects = strategy.list_remote(list(pairs)) or ()
    return [each.name for each in objects if each.version == pairs[each.name].version]
