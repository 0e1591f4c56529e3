"""Where it is shown how far a run has come, and the lines of a CI's log."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from django.core.management.base import OutputWrapper

from collectfasta.bars import Bars
from collectfasta.displays import Lines, in_words, progress_on
from collectfasta.progress import Progress, ShownProgress, State

SENDING = State("Sending", "file", 1200, 3000, 41 * 1024**2, 100 * 1024**2, 10.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def display_on(stream: io.StringIO, *, verbosity: int = 1, **environment: str) -> object:
    """Return the kind of display that a stream gets, None for none."""
    progress = progress_on(OutputWrapper(stream), verbosity, environment)
    if isinstance(progress, ShownProgress):
        return type(vars(progress)["_display"])
    assert type(progress) is Progress
    return None


class TestProgressOn:
    def test_a_terminal_is_bars(self) -> None:
        assert display_on(Terminal()) is Bars

    def test_a_pipe_is_nothing(self) -> None:
        assert display_on(io.StringIO()) is None

    @pytest.mark.parametrize("name", ["CI", "TF_BUILD"])
    @pytest.mark.parametrize("value", ["true", "True", "1"])
    def test_a_pipe_of_a_ci_is_lines(self, name: str, value: str) -> None:
        assert display_on(io.StringIO(), verbosity=1, **{name: value}) is Lines

    @pytest.mark.parametrize("value", ["", "false", "False", "0"])
    def test_what_says_that_it_is_no_ci_is_none(self, value: str) -> None:
        assert display_on(io.StringIO(), CI=value) is None

    def test_a_terminal_of_a_ci_is_lines(self) -> None:
        assert display_on(Terminal(), CI="true") is Lines

    def test_a_terminal_without_a_cursor_is_lines(self) -> None:
        assert display_on(Terminal(), TERM="dumb") is Lines

    def test_a_pipe_of_such_a_terminal_is_nothing(self) -> None:
        assert display_on(io.StringIO(), TERM="dumb") is None

    def test_a_terminal_is_nothing_where_tqdm_is_switched_off(self) -> None:
        assert display_on(Terminal(), TQDM_DISABLE="1") is None

    @pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
    def test_verbosity_0_is_nothing(self, stream: io.StringIO) -> None:
        assert display_on(stream, verbosity=0, CI="true") is None

    def test_a_pipe_does_not_load_tqdm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "collectfasta.bars")
        progress_on(OutputWrapper(io.StringIO()), 1, {"CI": "true"})
        assert "collectfasta.bars" not in sys.modules


class TestLines:
    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [1000.0]
        monkeypatch.setattr("collectfasta.displays.time.monotonic", lambda: now[0])
        return now

    @pytest.fixture
    def written(self) -> list[str]:
        return []

    def seconds_of_lines(self, now: list[float], written: list[str]) -> list[int]:
        """Return when lines are written in the 100 seconds of a run."""
        lines, seconds = Lines(written.append), []
        for second in range(100):
            now[0] = 1000.0 + second
            before = len(written)
            lines.show(SENDING)
            seconds += [second] * (len(written) - before)
        return seconds

    def test_come_after_10_seconds_and_then_in_30_each(
        self, now: list[float], written: list[str]
    ) -> None:
        assert self.seconds_of_lines(now, written) == [10, 40, 70]

    def test_say_how_far_it_is(self, now: list[float], written: list[str]) -> None:
        self.seconds_of_lines(now, written)
        assert set(written) == {in_words(SENDING)}

    def test_end_and_hide_without_a_line(self, written: list[str]) -> None:
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

    def test_has_one_number_where_the_total_is_not_known(self) -> None:
        state = State("Listing", "request", 1, None, 0, 0, 12.0)
        assert in_words(state) == "Listing: 1 request, 12 s so far."

    def test_has_no_number_where_nobody_counts(self) -> None:
        state = State("Listing", "request", None, None, 0, 0, 12.0)
        assert in_words(state) == "Listing: 12 s so far."
