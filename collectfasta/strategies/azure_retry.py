"""How often and how long a request to Azure Blob Storage is tried, and under which id.

The SDK's own waits 18 s before the first of three repetitions, takes no notice of ``Retry-After``
and does not repeat what was answered by 429 (``StorageRetryPolicy`` in azure-storage-blob 12.31).
"""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import HTTPPolicy
from azure.storage.blob import ExponentialRetry

from collectfasta.strategies.patience import ATTEMPTS, seconds_to_wait

# At random up to 0.5, 1.5, 4.5 and 13.5 s.
_INITIAL_BACKOFF = 0.5
_INCREMENT_BASE = 3

# https://github.com/Azure/azure-sdk-for-python/tree/main/sdk/storage/azure-storage-blob#retry-policy-configuration
_LIMITS = ("retry_total", "retry_connect", "retry_read", "retry_status", "retry_to_secondary")
_WAYS = {"retry_policy", "initial_backoff", "increment_base", "random_jitter_range"}


def retry_options(client_options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a client repeat requests soon, unless the storage's options say how.

    Args:
        client_options: The storage's. Their limits are kept.
    """
    if _WAYS & client_options.keys():
        return {}
    limits = {name: client_options[name] for name in _LIMITS if name in client_options}
    retries = limits.setdefault("retry_total", ATTEMPTS - 1)
    for name in ("retry_connect", "retry_read", "retry_status"):
        limits.setdefault(name, retries)
    return {"retry_policy": _PatientRetry(**limits)}


class _PatientRetry(ExponentialRetry):
    """Begin with short waits, and wait as long as the server asks for."""

    def send(self, request: Any) -> Any:
        """Send a request until it has succeeded."""
        # One for each request, because what comes after it differs.
        attempt = copy.copy(self)
        attempt.next = _Attempt(self.next)
        send: Callable[[Any], Any] = super(_PatientRetry, attempt).send
        return send(request)

    def increment(self, settings: dict[str, Any], *args: Any, **kwargs: Any) -> bool:
        """Count an attempt that failed, and note what its answer asks for."""
        response = kwargs.get("response") or getattr(kwargs.get("error"), "response", None)
        settings["asked_for"] = seconds_to_wait(response.headers) if response else 0.0
        return super().increment(settings, *args, **kwargs)

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Return the seconds until the next attempt."""
        longest: float = _INITIAL_BACKOFF * _INCREMENT_BASE ** (settings["count"] - 1)
        asked_for: float = settings["asked_for"]
        return max(random.uniform(0, longest), asked_for)  # noqa: S311 - no secret


class _Attempt(HTTPPolicy[Any, Any]):
    """Send a request once, and make an error of the status 429, which the SDK repeats then.

    The id that the request goes by is made here. The SDK makes it by ``uuid1()``, for which libuuid
    may open a file in each thread that it never closes, so that each deploy of a process would take
    as many descriptors as it has threads for good (``state_fd`` in
    https://github.com/util-linux/util-linux/blob/master/libuuid/src/gen_uuid.c).
    """

    def __init__(self, following: HTTPPolicy[Any, Any]) -> None:
        super().__init__()
        self.next = following

    def send(self, request: Any) -> Any:
        request.context.options.setdefault("client_request_id", str(uuid.uuid4()))
        response = self.next.send(request)
        if response.http_response.status_code == 429:
            raise HttpResponseError(response=response.http_response)
        return response
