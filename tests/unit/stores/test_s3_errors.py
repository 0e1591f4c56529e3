"""What the errors of botocore and obstore mean: kind, transient or not, advice."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from storages.backends.s3 import S3Storage

from collectfasta.errors import SourceChangedError, StoreError, describe
from collectfasta.source import Body
from collectfasta.stores.s3.connection import UnsupportedError
from collectfasta.stores.s3.errors import translate
from collectfasta.stores.s3.store import S3Store

URL = "http://127.0.0.1:1"


def store_of(**options: Any) -> S3Store:
    keys = {"access_key": "a", "secret_key": "s3cr3t", "endpoint_url": URL}
    return S3Store(S3Storage(**{"bucket_name": "bucket", "location": "static", **keys, **options}))


def refusal(status: int, code: str, operation: str = "PutObject", message: str = "") -> ClientError:
    error = {"Code": code, "Message": message}
    response: Any = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


def by_boto3(error: Exception, **options: Any) -> StoreError:
    translated = store_of(**options).translate(error)
    assert translated is not None
    return translated


def by_obstore(text: str, operation: str = "PutObject", **options: Any) -> StoreError:
    translated = translate(Exception(text), store_of(**options), operation, URL)
    assert translated is not None
    return translated


def answer(status: int, code: str = "", message: str = "") -> str:
    """Return what obstore says of an answer that refuses."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    return (
        "Generic S3 error: Error performing PUT http://127.0.0.1:1/bucket/a in 1ms - Server "
        f"returned non-2xx status code: {status} Words: {body}"
    )


REFUSALS = [
    # Status, code, operation: transient, missing, denied.
    (503, "SlowDown", "PutObject", "t"),
    (500, "InternalError", "PutObject", "t"),
    (429, "TooManyRequests", "PutObject", "t"),
    (400, "RequestTimeout", "PutObject", "t"),
    (400, "BadDigest", "PutObject", "t"),
    (404, "NoSuchUpload", "UploadPart", "t"),
    (403, "AccessDenied", "PutObject", ""),
    (403, "AccessDenied", "ListObjectsV2", "d"),
    (400, "ExpiredToken", "PutObject", ""),
    (404, "NoSuchBucket", "GetObject", ""),
    (404, "NoSuchKey", "GetObject", "m"),
    (400, "InvalidRequest", "PutObject", ""),
    (501, "NotImplemented", "PutObject", ""),
]


def test_refusals_mean_the_same_from_either_sdk() -> None:
    for status, code, operation, expected in REFUSALS:
        errors = [
            by_boto3(refusal(status, code, operation, "Not <so>.")),
            by_obstore(answer(status, code, "Not &lt;so&gt;."), operation),
        ]
        for error in errors:
            found = ("t" * error.transient) + ("m" * error.missing) + ("d" * error.denied)
            assert (error.kind, found) == (f"{status} {code}", expected), code
            assert str(error) == (
                f"ClientError: An error occurred ({code}) when calling the {operation} operation: "
                "Not <so>."
            )
        assert errors[0].advice == errors[1].advice


def test_refusal_without_words_is_known_by_its_status() -> None:
    for error in (by_boto3(refusal(503, "503")), by_obstore(answer(503))):
        assert (error.kind, error.transient) == ("503", True)
    for error in (
        by_boto3(refusal(404, "404", "GetObject")),
        by_obstore(answer(404), "GetObject"),
    ):
        assert error.missing
    for error in (
        by_boto3(refusal(403, "403", "ListObjectsV2")),
        by_obstore(answer(403), "ListObjectsV2"),
    ):
        assert error.denied


def test_object_that_is_not_deleted_says_why() -> None:
    text = "Generic S3 error: DeleteObjects request failed for key a.css: Later. (code: SlowDown)"
    errors = by_obstore(text, "DeleteObjects"), by_boto3(refusal(200, "SlowDown", "DeleteObjects"))
    for error in errors:
        assert (error.kind, error.transient) == ("200 SlowDown", True)
    retried = by_obstore(
        "Generic S3 error: Error performing POST - Server returned error response: <DeleteResult>"
        "<Error><Key>a</Key><Code>InternalError</Code><Message>No.</Message></Error></DeleteResult>"
    )
    assert (retried.kind, retried.transient) == ("200 InternalError", True)
    assert str(errors[0]).endswith("(SlowDown) when calling the DeleteObjects operation: Later.")


def test_failures_on_the_way_are_transient() -> None:
    failures = [
        (EndpointConnectionError(endpoint_url=URL), "error sending request kind: Connect"),
        (ReadTimeoutError(endpoint_url=URL), "error sending request kind: Timeout"),
        (ConnectionClosedError(endpoint_url=URL), "error sending request kind: Interrupted"),
    ]
    for theirs, text in failures:
        errors = by_boto3(theirs), by_obstore(text)
        for error in errors:
            assert error.transient
            assert error.kind == type(theirs).__name__
            assert str(error) == describe(theirs)
            assert error.advice == f"S3 can't be used at {URL}: {theirs}"
    assert by_boto3(ConnectTimeoutError(endpoint_url=URL)).transient


