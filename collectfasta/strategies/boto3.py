"""Deploy to S3 and what speaks its protocol, through django-storages' S3Storage."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnconnectedError
from django.utils.functional import SimpleLazyObject
from s3transfer.constants import ALLOWED_DOWNLOAD_ARGS
from storages.backends.s3 import S3Storage
from storages.utils import ReadBytesWrapper

from collectfasta.checksums import Checksum, read_chunks
from collectfasta.disks import naming_disks
from collectfasta.remote import Page, RemoteObject, leapfrog
from collectfasta.shadowing import is_overridden
from collectfasta.source import Payload, SourceFile
from collectfasta.strategies.hashing import (
    HashingTwoPassStrategy,
    TwoPassFileSystemStrategy,
    TwoPassInMemoryStrategy,
    WithoutPrefixMixin,
)
from collectfasta.strategies.listing import CloudStrategy
from collectfasta.strategies.s3 import S3Object, just_before, part_size
from collectfasta.strategies.s3_combined import CombinedEngine
from collectfasta.strategies.s3_errors import PASSING_CODES, explain

# What is at most this large is read at once; memory is this many bytes for each thread.
_SMALL = 1024 * 1024


class Boto3Strategy(CloudStrategy[S3Storage]):
    """Deploy to a bucket by listing it once and sending what differs.

    Objects are compared by size and ETag. Where the ETag says nothing about the content (SSE-KMS,
    SSE-C) the remembered pair of ETag and local checksum does.

    Attributes:
        default_threads: Measured with obstore (``benchmarks/README.md``): a thread takes next to
            nothing but time. At 20 ms a request 64 take three quarters of the time that 32 take,
            and 128 no less; boto3 is not slower with 64 either.
    """

    default_threads: ClassVar[int] = 64

    storage_class: ClassVar[str | None] = "storages.backends.s3.S3Storage"
    remote_errors: ClassVar[tuple[type[Exception], ...]] = (BotoCoreError, ClientError)
    passing_errors: ClassVar[tuple[type[Exception], ...]] = (
        HTTPClientError,
        UnconnectedError,
    )
    passing_codes: ClassVar[frozenset[str]] = PASSING_CODES
    secret_attributes: ClassVar[tuple[str, ...]] = ("secret_key", "security_token")
    secret_variables: ClassVar[tuple[str, ...]] = (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
    )
    _engine: CombinedEngine

    def __init__(self, remote_storage: S3Storage) -> None:
        super().__init__(remote_storage)
        self.use_gzip = remote_storage.gzip

    @property
    def target_id(self) -> str | None:
        """Endpoint, bucket and location."""
        endpoint = self.target_storage.endpoint_url or "aws"
        return f"s3 {endpoint} {self.target_storage.bucket_name} {self.prefix}"

    @property
    def target_name(self) -> str:
        """The bucket and the location as a URL."""
        return f"s3://{self.target_storage.bucket_name}/{self.prefix}"

    @property
    def secrets(self) -> list[str]:
        """The storage's secrets, and what boto3 has found in a profile or was given by a role."""
        engine: CombinedEngine | None = vars(self).get("_engine")
        return [*super().secrets, *(engine.secrets if engine else ())]

    @property
    def requests_made(self) -> int | None:
        """How many requests were made so far, with those that boto3 repeated."""
        return self._engine.requests

    @property
    def engine_name(self) -> str | None:
        """What made the requests, and why it was not obstore alone."""
        return self._engine.name

    def prepare(self, threads: int) -> None:
        """Make what all threads use."""
        self._engine = CombinedEngine(self.target_storage, threads)
        self._threads = threads

    # What is there

    def list_remote(self, names: Sequence[str]) -> Iterator[RemoteObject]:
        """Return the named objects that the bucket has, by as few requests as there can be."""
        by_key = {self.object_key(name): name for name in names}
        for key, entry in leapfrog(by_key, self._list_from, threads=self._threads):
            yield self._describe(by_key[key], entry)

    def _list_from(self, key: str, last: str) -> Page[S3Object]:
        return self._engine.list_page(self.prefix, max(just_before(key), last))

    def list_keys(self) -> Iterable[tuple[str, timedelta | None]]:
        """Return every key under the prefix, letter by letter, with its object's age."""
        page, before, last = Page[S3Object]((), is_last=False), "", ""
        while not page.is_last:
            page = self._engine.exact.list_page(self.prefix, last)
            for last, entry in page.entries:
                yield last, entry.age
            if last <= before:
                return
            before = last

    def look_up(self, name: str) -> RemoteObject | None:
        """Ask for one object; one that may not be read is there, but unknown."""
        try:
            entry = self._head(name)
        except ClientError as error:
            # Without permission to list, S3 answers 403 also for what does not exist:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                return RemoteObject(name)
            raise
        return self._describe(name, entry) if entry else None

    def _head(self, name: str) -> S3Object | None:
        return self._engine.head(*self._to_read(name))

    def read(self, name: str) -> bytes:
        """Return an object's content by one request; ``storage.open().read()`` makes three.

        Raises:
            FileNotFoundError: There is no such object.
        """
        return self._engine.get(*self._to_read(name))

    def _to_read(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return the key of a name, and the parameters that its object is read with."""
        key = self.object_key(name)
        allowed = self.target_storage.get_object_parameters(key)
        return key, {k: v for k, v in allowed.items() if k in ALLOWED_DOWNLOAD_ARGS}

    def _describe(self, name: str, entry: S3Object) -> RemoteObject:
        if not entry.is_certain:
            return RemoteObject(
                name, size=entry.size, read_checksum=lambda: self._read_checksum(name)
            )
        checksum = self._checksum(entry)
        return RemoteObject(name, version=entry.etag, size=entry.size, checksum=checksum)

    def _read_checksum(self, name: str) -> Checksum | None:
        entry = self._head(name)
        return self._checksum(entry) if entry else None

    def _checksum(self, entry: S3Object) -> Checksum | None:
        digest, _, parts = entry.etag.partition("-")
        if len(digest) != 32:
            return None
        if not parts:
            return Checksum("md5", digest)
        size = part_size(self.target_storage.transfer_config, entry.size)
        if parts != str(-(-entry.size // size)):
            return None
        return Checksum("md5-parts", entry.etag, size)

    # What would be there

    @contextmanager
    def open_payload(self, source: SourceFile) -> Iterator[Payload]:
        """Open a file as ``S3Storage._save()`` would send it: its parameters, its compressor."""
        storage = self.target_storage
        with source.open() as content:
            key = self.object_key(source.name)
            # A comparison by checksums asks for none.
            parameters: Any = SimpleLazyObject(lambda: storage._get_write_parameters(key, content))
            body: Any = ReadBytesWrapper(content)
            compress = (
                storage.gzip
                and parameters["ContentType"] in storage.gzip_content_types
                and "ContentEncoding" not in parameters
            )
            if compress:
                body = storage._compress_content(body)
                parameters["ContentEncoding"] = "gzip"
            yield Payload(body, compress or self.saves_itself, parameters)

    # Put it there, delete it

    def put(self, source: SourceFile) -> RemoteObject:
        """Put a file into the bucket: one request below the storage's multipart threshold."""
        key = self.object_key(source.name)
        with self.open_payload(source) as payload, _sized(payload, source) as (body, size):
            if size < self.target_storage.transfer_config.multipart_threshold:
                etag = self._engine.put(key, body, size, payload.parameters)
            else:
                stream = io.BytesIO(body) if isinstance(body, bytes) else body
                content = source if self._is_sent_as_it_is(source, payload) else stream
                etag = self._engine.put_parts(key, content, size, payload.parameters)
        return RemoteObject(source.name, etag, size, parameters=payload.fingerprint)

    @staticmethod
    def _is_sent_as_it_is(source: SourceFile, payload: Payload) -> bool:
        """Tell whether an engine may open a file by itself: read by parts it takes no memory."""
        return source.local_path is not None and not payload.encoded

    def abort(self) -> None:
        """Abort the multipart uploads that are under way."""
        super().abort()
        self._engine.abort()

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete objects, 1,000 a request."""
        self._engine.delete(keys)

    def answer_of(self, error: Exception) -> tuple[int | None, str]:
        """Return HTTP status and code of the answer behind an error; None and "" without one."""
        if not isinstance(error, ClientError):
            return None, ""
        status: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status, str(error.response.get("Error", {}).get("Code", ""))

    def explain_error(self, error: Exception) -> str | None:
        """Say in a line why S3 refuses for good, and what to do."""
        return explain(self.target_storage, self.target_name, error)


class Boto3WithoutPrefixStrategy(WithoutPrefixMixin, Boto3Strategy):
    """Send what is staged."""


class _PlainUrls(HashingTwoPassStrategy):
    """Work out URLs without a client of boto3 while files are post-processed.

    Without a domain of its own the storage asks a client for each URL, a millisecond of work, and
    of each only the file's name is used: a reference keeps its folders.
    """

    def staged_attributes(self) -> Mapping[str, object]:
        """Give the storage a domain, unless its URLs depend on more than the key."""
        storage: Any = self.remote_storage
        packages = ("django.", "storages.")
        is_own = any(
            is_overridden(storage.__class__, name, outside=packages)
            for name in ("_url", "url", "url_converter")
        )
        if is_own or storage.custom_domain or storage.querystring_auth:
            return super().staged_attributes()
        return {**super().staged_attributes(), "custom_domain": "staged"}


class Boto3ManifestMemoryStrategy(_PlainUrls, TwoPassInMemoryStrategy):
    """Deploy a manifest storage by post-processing in memory and sending what differs."""

    storage_class: ClassVar[str | None] = Boto3Strategy.storage_class
    second_strategy = Boto3WithoutPrefixStrategy


class Boto3ManifestFileSystemStrategy(_PlainUrls, TwoPassFileSystemStrategy):
    """Deploy a manifest storage by post-processing in a temporary directory."""

    storage_class: ClassVar[str | None] = Boto3Strategy.storage_class
    second_strategy = Boto3WithoutPrefixStrategy


@contextmanager
def _sized(payload: Payload, source: SourceFile) -> Iterator[tuple[bytes | IO[bytes], int]]:
    """Make a body of known size that can be read again for a retry, without much memory."""
    body: Any = payload.body
    if source.size is not None and source.size <= _SMALL:
        content = body.read()
        yield content, len(content)
    elif payload.encoded or source.size is None:
        with naming_disks(tempfile.gettempdir()), tempfile.TemporaryFile() as spool:
            spool.writelines(read_chunks(body))
            size = spool.tell()
            spool.seek(0)
            yield spool, size
    else:
        size = body.seek(0, os.SEEK_END)
        body.seek(0)
        yield body, size
