"""Deploy to Google Cloud Storage, through django-storages' GoogleCloudStorage."""

from __future__ import annotations

import base64
import io
import itertools
import mimetypes
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

from google.api_core.exceptions import Forbidden, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.exceptions import GoogleCloudError
from google.cloud.storage import Blob
from requests import RequestException
from storages.backends.gcloud import GoogleCloudStorage

from collectfasta.checksums import Checksum
from collectfasta.remote import (
    ListingDeniedError,
    Page,
    RemoteObject,
    leapfrog,
    next_marker,
    reading_listing,
)
from collectfasta.source import Payload, SourceFile
from collectfasta.strategies.clock import age_of
from collectfasta.strategies.contract import secrets_of
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.gcloud_client import prepare_client
from collectfasta.strategies.gcloud_errors import explain
from collectfasta.strategies.gcloud_retry import patience
from collectfasta.strategies.hashing import TwoPassFileSystemStrategy, TwoPassInMemoryStrategy
from collectfasta.strategies.listing import CloudStrategy

# What is sent in one request is held in memory, so larger files go by resumable upload, in chunks
# that must be multiples of 256 KiB (https://cloud.google.com/storage/docs/resumable-uploads).
_ONE_REQUEST = 2 * 1024 * 1024
_CHUNK = 4 * 1024 * 1024

# https://cloud.google.com/storage/docs/batch: at most 100 calls.
_DELETE_BATCH = 100

# https://cloud.google.com/storage/docs/objects#naming
_FORBIDDEN = re.compile(r"[\r\n]|\A\.well-known/acme-challenge/")

# Of the credentials in google.auth; private keys are no text there.
_SECRETS = ("client_secret", "refresh_token", "token")

_PAGE = 1000
_FIELDS = "items(name,size,generation,md5Hash,crc32c,timeCreated),nextPageToken"


