"""What is counted while a run goes on, and who is shown it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from collectfasta.terminal.progress import (
    Display,
    Lines,
    Progress,
    State,
    Step,
    in_words,
)

# Waited only by a test that fails.
WAIT_SECONDS = 30.0


class Recording(Display):
    """A display that keeps what it is shown."""

    seconds = 0.001

    def __init__(self) -> None:
        self.shown: list[State] = []
        self.ended: list[tuple[State, bool]] = []
        self.hidden = 0
        self.threads: set[str] = set()
        self.on_show: Callable[[], object] = lambda: None

    def show(self, state: State) -> None:
        self.threads.add(threading.current_thread().name)
        self.shown.append(state)
        self.on_show()

    def hide(self) -> None:
        self.hidden += 1

    def end(self, state: State, *, failed: bool) -> None:
        self.ended.append((state, failed))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)


def shown_on(display: Recording) -> Progress:
    return Progress(lambda: display)


def drawing_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "collectfasta-progress"]


@pytest.fixture
def step() -> Step:
    return Step("Sending", "file", 10, 1000)


class TestStep:
    def test_counts_files_and_bytes(self, step: Step) -> None:
        step.advance(2, 300)
        step.advance()

        state = step.state()
        assert (state.done, state.total) == (3, 10)
        assert (state.size, state.total_size) == (300, 1000)

    def test_counts_right_from_many_threads(self) -> None:
        step = Step("Sending", "file", 8000, 8000)

        def work(_: int) -> None:
            for _ in range(1000):
                with step.file(1) as move:
                    move(1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))

        assert (step.state().done, step.state().size) == (8000, 8000)

    def test_a_file_counts_as_far_as_it_is_sent(self, step: Step) -> None:
        with step.file(500) as move:
            move(200)
            assert (step.state().done, step.state().size) == (0, 200)

    def test_a_file_that_is_sent_counts_whole_whatever_was_told(self, step: Step) -> None:
        with step.file(500) as move:
            move(200)

        assert (step.state().done, step.state().size) == (1, 500)

    def test_bytes_that_are_sent_again_count_once(self, step: Step) -> None:
        with step.file(500) as move:
            for position in (0, 400, 0, 100):
                move(position)
            assert step.state().size == 100

    def test_bytes_beyond_a_files_size_do_not_count(self, step: Step) -> None:
        with step.file(500) as move:
            move(700)
            assert step.state().size == 500

    def test_a_file_that_fails_does_not_count(self, step: Step) -> None:
        with suppress(OSError), step.file(500) as move:
            move(400)
            raise OSError

        assert (step.state().done, step.state().size) == (0, 0)

    def test_tells_at_first_of_what_comes_before(self, step: Step) -> None:
        step.advance(1, 10)

        with step.at_first("Listing", "request", lambda: 3):
            state = step.state()

        assert (state.name, state.noun, state.done, state.total) == ("Listing", "request", 3, None)
        assert step.state().name == "Sending"


class TestState:
    STATE = State("Sending", "file", 0, 10, 0, 1000, 6.0)

    def test_has_no_time_left_before_anything_is_done(self) -> None:
        assert self.STATE.seconds_left is None

    def test_has_as_much_time_left_as_half_of_the_work_took(self) -> None:
        assert replace(self.STATE, done=5, size=500).seconds_left == 6.0

    def test_takes_files_for_work_too(self) -> None:
        """Largest first, the bytes are nearly all sent when most of the files are not."""
        left = replace(self.STATE, done=2, size=990).seconds_left
        assert left is not None
        assert left > 20

    def test_is_never_done_more_than_whole(self) -> None:
        done, total = replace(self.STATE, done=12, size=5000).work
        assert done == total


class TestProgress:
    def test_that_is_shown_to_nobody_starts_no_thread(self) -> None:
        with Progress().step("Sending", total=3) as step:
            step.advance()
            assert drawing_threads() == []

    def test_that_is_shown_to_nobody_leaves_no_line(self) -> None:
        progress = Progress()
        with progress.aside():
            assert not progress.is_amid_a_line


class TestShowing:
    @pytest.fixture
    def display(self) -> Recording:
        return Recording()

    def test_shows_a_step_at_once(self, display: Recording) -> None:
        display.seconds = WAIT_SECONDS
        with shown_on(display).step("Sending", total=3):
            assert [each.done for each in display.shown] == [0]

    def test_shows_a_step_while_its_own_thread_waits(self, display: Recording) -> None:
        with shown_on(display).step("Sending", total=3) as step:
            step.advance()
            display.wait_for(lambda: display.shown[-1].done == 1)

        assert "collectfasta-progress" in display.threads

    def test_ends_with_all_that_was_counted(self, display: Recording) -> None:
        with shown_on(display).step("Sending", total=3) as step:
            step.advance(3)

        ((state, failed),) = display.ended
        assert (state.done, failed) == (3, False)

    def test_shows_nothing_after_the_end(self, display: Recording) -> None:
        with shown_on(display).step("Sending", total=3):
            pass

        shown = len(display.shown)
        assert drawing_threads() == []
        assert len(display.shown) == shown

    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
    def test_ends_a_step_that_fails(self, display: Recording, error: type[BaseException]) -> None:
        with suppress(error), shown_on(display).step("Sending", total=3):
            raise error

        assert [failed for _, failed in display.ended] == [True]
        assert drawing_threads() == []

    def test_shows_no_step_that_has_nothing_to_do(self, display: Recording) -> None:
        with shown_on(display).step("Sending", total=0):
            pass

        assert display.shown == []

    def test_shows_the_ends_where_no_thread_can_be_started(
        self, display: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with shown_on(display).step("Sending", total=3) as step:
            step.advance(3)

        assert [each.done for each in display.shown] == [0]
        assert [state.done for state, _ in display.ended] == [3]

    def test_is_hidden_and_not_shown_while_something_else_is_written(
        self, display: Recording
    ) -> None:
        progress = shown_on(display)
        with progress.step("Sending", total=3):
            display.wait_for(lambda: len(display.shown) > 3)
            with progress.aside():
                assert display.hidden == 1
                shown = len(display.shown)
                time.sleep(20 * display.seconds)
                assert len(display.shown) == shown
            display.wait_for(lambda: len(display.shown) > shown)

    def test_may_be_written_by_what_is_hidden_for_writing(self, display: Recording) -> None:
        """The stream that it is drawn on is the one that messages are written to."""
        progress = shown_on(display)

        def write() -> None:
            with progress.aside():
                pass

        display.on_show = write
        with progress.step("Sending", total=3):
            display.wait_for(lambda: display.hidden > 3)

    def test_tells_whether_it_is_amid_a_line(self, display: Recording) -> None:
        progress = shown_on(display)
        display.is_amid_a_line = True
        with progress.step("Sending", total=3):
            assert progress.is_amid_a_line

    def test_has_one_display_which_the_first_step_makes(self, display: Recording) -> None:
        made: list[Recording] = []

        def make() -> Recording:
            made.append(display)
            return display

        progress = Progress(make)
        assert made == []
        for _ in range(2):
            with progress.step("Sending", total=3):
                pass

        assert made == [display]


SENDING = State("Sending", "file", 1200, 3000, 41 * 1024**2, 100 * 1024**2, 10.0)


class TestLines:
    def test_come_after_10_seconds_and_then_in_30_each(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, written = [1000.0], list[str]()
        monkeypatch.setattr("collectfasta.terminal.progress.time.monotonic", lambda: now[0])
        lines, seconds = Lines(written.append), list[int]()
        for second in range(100):
            now[0] = 1000.0 + second
            before = len(written)
            lines.show(SENDING)
            seconds += [second] * (len(written) - before)

        assert seconds == [10, 40, 70]
        assert {*written} == {f"{in_words(SENDING)}\n"}

    def test_end_and_hide_without_a_line(self) -> None:
        written: list[str] = []
        lines = Lines(written.append)
        lines.hide()
        lines.end(SENDING, failed=True)
        assert written == []


class TestInWords:
    def test_has_files_bytes_and_the_time_left(self) -> None:
        words = in_words(SENDING)
        assert words == "Sending: 1,200 of 3,000 files, 41.0 MB of 100.0 MB, 15 s left."

    def test_has_minutes_where_there_are_many_seconds(self) -> None:
        assert in_words(replace(SENDING, seconds=200.0)).endswith(", 5 min left.")

    def test_has_the_time_so_far_where_nothing_is_done(self) -> None:
        words = in_words(replace(SENDING, done=0, size=0))
        assert words == "Sending: 0 of 3,000 files, 0 bytes of 100.0 MB, 10 s so far."

    @pytest.mark.parametrize(("done", "words"), [(1, "1 request, "), (None, "")])
    def test_has_no_more_numbers_than_are_known(self, done: int | None, words: str) -> None:
        state = State("Listing", "request", done, None, 0, 0, 12.0)
        assert in_words(state) == f"Listing: {words}12 s so far."
