"""The objects that hold the entries of a ``StorageCache``: their names, reads and writes."""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, Storage

from collectfasta.deploy import in_words
from collectfasta.shadowing import is_overridden
from collectfasta.source import SourceFile
from collectfasta.strategies.contract import Strategy
from collectfasta.strategies.selection import sending_strategy

FOLDER = "collectfasta-cache"
_ENTRY = re.compile(rf"(.*/)?{FOLDER}/[0-9a-f]{{64}}\.json", re.DOTALL)

# The canned ACLs of S3 and of Google Cloud Storage, without hyphens and in lower case, and the
# groups that grants name: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html,
# https://cloud.google.com/storage/docs/access-control/lists#predefined-acl
_PUBLIC_ACLS = {"authenticatedread", "publicread", "publicreadwrite"}
_PUBLIC_GROUPS = "/groups/global/"


def is_entry(name: str) -> bool:
    """Tell whether an object of this name is an entry of a StorageCache."""
    return _ENTRY.fullmatch(name) is not None


class EntryObjects:
    """The objects in a storage that hold the entries.

    What the storage's SDK raises for a failed request becomes a TransferError that says what to do.

    Args:
        storage: The storage.

    Attributes:
        strategy: Knows the storage, and what its SDK calls a missing object.
    """

    def __init__(self, storage: Storage) -> None:
        self.strategy = sending_strategy(storage)
        self._storage = storage

    @cached_property
    def prepared(self) -> Strategy[Any]:
        """The strategy, ready to replace objects as it does for deploys: whole, by exact name."""
        self.strategy.prepare(threads=1)
        return self.strategy

    def read(self, name: str) -> bytes | None:
        """Return an object's content, None if there is none."""
        missing: tuple[type[Exception], ...] = self.strategy.delete_not_found_exception
        with in_words(self.strategy, full=False):
            try:
                return self._reader(self, name)
            except FileNotFoundError:
                return None
            except missing:
                return None

    @cached_property
    def _reader(self) -> Reader:
        cls, packages = self._storage.__class__, ("django.", "storages.")
        if any(is_overridden(cls, name, outside=packages) for name in ("open", "_open")):
            return _read_any
        return _READERS.get(self.strategy.storage_class, _read_any)

    def write(self, name: str, body: bytes) -> None:
        """Store an object, over what is there."""
        local = InMemoryStorage()
        local.save(name, ContentFile(body))
        with in_words(self.strategy, full=False), self.prepared.exact_names():
            self.prepared.upload(SourceFile(name, name, local))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; missing ones are no error."""
        if names := list(names):
            with in_words(self.strategy, full=False):
                self.prepared.delete_files(names)

    def names(self) -> list[str]:
        """Return the names of all entries."""
        with in_words(self.strategy, full=False):
            try:
                _, files = self._storage.listdir(FOLDER)
            except FileNotFoundError:
                return []
        # AzureStorage lists whole paths.
        names = (f"{FOLDER}/{posixpath.basename(each)}" for each in files)
        return [name for name in names if is_entry(name)]


Reader = Callable[[EntryObjects, str], bytes]


def _read_any(objects: EntryObjects, name: str) -> bytes:
    with objects.strategy.target_storage.open(name) as content:
        body: bytes = content.read()
    return body


def _read_s3(objects: EntryObjects, name: str) -> bytes:
    strategy: Any = objects.prepared
    body: bytes = strategy.read(name)
    return body


def _read_google(objects: EntryObjects, name: str) -> bytes:
    """Read by one request; ``storage.open()`` asks for the object's metadata before."""
    # Prepared, the client asks for nothing in the background.
    blob = objects.prepared.target_storage.bucket.blob(objects.strategy.object_key(name))
    body: bytes = blob.download_as_bytes()
    return body


def _read_azure(objects: EntryObjects, name: str) -> bytes:
    """Read by one request; of what is missing, the storage's file would leave one open."""
    storage, key = objects.strategy.target_storage, objects.strategy.object_key(name)
    body: bytes = storage.client.download_blob(key, timeout=storage.timeout).readall()
    return body


_READERS: Mapping[str | None, Reader] = {
    "storages.backends.azure_storage.AzureStorage": _read_azure,
    "storages.backends.gcloud.GoogleCloudStorage": _read_google,
    "storages.backends.s3.S3Storage": _read_s3,
}


def private_copy(storage: Any) -> Storage:
    """Return a copy of a storage that makes no object public.

    Its options may be those of the static files. Nor are entries compressed: they are read as they
    are stored.
    """
    own = copy.copy(storage)
    if hasattr(own, "gzip"):
        own.gzip = False
    if _is_public(getattr(own, "default_acl", None)):
        own.default_acl = None
    if hasattr(own, "get_object_parameters"):
        own.get_object_parameters = lambda name: _without_public(
            storage.get_object_parameters(name)
        )
    private: Storage = own
    return private


def _without_public(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in parameters.items()
        if not _is_public(value) and name not in ("ContentEncoding", "content_encoding")
    }


def _is_public(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return value.replace("-", "").lower() in _PUBLIC_ACLS or _PUBLIC_GROUPS in value
