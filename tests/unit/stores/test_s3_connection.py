"""How a storage's boto3 client would reach its bucket, and what only boto3 can do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from storages.backends.s3 import S3Storage

from collectfasta.stores.s3.connection import (
    S3Connection,
    UnsupportedError,
    connection_of,
    credentials_of,
    scoped_config,
    secrets_of,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing of the machine's own: no profile, no proxy, no region."""
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    regions = ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION")
    for name in (*proxies, *map(str.upper, proxies), *regions, "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def profile(tmp_path: Path) -> Any:
    """Writes the default profile of the AWS configuration file, which does not exist before."""
    return lambda *lines: (tmp_path / "config").write_text("\n".join(["[default]", *lines]) + "\n")


def connection(*, cls: type[Any] = S3Storage, **options: Any) -> S3Connection:
    keys = {"access_key": "a", "secret_key": "b"}
    defaults = {"bucket_name": "my-bucket", "region_name": "eu-west-1", **keys}
    return connection_of(cls(**{**defaults, **options}))


class OwnConnection(S3Storage):
    @property
    def connection(self) -> Any:
        return super().connection


class OwnBucket(S3Storage):
    @property
    def bucket(self) -> Any:
        return super().bucket


class OwnSession(S3Storage):
    def _create_session(self) -> Any:
        return super()._create_session()


class Renamed(S3Storage):
    """Changes nothing that matters."""

    def url(self, *_: Any, **__: Any) -> str:
        return "/"


def config(**options: Any) -> dict[str, Any]:
    return {"client_config": Config(**options)}


OBSTACLES: list[tuple[dict[str, Any], str]] = [
    ({"cls": OwnConnection}, "OwnConnection has a connection of its own"),
    ({"cls": OwnBucket}, "OwnBucket has a bucket of its own"),
    ({"cls": OwnSession}, "OwnSession has a _create_session of its own"),
    ({"bucket_name": None}, "the kind of bucket"),
    ({"bucket_name": "point-abc-s3alias"}, "the kind of bucket"),
    ({"bucket_name": "b--use1-az4--x-s3"}, "the kind of bucket"),
    ({"bucket_name": "arn:aws:s3:eu-west-1:123456789012:accesspoint/a"}, "the kind of bucket"),
    ({"bucket_name": "My-Bucket"}, "the kind of bucket"),
    ({"verify": False}, "verify"),
    ({"verify": "/ca.pem"}, "verify"),
    ({"use_ssl": False}, "use_ssl"),
    ({"proxies": {"https": "http://proxy"}}, "proxies in the client's"),
    ({"signature_version": "s3"}, "signature_version in the client's"),
    ({"signature_version": UNSIGNED}, "signature_version in the client's"),
    (config(s3={"use_accelerate_endpoint": True}), "s3.use_accelerate_endpoint in the client's"),
    (config(s3={"payload_signing_enabled": True}), "s3.payload_signing_enabled in the client's"),
    (config(use_dualstack_endpoint=True), "use_dualstack_endpoint in the client's"),
    (config(use_fips_endpoint=True), "use_fips_endpoint in the"),
    (config(client_cert="/cert"), "client_cert in"),
    (config(connect_timeout=None), "connect_timeout in"),
    ({"endpoint_url": "https://host/path"}, "the kind of endpoint"),
    ({"endpoint_url": "https://host?a=b"}, "the kind of endpoint"),
    ({"endpoint_url": "https://user:pass@host"}, "the kind of endpoint"),
    ({"endpoint_url": "https://s3-accelerate.amazonaws.com"}, "the kind of endpoint"),
    ({"endpoint_url": "ftp://host"}, "the kind of endpoint"),
    (
        {"endpoint_url": "http://127.0.0.1:9000", "addressing_style": "virtual"},
        "the addressing style",
    ),
    ({"region_name": "cn-north-1"}, "the region cn-north-1"),
    ({"region_name": "us-iso-east-1"}, "the region us-iso-east-1"),
    ({"region_name": "no region"}, "the name of the region"),
    ({"region_name": "aws-global"}, "the name of the region"),
    ({"region_name": "fips-us-east-1"}, "the name of the region"),
    ({"access_key": None, "secret_key": None}, "no credentials"),
]


def test_what_only_boto3_can_do_is_refused() -> None:
    for options, reason in OBSTACLES:
        with pytest.raises(UnsupportedError) as caught:
            connection(**options)
        assert reason in str(caught.value), options


def test_variable_that_changes_requests_is_refused(environment: pytest.MonkeyPatch) -> None:
    names = """AUTH_SCHEME_PREFERENCE CHECKSUM_ALGORITHM DATA_PATH DEFAULTS_MODE ENDPOINT
        ENDPOINT_URL ENDPOINT_URL_S3 REQUEST_CHECKSUM_CALCULATION S3_EXPRESS
        S3_US_EAST_1_REGIONAL_ENDPOINT SERVER_SIDE_ENCRYPTION SSE_KMS_KEY_ID
        USE_DUALSTACK_ENDPOINT USE_FIPS_ENDPOINT"""
    for name in (f"AWS_{each}" for each in names.split()):
        with environment.context() as context:
            context.setenv(name, "x")
            with pytest.raises(UnsupportedError, match=f"^{name} in the environment"):
                connection()


def test_option_of_a_profile_that_may_matter_is_refused(profile: Any) -> None:
    for name in [
        "ca_bundle",
        "endpoint_url",
        "proxy",
        "s3",
        "services",
        "unheard_of",
        "use_fips_endpoint",
    ]:
        profile(f"{name} =", "  a = b")
        with pytest.raises(UnsupportedError, match=f"^{name} in the AWS configuration file"):
            connection()


def test_profile_of_credentials_is_not_an_obstacle(profile: Any) -> None:
    profile(
        "region = us-west-2\noutput = json\nretry_mode = standard",
        "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = other",
        "sso_start_url = https://sso\ncli_pager =",
        "[profile other]\nendpoint_url = http://other",
    )

    assert connection().region == "eu-west-1"


def test_what_leaves_the_requests_as_they_are_is_not_an_obstacle() -> None:
    harmless: list[dict[str, Any]] = [
        {"cls": Renamed},
        {"signature_version": "s3v4"},
        config(request_checksum_calculation="when_required"),
        config(max_pool_connections=50, user_agent_extra="deploy"),
    ]
    for options in harmless:
        assert connection(**options).url == "https://my-bucket.s3.eu-west-1.amazonaws.com"


def test_region_is_the_storages_then_the_configurations_then_that_of_the_environment(
    environment: pytest.MonkeyPatch, profile: Any
) -> None:
    nowhere = connection(region_name=None)
    assert (nowhere.region, nowhere.url) == ("us-east-1", "https://my-bucket.s3.amazonaws.com")
    profile("region = us-west-2")
    assert connection(region_name=None).region == "us-west-2"
    environment.setenv("AWS_DEFAULT_REGION", "us-west-1")
    assert connection(region_name=None).region == "us-west-1"
    configured = config(region_name="ca-west-1")
    assert connection(region_name=None, **configured).region == "ca-west-1"
    assert connection(**configured).region == "eu-west-1"


def test_attempts_are_counted_as_botocore_counts_them(
    environment: pytest.MonkeyPatch, profile: Any
) -> None:
    assert connection().attempts == 5
    profile("max_attempts = 3")
    assert connection().attempts == 3
    environment.setenv("AWS_MAX_ATTEMPTS", "2")
    assert connection().attempts == 2
    configured: list[tuple[dict[str, Any], int]] = [
        ({"total_max_attempts": 1}, 1),
        ({"max_attempts": 0}, 1),
        ({"max_attempts": 3}, 4),
        ({"mode": "adaptive", "total_max_attempts": 7}, 7),
    ]
    for retries, attempts in configured:
        assert connection(**config(retries=retries)).attempts == attempts


def test_certificates_are_botocores_or_those_that_the_environment_names(
    environment: pytest.MonkeyPatch,
) -> None:
    assert Path(connection().ca_bundle).name == "cacert.pem"
    environment.setenv("REQUESTS_CA_BUNDLE", "/ca.pem")
    assert connection().ca_bundle == "/ca.pem"
    environment.setenv("AWS_CA_BUNDLE", "/aws.pem")
    assert connection().ca_bundle == "/aws.pem"


def test_proxy_is_the_one_that_botocore_would_take(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("all_proxy", "http://all:1")
    assert connection().proxy is None
    environment.setenv("http_proxy", "http://other")
    environment.setenv("https_proxy", "proxy:3128")
    assert connection().proxy == "http://proxy:3128"
    for excluded in ("amazonaws.com", "s3.eu-west-1.amazonaws.com", "*"):
        environment.setenv("no_proxy", excluded)
        assert connection().proxy is None, excluded


def test_secrets_are_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("https_proxy", "http://user:s3cr3t@proxy")

    assert "s3cr3t" not in repr(connection(secret_key="s3cr3t"))


def test_timeouts_are_the_storages() -> None:
    found = connection(**config(connect_timeout=7, read_timeout=8))

    assert (found.connect_timeout, found.read_timeout) == (7, 8)


def test_private_name_for_what_a_client_signs_with_is_botocores() -> None:
    client = boto3.Session("a", "s3cr3t").client("s3", "eu-west-1")

    assert secrets_of(credentials_of(client)) == ["s3cr3t"]


def test_private_name_for_a_profile_is_boto3s(profile: Any) -> None:
    profile("max_attempts = 3")

    assert scoped_config(boto3.Session()) == {"max_attempts": "3"}


def test_secrets_are_read_without_refreshing_them() -> None:
    def refresh() -> Any:
        raise AssertionError

    expired = {"access_key": "a", "secret_key": "s", "token": "t", "expiry_time": "2020-01-01"}
    expired["expiry_time"] += "T00:00:00Z"
    credentials = RefreshableCredentials.create_from_metadata(expired, refresh, "test")

    assert secrets_of(credentials) == ["s", "t"]
    assert secrets_of(None) == []


ENDPOINTS = [
    None,
    "http://127.0.0.1:9000",
    "https://[::1]:9000",
    "https://10.0.0.1",
    "https://s3.example.com",
    "https://s3.example.com/",
    "http://s3.example.com:80",
    "https://account.r2.cloudflarestorage.com",
    "https://s3.eu-west-1.amazonaws.com",
    "https://bucket.vpce-1-abc.s3.us-east-1.vpce.amazonaws.com",
]
REGIONS = """us-east-1 eu-west-1 us-gov-west-1 cn-north-1 us-isob-east-1 eusc-de-east-1 aws-global
    auto fips-us-east-1"""
# A URL that is given is the same in all regions, which only sign: a plain one, and odd ones.
FEW_REGIONS = "eu-west-1 aws-global auto"
STYLES = ["auto", "path", "virtual"]
BUCKETS = ["my-bucket", "my.bucket", "192.168.1.1", "my..bucket"]


class Sent(Exception):
    """Keeps a request from being sent."""


class Botocore:
    """A client that says where it would send a request, and what it would sign it for."""

    def __init__(self, session: boto3.Session, storage: S3Storage) -> None:
        self._seen = "", ""
        self._client = session.client(
            "s3",
            region_name=storage.region_name,
            endpoint_url=storage.endpoint_url,
            config=storage.client_config,
        )
        self._client.meta.events.register("before-send.s3", self._see)

    def _see(self, request: Any, **_: object) -> None:
        signed = request.headers["Authorization"]
        signed = signed.decode() if isinstance(signed, bytes) else signed
        self._seen = request.url, signed.split("/")[2]
        raise Sent

    def asks(self, bucket: str) -> tuple[str, str]:
        """Return the URL of a request for the object "key", and the region it is signed for."""
        with pytest.raises(Sent):
            self._client.head_object(Bucket=bucket, Key="key")
        return self._seen


@pytest.fixture
def session() -> Iterator[boto3.Session]:
    """One session for all storages: each takes its time to be made."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        session = boto3.Session("a", "b")
        monkeypatch.setattr(S3Storage, "_create_session", lambda _: session)
        yield session


def test_url_and_region_are_those_of_botocore(
    session: boto3.Session, subtests: pytest.Subtests
) -> None:
    for endpoint in ENDPOINTS:
        with subtests.test(endpoint=endpoint):
            compare_with_botocore(session, endpoint)


def compare_with_botocore(session: boto3.Session, endpoint: str | None) -> None:
    compared = 0
    regions = FEW_REGIONS if endpoint else REGIONS
    for region, style in product([None, *regions.split()], STYLES):
        client: Botocore | None = None
        for bucket in BUCKETS:
            storage = S3Storage(
                bucket_name=bucket,
                endpoint_url=endpoint,
                region_name=region,
                addressing_style=style,
            )
            try:
                ours = connection_of(storage)
            except UnsupportedError:
                continue
            path = "" if ours.is_virtual_hosted else f"/{bucket}"
            client = client or Botocore(session, storage)
            asked = f"{ours.url}{path}/key", ours.region
            assert asked == client.asks(bucket), (region, style, bucket)
            compared += 1
    # Not all of them are refused.
    assert compared > (15 if endpoint else 35)
