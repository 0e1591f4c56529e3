"""A proxy that records every request and can interfere with it.

It stands between a storage and its server, so that a test can assert what went over the wire, make
chosen requests fail, or act at an exact moment. Request targets and headers pass through byte for
byte (signatures cover them), bodies pass through in pieces and are never held.

It can be called in place of the server, or as an HTTP proxy (RFC 9112, section 3.2.2) by a client
that has to call the server by its own name. Either way the client calls it by http, also where it
talks TLS to the server.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import socketserver
import ssl
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from .process import HOST

_PIECE = 128 * 1024
_TIMEOUT_SECONDS = 60.0
# Servers close idle connections (Azurite after 5 s). One that is about to be closed looks open.
_REUSE_SECONDS = 1.0
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})
# What a target begins with when a client takes the recorder for its proxy.
_ORIGIN = re.compile(rb"\Ahttps?://[^/?]+", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """One request as the client sent it, and the status of its answer.

    Attributes:
        path: The path of the request target, not decoded.
        query: The query of the request target, not decoded, without the question mark.
        headers: With lower-case names.
        body_size: Bytes of the body, without the framing of a chunked one. While a rule looks at
            the request: its declared length.
        status: The status of the answer; 0 as long as there is none.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(hash=False)
    body_size: int
    status: int = 0


Match = Callable[[Request], bool]


@dataclass(frozen=True)
class _Answer:
    """What the recorder answers by itself."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class _Rule(ABC):
    """Something to do with the requests that match."""

    def __init__(self, match: Match, times: int | None = None) -> None:
        self._match = match
        self._left = times
        self._lock = threading.Lock()

    def apply(self, request: Request) -> _Answer | None:
        """Do it if the request matches and the rule is not used up."""
        return self._act(request) if self._match(request) and self._take() else None

    def _take(self) -> bool:
        with self._lock:
            if self._left == 0:
                return False
            if self._left is not None:
                self._left -= 1
            return True

    @abstractmethod
    def _act(self, request: Request) -> _Answer | None:
        """Return an answer to give instead of the server's, or None to go on."""


class _Fail(_Rule):
    def __init__(self, match: Match, times: int | None, answer: _Answer) -> None:
        super().__init__(match, times)
        self._answer = answer

    def _act(self, request: Request) -> _Answer:
        return self._answer


class _Before(_Rule):
    def __init__(self, match: Match, callback: Callable[[Request], object]) -> None:
        super().__init__(match)
        self._callback = callback

    def _act(self, request: Request) -> None:
        self._callback(request)


