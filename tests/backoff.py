"""Make the SDKs repeat their requests at once: no server of the tests has to recover."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, repeat

import pytest

SECONDS = 0.01
# About as often as Google's client waits within its minute.
_WAITS = 4


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits of all SDKs, also where a storage's own client waits.

    What servers ask for by ``Retry-After`` is still waited for.
    """
    set_attribute = monkeypatch.setattr
    standard = "botocore.retries.standard.ExponentialBackoff.delay_amount"
    set_attribute(standard, lambda *_: SECONDS)
    set_attribute("botocore.retryhandler.delay_exponential", lambda *_, **__: SECONDS)
    backoff = {name: timedelta(seconds=SECONDS) for name in ("init_backoff", "max_backoff")}
    set_attribute("collectfasta.stores.s3.obstore_setup._BACKOFF", {**backoff, "base": 2})
    waits = "google.api_core.retry.retry_unary.exponential_sleep_generator"
    # It counts no attempts: it gives up where the next wait would end too late.
    set_attribute(waits, lambda *_, **__: chain(repeat(SECONDS, _WAITS), repeat(1e6)))
    set_attribute("azure.storage.blob.ExponentialRetry.get_backoff_time", lambda *_: SECONDS)
    at_once = {"initial_backoff": 0, "increment_base": 1, "random_jitter_range": 0}
    set_attribute("collectfasta.stores.azure._WAITS", at_once)


def shorten_timeouts(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.4) -> None:
    """Wait only so long for an answer, where the storages have no options for that.

    Those of S3's ``client_config`` are the test's to set.
    """
    set_attribute = monkeypatch.setattr
    monkeypatch.setitem(_google_tried(), "timeout", (5, seconds))
    azure = {"connection_timeout": 5, "read_timeout": seconds}
    set_attribute("collectfasta.stores.azure._TIMEOUTS", azure)
    longest = timedelta(seconds=2 * seconds)
    set_attribute("collectfasta.stores.s3.obstore_setup._TIMEOUT", longest)


def _google_tried() -> dict[str, object]:
    from collectfasta.stores import gcloud

    tried: dict[str, object] = gcloud._TRIED
    return tried
