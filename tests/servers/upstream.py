"""The way from a proxy to its server: bodies that pass in pieces, and connections."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from collections.abc import Iterator
from email.message import Message
from itertools import chain
from typing import BinaryIO
from urllib.parse import urlsplit

PIECE = 128 * 1024
_TIMEOUT_SECONDS = 60.0
# Servers close idle connections (Azurite after 5 s). One that is about to be closed looks open.
_REUSE_SECONDS = 1.0


class ClientGone(ConnectionError):
    """The client closed its connection within a request."""


class Body:
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

    def read(self, size: int) -> None:
        """Read so many bytes from the wire, after which it can't be read on."""
        self.size += len(self._stream.read(size))

    def _pieces(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self._stream.read(min(length, PIECE))
            if not piece:
                raise ClientGone
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
        line = self._stream.readline(PIECE)
        if not line.endswith(b"\n"):
            raise ClientGone
        return line


class Server:
    """Where a server is.

    Args:
        url: Its URL, without a path. The certificate of an https one has to be one that OpenSSL
            trusts; the variable ``SSL_CERT_FILE`` can name others.

    Attributes:
        name: What its ``Host`` header is.
        origin: Its URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.hostname is None:
            raise ValueError(f"{url!r} is no URL of a server.")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._address = (parts.hostname, parts.port or (443 if self._tls else 80))
        self.name = parts.netloc
        self.origin = f"{parts.scheme}://{parts.netloc}"

    def connect(self) -> socket.socket:
        """Return a new connection."""
        connection = socket.create_connection(self._address, _TIMEOUT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_hostname=self._address[0])


class Upstream:
    """A connection to the server, kept from request to request."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._socket: socket.socket | None = None
        self._used_at = 0.0

    def send(self, method: str, head: bytes, body: Body) -> http.client.HTTPResponse:
        """Send a request and return the head of its answer, with the body still to be read.

        Raises:
            OSError, HTTPException: The server is gone, or talks no HTTP.
            ClientGone: The client went away before the end of its body.
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
            self._socket = self._server.connect()
        return self._socket

    def _is_stale(self, connection: socket.socket) -> bool:
        idle = time.monotonic() - self._used_at
        # Readable between two requests means closed by the server.
        return idle > _REUSE_SECONDS or _is_readable(connection)

    def _send(self, connection: socket.socket, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                # A server may answer and close before it has read everything. Its answer counts.
                break
        for _ in pieces:
            pass


def _is_readable(connection: socket.socket) -> bool:
    # select() takes no descriptor above 1,023, and a worker has that many tests behind it.
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
