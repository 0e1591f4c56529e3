"""Post-process files where they are, before anything is sent: the stage of a manifest deploy."""

from __future__ import annotations

import abc
import io
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.core.files.base import File
from django.core.files.storage import InMemoryStorage, Storage

from collectfasta.checksums import md5
from collectfasta.shadowing import (
    is_overridden,
    saving_under_exact_names,
    shadowing,
)
from collectfasta.source import SourceFile

PostProcessed = tuple[str, str | None, bool | Exception]


class Stage(abc.ABC):
    """What a deploy would put into the storage, made locally.

    Args:
        storage: The storage to deploy to.
        sources: The files that were found.

    Attributes:
        manifest: The manifest, once the files are post-processed; None if there is none, or if
            the storage's class writes it in a way of its own.
    """

    def __init__(self, storage: Any, sources: Sequence[SourceFile]) -> None:
        self.storage = storage
        self.originals = sources
        self.manifest: SourceFile | None = None
        self.manifest_storage = _other_manifest_storage(storage)
        self.is_published = False

    @abc.abstractmethod
    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        """Do locally what the storage's ``post_process()`` does, and yield what it yields.

        Args:
            dry_run: Nothing may be written outside of the stage.
        """

    @property
    @abc.abstractmethod
    def files(self) -> list[SourceFile]:
        """All files that belong into the storage, except the manifest."""

    @property
    def hashed_files(self) -> dict[str, str]:
        """The names that the manifest gives to the files, by their own."""
        names: dict[str, str] = getattr(self.storage, "hashed_files", {})
        return names

    def publish(self) -> list[SourceFile]:
        """Do what is left when all files are in the storage.

        Returns:
            What is to be stored where the manifest is.
        """
        return []

    def withdraw(self) -> None:
        """Let the storage's object name the files of the last deploy again."""

    def _found(self) -> dict[str, tuple[Storage, str]]:
        return {each.prefixed_path: (each.storage, each.path) for each in self.originals}


class RedirectedStage(Stage):
    """Run the storage's own ``post_process()`` with its reads and writes led elsewhere.

    All that its class overrides has its effect. Content that is not rewritten is a reference to
    its source file; only the rest is kept, in the scratch storage.

    Args:
        storage: The storage to deploy to, a ``ManifestFilesMixin``.
        sources: The files that were found.
        scratch: An empty local storage.
    """

    def __init__(self, storage: Any, sources: Sequence[SourceFile], scratch: Storage) -> None:
        super().__init__(storage, sources)
        self._scratch = scratch
        self._staged = {each.name: each for each in sources}
        self._contents = _Contents(sources)
        self._manifests = _UnpublishedStorage(self._open_published)
        self._before = storage.hashed_files, storage.manifest_hash
        # One of its own may write elsewhere, so it is called when all files are stored.
        self._saves_manifest_itself = is_overridden(
            storage.__class__, "save_manifest", outside=("django.",)
        )

    @property
    def files(self) -> list[SourceFile]:
        """All files that belong into the storage, except the manifest."""
        return list(self._staged.values())

    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        """Post-process with every read and write led to the stage."""
        with shadowing(self.storage, **self._methods()):
            # Here it writes nothing, so a dry run can tell what would be sent. A class with a way
            # of its own may write elsewhere.
            is_own = is_overridden(self.storage.__class__, "post_process", outside=("django.",))
            yield from self.storage.post_process(self._found(), dry_run=dry_run and is_own)
        name = self.storage.manifest_name
        if self._manifests.exists(name):
            self.manifest = SourceFile(name, name, self._manifests)
        else:
            self.manifest = self._staged.pop(name, None)

    def _methods(self) -> dict[str, object]:
        return {
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
                lambda: None if self._saves_manifest_itself else _save_manifest(self.storage)
            ),
        }

    def publish(self) -> list[SourceFile]:
        """Let a class that overrides ``save_manifest()`` do so now, and return what it saves."""
        if not self._saves_manifest_itself:
            return []
        before = dict(self._staged)
        with shadowing(self.storage, **self._methods()):
            _save_manifest(self.storage)
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
            self._scratch.save(name, content)
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
        # Others, as a GzipFile, may have the descriptor of a file with other content.
        opened = getattr(getattr(content, "file", None), "raw", None)
        found = None
        if isinstance(opened, io.FileIO):
            found = self._by_file.get(_file_id(os.fstat(opened.fileno())))
        return found or self._find_equal(content)

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


