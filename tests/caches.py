"""Cache backends that do what real ones do on a bad day."""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.cache.backends.locmem import LocMemCache


class BrokenCache(LocMemCache):
    """A cache whose server is down."""

    def _fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ConnectionError("connection refused by redis://user:password@cache:6379")

    get = set = delete = get_many = set_many = delete_many = _fail
