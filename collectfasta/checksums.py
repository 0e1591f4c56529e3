"""Checksums of local files, and the pairs of remote version and local checksum remembered of them.

A remembered pair says: the object that the remote calls by this version (ETag, generation) was
made from content with this checksum. It is a hint that saves work: it speaks for exactly one
version of one object of one target, and whoever changes the object changes its version.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Literal

from django.core.cache import BaseCache
from django.core.cache.backends.db import BaseDatabaseCache
from django.utils.encoding import force_bytes

from collectfasta import settings
from collectfasta.errors import CollectfastaError
from collectfasta.hints import Hints

CHUNK_SIZE = 1024 * 1024

# A pair takes some 150 bytes. Entries of this size stay far below the 1 MB that memcached takes; a
# cache that takes more has an attribute entry_size.
_ENTRY_SIZE = 200_000
_MOST_SHARDS = 1024
_FORMAT = 1


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
        """Tell whether these bytes have this checksum; reads them from where they stand."""
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


@dataclass(frozen=True)
class Pair:
    """What is remembered of an object.

    Attributes:
        version: The remote's ETag or generation of the object that the rest is about.
        checksum: The MD5 of the source file that it was made from.
        parameters: The fingerprint of the write parameters that it was made with, "" where that
            is not known.
    """

    version: str
    checksum: str
    parameters: str = ""


class ChecksumCache:
    """The remembered pairs of one target, kept in Django's cache in a few large entries.

    Reading takes one or two round trips and writing one or two, however many files there are.
    A cache that fails is one warning and a miss. Not for use by several threads.

    Args:
        target: What identifies the target: backend, endpoint, bucket and location.
    """

    def __init__(self, target: str) -> None:
        digest = new_md5(target.encode()).hexdigest()
        self._key = settings.cache_key_prefix + digest
        self._stored: dict[str, str] = {}
        self._hints = Hints("Deploying without it is slower, not different.")

    def load(self) -> dict[str, Pair]:
        """Return the pairs by name; none where there are none or the cache fails."""
        pairs: dict[str, Pair] = {}
        count = self._read([self._shard_key(0)], pairs)
        if count > 1:
            self._read([self._shard_key(n) for n in range(1, count)], pairs)
        return pairs

    def save(self, pairs: Mapping[str, Pair]) -> None:
        """Remember exactly these pairs; what the cache has already is not written again."""
        size = self._hints.read(lambda cache: getattr(cache, "entry_size", None))
        texts = enumerate(_encode(pairs, size or _ENTRY_SIZE))
        entries = {self._shard_key(number): text for number, text in texts}
        changed = {key: text for key, text in entries.items() if self._stored.get(key) != text}
        gone = self._stored.keys() - entries.keys()
        if changed:
            self._hints.write(partial(_set, changed), entries=len(changed))
        if gone:
            self._hints.write(lambda cache: cache.delete_many(gone), entries=len(gone))

    def _shard_key(self, number: int) -> str:
        return f"{self._key}.{number}"

    def _read(self, keys: list[str], pairs: dict[str, Pair]) -> int:
        """Read some entries, add their pairs, and return how many entries the target has."""
        count = 1
        found = self._hints.read(lambda cache: cache.get_many(keys), entries=len(keys))
        for key, text in (found or {}).items():
            shard = _decode(text)
            if shard is not None:
                self._stored[key] = text
                count = shard.count
                pairs |= shard.pairs
        return count


def _set(entries: dict[str, str], cache: BaseCache) -> None:
    # Django's database cache says nothing of what it can't write, and waits for the lock each time.
    is_silent = isinstance(cache, BaseDatabaseCache)
    batches = [{key: text} for key, text in entries.items()] if is_silent else [entries]
    for batch in batches:
        if cache.set_many(batch, timeout=None) or (is_silent and cache.get_many(batch) != batch):
            raise CollectfastaError("it refused an entry")


@dataclass(frozen=True)
class _Shard:
    """One entry of the cache: some of a target's pairs, and how many entries there are."""

    count: int
    pairs: dict[str, Pair]


def _decode(text: object) -> _Shard | None:
    """Return what an entry holds; None for entries of other versions and other people's."""
    if not isinstance(text, str):
        return None
    try:
        entry = json.loads(text)
        if entry["format"] != _FORMAT or entry["shards"] not in range(1, _MOST_SHARDS + 1):
            return None
        pairs = {name: _decode_pair(pair) for name, pair in entry["pairs"].items()}
        return _Shard(int(entry["shards"]), pairs)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _decode_pair(values: object) -> Pair:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(values)
    return Pair(*values)


def _encode(pairs: Mapping[str, Pair], entry_size: int) -> list[str]:
    """Spread the pairs over as many entries as their size needs, each pair to a fixed one."""
    size = sum(
        len(json.dumps(name)) + len(p.version) + len(p.checksum) + 40 for name, p in pairs.items()
    )
    # A power of two lets most sites keep their number of entries from deploy to deploy.
    count = 1 << (size // entry_size).bit_length()
    shards: list[dict[str, list[str]]] = [{} for _ in range(count)]
    for name, pair in sorted(pairs.items()):
        # A file system may have names that are not Unicode.
        shard = shards[zlib.crc32(name.encode(errors="surrogatepass")) % count]
        shard[name] = [pair.version, pair.checksum, pair.parameters]
    return [json.dumps({"format": _FORMAT, "shards": count, "pairs": shard}) for shard in shards]
