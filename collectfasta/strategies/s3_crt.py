"""Small files to S3 by awscrt, which takes a quarter of boto3's CPU time and sends any header.

awscrt is AWS's C library for Python (https://github.com/awslabs/aws-crt-python). It is used where
it is installed, for what obstore can't say: ACLs, grants, tags, encryption, expiry.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from email.utils import format_datetime
from functools import cached_property, partial
from threading import Lock
from typing import IO, Any
from urllib.parse import quote, urlsplit

from awscrt import auth, http, s3
from awscrt import io as crt_io
from awscrt.exceptions import AwsCrtError
from botocore.exceptions import ClientError, ConnectionClosedError

from collectfasta.strategies.counting import Counter
from collectfasta.strategies.s3 import UnsupportedError, checked_value, is_plain, metadata
from collectfasta.strategies.s3_connection import S3Connection
from collectfasta.strategies.s3_errors import client_error, is_in_another_region

_HEADERS = {
    "ACL": "x-amz-acl",
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "GrantFullControl": "x-amz-grant-full-control",
    "GrantRead": "x-amz-grant-read",
    "GrantReadACP": "x-amz-grant-read-acp",
    "GrantWriteACP": "x-amz-grant-write-acp",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}


class CrtSender:
    """Send small files by awscrt, from as many threads as there are.

    Args:
        connection: How the bucket is reached.
        threads: How many threads will use it at a time.
    """

    name = "awscrt"

    def __init__(self, connection: S3Connection, threads: int) -> None:
        self._connection = connection
        self._threads = threads
        self._host = urlsplit(connection.url).netloc
        self._path = "" if connection.is_virtual_hosted else f"/{connection.bucket}"
        self._count = Counter()
        self._lock = Lock()

    @property
    def requests(self) -> int:
        """How many requests were made so far; awscrt does not tell of those that it repeats."""
        return self._count.value

    def put(
        self, key: str, body: bytes | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store ``size`` bytes in one request and return the ETag."""
        if not isinstance(body, bytes) or not is_plain(key):
            raise UnsupportedError("large files, and keys that are no plain paths")
        headers = http.HttpHeaders(
            [
                ("host", self._host),
                ("content-length", str(size)),
                *((name, value) for name, value in _headers(parameters)),
            ]
        )
        # RFC 3986's unreserved characters, as S3 signs them:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        path = f"{self._path}/{quote(key, safe='/~')}"
        request = http.HttpRequest("PUT", path, headers, io.BytesIO(body))
        return self._send(request, hashlib.sha256(body).hexdigest())

    def _send(self, request: http.HttpRequest, checksum: str) -> str:
        answered: dict[str, str] = {}

        def keep(headers: Sequence[tuple[str, str]], **_: object) -> None:
            answered.update({name.lower(): value for name, value in headers})

        with self._lock:
            client = self._client
        self._count.add()
        sent = client.make_request(
            type=s3.S3RequestType.DEFAULT,
            operation_name="PutObject",
            request=request,
            # By default it would sign all but the body.
            signing_config=self._sign(checksum),
            on_headers=keep,
        )
        try:
            sent.finished_future.result()
        except s3.S3ResponseError as error:
            raise _as_boto3(error) from None
        except AwsCrtError:
            raise ConnectionClosedError(endpoint_url=self._connection.url) from None
        return answered.get("etag", "").strip('"')

    @cached_property
    def _client(self) -> s3.S3Client:
        connection = self._connection
        group = crt_io.EventLoopGroup(1)
        bootstrap = crt_io.ClientBootstrap(group, crt_io.DefaultHostResolver(group))
        mode = s3.S3RequestTlsMode
        return s3.S3Client(
            bootstrap=bootstrap,
            region=connection.region,
            signing_config=self._sign(None),
            tls_mode=mode.ENABLED if connection.is_secure else mode.DISABLED,
            tls_connection_options=_tls(connection) if connection.is_secure else None,
            max_active_connections_override=self._threads or 1,
            retry_config=_retries(connection),
            connect_timeout_ms=int(connection.connect_timeout * 1000),
        )

    def _sign(self, checksum: str | None) -> auth.AwsSigningConfig:
        return auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            service="s3",
            region=self._connection.region,
            credentials_provider=self._provider,
            signed_body_value=checksum,
            signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
        )

    @cached_property
    def _provider(self) -> auth.AwsCredentialsProvider:
        # Not by a method: awscrt would hold this sender, which holds the provider, where Python's
        # collector can't see it. The client's threads and descriptors would stay for good.
        return auth.AwsCredentialsProvider.new_delegate(partial(_ask, self._connection))


def _ask(connection: S3Connection) -> auth.AwsCredentials:
    frozen = connection.credentials.get_frozen_credentials()
    return auth.AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token)


def _tls(connection: S3Connection) -> crt_io.TlsConnectionOptions:
    options = crt_io.TlsContextOptions()
    options.override_default_trust_store_from_path(ca_filepath=connection.ca_bundle)
    return crt_io.ClientTlsContext(options).new_connection_options()


def _retries(connection: S3Connection) -> s3.S3RetryConfig:
    if connection.attempts < 2:
        return s3.S3RetryConfig(retry_mode=s3.S3RetryMode.NONE)
    return s3.S3RetryConfig(max_retries=connection.attempts - 1, backoff_scale_factor_ms=100)


def _as_boto3(error: s3.S3ResponseError) -> Exception:
    answer = (error.body or b"").decode(errors="replace")
    refusal: ClientError = client_error(error.status_code, answer, "PutObject")
    if is_in_another_region(refusal):
        return UnsupportedError("the bucket is in another region", lasting=True)
    return refusal


def _headers(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what goes with an object as headers.

    Raises:
        UnsupportedError: It is not known here how boto3 would say that.
    """
    headers = []
    for name, value in parameters.items():
        if name == "Metadata" and isinstance(value, Mapping):
            headers += [(f"x-amz-meta-{key}", each) for key, each in metadata(value).items()]
        elif name == "Expires" and isinstance(value, datetime) and value.tzinfo:
            utc = value.astimezone(timezone.utc)
            headers.append(("expires", format_datetime(utc, usegmt=True)))
        elif name in _HEADERS:
            headers.append((_HEADERS[name], checked_value(name, value)))
        else:
            raise UnsupportedError(name)
    return headers
