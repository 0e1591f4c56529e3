"""Endpoints that the environment names, as live clouds are: by https, under their own name.

The servers of the other tests stand in for the clouds, behind TLS.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth
import pytest
import requests
from azure.core.utils import parse_connection_string
from botocore.config import Config
from google.oauth2.credentials import Credentials
from werkzeug.serving import make_ssl_devcert

import tests.servers.azurite
import tests.servers.gcs
import tests.servers.s3
from tests.conftest import CollectStatic, StaticTree
from tests.servers.azurite import AzureServer
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.gcs import GoogleServer
from tests.servers.process import ServerError
from tests.servers.recorder import Recorder
from tests.servers.s3 import S3Server

FILES = {"css/a b.css": b"small", "css/large.bin": bytes(9 * 1024 * 1024)}
# The large one goes in parts, on Google Cloud Storage to a URL that the server names.
DEPLOYED = {
    "S3Cloud": {"LIST": 1, "PUT": 1, "MULTIPART": 4},
    "GoogleCloud": {"LIST": 1, "UPLOAD": 5},
    "AzureCloud": {"LIST": 1, "PUT": 1, "PUT_BLOCK": 3, "BLOCK_LIST": 1},
}

Secure = Callable[[str, str], str]


@pytest.fixture(autouse=True)
def _localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve names below localhost, which not every system does."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        is_local = str(host).endswith(".localhost")
        return resolve("127.0.0.1" if is_local else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Secure]:
    """Put TLS in front of a server, under a name, with a certificate that clients trust."""
    with ExitStack() as stack:

        def start(url: str, host: str) -> str:
            if url.startswith("https:"):
                pytest.skip("The tests run against a live server anyway.")
            certificate, key = make_ssl_devcert(str(tmp_path / "tls"), host)
            for variable in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
                monkeypatch.setenv(variable, certificate)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server = stack.enter_context(Recorder(url, tls=context))
            return server.url.replace("127.0.0.1", host)

        yield start


@pytest.fixture
def live_s3(
    s3_server: S3Server, secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RecordedCloud]:
    url = secure(s3_server.endpoint, "localhost")
    monkeypatch.setenv("COLLECTFASTA_TEST_S3_ENDPOINT", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    with tests.servers.s3.serve() as server, S3Cloud(server) as cloud:
        yield cloud


@pytest.fixture
def live_gcs(
    gcs_emulator: GoogleServer, secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RecordedCloud]:
    url = secure(gcs_emulator.endpoint, "localhost")
    monkeypatch.setenv("COLLECTFASTA_TEST_GCS_ENDPOINT", url)
    # Those of a service account would be sent to Google for a token.
    credentials = Credentials("the token")
    monkeypatch.setattr(google.auth, "default", lambda **_: (credentials, "the-project"))
    with tests.servers.gcs.serve() as server, GoogleCloud(server) as cloud:
        yield cloud


@pytest.fixture
def live_azure(
    azurite: AzureServer, secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RecordedCloud]:
    parts = parse_connection_string(azurite.connection_string)
    account = parts["accountname"]
    url = parts.get("blobendpoint", "https://live")
    port = urlsplit(secure(url, f"{account}.blob.localhost")).port
    monkeypatch.setenv(
        "COLLECTFASTA_TEST_AZURE_CONNECTION_STRING",
        f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={parts['accountkey']};"
        f"EndpointSuffix=localhost:{port}",
    )
    with tests.servers.azurite.serve() as server, AzureCloud(server) as cloud:
        yield cloud


@pytest.fixture(params=[pytest.param("live_s3", marks=pytest.mark.s3), "live_gcs", "live_azure"])
def live_cloud(request: pytest.FixtureRequest) -> RecordedCloud:
    """Each of them in turn."""
    fixture: RecordedCloud = request.getfixturevalue(request.param)
    return fixture


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    for name, content in FILES.items():
        static_tree.write(name, content)


@pytest.mark.parametrize("threads", [0, 8])
def test_deploy_is_stored_and_every_request_is_recorded(
    live_cloud: RecordedCloud, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(live_cloud, threads=threads)

    assert {key: each.body for key, each in live_cloud.objects().items()} == FILES
    assert live_cloud.counts() == DEPLOYED[type(live_cloud).__name__]
    assert {each.status // 100 for each in live_cloud.requests} <= {2, 3}


def test_leftovers_are_deleted_in_a_batch(
    live_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    for name in ("static/old 1.css", "static/old 2.css", "other/a.css"):
        live_cloud.put(name, b"left")

    collectstatic(live_cloud, options={"location": "static"}, clear=True)

    (batch,) = {"DELETE_BATCH", "BATCH"} & live_cloud.counts().keys()
    assert live_cloud.counts()[batch] == 1
    assert "DELETE" not in live_cloud.counts()
    assert live_cloud.keys() == ["other/a.css", *(f"static/{name}" for name in FILES)]


def test_s3_is_called_by_its_own_name_whatever_the_configuration(
    live_s3: S3Cloud, collectstatic: CollectStatic
) -> None:
    collectstatic(live_s3, options={"client_config": Config(user_agent_extra="mine")})

    server = urlsplit(live_s3.client.meta.endpoint_url).netloc
    assert [each.headers["host"] for each in live_s3.requests] == [server] * 6
    assert all(each.headers["user-agent"].endswith("mine") for each in live_s3.requests)


def test_google_is_called_by_its_own_name_with_the_default_credentials(
    live_gcs: GoogleCloud, collectstatic: CollectStatic
) -> None:
    collectstatic(live_gcs)

    server = urlsplit(live_gcs.bucket.client._connection.API_BASE_URL).netloc
    assert [each.headers["host"] for each in live_gcs.requests] == [server] * 6
    assert {each.headers["authorization"] for each in live_gcs.requests} == {"Bearer the token"}
    assert live_gcs.bucket.client.project == "the-project"


def test_google_credentials_do_not_come_through_the_recorder(
    live_gcs: GoogleCloud, collectstatic: CollectStatic
) -> None:
    collectstatic(live_gcs)

    for host in ("metadata.google.internal", "169.254.169.254"):
        assert requests.utils.get_environ_proxies(f"http://{host}/token") == {}


def test_google_without_a_project_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLECTFASTA_TEST_GCS_ENDPOINT", "https://localhost")
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials("the token"), None))

    with (
        pytest.raises(ServerError, match="GOOGLE_CLOUD_PROJECT"),
        tests.servers.gcs.serve(),
    ):
        pass
