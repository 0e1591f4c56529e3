"""What the stores that speak HTTP have in common: counting, attempts and time-outs."""

from __future__ import annotations

import threading

# The first attempt included: as many as botocore's "legacy" mode makes.
ATTEMPTS = 5

# To connect, and without a word from the server.
CONNECT_SECONDS = 20
READ_SECONDS = 60


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

    def add(self, number: int = 1) -> None:
        """Add to the number."""
        with self._lock:
            self.value += number
