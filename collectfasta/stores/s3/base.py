"""What the ways of reaching an S3 bucket have in common: names, payloads, and what ETags mean."""

from __future__ import annotations

import abc
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property, partial
from typing import Any, ClassVar

from django.utils.functional import SimpleLazyObject
from s3transfer.constants import ALLOWED_DOWNLOAD_ARGS
from s3transfer.utils import ChunksizeAdjuster
from typing_extensions import override

from collectfasta.checksums import CHUNK_SIZE, Checksum
from collectfasta.errors import StoreError
from collectfasta.remote import Listed, on_our_clock
from collectfasta.source import Body, Payload
from collectfasta.stores.django_storages import CloudStore, s3_compressed, s3_headers
from collectfasta.stores.http import Counter
from collectfasta.stores.s3.connection import overrides, secrets_of
from collectfasta.stores.s3.errors import is_unsupported, translate
from collectfasta.stores.s3.listing import ListedObject
from collectfasta.stores.store import Entry, Page, is_compressed, next_token


class BucketStore(CloudStore):
    """A bucket of S3's, reached by one SDK.

    Objects are compared by size and ETag. Where the ETag says nothing about the content (SSE-KMS,
    SSE-C) the cached checksum does.

    Attributes:
        default_threads: Measured with obstore (``benchmarks/README.md``): a thread costs next to
            nothing but time. At 20 ms a request 64 take three quarters of the time that 32 take,
            and 128 no less; boto3 is not slower with 64 either.
        credentials: What requests are signed with, botocore's; None if unknown.
    """

    service: ClassVar[str] = "S3"
    default_threads: ClassVar[int] = 64
    secret_attributes: ClassVar[tuple[str, ...]] = ("secret_key", "security_token")
    secret_variables: ClassVar[tuple[str, ...]] = (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
    )
    credentials: Any = None

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self._count = Counter()
        self._lock = threading.RLock()
        # Directory buckets list in no order, and know no StartAfter:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
        self.seeks = not (storage.bucket_name or "").endswith("--x-s3")

    @property
    @override
    def requests(self) -> int | None:
        return self._count.value

    @property
    @override
    def secrets(self) -> list[str]:
        """The storage's secrets, and what boto3 has found in a profile or was given by a role."""
        return [*super().secrets, *secrets_of(self.credentials)]

    @property
    @override
    def url(self) -> str:
        return f"s3://{self.bucket_name}/{self.prefix}"

    @property
    @override
    def identity(self) -> str | None:
        """Endpoint, bucket and location."""
        endpoint = self.storage.endpoint_url or "aws"
        return f"s3 {endpoint} {self.bucket_name} {self.prefix}"

    @cached_property
    def bucket_name(self) -> str:
        """The bucket's name, which a storage's ``bucket`` may choose."""
        storage = self.storage
        name: str = storage.bucket.name if overrides(storage, "bucket") else storage.bucket_name
        return name

    @override
    def payload(self, key: str, content: Any) -> Payload:
        """Return what ``S3Storage._save()`` would send: its headers, its compressor's bytes."""
        storage = self.storage
        # A comparison by checksums asks for no headers.
        headers: Any = SimpleLazyObject(partial(s3_headers, storage, key, content))
        compresses = bool(storage.gzip) and is_compressed(
            storage, headers["ContentType"], "set" if "ContentEncoding" in headers else None
        )
        if compresses:
            content = s3_compressed(storage, content)
            headers["ContentEncoding"] = "gzip"
        return Payload(content, compresses or self.saves_itself, headers)

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        begin = max(just_before(start), after) if self.seeks and not token else ""
        try:
            page = self.page(prefix, begin, token)
        except StoreError as error:
            if not begin or not is_unsupported(error):
                raise
            self.seeks, begin = False, ""
            page = self.page(prefix, "", "")
        # Nothing rules out an empty page that is not the last one.
        while page.token and not page.entries:
            token, following = page.token, self.page(prefix, begin, page.token)
            page = Page(following.entries, next_token(token, following.token))
        return page

    @abc.abstractmethod
    def page(self, prefix: str, begin: str, token: str) -> Page:
        """Return a page of a listing by one request.

        Args:
            prefix: What all keys begin with.
            begin: A key that the page comes after, "" for none.
            token: Where the page before says that this one begins, or "".
        """

    def listed_page(
        self, objects: Iterable[ListedObject], token: str | None, date: str | None
    ) -> Page:
        """Return a page as any store has it.

        Args:
            objects: What the service names in it.
            token: Where the next one begins.
            date: The ``Date`` header of the answer.
        """
        return Page([self._entry(each, date) for each in objects], token)

    def _entry(self, named: ListedObject, date: str | None) -> Entry:
        written = on_our_clock(named.written, date) if named.written else None
        return Entry(named.key, self.listed(named.etag, named.size, written))

    def read_arguments(self, key: str) -> dict[str, Any]:
        """Return what the storage reads an object with, the keys of SSE-C for instance."""
        allowed = self.storage.get_object_parameters(key)
        return {name: value for name, value in allowed.items() if name in ALLOWED_DOWNLOAD_ARGS}

    @override
    def put(self, key: str, body: Body, headers: Mapping[str, Any]) -> Listed:
        """Store a body: by one request below the storage's multipart threshold."""
        sent = body.sized()
        size = sent.size or 0
        try:
            if size >= self.storage.transfer_config.multipart_threshold:
                etag = self.put_parts(key, sent, size, headers)
            else:
                sent.seek(0)
                # Bytes are sent at once. With a file botocore asks the server first ("Expect:
                # 100-continue"), which costs a round trip.
                whole = sent.read() if size <= CHUNK_SIZE else sent
                etag = self.put_whole(key, whole, size, headers)
        except Exception:
            # What has ended the reading, whatever the SDK made of it.
            if sent.error is not None:
                raise sent.error from None
            raise
        finally:
            if sent is not body:
                sent.close()
        return self.listed(etag, size)

    @abc.abstractmethod
    def put_whole(self, key: str, body: bytes | Body, size: int, headers: Mapping[str, Any]) -> str:
        """Store ``size`` bytes by one request and return the ETag."""

    @abc.abstractmethod
    def put_parts(self, key: str, body: Body, size: int, headers: Mapping[str, Any]) -> str:
        """Store a large body in parts and return the ETag."""

    def listed(self, etag: str | None, size: int, last_modified: datetime | None = None) -> Listed:
        """Return what S3 says of an object.

        Args:
            etag: Its ETag; none is in an answer that was cut off after its status.
            size: Its size in bytes.
            last_modified: When it was written, by this machine's clock.
        """
        version = (etag or "").strip('"')
        return Listed(version, size, self._checksum(version, size), last_modified)

    def _checksum(self, etag: str, size: int) -> Checksum | None:
        digest, _, parts = etag.partition("-")
        if len(digest) != 32:
            return None
        if not parts:
            return Checksum("md5", digest)
        part_size = self.part_size(size)
        if parts != str(-(-size // part_size)):
            return None
        return Checksum("md5-parts", etag, part_size)

    def part_size(self, size: int) -> int:
        """Return the size of the parts, in bytes, that boto3 would send a file of a size in."""
        config = self.storage.transfer_config
        return int(ChunksizeAdjuster().adjust_chunksize(config.multipart_chunksize, size))

    @override
    def translate(self, error: Exception) -> StoreError | None:
        return translate(error, self)


def is_plain(key: str) -> bool:
    """Return whether a key is a path: no empty or dotted segments, no control characters."""
    segments = key.split("/")
    return not {"", ".", ".."} & {*segments} and key.isprintable()


def just_before(key: str) -> str:
    """Return a text that sorts before a key and after nearly all that sorts before it.

    ``StartAfter`` leaves out the key that it names
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html). Printable ASCII
    only, and a plain path: not every service, and no SDK, takes every character there.
    """
    before = chr(ord(key[-1]) - 1) if key else ""
    text = key[:-1] + before + "~" if " " <= before < "~" else key[:-1]
    while text and not is_plain(text):
        text = text.rpartition("/")[0]
    return text
