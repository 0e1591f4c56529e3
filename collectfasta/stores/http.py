"""What the stores that speak HTTP have in common: counting, attempts and time-outs.

``HTTPAdapter._pool_maxsize`` and ``_pool_block`` of ``requests`` stand here: there is no public way
to give an adapter that exists more connections.
"""

from __future__ import annotations

import io
import threading
from typing import Any

# The first attempt included: as many as botocore's "legacy" mode makes.
ATTEMPTS = 5

# To connect, and without a word from the server.
CONNECT_SECONDS = 20
READ_SECONDS = 60

# Each piece of a larger body gets the time to connect; bytes would have to leave as a whole in it.
# The system also takes some megabytes at once, and sends them while an answer is waited for, by a
# line that might be this slow, in bytes per second.
_LARGE = 64 * 1024
_SLOWEST = 8 * 1024


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
    of the CPU time of a small upload. Its adapters stay: they may have certificates or retries that
    others have given them. Retries stay the SDK's.

    Args:
        session: The session that an SDK sends by.
        url: The service's: the environment may name a proxy for it.
        threads: How many use it at a time.
        counter: Counts the requests.
    """
    for adapter in session.adapters.values():
        _prepare(adapter, threads, counter)
    environment = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = environment["proxies"], environment["verify"]
    session.trust_env = False


def _prepare(adapter: Any, threads: int, counter: Counter) -> None:
    # Azure's and Google's SDKs bring it along; S3's does not.
    from requests.adapters import HTTPAdapter

    # One that blocks is to have no more connections than it has.
    is_small = isinstance(adapter, HTTPAdapter) and adapter._pool_maxsize < threads
    if is_small and not adapter._pool_block:
        adapter._pool_maxsize = threads
        adapter.poolmanager.connection_pool_kw["maxsize"] = threads
        adapter.poolmanager.clear()

    def send(request: Any, *args: Any, timeout: Any = None, **kwargs: Any) -> Any:
        counter.add()
        body = request.body
        if isinstance(body, bytes) and len(body) > _LARGE and isinstance(timeout, tuple):
            request.body = io.BytesIO(body)
            timeout = timeout[0], timeout[1] and timeout[1] + len(body) / _SLOWEST
        try:
            response = type(adapter).send(adapter, request, *args, timeout=timeout, **kwargs)
        finally:
            request.body = body
        counter.date = response.headers.get("Date")
        return response

    adapter.send = send
