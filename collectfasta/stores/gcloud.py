"""Google Cloud Storage as a store: the objects of a bucket, by the storage's own client.

Private names of ``google-cloud-storage`` that have no public counterpart stand here: the endpoint
(``Client._connection.API_BASE_URL``), the session (``Client._http``), what asks for the bucket's
metadata in the background (``Client._bucket_metadata_cache``) and the login
(``Client._credentials``).
"""

from __future__ import annotations

import base64
import io
import mimetypes
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import NoneType
from typing import Any, ClassVar

from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    NotFound,
    RetryError,
    Unauthorized,
    from_http_response,
)
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.exceptions import GoogleCloudError
from google.cloud.storage import Blob, Bucket
from google.cloud.storage.retry import DEFAULT_RETRY
from requests import RequestException
from typing_extensions import override

from collectfasta.checksums import Checksum
from collectfasta.errors import CollectfastaError, StoreError, describe
from collectfasta.patching import is_overridden
from collectfasta.remote import Listed, on_our_clock
from collectfasta.source import Body, Payload
from collectfasta.stores.django_storages import (
    CloudStore,
    google_client_so_far,
    google_compressed,
    texts_of,
)
from collectfasta.stores.http import CONNECT_SECONDS, READ_SECONDS, Counter, prepare_session
from collectfasta.stores.store import (
    OTHER_SHAPE,
    PAGE_SIZE,
    TRANSIENT_STATUSES,
    Entry,
    Page,
    batches,
    is_compressed,
    next_token,
    reading_listing,
)

# What is sent in one request is held in memory, so larger files go by resumable upload, in chunks
# that must be multiples of 256 KiB (https://cloud.google.com/storage/docs/resumable-uploads).
_ONE_REQUEST = 2 * 1024 * 1024
_CHUNK = 4 * 1024 * 1024

# https://cloud.google.com/storage/docs/batch: at most 100 calls.
_DELETE_BATCH = 100

# https://cloud.google.com/storage/docs/objects#naming
_FORBIDDEN = re.compile(r"[\r\n]|\A\.well-known/acme-challenge/")

# Of the credentials in google.auth, whose private keys are not texts.
_SECRETS = ("client_secret", "refresh_token", "token")

_FIELDS = "items(name,size,generation,md5Hash,crc32c,timeCreated),nextPageToken"

# The storage has no options for that. At random up to 0.5, 1.5, 4.5, 13.5 and then 20 s, for a
# minute: the SDK's own goes on for two.
RETRY = DEFAULT_RETRY.with_delay(initial=0.5, maximum=20.0, multiplier=3.0).with_timeout(60.0)
_TRIED = {"retry": RETRY, "timeout": (CONNECT_SECONDS, READ_SECONDS)}

_ERRORS = (GoogleAuthError, GoogleCloudError, RequestException)


