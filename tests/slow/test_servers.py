"""The servers, the recorder and the clouds themselves: what the other tests rely on."""

from __future__ import annotations

import gzip
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.test import override_settings
from werkzeug.serving import make_ssl_devcert

from tests.loop import for_each
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import ServerError, running
from tests.servers.recorder import Recorder, Request
from tests.servers.s3 import S3Server

# What servers say of every object. S3 encrypts each, and says so:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
UNASKED = ("storage-class", "server-side-encryption")
# One small object saved by the plain storage, as the storage sends it.
SAVED = {
    "S3Cloud": {"HEAD": 1, "PUT": 1},
    "GoogleCloud": {"GET": 2, "UPLOAD": 1},
    "AzureCloud": {"HEAD": 1, "PUT": 1},
    "FileSystemCloud": {},
}


@pytest.fixture(params=["s3_obstore", "gcs", "azure", "filesystem"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each of the four in turn."""
    fixture: Cloud = request.getfixturevalue(request.param)
    return fixture


@pytest.fixture
def storage(cloud: Cloud) -> Iterator[Storage]:
    """The plain storage of each cloud."""
    with override_settings(STORAGES=cloud.storages()):
        yield storages["staticfiles"]


def save(storage: Storage, name: str, body: bytes) -> None:
    """Save as ``collectstatic`` does: look first, then write."""
    if not storage.exists(name):
        storage._save(name, ContentFile(body, name))  # type: ignore[attr-defined]


def test_s3_server_listens_on_the_loopback_interface_only(s3_server: S3Server) -> None:
    port = urlsplit(s3_server.endpoint).port

    # Each has the local address and port as hexadecimal numbers, and the state; "0A" is listening.
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    sockets = [line.split() for table in tables for line in table]
    listening = [each[1].split(":") for each in sockets if each[3] == "0A"]
    assert {address for address, number in listening if int(number, 16) == port} == {"0100007F"}


class TestCloud:
    def test_stores_and_lists_what_the_plain_storage_saves(
        self, cloud: Cloud, storage: Storage
    ) -> None:
        save(storage, "css/a b.css", b"body")

        stored = cloud.objects()
        assert {key: each.body for key, each in stored.items()} == {"css/a b.css": b"body"}
        if isinstance(cloud, RecordedCloud):
            assert stored["css/a b.css"].headers["content-type"] == "text/css"
        assert cloud.counts() == SAVED[type(cloud).__name__]

    def test_shows_what_is_stored_and_does_not_count_its_own_look(
        self, cloud: Cloud, storage: Storage
    ) -> None:
        body = gzip.compress(b"text" * 100)
        cloud.put(
            "a",
            body,
            content_type="text/css",
            content_encoding="gzip",
            content_language="en",
            content_disposition="inline",
            cache_control="max-age=1",
            metadata={"Owner": "me"},
        )

        stored, version = cloud.get("a"), cloud.version("a")
        assert stored.body == body
        if isinstance(cloud, RecordedCloud):
            headers = {k: v for k, v in stored.headers.items() if not k.endswith(UNASKED)}
            assert sorted(headers.values()) == [
                "en",
                "gzip",
                "inline",
                "max-age=1",
                "me",
                "text/css",
            ]
        assert cloud.version("a") == version
        cloud.put("a", b"2")
        assert cloud.version("a") != version
        cloud.put("b/c", b"3")
        cloud.delete("b/c")
        assert (cloud.exists("a"), cloud.exists("b/c")) == (True, False)
        cloud.empty()
        assert (cloud.objects(), cloud.requests) == ({}, [])
        assert not storage.exists("a")

    def test_any_name_and_any_bytes(self, cloud: Cloud, storage: Storage) -> None:
        bodies = {
            "a b+c%2F~#?.css": b"\r\n\r",
            "\u00fc/\u65e5.js": bytes(range(256)) + b"\r\n",
            "empty.txt": b"",
        }
        for name, body in bodies.items():
            save(storage, name, body)

        assert {key: each.body for key, each in cloud.objects().items()} == bodies


class TestGoogleCloud:
    def test_many_uploads_at_once(self, gcs: GoogleCloud) -> None:
        names = [f"many/{number}.txt" for number in range(200)]
        with override_settings(STORAGES=gcs.storages()):
            storage = storages["staticfiles"]
            with ThreadPoolExecutor(64) as executor:
                list(executor.map(lambda name: save(storage, name, b"body"), names))

        assert gcs.keys() == sorted(names)


class TestS3Cloud:
    def test_two_buckets_are_apart(self, s3_obstore: S3Cloud, s3_server: S3Server) -> None:
        with S3Cloud(s3_server) as other, override_settings(STORAGES=other.storages()):
            save(storages["staticfiles"], "a", b"1")

            assert (other.keys(), s3_obstore.keys()) == (["a"], [])
            assert (len(other.requests), len(s3_obstore.requests)) == (2, 0)

    @for_each(
        "method, target, kind",
        [
            ("GET", "/bucket?list-type=2&prefix=a", "LIST"),
            ("GET", "/bucket", "LIST"),
            ("GET", "/bucket/key", "GET"),
            ("POST", "/bucket?delete", "DELETE_BATCH"),
            ("POST", "/bucket/key?uploads", "MULTIPART"),
            ("PUT", "/bucket/key?uploadId=1&partNumber=1", "MULTIPART"),
            ("PUT", "/bucket/key", "PUT"),
        ],
    )
    def test_kind(self, s3_obstore: S3Cloud, method: str, target: str, kind: str) -> None:
        path, _, query = target.partition("?")
        assert s3_obstore.kind(Request(method, path, query, {}, 0)) == kind


class _Echo(BaseHTTPRequestHandler):
    """Answer with the request line, the headers and the body as they came in."""

    protocol_version = "HTTP/1.1"
    raw_requestline: bytes

    def do_POST(self) -> None:
        body = self.raw_requestline + bytes(self.headers) + self._body()
        self.send_response(200)
        if "Location" in self.headers:
            self.send_header("Location", self.headers["Location"])
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass

    def _body(self) -> bytes:
        if "Transfer-Encoding" not in self.headers:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        lines = [self.rfile.readline()]
        while lines[-1] != b"\r\n":
            lines.append(self.rfile.readline())
        return b"".join(lines)


@pytest.fixture
def echo() -> Iterator[str]:
    """The URL of `_Echo`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def recorder(echo: str) -> Iterator[Recorder]:
    """A recorder in front of `_Echo`."""
    with Recorder(echo) as recorder:
        yield recorder


def exchange(recorder: Recorder, message: bytes) -> bytes:
    """Send bytes and return all that comes back."""
    host, port = recorder.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def connection(recorder: Recorder) -> Iterator[http.client.HTTPConnection]:
    """A connection to the recorder."""
    connection = http.client.HTTPConnection(urlsplit(recorder.url).netloc, timeout=10)
    yield connection
    connection.close()


class TestRecorder:
    def test_target_and_headers_pass_unchanged(self, recorder: Recorder) -> None:
        head = (
            b"POST //a%2Fb/%7e+~'(x)?q=%20&list HTTP/1.1\r\n"
            b"Host: some.bucket:1\r\nX-Odd-CASE: a, b\r\nContent-Length: 4\r\n"
        )
        answer = exchange(recorder, head + b"\r\nbody")

        assert head.replace(b"\r\n", b"\n") in answer.replace(b"\r\n", b"\n")
        assert answer.endswith(b"body")
        (request,) = recorder.requests
        assert (request.method, request.path) == ("POST", "//a%2Fb/%7e+~'(x)")
        assert (request.query, request.status) == ("q=%20&list", 200)
        assert request.headers["x-odd-case"] == "a, b"

    def test_proxy_records_and_passes_the_path_and_keeps_the_host(self, recorder: Recorder) -> None:
        answer = exchange(
            recorder,
            b"POST HTTP://Cloud:81/a//http://b?c=http://d HTTP/1.1\r\nHost: Cloud:81\r\n\r\n",
        )

        assert b"POST /a//http://b?c=http://d HTTP/1.1\r\nHost: Cloud:81\n" in answer
        (request,) = recorder.requests
        assert (request.path, request.query) == ("/a//http://b", "c=http://d")

    def test_server_can_get_its_own_name(self, echo: str) -> None:
        with Recorder(echo, rewrites_host=True) as recorder:
            answer = exchange(recorder, b"POST / HTTP/1.1\r\nhost: some\r\nX-A: host\r\n\r\n")

        assert f"host: {urlsplit(echo).netloc}\nX-A: host\n".encode() in answer
        assert [request.headers["host"] for request in recorder.requests] == ["some"]

    @pytest.mark.parametrize(
        ("location", "seen"),
        [
            ("{echo}/a?b=http://c", "http://cloud:81/a?b=http://c"),
            ("{echo}0/a", "{echo}0/a"),
            ("http://elsewhere/{echo}/", "http://elsewhere/{echo}/"),
            ("/a", "/a"),
        ],
    )
    def test_redirection_to_the_server_leads_through_the_recorder(
        self, recorder: Recorder, echo: str, location: str, seen: str
    ) -> None:
        head = f"POST / HTTP/1.1\r\nHost: cloud:81\r\nLocation: {location.format(echo=echo)}"
        answer = exchange(recorder, head.encode() + b"\r\n\r\n")

        assert f"\r\nLocation: {seen.format(echo=echo)}\r\n".encode() in answer

    def test_server_with_another_certificate_is_a_bad_gateway(
        self, echo: str, tmp_path: Path
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*make_ssl_devcert(str(tmp_path / "tls"), "localhost"))
        with Recorder(echo, tls=context) as server, Recorder(server.url) as recorder:
            answer = exchange(recorder, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")

        assert b" 502 " in answer
        assert b"CERTIFICATE_VERIFY_FAILED" in answer

    def test_chunked_body_passes_with_its_framing(self, recorder: Recorder) -> None:
        chunks = b"3;chunk-signature=ab\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum: 1\r\n\r\n"
        answer = exchange(
            recorder, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
        )

        assert answer.endswith(chunks)
        assert [request.body_size for request in recorder.requests] == [5]

    def test_requests_on_one_connection_stay_apart(
        self, recorder: Recorder, connection: http.client.HTTPConnection
    ) -> None:
        recorder.fail(lambda request: request.path == "/fail", 503, b"busy", times=1)
        for path, status in (("/", 200), ("/chunked", 200), ("/fail", 503), ("/fail", 200)):
            connection.request("POST", path, b"body")
            response = connection.getresponse()
            assert response.status == status
            assert response.read().endswith(b"busy" if status == 503 else b"body")
        connection.request("HEAD", "/")
        response = connection.getresponse()
        assert (response.headers["Content-Length"], response.read()) == ("1000", b"")

        seen = [(request.method, request.status) for request in recorder.requests]
        assert seen == [("POST", 200)] * 2 + [("POST", 503), ("POST", 200), ("HEAD", 200)]

    def test_expect_100_continue(self, connection: http.client.HTTPConnection) -> None:
        connection.request("POST", "/", b"body", {"Expect": "100-continue"})
        answer = connection.getresponse().read()

        assert answer.endswith(b"body")
        assert b"Expect" not in answer

    def test_no_answer_is_a_bad_gateway(
        self, recorder: Recorder, connection: http.client.HTTPConnection
    ) -> None:
        connection.request("DELETE", "/")
        assert connection.getresponse().status == 502
        assert [request.status for request in recorder.requests] == [502]

    def test_client_that_goes_away_leaves_no_whole_request(self, recorder: Recorder) -> None:
        answer = exchange(recorder, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")

        assert answer == b""
        assert [request.status for request in recorder.requests] == [0]

    def test_before_runs_ahead_of_the_request(self, s3_obstore: S3Cloud) -> None:
        seen = []
        s3_obstore.recorder.before(
            lambda request: request.method == "PUT", lambda _: seen.extend(s3_obstore.keys())
        )
        s3_obstore.put("earlier", b"1")
        with override_settings(STORAGES=s3_obstore.storages()):
            save(storages["staticfiles"], "later", b"2")

        assert seen == ["earlier"]
        assert s3_obstore.keys() == ["earlier", "later"]

    def test_fail_reaches_the_storage(self, s3_obstore: S3Cloud) -> None:
        s3_obstore.recorder.fail(lambda request: request.method == "PUT", 403)
        with (
            override_settings(STORAGES=s3_obstore.storages()),
            pytest.raises(Exception, match="403"),
        ):
            save(storages["staticfiles"], "a", b"1")

        assert s3_obstore.keys() == []
        assert s3_obstore.requests[-1].status == 403
        s3_obstore.recorder.reset()
        assert s3_obstore.requests == []
        with override_settings(STORAGES=s3_obstore.storages()):
            save(storages["staticfiles"], "a", b"1")
        assert s3_obstore.keys() == ["a"]


FILE_SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
# Runs a server, says where it is, and waits.
SERVING = f"""
from tests.servers.process import running
with running("files", lambda port: {FILE_SERVER} + [str(port)]) as url:
    print(url, flush=True)
    input()
"""


def answers(url: str) -> bool:
    """Say whether a server listens."""
    host, port = urlsplit(url).netloc.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except ConnectionRefusedError:
        return False
    return True


class TestProcess:
    def test_server_that_ends_is_an_error_with_its_log(self) -> None:
        command = [sys.executable, "-c", "raise SystemExit('no such option')"]
        with (
            pytest.raises(ServerError, match=r"(?s)broken ended with status 1.*no such option"),
            running("broken", lambda port: command),
        ):
            pass

    def test_server_that_is_not_there_is_an_error(self) -> None:
        with (
            pytest.raises(ServerError, match="absent can't be run"),
            running("absent", lambda port: ["/nonexistent/server"]),
        ):
            pass

    def test_server_is_gone_afterwards(self) -> None:
        with running("files", lambda port: [*FILE_SERVER, str(port)]) as url:
            assert answers(url)
        assert not answers(url)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_server_ends_when_this_process_is_killed(
        self, number: signal.Signals, tmp_path: Path
    ) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", SERVING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            text=True,
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert answers(url)
            process.send_signal(number)
        deadline = time.monotonic() + 10
        while answers(url) and time.monotonic() < deadline:
            time.sleep(0.02)

        assert not answers(url)
