"""A container on an Azure Blob server."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from azure.storage.blob import BlobServiceClient, ContentSettings
from typing_extensions import Unpack

from ..azurite import AzureServer
from ..recorder import Answer, Fault, Recorder, Request
from .base import Properties, RecordedCloud, StoredObject

_SETTINGS = (
    "cache_control",
    "content_disposition",
    "content_encoding",
    "content_language",
    "content_type",
)
_KINDS = {
    ("GET", "list"): "LIST",
    ("PUT", "block"): "PUT_BLOCK",
    ("PUT", "blocklist"): "BLOCK_LIST",
    ("POST", "batch"): "BATCH",
}


def _error(status: int, code: str, message: str, **headers: str) -> Answer:
    body = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    headers = {"Content-Type": "application/xml", "x-ms-error-code": code, **headers}
    return Answer(status, body.encode(), headers)


# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes, and what
# https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
# says of the status 429.
ERRORS = {
    Fault.INTERNAL_ERROR: _error(500, "InternalError", "The server encountered an internal error."),
    Fault.SLOW_DOWN: _error(503, "ServerBusy", "The server is currently unable to receive."),
    Fault.TOO_MANY_REQUESTS: _error(
        429, "TooManyRequests", "The number of requests is too high.", **{"Retry-After": "1"}
    ),
    Fault.FORBIDDEN: _error(403, "AuthorizationPermissionMismatch", "It is not authorized."),
}


class AzureCloud(RecordedCloud):
    """A container on an Azure Blob server.

    Attributes:
        client: A container client that goes to the server directly, for what the methods do not
            show.
    """

    backend = "storages.backends.azure_storage.AzureStorage"

    def __init__(self, server: AzureServer) -> None:
        service = BlobServiceClient.from_connection_string(server.connection_string)
        url = urlsplit(service.url)
        # Azurite finds the account in the path, or in the name of the host as Azure does.
        is_path = bool(url.path.strip("/"))
        super().__init__(
            Recorder(f"{url.scheme}://{url.netloc}", rewrites_host=not is_path, errors=ERRORS)
        )
        # The SDK takes 127.0.0.1 for Azurite, and puts the account into the paths within batches.
        here = self.recorder.url if is_path else self.recorder.url.replace("127.0.0.1", "127.1")
        self._connection_string = _with_endpoint(server.connection_string, here + url.path)
        self._service = service
        self.client = service.create_container(self.name)

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "connection_string": self._connection_string,
            "azure_container": self.name,
            **more,
        }

    def keys(self) -> list[str]:
        return sorted(self.client.list_blob_names())

    def get(self, key: str) -> StoredObject:
        download = self.client.download_blob(key, decompress=False)
        settings = download.properties.content_settings
        headers = {
            name.replace("_", "-"): value
            for name in _SETTINGS
            if (value := getattr(settings, name)) is not None
        }
        metadata = {
            f"x-ms-meta-{name.lower()}": value
            for name, value in download.properties.metadata.items()
        }
        return StoredObject(download.readall(), headers | metadata)

    def put(self, key: str, body: bytes, **properties: Unpack[Properties]) -> None:
        metadata = properties.pop("metadata", None)
        self.client.upload_blob(
            key,
            body,
            overwrite=True,
            metadata=metadata,
            content_settings=ContentSettings(**properties),
        )

    def delete(self, key: str) -> None:
        self.client.delete_blob(key)

    def exists(self, key: str) -> bool:
        return self.client.get_blob_client(key).exists()

    def version(self, key: str) -> str:
        etag: str = self.client.get_blob_client(key).get_blob_properties().etag
        return etag

    def remove(self) -> None:
        self.client.delete_container()
        self._service.close()

    def kind(self, request: Request) -> str:
        """Name the operation.

        Returns:
            "PUT" (Put Blob), "HEAD", "GET" or "DELETE" of one blob, "LIST", "PUT_BLOCK",
            "BLOCK_LIST", "BATCH", and "method comp" for an operation that has no name here.
        """
        component = parse_qs(request.query).get("comp", [""])[0]
        kind = f"{request.method} {component}".strip()
        return _KINDS.get((request.method, component), kind)


def _with_endpoint(connection_string: str, endpoint: str) -> str:
    parts = (part for part in connection_string.split(";") if part)
    kept = [part for part in parts if not part.startswith(("BlobEndpoint=", "BlobSecondary"))]
    return ";".join([*kept, f"BlobEndpoint={endpoint}"])
