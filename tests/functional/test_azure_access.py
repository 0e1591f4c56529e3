"""Ways to log in to Azure Blob Storage, and deploys that are refused or interfered with."""

from __future__ import annotations

import base64
import logging
import socket
import time
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from azure.core.pipeline.transport import HttpTransport
from azure.core.utils import parse_connection_string
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from django.core.cache import cache
from django.core.management.base import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.azure import AzureCloud
from tests.servers.process import free_port
from tests.servers.recorder import Match
from tests.summary import deleted

THREADS = pytest.mark.parametrize("threads", [0, 8])


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    for name in ("a", "b", "c", "d", "e"):
        static_tree.write(f"css/{name}.css", name.encode())


@pytest.fixture
def account(azure: AzureCloud) -> dict[str, str]:
    """The parts of the connection string."""
    text: str = azure.options()["connection_string"]
    return dict(parse_connection_string(text, case_sensitive_keys=True))


@pytest.fixture
def by_host(
    azure: AzureCloud, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Options that make the storage call "http://account.blob.localhost", the recorder."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kwargs: resolve(
            "127.0.0.1" if host.endswith(".blob.localhost") else host, *args, **kwargs
        ),
    )
    return {
        "connection_string": None,
        "account_name": account["AccountName"],
        "endpoint_suffix": f"localhost:{azure.recorder.url.rpartition(':')[2]}",
        "azure_ssl": False,
    }


def sas(azure: AzureCloud, account: dict[str, str], **permissions: bool) -> str:
    """Return a token that permits only this."""
    token: str = generate_container_sas(
        account["AccountName"],
        azure.name,
        account_key=account["AccountKey"],
        permission=ContainerSasPermissions(**permissions),
        expiry=datetime.now(timezone.utc) + timedelta(hours=1),
    )
    return token


def of_kind(cloud: AzureCloud, *kinds: str) -> Match:
    """Match requests of these kinds."""
    return lambda request: cloud.kind(request) in kinds


def batch_answer(*statuses: str) -> bytes:
    """Return the answer to a batch with a part for each of its requests."""
    part = "--batch\r\nContent-Type: application/http\r\nContent-ID: {}\r\n\r\n"
    part += "HTTP/1.1 {}\r\nContent-Length: 0\r\n\r\n\r\n"
    return ("".join(part.format(*each) for each in enumerate(statuses)) + "--batch--").encode()


def failure(collectstatic: CollectStatic, cloud: AzureCloud, **run: Any) -> str:
    """Run the command, which must fail, and return its message."""
    with pytest.raises(CommandError) as caught:
        collectstatic(cloud, **run)
    return str(caught.value)


