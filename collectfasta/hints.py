"""Django's cache as a deploy uses it: for hints that it can do without."""

from __future__ import annotations

import logging
import pickle
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.cache import BaseCache, caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import DatabaseError

from collectfasta import settings
from collectfasta.errors import CollectfastaError
from collectfasta.executor import NoAnswerError, in_time

logger = logging.getLogger("collectfasta")

# For an answer, and for each entry: 200 kB in a second is a slow line.
_SECONDS = 10
_SECONDS_PER_ENTRY = 1

# What the serializers of caches raise for a value that is not theirs: pickle lists its own
# (https://docs.python.org/3/library/pickle.html#pickle.UnpicklingError), JSON's is a ValueError,
# and FileBasedCache decompresses. Clients have classes of their own for failures of a server.
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


class Hints:
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
            None too if the cache fails or can't make sense of what it holds. That is no failure:
            whoever gets no value writes one over it.
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
            "The cache %r could not be %s (%s). %s Mend it, or name another one in "
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
    """Tell whether a cache is to be used in the calling thread.

    Django's connections to databases belong to threads; what they wait for is theirs to limit.
    """
    ends: bool = getattr(
        cache, "ends_by_itself", isinstance(cache, (BaseDatabaseCache, LocMemCache))
    )
    return ends
