"""What the stores that speak HTTP have in common: counting, attempts and time-outs."""

from __future__ import annotations

import threading
from typing import Any

from typing_extensions import override

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


def prepare_session(session: Any, url: str, threads: int, counter: Counter) -> None:
    """Give a session of ``requests`` a connection for each thread; count what it sends.

    Its own pool keeps 10 connections and throws away what exceeds them, and it reads the
    environment's proxies and certificates, and a ``.netrc``, for each request, which is a seventh
    of the CPU time of a small upload. Retries stay the SDK's.

    Args:
        session: The session that an SDK sends by.
        url: The service's: the environment may name a proxy for it.
        threads: How many use it at a time.
        counter: Counts the requests.
    """
    # Azure's and Google's SDKs bring it along; S3's does not.
    from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter

    class CountingAdapter(HTTPAdapter):
        @override
        def send(self, *args: Any, **kwargs: Any) -> Any:
            counter.add()
            response = super().send(*args, **kwargs)
            counter.date = response.headers.get("Date")
            return response

    size = max(threads, DEFAULT_POOLSIZE)
    for scheme in ("https://", "http://"):
        session.mount(scheme, CountingAdapter(pool_connections=size, pool_maxsize=size))
    environment = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = environment["proxies"], environment["verify"]
    session.trust_env = False
