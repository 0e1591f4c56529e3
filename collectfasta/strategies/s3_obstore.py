"""The requests to S3 by obstore, which takes a fraction of boto3's CPU time.

obstore is Rust's ``object_store`` for Python (https://developmentseed.org/obstore/). It sends what
boto3 would where a request needs no more than a plain key and the usual headers of content.
"""

from __future__ import annotations

import io
import mmap
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import obstore
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from obstore.exceptions import BaseError, InvalidPathError

from collectfasta.checksums import read_chunks
from collectfasta.executor import NoAnswerError, in_time
from collectfasta.remote import ListingDeniedError, Page
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.s3 import (
    S3Object,
    UnsupportedError,
    checked_value,
    is_plain,
    metadata,
    part_size,
)
from collectfasta.strategies.s3_connection import S3Connection
from collectfasta.strategies.s3_errors import client_error, is_in_another_region
from collectfasta.strategies.s3_obstore_setup import NOWHERE, CredentialProvider, make_store

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig

_PAGE = 1000
_READ_SIZE = 64 * 1024

# obstore holds a body that it sends at once, and each part, in memory. What is larger than a small
# file is sent by so many threads at a time, whatever their number, and a part takes its share.
_LARGE_BODIES = 3
_LARGEST_BODY = 16 * 1024 * 1024
_PARTS_IN_MEMORY = 8 * 1024 * 1024

_ATTRIBUTES = {
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "StorageClass": "Storage-Class",
}
# obstore asks on and on where each page is empty and leads to another one, deaf to interrupts. What
# takes longer than all the attempts at a request may take is not waited for.
_LISTING_SECONDS = 600.0

_STATUS = re.compile(r"status code: (\d{3})")
_NOT_DELETED = re.compile(r"DeleteObjects request failed for key .*: (.*) \(code: (\w+)\)")
_KIND = re.compile(r"kind: (Connect|Timeout)")
# What obstore does not ask for again, unlike botocore: an answer whose end is missing, and, of a
# request that is no PUT or GET, one whose beginning is (RetryConfig in
# https://developmentseed.org/obstore/latest/api/store/config/).
_CUT_OFF = re.compile(r"response body error")
_INTERRUPTED = re.compile(r"kind: (Interrupted|Timeout)")
_IN_ANOTHER_REGION = re.compile(
    rf"Received redirect without LOCATION|status code: 30[1278]\b|\b{re.escape(NOWHERE)}\b"
)


