"""Source files and payloads."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from hypothesis import given
from hypothesis import strategies as st

from collectfasta.source import Payload, SourceFile
from tests.unit.helpers import in_memory


class WriteOnlyStorage(Storage):
    """A storage that answers nothing that a storage need not answer."""


class CountingStorage(InMemoryStorage):
    """Count how often a size is asked for."""

    asked = 0

    def size(self, name: str) -> int:
        self.asked += 1
        return super().size(name)


def source_in(storage: Storage, name: str = "a.css") -> SourceFile:
    return SourceFile(name, name, storage)


class TestSourceFile:
    @pytest.mark.parametrize(
        ("prefixed_path", "name"),
        [("a.css", "a.css"), ("css/a.css", "css/a.css"), ("css\\dark\\a.css", "css/dark/a.css")],
    )
    def test_its_name_has_forward_slashes(self, prefixed_path: str, name: str) -> None:
        assert SourceFile("a.css", prefixed_path, InMemoryStorage()).name == name

    def test_its_name_is_the_prefixed_path(self) -> None:
        assert SourceFile("a.css", "prefix/a.css", InMemoryStorage()).name == "prefix/a.css"

    def test_its_size_is_that_in_its_storage(self) -> None:
        storage = in_memory({"a.css": b"12345"})
        assert SourceFile("a.css", "prefix/a.css", storage).size == 5

    def test_its_size_is_asked_for_once(self) -> None:
        storage = CountingStorage()
        storage.save("a.css", ContentFile(b"12345"))
        source = source_in(storage)
        assert (source.size, source.size) == (5, 5)
        assert storage.asked == 1

    def test_its_size_is_unknown_where_the_storage_can_not_tell(self) -> None:
        assert source_in(WriteOnlyStorage()).size is None

    @pytest.mark.parametrize(
        "ask",
        [lambda source: source.size, SourceFile.open, SourceFile.stamp],
        ids=["size", "open", "stamp"],
    )
    def test_a_missing_file_is_an_os_error(self, ask: Callable[[SourceFile], object]) -> None:
        source = source_in(in_memory({}))
        with pytest.raises(OSError, match=r"a\.css"):
            ask(source)

    def test_its_label_is_its_path_where_it_has_one(self, tmp_path: Path) -> None:
        assert source_in(FileSystemStorage(tmp_path)).label == str(tmp_path / "a.css")

    def test_its_label_is_its_name_where_it_has_no_path(self) -> None:
        assert source_in(WriteOnlyStorage()).label == "a.css"

    @pytest.mark.parametrize("content", [b"", b"\r\n\x00\xff"])
    def test_it_is_opened_for_bytes(self, content: bytes) -> None:
        with source_in(in_memory({"a.css": content})).open() as body:
            assert body.read() == content

    def test_it_is_opened_by_its_path_in_its_storage(self) -> None:
        storage = in_memory({"a.css": b"x"})
        with SourceFile("a.css", "prefix/a.css", storage).open() as body:
            assert body.read() == b"x"

    def test_its_stamp_stays_while_it_is_not_changed(self, tmp_path: Path) -> None:
        (tmp_path / "a.css").write_bytes(b"1")
        source = source_in(FileSystemStorage(tmp_path))
        assert source.stamp() == source.stamp()

    @pytest.mark.parametrize(
        ("content", "modified"), [(b"12", 1000), (b"1", 1001)], ids=["size", "time"]
    )
    def test_its_stamp_changes_with_it(self, tmp_path: Path, content: bytes, modified: int) -> None:
        path = tmp_path / "a.css"
        path.write_bytes(b"1")
        os.utime(path, (1000, 1000))
        source = source_in(FileSystemStorage(tmp_path))
        _ = source.size  # as the plan has asked
        before = source.stamp()
        path.write_bytes(content)
        os.utime(path, (modified, modified))
        assert source.stamp() != before

    def test_its_stamp_says_nothing_where_the_storage_can_not_tell(self) -> None:
        assert source_in(WriteOnlyStorage()).stamp() == (None, None)


class OwnWay(FileSystemStorage):
    """Opens files in a way of its own."""

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(b"other than in " + name.encode())


class TestLocalPath:
    def test_it_is_where_a_file_system_storage_has_it(self, tmp_path: Path) -> None:
        assert source_in(FileSystemStorage(tmp_path)).local_path == str(tmp_path / "a.css")

    @pytest.mark.parametrize(
        "storage", [in_memory({}), WriteOnlyStorage(), OwnWay("/tmp")], ids=lambda each: type(each)
    )
    def test_there_is_none_where_the_storage_has_a_way_of_its_own(self, storage: Storage) -> None:
        assert source_in(storage).local_path is None

    def test_a_way_of_its_own_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "a.css").write_bytes(b"1")
        with source_in(OwnWay(tmp_path)).open() as content:
            assert content.read() == b"other than in a.css"


class TestHashedAs:
    @pytest.fixture
    def source(self, tmp_path: Path) -> SourceFile:
        (tmp_path / "a.css").write_bytes(b"1")
        source = source_in(FileSystemStorage(tmp_path))
        assert source.size == 1
        return source

    def test_it_is_the_same_file_under_another_name(self, source: SourceFile) -> None:
        hashed = source.hashed_as("a.123.css")
        assert (hashed.name, hashed.path, hashed.storage) == (
            "a.123.css",
            source.path,
            source.storage,
        )

    def test_it_expects_the_file_as_it_was_first_seen(
        self, source: SourceFile, tmp_path: Path
    ) -> None:
        (tmp_path / "a.css").write_bytes(b"later")
        hashed = source.hashed_as("a.123.css")
        assert hashed.expected == source.first_stamp
        assert hashed.expected != hashed.stamp()


def fingerprint(parameters: dict[str, Any]) -> str:
    return Payload(io.BytesIO(), parameters=parameters).fingerprint


parameters = st.dictionaries(
    st.text(max_size=3),
    st.text() | st.none() | st.integers() | st.dictionaries(st.text(max_size=3), st.text()),
    max_size=4,
)


class TestFingerprint:
    @given(parameters)
    def test_it_is_the_same_in_any_order(self, parameters: dict[str, Any]) -> None:
        reversed_parameters = dict(reversed(parameters.items()))
        assert fingerprint(parameters) == fingerprint(reversed_parameters)

    @given(parameters, parameters)
    def test_it_differs_where_any_parameter_does(
        self, first: dict[str, Any], second: dict[str, Any]
    ) -> None:
        assert (fingerprint(first) == fingerprint(second)) == (first == second)

    def test_when_an_object_expires_is_left_out(self) -> None:
        first = {"ContentType": "text/css", "Expires": datetime(2026, 1, 1)}  # noqa: DTZ001
        second = {"ContentType": "text/css", "Expires": datetime(2026, 1, 2)}  # noqa: DTZ001
        assert fingerprint(first) == fingerprint(second)

    def test_values_that_json_does_not_have_count(self) -> None:
        first, second = {"ExpiryTime": datetime(2026, 1, 1)}, {"ExpiryTime": datetime(2026, 1, 2)}  # noqa: DTZ001
        assert fingerprint(first) != fingerprint(second)

    def test_there_is_one_of_nothing(self) -> None:
        assert fingerprint({})