class GoogleCloudStrategy(CloudStrategy[GoogleCloudStorage]):
    """Deploy to a bucket by listing it and sending what differs.

    Objects are compared by size and MD5, composite ones, which have no MD5, by CRC32C.
    """

    delete_not_found_exception: ClassVar[tuple[type[Exception], ...]] = (NotFound,)
    storage_class: ClassVar[str | None] = "storages.backends.gcloud.GoogleCloudStorage"
    remote_errors: ClassVar[tuple[type[Exception], ...]] = (
        GoogleAuthError,
        GoogleCloudError,
        RequestException,
        RetryError,
    )
    passing_errors: ClassVar[tuple[type[Exception], ...]] = (
        RequestException,
        RetryError,
        TransportError,
    )

    def __init__(self, remote_storage: GoogleCloudStorage) -> None:
        super().__init__(remote_storage)
        self.use_gzip = remote_storage.gzip
        self._count = Counter()

    @property
    def target_id(self) -> str | None:
        """Bucket and location."""
        return f"gs {self.target_storage.client._connection.API_BASE_URL} {self.target_name}"

    @property
    def target_name(self) -> str:
        """The bucket and the location as a URL."""
        return f"gs://{self.target_storage.bucket_name}/{self.prefix}"

    @property
    def requests_made(self) -> int | None:
        """How many requests were made so far, retries included."""
        return self._count.value

    @property
    def secrets(self) -> list[str]:
        """The storage's secrets, and those of the credentials that it or its client has."""
        storage = self.target_storage
        known = [storage.credentials, getattr(storage._client, "_credentials", None)]
        found = (secrets_of(each, _SECRETS) for each in known)
        return [*super().secrets, *itertools.chain.from_iterable(found)]

    def full_path(self, name: str) -> str:
        """Return a cleaned name joined to the location, as the storage does it.

        Raises:
            ValueError: The service can't have it.
        """
        path = super().full_path(name)
        if _FORBIDDEN.search(path):
            raise ValueError(
                "names of objects have no line breaks, and don't begin with "
                ".well-known/acme-challenge/"
            )
        return path

    def prepare(self, threads: int) -> None:
        """Give the storage's client, which all threads use, a connection for each."""
        self._threads = threads
        prepare_client(self.target_storage, threads, self._count)

    # What is there

    def list_remote(self, names: Sequence[str]) -> Iterator[RemoteObject]:
        """Return the named objects that the bucket has, by as few requests as there can be."""
        by_key = {self.object_key(name): name for name in names}
        try:
            for key, blob in leapfrog(by_key, self._list_from, threads=self._threads):
                with reading_listing(GoogleAuthError):
                    remote = _describe(by_key[key], blob)
                yield remote
        except Forbidden as error:
            raise ListingDeniedError(str(error)) from error

    def _list_from(self, key: str, last: str) -> Page[Blob]:
        # An empty page need not be the last one.
        for page in self._pages(start_offset=key, page_size=_PAGE):
            if page.entries or page.is_last:
                break
        return page

    def _pages(self, **options: Any) -> Iterator[Page[Blob]]:
        listing = self.target_storage.client.list_blobs(
            self.target_storage.bucket_name,
            prefix=self.prefix,
            fields=_FIELDS,
            **patience(),
            **options,
        )
        marker = None
        with reading_listing(GoogleAuthError):
            for page in listing.pages:
                entries = [(blob.name, blob) for blob in page]
                marker = next_marker(marker, listing.next_page_token)
                yield Page(entries, is_last=marker is None)

    def list_keys(self) -> Iterator[tuple[str, timedelta | None]]:
        """Return every key under the prefix, and how long ago this generation was written."""
        for page in self._pages():
            for key, blob in page.entries:
                with reading_listing():
                    written = blob.time_created
                yield key, age_of(written, self._count.date) if written else None

    def look_up(self, name: str) -> RemoteObject | None:
        """Ask for one object; one that may not be read is there, but unknown."""
        try:
            blob = self.target_storage.bucket.get_blob(self.object_key(name), **patience())
        except Forbidden:
            return RemoteObject(name)
        return blob and _describe(name, blob)

    # What would be there

    @contextmanager
    def open_payload(self, source: SourceFile) -> Iterator[Payload]:
        """Open a file as ``GoogleCloudStorage._save()`` would send it.

        The parameters are the blob's properties, and ``content_type`` and ``predefined_acl``,
        which an upload takes by themselves.
        """
        storage = self.target_storage
        key = self.object_key(source.name)
        guessed_type, guessed_encoding = mimetypes.guess_type(key)
        parameters = storage.get_object_parameters(key)
        if guessed_encoding:
            parameters.setdefault("content_encoding", guessed_encoding)
        parameters["predefined_acl"] = parameters.pop("acl", storage.default_acl)
        parameters.setdefault("content_type", guessed_type)
        with source.open() as content:
            body: Any = content
            compress = (
                storage.gzip
                and parameters["content_type"] in storage.gzip_content_types
                and "content_encoding" not in parameters
            )
            if compress:
                body = storage._compress_content(content)
                parameters["content_encoding"] = "gzip"
            yield Payload(body, compress or self.saves_itself, parameters)

    # Put it there, delete it

    def put(self, source: SourceFile) -> RemoteObject:
        """Put a file into the bucket: one request for a small one."""
        with self.open_payload(source) as payload:
            small = (source.size or 0) <= _ONE_REQUEST
            chunk_size = self.target_storage.blob_chunk_size or (None if small else _CHUNK)
            blob = Blob(
                self.object_key(source.name), self.target_storage.bucket, chunk_size=chunk_size
            )
            properties = dict(payload.parameters)
            upload = {key: properties.pop(key) for key in ("content_type", "predefined_acl")}
            for name, value in properties.items():
                setattr(blob, name, value)
            body: Any = _Abortable(payload.body, self.check_aborted)
            size = None
            if small:
                content = payload.body.read()
                body, size = io.BytesIO(content), len(content)
            blob.upload_from_file(body, size=size, **upload, **patience())
        return _describe(source.name, blob, payload.fingerprint)

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete objects, 100 a request."""
        bucket = self.target_storage.bucket
        for start in range(0, len(keys), _DELETE_BATCH):
            batch = keys[start : start + _DELETE_BATCH]
            try:
                with self.target_storage.client.batch():
                    bucket.delete_blobs(batch)
            except (GoogleCloudError, RequestException):
                # Of one call: it hides what became of the others, and no call is made again. By
                # themselves they are, and those that were done are no error.
                bucket.delete_blobs(batch, on_error=lambda _: None, **patience())

    # What went wrong

    def answer_of(self, error: Exception) -> tuple[int | None, str]:
        """Return the HTTP status of the answer behind an error; None without one."""
        code = error.code if isinstance(error, GoogleCloudError) else None
        # An HTTPStatus, which is shown as its name before Python 3.11.
        return (None if code is None else int(code)), ""

    def is_passing(self, error: Exception) -> bool:
        """Tell whether a request that has failed by this error may succeed a little later."""
        status = self.answer_of(error)[0]
        # No refusal, and yet an error: the answer was cut off after its status.
        return (status is not None and status < 400) or super().is_passing(error)

    def explain_error(self, error: Exception) -> str | None:
        """Say in a line why Google Cloud Storage refuses for good, and what to do."""
        return None if self.is_passing(error) else explain(self.target_storage.bucket_name, error)


class GoogleCloudManifestMemoryStrategy(TwoPassInMemoryStrategy):
    """Deploy a manifest storage by post-processing in memory and sending what differs."""

    storage_class: ClassVar[str | None] = GoogleCloudStrategy.storage_class
    second_strategy = GoogleCloudStrategy


class GoogleCloudManifestFileSystemStrategy(TwoPassFileSystemStrategy):
    """Deploy a manifest storage by post-processing in a temporary directory."""

    storage_class: ClassVar[str | None] = GoogleCloudStrategy.storage_class
    second_strategy = GoogleCloudStrategy


class _Abortable:
    """A body whose upload ends at the next chunk when it is told to."""

    def __init__(self, body: Any, check: Callable[[], None]) -> None:
        self._body = body
        self._check = check

    def read(self, *args: Any) -> Any:
        """Read, unless the upload is to end."""
        self._check()
        return self._body.read(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


def _describe(name: str, blob: Blob, parameters: str = "") -> RemoteObject:
    checksum = None
    if blob.md5_hash:
        checksum = Checksum("md5", base64.b64decode(blob.md5_hash).hex())
    elif blob.crc32c:
        checksum = Checksum("crc32c", base64.b64decode(blob.crc32c).hex())
    version = str(blob.generation or "")
    return RemoteObject(name, version, blob.size, checksum, parameters)
