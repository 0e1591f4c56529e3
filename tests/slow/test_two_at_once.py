"""Two deploys at once into one place, in processes of their own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.project import (
    MANIFEST,
    MANIFEST_BACKENDS,
    WAIT_SECONDS,
    Project,
    end,
    once,
)
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.slow.test_killed import assert_whole

FILES = 10


@pytest.fixture(params=["s3_obstore", "gcs", "azure", "filesystem"])
def place(request: pytest.FixtureRequest) -> Cloud:
    cloud: Cloud = request.getfixturevalue(request.param)
    return cloud


def write(tree: StaticTree, text: str, number: int = FILES) -> None:
    for each in range(number):
        tree.write(f"{each}.js", f"let {text} = {each};".encode())


@pytest.fixture
def other_tree(tmp_path: Path) -> StaticTree:
    return StaticTree(tmp_path / "other-source")


def bodies(cloud: Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


def deploy_both(cloud: Cloud, first: Project, second: Project) -> list[int]:
    """Deploy both; on a server, neither sends before both have listed."""
    listed = threading.Barrier(2, timeout=WAIT_SECONDS)
    if isinstance(cloud, RecordedCloud):
        # One request each: what is expected is listed by one.
        cloud.recorder.before(
            lambda request: cloud.kind(request) == "LIST", lambda _: listed.wait()
        )
    processes = [first.start(), second.start()]
    return [end(process).status for process in processes]


class TestSameTree:
    def test_both_succeed_and_the_next_finds_all_in_place(
        self,
        place: Cloud,
        static_tree: StaticTree,
        collectstatic: CollectStatic,
        tmp_path: Path,
    ) -> None:
        write(static_tree, "it")
        backend = MANIFEST_BACKENDS[place.backend]
        projects = [Project(tmp_path / name, place, static_tree, backend=backend) for name in "ab"]

        assert deploy_both(place, *projects) == [0, 0]

        both = bodies(place)
        assert_whole(both)
        if isinstance(place, RecordedCloud):
            place.recorder.reset()
        run = collectstatic(place, backend=backend)
        assert "0 static files copied" in run.stdout
        assert bodies(place) == both
        place.empty()
        collectstatic(place, backend=backend)
        assert bodies(place) == both


class TestDifferentTrees:
    def test_both_succeed_and_the_next_makes_it_exact(
        self,
        place: Cloud,
        static_tree: StaticTree,
        other_tree: StaticTree,
        collectstatic: CollectStatic,
        tmp_path: Path,
    ) -> None:
        write(static_tree, "this")
        write(other_tree, "that", FILES + 3)
        backend = MANIFEST_BACKENDS[place.backend]
        first = Project(tmp_path / "a", place, static_tree, backend=backend)
        second = Project(tmp_path / "b", place, other_tree, backend=backend)

        assert deploy_both(place, first, second) == [0, 0]

        both = bodies(place)
        assert_whole(both)
        contents = {path.read_bytes() for path in static_tree.root.iterdir()}
        contents |= {path.read_bytes() for path in other_tree.root.iterdir()}
        assert {body for key, body in both.items() if key != MANIFEST} <= contents
        if isinstance(place, RecordedCloud):
            place.recorder.reset()
        collectstatic(place, backend=backend)
        after = bodies(place)
        for name in static_tree.names():
            assert after[name] == static_tree.path(name).read_bytes()
        assert_whole(after)


class TestClear:
    """What another deploy sends meanwhile was not there when this one began."""

    @pytest.fixture(params=["s3_obstore", "s3_boto3", "gcs", "azure"])
    def located(self, request: pytest.FixtureRequest) -> RecordedCloud:
        cloud: RecordedCloud = request.getfixturevalue(request.param)
        return cloud

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"location": "static"}

    def test_what_the_other_has_sent_meanwhile_stays(
        self,
        located: RecordedCloud,
        static_tree: StaticTree,
        other_tree: StaticTree,
        collectstatic: CollectStatic,
        options: dict[str, Any],
        tmp_path: Path,
    ) -> None:
        write(static_tree, "this", 3)
        write(other_tree, "that", 6)
        located.put("static/old.js", b"old")
        other = Project(tmp_path / "other", located, other_tree, options=options)
        statuses: list[int] = []
        is_first = once(lambda request: located.kind(request) in {"PUT", "UPLOAD"})
        located.recorder.before(is_first, lambda _: statuses.append(end(other.start()).status))

        collectstatic(located, options=options, clear=True)

        assert statuses == [0]
        keys = located.keys()
        assert "static/old.js" not in keys
        assert {f"static/{number}.js" for number in range(6)} <= set(keys)

    def test_what_the_other_needs_of_before_is_deleted_and_mended_by_its_next_run(
        self,
        s3_obstore: S3Cloud,
        static_tree: StaticTree,
        other_tree: StaticTree,
        collectstatic: CollectStatic,
        options: dict[str, Any],
        tmp_path: Path,
    ) -> None:
        """It was there, and this tree does not have it: nothing tells it from what is left over."""
        write(static_tree, "this", 3)
        write(other_tree, "that", 6)
        other = Project(tmp_path / "other", s3_obstore, other_tree, options=options)
        assert other.run().status == 0

        collectstatic(s3_obstore, options=options, clear=True)
        assert s3_obstore.keys() == [f"static/{number}.js" for number in range(3)]

        assert other.run().status == 0
        assert bodies(s3_obstore) == {
            f"static/{name}": other_tree.path(name).read_bytes() for name in other_tree.names()
        }


def test_two_copies_into_one_directory_leave_no_temporary_file(
    filesystem: FileSystemCloud, static_tree: StaticTree, tmp_path: Path
) -> None:
    write(static_tree, "it", 50)
    projects = [Project(tmp_path / name, filesystem, static_tree) for name in "ab"]
    processes = [project.start("--clear") for project in projects]

    assert [end(process).status for process in processes] == [0, 0]
    assert filesystem.keys() == static_tree.names()
