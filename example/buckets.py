"""Say in what two buckets differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Facts = Mapping[str, object]

# What S3 keeps of an object beside its bytes and gives to whoever fetches it. The ETag is not in
# it: it may tell the size of the parts in which the same bytes were sent.
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentLength",
    "ContentType",
    "ExpiresString",
    "Metadata",
    "ServerSideEncryption",
    "StorageClass",
    "WebsiteRedirectLocation",
)
_PIECE = 1024 * 1024


def keys(client: S3Client, bucket: str) -> list[str]:
    """Return the keys of all objects in a bucket."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


def differences(client: S3Client, one: str, other: str) -> Iterator[str]:
    """Fetch every object of two buckets and yield a line for each in which they differ.

    Compared are the bytes, by MD5, and the headers and metadata.
    """
    ones, others = set(keys(client, one)), set(keys(client, other))
    for key in sorted(ones | others):
        if key not in others:
            yield f"{key}: only in {one}"
        elif key not in ones:
            yield f"{key}: only in {other}"
        else:
            yield from _differences(key, _facts(client, one, key), _facts(client, other, key))


def _facts(client: S3Client, bucket: str, key: str) -> Facts:
    answer = client.get_object(Bucket=bucket, Key=key)
    digest = hashlib.md5(usedforsecurity=False)
    for piece in answer["Body"].iter_chunks(_PIECE):
        digest.update(piece)
    return {"MD5": digest.hexdigest(), **{name: answer.get(name) for name in _HEADERS}}


def _differences(key: str, one: Facts, other: Facts) -> Iterator[str]:
    for name, value in one.items():
        if value != other[name]:
            yield f"{key}: {name} is {value!r} and {other[name]!r}"
