"""A fast S3 server in a process of its own, to measure clients that a slower one would hold up.

Each answer is held back for the latency that it is started with, and requests of different
connections wait side by side. Where the latency stands for a distance, a "100 Continue" is held
back too: a request that asks for it then takes two round trips, as it does in a network.

What a bucket holds and was asked for is told on a side path, which is neither counted nor held
back (``side_path.py``).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from benchmarks.object_store import ObjectStore, Request
from benchmarks.s3_answers import Answer
from benchmarks.side_path import FastS3Server, Latency, answer_aside, is_aside
from tests.servers.process import HOST, running

__all__ = ["FastS3Server", "serve"]

_CHECKOUT = Path(__file__).resolve().parent.parent
_HEAD_END = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# More than any client opens at once; the default of 100 makes some wait a second and try again.
_BACKLOG = 1024


@contextmanager
def serve(latency: float, *, is_distant: bool = False) -> Iterator[FastS3Server]:
    """Run a server until the block ends.

    Args:
        latency: Seconds by which each answer is held back.
        is_distant: Hold back each "100 Continue" for as long.

    Raises:
        ServerError: It does not start.
    """

    def command(port: int) -> list[str]:
        distance = ["distant"] if is_distant else []
        return [sys.executable, "-m", "benchmarks.fast_s3", str(port), str(latency), *distance]

    with running("fast-s3", command, {"PYTHONPATH": str(_CHECKOUT)}) as url:
        yield FastS3Server(url)


@dataclass(frozen=True)
class _Head:
    """The head of a request, its headers' names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))

    @property
    def expects_continue(self) -> bool:
        return self.headers.get("expect", "").lower() == "100-continue"

    @property
    def is_last(self) -> bool:
        # Where a chunked body ends is not looked for: the store refuses it.
        is_chunked = "transfer-encoding" in self.headers
        return is_chunked or self.headers.get("connection", "").lower() == "close"

    @property
    def is_framed(self) -> bool:
        return self.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")


class _Connection(asyncio.Protocol):
    """One client's connection: a request, its answer, the next request.

    Args:
        store: Answers.
        latency: By what answers are held back.
    """

    _transport: asyncio.Transport

    def __init__(self, store: ObjectStore, latency: Latency) -> None:
        self._store = store
        self._latency = latency
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._held_back: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._held_back:
            self._held_back.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._proceed()

    def _proceed(self) -> None:
        while self._held_back is None and not self._transport.is_closing():
            if self._head is None:
                self._head = self._take_head()
            if self._head is None or len(self._buffer) < self._head.length:
                return
            head, self._head = self._head, None
            self._answer(head, self._take(head.length))

    def _take_head(self) -> _Head | None:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return None
        head = _parse_head(self._take(end + len(_HEAD_END)))
        if head.expects_continue and len(self._buffer) < head.length:
            self._invite()
        return head

    def _invite(self) -> None:
        if self._latency.is_distant and self._latency.seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(self._latency.seconds, self._transport.write, _CONTINUE)
        else:
            self._transport.write(_CONTINUE)

    def _take(self, size: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return taken

    def _answer(self, head: _Head, body: bytes) -> None:
        if is_aside(head.target):
            self._send(head, answer_aside(self._store, self._latency, head.method, head.target))
            return
        answer = self._store.answer(_request(head, body))
        if self._latency.seconds:
            loop = asyncio.get_running_loop()
            self._held_back = loop.call_later(self._latency.seconds, self._release, head, answer)
        else:
            self._send(head, answer)

    def _release(self, head: _Head, answer: Answer) -> None:
        self._held_back = None
        self._send(head, answer)
        self._proceed()

    def _send(self, head: _Head, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(answer.body)}")
        text = "\r\n".join(lines).encode("latin-1") + _HEAD_END
        self._transport.write(text if head.method == "HEAD" else text + answer.body)
        if head.is_last:
            self._transport.close()


def _parse_head(content: bytes) -> _Head:
    first, *lines = content.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return _Head(method, target, headers)


def _request(head: _Head, body: bytes) -> Request:
    path, _, query = head.target.partition("?")
    bucket, _, key = path[1:].partition("/")
    parameters = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
    content = _without_frames(body) if head.is_framed else body
    return Request(head.method, bucket, unquote(key), parameters, head.headers, content)


def _without_frames(body: bytes) -> bytes:
    """Return the content of a stream that is signed or checksummed piece by piece.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    pieces, position, size = [], 0, -1
    while size:
        end = body.index(b"\r\n", position)
        size = int(body[position:end].partition(b";")[0], 16)
        pieces.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    return b"".join(pieces)


async def _listen(port: int, latency: Latency) -> None:
    loop = asyncio.get_running_loop()
    connection = partial(_Connection, ObjectStore(), latency)
    server = await loop.create_server(connection, HOST, port, backlog=_BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    number, seconds, *distance = sys.argv[1:]
    asyncio.run(_listen(int(number), Latency(float(seconds), is_distant=bool(distance))))
