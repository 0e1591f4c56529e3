"""A directory as a store: what is known of files, links and what is in their place."""

from __future__ import annotations

import errno
import io
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import NoReturn

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage

from collectfasta.checksums import Checksum
from collectfasta.errors import SourceChangedError, StoreError
from collectfasta.remote import Listed
from collectfasta.source import Body
from collectfasta.stores.filesystem import FileSystemStore
from collectfasta.strategies.filesystem import CachingFileSystemStrategy, FileSystemStrategy

MD5 = "9dd4e461268c8034f5c8564e155c67a6"  # of b"x"


@pytest.fixture
def store(tmp_path: Path) -> FileSystemStore:
    return FileSystemStore(FileSystemStorage(tmp_path))


def put(store: FileSystemStore, key: str, content: bytes) -> None:
    with Body(io.BytesIO(content), len(content)) as body:
        store.put(key, body, {})


def refuse(path: object, *_: object) -> NoReturn:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


class TestHead:
    def test_a_file_has_size_checksum_and_time(
        self, store: FileSystemStore, tmp_path: Path
    ) -> None:
        (tmp_path / "a.css").write_bytes(b"x")
        os.utime(tmp_path / "a.css", (1000, 1000))
        found = store.head("a.css")
        assert found is not None
        assert (found.size, found.checksum) == (1, None)
        assert found.read_checksum() == Checksum("md5", MD5)
        assert found.last_modified == datetime.fromtimestamp(1000, timezone.utc)

    def test_its_version_changes_with_it(self, store: FileSystemStore, tmp_path: Path) -> None:
        path = tmp_path / "a.css"
        path.write_bytes(b"x")
        versions = [store.head("a.css")]
        path.write_bytes(b"xy")
        versions.append(store.head("a.css"))
        os.utime(path, (1000, 1000))
        versions.append(store.head("a.css"))
        put(store, "a.css", b"xy")
        versions.append(store.head("a.css"))
        assert len({each.version for each in versions if each}) == 4
        assert store.head("a.css") == versions[-1]

    def test_what_is_missing_is_none(self, store: FileSystemStore, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert [store.head(key) for key in ("missing", "a/b/c", "file/below")] == [None] * 3

    def test_of_what_is_not_a_file_only_its_time_is_known(
        self, store: FileSystemStore, tmp_path: Path
    ) -> None:
        # As --link leaves them.
        (tmp_path / "source").write_bytes(b"x")
        (tmp_path / "link").symlink_to("source")
        (tmp_path / "broken").symlink_to("missing")
        (tmp_path / "folder").mkdir()
        for key in ("link", "broken", "folder"):
            found = store.head(key)
            assert found is not None
            assert (found.version, found.size, found.read_checksum()) == ("", None, None), key
            assert found.last_modified is not None, key

    def test_what_may_not_be_looked_at_is_there_but_unknown(
        self, store: FileSystemStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Root may look at everything.
        monkeypatch.setattr(os, "lstat", refuse)
        assert store.head("a.css") == Listed()

    def test_what_may_not_be_read_has_no_checksum(
        self, store: FileSystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.css").write_bytes(b"x")
        found = store.head("a.css")
        assert found is not None
        monkeypatch.setattr("builtins.open", refuse)
        assert found.read_checksum() is None

    def test_what_fails_to_be_read_for_another_reason_is_an_error(
        self, store: FileSystemStore, tmp_path: Path
    ) -> None:
        (tmp_path / "a.css").write_bytes(b"x")
        found = store.head("a.css")
        assert found is not None
        (tmp_path / "a.css").unlink()
        with pytest.raises(StoreError):
            found.read_checksum()

    def test_a_time_that_cannot_be_a_date_is_unknown(
        self, store: FileSystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.css").touch()
        status = os.lstat(tmp_path / "a.css")
        far = os.stat_result([*status[:8], 10**13, *status[9:10]])
        monkeypatch.setattr(os, "lstat", lambda path: far)
        found = store.head("a.css")
        assert found is not None
        assert (found.size, found.last_modified) == (0, None)


class TestKeys:
    def test_a_name_is_its_key(self, store: FileSystemStore) -> None:
        assert [store.key(name) for name in ("a.css", "a/b c/é.css")] == ["a.css", "a/b c/é.css"]

    def test_names_that_no_file_can_have_are_refused(self, store: FileSystemStore) -> None:
        for name in ("a\0b", "n" * 256, f"a/{'é' * 128}/b"):
            with pytest.raises(ValueError, match=r"null character|longer than 255 bytes"):
                store.key(name)
        with pytest.raises(SuspiciousFileOperation):
            store.key("../a.css")


class TestPut:
    def test_folders_are_made_and_the_storages_permissions_set(self, tmp_path: Path) -> None:
        storage = FileSystemStorage(tmp_path, file_permissions_mode=0o640)
        put(FileSystemStore(storage), "a/b/c.css", b"x")
        assert (tmp_path / "a/b/c.css").read_bytes() == b"x"
        assert os.stat(tmp_path / "a/b/c.css").st_mode & 0o777 == 0o640

    def test_a_link_is_replaced_and_what_it_leads_to_stays(
        self, store: FileSystemStore, tmp_path: Path
    ) -> None:
        (tmp_path / "source").write_bytes(b"source")
        (tmp_path / "a.css").symlink_to("source")
        put(store, "a.css", b"x")
        assert (tmp_path / "source").read_bytes() == b"source"
        assert not (tmp_path / "a.css").is_symlink()

    def test_a_body_that_breaks_leaves_the_old_file_and_nothing_else(
        self, store: FileSystemStore, tmp_path: Path
    ) -> None:
        put(store, "a.css", b"before")

        def changed() -> None:
            raise SourceChangedError("it changed")

        with (
            Body(io.BytesIO(b"after"), 5, check=changed) as body,
            pytest.raises(SourceChangedError, match="it changed"),
        ):
            store.put("a.css", body, {})
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.css": b"before"}

    def test_what_the_file_system_refuses_names_the_file(
        self, store: FileSystemStore, tmp_path: Path
    ) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(StoreError) as caught:
            put(store, "folder", b"x")
        assert str(tmp_path / "folder") in str(caught.value.advice)
        assert not caught.value.transient
        assert [*tmp_path.iterdir()] == [tmp_path / "folder"]


class TestList:
    def test_all_files_and_links_are_listed_and_folders_behind_links_are_not(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "root"
        store = FileSystemStore(FileSystemStorage(root))
        assert [*store.list_all("")] == []
        for key in ("a.css", "css/b.css", "css/dark/c.css", "cs.css"):
            put(store, key, b"x")
        (root / "broken").symlink_to("missing")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "d.css").touch()
        (root / "linked").symlink_to(tmp_path / "other")
        listed = dict(store.list_all(""))
        assert {*listed} == {"a.css", "css/b.css", "css/dark/c.css", "cs.css", "broken"}
        assert all(found == store.head(key) for key, found in listed.items())
        assert {key for key, _ in store.list_all("css/")} == {"css/b.css", "css/dark/c.css"}
        assert {key for key, _ in store.list_all("cs")} == {*listed} - {"a.css", "broken"}


def test_files_are_read_and_deleted(store: FileSystemStore, tmp_path: Path) -> None:
    put(store, "a.css", b"x")
    (tmp_path / "broken").symlink_to("missing")
    assert store.get("a.css") == b"x"
    store.delete(["a.css", "broken", "missing"])
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(StoreError) as caught:
        store.get("a.css")
    assert caught.value.missing


def test_only_the_caching_strategy_keeps_checksums(tmp_path: Path) -> None:
    storage = FileSystemStorage(tmp_path)
    assert FileSystemStrategy(storage).store.identity is None
    assert CachingFileSystemStrategy(storage).store.identity == f"file {tmp_path}"
    assert FileSystemStrategy(storage).store.url == str(tmp_path)
