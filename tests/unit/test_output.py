"""Streams, colours, words and the warnings of the logger."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest
from django.core.management.base import OutputWrapper
from django.core.management.color import no_style

from collectfasta.output import SteadyStream, amount, count, style_for, telling_warnings

LOGGER = logging.getLogger("collectfasta")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestIsatty:
    def test_of_a_terminal(self) -> None:
        assert SteadyStream(Terminal()).isatty()

    def test_of_a_pipe(self) -> None:
        assert not SteadyStream(io.StringIO()).isatty()

    def test_of_no_stream(self) -> None:
        assert not SteadyStream(None).isatty()

    def test_of_a_closed_one(self) -> None:
        stream = io.StringIO()
        stream.close()
        assert not SteadyStream(stream).isatty()


def test_a_text_is_written_where_the_bar_is_out_of_its_way() -> None:
    out = io.StringIO()
    stream = SteadyStream(out)

    @contextmanager
    def aside() -> Iterator[None]:
        out.write("<")
        yield
        out.write(">")

    stream.aside = aside
    stream.write("text")

    assert out.getvalue() == "<text>"


class TestLoss:
    @pytest.fixture
    def losses(self) -> list[str]:
        return []

    @pytest.fixture
    def full(self, losses: list[str]) -> Iterator[SteadyStream]:
        """A stream of a full disk."""
        with suppress(OSError), open("/dev/full", "w") as file:
            stream = SteadyStream(file, losses.append)
            stream.is_steady = True
            yield stream

    def test_is_told_once(self, full: SteadyStream, losses: list[str]) -> None:
        for _ in range(2):
            full.write("text")
            full.flush()

        assert losses == ["No space left on device"]

    def test_of_a_stream_that_was_never_there_is_told(self, losses: list[str]) -> None:
        stream = SteadyStream(None, losses.append)
        stream.is_steady = True
        stream.write("text")
        stream.flush()

        assert losses == ["it is closed"]

    def test_of_a_stream_that_is_closed_is_told(self, losses: list[str]) -> None:
        closed = io.StringIO()
        closed.close()
        stream = SteadyStream(closed, losses.append)
        stream.is_steady = True
        stream.write("text")

        assert losses == ["ValueError: I/O operation on closed file"]

    def test_is_the_callers_where_the_stream_is_not_steady(self, full: SteadyStream) -> None:
        full.is_steady = False
        full.write("text")
        with pytest.raises(OSError, match="No space left"):
            full.flush()

    def test_does_not_fail_the_interpreters_end(
        self, full: SteadyStream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = vars(full)["_stream"]
        monkeypatch.setattr("sys.stdout", file)
        full.write("text")
        full.end()

        file.flush()

    def test_of_a_stream_of_the_callers_leaves_it_as_it_is(self, full: SteadyStream) -> None:
        file = vars(full)["_stream"]
        full.write("text")
        full.end()

        with pytest.raises(OSError, match="No space left"):
            file.flush()


def test_what_the_encoding_lacks_is_escaped() -> None:
    body = io.BytesIO()
    stream = SteadyStream(io.TextIOWrapper(body, encoding="ascii"))
    stream.is_steady = True

    stream.write("é.js")
    stream.flush()

    assert body.getvalue() == rb"\xe9.js"


class TestStyleFor:
    @pytest.fixture(autouse=True)
    def on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Django find a terminal: it looks at sys.stdout, whatever is written to."""
        monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.delenv("DJANGO_COLORS", raising=False)

    def test_a_terminal_is_coloured(self) -> None:
        style = style_for(OutputWrapper(Terminal()))
        assert style.SUCCESS("sent").startswith("\x1b[")

    def test_anything_else_is_not(self) -> None:
        assert style_for(OutputWrapper(io.StringIO())) is no_style()

    def test_no_color_takes_colours_from_a_terminal(self) -> None:
        assert style_for(OutputWrapper(Terminal()), no_color=True) is no_style()

    def test_the_variable_takes_colours_from_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
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
