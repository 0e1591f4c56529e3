"""The choice between the engines for S3: the fast one, and the one that can send everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import IO, Any, TypeVar

from collectfasta import settings
from collectfasta.remote import Page
from collectfasta.strategies.s3 import S3Engine, S3Object, UnsupportedError

T = TypeVar("T")


class CombinedEngine:
    """Make each request by obstore where that sends what the storage would, else by boto3.

    A boto3 client costs more time to make than obstore needs to send a few hundred files, so it is
    made when the first request wants it.

    Args:
        storage: The S3Storage whose session, configuration and bucket are used.
        threads: How many threads will use it at a time.
    """

    def __init__(self, storage: Any, threads: int) -> None:
        self._storage = storage
        self._threads = threads
        self._lock = Lock()
        self._reasons: dict[str, None] = {}
        self._fast = self._make_fast()
        self._fast_serves = True

    def _make_fast(self) -> S3Engine | None:
        if settings.s3_engine == "boto3":
            self._reasons["COLLECTFASTA_S3_ENGINE"] = None
            return None
        try:
            from collectfasta.strategies.s3_obstore import ObstoreEngine

            return ObstoreEngine(self._storage)
        except ImportError:
            self._reasons["obstore is not installed"] = None
        except UnsupportedError as error:
            self._reasons[str(error)] = None
        return None

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
        made = self._fast, self.__dict__.get("_exact")
        return [engine for engine in made if engine is not None]

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
        # Waits for a client that is being made: what it was made for is under way.
        with self._lock:
            for engine in self._engines:
                engine.abort()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects by 1,000 a request; missing ones are no error."""
        self._do(lambda engine: engine.delete(keys))

    def _do(self, request: Callable[[S3Engine], T]) -> T:
        if self._fast is not None and self._fast_serves:
            try:
                return request(self._fast)
            except UnsupportedError as error:
                self._reasons[str(error)] = None
                if error.lasting:
                    self._fast_serves = False
        return request(self.exact)


def _from_start(body: T) -> T:
    """Return a body that an engine may have begun to read, to be read by another."""
    if not isinstance(body, (bytes, str)):
        stream: Any = body
        stream.seek(0)
    return body
