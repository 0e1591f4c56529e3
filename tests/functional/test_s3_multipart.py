"""Files that are sent in parts, and ETags that were made of parts."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.management import CommandError
from storages.backends.s3 import S3Storage

from collectfasta.stores.s3.store import S3Store
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

MEGABYTE = 1024 * 1024
# The smallest parts that S3 takes.
PART = 5 * MEGABYTE
CONTENT = random.Random(0).randbytes(PART + 1)
OPTIONS = {
    "transfer_config": TransferConfig(multipart_threshold=10_000, multipart_chunksize=PART),
    "object_parameters": {"CacheControl": "max-age=60", "Metadata": {"owner": "me"}},
}


@pytest.fixture
def other_s3(s3_server: S3Server) -> Iterator[S3Cloud]:
    """Another empty bucket."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    """Files of two parts, of one part, and of no parts."""
    static_tree.write("two.bin", CONTENT)
    static_tree.write("one.bin", CONTENT[:10_000])
    static_tree.write("none.bin", CONTENT[:9_999])
    return static_tree


def put_in_parts(cloud: S3Cloud, key: str, content: bytes, part_size: int) -> None:
    """Store an object in parts as some other tool would."""
    upload: Any = {"Bucket": cloud.name, "Key": key}
    upload["UploadId"] = cloud.client.create_multipart_upload(**upload)["UploadId"]
    parts: list[Any] = []
    for number, start in enumerate(range(0, len(content), part_size), 1):
        body = content[start : start + part_size]
        answer = cloud.client.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    cloud.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


@pytest.mark.parametrize("threads", [0, 8])
def test_bucket_equals_the_one_of_django_down_to_the_parts(
    s3: S3Cloud, other_s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(s3, options=OPTIONS, threads=threads)
    collectstatic(other_s3, options=OPTIONS, disable_collectfasta=True)

    assert s3.objects() == other_s3.objects()
    etags = {key: s3.version(key) for key in s3.keys()}
    assert etags == {key: other_s3.version(key) for key in s3.keys()}
    assert [etag.strip('"')[32:] for etag in etags.values()] == ["", "-1", "-2"]


def test_compressed_file_is_sent_as_django_would(
    s3: S3Cloud, other_s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.css", CONTENT[:20_000].hex().encode())
    options = {**OPTIONS, "gzip": True}
    collectstatic(s3, options=options)
    collectstatic(other_s3, options=options, disable_collectfasta=True)

    assert s3.objects() == other_s3.objects()
    assert s3.version("a.css") == other_s3.version("a.css")
    assert s3.counts()["MULTIPART"]


def test_nothing_is_sent_again_with_a_warm_cache(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, options=OPTIONS)
    s3.clear_requests()

    collectstatic(s3, options=OPTIONS)

    assert s3.counts() == {"LIST": 1}


@pytest.mark.parametrize("gzip", [False, True])
def test_nothing_is_sent_again_with_a_cold_cache(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, gzip: bool
) -> None:
    tree.write("a.css", CONTENT[:20_000].hex().encode())
    options = {**OPTIONS, "gzip": gzip}
    collectstatic(s3, options=options, disable_collectfasta=True)
    s3.clear_requests()

    collectstatic(s3, options=options)

    assert s3.counts() == {"LIST": 1}


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
def test_changed_content_of_the_same_size_is_sent(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, is_warm: bool
) -> None:
    collectstatic(s3, options=OPTIONS, disable_collectfasta=not is_warm)
    s3.clear_requests()
    changed = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    tree.write("two.bin", changed)

    collectstatic(s3, options=OPTIONS)

    assert s3.get("two.bin").body == changed
    # One request to begin, one for each part, one to end.
    assert s3.counts() == {"LIST": 1, "MULTIPART": 4}


@pytest.mark.parametrize(
    ("size", "part_size", "sent"),
    [
        (PART + 1, PART, {"LIST": 1, "PUT": 1}),
        (8 * MEGABYTE + 1, PART + MEGABYTE, {"LIST": 1, "MULTIPART": 4}),
    ],
    ids=["more parts", "as many other parts"],
)
def test_object_in_parts_of_another_size_is_sent_once(
    s3: S3Cloud,
    static_tree: StaticTree,
    collectstatic: CollectStatic,
    size: int,
    part_size: int,
    sent: dict[str, int],
) -> None:
    # By default the storage sends parts of 8 MiB from 8 MiB on.
    static_tree.write("large.bin", bytes(size))
    put_in_parts(s3, "large.bin", bytes(size), part_size)

    collectstatic(s3)
    assert s3.counts() == sent
    s3.clear_requests()
    collectstatic(s3)

    assert s3.counts() == {"LIST": 1}


def test_small_object_in_parts_is_recognised_where_the_parts_are_alike(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("small.bin", b"small")
    put_in_parts(s3, "small.bin", b"small", PART)

    collectstatic(s3)

    assert s3.counts() == {"LIST": 1}


def test_upload_that_fails_is_aborted(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    s3.recorder.fail(lambda request: "partNumber=2" in request.query, 400)

    with pytest.raises(CommandError, match=r"'two\.bin'"):
        collectstatic(s3, options=OPTIONS)

    assert s3.keys() == ["none.bin", "one.bin"]
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=s3.name)


@pytest.mark.parametrize("use_threads", [False, True])
def test_parts_take_threads_of_their_own_only_where_the_storage_lets_them(
    s3_boto3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, use_threads: bool
) -> None:
    static_tree.write("one.bin", CONTENT[:10_000])
    config = TransferConfig(multipart_threshold=10_000, use_threads=use_threads)
    before, meanwhile = {*threading.enumerate()}, set[threading.Thread]()
    s3_boto3.recorder.before(
        lambda request: s3_boto3.kind(request) == "MULTIPART",
        lambda _: meanwhile.update(threading.enumerate()),
    )

    collectstatic(s3_boto3, options={"transfer_config": config}, threads=0)

    names = {thread.name.partition("-")[0] for thread in meanwhile - before}
    assert ("ThreadPoolExecutor" in names) is use_threads


@pytest.mark.parametrize(
    ("size", "part_size"),
    [
        (8 * MEGABYTE * 10_000, 8 * MEGABYTE),
        (8 * MEGABYTE * 10_000 + 1, 16 * MEGABYTE),
        (5 * 1024 * 1024 * MEGABYTE, 1024 * MEGABYTE),
    ],
)
def test_parts_double_beyond_ten_thousand(size: int, part_size: int) -> None:
    assert S3Store(S3Storage(bucket_name="bucket")).part_size(size) == part_size
