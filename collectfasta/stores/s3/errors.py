"""What S3's refusals and its SDKs' errors mean, and what to do about them."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as UnconnectedError
from botocore.parsers import ResponseParserError

from collectfasta.errors import StoreError, describe
from collectfasta.stores.store import TRANSIENT_STATUSES, Store

_CREDENTIALS_REFUSED = {
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_DENIED = {"AccessDenied", "403", "AllAccessDisabled"}
WRONG_REGION = frozenset(
    {
        "301",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
        "TemporaryRedirect",
    }
)
# What S3 says of a request that failed on its way, of two that met, and, within an answer that does
# not refuse as a whole, of single objects:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. An upload in parts that does
# not exist any longer was completed by a request whose answer was lost.
_TRANSIENT_CODES = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "NoSuchUpload",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
}
_ACTIONS = {
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
LIST = "ListObjectsV2"

# obstore's errors are texts, with the answer in them.
STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
NOT_DELETED = re.compile(r"DeleteObjects request failed for key .*: (.*) \(code: (\w+)\)")
_FAILURE = re.compile(r"kind: (Connect|Timeout)")
_FAILURES = {
    "Connect": ("EndpointConnectionError", "Could not connect to the endpoint URL"),
    "Timeout": ("ReadTimeoutError", "Read timeout on endpoint URL"),
    "": (
        "ConnectionClosedError",
        "Connection was closed before we received a valid response from endpoint URL",
    ),
}


def translate(error: Exception, store: Store) -> StoreError | None:
    """Return what an error of botocore means; None for one that is not botocore's.

    Args:
        error: What a request raised.
        store: The S3 store that made it.
    """
    problem = _explain_configuration(store.storage)
    kind, text = type(error).__name__, describe(error, store.secrets)
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = str(error.response.get("Error", {}).get("Code", ""))
        return refusal(store, status, code, error.operation_name, text)
    if isinstance(error, (BotoCoreError, ResponseParserError)):
        is_transient = isinstance(error, (HTTPClientError, UnconnectedError))
        advice = problem or _explain_failure(store, error)
        return StoreError(text, kind=kind, transient=is_transient, advice=advice)
    if problem and isinstance(error, ValueError):
        return StoreError(text, kind=kind, advice=problem)
    return None


def translate_text(text: str, store: Store, operation: str, endpoint: str) -> StoreError:
    """Return what an error of obstore means.

    Args:
        text: The error's.
        store: The S3 store that made the request.
        operation: What was asked for, as boto3 calls it.
        endpoint: The server's URL.
    """
    not_deleted, status = NOT_DELETED.search(text), STATUS.search(text)
    if not_deleted:
        message, code = not_deleted.groups()
        return refusal(store, 200, code, operation, _told(operation, code, message))
    if status:
        found = CODE.search(text), _MESSAGE.search(text)
        code, message = (html.unescape(each.group(1)) if each else "" for each in found)
        code = code or status.group(1)
        return refusal(
            store, int(status.group(1)), code, operation, _told(operation, code, message)
        )
    failure = _FAILURE.search(text)
    kind, words = _FAILURES[failure.group(1) if failure else ""]
    told = f'{words}: "{endpoint}"'
    advice = _explain_configuration(store.storage) or _unusable(store.storage, told)
    return StoreError(f"{kind}: {told}", kind=kind, transient=True, advice=advice)


def refusal(
    store: Store, status: int | None, code: str, operation: str, text: str = ""
) -> StoreError:
    """Return what an answer means that refuses.

    Args:
        store: The S3 store that got it.
        status: Its HTTP status.
        code: S3's code; the status where it has none.
        operation: What was asked for, as boto3 calls it.
        text: What the SDK says.
    """
    words = (str(status), code) if code != str(status) else (code,)
    return StoreError(
        text,
        kind=" ".join(words).strip() if status else "ClientError",
        transient=status in TRANSIENT_STATUSES or code in _TRANSIENT_CODES,
        advice=_explain_configuration(store.storage)
        or _explain_code(store.storage, store.url, code, operation),
        missing=code in ("NoSuchKey", "404"),
        denied=operation == LIST and code in ("AccessDenied", "403"),
    )


def _told(operation: str, code: str, message: str) -> str:
    # As botocore words it.
    what = f"An error occurred ({code}) when calling the {operation} operation"
    return f"ClientError: {what}: {message}"


def _explain_failure(store: Store, error: Exception) -> str:
    if isinstance(error, NoCredentialsError):
        return (
            f"There are no credentials for {store.url}: set access_key and secret_key "
            "in the storage's OPTIONS, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
            "profile or role that boto3 finds."
        )
    in_one_line = " ".join(str(error).split())
    if isinstance(error, ParamValidationError):
        return (
            "boto3 does not send what the storage asks for: correct its object_parameters "
            f"(AWS_S3_OBJECT_PARAMETERS). {in_one_line}"
        )
    return _unusable(store.storage, in_one_line)


def _unusable(storage: Any, reason: str) -> str:
    return f"S3 can't be used at {storage.endpoint_url or 'AWS'}: {reason}"


def _explain_configuration(storage: Any) -> str | None:
    """Say what the storage lacks to work at all: its client fails in ways that don't say it."""
    endpoint = storage.endpoint_url
    if not storage.bucket_name:
        return (
            "The storage names no bucket: set bucket_name in its OPTIONS, or "
            "AWS_STORAGE_BUCKET_NAME."
        )
    if endpoint and not urlsplit(endpoint).netloc:
        return (
            f"The endpoint {endpoint!r} is no URL: correct the storage's endpoint_url "
            "(AWS_S3_ENDPOINT_URL); it begins with https:// or http://."
        )
    return None


