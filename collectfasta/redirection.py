"""Run a storage's own post-processing with its reads and writes led to a stage."""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.core.files.base import File
from django.core.files.storage import InMemoryStorage

from collectfasta.checksums import md5
from collectfasta.shadowing import is_overridden, save_sorted_manifest, shadowing
from collectfasta.source import SourceFile
from collectfasta.staging import PostProcessed, Stage, walk


class RedirectedStage(Stage):
    """Run the storage's own ``post_process()`` with its reads and writes led elsewhere.

    All that its class overrides has its effect. Content that is not rewritten is a reference to
    its source file; only the rest is kept, in the scratch storage.

    Args:
        storage: The storage to deploy to, a ``ManifestFilesMixin``.
        sources: The files that were found.
        scratch: An empty local storage, one of Django's.
        attributes: What else the storage's object has meanwhile.
    """

    def __init__(
        self,
        storage: Any,
        sources: Sequence[SourceFile],
        scratch: Any,
        attributes: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        super().__init__(storage, sources)
        self._attributes = attributes
        self._scratch = scratch
        self._staged = {each.name: each for each in sources}
        self._contents = _Contents(sources)
        self._hashes: dict[SourceFile | None, str | None] = {}
        self._manifests = _UnpublishedStorage(self._open_published)
        self._before = storage.hashed_files, storage.manifest_hash
        # One of its own may write elsewhere, so it is called when all files are stored.
        self._saves_manifest_itself = is_overridden(
            storage.__class__, "save_manifest", outside=("django.",)
        )
        self._post_processes_itself = is_overridden(
            storage.__class__, "post_process", outside=("django.",)
        )

    @property
    def files(self) -> list[SourceFile]:
        """All files that belong into the storage, except the manifest."""
        return list(self._staged.values())

    @property
    def skipped_in_dry_runs(self) -> str | None:
        """What the class overrides may write elsewhere."""
        if self._post_processes_itself:
            return "post_process()"
        return "save_manifest()" if self._saves_manifest_itself else None

    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        """Post-process with every read and write led to the stage."""
        with shadowing(self.storage, **self._methods()):
            # Here it writes nothing, so a dry run can tell what would be sent. A class with a way
            # of its own may write elsewhere.
            yield from self.storage.post_process(
                self._found(), dry_run=dry_run and self._post_processes_itself
            )
        name = self.storage.manifest_name
        if self._manifests.exists(name):
            self.manifest = SourceFile(name, name, self._manifests)
        else:
            self.manifest = self._staged.pop(name, None)

    def _methods(self) -> dict[str, object]:
        return {
            **self._shortcuts(),
            **self._attributes,
            "_open": self._open,
            "open": self._open,
            "_save": self._save,
            "exists": self._exists,
            "delete": self._delete,
            "listdir": self._listdir,
            "size": lambda name: self._get(name).size,
            "get_modified_time": self._modified_time,
            "get_available_name": lambda name, max_length=None: name,
            "manifest_storage": self._manifests,
            "save_manifest": (
                lambda: None if self._saves_manifest_itself else save_sorted_manifest(self.storage)
            ),
        }

    def _shortcuts(self) -> dict[str, object]:
        """Return what does the same as Django's own methods in less time."""
        ways = {"file_hash": self._file_hash, "_post_process": self._post_process}
        cls = self.storage.__class__
        return {k: v for k, v in ways.items() if not is_overridden(cls, k, outside=("django.",))}

    def _file_hash(self, name: str, content: File[Any] | None = None) -> str | None:
        """Hash a source file once: Django does so anew for each reference to it."""
        source = None if content is None else self._contents.find_opened(content)
        if source in self._hashes:
            return self._hashes[source]
        hashed: str | None = self.storage.__class__.file_hash(self.storage, name, content)
        if source is not None:
            self._hashes[source] = hashed
        return hashed

    def _post_process(
        self, paths: Any, adjustable_paths: list[str], hashed_files: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Spare Django two searches through all adjustable paths for each file."""
        process = self.storage.__class__._post_process
        adjustable, known = [*adjustable_paths], frozenset(adjustable_paths)
        for processed in process(self.storage, paths, known, hashed_files):
            # Until it is taken up again, Django looks for nothing but this name in its list.
            adjustable_paths[:] = known & {processed[0]}
            yield processed
        adjustable_paths[:] = adjustable

    def publish(self) -> list[SourceFile]:
        """Let a class that overrides ``save_manifest()`` do so now, and return what it saves."""
        if not self._saves_manifest_itself:
            return []
        before = dict(self._staged)
        with shadowing(self.storage, **self._methods()):
            save_sorted_manifest(self.storage)
        saved = [each for each in self.files if before.get(each.name) is not each]
        return saved + [SourceFile(name, name, self._manifests) for name in walk(self._manifests)]

    def withdraw(self) -> None:
        """Let the storage's object name the files of the last deploy again."""
        self.storage.hashed_files, self.storage.manifest_hash = self._before

    def _get(self, name: str) -> SourceFile:
        try:
            return self._staged[_normalize(name)]
        except KeyError:
            raise FileNotFoundError(f"{name!r} is not among the collected files") from None

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return self._get(name).open()

    def _open_published(self, name: str, mode: str) -> File[Any]:
        """Open a manifest where the last deploy has put it."""
        if self.manifest_storage:
            return self.manifest_storage.open(name, mode)
        opened: File[Any] = self.storage.__class__._open(self.storage, name, mode)
        return opened

    def _modified_time(self, name: str) -> datetime:
        source = self._get(name)
        return source.storage.get_modified_time(source.path)

    def _exists(self, name: str) -> bool:
        return _normalize(name) in self._staged

    def _listdir(self, path: str) -> tuple[list[str], list[str]]:
        folder = posixpath.join(_normalize(path), "").removeprefix("./")
        below = [each[len(folder) :] for each in self._staged if each.startswith(folder)]
        folders = {name.partition("/")[0] for name in below if "/" in name}
        return sorted(folders), sorted(name for name in below if "/" not in name)

    def _delete(self, name: str) -> None:
        gone = self._staged.pop(_normalize(name), None)
        if gone and gone.storage is self._scratch:
            self._scratch.delete(gone.path)

    def _save(self, name: str, content: File[Any]) -> str:
        name = _normalize(name)
        self._delete(name)
        source = self._contents.find(content)
        if source is None:
            self._scratch._save(name, content)
            self._staged[name] = SourceFile(name, name, self._scratch)
        else:
            self._staged[name] = source.hashed_as(name)
        return name


class _UnpublishedStorage(InMemoryStorage):
    """Keep what is written until it is published; what is not, is read where it was published.

    Args:
        open_published: Opens a file there.
    """

    def __init__(self, open_published: Callable[[str, str], File[Any]]) -> None:
        super().__init__()
        self._open_published = open_published

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        """Open a file of its own, else one that was published."""
        return super().open(name, mode) if self.exists(name) else self._open_published(name, mode)


class _Contents:
    """Find the source file that has the same content as another file.

    Args:
        sources: The source files.
    """

    def __init__(self, sources: Iterable[SourceFile]) -> None:
        self._by_file: dict[tuple[int, int], SourceFile] = {}
        self._by_size: dict[int | None, list[SourceFile]] = {}
        self._by_checksum: dict[int | None, dict[str, SourceFile]] = {}
        for source in sources:
            # What InMemoryStorage opens is one object for all, so two threads can't read the same.
            if isinstance(source.storage, InMemoryStorage):
                continue
            # Before it is read for the first time: what is sent must be what was hashed.
            _ = source.first_stamp
            self._by_size.setdefault(source.size, []).append(source)
            if source.local_path is not None:
                self._by_file[_file_id(os.stat(source.local_path))] = source

    def find(self, content: File[Any]) -> SourceFile | None:
        """Return a source file with this content: itself, opened, or one that is equal."""
        return self.find_opened(content) or self._find_equal(content)

    def find_opened(self, content: File[Any]) -> SourceFile | None:
        """Return the source file that was opened to get this content."""
        # Others, as a GzipFile, may have the descriptor of a file with other content.
        opened = getattr(getattr(content, "file", None), "raw", None)
        if not isinstance(opened, io.FileIO):
            return None
        return self._by_file.get(_file_id(os.fstat(opened.fileno())))

    def _find_equal(self, content: File[Any]) -> SourceFile | None:
        size = getattr(content, "size", None)
        if size not in self._by_checksum:
            of_this_size = self._by_size.get(size, ())
            self._by_checksum[size] = {_md5_of(each): each for each in of_this_size}
        by_checksum = self._by_checksum[size]
        if not by_checksum:
            return None
        content.seek(0)
        return by_checksum.get(md5(content))


def _normalize(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/"))


def _file_id(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _md5_of(source: SourceFile) -> str:
    with source.open() as content:
        return md5(content)
