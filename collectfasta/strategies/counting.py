"""Count the requests that an SDK makes."""

from __future__ import annotations

import threading


class Counter:
    """A number that several threads may add to.

    Attributes:
        value: The number.
        date: The ``Date`` header of the last answer, None if it had none.
    """

    def __init__(self) -> None:
        self.value = 0
        self.date: str | None = None
        self._lock = threading.Lock()

    def add(self) -> None:
        """Add one."""
        with self._lock:
            self.value += 1
