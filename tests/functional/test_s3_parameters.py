"""What goes with an object: the same as S3Storage sends, on the wire and in the bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.config import Config

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.moto import S3Server
from tests.servers.recorder import Request

EXPIRES = datetime(2030, 1, 1, tzinfo=timezone.utc)
CONFIG = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")


def written_with(**parameters: object) -> dict[str, Any]:
    """Return options that write objects with some parameters."""
    return {"object_parameters": parameters}


CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "Cache-Control": written_with(CacheControl="public, max-age=86400"),
    "Content-Disposition": written_with(ContentDisposition='attachment; filename="ü.css"'),
    "Content-Language": written_with(ContentLanguage="de"),
    "Content-Type": written_with(ContentType="text/x-own; charset=utf-8"),
    "Content-Encoding": written_with(ContentEncoding="identity"),
    "Expires": written_with(Expires=EXPIRES),
    "metadata": written_with(Metadata={"Owner": "me", "build-id": "a b/c"}),
    "ACL by default": {"default_acl": "public-read"},
    "ACL of the object": {"default_acl": "private", **written_with(ACL="public-read")},
    "grant": written_with(GrantRead="uri=http://acs.amazonaws.com/groups/global/AllUsers"),
    "storage class": written_with(StorageClass="STANDARD_IA"),
    "redirect": written_with(WebsiteRedirectLocation="/elsewhere"),
    "tags": written_with(Tagging="project=static&stage=live"),
    "SSE-S3": written_with(ServerSideEncryption="AES256"),
    "SSE-KMS": written_with(ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/static"),
    "SSE-C": written_with(SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32),
    "checksum": written_with(ChecksumAlgorithm="SHA256"),
    "no checksum": {"client_config": CONFIG},
    "gzip": {"gzip": True, **written_with(CacheControl="max-age=1")},
}
# They tell of the attempt and the way to it, not of the object.
VOLATILE = {
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "host",
    "user-agent",
    "x-amz-date",
}


@pytest.fixture
def other_s3(moto: S3Server) -> Iterator[S3Cloud]:
    """Another empty bucket."""
    with S3Cloud(moto) as cloud:
        yield cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("css/a.css", b"a { color: red }")
    static_tree.write("empty", b"")
    return static_tree


def grants(cloud: S3Cloud) -> dict[str, Any]:
    """Return who may do what with each object."""
    client = cloud.client
    return {
        key: client.get_object_acl(Bucket=cloud.name, Key=key)["Grants"] for key in cloud.keys()
    }


def tags(cloud: S3Cloud) -> dict[str, Any]:
    """Return the tags of each object."""
    client = cloud.client
    return {
        key: client.get_object_tagging(Bucket=cloud.name, Key=key)["TagSet"] for key in cloud.keys()
    }


def sent_headers(cloud: S3Cloud) -> dict[str, Mapping[str, str]]:
    """Return what was sent with each object, by its key."""
    return {
        _key(request): _lasting(request) for request in cloud.requests if request.method == "PUT"
    }


def _key(request: Request) -> str:
    return request.path.split("/", 2)[2]


def _lasting(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in VOLATILE}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_objects_and_requests_equal_those_of_django(
    s3: S3Cloud,
    other_s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    options: dict[str, Any],
) -> None:
    collectstatic(s3, options=options)
    collectstatic(other_s3, options=options, disable_collectfasta=True)

    assert sent_headers(s3) == sent_headers(other_s3)
    assert s3.objects() == other_s3.objects()
    assert grants(s3) == grants(other_s3)
    assert tags(s3) == tags(other_s3)


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Cache-Control": (CASES["Cache-Control"], written_with(CacheControl="no-store")),
    "Cache-Control taken away": (CASES["Cache-Control"], CASES["nothing"]),
    "Content-Type": (CASES["nothing"], CASES["Content-Type"]),
    "metadata": (CASES["metadata"], written_with(Metadata={"Owner": "you", "build-id": "a b/c"})),
    "ACL": (CASES["nothing"], CASES["ACL by default"]),
}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_changed_parameters_are_sent_with_a_warm_cache(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    collectstatic(s3, options=before)
    s3.clear_requests()

    collectstatic(s3, options=after)
    assert s3.counts() == {"LIST": 1, "PUT": 2}
    s3.clear_requests()
    collectstatic(s3, options=after)

    assert s3.counts() == {"LIST": 1}


def test_changed_cache_control_is_in_the_bucket_afterwards(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, options=written_with(CacheControl="max-age=1"))
    collectstatic(s3, options=written_with(CacheControl="max-age=2"))

    assert {stored.headers["cache-control"] for stored in s3.objects().values()} == {"max-age=2"}


def test_expiry_that_moves_with_the_time_of_day_is_no_change(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, options=written_with(Expires=EXPIRES))
    s3.clear_requests()

    collectstatic(s3, options=written_with(Expires=EXPIRES.replace(hour=1)))

    assert s3.counts() == {"LIST": 1}
