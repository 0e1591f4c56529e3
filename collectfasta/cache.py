"""A Django cache that keeps its entries as objects in a storage, for runners that keep nothing.

A CI runner starts with an empty disk and no Redis, but it reaches a bucket. Entries are JSON, never
pickles: anyone who may write to the bucket could otherwise run code wherever they are read.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, Storage, storages
from typing_extensions import override

from collectfasta.errors import StoreError
from collectfasta.patching import is_overridden
from collectfasta.source import SourceFile
from collectfasta.stores.storage import StorageStore
from collectfasta.strategies.contract import Strategy, in_words
from collectfasta.strategies.selection import sending_strategy

LOCATION_HINT = "Set it to the alias of a storage in STORAGES that nothing serves to the public."

FOLDER = "collectfasta-cache"
_ENTRY = re.compile(rf"(.*/)?{FOLDER}/[0-9a-f]{{64}}\.json", re.DOTALL)

# The canned ACLs of S3 and of Google Cloud Storage, without hyphens and in lower case, and the
# groups that grants name: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html,
# https://cloud.google.com/storage/docs/access-control/lists#predefined-acl
_PUBLIC_ACLS = {"authenticatedread", "publicread", "publicreadwrite"}
_PUBLIC_GROUPS = "/groups/global/"

_MISSING = object()


def is_entry(name: str) -> bool:
    """Return whether an object of this name is an entry of a StorageCache."""
    return _ENTRY.fullmatch(name) is not None


class StorageCache(BaseCache):
    """Keep a few entries, each an object in a storage of ``STORAGES``.

    Made for cached checksums: an entry is read by one request and replaced as a whole, where two
    processes write at the same time by the last one. What expires stays in the storage until it is
    replaced or deleted.

    Args:
        location: The alias of the storage, any but that of the static files.
        params: The cache's other settings, as of any Django cache.

    Attributes:
        entry_size: About how many bytes Collectfasta puts into one entry: the cached checksums of
            some 30,000 objects, so that they are read by one request.
        ends_by_itself: No call waits forever: the storage's SDK gives up in time.

    Raises:
        ImproperlyConfigured: The location can't be used.
    """

    entry_size = 5_000_000
    ends_by_itself = True

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        mistake = find_mistake(location)
        if mistake:
            raise ImproperlyConfigured(f"{mistake} {LOCATION_HINT}")
        self._alias = location

    @cached_property
    def _strategy(self) -> Strategy[Any]:
        """What reaches the storage.

        Its errors are CollectfastaErrors, which say what to do, where the service refuses.
        """
        strategy = sending_strategy(_private_copy(storages[self._alias]))
        strategy.store.prepare(threads=1)
        return strategy

    @override
    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return a value, the default where there is none, or no readable one."""
        name, key = self._name(key, version)
        body = self._read(name)
        return default if body is None else _decode(body, key, default)

    @override
    def set(
        self,
        key: Any,
        value: Any,
        timeout: float | object | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> None:
        """Keep a value.

        Raises:
            TypeError: JSON can't hold it.
        """
        name, key = self._name(key, version)
        expires = self.get_backend_timeout(timeout)  # type: ignore[arg-type]
        body = _encode(key, value, expires)
        if expires is not None and expires <= time.time():
            self._delete([name])
            return
        local = InMemoryStorage()
        local.save(name, ContentFile(body))
        with in_words(self._strategy), self._strategy.store.exact_names():
            self._strategy.upload(SourceFile(name, name, local))

    @override
    def add(
        self,
        key: Any,
        value: Any,
        timeout: float | object | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Keep a value where there is none, and return whether it was kept.

        Not atomic: storages can't do that.
        """
        if self.has_key(key, version):
            return False
        self.set(key, value, timeout, version)
        return True

    @override
    def touch(
        self,
        key: Any,
        timeout: float | object | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        """Keep a value for another time, and return whether there is one."""
        value = self.get(key, _MISSING, version)
        if value is _MISSING:
            return False
        self.set(key, value, timeout, version)
        return True

    @override
    def delete(self, key: Any, version: int | None = None) -> bool:
        """Delete an entry, and return whether there was one."""
        name, _ = self._name(key, version)
        found = self._read(name) is not None
        self._delete([name])
        return found

    @override
    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Delete entries, as many at a time as the storage takes."""
        self._delete([self._name(key, version)[0] for key in keys])

    @override
    def clear(self) -> None:
        """Delete all entries in the storage, those of other prefixes and versions too."""
        store = self._strategy.store
        with in_words(self._strategy):
            keys = [each.key for each in store.list_all(f"{store.prefix}{FOLDER}/")]
        self._delete(filter(is_entry, (key[len(store.prefix) :] for key in keys)))

    def _name(self, key: Any, version: int | None) -> tuple[str, str]:
        """Return the name of an entry's object, which no key leads out of, and the whole key."""
        key = self.make_and_validate_key(key, version)
        digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
        return f"{FOLDER}/{digest}.json", key

    def _read(self, name: str) -> bytes | None:
        """Return an object's content, None if there is none."""
        store = self._strategy.store
        with in_words(self._strategy):
            try:
                with store.translating():
                    # A storage's own way of opening files is obeyed.
                    if any(is_overridden(type(store.storage), each) for each in ("open", "_open")):
                        return StorageStore(store.storage, store.missing).get(name)
                    return store.get(store.key(name))
            except StoreError as error:
                if not error.missing:
                    raise
                return None

    def _delete(self, names: Iterable[str]) -> None:
        """Delete objects; missing ones are not errors."""
        if names := list(names):
            with in_words(self._strategy):
                self._strategy.delete_files(names)


def _private_copy(storage: Any) -> Storage:
    """Return a copy of a storage that makes no object public.

    Its options might be those of the static files. Entries are not compressed either: they are read
    as they are stored.
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


def find_mistake(location: object) -> str | None:
    """Return what is wrong with the LOCATION of a StorageCache, None if nothing is."""
    if not location:
        return "The StorageCache in CACHES has no LOCATION."
    if location == STATICFILES_STORAGE_ALIAS:
        return f"The StorageCache in CACHES has the static files' {location!r} as its LOCATION."
    if location not in storages.backends:
        return (
            f"The StorageCache in CACHES has the LOCATION {location!r}, which is not in STORAGES."
        )
    return None


def _encode(key: str, value: object, expires: float | None) -> bytes:
    entry = {"key": key, "expires": expires, "value": value}
    try:
        text = json.dumps(entry, allow_nan=False)
        # JSON makes lists of tuples and texts of all keys.
        is_same = json.loads(text)["value"] == value
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"A StorageCache keeps what JSON can hold: {error}.") from error
    if not is_same:
        raise TypeError(
            f"A StorageCache keeps what JSON can hold, and JSON would change this "
            f"{type(value).__name__}: use lists for tuples, and texts as keys of dictionaries."
        )
    return text.encode()


def _decode(body: bytes, key: str, missing: object) -> object:
    """Return an entry's value; ``missing`` if it is another's, has expired or can't be read."""
    try:
        entry = json.loads(body)
        expires = entry["expires"]
        if entry["key"] == key and (expires is None or time.time() < expires):
            value: object = entry["value"]
            return value
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return missing
