"""The requests to S3 by obstore, which takes a fraction of boto3's CPU time.

obstore is Rust's ``object_store`` for Python (https://developmentseed.org/obstore/). It sends what
boto3 would where a request needs no more than a plain key and the usual headers of content.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Any

import obstore
from botocore.exceptions import ClientError
from obstore.exceptions import BaseError, InvalidPathError

from collectfasta.executor import NoAnswerError, in_time
from collectfasta.remote import ListingDeniedError, Page
from collectfasta.source import SourceFile
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
from collectfasta.strategies.s3_obstore_bodies import AbortableBody, in_memory
from collectfasta.strategies.s3_obstore_errors import as_boto3, code_of
from collectfasta.strategies.s3_obstore_setup import CredentialProvider, make_store

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig

_PAGE = 1000

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
            if code_of(error) == "NoSuchKey":
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
            return self._put(key, in_memory(body, size), attributes)

    def _put(self, key: str, body: bytes | mmap.mmap, attributes: dict[str, str]) -> str:
        with self._requesting("PutObject"):
            answer = obstore.put(
                self._writer, key, body, attributes=attributes, use_multipart=False
            )
        return (answer["e_tag"] or "").strip('"')

    def put_parts(
        self, key: str, body: SourceFile | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store a large file, open or to be opened, in parts and return the ETag.

        One file at a time, and of it as many parts as fit into some MB: obstore has a part in
        memory three times, as it is read, as it waits and as it is sent.
        """
        attributes = _attributes(parameters)
        self._check_key(key)
        chunk_size = part_size(self._config, size)
        if chunk_size > _LARGEST_BODY or self._config.max_bandwidth:
            raise UnsupportedError("the transfer configuration")
        at_a_time = self._config.max_request_concurrency if self._config.use_threads else 1
        with self._large_uploads, self._reading(body) as stream, self._requesting("UploadPart"):
            answer = obstore.put(
                self._writer,
                key,
                stream,
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
    def _reading(self, body: SourceFile | IO[bytes]) -> Iterator[AbortableBody]:
        """Open a body for being sent in parts, and raise what has ended its reading."""
        with body.open() if isinstance(body, SourceFile) else nullcontext(body) as stream:
            abortable = AbortableBody(stream, self._aborted, self._count)
            try:
                yield abortable
            except Exception:
                if abortable.error:
                    raise abortable.error from None
                raise

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
        error = as_boto3(text, operation, self._connection.url)
        # Without credentials nothing was asked.
        is_answer = isinstance(error, (ClientError, ListingDeniedError, UnsupportedError))
        return error if is_answer else self._credentials.error or error


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
