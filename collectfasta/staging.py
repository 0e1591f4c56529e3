"""Post-process files where they are, before anything is sent: the stage of a manifest deploy."""

from __future__ import annotations

import abc
import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from django.core.files.base import File
from django.core.files.storage import InMemoryStorage, Storage

from collectfasta.shadowing import (
    is_overridden,
    noting_names,
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
    def hashed_names(self) -> set[str]:
        """The names that the manifest gives to the files."""
        return set(getattr(self.storage, "hashed_files", {}).values())

    def publish(self) -> None:
        """Do what is left when all files and the manifest are in the storage."""

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
        self._by_size: dict[int | None, list[SourceFile]] = {}
        for each in sources:
            self._by_size.setdefault(each.size, []).append(each)
        self._before = storage.hashed_files, storage.manifest_hash

    @property
    def files(self) -> list[SourceFile]:
        """All files that belong into the storage, except the manifest."""
        return list(self._staged.values())

    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        """Post-process with every read and write led to the stage."""
        manifests = InMemoryStorage()
        with ExitStack() as stack:
            stack.enter_context(shadowing(self.storage, **self._methods(manifests)))
            # Here it writes nothing, so a dry run can tell what would be sent. A class with a way
            # of its own may write elsewhere.
            is_own = is_overridden(self.storage.__class__, "post_process", outside=("django.",))
            yield from self.storage.post_process(self._found(), dry_run=dry_run and is_own)
        name = self.storage.manifest_name
        if manifests.exists(name):
            self.manifest = SourceFile(name, name, manifests)
        elif name in self._staged:
            self.manifest = self._staged.pop(name)

    def _methods(self, manifests: Storage) -> dict[str, object]:
        methods: dict[str, object] = {
            "_open": self._open,
            "open": self._open,
            "_save": self._save,
            "exists": self._exists,
            "delete": self._delete,
            "size": lambda name: self._get(name).size,
            "get_modified_time": lambda name: self._get(name).stamp()[1],
            "get_available_name": lambda name, max_length=None: name,
            "manifest_storage": manifests,
        }
        if self._saves_manifest_itself:
            methods["save_manifest"] = lambda: None
        return methods

    @property
    def _saves_manifest_itself(self) -> bool:
        return is_overridden(self.storage.__class__, "save_manifest", outside=("django.",))

    def publish(self) -> None:
        """Let a class that overrides ``save_manifest()`` save its manifest now."""
        if self._saves_manifest_itself:
            self.storage.save_manifest()

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

    def _exists(self, name: str) -> bool:
        return _normalize(name) in self._staged

    def _delete(self, name: str) -> None:
        self._staged.pop(_normalize(name), None)

    def _save(self, name: str, content: File[Any]) -> str:
        name = _normalize(name)
        source = self._find_source(name, content)
        if source is None:
            self._scratch.delete(name)
            self._scratch.save(name, content)
            self._staged[name] = SourceFile(name, name, self._scratch)
        else:
            self._staged[name] = SourceFile(source.path, name, source.storage)
        return name

    def _find_source(self, name: str, content: File[Any]) -> SourceFile | None:
        """Return the source file that has the same content, of those that this may be a copy of."""
        for source in self._by_size.get(content.size, ()):
            root, _ = posixpath.splitext(source.name)
            if name.startswith(root) and _is_same(source, content):
                return source
        return None


class LocalStage(Stage):
    """Copy the files into a local storage of another class and let that post-process them.

    Args:
        storage: The storage to deploy to.
        sources: The files that were found.
        local: The local storage.
        is_fresh: It is empty, so that all that is in it afterwards is deployed. Otherwise it is
            only what is saved to it, or found in it by its post-processing.
    """

    def __init__(
        self, storage: Any, sources: Sequence[SourceFile], local: Any, *, is_fresh: bool
    ) -> None:
        super().__init__(storage, sources)
        self._local = local
        self._is_fresh = is_fresh
        self._names: set[str] = set()
        self._before = getattr(storage, "hashed_files", None), getattr(storage, "manifest_hash", "")

    @property
    def files(self) -> list[SourceFile]:
        """All files in the local storage, except the manifest."""
        names = self._names - {self.manifest.name if self.manifest else ""}
        return [SourceFile(name, name, self._local) for name in sorted(names)]

    @property
    def hashed_names(self) -> set[str]:
        """The names that the local storage's manifest gives to the files."""
        return set(getattr(self._local, "hashed_files", {}).values())

    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        """Copy, then post-process."""
        manifest_name = getattr(
            self.storage, "manifest_name", getattr(self._local, "manifest_name", None)
        )
        with saving_under_exact_names(self._local), noting_names(self._local) as names:
            if manifest_name:
                self._local.manifest_name = manifest_name
            for source in self.originals:
                with source.open() as content:
                    self._local.save(source.name, content)
            if hasattr(self._local, "post_process"):
                yield from self._local.post_process(self._found(), dry_run=False)
        found = walk(self._local) if self._is_fresh else filter(self._local.exists, names)
        self._names = set(found)
        if manifest_name in self._names:
            self.manifest = SourceFile(manifest_name, manifest_name, self._local)
        if hasattr(self.storage, "hashed_files") and hasattr(self._local, "hashed_files"):
            self.storage.hashed_files = self._local.hashed_files
            self.storage.manifest_hash = self._local.manifest_hash

    def withdraw(self) -> None:
        """Let the storage's object name the files of the last deploy again."""
        if self._before[0] is not None:
            self.storage.hashed_files, self.storage.manifest_hash = self._before


def _other_manifest_storage(storage: Any) -> Storage | None:
    unwrapped = storage.__dict__.get("_wrapped", storage)
    found: Storage | None = getattr(storage, "manifest_storage", None)
    return None if found is unwrapped or found is storage else found


def without_originals(stage: Stage) -> list[SourceFile]:
    """Return a stage's files without those that only the original names lead to."""
    hashed = stage.hashed_names
    originals = {each.name for each in stage.originals} - hashed
    return [each for each in stage.files if _uncompressed(each.name, originals) not in originals]


def _uncompressed(name: str, originals: set[str]) -> str:
    root, extension = posixpath.splitext(name)
    return root if extension in (".br", ".gz") and root in originals else name


def _normalize(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/"))


def _is_same(source: SourceFile, content: File[Any]) -> bool:
    """Tell whether this is the source file itself, opened, or has the same content."""
    try:
        if os.path.samestat(os.fstat(content.fileno()), os.stat(source.label)):
            return True
    except (AttributeError, OSError, ValueError):
        # Not a file of the file system.
        pass
    content.seek(0)
    with source.open() as original:
        pairs = zip(original.chunks(), content.chunks(), strict=False)
        return all(ours == theirs for ours, theirs in pairs)


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
