"""The engine by obstore without a server: what it is set up with, and what it refuses to send."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from storages.backends.s3 import S3Storage

from collectfasta.strategies import s3_obstore_setup
from collectfasta.strategies.s3 import UnsupportedError
from collectfasta.strategies.s3_connection import connection_of
from collectfasta.strategies.s3_obstore import ObstoreEngine
from collectfasta.strategies.s3_obstore_setup import CredentialProvider

URL = "http://127.0.0.1:1"


def engine_of(**options: Any) -> ObstoreEngine:
    keys = {"access_key": "a", "secret_key": "s3cr3t", "bucket_name": "my-bucket"}
    storage = S3Storage(**{"endpoint_url": URL, **keys, **options})
    return ObstoreEngine(connection_of(storage), storage.transfer_config)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the store is made with."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(s3_obstore_setup, "S3Store", lambda *_, **options: made.update(options))
    return made


def test_each_request_ends_in_time(made: dict[str, Any]) -> None:
    engine_of(client_config=Config(connect_timeout=7))

    options = made["client_options"]
    assert options["connect_timeout"] == timedelta(seconds=7)
    assert timedelta(0) < options["timeout"] <= timedelta(minutes=5)
    assert timedelta(0) < made["retry_config"]["retry_timeout"] <= timedelta(minutes=5)


def test_only_requests_without_a_body_end_by_the_storages_read_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """obstore's runs while a body is sent, botocore's does not."""
    made: list[Any] = []
    monkeypatch.setattr(
        s3_obstore_setup,
        "S3Store",
        lambda *_, **options: made.append(options["client_options"].get("read_timeout")),
    )

    engine_of(client_config=Config(read_timeout=7))

    assert made == [timedelta(seconds=7), None]


@pytest.mark.parametrize("attempts", [1, 4])
def test_first_attempt_is_no_retry(made: dict[str, Any], attempts: int) -> None:
    engine_of(client_config=Config(retries={"total_max_attempts": attempts}))

    assert made["retry_config"]["max_retries"] == attempts - 1


def test_nothing_is_left_to_the_environment(made: dict[str, Any]) -> None:
    engine_of()

    explicit = {"request_payer", "skip_signature", "unsigned_payload"}
    assert {name: made[name] for name in explicit} == dict.fromkeys(explicit, False)
    assert {"endpoint", "region", "credential_provider", "virtual_hosted_style_request"} <= {*made}


class TestProxy:
    """obstore would take one from the environment where it is told of none."""

    @pytest.fixture(autouse=True)
    def _no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)

    def test_without_one_the_buckets_host_has_none(self, made: dict[str, Any]) -> None:
        engine_of(endpoint_url="http://s3.example.com:9000")

        assert made["client_options"]["proxy_excludes"] == "s3.example.com"

    def test_without_one_no_other_host_can_be_reached(self, made: dict[str, Any]) -> None:
        engine_of()

        assert made["client_options"]["proxy_url"] == "http://127.0.0.1:0"

    def test_with_one_a_session_token_is_refused(
        self, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://proxy:3128")

        with pytest.raises(UnsupportedError, match="session token"):
            engine_of(security_token="token")

    def test_botocores_is_every_hosts(
        self, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://proxy:3128")

        engine_of()

        assert made["client_options"]["proxy_url"] == "http://proxy:3128"
        assert made["client_options"]["proxy_excludes"] == ""


def test_certificates_are_read_for_tls_only(made: dict[str, Any]) -> None:
    engine_of(endpoint_url="https://s3.example.com")
    assert b"BEGIN CERTIFICATE" in made["client_options"]["root_certificate"]
    engine_of()

    assert "root_certificate" not in made["client_options"]


def test_certificates_that_can_not_be_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent.pem")

    with pytest.raises(UnsupportedError, match="certificates"):
        engine_of(endpoint_url="https://s3.example.com")


def test_password_of_a_proxy_is_not_in_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:s3cr3t@not a host:x")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    with pytest.raises(UnsupportedError) as caught:
        engine_of()

    assert "s3cr3t" not in str(caught.value)


UNSENDABLE: dict[str, dict[str, Any]] = {
    "ACL": {"ACL": "public-read"},
    "expiry": {"Expires": datetime(2030, 1, 1, tzinfo=timezone.utc)},
    "umlaut": {"ContentDisposition": "ü"},
    "two spaces": {"CacheControl": "a  b"},
    "space at the end": {"CacheControl": "a "},
    "line break": {"CacheControl": "a\nb"},
    "nothing": {"CacheControl": ""},
    "number": {"CacheControl": 1},
    "metadata that is none": {"Metadata": "a"},
    "umlaut in metadata": {"Metadata": {"a": "ü"}},
    "name with a dot": {"Metadata": {"a.b": "c"}},
    **{
        f"metadata named {name}": {"Metadata": {name: "a"}}
        for name in ("Cache-Control", "cachecontrol", "ContentType", "storageclass")
    },
}


@pytest.mark.parametrize("parameters", UNSENDABLE.values(), ids=UNSENDABLE)
@pytest.mark.parametrize("send", ["put", "put_parts"])
def test_what_would_be_sent_otherwise_is_refused(send: str, parameters: dict[str, Any]) -> None:
    engine = engine_of()

    with pytest.raises(UnsupportedError):
        getattr(engine, send)("key", b"x", 1, parameters)

    assert engine.requests == 0


@pytest.mark.parametrize("key", ["a//b", "/a", "a/", "a/./b", "../a", "a\n", "a\x7f", ""])
def test_key_that_is_no_plain_path_is_refused(key: str) -> None:
    engine = engine_of()

    for request in (
        lambda: engine.put(key, b"x", 1, {}),
        lambda: engine.head(key, {}),
        lambda: engine.delete([key]),
        lambda: engine.list_page("static/", key or "/"),
    ):
        with pytest.raises(UnsupportedError):
            request()

    assert engine.requests == 0


@pytest.mark.parametrize(
    "config",
    [TransferConfig(multipart_chunksize=17 * 1024 * 1024), TransferConfig(max_bandwidth=1)],
)
def test_transfer_configuration_that_it_has_not_is_refused(config: TransferConfig) -> None:
    with pytest.raises(UnsupportedError, match="transfer configuration"):
        engine_of(transfer_config=config).put_parts("key", io.BytesIO(b"x"), 1, {})


class TestCredentials:
    def provider(self, lifetime: timedelta) -> Any:
        """Return what gives out credentials that live for some time."""

        def fetch() -> dict[str, str]:
            expires = (datetime.now(timezone.utc) + lifetime).isoformat()
            return {"access_key": "a", "secret_key": "b", "token": "c", "expiry_time": expires}

        credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "test")
        return CredentialProvider(credentials)

    def test_fixed_ones_never_expire(self) -> None:
        given = CredentialProvider(Credentials("a", "b"))()

        assert given["expires_at"] is None

    def test_long_lived_ones_are_asked_for_again_before_botocore_takes_others(self) -> None:
        given = self.provider(timedelta(hours=1))()

        left = given["expires_at"] - datetime.now(timezone.utc)
        assert timedelta(minutes=9) < left <= timedelta(minutes=10)

    def test_short_lived_ones_are_asked_for_each_time(self) -> None:
        given = self.provider(timedelta(minutes=4))()

        assert given["expires_at"] <= datetime.now(timezone.utc)

    def test_where_there_are_none_the_next_requests_are_told_so_at_once(self) -> None:
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
            is_there = False

            def get_frozen_credentials(self) -> ReadOnlyCredentials:
                if not self.is_there:
                    raise CredentialRetrievalError(provider="test", error_msg="no")
                return super().get_frozen_credentials()

        credentials = Late("a", "b")
        provider = CredentialProvider(credentials)
        with pytest.raises(CredentialRetrievalError):
            provider()
        credentials.is_there = True
        monkeypatch.setattr(s3_obstore_setup, "_REFUSED_SECONDS", 0)

        assert provider()["access_key_id"] == "a"
        assert provider.error is None
