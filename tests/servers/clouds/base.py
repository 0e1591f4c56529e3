"""What all kinds of storage have in common for a test."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypedDict

from typing_extensions import Self, Unpack

from ..recorder import Recorder, Request

DEFAULT_STORAGE = "django.core.files.storage.InMemoryStorage"


@dataclass(frozen=True)
class StoredObject:
    """An object as it is stored.

    Attributes:
        body: The bytes as stored, compressed ones as they are.
        headers: What a deploy sets on an object and a user sees: content type, encoding,
            Cache-Control, metadata and so on, with lower-case names.
    """

    body: bytes
    headers: dict[str, str]


class Properties(TypedDict, total=False):
    """What `Cloud.put` can set on an object."""

    content_type: str
    content_encoding: str
    content_disposition: str
    content_language: str
    cache_control: str
    metadata: dict[str, str]


class Cloud(ABC):
    """One fresh, empty place to deploy to, looked at directly.

    It exists from its construction until `close`, and is a context manager. What its own methods
    do is not recorded.

    Attributes:
        backend: The dotted path of the plain storage class to use.
    """

    backend: str

    @abstractmethod
    def options(self, **more: Any) -> dict[str, Any]:
        """Return the storage's ``OPTIONS``, updated by the arguments."""

    def storages(self, backend: str | None = None, **options: Any) -> dict[str, dict[str, Any]]:
        """Return a whole ``STORAGES`` setting.

        Args:
            backend: Another storage class than the plain one.
            options: More options for the storage.
        """
        return {
            "default": {"BACKEND": DEFAULT_STORAGE},
            "staticfiles": {"BACKEND": backend or self.backend, "OPTIONS": self.options(**options)},
        }

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings beside ``STORAGES`` that make a deploy come here in the way to be tested."""
        return {}

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables that the storage class needs to come here."""
        return {}

    @abstractmethod
    def keys(self) -> list[str]:
        """Return the full keys of all objects, sorted."""

    @abstractmethod
    def get(self, key: str) -> StoredObject:
        """Return an object. The error of a missing one is the SDK's own."""

    @abstractmethod
    def put(self, key: str, body: bytes, **properties: Unpack[Properties]) -> None:
        """Store an object."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object."""

    @abstractmethod
    def version(self, key: str) -> str:
        """Return what tells one state of an object from another.

        The generation or ETag. S3's ETag is that of the content: writing the same content again
        does not change it.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove everything and the place itself."""

    def objects(self) -> dict[str, StoredObject]:
        """Return all objects by their full keys."""
        return {key: self.get(key) for key in self.keys()}

    def exists(self, key: str) -> bool:
        """Say whether an object has this key."""
        return key in self.keys()

    def empty(self) -> None:
        """Remove all objects."""
        for key in self.keys():
            self.delete(key)

    @property
    def requests(self) -> list[Request]:
        """What the storage has sent since the last `clear_requests`, in order of arrival."""
        return []

    def clear_requests(self) -> None:
        """Forget the requests so far."""

    def counts(self) -> Counter[str]:
        """Count the requests since the last `clear_requests` by their kinds."""
        return Counter(self.kind(request) for request in self.requests)

    def kind(self, request: Request) -> str:
        """Name the operation that a request is."""
        return request.method

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class RecordedCloud(Cloud):
    """A bucket on a server, which the storage reaches through a recorder.

    Attributes:
        name: The name of the bucket or container, one that nothing else has.
        recorder: What the storage talks to.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.name = f"collectfasta-{uuid.uuid4().hex}"
        self.recorder = recorder

    @property
    def requests(self) -> list[Request]:
        return self.recorder.requests

    def clear_requests(self) -> None:
        self.recorder.clear()

    def close(self) -> None:
        self.recorder.close()
        self.remove()

    @abstractmethod
    def remove(self) -> None:
        """Remove the bucket with all that is in it."""
