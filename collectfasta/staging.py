"""Post-process files where they are, before anything is sent: the stage of a manifest deploy."""

from __future__ import annotations

import abc
import posixpath
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.core.files.base import File
from django.core.files.storage import Storage

from collectfasta.disks import naming_disks
from collectfasta.errors import CollectfastaError, describe, printable, printable_error
from collectfasta.shadowing import save_sorted_manifest, saving_under_exact_names, unwrapped
from collectfasta.source import SourceFile

PostProcessed = tuple[str, str | None, bool | Exception]


class StagingError(CollectfastaError):
    """Files that could not be post-processed, so that nothing was sent."""


@contextmanager
def staging(secrets: Iterable[str] = (), *, full: bool) -> Iterator[None]:
    """Put what the local disk refuses while files are post-processed into words.

    Args:
        secrets: Texts that must not appear.
        full: Add the traceback behind it.

    Raises:
        StagingError: In the place of an OSError.
    """
    try:
        with naming_disks(tempfile.gettempdir()):
            yield
    except OSError as error:
        cause = describe(error, secrets)
        if full:
            cause += "\n" + describe(error, secrets, full=True)
        raise StagingError(
            f"Nothing was sent, because the files can't be post-processed: {cause}"
        ) from None


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
    def skipped_in_dry_runs(self) -> str | None:
        """The method that a dry run does not call, so that it can't tell all; None if it can."""
        return None

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
    def skipped_in_dry_runs(self) -> str | None:
        """The user's own storage is left alone."""
        return None if self._is_fresh else "post_process()"

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
            methods["save_manifest"] = lambda: save_sorted_manifest(local)
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


def without_originals(stage: Stage) -> list[SourceFile]:
    """Return a stage's files without those that the manifest names another file for."""
    hashed = stage.hashed_files
    originals = {name for name, other in hashed.items() if other != name} - set(hashed.values())
    return [each for each in stage.files if _uncompressed(each.name, originals) not in originals]


def _uncompressed(name: str, originals: set[str]) -> str:
    root, extension = posixpath.splitext(name)
    return root if extension in (".br", ".gz") and root in originals else name


def printable_outcome(outcome: PostProcessed) -> PostProcessed:
    """Return what was yielded of a file with names and an error that Django can print."""
    name, processed_name, processed = outcome
    if isinstance(processed, Exception):
        processed = printable_error(processed, name)
    return printable(name), processed_name and printable(processed_name), processed


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
