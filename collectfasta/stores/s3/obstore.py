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
from functools import cached_property
from typing import Any
from xml.etree import ElementTree as ET

import obstore
from botocore.exceptions import ConnectionError as UnconnectedError
from botocore.exceptions import HTTPClientError
from obstore.exceptions import BaseError, InvalidPathError
from typing_extensions import override

from collectfasta.checksums import read_chunks
from collectfasta.errors import StoreError
from collectfasta.remote import Listed
from collectfasta.source import Body
from collectfasta.stores.s3.base import BucketStore, is_plain
from collectfasta.stores.s3.connection import UnsupportedError, connection_of
from collectfasta.stores.s3.errors import LIST, translate, translate_answer
from collectfasta.stores.s3.listing import ROOT, Lister, parameters_of, read_page
from collectfasta.stores.s3.obstore_setup import CredentialProvider, make_store
from collectfasta.stores.store import (
    PAGE_SIZE,
    TRANSIENT_STATUSES,
    NoListingError,
    Page,
    batches,
    reading_listing,
)

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

    @cached_property
    def _lister(self) -> Lister:
        return Lister(self._connection, self.threads)

    @override
    def page(self, prefix: str, begin: str, token: str) -> Page:
        """Return a page of a listing, asked for once: what fails is asked for again by boto3."""
        parameters = parameters_of(prefix, begin, token)
        with self.translating():
            credentials = self._provider.frozen()
        self._count.add()
        try:
            answer = self._lister.ask(credentials, parameters)
        except (HTTPClientError, UnconnectedError):
            raise UnsupportedError("a listing failed") from None
        content = answer.content
        if answer.status_code != 200:
            if answer.status_code in TRANSIENT_STATUSES:
                raise UnsupportedError("a listing failed")
            text = content.decode(errors="replace")
            raise translate_answer(answer.status_code, text, self, LIST)
        try:
            with reading_listing():
                objects, following = read_page(content)
        except ET.ParseError as error:
            if ROOT.encode() not in content:
                raise NoListingError(f"The answer to a listing is no listing ({error}).") from None
            raise UnsupportedError("an answer was cut off") from None
        return self.listed_page(objects, following, answer.headers.get("date"))

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
        except BaseException as error:
            # What Rust calls a panic is no Exception.
            if type(error).__name__ == "PanicException":
                raise UnsupportedError("obstore has failed", permanent=True) from None
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
