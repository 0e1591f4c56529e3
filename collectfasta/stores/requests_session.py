"""The session of ``requests`` by which Azure's and Google's SDKs send."""

from __future__ import annotations

from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter

from collectfasta.stores.http import Counter

# A pool of requests, and the most connections that one has by default.
_POOL = 10


def mount_pool(session: Session, threads: int, counter: Counter) -> None:
    """Give a session a connection for each thread; count what it sends.

    Its own pool keeps 10 connections and throws away what exceeds them. Retries stay the SDK's.
    """

    class CountingAdapter(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            counter.add()
            response = super().send(*args, **kwargs)
            counter.date = response.headers.get("Date")
            return response

    size = max(threads, _POOL)
    for scheme in ("https://", "http://"):
        session.mount(scheme, CountingAdapter(pool_connections=size, pool_maxsize=size))
