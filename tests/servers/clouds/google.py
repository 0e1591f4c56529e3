"""A bucket on a Google Cloud Storage server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from google.api_core.exceptions import Conflict
from google.cloud.storage import Blob, Client
from typing_extensions import Unpack

from ..gcs import GoogleServer
from ..recorder import Answer, Fault, Recorder, Request
from .base import Properties, RecordedCloud, StoredObject

# Where credentials come from on Google's own machines.
_METADATA_HOSTS = "metadata.google.internal,169.254.169.254"
_HEADERS = (
    "cache_control",
    "content_disposition",
    "content_encoding",
    "content_language",
    "content_type",
)


def _error(status: int, reason: str, message: str) -> Answer:
    errors = [{"domain": "global", "reason": reason, "message": message}]
    error = {"code": status, "message": message, "errors": errors}
    body = json.dumps({"error": error}).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=UTF-8"})


# https://cloud.google.com/storage/docs/json_api/v1/status-codes
ERRORS = {
    Fault.INTERNAL_ERROR: _error(500, "backendError", "We encountered an internal error."),
    Fault.SLOW_DOWN: _error(503, "backendError", "Service Unavailable"),
    Fault.TOO_MANY_REQUESTS: _error(429, "rateLimitExceeded", "The rate limit is exceeded."),
    Fault.FORBIDDEN: _error(403, "forbidden", "The caller does not have access."),
}


class GoogleCloud(RecordedCloud):
    """A bucket on a Google Cloud Storage server.

    The storage class has no option for the endpoint: it comes to the recorder if the variables of
    `environment` are set when it makes its client.

    Attributes:
        bucket: The SDK's bucket, which goes to the server directly, for what the methods do not
            show.
    """

    backend = "storages.backends.gcloud.GoogleCloudStorage"

    def __init__(self, server: GoogleServer) -> None:
        super().__init__(Recorder(server.endpoint, errors=ERRORS))
        self._server = server
        self._client = Client(
            project=server.project,
            credentials=server.credentials,
            client_options={"api_endpoint": server.endpoint},
        )
        self.bucket = self._client.create_bucket(self.name)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            **(self._as_proxy() if self._server.is_live else self._in_place()),
            # Otherwise the SDK asks for the bucket in the background, for its tracing.
            "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
        }

    def _in_place(self) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": self.recorder.url}

    def _as_proxy(self) -> dict[str, str]:
        # Not in place of a live server, although its Host header is not signed: the SDK repeats the
        # host within the bodies of batches, where another one has "undefined behavior"
        # (https://cloud.google.com/storage/docs/batch).
        return {
            "STORAGE_EMULATOR_HOST": self._server.endpoint.replace("https:", "http:", 1),
            "http_proxy": self.recorder.url,
            "no_proxy": _METADATA_HOSTS,
        }

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "project_id": self._server.project,
            "credentials": self._server.credentials,
            "bucket_name": self.name,
            **more,
        }

    def keys(self) -> list[str]:
        return sorted(blob.name for blob in self.bucket.list_blobs())

    def get(self, key: str) -> StoredObject:
        blob = self.bucket.blob(key)
        blob.reload()
        return self._stored(blob)

    def objects(self) -> dict[str, StoredObject]:
        blobs = sorted(self.bucket.list_blobs(), key=lambda blob: str(blob.name))
        return {blob.name: self._stored(blob) for blob in blobs}

    def put(self, key: str, body: bytes, **properties: Unpack[Properties]) -> None:
        blob = self.bucket.blob(key)
        content_type = properties.pop("content_type", "application/octet-stream")
        for name, value in properties.items():
            setattr(blob, name, value)
        blob.upload_from_string(body, content_type)

    def delete(self, key: str) -> None:
        self.bucket.delete_blob(key)

    def exists(self, key: str) -> bool:
        return bool(self.bucket.blob(key).exists())

    def version(self, key: str) -> str:
        blob = self.bucket.blob(key)
        blob.reload()
        return str(blob.generation)

    def remove(self) -> None:
        self.empty()
        # The emulator keeps a bucket with an upload that was never finished.
        with contextlib.suppress(Conflict):
            self.bucket.delete()
        self._client.close()

    def kind(self, request: Request) -> str:
        """Name the operation.

        Returns:
            "LIST", "UPLOAD" for any request of an upload, "BATCH", or "GET", "PATCH", "DELETE" or
            "POST" of one object or of the bucket.
        """
        path = request.path
        if path.startswith(("/upload/", "/resumable/upload/")):
            return "UPLOAD"
        if path.startswith("/batch"):
            return "BATCH"
        if request.method == "GET" and path.endswith("/o"):
            return "LIST"
        return request.method

    def _stored(self, blob: Blob) -> StoredObject:
        headers = {
            name.replace("_", "-"): value
            for name in _HEADERS
            if (value := getattr(blob, name)) is not None
        }
        headers["x-goog-storage-class"] = blob.storage_class
        metadata = {
            f"x-goog-meta-{name.lower()}": value for name, value in (blob.metadata or {}).items()
        }
        # Not through the blob of the listing: its media link names the host it was written to.
        body = self.bucket.blob(blob.name).download_as_bytes(raw_download=True)
        return StoredObject(body, headers | metadata)
