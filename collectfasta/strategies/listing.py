"""The bases of the strategies that come with Collectfasta: they list, then compare."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import Storage
from typing_extensions import override

from collectfasta.checksums import md5
from collectfasta.errors import StoreError
from collectfasta.patching import is_overridden
from collectfasta.remote import RemoteObject, StoredObject, compare
from collectfasta.source import SourceFile
from collectfasta.stores.store import leapfrog
from collectfasta.strategies.base import CachingHashStrategy, HashStrategy
from collectfasta.strategies.contract import S, warn_of_denial

_HASH_HOOKS = (
    "get_cached_remote_file_hash",
    "get_gzipped_local_file_hash",
    "get_local_file_hash",
    "get_remote_file_hash",
)


class ListingStrategy(HashStrategy[S], abc.ABC):
    """Compare each file with what one listing says of the remote objects.

    The hooks of ``HashStrategy`` and ``CachingHashStrategy`` keep their meaning for those who
    extend a strategy and override one: then that decides, file by file.

    Attributes:
        index: The remote objects by name, once the command has listed them for overridden hooks.
    """

    index: dict[str, RemoteObject] | None = None

    @cached_property
    def decides_by_hook(self) -> bool:
        """Whether ``should_copy_file`` or a checksum's hook is overridden."""
        return self._has_own("should_copy_file") or self._has_own_hash

    @cached_property
    def _has_own_hash(self) -> bool:
        return any(self._has_own(name) for name in _HASH_HOOKS)

    def _has_own(self, name: str) -> bool:
        return is_overridden(type(self), name, outside=("collectfasta.strategies.",))

    @override
    def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject] | None:
        """Return the named objects that exist; None where an overridden hook decides."""
        if not self.decides_by_hook:
            return self.list_named(names)
        try:
            self.index = {each.name: each for each in self.list_named(names)}
        except StoreError as error:
            if not error.denied:
                raise
            warn_of_denial(self, error)
        return None

    def list_named(self, names: Sequence[str]) -> Iterable[RemoteObject]:
        """Return the named objects that exist: one by one, unless a subclass lists them in bulk.

        Raises:
            StoreError: ``denied`` where the credentials may not list.
        """
        return (each for each in map(self.look_up, names) if each)

    @override
    def look_up(self, name: str) -> RemoteObject | None:
        """Ask for one object; one that may not be read exists, but is unknown."""
        listed = self.store.head(self.object_key(name))
        return RemoteObject.of(name, listed) if listed else None

    @override
    def upload(self, source: SourceFile) -> RemoteObject | None:
        """Put a file over what is there, by one request where it is small."""
        store, key = self.store, self.object_key(source.name)
        if not store.saves_itself:
            with source.open_body() as body:
                payload = store.payload(key, body)
                content: Any = payload.content
                sent = body if content is body else body.encoded(content)
                listed = store.put(key, sent, payload.headers)
            return RemoteObject.of(source.name, listed, payload.headers_hash)
        super().upload(source)
        listed_now = store.head(key)
        if listed_now is None:
            return None
        with source.open() as file:
            headers_hash = store.payload(key, file).headers_hash
        return RemoteObject.of(source.name, listed_now, headers_hash)

    @override
    def delete_files(self, names: Sequence[str]) -> None:
        self.store.delete([self.object_key(name) for name in names])

    @override
    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        if self._has_own_hash:
            return super().should_copy_file(path, prefixed_path, local_storage)
        source = SourceFile(path, prefixed_path, local_storage)
        remote = self._find(source.name)
        if remote is None:
            return True
        with source.open() as content:
            payload = self.store.payload(self.object_key(source.name), content)
            return not compare(source, payload, remote).same

    @override
    def get_local_file_hash(self, path: str, local_storage: Storage) -> str:
        """Return the MD5 of a file as it would be stored, in hexadecimal."""
        if self._has_own("get_gzipped_local_file_hash"):
            return super().get_local_file_hash(path, local_storage)
        with local_storage.open(path) as content:
            return md5(self.store.payload(self.object_key(path), content).content)

    @override
    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        """Return the MD5 of a remote object in hexadecimal, None if it is missing or unknown."""
        remote = self._find(prefixed_path.replace("\\", "/"))
        checksum = (remote.checksum or remote.read_checksum()) if remote else None
        return checksum.value if checksum and checksum.algorithm == "md5" else None

    @property
    def _caches_checksums(self) -> bool:
        """Whether checksums decide, so that those of sent files are cached."""
        return self._has_own_hash

    def _find(self, name: str) -> RemoteObject | None:
        return self.look_up(name) if self.index is None else self.index.get(name)


class CloudStrategy(ListingStrategy[S], CachingHashStrategy[S], abc.ABC):
    """What the strategies for object stores have in common."""

    def __init__(self, remote_storage: S) -> None:
        super().__init__(remote_storage)
        # Each key is asked for several times.
        self._keys: dict[str, str] = {}

    @override
    def object_key(self, name: str) -> str:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = self.store.key(name)
        return key

    @override
    def list_named(self, names: Sequence[str]) -> Iterator[RemoteObject]:
        """Return the named objects that exist, by as few requests as possible."""
        by_key = {self.object_key(name): name for name in names}
        for key, listed in leapfrog(self.store, by_key, threads=self.store.threads):
            yield RemoteObject.of(by_key[key], listed)

    @override
    def list_stored(self) -> Iterable[StoredObject] | None:
        prefix = self.store.prefix
        if not prefix:
            return None
        return [
            StoredObject(key[len(prefix) :], listed.last_modified)
            for key, listed in self.store.list_all(prefix)
            if self._is_from_a_deploy(key)
        ]

    def _is_from_a_deploy(self, key: str) -> bool:
        """Return whether a file's name can have led to this key.

        Others belong to somebody else: the markers of folders that consoles make, which end in a
        slash, and keys with empty or dotted segments.
        """
        try:
            return not key.endswith("/") and self.object_key(key[len(self.store.prefix) :]) == key
        except (SuspiciousOperation, ValueError):
            return False
