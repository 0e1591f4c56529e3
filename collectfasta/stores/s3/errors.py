"""What S3's refusals and its SDKs' errors mean, and what to do about them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    SSLError,
)
from botocore.exceptions import ConnectionError as UnconnectedError
from botocore.parsers import ResponseParserError

from collectfasta.errors import CollectfastaError, StoreError, describe, printable
from collectfasta.stores.s3.connection import NOWHERE, SLOW_LINE, UnsupportedError
from collectfasta.stores.store import TRANSIENT_STATUSES, Store

_CREDENTIALS_REFUSED = frozenset(
    ("InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
)
_EXPIRED = frozenset(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"))
_DENIED = frozenset(("AccessDenied", "403", "AllAccessDisabled"))
_WRONG_REGION = re.compile(
    "301|AuthorizationHeaderMalformed|IllegalLocationConstraintException|PermanentRedirect"
    "|TemporaryRedirect"
)
# What S3 says of a request that failed on its way, of two that met, and, within an answer that does
# not refuse as a whole, of single objects:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. An upload in parts that does
# not exist any longer was completed by a request whose answer was lost.
_TRANSIENT_CODES = re.compile(
    "BadDigest|ConditionalRequestConflict|IncompleteBody|InternalError|NoSuchUpload"
    "|OperationAborted|RequestTimeout|ServiceUnavailable|SlowDown"
)
# Of access points and the like, which have names of other kinds, some have slashes.
_NO_BUCKET = re.compile(r"^(?!arn:).*[/\s]|^\s")
_REGION = "the bucket is in another region"
_KEYS = ("access_key", "secret_key", "security_token")
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_TLS_CUT_OFF = re.compile("EOF|reset|timed out", re.IGNORECASE)
_UPLOADS = frozenset(
    ("CompleteMultipartUpload", "CreateMultipartUpload", "PutObject", "UploadPart")
)
LIST = "ListObjectsV2"

# obstore's errors are texts, with the answer in them.
_STATUS = re.compile(r"status code: (\d{3})|Server returned error response")
_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_NOT_DELETED = re.compile(r"DeleteObjects request failed for key .*: (.*) \(code: (\w+)\)")
_ELSEWHERE = re.compile(
    rf"Received redirect without LOCATION|status code: 30[1278]\b|\b{re.escape(NOWHERE)}\b"
)
# What obstore does not ask for again, unlike botocore: an answer whose end is missing, and, of a
# request that is neither PUT nor GET, one whose beginning is (RetryConfig in
# https://developmentseed.org/obstore/latest/api/store/config/).
_CUT_OFF = re.compile(r"response body error")
_INTERRUPTED = re.compile(r"kind: (Interrupted|Timeout)")
_FAILURE = re.compile(r"kind: (Connect|Timeout)")
# No address, or nobody there; what else fails to connect, does so later, by TLS for instance.
_UNREACHABLE = re.compile(r"ConnectError\(|TimedOut")
# A bucket with a default retention of Object Lock.
_NO_CHECKSUM = re.compile("Content-MD5|x-amz-checksum", re.IGNORECASE)
# As botocore names and words them.
_FAILURES = {
    "Connect": 'EndpointConnectionError: Could not connect to the endpoint URL: "{}"',
    "Timeout": 'ReadTimeoutError: Read timeout on endpoint URL: "{}"',
    "": "ConnectionClosedError: Connection was closed before we received a valid response from "
    'endpoint URL: "{}".',
}


def translate(
    error: Exception, store: Store, operation: str = "", endpoint: str = ""
) -> StoreError | None:
    """Return what an error of botocore's or obstore's means; None for any other.

    Args:
        error: What a request raised.
        store: The S3 store that made it.
        operation: What obstore was asked for, as boto3 calls it; "" for boto3.
        endpoint: The URL that obstore was asked at.

    Raises:
        UnsupportedError: boto3 finds the bucket in another region, reads listings that obstore does
            not, and asks again where obstore does not.
    """
    if operation:
        return _of_obstore(str(error), store, operation, endpoint)
    kind, text = type(error).__name__, describe(error, store.secrets)
    # Whatever it does then.
    problem = explain_configuration(store.storage)
    if problem:
        return StoreError(text, kind=kind, advice=problem)
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = str(error.response.get("Error", {}).get("Code", ""))
        return _refusal(store, status, code, error.operation_name, text)
    if isinstance(error, (BotoCoreError, ResponseParserError)):
        is_failure = isinstance(error, (HTTPClientError, UnconnectedError))
        is_transient = is_failure and not is_certificate(error)
        advice = _explain_failure(store, error)
        return StoreError(text, kind=kind, transient=is_transient, advice=advice)
    return None


def _of_obstore(text: str, store: Store, operation: str, endpoint: str) -> StoreError:
    status, code, message = _answer(text)
    if _ELSEWHERE.search(text):
        raise UnsupportedError(_REGION, permanent=True)
    if status is not None:
        return _of_answer(store, operation, status, code, message)
    if _CUT_OFF.search(text) or (operation == "DeleteObjects" and _INTERRUPTED.search(text)):
        raise UnsupportedError("an answer was cut off")
    failure = _FAILURE.search(text)
    what = failure.group(1) if failure else ""
    if what == "Timeout" and operation in _UPLOADS:
        raise UnsupportedError(SLOW_LINE, permanent=True)
    # TLS for instance: OpenSSL takes certificates and ciphers that rustls does not.
    if what == "Connect" and not _UNREACHABLE.search(text):
        raise UnsupportedError("the kind of connection", permanent="InvalidData" in text)
    words = _FAILURES[what].format(endpoint)
    kind, _, reason = words.partition(": ")
    advice = _unusable(store.storage, reason)
    return StoreError(words, kind=kind, transient=True, advice=advice)


def translate_answer(status: int, body: str, store: Store, operation: str) -> StoreError:
    """Return what an answer means that refuses, by its status and its XML.

    Raises:
        UnsupportedError: As ``translate()``.
    """
    if 300 <= status < 400:
        raise UnsupportedError(_REGION, permanent=True)
    return _of_answer(store, operation, status, *_words(body, str(status)))


def _of_answer(store: Store, operation: str, status: int, code: str, message: str) -> StoreError:
    if _WRONG_REGION.fullmatch(code):
        raise UnsupportedError(_REGION, permanent=True)
    if operation in _UPLOADS and _NO_CHECKSUM.search(message):
        raise UnsupportedError("the bucket asks for checksums", permanent=True)
    what = f"An error occurred ({code}) when calling the {operation} operation"
    told = CollectfastaError(f"ClientError: {what}: {message}")
    refusal = _refusal(store, status, code, operation, describe(told, store.secrets))
    if operation == "DeleteObjects" and is_unsupported(refusal):
        raise UnsupportedError("deleting many objects at once")
    return refusal


def _words(body: str, code: str) -> tuple[str, str]:
    """Return an answer's code, or the one given, and its message."""
    found = _CODE.search(body), _MESSAGE.search(body)
    words = [html.unescape(each.group(1)) if each else "" for each in found]
    return words[0] or code, words[1]