class GoogleStore(CloudStore):
    """A bucket of Google Cloud Storage.

    Objects are compared by size and MD5, composite ones, which have no MD5, by CRC32C.
    """

    service: ClassVar[str] = "Google Cloud Storage"
    missing = (FileNotFoundError, NotFound)

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self._count = Counter()
        self._lock = threading.Lock()
        self._ready: tuple[int, Bucket] | None = None

    @property
    @override
    def url(self) -> str:
        return f"gs://{self._name}/{self.prefix}"

    @property
    def _name(self) -> str:
        """The bucket's, by the bucket that a class has in its own way."""
        return str(self._ready[1].name if self._ready else self.storage.bucket_name)

    @property
    @override
    def identity(self) -> str | None:
        """Endpoint, bucket and location."""
        with self.translating():
            endpoint = self._bucket.client._connection.API_BASE_URL
        return f"gs {endpoint} {self.url}"

    @property
    @override
    def requests(self) -> int | None:
        return self._count.value

    @property
    @override
    def secrets(self) -> list[str]:
        """The storage's secrets, and those of the credentials that it or its client has."""
        client = self._ready[1].client if self._ready else google_client_so_far(self.storage)
        logins = self.storage.credentials, getattr(client, "_credentials", None)
        return [*super().secrets, *(text for each in logins for text in texts_of(each, _SECRETS))]

    @override
    def full_path(self, name: str) -> str:
        path = super().full_path(name)
        if _FORBIDDEN.search(path):
            raise ValueError(
                "names of objects have no line breaks, and don't begin with "
                ".well-known/acme-challenge/"
            )
        return path

    @property
    def _bucket(self) -> Bucket:
        """The storage's own bucket, whose client has a connection for each thread.

        Raises:
            CollectfastaError: The settings name no bucket, or credentials that are not Google's.
        """
        with self._lock:
            if self._ready is None or self._ready[0] != self.threads:
                self._ready = self.threads, self._connect()
            return self._ready[1]

    def _connect(self) -> Bucket:
        storage = self.storage
        overridden = {name for name in ("bucket", "client") if is_overridden(type(storage), name)}
        if not storage.bucket_name and "bucket" not in overridden:
            raise CollectfastaError(
                "The storage names no bucket: set bucket_name in its OPTIONS, or GS_BUCKET_NAME."
            )
        if not overridden and not isinstance(storage.credentials, (Credentials, NoneType)):
            raise CollectfastaError(
                "The storage's credentials (GS_CREDENTIALS) must be an object of google.auth, not "
                f"a {type(storage.credentials).__name__}: leave them out, and let "
                "GOOGLE_APPLICATION_CREDENTIALS name the key file."
            )
        try:
            bucket: Bucket = storage.bucket
        except (OSError, *OTHER_SHAPE) as error:
            if overridden or isinstance(error, GoogleAuthError):
                raise
            raise CollectfastaError(
                f"The storage's client can't be made ({describe(error)}): correct its bucket_name "
                "(GS_BUCKET_NAME), or the file that GOOGLE_APPLICATION_CREDENTIALS names."
            ) from error
        # It would ask for the bucket's metadata, in another thread, to decorate traces.
        bucket.client._bucket_metadata_cache = None
        url = bucket.client._connection.API_BASE_URL
        prepare_session(bucket.client._http, url, self.threads, self._count)
        return bucket

    # What would be there

    @override
    def payload(self, key: str, content: Any) -> Payload:
        """Return what ``GoogleCloudStorage._save()`` would send.

        The headers are the blob's properties, and ``content_type`` and ``predefined_acl``, which
        an upload takes as arguments.
        """
        storage = self.storage
        guessed_type, guessed_encoding = mimetypes.guess_type(key)
        headers = storage.get_object_parameters(key)
        if guessed_encoding:
            headers.setdefault("content_encoding", guessed_encoding)
        headers["predefined_acl"] = headers.pop("acl", storage.default_acl)
        headers.setdefault("content_type", guessed_type)
        encoding = "given" if "content_encoding" in headers else None
        compresses = is_compressed(storage, headers["content_type"], encoding)
        if compresses:
            content = google_compressed(storage, content)
            headers["content_encoding"] = "gzip"
        return Payload(content, compresses or self.saves_itself, headers)

    # What is there

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        with self._listing():
            bucket = self._bucket
            listing = bucket.client.list_blobs(
                bucket,
                prefix=prefix,
                start_offset=start or None,
                page_token=token or None,
                page_size=PAGE_SIZE,
                fields=_FIELDS,
                **_TRIED,
            )
            entries: list[Entry] = []
            following: str | None = token
            with reading_listing(GoogleAuthError):
                for page in listing.pages:
                    _check_listing(page.raw_page)
                    entries = [
                        Entry(blob.name, self._describe(blob, is_dated=not start)) for blob in page
                    ]
                    following = next_token(following or "", listing.next_page_token)
                    # An empty page is not always the last one.
                    if entries or following is None:
                        break
        return Page(entries, following)

    @contextmanager
    def _listing(self) -> Iterator[None]:
        try:
            with self.translating():
                yield
        except StoreError as error:
            if error.denied:
                error.advice = (
                    f"The credentials lack the permission storage.objects.list on {self._name!r}."
                )
            raise

    @override
    def head(self, key: str) -> Listed | None:
        try:
            with self.translating():
                blob = self._bucket.get_blob(key, **_TRIED)
        except StoreError as error:
            if error.denied:
                return Listed()
            raise
        return blob and self._describe(blob, is_dated=True)

    @override
    def get(self, key: str) -> bytes:
        """Return the content of one object, decompressed as the storage's ``open()`` does it."""
        with self.translating():
            content: bytes = self._bucket.blob(key).download_as_bytes(**_TRIED)
        return content

    def _describe(self, blob: Blob, *, is_dated: bool = False) -> Listed:
        checksum = None
        if blob.md5_hash:
            checksum = Checksum("md5", base64.b64decode(blob.md5_hash).hex())
        elif blob.crc32c:
            checksum = Checksum("crc32c", base64.b64decode(blob.crc32c).hex())
        # To read it takes as long as all the rest: a listing from a key on is not asked for it.
        written = blob.time_created if is_dated else None
        last_modified = on_our_clock(written, self._count.date) if written else None
        return Listed(str(blob.generation or ""), blob.size, checksum, last_modified)

    # Put it there, delete it

    @override
    def put(self, key: str, body: Body, headers: Mapping[str, Any]) -> Listed:
        """Store a body: by one request if it is small, or compressed in memory already."""
        is_small = body.size is None or body.size <= _ONE_REQUEST
        chunk_size = self.storage.blob_chunk_size or (None if is_small else _CHUNK)
        properties = dict(headers)
        upload = {name: properties.pop(name) for name in ("content_type", "predefined_acl")}
        content: Any = body
        size = None
        if is_small:
            whole = body.whole()
            content, size = io.BytesIO(whole), len(whole)
        with self.translating():
            blob = Blob(key, self._bucket, chunk_size=chunk_size)
            for name, value in properties.items():
                setattr(blob, name, value)
            blob.upload_from_file(content, size=size, **upload, **_TRIED)
            return self._describe(blob)

    @override
    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, 100 a request."""
        with self.translating():
            bucket = self._bucket
            for batch in batches(keys, _DELETE_BATCH):
                try:
                    with bucket.client.batch():
                        bucket.delete_blobs(batch)
                except (GoogleCloudError, RequestException, *OTHER_SHAPE):
                    # Of one call: it hides what became of the others, and no call of a batch is
                    # repeated. One by one they are, and those that were done are not errors. And
                    # others than Google's service may not know batches.
                    bucket.delete_blobs(batch, on_error=lambda _: None, **_TRIED)

    @override
    def translate(self, error: Exception) -> StoreError | None:
        return translate(error, self._name, self.secrets)


def _check_listing(answer: Any) -> None:
    """Raise a ValueError that names the fields of JSON of another kind.

    The service leaves out what it was not asked for, so of an empty bucket all may be missing.
    https://cloud.google.com/storage/docs/json_api/v1/objects/list#response_1
    """
    if answer.get("kind", "storage#objects") != "storage#objects" or (
        answer and not answer.keys() & {"kind", "items", "nextPageToken", "prefixes"}
    ):
        raise ValueError(", ".join(answer))


def translate(error: Exception, bucket: str, secrets: Iterable[str] = ()) -> StoreError | None:
    """Return a StoreError for what Google's SDK raises; None for any other error.

    Args:
        error: What it raised.
        bucket: The bucket's name.
        secrets: Texts that must not appear.
    """
    if isinstance(error, RetryError):
        # What was repeated in vain; of an upload, an error that only has the answer.
        answer = getattr(error.cause, "response", None)
        if isinstance(error.cause, _ERRORS):
            error = error.cause
        elif answer is not None:
            error = from_http_response(answer)
    if not isinstance(error, (*_ERRORS, RetryError)):
        return None
    code = error.code if isinstance(error, GoogleCloudError) else None
    transient = isinstance(error, (RequestException, RetryError, TransportError))
    if code is not None:
        # Without a refusal and yet an error: the answer was cut off after its status.
        transient = code in TRANSIENT_STATUSES or code < 400
    return StoreError(
        describe(error, secrets),
        # An HTTPStatus, which is shown as its name before Python 3.11.
        kind=type(error).__name__ if code is None else str(int(code)),
        transient=transient,
        advice=None if transient else _advice(error, bucket, secrets),
        missing=isinstance(error, NotFound),
        denied=isinstance(error, Forbidden),
    )


def _advice(error: Exception, bucket: str, secrets: Iterable[str]) -> str | None:
    if isinstance(error, (GoogleAuthError, Unauthorized)):
        reason = f" ({describe(error, secrets)})" if isinstance(error, GoogleAuthError) else ""
        return (
            f"The credentials for the bucket {bucket!r} are refused, missing or have expired"
            f"{reason}: correct the storage's credentials (GS_CREDENTIALS) or "
            "GOOGLE_APPLICATION_CREDENTIALS."
        )
    if isinstance(error, NotFound):
        return (
            f"The bucket {bucket!r} does not exist: create it, or correct the storage's "
            "bucket_name (GS_BUCKET_NAME)."
        )
    if isinstance(error, BadRequest) and "uniform bucket-level access" in str(error):
        return (
            f"The bucket {bucket!r} has uniform bucket-level access, so its objects can't have "
            "ACLs: set the storage's default_acl (GS_DEFAULT_ACL) to None, and no 'acl' in its "
            "object_parameters."
        )
    if isinstance(error, Forbidden):
        return (
            f"The credentials lack a permission on the bucket {bucket!r}: a deploy needs "
            "storage.objects.create, storage.objects.delete (to overwrite) and "
            "storage.objects.list, as the role Storage Object User has them."
        )
    return None
