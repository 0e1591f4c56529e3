"""What a command writes: streams, colors, words, and the warnings of the logger."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.management.color import Style, color_style, no_style
from django.template.defaultfilters import filesizeformat

from collectfasta.errors import describe

Aside = Callable[[], AbstractContextManager[None]]


class Output:
    """Write to a stream as long as it can be written to.

    A reader that ends early (``collectstatic | head``), a full disk and a closed terminal are not
    reasons to stop a deploy halfway, nor to count a file that was sent as one that failed.

    Args:
        stream: What to write to, as Django wraps it.
        aside: Makes the context in which a text is written: a bar is out of its way there.
        on_loss: Called once, with what has gone wrong in a few words.
        is_process: Whether the process ends with the command: a lost stream of the process itself
            then leads nowhere, or else the interpreter would flush it once more and end with
            status 120 (https://docs.python.org/3/library/signal.html#note-on-sigpipe).
    """

    def __init__(
        self,
        stream: OutputWrapper,
        aside: Aside = nullcontext,
        on_loss: Callable[[str], object] = lambda _: None,
        *,
        is_process: bool = False,
    ) -> None:
        self._stream = stream
        self._aside = aside
        self._on_loss = on_loss
        self._is_process = is_process
        self._is_lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        """Write a text; characters that the stream's encoding lacks are escaped."""
        try:
            with self._aside():
                self._try(lambda: self._stream.write(text, str, ""))
        except UnicodeEncodeError as error:
            self.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))

    def flush(self) -> None:
        """Hand on what was written."""
        self._try(self._stream.flush)

    def isatty(self) -> bool:
        """Return whether it is a terminal; a stream that can't be asked is not."""
        with suppress(OSError, ValueError):
            return bool(self._stream.isatty())
        return False

    def _try(self, action: Callable[[], object]) -> None:
        if self._is_lost:
            return
        try:
            action()
        except UnicodeEncodeError:
            raise
        # ValueError: it was closed within this process. AttributeError: Django wraps the None that
        # stands for a stream that the process was started without (``>&-``).
        except (OSError, ValueError, AttributeError) as error:
            self._is_lost = True
            if self._is_process:
                self._lead_nowhere()
            is_missing = isinstance(error, AttributeError)
            why = "it is closed" if is_missing else getattr(error, "strerror", None)
            self._on_loss(why or describe(error))

    def _lead_nowhere(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def telling_warnings(tell: Callable[[str], object], aside: Aside) -> Iterator[None]:
    """Tell the warnings of the logger ``collectfasta`` that no handler would get.

    Django's own configuration has a handler for ``django`` alone, so Python would write them to
    ``sys.stderr``. Where ``LOGGING`` has one for them, it alone gets them.

    Args:
        tell: Shows a message to the user.
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
    """Return the colors for what is written to a stream, as Django's commands have them.

    They are the palette of ``DJANGO_COLORS``, for terminals that have colors, unless ``NO_COLOR``
    is set (https://no-color.org).

    Args:
        stream: The stream, as Django wraps it.
        no_color: Give none.
        force_color: Give them whatever the stream is.
    """
    if force_color:
        return color_style(force_color=True)
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if no_color or is_plain or not stream.isatty():
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
