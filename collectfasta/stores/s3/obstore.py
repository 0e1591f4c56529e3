"""The requests to S3 by obstore, which takes a fraction of boto3's CPU time.

obstore is Rust's ``object_store`` for Python (https://developmentseed.org/obstore/). It sends what
boto3 would where a request needs no more than a plain key and the usual headers of content.
"""

from __future__ import annotations

import mmap
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import obstore
from obstore.exceptions import BaseError, InvalidPathError
from typing_extensions import override

from collectfasta.checksums import read_chunks
from collectfasta.errors import StoreError
from collectfasta.executor import NoAnswerError, in_time
from collectfasta.remote import Listed
from collectfasta.source import Body
from collectfasta.stores.s3.base import AFTER, BucketStore, is_plain, just_before
from collectfasta.stores.s3.connection import UnsupportedError, connection_of
from collectfasta.stores.s3.errors import LIST, translate
from collectfasta.stores.s3.obstore_setup import CredentialProvider, make_store
from collectfasta.stores.store import PAGE_SIZE, Entry, Page, batches

# obstore holds a body that it sends at once, and each part, in memory. What is larger than a small
# file is sent by a few threads at a time, however many there are, and a part takes its share.
_LARGE_BODIES = 3
_LARGEST_BODY = 16 * 1024 * 1024
_PARTS_IN_MEMORY = 8 * 1024 * 1024
_READ_SIZE = 64 * 1024

_ATTRIBUTES = {
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "StorageClass": "Storage-Class",
}
# obstore takes either spelling for the header, in any case.
_RESERVED = {each.lower() for each in (*_ATTRIBUTES, *_ATTRIBUTES.values())}
_METADATA_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*", re.IGNORECASE)
# Needs no encoding, and signing folds nothing: no spaces at its ends or in a row.
_VALUE = re.compile(r"[!-~]+( [!-~]+)*")

# obstore asks on and on where each page is empty and leads to another one, deaf to interrupts. What
# takes longer than all the attempts at a request may take is not waited for.
_LISTING_SECONDS = 600.0


