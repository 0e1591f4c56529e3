"""Run a function over many items: inline, or in a pool of threads, behind one interface."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from django.db import connections
from typing_extensions import NamedTuple  # in typing it can't be generic before Python 3.11

Item = TypeVar("Item")
Result = TypeVar("Result")


class Outcome(NamedTuple, Generic[Item, Result]):
    """What became of an item: the function's result, or the exception that it raised."""

    item: Item
    result: Any
    error: Exception | None


class Executor:
    """Run a function over items and yield every outcome, in whatever order they are done.

    Args:
        threads: How many items are worked on at a time; 0 works in the calling thread.
        abort: Called when the caller gives up early, on an interrupt for instance: ends what is
            under way, which is then waited for.
    """

    def __init__(self, threads: int, abort: Callable[[], object] = lambda: None) -> None:
        self.threads = threads
        self._abort = abort
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Begin no more items. The outcomes of those under way are still yielded."""
        self._cancelled.set()

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[Outcome[Item, Result], None, None]:
        """Yield an outcome for each item, to the calling thread.

        Whoever closes the generator early cancels the rest and waits for what is under way.

        Raises:
            BaseException: What the function raised, if that is no ``Exception``.
        """
        tasks = list(items)
        if self.threads < 1 or len(tasks) < 2:
            return self._run_inline(function, tasks)
        return self._run_in_threads(function, tasks)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.cancel()
            # What it fails by must not take the place of what has ended the work.
            with suppress(Exception):
                self._abort()
            raise

    def _run_inline(
        self, function: Callable[[Item], Result], tasks: list[Item]
    ) -> Generator[Outcome[Item, Result], None, None]:
        with self._giving_up():
            for task in tasks:
                if self._cancelled.is_set():
                    return
                yield _attempt(function, task)

    def _run_in_threads(
        self, function: Callable[[Item], Result], tasks: list[Item]
    ) -> Generator[Outcome[Item, Result], None, None]:
        threads = min(self.threads, len(tasks))
        waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
        done: queue.SimpleQueue[Outcome[Item, Result] | BaseException | None] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        pool = ThreadPoolExecutor(threads, thread_name_prefix="collectfasta")
        # The pool's end waits for what is under way, so giving up comes first.
        with pool, self._giving_up():
            for _ in range(threads):
                pool.submit(self._work, function, waiting, done)
            while threads:
                outcome = done.get()
                if outcome is None:
                    threads -= 1
                elif isinstance(outcome, BaseException):
                    raise outcome
                else:
                    yield outcome

    def _work(
        self,
        function: Callable[[Item], Result],
        waiting: queue.SimpleQueue[Item],
        done: queue.SimpleQueue[Outcome[Item, Result] | BaseException | None],
    ) -> None:
        try:
            while not self._cancelled.is_set():
                done.put(_attempt(function, waiting.get_nowait()))
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where it is read
            done.put(error)
        finally:
            try:
                # A strategy may use the database (for its cache): the connection is this thread's.
                connections.close_all()
            finally:
                done.put(None)


def _attempt(function: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    try:
        return Outcome(item, function(item), None)
    except Exception as error:  # noqa: BLE001 - it is the outcome, and the caller reads it
        return Outcome(item, None, error)
