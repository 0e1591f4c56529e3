"""The faults that the recorder makes: what a client sees of each, and what the server does."""

from __future__ import annotations

import http.client
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.servers.clouds import RecordedCloud
from tests.servers.recorder import Fault, Faults, Recorder, Request

SIZE = 1000


class Store(ThreadingHTTPServer):
    """Keeps what it gets by PUT, and answers it to GET."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, bytes] = {"/there": bytes(SIZE), "/chunked": bytes(SIZE)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def do_GET(self) -> None:
        body = self.server.bodies[self.path]
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.server.bodies[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def recorder(store: Store) -> Iterator[Recorder]:
    with Recorder(f"http://127.0.0.1:{store.server_port}") as recorder:
        yield recorder


@pytest.fixture
def connection(recorder: Recorder) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(recorder.url).netloc, timeout=10)
    yield connection
    connection.close()


def request(path: str, method: str = "PUT", query: str = "", subject: str = "") -> Request:
    return Request(method, path, query, {}, 0, subject=subject)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.INTERNAL_ERROR, 500),
        (Fault.SLOW_DOWN, 503),
        (Fault.TOO_MANY_REQUESTS, 429),
        (Fault.FORBIDDEN, 403),
    ],
)
def test_error_is_answered_and_nothing_is_stored(
    recorder: Recorder,
    store: Store,
    connection: http.client.HTTPConnection,
    fault: Fault,
    status: int,
) -> None:
    recorder.disturb(Faults.each(fault))

    connection.request("PUT", "/a", b"body")

    assert connection.getresponse().status == status
    assert "/a" not in store.bodies
    assert [(each.status, each.fault) for each in recorder.requests] == [(status, fault)]


def test_timeout_keeps_the_connection_and_answers_nothing(recorder: Recorder, store: Store) -> None:
    recorder.disturb(Faults.each(Fault.TIMEOUT))
    connection = http.client.HTTPConnection(urlsplit(recorder.url).netloc, timeout=1)

    connection.request("PUT", "/a", b"body")

    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert "/a" not in store.bodies
    assert [(each.status, each.fault) for each in recorder.requests] == [(0, Fault.TIMEOUT)]


def test_closing_the_recorder_ends_what_it_keeps(recorder: Recorder) -> None:
    recorder.disturb(Faults.each(Fault.TIMEOUT))
    connection = http.client.HTTPConnection(urlsplit(recorder.url).netloc, timeout=10)
    connection.request("GET", "/there")
    while not recorder.requests:
        time.sleep(0.01)

    recorder.close()

    with pytest.raises(ConnectionError):
        connection.getresponse()
    connection.close()


@pytest.mark.parametrize(
    ("fault", "is_stored"),
    [(Fault.RESET_BEFORE, False), (Fault.RESET_DURING, False), (Fault.RESET_AFTER, True)],
)
def test_reset_is_a_reset_and_only_the_last_comes_after_the_server_has_stored(
    recorder: Recorder, store: Store, fault: Fault, is_stored: bool
) -> None:
    """By bare sockets: a FIN would be an empty answer."""
    recorder.disturb(Faults.each(fault))
    host, port = urlsplit(recorder.url).netloc.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")

        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    assert store.bodies.get("/a") == (b"body" if is_stored else None)
    assert [each.status for each in recorder.requests] == [200 if is_stored else 0]


def test_reset_before_the_body_does_not_wait_for_it(recorder: Recorder) -> None:
    recorder.disturb(Faults.each(Fault.RESET_BEFORE))
    host, port = urlsplit(recorder.url).netloc.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")

        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_reset_during_the_body_waits_for_half_of_it(recorder: Recorder) -> None:
    recorder.disturb(Faults.each(Fault.RESET_DURING))
    host, port = urlsplit(recorder.url).netloc.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nb")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(b"o")

        with pytest.raises(ConnectionResetError):
            connection.recv(1)


@pytest.mark.parametrize("path", ["/there", "/chunked"])
def test_truncated_answer_has_less_than_it_promised(
    recorder: Recorder, connection: http.client.HTTPConnection, path: str
) -> None:
    recorder.disturb(Faults.each(Fault.TRUNCATE))

    connection.request("GET", path)
    response = connection.getresponse()

    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert 0 <= len(caught.value.partial) < SIZE
    assert response.status == 200


def test_truncated_answer_without_a_body_ends_within_its_head(
    recorder: Recorder, store: Store
) -> None:
    recorder.disturb(Faults.each(Fault.TRUNCATE))
    host, port = urlsplit(recorder.url).netloc.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in answer
    assert store.bodies["/a"] == b"body"


def test_delayed_request_is_done(
    recorder: Recorder, store: Store, connection: http.client.HTTPConnection
) -> None:
    recorder.disturb(Faults(1, {Fault.DELAY: 1.0}, delay=0.01))

    connection.request("PUT", "/a", b"body")

    assert connection.getresponse().status == 200
    assert [each.fault for each in recorder.requests] == [Fault.DELAY]


def test_only_the_given_methods_go_wrong(
    recorder: Recorder, connection: http.client.HTTPConnection
) -> None:
    recorder.disturb(Faults.each(Fault.SLOW_DOWN, "PUT"))

    for method, status in (("GET", 200), ("PUT", 503)):
        connection.request(method, "/there", b"")
        response = connection.getresponse()
        response.read()
        assert response.status == status


def test_only_what_matches_goes_wrong(
    recorder: Recorder, connection: http.client.HTTPConnection
) -> None:
    recorder.disturb(Faults.each(Fault.SLOW_DOWN), lambda request: request.path == "/there")

    for path, status in (("/chunked", 200), ("/there", 503)):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == status


def test_each_target_goes_wrong_as_often_as_is_said(
    recorder: Recorder, connection: http.client.HTTPConnection
) -> None:
    recorder.disturb(Faults.each(Fault.SLOW_DOWN, times=2))
    for path in ("/there", "/chunked") * 3:
        connection.request("GET", path)
        connection.getresponse().read()

    assert [each.status for each in recorder.requests] == [503] * 4 + [200] * 2


RATES = {Fault.SLOW_DOWN: 0.2, Fault.RESET_AFTER: 0.1}


class TestFaults:
    def test_rates_are_kept(self) -> None:
        chosen = [Faults(7, RATES).choose(request(f"/{number}"), 0) for number in range(5000)]

        assert chosen.count(Fault.SLOW_DOWN) / 5000 == pytest.approx(0.2, abs=0.02)
        assert chosen.count(Fault.RESET_AFTER) / 5000 == pytest.approx(0.1, abs=0.02)
        assert chosen.count(None) / 5000 == pytest.approx(0.7, abs=0.02)

    @pytest.mark.parametrize(
        "other",
        [
            (Faults(8, RATES), "PUT", 0),
            (Faults(7, RATES), "GET", 0),
            (Faults(7, RATES), "PUT", 1),
        ],
        ids=["seed", "method", "repetition"],
    )
    def test_seed_method_and_repetition_make_a_difference(
        self, other: tuple[Faults, str, int]
    ) -> None:
        faults, method, asked = other
        paths = [f"/{number}" for number in range(100)]

        first = [Faults(7, RATES).choose(request(path), 0) for path in paths]
        second = [faults.choose(request(path, method), asked) for path in paths]

        assert first != second

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (request("/collectfasta-" + "0" * 32), request("/collectfasta-" + "f" * 32)),
            (
                request("/a", query="partNumber=1&uploadId=x"),
                request("/a", query="partNumber=1&uploadId=y"),
            ),
            (request("/o", query="upload_id=x"), request("/o", query="upload_id=y")),
        ],
        ids=["bucket", "S3 upload", "GCS upload"],
    )
    def test_what_another_run_names_otherwise_makes_none(
        self, first: Request, second: Request
    ) -> None:
        for seed in range(100):
            assert Faults(seed, RATES).choose(first, 0) == Faults(seed, RATES).choose(second, 0)

    def test_more_than_all_can_not_go_wrong(self) -> None:
        with pytest.raises(ValueError, match="More faults"):
            Faults(1, {Fault.SLOW_DOWN: 0.7, Fault.DELAY: 0.7})

    def test_order_and_threads_make_no_difference(self, recorder: Recorder) -> None:
        rates = {Fault.SLOW_DOWN: 0.3, Fault.RESET_BEFORE: 0.3}
        runs = []
        for threads in (1, 8):
            recorder.reset()
            recorder.disturb(Faults(3, rates))
            paths = [f"/{number}" for number in range(40)]
            random.Random(threads).shuffle(paths)
            with ThreadPoolExecutor(threads) as executor:
                list(executor.map(lambda path: self.ask(recorder, path), paths))
            runs.append({each.path: each.fault for each in recorder.requests})

        assert runs[0] == runs[1]
        assert {*runs[0].values()} == {None, *rates}

    @staticmethod
    def ask(recorder: Recorder, path: str) -> None:
        connection = http.client.HTTPConnection(urlsplit(recorder.url).netloc, timeout=10)
        try:
            connection.request("PUT", path, b"1")
            connection.getresponse().read()
        except ConnectionError:
            pass
        finally:
            connection.close()


def test_upload_to_google_is_known_by_its_objects_name(recorder: Recorder) -> None:
    body = b'--b\r\ncontent-type: application/json\r\n\r\n{"name": "a\\u00fc \\"b"}\r\n--b--'
    connection = http.client.HTTPConnection(urlsplit(recorder.url).netloc, timeout=10)

    connection.request("PUT", "/upload/storage/v1/b/bucket/o?uploadType=multipart", body)
    connection.getresponse().read()
    connection.close()

    assert [each.subject for each in recorder.requests] == ['a\u00fc "b']


def test_each_cloud_answers_in_its_own_words(recorded_cloud: RecordedCloud) -> None:
    words = {
        "S3Cloud": ("SlowDown", "TooManyRequests", "AccessDenied"),
        "GoogleCloud": ('"code": 503', "rateLimitExceeded", "forbidden"),
        "AzureCloud": ("ServerBusy", "TooManyRequests", "AuthorizationPermissionMismatch"),
    }[type(recorded_cloud).__name__]
    faults = (Fault.SLOW_DOWN, Fault.TOO_MANY_REQUESTS, Fault.FORBIDDEN)
    url = urlsplit(recorded_cloud.recorder.url)
    for fault, word in zip(faults, words, strict=True):
        recorded_cloud.recorder.reset()
        recorded_cloud.recorder.disturb(Faults.each(fault))
        connection = http.client.HTTPConnection(url.netloc, timeout=10)

        connection.request("GET", f"/{recorded_cloud.name}")
        body = connection.getresponse().read().decode("utf-8-sig")
        connection.close()

        assert word in body
