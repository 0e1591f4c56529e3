"""Which strategy goes with which storage, told from the storage's class without importing SDKs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.errors import again
from collectfasta.strategies.base import Strategy, load_strategy

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

_MANIFEST = "django.contrib.staticfiles.storage.ManifestFilesMixin"
_MANIFEST_STRATEGIES = {
    "storages.backends.s3.S3Storage": "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy",
    "storages.backends.gcloud.GoogleCloudStorage": (
        "collectfasta.strategies.gcloud.GoogleCloudManifestMemoryStrategy"
    ),
    "storages.backends.azure_storage.AzureStorage": (
        "collectfasta.strategies.azure.AzureBlobManifestMemoryStrategy"
    ),
}


class SaveStrategy(Strategy[Storage]):
    """Save whatever there is to save, to any storage."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        """Return True."""
        return True


def strategy_for(storage_class: type[Storage], *, staged: bool = True) -> str | None:
    """Return the dotted path of the strategy for a storage class, None if there is none.

    A subclass gets the strategy of the nearest class that has one. What hashes files, or is to be
    staged by another class, gets the one that stages, unless ``staged`` is False.
    """
    known = (path for path in _class_paths(storage_class) if path in _STRATEGIES)
    found = next(known, None)
    if found is None:
        return None
    if staged and (_MANIFEST in _class_paths(storage_class) or settings.staging_storage):
        return _MANIFEST_STRATEGIES.get(found, _STRATEGIES[found])
    return _STRATEGIES[found]


def sending_strategy(storage: Storage) -> Strategy[Any]:
    """Return a strategy that sends to a storage of any class, and stages nothing."""
    path = strategy_for(storage.__class__, staged=False)
    return (load_strategy(path) if path else SaveStrategy)(storage)


def explain_unmade(configured: Mapping[str, Any], error: Exception) -> str | None:
    """Say in a line what the remote means that refused a storage in its constructor, if known.

    What a storage with a manifest asks for there is the manifest: one that doesn't is made and
    asked what the error means.

    Args:
        configured: The storage's entry in ``STORAGES``.
        error: What its constructor raised.
    """
    shadows: dict[str, Any] = {"load_manifest": lambda _: ({}, "")}
    try:
        storage_class = import_string(configured["BACKEND"])
        unread = type(storage_class.__name__, (storage_class,), shadows)
        sender = sending_strategy(unread(**configured.get("OPTIONS", {})))
    except Exception:  # noqa: BLE001 - then it is not the manifest, and the first error is told
        return None
    reason = sender.explain_error(error) if isinstance(error, sender.remote_errors) else None
    return again(reason) if reason and sender.is_passing(error) else reason


def fits(strategy: type[Strategy[Storage]], storage_class: type[Storage]) -> bool:
    """Tell whether a strategy is made for a storage class, a parent of it, or any."""
    wanted = strategy.storage_class
    return wanted is None or wanted in _class_paths(storage_class)


def _class_paths(cls: type) -> list[str]:
    return [f"{each.__module__}.{each.__qualname__}" for each in cls.__mro__]
