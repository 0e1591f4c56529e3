"""What a command writes: streams, words, and the warnings of the logger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.core.management.base import OutputWrapper
from django.template.defaultfilters import filesizeformat
from typing_extensions import override

Aside = Callable[[], AbstractContextManager[None]]


class Output(OutputWrapper):
    """Django's wrapper of a stream, which leaves room for bars and escapes what can't be written.

    Args:
        stream: What to write to, as Django wraps it.
        aside: Makes the context in which a text is written: a bar is out of its way there.
        ending: What each text ends with, "" for none.
        is_colored: Write colors, also where it is not a terminal.
    """

    def __init__(
        self,
        stream: OutputWrapper,
        aside: Aside = nullcontext,
        *,
        ending: str = "\n",
        is_colored: bool = False,
    ) -> None:
        super().__init__(stream, ending)  # type: ignore[arg-type]
        self._stream = stream
        self._aside = aside
        self._is_colored = is_colored or self.isatty()

    @override
    def write(  # type: ignore[override]
        self, msg: str = "", style_func: Any = None, ending: str | None = None
    ) -> None:
        """Write a text; characters that the stream's encoding lacks are escaped."""
        ending = self.ending if ending is None else ending
        style = (style_func if self._is_colored else None) or self.style_func
        text = style(msg if msg.endswith(ending) else msg + ending)
        with self._aside():
            try:
                self._stream.write(text, str, "")
            except UnicodeEncodeError as error:
                escaped = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
                self._stream.write(escaped, str, "")


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
