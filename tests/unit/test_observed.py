"""What is known of a file's content after it was read for being sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from collectfasta.observed import ObservedSource
from collectfasta.source import SourceFile
from tests.unit.helpers import sources_of

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


def read_at_once(body: File[Any]) -> None:
    body.read()


def read_in_pieces(body: File[Any]) -> None:
    while body.read(1000):
        pass


def read_twice(body: File[Any]) -> None:
    body.read()
    body.seek(0)
    body.read()


def read_partly(body: File[Any]) -> None:
    body.read(1000)


def read_backwards(body: File[Any]) -> None:
    for start in range(len(CONTENT) - 1000, -1, -1000):
        body.seek(start)
        body.read(1000)


def read_past_the_method(body: File[Any]) -> None:
    body.read(1000)
    body.file.readinto(bytearray(1000))  # type: ignore[union-attr]
    body.read()


def read_by_chunks(body: File[Any]) -> None:
    for _ in body.chunks():
        pass


def read_nothing(body: File[Any]) -> None:
    pass


@pytest.fixture
def source(tmp_path: Path) -> SourceFile:
    (tmp_path / "a.css").write_bytes(CONTENT)
    source = SourceFile("a.css", "a.css", FileSystemStorage(tmp_path))
    assert source.size == len(CONTENT)  # as the plan has asked
    return source


@pytest.mark.parametrize(
    "read",
    [
        read_at_once,
        read_in_pieces,
        read_by_chunks,
        read_twice,
        read_partly,
        read_backwards,
        read_past_the_method,
        read_nothing,
    ],
)
def test_the_md5_is_that_of_the_content_however_it_was_read(
    source: SourceFile, read: Callable[[File[Any]], Any]
) -> None:
    observed = ObservedSource.of(source)
    with observed.open() as body:
        read(body)
    assert observed.md5() == MD5


def test_what_was_read_is_not_read_again(source: SourceFile, tmp_path: Path) -> None:
    observed = ObservedSource.of(source)
    with observed.open() as body:
        assert body.read() == CONTENT
    (tmp_path / "a.css").unlink()
    assert observed.md5() == MD5


def test_a_file_without_a_path_has_one_too() -> None:
    (source,) = sources_of({"a.css": CONTENT})
    assert ObservedSource.of(source).md5() == MD5


def test_an_empty_file_has_one_too(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_bytes(b"")
    source = SourceFile("a.css", "a.css", FileSystemStorage(tmp_path))
    assert ObservedSource.of(source).md5() == hashlib.md5(b"").hexdigest()