def _answer(text: str) -> tuple[int | None, str, str]:
    """Return status, code and message of the answer that a text of obstore's has in it."""
    not_deleted, status = _NOT_DELETED.search(text), _STATUS.search(text)
    if not_deleted:
        return 200, not_deleted.group(2), not_deleted.group(1)
    if status is None:
        return None, "", ""
    # Without a status it is 200, of which obstore says that it is an error.
    number = status.group(1) or "200"
    return (int(number), *_words(text, number))


def _refusal(store: Store, status: int | None, code: str, operation: str, text: str) -> StoreError:
    words = (str(status), code) if code != str(status) else (code,)
    return StoreError(
        text,
        # Without a code botocore repeats the status.
        kind=printable(" ".join(words).strip()) if status else "ClientError",
        transient=status in TRANSIENT_STATUSES or bool(_TRANSIENT_CODES.fullmatch(code)),
        advice=_explain_role(code, operation, text)
        or _explain_code(store.storage, store.url, code, operation),
        missing=code in ("NoSuchKey", "404"),
        denied=operation == LIST and code in ("AccessDenied", "403"),
    )


def is_unsupported(error: StoreError) -> bool:
    """Return whether an error may mean that the service does not know such a request at all.

    Services answer with NotImplemented, MethodNotAllowed, InvalidArgument or InvalidRequest, and
    what they give for a reason is not to be relied on.
    """
    is_refused = error.kind[:3] in ("400", "405", "501")
    return is_refused and not error.transient and error.advice is None


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


