"""How a storage's boto3 client would reach its bucket, and what only boto3 can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from storages.backends.s3 import S3Storage

from collectfasta.strategies.s3 import UnsupportedError
from collectfasta.strategies.s3_connection import S3Connection, connection_of

KEYS = {"access_key": "a", "secret_key": "b"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing of the machine's own: no profile, no proxy, no region."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The AWS configuration file, which is not there yet."""
    return tmp_path / "config"


def storage_of(*, cls: type[Any] = S3Storage, **options: Any) -> Any:
    return cls(**{"bucket_name": "my-bucket", "region_name": "eu-west-1", **KEYS, **options})


def connection(**options: Any) -> S3Connection:
    return connection_of(storage_of(**options))


class OwnConnection(S3Storage):
    @property
    def connection(self) -> Any:
        return super().connection


class OwnSession(S3Storage):
    def _create_session(self) -> Any:
        return super()._create_session()


class Renamed(S3Storage):
    """Changes nothing that matters."""

    def url(self, *_: Any, **__: Any) -> str:
        return "/"


OBSTACLES: dict[str, tuple[dict[str, Any], str]] = {
    "connection": ({"cls": OwnConnection}, "OwnConnection has a connection of its own"),
    "session": ({"cls": OwnSession}, "OwnSession has a _create_session of its own"),
    "no bucket": ({"bucket_name": None}, "the kind of bucket"),
    "alias": ({"bucket_name": "point-abc-s3alias"}, "the kind of bucket"),
    "directory bucket": ({"bucket_name": "b--use1-az4--x-s3"}, "the kind of bucket"),
    "ARN": (
        {"bucket_name": "arn:aws:s3:eu-west-1:123456789012:accesspoint/a"},
        "the kind of bucket",
    ),
    "capitals": ({"bucket_name": "My-Bucket"}, "the kind of bucket"),
    "no verification": ({"verify": False}, "verify"),
    "own certificates": ({"verify": "/ca.pem"}, "verify"),
    "no TLS": ({"use_ssl": False}, "use_ssl"),
    "proxies": ({"proxies": {"https": "http://proxy"}}, "proxies in the client's"),
    "old signature": ({"signature_version": "s3"}, "signature_version in the client's"),
    "no signature": ({"signature_version": UNSIGNED}, "signature_version in the client's"),
    "accelerate": (
        {"client_config": Config(s3={"use_accelerate_endpoint": True})},
        "s3.use_accelerate_endpoint in the client's",
    ),
    "dual stack": (
        {"client_config": Config(use_dualstack_endpoint=True)},
        "use_dualstack_endpoint in the client's",
    ),
    "FIPS": ({"client_config": Config(use_fips_endpoint=True)}, "use_fips_endpoint in the"),
    "payload": (
        {"client_config": Config(s3={"payload_signing_enabled": True})},
        "s3.payload_signing_enabled in the client's",
    ),
    "client certificate": ({"client_config": Config(client_cert="/cert")}, "client_cert in"),
    "no timeout": ({"client_config": Config(connect_timeout=None)}, "connect_timeout in"),
    "path": ({"endpoint_url": "https://host/path"}, "the kind of endpoint"),
    "query": ({"endpoint_url": "https://host?a=b"}, "the kind of endpoint"),
    "user": ({"endpoint_url": "https://user:pass@host"}, "the kind of endpoint"),
    "acceleration": ({"endpoint_url": "https://s3-accelerate.amazonaws.com"}, "the kind of"),
    "scheme": ({"endpoint_url": "ftp://host"}, "the kind of endpoint"),
    "China": ({"region_name": "cn-north-1"}, "the region cn-north-1"),
    "isolated": ({"region_name": "us-iso-east-1"}, "the region us-iso-east-1"),
    "no region": ({"region_name": "no region"}, "the name of the region"),
    "pseudo region": ({"region_name": "aws-global"}, "the name of the region"),
    "FIPS region": ({"region_name": "fips-us-east-1"}, "the name of the region"),
    "address with a bucket before it": (
        {"endpoint_url": "http://127.0.0.1:9000", "addressing_style": "virtual"},
        "the addressing style",
    ),
    "no credentials": ({"access_key": None, "secret_key": None}, "no credentials"),
}


