"""Signatures, permissions and ACLs at a server that checks them, and ETags that say nothing."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from collectfasta.remote import CachedChecksum, RemoteObject, compare
from collectfasta.source import md5_of
from collectfasta.stores.store import leapfrog
from tests.contract.conftest import PART, Sources, Target, in_parts, refusal, send
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import running
from tests.servers.s3 import S3Server

ODD_NAMES = [
    "a b/c  d.css",
    "plus+plus.css",
    "percent%2Fencoded%20.css",
    "hash#hash.css",
    "tilde~tilde.css",
    "question?a=b&c.css",
    unicodedata.normalize("NFC", "é.css"),
    unicodedata.normalize("NFD", "é.css"),
]
READ = ("s3:ListBucket", "s3:GetObject")


@pytest.mark.needs_s3("anonymous requests")
class TestAccessByAnyone:
    @staticmethod
    def read(server: S3Server, target: Target, key: str) -> bytes:
        """Read an object without credentials."""
        config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
        client = boto3.client(
            "s3", endpoint_url=server.endpoint, region_name=server.region, config=config
        )
        try:
            return client.get_object(Bucket=target.recorded.name, Key=key)["Body"].read()
        finally:
            client.close()

    @pytest.mark.needs_s3("ACLs")
    def test_is_given_by_the_acl(self, s3: Target, s3_server: S3Server, sources: Sources) -> None:
        send(s3.store(default_acl="public-read"), sources.write("a.css", b"body"))

        assert self.read(s3_server, s3, "a.css") == b"body"

    def test_is_refused_without_one(
        self, s3: Target, s3_server: S3Server, sources: Sources
    ) -> None:
        send(s3.store(), sources.write("a.css", b"body"))

        with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
            self.read(s3_server, s3, "a.css")


@pytest.mark.needs_s3("accounts")
class TestPermissions:
    @pytest.fixture
    def stranger(self, s3_server: S3Server) -> dict[str, Any]:
        """Options of a storage that logs in to another account than the bucket's."""
        user = s3_server.stranger
        assert user is not None
        return {"access_key": user.access_key, "secret_key": user.secret_key}

    @pytest.fixture
    def allow(self, s3: Target, s3_server: S3Server) -> Callable[..., None]:
        """Gives the other account some permissions on the bucket, and no others."""
        cloud: Any = s3.cloud
        user = s3_server.stranger
        assert user is not None
        name = user.name

        def statement(effect: str, account: str, *actions: str, **more: Any) -> dict[str, Any]:
            return {
                "Effect": effect,
                "Principal": {"AWS": [f"arn:aws:iam:::user/{account}"]},
                "Action": [*actions],
                "Resource": [f"arn:aws:s3:::{cloud.name}", f"arn:aws:s3:::{cloud.name}/*"],
                **more,
            }

        def allow(*actions: str) -> None:
            # What the other account writes is its own: without a policy the tests could not read
            # it.
            owner = cloud.client.list_buckets()["Owner"]["ID"]
            statements = [statement("Allow", owner, "s3:*"), statement("Allow", name, *actions)]
            if "s3:PutObjectAcl" not in actions:
                # Ceph 16 asks for the permission in requests for an ACL alone. In S3 it goes with
                # any ACL: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
                condition = {"StringEquals": {"s3:x-amz-acl": "public-read"}}
                statements.append(statement("Deny", name, "s3:PutObject", Condition=condition))
            policy = {"Version": "2012-10-17", "Statement": statements}
            cloud.client.put_bucket_policy(Bucket=cloud.name, Policy=json.dumps(policy))

        return allow

    @pytest.fixture(autouse=True)
    def _forgotten(self, s3: Target) -> Iterator[None]:
        yield
        cloud: Any = s3.cloud
        cloud.client.delete_bucket_policy(Bucket=cloud.name)

    def test_to_list_is_missing(
        self, s3: Target, stranger: dict[str, Any], allow: Callable[..., None], sources: Sources
    ) -> None:
        s3.cloud.put("a.css", b"a")
        allow("s3:GetObject", "s3:PutObject")
        store = s3.store(**stranger)

        error = refusal(lambda: [*leapfrog(store, ["a.css"])])

        assert error.denied
        assert f"s3:ListBucket on arn:aws:s3:::{s3.recorded.name}." in (error.advice or "")
        assert store.head("a.css").size == 1
        # Whether it is missing can't be known.
        assert store.head("absent.css").version == ""
        send(store, sources.write("b.css", b"b"))
        assert s3.bodies() == {"a.css": b"a", "b.css": b"b"}

    def test_to_write_is_missing(
        self, s3: Target, stranger: dict[str, Any], allow: Callable[..., None], sources: Sources
    ) -> None:
        allow(*READ)

        error = refusal(lambda: send(s3.store(**stranger), sources.write("a.css", b"a")))

        resource = f"arn:aws:s3:::{s3.recorded.name}/*."
        assert error.advice == f"The credentials lack the permission s3:PutObject on {resource}"
        assert s3.cloud.keys() == []

    def test_to_set_an_acl_is_missing(
        self, s3: Target, stranger: dict[str, Any], allow: Callable[..., None], sources: Sources
    ) -> None:
        allow(*READ, "s3:PutObject")
        store = s3.store(**stranger, default_acl="public-read")

        error = refusal(lambda: send(store, sources.write("a.css", b"a")))

        assert "s3:PutObject and s3:PutObjectAcl on" in (error.advice or "")
        assert s3.cloud.keys() == []

    def test_to_delete_is_missing(
        self, s3: Target, stranger: dict[str, Any], allow: Callable[..., None]
    ) -> None:
        s3.cloud.put("static/old.css", b"old")
        allow(*READ, "s3:PutObject")
        store = s3.store(**stranger, location="static")

        error = refusal(lambda: store.delete(["static/old.css"]))

        resource = f"arn:aws:s3:::{s3.recorded.name}/static/"
        assert f"s3:DeleteObject on {resource}" in (error.advice or "")
        assert s3.cloud.keys() == ["static/old.css"]

    def test_wrong_credentials_are_told_apart(self, s3: Target, sources: Sources) -> None:
        for code, options in {
            "SignatureDoesNotMatch": {"secret_key": "not the secret key"},
            "InvalidAccessKeyId": {"access_key": "AKIAUNKNOWN"},
        }.items():
            error = refusal(lambda: [*s3.store(**options).list_all("")])  # noqa: B023 - at once

            name = s3.recorded.name
            assert (error.advice or "").startswith(f"The credentials for the bucket '{name}' at")
            assert f"({code})" in (error.advice or "")

    @pytest.mark.parametrize("acl", [None, "public-read"])
    def test_signatures_of_odd_keys_are_right(
        self, s3: Target, sources: Sources, acl: str | None
    ) -> None:
        location = "a b/+%2F~ü"
        store = s3.store(location=location, default_acl=acl, **in_parts(s3))
        for size in (1, PART):
            for name in ODD_NAMES:
                send(store, sources.write(name, bytes(size)))

            keys = [f"{location}/{name}" for name in ODD_NAMES]
            assert {hit.key for hit in leapfrog(store, keys)} == {*keys}
            assert [store.head(key).size for key in keys] == [size] * len(keys)
            store.delete(keys)
            assert s3.cloud.keys() == []


