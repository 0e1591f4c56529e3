"""Stage: post-process files locally, before anything is sent."""

from __future__ import annotations

import abc
import posixpath
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from typing_extensions import override

from collectfasta import settings
from collectfasta.deploy.staging_storage import PostProcessed, StagingStorage
from collectfasta.errors import (
    CollectfastaError,
    describe,
    naming_disks,
    printable,
    printable_error,
)
from collectfasta.patching import (
    is_overridden,
    save_sorted_manifest,
    saving_under_exact_names,
    standing_in,
    unwrapped,
)
from collectfasta.source import SourceFile
from collectfasta.stores.storage import walk
from collectfasta.strategies.contract import Strategy
from collectfasta.strategies.hashing import (
    FileSystemManifestFilesStorage,
    HashingTwoPassStrategy,
    InMemoryManifestFilesStorage,
)
from collectfasta.strategies.selection import find_storage_class


class StagingError(CollectfastaError):
    """Files that could not be post-processed, so that nothing was sent."""


@contextmanager
def staging(secrets: Iterable[str] = (), *, full: bool) -> Iterator[None]:
    """Explain what the local disk refuses while files are post-processed.

    Args:
        secrets: Texts that must not appear.
        full: Add the traceback behind it.

    Raises:
        StagingError: In place of an OSError.
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
            the storage's class writes it in its own way.
        manifest_storage: Where the manifest goes; None if it goes where the files go.
        is_published: The manifest is in place.
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
            dry_run: Nothing may be written outside the staging storage.
        """

    @property
    @abc.abstractmethod
    def files(self) -> list[SourceFile]:
        """All files that belong into the storage, except the manifest."""

    @property
    def skipped_in_dry_runs(self) -> str | None:
        """The method that a dry run does not call, so that it can't know everything; else None."""
        return None

    @property
    def hashed_files(self) -> dict[str, str]:
        """The names that the manifest has for the files, by their own."""
        names: dict[str, str] = getattr(self.storage, "hashed_files", {})
        return names

    def publish(self) -> list[SourceFile]:
        """Do what remains to be done when all files are in the storage.

        Returns:
            What to store where the manifest is.
        """
        return []

    def restore(self) -> None:
        """Let the storage's object name the files of the last deploy again."""

    def _found(self) -> dict[str, tuple[Storage, str]]:
        return {each.prefixed_path: (each.storage, each.path) for each in self.originals}


class LocalStage(Stage):
    """Copy the files into a local storage of another class and let that post-process them.

    Args:
        storage: The storage to deploy to.
        sources: The files that were found.
        local: The local storage.
        is_fresh: It is empty, so everything in it afterwards is deployed. Otherwise it belongs to
            the user: only what is saved to it or named by its manifest is deployed, and a dry run
            leaves it alone and does not post-process.
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
    @override
    def files(self) -> list[SourceFile]:
        """All files in the local storage, except the manifest."""
        return list(self._files)

    @property
    @override
    def skipped_in_dry_runs(self) -> str | None:
        """The user's storage is left alone."""
        return None if self._is_fresh else "post_process()"

    @property
    @override
    def hashed_files(self) -> dict[str, str]:
        """The names that the local storage's manifest gives to the files, by their own."""
        names: dict[str, str] = getattr(self._local, "hashed_files", {})
        return names

    @override
    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        """Copy, then post-process."""
        if dry_run and not self._is_fresh:
            return
        self._prepare()
        saved: set[str] = set()
        local = unwrapped(self._local)
        with (
            standing_in(local, self.storage),
            saving_under_exact_names(local, **self._methods(saved)),
        ):
            for source in self.originals:
                with source.open() as content:
                    local.save(source.name, content)
            found = {*saved}
            saved.clear()
            if hasattr(local, "post_process"):
                yield from local.post_process(self._found(), dry_run=False)
        self._gather(saved, found)
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
            # Where it goes is for the storage to deploy to.
            methods["manifest_storage"] = local
        return methods

    def _gather(self, saved: set[str], found: set[str]) -> None:
        names = saved | found | set(self.hashed_files.values())
        if self._is_fresh:
            # What was written past the storage's methods, too.
            with suppress(NotImplementedError):
                names.update(walk(self._local))
        files = [
            SourceFile(name, name, self._local, is_made=name in saved or name not in found)
            for name in sorted(names)
        ]
        by_name = {each.name: each for each in files if self._local.exists(each.name)}
        self.manifest = by_name.pop(getattr(self._local, "manifest_name", ""), None)
        self._files = list(by_name.values())

    @override
    def restore(self) -> None:
        """Let the storage's object name the files of the last deploy again."""
        if self._before[0] is not None:
            self.storage.hashed_files, self.storage.manifest_hash = self._before


