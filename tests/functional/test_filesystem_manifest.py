"""Django's ManifestStaticFilesStorage on a file system: sent as it is, then post-processed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.filesystem import FileSystemCloud

BACKEND = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"

pytestmark = pytest.mark.parametrize("threads", [0, 8])


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("css/a.css", b"a { background: url('../b.png') }\n@import 'c.css';\n")
    static_tree.write("css/c.css", b"c { background: url('../b.png') }\n")
    static_tree.write("b.png", b"png")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FileSystemCloud]:
    """Another empty directory."""
    with FileSystemCloud(tmp_path / "other") as cloud:
        yield cloud


def manifest(cloud: FileSystemCloud) -> dict[str, Any]:
    """Return the published manifest."""
    content: dict[str, Any] = json.loads(cloud.get("staticfiles.json").body)
    return content


def without_manifest(cloud: FileSystemCloud) -> dict[str, bytes]:
    """Return all other files: the manifest's order is not fixed."""
    return {key: each.body for key, each in cloud.objects().items() if key != "staticfiles.json"}


def test_all_files_are_those_of_djangos_own_deploy(
    filesystem: FileSystemCloud, other: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    run = collectstatic(filesystem, threads=threads, backend=BACKEND)
    own = collectstatic(other, backend=BACKEND, disable_collectfasta=True)

    assert without_manifest(filesystem) == without_manifest(other)
    assert manifest(filesystem) == manifest(other)
    assert set(manifest(filesystem)["paths"].values()) <= set(filesystem.keys())
    assert ", 3 post-processed." in own.stdout
    assert ", 3 post-processed." in run.stdout


def test_what_is_unmodified_is_not_sent_again(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(filesystem, threads=threads, backend=BACKEND)
    before = filesystem.objects()
    versions = {name: filesystem.version(name) for name in ("css/a.css", "css/c.css", "b.png")}

    run = collectstatic(filesystem, threads=threads, backend=BACKEND)

    assert "3 unmodified" in run.stdout
    assert filesystem.objects() == before
    assert versions == {name: filesystem.version(name) for name in versions}


def test_a_changed_file_changes_what_refers_to_it(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    collectstatic(filesystem, threads=threads, backend=BACKEND)
    before = manifest(filesystem)["paths"]
    static_tree.write("b.png", b"PNG")

    run = collectstatic(filesystem, threads=threads, backend=BACKEND)

    after = manifest(filesystem)["paths"]
    assert "1 static file copied" in run.stdout
    assert "2 unmodified" in run.stdout
    assert not set(after.values()) & set(before.values())
    assert after["b.png"].encode() in filesystem.get(after["css/c.css"]).body.replace(b"../", b"")


def test_this_process_answers_with_the_new_names(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(filesystem, threads=threads, backend=BACKEND)

    assert staticfiles_storage.url("b.png") == f"/static/{manifest(filesystem)['paths']['b.png']}"


def test_clear_leaves_what_the_manifest_names_and_the_manifest(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    filesystem.put("old.css", b"old")

    collectstatic(filesystem, threads=threads, backend=BACKEND, clear=True)

    paths = manifest(filesystem)["paths"]
    assert {*paths, *paths.values(), "staticfiles.json"} <= set(filesystem.keys())
    assert not filesystem.exists("old.css")


def test_a_dry_run_writes_nothing(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, threads: int
) -> None:
    run = collectstatic(filesystem, threads=threads, backend=BACKEND, dry_run=True)

    assert filesystem.keys() == []
    assert "3 static files copied" in run.stdout
