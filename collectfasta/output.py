"""What a command says, which may be lost: nobody's deploy depends on who reads its messages."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from django.core.management.color import Style, color_style, no_style
from django.template.defaultfilters import filesizeformat

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
        aside: Makes the context in which a text is written: a bar is out of its way there.
    """

    aside: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)

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
            with self.aside():
                self._do(lambda: self._stream.write(text))
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def isatty(self) -> bool:
        """Return whether it is a terminal; what can't be asked is none."""
        with suppress(AttributeError, OSError, ValueError):
            return bool(self._stream.isatty())
        return False

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


@contextmanager
def telling_warnings(
    tell: Callable[[str], object], aside: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Tell the warnings of the logger ``collectfasta`` that no handler would get.

    Django's own configuration has a handler for ``django`` alone, so Python would write them to
    ``sys.stderr``. Where ``LOGGING`` has one for them, it alone gets them.

    Args:
        tell: Tells a message to the user.
        aside: Makes the context in which a handler may write to the terminal.
    """
    logger = logging.getLogger("collectfasta")

    def hear(record: logging.LogRecord) -> bool:
        if logger.hasHandlers():
            with aside():
                return True
        if logging.lastResort is None or record.levelno < logging.lastResort.level:
            return True
        tell(record.getMessage())
        return False

    logger.addFilter(hear)
    try:
        yield
    finally:
        logger.removeFilter(hear)


def style_for(stream: Any, *, no_color: bool = False, force_color: bool = False) -> Style:
    """Return the colours for what is written to a stream, as Django's commands have them.

    They are the palette of ``DJANGO_COLORS``, for terminals, unless ``NO_COLOR`` is set
    (https://no-color.org).

    Args:
        stream: The stream, as Django wraps it.
        no_color: Give none.
        force_color: Give them whatever the stream is.
    """
    if force_color:
        return color_style(force_color=True)
    if no_color or not stream.isatty() or os.environ.get("NO_COLOR"):
        return no_style()
    return color_style()


def plural(number: int, noun: str) -> str:
    """Return a noun as it follows a number."""
    return noun if number == 1 else f"{noun}s"


def count(number: int, noun: str) -> str:
    """Return a number and its noun."""
    return f"{number} {plural(number, noun)}"


def amount(size: int | float) -> str:
    """Return a number of bytes in words, as Django has them."""
    # Without the non-breaking space, which not every terminal shows.
    return filesizeformat(size).replace("\xa0", " ")