class ObstoreStore(BucketStore):
    """Make the requests by obstore, from any number of threads.

    Each method raises UnsupportedError for what boto3 has to do. obstore does not say which
    ``requests`` it has repeated.

    Raises:
        UnsupportedError: obstore can't be set up here.
    """

    sender = "obstore"

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self._connection = connection_of(storage)
        self.credentials = self._connection.credentials
        self._provider = CredentialProvider(self.credentials)
        self._reader = make_store(self._connection, self._provider, sends_bodies=False)
        self._writer = make_store(self._connection, self._provider, sends_bodies=True)
        self._large_bodies = threading.BoundedSemaphore(_LARGE_BODIES)
        self._large_uploads = threading.Lock()

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        """Return a page of a listing.

        obstore shows keys as paths: "x" for "/x" and for "x/". Where the first is possible, boto3
        lists. The second are what consoles make for folders: empty, so the key of an empty object
        might not be what it seems. All other keys that are not paths make obstore fail.
        """
        begin = max(just_before(start), after)
        if token or (prefix and not is_plain(prefix[:-1])) or not (prefix or begin > "0"):
            raise UnsupportedError("listing keys that may begin with a slash")
        if begin and not is_plain(begin):
            raise UnsupportedError("listing from a key that is no plain path")
        stream = obstore.list(
            self._reader, prefix or None, offset=begin or None, chunk_size=PAGE_SIZE
        )
        with self._requesting(LIST):
            try:
                objects = in_time(lambda: next(stream, ()), _LISTING_SECONDS)
            except NoAnswerError:
                raise UnsupportedError("the server's listings", permanent=True) from None
        entries: dict[str, Entry] = {}
        for each in objects:
            # A folder's marker comes after the object whose key it is shown under.
            if each["path"] > begin:
                entries.setdefault(each["path"], self._entry(each))
        # Whether a full page was the last can't be known.
        is_last = len(objects) < PAGE_SIZE
        return Page([*entries.values()], None if is_last else AFTER + objects[-1]["path"])

    def _entry(self, meta: Mapping[str, Any]) -> Entry:
        key, size = meta["path"], meta["size"]
        # No folder is named as a file is, with an extension.
        if size > 0 or "." in key.rpartition("/")[2]:
            return Entry(key, self.listed(meta["e_tag"], size))
        return Entry(key, Listed(size=size))

    @override
    def head(self, key: str) -> Listed | None:
        self._check_read("HEAD", key)
        try:
            with self._requesting("HeadObject"):
                meta = obstore.head(self._reader, key)
        except StoreError as error:
            if error.missing:
                return None
            # As boto3's.
            if error.kind.startswith("403"):
                return Listed()
            raise
        return self.listed(meta["e_tag"], meta["size"])

    @override
    def get(self, key: str) -> bytes:
        self._check_read("GET", key)
        with self._requesting("GetObject"):
            return bytes(obstore.get(self._reader, key).bytes())

    @override
    def put_whole(self, key: str, body: bytes | Body, size: int, headers: Mapping[str, Any]) -> str:
        attributes = _attributes(headers)
        self._check_key(key)
        if isinstance(body, bytes):
            return self._put(key, body, attributes)
        if size > _LARGEST_BODY:
            raise UnsupportedError("large files in one request")
        with self._large_bodies:
            return self._put(key, _in_memory(body, size), attributes)

    def _put(self, key: str, body: bytes | mmap.mmap, attributes: dict[str, str]) -> str:
        with self._requesting("PutObject"):
            answer = obstore.put(
                self._writer, key, body, attributes=attributes, use_multipart=False
            )
        return answer["e_tag"] or ""

    @override
    def put_parts(self, key: str, body: Body, size: int, headers: Mapping[str, Any]) -> str:
        """Store a large body in parts and return the ETag.

        One file at a time, and of it as many parts as fit into some MB: obstore has a part in
        memory three times, as it is read, as it waits and as it is sent.
        """
        attributes = _attributes(headers)
        self._check_key(key)
        config, chunk_size = self.storage.transfer_config, self.part_size(size)
        if chunk_size > _LARGEST_BODY or config.max_bandwidth:
            raise UnsupportedError("the transfer configuration")
        at_a_time = config.max_request_concurrency if config.use_threads else 1
        with self._large_uploads, self._requesting("UploadPart"):
            body.seek(0)
            answer = obstore.put(
                self._writer,
                key,
                body,
                attributes=attributes,
                use_multipart=True,
                chunk_size=chunk_size,
                max_concurrency=max(1, min(at_a_time, _PARTS_IN_MEMORY // chunk_size)),
            )
        # The parts, and what completes the upload.
        self._count.add(-(-size // chunk_size) + 1)
        return answer["e_tag"] or ""

    @override
    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._check_key(key)
        for batch in batches(keys, PAGE_SIZE):
            with self._requesting("DeleteObjects"):
                obstore.delete(self._reader, batch)

    def _check_read(self, verb: str, key: str) -> None:
        arguments = self.read_arguments(key)
        if arguments:
            raise UnsupportedError(f"{verb} with {', '.join(arguments)}")
        self._check_key(key)

    @staticmethod
    def _check_key(key: str) -> None:
        if not is_plain(key):
            raise UnsupportedError("keys that are no plain paths")

    @contextmanager
    def _requesting(self, operation: str) -> Iterator[None]:
        """Count a request, and say what it means where it fails."""
        self._count.add()
        try:
            yield
        except InvalidPathError:
            raise UnsupportedError("keys that are no plain paths") from None
        # Not from it: its text has the whole answer, and more.
        except (BaseError, FileNotFoundError) as error:
            raise self._meaning(error, operation) from None
        except OSError as error:
            # What ended the reading of a body, whatever it was.
            if str(error).startswith("KeyboardInterrupt"):
                raise KeyboardInterrupt from None
            raise

    def _meaning(self, error: Exception, operation: str) -> Exception:
        meaning = translate(error, self, operation, self._connection.url) or error
        # Without credentials nothing was asked.
        reason = self._provider.error if getattr(meaning, "kind", "").endswith("Error") else None
        return meaning if reason is None else self.translate(reason) or reason


def _in_memory(body: Any, size: int) -> mmap.mmap:
    """Read a body into memory that the system gets back when it is sent.

    What the allocator gives to one thread after the other it keeps, a body's size for each: 150
    images of 2 MB by 64 threads took 55 MB with bytes, and 13 MB with this.
    """
    memory = mmap.mmap(-1, size)
    for piece in read_chunks(body, _READ_SIZE):
        memory.write(piece)
    return memory


def _attributes(headers: Mapping[str, Any]) -> dict[str, str]:
    """Return what goes with an object as obstore takes it.

    Raises:
        UnsupportedError: It can't say that, or would say it in another way than boto3.
    """
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        if name == "Metadata" and isinstance(value, Mapping):
            for each in value:
                if not _METADATA_NAME.fullmatch(each) or each.lower() in _RESERVED:
                    raise UnsupportedError("a name in Metadata")
            attributes.update((each, _checked(name, value[each])) for each in value)
        elif name in _ATTRIBUTES:
            attributes[_ATTRIBUTES[name]] = _checked(name, value)
        else:
            raise UnsupportedError(name)
    return attributes


def _checked(name: str, value: object) -> str:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise UnsupportedError(f"the value of {name}")
    return value