# Each write gets a random ETag, as under SSE-KMS and SSE-C
# (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html); moto's is the MD5 there too.
OPAQUE_SERVER = """
import sys, uuid
from moto.s3.models import FakeKey
from moto.server import main

etag_of_content = FakeKey.etag.fget

def etag(self):
    if "opaque" not in vars(self):
        _, _, parts = etag_of_content(self).strip('"').partition("-")
        self.opaque = uuid.uuid4().hex + ("-" + parts if parts else "")
    return f'"{self.opaque}"'

FakeKey.etag = property(etag)
main(sys.argv[1:])
"""
ENCRYPTIONS: dict[str, dict[str, Any]] = {
    "KMS": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
    "C": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))},
}


@pytest.fixture(scope="module")
def opaque_bucket() -> Iterator[S3Cloud]:
    """A bucket whose ETags say nothing of the content."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-c", OPAQUE_SERVER, "-p", str(port)]

    with running("moto", command) as url, S3Cloud(S3Server(url)) as cloud:
        yield cloud


@pytest.mark.parametrize("kind", ["s3", "boto3"])
@pytest.mark.parametrize("encryption", ENCRYPTIONS)
def test_etag_that_is_not_an_md5_is_a_version(
    opaque_bucket: S3Cloud, sources: Sources, kind: str, encryption: str
) -> None:
    """It tells nothing of the content, but the cached checksum of this very version does."""
    target = Target(kind, opaque_bucket)
    store = target.store(
        object_parameters={**ENCRYPTIONS[encryption]},
        transfer_config=TransferConfig(multipart_threshold=10_000),
    )
    for name, size in (("small.css", 10), ("parts.bin", 10_000)):
        source = sources.write(name, b"x" * size)

        put = send(store, source)

        (hit,) = leapfrog(store, [name])
        assert hit.listed.version == put.version == store.head(name).version
        remote = RemoteObject.of(name, hit.listed)
        with source.open() as content:
            payload = store.payload(name, content)
            assert not compare(source, payload, remote).same
            content.seek(0)
            cached = CachedChecksum(put.version, md5_of(source), payload.headers_hash)
            assert compare(source, payload, remote.with_cached(cached)).same
            # It says nothing of what was written since.
            stale = replace(remote, version="another").with_cached(cached)
            assert stale.cached is None
    opaque_bucket.empty()
