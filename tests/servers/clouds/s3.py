"""A bucket on an S3 server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import boto3
from botocore.config import Config
from typing_extensions import Unpack

from ..recorder import Answer, Fault, Recorder, Request
from ..s3 import S3Server
from .base import Properties, RecordedCloud, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PUT_ARGUMENTS = {
    "content_type": "ContentType",
    "content_encoding": "ContentEncoding",
    "content_disposition": "ContentDisposition",
    "content_language": "ContentLanguage",
    "cache_control": "CacheControl",
    "metadata": "Metadata",
}
_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    }
)
_HEADER_PREFIXES = ("x-amz-meta-", "x-amz-server-side-encryption")
_MULTIPART = ("uploadId", "uploads")


def _error(status: int, code: str, message: str) -> Answer:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>656c76696e6727732072657175657374</RequestId><HostId>Uuag1LuByRx9e6j5</HostId>"
        "</Error>"
    )
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and the status 429 of
# https://developers.cloudflare.com/r2/api/error-codes/
ERRORS = {
    Fault.INTERNAL_ERROR: _error(500, "InternalError", "We encountered an internal error."),
    Fault.SLOW_DOWN: _error(503, "SlowDown", "Please reduce your request rate."),
    Fault.TOO_MANY_REQUESTS: _error(429, "TooManyRequests", "Reduce your request rate."),
    Fault.FORBIDDEN: _error(403, "AccessDenied", "Access Denied"),
}


class S3Cloud(RecordedCloud):
    """A bucket on an S3 server.

    Args:
        server: The server.
        engine: ``COLLECTFASTA_S3_ENGINE``; unset if None.

    Attributes:
        client: A boto3 client that goes to the server directly, for what the methods do not show.
    """

    backend = "storages.backends.s3.S3StaticStorage"

    def __init__(self, server: S3Server, engine: str | None = None) -> None:
        super().__init__(Recorder(server.endpoint, errors=ERRORS))
        self._server = server
        self._engine = engine
        self.client: S3Client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name=server.region,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            aws_session_token=server.security_token,
            # Otherwise it sends by https a checksum behind the body, which not every server takes.
            config=Config(
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
            ),
        )
        self._create()

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"COLLECTFASTA_S3_ENGINE": self._engine} if self._engine else {}

    def options(self, **more: Any) -> dict[str, Any]:
        server = self._server
        options: dict[str, Any] = {
            "endpoint_url": self.recorder.url,
            "region_name": server.region,
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "bucket_name": self.name,
        }
        if server.security_token:
            options["security_token"] = server.security_token
        if server.is_live and "endpoint_url" not in more:
            more |= self._as_proxy(**more)
        return {**options, **more}

    def _as_proxy(self, client_config: Config | None = None, **_: Any) -> dict[str, Any]:
        # Signatures cover the name of the server, so the storage has to call it by that.
        config = Config(proxies={"http": self.recorder.url}, s3={"addressing_style": "path"})
        return {
            "endpoint_url": self._server.endpoint.replace("https:", "http:", 1),
            "client_config": config.merge(client_config) if client_config else config,
        }

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))

    def get(self, key: str, **parameters: Any) -> StoredObject:
        """Return an object, read with some parameters of S3's, as those of SSE-C."""
        response = self.client.get_object(Bucket=self.name, Key=key, **parameters)
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        return StoredObject(response["Body"].read(), _visible(headers))

    def put(self, key: str, body: bytes, **properties: Unpack[Properties]) -> None:
        arguments: dict[str, Any] = {
            _PUT_ARGUMENTS[name]: value for name, value in properties.items()
        }
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **arguments)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def empty(self) -> None:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        for page in pages:
            keys: Any = [{"Key": each["Key"]} for each in page.get("Contents", ())]
            if keys:
                self.client.delete_objects(Bucket=self.name, Delete={"Objects": keys})

    def version(self, key: str) -> str:
        return self.client.head_object(Bucket=self.name, Key=key)["ETag"]

    def remove(self) -> None:
        self.empty()
        self.abort_uploads()
        self.client.delete_bucket(Bucket=self.name)
        self.client.close()

    def kind(self, request: Request) -> str:
        """Name the operation.

        Returns:
            "PUT", "HEAD", "GET", "DELETE" or "POST" of one object, "LIST", "DELETE_BATCH", or
            "MULTIPART" for any request of a multipart upload.
        """
        parameters = parse_qs(request.query, keep_blank_values=True)
        key = request.path.strip("/").partition("/")[2]
        if any(name in parameters for name in _MULTIPART):
            return "MULTIPART"
        if request.method == "POST" and "delete" in parameters:
            return "DELETE_BATCH"
        if request.method == "GET" and ("list-type" in parameters or not key):
            return "LIST"
        return request.method

    def uploads(self) -> list[Any]:
        """Return the uploads in parts that were neither completed nor aborted."""
        return list(self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ()))

    def abort_uploads(self) -> None:
        """Abort all uploads in parts."""
        for upload in self.uploads():
            self.client.abort_multipart_upload(
                Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"]
            )

    def _create(self) -> None:
        # S3 refuses its own default region as a constraint.
        if self._server.region == "us-east-1":
            self.client.create_bucket(Bucket=self.name)
        else:
            self.client.create_bucket(
                Bucket=self.name,
                CreateBucketConfiguration={
                    "LocationConstraint": self._server.region  # type: ignore[typeddict-item]
                },
            )


def _visible(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name in _HEADERS or name.startswith(_HEADER_PREFIXES)
    }
