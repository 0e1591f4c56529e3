"""The address of a bucket: the same as botocore works out, however a storage is configured."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import boto3
import pytest
from storages.backends.s3 import S3Storage

from collectfasta.strategies.s3 import UnsupportedError
from collectfasta.strategies.s3_connection import connection_of

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
REGIONS = [
    None,
    "us-east-1",
    "eu-west-1",
    "us-gov-west-1",
    "cn-north-1",
    "us-isob-east-1",
    "eusc-de-east-1",
    "aws-global",
    "auto",
    "fips-us-east-1",
]
STYLES = [None, "auto", "path", "virtual"]
BUCKETS = ["my-bucket", "my.bucket", "192.168.1.1", "my..bucket"]


class Sent(Exception):
    """Keeps a request from being sent."""


class Botocore:
    """A client that tells where it would send a request, and what it would sign it for."""

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
        self._seen = request.url, request.headers["Authorization"].decode().split("/")[2]
        raise Sent

    def asks(self, bucket: str) -> tuple[str, str]:
        """Return the URL of a request for the object "key", and the region it is signed for."""
        with pytest.raises(Sent):
            self._client.head_object(Bucket=bucket, Key="key")
        return self._seen


@pytest.fixture(scope="module")
def session() -> Iterator[boto3.Session]:
    """One session for all storages: each takes its time to be made."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        session = boto3.Session("a", "b")
        monkeypatch.setattr(S3Storage, "_create_session", lambda _: session)
        yield session


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_url_and_region_are_those_of_botocore(session: boto3.Session, endpoint: str | None) -> None:
    compared = 0
    for region, style in product(REGIONS, STYLES):
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
    assert compared > 50
