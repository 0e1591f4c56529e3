"""Any Django storage as a store."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage

from collectfasta.errors import StoreError
from collectfasta.source import Body
from collectfasta.stores.storage import StorageStore, save_exactly
from tests.unit.helpers import in_memory


class GoneError(Exception):
    """What a storage raises for a file that does not exist."""


class OwnStorage(InMemoryStorage):
    """A storage with its own word for what is missing, and without times."""

    def open(self, name: str, mode: str = "rb") -> Any:
        if not self.exists(name):
            raise GoneError(name)
        return super().open(name, mode)

    def delete(self, name: str) -> None:
        if not self.exists(name):
            raise GoneError(name)
        super().delete(name)

    def get_modified_time(self, name: str) -> Any:
        raise NotImplementedError


def put(store: StorageStore, key: str, content: bytes) -> None:
    with Body(io.BytesIO(content), len(content)) as body, store.exact_names():
        store.put(key, body, {})


def test_what_is_put_is_listed_read_and_deleted(tmp_path: Path) -> None:
    storages: list[Storage] = [InMemoryStorage(), FileSystemStorage(tmp_path), OwnStorage()]
    for storage in storages:
        store = StorageStore(storage, (GoneError,))
        for content in (b"longer than the next", b"short"):
            for key in ("a.css", "css/b.css", "css/dark/c.css"):
                put(store, key, content)
        assert {key for key, _ in store.list_all("")} == {"a.css", "css/b.css", "css/dark/c.css"}
        assert {key for key, _ in store.list_all("css/")} == {"css/b.css", "css/dark/c.css"}
        assert [*store.list_all("missing/")] == []
        assert store.get("css/b.css") == b"short"
        found = store.head("a.css")
        assert found is not None
        assert (found.last_modified is None) == isinstance(storage, OwnStorage)
        assert store.head("missing") is None
        store.delete(["a.css", "css/b.css", "css/dark/c.css", "missing"])
        assert [*store.list_all("")] == []
        with pytest.raises(StoreError) as caught:
            store.get("a.css")
        assert caught.value.missing


def test_a_storage_that_saves_under_another_name_is_refused() -> None:
    class Renaming(InMemoryStorage):
        def save(self, name: Any, content: Any, max_length: Any = None) -> str:
            return super().save(f"other-{name}", content)

    with pytest.raises(ValueError, match=r"saved it as 'other-a\.css'"):
        save_exactly(Renaming(), "a.css", ContentFile(b"x"))


def test_it_is_called_by_its_class() -> None:
    assert StorageStore(in_memory({})).url == "InMemoryStorage"
