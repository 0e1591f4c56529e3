"""obstore without a server: what it is set up with, and what it refuses to send."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn
from unittest import mock

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from storages.backends.s3 import S3Storage

from collectfasta.errors import SourceChangedError, StoreError
from collectfasta.source import Body
from collectfasta.stores.s3 import obstore_setup
from collectfasta.stores.s3.connection import UnsupportedError
from collectfasta.stores.s3.obstore import ObstoreStore, _in_memory
from collectfasta.stores.s3.obstore_setup import CredentialProvider

URL = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def store_of(**options: Any) -> ObstoreStore:
    keys = {"access_key": "a", "secret_key": "s3cr3t", "bucket_name": "my-bucket"}
    return ObstoreStore(S3Storage(**{"endpoint_url": URL, **keys, **options}))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What obstore's two stores, one that reads and one that sends, are made with."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(obstore_setup, "S3Store", lambda *_, **options: made.append(options))
    return made


def test_each_request_ends_in_time(made: list[dict[str, Any]]) -> None:
    store_of(client_config=Config(connect_timeout=7, read_timeout=8))

    for each in made:
        assert each["client_options"]["connect_timeout"] == timedelta(seconds=7)
        assert timedelta(0) < each["client_options"]["timeout"] <= timedelta(minutes=5)
        assert timedelta(0) < each["retry_config"]["retry_timeout"] <= timedelta(minutes=5)
    # obstore's runs while a body is sent, botocore's does not.
    read_timeouts = [each["client_options"].get("read_timeout") for each in made]
    assert read_timeouts == [timedelta(seconds=8), None]


def test_first_attempt_is_not_a_retry(made: list[dict[str, Any]]) -> None:
    for attempts in (1, 4):
        store_of(client_config=Config(retries={"total_max_attempts": attempts}))
        assert made[-1]["retry_config"]["max_retries"] == attempts - 1


def test_nothing_is_left_to_the_environment(made: list[dict[str, Any]]) -> None:
    store_of()

    explicit = {"request_payer", "skip_signature", "unsigned_payload"}
    assert {name: made[0][name] for name in explicit} == dict.fromkeys(explicit, False)
    assert {"endpoint", "region", "credential_provider", "virtual_hosted_style_request"} <= {
        *made[0]
    }


class TestProxy:
    """obstore would take one from the environment where none is named."""

    def test_without_one_only_the_buckets_host_can_be_reached(
        self, made: list[dict[str, Any]]
    ) -> None:
        store_of(endpoint_url="http://s3.example.com:9000")

        assert [each["client_options"]["proxy_url"] for each in made] == ["http://127.0.0.1:0"] * 2
        assert made[0]["client_options"]["proxy_excludes"] == "s3.example.com"

    def test_botocores_is_every_hosts(
        self, made: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://proxy:3128")

        store_of()

        assert made[0]["client_options"]["proxy_url"] == "http://proxy:3128"
        assert made[0]["client_options"]["proxy_excludes"] == ""
        with pytest.raises(UnsupportedError, match="session token"):
            store_of(security_token="token")

    def test_its_password_is_not_in_the_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://user:s3cr3t@not a host:x")

        with pytest.raises(UnsupportedError) as caught:
            store_of()

        assert "s3cr3t" not in str(caught.value)


def test_certificates_are_read_for_tls_only(
    made: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_of(endpoint_url="https://s3.example.com")
    assert b"BEGIN CERTIFICATE" in made[-1]["client_options"]["root_certificate"]
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent.pem")
    store_of()
    assert "root_certificate" not in made[-1]["client_options"]
    with pytest.raises(UnsupportedError, match="certificates"):
        store_of(endpoint_url="https://s3.example.com")


UNSENDABLE: list[tuple[dict[str, Any], str]] = [
    ({"ACL": "public-read"}, "ACL"),
    ({"Tagging": "a=b"}, "Tagging"),
    ({"Expires": datetime(2030, 1, 1, tzinfo=timezone.utc)}, "Expires"),
    ({"ContentDisposition": "ü"}, "the value of ContentDisposition"),
    ({"CacheControl": "a  b"}, "the value of CacheControl"),
    ({"CacheControl": "a "}, "the value of CacheControl"),
    ({"CacheControl": "a\nb"}, "the value of CacheControl"),
    ({"CacheControl": ""}, "the value of CacheControl"),
    ({"CacheControl": 1}, "the value of CacheControl"),
    ({"Metadata": "a"}, "Metadata"),
    ({"Metadata": {"a": "ü"}}, "the value of Metadata"),
    ({"Metadata": {"a.b": "c"}}, "a name in Metadata"),
    *(
        ({"Metadata": {name: "a"}}, "a name in Metadata")
        for name in ("Cache-Control", "cachecontrol", "ContentType", "storageclass")
    ),
]


def test_what_would_be_sent_otherwise_is_refused() -> None:
    for threshold in (1, 2):
        store = store_of(transfer_config=TransferConfig(multipart_threshold=threshold))
        for headers, reason in UNSENDABLE:
            with pytest.raises(UnsupportedError, match=f"^{reason}$"):
                store.put("key", Body(io.BytesIO(b"x"), 1), headers)
        assert store.requests == 0


def test_key_that_is_not_a_plain_path_is_refused() -> None:
    store = store_of()
    for key in ("a//b", "/a", "a/", "a/./b", "../a", "a\n", "a\x7f", ""):
        requests: list[Callable[[], object]] = [
            lambda key=key: store.put(key, Body(io.BytesIO(b"x"), 1), {}),  # type: ignore[misc]
            lambda key=key: store.head(key),  # type: ignore[misc]
            lambda key=key: store.get(key),  # type: ignore[misc]
            lambda key=key: store.delete([key]),  # type: ignore[misc]
        ]
        for request in requests:
            with pytest.raises(UnsupportedError, match="no plain paths"):
                request()
    assert store.requests == 0


def test_listing_that_fails_is_left_to_boto3() -> None:
    store = store_of()
    with pytest.raises(UnsupportedError, match=r"^a listing failed$"):
        store.list("static/", "static/a.css")
    assert store.requests == 1


def test_keys_of_a_profile_that_nothing_can_be_signed_with_are_named() -> None:
    provider = CredentialProvider(Credentials("a", "s3cr3t\n", method="custom-process"))
    with pytest.raises(StoreError) as caught:
        provider()
    expected = "The secret_key (custom-process) has white space at its ends"
    assert str(caught.value).startswith(expected)
    assert "s3cr3t" not in str(caught.value)


def test_panic_is_left_to_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    panic = type("PanicException", (BaseException,), {})
    monkeypatch.setattr("obstore.head", mock.Mock(side_effect=panic("Rust's words")))
    with pytest.raises(UnsupportedError, match=r"^obstore has failed$") as caught:
        store_of().head("a.css")
    assert caught.value.permanent
    monkeypatch.setattr("obstore.head", mock.Mock(side_effect=SystemExit))
    with pytest.raises(SystemExit):
        store_of().head("a.css")


def test_reading_with_the_keys_of_encryption_is_refused() -> None:
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    store = store_of(object_parameters={**key, "CacheControl": "no-store"})
    with pytest.raises(UnsupportedError, match=r"^HEAD with SSECustomerAlgorithm, SSECustomerKey$"):
        store.head("key")
    with pytest.raises(UnsupportedError, match=r"^GET with SSECustomerAlgorithm, SSECustomerKey$"):
        store.get("key")


def test_transfer_configuration_that_it_has_not_is_refused() -> None:
    large = 17 * 1024 * 1024
    for config in (
        TransferConfig(multipart_threshold=1, multipart_chunksize=large),
        TransferConfig(multipart_threshold=1, max_bandwidth=1),
    ):
        with pytest.raises(UnsupportedError, match="transfer configuration"):
            store_of(transfer_config=config).put("key", Body(io.BytesIO(b"x"), 1), {})
    config = TransferConfig(multipart_threshold=2 * large)
    with pytest.raises(UnsupportedError, match="large files in one request"):
        store_of(transfer_config=config).put("key", Body(io.BytesIO(bytes(large)), large), {})


def test_memory_for_a_body_holds_all_of_it_or_fails() -> None:
    content = bytes(range(256)) * 1024
    assert _in_memory(Body(io.BytesIO(content), len(content)), len(content))[:] == content
    with pytest.raises(SourceChangedError, match="it became shorter while"):
        _in_memory(Body(io.BytesIO(content), len(content) + 1), len(content) + 1)


class TestCredentials:
    def given(self, lifetime: timedelta) -> timedelta | None:
        """Return for how long credentials are given out that live for some time."""

        def fetch() -> dict[str, str]:
            expires = (datetime.now(timezone.utc) + lifetime).isoformat()
            return {"access_key": "a", "secret_key": "b", "token": "c", "expiry_time": expires}

        credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "test")
        given = CredentialProvider(credentials)()
        assert (given["access_key_id"], given["secret_access_key"], given["token"]) == tuple("abc")
        left: timedelta = given["expires_at"] - datetime.now(timezone.utc)
        return left

    def test_fixed_ones_never_expire(self) -> None:
        assert CredentialProvider(Credentials("a", "b"))()["expires_at"] is None

    def test_long_lived_ones_are_asked_for_again_before_botocore_takes_others(self) -> None:
        left = self.given(timedelta(hours=1))
        assert left is not None
        assert timedelta(minutes=9) < left <= timedelta(minutes=10)

    def test_short_lived_ones_are_asked_for_each_time(self) -> None:
        left = self.given(timedelta(minutes=4))
        assert left is not None
        assert left <= timedelta(0)

    def test_where_there_are_none_the_next_requests_fail_at_once(self) -> None:
        asked: list[None] = []

        class Refused(Credentials):
            def get_frozen_credentials(self) -> NoReturn:
                asked.append(None)
                raise CredentialRetrievalError(provider="test", error_msg="no")

        provider = CredentialProvider(Refused("a", "b"))
        for _ in range(5):
            with pytest.raises(CredentialRetrievalError):
                provider()

        assert len(asked) == 1

    def test_they_are_asked_for_again_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Late(Credentials):
            exist = False

            def get_frozen_credentials(self) -> ReadOnlyCredentials:
                if not self.exist:
                    raise CredentialRetrievalError(provider="test", error_msg="no")
                return super().get_frozen_credentials()

        credentials = Late("a", "b")
        provider = CredentialProvider(credentials)
        with pytest.raises(CredentialRetrievalError):
            provider()
        credentials.exist = True
        monkeypatch.setattr(obstore_setup, "_REFUSED_SECONDS", 0)

        assert provider()["access_key_id"] == "a"
        assert provider.error is None