def test_what_can_not_be_asked_is_permanent() -> None:
    errors = [
        (NoCredentialsError(), "There are no credentials for s3://bucket/static/: set access_key"),
        (ParamValidationError(report="No."), "boto3 does not send what the storage asks for"),
        (
            CredentialRetrievalError(provider="p", error_msg="no"),
            f"S3 can't be used at {URL}: Error when retrieving",
        ),
    ]
    for theirs, advice in errors:
        error = by_boto3(theirs)
        assert not error.transient
        assert (error.advice or "").startswith(advice)
        assert error.kind == type(theirs).__name__


ADVICE = [
    ("NoSuchBucket", "PutObject", f"The bucket 'bucket' does not exist at {URL}: create it, or"),
    ("ExpiredToken", "PutObject", f"The credentials for the bucket 'bucket' at {URL} have expired"),
    ("InvalidAccessKeyId", "PutObject", f"The credentials for the bucket 'bucket' at {URL} are re"),
    ("PermanentRedirect", "PutObject", "The bucket 'bucket' is in another region (PermanentRedire"),
    ("AccessControlListNotSupported", "PutObject", "The bucket 'bucket' takes no ACLs"),
    ("AccessDenied", "ListObjectsV2", "The credentials lack the permission s3:ListBucket on arn:"),
    ("403", "HeadObject", "S3 does not say why it refuses to look at an object of s3://bucket/sta"),
    (
        "AccessDenied",
        "PutObject",
        "The credentials lack the permission s3:PutObject on arn:aws:s",
    ),
    ("AccessDenied", "UploadPart", "The credentials lack the permission s3:PutObject on arn:aws:s"),
    ("AccessDenied", "GetObject", "The credentials lack the permission s3:GetObject on arn:aws:s3"),
    ("AccessDenied", "DeleteObjects", "The credentials lack the permission s3:DeleteObject on arn"),
]


def test_advice_names_what_to_correct() -> None:
    for code, operation, advice in ADVICE:
        found = by_boto3(refusal(403, code, operation)).advice or ""
        assert found.startswith(advice), (code, operation)
    assert by_boto3(refusal(503, "SlowDown")).advice is None
    with_acl = by_boto3(refusal(403, "AccessDenied"), default_acl="public-read")
    assert "s3:PutObject and s3:PutObjectAcl on" in (with_acl.advice or "")


def test_storage_that_can_not_work_is_named_before_anything_is_asked() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"bucket_name": None}, "The storage names no bucket"),
        ({"endpoint_url": "localhost:9000"}, "The endpoint 'localhost:9000' is no URL"),
    ]
    for options, advice in cases:
        store = store_of(**options)
        body = Body(io.BytesIO(b"x"), 1)
        requests: list[Callable[[], object]] = [
            lambda store=store: store.list("static/", "static/a"),  # type: ignore[misc]
            lambda store=store: store.head("a"),  # type: ignore[misc]
            lambda store=store, body=body: store.put("a", body, {}),  # type: ignore[misc]
            lambda store=store: store.delete(["a"]),  # type: ignore[misc]
        ]
        for request in requests:
            with pytest.raises(StoreError, match=advice) as caught:
                request()
            assert (caught.value.advice or "").startswith(advice)
        assert store.requests == 0
        # What the storage's own client raises, in its constructor for instance.
        for error in (ParamValidationError(report="No."), ValueError("Invalid endpoint")):
            assert (by_boto3(error, **options).advice or "").startswith(advice)


def test_errors_that_are_not_of_an_sdk_are_left_alone() -> None:
    for error in (OSError(), ValueError(), SourceChangedError("it changed"), InterruptedError()):
        assert store_of().translate(error) is None


ELSEWHERE = "the bucket is in another region"
FOR_BOTO3 = [
    ("Generic S3 error: Got invalid list response: x", "ListObjectsV2", "the server's listings"),
    (answer(301), "PutObject", ELSEWHERE),
    (answer(307, "TemporaryRedirect"), "PutObject", ELSEWHERE),
    (answer(400, "AuthorizationHeaderMalformed"), "ListObjectsV2", ELSEWHERE),
    ("Received redirect without LOCATION", "PutObject", ELSEWHERE),
    ("error sending request kind: Connect 127.0.0.1:0", "ListObjectsV2", ELSEWHERE),
    ("response body error", "ListObjectsV2", "an answer was cut off"),
    ("error sending request kind: Interrupted", "DeleteObjects", "an answer was cut off"),
    ("error sending request kind: Timeout", "DeleteObjects", "an answer was cut off"),
]


def test_what_boto3_can_do_better_is_left_to_it() -> None:
    for text, operation, reason in FOR_BOTO3:
        with pytest.raises(UnsupportedError) as caught:
            by_obstore(text, operation)
        assert str(caught.value) == reason, text
        assert caught.value.permanent == (reason != "an answer was cut off")


def test_no_secret_is_in_the_text() -> None:
    error = by_boto3(refusal(403, "SignatureDoesNotMatch", message="Calculated with s3cr3t."))

    assert "s3cr3t" not in str(error)
    assert "***" in str(error)
