"""Uploads that end before their end: an abort, or a source that is not what it was."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from collectfasta.errors import SourceChangedError
from tests.contract.conftest import PART, Sources, Target, in_parts, send

NOISE = random.Random(1).randbytes(3 * PART + 1)

pytestmark = pytest.mark.usefixtures("small_pieces")


def once_beyond(position: int, act: Callable[[], object]) -> Callable[[int], None]:
    """Return what acts once, when the reading has come further than a position."""
    left = iter([act])

    def on_read(at: int) -> None:
        if at >= position:
            next(left, lambda: None)()

    return on_read


def interrupt(at: int = 0) -> None:
    """Do what a deploy that is aborted does to whoever reads a body."""
    raise InterruptedError("interrupted")


def rewrite(path: Path) -> None:
    """Replace a file's content by another one of its size."""
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(1, 1))


def append(path: Path) -> None:
    """Let a file become longer."""
    with path.open("ab") as file:
        file.write(b"more")


CHANGES: dict[str, Callable[[Path], object]] = {
    "shrinks": lambda path: os.truncate(path, path.stat().st_size // 2),
    "grows": append,
    "is rewritten": rewrite,
    "vanishes": os.unlink,
}


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, target: Target) -> int:
    """The size of a body in one request, and in pieces."""
    return 1000 if request.param == "small" else 3 * target.piece + 1


def midway(target: Target, size: int) -> int:
    """Return where a body is read a second time: the store in memory reads it at once."""
    return 0 if size == 1000 or target.kind == "memory" else size // 2


def test_abort_ends_the_reading_and_what_is_live_stays(
    target: Target, sources: Sources, size: int
) -> None:
    store = target.store(**in_parts(target, max_concurrency=1))
    target.cloud.put("live.bin", b"live")
    source = sources.write("live.bin", NOISE[:size])
    target.cloud.clear_requests()

    with pytest.raises(InterruptedError):
        send(store, source, once_beyond(midway(target, size), interrupt))

    assert target.bodies() == {"live.bin": b"live"}
    assert target.unfinished() == []
    # At most what begins it, the pieces so far, and what aborts it: nothing is repeated.
    assert len(target.cloud.requests) <= 4


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_source_that_changes_is_never_stored_and_not_tried_again(
    target: Target, sources: Sources, size: int, change: Callable[[Path], object]
) -> None:
    store = target.store(**in_parts(target, max_concurrency=1))
    target.cloud.put("live.bin", b"live")
    source = sources.write("live.bin", NOISE[:size])
    path = sources.root / "live.bin"
    target.cloud.clear_requests()

    with pytest.raises((SourceChangedError, FileNotFoundError)) as caught:
        send(store, source, once_beyond(midway(target, size), lambda: change(path)))

    is_gone = isinstance(caught.value, FileNotFoundError)
    assert is_gone is not path.exists()
    assert target.bodies() == {"live.bin": b"live"}
    assert target.unfinished() == []
    assert len(target.cloud.requests) <= 6


def test_source_that_has_vanished_is_not_begun(target: Target, sources: Sources) -> None:
    source = sources.write("gone.css", b"x")
    (sources.root / "gone.css").unlink()

    with pytest.raises(FileNotFoundError):
        send(target.store(), source)

    assert target.bodies() == {}
    assert target.cloud.requests == []


def test_upload_in_parts_under_way_is_aborted(s3: Target, sources: Sources) -> None:
    """By each engine's means: boto3's manager is told, obstore's body raises."""
    store = s3.store(**in_parts(s3, max_concurrency=2))
    source = sources.write("large.bin", NOISE)
    aborted: list[bool] = []

    def abort(_: object) -> None:
        aborted.append(True)
        store.abort()

    def on_read(position: int) -> None:
        if aborted:
            interrupt()

    s3.recorded.recorder.before(lambda request: "partNumber=2" in request.query, abort)

    with pytest.raises(InterruptedError):
        send(store, source, on_read)

    assert s3.cloud.keys() == []
    assert s3.unfinished() == []


def test_upload_whose_part_is_refused_is_aborted(s3: Target, sources: Sources) -> None:
    store = s3.store(**in_parts(s3))
    s3.recorded.recorder.fail(lambda request: "partNumber=2" in request.query, 400)

    with pytest.raises(Exception, match="400"):
        send(store, sources.write("large.bin", NOISE))

    assert s3.cloud.keys() == []
    assert s3.unfinished() == []


def test_after_an_abort_the_next_upload_succeeds(target: Target, sources: Sources) -> None:
    """Another store's: that of the next deploy."""
    large = 3 * target.piece + 1
    source = sources.write("large.bin", NOISE[:large])
    with pytest.raises(InterruptedError):
        send(target.store(**in_parts(target)), source, interrupt)

    send(target.store(**in_parts(target)), source)

    assert target.bodies() == {"large.bin": NOISE[:large]}
