"""The requests to S3 by boto3, which can send all that a storage can ask for."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError
from s3transfer.exceptions import CancelledError
from s3transfer.futures import NonThreadedExecutor
from s3transfer.manager import TransferManager
from s3transfer.subscribers import BaseSubscriber
from typing_extensions import override

from collectfasta.errors import SourceChangedError, StoreError
from collectfasta.executor import Executor
from collectfasta.remote import Listed
from collectfasta.source import Body
from collectfasta.stores.django_storages import s3_session
from collectfasta.stores.http import ATTEMPTS
from collectfasta.stores.s3.base import BucketStore
from collectfasta.stores.s3.connection import (
    client_with_handlers,
    credentials_of,
    overrides,
    scoped_config,
    see_answers,
)
from collectfasta.stores.s3.errors import check_configuration, is_certificate, is_unsupported
from collectfasta.stores.s3.listing import ROOT as LISTING
from collectfasta.stores.s3.listing import ListedObject, parameters_of, token_of
from collectfasta.stores.store import PAGE_SIZE, NoListingError, Page, batches, reading_listing

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# What the document that names the objects to delete can't have: https://www.w3.org/TR/xml/#charsets
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

# The "standard" mode also retries what a flaky network does, and waits at random.
_RETRIES = {"mode": "standard", "total_max_attempts": ATTEMPTS}
_RETRY_SETTINGS = {"AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "retry_mode", "max_attempts"}

# s3transfer holds parts in memory: those that are sent, and one that waits for its turn.
_PARTS_IN_MEMORY = 2


class Boto3Store(BucketStore):
    """Make the requests by one boto3 client for all threads, made when it is first needed.

    Its ``requests`` include those that were repeated.
    """

    sender = "boto3"

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        # That of the thread that has made the storage.
        self._client_with_handlers = client_with_handlers(storage)
        self._etags: dict[str, str] = {}

    @property
    def _client(self) -> S3Client:
        with self._lock:
            return self._made_client

    @cached_property
    def _made_client(self) -> S3Client:
        check_configuration(self.storage)
        client = self._client_with_handlers or _make_client(self.storage, self.threads)
        self.credentials = credentials_of(client)
        events = client.meta.events
        events.register("before-send.s3", lambda **_: self._count.add())
        events.register("after-call.s3.CompleteMultipartUpload", self._keep_etag)
        events.register_first("needs-retry.s3", _raise_at_once)
        see_answers(client, _check_listing)
        return client

    @cached_property
    def _manager(self) -> TransferManager:
        """What is shared by all threads: it limits its own threads and memory once."""
        config = copy.copy(self.storage.transfer_config)
        config.max_in_memory_upload_chunks = _PARTS_IN_MEMORY
        config.max_submission_concurrency = 1
        # As boto3 does where the storage's configuration forbids threads.
        executor = None if config.use_threads else NonThreadedExecutor
        return TransferManager(self._client, config, executor_cls=executor)

    def _keep_etag(self, parsed: Mapping[str, Any], **_: object) -> None:
        if "ETag" in parsed:
            self._etags[parsed.get("Key", "")] = parsed["ETag"]

    @override
    def page(self, prefix: str, begin: str, token: str) -> Page:
        options: Any = {"Bucket": self.bucket_name, **parameters_of(prefix, begin, token)}
        with self.translating():
            client = self._client
            list_page: Any = client.list_objects if "Marker" in options else client.list_objects_v2
            with reading_listing(BotoCoreError):
                answer = list_page(**options)
                objects = [
                    ListedObject(each["Key"], each["ETag"], each["Size"], each.get("LastModified"))
                    for each in answer.get("Contents", ())
                ]
                following = token_of(answer, objects[-1].key if objects else "")
                headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return self.listed_page(objects, following, headers.get("date"))

    @override
    def head(self, key: str) -> Listed | None:
        with self.translating():
            try:
                answer = self._client.head_object(
                    Bucket=self.bucket_name, Key=key, **self.read_arguments(key)
                )
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status == 404:
                    return None
                # Without permission to list, S3 answers 403 also for what does not exist:
                # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
                if status == 403:
                    return Listed()
                raise
        # Missing in an answer that was cut off after its status.
        etag = answer.get("ETag")
        return self.listed(etag, answer["ContentLength"]) if etag else Listed()

    @override
    def get(self, key: str) -> bytes:
        """Return an object's content by one request; ``storage.open().read()`` makes three."""
        with self.translating():
            answer = self._client.get_object(
                Bucket=self.bucket_name, Key=key, **self.read_arguments(key)
            )
            return answer["Body"].read()

    @override
    def put_whole(self, key: str, body: bytes | Body, size: int, headers: Mapping[str, Any]) -> str:
        content: Any = body
        if isinstance(body, Body):
            body.seek(0)
        with self.translating():
            answer = self._client.put_object(
                Bucket=self.bucket_name, Key=key, Body=content, ContentLength=size, **headers
            )
        return answer.get("ETag", "")

    @override
    def put_parts(self, key: str, body: Body, size: int, headers: Mapping[str, Any]) -> str:
        body.seek(0)
        content: Any = body
        with self.translating():
            with self._lock:
                manager = self._manager
            try:
                manager.upload(
                    content, self.bucket_name, key, dict(headers), [_Sized(size)]
                ).result()
            except CancelledError:
                raise InterruptedError("interrupted") from None
            except KeyError:
                # s3transfer misses what the answer to a part was to have, cut off after its status.
                url = self._client.meta.endpoint_url
                raise ConnectionClosedError(endpoint_url=url) from None
        return self._etags.pop(key, "")

    @override
    def abort(self) -> None:
        # Waits for a client that is being made: what it was made for is under way.
        with self._lock:
            manager = vars(self).get("_manager")
        if manager:
            # As boto3 leaves it on Ctrl-C. shutdown(cancel=True) mixes up its arguments (s3transfer
            # 0.19.3).
            manager.__exit__(KeyboardInterrupt, KeyboardInterrupt("interrupted"), None)

    @override
    def delete(self, keys: Sequence[str]) -> None:
        for key in filter(_NOT_IN_XML.search, keys):
            self._delete_one(key)
        for batch in batches((key for key in keys if not _NOT_IN_XML.search(key)), PAGE_SIZE):
            try:
                self._delete_batch(batch)
            except StoreError as error:
                if not is_unsupported(error):
                    raise
                for _, _, failure in Executor(self.threads).run(self._delete_one, batch):
                    if failure is not None:
                        raise failure from None

    def _delete_batch(self, batch: Sequence[str]) -> None:
        objects: Any = [{"Key": key} for key in batch]
        with self.translating():
            answer = self._client.delete_objects(
                Bucket=self.bucket_name, Delete={"Objects": objects, "Quiet": True}
            )
            for error in answer.get("Errors", ()):
                details: Any = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 200}}
                raise ClientError(details, "DeleteObjects")

    def _delete_one(self, key: str) -> None:
        with self.translating():
            self._client.delete_object(Bucket=self.bucket_name, Key=key)


