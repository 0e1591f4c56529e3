"""Files that a deploy writes locally: private, under names of chance, and gone after it."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

STAGED = "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy"
BACKEND = "storages.backends.s3.S3ManifestStaticStorage"
HOUR = 3600


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory of a run."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.fixture(params=[0o000, 0o022], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_the_stage_is_private_and_gone_afterwards(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, temporary: Path
) -> None:
    static_tree.write("css/a.css", b"a { background: url(../b.png) }")
    static_tree.write("b.png", b"b")
    modes: dict[str, set[int]] = {"folders": set(), "files": set()}

    def look(_: object) -> None:
        for path in temporary.rglob("*"):
            kind = "folders" if path.is_dir() else "files"
            modes[kind].add(stat.S_IMODE(path.lstat().st_mode))

    s3.recorder.before(lambda request: request.method == "PUT", look)

    collectstatic(s3, backend=BACKEND, strategy=STAGED, threads=0)

    assert modes == {"folders": {0o700}, "files": {0o600}}
    assert list(temporary.iterdir()) == []


def test_the_stage_is_gone_after_a_failure(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, temporary: Path
) -> None:
    static_tree.write("a.css", b"a { background: url(b.png) }")
    static_tree.write("b.png", b"b")
    s3.recorder.fail(lambda request: request.method == "PUT", 400)

    with pytest.raises(CommandError):
        collectstatic(s3, backend=BACKEND, strategy=STAGED)

    assert list(temporary.iterdir()) == []


def test_a_large_compressed_body_has_no_name(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, temporary: Path
) -> None:
    static_tree.write("a.css", os.urandom(1_500_000))
    seen: list[Path] = []
    s3.recorder.before(
        lambda request: request.method == "PUT", lambda _: seen.extend(temporary.rglob("*"))
    )

    collectstatic(s3, options={"gzip": True}, threads=0)

    assert s3.keys() == ["a.css"]
    assert seen == []
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("_umask")
def test_deployed_files_have_the_modes_of_their_storage(
    filesystem: FileSystemCloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("css/a.css", b"a")
    options = {"file_permissions_mode": 0o604, "directory_permissions_mode": 0o705}

    collectstatic(filesystem, options=options)

    deployed = filesystem.root / "css" / "a.css"
    assert stat.S_IMODE(deployed.stat().st_mode) == 0o604
    assert stat.S_IMODE(deployed.parent.stat().st_mode) == 0o705


LEFT = ".collectfasta-0123456789abcdef.tmp"


class TestWhatAKilledDeployLeft:
    @pytest.fixture
    def folder(self, filesystem: FileSystemCloud, static_tree: StaticTree) -> Path:
        static_tree.write("css/a.css", b"a")
        folder = filesystem.root / "css"
        folder.mkdir()
        return folder

    @staticmethod
    def leave(path: Path, age: float) -> Path:
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
        return path

    def test_is_removed_by_a_later_one(
        self, filesystem: FileSystemCloud, folder: Path, collectstatic: CollectStatic
    ) -> None:
        self.leave(folder / LEFT, 2 * HOUR)

        collectstatic(filesystem)

        assert filesystem.keys() == ["css/a.css"]

    @pytest.mark.parametrize(
        ("name", "age", "options"),
        [
            pytest.param(LEFT, 0, {}, id="another is writing it"),
            pytest.param(f"{LEFT}.css", 2 * HOUR, {}, id="another name"),
            pytest.param(".collectfasta-mine.tmp", 2 * HOUR, {}, id="no name of ours"),
            pytest.param(LEFT, 2 * HOUR, {"dry_run": True}, id="a dry run"),
        ],
    )
    def test_all_else_stays(
        self,
        filesystem: FileSystemCloud,
        folder: Path,
        collectstatic: CollectStatic,
        name: str,
        age: float,
        options: dict[str, Any],
    ) -> None:
        path = self.leave(folder / name, age)

        collectstatic(filesystem, **options)

        assert path.read_bytes() == b"half"

    def test_is_removed_where_it_is_not_where_a_link_leads(
        self,
        filesystem: FileSystemCloud,
        folder: Path,
        collectstatic: CollectStatic,
        tmp_path: Path,
    ) -> None:
        precious = self.leave(tmp_path / "precious", 2 * HOUR)
        (folder / LEFT).symlink_to(precious)

        collectstatic(filesystem)

        assert precious.read_bytes() == b"half"
