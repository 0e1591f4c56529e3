"""Progress bars on a terminal, by tqdm."""

from __future__ import annotations

import threading
from typing import Any

from tqdm import tqdm
from typing_extensions import override

from collectfasta.terminal.output import Output, amount
from collectfasta.terminal.progress import Display, State

# What was over sooner leaves no line behind.
_WORTH_A_LINE_SECONDS = 1.0
# Where the terminal does not say how wide it is: one column less than most are.
_WIDTH = 79
_TIMES = "[{elapsed}<{remaining}"


class _Bar(tqdm):  # type: ignore[type-arg]
    """The bar of one step, drawn only on request."""

    # tqdm's own way is a thread that looks after all bars, and a lock that loads multiprocessing.
    monitor_interval = 0

    def __init__(self, stream: Output, state: State) -> None:
        self.state = state
        super().__init__(file=stream, dynamic_ncols=True)

    def __str__(self) -> str:
        facts = self.format_dict
        return lay_out(self.state, facts["ncols"] or _WIDTH, is_ascii=facts["ascii"])


_Bar.set_lock(threading.RLock())


class Bars(Display):
    """Show one bar at a time, in the terminal's last line.

    Args:
        stream: The terminal.
    """

    seconds = 0.2

    def __init__(self, stream: Output) -> None:
        self._stream = stream
        self._bar: _Bar | None = None

    @override
    def show(self, state: State) -> None:
        if self._bar is None:
            self._bar = _Bar(self._stream, state)
        else:
            self._bar.state = state
            self._bar.refresh()
        self.is_amid_a_line = True

    @override
    def hide(self) -> None:
        if self._bar is not None and self.is_amid_a_line:
            self.is_amid_a_line = False
            self._bar.clear()

    @override
    def end(self, state: State, *, failed: bool) -> None:
        self.show(state)
        self.is_amid_a_line = False
        if self._bar is not None:
            self._bar.leave = failed or state.seconds >= _WORTH_A_LINE_SECONDS
            self._bar.close()
            self._bar = None


def lay_out(state: State, width: int, *, is_ascii: Any = False) -> str:
    """Return a state as one line of a terminal, without what a narrow one has no room for.

    Args:
        state: The state.
        width: The most columns that it may take.
        is_ascii: Draw the bar of digits.
    """
    done, total = state.work
    counts, pace = state.counts("/"), _pace(state)
    share = "{desc}: {percentage:3.0f}%"
    forms = [
        f"{{l_bar}}{{bar}}| {counts} {_TIMES}{pace}]",
        f"{share} {counts} {_TIMES}{pace}]",
        f"{share} {_TIMES}]",
    ]
    if not total:
        forms = [" ".join(filter(None, ("{desc}:", counts, f"[{{elapsed}}{pace}]")))]
    meter: dict[str, Any] = {
        "n": done,
        "total": total or float("inf"),
        "elapsed": state.seconds,
        "prefix": state.name,
        "ascii": is_ascii,
    }
    # Without a width the bar has ten columns.
    fits = (each for each in forms if len(_meter(each, None, meter)) <= width)
    return _meter(next(fits, forms[-1]), width, meter)[:width]


def _meter(form: str, width: int | None, meter: dict[str, Any]) -> str:
    return str(tqdm.format_meter(ncols=width, bar_format=form, **meter))


def _pace(state: State) -> str:
    if not state.seconds:
        return ""
    if state.total_size:
        return f", {amount(state.size / state.seconds)}/s"
    return f", {state.done / state.seconds:.0f}/s" if state.done else ""
