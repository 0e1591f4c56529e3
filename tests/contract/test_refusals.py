"""What a service refuses for good: one line of advice each, whether it may be asked otherwise."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.utils import parse_connection_string
from botocore.config import Config
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError

from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.remote import Listed
from tests.contract.answers import refusal_body, refuse
from tests.contract.conftest import Sources, Target, refusal, send
from tests.servers.process import free_port

ONCE: dict[str, Any] = {
    "client_config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
}
UNIFORM = (
    "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled. Read more "
    "at https://cloud.google.com/storage/docs/uniform-bucket-level-access"
)


def advice_of(error: StoreError) -> str:
    """Return the advice of an error that is permanent, which is one line."""
    assert not error.transient
    advice = error.advice or ""
    assert advice
    assert "\n" not in advice
    assert advice.isprintable()
    return advice


def absent(target: Target) -> dict[str, Any]:
    """Return options of a bucket that does not exist."""
    name = "azure_container" if target.kind == "azure" else "bucket_name"
    return {name: f"{target.recorded.name[:40]}-absent"}


def list_all(store: Any) -> Callable[[], object]:
    """Return what lists a bucket."""
    return lambda: [*store.list_all("")]


def put(store: Any, sources: Sources) -> Callable[[], object]:
    """Return what puts a file."""
    return lambda: send(store, sources.write("a.css", b"x"))


def permission_code(target: Target) -> str:
    """Return the code of a missing permission."""
    return "AuthorizationPermissionMismatch" if target.kind == "azure" else "AccessDenied"


class TestPermissions:
    def test_to_list_is_denied_and_may_be_asked_otherwise(self, remote: Target) -> None:
        remote.cloud.put("a.css", b"x")
        refuse(remote, remote.is_list, 403, permission_code(remote))
        store = remote.store()

        error = refusal(list_all(store))

        assert error.denied
        words = {
            "gcs": f"storage.objects.list on '{remote.recorded.name}'",
            "azure": f"may not list the container '{remote.recorded.name}'",
        }
        s3 = f"s3:ListBucket on arn:aws:s3:::{remote.recorded.name}."
        assert words.get(remote.kind, s3) in advice_of(error)
        assert store.head("a.css").size == 1

    def test_to_look_is_unknown_where_403_may_mean_missing(self, remote: Target) -> None:
        refuse(remote, remote.is_head, 403, permission_code(remote))

        assert remote.store().head("a.css") == Listed()

    def test_to_look_and_other_failures_are_errors(self, remote: Target) -> None:
        refuse(remote, remote.is_head, 400, "InvalidRequest")

        error = refusal(lambda: remote.store().head("a.css"))

        assert "400" in error.kind
        assert not error.transient

    def test_to_read(self, remote: Target) -> None:
        remote.cloud.put("a.css", b"x")
        refuse(remote, lambda request: True, 403, permission_code(remote))

        error = refusal(lambda: remote.store().get("a.css"))

        assert not error.missing
        assert advice_of(error)

    def test_to_write(self, remote: Target, sources: Sources) -> None:
        refuse(remote, remote.is_put, 403, permission_code(remote))
        store = remote.store(location="static")

        error = refusal(put(store, sources))

        resource = f"arn:aws:s3:::{remote.recorded.name}/static/*."
        words = {"gcs": "storage.objects.create", "azure": "write"}
        assert words.get(remote.kind, f"s3:PutObject on {resource}") in advice_of(error)
        assert remote.cloud.keys() == []

    def test_to_set_an_acl_is_named_where_one_is_set(self, s3: Target, sources: Sources) -> None:
        refuse(s3, s3.is_put, 403, "AccessDenied")

        error = refusal(put(s3.store(default_acl="public-read"), sources))

        assert "s3:PutObject and s3:PutObjectAcl on arn:aws:s3:::" in advice_of(error)

    @pytest.mark.parametrize("target", ["filesystem"], indirect=True)
    def test_of_the_file_system(self, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
        target.cloud.put("a.css", b"x")

        def denied(path: str, *_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", path)

        with monkeypatch.context() as patched:
            patched.setattr("collectfasta.stores.filesystem.open", denied, raising=False)
            error = refusal(lambda: target.store().get("a.css"))
            (entry,) = target.store().list_all("")

            # It can't be read, so that it is replaced.
            assert entry.listed.read_checksum() is None
        assert error.denied
        assert "a.css" in advice_of(error)


class TestCredentials:
    # What each service says of wrong ones and of expired ones.
    CODES = (
        ("s3", 403, "SignatureDoesNotMatch"),
        ("s3", 403, "InvalidAccessKeyId"),
        ("s3", 400, "InvalidToken"),
        ("s3", 400, "ExpiredToken"),
        ("gcs", 401, "authError"),
        ("azure", 403, "AuthenticationFailed"),
        ("azure", 401, "InvalidAuthenticationInfo"),
        ("azure", 403, "KeyBasedAuthenticationNotPermitted"),
    )

    def test_that_are_refused_are_to_be_corrected(self, remote: Target, sources: Sources) -> None:
        for kind, status, code in self.CODES:
            if kind != ("s3" if remote.is_s3 else remote.kind):
                continue
            refuse(remote, lambda _: True, status, code)
            store = remote.store()
            for request in (list_all(store), put(store, sources)):
                error = refusal(request)

                what = "container" if remote.kind == "azure" else "bucket"
                start = f"The credentials for the {what} {remote.recorded.name!r} "
                assert advice_of(error).startswith(start)
                assert not error.denied
                assert "refused" in advice_of(error) or f"have expired ({code})" in advice_of(error)
            remote.recorded.recorder.reset()

    def test_that_are_missing_are_named(self, s3: Target, sources: Sources, no_aws: Path) -> None:
        store = s3.store(access_key=None, secret_key=None)

        for request in (list_all(store), put(store, sources)):
            advice = advice_of(refusal(request))

            name = s3.recorded.name
            assert advice.startswith(f"There are no credentials for s3://{name}/: set access_key")
        assert s3.cloud.requests == []

    def test_wrong_key_of_azure(self, azure: Target) -> None:
        text = azure.cloud.options()["connection_string"]
        key = base64.b64encode(b"wrong").decode()
        wrong = re.sub("AccountKey=[^;]*", f"AccountKey={key}", text)

        error = refusal(list_all(azure.store(connection_string=wrong)))

        start = f"The credentials for the container {azure.recorded.name!r} are refused"
        assert advice_of(error).startswith(start)

    def test_token_of_google_that_can_not_be_renewed(self, google: Target) -> None:
        class Expiring(Credentials):
            """Their token is refused, and can't be had again."""

            def __init__(self) -> None:
                super().__init__()  # type: ignore[no-untyped-call]
                self.token = "first"

            def refresh(self, request: Any) -> None:
                raise RefreshError("invalid_grant: Token has been expired or revoked.")

        refuse(google, lambda _: True, 401, "authError")

        error = refusal(list_all(google.store(credentials=Expiring())))

        assert "are refused, missing or have expired" in advice_of(error)

    def test_no_credentials_of_google(
        self, google: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "")

        error = refusal(list_all(google.store(credentials=None, project_id=None)))

        assert "GOOGLE_APPLICATION_CREDENTIALS" in advice_of(error)

    def test_client_options_of_azure_are_passed_on(
        self, azure: Target, sources: Sources, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With an account's key and name, at "http://account.blob.localhost", the recorder."""
        resolve = socket.getaddrinfo

        def resolve_local(host: Any, *arguments: Any, **keywords: Any) -> Any:
            is_here = str(host).endswith(".blob.localhost")
            return resolve("127.0.0.1" if is_here else host, *arguments, **keywords)

        monkeypatch.setattr(socket, "getaddrinfo", resolve_local)
        text = azure.cloud.options()["connection_string"]
        account = parse_connection_string(text, case_sensitive_keys=True)
        store = azure.store(
            connection_string=None,
            account_name=account["AccountName"],
            account_key=account["AccountKey"],
            endpoint_suffix=f"localhost:{azure.recorded.recorder.url.rpartition(':')[2]}",
            azure_ssl=False,
            client_options={"user_agent": "deployer"},
        )

        send(store, sources.write("a.css", b"x"))

        assert azure.cloud.keys() == ["a.css"]
        assert ["deployer" in each.headers["user-agent"] for each in azure.cloud.requests] == [True]


class TestBuckets:
    @pytest.mark.needs_s3("missing buckets")
    def test_that_does_not_exist_is_named(self, remote: Target, sources: Sources) -> None:
        options = absent(remote)
        (name,) = options.values()
        store = remote.store(**options)
        what = "container" if remote.kind == "azure" else "bucket"

        for request in (list_all(store), put(store, sources)):
            error = refusal(request)

            assert advice_of(error).startswith(f"The {what} {name!r} does not exist")
            assert not error.denied
        assert len(remote.cloud.requests) == 2

    def test_that_is_not_set_is_named_and_nobody_is_asked(self, remote: Target) -> None:
        name = "azure_container" if remote.kind == "azure" else "bucket_name"
        (key,) = {name}

        with pytest.raises((CollectfastaError, StoreError)) as caught:
            list_all(remote.store(**{key: None}))()

        told = getattr(caught.value, "advice", None) or str(caught.value)
        assert f"set {name}" in told
        assert "\n" not in told
        assert remote.cloud.requests == []

    def test_account_that_is_not_set_is_named(self, azure: Target) -> None:
        with pytest.raises(CollectfastaError, match="names no account: set account_name"):
            list_all(azure.store(connection_string=None))()

    def test_that_takes_no_acls(self, s3: Target, sources: Sources) -> None:
        refuse(s3, s3.is_put, 400, "AccessControlListNotSupported")

        advice = advice_of(refusal(put(s3.store(default_acl="public-read"), sources)))

        assert f"The bucket '{s3.recorded.name}' takes no ACLs" in advice
        assert "set the storage's default_acl (AWS_DEFAULT_ACL) to None" in advice

    def test_with_uniform_access_takes_no_acls(self, google: Target, sources: Sources) -> None:
        refuse(google, lambda r: "predefinedAcl=" in r.query, 400, "invalid", UNIFORM)  # type: ignore[attr-defined]

        advice = advice_of(refusal(put(google.store(default_acl="publicRead"), sources)))

        assert "has uniform bucket-level access" in advice
        assert "GS_DEFAULT_ACL" in advice

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("AuthorizationHeaderMalformed", 400),
            ("IllegalLocationConstraintException", 400),
            ("PermanentRedirect", 301),
        ],
    )
    def test_in_another_region(self, s3: Target, sources: Sources, code: str, status: int) -> None:
        # Not the request by which boto3 asks where it is: it would go round in circles.
        refuse(s3, s3.of_kind("LIST", "PUT"), status, code)

        for request in (list_all(s3.store()), put(s3.store(), sources)):
            advice = advice_of(refusal(request))

            assert f"in another region ({code})" in advice

    def test_in_another_region_that_boto3_finds(self, combined: Target, sources: Sources) -> None:
        """obstore does not."""
        answers: list[tuple[int, bytes]] = [
            (301, refusal_body(combined, "PermanentRedirect")),
            (301, b""),
            (307, refusal_body(combined, "TemporaryRedirect")),
            (400, refusal_body(combined, "AuthorizationHeaderMalformed")),
        ]
        for status, body in answers:
            combined.recorded.recorder.fail(
                lambda request: request.headers["user-agent"].startswith("object_store/"),
                status,
                body,
            )
            store = combined.store()
            for _ in range(2):
                send(store, sources.write("a.css", b"x"))

            assert combined.bodies() == {"a.css": b"x"}
            assert store.sender == "obstore and boto3 (the bucket is in another region)"
            # obstore is not asked again.
            assert store.requests == len(combined.cloud.requests) == 3
            combined.recorded.recorder.reset()


