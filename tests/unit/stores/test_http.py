"""The session of requests that Azure's and Google's SDKs send by, against a server."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from requests import ReadTimeout, Request, Response, Session
from requests.adapters import HTTPAdapter
from typing_extensions import override

from collectfasta.stores.http import Counter, prepare_session

SERVICE = "http://storage.example"


class Server(ThreadingHTTPServer):
    """Keeps the first line and the login of what it was sent; a proxy too, if asked as one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str | None]] = []
        self.connections = 0
        self.bodies: list[bytes] = []
        self.pause = 0.0
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
        left = int(self.headers["Content-Length"] or 0)
        body = b""
        while left > len(body):
            time.sleep(self.server.pause)
            body += self.rfile.read(min(left - len(body), 64 * 1024))
        self.server.bodies.append(body)
        self.send_response_only(200)
        self.send_header("Date", "Fri, 27 Nov 2026 06:00:00 GMT")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_PUT = do_GET


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


class Prepared(HTTPAdapter):
    """An adapter that somebody has mounted for what it does."""

    sent = 0

    @override
    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.sent += 1
        request.headers["Authorization"] = "theirs"
        return super().send(request, *args, **kwargs)


def test_an_adapter_that_others_have_mounted_stays(server: Server) -> None:
    """With certificates, retries or proxies of its own."""
    counter, adapter = Counter(), Prepared()
    context = adapter.poolmanager.connection_pool_kw["ssl_context"] = object()
    with Session() as session:
        session.mount("http://", adapter)
        for threads in (4, 32):
            prepare_session(session, server.url, threads, counter)
            session.get(f"{server.url}/a")

    assert session.get_adapter(server.url) is adapter
    assert (adapter.sent, counter.value) == (2, 2)
    assert server.seen == [("GET /a HTTP/1.1", "theirs")] * 2
    assert adapter.poolmanager.connection_pool_kw["ssl_context"] is context


@pytest.mark.parametrize(
    ("own", "threads", "expected"),
    [({}, 32, 32), ({}, 4, 10), ({"pool_maxsize": 50}, 32, 50), ({"pool_block": True}, 32, 10)],
)
def test_there_is_a_connection_for_each_thread_unless_the_adapter_limits_them(
    server: Server, own: dict[str, Any], threads: int, expected: int
) -> None:
    """By ``HTTPAdapter._pool_maxsize`` and ``_pool_block``."""
    adapter = HTTPAdapter(**own)
    with Session() as session:
        session.mount("http://", adapter)
        session.get(f"{server.url}/a")
        prepare_session(session, server.url, threads, Counter())

        pool = adapter.poolmanager.connection_from_url(server.url)
        assert pool.pool is not None
        assert pool.pool.maxsize == expected
        proxied = adapter.proxy_manager_for("http://proxy").connection_from_url(server.url)
        assert proxied.pool is not None
        assert proxied.pool.maxsize == expected


class TestSlowLines:
    @pytest.fixture(autouse=True)
    def small_buffers(self, server: Server) -> None:
        """Let the system take little at once, as it does on a slow line."""
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        server.pause = 0.1

    @pytest.mark.parametrize("kind", [bytes, io.BytesIO])
    def test_what_goes_on_is_not_ended(self, server: Server, kind: Any) -> None:
        """Each piece has the time that there is for a connection, and the answer more."""
        body = bytes(range(256)) * 8 * 1024
        with Session() as session:
            prepare_session(session, server.url, 1, Counter())
            limit = socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024
            adapter: Any = session.get_adapter(server.url)
            adapter.poolmanager.connection_pool_kw["socket_options"] = [limit]
            answer = session.put(f"{server.url}/a", data=kind(body), timeout=(1, 60))

        assert server.bodies == [body]
        assert answer.elapsed.total_seconds() > 2

    def test_a_server_that_is_silent_is_noticed(self, server: Server) -> None:
        server.pause = 2
        with Session() as session:
            prepare_session(session, server.url, 1, Counter())
            with pytest.raises(ReadTimeout):
                session.put(f"{server.url}/a", data=b"small", timeout=(1, 0.2))

    @pytest.mark.parametrize(("size", "expected"), [(1024, 60), (4 * 1024 * 1024, 60 + 512)])
    def test_a_large_body_has_more_time_for_its_answer(
        self, monkeypatch: pytest.MonkeyPatch, size: int, expected: int
    ) -> None:
        seen: list[Any] = []

        def send(self: Any, request: Any, *, timeout: Any, **_: Any) -> Any:
            seen.append(timeout)
            return Response()

        monkeypatch.setattr(HTTPAdapter, "send", send)
        body = bytes(size)
        with Session() as session:
            prepare_session(session, SERVICE, 1, Counter())
            request = session.prepare_request(Request("PUT", SERVICE, data=body))
            session.get_adapter(SERVICE).send(request, timeout=(20, 60))

        assert seen == [(20, expected)]
        assert request.body is body
