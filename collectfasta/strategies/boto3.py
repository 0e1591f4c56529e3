"""Deploy to S3 and what speaks its protocol, through django-storages' S3Storage."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, ClassVar
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
)
from django.core.files.storage import FileSystemStorage
from s3transfer.constants import ALLOWED_DOWNLOAD_ARGS
from s3transfer.utils import ChunksizeAdjuster
from storages.backends.s3 import S3Storage
from storages.utils import ReadBytesWrapper

from collectfasta.checksums import Checksum, read_chunks
from collectfasta.remote import ListingDeniedError, Page, RemoteObject, leapfrog
from collectfasta.shadowing import is_overridden
from collectfasta.source import Payload, SourceFile
from collectfasta.strategies.hashing import (
    TwoPassFileSystemStrategy,
    TwoPassInMemoryStrategy,
    WithoutPrefixMixin,
)
from collectfasta.strategies.listing import CloudStrategy
from collectfasta.strategies.s3 import Boto3Engine, S3Engine, S3Object

# What is at most this large is read at once; memory is this many bytes for each thread.
_SMALL = 1024 * 1024

_CREDENTIALS_REFUSED = {
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_WRONG_REGION = {
    "301",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
}
_ACTIONS = {
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}


class Boto3Strategy(CloudStrategy[S3Storage]):
    """Deploy to a bucket by listing it once and sending what differs.

    Objects are compared by size and ETag. Where the ETag says nothing about the content (SSE-KMS,
    SSE-C) the remembered pair of ETag and local checksum does.
    """

    storage_class: ClassVar[str | None] = "storages.backends.s3.S3Storage"
    remote_errors: ClassVar[tuple[type[Exception], ...]] = (BotoCoreError, ClientError)
    secret_attributes: ClassVar[tuple[str, ...]] = ("secret_key", "security_token")
    _engine: S3Engine

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
    def requests_made(self) -> int | None:
        """How many requests were made so far, retries included."""
        return self._engine.requests

    def prepare(self, threads: int) -> None:
        """Make the one client that all threads use."""
        self._engine = Boto3Engine(self.target_storage, threads)

    # What is there

    def list_remote(self, names: Sequence[str]) -> Iterator[RemoteObject]:
        """Return the named objects that the bucket has, by as few requests as there can be."""
        by_key = {self.object_key(name): name for name in names}
        for key, entry in leapfrog(by_key, self._list_from):
            yield self._describe(by_key[key], entry)

    def _list_from(self, key: str, last: str) -> Page[S3Object]:
        return self._engine.list_page(self.prefix, max(just_before(key), last))

    def list_keys(self) -> Iterable[str]:
        """Return every key under the prefix."""
        page, last = Page[S3Object]((), is_last=False), ""
        while not page.is_last:
            page = self._engine.list_page(self.prefix, last)
            for last, _ in page.entries:
                yield last

    def look_up(self, name: str) -> RemoteObject | None:
        """Ask for one object; one that may not be read is there, but unknown."""
        key = self.object_key(name)
        allowed = self.target_storage.get_object_parameters(key)
        parameters = {k: v for k, v in allowed.items() if k in ALLOWED_DOWNLOAD_ARGS}
        try:
            entry = self._engine.head(key, parameters)
        except ClientError as error:
            # Without permission to list, S3 answers 403 also for what does not exist:
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                return RemoteObject(name)
            raise
        return self._describe(name, entry) if entry else None

    def _describe(self, name: str, entry: S3Object) -> RemoteObject:
        checksum = self._checksum(entry)
        return RemoteObject(name, version=entry.etag, size=entry.size, checksum=checksum)

    def _checksum(self, entry: S3Object) -> Checksum | None:
        digest, _, parts = entry.etag.partition("-")
        if len(digest) != 32:
            return None
        if not parts:
            return Checksum("md5", digest)
        part_size = self._part_size(entry.size)
        if parts != str(-(-entry.size // part_size)):
            return None
        return Checksum("md5-parts", entry.etag, part_size)

    def _part_size(self, size: int) -> int:
        """Return the size of the parts that the storage would send a file of this size in."""
        chunk_size = self.target_storage.transfer_config.multipart_chunksize
        return int(ChunksizeAdjuster().adjust_chunksize(chunk_size, size))

    # What would be there

    @contextmanager
    def open_payload(self, source: SourceFile) -> Iterator[Payload]:
        """Open a file as ``S3Storage._save()`` would send it: its parameters, its compressor."""
        storage = self.target_storage
        with source.open() as content:
            parameters = storage._get_write_parameters(self.object_key(source.name), content)
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
                content = self._local_path(source, payload) or body
                etag = self._engine.put_parts(key, content, payload.parameters)
        return RemoteObject(source.name, etag, size, parameters=payload.fingerprint)

    @staticmethod
    def _local_path(source: SourceFile, payload: Payload) -> str | None:
        """Return the path of a file that is sent as it is: read by parts it takes no memory."""
        storage = source.storage
        # Others may have paths too where no file is, as Django's InMemoryStorage has.
        is_plain = isinstance(storage, FileSystemStorage) and not any(
            is_overridden(type(storage), name, outside=("django.",)) for name in ("open", "_open")
        )
        return storage.path(source.path) if is_plain and not payload.encoded else None

    def abort(self) -> None:
        """Abort the multipart uploads that are under way."""
        super().abort()
        self._engine.abort()

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete objects, 1,000 a request."""
        self._engine.delete(keys)

    # What went wrong

    def explain_error(self, error: Exception) -> str | None:
        """Say in a line why S3 refuses for good, and what to do."""
        return self._explain_configuration() or self._explain_refusal(error)

    def _explain_configuration(self) -> str | None:
        """Say what the storage lacks to work at all: its client fails in ways that don't tell."""
        endpoint = self.target_storage.endpoint_url
        if not self.target_storage.bucket_name:
            return (
                "The storage of the static files names no bucket: set bucket_name in its OPTIONS, "
                "or AWS_STORAGE_BUCKET_NAME."
            )
        if endpoint and not urlsplit(endpoint).netloc:
            return (
                f"The endpoint {endpoint!r} is no URL: correct the storage's endpoint_url "
                "(AWS_S3_ENDPOINT_URL); it begins with https:// or http://."
            )
        return None

    def _explain_refusal(self, error: Exception) -> str | None:
        if isinstance(error, NoCredentialsError):
            return (
                f"There are no credentials for {self.target_name}: set access_key and secret_key "
                "in the storage's OPTIONS, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
                "profile or role that boto3 finds."
            )
        if isinstance(error, ParamValidationError):
            return f"boto3 does not send what the storage asks for: {_in_one_line(error)}"
        if isinstance(error, BotoCoreError):
            where = self.target_storage.endpoint_url or "AWS"
            return f"S3 can't be used at {where}: {_in_one_line(error)}"
        if isinstance(error, ListingDeniedError):
            return self._explain_code("AccessDenied", "ListObjectsV2")
        if isinstance(error, ClientError):
            return self._explain_code(error.response["Error"].get("Code", ""), error.operation_name)
        return None

    def _explain_code(self, code: str, operation: str) -> str | None:
        bucket, where = self.target_storage.bucket_name, self.target_storage.endpoint_url or "AWS"
        if code == "NoSuchBucket":
            return (
                f"The bucket {bucket!r} does not exist at {where}: create it, or correct the "
                "storage's bucket_name (AWS_STORAGE_BUCKET_NAME)."
            )
        if code in _CREDENTIALS_REFUSED:
            return (
                f"The credentials for the bucket {bucket!r} at {where} are refused ({code}): "
                "correct the storage's access_key, secret_key and security_token."
            )
        if code in _WRONG_REGION:
            return (
                f"The bucket {bucket!r} is in another region ({code}): correct the storage's "
                "region_name (AWS_S3_REGION_NAME)."
            )
        if code in ("AccessDenied", "403", "AllAccessDisabled"):
            return self._explain_denial(operation)
        return None

    def _explain_denial(self, operation: str) -> str:
        resource = f"arn:aws:s3:::{self.target_storage.bucket_name}"
        if operation == "ListObjectsV2":
            return f"The credentials lack the permission s3:ListBucket on {resource}."
        action = _ACTIONS.get(operation, f"s3:{operation}")
        if action == "s3:PutObject" and self.target_storage.default_acl:
            action += " and s3:PutObjectAcl"
        return f"The credentials lack the permission {action} on {resource}/{self.prefix}*."


