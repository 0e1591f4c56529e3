"""One interface for every target: a store, which reads and writes objects by their keys."""

from __future__ import annotations

import abc
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice, pairwise
from os.path import commonprefix
from typing import Any, ClassVar, NamedTuple, TypeVar

from collectfasta.errors import StoreError, describe
from collectfasta.executor import Executor
from collectfasta.patching import is_overridden, saving_under_exact_names
from collectfasta.remote import Listed
from collectfasta.source import Body, Payload

T = TypeVar("T")

# The most objects that S3 and Google Cloud Storage name in one page of a listing.
PAGE_SIZE = 1000

# A time-out, a request that comes too early (RFC 8470), too many requests (RFC 6585), and the
# server's own trouble, but not what it will never do (RFC 9110, 15.6).
TRANSIENT_STATUSES = frozenset({408, 425, 429, *range(500, 600)} - {501, 505})

# A store that can't begin a listing at a key and has no prefix lists only the top-level folders
# that are in use, unless there are so many of them that one listing of everything is less work.
_MOST_FOLDERS = 50

# What parsers and their callers raise for an answer of another shape.
OTHER_SHAPE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Entry(NamedTuple):
    """An object in a page of a listing."""

    key: str
    listed: Listed


@dataclass(frozen=True)
class Page:
    """One answer to a listing.

    Attributes:
        entries: The objects, in the order of their keys' UTF-8 where the store ``seeks``.
        token: Where the next page begins, in the service's words; None after the last page.
    """

    entries: Sequence[Entry]
    token: str | None = None


class NoListingError(StoreError):
    """An answer to a listing that is not from the storage's service, or is not complete.

    Args:
        what: What is wrong with it, a sentence.
    """

    def __init__(self, what: str) -> None:
        text = f"{what} Check the storage's endpoint, and any proxy on the way there."
        super().__init__(text, kind="NoListingError", advice=text)


class Store(abc.ABC):
    """The objects of one target, by key. Raises StoreError, and nothing of an SDK's.

    Safe for use by several threads once prepared.

    Args:
        storage: The Django storage whose class, options and credentials are obeyed.

    Attributes:
        service: What the line of facts calls the kind of target; "" for the strategy's name.
        default_threads: How many files to send at a time where ``COLLECTFASTA_THREADS`` is unset.
        seeks: ``list()`` can begin at any key, and lists in the order of the keys' UTF-8; set to
            False once the service turns out not to.
        prefix: What all keys of the target begin with: the storage's location with a slash at its
            end, or nothing.
        has_last_modified: It knows when objects were written.
        missing: What the storage's own methods raise for an object that does not exist.
    """

    service: ClassVar[str] = ""
    default_threads: ClassVar[int] = 0
    seeks: bool = True
    prefix: str = ""
    has_last_modified: bool = True
    missing: ClassVar[tuple[type[Exception], ...]] = (FileNotFoundError,)

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.threads = 1

    def prepare(self, threads: int) -> None:
        """Expect this many threads; called once, by the main thread, before any request."""
        self.threads = max(threads, 1)

    # What it is

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """What messages call the target, ``s3://bucket/static/`` for instance."""

    @property
    def identity(self) -> str | None:
        """What distinguishes this target from all others: backend, endpoint, bucket and location.

        Cached checksums are kept under it; None keeps none. It holds no secret.
        """
        return None

    @property
    def requests(self) -> int | None:
        """How many requests were made so far; None if they are not counted."""
        return None

    @property
    def sender(self) -> str | None:
        """What makes the requests, where a store has more than one way of making them."""
        return None

    @property
    def secrets(self) -> list[str]:
        """Texts that must not appear in any output."""
        return []

    def key(self, name: str) -> str:
        """Return the key of a name.

        Args:
            name: Relative to the storage's location.

        Raises:
            ValueError, SuspiciousOperation: The target can't have an object of this name.
        """
        return name

    def payload(self, key: str, content: Any) -> Payload:
        """Return what the storage would send for a file: bytes and headers.

        Args:
            key: Where to.
            content: The file, open for reading bytes, at its beginning.
        """
        return Payload(content, encoded=self.saves_itself)

    @cached_property
    def saves_itself(self) -> bool:
        """Whether the storage's class has its own way of saving, which is always obeyed."""
        return any(is_overridden(type(self.storage), name) for name in ("save", "_save"))

    def exact_names(self) -> AbstractContextManager[None]:
        """Make the storage save under the very name that it is given.

        A storage that does not overwrite would choose another name for a file that exists, and
        deleting the file first would leave the live site without it.
        """
        return saving_under_exact_names(self.storage)

    # What it does

    @abc.abstractmethod
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        """Return a page of a listing.

        Args:
            prefix: What all keys begin with.
            start: The first key that is wanted, where the store ``seeks``; some before it may come.
            after: A key before ``start`` that the page may begin after, or "".
            token: Where the page before says that this one begins; then ``start`` is not looked at.

        Raises:
            StoreError: Among others ``denied`` where the credentials may not list.
        """

    def list_all(self, prefix: str) -> Iterator[Entry]:
        """Yield every object under a prefix, with its exact key.

        Raises:
            NoListingError: The listing does not go on, or names an object twice.
        """
        token: str | None = ""
        seen: set[str] = set()
        while token is not None:
            page = self.list(prefix, token=token)
            for entry in page.entries:
                if entry.key in seen:
                    raise NoListingError(
                        f"The listing does not end: it names {entry.key!r} a second time."
                    )
                seen.add(entry.key)
                yield entry
            token = next_token(token, page.token)

    @abc.abstractmethod
    def head(self, key: str) -> Listed | None:
        """Return what the service says of one object; None if there is none.

        Of an object that exists but may not be read, all fields are unknown.
        """

    @abc.abstractmethod
    def get(self, key: str) -> bytes:
        """Return the content of one object.

        Raises:
            StoreError: ``missing`` if there is no such object.
        """

    @abc.abstractmethod
    def put(self, key: str, body: Body, headers: Mapping[str, Any]) -> Listed:
        """Store a body, over what is there, as the storage would, in one request if it is small.

        Args:
            key: Where to.
            body: What to send.
            headers: What goes with it, as ``payload()`` has it.

        Returns:
            What the service says of the object now.
        """

    @abc.abstractmethod
    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, as many at a time as the service takes; missing ones are not errors."""

    def abort(self) -> None:
        """End uploads in several requests that are under way; their threads get an error."""

    # What went wrong

    def translate(self, error: Exception) -> StoreError | None:
        """Return a StoreError for an error of the target's SDK; None for any other error."""
        return None

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Raise a StoreError in place of whatever the SDK raises."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            translated = self.translate(error)
            if translated is None:
                raise
            raise translated from error


