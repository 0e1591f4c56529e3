"""What a bar looks like, and what is written for it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from django.core.management.base import OutputWrapper
from tqdm import tqdm

from collectfasta.terminal.bars import Bars, lay_out
from collectfasta.terminal.output import Output
from collectfasta.terminal.progress import Progress, State

SENDING = State("Sending", "file", 5, 10, 50 * 1024**2, 100 * 1024**2, 10.0)
LISTING = State("Listing", "request", 12, None, 0, 0, 4.0)
TIME_LEFT = "[00:10<00:10"


class TestLayOut:
    def test_has_files_bytes_rate_and_the_time_left(self) -> None:
        text = lay_out(SENDING, 100)
        assert text.startswith("Sending:  50%|")
        assert text.endswith(f"| 5/10 files, 50.0 MB/100.0 MB {TIME_LEFT}, 5.0 MB/s]")

    @pytest.mark.parametrize("width", [80, 200])
    def test_takes_the_width_that_there_is(self, width: int) -> None:
        assert len(lay_out(SENDING, width)) == width

    def test_of_a_narrow_terminal_has_the_time_left(self, subtests: pytest.Subtests) -> None:
        for width in range(30, 80, 7):
            with subtests.test(width=width):
                text = lay_out(SENDING, width)
                assert text.startswith("Sending:  50%")
                assert TIME_LEFT in text
                assert len(text) <= width

    @pytest.mark.parametrize("state", [SENDING, LISTING])
    def test_is_cut_where_nothing_fits(self, state: State) -> None:
        assert len(lay_out(state, 10)) == 10

    def test_has_no_bytes_where_they_do_not_matter(self) -> None:
        text = lay_out(replace(SENDING, name="Post-processing", size=0, total_size=0), 100)
        assert text.endswith(f"| 5/10 files {TIME_LEFT}, 0/s]")

    def test_has_no_bar_where_the_total_is_not_known(self) -> None:
        assert lay_out(LISTING, 100) == "Listing: 12 requests [00:04, 3/s]"

    def test_has_no_number_where_nobody_counts(self) -> None:
        assert lay_out(replace(LISTING, done=None), 100) == "Listing: [00:04]"

    def test_does_not_divide_by_no_time(self) -> None:
        text = lay_out(replace(SENDING, done=0, size=0, seconds=0.0), 100)
        assert text.endswith("| 0/10 files, 0 bytes/100.0 MB [00:00<?]")

    def test_is_whole_at_the_end(self) -> None:
        text = lay_out(replace(SENDING, done=10, size=100 * 1024**2), 100)
        assert text.startswith("Sending: 100%|█")
        assert " " not in text.partition("|")[2].partition("|")[0]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        """The lines that are to be seen, each as it was last written over."""
        return [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in self.lines]

    @property
    def lines(self) -> list[str]:
        return self.getvalue().split("\n")


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def bars_on(terminal: Terminal) -> Bars:
    return Bars(Output(OutputWrapper(terminal), ending=""))


class TestBars:
    @pytest.fixture
    def bars(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Bars:
        monkeypatch.setattr("collectfasta.terminal.bars._WIDTH", 90)
        return bars_on(terminal)

    def test_are_as_wide_as_there_is_room(self, bars: Bars, terminal: Terminal) -> None:
        bars.show(SENDING)
        assert terminal.screen == [lay_out(SENDING, 90)]
        assert bars.is_amid_a_line

    def test_draw_each_state_over_the_one_before(self, bars: Bars, terminal: Terminal) -> None:
        bars.show(SENDING)
        bars.show(replace(SENDING, done=6))
        (line,) = terminal.screen
        assert "| 6/10 files" in line

    def test_leave_nothing_when_hidden(self, bars: Bars, terminal: Terminal) -> None:
        bars.show(SENDING)
        bars.hide()
        assert terminal.screen == [""]
        assert not bars.is_amid_a_line

    def test_write_nothing_when_there_is_nothing_to_hide(
        self, bars: Bars, terminal: Terminal
    ) -> None:
        bars.hide()
        assert terminal.getvalue() == ""

    @pytest.mark.parametrize(
        ("seconds", "failed", "left"),
        [(10.0, False, ["Sending", ""]), (0.1, False, [""]), (0.1, True, ["Sending", ""])],
    )
    def test_leave_a_line_of_what_took_long_or_failed(
        self, bars: Bars, terminal: Terminal, seconds: float, failed: bool, left: list[str]
    ) -> None:
        bars.end(replace(SENDING, seconds=seconds), failed=failed)
        assert [line.partition(":")[0] for line in terminal.screen] == left
        assert not bars.is_amid_a_line

    def test_draw_the_next_step_in_the_next_line(self, bars: Bars, terminal: Terminal) -> None:
        bars.end(SENDING, failed=False)
        bars.show(LISTING)
        assert terminal.screen[1:] == ["Listing: 12 requests [00:04, 3/s]"]


@pytest.mark.parametrize(("encoding", "is_ascii"), [("ascii", True), ("utf-8", False)])
def test_bars_are_of_digits_where_the_terminal_has_no_blocks(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, encoding: str, is_ascii: bool
) -> None:
    monkeypatch.setattr(Terminal, "encoding", encoding)
    bars_on(terminal).show(SENDING)
    assert terminal.getvalue().isascii() is is_ascii


def test_a_text_is_written_above_the_bar(terminal: Terminal) -> None:
    """Both go by streams that take the bar out of the way."""
    stream = Output(OutputWrapper(terminal), lambda: progress.aside(), ending="")
    progress = Progress(lambda: Bars(stream))
    with progress.step("Sending", total=3):
        stream.write("Copying 'a.js'\n")
    assert terminal.screen[0] == "Copying 'a.js'"


def test_bars_leave_tqdms_thread_and_lock_to_others(terminal: Terminal) -> None:
    """Its own lock loads multiprocessing, and its thread looks after all bars."""
    before = vars(tqdm).get("_lock"), tqdm.monitor
    bars_on(terminal).end(SENDING, failed=False)
    assert (vars(tqdm).get("_lock"), tqdm.monitor) == before
