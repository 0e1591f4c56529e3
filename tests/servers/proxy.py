"""An HTTP proxy in front of one server, which lets someone watch each request and interfere.

Request targets and headers pass through byte for byte (signatures cover them), bodies pass through
in pieces and are never held.

It can be called in place of the server, or as an HTTP proxy (RFC 9112, section 3.2.2) by a client
that has to call the server by its own name. Either way the client calls it by http, also where it
talks TLS to the server.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Iterable
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from typing import Any, Protocol

from .messages import Answer, Fault, Interference, Request
from .process import HOST
from .upstream import PIECE, Body, ClientGone, Server, Upstream

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})
# What a target begins with when a client takes this for its proxy.
_ORIGIN = re.compile(rb"\Ahttps?://[^/?]+", re.IGNORECASE)
# Within the resource that an upload to Google's JSON API begins with.
_SUBJECT = re.compile(rb'"name": *("(?:[^"\\]|\\.)*")')
# Close without a word of parting: RST in the place of FIN (socket(7)).
_NO_LINGER = struct.pack("ii", 1, 0)


class Watcher(Protocol):
    """Who is told of the requests; by several threads."""

    def arrived(self, request: Request) -> int:
        """Note that the head of a request has come, and return a number for it."""

    def interfere(self, number: int, request: Request) -> Interference:
        """Say what to do with it."""

    def answered(self, number: int, body_size: int, status: int) -> None:
        """Note how large its body was and what the server said."""


class Proxy(ThreadingHTTPServer):
    """The proxy, on a free loopback port.

    Args:
        server: What it stands before.
        watcher: Who is told.
        rewrites_host: Whether the server gets its own name in the ``Host`` header.
        tls: What to talk TLS to the client with.

    Attributes:
        ahead: How much later a time the answers tell than the server does.
    """

    ahead = timedelta()
    daemon_threads = True
    # The default of 5 drops connections when many threads connect at once.
    request_queue_size = 256

    def __init__(
        self, server: Server, watcher: Watcher, *, rewrites_host: bool, tls: ssl.SSLContext | None
    ) -> None:
        self.upstream = server
        self.watcher = watcher
        self.headers = {"host": server.name} if rewrites_host else {}
        self.scheme = "https" if tls else "http"
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((HOST, 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        """The URL to use in place of the server's."""
        return f"{self.scheme}://{HOST}:{self.server_address[1]}"

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
        if _is_to_be_reset(request):
            # Without a shutdown, which would send a FIN first.
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is a thing to test, not an error of the proxy.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _is_to_be_reset(connection: socket.socket) -> bool:
    size = len(_NO_LINGER)
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, size) == _NO_LINGER


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Buffered: a small answer is one segment. Flushed after each request.
    wbufsize = -1
    server: Proxy
    rfile: BufferedReader
    raw_requestline: bytes

    def setup(self) -> None:
        super().setup()
        self._watcher = self.server.watcher
        self._upstream = Upstream(self.server.upstream)

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
        number = self._watcher.arrived(request)
        body = Body(self.rfile, self.headers)
        interference = self._watcher.interfere(number, request)
        if isinstance(interference, Answer):
            body.drain()
            self._watcher.answered(number, body.size, interference.status)
            self._write_answer(interference)
        elif interference is Fault.TIMEOUT:
            body.drain()
            self._hang()
        elif interference is Fault.RESET_BEFORE:
            self._reset()
        elif interference is Fault.RESET_DURING:
            body.read(request.body_size // 2)
            self._reset()
        else:
            self._forward(number, target, body, interference)

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _serve

    def _request(self, target: str) -> Request:
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = int(headers.get("content-length", 0))
        subject = ""
        if length and path.startswith("/upload/"):
            # Looked at, not read.
            found = _SUBJECT.search(self.rfile.peek())
            subject = json.loads(found[1]) if found else ""
        return Request(self.command, path, query, headers, length, subject=subject)

    def _hang(self) -> None:
        # Until the client gives up, or the proxy is closed.
        self.rfile.read(1)
        self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        raise ConnectionError("reset")

    def _head(self, target: bytes) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (self.command.encode("latin-1"), target)]
        lines += [
            f"{name}: {self.server.headers.get(name.lower(), value)}".encode("latin-1")
            for name, value in self.headers.items()
            # It has been answered here.
            if name.lower() != "expect"
        ]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _forward(self, number: int, target: bytes, body: Body, fault: Fault | None) -> None:
        try:
            response = self._upstream.send(self.command, self._head(target), body)
        except ClientGone:
            # What the server has got is no whole request: it must not take it for one.
            self._upstream.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            self._upstream.close()
            body.drain()
            self._watcher.answered(number, body.size, 502)
            self._write_answer(Answer(502, f"No answer: {error!r}".encode()))
            return
        # Before the client can see the answer, so that it finds the record complete.
        self._watcher.answered(number, body.size, response.status)
        if fault is Fault.RESET_AFTER:
            response.read()
            self._reset()
        self._write_response(response, is_cut=fault is Fault.TRUNCATE)
        self._upstream.release(response)

    def _write_answer(self, answer: Answer) -> None:
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        self.wfile.write(_head_of(answer.status, "", headers.items()))
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _write_response(self, response: http.client.HTTPResponse, *, is_cut: bool) -> None:
        changed = {"location": self._led_here, "date": self._later}
        headers = [
            (name, changed.get(name.lower(), str)(value))
            for name, value in response.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        # None: chunked, or ended by closing the connection. HTTPResponse has undone either.
        chunked = response.length is None
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        head = _head_of(response.status, response.reason, headers)
        if is_cut:
            self._write_half(head, response.read(), chunked=chunked)
            return
        self.wfile.write(head)
        while piece := response.read(PIECE):
            self.wfile.write(_chunk(piece) if chunked else piece)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        elif response.length:
            raise ConnectionError("The server went away within a body.")

    def _write_half(self, head: bytes, content: bytes, *, chunked: bool) -> None:
        """Write half of a body, or only the status of an answer that has none, and hang up."""
        body = _chunk(content) if chunked else content
        status = head[: head.index(b"\r\n") + 2]
        self.wfile.write(head + body[: len(body) // 2] if content else status)
        self.close_connection = True

    def _later(self, date: str) -> str:
        return format_datetime(parsedate_to_datetime(date) + self.server.ahead, usegmt=True)

    def _led_here(self, location: str) -> str:
        """Make a URL at the server one that the client reaches through the proxy."""
        path = location.removeprefix(self.server.upstream.origin)
        is_there = path != location and path.startswith("/")
        here = f"{self.server.scheme}://{self.headers['Host']}"
        return here + path if is_there else location


def _head_of(status: int, reason: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)
