"""Deploy to Azure Blob Storage, through django-storages' AzureStorage."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from azure.core.exceptions import ResourceNotFoundError
from storages.backends.azure_storage import AzureStorage
from typing_extensions import override

from collectfasta.stores.azure import AzureStore
from collectfasta.stores.store import Store
from collectfasta.strategies.hashing import TwoPassFileSystemStrategy, TwoPassInMemoryStrategy
from collectfasta.strategies.listing import CloudStrategy


class AzureBlobStrategy(CloudStrategy[AzureStorage]):
    """Deploy to a container by listing it and sending what differs."""

    delete_not_found_exception: ClassVar[tuple[type[Exception], ...]] = (ResourceNotFoundError,)

    @cached_property
    @override
    def store(self) -> Store:
        return AzureStore(self.target_storage)


class AzureBlobManifestMemoryStrategy(TwoPassInMemoryStrategy):
    """Deploy a manifest storage by post-processing in memory and sending what differs."""

    second_strategy = AzureBlobStrategy


class AzureBlobManifestFileSystemStrategy(TwoPassFileSystemStrategy):
    """Deploy a manifest storage by post-processing in a temporary directory."""

    second_strategy = AzureBlobStrategy