@pytest.mark.parametrize(("options", "reason"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_only_boto3_can_do_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        connection(**options)


@pytest.mark.parametrize(
    "name",
    [
        "AWS_AUTH_SCHEME_PREFERENCE",
        "AWS_CHECKSUM_ALGORITHM",
        "AWS_DATA_PATH",
        "AWS_DEFAULTS_MODE",
        "AWS_ENDPOINT",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_S3_EXPRESS",
        "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
        "AWS_SERVER_SIDE_ENCRYPTION",
        "AWS_SSE_KMS_KEY_ID",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
    ],
)
def test_variable_that_changes_requests_is_refused(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(name, "x")

    with pytest.raises(UnsupportedError, match=f"{name} in the environment"):
        connection()


@pytest.mark.parametrize(
    "name",
    ["ca_bundle", "endpoint_url", "proxy", "s3", "services", "unheard_of", "use_fips_endpoint"],
)
def test_option_of_a_profile_that_is_not_known_to_be_harmless_is_refused(
    config_file: Path, name: str
) -> None:
    config_file.write_text(f"[default]\n{name} = \n  a = b\n")

    with pytest.raises(UnsupportedError, match=f"{name} in the AWS configuration file"):
        connection()


def test_profile_of_credentials_is_no_obstacle(config_file: Path) -> None:
    config_file.write_text(
        "[default]\nregion = us-west-2\noutput = json\nretry_mode = standard\n"
        "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = other\n"
        "sso_start_url = https://sso\ncli_pager =\n[profile other]\nendpoint_url = http://other\n"
    )

    assert connection().region == "eu-west-1"


@pytest.mark.parametrize(
    "options",
    [
        {"cls": Renamed},
        {"signature_version": "s3v4"},
        {"client_config": Config(request_checksum_calculation="when_required")},
        {"client_config": Config(max_pool_connections=50, user_agent_extra="deploy")},
    ],
)
def test_what_leaves_the_requests_as_they_are_is_no_obstacle(options: dict[str, Any]) -> None:
    assert connection(**options).url == "https://my-bucket.s3.eu-west-1.amazonaws.com"


class TestRegion:
    def test_storages_own_comes_first(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AWS_DEFAULT_REGION", "us-west-1")
        config = Config(region_name="us-west-2")

        assert connection(client_config=config).region == "eu-west-1"

    def test_client_configuration_comes_second(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AWS_DEFAULT_REGION", "us-west-1")
        config = Config(region_name="us-west-2")

        assert connection(client_config=config, region_name=None).region == "us-west-2"

    def test_environment_comes_before_the_profile(
        self, environment: pytest.MonkeyPatch, config_file: Path
    ) -> None:
        environment.setenv("AWS_DEFAULT_REGION", "us-west-1")
        config_file.write_text("[default]\nregion = us-west-2\n")

        assert connection(region_name=None).region == "us-west-1"

    def test_profile_counts(self, config_file: Path) -> None:
        config_file.write_text("[default]\nregion = us-west-2\n")

        assert connection(region_name=None).region == "us-west-2"

    def test_without_one_it_is_that_of_the_global_endpoint(self) -> None:
        found = connection(region_name=None)

        assert (found.region, found.url) == ("us-east-1", "https://my-bucket.s3.amazonaws.com")


class TestAttempts:
    @pytest.mark.parametrize(
        ("retries", "attempts"),
        [
            (None, 5),
            ({"total_max_attempts": 1}, 1),
            ({"max_attempts": 0}, 1),
            ({"max_attempts": 3}, 4),
            ({"mode": "adaptive", "total_max_attempts": 7}, 7),
        ],
    )
    def test_client_configuration_counts(self, retries: Any, attempts: int) -> None:
        assert connection(client_config=Config(retries=retries)).attempts == attempts

    def test_environment_counts(self, environment: pytest.MonkeyPatch, config_file: Path) -> None:
        config_file.write_text("[default]\nmax_attempts = 3\n")
        environment.setenv("AWS_MAX_ATTEMPTS", "2")

        assert connection().attempts == 2

    def test_profile_counts(self, config_file: Path) -> None:
        config_file.write_text("[default]\nmax_attempts = 3\n")

        assert connection().attempts == 3


class TestTrust:
    def test_certificates_are_those_of_botocore(self) -> None:
        assert Path(connection().ca_bundle).name == "cacert.pem"

    @pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
    def test_environment_names_others(self, environment: pytest.MonkeyPatch, name: str) -> None:
        environment.setenv(name, "/ca.pem")

        assert connection().ca_bundle == "/ca.pem"

    def test_variable_for_aws_comes_first(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AWS_CA_BUNDLE", "/aws.pem")
        environment.setenv("REQUESTS_CA_BUNDLE", "/ca.pem")

        assert connection().ca_bundle == "/aws.pem"


class TestProxy:
    def test_there_is_none_by_default(self) -> None:
        assert connection().proxy is None

    def test_variable_for_the_scheme_names_it(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("https_proxy", "proxy:3128")
        environment.setenv("http_proxy", "http://other")

        assert connection().proxy == "http://proxy:3128"

    def test_variable_for_all_schemes_does_not(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("all_proxy", "http://proxy:3128")

        assert connection().proxy is None

    @pytest.mark.parametrize("excluded", ["amazonaws.com", "s3.eu-west-1.amazonaws.com", "*"])
    def test_hosts_without_a_proxy_have_none(
        self, environment: pytest.MonkeyPatch, excluded: str
    ) -> None:
        environment.setenv("https_proxy", "http://proxy:3128")
        environment.setenv("no_proxy", excluded)

        assert connection().proxy is None


def test_secrets_are_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("https_proxy", "http://user:s3cr3t@proxy")

    assert "s3cr3t" not in repr(connection(secret_key="s3cr3t"))


def test_timeout_is_the_storages() -> None:
    assert connection(client_config=Config(connect_timeout=7)).connect_timeout == 7
