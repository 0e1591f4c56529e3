"""Streams, words and the warnings of the logger."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.core.management.base import OutputWrapper

from collectfasta.terminal.output import Output, amount, count, telling_warnings

LOGGER = logging.getLogger("collectfasta")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestOutput:
    @pytest.mark.parametrize(
        ("stream", "is_terminal"),
        [(Terminal(), True), (io.StringIO(), False), (None, False)],
        ids=["terminal", "pipe", "none"],
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

        Output(OutputWrapper(out), aside, ending="").write("text")

        assert out.getvalue() == "<text>"

    def test_what_the_encoding_lacks_is_escaped(self) -> None:
        body = io.BytesIO()
        stream = Output(OutputWrapper(io.TextIOWrapper(body, encoding="ascii")))
        stream.write("é.js")
        stream.flush()

        assert body.getvalue() == b"\\xe9.js\n"

    @pytest.mark.parametrize(
        ("stream", "is_colored", "written"),
        [
            (Terminal(), False, "<text\n>"),
            (io.StringIO(), False, "text\n"),
            (io.StringIO(), True, "<text\n>"),
        ],
        ids=["terminal", "pipe", "forced"],
    )
    def test_only_a_terminal_is_coloured(
        self, stream: io.StringIO, is_colored: bool, written: str
    ) -> None:
        output = Output(OutputWrapper(stream), is_colored=is_colored)
        output.write("text", lambda text: f"<{text}>")
        assert stream.getvalue() == written


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
