"""A cache that interrupts its own process at an exact moment."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.locmem import LocMemCache

from tests.storages.s3 import interrupt


class Interrupting(LocMemCache):
    """Interrupts when the method that its location names is called."""

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, params)
        self._method = name

    def get(self, *args: Any, **options: Any) -> Any:
        """Return a value."""
        self._called("get")
        return super().get(*args, **options)

    def get_many(self, *args: Any, **options: Any) -> Any:
        """Return values."""
        self._called("get_many")
        return super().get_many(*args, **options)

    def set_many(self, *args: Any, **options: Any) -> Any:
        """Keep values."""
        self._called("set_many")
        return super().set_many(*args, **options)

    def _called(self, method: str) -> None:
        if method == self._method:
            interrupt()
