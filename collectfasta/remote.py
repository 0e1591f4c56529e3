"""The remote side: what a storage says of its objects, and whether one is what we would send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from django.utils.timezone import get_default_timezone, is_naive

from collectfasta.checksums import Checksum, md5
from collectfasta.source import Payload, SourceFile, md5_of


@dataclass(frozen=True)
class CachedChecksum:
    """What is cached about an object.

    It says: the object of this version was made from a file with this checksum. It speaks for
    exactly one version of one object of one target, and any change of the object changes its
    version.

    Attributes:
        version: The remote's ETag or generation of the object.
        checksum: The MD5 of the source file.
        headers: The hash of the headers that it was written with, "" if they are not known.
    """

    version: str
    checksum: str
    headers: str = ""


def _no_checksum() -> None:
    return None


@dataclass(frozen=True)
class Listed:
    """What a store says of one object, in a listing or asked for it alone.

    Attributes:
        version: What changes whenever the object is written: ETag or generation; "" if unknown.
        size: Its size in bytes as stored, None if unknown.
        checksum: A checksum of its bytes as stored, None if the store keeps none.
        last_modified: When it was written, by this machine's clock; None if the store does not say.
        read_checksum: Gets the checksum where that costs more than the listing.
    """

    version: str = ""
    size: int | None = None
    checksum: Checksum | None = None
    last_modified: datetime | None = None
    read_checksum: Callable[[], Checksum | None] = field(
        default=_no_checksum, compare=False, repr=False
    )


@dataclass(frozen=True)
class RemoteObject:
    """What a storage says of one object.

    Attributes:
        name: Its name, relative to the storage's location.
        version: What changes whenever the object is written: ETag or generation; "" if unknown.
        size: Its size in bytes as stored, None if unknown.
        checksum: A checksum of its bytes as stored, None if the storage keeps none.
        headers: The hash of the headers that it was written with; known only of an object that
            this run has written.
        cached: What is cached about this very version, None if nothing is.
        read_checksum: Gets the checksum where that costs more than the listing.
    """

    name: str
    version: str = ""
    size: int | None = None
    checksum: Checksum | None = None
    headers: str = ""
    cached: CachedChecksum | None = None
    read_checksum: Callable[[], Checksum | None] = field(
        default=_no_checksum, compare=False, repr=False
    )

    @classmethod
    def of(cls, name: str, listed: Listed, headers: str = "") -> RemoteObject:
        """Return what a store says of the object of a name."""
        return cls(
            name,
            listed.version,
            listed.size,
            listed.checksum,
            headers,
            read_checksum=listed.read_checksum,
        )

    def with_cached(self, cached: CachedChecksum | None) -> RemoteObject:
        """Return it with what is cached about it, which must speak of this very version."""
        if cached is None or not self.version or cached.version != self.version:
            return self
        return replace(self, cached=cached)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object under the storage's location, for ``--clear`` and ``--prune``.

    Attributes:
        name: Its name, relative to the storage's location.
        last_modified: When it was written, by this machine's clock; None if the listing does not
            say.
    """

    name: str
    last_modified: datetime | None = None


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing a source file with a remote object.

    Attributes:
        same: Whether an upload would change nothing; None if that can't be known.
        cached: What to cache about the remote object from now on.
    """

    same: bool | None
    cached: CachedChecksum | None = None


def compare(source: SourceFile, payload: Payload, remote: RemoteObject) -> Comparison:
    """Decide whether an upload of the source would leave the remote object as it is.

    The first that can tell decides: the sizes, where nothing is encoded; the cached checksum, which
    comes before the remote's own because the ETag of an object under SSE-KMS looks like an MD5 and
    is not one (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html); the remote's own
    checksum.

    Raises:
        OSError: The source can't be read.
    """
    sizes = {source.size, remote.size}
    if not payload.encoded and None not in sizes and len(sizes) > 1:
        return Comparison(same=False)
    cached = remote.cached
    # It might be from a time before the storage compressed.
    if cached is not None and (cached.headers or not payload.encoded):
        return Comparison(_agrees(source, payload, cached), cached)
    checksum = remote.checksum or remote.read_checksum()
    if checksum is None:
        return Comparison(same=None)
    if not checksum.matches(payload.content):
        return Comparison(same=False)
    if checksum.algorithm == "md5" and not payload.encoded:
        return Comparison(same=True, cached=CachedChecksum(remote.version, checksum.value))
    # That it was encoded is among the headers.
    headers = payload.headers_hash if payload.encoded else ""
    return Comparison(True, CachedChecksum(remote.version, md5_of(source), headers))


def _agrees(source: SourceFile, payload: Payload, cached: CachedChecksum) -> bool:
    if cached.headers and cached.headers != payload.headers_hash:
        return False
    return cached.checksum == (md5_of(source) if payload.encoded else md5(payload.content))


def on_our_clock(written: datetime, date: str | None = None) -> datetime:
    """Return when something was written by this machine's clock, however wrong that is.

    Args:
        written: When, by the service's clock; in Django's time zone where it names none, as
            storages return it without ``USE_TZ``.
        date: The ``Date`` header of an answer by the service: what its own clock said just now
            (RFC 9110, 6.6.1). Without one both clocks are taken to agree.
    """
    if is_naive(written):
        written = written.replace(tzinfo=get_default_timezone())
    now = datetime.now(timezone.utc)
    return now - (_time_of(date, now) - written)


def _time_of(date: str | None, now: datetime) -> datetime:
    try:
        # Without a header, as with one that can't be read.
        answered = parsedate_to_datetime(date or "")
    except ValueError:
        return now
    return answered.replace(tzinfo=timezone.utc) if is_naive(answered) else answered
