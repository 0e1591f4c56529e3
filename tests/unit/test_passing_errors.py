"""Which failures of each cloud may pass, so that what failed is worth another try."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from azure.core.exceptions import (
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from django.core.files.storage import InMemoryStorage
from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, TransportError
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from collectfasta.strategies import Strategy
from collectfasta.strategies.azure import AzureBlobStrategy
from collectfasta.strategies.boto3 import Boto3Strategy
from collectfasta.strategies.gcloud import GoogleCloudStrategy


def s3_error(status: int, code: str) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutObject")


def azure_error(status: int, code: str = "") -> HttpResponseError:
    error = HttpResponseError("No.")
    error.status_code = status
    error.error_code = code  # type: ignore[attr-defined]
    return error


S3 = Boto3Strategy(S3Storage(bucket_name="bucket"))
GOOGLE = GoogleCloudStrategy(GoogleCloudStorage(bucket_name="bucket"))
AZURE = AzureBlobStrategy(AzureStorage(azure_container="container"))
URL = "http://127.0.0.1"

PASSING: list[tuple[Strategy[Any], Exception]] = [
    (S3, s3_error(503, "SlowDown")),
    (S3, s3_error(500, "InternalError")),
    (S3, s3_error(429, "TooManyRequests")),
    (S3, s3_error(400, "RequestTimeout")),
    (S3, s3_error(400, "BadDigest")),
    (S3, s3_error(404, "NoSuchUpload")),
    (S3, s3_error(200, "InternalError")),
    (S3, EndpointConnectionError(endpoint_url=URL)),
    (S3, ConnectTimeoutError(endpoint_url=URL)),
    (S3, ReadTimeoutError(endpoint_url=URL)),
    (S3, ConnectionClosedError(endpoint_url=URL)),
    (S3, ConnectionResetError()),
    (GOOGLE, google.TooManyRequests("No.")),
    (GOOGLE, google.ServiceUnavailable("No.")),
    (GOOGLE, google.RetryError("No.", None)),
    (GOOGLE, requests.ConnectionError()),
    (GOOGLE, requests.Timeout()),
    (GOOGLE, TransportError("No.")),
    (AZURE, azure_error(503, "ServerBusy")),
    (AZURE, azure_error(500, "OperationTimedOut")),
    (AZURE, azure_error(429)),
    (AZURE, ServiceRequestError("No.")),
    (AZURE, ServiceResponseTimeoutError("No.")),
]
LASTING: list[tuple[Strategy[Any], Exception]] = [
    (S3, s3_error(403, "AccessDenied")),
    (S3, s3_error(400, "ExpiredToken")),
    (S3, s3_error(404, "NoSuchBucket")),
    (S3, s3_error(400, "InvalidRequest")),
    (S3, s3_error(501, "NotImplemented")),
    (S3, NoCredentialsError()),
    (S3, ParamValidationError(report="No.")),
    (S3, FileNotFoundError()),
    (GOOGLE, google.Forbidden("No.")),
    (GOOGLE, google.NotFound("No.")),
    (GOOGLE, google.BadRequest("No.")),
    (GOOGLE, google.Unauthorized("No.")),
    (GOOGLE, DefaultCredentialsError("No.")),
    (AZURE, azure_error(403, "AuthenticationFailed")),
    (AZURE, azure_error(404, "ContainerNotFound")),
    (AZURE, azure_error(400, "InvalidHeaderValue")),
]


def case_id(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize(("strategy", "error"), PASSING, ids=case_id)
def test_it_passes(strategy: Strategy[Any], error: Exception) -> None:
    assert strategy.is_passing(error)


@pytest.mark.parametrize(("strategy", "error"), LASTING, ids=case_id)
def test_it_lasts(strategy: Strategy[Any], error: Exception) -> None:
    assert not strategy.is_passing(error)


@pytest.mark.parametrize(
    ("error", "passes"),
    [(ConnectionRefusedError(), True), (TimeoutError(), True), (PermissionError(), False)],
    ids=case_id,
)
def test_for_a_strategy_of_ones_own_the_errors_of_sockets_pass(
    error: Exception, passes: bool
) -> None:
    class OwnStrategy(Strategy[InMemoryStorage]):
        def should_copy_file(self, *_: object) -> bool:
            return True

    assert OwnStrategy(InMemoryStorage()).is_passing(error) is passes


@pytest.mark.parametrize(
    ("strategy", "error", "kind"),
    [
        (S3, s3_error(503, "SlowDown"), "503 SlowDown"),
        (S3, s3_error(503, "503"), "503"),
        (GOOGLE, google.TooManyRequests("No."), "429"),
        (AZURE, azure_error(503, "ServerBusy"), "503 ServerBusy"),
        (S3, ReadTimeoutError(endpoint_url=URL), "ReadTimeoutError"),
    ],
    ids=case_id,
)
def test_its_kind_is_told_without_the_request(
    strategy: Strategy[Any], error: Exception, kind: str
) -> None:
    assert strategy.error_kind(error) == kind
