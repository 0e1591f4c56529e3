"""A bucket in memory, as a cloud that has no server."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from tests.memory_store import Bucket

from .base import Cloud, Properties, StoredObject


class BucketStorage:
    """What a MemoryStore asks of its storage, which saves nothing by itself.

    Args:
        bucket: Holds the objects.
        location: What their keys begin with.
        headers: What goes with each object.
    """

    def __init__(
        self, bucket: Bucket, location: str = "", headers: dict[str, Any] | None = None
    ) -> None:
        self.bucket, self.location, self.headers = bucket, location, headers or {}


class MemoryCloud(Cloud):
    """A bucket in memory.

    Attributes:
        bucket: The bucket.
    """

    backend = f"{__name__}.BucketStorage"

    def __init__(self) -> None:
        self.bucket = Bucket()

    def options(self, **more: Any) -> dict[str, Any]:
        return {"bucket": self.bucket, **more}

    def keys(self) -> list[str]:
        return sorted(self.bucket.objects)

    def get(self, key: str) -> StoredObject:
        stored = self.bucket.objects[key]
        return StoredObject(stored.body, {**stored.headers})

    def put(self, key: str, body: bytes, **properties: Unpack[Properties]) -> None:
        headers: Any = properties
        self.bucket.put(key, body, headers)

    def delete(self, key: str) -> None:
        del self.bucket.objects[key]

    def version(self, key: str) -> str:
        return self.bucket.objects[key].version

    def close(self) -> None:
        self.bucket.objects.clear()
