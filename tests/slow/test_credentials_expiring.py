"""Credentials that end amid a deploy: refreshed where they can be, else said, once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from django.core.management import CommandError
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError

from tests.conftest import CollectStatic, StaticTree
from tests.project import after
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Match, Request

FILES = 60
THREADS = 4
SENT = 10
UPLOADS = {"PUT", "UPLOAD"}
# So many refusals in a row end it; each thread has one more under way, and the reader's backlog.
MOST = SENT + 20 + 3 * THREADS

EXPIRED_TOKEN = (
    b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code>"
    b"<Message>The provided token has expired.</Message></Error>"
)


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for number in range(FILES):
        static_tree.write(f"{number:02}.js", f"let it{number};".encode())
    return static_tree


def uploads(cloud: RecordedCloud) -> Match:
    return lambda request: cloud.kind(request) in UPLOADS


def number_of_uploads(cloud: RecordedCloud) -> int:
    return sum(map(uploads(cloud), cloud.requests))


def refused(collectstatic: CollectStatic, cloud: RecordedCloud, **options: Any) -> str:
    """Deploy in vain, and return the one line that is said."""
    with pytest.raises(CommandError) as caught:
        collectstatic(cloud, threads=THREADS, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


def assert_next_run_sends_the_rest(
    collectstatic: CollectStatic, cloud: RecordedCloud, tree: StaticTree, **options: Any
) -> None:
    stored = len(cloud.keys())
    cloud.recorder.reset()
    collectstatic(cloud, **options)
    assert number_of_uploads(cloud) == FILES - stored
    assert cloud.keys() == tree.names()


class TestStaticTokenOfS3:
    @pytest.fixture
    def expiring(self, s3: S3Cloud) -> S3Cloud:
        s3.recorder.fail(after(SENT, uploads(s3)), 400, EXPIRED_TOKEN)
        return s3

    def test_run_stops_early_and_says_what_to_do(
        self, expiring: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        message = refused(collectstatic, expiring)

        left = FILES - len(expiring.keys())
        assert message.startswith(f"{left} files were not sent to s3://{expiring.name}/: ")
        assert "have expired (ExpiredToken)" in message
        assert message.endswith("get new ones, and the next run sends the rest.")
        assert number_of_uploads(expiring) <= MOST
        assert_next_run_sends_the_rest(collectstatic, expiring, tree)

    def test_manifest_is_not_published(
        self, expiring: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        backend = "storages.backends.s3.S3ManifestStaticStorage"

        refused(collectstatic, expiring, backend=backend)

        assert not expiring.exists("staticfiles.json")


class _Vault(ThreadingHTTPServer):
    """What containers get their credentials from, as ECS and EKS have it.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html

    Attributes:
        lifetime: Of what is given out.
        given: How often it was.
        is_open: Whether it gives out any.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.lifetime, self.given, self.is_open = timedelta(seconds=1), 0, True
        super().__init__(("127.0.0.1", 0), _VaultHandler)

    def give(self) -> dict[str, str]:
        self.given += 1
        return {
            "AccessKeyId": f"VAULT{self.given}",
            "SecretAccessKey": "s3cr3t",
            "Token": f"token{self.given}",
            "Expiration": (datetime.now(timezone.utc) + self.lifetime).isoformat(),
        }


class _VaultHandler(BaseHTTPRequestHandler):
    server: _Vault

    def do_GET(self) -> None:
        answer = json.dumps(self.server.give()) if self.server.is_open else "{}"
        self.send_response(200 if self.server.is_open else 400)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _serving() -> Iterator[_Vault]:
    with _Vault() as vault:
        thread = threading.Thread(target=vault.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield vault
        vault.shutdown()
        thread.join()


class TestRoleOfS3:
    """Credentials that live for less time than botocore wants to have left: each use refreshes."""

    OPTIONS: ClassVar = {"access_key": None, "secret_key": None, "security_token": None}

    @pytest.fixture
    def vault(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[_Vault]:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE"):
            monkeypatch.delenv(f"AWS_{name}", raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        with _serving() as vault:
            url = f"http://127.0.0.1:{vault.server_port}/role"
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
            yield vault

    def test_new_ones_are_taken_amid_the_deploy(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, vault: _Vault
    ) -> None:
        collectstatic(s3, threads=THREADS, options=self.OPTIONS)

        tokens = {each.headers.get("x-amz-security-token") for each in s3.requests}
        assert len(tokens) > 1
        assert tokens <= {f"token{number}" for number in range(1, vault.given + 1)}
        assert s3.keys() == tree.names()

    def test_refusal_of_new_ones_stops_the_run_early(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        vault: _Vault,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Between botocore's three attempts at each refresh.
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)

        def close(request: Request) -> None:
            vault.is_open = False

        s3.recorder.before(after(SENT, uploads(s3)), close)

        message = refused(collectstatic, s3, options=self.OPTIONS)

        left = FILES - len(s3.keys())
        assert message.startswith(f"{left} files were not sent to s3://{s3.name}/: ")
        assert "credentials" in message
        assert "s3cr3t" not in message
        vault.is_open = True
        assert_next_run_sends_the_rest(collectstatic, s3, tree, options=self.OPTIONS)


def with_sas(azure: AzureCloud, lifetime: timedelta) -> dict[str, str]:
    """Return the storage's options for a token that ends after some time."""
    text = azure.options()["connection_string"]
    parts = dict(part.partition("=")[::2] for part in text.split(";"))
    sas = generate_container_sas(
        parts["AccountName"],
        azure.name,
        parts["AccountKey"],
        permission=ContainerSasPermissions(read=True, write=True, list=True, create=True),
        expiry=datetime.now(timezone.utc) + lifetime,
    )
    endpoint = parts["BlobEndpoint"]
    return {"connection_string": f"BlobEndpoint={endpoint};SharedAccessSignature={sas}"}


class TestSasOfAzure:
    """Azurite looks at the time in it."""

    def test_run_stops_early_and_says_what_to_do(
        self, azure: AzureCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        options = with_sas(azure, timedelta(seconds=5))
        ends = time.monotonic() + 6
        # What follows the first uploads arrives when the token has ended.
        azure.recorder.before(
            after(SENT, uploads(azure)), lambda _: time.sleep(max(0, ends - time.monotonic()))
        )

        message = refused(collectstatic, azure, options=options)

        left = FILES - len(azure.keys())
        assert 0 < left < FILES
        assert message.startswith(f"{left} files were not sent to azure://{azure.name}/: ")
        assert "are refused, or have expired" in message
        assert "sig=" not in message
        assert number_of_uploads(azure) <= MOST
        assert_next_run_sends_the_rest(collectstatic, azure, tree)


class Expiring(Credentials):
    """Credentials whose token is refused one day, and can't be had anew."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = "first"
        self.refreshed = 0

    def refresh(self, request: Any) -> None:
        self.refreshed += 1
        raise RefreshError("invalid_grant: Token has been expired or revoked.")


class TestTokenOfGoogle:
    def test_run_stops_early_and_says_what_to_do(
        self, gcs: GoogleCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        """It is tried to be had anew, in vain."""
        credentials = Expiring()
        gcs.recorder.fail(after(SENT, uploads(gcs)), 401)

        message = refused(collectstatic, gcs, options={"credentials": credentials})

        assert credentials.refreshed
        assert message.startswith(f"{FILES - len(gcs.keys())} files were not sent to gs://")
        assert "are refused, missing or have expired" in message
        assert number_of_uploads(gcs) <= MOST
        assert_next_run_sends_the_rest(collectstatic, gcs, tree)
