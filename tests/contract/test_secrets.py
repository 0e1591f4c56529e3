"""Secrets: in no error of a store, whatever a server echoes, and known by the store."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from google.oauth2.credentials import Credentials

from collectfasta.errors import StoreError, describe
from collectfasta.stores.s3.connection import connection_of
from tests.contract.conftest import Sources, Target, send

SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPx&<RfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEJr/Tok+nOfTheSession=="
PASSWORD = "pr0xyPassw0rd"

# The status and the code of a refusal, of every request.
REFUSALS = [
    (403, "AccessDenied"),
    (403, "SignatureDoesNotMatch"),
    (400, "Odd"),
    (501, "InternalError"),
]


def forms(secrets: list[str]) -> list[str]:
    """Return secrets in each form that is not to be seen."""
    encoders: list[Callable[[str], str]] = [
        str,
        quote,
        lambda text: quote(text, safe=""),
        lambda text: (
            quote(text, safe="")
            .replace("%2F", "%2f")
            .replace("%2B", "%2b")
            .replace("%3D", "%3d")
            .replace("%3C", "%3c")
        ),
        escape,
        lambda text: escape(text, quote=False),
        lambda text: base64.b64encode(text.encode()).decode(),
    ]
    return sorted({encode(secret) for secret in secrets for encode in encoders})


def options(target: Target) -> dict[str, Any]:
    """Return options with secrets of every kind that a server can be made to echo."""
    if target.is_s3:
        return {"secret_key": SECRET_KEY, "security_token": TOKEN}
    return {"credentials": Credentials(TOKEN)} if target.kind == "gcs" else {}


def secrets_of(target: Target) -> list[str]:
    """Return the secrets of a storage with those options."""
    if target.kind == "azure":
        text: str = target.cloud.options()["connection_string"]
        return [text, text.partition("AccountKey=")[2].partition(";")[0]]
    return [TOKEN] if target.kind == "gcs" else [SECRET_KEY, TOKEN]


def echo(target: Target, code: str, secrets: list[str]) -> bytes:
    """Return a refusal that repeats all secrets in all forms, and what the client has signed."""
    text = " ".join(
        [
            *forms(secrets),
            f"Authorization: Bearer {TOKEN}",
            f"https://user:{PASSWORD}@host/a.css?sig={quote(TOKEN, safe='')}",
        ]
    )
    if target.kind == "gcs":
        return json.dumps({"error": {"message": text, "errors": [{"reason": code}]}}).encode()
    # Escaped once more than what it echoes, so that it is XML.
    text = escape(text)
    return (
        f"<Error><Code>{code}</Code><Message>{text}</Message><AuthenticationErrorDetail>{text}"
        f"</AuthenticationErrorDetail><StringToSign>{text}</StringToSign></Error>"
    ).encode()


def shown(error: StoreError, secrets: list[str]) -> str:
    """Return all that an error can show: its own text, and its traceback as users get it."""
    full = describe(error, secrets, full=True)
    return "\n".join([str(error), repr(error), str(error.advice), error.kind, full])


@pytest.mark.needs_s3("any credentials")
@pytest.mark.parametrize(("status", "code"), REFUSALS)
def test_no_secret_that_a_server_echoes_is_in_an_error(
    remote: Target, sources: Sources, status: int, code: str
) -> None:
    secrets = secrets_of(remote)
    store = remote.store(**options(remote))
    remote.recorded.recorder.fail(lambda _: True, status, echo(remote, code, secrets))
    requests: list[Callable[[], object]] = [
        lambda: store.list("", "a.css"),
        lambda: [*store.list_all("")],
        lambda: store.get("a.css"),
        lambda: send(store, sources.write("a.css", b"x")),
        lambda: store.delete(["a.css"]),
    ]

    for request in requests:
        with pytest.raises(StoreError) as caught:
            request()

        text = shown(caught.value, store.secrets)
        assert [each for each in [*forms(secrets), TOKEN, PASSWORD] if each in text] == []


def test_store_knows_its_secrets(remote: Target) -> None:
    known = remote.store(**options(remote)).secrets

    assert {*secrets_of(remote)} <= {*known}


@pytest.mark.needs_s3("any credentials")
@pytest.mark.parametrize("place", ["environment", "profile"])
def test_secrets_from_elsewhere_are_known(
    s3: Target,
    sources: Sources,
    no_aws: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    elsewhere: dict[str, Any] = {"access_key": None, "secret_key": None, "security_token": None}
    if place == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    else:
        (no_aws / "credentials").write_text(
            f"[deploy]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {SECRET_KEY}\n"
            f"aws_session_token = {TOKEN}\n"
        )
        elsewhere["session_profile"] = "deploy"
    store = s3.store(**elsewhere)
    s3.recorded.recorder.fail(s3.is_put, 400, echo(s3, "Odd", [SECRET_KEY, TOKEN]))

    with pytest.raises(StoreError) as caught:
        send(store, sources.write("a.css", b"x"))

    (request,) = s3.cloud.requests
    assert request.headers["x-amz-security-token"] == TOKEN
    assert {SECRET_KEY, TOKEN} <= {*store.secrets}
    text = shown(caught.value, store.secrets)
    assert [each for each in [*forms([SECRET_KEY, TOKEN]), PASSWORD] if each in text] == []


def test_password_of_a_proxy_that_does_not_answer(
    s3: Target, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3.store(secret_key=SECRET_KEY, security_token=TOKEN)
    with monkeypatch.context() as patched:
        patched.setenv("http_proxy", f"http://user:{PASSWORD}@127.0.0.1:1")
        patched.setenv("no_proxy", "")
        with pytest.raises(StoreError) as caught:
            [*store.list_all("")]

    assert s3.cloud.requests == []
    text = shown(caught.value, store.secrets)
    assert [each for each in [*forms([SECRET_KEY, TOKEN]), PASSWORD] if each in text] == []


def test_signatures_of_shared_access_are_secret(azure: Target) -> None:
    token = "?sv=2026-01-01&se=2026-12-31&sig=q%2FsiGn4ture%2B%3D"
    by_token = azure.store(connection_string=None, account_name="a", sas_token=token)
    assert "q/siGn4ture+=" in by_token.secrets

    text = f"BlobEndpoint=https://a.example.com;SharedAccessSignature={token[1:]}"
    assert "q/siGn4ture+=" in azure.store(connection_string=text).secrets


def test_connection_does_not_show_its_secrets(
    combined: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:{PASSWORD}@proxy:3128")
    storage = combined.storage(
        endpoint_url="http://s3.example.com", secret_key=SECRET_KEY, security_token=TOKEN
    )

    text = repr(connection_of(storage))

    assert [each for each in (SECRET_KEY, TOKEN, PASSWORD) if each in text] == []
