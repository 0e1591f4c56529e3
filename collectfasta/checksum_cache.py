"""Checksums cached between deploys in Django's cache: best effort, they only save work."""

from __future__ import annotations

import json
import logging
import pickle
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from django.core.cache import BaseCache, caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import DatabaseError

from collectfasta import settings
from collectfasta.checksums import new_md5
from collectfasta.errors import CollectfastaError
from collectfasta.executor import NoAnswerError, in_time
from collectfasta.remote import CachedChecksum

logger = logging.getLogger("collectfasta")

# A cached checksum takes some 150 bytes. Entries of this size stay far below the 1 MB that
# memcached takes; a cache that takes more has an attribute entry_size.
_ENTRY_SIZE = 200_000
_MOST_SHARDS = 1024
_FORMAT = 1

# For an answer, and for each entry: 200 kB in a second is a slow line.
_SECONDS = 10
_SECONDS_PER_ENTRY = 1

# What the serializers of caches raise for a value that is not theirs: pickle lists its own
# (https://docs.python.org/3/library/pickle.html#pickle.UnpicklingError), JSON's is a ValueError,
# and FileBasedCache decompresses. Clients have their own classes for failures of a server.
_UNREADABLE = (
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    pickle.PickleError,
    zlib.error,
)


class CacheAccess:
    """The cache that ``COLLECTFASTA_CACHE`` names.

    A cache that fails is one warning and a miss, and is left alone from then on: one whose server
    does not answer costs its time-out once, not for each file. For use by several threads.

    Args:
        consequence: What the warning says that a deploy without the cache means.
    """

    _error: Exception | None = None

    def __init__(self, consequence: str) -> None:
        self._consequence = consequence

    def read(self, action: Callable[[BaseCache], Any], *, entries: int = 1) -> Any:
        """Return what an action reads from the cache.

        Args:
            action: Reads.
            entries: How many entries it reads at most.

        Returns:
            None too if the cache fails or can't make sense of what it holds. That is not a
            failure: the entry is overwritten.
        """
        try:
            return self._use(action, entries)
        except _UNREADABLE:
            return None
        except Exception as error:  # noqa: BLE001 - backends raise whatever their client raises
            self._warn("read", error)
            return None

    def write(self, action: Callable[[BaseCache], Any], *, entries: int = 1) -> None:
        """Do what changes the cache.

        Args:
            action: Writes.
            entries: How many entries it writes at most.
        """
        try:
            self._use(action, entries)
        except Exception as error:  # noqa: BLE001 - backends raise whatever their client raises
            self._warn("written", error)

    def _use(self, action: Callable[[BaseCache], Any], entries: int) -> Any:
        if self._error is not None:
            return None
        cache = caches[settings.cache]
        if _ends_by_itself(cache):
            return action(cache)
        return in_time(partial(action, cache), _SECONDS + _SECONDS_PER_ENTRY * entries)

    def _warn(self, action: str, error: Exception) -> None:
        # One operation, so that of several threads one warns.
        if self.__dict__.setdefault("_error", error) is not error:
            return
        logger.warning(
            "The cache %r could not be %s (%s). %s Fix it, or name another cache in "
            "COLLECTFASTA_CACHE.",
            settings.cache,
            action,
            _cause(error),
            self._consequence,
        )


def _cause(error: Exception) -> str:
    if isinstance(error, (CollectfastaError, NoAnswerError)):
        return str(error)
    # What a client says may hold the password that it was configured with.
    name = type(error).__name__
    is_database = isinstance(error, DatabaseError)
    return f"{name}; manage.py createcachetable makes its table" if is_database else name


def _ends_by_itself(cache: BaseCache) -> bool:
    """Return whether a cache is to be used in the calling thread.

    Django's connections to databases belong to threads; what they wait for is theirs to limit.
    """
    ends: bool = getattr(
        cache, "ends_by_itself", isinstance(cache, (BaseDatabaseCache, LocMemCache))
    )
    return ends


