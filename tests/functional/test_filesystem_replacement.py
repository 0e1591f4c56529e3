"""How a deploy to a file system replaces files: by rename, with Django's permissions, or not."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.finders import FileSystemFinder
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management.base import CommandError

from collectfasta.strategies.filesystem import FileSystemStrategy
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.filesystem import FileSystemCloud

THREADS = pytest.mark.parametrize("threads", [0, 8])


class FailingFile(io.FileIO):
    """A file on a disk that is broken behind its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise OSError(errno.EIO, "Input/output error", self.name)
        return super().read(5) or b""


class FailingStorage(FileSystemStorage):
    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return File(FailingFile(self.path(name)))


class FailingFinder(FileSystemFinder):
    """Finds files that can't be read to their end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for root, storage in self.storages.items():
            self.storages[root] = FailingStorage(storage.location)
            self.storages[root].prefix = ""


class Uppercase(StaticFilesStorage):
    """Has a way of saving style sheets of its own."""

    def _save(self, name: str, content: File[Any]) -> str:
        body = ContentFile(content.read().upper()) if name.endswith(".css") else content
        saved: str = super()._save(name, body)  # type: ignore[misc]
        return saved


class DeletesTheNextSource(FileSystemStrategy):
    """Lets a source file vanish when another one has been sent."""

    def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        local_storage.delete("vanishing.css")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FileSystemCloud]:
    """Another empty directory."""
    with FileSystemCloud(tmp_path / "other") as cloud:
        yield cloud


def modes(root: Path) -> dict[str, str]:
    """Return the permissions of all files and folders below."""
    return {
        path.relative_to(root).as_posix(): stat.filemode(path.lstat().st_mode)
        for path in root.rglob("*")
    }


@THREADS
class TestReplacement:
    def test_an_open_handle_still_reads_the_old_content(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        filesystem.put("css/a.css", b"old")
        static_tree.write("css/a.css", b"new content")
        static_tree.write("css/b.css", b"b")
        target = filesystem.root / "css/a.css"
        inode = target.stat().st_ino

        with target.open("rb") as handle:
            collectstatic(filesystem, threads=threads)
            assert handle.read() == b"old"

        assert target.read_bytes() == b"new content"
        assert target.stat().st_ino != inode
        assert filesystem.keys() == ["css/a.css", "css/b.css"]

    def test_an_unmodified_file_is_left_alone(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        static_tree.write("a.css", b"a")
        static_tree.write("b.css", b"b")
        collectstatic(filesystem, threads=threads)
        versions = {key: filesystem.version(key) for key in filesystem.keys()}
        os.utime(static_tree.path("a.css"))

        run = collectstatic(filesystem, threads=threads)

        assert "2 unmodified" in run.stdout
        assert versions == {key: filesystem.version(key) for key in filesystem.keys()}

    def test_other_content_of_the_same_size_and_age_is_replaced(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        for name in ("a.css", "b.css"):
            source = static_tree.write(name, b"new").stat()
            filesystem.put(name, b"old")
            os.utime(filesystem.root / name, ns=(source.st_atime_ns, source.st_mtime_ns))

        collectstatic(filesystem, threads=threads)

        assert [each.body for each in filesystem.objects().values()] == [b"new", b"new"]

    def test_a_source_that_fails_leaves_the_old_file_and_nothing_else(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        for name in ("a.css", "b.css"):
            static_tree.write(name, b"a content that is longer")
            filesystem.put(name, b"old")

        with pytest.raises(CommandError) as caught:
            collectstatic(
                filesystem,
                threads=threads,
                settings={"STATICFILES_FINDERS": [f"{__name__}.FailingFinder"]},
            )

        assert [each.body for each in filesystem.objects().values()] == [b"old", b"old"]
        assert filesystem.keys() == ["a.css", "b.css"]
        assert str(caught.value).splitlines()[0].startswith("2 files were not sent")
        assert "'a.css': OSError: [Errno 5] Input/output error" in str(caught.value)

    def test_an_overridden_save_is_obeyed_under_exact_names(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        for content in (b"old", b"new"):
            static_tree.write("a.css", content)
            static_tree.write("b/a.css", content)
            collectstatic(filesystem, threads=threads, backend=f"{__name__}.Uppercase")

        bodies = {key: each.body for key, each in filesystem.objects().items()}
        assert bodies == {"a.css": b"NEW", "b/a.css": b"NEW"}


@THREADS
class TestPermissions:
    @pytest.mark.parametrize(
        "settings",
        [
            pytest.param({}, id="default"),
            pytest.param({"FILE_UPLOAD_PERMISSIONS": None}, id="umask"),
            pytest.param(
                {"FILE_UPLOAD_PERMISSIONS": 0o640, "FILE_UPLOAD_DIRECTORY_PERMISSIONS": 0o2750},
                id="set",
            ),
        ],
    )
    def test_are_those_of_djangos_own_deploy(
        self,
        filesystem: FileSystemCloud,
        other: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
        settings: dict[str, Any],
    ) -> None:
        static_tree.write("a.css", b"a").chmod(0o600)
        static_tree.write("b/c/d.css", b"d").chmod(0o777)

        collectstatic(filesystem, threads=threads, settings=settings)
        collectstatic(other, settings=settings, disable_collectfasta=True)

        assert len(modes(filesystem.root)) == 4
        assert modes(filesystem.root) == modes(other.root)


@THREADS
class TestLinks:
    def test_are_made_by_djangos_own_command(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        source = static_tree.write("css/a.css", b"a")

        run = collectstatic(filesystem, threads=threads, link=True)

        assert (filesystem.root / "css/a.css").readlink() == source
        assert run.stdout.strip() == f"1 static file symlinked to '{filesystem.root}'."

    @pytest.mark.parametrize(
        ("backend", "body"), [(None, b"source"), (f"{__name__}.Uppercase", b"SOURCE")]
    )
    def test_are_replaced_by_files_and_what_they_lead_to_stays(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
        backend: str | None,
        body: bytes,
    ) -> None:
        for name in ("a.css", "b.css"):
            static_tree.write(name, b"source")
        collectstatic(filesystem, link=True)

        collectstatic(filesystem, threads=threads, backend=backend)

        assert [each.body for each in filesystem.objects().values()] == [body, body]
        assert not any(path.is_symlink() for path in filesystem.root.iterdir())
        assert static_tree.path("a.css").read_bytes() == b"source"

    def test_that_lead_nowhere_are_replaced(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        for name in ("a.css", "b.css"):
            static_tree.write(name, b"content")
            (filesystem.root / name).symlink_to(filesystem.root / "nowhere")

        collectstatic(filesystem, threads=threads)

        assert [each.body for each in filesystem.objects().values()] == [b"content", b"content"]


@THREADS
class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("\u00e9\u00fc/\u65e5\u672c.css", id="unicode"),
            pytest.param("e\u0301.css", id="decomposed"),
            pytest.param("\U0001f600.css", id="astral"),
            pytest.param(" a b+c%2F~#?&*.css", id="punctuation"),
            pytest.param("a\nb.css", id="newline"),
            # 255 bytes: as long as a name can be.
            pytest.param("\u65e5" * 85, id="long"),
            pytest.param(".hidden.css", id="hidden"),
            pytest.param("vendor/deployed/a.css", id="nested"),
        ],
    )
    def test_and_contents_are_kept(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
        name: str,
    ) -> None:
        static_tree.write(name, b"\r\n\0\xff")
        static_tree.write("empty.css", b"")
        run: dict[str, Any] = {"threads": threads, "use_default_ignore_patterns": False}

        collectstatic(filesystem, **run)

        bodies = {key: each.body for key, each in filesystem.objects().items()}
        assert bodies == {name: b"\r\n\0\xff", "empty.css": b""}
        assert "2 unmodified" in collectstatic(filesystem, **run).stdout

    @pytest.mark.skipif(os.name != "posix", reason="A backslash separates folders.")
    def test_with_backslashes_lead_where_django_puts_them(
        self,
        filesystem: FileSystemCloud,
        other: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        static_tree.write("a\\b.css", b"a")
        static_tree.write("c.css", b"c")

        collectstatic(filesystem, threads=threads)
        collectstatic(other, disable_collectfasta=True)

        assert filesystem.keys() == ["a/b.css", "c.css"]
        assert filesystem.objects() == other.objects()
        assert "2 unmodified" in collectstatic(filesystem, threads=threads).stdout


@THREADS
class TestTarget:
    def test_that_is_missing_is_made(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        static_tree.write("a.css", b"a")
        static_tree.write("b/c.css", b"c")
        target = filesystem.root / "not" / "yet"

        collectstatic(filesystem, threads=threads, options={"location": str(target)}, clear=True)

        assert filesystem.keys() == ["not/yet/a.css", "not/yet/b/c.css"]

    @pytest.mark.parametrize("clear", [False, True])
    def test_is_not_made_by_a_dry_run(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
        clear: bool,
    ) -> None:
        static_tree.write("a.css", b"a")
        static_tree.write("b/c.css", b"c")
        target = filesystem.root / "not" / "yet"

        run = collectstatic(
            filesystem,
            threads=threads,
            options={"location": str(target)},
            dry_run=True,
            clear=clear,
        )

        assert "2 static files copied" in run.stdout
        assert list(filesystem.root.iterdir()) == []

    def test_that_may_not_be_looked_into_is_an_error_that_names_the_files(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        for name in ("a/b.css", "a/c.css", "d.css"):
            static_tree.write(name, b"content")
        folder = filesystem.root / "a"
        folder.mkdir(0o000)
        if os.access(folder, os.W_OK):
            pytest.skip("Root may write everywhere.")
        try:
            with pytest.raises(CommandError) as caught:
                collectstatic(filesystem, threads=threads)
        finally:
            folder.chmod(0o755)

        head, *lines = str(caught.value).splitlines()
        assert head == f"2 files were not sent to {filesystem.root}:"
        assert lines[0].startswith("  'a/b.css': PermissionError: [Errno 13] Permission denied")
        assert lines[1].startswith("  'a/c.css': PermissionError: [Errno 13] Permission denied")
        assert filesystem.keys() == ["d.css"]

    def test_that_is_read_only_is_an_error_that_names_the_files(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        static_tree.write("a.css", b"a")
        static_tree.write("b/c.css", b"c")
        filesystem.root.chmod(0o555)
        if os.access(filesystem.root, os.W_OK):
            pytest.skip("Root may write everywhere.")
        try:
            with pytest.raises(CommandError) as caught:
                collectstatic(filesystem, threads=threads)
        finally:
            filesystem.root.chmod(0o755)

        head, *lines = str(caught.value).splitlines()
        assert head == f"2 files were not sent to {filesystem.root}:"
        assert lines[0].startswith("  'a.css': PermissionError: [Errno 13] Permission denied")
        assert lines[1].startswith("  'b/c.css': PermissionError: [Errno 13] Permission denied")
        assert len(lines) == 2

    def test_where_something_else_is_in_the_way_is_an_error_that_names_the_files(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        threads: int,
    ) -> None:
        filesystem.put("folder", b"is a file")
        filesystem.put("file.css/a", b"is a folder")
        for name in ("folder/a.css", "file.css", "c.css"):
            static_tree.write(name, b"new")

        with pytest.raises(CommandError) as caught:
            collectstatic(filesystem, threads=threads)

        head, *lines = str(caught.value).splitlines()
        assert head == f"2 files were not sent to {filesystem.root}:"
        assert lines[0].startswith("  'file.css': IsADirectoryError: ")
        assert lines[1].startswith("  'folder/a.css': ")
        assert len(lines) == 2
        assert filesystem.keys() == ["c.css", "file.css/a", "folder"]


def test_a_source_that_vanishes_is_an_error_and_leaves_the_old_file(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("large.css", b"the largest is the first to be sent")
    static_tree.write("vanishing.css", b"new")
    filesystem.put("vanishing.css", b"the old one")

    with pytest.raises(CommandError) as caught:
        collectstatic(filesystem, threads=0, strategy=DeletesTheNextSource)

    head, line = str(caught.value).splitlines()
    assert head == f"1 file was not sent to {filesystem.root}:"
    assert line.startswith("  'vanishing.css': FileNotFoundError: ")
    assert filesystem.get("vanishing.css").body == b"the old one"
    assert filesystem.keys() == ["large.css", "vanishing.css"]