class TestServers:
    def test_that_is_not_there(self, remote: Target) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        if remote.kind == "azure":
            text = remote.cloud.options()["connection_string"]
            endpoint = text.replace(remote.recorded.recorder.url, url)
            options: dict[str, Any] = {"connection_string": endpoint}
        else:
            options = {**ONCE, "endpoint_url": url}
        if remote.kind == "gcs":
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("STORAGE_EMULATOR_HOST", url)
                error = refusal(list_all(remote.store()))
        else:
            error = refusal(list_all(remote.store(**options)))

        assert error.transient
        assert "\n" not in str(error)
        if remote.is_s3:
            assert (error.advice or "").startswith(
                f"S3 can't be used at {url}: Could not connect to the endpoint"
            )

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"bucket_name": ""}, "names no bucket: set bucket_name"),
            ({"bucket_name": "my bucket"}, "'my bucket' is not a bucket's name"),
            ({"endpoint_url": "localhost:9000"}, "'localhost:9000' is no URL"),
            ({"region_name": "no region"}, "region_name 'no region'"),
        ],
    )
    def test_option_of_s3_that_can_not_work_is_named(
        self, s3: Target, options: dict[str, Any], words: str
    ) -> None:
        advice = advice_of(refusal(list_all(s3.store(**options))))

        assert words in advice
        assert s3.cloud.requests == []


