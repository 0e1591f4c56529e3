"""What the buckets of the fast S3 server hold, in memory."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class StoredObject(NamedTuple):
    """An object and the headers that it was written with."""

    body: bytes
    etag: str
    headers: Mapping[str, str]
    modified: float

    @property
    def checksum(self) -> str:
        """The MD5 of its bytes, which the ETag of a multipart upload is not."""
        return md5(self.body) if "-" in self.etag else self.etag.strip('"')


@dataclass
class Upload:
    """A multipart upload that is not complete."""

    key: str
    headers: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Bucket:
    """The objects of a bucket, and how many requests of each kind and bytes it was sent.

    Args:
        bodies: Bodies by ETag, so that equal ones take memory once, in whichever bucket they are.
    """

    bodies: dict[str, bytes] = field(default_factory=dict)
    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    _sorted_keys: list[str] | None = None

    def put(self, key: str, stored: StoredObject) -> None:
        """Store an object, over what is there."""
        if key not in self.objects:
            self._sorted_keys = None
        body = self.bodies.setdefault(stored.etag, stored.body)
        self.objects[key] = stored._replace(body=body)

    def delete(self, key: str) -> None:
        """Delete an object; a missing one is no error."""
        if self.objects.pop(key, None):
            self._sorted_keys = None

    @property
    def sorted_keys(self) -> list[str]:
        """The keys in the order of their UTF-8, which is that of their code points."""
        if self._sorted_keys is None:
            self._sorted_keys = sorted(self.objects)
        return self._sorted_keys


def md5(content: bytes) -> str:
    """Return the MD5 of bytes, in hexadecimal."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
