"""Hostile file names: each reaches the bucket as it is or is refused, and forges no output."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.functional.test_security_answers import manifest_backend
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud

FORGERY = "Deleting 'everything'"
CONTROLS = [
    f"newline\n{FORGERY}\n.css",
    "return\r.css",
    "escape\x1b[2J\x1b]0;title\x07.css",
    "delete\x7f.css",
    "c1\x9b31m.css",
    "next\x85line.css",
    "tab\t.css",
]
MARKS = ["override\u202efdp.css", "line\u2028separator.css", "paragraph\u2029.css"]
DOTS = ["dot..css.", "dots...", "fol.der./in.css"]
ODD = ["space .css ", "-rf", "a~b", "a..b.css", "CON", "x" * 240]
UNDECODABLE = os.fsdecode(b"latin-\xe9.css")
# What steers a terminal or makes a line.
FORGING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

WRITES = {"PUT", "UPLOAD", "MULTIPART", "PUT_BLOCK"}


def refused_by(cloud: Cloud) -> list[str]:
    """Return the names that a cloud can't have."""
    if isinstance(cloud, FileSystemCloud):
        return []
    if isinstance(cloud, AzureCloud):
        return sorted([*CONTROLS, UNDECODABLE])
    if isinstance(cloud, GoogleCloud):
        return sorted([CONTROLS[0], CONTROLS[1], UNDECODABLE])
    return [UNDECODABLE]


def named(message: str) -> list[str]:
    """Return the names in a message's lines below the first."""
    found = re.findall(r"""^  ('[^']*'|"[^"]*"): """, message, re.MULTILINE)
    return sorted(map(ast.literal_eval, found))


def backend_for(cloud: Cloud, *, staged: bool) -> str | None:
    if not staged:
        return None
    if isinstance(cloud, FileSystemCloud):
        return "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    assert isinstance(cloud, RecordedCloud)
    return manifest_backend(cloud)


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in (*CONTROLS, *MARKS, *DOTS, *ODD, UNDECODABLE):
        static_tree.write(name, content(name))
    return static_tree


def content(name: str) -> bytes:
    return ascii(name).encode()