# What both engines of S3 have to say in the same words.
FAULTS: dict[str, tuple[str, int, str]] = {
    "no permission to write": ("PUT", 403, "AccessDenied"),
    "no permission at all": ("", 403, "AccessDenied"),
    "no permission, no words": ("", 403, ""),
    "no bucket": ("LIST", 404, "NoSuchBucket"),
    "no bucket any more": ("PUT", 404, "NoSuchBucket"),
    "wrong key": ("LIST", 403, "SignatureDoesNotMatch"),
    "bad request": ("PUT", 400, "InvalidDigest"),
    "bad listing": ("LIST", 400, "InvalidArgument"),
    "server fails": ("PUT", 500, "InternalError"),
    "other region": ("LIST", 400, "AuthorizationHeaderMalformed"),
}


@pytest.mark.s3
@pytest.mark.parametrize("fault", FAULTS)
def test_both_engines_say_the_same(combined: Target, sources: Sources, fault: str) -> None:
    verb, status, code = FAULTS[fault]
    body = refusal_body(combined, code) if code else b""
    combined.recorded.recorder.fail(
        lambda request: not verb or combined.cloud.kind(request) == verb, status, body
    )
    told = []
    for target in (combined, Target("boto3", combined.cloud)):
        store = target.store(**ONCE)
        request = put(store, sources) if verb == "PUT" else lambda: store.list("", "a")  # noqa: B023
        error = refusal(request)
        text = "" if error.advice else re.sub(r" \(reached max retries: \d\)", "", str(error))
        told.append((error.kind, error.advice, error.transient, error.denied, text))

    assert told[0] == told[1]


def test_long_refusal_is_told_in_bounds_and_can_not_steer_a_terminal(
    remote: Target, sources: Sources
) -> None:
    forged = "bad\r\nforged line\x85\u202e\u2028"
    if remote.kind == "gcs":
        forged += "\x1b[2J\x07"
        body = json.dumps({"error": {"message": forged + "x" * 5_000_000}})
    else:
        text = forged + "x" * 5_000_000
        body = f"<Error><Code>Odd{forged}</Code><Message>{text}</Message></Error>"
    remote.recorded.recorder.fail(
        remote.is_put, 400, body.encode(), {"Content-Type": "application/xml; charset=utf-8"}
    )

    error = refusal(put(remote.store(), sources))

    assert not error.transient
    assert str(error).isprintable()
    assert len(str(error)) < 1500
