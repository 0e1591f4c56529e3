"""A staging storage: where a storage's own post-processing reads and writes instead."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from django.core.files.base import File
from django.core.files.storage import InMemoryStorage, Storage
from typing_extensions import override

from collectfasta.checksums import md5
from collectfasta.patching import POST_PROCESS, is_overridden, patched
from collectfasta.source import SourceFile, md5_of

PostProcessed = tuple[str, str | None, bool | Exception]


class StagingStorage:
    """Hold what a storage would have after post-processing, and stand in for its reads and writes.

    Content that is not rewritten is a reference to its source file; only the rest is kept, in the
    scratch storage.

    Args:
        storage: The storage to deploy to, a ``ManifestFilesMixin``.
        sources: The files that were found.
        scratch: An empty local storage, one of Django's.
        attributes: What else the storage's object has while it is patched.
        manifest_storage: Where the published manifest is; None if it is in the storage itself.

    Attributes:
        files: What there is, by name.
        manifests: Holds the manifest until it is published.
    """

    def __init__(
        self,
        storage: Any,
        sources: Sequence[SourceFile],
        scratch: Any,
        *,
        attributes: Mapping[str, object],
        manifest_storage: Storage | None,
    ) -> None:
        self.files = {each.name: each for each in sources}
        self.manifests = _UnpublishedStorage(self._open_published)
        self._storage = storage
        self._scratch = scratch
        self._attributes = attributes
        self._manifest_storage = manifest_storage
        self._contents = _Contents(sources)
        self._hashes: dict[SourceFile, str | None] = {}

    def patched(self, **attributes: object) -> AbstractContextManager[object]:
        """Let the storage, and the finders' storages, read and write here while this lasts.

        Args:
            attributes: What else the storage has.
        """
        stack = ExitStack()
        stack.enter_context(self._contents.noting())
        stack.enter_context(
            patched(
                self._storage,
                **self._shortcuts(),
                **self._attributes,
                _open=self._open,
                open=self._open,
                _save=self._save,
                exists=self._exists,
                delete=self._delete,
                listdir=self._listdir,
                size=lambda name: self._get(name).size,
                get_modified_time=self._modified_time,
                get_available_name=lambda name, max_length=None: name,
                manifest_storage=self.manifests,
                **attributes,
            )
        )
        return stack

    def _shortcuts(self) -> dict[str, object]:
        """Return what does the same as Django's own methods in less time."""
        ways = {"file_hash": self._file_hash, POST_PROCESS: self._post_process}
        cls = type(self._storage)
        return {name: way for name, way in ways.items() if not is_overridden(cls, name)}

    def _file_hash(self, name: str, content: File[Any] | None = None) -> str | None:
        """Hash a source file once: Django hashes it again for each reference to it."""
        source = None if content is None else self._contents.find_opened(content)
        if source in self._hashes:
            return self._hashes[source]
        hashed: str | None = type(self._storage).file_hash(self._storage, name, content)
        if source is not None:
            self._hashes[source] = hashed
        return hashed

    def _post_process(
        self, paths: Any, adjustable_paths: list[str], hashed_files: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Spare Django two searches through all adjustable paths for each file."""
        process = getattr(type(self._storage), POST_PROCESS)
        adjustable, known = [*adjustable_paths], frozenset(adjustable_paths)
        for processed in process(self._storage, paths, known, hashed_files):
            # Until the next one is asked for, Django looks for nothing but this name in its list.
            adjustable_paths[:] = known & {processed[0]}
            yield processed
        adjustable_paths[:] = adjustable

    def _get(self, name: str) -> SourceFile:
        try:
            return self.files[_normalize(name)]
        except KeyError:
            raise FileNotFoundError(f"{name!r} is not among the collected files") from None

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return self._contents.note(self._get(name))

    def _open_published(self, name: str, mode: str) -> File[Any]:
        """Open a manifest where the last deploy has put it."""
        if self._manifest_storage:
            return self._manifest_storage.open(name, mode)
        opened: File[Any] = type(self._storage)._open(self._storage, name, mode)
        return opened

    def _modified_time(self, name: str) -> datetime:
        source = self._get(name)
        return source.storage.get_modified_time(source.path)

    def _exists(self, name: str) -> bool:
        return _normalize(name) in self.files

    def _listdir(self, path: str) -> tuple[list[str], list[str]]:
        folder = posixpath.join(_normalize(path), "").removeprefix("./")
        below = [each[len(folder) :] for each in self.files if each.startswith(folder)]
        folders = {name.partition("/")[0] for name in below if "/" in name}
        return sorted(folders), sorted(name for name in below if "/" not in name)

    def _delete(self, name: str) -> None:
        gone = self.files.pop(_normalize(name), None)
        if gone and gone.storage is self._scratch:
            self._scratch.delete(gone.path)

    def _save(self, name: str, content: File[Any]) -> str:
        name = _normalize(name)
        source = self._contents.find(content)
        self._delete(name)
        if source is None:
            self._scratch._save(name, content)
            self.files[name] = SourceFile(name, name, self._scratch, is_made=True)
        else:
            self.files[name] = source.hashed_as(name)
        return name


class _UnpublishedStorage(InMemoryStorage):
    """Keep what is written until it is published; what is not, is read where it was published.

    Args:
        open_published: Opens a file there.
    """

    def __init__(self, open_published: Callable[[str, str], File[Any]]) -> None:
        super().__init__()
        self._open_published = open_published

    @override
    def open(self, name: str, mode: str = "rb") -> File[Any]:
        """Open a file that was saved here, else one that was published."""
        return super().open(name, mode) if self.exists(name) else self._open_published(name, mode)


class _Contents:
    """Know the source file that an open file was opened from, or that has the same content.

    Args:
        sources: The source files.
    """

    def __init__(self, sources: Iterable[SourceFile]) -> None:
        # By the file that was handed out: inodes are 0 or repeat on some mounts.
        self._opened: WeakKeyDictionary[File[Any], SourceFile] = WeakKeyDictionary()
        self._by_path: dict[tuple[int, str], SourceFile] = {}
        self._by_size: dict[int | None, list[SourceFile]] = {}
        self._by_checksum: dict[int | None, dict[str, SourceFile]] = {}
        for source in sources:
            # What InMemoryStorage opens is one object for all, so two threads can't read the same.
            if isinstance(source.storage, InMemoryStorage):
                continue
            # Before it is read for the first time: what is sent must be what was hashed.
            _ = source.first_stamp
            self._by_size.setdefault(source.size, []).append(source)
            self._by_path[id(source.storage), source.path] = source

    def noting(self) -> AbstractContextManager[object]:
        """Note, while this lasts, what Django opens by the finders' storages."""
        stack = ExitStack()
        storages = {id(each.storage): each.storage for each in self._by_path.values()}
        for storage in storages.values():
            stack.enter_context(patched(storage, open=self._opener(storage, storage.open)))
        return stack

    def _opener(
        self, storage: Storage, open_any: Callable[[str, str], File[Any]]
    ) -> Callable[..., File[Any]]:
        def open_noted(name: str, mode: str = "rb") -> File[Any]:
            source = self._by_path.get((id(storage), name))
            if source is None or mode != "rb":
                return open_any(name, mode)
            if source.local_path is not None:
                return self.note(source)
            opened = open_any(name, mode)
            self._opened[opened] = source
            return opened

        return open_noted

    def note(self, source: SourceFile) -> File[Any]:
        """Open a source file, and note that it was opened for this."""
        opened = source.open()
        found = self._by_path.get((id(source.storage), source.path))
        if found is not None:
            self._opened[opened] = found
        return opened

    def find(self, content: File[Any]) -> SourceFile | None:
        """Return a source file with this content: itself, opened, or one that is equal."""
        return self.find_opened(content) or self._find_equal(content)

    def find_opened(self, content: File[Any]) -> SourceFile | None:
        """Return the source file that was opened to get this content."""
        return self._opened.get(content)

    def _find_equal(self, content: File[Any]) -> SourceFile | None:
        size = getattr(content, "size", None)
        if size not in self._by_checksum:
            of_this_size = self._by_size.get(size, ())
            self._by_checksum[size] = {md5_of(each): each for each in of_this_size}
        by_checksum = self._by_checksum[size]
        if not by_checksum:
            return None
        content.seek(0)
        return by_checksum.get(md5(content))


def _normalize(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/"))
