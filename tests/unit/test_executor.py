"""The executor: inline and in threads, the same outcomes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import connections

from collectfasta.executor import Executor

each_number_of_threads = pytest.mark.parametrize("threads", [0, 1, 2, 8])
# Waited only by a test that fails.
WAIT_SECONDS = 10


class BrokenFileError(Exception):
    """What happens to some files."""


class FalsyError(Exception):
    """An error that looks like none."""

    def __len__(self) -> int:
        return 0


def double_of_even(number: int) -> int:
    if number % 2:
        raise BrokenFileError(number)
    return 2 * number


@each_number_of_threads
@pytest.mark.parametrize("number", [0, 1, 2, 100])
def test_every_item_has_exactly_one_outcome(threads: int, number: int) -> None:
    outcomes = Executor(threads).run(double_of_even, range(number))
    assert sorted(item for item, _, _ in outcomes) == list(range(number))


@each_number_of_threads
def test_an_outcome_is_the_result_of_its_own_item(threads: int) -> None:
    outcomes = Executor(threads).run(double_of_even, range(0, 100, 2))
    assert {item: result for item, result, _ in outcomes} == {n: 2 * n for n in range(0, 100, 2)}


@each_number_of_threads
def test_an_error_is_an_outcome_and_the_others_go_on(threads: int) -> None:
    outcomes = list(Executor(threads).run(double_of_even, range(100)))
    failed = {item: error for item, _, error in outcomes if error is not None}
    assert sorted(failed) == list(range(1, 100, 2))
    assert all(isinstance(error, BrokenFileError) for error in failed.values())


@each_number_of_threads
@pytest.mark.parametrize("error", [StopIteration(), FalsyError(), TimeoutError()], ids=repr)
def test_no_exception_is_lost_or_ends_the_iteration(threads: int, error: Exception) -> None:
    def fail(_: int) -> None:
        raise error

    outcomes = list(Executor(threads).run(fail, range(3)))
    assert [found for _, _, found in outcomes] == [error, error, error]


@each_number_of_threads
def test_equal_items_have_an_outcome_each(threads: int) -> None:
    outcomes = Executor(threads).run(double_of_even, [4, 4, 4])
    assert [result for _, result, _ in outcomes] == [8, 8, 8]


@each_number_of_threads
@pytest.mark.parametrize("error_type", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_is_raised_to_the_caller(
    threads: int, error_type: type[BaseException]
) -> None:
    def interrupt(number: int) -> None:
        if number == 5:
            raise error_type("stop")

    with pytest.raises(error_type, match="stop"):
        list(Executor(threads).run(interrupt, range(10)))


def test_inline_the_caller_does_the_work() -> None:
    outcomes = Executor(0).run(lambda _: threading.get_ident(), range(3))
    assert {result for _, result, _ in outcomes} == {threading.get_ident()}


def test_inline_nothing_is_done_before_it_is_asked_for() -> None:
    done: list[int] = []
    outcomes = Executor(0).run(done.append, range(3))
    next(outcomes)
    assert done == [0]
    outcomes.close()


def test_threads_work_at_the_same_time() -> None:
    # Each waits for seven others.
    barrier = threading.Barrier(8)
    outcomes = Executor(8).run(lambda _: barrier.wait(WAIT_SECONDS), range(8))
    assert [found for _, _, found in outcomes] == [None] * 8


def test_no_more_threads_work_than_allowed() -> None:
    lock, at_work, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.001)
        with lock:
            at_work -= 1

    list(Executor(2).run(work, range(50)))
    assert most == 2


def test_outcomes_come_in_the_order_in_which_they_are_done() -> None:
    second_is_done = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            assert second_is_done.wait(WAIT_SECONDS)

    outcomes = Executor(2).run(work, range(2))
    assert next(outcomes) == (1, None, None)
    second_is_done.set()
    assert next(outcomes) == (0, None, None)
    outcomes.close()


def test_items_are_worked_on_while_others_are_awaited() -> None:
    first_is_done = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        # A listing would wait for its next page here.
        assert first_is_done.wait(WAIT_SECONDS)
        yield 2

    outcomes = Executor(2).run(lambda _: first_is_done.set(), items())
    assert sorted(item for item, _, _ in outcomes) == [1, 2]


@each_number_of_threads
def test_what_the_items_raise_is_raised_to_the_caller(threads: int) -> None:
    def items() -> Iterator[int]:
        yield 0
        raise BrokenFileError("in the listing")

    with pytest.raises(BrokenFileError, match="in the listing"):
        list(Executor(threads).run(double_of_even, items()))


@each_number_of_threads
@pytest.mark.parametrize("number", [0, 1, 15, 16, 17, 100])
def test_every_item_of_a_batch_has_exactly_one_outcome(threads: int, number: int) -> None:
    outcomes = Executor(threads, batch=16).run(double_of_even, range(number))
    assert sorted(item for item, _, _ in outcomes) == list(range(number))


def test_closing_early_cancels_the_rest_inline() -> None:
    begun: list[int] = []
    outcomes = Executor(0).run(begun.append, range(100))
    next(outcomes)
    outcomes.close()
    assert begun == [0]


@each_number_of_threads
def test_what_was_cancelled_before_it_began_has_no_outcome(threads: int) -> None:
    executor = Executor(threads)
    executor.cancel()
    assert list(executor.run(double_of_even, range(100))) == []


def test_cancelling_inline_begins_nothing_more() -> None:
    executor = Executor(0)
    outcomes = executor.run(double_of_even, range(100))
    next(outcomes)
    executor.cancel()
    assert list(outcomes) == []


def test_the_outcomes_of_what_is_under_way_are_still_yielded_after_cancelling() -> None:
    executor, both, cancelled = Executor(2), threading.Barrier(3), threading.Event()

    def work(_: int) -> None:
        both.wait(WAIT_SECONDS)
        assert cancelled.wait(WAIT_SECONDS)

    outcomes = executor.run(work, range(100))

    def cancel_when_two_are_under_way() -> None:
        both.wait(WAIT_SECONDS)
        executor.cancel()
        cancelled.set()

    canceller = threading.Thread(target=cancel_when_two_are_under_way)
    canceller.start()
    assert sorted(outcomes) == [(0, None, None), (1, None, None)]
    canceller.join()


def test_a_database_connection_that_can_not_be_closed_blocks_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise BrokenFileError

    monkeypatch.setattr(connections, "close_all", fail)
    # In a thread of its own, so that this test ends even if that doesn't.
    caller = threading.Thread(
        target=lambda: list(Executor(2).run(double_of_even, range(4))), daemon=True
    )
    caller.start()
    caller.join(WAIT_SECONDS)
    assert not caller.is_alive()


@each_number_of_threads
def test_nothing_is_aborted_that_is_read_to_its_end(threads: int) -> None:
    aborted: list[bool] = []
    list(Executor(threads, lambda: aborted.append(True)).run(double_of_even, range(10)))
    assert aborted == []


@each_number_of_threads
def test_an_interrupt_within_an_item_aborts_the_others(threads: int) -> None:
    aborted: list[bool] = []

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Executor(threads, lambda: aborted.append(True)).run(interrupt, range(10)))
    assert aborted == [True]


class TestGivingUpInThreads:
    """All items but the first wait until they are aborted.

    So what is under way is known when the caller gives up, and nothing ends that is not aborted.
    """

    def setup_method(self) -> None:
        self.aborted = threading.Event()
        self.begun: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.outcomes = Executor(2, self.aborted.set).run(self._work, range(100))
        next(self.outcomes)

    def _work(self, number: int) -> None:
        self.begun[number] += 1
        if number:
            assert self.aborted.wait(WAIT_SECONDS)
        self.ended[number] += 1

    def test_what_was_not_begun_is_never_begun(self) -> None:
        self.outcomes.close()
        # The first, and one in each of the two threads.
        assert self.begun.total() <= 3

    def test_what_is_under_way_is_aborted_and_waited_for(self) -> None:
        self.outcomes.close()
        assert self.ended == self.begun

    def test_an_interrupt_of_the_caller_does_the_same(self) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.outcomes.throw(KeyboardInterrupt)
        assert self.ended == self.begun
        assert self.begun.total() <= 3
