"""Which strategy goes with which storage, told from the storage's class without importing SDKs."""

from __future__ import annotations

from django.core.files.storage import Storage

from collectfasta.strategies.base import Strategy

_STRATEGIES = {
    "storages.backends.s3.S3Storage": "collectfasta.strategies.boto3.Boto3Strategy",
    "storages.backends.gcloud.GoogleCloudStorage": (
        "collectfasta.strategies.gcloud.GoogleCloudStrategy"
    ),
    "storages.backends.azure_storage.AzureStorage": (
        "collectfasta.strategies.azure.AzureBlobStrategy"
    ),
    "django.core.files.storage.filesystem.FileSystemStorage": (
        "collectfasta.strategies.filesystem.FileSystemStrategy"
    ),
}


def strategy_for(storage_class: type[Storage]) -> str | None:
    """Return the dotted path of the strategy for a storage class, None if there is none.

    A subclass gets the strategy of the nearest class that has one.
    """
    paths = (_STRATEGIES.get(path) for path in _class_paths(storage_class))
    return next((path for path in paths if path), None)


def fits(strategy: type[Strategy[Storage]], storage_class: type[Storage]) -> bool:
    """Tell whether a strategy is made for a storage class, a parent of it, or any."""
    wanted = strategy.storage_class
    return wanted is None or wanted in _class_paths(storage_class)


def _class_paths(cls: type) -> list[str]:
    return [f"{each.__module__}.{each.__qualname__}" for each in cls.__mro__]