@contextmanager
def reading_listing(*others: type[Exception]) -> Iterator[None]:
    """Explain what an SDK raises for an answer that is not a listing.

    Args:
        others: Errors that mean something else, though they extend what is raised for that.

    Raises:
        NoListingError: In its place.
    """
    try:
        yield
    except OTHER_SHAPE as error:
        if isinstance(error, others):
            raise
        raise NoListingError(
            f"The answer to a listing is no listing ({describe(error)})."
        ) from error


def next_token(token: str, following: str | None) -> str | None:
    """Return where a listing goes on, which must not be where this page began.

    Raises:
        NoListingError: It is: the listing would never end.
    """
    if following is not None and following == token:
        raise NoListingError("The listing does not go on: each page leads to itself.")
    return following or None


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size`` items each."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def is_compressed(storage: Any, content_type: str | None, encoding: str | None) -> bool:
    """Return whether a storage of django-storages compresses a file when it saves it.

    Args:
        storage: An S3Storage or a GoogleCloudStorage.
        content_type: The file's.
        encoding: The ``Content-Encoding`` that it has already.
    """
    return bool(storage.gzip and not encoding and content_type in storage.gzip_content_types)


# Listing what is expected


def leapfrog(store: Store, keys: Iterable[str], *, threads: int = 0) -> Iterator[Entry]:
    """List only the expected keys of a store, and skip whatever lies between them.

    Where the store ``seeks``, each page begins at the first expected key that the pages before it
    could not answer, so in sequence this takes at most one request more than a plain listing, one
    where the bucket is empty, and none for what lies between (beyond the rest of a page) and after
    the expected keys. With threads the first page is followed by several ranges of the
    expected keys at a time: at most one request more for each range.

    Args:
        store: What to list.
        keys: The expected keys, in any order.
        threads: How many pages are asked for at a time.

    Yields:
        Each expected key that exists, in any order.
    """
    found: set[str] = set()
    try:
        for entry in _leap(store, keys, threads):
            found.add(entry.key)
            yield entry
    except _NoOrderError:
        store.seeks = False
        yield from (entry for entry in _leap(store, keys, threads) if entry.key not in found)


class _NoOrderError(Exception):
    """A store that was taken to seek does not list from any key on, in the order of keys."""


