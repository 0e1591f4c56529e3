"""How far a run has come: counted by those who work, shown to those who wait."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from typing_extensions import override

from collectfasta.terminal.output import amount, count, plural

# A CI's log gets its first line after the first number of seconds, then one each time the second
# one passes.
_FIRST_LINE_SECONDS = 10.0
_LINE_SECONDS = 30.0

# What a file costs beyond its bytes, as many bytes: for the share that is done and the time left.
# At 20 ms a request, 750 small files were sent in a second: one takes as long as these bytes at
# 50 MB/s.
_COST_OF_A_FILE = 64 * 1024


@dataclass(frozen=True)
class State:
    """How far a step has come at a moment.

    Attributes:
        name: The step's.
        noun: What is counted, in the singular.
        done: How many of them are done; None if they are not counted.
        total: How many there are; None where that is not known before.
        size: Bytes done.
        total_size: How many bytes there are; 0 where bytes don't matter.
        seconds: Since the step began.
    """

    name: str
    noun: str
    done: int | None
    total: int | None
    size: int
    total_size: int
    seconds: float

    @property
    def work(self) -> tuple[int, int]:
        """What is done and what there is to do, files and bytes taken together."""
        done = self.size + (self.done or 0) * _COST_OF_A_FILE
        total = self.total_size + (self.total or 0) * _COST_OF_A_FILE
        return min(done, total), total

    def counts(self, of: str) -> str:
        """Return how many files, or others, and bytes are done in words.

        Args:
            of: Stands between what is done and what there is.
        """
        if self.total is None:
            return "" if self.done is None else count(self.done, self.noun)
        files = f"{self.done:,}{of}{self.total:,} {plural(self.total, self.noun)}"
        if not self.total_size:
            return files
        return f"{files}, {amount(self.size)}{of}{amount(self.total_size)}"

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes if it goes on as before; None if that can't be known."""
        done, total = self.work
        return self.seconds * (total - done) / done if done else None


class Step:
    """Count what one step has done, from any thread.

    Args:
        name: What is done, as "Sending".
        noun: What is counted, in the singular.
        total: How many there are; None where that is not known before.
        total_size: How many bytes there are; 0 where bytes don't matter.
    """

    def __init__(self, name: str, noun: str, total: int | None, total_size: int) -> None:
        self._name, self._noun = name, noun
        self._total, self._total_size = total, total_size
        self._done = self._size = 0
        self._first: tuple[str, str, Callable[[], int | None]] | None = None
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def advance(self, files: int = 1, size: int = 0) -> None:
        """Count files, and bytes, that are done."""
        with self._lock:
            self._done += files
            self._size += size

    @contextmanager
    def file(self, size: int) -> Iterator[Callable[[int], None]]:
        """Count a file while it is worked on; one that fails does not count.

        Args:
            size: Its bytes.

        Yields:
            A function to call with the number of its bytes that are done; it may become less.
        """
        counted = 0

        def move(position: int) -> None:
            nonlocal counted
            position = min(position, size)
            self.advance(0, position - counted)
            counted = position

        try:
            yield move
        except BaseException:
            move(0)
            raise
        move(size)
        self.advance()

    @contextmanager
    def at_first(self, name: str, noun: str, done: Callable[[], int | None]) -> Iterator[None]:
        """Show something else for a while, which has to be done before.

        Args:
            name: What that is.
            noun: What is counted of it, in the singular.
            done: Returns how many there were so far; None if they are not counted.
        """
        self._first = name, noun, done
        try:
            yield
        finally:
            self._first = None

    def state(self) -> State:
        """Return how far it has come."""
        seconds, first = time.monotonic() - self._began, self._first
        if first:
            name, noun, done = first
            return State(name, noun, done(), None, 0, 0, seconds)
        with self._lock:
            done_now, size = self._done, self._size
        return State(self._name, self._noun, done_now, self._total, size, self._total_size, seconds)


class Display(ABC):
    """Where states are shown. One thread at a time calls it.

    Attributes:
        seconds: How often it is to be shown a state.
        is_amid_a_line: Whether what is written now would go on where it ends.
    """

    seconds = 1.0
    is_amid_a_line = False

    @abstractmethod
    def show(self, state: State) -> None:
        """Show a state, or don't if it is too early for that."""

    def hide(self) -> None:
        """Take away what is shown, for something else to be written there."""

    def end(self, state: State, *, failed: bool) -> None:
        """Show a step's last state."""


class Progress:
    """Show how far each step has come, by a thread that lives as long as the step.

    Whoever works is not held up by that: a large file may take minutes, and a terminal may take no
    more text.

    Args:
        make_display: Makes what shows it, when the first step begins; None shows nothing.
    """

    def __init__(self, make_display: Callable[[], Display | None] = lambda: None) -> None:
        self._make_display = make_display
        self._display: Display | None = None
        self._lock = threading.RLock()

    @contextmanager
    def step(
        self, name: str, *, total: int | None = None, size: int = 0, noun: str = "file"
    ) -> Iterator[Step]:
        """Begin a step, which ends with the context.

        Args:
            name: What is done, as "Sending".
            total: How many files, or others, there are; None where that is not known before.
            size: How many bytes there are; 0 where bytes don't matter.
            noun: What is counted, in the singular.
        """
        step = Step(name, noun, total, size)
        if total != 0 and self._display is None:
            self._display = self._make_display()
        if total == 0 or self._display is None:
            yield step
            return
        with self._showing(step, self._display):
            yield step

    @contextmanager
    def _showing(self, step: Step, display: Display) -> Iterator[None]:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(display.seconds):
                with self._lock:
                    if not ended.is_set():
                        display.show(step.state())

        thread = threading.Thread(target=watch, name="collectfasta-progress", daemon=True)
        # Where none can be started the beginning and the end are shown.
        with suppress(RuntimeError):
            thread.start()
        failed = True
        try:
            with self._lock:
                display.show(step.state())
            yield
            failed = False
        finally:
            ended.set()
            with self._lock:
                display.end(step.state(), failed=failed)
            if thread.is_alive():
                thread.join()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the terminal for a while to something else that is written to it."""
        with self._lock:
            if self._display:
                self._display.hide()
            yield

    @property
    def is_amid_a_line(self) -> bool:
        """Whether what is written now would go on where a bar ends."""
        return self._display is not None and self._display.is_amid_a_line


class Lines(Display):
    """Write a line to a log now and then, and none in a short run.

    Args:
        write: Writes a text.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._due = time.monotonic() + _FIRST_LINE_SECONDS

    @override
    def show(self, state: State) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _LINE_SECONDS
            self._write(f"{in_words(state)}\n")


def in_words(state: State) -> str:
    """Return a state as a line of a log."""
    left = state.seconds_left
    time_left = f"{state.seconds:.0f} s so far" if left is None else f"{_duration(left)} left"
    return f"{state.name}: {', '.join(filter(None, (state.counts(' of '), time_left)))}."


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
