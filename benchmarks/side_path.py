"""Ask the fast S3 server about its buckets, and tell it things, beside what clients ask it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from benchmarks.object_store import ObjectStore
from benchmarks.s3_answers import Answer

_LATENCY = "/-/latency"
_BUCKETS = "/-/buckets/"
_JSON = {"Content-Type": "application/json"}


@dataclass
class Latency:
    """By what a server holds back its answers.

    Attributes:
        seconds: As it says.
        is_distant: Each "100 Continue" is held back for as long.
    """

    seconds: float
    is_distant: bool = False


@dataclass(frozen=True)
class BucketState:
    """What a bucket holds and was asked for.

    Attributes:
        objects: The MD5 of each object's bytes, in hexadecimal, by key.
        requests: How many requests of each kind were made.
        bytes_sent: How many bytes their bodies had.
        server_cpu_seconds: What the whole server has worked since its start.
    """

    objects: Mapping[str, str]
    requests: Mapping[str, int]
    bytes_sent: int
    server_cpu_seconds: float


@dataclass(frozen=True)
class FastS3Server:
    """A server that runs. It takes any credentials and has every bucket from the start, empty."""

    endpoint: str

    def look_at(self, bucket: str) -> BucketState:
        """Return what a bucket holds and was asked for."""
        return BucketState(**json.loads(self._ask("GET", _BUCKETS + bucket)))

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes; none if it does not exist."""
        return self._ask("GET", f"{_BUCKETS}{bucket}/{quote(key)}")

    def forget(self, bucket: str) -> None:
        """Free a bucket's memory: it is empty and unasked again."""
        self._ask("DELETE", _BUCKETS + bucket)

    def copy(self, source: str, target: str, age: float) -> None:
        """Let a bucket hold what another one holds, and be unasked.

        Args:
            source: The name of the bucket that is copied.
            target: The name of the bucket that is replaced.
            age: Seconds since when the objects have been there.
        """
        query = urlencode({"source": source, "age": age})
        self._ask("PUT", f"{_BUCKETS}{target}?{query}")

    def hold_back(self, latency: float) -> None:
        """Hold back each answer from now on.

        Args:
            latency: By how many seconds.
        """
        self._ask("PUT", f"{_LATENCY}?{urlencode({'seconds': latency})}")

    def _ask(self, method: str, target: str) -> bytes:
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc)
        try:
            connection.request(method, target)
            return connection.getresponse().read()
        finally:
            connection.close()


def is_aside(target: str) -> bool:
    """Return whether a request's target is beside S3."""
    return target.startswith((_BUCKETS, _LATENCY))


def answer_aside(store: ObjectStore, latency: Latency, method: str, target: str) -> Answer:
    """Do what ``FastS3Server`` asks for.

    Args:
        store: The server's buckets.
        latency: The server's latency.
        method: The request's method.
        target: The request's target.
    """
    url = urlsplit(target)
    query = dict(parse_qsl(url.query))
    if url.path == _LATENCY:
        latency.seconds = float(query["seconds"])
        return Answer(204)
    name, _, key = unquote(url.path.removeprefix(_BUCKETS)).partition("/")
    if method == "DELETE":
        store.forget(name)
        return Answer(204)
    if method == "PUT":
        store.copy(query["source"], name, float(query["age"]))
        return Answer(204)
    if key:
        stored = store.bucket(name).objects.get(key)
        return Answer(200, stored.body) if stored else Answer(404)
    return _state(store, name)


def _state(store: ObjectStore, name: str) -> Answer:
    bucket = store.bucket(name)
    state = {
        "objects": {key: each.checksum for key, each in bucket.objects.items()},
        "requests": bucket.requests,
        "bytes_sent": bucket.bytes_sent,
        "server_cpu_seconds": time.process_time(),
    }
    return Answer(200, json.dumps(state).encode(), _JSON)
