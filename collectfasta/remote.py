"""The remote side: what a storage says of its objects, and whether one is what we would send."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

from collectfasta.checksums import Checksum, Pair, md5
from collectfasta.errors import CollectfastaError, describe
from collectfasta.executor import Executor
from collectfasta.source import Payload, SourceFile

T = TypeVar("T")

# The most objects that S3 and Google Cloud Storage name in one answer.
_PAGE = 1000


class ListingDeniedError(CollectfastaError):
    """The credentials may not list the target; objects can only be asked for one by one."""


class NoListingError(CollectfastaError):
    """An answer to a listing that does not come from the storage's service, or not whole.

    Args:
        what: What is wrong with it, a sentence.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} Check the storage's endpoint, and any proxy on the way there.")


# What parsers and those who use their outcome raise for an answer of another shape.
_OTHER_SHAPE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def reading_listing(*others: type[Exception]) -> Iterator[None]:
    """Put what an SDK raises for an answer that is no listing into words.

    Args:
        others: Errors that say something else, though they extend what is raised for that.

    Raises:
        NoListingError: In its place.
    """
    try:
        yield
    except _OTHER_SHAPE as error:
        if isinstance(error, others):
            raise
        raise NoListingError(
            f"The answer to a listing is no listing ({describe(error)})."
        ) from error


def next_marker(marker: object, following: T) -> T:
    """Return where a listing goes on.

    Args:
        marker: Where this page began.
        following: Where the next one is said to begin.

    Raises:
        NoListingError: At the same place: it would be listed for ever.
    """
    if following is not None and following == marker:
        raise NoListingError("The listing does not go on: each page leads to itself.")
    return following


def _no_checksum() -> None:
    return None


@dataclass(frozen=True)
class RemoteObject:
    """What a storage says of one object.

    Attributes:
        name: Its name, relative to the storage's location.
        version: What changes whenever the object is written: ETag or generation; "" if unknown.
        size: Its size in bytes as stored, None if unknown.
        checksum: A checksum of its bytes as stored, None if the storage keeps none.
        parameters: The fingerprint of the parameters that it was written with; known only of an
            object that this run has written.
        pair: What is remembered of this very version, None if nothing is.
        read_checksum: Works the checksum out where that costs more than a look into a listing.
    """

    name: str
    version: str = ""
    size: int | None = None
    checksum: Checksum | None = None
    parameters: str = ""
    pair: Pair | None = None
    read_checksum: Callable[[], Checksum | None] = field(
        default=_no_checksum, compare=False, repr=False
    )

    def with_pair(self, pair: Pair | None) -> RemoteObject:
        """Return it with what is remembered of it, which must speak of this very version."""
        if pair is None or not self.version or pair.version != self.version:
            return self
        return replace(self, pair=pair)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a storage says of an object that may be left over.

    Attributes:
        name: Its name, relative to the storage's location.
        age: How long ago it was last written, None if the listing does not tell.
    """

    name: str
    age: timedelta | None = None


class RemoteIndex:
    """The objects of a target by name, from one listing or asked for one by one.

    Args:
        objects: The listing, or None where there is none. An empty listing is one.
        look_up: Asks the remote for one object.
    """

    def __init__(
        self,
        objects: Iterable[RemoteObject] | None,
        look_up: Callable[[str], RemoteObject | None],
    ) -> None:
        self._objects = None if objects is None else {each.name: each for each in objects}
        self._look_up = look_up

    def get(self, name: str) -> RemoteObject | None:
        """Return the object of this name, None where there is none."""
        if self._objects is None:
            return self._look_up(name)
        return self._objects.get(name)


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing a source file with a remote object.

    Attributes:
        same: Whether an upload would change nothing; None if that can't be told.
        pair: What there is to remember of the remote object from now on.
    """

    same: bool | None
    pair: Pair | None = None


