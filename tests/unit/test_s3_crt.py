"""The engine by awscrt without a server: what it refuses to send, and what it signs with.

awscrt calls back in threads of its own that coverage does not see.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ConnectionClosedError
from storages.backends.s3 import S3Storage

from collectfasta.strategies.s3 import UnsupportedError
from collectfasta.strategies.s3_connection import connection_of
from collectfasta.strategies.s3_crt import CrtSender

# Nothing listens there.
URL = "http://127.0.0.1:1"
NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001 - the case


def sender_of(**options: Any) -> CrtSender:
    once = Config(retries={"total_max_attempts": 1})
    keys = {"access_key": "a", "secret_key": "s3cr3t", "bucket_name": "my-bucket"}
    storage = S3Storage(**{"endpoint_url": URL, "client_config": once, **keys, **options})
    return CrtSender(connection_of(storage), threads=1)


def test_server_that_is_not_there_is_told_as_boto3_does() -> None:
    with pytest.raises(ConnectionClosedError, match=URL):
        sender_of().put("a.css", b"x", 1, {})


def test_tls_needs_a_server_too() -> None:
    with pytest.raises(ConnectionClosedError, match="https://127"):
        sender_of(endpoint_url="https://127.0.0.1:1").put("a.css", b"x", 1, {})


def test_failed_request_is_counted() -> None:
    sender = sender_of()

    with pytest.raises(ConnectionClosedError):
        sender.put("a.css", b"x", 1, {})

    assert sender.requests == 1


@pytest.mark.parametrize("parameters", [{"Expires": NAIVE}, {"ObjectLockMode": "GOVERNANCE"}])
def test_what_boto3_would_say_in_unknown_words_is_refused(parameters: dict[str, Any]) -> None:
    sender = sender_of()

    with pytest.raises(UnsupportedError):
        sender.put("a.css", b"x", 1, parameters)

    assert sender.requests == 0


@pytest.mark.parametrize(("key", "body"), [("a//b.css", b"x"), ("a.css", io.BytesIO(b"x"))])
def test_what_it_can_not_send_is_refused(key: str, body: Any) -> None:
    with pytest.raises(UnsupportedError, match="large files"):
        sender_of().put(key, body, 1, {})


def test_credentials_are_those_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = sender_of()
    refreshed = Credentials("new", "secret", "token").get_frozen_credentials()
    before = sender._provider.get_credentials().result(timeout=60)
    monkeypatch.setattr(
        type(sender._connection.credentials), "get_frozen_credentials", lambda _: refreshed
    )

    now = sender._provider.get_credentials().result(timeout=60)

    assert (before.access_key_id, before.session_token) == ("a", None)
    assert (now.access_key_id, now.session_token) == ("new", "token")
