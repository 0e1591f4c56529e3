"""Source files and targets that need no server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.utils.functional import LazyObject

from collectfasta.source import SourceFile
from collectfasta.strategies.filesystem import FileSystemStrategy

T = TypeVar("T", bound=FileSystemStrategy)


def in_memory(files: Mapping[str, bytes]) -> InMemoryStorage:
    """Return a storage that holds these files and has no paths."""
    storage = InMemoryStorage()
    for name, content in files.items():
        storage.save(name, ContentFile(content))
    return storage


def sources_of(files: Mapping[str, bytes]) -> list[SourceFile]:
    """Return source files with these contents, each to be stored under its own name."""
    storage = in_memory(files)
    return [SourceFile(name, name, storage) for name in files]


def strategy_for_directory(root: Path, files: Mapping[str, bytes], strategy_class: type[T]) -> T:
    """Return a strategy that deploys to a directory where these files are."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return strategy_class(FileSystemStorage(root))


class LazyStorage(LazyObject):  # type: ignore[type-arg]
    """A storage that is made when it is used, as Django's are."""

    def _setup(self) -> None:
        self._wrapped = InMemoryStorage()


def _in_directory(root: Path) -> FileSystemStorage:
    return FileSystemStorage(root)


def _in_memory_anew(_: Path) -> InMemoryStorage:
    return InMemoryStorage()


def _lazily(_: Path) -> Any:
    return LazyStorage()


# Each makes an empty storage from an empty directory.
each_storage = pytest.mark.parametrize("make", [_in_directory, _in_memory_anew, _lazily])