def compare(source: SourceFile, payload: Payload, remote: RemoteObject) -> Comparison:
    """Tell whether an upload of the source would leave the remote object as it is.

    The first that can tell decides: the sizes, where nothing is encoded; the remembered pair,
    which comes before the checksum because the ETag of an object under SSE-KMS looks like an MD5
    and is not one (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html); the remote's
    own checksum.

    Raises:
        OSError: The source can't be read.
    """
    sizes = {source.size, remote.size}
    if not payload.encoded and None not in sizes and len(sizes) > 1:
        return Comparison(same=False)
    pair = remote.pair
    # It may be of the time before the storage compressed.
    if pair is not None and (pair.parameters or not payload.encoded):
        return Comparison(_agrees(source, payload, pair), pair)
    checksum = remote.checksum or remote.read_checksum()
    if checksum is None:
        return Comparison(same=None)
    if not checksum.matches(payload.body):
        return Comparison(same=False)
    if checksum.algorithm == "md5" and not payload.encoded:
        return Comparison(same=True, pair=Pair(remote.version, checksum.value))
    # That it was encoded is among the parameters.
    parameters = payload.fingerprint if payload.encoded else ""
    return Comparison(same=True, pair=Pair(remote.version, source_md5(source), parameters))


def _agrees(source: SourceFile, payload: Payload, pair: Pair) -> bool:
    if pair.parameters and pair.parameters != payload.fingerprint:
        return False
    return pair.checksum == (source_md5(source) if payload.encoded else md5(payload.body))


def source_md5(source: SourceFile) -> str:
    """Return the MD5 of a source file's content, as it is before any encoding."""
    with source.open() as content:
        return md5(content)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One answer of a listing.

    Attributes:
        entries: Key and description of each object, in the order of the keys' UTF-8.
        is_last: Nothing comes after this page.
    """

    entries: Sequence[tuple[str, T]]
    is_last: bool


def leapfrog(
    keys: Iterable[str], list_from: Callable[[str, str], Page[T]], *, threads: int = 0
) -> Iterator[tuple[str, T]]:
    """List only the expected keys of a bucket, and jump over all that lies between them.

    Each page begins at the first expected key that the pages before it could not answer, so in
    sequence this takes at most the requests of a plain listing, one where the bucket is empty, and
    none for what lies before, between (beyond the rest of a page) and after the expected keys.

    With threads the first page is followed by several ranges of the expected keys at a time, each
    in sequence: at most one request more for each range.

    Args:
        keys: The expected keys, in any order.
        list_from: Lists the bucket in the order of the keys' UTF-8, from an expected key on
            (including it); the second argument is a key before it that it may begin behind, the
            last of the page before, for instance, or "". Called from several threads.
        threads: How many pages are asked for at a time.

    Yields:
        Each expected key that the bucket has, with its description, in no order.
    """
    # Code points sort as their UTF-8 does, so Python's own order is the order of the listing.
    expected = sorted(set(keys))
    if not expected:
        return
    page = list_from(expected[0], "")
    yield from _hits(page, set(expected))
    if page.is_last or not page.entries:
        return
    last = page.entries[-1][0]
    rest = expected[bisect_right(expected, last) :]
    if not rest:
        return
    ranges = _split(rest, threads)
    # Nothing between two ranges is expected: where no text just before a key can be asked from, as
    # with a letter that is not of ASCII, its range begins where the one before it ends.
    tasks = zip([last, *(each[-1] for each in ranges)], ranges, strict=False)
    outcomes = Executor(threads).run(partial(_list_range, list_from), tasks)
    with closing(outcomes):
        for _, hits, error in outcomes:
            if error is not None:
                raise error
            yield from hits


def _split(expected: Sequence[str], threads: int) -> list[Sequence[str]]:
    """Divide sorted keys into as many ranges as threads, none with less than a page's keys."""
    ranges = max(1, min(threads, -(-len(expected) // _PAGE)))
    size = -(-len(expected) // ranges)
    return [expected[first : first + size] for first in range(0, len(expected), size)]


def _list_range(
    list_from: Callable[[str, str], Page[T]], task: tuple[str, Sequence[str]]
) -> list[tuple[str, T]]:
    """List the expected keys of one range, page by page; they come after the key beside them."""
    last, expected = task
    wanted, position = set(expected), 0
    found: list[tuple[str, T]] = []
    while position < len(expected):
        page = list_from(expected[position], last)
        found += _hits(page, wanted)
        # A server that does not go on from where it is asked to would be listed for ever. What it
        # does not tell is sent again.
        if page.is_last or not page.entries or page.entries[-1][0] <= last:
            break
        last = page.entries[-1][0]
        position = bisect_right(expected, last)
    return found


def _hits(page: Page[T], wanted: Container[str]) -> list[tuple[str, T]]:
    return [entry for entry in page.entries if entry[0] in wanted]
