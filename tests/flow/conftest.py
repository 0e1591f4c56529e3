"""Fixtures of the flow tests: sites of each kind, inline and with threads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.command import CollectStatic, StaticTree
from tests.memory import Site, make_folder, write_site

# A kind and a number of threads.
EACH_STAGED = [("memory", 4), ("directory", 0)]
EACH_KIND = [("plain", 0), *EACH_STAGED]
EVERY_KIND = [("plain", 4), *EACH_KIND]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, of this test alone."""
    path = make_folder(tmp_path / "tmp")
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture(params=[0, 4], ids=["inline", "threads"])
def threads(request: pytest.FixtureRequest) -> int:
    """How many files are sent at a time."""
    number: int = request.param
    return number


def _site(
    tree: StaticTree, collectstatic: CollectStatic, kind: str = "plain", threads: int = 0
) -> Site:
    write_site(tree)
    return Site(tree, collectstatic, kind, threads=threads)


@pytest.fixture
def site(static_tree: StaticTree, collectstatic: CollectStatic) -> Site:
    """A plain site that was never deployed."""
    return _site(static_tree, collectstatic)


@pytest.fixture
def manifest(static_tree: StaticTree, collectstatic: CollectStatic) -> Site:
    """A site with a manifest, staged in memory, that was never deployed."""
    return _site(static_tree, collectstatic, "memory")


def _name(params: tuple[str, int]) -> str:
    return f"{params[0]}-{'threads' if params[1] else 'inline'}"


@pytest.fixture(params=EACH_STAGED, ids=_name)
def each_manifest(
    request: pytest.FixtureRequest, static_tree: StaticTree, collectstatic: CollectStatic
) -> Site:
    """A site with a manifest, staged in each of the ways in turn."""
    return _site(static_tree, collectstatic, *request.param)


@pytest.fixture(params=EACH_KIND, ids=_name)
def each_site(
    request: pytest.FixtureRequest, static_tree: StaticTree, collectstatic: CollectStatic
) -> Site:
    """A site of each kind in turn, inline or with threads."""
    return _site(static_tree, collectstatic, *request.param)


@pytest.fixture(params=EVERY_KIND, ids=_name)
def every_site(
    request: pytest.FixtureRequest, static_tree: StaticTree, collectstatic: CollectStatic
) -> Site:
    """The same, and a plain one with threads."""
    return _site(static_tree, collectstatic, *request.param)
