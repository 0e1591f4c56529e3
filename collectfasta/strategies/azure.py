"""Deploy to Azure Blob Storage, through django-storages' AzureStorage."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    IncompleteReadError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobProperties,
    ContainerClient,
    ContentSettings,
)
from storages.backends.azure_storage import AzureStorage

from collectfasta.checksums import Checksum, read_chunks
from collectfasta.remote import ListingDeniedError, RemoteObject, reading_listing
from collectfasta.shadowing import saving_under_exact_names
from collectfasta.source import Payload, SourceFile
from collectfasta.strategies.azure_client import make_client
from collectfasta.strategies.azure_errors import CREDENTIALS_REFUSED, answer_of, explain
from collectfasta.strategies.azure_listing import BlobListing
from collectfasta.strategies.clock import age_of
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.hashing import TwoPassFileSystemStrategy, TwoPassInMemoryStrategy
from collectfasta.strategies.listing import CloudStrategy

# The SDK holds what it puts in one request in memory, up to 64 MiB. Larger files go by blocks.
_ONE_REQUEST = 4 * 1024 * 1024

# https://learn.microsoft.com/rest/api/storageservices/blob-batch: at most 256 requests.
_DELETE_BATCH = 256

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class AzureBlobStrategy(CloudStrategy[AzureStorage]):
    """Deploy to a container by listing it and sending what differs.

    Blobs are compared by size and ``content_md5``, which every upload sets.
    """

    delete_not_found_exception: ClassVar[tuple[type[Exception], ...]] = (ResourceNotFoundError,)
    storage_class: ClassVar[str | None] = "storages.backends.azure_storage.AzureStorage"
    remote_errors: ClassVar[tuple[type[Exception], ...]] = (AzureError,)
    passing_errors: ClassVar[tuple[type[Exception], ...]] = (
        IncompleteReadError,
        ServiceRequestError,
        ServiceResponseError,
    )
    secret_attributes: ClassVar[tuple[str, ...]] = ("account_key", "connection_string", "sas_token")
    # https://learn.microsoft.com/python/api/overview/azure/identity-readme#environment-variables
    secret_variables: ClassVar[tuple[str, ...]] = (
        "AZURE_CLIENT_CERTIFICATE_PASSWORD",
        "AZURE_CLIENT_SECRET",
        "AZURE_PASSWORD",
    )
    _container: ContainerClient

    def __init__(self, remote_storage: AzureStorage) -> None:
        super().__init__(remote_storage)
        self._count = Counter()

    @property
    def target_id(self) -> str | None:
        """Account, container and location."""
        account = self._container.primary_hostname
        return f"azure {account} {self._container.container_name} {self.prefix}"

    @property
    def target_name(self) -> str:
        """The container and the location as a URL."""
        return f"azure://{self.target_storage.azure_container}/{self.prefix}"

    @property
    def secrets(self) -> list[str]:
        """The storage's secrets, those within its connection string, and a token's signature."""
        text = self.target_storage.connection_string or ""
        parts = dict(part.partition("=")[::2] for part in text.split(";"))
        tokens = [parts.get("SharedAccessSignature"), self.target_storage.sas_token]
        signatures = (parse_qs(str(token)).get("sig", ()) for token in tokens if token)
        hidden = [parts.get("AccountKey"), tokens[0], *itertools.chain.from_iterable(signatures)]
        return [*super().secrets, *filter(None, hidden)]

    @property
    def requests_made(self) -> int | None:
        """How many requests were made so far, retries included."""
        return self._count.value

    def full_path(self, name: str) -> str:
        """Return a cleaned name joined to the location, as the storage does it.

        Raises:
            ValueError: The service can't have it.
        """
        path: str = self.target_storage._get_valid_path(name)
        if _CONTROL.search(path):
            raise ValueError("names of blobs have no control characters")
        return path

    def prepare(self, threads: int) -> None:
        """Make the one client that all threads use, with a connection for each."""
        self._threads = threads
        self._container = make_client(self.target_storage, threads, self._count)

    # What is there

    def list_remote(self, names: Sequence[str]) -> Iterator[RemoteObject]:
        """Return the named blobs that the container has, by as few requests as there can be."""
        by_key = {self.object_key(name): name for name in names}
        try:
            for blob in self._listing.find(by_key.keys(), self.prefix):
                checksum = Checksum("md5", blob.md5) if blob.md5 else None
                yield RemoteObject(by_key[blob.key], blob.etag, blob.size, checksum)
        except HttpResponseError as error:
            if error.status_code == 403 and answer_of(error)[1] not in CREDENTIALS_REFUSED:
                raise ListingDeniedError(str(error)) from error
            raise

    @property
    def _listing(self) -> BlobListing:
        return BlobListing(self._container, self.target_storage.timeout, self._threads)

    def list_keys(self) -> Iterator[tuple[str, timedelta | None]]:
        """Return every key under the prefix, and how long ago its blob was written."""
        for blob in self._listing.all(self.prefix):
            with reading_listing():
                written = parsedate_to_datetime(blob.modified) if blob.modified else None
            yield blob.key, age_of(written, self._count.date) if written else None

    def look_up(self, name: str) -> RemoteObject | None:
        """Ask for one blob; one that may not be read is there, but unknown."""
        try:
            blob = self._container.get_blob_client(self.object_key(name))
            timeout = self.target_storage.timeout
            return _describe(name, blob.get_blob_properties(timeout=timeout))
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if error.status_code == 403:
                return RemoteObject(name)
            raise

    # What would be there

    @contextmanager
    def open_payload(self, source: SourceFile) -> Iterator[Payload]:
        """Open a file as ``AzureStorage._save()`` would send it."""
        with source.open() as content:
            key = self.object_key(source.name)
            parameters = self.target_storage._get_content_settings_parameters(key, content)
            yield Payload(content, self.saves_itself, parameters)

    # Put it there, delete it

    def exact_names(self) -> AbstractContextManager[None]:
        """Make the storage overwrite while files are sent."""
        return saving_under_exact_names(self.target_storage, overwrite_files=True)

    def put(self, source: SourceFile) -> RemoteObject:
        """Put a file into the container: one request for a small one."""
        with self.open_payload(source) as payload:
            settings = ContentSettings(**payload.parameters)
            blob = self._container.get_blob_client(self.object_key(source.name))
            chunks = read_chunks(payload.body, _ONE_REQUEST)
            first = next(chunks, b"")
            size = len(first)
            if size < _ONE_REQUEST:
                settings.content_md5 = settings.content_md5 or _md5(first)
                answer = blob.upload_blob(
                    first,
                    overwrite=True,
                    content_settings=settings,
                    timeout=self.target_storage.timeout,
                )
            else:
                answer, size = self._put_blocks(blob, first, chunks, settings)
        # None is in an answer that was cut off after its status.
        version = (answer["etag"] or "").strip('"')
        return RemoteObject(source.name, version, size, parameters=payload.fingerprint)

    def _put_blocks(
        self, blob: Any, first: bytes, chunks: Iterable[bytes], settings: ContentSettings
    ) -> tuple[Any, int]:
        """Send a large file in blocks, one after the other, and return the answer and its size."""
        digest = hashlib.md5(usedforsecurity=False)
        blocks: list[BlobBlock] = []
        size = 0
        for chunk in itertools.chain((first,), chunks):
            self.check_aborted()
            digest.update(chunk)
            size += len(chunk)
            blocks.append(BlobBlock(f"{len(blocks):08}"))
            blob.stage_block(blocks[-1].id, chunk, len(chunk), timeout=self.target_storage.timeout)
        settings.content_md5 = settings.content_md5 or bytearray(digest.digest())
        answer = blob.commit_block_list(
            blocks, content_settings=settings, timeout=self.target_storage.timeout
        )
        return answer, size

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete blobs, 256 a request."""
        for start in range(0, len(keys), _DELETE_BATCH):
            batch = keys[start : start + _DELETE_BATCH]
            timeout = self.target_storage.timeout
            answers = self._container.delete_blobs(
                *batch, raise_on_any_failure=False, timeout=timeout
            )
            if all(answer.status_code in (202, 404) for answer in answers):
                continue
            # No request of a batch is made again. By themselves they are.
            for key in batch:
                with suppress(ResourceNotFoundError):
                    self._container.delete_blob(key, timeout=timeout)

    # What went wrong

    def answer_of(self, error: Exception) -> tuple[int | None, str]:
        """Return HTTP status and code of the answer behind an error; None and "" without one."""
        return answer_of(error)

    def explain_error(self, error: Exception) -> str | None:
        """Say in a line why Azure refuses for good, and what to do."""
        return explain(self.target_storage.azure_container, error)


class AzureBlobManifestMemoryStrategy(TwoPassInMemoryStrategy):
    """Deploy a manifest storage by post-processing in memory and sending what differs."""

    storage_class: ClassVar[str | None] = AzureBlobStrategy.storage_class
    second_strategy = AzureBlobStrategy


class AzureBlobManifestFileSystemStrategy(TwoPassFileSystemStrategy):
    """Deploy a manifest storage by post-processing in a temporary directory."""

    storage_class: ClassVar[str | None] = AzureBlobStrategy.storage_class
    second_strategy = AzureBlobStrategy


def _md5(content: bytes) -> bytearray:
    return bytearray(hashlib.md5(content, usedforsecurity=False).digest())


def _describe(name: str, blob: BlobProperties) -> RemoteObject:
    digest = blob.content_settings.content_md5
    checksum = Checksum("md5", bytes(digest).hex()) if digest else None
    return RemoteObject(name, blob.etag.strip('"'), blob.size, checksum)
