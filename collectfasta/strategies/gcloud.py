"""Deploy to Google Cloud Storage, through django-storages' GoogleCloudStorage."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from google.cloud.exceptions import NotFound
from storages.backends.gcloud import GoogleCloudStorage
from typing_extensions import override

from collectfasta.stores.gcloud import GoogleStore
from collectfasta.stores.store import Store
from collectfasta.strategies.hashing import TwoPassFileSystemStrategy, TwoPassInMemoryStrategy
from collectfasta.strategies.listing import CloudStrategy


class GoogleCloudStrategy(CloudStrategy[GoogleCloudStorage]):
    """Deploy to a bucket by listing it and sending what differs."""

    delete_not_found_exception: ClassVar[tuple[type[Exception], ...]] = (NotFound,)

    def __init__(self, remote_storage: GoogleCloudStorage) -> None:
        super().__init__(remote_storage)
        self.use_gzip = remote_storage.gzip

    @cached_property
    @override
    def store(self) -> Store:
        return GoogleStore(self.target_storage)


class GoogleCloudManifestMemoryStrategy(TwoPassInMemoryStrategy):
    """Deploy a manifest storage by post-processing in memory and sending what differs."""

    second_strategy = GoogleCloudStrategy


class GoogleCloudManifestFileSystemStrategy(TwoPassFileSystemStrategy):
    """Deploy a manifest storage by post-processing in a temporary directory."""

    second_strategy = GoogleCloudStrategy