class Boto3WithoutPrefixStrategy(WithoutPrefixMixin, Boto3Strategy):
    """Send what is staged."""


class Boto3ManifestMemoryStrategy(TwoPassInMemoryStrategy):
    """Deploy a manifest storage by post-processing in memory and sending what differs."""

    storage_class: ClassVar[str | None] = Boto3Strategy.storage_class
    second_strategy = Boto3WithoutPrefixStrategy


class Boto3ManifestFileSystemStrategy(TwoPassFileSystemStrategy):
    """Deploy a manifest storage by post-processing in a temporary directory."""

    storage_class: ClassVar[str | None] = Boto3Strategy.storage_class
    second_strategy = Boto3WithoutPrefixStrategy


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def just_before(key: str) -> str:
    """Return a text that sorts before a key and after nearly all that sorts before it.

    ``StartAfter`` leaves out the key that it names
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html). Printable ASCII
    only: not every service takes every character there.
    """
    before = chr(ord(key[-1]) - 1) if key else ""
    return key[:-1] + before + "~" if " " <= before < "~" else key[:-1]


@contextmanager
def _sized(payload: Payload, source: SourceFile) -> Iterator[tuple[IO[bytes], int]]:
    """Make a body of known size that can be read again for a retry, without much memory."""
    body: Any = payload.body
    if source.size is not None and source.size <= _SMALL:
        content = body.read()
        yield io.BytesIO(content), len(content)
    elif payload.encoded or source.size is None:
        with tempfile.TemporaryFile() as spool:
            spool.writelines(read_chunks(body))
            size = spool.tell()
            spool.seek(0)
            yield spool, size
    else:
        size = body.seek(0, os.SEEK_END)
        body.seek(0)
        yield body, size