class LocalStage(Stage):
    """Copy the files into a local storage of another class and let that post-process them.

    Args:
        storage: The storage to deploy to.
        sources: The files that were found.
        local: The local storage.
        is_fresh: It is empty, so that all that is in it afterwards is deployed. Otherwise it is
            the user's own: only what is saved to it or named by its manifest is deployed, and a
            dry run leaves it alone and does not post-process.
    """

    def __init__(
        self, storage: Any, sources: Sequence[SourceFile], local: Any, *, is_fresh: bool
    ) -> None:
        super().__init__(storage, sources)
        self._local = local
        self._is_fresh = is_fresh
        self._files = list(sources)
        self._before = getattr(storage, "hashed_files", None), getattr(storage, "manifest_hash", "")

    @property
    def files(self) -> list[SourceFile]:
        """All files in the local storage, except the manifest."""
        return list(self._files)

    @property
    def hashed_files(self) -> dict[str, str]:
        """The names that the local storage's manifest gives to the files, by their own."""
        names: dict[str, str] = getattr(self._local, "hashed_files", {})
        return names

    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        """Copy, then post-process."""
        if dry_run and not self._is_fresh:
            return
        self._prepare()
        saved: set[str] = set()
        with saving_under_exact_names(self._local, **self._methods(saved)):
            for source in self.originals:
                with source.open() as content:
                    self._local.save(source.name, content)
            if hasattr(self._local, "post_process"):
                yield from self._local.post_process(self._found(), dry_run=False)
        self._gather(saved)
        if hasattr(self.storage, "hashed_files") and hasattr(self._local, "hashed_files"):
            self.storage.hashed_files = self._local.hashed_files
            self.storage.manifest_hash = self._local.manifest_hash

    def _prepare(self) -> None:
        """Let the local storage leave behind what the storage to deploy to would."""
        for name in ("manifest_name", "keep_intermediate_files"):
            if hasattr(self.storage, name):
                setattr(self._local, name, getattr(self.storage, name))

    def _methods(self, saved: set[str]) -> dict[str, object]:
        local = unwrapped(self._local)

        def save(name: str, content: File[Any]) -> str:
            as_saved: str = local.__class__._save(local, name, content)
            saved.add(as_saved)
            return as_saved

        methods: dict[str, object] = {"_save": save}
        if hasattr(local, "save_manifest"):
            methods["save_manifest"] = lambda: _save_manifest(local)
        return methods

    def _gather(self, saved: set[str]) -> None:
        names = saved | set(self.hashed_files.values())
        if self._is_fresh:
            # What was written past the storage's methods, too.
            with suppress(NotImplementedError):
                names.update(walk(self._local))
        files = [SourceFile(name, name, self._local) for name in sorted(names)]
        by_name = {each.name: each for each in files if self._local.exists(each.name)}
        self.manifest = by_name.pop(getattr(self._local, "manifest_name", ""), None)
        self._files = list(by_name.values())

    def withdraw(self) -> None:
        """Let the storage's object name the files of the last deploy again."""
        if self._before[0] is not None:
            self.storage.hashed_files, self.storage.manifest_hash = self._before


def _other_manifest_storage(storage: Any) -> Storage | None:
    found: Storage | None = getattr(storage, "manifest_storage", None)
    return None if found is unwrapped(storage) or found is storage else found


def unwrapped(storage: Any) -> Any:
    """Return the storage behind a lazy one."""
    return storage.__dict__.get("_wrapped", storage)


def without_originals(stage: Stage) -> list[SourceFile]:
    """Return a stage's files without those that the manifest names another file for."""
    hashed = stage.hashed_files
    originals = {name for name, other in hashed.items() if other != name} - set(hashed.values())
    return [each for each in stage.files if _uncompressed(each.name, originals) not in originals]


def _uncompressed(name: str, originals: set[str]) -> str:
    root, extension = posixpath.splitext(name)
    return root if extension in (".br", ".gz") and root in originals else name


def _save_manifest(storage: Any) -> None:
    """Save a manifest in the order of its names, as Django does from 6.0 on.

    The order in which finders find files is another on each machine.
    """
    storage.hashed_files = dict(sorted(storage.hashed_files.items()))
    storage.__class__.save_manifest(storage)


def _normalize(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/"))


def _file_id(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _md5_of(source: SourceFile) -> str:
    with source.open() as content:
        return md5(content)


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