@pytest.fixture(autouse=True)
def _limits_of_others(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave out what others can't do.

    moto has no line break in a path, and names no other controls in XML. AzureStorage itself takes
    dots off the end of a name (``test_azure_objects.py``).
    """
    names = {"cloud", "recorded_cloud", "s3"} & {*request.fixturenames}
    cloud = request.getfixturevalue(names.pop()) if names else None
    if isinstance(cloud, S3Cloud) and "tree" in request.fixturenames:
        request.getfixturevalue("tree").delete(CONTROLS[0])
    if isinstance(cloud, AzureCloud) and "tree" in request.fixturenames:
        remove(request.getfixturevalue("tree"), DOTS[:2])
    yield
    if isinstance(cloud, S3Cloud):
        for key in cloud.keys():
            cloud.delete(key)


def remove(tree: StaticTree, names: list[str]) -> None:
    for name in names:
        tree.delete(name)


@pytest.mark.parametrize("staged", [False, True], ids=["plain", "manifest"])
class TestNamesOnDisk:
    def test_what_a_cloud_can_not_have_is_refused_by_name_before_the_first_write(
        self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, staged: bool
    ) -> None:
        refused = refused_by(cloud)
        if not refused:
            return

        with pytest.raises(CommandError, match="can't be stored under their names") as caught:
            collectstatic(cloud, backend=backend_for(cloud, staged=staged))

        assert named(str(caught.value)) == refused
        assert not cloud.counts().keys() & WRITES
        assert cloud.keys() == []

    def test_all_others_are_deployed_as_they_are(
        self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, staged: bool
    ) -> None:
        remove(tree, refused_by(cloud))

        collectstatic(cloud, backend=backend_for(cloud, staged=staged))

        stored = {key: found.body for key, found in cloud.objects().items()}
        paths: dict[str, str] = {}
        if staged:
            paths = json.loads(stored.pop("staticfiles.json"))["paths"]
            assert sorted(paths) == tree.names()
        expected = {name: content(name) for name in tree.names()}
        expected |= {hashed: content(name) for name, hashed in paths.items()}
        assert stored == expected

    def test_the_next_run_finds_all_of_them(
        self, cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, staged: bool
    ) -> None:
        remove(tree, refused_by(cloud))
        backend = backend_for(cloud, staged=staged)
        collectstatic(cloud, backend=backend)
        cloud.clear_requests()

        run = collectstatic(cloud, backend=backend)

        assert f", {len(tree.names())} unmodified" in str(run.returned)
        assert not cloud.counts().keys() & WRITES


# Names that no file on a disk has, from a finder of one's own.


class NamesStorage(Storage):
    """Has every name, as it is."""

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(b"x", name)

    def size(self, name: str) -> int:
        return 1


class NamesFinder(BaseFinder):
    """Finds what it is told to."""

    names: list[str] = []  # noqa: RUF012

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, Storage]]:
        storage = NamesStorage()
        return ((name, storage) for name in self.names)


IMPOSSIBLE = [
    "../up.css",
    "a/../../up.css",
    "a\\..\\..\\up.css",
    "a/..",
    "/absolute.css",
    "\\absolute.css",
    "//host/absolute.css",
    "folder/",
    ".",
    "",
    "\ud800.css",
    "x" * 5000,
]


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings by which the finder finds impossible names, and one that is not."""
    monkeypatch.setattr(NamesFinder, "names", [*IMPOSSIBLE, "good.css"])
    return {"STATICFILES_FINDERS": [f"{__name__}.NamesFinder"]}


@pytest.mark.parametrize("staged", [False, True], ids=["plain", "manifest"])
@pytest.mark.parametrize("options", [{}, {"force": True}, {"clear": True}], ids=str)
def test_impossible_names_are_refused_by_name_before_the_first_write(
    cloud: Cloud,
    finder: dict[str, Any],
    collectstatic: CollectStatic,
    options: dict[str, Any],
    staged: bool,
) -> None:
    with pytest.raises(CommandError, match="can't be stored under their names") as caught:
        collectstatic(cloud, backend=backend_for(cloud, staged=staged), settings=finder, **options)

    assert named(str(caught.value)) == sorted(IMPOSSIBLE)
    assert not FORGING.search(str(caught.value))
    assert not cloud.counts().keys() & WRITES
    assert cloud.keys() == []


def test_a_null_character_is_refused_where_no_file_can_have_it(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NamesFinder, "names", ["null\0.css", "good.css"])
    settings = {"STATICFILES_FINDERS": [f"{__name__}.NamesFinder"]}

    with pytest.raises(CommandError, match="null character"):
        collectstatic(filesystem, settings=settings)

    assert filesystem.keys() == []


@pytest.mark.needs_s3("null characters in keys")
def test_a_null_character_reaches_a_bucket_as_it_is(
    s3: S3Cloud, collectstatic: CollectStatic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NamesFinder, "names", ["null\0.css"])
    settings = {"STATICFILES_FINDERS": [f"{__name__}.NamesFinder"]}

    collectstatic(s3, settings=settings)

    assert s3.exists("null\0.css")


# Output.


@pytest.fixture
def sources(tree: StaticTree, tmp_path: Path) -> dict[str, Any]:
    """Settings by which each file that a cloud can have is found, and one of them twice."""
    again = StaticTree(tmp_path / "again")
    again.write(MARKS[0], b"ignored")
    return {"STATICFILES_DIRS": [str(tree.root), str(again.root)]}


class Told:
    """All that runs of the command say, in whatever way."""

    def __init__(
        self,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        self._collectstatic = collectstatic
        self._caplog = caplog
        self._capfd = capfd
        caplog.set_level(logging.DEBUG, "collectfasta")

    def __call__(self, cloud: Cloud, **run: Any) -> str:
        error = ""
        try:
            self._collectstatic(cloud, **run)
        except CommandError as failed:
            error = str(failed)
        last = self._collectstatic.last
        assert last is not None
        logged = [each.getMessage() for each in self._caplog.records if each.name == "collectfasta"]
        return "\n".join([error, last.stdout, last.stderr, *logged, *self._capfd.readouterr()])


@pytest.fixture
def told(
    collectstatic: CollectStatic,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Told:
    return Told(collectstatic, caplog, capfd)


@pytest.mark.parametrize("staged", [False, True], ids=["plain", "manifest"])
@pytest.mark.parametrize("verbosity", [0, 1, 2, 3])
def test_no_name_of_a_file_makes_a_line_or_steers_a_terminal(
    cloud: Cloud,
    tree: StaticTree,
    sources: dict[str, Any],
    told: Told,
    verbosity: int,
    staged: bool,
) -> None:
    run: dict[str, Any] = {
        "backend": backend_for(cloud, staged=staged),
        "settings": sources,
        "verbosity": verbosity,
    }

    text = told(cloud, **run)
    remove(tree, refused_by(cloud))
    text += told(cloud, dry_run=True, **run) + told(cloud, **run) + told(cloud, **run)

    assert FORGING.findall(text) == []
    assert not [line for line in text.splitlines() if line.startswith(FORGERY)]
    assert r"override\u202efdp.css" in text or verbosity < 2


@pytest.mark.parametrize("dry_run", [True, False])
def test_no_key_that_is_left_over_makes_a_line_or_steers_a_terminal(
    s3: S3Cloud, static_tree: StaticTree, told: Told, dry_run: bool
) -> None:
    static_tree.write("a.css", b"a")
    names = [*CONTROLS[1:], *MARKS]
    for name in names:
        s3.put(f"static/{name}", b"x")

    text = told(s3, options={"location": "static"}, clear=True, dry_run=dry_run, verbosity=3)

    assert FORGING.findall(text) == []
    verb = "Pretending to delete" if dry_run else "Deleting"
    assert len([line for line in text.splitlines() if line.startswith(verb)]) == len(names)


@pytest.mark.parametrize("name", CONTROLS + MARKS, ids=ascii)
def test_no_name_of_a_file_that_can_not_be_post_processed_makes_a_line(
    s3: S3Cloud, static_tree: StaticTree, told: Told, name: str
) -> None:
    static_tree.write(name, f"a {{ background: url(missing-{FORGERY}\x1b.png) }}".encode())

    text = told(s3, backend=manifest_backend(s3))

    assert "Post-processing '" in text
    assert "could not be found" in text
    assert FORGING.findall(text) == []
    assert not [line for line in text.splitlines() if line.startswith(FORGERY)]


@pytest.mark.parametrize("threads", [0, 4])
def test_no_name_of_a_file_that_can_not_be_sent_makes_a_line(
    recorded_cloud: RecordedCloud, tree: StaticTree, told: Told, threads: int
) -> None:
    remove(tree, refused_by(recorded_cloud))
    recorded_cloud.recorder.fail(lambda request: recorded_cloud.kind(request) in WRITES, 400)

    text = told(recorded_cloud, threads=threads)

    assert "not sent to" in text
    assert FORGING.findall(text) == []
    assert not [line for line in text.splitlines() if line.startswith(FORGERY)]


PRINTABLE = [
    "é.css",
    "e\u0301.css",
    "日本/語.js",
    "\U0001f469\u200d\U0001f680.png",
    "שלום.css",
    "\xa0",
]


def test_names_that_can_be_printed_are_printed_as_django_prints_them(
    filesystem: FileSystemCloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    for name in PRINTABLE:
        static_tree.write(name, b"x")
    run: dict[str, Any] = {"dry_run": True, "verbosity": 3}

    ours = collectstatic(filesystem, **run).stdout.splitlines()
    djangos = collectstatic(filesystem, disable_collectfasta=True, **run).stdout.splitlines()

    copied = [line for line in djangos if line.startswith("Pretending to copy '")]
    assert len(copied) == len(PRINTABLE)
    assert [line for line in ours if line.startswith("Pretending to copy '")] == copied