class Recorder:
    """A recording proxy on a free loopback port.

    It runs from its construction until `close`, and is a context manager.

    Args:
        upstream: The URL of the server, without a path. The certificate of an https one has to be
            one that OpenSSL trusts; the variable ``SSL_CERT_FILE`` can name others.
        rewrites_host: Whether the server gets its own name in the ``Host`` header, not the one that
            the client called. Signatures of S3 cover the header, those of Azure do not.
        tls: What to talk TLS to the client with, to stand for a live server.
    """

    def __init__(
        self, upstream: str, *, rewrites_host: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(upstream)
        if parts.hostname is None:
            raise ValueError(f"{upstream!r} is no URL of a server.")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._address = (parts.hostname, parts.port or (443 if self._tls else 80))
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"host": parts.netloc} if rewrites_host else {}
        self._lock = threading.Lock()
        self._next_number = 0
        self._requests: dict[int, Request] = {}
        self._rules: list[_Rule] = []
        self._server = _Server(self, tls)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="recorder", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL to use in place of the server's."""
        return f"{self._scheme}://{HOST}:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order of their arrival."""
        with self._lock:
            return list(self._requests.values())

    def clear(self) -> None:
        """Forget the requests so far. Rules stay."""
        with self._lock:
            self._requests.clear()

    def reset(self) -> None:
        """Forget the requests so far and drop all rules."""
        with self._lock:
            self._requests.clear()
            self._rules.clear()

    def fail(
        self,
        match: Match,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
    ) -> None:
        """Answer matching requests instead of forwarding them; their bodies are read first.

        Args:
            match: Says whether a request is meant. Its status is 0 at that time.
            status: The status to answer with.
            body: The body to answer with.
            headers: More headers to answer with.
            times: How many requests to answer; None means all.
        """
        answer = _Answer(status, body, dict(headers or {}))
        self._add_rule(_Fail(match, times, answer))

    def before(self, match: Match, callback: Callable[[Request], object]) -> None:
        """Call back before a matching request is forwarded.

        Args:
            match: Says whether a request is meant. Its status is 0 at that time.
            callback: Runs in the thread that serves the request; the request waits for it.
        """
        self._add_rule(_Before(match, callback))

    def close(self) -> None:
        """Stop listening and cut the connections that are open."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _add_rule(self, rule: _Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def _arrived(self, request: Request) -> int:
        with self._lock:
            number = self._next_number
            self._next_number += 1
            self._requests[number] = request
            return number

    def _answered(self, number: int, body_size: int, status: int) -> None:
        with self._lock:
            request = self._requests.get(number)
            # None: cleared in the meantime.
            if request is not None:
                self._requests[number] = replace(request, body_size=body_size, status=status)

    def _interfere(self, request: Request) -> _Answer | None:
        with self._lock:
            rules = list(self._rules)
        for rule in rules:
            answer = rule.apply(request)
            if answer is not None:
                return answer
        return None

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, _TIMEOUT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_hostname=self._address[0])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # The default of 5 drops connections when many threads connect at once.
    request_queue_size = 256

    def __init__(self, recorder: Recorder, tls: ssl.SSLContext | None) -> None:
        self.recorder = recorder
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((HOST, 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def server_bind(self) -> None:
        # HTTPServer's own asks the name service for the host's name, which can take seconds.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is a thing to test, not an error of the recorder.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _ClientGone(ConnectionError):
    """The client closed its connection within a request."""


class _Body:
    """The body of a request, as pieces of the bytes on the wire.

    Attributes:
        size: Bytes of the body seen so far, without the framing of a chunked one.
    """

    def __init__(self, stream: BinaryIO, headers: Message) -> None:
        self.size = 0
        self._stream = stream
        if headers.get("Transfer-Encoding", "").lower() == "chunked":
            self._rest = self._chunks()
        else:
            self._rest = self._pieces(int(headers.get("Content-Length", 0)))

    def __iter__(self) -> Iterator[bytes]:
        return self._rest

    def drain(self) -> None:
        """Read what is left."""
        for _ in self:
            pass

    def _pieces(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self._stream.read(min(length, _PIECE))
            if not piece:
                raise _ClientGone
            length -= len(piece)
            self.size += len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        length = -1
        while length:
            line = self._line()
            length = int(line.split(b";")[0], 16)
            yield line
            yield from self._pieces(length)
            if length:
                yield self._line()
        yield from self._trailers()

    def _trailers(self) -> Iterator[bytes]:
        line = b""
        while line.strip() or not line:
            line = self._line()
            yield line

    def _line(self) -> bytes:
        line = self._stream.readline(_PIECE)
        if not line.endswith(b"\n"):
            raise _ClientGone
        return line


class _Upstream:
    """A connection to the server, kept from request to request."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._socket: socket.socket | None = None
        self._used_at = 0.0

    def send(self, method: str, head: bytes, body: _Body) -> http.client.HTTPResponse:
        """Send a request and return the head of its answer, with the body still to be read.

        Raises:
            OSError, HTTPException: The server is gone, or talks no HTTP.
            _ClientGone: The client went away before the end of its body.
        """
        connection = self._connection()
        pieces = iter(body)
        # Together with the first piece: a small request is one segment.
        self._send(connection, chain([head + next(pieces, b"")], pieces))
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        return response

    def release(self, response: http.client.HTTPResponse) -> None:
        """Keep the connection for the next request if the server does."""
        self._used_at = time.monotonic()
        if response.will_close:
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connection(self) -> socket.socket:
        if self._socket is not None and self._is_stale(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _is_stale(self, connection: socket.socket) -> bool:
        idle = time.monotonic() - self._used_at
        # Readable between two requests means closed by the server.
        return idle > _REUSE_SECONDS or bool(select.select([connection], [], [], 0)[0])

    def _send(self, connection: socket.socket, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                # A server may answer and close before it has read everything. Its answer counts.
                break
        for _ in pieces:
            pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Buffered: a small answer is one segment. Flushed after each request.
    wbufsize = -1
    server: _Server
    rfile: BinaryIO  # type: ignore[assignment]
    raw_requestline: bytes

    def setup(self) -> None:
        super().setup()
        self._recorder = self.server.recorder
        self._upstream = _Upstream(self._recorder._connect)

    def finish(self) -> None:
        self._upstream.close()
        with contextlib.suppress(ConnectionError):
            super().finish()

    def log_message(self, *args: object) -> None:
        pass

    def handle_expect_100(self) -> bool:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()
        return True

    def _serve(self) -> None:
        # Not self.path, which http.server changes ("//a" becomes "/a").
        target = _ORIGIN.sub(b"", self.raw_requestline.split(b" ")[1])
        request = self._request(target.decode("latin-1"))
        number = self._recorder._arrived(request)
        body = _Body(self.rfile, self.headers)
        answer = self._recorder._interfere(request)
        if answer is None:
            self._forward(number, target, body)
        else:
            body.drain()
            self._recorder._answered(number, body.size, answer.status)
            self._write_answer(answer)

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _serve

    def _request(self, target: str) -> Request:
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = int(headers.get("content-length", 0))
        return Request(self.command, path, query, headers, length)

    def _head(self, target: bytes) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (self.command.encode("latin-1"), target)]
        lines += [
            f"{name}: {self._recorder._headers.get(name.lower(), value)}".encode("latin-1")
            for name, value in self.headers.items()
            # It has been answered here.
            if name.lower() != "expect"
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _forward(self, number: int, target: bytes, body: _Body) -> None:
        try:
            response = self._upstream.send(self.command, self._head(target), body)
        except _ClientGone:
            # What the server has got is no whole request: it must not take it for one.
            self._upstream.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            self._upstream.close()
            body.drain()
            self._recorder._answered(number, body.size, 502)
            self._write_answer(_Answer(502, f"No answer: {error!r}".encode(), {}))
            return
        # Before the client can see the answer, so that it finds the record complete.
        self._recorder._answered(number, body.size, response.status)
        self._write_response(response)
        self._upstream.release(response)

    def _write_answer(self, answer: _Answer) -> None:
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        self._write_head(answer.status, "", headers.items())
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _write_response(self, response: http.client.HTTPResponse) -> None:
        headers = [
            (name, self._led_here(value) if name.lower() == "location" else value)
            for name, value in response.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        # None: chunked, or ended by closing the connection. HTTPResponse has undone either.
        chunked = response.length is None
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        self._write_head(response.status, response.reason, headers)
        while piece := response.read(_PIECE):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif response.length:
            raise ConnectionError("The server went away within a body.")

    def _led_here(self, location: str) -> str:
        """Make a URL at the server one that the client reaches through the recorder."""
        path = location.removeprefix(self._recorder._origin)
        is_there = path != location and path.startswith("/")
        here = f"{self._recorder._scheme}://{self.headers['Host']}"
        return here + path if is_there else location

    def _write_head(self, status: int, reason: str, headers: Iterable[tuple[str, str]]) -> None:
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
