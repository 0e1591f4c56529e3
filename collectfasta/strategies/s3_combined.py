"""The choice between the engines for S3: the fast one, and the one that can send everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from threading import Lock
from typing import IO, Any, TypeVar

from collectfasta import settings
from collectfasta.remote import Page
from collectfasta.strategies.s3 import S3Engine, S3Object, UnsupportedError

T = TypeVar("T")


class CombinedEngine:
    """Make each request by an engine that is faster than boto3 if one sends what boto3 would.

    That is obstore, and where it can't say something awscrt, if they are installed. A boto3 client
    costs more time to make than they need to send a few hundred files, so it is made when the
    first request wants it.

    Args:
        storage: The S3Storage whose session, configuration and bucket are used.
        threads: How many threads will use it at a time.
    """

    def __init__(self, storage: Any, threads: int) -> None:
        self._storage = storage
        self._threads = threads
        self._lock = Lock()
        # In the order in which they were met; a dict, because several threads may add to it.
        self._reasons: dict[str, None] = {}
        self._fast: list[S3Engine] = []
        self._is_given_up = False
        if settings.s3_engine == "boto3":
            self._reasons["COLLECTFASTA_S3_ENGINE"] = None
            return
        try:
            self._fast = [*_make_fast(storage, threads)]
        except UnsupportedError as error:
            self._reasons[str(error)] = None

    @cached_property
    def _exact(self) -> S3Engine:
        from collectfasta.strategies.s3_boto3 import Boto3Engine

        return Boto3Engine(self._storage, self._threads)

    @property
    def exact(self) -> S3Engine:
        """The engine that can make every request."""
        with self._lock:
            return self._exact

    @property
    def _engines(self) -> list[S3Engine]:
        exact = self.__dict__.get("_exact")
        return [*self._fast, *([exact] if exact else [])]

    @property
    def name(self) -> str:
        """The engines that were used, and why not the fast one alone."""
        names = [engine.name for engine in self._engines if engine.requests]
        reasons = f" ({'; '.join(self._reasons)})" if "boto3" in names else ""
        return " and ".join(names) + reasons

    @property
    def requests(self) -> int:
        """How many requests were made so far."""
        return sum(engine.requests for engine in self._engines)

    def list_page(self, prefix: str, start_after: str) -> Page[S3Object]:
        """List up to 1,000 objects under a prefix, after a key."""
        return self._do(lambda engine: engine.list_page(prefix, start_after))

    def head(self, key: str, parameters: Mapping[str, Any]) -> S3Object | None:
        """Return what S3 says of an object, None if there is none."""
        return self._do(lambda engine: engine.head(key, parameters))

    def get(self, key: str, parameters: Mapping[str, Any]) -> bytes:
        """Return an object's content."""
        return self._do(lambda engine: engine.get(key, parameters))

    def put(
        self, key: str, body: bytes | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store ``size`` bytes in one request and return the ETag."""
        return self._do(lambda engine: engine.put(key, _from_start(body), size, parameters))

    def put_parts(
        self, key: str, body: str | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store a large file, named by its path or open, in parts and return the ETag."""
        return self._do(lambda engine: engine.put_parts(key, _from_start(body), size, parameters))

    def abort(self) -> None:
        """Abort the uploads in parts that are under way; their callers get an error."""
        for engine in self._engines:
            engine.abort()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects by 1,000 a request; missing ones are no error."""
        self._do(lambda engine: engine.delete(keys))

    def _do(self, request: Callable[[S3Engine], T]) -> T:
        reason = ""
        for engine in () if self._is_given_up else self._fast:
            try:
                return request(engine)
            except UnsupportedError as error:
                # That of the first: it does the most.
                reason = reason or str(error)
                self._is_given_up = self._is_given_up or error.lasting
        if reason:
            self._reasons[reason] = None
        return request(self.exact)


def _make_fast(storage: Any, threads: int) -> Iterator[S3Engine]:
    """Make the fast engines that can stand in for the storage's boto3 client.

    Raises:
        UnsupportedError: None can.
    """
    if not find_spec("obstore"):
        raise UnsupportedError("obstore is not installed")
    from collectfasta.strategies.s3_connection import connection_of
    from collectfasta.strategies.s3_obstore import ObstoreEngine

    connection = connection_of(storage)
    yield ObstoreEngine(connection, storage.transfer_config)
    if find_spec("awscrt"):
        from collectfasta.strategies.s3_crt import CrtEngine

        yield CrtEngine(connection, threads)


def _from_start(body: T) -> T:
    """Return a body that an engine may have begun to read, to be read by another."""
    if not isinstance(body, (bytes, str)):
        stream: Any = body
        stream.seek(0)
    return body