@THREADS
class TestLogin:
    def test_with_a_connection_string(
        self, azure: AzureCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        collectstatic(azure, threads=threads)

        assert len(azure.keys()) == 5

    def test_with_an_account_key(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        account: dict[str, str],
        by_host: dict[str, Any],
        threads: int,
    ) -> None:
        options = {**by_host, "account_key": account["AccountKey"]}

        collectstatic(azure, threads=threads, options=options)

        assert len(azure.keys()) == 5
        assert azure.counts() == {"LIST": 1, "PUT": 5}

    def test_with_a_token(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        account: dict[str, str],
        by_host: dict[str, Any],
        threads: int,
    ) -> None:
        token = sas(azure, account, read=True, write=True, list=True)

        collectstatic(azure, threads=threads, options={**by_host, "sas_token": token})

        assert len(azure.keys()) == 5
        assert azure.counts() == {"LIST": 1, "PUT": 5}


def test_client_options_are_passed_on(
    azure: AzureCloud,
    collectstatic: CollectStatic,
    account: dict[str, str],
    by_host: dict[str, Any],
) -> None:
    options = {**by_host, "account_key": account["AccountKey"]}
    options["client_options"] = {"user_agent": "deployer"}

    collectstatic(azure, options=options)

    assert {"deployer" in each.headers["user-agent"] for each in azure.requests} == {True}
    assert len(azure.requests) == 6


@pytest.mark.parametrize(
    ("client_options", "is_answered"),
    [({"retry_total": 0}, True), ({"retry_total": 0, "read_timeout": 0.2}, False)],
)
def test_timeouts_of_the_client_options_are_kept(
    azure: AzureCloud,
    collectstatic: CollectStatic,
    account: dict[str, str],
    by_host: dict[str, Any],
    client_options: dict[str, Any],
    is_answered: bool,
) -> None:
    azure.recorder.before(of_kind(azure, "LIST"), lambda _: time.sleep(1))
    options = {**by_host, "account_key": account["AccountKey"], "client_options": client_options}

    with nullcontext() if is_answered else pytest.raises(CommandError, match="timed out"):
        collectstatic(azure, options=options)

    assert azure.counts().get("PUT", 0) == (5 if is_answered else 0)


@THREADS
class TestNoPermissionToList:
    @pytest.fixture
    def options(
        self, azure: AzureCloud, account: dict[str, str], by_host: dict[str, Any]
    ) -> dict[str, Any]:
        return {**by_host, "sas_token": sas(azure, account, read=True, write=True)}

    def test_each_blob_is_asked_for(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        options: dict[str, Any],
        threads: int,
    ) -> None:
        collectstatic(azure, threads=threads, options=options)
        cache.clear()
        static_tree.write("css/a.css", b"A")
        azure.clear_requests()

        run = collectstatic(azure, threads=threads, options=options)

        assert "1 static file copied" in run.stdout
        assert "4 unmodified" in run.stdout
        assert azure.counts() == {"LIST": 1, "HEAD": 5, "PUT": 1}
        assert azure.get("css/a.css").body == b"A"

    def test_one_warning_says_so(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        options: dict[str, Any],
        threads: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        collectstatic(azure, threads=threads, options=options)

        (warning,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert "may not list" in warning.getMessage()
        assert azure.name in warning.getMessage()

    def test_a_blob_that_may_not_be_read_either_is_sent(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        account: dict[str, str],
        by_host: dict[str, Any],
        threads: int,
    ) -> None:
        token = sas(azure, account, write=True)

        collectstatic(azure, threads=threads, options={**by_host, "sas_token": token})

        assert len(azure.keys()) == 5


@THREADS
class TestRefused:
    def test_a_container_that_does_not_exist_is_named_in_one_line(
        self, azure: AzureCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        message = failure(
            collectstatic, azure, threads=threads, options={"azure_container": "no-such-container"}
        )

        assert message.startswith("The container 'no-such-container' does not exist")
        assert "\n" not in message
        assert azure.counts() == {"LIST": 1}

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"azure_container": None}, "names no container: set azure_container"),
            ({"connection_string": None}, "names no account: set account_name"),
        ],
    )
    def test_a_setting_that_is_missing_is_named_and_nobody_is_asked(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        options: dict[str, Any],
        words: str,
        threads: int,
    ) -> None:
        message = failure(collectstatic, azure, threads=threads, options=options)

        assert words in message
        assert "\n" not in message
        assert azure.counts() == {}

    def test_a_wrong_key_is_one_line(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        by_host: dict[str, Any],
        threads: int,
    ) -> None:
        key = base64.b64encode(b"wrong").decode()

        message = failure(
            collectstatic, azure, threads=threads, options={**by_host, "account_key": key}
        )

        assert message.startswith(f"The credentials for the container {azure.name!r} are refused")
        assert "\n" not in message
        assert azure.keys() == []

    # What Azure answers to a wrong key, to an expired token, and where shared keys are forbidden.
    @pytest.mark.parametrize(
        "code",
        ["AuthenticationFailed", "InvalidAuthenticationInfo", "KeyBasedAuthenticationNotPermitted"],
    )
    def test_refused_credentials_are_one_line(
        self, azure: AzureCloud, collectstatic: CollectStatic, threads: int, code: str
    ) -> None:
        azure.recorder.fail(lambda _: True, 403, headers={"x-ms-error-code": code})

        message = failure(collectstatic, azure, threads=threads)

        assert message.startswith(f"The credentials for the container {azure.name!r} are refused")
        assert "\n" not in message
        assert azure.counts() == {"LIST": 1}

    def test_a_missing_permission_to_write_is_one_line(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        account: dict[str, str],
        by_host: dict[str, Any],
        threads: int,
    ) -> None:
        for number in range(195):
            static_tree.write(f"js/{number}.js", b"1")
        token = sas(azure, account, read=True, list=True)

        message = failure(
            collectstatic, azure, threads=threads, options={**by_host, "sas_token": token}
        )

        assert message.startswith(f"200 files were not sent to azure://{azure.name}/")
        assert "write" in message
        assert "\n" not in message
        assert azure.counts()["PUT"] < 100

    def test_no_secret_is_shown(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        account: dict[str, str],
        by_host: dict[str, Any],
        threads: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        token = sas(azure, account, read=True)
        monkeypatch.setattr(HttpTransport, "sleep", lambda self, duration: None)
        # The error of a connection that is refused shows the URL with the token.
        nobody = f"localhost:{free_port()}"

        message = failure(
            collectstatic,
            azure,
            threads=threads,
            options={**by_host, "sas_token": token, "endpoint_suffix": nobody},
            settings={"COLLECTFASTA_DEBUG": True},
            verbosity=3,
        )

        assert collectstatic.last is not None
        shown = unquote(message + collectstatic.last.stdout + collectstatic.last.stderr)
        assert "Traceback" in shown
        assert "localhost" in shown
        (signature,) = parse_qs(token)["sig"]
        assert len(signature) > 20
        assert signature not in shown
        assert account["AccountKey"] not in shown

    def test_a_file_that_is_refused_is_named_and_the_others_sent(
        self, azure: AzureCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        azure.recorder.fail(
            lambda request: request.method == "PUT" and "c.css" in request.path,
            409,
            headers={"x-ms-error-code": "BlobImmutableDueToPolicy"},
        )

        message = failure(collectstatic, azure, threads=threads)

        head, line = message.splitlines()
        assert head == f"1 file was not sent to azure://{azure.name}/:"
        assert line.startswith("  'css/c.css': ")
        assert "BlobImmutableDueToPolicy" in line
        assert azure.keys() == [f"css/{name}.css" for name in "abde"]


@THREADS
@pytest.mark.parametrize("kind", ["LIST", "PUT"])
def test_a_busy_server_is_asked_again(
    azure: AzureCloud,
    collectstatic: CollectStatic,
    threads: int,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It would wait for 15 seconds.
    monkeypatch.setattr(HttpTransport, "sleep", lambda self, duration: None)
    azure.recorder.fail(of_kind(azure, kind), 503, times=1)

    collectstatic(azure, threads=threads)

    assert len(azure.keys()) == 5
    assert azure.counts() == {"LIST": 1, "PUT": 5, kind: {"LIST": 2, "PUT": 6}[kind]}


class TestClear:
    @pytest.fixture
    def leftovers(self, azure: AzureCloud) -> list[str]:
        """More of them than one batch takes, and blobs of others."""
        keys = [f"static/old/{number:03}.css" for number in range(260)]
        for key in keys:
            azure.client.get_blob_client(key).upload_blob(b"left")
        azure.put("static-old/a.css", b"theirs")
        azure.put("media/a.png", b"theirs")
        return keys

    def test_deletes_what_is_left_under_the_location_in_batches(
        self, azure: AzureCloud, collectstatic: CollectStatic, leftovers: list[str]
    ) -> None:
        # Gone when its batch arrives.
        azure.recorder.before(of_kind(azure, "BATCH"), lambda _: azure.delete(leftovers.pop()))

        run = collectstatic(azure, options={"location": "static"}, clear=True)

        assert azure.keys() == [
            "media/a.png",
            "static-old/a.css",
            *(f"static/css/{name}.css" for name in "abcde"),
        ]
        assert f"\n{deleted(260)}5 static files copied" in run.stdout
        assert azure.counts() == {"PUT": 5, "LIST": 1, "BATCH": 2}
        kinds = [azure.kind(each) for each in azure.requests]
        assert kinds == ["LIST", *["PUT"] * 5, "BATCH", "BATCH"]

    def test_a_blob_whose_deletion_fails_within_a_batch_is_deleted_by_itself(
        self, azure: AzureCloud, collectstatic: CollectStatic
    ) -> None:
        for key in ("static/gone.css", "static/old.css"):
            azure.put(key, b"left")
        azure.recorder.before(of_kind(azure, "BATCH"), lambda _: azure.delete("static/gone.css"))
        azure.recorder.fail(
            of_kind(azure, "BATCH"),
            202,
            batch_answer("404 Not Found", "503 Service Unavailable"),
            {"Content-Type": "multipart/mixed; boundary=batch"},
        )

        collectstatic(azure, options={"location": "static"}, clear=True)

        assert azure.keys() == [f"static/css/{name}.css" for name in "abcde"]

    def test_a_missing_permission_to_delete_is_one_line(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        account: dict[str, str],
        by_host: dict[str, Any],
    ) -> None:
        azure.put("static/old.css", b"left")
        token = sas(azure, account, read=True, write=True, list=True)

        message = failure(
            collectstatic,
            azure,
            options={**by_host, "sas_token": token, "location": "static"},
            clear=True,
        )

        assert "delete" in message
        assert "\n" not in message
        assert "static/old.css" in azure.keys()