def is_certificate(error: Exception) -> bool:
    """Return whether TLS can't be had at all: a certificate or ciphers that one side refuses."""
    return isinstance(error, SSLError) and not _TLS_CUT_OFF.search(str(error))


def check_configuration(storage: Any) -> None:
    """Raise a StoreError for a storage that can't work, before anything is asked."""
    problem = explain_configuration(storage)
    if problem:
        raise StoreError(problem, kind="configuration", advice=problem)


def check_keys(credentials: Any, source: str) -> None:
    """Raise a StoreError for keys that nothing can be signed with.

    Args:
        credentials: botocore's, frozen.
        source: Where boto3 has found them.
    """
    values = (credentials.access_key, credentials.secret_key, credentials.token)
    problem = _explain_keys(zip(_KEYS, [source] * 3, values, strict=True))
    if problem:
        raise StoreError(problem, kind="configuration", advice=problem)


def _explain_keys(keys: Iterable[tuple[str, str, str | None]]) -> str | None:
    """Say what is wrong with keys: names, where each is from, and values; the token is last."""
    known = [*keys]
    if any(value for _, _, value in known):
        for name, source, value in known[:2]:
            if not value:
                return (
                    f"The {name} ({source}) is missing or empty: set both access_key and "
                    "secret_key, or neither, and boto3 looks for a profile or a role."
                )
    for name, source, value in known:
        if value and (value != value.strip() or not value.isprintable()):
            return (
                f"The {name} ({source}) has white space at its ends or control characters in it: "
                "remove them, which secret stores often add."
            )
    return None


def _unusable(storage: Any, reason: str) -> str:
    return f"S3 can't be used at {storage.endpoint_url or 'AWS'}: {reason}"


def explain_configuration(storage: Any) -> str | None:
    """Say what the storage lacks to work at all: its client fails in ways that don't say it."""
    endpoint = storage.endpoint_url
    if not storage.bucket_name:
        return (
            "The storage names no bucket: set bucket_name in its OPTIONS, or "
            "AWS_STORAGE_BUCKET_NAME."
        )
    if _NO_BUCKET.search(storage.bucket_name):
        return (
            f"The bucket_name {storage.bucket_name!r} is not a bucket's name: correct it in the "
            "storage's OPTIONS (AWS_STORAGE_BUCKET_NAME), without s3:// and slashes. A folder in "
            "the bucket is the storage's location (AWS_LOCATION)."
        )
    if endpoint and urlsplit(endpoint).path.strip("/") == storage.bucket_name:
        return (
            f"The endpoint {endpoint!r} has the bucket in its path: set the storage's endpoint_url "
            "(AWS_S3_ENDPOINT_URL) to the server alone."
        )
    if endpoint and (endpoint != endpoint.strip() or not urlsplit(endpoint).netloc):
        return (
            f"The endpoint {endpoint!r} is no URL: correct the storage's endpoint_url "
            "(AWS_S3_ENDPOINT_URL); it begins with https:// or http://."
        )
    values = (storage.access_key, storage.secret_key, storage.security_token)
    return _explain_keys(zip(_KEYS, _VARIABLES, values, strict=True))


def _explain_role(code: str, operation: str, text: str) -> str | None:
    if not operation.startswith("AssumeRole"):
        return None
    return (
        f"AWS STS refuses the role that signs for the bucket ({code} for sts:{operation}): correct "
        f"the profile's role_arn, the role's trust policy, or what its source may do. {text}"
    )


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
    if _WRONG_REGION.fullmatch(code):
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
    # DeleteObjects takes s3:DeleteObject.
    action = "s3:PutObject" if operation in _UPLOADS else f"s3:{operation.rstrip('s')}"
    if action == "s3:PutObject" and storage.default_acl:
        action = "s3:PutObject and s3:PutObjectAcl"
    return f"The credentials lack the permission {action} on {resource}*."
