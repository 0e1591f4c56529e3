"""Strategies in two passes: post-process locally, then send the difference.

Other languages call this local-first: what the storage's ``post_process()`` would do by hundreds of
requests is done on a stage in memory or in a temporary directory, and its outcome is sent.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar

from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.redirection import RedirectedStage
from collectfasta.source import SourceFile
from collectfasta.staging import LocalStage, Stage
from collectfasta.strategies.base import HashStrategy, Strategy


class InMemoryManifestFilesStorage(ManifestFilesMixin, InMemoryStorage):  # type: ignore[misc]
    """Stage in memory, with the methods of the storage to deploy to."""


class FileSystemManifestFilesStorage(ManifestFilesMixin, FileSystemStorage):  # type: ignore[misc]
    """Stage in a temporary directory, with the methods of the storage to deploy to."""


class HashingTwoPassStrategy(HashStrategy[Storage]):
    """Post-process on a stage, then let another strategy send what differs.

    Attributes:
        first_manifest_storage: What the stage is. ``InMemoryManifestFilesStorage`` and
            ``FileSystemManifestFilesStorage`` run the methods of the storage to deploy to, in
            memory or in a temporary directory. Any other class is made (with a temporary
            directory as ``location`` if it is one of Django's), given all files, and
            post-processes them by itself. ``COLLECTFASTA_STAGING_STORAGE`` wins over it.
        second_strategy: The class of the strategy that sends.
    """

    first_manifest_storage: ClassVar[type[Any]] = InMemoryManifestFilesStorage
    second_strategy: ClassVar[type[Strategy[Any]]]

    def second_pass_strategy(self) -> Strategy[Any] | None:
        """Return the strategy that sends what is staged."""
        strategy = self.second_strategy(self.remote_storage)
        strategy.dry_run = self.dry_run
        return strategy

    @property
    def target_name(self) -> str:
        """How messages call the target: as the strategy that sends there calls it."""
        sender = self.second_pass_strategy()
        return sender.target_name if sender else super().target_name

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        """Return None: the stage is empty."""
        return None

    @contextmanager
    def stage(self, sources: Sequence[SourceFile]) -> Iterator[Stage]:
        """Make a stage, and remove it again.

        The temporary directory can be read by nobody else
        (https://docs.python.org/3/library/tempfile.html#tempfile.mkdtemp).
        """
        with ExitStack() as stack:
            make = partial(tempfile.TemporaryDirectory, prefix="collectfasta-")
            # Only where it is needed: not every container has a place for it.
            yield self._make_stage(sources, lambda: stack.enter_context(make()))

    def staged_attributes(self) -> Mapping[str, object]:
        """Return what else the storage's object has while it post-processes on the stage.

        What makes its ``url()`` cheap, for instance: of a URL only the last segment is used there.
        """
        return {}

    def _make_stage(
        self, sources: Sequence[SourceFile], make_directory: Callable[[], str]
    ) -> Stage:
        storage, cls = self.remote_storage, self.first_manifest_storage
        options: dict[str, Any] = {}
        if settings.staging_storage:
            cls, options = find_storage_class(settings.staging_storage)
        if cls is InMemoryManifestFilesStorage:
            return RedirectedStage(storage, sources, InMemoryStorage(), self.staged_attributes())
        if cls is FileSystemManifestFilesStorage:
            scratch = FileSystemStorage(
                location=make_directory(),
                file_permissions_mode=0o600,
                directory_permissions_mode=0o700,
            )
            return RedirectedStage(storage, sources, scratch, self.staged_attributes())
        if issubclass(cls, (FileSystemStorage, InMemoryStorage)):
            options["location"] = make_directory()
        return LocalStage(storage, sources, cls(**options), is_fresh=True)


def find_storage_class(name: str) -> tuple[type[Any], dict[str, Any]]:
    """Return the class and the options of an alias in ``STORAGES``, or the class of a path.

    Raises:
        ImportError: There is no such class.
    """
    configured = django_settings.STORAGES.get(name, {"BACKEND": name})
    return import_string(configured["BACKEND"]), dict(configured.get("OPTIONS", {}))


class TwoPassInMemoryStrategy(HashingTwoPassStrategy):
    """Stage in memory: only text that is rewritten is held, the rest stays where it is."""

    first_manifest_storage = InMemoryManifestFilesStorage


class TwoPassFileSystemStrategy(HashingTwoPassStrategy):
    """Stage in a temporary directory: only text that is rewritten is written there."""

    first_manifest_storage = FileSystemManifestFilesStorage


class WithoutPrefixMixin:
    """Send staged files under their names as they are, which never have the location in front."""