class ChecksumCache:
    """The cached checksums of one target, kept in Django's cache in a few large entries.

    Reading takes one or two round trips and writing one or two, however many files there are.
    A cache that fails is one warning and a miss. Not for use by several threads.

    Args:
        target: What identifies the target: backend, endpoint, bucket and location.
    """

    def __init__(self, target: str) -> None:
        digest = new_md5(target.encode()).hexdigest()
        self._key = settings.cache_key_prefix + digest
        self._stored: dict[str, str] = {}
        self._access = CacheAccess("Deploying without it is slower, not different.")

    def load(self) -> dict[str, CachedChecksum]:
        """Return the cached checksums by name; none where there are none or the cache fails."""
        cached: dict[str, CachedChecksum] = {}
        count = self._read([self._shard_key(0)], cached)
        if count > 1:
            self._read([self._shard_key(n) for n in range(1, count)], cached)
        return cached

    def save(self, checksums: Mapping[str, CachedChecksum]) -> None:
        """Keep exactly these checksums; entries that the cache has already are not written."""
        size = self._access.read(lambda cache: getattr(cache, "entry_size", None))
        texts = enumerate(_encode(checksums, size or _ENTRY_SIZE))
        entries = {self._shard_key(number): text for number, text in texts}
        changed = {key: text for key, text in entries.items() if self._stored.get(key) != text}
        gone = self._stored.keys() - entries.keys()
        if changed:
            self._access.write(partial(_set, changed), entries=len(changed))
        if gone:
            self._access.write(lambda cache: cache.delete_many(gone), entries=len(gone))

    def _shard_key(self, number: int) -> str:
        return f"{self._key}.{number}"

    def _read(self, keys: list[str], cached: dict[str, CachedChecksum]) -> int:
        """Read some entries, add their checksums, and return how many entries the target has."""
        count = 1
        found = self._access.read(lambda cache: cache.get_many(keys), entries=len(keys))
        for key, text in (found or {}).items():
            with suppress(*_UNREADABLE):
                count, checksums = _decode(text)
                self._stored[key] = text
                cached |= checksums
        return count


def _set(entries: dict[str, str], cache: BaseCache) -> None:
    # Django's database cache says nothing of what it can't write, and waits for the lock each time.
    is_silent = isinstance(cache, BaseDatabaseCache)
    batches = [{key: text} for key, text in entries.items()] if is_silent else [entries]
    for batch in batches:
        if cache.set_many(batch, timeout=None) or (is_silent and cache.get_many(batch) != batch):
            raise CollectfastaError("it refused an entry")


def _decode(text: str) -> tuple[int, dict[str, CachedChecksum]]:
    """Return how many entries a target has, and the checksums in one of them.

    Raises:
        Exception: One of ``_UNREADABLE``: it is of another version, or not Collectfasta's.
    """
    entry = json.loads(text)
    count: int = range(1, _MOST_SHARDS + 1).index(entry["shards"]) + 1
    if entry["format"] != _FORMAT:
        raise ValueError(entry["format"])
    return count, {name: _decode_checksum(values) for name, values in entry["pairs"].items()}


def _decode_checksum(values: object) -> CachedChecksum:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(values)
    return CachedChecksum(*values)


def _encode(checksums: Mapping[str, CachedChecksum], entry_size: int) -> list[str]:
    """Spread the checksums over as many entries as their size needs, each to a fixed one."""
    size = sum(
        len(json.dumps(name)) + len(each.version) + len(each.checksum) + 40
        for name, each in checksums.items()
    )
    # A power of two lets most sites keep their number of entries from deploy to deploy.
    count = 1 << (size // entry_size).bit_length()
    shards: list[dict[str, list[str]]] = [{} for _ in range(count)]
    for name, each in sorted(checksums.items()):
        # A file system may have names that are not Unicode.
        shard = shards[zlib.crc32(name.encode(errors="surrogatepass")) % count]
        shard[name] = [each.version, each.checksum, each.headers]
    return [json.dumps({"format": _FORMAT, "shards": count, "pairs": shard}) for shard in shards]
