"""Azure Blob Storage as a store: the blobs of a container, by one client for all threads."""

from __future__ import annotations

import base64
import itertools
import re
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import partial
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
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import (
    BlobBlock,
    BlobProperties,
    BlobServiceClient,
    ContainerClient,
    ContentSettings,
)
from requests import Session
from typing_extensions import override

from collectfasta.checksums import Checksum, new_md5
from collectfasta.errors import CollectfastaError, StoreError, describe
from collectfasta.patching import saving_under_exact_names
from collectfasta.remote import Listed, on_our_clock
from collectfasta.source import Body, Payload
from collectfasta.stores.azure_listing import read_page
from collectfasta.stores.django_storages import (
    CloudStore,
    azure_accessor,
    azure_headers,
    azure_path,
    azure_service,
)
from collectfasta.stores.http import (
    ATTEMPTS,
    CONNECT_SECONDS,
    READ_SECONDS,
    Counter,
    prepare_session,
)
from collectfasta.stores.store import OTHER_SHAPE, TRANSIENT_STATUSES, Page, batches

# The most blobs that the service names in one page.
_PAGE = 5000

# The SDK holds what it puts in one request in memory, up to 64 MiB. Larger files go by blocks.
_ONE_REQUEST = 4 * 1024 * 1024

# https://learn.microsoft.com/rest/api/storageservices/blob-batch: at most 256 requests.
_DELETE_BATCH = 256

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTAINER = re.compile(r"\$(root|web|logs)|[a-z0-9](-?[a-z0-9])+")

# A host with its port, and the path of an emulator's account.
_ADDRESS = re.compile(
    r"(\[[\da-fA-F:.]+\]|[^\s\x00-\x20\x7f:/?#@]+)(:\d+)?(/[^\s\x00-\x20\x7f/]+)*"
)

_MARKUP = re.compile(r" Content: <.*")

