"""Streams that are lost, closed, full or unable to spell what is written."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest

from collectfasta.output import SteadyStream


@contextmanager
def giving_up(stream: IO[str]) -> Iterator[IO[str]]:
    """Close a stream in the end whose closing would fail: it flushes once more."""
    yield stream
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    stream.close()


@pytest.fixture
def nobody() -> Iterator[IO[str]]:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    with giving_up(open(writer, "w")) as stream:
        yield stream


@pytest.fixture
def losses() -> list[str]:
    """What the stream's owner was told."""
    return []


def steady(stream: Any, losses: list[str]) -> SteadyStream:
    made = SteadyStream(stream, losses.append)
    made.is_steady = True
    return made


def test_what_nobody_reads_is_told_once(nobody: IO[str], losses: list[str]) -> None:
    stream = steady(nobody, losses)

    for _ in range(3):
        stream.write("a message")
        stream.flush()

    assert losses == ["Broken pipe"]


def test_stream_that_is_not_steady_yet_raises(nobody: IO[str]) -> None:
    stream = SteadyStream(nobody)
    stream.write("a message")

    with pytest.raises(BrokenPipeError):
        stream.flush()


def test_full_disk_is_told(losses: list[str]) -> None:
    with giving_up(open("/dev/full", "w")) as full:
        stream = steady(full, losses)
        stream.write("a message")
        stream.flush()

    assert losses == ["No space left on device"]


def test_stream_that_the_process_has_not_is_told(losses: list[str]) -> None:
    steady(None, losses).write("a message")

    assert losses == ["it is closed"]


def test_stream_that_was_closed_is_told(losses: list[str]) -> None:
    closed = io.StringIO()
    closed.close()

    steady(closed, losses).write("a message")

    assert losses == ["ValueError: I/O operation on closed file"]


@pytest.mark.parametrize("is_steady", [True, False])
def test_what_the_encoding_lacks_is_escaped(losses: list[str], is_steady: bool) -> None:
    written = io.BytesIO()
    stream = SteadyStream(io.TextIOWrapper(written, encoding="ascii"), losses.append)
    stream.is_steady = is_steady

    stream.write("é.js")
    stream.flush()

    assert (written.getvalue(), losses) == (rb"\xe9.js", [])


def test_other_attributes_are_the_streams() -> None:
    assert SteadyStream(io.StringIO("all of it")).getvalue() == "all of it"


def test_stream_that_can_not_be_flushed_need_not_be() -> None:
    class WriteOnly:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    written = WriteOnly()
    stream = steady(written, [])
    stream.write("a message")
    stream.flush()

    assert written.text == "a message"


class TestEnd:
    def test_lost_stdout_fails_nothing_that_follows(
        self, nobody: IO[str], losses: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The interpreter flushes it once more."""
        monkeypatch.setattr("sys.stdout", nobody)
        stream = steady(nobody, losses)
        stream.write("a message")

        stream.end()
        nobody.flush()

        assert losses == ["Broken pipe"]

    def test_stream_of_the_caller_stays_as_it_is(self, nobody: IO[str], losses: list[str]) -> None:
        stream = steady(nobody, losses)
        stream.write("a message")

        stream.end()

        with pytest.raises(BrokenPipeError):
            nobody.flush()

    def test_what_was_written_is_handed_on(self) -> None:
        reader, writer = os.pipe()
        with open(reader) as read, open(writer, "w") as written:
            stream = steady(written, [])
            stream.write("a message\n")
            stream.end()

            assert read.readline() == "a message\n"
