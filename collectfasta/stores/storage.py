"""Any Django storage as a store: one file at a time, by the storage's own methods."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.core.files.base import File
from django.core.files.storage import InMemoryStorage, Storage
from typing_extensions import override

from collectfasta.errors import StoreError
from collectfasta.remote import Listed, on_our_clock
from collectfasta.source import Body
from collectfasta.stores.store import Entry, Page, Store


class StorageStore(Store):
    """The files of any Django storage, by their names.

    Args:
        storage: The storage.
        missing: What it raises for a file that does not exist.
        url: What messages call the target; "" for the name of the storage's class.
        identity: Under what its cached checksums are kept; None keeps none.
    """

    def __init__(
        self,
        storage: Any,
        missing: tuple[type[Exception], ...] = (),
        *,
        url: str = "",
        identity: str | None = None,
    ) -> None:
        super().__init__(storage)
        self._url = url or type(storage).__name__
        self._identity = identity
        self._missing: tuple[type[Exception], ...] = (FileNotFoundError, *missing)
        self.has_last_modified = type(storage).get_modified_time is not Storage.get_modified_time

    @property
    @override
    def url(self) -> str:
        return self._url

    @property
    @override
    def identity(self) -> str | None:
        return self._identity

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        folder = posixpath.dirname(prefix)
        names = [name for name in walk(self.storage, folder) if name.startswith(prefix)]
        return Page([Entry(name, Listed(last_modified=None)) for name in names])

    @override
    def head(self, key: str) -> Listed | None:
        return Listed(last_modified=self._last_modified(key)) if self.storage.exists(key) else None

    def _last_modified(self, key: str) -> datetime | None:
        with suppress(NotImplementedError, *self._missing):
            return on_our_clock(self.storage.get_modified_time(key))
        return None

    @override
    def get(self, key: str) -> bytes:
        try:
            with self.storage.open(key) as content:
                body: bytes = content.read()
        except self._missing as error:
            raise StoreError(str(error), kind="missing", missing=True) from error
        return body

    @override
    def put(self, key: str, body: Body, headers: Mapping[str, Any]) -> Listed:
        save_exactly(self.storage, key, body)
        return Listed(size=body.size)

    @override
    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with suppress(*self._missing):
                self.storage.delete(key)


def save_exactly(storage: Any, name: str, body: Any, *, is_made: bool = False) -> None:
    """Save a file by the storage's own ``save()``, or ``_save()`` where Django calls that.

    Args:
        storage: The storage, made to keep names by ``exact_names()``.
        name: The file's.
        body: What to save, open for reading bytes.
        is_made: Post-processing has made it.

    Raises:
        ValueError: It was saved under another name.
    """
    if isinstance(storage, InMemoryStorage) and storage.exists(name):
        # It writes over a file's beginning and leaves the rest; nothing live is in it.
        storage.delete(name)
    save = storage._save if is_made else storage.save
    saved = save(name, File(body))
    if saved != name:
        raise ValueError(f"the storage saved it as {saved!r}: its save() has to keep names")


def walk(storage: Storage, path: str = "") -> Iterator[str]:
    """Yield the names of all files in a storage, or in a folder of it."""
    try:
        directories, files = storage.listdir(path)
    except FileNotFoundError:
        return
    for name in files:
        yield posixpath.join(path, name)
    for name in directories:
        yield from walk(storage, posixpath.join(path, name))