# https://github.com/Azure/azure-sdk-for-python/tree/main/sdk/storage/azure-storage-blob#other-client--per-operation-configuration
_TIMEOUTS = {"connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}

# About 2, 4, 8 and 16 s: the SDK's own policy waits 18 s before the first of three repetitions.
# https://github.com/Azure/azure-sdk-for-python/tree/main/sdk/storage/azure-storage-blob#retry-policy-configuration
_WAITS = {"initial_backoff": 0, "increment_base": 2, "random_jitter_range": 2}
_LIMITS = ("retry_total", "retry_connect", "retry_read", "retry_status")

# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
_CREDENTIALS_REFUSED = {
    "AuthenticationFailed",
    "AuthorizationFailure",
    "InvalidAuthenticationInfo",
    "KeyBasedAuthenticationNotPermitted",
    "NoAuthenticationInformation",
}


class AzureStore(CloudStore):
    """A container of Azure Blob Storage.

    Blobs are compared by size and ``content_md5``, which every upload sets. A listing can't begin
    at a blob.
    """

    service: ClassVar[str] = "Azure"
    seeks = False
    missing = (FileNotFoundError, ResourceNotFoundError)
    secret_attributes: ClassVar[tuple[str, ...]] = ("account_key", "connection_string", "sas_token")
    # https://learn.microsoft.com/python/api/overview/azure/identity-readme#environment-variables
    secret_variables: ClassVar[tuple[str, ...]] = (
        "AZURE_CLIENT_CERTIFICATE_PASSWORD",
        "AZURE_CLIENT_SECRET",
        "AZURE_PASSWORD",
    )

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self._count = Counter()
        self._lock = threading.Lock()
        self._client: tuple[int, ContainerClient] | None = None
        self._counts = True

    @property
    @override
    def url(self) -> str:
        return f"azure://{self._name}/{self.prefix}"

    @property
    def _name(self) -> str:
        """The container's, by the client that a class has in its own way."""
        if self._client is None:
            return str(self.storage.azure_container)
        return str(self._client[1].container_name)

    @property
    @override
    def identity(self) -> str | None:
        """Account, container and location."""
        container = self._container
        return f"azure {container.primary_hostname} {container.container_name} {self.prefix}"

    @property
    @override
    def requests(self) -> int | None:
        # Those of a client that others have made are not counted.
        return self._count.value if self._counts else None

    @property
    @override
    def secrets(self) -> list[str]:
        """The storage's secrets, those within its connection string, and a token's signature."""
        text = self.storage.connection_string or ""
        parts = dict(part.partition("=")[::2] for part in text.split(";"))
        tokens = [parts.get("SharedAccessSignature"), self.storage.sas_token]
        signatures = (parse_qs(str(token)).get("sig", ()) for token in tokens if token)
        hidden = [parts.get("AccountKey"), tokens[0], *itertools.chain.from_iterable(signatures)]
        return [*super().secrets, *filter(None, hidden)]

    @override
    def full_path(self, name: str) -> str:
        path = azure_path(self.storage, name)
        if _CONTROL.search(path):
            raise ValueError("names of blobs have no control characters")
        return path

    @override
    def exact_names(self) -> AbstractContextManager[None]:
        """Make the storage overwrite while files are sent."""
        return saving_under_exact_names(self.storage, overwrite_files=True)

    @property
    def _container(self) -> ContainerClient:
        """The one client that all threads use, with a connection for each.

        Raises:
            CollectfastaError: The settings name no account or no container, or are malformed.
        """
        with self._lock:
            if self._client is None or self._client[0] != self.threads:
                self._client = self.threads, self._connect()
            return self._client[1]

    def _connect(self) -> ContainerClient:
        storage, accessor = self.storage, azure_accessor(self.storage)
        self._counts = accessor is None
        container: ContainerClient
        if accessor == "client":
            container = storage.client
            return container
        if not storage.azure_container:
            raise CollectfastaError(
                "The storage names no container: set azure_container in its OPTIONS, or "
                "AZURE_CONTAINER."
            )
        if accessor is None:
            service = self._make_service()
        elif accessor == "service_client":
            service = storage.service_client
        else:
            service = azure_service(storage)
        container = service.get_container_client(storage.azure_container)
        return container

    def _make_service(self) -> BlobServiceClient:
        storage = self.storage
        # The SDK gives them to a transport that it makes itself only.
        given = storage.client_options if storage.connection_string is None else {}
        transport = given.get("transport") or RequestsTransport(
            **{**_TIMEOUTS, "session": Session(), "session_owner": False, **given}
        )
        options = {**retry_options(given), "transport": transport}
        if storage.connection_string is not None:
            try:
                service = BlobServiceClient.from_connection_string(
                    storage.connection_string, **options
                )
            except ValueError as error:
                raise CollectfastaError(
                    "The storage's connection_string (AZURE_CONNECTION_STRING) can't be used "
                    f"({describe(error)}): copy it from the account's access keys, or leave it out."
                ) from error
        elif not storage.account_name:
            # The SDK would ask for the account "none".
            raise CollectfastaError(
                "The storage names no account: set account_name or connection_string in its "
                "OPTIONS, or AZURE_ACCOUNT_NAME or AZURE_CONNECTION_STRING."
            )
        else:
            service = azure_service(storage, options)
        _check_login(service)
        transport.open()
        session: Any = getattr(transport, "session", None)
        self._counts = isinstance(session, Session)
        if self._counts:
            prepare_session(session, service.url, self.threads, self._count)
            if transport.connection_config.verify is True:
                # By default, which the session has looked for in the environment.
                transport.connection_config.verify = session.verify
        return service

    def _options(self, sharing: int = 1) -> dict[str, Any]:
        """Return what goes with each request: the seconds that it may take, and its id.

        The SDK makes ids by ``uuid1()``, for which libuuid may open a file in each thread that it
        never closes (``state_fd`` in
        https://github.com/util-linux/util-linux/blob/master/libuuid/src/gen_uuid.c).

        Args:
            sharing: How many such requests share a line that may be slow.
        """
        timeout = self.storage.timeout and self.storage.timeout * sharing
        return {"timeout": timeout, "client_request_id": str(uuid.uuid4())}

    # What would be there

    @override
    def payload(self, key: str, content: Any) -> Payload:
        """Return what ``AzureStorage._save()`` would send: its content settings."""
        return Payload(content, self.saves_itself, azure_headers(self.storage, key, content))

    # What is there

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        try:
            with self.translating():
                return read_page(
                    self._container,
                    self._count,
                    is_dated=not start,
                    token=token,
                    name_starts_with=prefix or None,
                    results_per_page=_PAGE,
                    **self._options(),
                )
        except StoreError as error:
            if error.denied:
                error.advice = (
                    f"The credentials may not list the container {self._name!r}: "
                    "the role Storage Blob Data Contributor may, or a SAS with the permission l."
                )
            raise

    @override
    def head(self, key: str) -> Listed | None:
        with self.translating():
            blob = self._container.get_blob_client(key)
            try:
                found = blob.get_blob_properties(**self._options())
                is_directory = found.metadata.get("hdi_isfolder") == "true"
                return None if is_directory else self._describe(found)
            except ResourceNotFoundError:
                return None
            except HttpResponseError as error:
                if error.status_code == 403:
                    return Listed()
                raise

    @override
    def get(self, key: str) -> bytes:
        with self.translating():
            content: bytes = self._container.download_blob(key, **self._options()).readall()
        return content

    def _describe(self, blob: BlobProperties) -> Listed:
        digest = blob.content_settings.content_md5
        checksum = Checksum("md5", bytes(digest).hex()) if digest else None
        written: datetime | None = blob.last_modified
        last_modified = on_our_clock(written, self._count.date) if written else None
        # None is in an answer that was cut off after its status.
        return Listed((blob.etag or "").strip('"'), blob.size, checksum, last_modified)

    # Put it there, delete it

    @override
    def put(self, key: str, body: Body, headers: Mapping[str, Any]) -> Listed:
        settings = ContentSettings(**headers)
        body.seek(0)
        chunks = iter(partial(body.read, _ONE_REQUEST), b"")
        first = next(chunks, b"")
        with self.translating():
            blob = self._container.get_blob_client(key)
            if len(first) < _ONE_REQUEST:
                settings.content_md5 = settings.content_md5 or bytearray(new_md5(first).digest())
                options = {"overwrite": True, **self._options(self.threads)}
                answer = blob.upload_blob(first, content_settings=settings, **options)
                size = len(first)
            else:
                answer, size = self._put_blocks(blob, first, chunks, settings)
        # None is in an answer that was cut off after its status.
        return Listed((answer["etag"] or "").strip('"'), size)

    def _put_blocks(
        self, blob: Any, first: bytes, chunks: Iterable[bytes], settings: ContentSettings
    ) -> tuple[Any, int]:
        """Send a large file in blocks, one after the other, and return the answer and its size."""
        digest = new_md5()
        blocks: list[BlobBlock] = []
        size = 0
        for chunk in itertools.chain((first,), chunks):
            digest.update(chunk)
            size += len(chunk)
            blocks.append(BlobBlock(f"{len(blocks):08}"))
            options = self._options(self.threads)
            blob.stage_block(blocks[-1].id, chunk, len(chunk), **options)
        settings.content_md5 = settings.content_md5 or bytearray(digest.digest())
        answer = blob.commit_block_list(blocks, content_settings=settings, **self._options())
        return answer, size

    @override
    def delete(self, keys: Sequence[str]) -> None:
        """Delete blobs, 256 a request."""
        timeout = self.storage.timeout
        with self.translating():
            for batch in batches(keys, _DELETE_BATCH):
                answers: list[Any] = []
                with suppress(AzureError, *OTHER_SHAPE):
                    answers += self._container.delete_blobs(
                        *batch, raise_on_any_failure=False, timeout=timeout
                    )
                done = [each for each in answers if each.status_code in (202, 404)]
                if len(done) == len(batch):
                    continue
                # No request of a batch is repeated. One by one they are.
                for key in batch:
                    with suppress(ResourceNotFoundError):
                        self._container.delete_blob(key, timeout=timeout)

    @override
    def translate(self, error: Exception) -> StoreError | None:
        return translate(error, self._name, self.secrets)


def _check_login(service: BlobServiceClient) -> None:
    """Refuse what no request could be made with, before one is.

    Raises:
        CollectfastaError: The address or the key is malformed, or there is no login.
    """
    credential = service.credential
    parts = service.primary_hostname, getattr(credential, "account_name", "account")
    if not all(map(_ADDRESS.fullmatch, parts)):
        raise CollectfastaError(
            "The storage's account_name (AZURE_ACCOUNT_NAME), its endpoint_suffix or the endpoint "
            "in its connection_string has characters that no address has: correct it."
        )
    if credential is None and "?" not in service.url:
        raise CollectfastaError(
            "The storage has no credentials: set account_key, sas_token or token_credential in its "
            "OPTIONS, or AZURE_ACCOUNT_KEY or AZURE_SAS_TOKEN, or a connection_string with a key."
        )
    key = getattr(credential, "account_key", None)
    if key is not None:
        try:
            is_key = bool(base64.b64decode(key))
        except ValueError:
            is_key = False
        if not is_key:
            raise CollectfastaError(
                "The storage's account key is malformed, it is not Base64: correct account_key "
                "(AZURE_ACCOUNT_KEY) or the AccountKey in connection_string "
                "(AZURE_CONNECTION_STRING)."
            )


def retry_options(client_options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by which the SDK repeats requests soon; the storage's own come first.

    Args:
        client_options: The storage's. The total limits each kind of failure.
    """
    retries = client_options.get("retry_total", ATTEMPTS - 1)
    return {**_WAITS, **dict.fromkeys(_LIMITS, retries), **client_options}


def translate(error: Exception, container: str, secrets: Iterable[str] = ()) -> StoreError | None:
    """Return a StoreError for what Azure's SDK raises; None for any other error.

    Args:
        error: What it raised.
        container: The container's name.
        secrets: Texts that must not appear.
    """
    if not isinstance(error, AzureError):
        return None
    status = getattr(error, "status_code", None)
    # The SDK makes an enum's member of the codes that it knows.
    code = getattr(error, "error_code", None) or ""
    code = str(getattr(code, "value", code))
    cut_off = IncompleteReadError, ServiceRequestError, ServiceResponseError
    # A download that was cut off is one of these within another without a status.
    errors = error, getattr(error, "inner_exception", None)
    return StoreError(
        # The SDK adds the answer's XML, of which it has told the message.
        _MARKUP.sub("", describe(error, secrets)),
        kind=f"{status} {code}".strip() if status else type(error).__name__,
        transient=status in TRANSIENT_STATUSES or any(isinstance(each, cut_off) for each in errors),
        advice=_advice(status, code, container),
        missing=isinstance(error, ResourceNotFoundError),
        denied=status == 403 and code not in _CREDENTIALS_REFUSED,
    )


def _advice(status: int | None, code: str, container: str) -> str | None:
    if code == "ContainerNotFound":
        return (
            f"The container {container!r} does not exist: create it, or correct the storage's "
            "azure_container (AZURE_CONTAINER)."
        )
    if status in (400, 404) and not (_CONTAINER.fullmatch(container) and 2 < len(container) < 64):
        return (
            f"The container {container!r} has a name that Azure does not take: correct the "
            "storage's azure_container (AZURE_CONTAINER), which has 3 to 63 lower case letters, "
            "digits and single hyphens."
        )
    if code in _CREDENTIALS_REFUSED or status == 401:
        return (
            f"The credentials for the container {container!r} are refused, or have expired: "
            "correct the storage's account_name and account_key, connection_string, sas_token or "
            "token_credential, or the account's network rules."
        )
    if status == 403:
        return (
            f"The credentials are refused or lack a permission on the container {container!r}: a "
            "deploy needs to list, read, write and delete, as the role Storage Blob Data "
            "Contributor may."
        )
    return None
