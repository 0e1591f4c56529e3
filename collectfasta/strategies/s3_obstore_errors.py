"""What obstore's errors mean, as boto3 would raise them: it tells its errors in texts alone."""

from __future__ import annotations

import re

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from collectfasta.remote import ListingDeniedError
from collectfasta.strategies.s3 import UnsupportedError
from collectfasta.strategies.s3_errors import client_error, is_in_another_region
from collectfasta.strategies.s3_obstore_setup import NOWHERE

_STATUS = re.compile(r"status code: (\d{3})")
_NOT_DELETED = re.compile(r"DeleteObjects request failed for key .*: (.*) \(code: (\w+)\)")
_KIND = re.compile(r"kind: (Connect|Timeout)")
# What obstore does not ask for again, unlike botocore: an answer whose end is missing, and, of a
# request that is no PUT or GET, one whose beginning is (RetryConfig in
# https://developmentseed.org/obstore/latest/api/store/config/).
_CUT_OFF = re.compile(r"response body error")
_INTERRUPTED = re.compile(r"kind: (Interrupted|Timeout)")
_IN_ANOTHER_REGION = re.compile(
    rf"Received redirect without LOCATION|status code: 30[1278]\b|\b{re.escape(NOWHERE)}\b"
)


def as_boto3(text: str, operation: str, url: str) -> Exception:
    """Return what boto3 would raise for an error of obstore.

    Args:
        text: The error's.
        operation: What was asked for, as boto3 calls it.
        url: The server.

    Returns:
        An UnsupportedError for what boto3 can do better, a ListingDeniedError for a listing that is
        not allowed, else one of botocore's errors.
    """
    if "Got invalid list response" in text:
        return UnsupportedError("the server's listings", lasting=True)
    refusal = _as_refusal(text, operation)
    if _IN_ANOTHER_REGION.search(text) or (refusal and is_in_another_region(refusal)):
        return UnsupportedError("the bucket is in another region", lasting=True)
    if refusal is None:
        return _as_failure(text, operation, url)
    if operation == "ListObjectsV2" and code_of(refusal) in ("AccessDenied", "403"):
        return ListingDeniedError(str(refusal))
    return refusal


def _as_failure(text: str, operation: str, url: str) -> Exception:
    is_delete = operation == "DeleteObjects"
    if _CUT_OFF.search(text) or (is_delete and _INTERRUPTED.search(text)):
        return UnsupportedError("an answer was cut off")
    kind = _KIND.search(text)
    if kind is None:
        return ConnectionClosedError(endpoint_url=url)
    if kind.group(1) == "Timeout":
        return ReadTimeoutError(endpoint_url=url)
    return EndpointConnectionError(endpoint_url=url)


def _as_refusal(text: str, operation: str) -> ClientError | None:
    """Return what boto3 would raise for an answer that refuses; None for no answer."""
    not_deleted = _NOT_DELETED.search(text)
    if not_deleted:
        message, code = not_deleted.groups()
        answer = f"<Code>{code}</Code><Message>{message}</Message>"
        return client_error(200, answer, operation)
    status = _STATUS.search(text)
    return client_error(int(status.group(1)), text, operation) if status else None


def code_of(refusal: ClientError) -> str:
    """Return S3's code of a refusal."""
    return refusal.response["Error"].get("Code", "")
