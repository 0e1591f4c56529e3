"""What a command says, which may be lost: nobody's deploy depends on who reads its messages."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from collectfasta.errors import describe


class SteadyStream:
    """Write to a stream until it can't be written to any more; from then on write nothing.

    A reader that ends early (``collectstatic | head``), a full disk and a closed terminal are no
    reasons to stop a deploy, nor to let it fail.

    Args:
        stream: What to write to; None where the process was started without it (``>&-``).
        on_loss: Called once, with what has gone wrong in a few words.

    Attributes:
        is_steady: Whether what goes wrong is kept from the caller.
    """

    def __init__(self, stream: Any, on_loss: Callable[[str], None] = lambda _: None) -> None:
        self.is_steady = False
        self._stream = stream
        self._on_loss = on_loss
        self._is_lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        """Write a text; characters that the stream's encoding lacks are escaped."""
        try:
            self._do(lambda: self._stream.write(text))
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        """Hand on what was written."""
        if hasattr(self._stream, "flush"):
            self._do(self._stream.flush)

    def _do(self, action: Callable[[], object]) -> None:
        if not self.is_steady:
            action()
        elif not self._is_lost:
            self._try(action)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            if self._stream is None:
                raise BrokenPipeError(errno.EBADF, "it is closed")
            action()
        except UnicodeEncodeError:
            raise
        # ValueError: it was closed within this process.
        except (OSError, ValueError) as error:
            self._is_lost = True
            self._on_loss(getattr(error, "strerror", None) or describe(error))

    def end(self) -> None:
        """Flush, and keep the interpreter's end from failing by what can't be written.

        It flushes once more then, and ends with status 120 where it can't:
        https://docs.python.org/3/library/signal.html#note-on-sigpipe
        """
        self.flush()
        if self._is_lost and self._stream and self._stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