def _explain_code(storage: Any, url: str, code: str, operation: str) -> str | None:
    bucket, where = storage.bucket_name, storage.endpoint_url or "AWS"
    if code == "NoSuchBucket":
        return (
            f"The bucket {bucket!r} does not exist at {where}: create it, or correct the "
            "storage's bucket_name (AWS_STORAGE_BUCKET_NAME)."
        )
    if code in _EXPIRED:
        return (
            f"The credentials for the bucket {bucket!r} at {where} have expired ({code}): "
            "get new ones, and the next run sends the rest."
        )
    if code in _CREDENTIALS_REFUSED:
        return (
            f"The credentials for the bucket {bucket!r} at {where} are refused ({code}): "
            "correct the storage's access_key, secret_key and security_token."
        )
    if code in WRONG_REGION:
        return (
            f"The bucket {bucket!r} is in another region ({code}): correct the storage's "
            "region_name (AWS_S3_REGION_NAME)."
        )
    if code == "AccessControlListNotSupported":
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
        return (
            f"The bucket {bucket!r} takes no ACLs (AccessControlListNotSupported): set the "
            "storage's default_acl (AWS_DEFAULT_ACL) to None, and no ACL in its object_parameters. "
            "A bucket policy can make objects public."
        )
    if code in _DENIED:
        return _explain_denial(storage, url, operation)
    return None


def _explain_denial(storage: Any, url: str, operation: str) -> str:
    resource = f"arn:aws:s3:::{url.removeprefix('s3://')}"
    bucket = f"arn:aws:s3:::{storage.bucket_name}"
    if operation == LIST:
        return f"The credentials lack the permission s3:ListBucket on {bucket}."
    if operation == "HeadObject":
        # Answered without a body, so without a code:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        return (
            f"S3 does not say why it refuses to look at an object of {url} (403): the "
            f"credentials are wrong, or lack the permission s3:GetObject on {resource}*, or, to "
            f"be told of an object that does not exist, s3:ListBucket on {bucket}."
        )
    action = _ACTIONS.get(operation, f"s3:{operation}")
    if action == "s3:PutObject" and storage.default_acl:
        action = "s3:PutObject and s3:PutObjectAcl"
    return f"The credentials lack the permission {action} on {resource}*."