class ObstoreEngine:
    """Make the requests by obstore, from as many threads as there are.

    Args:
        connection: How the bucket is reached.
        config: How large files are sent.

    Raises:
        UnsupportedError: obstore can't be set up here.
    """

    name = "obstore"

    def __init__(self, connection: S3Connection, config: TransferConfig) -> None:
        self._connection = connection
        self._config = config
        self._credentials = CredentialProvider(connection.credentials)
        self._reader = make_store(connection, self._credentials, sends_bodies=False)
        self._writer = make_store(connection, self._credentials, sends_bodies=True)
        self._count = Counter()
        self._large_bodies = threading.BoundedSemaphore(_LARGE_BODIES)
        self._large_uploads = threading.Lock()
        self._aborted = threading.Event()

    @property
    def requests(self) -> int:
        """How many requests were made so far; obstore does not tell of those that it repeats."""
        return self._count.value

    def list_page(self, prefix: str, start_after: str) -> Page[S3Object]:
        """List up to 1,000 objects under a prefix, after a key.

        obstore shows keys as paths: "x" for "/x" and for "x/". Where the first may be, boto3 lists.
        The second are what consoles make for folders: empty, so that the key of an empty object
        may be another than it seems. All other keys that are no paths make obstore fail.
        """
        if (prefix and not is_plain(prefix[:-1])) or not (prefix or start_after > "0"):
            raise UnsupportedError("listing keys that may begin with a slash")
        if start_after and not is_plain(start_after):
            raise UnsupportedError("listing from a key that is no plain path")
        stream = obstore.list(
            self._reader, prefix or None, offset=start_after or None, chunk_size=_PAGE
        )
        with self._requesting("ListObjectsV2"):
            try:
                objects = in_time(lambda: next(stream, ()), _LISTING_SECONDS)
            except NoAnswerError:
                raise UnsupportedError("the server's listings", lasting=True) from None
        entries: dict[str, S3Object] = {}
        for each in objects:
            # A folder's marker comes after the object whose key it is shown under.
            if each["path"] > start_after:
                entries.setdefault(each["path"], _describe(each))
        # Of a full page it can't be told whether it was the last.
        return Page([*entries.items()], is_last=len(objects) < _PAGE)

    def head(self, key: str, parameters: Mapping[str, Any]) -> S3Object | None:
        """Return what S3 says of an object, None if there is none."""
        if parameters:
            raise UnsupportedError(f"HEAD with {', '.join(parameters)}")
        self._check_key(key)
        try:
            with self._requesting("HeadObject"):
                return _describe(obstore.head(self._reader, key), is_certain=True)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def get(self, key: str, parameters: Mapping[str, Any]) -> bytes:
        """Return an object's content."""
        if parameters:
            raise UnsupportedError(f"GET with {', '.join(parameters)}")
        self._check_key(key)
        try:
            with self._requesting("GetObject"):
                return bytes(obstore.get(self._reader, key).bytes())
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                raise FileNotFoundError(key) from None
            raise

    def put(
        self, key: str, body: bytes | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store ``size`` bytes in one request and return the ETag."""
        attributes = _attributes(parameters)
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
        return (answer["e_tag"] or "").strip('"')

    def put_parts(
        self, key: str, body: str | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store a large file, named by its path or open, in parts and return the ETag.

        One file at a time, and of it as many parts as fit into some MB: obstore has a part in
        memory three times, as it is read, as it waits and as it is sent.
        """
        attributes = _attributes(parameters)
        self._check_key(key)
        chunk_size = part_size(self._config, size)
        if chunk_size > _LARGEST_BODY or self._config.max_bandwidth:
            raise UnsupportedError("the transfer configuration")
        at_a_time = self._config.max_request_concurrency if self._config.use_threads else 1
        with self._large_uploads, _opened(body) as stream, self._requesting("UploadPart"):
            answer = obstore.put(
                self._writer,
                key,
                _Abortable(stream, self._aborted, self._count),
                attributes=attributes,
                use_multipart=True,
                chunk_size=chunk_size,
                max_concurrency=max(1, min(at_a_time, _PARTS_IN_MEMORY // chunk_size)),
            )
        self._count.add()  # that which completes the upload
        return (answer["e_tag"] or "").strip('"')

    def abort(self) -> None:
        """Abort the uploads in parts that are under way; their callers get an error."""
        self._aborted.set()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects by 1,000 a request; missing ones are no error."""
        for key in keys:
            self._check_key(key)
        for first in range(0, len(keys), _PAGE):
            with self._requesting("DeleteObjects"):
                obstore.delete(self._reader, keys[first : first + _PAGE])

    @staticmethod
    def _check_key(key: str) -> None:
        if not is_plain(key):
            raise UnsupportedError("keys that are no plain paths")

    @contextmanager
    def _requesting(self, operation: str) -> Iterator[None]:
        """Count a request, and raise what boto3 would where it fails."""
        self._count.add()
        try:
            yield
        except InvalidPathError:
            raise UnsupportedError("keys that are no plain paths", lasting=False) from None
        # Not from it: its text has the whole answer, and more.
        except (BaseError, FileNotFoundError) as error:
            raise self._as_boto3(str(error), operation) from None
        except OSError as error:
            # What ended the reading of a body, whatever it was.
            if str(error).startswith("KeyboardInterrupt"):
                raise KeyboardInterrupt from None
            raise

    def _as_boto3(self, text: str, operation: str) -> Exception:
        if self._aborted.is_set():
            return InterruptedError("interrupted")
        if "Got invalid list response" in text:
            return UnsupportedError("the server's listings", lasting=True)
        refusal = _as_refusal(text, operation)
        if _IN_ANOTHER_REGION.search(text) or (refusal and is_in_another_region(refusal)):
            return UnsupportedError("the bucket is in another region", lasting=True)
        if refusal is None:
            return self._credentials.error or self._as_failure(text, operation)
        if operation == "ListObjectsV2" and _code(refusal) in ("AccessDenied", "403"):
            return ListingDeniedError(str(refusal))
        return refusal

    def _as_failure(self, text: str, operation: str) -> Exception:
        is_delete = operation == "DeleteObjects"
        if _CUT_OFF.search(text) or (is_delete and _INTERRUPTED.search(text)):
            return UnsupportedError("an answer was cut off")
        kind = _KIND.search(text)
        url = self._connection.url
        if kind is None:
            return ConnectionClosedError(endpoint_url=url)
        if kind.group(1) == "Timeout":
            return ReadTimeoutError(endpoint_url=url, error="timed out")
        return EndpointConnectionError(endpoint_url=url)


def _as_refusal(text: str, operation: str) -> ClientError | None:
    """Return what boto3 would raise for an answer that refuses; None for no answer."""
    not_deleted = _NOT_DELETED.search(text)
    if not_deleted:
        message, code = not_deleted.groups()
        answer = f"<Code>{code}</Code><Message>{message}</Message>"
        return client_error(200, answer, operation)
    status = _STATUS.search(text)
    return client_error(int(status.group(1)), text, operation) if status else None


def _code(refusal: ClientError) -> str:
    return refusal.response["Error"].get("Code", "")


class _Abortable(io.RawIOBase):
    """A body in parts whose reading fails once the upload is to be aborted."""

    def __init__(self, body: IO[bytes], aborted: threading.Event, count: Counter) -> None:
        super().__init__()
        self._body = body
        self._aborted = aborted
        self._count = count

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._body.tell()

    def read(self, size: int = -1) -> bytes:
        """Read a part.

        Raises:
            InterruptedError: The upload is to be aborted.
        """
        if self._aborted.is_set():
            raise InterruptedError("interrupted")
        content = self._body.read(size)
        if content:
            self._count.add()
        return content


@contextmanager
def _opened(body: str | IO[bytes]) -> Iterator[IO[bytes]]:
    if isinstance(body, str):
        with open(body, "rb") as stream:
            yield stream
    else:
        yield body


def _in_memory(body: IO[bytes], size: int) -> mmap.mmap:
    """Read a body into memory that the system gets back when it is sent.

    What the allocator gives to one thread after the other it keeps, a body's size for each.

    Raises:
        ValueError: It has another size.
    """
    memory = mmap.mmap(-1, size)
    for chunk in read_chunks(body, _READ_SIZE):
        if memory.tell() + len(chunk) > size:
            raise ValueError("it has become longer while it was read")
        memory.write(chunk)
    if memory.tell() < size:
        raise ValueError("it has become shorter while it was read")
    return memory


def _describe(meta: Mapping[str, Any], *, is_certain: bool = False) -> S3Object:
    size = meta["size"]
    # No folder is named as a file is, with an extension.
    is_certain = is_certain or size > 0 or "." in meta["path"].rpartition("/")[2]
    return S3Object((meta["e_tag"] or "").strip('"'), size, is_certain)


def _attributes(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return what goes with an object as obstore takes it.

    Raises:
        UnsupportedError: It can't say that.
    """
    attributes: dict[str, str] = {}
    for name, value in parameters.items():
        if name == "Metadata" and isinstance(value, Mapping):
            attributes.update(_metadata(value))
        elif name in _ATTRIBUTES:
            attributes[_ATTRIBUTES[name]] = checked_value(name, value)
        else:
            raise UnsupportedError(name)
    return attributes


def _metadata(values: Mapping[str, object]) -> dict[str, str]:
    # obstore takes either spelling for the header, in any case.
    reserved = {each.lower() for each in (*_ATTRIBUTES, *_ATTRIBUTES.values())}
    if {*map(str.lower, values)} & reserved:
        raise UnsupportedError("a name in Metadata")
    return metadata(values)
