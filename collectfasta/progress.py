"""How far a run has come: counted by those who work, shown to those who wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Protocol

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
        done: How many of them are done; None if nobody counts.
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

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes if it goes on as before; None if that can't be told."""
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
            A function to be told how many of its bytes are done, which may be less than before.
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
        """Tell of something else meanwhile, which has to be done before.

        Args:
            name: What that is.
            noun: What is counted of it, in the singular.
            done: Returns how many there were so far; None if nobody counts.
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


class Progress:
    """Let steps be counted, and show it to nobody."""

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
        with self._showing(step) if total != 0 else nullcontext():
            yield step

    def _showing(self, step: Step) -> AbstractContextManager[None]:
        return nullcontext()

    def aside(self) -> AbstractContextManager[None]:
        """Leave the terminal to something else that is written to it meanwhile."""
        return nullcontext()

    @property
    def is_amid_a_line(self) -> bool:
        """Whether what is written now would go on where a bar ends."""
        return False


class Display(Protocol):
    """Where states are shown. One thread at a time calls it.

    Attributes:
        seconds: How often it is to be shown a state.
        is_amid_a_line: Whether what is written now would go on where it ends.
    """

    seconds: float
    is_amid_a_line: bool

    def show(self, state: State) -> None:
        """Show a state, or don't if it is too early for that."""

    def hide(self) -> None:
        """Take away what is shown, for something else to be written there."""

    def end(self, state: State, *, failed: bool) -> None:
        """Show a step's last state."""


class ShownProgress(Progress):
    """Show how far each step has come, by a thread that lives as long as the step.

    Whoever works is not held up by that: a large file may take minutes, and a terminal may take no
    more text.

    Args:
        display: Shows it.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._lock = threading.RLock()

    @contextmanager
    def _showing(self, step: Step) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(
            target=self._watch, args=(step, ended), name="collectfasta-progress", daemon=True
        )
        # Where none can be started the beginning and the end are shown.
        with suppress(RuntimeError):
            thread.start()
        failed = True
        try:
            self._show(step)
            yield
            failed = False
        finally:
            ended.set()
            with self._lock:
                self._display.end(step.state(), failed=failed)
            if thread.is_alive():
                thread.join()

    def _watch(self, step: Step, ended: threading.Event) -> None:
        while not ended.wait(self._display.seconds):
            with self._lock:
                if not ended.is_set():
                    self._show(step)

    def _show(self, step: Step) -> None:
        with self._lock:
            self._display.show(step.state())

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the terminal to something else that is written to it meanwhile."""
        with self._lock:
            self._display.hide()
            yield

    @property
    def is_amid_a_line(self) -> bool:
        """Whether what is written now would go on where a bar ends."""
        return self._display.is_amid_a_line
