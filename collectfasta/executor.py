"""Run a function over many items: inline, or in a pool of threads, behind one interface."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, TypeVar

from django.core.cache import caches
from django.db import connections

Item = TypeVar("Item")
Result = TypeVar("Result")


# What became of an item: itself, the function's result, and the exception that it raised instead.
Outcome = tuple[Item, Any, Exception | None]

# Outcomes, what is raised to the caller, and None when a thread has ended.
_Done = queue.SimpleQueue[list[Outcome[Item]] | BaseException | None]


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
        # So many are begun whose outcomes nobody has read yet: whoever cancels is heard in time,
        # also where threads are faster than their reader.
        self._unread = threading.Semaphore(2 * threads)

    def cancel(self) -> None:
        """Begin no more items. The outcomes of those under way are still yielded."""
        self._cancelled.set()

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[Outcome[Item], None, None]:
        """Yield an outcome for each item, to the calling thread.

        Items are taken while others are worked on, so that a listing can go on meanwhile. Whoever
        closes the generator early cancels the rest and waits for what is under way.

        Raises:
            BaseException: What the function raised, if that is no ``Exception``, or the iterable.
        """
        number = len(items) if isinstance(items, Sized) else None
        threads = self.threads if number is None else min(self.threads, number)
        if threads < 1 or number == 1:
            return self._run_inline(function, items)
        return self._run_in_threads(function, items, threads)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.cancel()
            self._unread.release(self.threads or 1)
            # What it fails by must not take the place of what has ended the work.
            with suppress(Exception):
                self._abort()
            raise

    def _run_inline(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[Outcome[Item], None, None]:
        with self._giving_up():
            for item in items:
                if self._cancelled.is_set():
                    return
                yield _attempt(function, item)

    def _run_in_threads(
        self, function: Callable[[Item], Result], items: Iterable[Item], threads: int
    ) -> Generator[Outcome[Item], None, None]:
        waiting: queue.SimpleQueue[list[Item]] = queue.SimpleQueue()
        done: _Done[Item] = queue.SimpleQueue()
        pool = ThreadPoolExecutor(threads, thread_name_prefix="collectfasta")
        # The pool's end waits for what is under way, so giving up comes first.
        with pool, self._giving_up():
            for _ in range(threads):
                pool.submit(self._work, function, waiting, done)
            self._feed(items, waiting, threads)
            while threads:
                outcomes = done.get()
                if outcomes is None:
                    threads -= 1
                elif isinstance(outcomes, BaseException):
                    raise outcomes
                else:
                    yield from outcomes
                    self._unread.release()

    def _feed(
        self, items: Iterable[Item], waiting: queue.SimpleQueue[list[Item]], threads: int
    ) -> None:
        iterator = iter(items)
        try:
            while batch := list(islice(iterator, self._batch)):
                waiting.put(batch)
        finally:
            for _ in range(threads):
                waiting.put([])

    def _may_begin(self) -> bool:
        self._unread.acquire()
        if not self._cancelled.is_set():
            return True
        # For the next thread, which is to hear of it too.
        self._unread.release()
        return False

    def _work(
        self,
        function: Callable[[Item], Result],
        waiting: queue.SimpleQueue[list[Item]],
        done: _Done[Item],
    ) -> None:
        try:
            while (batch := waiting.get()) and self._may_begin():
                done.put([_attempt(function, item) for item in batch])
        except BaseException as error:  # noqa: BLE001 - raised again where it is read
            done.put(error)
        finally:
            try:
                # A strategy may use caches and, for one of them, a database: what is open is this
                # thread's.
                caches.close_all()
                connections.close_all()
            finally:
                done.put(None)


class NoAnswerError(TimeoutError):
    """What was called has not returned in time."""


def in_time(function: Callable[[], Result], seconds: float) -> Result:
    """Call a function and wait for it for so long, where it may never end and can't be interrupted.

    Args:
        function: Runs in a thread of its own, which nobody waits for any more after that: it does
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
