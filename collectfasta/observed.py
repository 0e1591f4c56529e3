"""Know what is sent: its checksum, without reading it twice, and that it does not change."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from django.core.files.base import File

from collectfasta.checksums import new_md5
from collectfasta.errors import CollectfastaError
from collectfasta.remote import source_md5
from collectfasta.source import SourceFile


class SourceChangedError(CollectfastaError):
    """A source file that is not what it was when it was hashed, or when its transfer began."""


class ObservedSource(SourceFile):
    """A source file that is being sent: it is hashed while it is read, and must not change.

    Whoever reads it to its end gets an error in the place of its last bytes if it has changed since
    its transfer began, so that no request, and no upload in parts, is completed with a mixture.
    """

    @classmethod
    def of(
        cls,
        source: SourceFile,
        *,
        is_hashed: bool = True,
        on_read: Callable[[], object] = lambda: None,
        on_move: Callable[[int], object] = lambda _: None,
    ) -> ObservedSource:
        """Return the same file, observed from now on.

        Args:
            source: The file.
            is_hashed: Work out its MD5, too.
            on_read: Called before each piece is read; what it raises ends the reading.
            on_move: Called then with the number of bytes before that piece, which are sent.

        Raises:
            OSError: It has vanished.
            SourceChangedError: Its name tells its content, and that was another one.
        """
        observed = cls(source.path, source.prefixed_path, source.storage, source.expected)
        stamp = source.stamp()
        if source.expected not in (None, stamp):
            raise SourceChangedError("it changed after it was hashed: run the command again")
        own = {"_is_hashed": is_hashed, "_on_read": on_read, "_on_move": on_move, "_begun": stamp}
        vars(observed).update(vars(source), **own)
        if stamp[0] is not None:
            vars(observed)["size"] = stamp[0]
        return observed

    def move(self, position: int) -> None:
        """Tell how many of its bytes are sent, where it is not read by ``open()``."""
        vars(self)["_on_move"](position)

    def check(self) -> None:
        """Raise if it has changed since its transfer began.

        Raises:
            OSError: It has vanished.
            SourceChangedError: It has changed.
        """
        if self.stamp() != vars(self)["_begun"]:
            raise SourceChangedError("it changed while it was being sent: run the command again")

    def open(self) -> File[Any]:
        """Open it for reading bytes."""
        if self.local_path is None:
            return super().open()
        reader = _Reader(open(self.local_path, "rb"), self)  # noqa: SIM115 - the File closes it
        vars(self)["_reader"] = reader
        body: Any = reader
        return File(body)

    def md5(self) -> str:
        """Return the MD5 of its content; it is read again if it was not read to its end."""
        reader: _Reader | None = vars(self).get("_reader")
        if reader is not None and reader.digest and reader.hashed == self.size:
            return str(reader.digest.hexdigest())
        return source_md5(self)


class _Reader:
    """A file that hashes what is read from its beginning on, and is looked at when it ends.

    Attributes:
        digest: The MD5; None if it is not asked for.
        hashed: How many bytes it is of.
    """

    def __init__(self, body: IO[bytes], source: ObservedSource) -> None:
        self._body = body
        self._source = source
        self.digest: Any = None
        if vars(source)["_is_hashed"]:
            self.digest = new_md5()
        self.hashed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def read(self, size: int = -1) -> bytes:
        """Read, and hash what was not read before.

        Raises:
            SourceChangedError: This would be its end, and it is not what it was.
        """
        vars(self._source)["_on_read"]()
        position = self._body.tell()
        self._source.move(position)
        is_new = position == self.hashed
        content = self._body.read(size)
        if is_new:
            if self.digest:
                self.digest.update(content)
            self.hashed += len(content)
        is_short = not content and size != 0
        if is_short or self._body.tell() >= (self._source.size or 0):
            self._source.check()
        return content
