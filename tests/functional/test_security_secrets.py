"""Secrets: in no output, report, log, cache or exception, whatever fails or is echoed."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from azure.core.pipeline.transport import HttpTransport
from collectfasta.stores.s3.connection import connection_of
from django.core.cache import caches
from django.core.management import CommandError
from google.oauth2.credentials import Credentials
from storages.backends.azure_storage import AzureStorage
from storages.backends.s3 import S3Storage

from collectfasta.strategies.azure import AzureBlobStrategy
from tests.conftest import CollectStatic, StaticTree
from tests.functional.test_security_answers import manifest_backend
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request

SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPx&<RfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEJr/Tok+nOfTheSession=="
PASSWORD = "pr0xyPassw0rd"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs wait for seconds before they try again."""
    monkeypatch.setattr(HttpTransport, "sleep", lambda *_: None)


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("a.css", b"a")
    static_tree.write("b.css", b"b")


@pytest.fixture
def options(recorded_cloud: RecordedCloud) -> dict[str, Any]:
    """Options with secrets of every kind that a server can be made to echo."""
    if isinstance(recorded_cloud, S3Cloud):
        return {"secret_key": SECRET_KEY, "security_token": TOKEN}
    if isinstance(recorded_cloud, GoogleCloud):
        return {"credentials": Credentials(TOKEN)}
    return {}


@pytest.fixture
def secrets(recorded_cloud: RecordedCloud) -> list[str]:
    if isinstance(recorded_cloud, AzureCloud):
        text: str = recorded_cloud.options()["connection_string"]
        return [text, text.partition("AccountKey=")[2].partition(";")[0]]
    return [TOKEN] if isinstance(recorded_cloud, GoogleCloud) else [SECRET_KEY, TOKEN]


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


