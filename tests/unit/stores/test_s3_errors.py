"""What the errors of botocore and obstore mean: kind, transient or not, advice."""

from __future__ import annotations

import io
import re
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
    SSLError,
)
from storages.backends.s3 import S3Storage

from collectfasta.errors import SourceChangedError, StoreError, describe
from collectfasta.source import Body
from collectfasta.stores.s3.connection import UnsupportedError
from collectfasta.stores.s3.errors import explain_configuration, is_unsupported, translate
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
        (
            EndpointConnectionError(endpoint_url=URL),
            "kind: Connect ConnectError(refused)",
        ),
        (ReadTimeoutError(endpoint_url=URL), "error sending request kind: Timeout"),
        (ConnectionClosedError(endpoint_url=URL), "error sending request kind: Interrupted"),
    ]
    for theirs, text in failures:
        errors = by_boto3(theirs), by_obstore(text, "GetObject")
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
        ({"bucket_name": "s3://bucket"}, "The bucket_name 's3://bucket' is not a bucket's name"),
        ({"bucket_name": "bucket/static"}, "The bucket_name 'bucket/static' is not a"),
        ({"bucket_name": "bucket\n"}, "The bucket_name 'bucket.n' is not a"),
        ({"endpoint_url": "localhost:9000"}, "The endpoint 'localhost:9000' is no URL"),
        ({"endpoint_url": f"{URL} "}, "The endpoint '.* ' is no URL"),
        ({"endpoint_url": f"{URL}/bucket"}, "The endpoint '.*/bucket' has the bucket in its path"),
        ({"secret_key": None}, "The secret_key .AWS_SECRET_ACCESS_KEY. is missing or empty"),
        ({"access_key": ""}, "The access_key .AWS_ACCESS_KEY_ID. is missing or empty"),
        ({"secret_key": "s3cr3t\n"}, "The secret_key .AWS_SECRET_ACCESS_KEY. has white space"),
        ({"access_key": " a"}, "The access_key .AWS_ACCESS_KEY_ID. has white space"),
        ({"security_token": "a\x00b"}, "The security_token .AWS_SESSION_TOKEN. has white space"),
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
            assert re.match(advice, caught.value.advice or "")
            assert "s3cr3t" not in str(caught.value)
        assert store.requests == 0
        # What the storage's own client raises, in its constructor for instance.
        for error in (ParamValidationError(report="No."), ValueError("Invalid endpoint")):
            assert re.match(advice, by_boto3(error, **options).advice or "")


def test_names_and_keys_that_are_unusual_are_not_refused() -> None:
    usual: list[dict[str, Any]] = [
        {"bucket_name": "arn:aws:s3:eu-west-1:123456789012:accesspoint/a"},
        {"endpoint_url": "https://project.example.com/storage/v1/s3"},
        {"secret_key": 'min io\'s "key" é'},
        {"access_key": None, "secret_key": None},
    ]
    for options in usual:
        assert explain_configuration(store_of(**options).storage) is None


def test_errors_that_are_not_of_an_sdk_are_left_alone() -> None:
    for error in (OSError(), ValueError(), SourceChangedError("it changed"), InterruptedError()):
        assert store_of().translate(error) is None


LOCKED = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests"
ELSEWHERE = "the bucket is in another region"
FOR_BOTO3 = [
    (answer(301), "PutObject", ELSEWHERE),
    (answer(307, "TemporaryRedirect"), "PutObject", ELSEWHERE),
    (answer(400, "AuthorizationHeaderMalformed"), "ListObjectsV2", ELSEWHERE),
    ("Received redirect without LOCATION", "PutObject", ELSEWHERE),
    ("error sending request kind: Connect 127.0.0.1:0", "ListObjectsV2", ELSEWHERE),
    ("response body error", "ListObjectsV2", "an answer was cut off"),
    ("error sending request kind: Interrupted", "DeleteObjects", "an answer was cut off"),
    ("error sending request kind: Timeout", "DeleteObjects", "an answer was cut off"),
    ("kind: Timeout", "PutObject", "a slow line"),
    ("kind: Timeout", "UploadPart", "a slow line"),
    ("kind: Connect, InvalidData, CaUsedAsEndEntity", "PutObject", "the kind of connection"),
    (answer(400, "InvalidRequest", LOCKED), "PutObject", "the bucket asks for checksums"),
    (answer(400, "InvalidRequest", LOCKED), "UploadPart", "the bucket asks for checksums"),
    (answer(501, "NotImplemented"), "DeleteObjects", "deleting many objects at once"),
    (answer(405, "MethodNotAllowed"), "DeleteObjects", "deleting many objects at once"),
    (answer(400, "InvalidArgument"), "DeleteObjects", "deleting many objects at once"),
]
PASSING = {"an answer was cut off", "deleting many objects at once"}


def test_what_boto3_can_do_better_is_left_to_it() -> None:
    for text, operation, reason in FOR_BOTO3:
        with pytest.raises(UnsupportedError) as caught:
            by_obstore(text, operation)
        assert str(caught.value) == reason, text
        assert caught.value.permanent == (reason not in PASSING)


def test_connection_that_is_cut_off_by_tls_is_left_to_boto3_once() -> None:
    with pytest.raises(UnsupportedError) as caught:
        by_obstore("kind: Connect, UnexpectedEof")
    assert not caught.value.permanent


def test_certificates_are_permanent_and_handshakes_that_are_cut_off_are_not() -> None:
    for reason, transient in [("CERTIFICATE_VERIFY_FAILED", False), ("UNEXPECTED_EOF", True)]:
        error = by_boto3(SSLError(endpoint_url=URL, error=OSError(reason)))
        assert error.transient == transient
        assert reason in (error.advice or "")


def test_role_is_refused_by_sts_and_not_by_s3() -> None:
    for operation in ("AssumeRole", "AssumeRoleWithWebIdentity"):
        error = by_boto3(refusal(403, "AccessDenied", operation, "No."))
        assert (error.advice or "").startswith("AWS STS refuses the role that signs for the bucket")
        assert f"(AccessDenied for sts:{operation})" in (error.advice or "")
        assert not error.denied
        assert not error.transient


def test_requests_that_a_service_does_not_know() -> None:
    for status, code in [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "InvalidReq")]:
        assert is_unsupported(by_boto3(refusal(status, code, "DeleteObjects")))
    known = [(400, "ExpiredToken"), (400, "RequestTimeout"), (403, "AccessDenied"), (503, "Slow")]
    assert not any(is_unsupported(by_boto3(refusal(*each, "DeleteObjects"))) for each in known)


def test_no_secret_is_in_the_text() -> None:
    error = by_boto3(refusal(403, "SignatureDoesNotMatch", message="Calculated with s3cr3t."))

    assert "s3cr3t" not in str(error)
    assert "***" in str(error)
