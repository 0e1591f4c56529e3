"""The requests to S3 by boto3, which can send all that a storage can ask for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from s3transfer.futures import NonThreadedExecutor
from s3transfer.manager import TransferManager

from collectfasta.observed import ObservedSource, SourceChangedError
from collectfasta.remote import (
    ListingDeniedError,
    Page,
    next_marker,
    reading_listing,
)
from collectfasta.shadowing import is_overridden
from collectfasta.source import SourceFile
from collectfasta.strategies.clock import age_of
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.patience import ATTEMPTS
from collectfasta.strategies.s3 import S3Object
from collectfasta.strategies.s3_boto3_files import Files, Watcher

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig
    from mypy_boto3_s3.client import S3Client

# The most that one DeleteObjects request takes:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_DELETE_BATCH = 1000

# What the document that names them can't have: https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

# The "standard" mode also retries what a flaky network does, and waits at random.
_RETRIES = {"mode": "standard", "total_max_attempts": ATTEMPTS}
_RETRY_SETTINGS = {"AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "retry_mode", "max_attempts"}


def _raise_change(caught_exception: Exception | None = None, **_: object) -> None:
    """Raise what has ended the reading of a body: read again, it would end the same way."""
    cause = getattr(caught_exception, "kwargs", {}).get("error")
    if isinstance(cause, SourceChangedError):
        raise cause


class Boto3Engine:
    """Do the requests by one boto3 client for all threads.

    Args:
        storage: The S3Storage whose session, configuration and bucket are used.
        threads: How many threads will use it at a time.

    Attributes:
        credentials: What the client signs with, botocore's; None if it does not.
    """

    name = "boto3"

    def __init__(self, storage: Any, threads: int) -> None:
        self._bucket: str = storage.bucket_name
        self._config: TransferConfig = storage.transfer_config
        self._client = _make_client(storage, threads)
        # There is no public way to what a client signs with.
        self.credentials: Any = getattr(self._client, "_get_credentials", lambda: None)()
        self._count = Counter()
        self._etags: dict[str, str] = {}
        self._sources: dict[str, ObservedSource] = {}
        events = self._client.meta.events
        events.register("before-send.s3", self._count_request)
        events.register("before-parameter-build.s3.CompleteMultipartUpload", self._check_source)
        events.register("after-call.s3.CompleteMultipartUpload", self._keep_etag)
        events.register_first("needs-retry.s3", _raise_change)
        # As boto3 does where the storage's configuration forbids threads.
        executor = None if self._config.use_threads else NonThreadedExecutor
        # Shared by all threads: it limits its own threads and memory once, not per file.
        self._manager = TransferManager(self._client, self._config, Files(), executor)

    @property
    def requests(self) -> int:
        """How many requests were made so far, retries included."""
        return self._count.value

    def _count_request(self, **_: object) -> None:
        self._count.add()

    def _keep_etag(self, parsed: Mapping[str, Any], **_: object) -> None:
        if "ETag" in parsed:
            self._etags[parsed.get("Key", "")] = parsed["ETag"].strip('"')

    def _check_source(self, params: Mapping[str, Any], **_: object) -> None:
        """Keep an upload from being completed whose parts were read from a file that changed."""
        source = self._sources.get(params["Key"])
        if source:
            source.check()

    def list_page(self, prefix: str, start_after: str) -> Page[S3Object]:
        """List up to 1,000 objects under a prefix, after a key."""
        try:
            with reading_listing():
                answer = self._list(prefix, start_after)
                date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
                entries = [_listed(each, date) for each in answer.get("Contents", ())]
                return Page(entries, is_last=not answer["IsTruncated"])
        except ClientError as error:
            if error.response["Error"].get("Code") in ("AccessDenied", "403"):
                raise ListingDeniedError(str(error)) from error
            raise

    def _list(self, prefix: str, start_after: str) -> Any:
        options: Any = {"Bucket": self._bucket, "Prefix": prefix, "StartAfter": start_after}
        answer = self._client.list_objects_v2(**options)
        # Nothing rules out an empty page that is not the last one.
        while answer.get("IsTruncated") and not answer.get("Contents"):
            options["ContinuationToken"] = next_marker(
                options.get("ContinuationToken"), answer["NextContinuationToken"]
            )
            answer = self._client.list_objects_v2(**options)
        return answer

    def head(self, key: str, parameters: Mapping[str, Any]) -> S3Object | None:
        """Return what S3 says of an object, None if there is none."""
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key, **parameters)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return S3Object(answer["ETag"].strip('"'), answer["ContentLength"])

    def get(self, key: str, parameters: Mapping[str, Any]) -> bytes:
        """Return an object's content."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **parameters)
        except self._client.exceptions.NoSuchKey:
            raise FileNotFoundError(key) from None
        return answer["Body"].read()

    def put(
        self, key: str, body: bytes | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store ``size`` bytes in one request and return the ETag.

        Bytes are sent at once. With a file botocore asks the server first ("Expect: 100-continue"),
        which costs a round trip.
        """
        answer = self._client.put_object(
            Bucket=self._bucket, Key=key, Body=body, ContentLength=size, **parameters
        )
        # None is in an answer that was cut off after its status.
        etag: str = answer.get("ETag", "")
        return etag.strip('"')

    def put_parts(
        self, key: str, body: SourceFile | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store a large file, open or to be opened, in parts and return the ETag."""
        content: Any = body
        watchers = []
        if isinstance(body, ObservedSource):
            self._sources[key] = body
            watchers.append(Watcher(body))
        if isinstance(body, SourceFile):
            content = body.local_path
        try:
            upload = self._manager.upload(
                content, self._bucket, key, extra_args=dict(parameters), subscribers=watchers
            )
            upload.result()
        except KeyError:
            # s3transfer misses what the answer to a part was to have, cut off after its status.
            raise ConnectionClosedError(endpoint_url=self._client.meta.endpoint_url) from None
        finally:
            self._sources.pop(key, None)
        return self._etags.pop(key, "")

    def abort(self) -> None:
        """Abort the uploads in parts that are under way; their callers get an error."""
        # As boto3 leaves it on Ctrl-C. shutdown(cancel=True) mixes up its arguments (s3transfer
        # 0.19.3).
        self._manager.__exit__(KeyboardInterrupt, KeyboardInterrupt("interrupted"), None)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects by 1,000 a request; missing ones are no error."""
        by_themselves = {key for key in keys if _NOT_IN_XML.search(key)}
        for key in by_themselves:
            self._client.delete_object(Bucket=self._bucket, Key=key)
        for batch in _batches((key for key in keys if key not in by_themselves), _DELETE_BATCH):
            objects: Any = [{"Key": key} for key in batch]
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )
            for error in answer.get("Errors", ()):
                refusal: Any = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 200}}
                raise ClientError(refusal, "DeleteObjects")


def _listed(entry: Mapping[str, Any], date: str | None) -> tuple[str, S3Object]:
    written = entry.get("LastModified")
    age = age_of(written, date) if isinstance(written, datetime) else None
    return entry["Key"], S3Object(entry["ETag"].strip('"'), entry["Size"], age=age)


def _make_client(storage: Any, threads: int) -> S3Client:
    """Make one client from the storage's own session and configuration, for all threads.

    A boto3 client may be shared by threads, a session and a resource may not
    (https://docs.aws.amazon.com/boto3/latest/guide/clients.html).
    """
    if is_overridden(storage.__class__, "connection", outside=("storages.",)):
        client: S3Client = storage.connection.meta.client
        return client
    config: Config = storage.client_config
    changes: dict[str, Any] = {}
    if (config.max_pool_connections or 0) < threads:  # type: ignore[attr-defined]
        changes["max_pool_connections"] = threads
    session = storage._create_session()
    profile = session._session.get_scoped_config()
    elsewhere = {*os.environ, *profile} & _RETRY_SETTINGS
    if not config.retries and not elsewhere:  # type: ignore[attr-defined]
        changes["retries"] = _RETRIES
    client = session.client(
        "s3",
        region_name=storage.region_name,
        use_ssl=storage.use_ssl,
        endpoint_url=storage.endpoint_url,
        config=config.merge(Config(**changes)),
        verify=storage.verify,
    )
    return client


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
