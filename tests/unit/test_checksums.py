"""Checksums of content."""

from __future__ import annotations

import hashlib
import io

from hypothesis import given
from hypothesis import strategies as st

from collectfasta.checksums import (
    CHUNK_SIZE,
    Checksum,
    crc32c,
    md5,
    md5_of_parts,
    read_chunks,
)


def etag_of_parts(content: bytes, part_size: int) -> str:
    """Work out a multipart ETag as S3 defines it, with everything in memory."""
    parts = [content[start : start + part_size] for start in range(0, len(content), part_size)]
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


class Dribble(io.BytesIO):
    """A file that gives less than it is asked for, as sockets and decompressors do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size) if size and size > 0 else 3)


class TestContent:
    @given(st.binary())
    def test_md5_is_that_of_all_bytes(self, content: bytes) -> None:
        assert md5(io.BytesIO(content)) == hashlib.md5(content).hexdigest()

    def test_md5_of_a_large_file_is_that_of_all_its_chunks(self) -> None:
        content = bytes(range(256)) * 10_000
        assert len(content) > 2 * CHUNK_SIZE
        assert md5(io.BytesIO(content)) == hashlib.md5(content).hexdigest()

    def test_text_counts_as_its_utf_8(self) -> None:
        assert md5(io.StringIO("é" * 10)) == hashlib.md5("é".encode() * 10).hexdigest()

    def test_a_body_is_read_in_chunks_of_the_size_at_most(self) -> None:
        assert list(read_chunks(io.BytesIO(b"abcde"), 2)) == [b"ab", b"cd", b"e"]

    @given(st.binary(min_size=1), st.integers(1, 20))
    def test_md5_of_parts_is_the_etag_of_a_multipart_upload(
        self, content: bytes, part_size: int
    ) -> None:
        expected = etag_of_parts(content, part_size)
        assert md5_of_parts(io.BytesIO(content), part_size) == expected

    @given(st.binary(min_size=1), st.integers(1, 20))
    def test_md5_of_parts_does_not_depend_on_how_much_each_read_gives(
        self, content: bytes, part_size: int
    ) -> None:
        assert md5_of_parts(Dribble(content), part_size) == etag_of_parts(content, part_size)

    def test_a_part_may_be_larger_than_a_chunk(self) -> None:
        content, part_size = bytes(range(256)) * 10_000, CHUNK_SIZE + 5
        assert md5_of_parts(io.BytesIO(content), part_size) == etag_of_parts(content, part_size)

    def test_crc32c_is_the_castagnoli_one(self) -> None:
        # The check value in the catalogue of parametrised CRC algorithms, and that of nothing.
        assert crc32c(io.BytesIO(b"123456789")) == "e3069283"
        assert crc32c(io.BytesIO(b"")) == "0" * 8

    def test_a_checksum_matches_its_content_only(self) -> None:
        checksums = [
            Checksum("md5", hashlib.md5(b"123456789").hexdigest()),
            Checksum("md5-parts", etag_of_parts(b"123456789", 4), part_size=4),
            Checksum("crc32c", "e3069283"),
        ]
        for content, expected in ((b"123456789", True), (b"12345678", False)):
            matches = {each.algorithm: each.matches(io.BytesIO(content)) for each in checksums}
            assert set(matches.values()) == {expected}, matches
