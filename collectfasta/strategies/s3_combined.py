"""The choice between the engines for S3: the fast one, and the one that can send everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from collectfasta import settings
from collectfasta.remote import Page
from collectfasta.strategies.s3 import S3Engine, S3Object, S3Sender, UnsupportedError

if TYPE_CHECKING:
    from collectfasta.strategies.s3_connection import S3Connection

T = TypeVar("T")

# As botocore's credentials have them, those that expire with an underscore.
_SECRETS = ("secret_key", "token", "_secret_key", "_token")


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
        self._fast: S3Engine | None = None
        self._connection: S3Connection | None = None
        self._is_given_up = False
        try:
            self._make_fast()
        except UnsupportedError as error:
            self._reasons[str(error)] = None

    def _make_fast(self) -> None:
        """Make the fast engines that can stand in for the storage's boto3 client.

        Raises:
            UnsupportedError: None can.
        """
        if settings.s3_engine == "boto3":
            raise UnsupportedError("COLLECTFASTA_S3_ENGINE")
        try:
            from collectfasta.strategies.s3_obstore import ObstoreEngine
        except ImportError:
            raise UnsupportedError("obstore is not installed") from None
        from collectfasta.strategies.s3_connection import connection_of

        self._connection = connection_of(self._storage)
        self._fast = ObstoreEngine(self._connection, self._storage.transfer_config)

    @cached_property
    def _sender(self) -> S3Sender | None:
        connection = self._connection
        if connection is None or connection.proxy or not find_spec("awscrt"):
            return None
        from collectfasta.strategies.s3_crt import CrtSender

        return CrtSender(connection, self._threads)

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
    def _made(self) -> list[Any]:
        known = vars(self)
        made = self._fast, known.get("_sender"), known.get("_exact")
        return [engine for engine in made if engine is not None]

    @property
    def secrets(self) -> list[str]:
        """The keys and tokens that requests were signed with."""
        users = [self._connection, vars(self).get("_exact")]
        found = [vars(each.credentials) for each in users if each and each.credentials]
        # Not asked for by their properties, which may refresh them.
        values = (each.get(name) for each in found for name in _SECRETS)
        return [value for value in values if value]

    @property
    def name(self) -> str:
        """The engines that were used, and why not the fast one alone."""
        names = [engine.name for engine in self._made if engine.requests]
        reasons = f" ({'; '.join(self._reasons)})" if "boto3" in names else ""
        return " and ".join(names) + reasons

    @property
    def requests(self) -> int:
        """How many requests were made so far."""
        return sum(engine.requests for engine in self._made)

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
        return self._do(
            lambda engine: engine.put(key, _from_start(body), size, parameters), is_put=True
        )

    def put_parts(
        self, key: str, body: str | IO[bytes], size: int, parameters: Mapping[str, Any]
    ) -> str:
        """Store a large file, named by its path or open, in parts and return the ETag."""
        return self._do(lambda engine: engine.put_parts(key, _from_start(body), size, parameters))

    def abort(self) -> None:
        """Abort the uploads in parts that are under way; their callers get an error."""
        # Waits for a client that is being made: what it was made for is under way.
        with self._lock:
            made = self._made
        for engine in made:
            # What a sender sends is small, and ends by itself.
            if hasattr(engine, "abort"):
                engine.abort()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects by 1,000 a request; missing ones are no error."""
        self._do(lambda engine: engine.delete(keys))

    def _do(self, request: Callable[[S3Engine], T], *, is_put: bool = False) -> T:
        reason = ""
        for engine in self._fast_ones(is_put=is_put):
            try:
                return request(engine)
            except UnsupportedError as error:
                # That of the first: it does the most.
                reason = reason or str(error)
                if error.lasting:
                    self._is_given_up = True
        if reason:
            self._reasons[reason] = None
        return request(self.exact)

    def _fast_ones(self, *, is_put: bool) -> Iterator[S3Engine]:
        if self._fast and not self._is_given_up:
            yield self._fast
        if is_put and not self._is_given_up:
            with self._lock:
                sender = self._sender
            if sender:
                # Asked for no more than it can.
                yield cast("S3Engine", sender)


def _from_start(body: T) -> T:
    """Return a body that an engine may have begun to read, to be read by another."""
    if not isinstance(body, (bytes, str)):
        stream: Any = body
        stream.seek(0)
    return body
