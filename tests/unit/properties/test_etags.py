"""Multipart ETags: those that S3 makes, of the parts that the storage's configuration makes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

from boto3.s3.transfer import TransferConfig
from hypothesis import example, given
from hypothesis import strategies as st
from storages.backends.s3 import S3Storage

from collectfasta.checksums import Checksum, md5_of_parts
from collectfasta.stores.s3.store import S3Store

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MEGABYTE = 1024**2
SMALLEST_PART, LARGEST_PART, MOST_PARTS = 5 * MEGABYTE, 5 * 1024**3, 10_000
LARGEST_OBJECT = 5 * 1024**4


def store_of(chunk_size: int) -> S3Store:
    config = TransferConfig(multipart_chunksize=chunk_size)
    return S3Store(S3Storage(bucket_name="bucket", transfer_config=config))


sizes = st.integers(0, LARGEST_OBJECT) | st.integers(0, 100 * MEGABYTE)
chunk_sizes = st.integers(1, LARGEST_PART + MEGABYTE) | st.sampled_from(
    [1, SMALLEST_PART, 8 * MEGABYTE, 16 * MEGABYTE, LARGEST_PART]
)


class Uneven(io.BytesIO):
    """A file whose reads give as little as they are told to."""

    def __init__(self, content: bytes, reads: Sequence[int]) -> None:
        super().__init__(content)
        self._reads = iter(reads)

    def read(self, size: int | None = -1) -> bytes:
        most = next(self._reads, None)
        return super().read(size if most is None else most)


def etag_of(parts: Sequence[bytes]) -> str:
    """Return the ETag of an upload in these parts, as S3 defines it."""
    digest = hashlib.md5()
    for part in parts:
        digest.update(hashlib.md5(part).digest())
    return f"{digest.hexdigest()}-{len(parts)}"


@given(
    st.integers(1, 20).flatmap(
        lambda size: st.tuples(
            st.lists(st.binary(min_size=size, max_size=size), max_size=6),
            st.binary(min_size=1, max_size=size),
        )
    ),
    st.lists(st.integers(1, 30)),
)
def test_an_upload_in_parts_has_its_etag_however_it_is_read(
    upload: tuple[list[bytes], bytes], reads: list[int]
) -> None:
    full, last = upload
    parts = [*full, last]
    size = len(parts[0])
    expected = etag_of(parts if full else [last])
    assert md5_of_parts(Uneven(b"".join(parts), reads), size) == expected


@given(chunk_sizes, sizes)
@example(8 * MEGABYTE, MOST_PARTS * 8 * MEGABYTE)
@example(8 * MEGABYTE, MOST_PARTS * 8 * MEGABYTE + 1)
@example(1, LARGEST_OBJECT)
def test_parts_are_as_configured_unless_s3_would_refuse_them(chunk_size: int, size: int) -> None:
    made = store_of(chunk_size).part_size(size)
    assert SMALLEST_PART <= made <= LARGEST_PART
    assert -(-size // made) <= MOST_PARTS
    if SMALLEST_PART <= chunk_size <= LARGEST_PART and -(-size // chunk_size) <= MOST_PARTS:
        assert made == chunk_size


hexadecimal = st.binary(min_size=16, max_size=16).map(bytes.hex)


def checksum_of(etag: str, size: int, chunk_size: int) -> Checksum | None:
    return store_of(chunk_size).listed(etag, size).checksum


@given(hexadecimal, sizes, chunk_sizes, st.integers(-2, 2))
def test_an_etag_counts_if_its_parts_are_as_many_as_the_storage_would_send(
    digest: str, size: int, chunk_size: int, off: int
) -> None:
    parts = -(-size // store_of(chunk_size).part_size(size))
    etag = f"{digest}-{parts + off}"
    found = checksum_of(etag, size, chunk_size)
    assert (found is not None) == (off == 0)
    if found:
        assert (found.algorithm, found.value) == ("md5-parts", etag)
        assert -(-size // found.part_size) == parts


@given(st.text("0123456789abcdef-", max_size=40) | st.text(max_size=40), sizes)
def test_whatever_else_is_an_etag_is_no_md5(etag: str, size: int) -> None:
    found = checksum_of(etag, size, 8 * MEGABYTE)
    assert found is None or len(etag.partition("-")[0]) == 32
    assert found is None or found.algorithm == ("md5-parts" if "-" in etag else "md5")
