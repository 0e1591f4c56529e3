"""What goes with an object: the same as S3Storage sends, on the wire and in the bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.config import Config
from storages.backends.s3 import S3StaticStorage

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import StoredObject
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request
from tests.servers.s3 import S3Server

EXPIRES = datetime(2030, 1, 1, tzinfo=timezone.utc)
CONFIG = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")


def written_with(**parameters: object) -> dict[str, Any]:
    """Return options that write objects with some parameters."""
    return {"object_parameters": parameters}


PARAMETERS: dict[str, dict[str, Any]] = {
    "acl": {"ACL": "public-read"},
    "cache-control": {"CacheControl": "public, max-age=86400"},
    "checksum": {"ChecksumAlgorithm": "SHA256"},
    "disposition": {"ContentDisposition": 'attachment; filename="ü.css"'},
    "encoding": {"ContentEncoding": "identity"},
    "expires": {"Expires": EXPIRES},
    "grant": {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"},
    "language": {"ContentLanguage": "de"},
    "metadata": {"Metadata": {"Owner": "me", "build-id": "a b/c"}},
    "nothing": {},
    "redirect": {"WebsiteRedirectLocation": "/elsewhere"},
    "sse-c": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    "sse-kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
    "sse-s3": {"ServerSideEncryption": "AES256"},
    "storage-class": {"StorageClass": "STANDARD_IA"},
    "tags": {"Tagging": "project=static&stage=live"},
    "type": {"ContentType": "text/x-own; charset=utf-8"},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "ACL": {"default_acl": "public-read"},
    "gzip": {"gzip": True},
    "no checksum": {"client_config": CONFIG},
}


class PerObject(S3StaticStorage):
    """Writes each object with the parameters that its name says."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        # A copy: the storage adds its own to what it gets.
        return {**PARAMETERS[name.partition(".")[0]]}


# They tell of the attempt and the way to it, not of the object.
VOLATILE = {
    "accept",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "host",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
}
# How botocore sends a body, and the checksum of the way there that it adds of its own accord.
OF_BOTOCORE = {
    "accept-encoding",
    "content-encoding",
    "expect",
    "x-amz-checksum-crc32",
    "x-amz-sdk-checksum-algorithm",
}


@pytest.fixture
def other_s3(s3_server: S3Server) -> Iterator[S3Cloud]:
    """Another empty bucket."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("css/a.css", b"a { color: red }")
    static_tree.write("empty.txt", b"")
    return static_tree


def grants(cloud: S3Cloud, key: str) -> Any:
    """Return who may do what with an object."""
    return cloud.client.get_object_acl(Bucket=cloud.name, Key=key)["Grants"]


def tags(cloud: S3Cloud, key: str) -> Any:
    """Return the tags of an object."""
    return cloud.client.get_object_tagging(Bucket=cloud.name, Key=key)["TagSet"]


def sent_headers(cloud: S3Cloud) -> dict[str, Mapping[str, str]]:
    """Return what was sent with each object, by its key."""
    return {
        _key(request): _lasting(request) for request in cloud.requests if request.method == "PUT"
    }


def _key(request: Request) -> str:
    return request.path.split("/", 2)[2]


def _lasting(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in VOLATILE}


def objects(cloud: S3Cloud) -> dict[str, StoredObject]:
    """Return all objects. One that is encrypted by the user's key can't be read without it."""
    keys = {"sse-c.css": PARAMETERS["sse-c"]}
    return {key: cloud.get(key, **keys.get(key, {})) for key in cloud.keys()}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_objects_and_requests_equal_those_of_django(
    s3: S3Cloud,
    other_s3: S3Cloud,
    static_tree: StaticTree,
    collectstatic: CollectStatic,
    options: dict[str, Any],
) -> None:
    # S3 refuses an ACL together with grants.
    for case in PARAMETERS.keys() - ({"grant"} if "default_acl" in options else set()):
        static_tree.write(f"{case}.css", b"a { color: red }")
    backend = f"{__name__}.PerObject"
    collectstatic(s3, backend=backend, options=options)
    collectstatic(other_s3, backend=backend, options=options, disable_collectfasta=True)

    sent, by_django = sent_headers(s3), sent_headers(other_s3)
    assert sent.keys() == by_django.keys()
    for key, headers in sent.items():
        assert headers.items() <= by_django[key].items()
        assert by_django[key].keys() - headers.keys() <= OF_BOTOCORE
    assert objects(s3) == objects(other_s3)
    for key in ("acl.css", "nothing.css"):
        assert grants(s3, key) == grants(other_s3, key)
    assert tags(s3, "tags.css") == tags(other_s3, "tags.css") != []


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Cache-Control": (written_with(CacheControl="a"), written_with(CacheControl="b")),
    "Cache-Control taken away": (written_with(CacheControl="a"), {}),
    "Content-Type": ({}, written_with(ContentType="text/x-own")),
    "metadata": (written_with(Metadata={"a": "b"}), written_with(Metadata={"a": "c"})),
    "ACL": ({}, {"default_acl": "public-read"}),
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
