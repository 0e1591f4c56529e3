"""Large files: in pieces of the right size, whole, compared by what the service says of them."""

from __future__ import annotations

import hashlib
import random
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from azure.storage.blob import BlobBlock
from boto3.s3.transfer import TransferConfig
from django.core.files.base import File

from collectfasta.remote import RemoteObject, compare
from collectfasta.source import SourceFile
from tests.contract.conftest import PART, REMOTE, Sources, Target, in_parts, send
from tests.servers.recorder import Request
from tests.servers.s3 import is_able

MEGABYTE = 1024 * 1024
NOISE = random.Random(0).randbytes(2 * PART + 1)
# Requests that send a body of fewer bytes than two pieces, of two, and of a byte more.
REQUESTS: dict[str, list[dict[str, int]]] = {
    "s3": [{"PUT": 1}, {"MULTIPART": 4}, {"MULTIPART": 5}],
    # Google's client finds out by an empty chunk that a full one was the last.
    "gcs": [{"UPLOAD": 1}, {"UPLOAD": 4}, {"UPLOAD": 4}],
    "azure": [{"PUT": 1}, {"PUT_BLOCK": 2, "BLOCK_LIST": 1}, {"PUT_BLOCK": 3, "BLOCK_LIST": 1}],
}

pytestmark = pytest.mark.usefixtures("small_pieces")


def is_same(store: Any, source: SourceFile, listed: Any) -> bool | None:
    """Compare a file with what is said of an object."""
    with source.open() as content:
        payload = store.payload(source.name, content)
        return compare(source, payload, RemoteObject.of(source.name, listed)).same


def parts(target: Target) -> list[int]:
    """Return the sizes of the parts that were sent to S3, by their numbers."""
    sent = [
        (_number(request), request.body_size)
        for request in target.cloud.requests
        if "partNumber=" in request.query
    ]
    return [size for _, size in sorted(sent)]


def _number(request: Request) -> int:
    return int(request.query.partition("partNumber=")[2].partition("&")[0])


def put_in_parts(target: Target, key: str, content: bytes, part_size: int) -> None:
    """Store an object on S3 in parts as some other tool would."""
    cloud: Any = target.cloud
    upload: Any = {"Bucket": cloud.name, "Key": key}
    upload["UploadId"] = cloud.client.create_multipart_upload(**upload)["UploadId"]
    etags: list[Any] = []
    for number, start in enumerate(range(0, len(content), part_size), 1):
        body = content[start : start + part_size]
        answer = cloud.client.upload_part(**upload, PartNumber=number, Body=body)
        etags.append({"PartNumber": number, "ETag": answer["ETag"]})
    cloud.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": etags})


def test_file_is_stored_whole_in_pieces_and_recognised(target: Target, sources: Sources) -> None:
    store = target.store(**in_parts(target))
    counts = REQUESTS.get("s3" if target.is_s3 else target.kind, [{}] * 3)
    for size, count in zip((-1, 0, 1), counts, strict=True):
        body = NOISE[: 2 * target.piece + size]
        if size < 0:
            body = NOISE[: target.piece - 1]
        source = sources.write("large.bin", body)
        target.cloud.clear_requests()

        put = send(store, source)

        assert target.cloud.counts() == count
        assert target.cloud.get("large.bin").body == body
        head = store.head("large.bin")
        assert (put.size, head.size) == (len(body), len(body))
        # Not every server says it in the answer that completes an upload in parts.
        assert put.version == head.version or not is_able("ETags of uploads in parts")
        assert is_same(store, source, head)
        for entry in store.list("", "large.bin").entries:
            assert is_same(store, source, entry.listed)
        changed = sources.write("large.bin", body[:-1] + bytes([body[-1] ^ 1]))
        assert not is_same(store, changed, head)
    assert target.unfinished() == []


def test_several_at_once_arrive_whole(target: Target, sources: Sources) -> None:
    contents = {f"{n}.bin": NOISE[n : n + target.piece + n] for n in range(4)}
    files = [sources.write(name, content) for name, content in contents.items()]
    for use_threads in (False, True) if target.is_s3 else (True,):
        store = target.store(**in_parts(target, use_threads=use_threads))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(send, store), files))

        assert target.bodies() == contents
        assert target.unfinished() == []


def test_azure_keeps_the_md5_of_every_blob(azure: Target, sources: Sources) -> None:
    cloud: Any = azure.cloud
    for size in (0, 10, azure.piece, 3 * azure.piece + 1):
        send(azure.store(), sources.write("a.bin", NOISE[:size]))

        settings = cloud.client.get_blob_client("a.bin").get_blob_properties().content_settings
        assert bytes(settings.content_md5).hex() == hashlib.md5(NOISE[:size]).hexdigest()


def test_blob_without_md5_is_unknown(azure: Target, sources: Sources) -> None:
    cloud: Any = azure.cloud
    blob = cloud.client.get_blob_client("a.css")
    blob.stage_block("1", b"body")
    blob.commit_block_list([BlobBlock("1")])
    store = azure.store()

    assert store.head("a.css").checksum is None
    assert is_same(store, sources.write("a.css", b"body"), store.head("a.css")) is None


