"""Run a function over many items: inline, or in a pool of threads, behind one interface."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from django.core.cache import caches
from django.db import connections

Item = TypeVar("Item")
Result = TypeVar("Result")

# What became of an item: itself, the function's result, and the exception that it raised instead.
Outcome = tuple[Item, Any, Exception | None]


class Executor:
    """Run a function over items and yield every outcome, in whatever order they are done.

    Args:
        threads: How many items are worked on at a time; 0 works in the calling thread.
        batch: How many items a thread takes at a time, more than one where taking it costs as much
            as working on it.
        abort: Called when the caller gives up early, on an interrupt for instance: ends what is
            under way, which is then waited for.
    """

    def __init__(
        self, threads: int, abort: Callable[[], object] = lambda: None, *, batch: int = 1
    ) -> None:
        self.threads = threads
        self._batch = batch
        self._abort = abort
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Begin no more items. The outcomes of those under way are still yielded."""
        self._cancelled.set()

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[Outcome[Item], None, None]:
        """Yield an outcome for each item, to the calling thread.

        Items are taken while others are worked on, so a listing can go on at the same time. At most
        twice as many batches as threads are taken and not yet yielded. Whoever closes the generator
        early cancels the rest and waits for what is under way.

        Raises:
            BaseException: What the iterable raised, or the function where that is not an
                ``Exception``.
        """
        number = len(items) if isinstance(items, Sized) else None
        threads = self.threads if number is None else min(self.threads, number)
        if threads < 1 or number == 1:
            return self._run_inline(function, items)
        return self._run_in_threads(function, items, threads)

    def _run_inline(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[Outcome[Item], None, None]:
        try:
            for item in items:
                if self._cancelled.is_set():
                    return
                yield _attempt(function, item)
        except BaseException:
            self._give_up()
            raise

    def _run_in_threads(
        self, function: Callable[[Item], Result], items: Iterable[Item], threads: int
    ) -> Generator[Outcome[Item], None, None]:
        waiting: SimpleQueue[list[Item]] = SimpleQueue()
        done: SimpleQueue[list[Outcome[Item]] | BaseException] = SimpleQueue()
        work = partial(self._work, function, waiting, done)
        # Leaving the pool waits for its threads, so giving up comes first.
        with ThreadPoolExecutor(threads, "collectfasta") as pool:
            try:
                if _start(pool, work, threads):
                    yield from self._exchange(items, waiting, done, 2 * threads)
                else:
                    yield from self._run_inline(function, items)
            except BaseException:
                self._give_up()
                raise
            finally:
                for _ in range(threads):
                    waiting.put([])

    def _exchange(
        self,
        items: Iterable[Item],
        waiting: SimpleQueue[list[Item]],
        done: SimpleQueue[list[Outcome[Item]] | BaseException],
        most: int,
    ) -> Iterator[Outcome[Item]]:
        """Hand batches to the threads and yield what comes back, with a bounded number between."""
        iterator, batch, under_way = iter(items), self._batch, 0
        while True:
            while under_way < most and not self._cancelled.is_set():
                if not (taken := list(islice(iterator, batch))):
                    break
                waiting.put(taken)
                under_way += 1
            if not under_way:
                return
            outcomes = done.get()
            if isinstance(outcomes, BaseException):
                raise outcomes
            under_way -= 1
            yield from outcomes

    def _give_up(self) -> None:
        self.cancel()
        # What it fails by must not take the place of what has ended the work.
        with suppress(Exception):
            self._abort()

    def _work(
        self,
        function: Callable[[Item], Result],
        waiting: SimpleQueue[list[Item]],
        done: SimpleQueue[list[Outcome[Item]] | BaseException],
    ) -> None:
        """Work on batches until an empty one comes."""
        try:
            while batch := waiting.get():
                is_cancelled = self._cancelled.is_set()
                done.put([] if is_cancelled else [_attempt(function, item) for item in batch])
        except BaseException as error:  # noqa: BLE001 - raised again where it is read
            done.put(error)
        finally:
            # A strategy may use caches and, for one of them, a database: what is open is this
            # thread's.
            with suppress(Exception):
                caches.close_all()
            with suppress(Exception):
                connections.close_all()


def _start(pool: ThreadPoolExecutor, work: Callable[[], object], number: int) -> bool:
    """Start a number of threads, or as many as the system allows; return whether there is any.

    Where a container limits processes, each thread counts as one.
    """
    for started in range(number):
        try:
            # One call for a thread's whole life: a Future for each item would cost more than
            # hashing a small file, and only so a thread closes at its end what it has opened.
            pool.submit(work)
        except RuntimeError:
            return started > 0
    return True


class NoAnswerError(TimeoutError):
    """What was called has not returned in time."""


def in_time(function: Callable[[], Result], seconds: float) -> Result:
    """Call a function and wait for it for so long, where it may never end and can't be interrupted.

    Args:
        function: Runs in a separate thread, which nobody waits for any more after that: it does
            not keep the process from ending.
        seconds: How long.

    Raises:
        NoAnswerError: It has not ended.
        BaseException: What it raised.
    """
    outcome: Future[Result] = Future()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=work, name="collectfasta-in-time", daemon=True).start()
    if not wait([outcome], seconds).done:
        raise NoAnswerError(f"no answer in {seconds:.0f} s")
    return outcome.result()


def _attempt(function: Callable[[Item], Result], item: Item) -> Outcome[Item]:
    try:
        return item, function(item), None
    except Exception as error:  # noqa: BLE001 - it is the outcome, and the caller reads it
        return item, None, error
