"""Source files, their bytes while they are sent, and payloads."""

from __future__ import annotations

import gzip
import hashlib
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

from collectfasta.errors import SourceChangedError
from collectfasta.source import Body, Payload, SourceFile, md5_of
from tests.unit.helpers import in_memory

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


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
    def test_its_name_is_the_prefixed_path_with_forward_slashes(self) -> None:
        names = {"a.css": "a.css", "css/a.css": "css/a.css", "css\\dark\\a.css": "css/dark/a.css"}
        made = {each: SourceFile("x.css", each, InMemoryStorage()).name for each in names}
        assert made == names

    def test_its_size_is_that_in_its_storage(self) -> None:
        storage = in_memory({"a.css": b"12345"})
        assert SourceFile("a.css", "prefix/a.css", storage).size == 5

    def test_its_size_is_asked_for_once(self) -> None:
        storage = CountingStorage()
        storage.save("a.css", ContentFile(b"12345"))
        source = source_in(storage)
        assert (source.size, source.size) == (5, 5)
        assert storage.asked == 1

    def test_its_size_is_unknown_where_the_storage_does_not_say(self) -> None:
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

    def test_it_is_opened_for_bytes(self) -> None:
        for content in (b"", b"\r\n\x00\xff"):
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

    def test_its_stamp_says_nothing_where_the_storage_does_not_say(self) -> None:
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


def read_at_once(body: Body) -> bytes:
    return body.read()


def read_in_pieces(body: Body) -> bytes:
    return b"".join(iter(lambda: body.read(1000), b""))


def read_into(body: Body) -> bytes:
    buffer, content = bytearray(1000), b""
    while number := body.readinto(buffer):
        content += buffer[:number]
    return content


def read_buffered(body: Body) -> bytes:
    content: bytes = io.BufferedReader(body).read()
    return content


def read_by_chunks(body: Body) -> bytes:
    file: Any = body
    return b"".join(File(file).chunks())


def read_twice(body: Body) -> bytes:
    body.read()
    return body.whole()


WAYS = (read_at_once, read_in_pieces, read_into, read_buffered, read_by_chunks, read_twice)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.css"
    path.write_bytes(CONTENT)
    return path