class TestPartsOfS3:
    SMALL: Any = TransferConfig(multipart_threshold=10_000, multipart_chunksize=PART)

    def test_they_equal_those_of_the_storage_itself(self, s3: Target, sources: Sources) -> None:
        options: dict[str, Any] = {
            "transfer_config": self.SMALL,
            "object_parameters": {"CacheControl": "max-age=60", "Metadata": {"owner": "me"}},
        }
        sizes = {"none.bin": 9_999, "one.bin": 10_000, "two.bin": PART + 1}
        files = [sources.write(name, NOISE[:size]) for name, size in sizes.items()]
        files.append(sources.write("z.css", NOISE[:20_000].hex().encode()))
        for gzip in (False, True):
            storage = s3.storage(**options, gzip=gzip)
            store = s3.store_of(storage)
            for source in files:
                send(store, source)
            ours = s3.cloud.objects(), [s3.cloud.version(key) for key in s3.cloud.keys()]
            for source in files:
                with source.open() as content:
                    storage.save(source.name, File(content))

            assert ours == (s3.cloud.objects(), [s3.cloud.version(key) for key in s3.cloud.keys()])
            assert [etag.strip('"')[32:] for etag in ours[1][:3]] == ["", "-1", "-2"]
            for source in files:
                assert is_same(store, source, store.head(source.name))

    @pytest.mark.parametrize("part_size", [PART, 6 * MEGABYTE + 1])
    def test_they_have_the_size_of_the_transfer_configuration(
        self, s3: Target, sources: Sources, part_size: int
    ) -> None:
        config = TransferConfig(multipart_threshold=part_size, multipart_chunksize=part_size)
        store = s3.store(transfer_config=config)

        send(store, sources.write("large.bin", bytes(2 * part_size + 1)))

        assert parts(s3) == [part_size, part_size, 1]
        assert store.sender == {"s3": "obstore"}.get(s3.kind, s3.kind)
        assert store.requests == len(s3.cloud.requests)

    def test_large_file_below_the_threshold_is_one_request(
        self, s3: Target, sources: Sources
    ) -> None:
        store = s3.store(**in_parts(s3))

        send(store, sources.write("large.bin", NOISE[: PART - 1]))

        assert s3.cloud.counts() == {"PUT": 1}

    def test_object_in_other_parts_is_unknown(self, s3: Target, sources: Sources) -> None:
        # By default the storage sends parts of 8 MiB from 8 MiB on.
        for size, part_size in ((PART + 1, PART), (8 * MEGABYTE + 1, PART + MEGABYTE)):
            source = sources.write("large.bin", bytes(size))
            put_in_parts(s3, "large.bin", bytes(size), part_size)
            store = s3.store()

            assert not is_same(store, source, store.head("large.bin"))

    @pytest.mark.needs_s3("ETags of uploads in parts")
    def test_small_object_in_parts_is_recognised_where_the_parts_are_alike(
        self, s3: Target, sources: Sources
    ) -> None:
        put_in_parts(s3, "small.bin", b"small", PART)
        store = s3.store()

        assert is_same(store, sources.write("small.bin", b"small"), store.head("small.bin"))

    @pytest.mark.parametrize(
        ("size", "part_size"),
        [
            (8 * MEGABYTE * 10_000, 8 * MEGABYTE),
            (8 * MEGABYTE * 10_000 + 1, 16 * MEGABYTE),
            (5 * 1024 * 1024 * MEGABYTE, 1024 * MEGABYTE),
        ],
    )
    def test_they_double_beyond_ten_thousand(self, s3: Target, size: int, part_size: int) -> None:
        assert s3.store().part_size(size) == part_size

    @pytest.mark.parametrize("s3", ["boto3"], indirect=True)
    @pytest.mark.parametrize("use_threads", [False, True])
    def test_they_take_threads_only_where_the_storage_lets_them(
        self, s3: Target, sources: Sources, use_threads: bool
    ) -> None:
        before, during = {*threading.enumerate()}, set[threading.Thread]()
        s3.recorded.recorder.before(
            s3.of_kind("MULTIPART"), lambda _: during.update(threading.enumerate())
        )
        store = s3.store(**in_parts(s3, use_threads=use_threads))

        send(store, sources.write("large.bin", NOISE[:PART]))

        names = {thread.name.partition("-")[0] for thread in during - before}
        assert ("ThreadPoolExecutor" in names) is use_threads

    def test_what_obstore_can_not_send_goes_by_boto3(
        self, combined: Target, sources: Sources
    ) -> None:
        config = TransferConfig(multipart_threshold=PART, max_bandwidth=10**9)
        store = combined.store(transfer_config=config)

        send(store, sources.write("large.bin", NOISE[:PART]))

        assert combined.cloud.get("large.bin").body == NOISE[:PART]
        assert store.sender == "boto3 (the transfer configuration)"


@pytest.mark.slow
@pytest.mark.parametrize("remote", REMOTE, indirect=True)
def test_large_file_is_never_held_in_memory(
    remote: Target, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gcloud._ONE_REQUEST", "gcloud._CHUNK", "azure._ONE_REQUEST"):
        monkeypatch.setattr(f"collectfasta.stores.{name}", 4 * MEGABYTE)
    source = sources.write("large.bin", bytes(48 * MEGABYTE))
    store = remote.store(**in_parts(remote, max_concurrency=2))
    tracemalloc.start()
    try:
        send(store, source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Those of two parts at a time, and of one that waits; the SDKs hold some twice.
    assert peak < 32 * MEGABYTE
    assert store.head("large.bin").size == 48 * MEGABYTE