class Told:
    """All that a run of the command lets out, in whatever way."""

    def __init__(
        self,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        self._collectstatic = collectstatic
        self._caplog = caplog
        self._capfd = capfd
        caplog.set_level(logging.DEBUG, "collectfasta")
        # What others log at that level is the user's choice.
        caplog.set_level(logging.WARNING)

    def __call__(self, cloud: RecordedCloud, **run: Any) -> str:
        texts: list[str] = []
        try:
            self._collectstatic(cloud, verbosity=3, **run)
        except CommandError as error:
            texts += [text for each in chain(error) for text in texts_of(each)]
        last = self._collectstatic.last
        assert last is not None
        remembered = str(caches["default"]._cache)  # type: ignore[attr-defined]
        return "\n".join(
            [
                *texts,
                last.stdout,
                last.stderr,
                self._caplog.text,
                *self._capfd.readouterr(),
                remembered,
            ]
        )


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all that are behind it."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        yield from chain(error.__context__)


def texts_of(error: BaseException) -> list[str]:
    return [str(error), repr(error), *map(str, getattr(error, "__notes__", ())), str(vars(error))]


@pytest.fixture
def told(
    collectstatic: CollectStatic,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Told:
    return Told(collectstatic, caplog, capfd)


def echo(cloud: RecordedCloud, code: str, secrets: list[str]) -> bytes:
    """Return a refusal that repeats all secrets in all forms, and what the client has signed."""
    text = " ".join(
        [
            *forms(secrets),
            f"Authorization: Bearer {TOKEN}",
            f"https://user:{PASSWORD}@host/a.css?sig={quote(TOKEN, safe='')}",
        ]
    )
    if isinstance(cloud, GoogleCloud):
        return json.dumps({"error": {"message": text, "errors": [{"reason": code}]}}).encode()
    # Escaped once more than what it echoes, so that it is XML.
    text = escape(text)
    return (
        f"<Error><Code>{code}</Code><Message>{text}</Message><AuthenticationErrorDetail>{text}"
        f"</AuthenticationErrorDetail><StringToSign>{text}</StringToSign></Error>"
    ).encode()


FAILURES = {
    "listing refused": (["LIST"], 403, "AccessDenied"),
    "listing not signed": (["LIST"], 403, "SignatureDoesNotMatch"),
    "listing invalid": (["LIST"], 400, "Odd"),
    "put refused": (["PUT", "UPLOAD"], 403, "AccessDenied"),
    "put not signed": (["PUT", "UPLOAD"], 403, "SignatureDoesNotMatch"),
    "put invalid": (["PUT", "UPLOAD"], 400, "Odd"),
    "put failed": (["PUT", "UPLOAD"], 501, "InternalError"),
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize(("kinds", "status", "code"), FAILURES.values(), ids=FAILURES)
def test_no_secret_that_a_server_echoes_is_let_out(
    recorded_cloud: RecordedCloud,
    options: dict[str, Any],
    secrets: list[str],
    told: Told,
    kinds: list[str],
    status: int,
    code: str,
    debug: bool,
) -> None:
    cloud = recorded_cloud
    cloud.recorder.fail(
        lambda request: cloud.kind(request) in kinds, status, echo(cloud, code, secrets)
    )

    text = told(
        cloud, options=options, threads=0, traceback=debug, settings={"COLLECTFASTA_DEBUG": debug}
    )

    assert [each for each in [*forms(secrets), TOKEN, PASSWORD] if each in text] == []
    # A listing that is refused for good may leave the files to be asked for one by one.
    assert "CommandError" in text or kinds == ["LIST"]


# Of what it can't load, AzureStorage leaves a temporary file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.needs_s3("any credentials")
def test_no_secret_is_let_out_when_the_storage_can_not_be_made(
    recorded_cloud: RecordedCloud, options: dict[str, Any], secrets: list[str], told: Told
) -> None:
    """A manifest storage loads the manifest then."""
    if isinstance(recorded_cloud, S3Cloud):
        # By GET: the answer to HEAD has no body to echo anything in.
        recorded_cloud.put("staticfiles.json", b"{}")
    if isinstance(recorded_cloud, AzureCloud):
        recorded_cloud.put("staticfiles.json", b"{}")
    recorded_cloud.recorder.fail(
        lambda request: request.method == "GET", 400, echo(recorded_cloud, "Odd", secrets)
    )

    text = told(recorded_cloud, options=options, backend=manifest_backend(recorded_cloud))

    assert "can't be made" in text
    assert [each for each in [*forms(secrets), PASSWORD] if each in text] == []


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_no_secret_is_let_out_when_a_proxy_does_not_answer(
    s3: S3Cloud, told: Told, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    options = {"secret_key": SECRET_KEY, "security_token": TOKEN}
    with monkeypatch.context() as patched:
        patched.setenv("http_proxy", f"http://user:{PASSWORD}@127.0.0.1:1")
        patched.setenv("no_proxy", "")
        text = told(s3, options=options, settings={"COLLECTFASTA_DEBUG": debug})

    assert s3.requests == []
    assert "CommandError" in text
    assert [each for each in [*forms([SECRET_KEY, TOKEN]), PASSWORD] if each in text] == []


def test_no_secret_is_let_out_or_remembered_when_nothing_fails(
    recorded_cloud: RecordedCloud,
    secrets: list[str],
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"security_token": TOKEN} if isinstance(recorded_cloud, S3Cloud) else {}
    if isinstance(recorded_cloud, S3Cloud):
        secrets = [TOKEN, recorded_cloud.options()["secret_key"]]

    text = told(recorded_cloud, options=options) + told(recorded_cloud, options=options)

    assert "2 static files copied" in text
    assert [each for each in forms(secrets) if each in text] == []


def test_no_secret_is_kept_in_a_storage_cache(
    recorded_cloud: RecordedCloud, secrets: list[str], collectstatic: CollectStatic, tmp_path: Path
) -> None:
    options = {"security_token": TOKEN} if isinstance(recorded_cloud, S3Cloud) else {}
    entries = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path / "entries")},
    }
    cache = {"BACKEND": "collectfasta.cache.StorageCache", "LOCATION": "entries"}

    collectstatic(
        recorded_cloud,
        settings={
            "STORAGES": {**recorded_cloud.storages(**options), "entries": entries},
            "CACHES": {"default": cache},
        },
    )

    kept = [each.read_text() for each in (tmp_path / "entries").rglob("*.json")]
    assert kept
    assert [each for each in forms([*secrets, TOKEN]) if each in "".join(kept)] == []


@pytest.mark.needs_s3("any credentials")
class TestSecretsFromElsewhere:
    """Those of S3 that the storage's options do not have."""

    @pytest.fixture(params=["environment", "profile"])
    def nowhere(
        self,
        request: pytest.FixtureRequest,
        s3: S3Cloud,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> dict[str, Any]:
        """Storages without secrets, which are in the environment or in a profile."""
        storages = s3.storages()
        options = storages["staticfiles"]["OPTIONS"]
        del options["access_key"], options["secret_key"]
        if request.param == "environment":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
            return storages
        profile = tmp_path / "credentials"
        profile.write_text(
            f"[deploy]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = {SECRET_KEY}\n"
            f"aws_session_token = {TOKEN}\n"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
        options["session_profile"] = "deploy"
        return storages

    @pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
    def test_they_are_not_let_out(
        self, s3: S3Cloud, nowhere: dict[str, Any], told: Told, debug: bool
    ) -> None:
        sent: list[Request] = []
        s3.recorder.before(lambda _: True, sent.append)
        s3.recorder.fail(
            lambda request: s3.kind(request) == "PUT", 400, echo(s3, "Odd", [SECRET_KEY, TOKEN])
        )

        text = told(s3, settings={"COLLECTFASTA_DEBUG": debug, "STORAGES": nowhere})

        assert sent[0].headers["x-amz-security-token"] == TOKEN
        assert "2 files were not sent" in text
        assert [each for each in forms([SECRET_KEY, TOKEN]) if each in text] == []


def test_signatures_of_shared_access_are_secret() -> None:
    token = "?sv=2026-01-01&se=2026-12-31&sig=q%2FsiGn4ture%2B%3D"
    storage = AzureStorage(account_name="a", azure_container="c", sas_token=token)
    assert "q/siGn4ture+=" in AzureBlobStrategy(storage).secrets

    text = f"BlobEndpoint=https://a.example.com;SharedAccessSignature={token[1:]}"
    storage = AzureStorage(azure_container="c", connection_string=text)
    assert "q/siGn4ture+=" in AzureBlobStrategy(storage).secrets


def test_a_connection_does_not_show_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:{PASSWORD}@proxy:3128")
    storage = S3Storage(
        endpoint_url="http://s3.example.com",
        bucket_name="my-bucket",
        access_key="AKIAEXAMPLE",
        secret_key=SECRET_KEY,
        security_token=TOKEN,
    )

    shown = repr(connection_of(storage))

    assert [each for each in (SECRET_KEY, TOKEN, PASSWORD) if each in shown] == []
