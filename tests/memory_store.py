"""A store in memory, for tests: it counts, orders and fails on demand."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import count
from typing import Any, NamedTuple

from typing_extensions import override

from collectfasta.checksums import Checksum, new_md5
from collectfasta.errors import StoreError
from collectfasta.remote import Listed
from collectfasta.source import Body, Payload
from collectfasta.stores.store import PAGE_SIZE, Entry, Page, Store


class Call(NamedTuple):
    """A request to a MemoryStore.

    Attributes:
        verb: ``LIST``, ``HEAD``, ``GET``, ``PUT`` or ``DELETE``.
        key: The object's, or the first that is wanted or deleted.
    """

    verb: str
    key: str


@dataclass
class MemoryObject:
    """An object in a Bucket."""

    body: bytes
    headers: dict[str, Any]
    version: str
    last_modified: datetime


@dataclass
class Bucket:
    """What a MemoryStore keeps, which lives longer than the store.

    Attributes:
        objects: The objects by key.
        calls: The requests made so far, in their order.
        fail: Called before each request is carried out; what it raises is the answer.
        lose: Called when an object is stored or deleted; what it raises is the answer.
        has_checksums: Whether listings have MD5s.
        page_size: How many objects a page of a listing has.
    """

    objects: dict[str, MemoryObject] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    fail: Callable[[Call], object] = lambda call: None
    lose: Callable[[Call], object] = lambda call: None
    has_checksums: bool = True
    page_size: int = PAGE_SIZE
    versions: Any = field(default_factory=lambda: count(1))
    lock: Any = field(default_factory=threading.RLock)

    def put(self, key: str, body: bytes, headers: Mapping[str, Any] | None = None) -> MemoryObject:
        """Store an object, past the store."""
        with self.lock:
            version = str(next(self.versions))
            now = datetime.now(timezone.utc)
            stored = MemoryObject(body, dict(headers or {}), version, now)
            self.objects[key] = stored
            return stored

    def request(self, verb: str, key: str) -> Call:
        """Count a request, and fail where that is asked for."""
        call = Call(verb, key)
        self.calls.append(call)
        self.fail(call)
        return call


class MemoryStore(Store):
    """The objects of a Bucket.

    Args:
        storage: Has a ``location`` and the ``bucket``.
    """

    default_threads = 4

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        location = str(storage.location).strip("/")
        self.prefix = f"{location}/" if location else ""
        self.bucket: Bucket = storage.bucket
        self._before = len(self.bucket.calls)
        self._aborted = threading.Event()

    @property
    @override
    def url(self) -> str:
        return f"memory://{self.prefix}"

    @property
    @override
    def identity(self) -> str | None:
        return f"memory {id(self.bucket)} {self.prefix}"

    @property
    @override
    def requests(self) -> int | None:
        return len(self.bucket.calls) - self._before

    @override
    def key(self, name: str) -> str:
        clean = posixpath.normpath(name).lstrip("/")
        if "\0" in name or clean.startswith("../"):
            raise ValueError("no object can have this name")
        return self.prefix + clean

    @override
    def payload(self, key: str, content: Any) -> Payload:
        return Payload(content, self.saves_itself, dict(getattr(self.storage, "headers", {})))

    def _describe(self, stored: MemoryObject) -> Listed:
        checksum = None
        if self.bucket.has_checksums:
            checksum = Checksum("md5", new_md5(stored.body).hexdigest())
        return Listed(stored.version, len(stored.body), checksum, stored.last_modified)

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        self.bucket.request("LIST", start or token)
        with self.bucket.lock:
            keys = [
                key
                for key in sorted(self.bucket.objects)
                if key.startswith(prefix) and key >= start and key > max(token, after)
            ]
            size = self.bucket.page_size
            shown = keys[:size]
            entries = [Entry(key, self._describe(self.bucket.objects[key])) for key in shown]
        return Page(entries, shown[-1] if len(keys) > size else None)

    @override
    def head(self, key: str) -> Listed | None:
        self.bucket.request("HEAD", key)
        stored = self.bucket.objects.get(key)
        return self._describe(stored) if stored else None

    @override
    def get(self, key: str) -> bytes:
        self.bucket.request("GET", key)
        if key not in self.bucket.objects:
            raise StoreError(f"there is no {key!r}", kind="404", missing=True)
        return self.bucket.objects[key].body

    @override
    def put(self, key: str, body: Body, headers: Mapping[str, Any]) -> Listed:
        call = self.bucket.request("PUT", key)
        content = body.whole()
        if self._aborted.is_set():
            raise InterruptedError("interrupted")
        stored = self.bucket.put(key, content, headers)
        self.bucket.lose(call)
        return self._describe(stored)

    @override
    def delete(self, keys: Sequence[str]) -> None:
        call = self.bucket.request("DELETE", next(iter(keys), ""))
        for key in keys:
            self.bucket.objects.pop(key, None)
        self.bucket.lose(call)

    @override
    def abort(self) -> None:
        self._aborted.set()
