"""How boto3 reads large files, part by part, and what is told of that."""

from __future__ import annotations

from threading import Lock
from typing import Any

from s3transfer.subscribers import BaseSubscriber
from s3transfer.utils import OSUtils, ReadFileChunk

from collectfasta.observed import ObservedSource, SourceChangedError


class _WholeChunk(ReadFileChunk):
    """A part of a file, never shorter than was said: the server would wait for the rest.

    What ends the reading (an interrupt, a file that has become shorter) is raised when the part is
    sent. When it is read to be signed it ends there: where awscrt reads it, it would print the
    error, and raise one of its own.
    """

    _is_sent = False

    def signal_transferring(self) -> None:
        """Take note that the part is sent from now on."""
        self._is_sent = True
        super().signal_transferring()

    def signal_not_transferring(self) -> None:
        """Take note that the part is read for other reasons from now on."""
        self._is_sent = False
        super().signal_not_transferring()

    def read(self, amount: int | None = None) -> bytes:
        """Read, up to the end of the part.

        Raises:
            SourceChangedError: The file ends before, and the part is sent.
        """
        try:
            return self._read(amount)
        except Exception:
            if self._is_sent:
                raise
            return b""

    def _read(self, amount: int | None) -> bytes:
        left = max(len(self) - self.tell(), 0)
        content: bytes = super().read(amount)
        if len(content) < (left if amount is None or amount < 0 else min(left, amount)):
            raise SourceChangedError("it became shorter while it was being sent")
        return content


class Files(OSUtils):
    """How parts are read from files."""

    def open_file_chunk_reader_from_fileobj(
        self,
        fileobj: Any,
        chunk_size: int,
        full_file_size: int,
        callbacks: Any,
        close_callbacks: Any = None,
    ) -> _WholeChunk:
        """Return a part of an open file."""
        return _WholeChunk(
            fileobj,
            chunk_size,
            full_file_size,
            callbacks=callbacks,
            enable_callbacks=False,
            close_callbacks=close_callbacks,
        )


class Watcher(BaseSubscriber):
    """Tell a file how many of its bytes are sent; s3transfer opens it by its path."""

    def __init__(self, source: ObservedSource) -> None:
        self._source = source
        self._sent = 0
        # The parts are sent by several threads.
        self._lock = Lock()

    def on_progress(self, future: Any, bytes_transferred: int, **_: object) -> None:
        """Take note of a piece; where a part is sent again, of one that is negative."""
        with self._lock:
            self._sent += bytes_transferred
            self._source.move(self._sent)
