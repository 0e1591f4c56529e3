"""Checksums: MD5, the MD5 of the MD5s of parts, and CRC32C."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal

from django.utils.encoding import force_bytes

CHUNK_SIZE = 1024 * 1024


@dataclass(frozen=True)
class Checksum:
    """A checksum that the remote keeps of an object's bytes.

    Attributes:
        algorithm: ``md5``, ``crc32c``, or ``md5-parts``: the MD5 of the MD5s of the parts of a
            multipart upload, as S3 makes ETags (https://docs.aws.amazon.com/AmazonS3/latest/
            userguide/checking-object-integrity.html).
        value: In hexadecimal; with "-" and the number of parts for ``md5-parts``.
        part_size: Bytes in a part, for ``md5-parts`` only.
    """

    algorithm: Literal["md5", "md5-parts", "crc32c"]
    value: str
    part_size: int = 0

    def matches(self, body: IO[bytes]) -> bool:
        """Return whether these bytes have this checksum; reads them from the current position."""
        if self.algorithm == "md5":
            return md5(body) == self.value
        if self.algorithm == "md5-parts":
            return md5_of_parts(body, self.part_size) == self.value
        return crc32c(body) == self.value


def read_chunks(body: IO[Any], size: int = CHUNK_SIZE) -> Iterator[bytes]:
    """Yield a file's content in pieces of at most ``size`` bytes; text is encoded as UTF-8."""
    while chunk := body.read(size):
        yield force_bytes(chunk)


def md5(body: IO[Any]) -> str:
    """Return the MD5 of a file's content in hexadecimal."""
    digest = new_md5()
    for chunk in read_chunks(body):
        digest.update(chunk)
    checksum: str = digest.hexdigest()
    return checksum


def md5_of_parts(body: IO[Any], part_size: int) -> str:
    """Return the ETag that S3 gives to content uploaded in parts of ``part_size`` bytes."""
    digests = []
    digest, left = new_md5(), part_size
    for chunk in read_chunks(body):
        rest = chunk
        while rest:
            digest.update(rest[:left])
            rest, left = rest[left:], left - min(left, len(rest))
            if not left:
                digests.append(digest.digest())
                digest, left = new_md5(), part_size
    if left < part_size:
        digests.append(digest.digest())
    return f"{new_md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def new_md5(content: bytes = b"") -> Any:
    """Return hashlib's MD5: a checksum, not a signature, or else systems in FIPS mode refuse it."""
    return hashlib.md5(content, usedforsecurity=False)


def crc32c(body: IO[Any]) -> str:
    """Return the CRC32C of a file's content in hexadecimal, big-endian as GCS has it.

    Raises:
        ImportError: ``google-crc32c``, which comes with ``google-cloud-storage``, is missing.
    """
    import google_crc32c

    checksum: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    for chunk in read_chunks(body):
        checksum.update(chunk)
    return str(checksum.digest().hex())
