"""How often and how long a request to Google Cloud Storage is tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from google.api_core.retry import Retry
from google.cloud.storage.retry import DEFAULT_RETRY

from collectfasta.strategies.patience import (
    ATTEMPTS,
    CONNECT_SECONDS,
    READ_SECONDS,
    seconds_to_wait,
)

TIMEOUT = (CONNECT_SECONDS, READ_SECONDS)


class BoundedRetry(Retry):
    """Repeat a request so many times at most, and wait as long as the server asks for.

    The SDK's own goes on for two minutes, however many attempts that are, and ends in an error that
    does not tell what went wrong.
    """

    def __call__(
        self, func: Callable[..., Any], on_error: Callable[[Exception], Any] | None = None
    ) -> Callable[..., Any]:
        """Return a function that calls another until it has succeeded."""
        wrap = super().__call__

        @wraps(func)
        def repeated(*args: Any, **kwargs: Any) -> Any:
            failures: list[Exception] = []

            def failed(error: Exception) -> None:
                failures.append(error)
                if on_error:
                    on_error(error)
                if len(failures) >= ATTEMPTS:
                    raise error
                time.sleep(_asked_for(error))

            return wrap(func, failed)(*args, **kwargs)

        return repeated


def _asked_for(error: Exception) -> float:
    response = getattr(error, "response", None)
    return seconds_to_wait(getattr(response, "headers", None) or {})


# What passes is the SDK's to know. At random up to 0.5, 1.5, 4.5 and 13.5 s.
RETRY = BoundedRetry(
    predicate=DEFAULT_RETRY._predicate, initial=0.5, maximum=20.0, multiplier=3.0, timeout=120.0
)


def patience() -> dict[str, Any]:
    """Return how each request is tried. The storage has no options for that."""
    return {"retry": RETRY, "timeout": TIMEOUT}
