"""The executor, for any items, threads, batches and failures."""

from __future__ import annotations

import threading
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectfasta.executor import Executor

some_examples = settings(max_examples=50)
threads = st.integers(0, 6)
batches = st.integers(1, 5)
items = st.lists(st.integers(0, 9), max_size=30)


class BrokenError(Exception):
    """What happens to some items."""


class Work:
    """Note what is begun, and fail for some items."""

    def __init__(self, broken: set[int]) -> None:
        self.begun: Counter[int] = Counter()
        self._broken = broken
        self._lock = threading.Lock()

    def __call__(self, item: int) -> int:
        with self._lock:
            self.begun[item] += 1
        if item in self._broken:
            raise BrokenError(item)
        return -item


@some_examples
@given(items, st.sets(st.integers(0, 9)), threads, batches, st.booleans())
def test_each_item_has_one_outcome_of_its_own(
    items: list[int], broken: set[int], threads: int, batch: int, is_sized: bool
) -> None:
    work = Work(broken)
    given = items if is_sized else iter(items)
    outcomes = list(Executor(threads, batch=batch).run(work, given))
    assert Counter(item for item, _, _ in outcomes) == Counter(items) == work.begun
    for item, result, error in outcomes:
        assert (error is not None) == (item in broken)
        assert error is None or error.args == (item,)
        assert result == (None if item in broken else -item)


@some_examples
@given(st.integers(0, 80), threads, batches, st.integers(0, 80))
@example(80, 4, 1, 0)
def test_after_a_cancellation_no_batch_is_begun_and_no_outcome_is_lost(
    number: int, threads: int, batch: int, last: int
) -> None:
    executor = Executor(threads, batch=batch)
    begun: list[int] = []
    begun_later: list[int] = []
    lock = threading.Lock()
    is_cancelled = False

    def work(item: int) -> None:
        nonlocal is_cancelled
        with lock:
            (begun_later if is_cancelled else begun).append(item)
        if item == last:
            executor.cancel()
            with lock:
                is_cancelled = True

    yielded = [item for item, _, _ in executor.run(work, range(number))]
    assert sorted(yielded) == sorted([*begun, *begun_later])
    assert len({*yielded}) == len(yielded)
    # What is left of the batch that each thread has begun.
    assert len(begun_later) <= threads * batch
    if last >= number:
        assert sorted(yielded) == [*range(number)]
