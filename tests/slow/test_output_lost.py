"""Output that nobody can read any more: a deploy fails as Django's own does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import StaticTree
from tests.project import Project
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for number in range(5):
        static_tree.write(f"{number}.js", b"let it;")
    return static_tree


@pytest.fixture
def project(s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", s3_obstore, tree, is_measured=True)


@pytest.fixture
def nobody() -> Iterator[int]:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def close(descriptors: str) -> Sequence[str]:
    """Return what runs a command as ``command >&-`` does."""
    return ["sh", "-c", f'exec "$@" {descriptors}', "sh"]


class TestStdout:
    @pytest.mark.parametrize("descriptors", [">&-", ">/dev/full"])
    def test_that_can_not_be_written_is_a_failure_as_in_django(
        self, project: Project, descriptors: str
    ) -> None:
        assert project.run(wrapper=close(descriptors)).status != 0

    def test_that_breaks_amid_the_deploy_is_a_failure(self, project: Project, nobody: int) -> None:
        assert project.run("--verbosity=2", stdout=nobody).status != 0


class TestStderr:
    def test_that_is_closed_from_the_start_costs_nothing(
        self, project: Project, tree: StaticTree
    ) -> None:
        ended = project.run(wrapper=close("2>&-"))

        assert ended.status == 0
        assert "5 static files copied" in ended.stdout
        assert project.cloud.keys() == tree.names()

    @pytest.mark.parametrize("descriptors", ["2>&-", ">&- 2>&-", "2>/dev/full", ">/dev/full 2>&1"])
    def test_that_can_not_be_written_leaves_a_failure_one(
        self, s3_obstore: S3Cloud, project: Project, descriptors: str
    ) -> None:
        s3_obstore.recorder.fail(lambda request: request.path.endswith("/3.js"), 400)

        assert project.run(wrapper=close(descriptors)).status != 0


def test_name_that_stdout_can_not_spell_is_escaped(
    filesystem: FileSystemCloud, static_tree: StaticTree, tmp_path: Path
) -> None:
    static_tree.write("é.js", b"")
    project = Project(tmp_path / "project", filesystem, static_tree)

    ended = project.run("--verbosity=2", environment={"PYTHONIOENCODING": "ascii"})

    assert (ended.status, ended.stderr) == (0, "")
    assert r"\xe9.js" in ended.stdout
    assert filesystem.keys() == ["é.js"]
