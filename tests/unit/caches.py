"""Cache backends that show how they are used, or fail."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache


def caches_of(name: str, **parameters: Any) -> dict[str, Any]:
    """Return ``CACHES`` with a backend of this module as the default one."""
    return {"default": {"BACKEND": f"{__name__}.{name}", **parameters}}


class CountingCache(LocMemCache):
    """Count round trips by their kind, as a cache on a server would make them.

    Attributes:
        trips: The kinds of round trips with their numbers.
        written: The keys of each ``set_many``.
        largest: The size of the largest value that was written, pickled as clients do.
    """

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, params)
        self.trips: Counter[str] = Counter()
        self.written: list[set[str]] = []
        self.largest = 0
        self._is_inside = False

    @contextmanager
    def _trip(self, kind: str) -> Iterator[None]:
        if self._is_inside:
            # LocMemCache gets many by getting each.
            yield
            return
        self.trips[kind] += 1
        self._is_inside = True
        try:
            yield
        finally:
            self._is_inside = False

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        with self._trip("get"):
            return super().get(key, default, version)

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        self.largest = max(self.largest, len(pickle.dumps(value)))
        with self._trip("set"):
            super().set(key, value, *args, **kwargs)

    def delete(self, key: Any, version: int | None = None) -> bool:
        with self._trip("delete"):
            return super().delete(key, version)

    def get_many(self, keys: Any, version: int | None = None) -> dict[Any, Any]:
        with self._trip("get_many"):
            return super().get_many(keys, version)

    def set_many(self, data: Any, *args: Any, **kwargs: Any) -> list[Any]:
        self.written.append(set(data))
        with self._trip("set_many"):
            return super().set_many(data, *args, **kwargs)

    def delete_many(self, keys: Any, version: int | None = None) -> None:
        with self._trip("delete_many"):
            super().delete_many(keys, version)


class CacheDownError(Exception):
    """What a client raises that belongs to no common class."""


class DownCache(BaseCache):
    """A cache whose server is down."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def _fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise CacheDownError("no answer from cache.internal:11211")

    add = get = set = touch = delete = clear = incr = _fail
    get_many = set_many = delete_many = has_key = _fail


class ReadOnlyCache(LocMemCache):
    """A cache that can't be written to."""

    def set(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise CacheDownError("read-only")


class FullCache(LocMemCache):
    """A cache that refuses values as memcached does: it tells of them and raises nothing."""

    def set_many(self, data: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return list(data)