class TestBody:
    @pytest.fixture
    def source(self, path: Path) -> SourceFile:
        source = source_in(FileSystemStorage(path.parent))
        assert source.size == len(CONTENT)  # as the plan has asked
        return source

    def test_it_gives_all_bytes_and_their_md5_however_it_is_read(self, source: SourceFile) -> None:
        for each in (source, source_in(in_memory({"a.css": CONTENT}))):
            for read in WAYS:
                with each.open_body(is_hashed=True) as body:
                    assert read(body) == CONTENT, read
                    assert body.md5 == MD5, read

    def test_an_empty_file_has_an_md5_too(self, source: SourceFile, path: Path) -> None:
        path.write_bytes(b"")
        with source_in(source.storage).open_body(is_hashed=True) as body:
            assert (body.read(), body.md5) == (b"", hashlib.md5(b"").hexdigest())

    def test_it_has_no_md5_where_that_is_not_all_of_its_bytes(self, source: SourceFile) -> None:
        with source.open_body(is_hashed=True) as body:
            body.read(1000)
            assert body.md5 is None
            body.seek(5000)
            body.read()
            assert body.md5 is None
        with source.open_body() as body:
            body.read()
            assert body.md5 is None

    def test_what_was_read_is_not_read_again_for_the_md5(
        self, source: SourceFile, path: Path
    ) -> None:
        with source.open_body(is_hashed=True) as body:
            sent = source.with_body(body)
            assert sent.open().read() == CONTENT
            path.unlink()
            assert md5_of(sent) == MD5

    def test_the_md5_of_a_file_that_was_not_read_is_that_of_its_content(
        self, source: SourceFile
    ) -> None:
        with source.open_body(is_hashed=True) as body:
            assert md5_of(source.with_body(body)) == MD5
        assert md5_of(source) == MD5

    def test_while_it_is_sent_the_source_opens_it_at_its_beginning(
        self, source: SourceFile
    ) -> None:
        with source.open_body() as body:
            sent = source.with_body(body)
            for _ in range(2):
                assert sent.open().read(10) == CONTENT[:10]
                assert sent.open_body() is body
                assert body.tell() == 0

    def test_a_file_that_changed_after_it_was_hashed_is_not_opened(
        self, source: SourceFile, path: Path
    ) -> None:
        hashed = source.hashed_as("a.123.css")
        path.write_bytes(b"other")
        with pytest.raises(SourceChangedError, match="after it was hashed"):
            hashed.open_body()

    def test_a_file_that_changes_while_it_is_sent_is_not_sent_to_its_end(
        self, source: SourceFile, path: Path
    ) -> None:
        def rewrite() -> None:
            path.write_bytes(CONTENT[::-1])
            os.utime(path, (1000, 1000))

        changes: dict[str, Callable[[], object]] = {
            "rewritten": rewrite,
            "longer": lambda: path.write_bytes(CONTENT * 2),
            "shorter": lambda: os.truncate(path, 100_000),
            "empty": lambda: path.write_bytes(b""),
        }
        for what, change in changes.items():
            for read in (read_in_pieces, read_at_once, read_into, read_buffered):
                path.write_bytes(CONTENT)
                got = b""
                with source_in(source.storage).open_body() as body:
                    got += body.read(10)
                    change()
                    with pytest.raises(SourceChangedError, match="while it was being sent"):
                        got += read(body)
                    assert isinstance(body.error, SourceChangedError), what
                assert len(got) < len(CONTENT), what

    def test_what_is_told_of_each_piece_may_end_the_reading(self, source: SourceFile) -> None:
        positions: list[int] = []

        def stop(position: int) -> None:
            positions.append(position)
            if position >= 2000:
                raise InterruptedError("aborted")

        with source.open_body(on_read=stop) as body:
            with pytest.raises(InterruptedError):
                read_in_pieces(body)
            assert isinstance(body.error, InterruptedError)
        assert positions == [0, 1000, 2000]

    def test_it_can_be_checked_after_it_was_closed(self, source: SourceFile, path: Path) -> None:
        for each in (source, source_in(in_memory({"a.css": CONTENT}))):
            with each.open_body() as body:
                body.read()
            body.check()
        path.write_bytes(b"other")
        with source_in(FileSystemStorage(path.parent)).open_body() as body:
            path.write_bytes(b"changed")
        with pytest.raises(SourceChangedError):
            body.check()

    def test_it_closes_its_content(self) -> None:
        content = io.BytesIO(CONTENT)
        with Body(content, len(CONTENT)):
            pass
        assert content.closed

    def test_a_body_of_known_size_is_sized(self, source: SourceFile) -> None:
        with source.open_body() as body:
            assert body.sized() is body

    def test_an_encoded_body_is_the_same_file(self, source: SourceFile, path: Path) -> None:
        def compressed(body: Body) -> Any:
            return io.BytesIO(gzip.compress(body.whole(), mtime=0))

        expected = gzip.compress(CONTENT, mtime=0)
        positions: list[int] = []
        with source.open_body(on_read=positions.append) as body:
            encoded = body.encoded(compressed(body))
            assert encoded.size is None
            with encoded.sized() as sized:
                assert (sized.size, sized.whole()) == (len(expected), expected)
                assert set(positions) <= {0, len(CONTENT)}
                path.write_bytes(b"other")
                with pytest.raises(SourceChangedError):
                    sized.whole()


def hash_of(headers: dict[str, Any]) -> str:
    return Payload(io.BytesIO(), headers=headers).headers_hash


headers = st.dictionaries(
    st.text(max_size=3),
    st.text() | st.none() | st.integers() | st.dictionaries(st.text(max_size=3), st.text()),
    max_size=4,
)


class TestHeadersHash:
    @given(headers, headers)
    def test_it_is_the_same_in_any_order_and_for_equal_headers_only(
        self, first: dict[str, Any], second: dict[str, Any]
    ) -> None:
        assert hash_of(first) == hash_of(dict(reversed(first.items())))
        assert (hash_of(first) == hash_of(second)) == (first == second)

    def test_when_an_object_expires_is_left_out(self) -> None:
        first = {"ContentType": "text/css", "Expires": datetime(2026, 1, 1)}  # noqa: DTZ001
        second = {"ContentType": "text/css", "Expires": datetime(2026, 1, 2)}  # noqa: DTZ001
        assert hash_of(first) == hash_of(second)

    def test_values_that_json_does_not_have_count(self) -> None:
        first, second = {"ExpiryTime": datetime(2026, 1, 1)}, {"ExpiryTime": datetime(2026, 1, 2)}  # noqa: DTZ001
        assert hash_of(first) != hash_of(second)
        assert hash_of({})
