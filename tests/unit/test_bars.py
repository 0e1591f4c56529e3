"""What a bar looks like, and what is written for it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from django.core.management.base import OutputWrapper

from collectfasta.bars import Bars, lay_out
from collectfasta.progress import State

SENDING = State("Sending", "file", 5, 10, 50 * 1024**2, 100 * 1024**2, 10.0)
LISTING = State("Listing", "request", 12, None, 0, 0, 4.0)


class TestLayOut:
    def test_has_files_bytes_rate_and_the_time_left(self) -> None:
        text = lay_out(SENDING, 100)
        assert text.startswith("Sending:  50%|")
        assert text.endswith("| 5/10 files, 50.0 MB/100.0 MB [00:10<00:10, 5.0 MB/s]")

    @pytest.mark.parametrize("width", [30, 80, 200])
    def test_is_no_wider_than_it_may_be(self, width: int) -> None:
        assert len(lay_out(SENDING, width)) == width

    def test_has_no_bytes_where_they_do_not_matter(self) -> None:
        text = lay_out(replace(SENDING, name="Post-processing", size=0, total_size=0), 100)
        assert text.endswith("| 5/10 files [00:10<00:10, 0/s]")

    def test_has_no_bar_where_the_total_is_not_known(self) -> None:
        assert lay_out(LISTING, 100) == "Listing: 12 requests [00:04, 3/s]"

    def test_has_no_number_where_nobody_counts(self) -> None:
        assert lay_out(replace(LISTING, done=None), 100) == "Listing: [00:04]"

    def test_does_not_divide_by_no_time(self) -> None:
        text = lay_out(replace(SENDING, done=0, size=0, seconds=0.0), 100)
        assert text.endswith("| 0/10 files, 0 bytes/100.0 MB [00:00<?]")

    def test_is_drawn_of_digits_where_there_are_no_blocks(self) -> None:
        assert lay_out(SENDING, 100, is_ascii=True).isascii()

    def test_is_whole_at_the_end(self) -> None:
        text = lay_out(replace(SENDING, done=10, size=100 * 1024**2), 100)
        assert text.startswith("Sending: 100%|█")
        assert " " not in text.partition("|")[2].partition("|")[0]


class Stream(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestBars:
    @pytest.fixture
    def stream(self) -> Stream:
        return Stream()

    @pytest.fixture
    def bars(self, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Bars:
        monkeypatch.setattr("collectfasta.bars._WIDTH", 61)
        return Bars(OutputWrapper(stream))

    def test_draw_over_what_was_there(self, bars: Bars, stream: Stream) -> None:
        bars.show(SENDING)
        assert stream.getvalue().startswith("\rSending:  50%|")
        assert stream.getvalue().endswith("\x1b[K")

    def test_are_one_column_narrower_than_the_terminal(self, bars: Bars, stream: Stream) -> None:
        """In the last one a terminal begins a new line."""
        bars.show(SENDING)
        assert len(stream.getvalue().removesuffix("\x1b[K").removeprefix("\r")) == 60

    def test_leave_nothing_when_hidden(self, bars: Bars, stream: Stream) -> None:
        bars.show(SENDING)
        bars.hide()
        assert stream.getvalue().endswith("\r\x1b[K")
        assert not bars.is_amid_a_line

    def test_write_nothing_when_there_is_nothing_to_hide(self, bars: Bars, stream: Stream) -> None:
        bars.hide()
        assert stream.getvalue() == ""

    def test_stay_hidden_while_lines_follow_each_other(self, bars: Bars, stream: Stream) -> None:
        bars.seconds = 60.0
        bars.show(SENDING)
        bars.hide()
        written = stream.getvalue()

        bars.show(SENDING)

        assert stream.getvalue() == written

    def test_that_took_long_leave_a_line(self, bars: Bars, stream: Stream) -> None:
        bars.end(SENDING, failed=False)
        assert stream.getvalue().endswith("\x1b[K\n")

    def test_that_were_over_at_once_leave_none(self, bars: Bars, stream: Stream) -> None:
        bars.end(replace(SENDING, seconds=0.1), failed=False)
        assert stream.getvalue().endswith("\r\x1b[K")

    def test_of_what_has_failed_leave_a_line(self, bars: Bars, stream: Stream) -> None:
        bars.end(replace(SENDING, seconds=0.1), failed=True)
        assert stream.getvalue().endswith("\x1b[K\n")

    def test_are_drawn_at_once_after_one_has_ended(self, bars: Bars, stream: Stream) -> None:
        bars.seconds = 60.0
        bars.end(replace(SENDING, seconds=0.1), failed=False)

        bars.show(replace(SENDING, name="Next"))

        assert "Next: " in stream.getvalue()

    @pytest.mark.parametrize(
        ("encoding", "is_ascii"),
        [
            ("ascii", True),
            ("latin-1", True),
            ("no-such-encoding", True),
            (None, True),
            ("utf-8", False),
        ],
    )
    def test_are_of_ascii_where_the_terminal_is(self, encoding: str | None, is_ascii: bool) -> None:
        class Other(OutputWrapper):
            def __getattr__(self, name: str) -> Any:
                return encoding if name == "encoding" else super().__getattr__(name)

        stream = Stream()
        Bars(Other(stream)).show(SENDING)
        assert stream.getvalue().isascii() is is_ascii
