"""Progress bars on a terminal."""

from __future__ import annotations

import os
import time
from typing import Any

from tqdm import tqdm

from collectfasta.output import amount, count, plural
from collectfasta.progress import State

_SECONDS = 0.2
# What was over sooner leaves no line behind.
_WORTH_A_LINE_SECONDS = 1.0
_WIDTH = 80
# To the line's beginning; and from the cursor to the line's end, erased.
_BACK, _ERASE = "\r", "\x1b[K"


class Bars:
    """Show one bar at a time, in the terminal's last line.

    tqdm lays it out. It is drawn here: tqdm's objects start a thread of their own, share a lock
    that loads ``multiprocessing``, and take the place below those of the user's own code.

    Args:
        stream: The terminal, as Django wraps it.

    Attributes:
        seconds: How often a bar is drawn.
        is_amid_a_line: Whether one is to be seen.
    """

    seconds = _SECONDS

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_ascii = not _has_blocks(stream)
        self._hidden_at = 0.0
        self.is_amid_a_line = False

    def show(self, state: State) -> None:
        """Draw the bar, unless lines follow each other there just now."""
        if time.monotonic() - self._hidden_at >= self.seconds:
            self._draw(state)

    def hide(self) -> None:
        """Erase the bar."""
        if self.is_amid_a_line:
            # Before anything is written: that comes back to here.
            self.is_amid_a_line = False
            self._hidden_at = time.monotonic()
            self._write(_BACK + _ERASE)

    def end(self, state: State, *, failed: bool) -> None:
        """Draw a step's last state; it stays if the step took long, or was not done."""
        self._draw(state)
        if failed or state.seconds >= _WORTH_A_LINE_SECONDS:
            self.is_amid_a_line = False
            self._write("\n")
        else:
            self.hide()
        self._hidden_at = 0.0

    def _draw(self, state: State) -> None:
        self.is_amid_a_line = False
        self._write(_BACK + lay_out(state, _width(self._stream), is_ascii=self._is_ascii) + _ERASE)
        self.is_amid_a_line = True

    def _write(self, text: str) -> None:
        self._stream.write(text, str, ending="")
        self._stream.flush()


def _has_blocks(stream: Any) -> bool:
    try:
        "█▏".encode(getattr(stream, "encoding", None) or "ascii")
    except (LookupError, UnicodeError):
        return False
    return True


def _width(stream: Any) -> int:
    """Return how many columns can be written to without a new line being begun."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, OSError, ValueError):
        columns = 0
    return (columns or _WIDTH) - 1


def lay_out(state: State, width: int, *, is_ascii: bool = False) -> str:
    """Return a state as one line of a terminal.

    Args:
        state: The state.
        width: The most columns that it may take.
        is_ascii: Draw the bar of digits.
    """
    done, total = state.work
    times = "{elapsed}<{remaining}" if total else "{elapsed}"
    parts = "{l_bar}{bar}|" if total else "{desc}:", _counts(state), f"[{times}{_pace(state)}]"
    return tqdm.format_meter(
        n=done,
        total=total or float("inf"),
        elapsed=state.seconds,
        ncols=width,
        prefix=state.name,
        ascii=is_ascii,
        bar_format=" ".join(filter(None, parts)),
    )


def _counts(state: State) -> str:
    if state.total is None:
        return "" if state.done is None else count(state.done, state.noun)
    counts = f"{state.done}/{state.total} {plural(state.total, state.noun)}"
    if state.total_size:
        counts += f", {amount(state.size)}/{amount(state.total_size)}"
    return counts


def _pace(state: State) -> str:
    if not state.seconds:
        return ""
    if state.total_size:
        return f", {amount(state.size / state.seconds)}/s"
    return f", {state.done / state.seconds:.0f}/s" if state.done else ""
