"""Comparing, for all that can be known of a remote object.

What is taken for granted: a checksum that the remote calls by its name is that of the bytes it
stores, but for an ETag that looks like an MD5 and is not one (SSE-KMS, SSE-C); a version belongs to
one content only; a compressor makes the same of the same content; nobody finds an MD5 collision.
"""

from __future__ import annotations

import hashlib
import io

from hypothesis import example, given
from hypothesis import strategies as st

from collectfasta.checksums import Checksum, crc32c, md5_of_parts
from collectfasta.remote import CachedChecksum, RemoteObject, compare
from collectfasta.source import Payload, SourceFile
from tests.unit.helpers import in_memory

contents = st.sampled_from([b"", b"a", b"b", b"ab", b"ba"])
cache_controls = st.sampled_from(["max-age=1", "max-age=2"])
# One upload: a content, whether it is encoded, and a header.
uploads = st.tuples(contents, st.booleans(), cache_controls)
Upload = tuple[bytes, bool, str]
# What made the object that is there, and what would be sent now.
both = uploads.flatmap(lambda upload: st.tuples(st.just(upload), st.just(upload) | uploads))
PLAIN: Upload = (b"ab", False, "max-age=1")
ENCODED: Upload = (b"ab", True, "max-age=1")

NAMES = {b"": "empty", b"a": "a", b"b": "b", b"ab": "ab", b"ba": "ba"}
FILES = in_memory({name: content for content, name in NAMES.items()})


def source_of(upload: Upload) -> SourceFile:
    return SourceFile(NAMES[upload[0]], "x", FILES)


def sent_by(upload: Upload) -> bytes:
    """Return what is stored: what encodes here mostly keeps the size, which says nothing then."""
    content, is_encoded, _ = upload
    if not is_encoded:
        return content
    return bytes(each ^ 3 for each in content) + (b"!" if content == b"ba" else b"")


def payload_of(upload: Upload) -> Payload:
    _, is_encoded, cache_control = upload
    headers = {"CacheControl": cache_control}
    if is_encoded:
        headers["ContentEncoding"] = "gzip"
    return Payload(io.BytesIO(sent_by(upload)), encoded=is_encoded, headers=headers)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def checksum_of(kind: str, stored: bytes) -> Checksum | None:
    """Return what a remote says of the bytes that it stores."""
    body = io.BytesIO(stored)
    if kind == "md5-parts":
        return Checksum("md5-parts", md5_of_parts(body, 1), part_size=1)
    if kind == "crc32c":
        return Checksum("crc32c", crc32c(body))
    if kind == "looks like an MD5":
        return Checksum("md5", md5(b"encrypted" + stored))
    return Checksum("md5", md5(stored)) if kind == "md5" else None


kinds = st.sampled_from(["md5", "md5-parts", "crc32c", "looks like an MD5", "none"])


def remote_of(upload: Upload, kind: str, *, size_known: bool, is_read: bool) -> RemoteObject:
    stored = sent_by(upload)
    checksum = checksum_of(kind, stored)
    return RemoteObject(
        "x",
        "version",
        len(stored) if size_known else None,
        None if is_read else checksum,
        read_checksum=lambda: checksum,
    )


def cached_by(how: str, upload: Upload, remote: RemoteObject) -> CachedChecksum | None:
    """Return what an earlier run has cached about the remote object that an upload has made."""
    if how == "sent":
        return CachedChecksum(remote.version, md5(upload[0]), payload_of(upload).headers_hash)
    if how == "compared":
        return compare(source_of(upload), payload_of(upload), remote).cached
    if how == "of another version":
        return CachedChecksum("other", md5(upload[0]), payload_of(upload).headers_hash)
    return None


ways = st.sampled_from(["sent", "compared", "of another version", "nothing"])


@given(both, kinds, ways, st.booleans(), st.booleans())
# Compression was switched on, and off, since the object was found to be the same.
@example((PLAIN, ENCODED), "md5", "compared", True, False)
@example((ENCODED, PLAIN), "md5", "compared", True, False)
def test_what_is_told_to_be_the_same_is_the_same(
    both: tuple[Upload, Upload], kind: str, how: str, size_known: bool, is_read: bool
) -> None:
    there, ours = both
    remote = remote_of(there, kind, size_known=size_known, is_read=is_read)
    remote = remote.with_cached(cached_by(how, there, remote))
    outcome = compare(source_of(ours), payload_of(ours), remote)
    if not outcome.same:
        return
    assert sent_by(ours) == sent_by(there)
    assert outcome.cached is not None
    assert (outcome.cached.version, outcome.cached.checksum) == ("version", md5(ours[0]))
    if how == "sent":
        assert payload_of(ours).headers_hash == payload_of(there).headers_hash


@given(both, kinds, ways, st.booleans(), st.booleans())
def test_what_is_told_to_be_a_change_is_one_unless_an_etag_pretends_to_be_an_md5(
    both: tuple[Upload, Upload], kind: str, how: str, size_known: bool, is_read: bool
) -> None:
    there, ours = both
    remote = remote_of(there, kind, size_known=size_known, is_read=is_read)
    remote = remote.with_cached(cached_by(how, there, remote))
    outcome = compare(source_of(ours), payload_of(ours), remote)
    if outcome.same is not False:
        return
    pretends = kind == "looks like an MD5" and remote.cached is None
    assert pretends or sent_by(ours) != sent_by(there) or ours[1:] != there[1:]
    assert outcome.cached in (None, remote.cached)


@given(uploads, kinds, ways, st.booleans(), st.booleans())
def test_what_was_just_sent_is_never_told_to_be_a_change(
    upload: Upload, kind: str, how: str, size_known: bool, is_read: bool
) -> None:
    remote = remote_of(upload, kind, size_known=size_known, is_read=is_read)
    remote = remote.with_cached(cached_by(how, upload, remote))
    outcome = compare(source_of(upload), payload_of(upload), remote)
    if how == "sent" or kind in ("md5", "md5-parts", "crc32c"):
        assert outcome.same is True
    else:
        assert outcome.same is (None if kind == "none" else False)


@given(both, st.sampled_from(["md5", "md5-parts", "crc32c"]), st.booleans())
def test_what_was_found_by_comparing_decides_as_comparing_again_would(
    both: tuple[Upload, Upload], kind: str, size_known: bool
) -> None:
    there, ours = both
    # Warm or cold, the result is the same. Headers that the cache alone knows of are another
    # matter.
    ours = (*ours[:2], there[2])
    cold = remote_of(there, kind, size_known=size_known, is_read=False)
    warm = cold.with_cached(cached_by("compared", there, cold))
    of_cold = compare(source_of(ours), payload_of(ours), cold).same
    of_warm = compare(source_of(ours), payload_of(ours), warm).same
    if ours[1] == there[1] or sent_by(ours) != sent_by(there):
        assert of_warm == of_cold