class _Sized(BaseSubscriber):
    """Keeps s3transfer from looking for the size: the file might have become shorter."""

    def __init__(self, size: int) -> None:
        self._size = size

    def on_queued(self, future: Any, **_: object) -> None:
        future.meta.provide_transfer_size(self._size)


def _raise_at_once(caught_exception: Exception | None = None, **_: object) -> None:
    """Raise what would end the same way again: the reading of a body, and certificates."""
    if caught_exception is not None and is_certificate(caught_exception):
        raise caught_exception
    cause = getattr(caught_exception, "kwargs", {}).get("error")
    if isinstance(cause, (InterruptedError, SourceChangedError)):
        raise cause


def _check_listing(operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:
    """Refuse what botocore would take for an empty listing, or for a server's trouble.

    Raises:
        NoListingError: It is something else.
    """
    is_listing = operation_model.name in ("ListObjects", "ListObjectsV2")
    is_answered = is_listing and response_dict["status_code"] == 200
    if is_answered and LISTING.encode() not in response_dict["body"]:
        kind = response_dict["headers"].get("content-type", "")
        raise NoListingError(f"The answer to a listing is no listing ({kind}).")


def _make_client(storage: Any, threads: int) -> S3Client:
    """Make one client from the storage's own session and configuration, for all threads.

    A boto3 client may be shared by threads, a session and a resource may not
    (https://docs.aws.amazon.com/boto3/latest/guide/clients.html).
    """
    if overrides(storage, "bucket") or overrides(storage, "connection"):
        client: S3Client = storage.bucket.meta.client
        return client
    config: Config = storage.client_config
    changes: dict[str, Any] = {}
    if (config.max_pool_connections or 0) < threads:  # type: ignore[attr-defined]
        changes["max_pool_connections"] = threads
    session = s3_session(storage)
    elsewhere = {*os.environ, *scoped_config(session)} & _RETRY_SETTINGS
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
