"""The bodies that obstore sends: parts that can be aborted, and memory that is given back."""

from __future__ import annotations

import io
import mmap
import os
import threading
from typing import IO

from collectfasta.checksums import read_chunks
from collectfasta.observed import SourceChangedError
from collectfasta.strategies.counting import Counter

_READ_SIZE = 64 * 1024


class AbortableBody(io.RawIOBase):
    """A body in parts whose reading fails once the upload is to be aborted.

    Attributes:
        error: What has ended its reading; obstore makes an OSError of it.
    """

    def __init__(self, body: IO[bytes], aborted: threading.Event, count: Counter) -> None:
        super().__init__()
        self._body = body
        self._aborted = aborted
        self._count = count
        self.error: Exception | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._body.tell()

    def read(self, size: int = -1) -> bytes:
        """Read a part.

        Raises:
            InterruptedError: The upload is to be aborted.
        """
        if self._aborted.is_set():
            raise InterruptedError("interrupted")
        try:
            content = self._body.read(size)
        except Exception as error:
            self.error = error
            raise
        if content:
            self._count.add()
        return content


def in_memory(body: IO[bytes], size: int) -> mmap.mmap:
    """Read a body into memory that the system gets back when it is sent.

    What the allocator gives to one thread after the other it keeps, a body's size for each.

    Raises:
        SourceChangedError: It has another size.
    """
    memory = mmap.mmap(-1, size)
    for chunk in read_chunks(body, _READ_SIZE):
        if memory.tell() + len(chunk) > size:
            raise SourceChangedError("it became longer while it was being sent")
        memory.write(chunk)
    if memory.tell() < size:
        raise SourceChangedError("it became shorter while it was being sent")
    return memory
