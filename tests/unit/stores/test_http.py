"""The session of requests that Azure's and Google's SDKs send by, against a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from requests import Session

from collectfasta.stores.http import Counter, prepare_session

SERVICE = "http://storage.example"


class Server(ThreadingHTTPServer):
    """Keeps the first line and the login of what it was sent; a proxy too, if asked as one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str | None]] = []
        self.connections = 0
        self.url = f"http://127.0.0.1:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.seen.append((self.requestline, self.headers["Authorization"]))
        self.send_response_only(200)
        self.send_header("Date", "Fri, 27 Nov 2026 06:00:00 GMT")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_requests_are_counted_and_connections_used_again(server: Server) -> None:
    counter = Counter()
    with Session() as session:
        prepare_session(session, server.url, 32, counter)
        for _ in range(3):
            session.get(f"{server.url}/a")

    assert counter.value == 3
    assert counter.date == "Fri, 27 Nov 2026 06:00:00 GMT"
    assert server.connections == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    with Session() as session:
        for _ in range(times):
            prepare_session(session, SERVICE, 1, Counter())
        session.get(f"{SERVICE}/a")

    assert server.seen == [(f"GET {SERVICE}/a HTTP/1.1", None)]


def test_a_proxy_of_the_environment_is_not_used_for_what_it_excludes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Session() as session:
        prepare_session(session, server.url, 1, Counter())
        session.get(f"{server.url}/a")

    assert server.seen == [("GET /a HTTP/1.1", None)]


@pytest.mark.parametrize("bundle", ["bundle", None])
def test_certificates_of_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch, bundle: str | None
) -> None:
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    if bundle:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with Session() as session:
        prepare_session(session, SERVICE, 1, Counter())

        assert session.verify == (bundle or True)


def test_a_netrc_does_not_take_the_place_of_the_login(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    with Session() as session:
        prepare_session(session, server.url, 1, Counter())
        session.get(f"{server.url}/a", headers={"Authorization": "Bearer token"})

    assert server.seen == [("GET /a HTTP/1.1", "Bearer token")]
