"""Deploy to a file system: sizes first, then content; replaced by rename."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property

from django.core.files.storage import FileSystemStorage
from typing_extensions import override

from collectfasta.files import remove_stale_temporary
from collectfasta.remote import RemoteObject, StoredObject
from collectfasta.source import SourceFile
from collectfasta.stores.filesystem import FileSystemStore
from collectfasta.strategies.base import CachingHashStrategy
from collectfasta.strategies.listing import ListingStrategy


class FileSystemStrategy(ListingStrategy[FileSystemStorage]):
    """Deploy to a directory by comparing sizes, then contents."""

    @cached_property
    @override
    def store(self) -> FileSystemStore:
        return FileSystemStore(self.target_storage)

    @override
    def list_named(self, names: Sequence[str]) -> Iterable[RemoteObject]:
        """Yield the named files that exist; remove the temporary files of killed deploys."""
        if not self.dry_run:
            for folder in {*map(os.path.dirname, names)}:
                remove_stale_temporary(self.target_storage.path(folder))
        return super().list_named(names)

    @override
    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        """Return the checksum of a deployed file, None if there is none.

        By a custom ``get_local_file_hash``, where there is one, so that both sides agree.
        """
        if not self._has_own("get_local_file_hash"):
            return super().get_remote_file_hash(prefixed_path)
        try:
            return self.get_local_file_hash(prefixed_path, self.target_storage)
        except FileNotFoundError:
            return None

    @override
    def upload(self, source: SourceFile) -> RemoteObject | None:
        """Write a file beside the one that it replaces, then rename it over that one.

        A storage class with its own ``_save()`` writes as it likes, over what is there.
        """
        path = self.target_storage.path(source.name)
        if self.store.saves_itself and os.path.islink(path):
            # What is written through a link that --link has made would overwrite the source.
            os.unlink(path)
        return super().upload(source)

    @override
    def list_stored(self) -> Iterable[StoredObject]:
        for key, listed in self.store.list_all(""):
            yield StoredObject(key, listed.last_modified)


class CachingFileSystemStrategy(FileSystemStrategy, CachingHashStrategy[FileSystemStorage]):
    """Deploy to a directory whose files need not be read to be known.

    The checksum of a file there is cached with its inode, size and times, so that only the source
    files are read.
    """

    @cached_property
    @override
    def store(self) -> FileSystemStore:
        return FileSystemStore(self.target_storage, is_cached=True)
