"""Count the requests that an SDK makes."""

from __future__ import annotations

import threading


class Counter:
    """A number that several threads may add to."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """Add one."""
        with self._lock:
            self.value += 1
