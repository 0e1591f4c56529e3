"""The bodies that obstore reads, in threads of its own that coverage does not see."""

from __future__ import annotations

import io
import os
import threading

import pytest

from collectfasta.observed import SourceChangedError
from collectfasta.strategies.counting import Counter
from collectfasta.strategies.s3_obstore_bodies import AbortableBody, in_memory

CONTENT = b"0123456789"
# More than is read at a time.
LARGE = bytes(range(256)) * 1024


class Failing(io.BytesIO):
    """A file whose disk fails."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


class TestAbortableBody:
    @pytest.fixture
    def aborted(self) -> threading.Event:
        return threading.Event()

    @pytest.fixture
    def count(self) -> Counter:
        return Counter()

    @pytest.fixture
    def body(self, aborted: threading.Event, count: Counter) -> AbortableBody:
        return AbortableBody(io.BytesIO(CONTENT), aborted, count)

    def test_is_read_in_parts_to_its_end(self, body: AbortableBody) -> None:
        assert [body.read(6), body.read(6), body.read(6)] == [b"012345", b"6789", b""]

    def test_each_part_counts_as_a_request_and_its_end_does_not(
        self, body: AbortableBody, count: Counter
    ) -> None:
        while body.read(6):
            pass

        assert count.value == 2

    def test_size_can_be_found_out_by_seeking(self, body: AbortableBody) -> None:
        assert body.readable()
        assert body.seekable()
        assert body.seek(0, os.SEEK_END) == len(CONTENT)
        assert body.tell() == len(CONTENT)
        assert body.seek(7) == 7
        assert body.read() == b"789"

    def test_reading_fails_once_the_upload_is_aborted(
        self, body: AbortableBody, aborted: threading.Event
    ) -> None:
        body.read(6)
        aborted.set()

        with pytest.raises(InterruptedError):
            body.read(6)

    def test_aborted_body_has_no_error_of_its_own(
        self, body: AbortableBody, aborted: threading.Event
    ) -> None:
        aborted.set()
        with pytest.raises(InterruptedError):
            body.read()

        assert body.error is None

    def test_what_ended_the_reading_is_kept(self, aborted: threading.Event, count: Counter) -> None:
        body = AbortableBody(Failing(), aborted, count)

        with pytest.raises(OSError, match="Input/output") as caught:
            body.read()

        assert body.error is caught.value


class TestInMemory:
    @pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["small", "large"])
    def test_holds_what_the_body_has(self, content: bytes) -> None:
        assert in_memory(io.BytesIO(content), len(content))[:] == content

    @pytest.mark.parametrize(("size", "word"), [(9, "longer"), (11, "shorter")])
    def test_body_of_another_size_is_refused(self, size: int, word: str) -> None:
        with pytest.raises(SourceChangedError, match=f"it became {word} while"):
            in_memory(io.BytesIO(CONTENT), size)
