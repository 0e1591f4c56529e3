"""What S3's refusals mean, and what to do about them."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
)

from collectfasta.remote import ListingDeniedError

_CREDENTIALS_REFUSED = {
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_WRONG_REGION = {
    "301",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
# What S3 says of a request that failed on its way, of two that met, and, within an answer that is
# no refusal as a whole, of single objects:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. An upload in parts that is no
# longer there was completed by a request whose answer was lost.
PASSING_CODES = frozenset(
    {
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
)
_ACTIONS = {
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
_CODE_IN_XML = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE_IN_XML = re.compile(r"<Message>([^<]*)</Message>")


def client_error(status: int, answer: str, operation: str) -> ClientError:
    """Return what boto3 would raise for an answer that refuses.

    Args:
        status: Its HTTP status.
        answer: Its body, if any; or a text that has it in it.
        operation: What was asked for, as boto3 calls it.
    """
    code, message = _CODE_IN_XML.search(answer), _MESSAGE_IN_XML.search(answer)
    details = {
        "Code": html.unescape(code.group(1)) if code else str(status),
        "Message": html.unescape(message.group(1)) if message else "",
    }
    response: Any = {"Error": details, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


def is_in_another_region(error: ClientError) -> bool:
    """Tell whether a bucket is refused because it is somewhere else, where boto3 follows it."""
    return error.response["Error"].get("Code") in _WRONG_REGION


def explain(storage: Any, target_name: str, error: Exception) -> str | None:
    """Say in a line why S3 refuses for good, and what to do; None if it doesn't.

    Args:
        storage: The S3Storage.
        target_name: How messages call its bucket.
        error: What a request raised.
    """
    where = storage.endpoint_url or "AWS"
    problem = _explain_configuration(storage)
    if problem:
        return problem
    if isinstance(error, NoCredentialsError):
        return (
            f"There are no credentials for {target_name}: set access_key and secret_key "
            "in the storage's OPTIONS, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
            "profile or role that boto3 finds."
        )
    if isinstance(error, ParamValidationError):
        return (
            "boto3 does not send what the storage asks for: correct its object_parameters "
            f"(AWS_S3_OBJECT_PARAMETERS). {_in_one_line(error)}"
        )
    if isinstance(error, BotoCoreError):
        return f"S3 can't be used at {where}: {_in_one_line(error)}"
    if isinstance(error, ListingDeniedError):
        return _explain_code(storage, target_name, "AccessDenied", "ListObjectsV2")
    if isinstance(error, ClientError):
        code = error.response["Error"].get("Code", "")
        return _explain_code(storage, target_name, code, error.operation_name)
    return None


def _explain_configuration(storage: Any) -> str | None:
    """Say what the storage lacks to work at all: its client fails in ways that don't tell."""
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


def _explain_code(storage: Any, target_name: str, code: str, operation: str) -> str | None:
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
    if code in _WRONG_REGION:
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
    if code in ("AccessDenied", "403", "AllAccessDisabled"):
        return _explain_denial(storage, target_name, operation)
    return None


def _explain_denial(storage: Any, target_name: str, operation: str) -> str:
    resource = f"arn:aws:s3:::{target_name.removeprefix('s3://')}"
    bucket = f"arn:aws:s3:::{storage.bucket_name}"
    if operation == "ListObjectsV2":
        return f"The credentials lack the permission s3:ListBucket on {bucket}."
    if operation == "HeadObject":
        # Answered without a body, so without a code:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        return (
            f"S3 does not say why it refuses to look at an object of {target_name} (403): the "
            f"credentials are wrong, or lack the permission s3:GetObject on {resource}*, or, to "
            f"be told of an object that does not exist, s3:ListBucket on {bucket}."
        )
    action = _ACTIONS.get(operation, f"s3:{operation}")
    if action == "s3:PutObject" and storage.default_acl:
        action = "s3:PutObject and s3:PutObjectAcl"
    return f"The credentials lack the permission {action} on {resource}*."


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