def _leap(store: Store, keys: Iterable[str], threads: int) -> Iterator[Entry]:
    # Code points sort as their UTF-8 does, so Python's own order is the order of the listing.
    expected = sorted(set(keys))
    if not expected:
        return
    list_page = partial(store.list, store.prefix)
    page = list_page(_first(expected))
    if store.seeks:
        _check_order(page)
    yield from _hits(page, set(expected))
    if page.token is None:
        return
    tasks: Iterable[Any]
    if store.seeks:
        last = page.entries[-1].key if page.entries else ""
        ranges = _split(expected[bisect_right(expected, last) :], threads)
        # Nothing between two ranges is expected: where no text just before a key can be asked for,
        # as with a letter outside of ASCII, its range begins where the one before it ends.
        tasks = zip([last, *(each[-1] for each in ranges)], ranges, strict=False)
        list_one = partial(_list_range, list_page)
        missing, ends = {*expected} - {entry.key for entry in page.entries}, [last]
        for entries, more in _gather(Executor(threads).run(list_one, tasks)):
            missing -= {entry.key for entry in entries}
            ends += more
            yield from entries
        _check_missing(store, sorted(missing), ends)
    else:
        missing = {*expected} - {entry.key for entry in page.entries}
        folders = {folder + slash for folder, slash, _ in (key.partition("/") for key in missing)}
        if store.prefix or len(folders) > _MOST_FOLDERS:
            yield from _hits(_rest(store, page), missing)
        elif folders:
            list_folder = partial(_list_folder, store, missing)
            for entries in _gather(Executor(threads).run(list_folder, folders)):
                yield from entries


def _first(expected: Sequence[str]) -> str:
    """Return where a listing of sorted keys begins.

    Some servers walk through folders, so that "app/x" comes before "app-theme/z": what comes first
    in either order begins with this, and neither is left out.
    """
    # Not a common path: of "app/x" and "app-theme/z" it is "app".
    return commonprefix([expected[0], min(expected, key=_walked)]) or expected[0]  # noqa: RUF071


def _walked(key: str) -> list[str]:
    return key.split("/")


def _check_order(page: Page, last: str = "") -> None:
    """Raise _NoOrderError unless a page is in the order of keys and comes after the last one."""
    keys = [last, *(entry.key for entry in page.entries)]
    if any(key >= following for key, following in pairwise(keys)):
        raise _NoOrderError


def _check_missing(store: Store, missing: Sequence[str], ends: Iterable[str]) -> None:
    """Ask for a missing key that a walk through folders would list beyond the end of a page.

    Args:
        store: What was listed.
        missing: The expected keys that were not listed, sorted.
        ends: Where pages began and ended.

    Raises:
        _NoOrderError: It exists.
    """
    for end in ends:
        for index, character in enumerate(end):
            # "app-theme/z" and "app/x", where one is the end and the other one is missing.
            head = end[:index]
            low, high = (head, end[: index + 1]) if character == "/" else (f"{head}/", f"{head}0")
            at = bisect_right(missing, low)
            if character <= "/" and at < len(missing) and missing[at] < high:
                listed = store.head(missing[at])
                if listed is not None and listed.version:
                    raise _NoOrderError
                # One request is enough: where nothing has changed, all of them exist.
                return


def _gather(outcomes: Any) -> Iterator[Any]:
    with closing(outcomes):
        for _, result, error in outcomes:
            if error is not None:
                raise error
            yield result


def _split(expected: Sequence[str], threads: int) -> list[Sequence[str]]:
    """Divide sorted keys into at most ``threads`` ranges, none with less than a page's keys."""
    if not expected:
        return []
    ranges = max(1, min(threads, -(-len(expected) // PAGE_SIZE)))
    size = -(-len(expected) // ranges)
    return [expected[first : first + size] for first in range(0, len(expected), size)]


def _list_range(
    list_page: Callable[..., Page], task: tuple[str, Sequence[str]]
) -> tuple[list[Entry], list[str]]:
    """List the expected keys of one range, which come after the key beside them, page by page.

    Returns:
        What exists, and where pages began and ended.

    Raises:
        _NoOrderError: A page does not go on from where it is asked to.
    """
    last, expected = task
    wanted, position = set(expected), 0
    found: list[Entry] = []
    ends: list[str] = []
    while position < len(expected):
        page = list_page(expected[position], after=last)
        _check_order(page, last)
        found += _hits(page, wanted)
        ends.append(expected[position])
        if page.token is None:
            break
        if not page.entries:
            raise _NoOrderError
        last = page.entries[-1].key
        ends.append(last)
        position = bisect_right(expected, last)
    return found, ends


def _rest(store: Store, page: Page) -> Iterator[Entry]:
    """Yield what comes after a page of a listing of everything."""
    token = page.token
    while token is not None:
        page = store.list(store.prefix, token=token)
        yield from page.entries
        token = next_token(token, page.token)


def _list_folder(store: Store, wanted: Container[str], folder: str) -> list[Entry]:
    if folder.endswith("/"):
        return [*_hits(store.list_all(folder), wanted)]
    # It is a file.
    if type(store).seeks:
        # It only turned out not to: nothing is known of its order.
        listed = store.head(folder)
        return [Entry(folder, listed)] if listed else []
    # It comes before all whose names begin with its own.
    first = islice(store.list_all(folder), 1)
    return [entry for entry in first if entry.key == folder]


def _hits(entries: Page | Iterable[Entry], wanted: Container[str]) -> Iterator[Entry]:
    found = entries.entries if isinstance(entries, Page) else entries
    return (entry for entry in found if entry.key in wanted)
