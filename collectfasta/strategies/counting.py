"""Count the requests that an SDK makes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Session


class Counter:
    """A number that several threads may add to."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """Add one."""
        with self._lock:
            self.value += 1


def mount_pool(session: Session, threads: int, counter: Counter) -> None:
    """Give a session of ``requests`` a connection for each thread, and count what it sends.

    Its own pool holds 10 connections and throws away what exceeds them. Retries stay the SDK's.
    """
    from requests.adapters import HTTPAdapter

    class CountingAdapter(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            counter.add()
            return super().send(*args, **kwargs)

    size = max(threads, 10)
    for scheme in ("https://", "http://"):
        session.mount(scheme, CountingAdapter(pool_connections=size, pool_maxsize=size))
