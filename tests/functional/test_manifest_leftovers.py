"""What a manifest deploy leaves: nothing on this machine, and with ``--clear`` nothing old."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud

MANIFEST = "staticfiles.json"
BACKEND = "storages.backends.s3.S3ManifestStaticStorage"

pytestmark = pytest.mark.parametrize("stage", ["Memory", "FileSystem"])


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("css/a.css", b"a { background: url('../img/a.png') }\n")
    static_tree.write("img/a.png", b"png")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; it holds an .env, and one at each place a location could lead to."""
    path = tmp_path / "work"
    for directory in (path, path / "static", path / "a/b"):
        directory.mkdir(parents=True)
        (directory / ".env").write_text("SECRET=1")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, of this test alone."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def strategy(stage: str) -> str:
    return f"collectfasta.strategies.boto3.Boto3Manifest{stage}Strategy"


@pytest.mark.parametrize("location", ["", "static", "static/", "a/b"])
def test_env_file_of_the_working_directory_is_never_sent_and_nothing_is_left_there(
    s3: S3Cloud,
    collectstatic: CollectStatic,
    stage: str,
    location: str,
    work: Path,
    temporary: Path,
) -> None:
    before = sorted(work.rglob("*"))

    collectstatic(s3, backend=BACKEND, strategy=strategy(stage), options={"location": location})

    assert len(s3.keys()) == 5
    assert not [key for key in s3.keys() if "env" in key]
    assert sorted(work.rglob("*")) == before
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("threads", [0, 8])
def test_clear_keeps_what_the_manifest_names_and_deletes_older_files_under_the_location(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, stage: str, threads: int
) -> None:
    options = {"location": "static"}
    collectstatic(s3, backend=BACKEND, strategy=strategy(stage), options=options)
    old = set(s3.keys())
    s3.put("other/foreign.css", b"foreign")
    static_tree.write("img/a.png", b"PNG")

    collectstatic(
        s3, backend=BACKEND, strategy=strategy(stage), options=options, threads=threads, clear=True
    )

    paths = json.loads(s3.get(f"static/{MANIFEST}").body)["paths"]
    names = [*paths, *paths.values(), MANIFEST]
    assert s3.keys() == sorted(["other/foreign.css", *(f"static/{name}" for name in names)])
    assert len(old - set(s3.keys())) == 2
