"""The executor: inline and in threads, the same outcomes.

How many outcomes there are, of which items, is stated in properties/test_executing.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from django.core.cache import caches
from django.db import connections

from collectfasta.executor import Executor, NoAnswerError, in_time

each_number_of_threads = pytest.mark.parametrize("threads", [0, 1, 8])
# Waited only by a test that fails.
WAIT_SECONDS = 10


class BrokenFileError(Exception):
    """What happens to some files."""


class FalsyError(Exception):
    """An error that looks like none."""

    def __len__(self) -> int:
        return 0


def double(number: int) -> int:
    return 2 * number


class TestOutcomes:
    @each_number_of_threads
    @pytest.mark.parametrize("error", [BrokenFileError(), StopIteration(), FalsyError()], ids=repr)
    def test_an_error_is_one_and_the_others_go_on(self, threads: int, error: Exception) -> None:
        def fail_if_odd(number: int) -> int:
            if number % 2:
                raise error
            return number

        outcomes = sorted(Executor(threads).run(fail_if_odd, range(20)))
        assert outcomes == [(n, None, error) if n % 2 else (n, n, None) for n in range(20)]

    @each_number_of_threads
    @pytest.mark.parametrize("error_type", [KeyboardInterrupt, SystemExit])
    def test_what_is_not_an_exception_is_raised_to_the_caller(
        self, threads: int, error_type: type[BaseException]
    ) -> None:
        def interrupt(number: int) -> None:
            if number == 5:
                raise error_type("stop")

        with pytest.raises(error_type, match="stop"):
            list(Executor(threads).run(interrupt, range(10)))

    @each_number_of_threads
    def test_what_the_items_raise_is_raised_to_the_caller(self, threads: int) -> None:
        def items() -> Iterator[int]:
            yield 0
            raise BrokenFileError("in the listing")

        with pytest.raises(BrokenFileError, match="in the listing"):
            list(Executor(threads).run(double, items()))

    def test_come_in_the_order_in_which_they_are_done(self) -> None:
        second_is_done = threading.Event()

        def work(number: int) -> None:
            if number == 0:
                assert second_is_done.wait(WAIT_SECONDS)

        outcomes = Executor(2).run(work, range(2))
        assert next(outcomes) == (1, None, None)
        second_is_done.set()
        assert next(outcomes) == (0, None, None)
        outcomes.close()


class TestInline:
    @pytest.mark.parametrize(("threads", "number"), [(0, 3), (8, 1)])
    def test_the_caller_does_the_work(self, threads: int, number: int) -> None:
        """Without threads, and where a single item is not worth one."""
        outcomes = Executor(threads).run(lambda _: threading.get_ident(), range(number))
        assert {result for _, result, _ in outcomes} == {threading.get_ident()}

    def test_nothing_is_done_before_it_is_asked_for(self) -> None:
        done: list[int] = []
        outcomes = Executor(0).run(done.append, range(3))
        next(outcomes)
        outcomes.close()
        assert done == [0]


class TestThreads:
    def test_work_at_the_same_time(self) -> None:
        # Each waits for seven others.
        barrier = threading.Barrier(8)
        outcomes = Executor(8).run(lambda _: barrier.wait(WAIT_SECONDS), range(8))
        assert [error for _, _, error in outcomes] == [None] * 8

    def test_are_no_more_than_allowed(self) -> None:
        names = set()

        def work(_: int) -> None:
            names.add(threading.current_thread().name)
            threading.Event().wait(0.001)

        list(Executor(2).run(work, range(50)))
        assert names == {"collectfasta_0", "collectfasta_1"}

    def test_work_on_items_while_others_are_awaited(self) -> None:
        first_is_done = threading.Event()

        def items() -> Iterator[int]:
            yield 1
            # A listing would wait for its next page here.
            assert first_is_done.wait(WAIT_SECONDS)
            yield 2

        outcomes = Executor(2).run(lambda _: first_is_done.set(), items())
        assert sorted(item for item, _, _ in outcomes) == [1, 2]

    @pytest.mark.parametrize("batch", [1, 16])
    def test_take_no_more_than_is_soon_worked_on(self, batch: int) -> None:
        """However many there are, and however slowly outcomes are read."""
        taken: list[int] = []

        def items() -> Iterator[int]:
            for number in range(1000):
                taken.append(number)
                yield number

        for read, _ in enumerate(Executor(2, batch=batch).run(double, items())):
            assert len(taken) - read <= 2 * 2 * batch

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_may_be_fewer_than_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        """Where a container limits processes, each thread counts as one."""
        start, started = threading.Thread.start, list[threading.Thread]()

        def limited(thread: threading.Thread) -> None:
            if len(started) == number:
                raise RuntimeError("can't start new thread")
            started.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)
        outcomes = Executor(8).run(double, range(100))

        assert sorted(result for _, result, _ in outcomes) == list(range(0, 200, 2))
        assert len(started) == number

    @pytest.mark.parametrize("closed", [caches, connections])
    def test_close_what_they_have_opened_whatever_comes_of_it(
        self, monkeypatch: pytest.MonkeyPatch, closed: object
    ) -> None:
        names: list[str] = []

        def fail() -> None:
            names.append(threading.current_thread().name)
            raise BrokenFileError

        monkeypatch.setattr(closed, "close_all", fail)
        list(Executor(2).run(double, range(4)))
        assert sorted(names) == ["collectfasta_0", "collectfasta_1"]


class TestCancel:
    @each_number_of_threads
    def test_before_the_first_item_leaves_no_outcome(self, threads: int) -> None:
        executor = Executor(threads)
        executor.cancel()
        assert list(executor.run(double, range(100))) == []

    def test_begins_nothing_more_inline(self) -> None:
        executor = Executor(0)
        outcomes = executor.run(double, range(100))
        next(outcomes)
        executor.cancel()
        assert list(outcomes) == []

    def test_leaves_the_outcomes_of_what_is_under_way(self) -> None:
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


class TestAbort:
    @each_number_of_threads
    def test_is_not_called_where_all_is_read(self, threads: int) -> None:
        aborted: list[bool] = []
        list(Executor(threads, lambda: aborted.append(True)).run(double, range(10)))
        assert aborted == []

    @each_number_of_threads
    def test_ends_the_others_when_an_item_is_interrupted(self, threads: int) -> None:
        aborted: list[bool] = []

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(Executor(threads, lambda: aborted.append(True)).run(interrupt, range(10)))
        assert aborted == [True]

    @each_number_of_threads
    def test_that_fails_does_not_hide_why_it_was_called(self, threads: int) -> None:
        def fail() -> None:
            raise BrokenFileError

        outcomes = Executor(threads, fail).run(double, range(10))
        next(outcomes)
        with pytest.raises(KeyboardInterrupt):
            outcomes.throw(KeyboardInterrupt)


def close(outcomes: Iterator[object]) -> None:
    outcomes.close()  # type: ignore[attr-defined]


def interrupt(outcomes: Iterator[object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        outcomes.throw(KeyboardInterrupt)  # type: ignore[attr-defined]


@pytest.mark.parametrize("give_up", [close, interrupt])
def test_giving_up_begins_nothing_more_and_waits_for_what_is_under_way(
    give_up: Callable[[Iterator[object]], None],
) -> None:
    """All items but the first end when they are aborted only."""
    aborted = threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number:
            assert aborted.wait(WAIT_SECONDS)
        ended.append(number)

    outcomes = Executor(2, aborted.set).run(work, range(100))
    next(outcomes)
    give_up(outcomes)

    assert sorted(ended) == sorted(begun)
    # The first, and one in each of the two threads.
    assert len(begun) <= 3


class TestInTime:
    def test_returns_what_the_function_returns(self) -> None:
        assert in_time(lambda: 3, WAIT_SECONDS) == 3

    @pytest.mark.parametrize("error", [TimeoutError("its own"), KeyboardInterrupt()], ids=repr)
    def test_raises_what_the_function_raises(self, error: BaseException) -> None:
        def fail() -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            in_time(fail, WAIT_SECONDS)
        assert caught.value is error

    def test_waits_no_longer_than_it_may(self) -> None:
        ended = threading.Event()
        with pytest.raises(NoAnswerError, match="no answer in 0 s"):
            in_time(lambda: ended.wait(WAIT_SECONDS), 0.01)
        ended.set()
