"""Make the SDKs repeat their requests at once: no server of the tests has to recover."""

from __future__ import annotations

from datetime import timedelta
from itertools import repeat

import pytest

SECONDS = 0.01


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
    set_attribute(waits, lambda *_, **__: repeat(SECONDS))
    set_attribute("azure.storage.blob.ExponentialRetry.get_backoff_time", lambda *_: SECONDS)
    set_attribute("collectfasta.strategies.azure_retry._INITIAL_BACKOFF", SECONDS)
    set_attribute("collectfasta.strategies.azure_retry._INCREMENT_BASE", 1)
