"""Where it is shown how far a run has come: on a terminal, in a log, or nowhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from collectfasta.output import amount, count, plural
from collectfasta.progress import Progress, ShownProgress, State

# A CI's log gets its first line after so many seconds, and then one in so many.
_FIRST_LINE_SECONDS = 10.0
_LINE_SECONDS = 30.0


class Lines:
    """Write a line to a log now and then, and none in a short run.

    Args:
        write: Writes a line.
    """

    seconds = 1.0
    is_amid_a_line = False

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._due = time.monotonic() + _FIRST_LINE_SECONDS

    def show(self, state: State) -> None:
        """Write a line if it is time for one."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _LINE_SECONDS
            self._write(in_words(state))

    def hide(self) -> None:
        """Do nothing: a line stays."""

    def end(self, state: State, *, failed: bool) -> None:
        """Do nothing: what has come of it is said elsewhere."""


def in_words(state: State) -> str:
    """Return a state as a line of a log."""
    parts = []
    if state.total is not None:
        parts.append(f"{state.done:,} of {state.total:,} {plural(state.total, state.noun)}")
    elif state.done is not None:
        parts.append(count(state.done, state.noun))
    if state.total_size:
        parts.append(f"{amount(state.size)} of {amount(state.total_size)}")
    left = state.seconds_left
    parts.append(f"{state.seconds:.0f} s so far" if left is None else f"{_duration(left)} left")
    return f"{state.name}: {', '.join(parts)}."


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def progress_on(
    stream: Any, verbosity: int, environment: Mapping[str, str] = os.environ
) -> Progress:
    """Return the progress that goes with a stream, a command's stderr.

    A terminal gets bars. The log of a CI gets lines, also where the CI makes its jobs believe in
    a terminal, and so does a terminal without a cursor to be moved. Everything else gets nothing.

    The variable ``CI`` is set by GitHub Actions, GitLab, CircleCI, Travis, Bitbucket, Jenkins and
    Heroku CI, and ``TF_BUILD`` by Azure Pipelines.

    Args:
        stream: The stream, as Django wraps it.
        verbosity: The command's.
        environment: The environment's variables.
    """
    if verbosity < 1:
        return Progress()
    is_terminal = stream.isatty()
    is_dumb = is_terminal and environment.get("TERM") == "dumb"
    if _is_ci(environment) or is_dumb:
        return ShownProgress(Lines(lambda line: stream.write(line, str)))
    # As tqdm itself has it: set to whatever.
    if not is_terminal or environment.get("TQDM_DISABLE"):
        return Progress()
    # Not before it is needed: tqdm takes 30 ms of CPU time to be imported.
    from collectfasta.bars import Bars

    return ShownProgress(Bars(stream))


def _is_ci(environment: Mapping[str, str]) -> bool:
    values = (environment.get(name, "") for name in ("CI", "TF_BUILD"))
    return any(value.lower() not in ("", "0", "false") for value in values)
