"""The session that Azure's and Google's SDKs send through, against a server and without them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from requests import Session

from collectfasta.strategies.requests_session import shorten_way

BODY = b"body { color: red }"


class Seen(NamedTuple):
    """A request as it arrived."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes


class Server(ThreadingHTTPServer):
    """Keeps what it was sent, and leads to "/there" whoever asks for "/here"."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
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

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(Seen(self.requestline, self.headers.items(), body))
        self.send_response(307 if self.path.startswith("/here") else 200)
        self.send_header("Location", "/there")
        self.send_header("Set-Cookie", "crumb=1")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_DELETE = do_GET = do_POST = do_PUT = _serve


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def short() -> Iterator[Session]:
    with Session() as session:
        shorten_way(session)
        yield session


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/b/o?prefix=a%2Fb&fields=items(name)", {}),
        ("GET", "/list", {"params": {"comp": "list", "prefix": "a b"}}),
        ("PUT", "/c/b%20c+d%252F~%23%C3%BC.js", {"data": BODY}),
        ("PUT", "/c/empty.css", {"data": b"", "headers": {"Content-Length": "0"}}),
        ("POST", "/upload", {"data": BODY, "headers": {"accept": "*", "User-Agent": "sdk/1"}}),
        ("POST", "/b", {"json": {"name": "x"}, "headers": {"Authorization": "Bearer x"}}),
        ("delete", "/c/\u00fc", {"headers": {"x-ms-date": "now"}}),
    ],
)
def test_a_request_is_the_same_by_the_short_way(
    server: Server, short: Session, method: str, path: str, options: dict[str, Any]
) -> None:
    with Session() as plain:
        plain.request(method, server.url + path, **options)
    short.request(method, server.url + path, **options)

    assert server.seen[0] == server.seen[1]


def test_a_connection_is_used_again(server: Server, short: Session) -> None:
    for _ in range(3):
        short.request("PUT", f"{server.url}/a", data=BODY)

    assert server.connections == 1


def test_the_body_of_an_answer_can_be_read_as_a_stream(server: Server, short: Session) -> None:
    with short.get(f"{server.url}/a", stream=True) as response:
        assert not response.raw.isclosed()
        assert response.content == b"ok"


def test_a_redirect_is_followed_as_asked(server: Server, short: Session) -> None:
    kept = short.request("PUT", f"{server.url}/here", data=BODY, allow_redirects=False)
    followed = short.request("PUT", f"{server.url}/here", data=BODY)

    assert kept.status_code == 307
    assert followed.url == f"{server.url}/there"
    assert (server.seen[-1].line, server.seen[-1].body) == ("PUT /there HTTP/1.1", BODY)


def test_cookies_are_not_sent_back(server: Server, short: Session) -> None:
    short.get(f"{server.url}/a")
    short.get(f"{server.url}/a")

    assert "Cookie" not in dict(server.seen[1].headers)


def test_a_netrc_does_not_take_the_place_of_the_login(
    server: Server, short: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))

    short.get(f"{server.url}/a", headers={"Authorization": "Bearer token"})

    assert dict(server.seen[0].headers)["Authorization"] == "Bearer token"


class TestEnvironment:
    @pytest.fixture(autouse=True)
    def _no_proxy_of_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    def test_its_proxy_is_used(
        self, server: Server, short: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", server.url)

        short.get("http://storage.example/a")

        assert server.seen[0].line == "GET http://storage.example/a HTTP/1.1"

    def test_its_proxy_is_not_used_for_those_that_it_excludes(
        self, server: Server, short: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")

        short.get("http://storage.example/a")
        short.get(f"{server.url}/a")

        assert server.seen[1].line == "GET /a HTTP/1.1"

    def test_a_proxy_given_with_a_request_wins(
        self, server: Server, short: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

        short.get("http://storage.example/a", proxies={"http": server.url})

        assert server.seen[0].line == "GET http://storage.example/a HTTP/1.1"

    @pytest.mark.parametrize(
        ("given", "used"), [(None, "bundle"), (True, "bundle"), (False, False), ("own", "own")]
    )
    def test_its_certificates_are_used_unless_others_are_given(
        self, short: Session, monkeypatch: pytest.MonkeyPatch, given: Any, used: Any
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "bundle")
        plain = Session()

        settings = [
            each.merge_environment_settings("https://storage.example/a", {}, None, given, None)
            for each in (plain, short)
        ]

        assert [each["verify"] for each in settings] == [used, used]
