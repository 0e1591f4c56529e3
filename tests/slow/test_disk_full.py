"""A local system that has no room left: disks, open files, threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.project import MANIFEST, MANIFEST_BACKENDS, Ended, Project
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

KILOBYTE = 1024
ROOM = 256 * KILOBYTE
FULL = "No space left on device"

# A mount of its own, which ends with the process: what is in it afterwards is copied out of it.
_MOUNTED = """
set -e
mount {mount}
status=0
"$@" || status=$?
cp -a {directory}/. {copy}
exit $status
"""
_NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-rm"]
_CAN_MOUNT = subprocess.run([*_NAMESPACE, "true"], check=False, capture_output=True).returncode == 0

needs_mounts = pytest.mark.skipif(
    not _CAN_MOUNT and not os.environ.get("CI"), reason="No mount namespaces here."
)


class Disk:
    """A directory with a file system of its own, as a process that runs in it sees it.

    Attributes:
        path: Where it is.
        copy: What was on it when the process had ended.
        wrapper: Runs a command with it.
    """

    def __init__(self, root: Path, mount: str) -> None:
        self.path, self.copy = root / "disk", root / "copy"
        self.path.mkdir(parents=True, exist_ok=True)
        self.copy.mkdir()
        script = _MOUNTED.format(mount=mount.format(self.path), directory=self.path, copy=self.copy)
        self.wrapper: Sequence[str] = [*_NAMESPACE, "sh", "-c", script, "sh"]

    def left(self) -> list[str]:
        """Return the names of the files that were on it in the end."""
        paths = (path for path in self.copy.rglob("*") if not path.is_dir())
        return sorted(path.relative_to(self.copy).as_posix() for path in paths)


@pytest.fixture
def small_disk(tmp_path: Path) -> Disk:
    """A disk of 256 kB."""
    return Disk(tmp_path / "small", f"-t tmpfs -o size={ROOM} none {{}}")


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    """Some 700 kB of text that is rewritten."""
    static_tree.write("logo.svg", b"<svg/>")
    for number in range(7):
        rule = b"a { background: url(logo.svg) }\n"
        static_tree.write(f"{number}.css", rule + b"/*" + b"x" * 100 * KILOBYTE + b"*/")
    return static_tree


def assert_short(ended: Ended, *, lines: int = 2) -> None:
    assert ended.status == 1, ended
    assert ended.stderr.startswith("CommandError: "), ended
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= lines, ended


@needs_mounts
class TestTemporaryDirectory:
    @pytest.fixture(params=["s3_obstore", "gcs", "azure"])
    def cloud(self, request: pytest.FixtureRequest) -> RecordedCloud:
        cloud: RecordedCloud = request.getfixturevalue(request.param)
        return cloud

    def test_that_is_full_ends_the_post_processing(
        self, cloud: RecordedCloud, tree: StaticTree, small_disk: Disk, tmp_path: Path
    ) -> None:
        strategy = {
            "s3": "boto3.Boto3ManifestFileSystemStrategy",
            "google": "gcloud.GoogleCloudManifestFileSystemStrategy",
            "azure": "azure.AzureBlobManifestFileSystemStrategy",
        }[type(cloud).__module__.rpartition(".")[2]]
        project = Project(
            tmp_path / "project",
            cloud,
            tree,
            backend=MANIFEST_BACKENDS[cloud.backend],
            COLLECTFASTA_STRATEGY=f"collectfasta.strategies.{strategy}",
        )

        ended = project.run(
            wrapper=small_disk.wrapper, environment={"TMPDIR": str(small_disk.path)}
        )

        assert_short(ended, lines=1)
        assert "Nothing was sent, because the files can't be post-processed" in ended.stderr
        assert (
            f"{FULL}: '{small_disk.path}' (free some space there, or let TMPDIR name another"
            in (ended.stderr)
        )
        assert cloud.keys() == []
        assert small_disk.left() == []

    def test_that_is_full_costs_the_files_that_are_compressed_into_it(
        self, s3: S3Cloud, static_tree: StaticTree, small_disk: Disk, tmp_path: Path
    ) -> None:
        static_tree.write("large.js", os.urandom(1024 * KILOBYTE).hex().encode())
        static_tree.write("small.js", b"let it;")
        project = Project(tmp_path / "project", s3, static_tree, options={"gzip": True})

        ended = project.run(
            wrapper=small_disk.wrapper, environment={"TMPDIR": str(small_disk.path)}
        )

        assert_short(ended)
        assert f"'large.js': OSError: [Errno 28] {FULL}: '{small_disk.path}' (free" in ended.stderr
        assert s3.keys() == ["small.js"]
        assert small_disk.left() == []


@needs_mounts
class TestTarget:
    @pytest.fixture
    def project(self, tree: StaticTree, small_disk: Disk, tmp_path: Path) -> Project:
        cloud = FileSystemCloud(small_disk.path / "target")
        return Project(tmp_path / "project", cloud, tree, COLLECTFASTA_THREADS=0)

    @pytest.fixture
    def live(self, small_disk: Disk) -> Disk:
        """The disk, with an older site on it."""
        old = " ".join(f"target/{number}.css" for number in range(7))
        before = f"cd {small_disk.path} && mkdir target && for f in {old}; do echo old >$f; done"
        *command, script, name = small_disk.wrapper
        script = script.replace("status=0\n", f"({before})\nstatus=0\n")
        small_disk.wrapper = [*command, script, name]
        return small_disk

    def test_that_is_full_keeps_what_it_had(self, project: Project, live: Disk) -> None:
        ended = project.run(wrapper=live.wrapper)

        assert ended.status == 1
        assert f"[Errno 28] {FULL}: '{live.path}/target' (free some space there)" in ended.stderr
        assert "Traceback" not in ended.stderr
        wanted = {f"target/{number}.css" for number in range(7)}
        assert wanted <= set(live.left()) <= wanted | {"target/logo.svg"}
        sizes = [(live.copy / name).stat().st_size for name in wanted]
        assert {*sizes} == {4, project.tree.path("1.css").stat().st_size}

    def test_that_is_full_publishes_no_manifest(self, project: Project, live: Disk) -> None:
        project.configure(backend=MANIFEST_BACKENDS[project.cloud.backend], COLLECTFASTA_THREADS=0)

        ended = project.run(wrapper=live.wrapper)

        assert ended.status == 1
        assert f"target/{MANIFEST}" not in live.left()
        assert not [name for name in live.left() if "collectfasta" in name]

    def test_that_is_read_only_is_one_line(
        self, tree: StaticTree, tmp_path: Path, filesystem: FileSystemCloud
    ) -> None:
        (tmp_path / "read-only").mkdir()
        target = tmp_path / "read-only" / "disk"
        target.mkdir()
        disk = Disk(tmp_path / "read-only", "--bind {0} {0}; mount -o remount,ro,bind {0}")
        options = {"location": str(disk.path)}
        project = Project(tmp_path / "project", filesystem, tree, options=options)

        ended = project.run(wrapper=disk.wrapper)

        assert_short(ended, lines=1)
        assert f"8 files were not sent to {disk.path}:" in ended.stderr
        assert f"Read-only file system: '{disk.path}'" in ended.stderr


@needs_mounts
def test_cache_whose_disk_is_full_is_one_warning(
    s3_obstore: S3Cloud, static_tree: StaticTree, small_disk: Disk, tmp_path: Path
) -> None:
    for number in range(30):
        static_tree.write(f"{number}/{'name' * 30}.js", b"let it;")
    cache = {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(small_disk.path),
    }
    project = Project(tmp_path / "project", s3_obstore, static_tree, CACHES={"default": cache})
    fill = f"dd if=/dev/zero of={small_disk.path}/other bs=1k count=1024 2>/dev/null || true\n"
    *command, script, name = small_disk.wrapper
    wrapper = [*command, script.replace("status=0\n", fill + "status=0\n"), name]

    ended = project.run(wrapper=wrapper)

    assert ended.status == 0
    assert ended.stderr.startswith("The cache 'default' could not be written (OSError)")
    assert len(ended.stderr.splitlines()) == 1
    assert s3_obstore.keys() == static_tree.names()
    assert small_disk.left() == ["other"]


class TestNoTemporaryDirectory:
    @pytest.fixture(autouse=True)
    def _nowhere(
        self, s3_obstore: S3Cloud, tree: StaticTree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The server and the tree are there before: they need one.
        monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")

    def test_staging_in_memory_needs_none(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3_obstore, backend=MANIFEST_BACKENDS[s3_obstore.backend])

        assert s3_obstore.exists(MANIFEST)

    def test_staging_in_files_says_what_it_lacks(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        with pytest.raises(CommandError, match=r"can't be post-processed: .*/proc/nowhere"):
            collectstatic(
                s3_obstore,
                backend=MANIFEST_BACKENDS[s3_obstore.backend],
                strategy="collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy",
            )

        assert s3_obstore.keys() == []


@pytest.fixture
def small_files(static_tree: StaticTree) -> StaticTree:
    for number in range(100):
        static_tree.write(f"{number}.js", b"let it%d;" % number)
    return static_tree


def limited(name: str, number: int) -> Sequence[str]:
    """Return what runs a command under a limit, as ``ulimit`` calls it."""
    return ["bash", "-c", f'ulimit -{name} {number}; exec "$@"', "bash"]


@pytest.mark.parametrize("engine", ["s3_obstore", "s3_boto3", "gcs", "azure", "filesystem"])
def test_too_few_open_files_deploy_or_say_so(
    engine: str, small_files: StaticTree, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cloud: Any = request.getfixturevalue(engine)
    project = Project(tmp_path / "project", cloud, small_files, COLLECTFASTA_THREADS=64)

    ended = project.run(wrapper=limited("n", 40))

    if ended.status == 0:
        assert cloud.keys() == small_files.names()
        return
    assert ended.status == 1
    assert "Traceback" not in ended.stderr
    assert "ulimit -n" in ended.stderr
    assert set(cloud.keys()) < set(small_files.names())


# Each thread takes 256 MB of addresses for its stack, of which there are 4 GB.
_GREEDY = """
import resource, sys, threading
from django.core.management import execute_from_command_line

import django.core.management.commands.check
threading.stack_size(256 * 1024 * 1024)
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
execute_from_command_line(sys.argv)
"""


def test_too_few_threads_are_enough(
    filesystem: FileSystemCloud, small_files: StaticTree, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", filesystem, small_files, COLLECTFASTA_THREADS=64)
    project.manage(_GREEDY)

    ended = project.run()

    assert (ended.status, ended.stderr) == (0, "")
    assert filesystem.keys() == small_files.names()


def test_mounts_are_what_the_other_tests_need() -> None:
    """In CI a missing one is a failure, not a skip."""
    assert shutil.which("unshare")
    assert _CAN_MOUNT or not os.environ.get("CI")