class PatchedStage(Stage):
    """Run the storage's own ``post_process()`` with its reads and writes patched.

    Everything that its class overrides has its effect. Content that is not rewritten is a reference
    to its source file; only the rest is kept, in the scratch storage.

    Args:
        storage: The storage to deploy to, a ``ManifestFilesMixin``.
        sources: The files that were found.
        scratch: An empty local storage, one of Django's.
        attributes: What else the storage's object has while it post-processes.
    """

    def __init__(
        self,
        storage: Any,
        sources: Sequence[SourceFile],
        scratch: Any,
        attributes: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        super().__init__(storage, sources)
        cls = storage.__class__
        # A custom one might write elsewhere, so it is called when all files are stored.
        self._saves_manifest_itself = is_overridden(cls, "save_manifest")
        self._post_processes_itself = is_overridden(cls, "post_process")
        self._staging = StagingStorage(
            unwrapped(storage),
            sources,
            scratch,
            attributes=attributes,
            manifest_storage=self.manifest_storage,
        )
        self._before = storage.hashed_files, storage.manifest_hash

    @property
    @override
    def files(self) -> list[SourceFile]:
        return list(self._staging.files.values())

    @property
    @override
    def skipped_in_dry_runs(self) -> str | None:
        if self._post_processes_itself:
            return "post_process()"
        return "save_manifest()" if self._saves_manifest_itself else None

    @override
    def post_process(self, *, dry_run: bool) -> Iterator[PostProcessed]:
        with self._patched(saves_manifest=not self._saves_manifest_itself):
            # Here it writes nothing, so a dry run can know what would be sent. A class that
            # overrides it might write elsewhere.
            yield from self.storage.post_process(
                self._found(), dry_run=dry_run and self._post_processes_itself
            )
        name = self.storage.manifest_name
        if self._staging.manifests.exists(name):
            self.manifest = SourceFile(name, name, self._staging.manifests, is_made=True)
        else:
            self.manifest = self._staging.files.pop(name, None)

    @contextmanager
    def _patched(self, *, saves_manifest: bool) -> Iterator[None]:
        def save_manifest() -> None:
            if saves_manifest:
                save_sorted_manifest(self.storage)

        with self._staging.patched(save_manifest=save_manifest):
            yield

    @override
    def publish(self) -> list[SourceFile]:
        """Let a class that overrides ``save_manifest()`` do so now, and return what it saves."""
        if not self._saves_manifest_itself:
            return []
        before = dict(self._staging.files)
        with self._patched(saves_manifest=True):
            save_sorted_manifest(self.storage)
        saved = [each for each in self.files if before.get(each.name) is not each]
        manifests = self._staging.manifests
        own = [SourceFile(name, name, manifests, is_made=True) for name in walk(manifests)]
        return saved + own

    @override
    def restore(self) -> None:
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
    """Return what post-processing yielded with names and an error that Django can print."""
    name, processed_name, processed = outcome
    if isinstance(processed, Exception):
        processed = printable_error(processed, name)
    return printable(name), processed_name and printable(processed_name), processed


@contextmanager
def make_stage(strategy: Strategy[Any], sources: Sequence[SourceFile]) -> Iterator[Stage]:
    """Make the stage that goes with a strategy in two passes, and remove it again.

    A temporary directory can be read by nobody else
    (https://docs.python.org/3/library/tempfile.html#tempfile.mkdtemp).

    Args:
        strategy: Has a ``second_pass_strategy()``.
        sources: The files that were found.
    """
    storage = strategy.remote_storage
    if not isinstance(strategy, HashingTwoPassStrategy):
        yield LocalStage(storage, sources, strategy.target_storage, is_fresh=False)
        return
    with ExitStack() as stack:

        def make_directory() -> str:
            # Only where it is needed: not every container has a place for it.
            return stack.enter_context(tempfile.TemporaryDirectory(prefix="collectfasta-"))

        cls, options = strategy.first_manifest_storage, dict[str, Any]()
        if settings.staging_storage:
            cls, options = find_storage_class(settings.staging_storage)
        if cls is InMemoryManifestFilesStorage:
            scratch: Storage = InMemoryStorage()
            yield PatchedStage(storage, sources, scratch, strategy.staged_attributes())
        elif cls is FileSystemManifestFilesStorage:
            scratch = FileSystemStorage(
                location=make_directory(),
                file_permissions_mode=0o600,
                directory_permissions_mode=0o700,
            )
            yield PatchedStage(storage, sources, scratch, strategy.staged_attributes())
        else:
            if issubclass(cls, (FileSystemStorage, InMemoryStorage)):
                options["location"] = make_directory()
            yield LocalStage(storage, sources, cls(**options), is_fresh=True)
