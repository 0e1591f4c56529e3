"""Files that can't be sent among others that can, and files that change meanwhile."""

from __future__ import annotations

import threading

import pytest
from botocore.config import Config
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Match, Request

# Some are sent before the first that fails: the largest files go first.
GOOD = [f"good{number:02}.css" for number in range(30)]
BAD = [f"bad{number}.css" for number in range(7)]


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in (*GOOD, *BAD):
        static_tree.write(name, name.encode())
    return static_tree


def is_bad(request: Request) -> bool:
    return request.method == "PUT" and "/bad" in request.path


def is_put_of(name: str) -> Match:
    return lambda request: request.method == "PUT" and request.path.endswith(f"/{name}")


def named(message: str) -> list[str]:
    """Return the names that the lines below the first begin with."""
    return [line.split("'")[1] for line in message.splitlines()[1:]]


@pytest.mark.parametrize("threads", [0, 8])
def test_every_file_that_fails_is_named_and_all_others_are_sent(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    s3.recorder.fail(is_bad, 400)

    with pytest.raises(CommandError) as caught:
        collectstatic(s3, threads=threads)

    assert str(caught.value).startswith("7 files were not sent")
    assert named(str(caught.value)) == BAD
    assert s3.keys() == GOOD


@pytest.mark.parametrize("threads", [0, 8])
def test_next_run_sends_only_what_failed(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    s3.recorder.fail(is_bad, 400)
    with pytest.raises(CommandError):
        collectstatic(s3, threads=threads)
    s3.recorder.reset()

    collectstatic(s3, threads=threads)

    assert s3.keys() == sorted([*GOOD, *BAD])
    assert s3.counts() == {"LIST": 1, "PUT": len(BAD)}


@pytest.mark.parametrize("threads", [0, 8])
def test_failure_that_passes_is_tried_again_unseen(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    s3.recorder.fail(is_put_of("bad3.css"), 503, times=1)

    collectstatic(s3, threads=threads)

    assert s3.get("bad3.css").body == b"bad3.css"
    assert s3.counts() == {"LIST": 1, "PUT": len(GOOD) + len(BAD) + 1}


@pytest.mark.parametrize("threads", [0, 8])
def test_number_of_attempts_in_each_round_is_the_storages_own(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    s3.recorder.fail(is_put_of("bad3.css"), 503)

    with pytest.raises(CommandError, match=r"'bad3\.css'"):
        collectstatic(s3, options={"client_config": config}, threads=threads)

    assert s3.counts()["PUT"] == len(GOOD) + len(BAD) + 1


@pytest.mark.parametrize("threads", [0, 8])
def test_source_that_vanishes_before_its_turn_is_named_and_all_others_are_sent(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    s3.recorder.before(is_put_of(GOOD[0]), lambda _: tree.delete(BAD[-1]))

    with pytest.raises(CommandError) as caught:
        collectstatic(s3, threads=threads)

    assert named(str(caught.value)) == [BAD[-1]]
    assert "No such file" in str(caught.value)
    assert s3.keys() == sorted([*GOOD, *BAD[:-1]])


@pytest.mark.parametrize("threads", [0, 8])
class TestSourceThatChanges:
    @pytest.fixture
    def changing(self, s3: S3Cloud, tree: StaticTree) -> S3Cloud:
        """A bucket; a file of the same size takes the place of another while that is sent."""
        s3.recorder.before(
            is_put_of("bad3.css"), lambda _: tree.write("bad3.css", b"BAD3.css").touch()
        )
        return s3

    def test_it_is_named_and_all_others_are_sent(
        self, changing: S3Cloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        with pytest.raises(CommandError) as caught:
            collectstatic(changing, threads=threads)

        assert named(str(caught.value)) == ["bad3.css"]
        assert "changed while it was being sent" in str(caught.value)
        assert {*GOOD, *BAD} - {"bad3.css"} <= {*changing.keys()}

    def test_next_run_sends_what_it_is_now(
        self, changing: S3Cloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        with pytest.raises(CommandError):
            collectstatic(changing, threads=threads)
        changing.recorder.reset()

        collectstatic(changing, threads=threads)

        assert changing.get("bad3.css").body == b"BAD3.css"
        assert changing.counts() == {"LIST": 1, "PUT": 1}


def test_change_before_its_turn_is_sent_whole(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    """The plan has seen another size."""
    s3.recorder.before(is_put_of(GOOD[0]), lambda _: tree.write(BAD[-1], b"longer than before"))

    collectstatic(s3, threads=0)

    assert s3.get(BAD[-1]).body == b"longer than before"


def test_threads_are_gone_after_a_failure(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    s3.recorder.fail(is_bad, 403)
    with pytest.raises(CommandError):
        collectstatic(s3, threads=8)

    assert not [each for each in threading.enumerate() if each.name.startswith("collectfasta")]
