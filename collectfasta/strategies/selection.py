"""Which strategy goes with which storage: by the storage's class, without importing SDKs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.files.storage import Storage
from django.utils.module_loading import import_string
from typing_extensions import override

from collectfasta import settings
from collectfasta.errors import StoreError, again
from collectfasta.strategies.base import Strategy, load_strategy


class _Choice(NamedTuple):
    """The strategies of a storage class: one that sends, one that stages first."""

    sends: str
    stages: str | None = None


_CHOICES = {
    "storages.backends.s3.S3Storage": _Choice(
        "collectfasta.strategies.boto3.Boto3Strategy",
        "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy",
    ),
    "storages.backends.gcloud.GoogleCloudStorage": _Choice(
        "collectfasta.strategies.gcloud.GoogleCloudStrategy",
        "collectfasta.strategies.gcloud.GoogleCloudManifestMemoryStrategy",
    ),
    "storages.backends.azure_storage.AzureStorage": _Choice(
        "collectfasta.strategies.azure.AzureBlobStrategy",
        "collectfasta.strategies.azure.AzureBlobManifestMemoryStrategy",
    ),
    "django.core.files.storage.filesystem.FileSystemStorage": _Choice(
        "collectfasta.strategies.filesystem.FileSystemStrategy"
    ),
}
_MANIFEST = "django.contrib.staticfiles.storage.ManifestFilesMixin"


class SaveStrategy(Strategy[Storage]):
    """Save every file, to any storage."""

    @override
    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True


def strategy_for(storage_class: type[Storage], *, staged: bool = True) -> str | None:
    """Return the dotted path of the strategy for a storage class, None if there is none.

    A subclass gets the strategy of the nearest class that has one. What hashes files, or is to be
    staged by another class, gets the one that stages, unless ``staged`` is False.
    """
    paths = class_paths(storage_class)
    choice = next((_CHOICES[path] for path in paths if path in _CHOICES), None)
    if choice is None:
        return None
    if staged and choice.stages and (_MANIFEST in paths or settings.staging_storage):
        return choice.stages
    return choice.sends


def sending_strategy(storage: Storage) -> Strategy[Any]:
    """Return a strategy that sends to a storage of any class, and stages nothing."""
    path = strategy_for(storage.__class__, staged=False)
    return (load_strategy(path) if path else SaveStrategy)(storage)


def explain_unmade(configured: Mapping[str, Any], error: Exception) -> str | None:
    """Return in a line what the service means that refused a storage in its constructor, if known.

    What a manifest storage asks for there is the manifest: one that does not ask is made, and its
    store asked what the error means.

    Args:
        configured: The storage's entry in ``STORAGES``.
        error: What its constructor raised.
    """
    patches: dict[str, Any] = {"load_manifest": lambda _: ({}, "")}
    try:
        storage_class = import_string(configured["BACKEND"])
        unread = type(storage_class.__name__, (storage_class,), patches)
        sender = sending_strategy(unread(**configured.get("OPTIONS", {})))
        translated = sender.store.translate(error)
    except Exception:  # noqa: BLE001 - then it is not the manifest, and the first error is shown
        return None
    if not isinstance(translated, StoreError) or translated.advice is None:
        return None
    return again(translated.advice) if translated.transient else translated.advice


def made_for(strategy: type[Strategy[Any]]) -> str | None:
    """Return the dotted path of the storage class that a strategy is made for, None for any."""
    paths = {*class_paths(strategy)}
    for storage_class, choice in _CHOICES.items():
        # Both kinds of a module are made for its storage.
        modules = {choice.sends.rpartition(".")[0]}
        if any(path.rpartition(".")[0] in modules for path in paths):
            return storage_class
    return None


def fits(strategy: type[Strategy[Any]], storage_class: type[Storage]) -> bool:
    """Return whether a strategy is made for a storage class, a parent of it, or any."""
    wanted = made_for(strategy)
    return wanted is None or wanted in class_paths(storage_class)


def find_storage_class(name: str) -> tuple[type[Any], dict[str, Any]]:
    """Return the class and the options of an alias in ``STORAGES``, or the class of a path.

    Raises:
        ImportError: There is no such class.
    """
    configured = settings.entry("STORAGES", name)
    return import_string(configured.get("BACKEND", name)), configured["OPTIONS"]


def class_paths(cls: type) -> list[str]:
    """Return the dotted paths of a class and all that it extends."""
    return [f"{each.__module__}.{each.__qualname__}" for each in cls.__mro__]
