"""Strategies in two passes: post-process locally, then send the difference.

What the storage's ``post_process()`` would do by hundreds of requests is done on a staging storage,
in memory or in a temporary directory, and the result is sent (``deploy/stage.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from typing_extensions import override

from collectfasta.strategies.base import HashStrategy, Strategy


class InMemoryManifestFilesStorage(ManifestFilesMixin, InMemoryStorage):  # type: ignore[misc]
    """Stage in memory, with the methods of the storage to deploy to."""


class FileSystemManifestFilesStorage(ManifestFilesMixin, FileSystemStorage):  # type: ignore[misc]
    """Stage in a temporary directory, with the methods of the storage to deploy to."""


class HashingTwoPassStrategy(HashStrategy[Storage]):
    """Post-process on a staging storage, then let another strategy send what differs.

    Attributes:
        first_manifest_storage: What the staging storage is. ``InMemoryManifestFilesStorage`` and
            ``FileSystemManifestFilesStorage`` run the methods of the storage to deploy to, in
            memory or in a temporary directory. Any other class is made (with a temporary
            directory as ``location`` if it is one of Django's), given all files, and
            post-processes them by itself. ``COLLECTFASTA_STAGING_STORAGE`` wins over it.
        second_strategy: The class of the strategy that sends.
    """

    first_manifest_storage: ClassVar[type[Any]] = InMemoryManifestFilesStorage
    second_strategy: ClassVar[type[Strategy[Any]]]

    @override
    def second_pass_strategy(self) -> Strategy[Any] | None:
        """Return the strategy that sends what is staged."""
        strategy = self.second_strategy(self.remote_storage)
        strategy.dry_run = self.dry_run
        return strategy

    @override
    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        """Return None: the staging storage is empty."""
        return None

    def staged_attributes(self) -> Mapping[str, object]:
        """Return attributes that the storage's object has while it post-processes locally.

        What makes its ``url()`` cheap, for instance: of a URL only the last segment is used then.
        """
        return {}


class TwoPassInMemoryStrategy(HashingTwoPassStrategy):
    """Stage in memory: only text that is rewritten is held, the rest stays where it is."""

    first_manifest_storage = InMemoryManifestFilesStorage


class TwoPassFileSystemStrategy(HashingTwoPassStrategy):
    """Stage in a temporary directory: only text that is rewritten is written there."""

    first_manifest_storage = FileSystemManifestFilesStorage


class WithoutPrefixMixin:
    """Send staged files under their names as they are, which never have the location in front."""
