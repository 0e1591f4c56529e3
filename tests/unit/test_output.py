"""Streams, colours, words and the warnings of the logger."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TextIO

import pytest
from django.core.management.base import OutputWrapper
from django.core.management.color import no_style

from collectfasta.terminal.output import Output, amount, count, style_for, telling_warnings

LOGGER = logging.getLogger("collectfasta")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def given_up(stream: TextIO) -> Iterator[TextIO]:
    """Close a stream in the end whose closing would fail: it flushes once more."""
    yield stream
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    stream.close()


@pytest.fixture
def nobody() -> Iterator[TextIO]:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    with given_up(open(writer, "w")) as stream:
        yield stream


@pytest.fixture
def losses() -> list[str]:
    """What the stream's owner was told."""
    return []


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


class TestOutput:
    @pytest.mark.parametrize(
        ("stream", "is_terminal"),
        [(Terminal(), True), (io.StringIO(), False), (None, False), (closed(), False)],
        ids=["terminal", "pipe", "none", "closed"],
    )
    def test_only_a_terminal_is_one(self, stream: Any, is_terminal: bool) -> None:
        assert Output(OutputWrapper(stream)).isatty() is is_terminal

    def test_other_attributes_are_the_streams(self) -> None:
        assert Output(OutputWrapper(io.StringIO("all of it"))).getvalue() == "all of it"

    def test_a_text_is_written_where_the_bar_is_out_of_its_way(self) -> None:
        out = io.StringIO()

        @contextmanager
        def aside() -> Iterator[None]:
            out.write("<")
            yield
            out.write(">")

        Output(OutputWrapper(out), aside).write("text")

        assert out.getvalue() == "<text>"

    def test_what_the_encoding_lacks_is_escaped(self, losses: list[str]) -> None:
        body = io.BytesIO()
        stream = Output(
            OutputWrapper(io.TextIOWrapper(body, encoding="ascii")), on_loss=losses.append
        )
        stream.write("é.js")
        stream.flush()

        assert (body.getvalue(), losses) == (rb"\xe9.js", [])


class TestLoss:
    def test_of_what_nobody_reads_is_told_once(self, nobody: TextIO, losses: list[str]) -> None:
        stream = Output(OutputWrapper(nobody), on_loss=losses.append)
        for _ in range(3):
            stream.write("a message")
            stream.flush()

        assert losses == ["Broken pipe"]

    @pytest.mark.parametrize(
        ("stream", "why"),
        [(None, "it is closed"), (closed(), "ValueError: I/O operation on closed file")],
        ids=["never there", "closed"],
    )
    def test_of_what_is_closed_is_told(self, losses: list[str], stream: Any, why: str) -> None:
        Output(OutputWrapper(stream), on_loss=losses.append, is_process=True).write("a message")
        assert losses == [why]

    def test_of_the_processs_own_stream_does_not_fail_its_end(self, nobody: TextIO) -> None:
        """The interpreter flushes it once more."""
        stream = Output(OutputWrapper(nobody), is_process=True)
        stream.write("a message")
        stream.flush()

        nobody.flush()

    def test_of_a_stream_of_the_callers_leaves_it_as_it_is(self, nobody: TextIO) -> None:
        stream = Output(OutputWrapper(nobody))
        stream.write("a message")
        stream.flush()

        with pytest.raises(BrokenPipeError):
            nobody.flush()


class TestStyleFor:
    @pytest.fixture(autouse=True)
    def on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Django find a terminal: it looks at sys.stdout, whatever is written to."""
        monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.delenv("DJANGO_COLORS", raising=False)
        monkeypatch.setenv("TERM", "xterm")

    def test_a_terminal_is_coloured(self) -> None:
        style = style_for(OutputWrapper(Terminal()))
        assert style.SUCCESS("sent").startswith("\x1b[")

    def test_anything_else_is_not(self) -> None:
        assert style_for(OutputWrapper(io.StringIO())) is no_style()

    def test_no_color_takes_colours_from_a_terminal(self) -> None:
        assert style_for(OutputWrapper(Terminal()), no_color=True) is no_style()

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_a_variable_takes_colours_from_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        assert style_for(OutputWrapper(Terminal())) is no_style()

    def test_force_color_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        style = style_for(OutputWrapper(io.StringIO()), force_color=True)
        assert style.SUCCESS("sent").startswith("\x1b[")

    def test_the_palette_is_the_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DJANGO_COLORS", "nocolor")
        assert style_for(OutputWrapper(Terminal())).SUCCESS("sent") == "sent"


@contextmanager
def unconfigured() -> Iterator[None]:
    """Take away the handlers, which are pytest's own."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(logging.root, "handlers", [])
        yield


class TestTellingWarnings:
    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def hidden(self) -> list[None]:
        return []

    @pytest.fixture
    def telling(self, told: list[str], hidden: list[None]) -> AbstractContextManager[None]:
        @contextmanager
        def aside() -> Iterator[None]:
            hidden.append(None)
            yield

        return telling_warnings(told.append, aside)

    def test_a_warning_that_no_handler_gets_is_told_once(
        self,
        telling: AbstractContextManager[None],
        told: list[str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with unconfigured(), telling:
            LOGGER.warning("%d files", 3)

        assert told == ["3 files"]
        assert capsys.readouterr().err == ""

    def test_what_is_less_than_a_warning_is_not_told(
        self,
        telling: AbstractContextManager[None],
        told: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(LOGGER, "level", logging.DEBUG)
        with unconfigured(), telling:
            LOGGER.info("nothing much")

        assert told == []

    def test_nothing_is_told_where_python_is_to_tell_nothing(
        self,
        telling: AbstractContextManager[None],
        told: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(logging, "lastResort", None)
        monkeypatch.setattr(logging, "raiseExceptions", False)
        with unconfigured(), telling:
            LOGGER.warning("3 files")

        assert told == []

    def test_a_warning_that_a_handler_gets_is_left_to_it(
        self,
        telling: AbstractContextManager[None],
        told: list[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with telling:
            LOGGER.warning("3 files")

        assert (caplog.messages, told) == (["3 files"], [])

    def test_a_handler_finds_the_bar_out_of_its_way(
        self, telling: AbstractContextManager[None], hidden: list[None]
    ) -> None:
        with telling:
            LOGGER.warning("3 files")

        assert len(hidden) == 1

    def test_nothing_is_told_when_the_command_has_ended(
        self, telling: AbstractContextManager[None], told: list[str]
    ) -> None:
        with telling:
            pass
        with unconfigured():
            LOGGER.warning("3 files")

        assert told == []


@pytest.mark.parametrize(("number", "words"), [(0, "0 objects"), (1, "1 object"), (2, "2 objects")])
def test_a_number_has_its_noun(number: int, words: str) -> None:
    assert count(number, "object") == words


def test_an_amount_has_a_plain_space() -> None:
    assert amount(1536) == "1.5 KB"
