"""Know the checksum of what is sent without reading it twice."""

from __future__ import annotations

import hashlib
from typing import IO, Any

from django.core.files.base import File

from collectfasta.remote import source_md5
from collectfasta.source import SourceFile


class ObservedSource(SourceFile):
    """A source file whose MD5 is worked out while it is read for being sent."""

    @classmethod
    def of(cls, source: SourceFile) -> ObservedSource:
        """Return the same file, observed."""
        observed = cls(source.path, source.prefixed_path, source.storage, source.expected)
        vars(observed).update(vars(source))
        return observed

    def open(self) -> File[Any]:
        """Open it for reading bytes."""
        if self.local_path is None:
            return super().open()
        reader = _Reader(open(self.local_path, "rb"))  # noqa: SIM115 - the File closes it
        vars(self)["_reader"] = reader
        body: Any = reader
        return File(body)

    def md5(self) -> str:
        """Return the MD5 of its content; it is read again if it was not read to its end."""
        reader: _Reader | None = vars(self).get("_reader")
        if reader is not None and reader.hashed == self.size:
            return str(reader.digest.hexdigest())
        return source_md5(self)


class _Reader:
    """A file that hashes what is read from its beginning on.

    Attributes:
        digest: The MD5.
        hashed: How many bytes it is of.
    """

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self.digest: Any = hashlib.md5(usedforsecurity=False)
        self.hashed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def read(self, size: int = -1) -> bytes:
        """Read, and hash what was not read before."""
        is_new = self._body.tell() == self.hashed
        content = self._body.read(size)
        if is_new:
            self.digest.update(content)
            self.hashed += len(content)
        return content
