"""The bases of the strategies that come with Collectfasta: they list, then compare."""

from __future__ import annotations

import abc
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import Storage
from storages.utils import clean_name

from collectfasta.checksums import md5
from collectfasta.errors import CollectfastaError
from collectfasta.remote import NoListingError, RemoteIndex, RemoteObject, StoredObject, compare
from collectfasta.shadowing import is_overridden
from collectfasta.source import Payload, SourceFile
from collectfasta.strategies.base import CachingHashStrategy, HashStrategy
from collectfasta.strategies.contract import S

_HASH_HOOKS = (
    "get_cached_remote_file_hash",
    "get_gzipped_local_file_hash",
    "get_local_file_hash",
    "get_remote_file_hash",
)

# What asks for patience: a time-out, a request that comes too early (RFC 8470), too many of them
# (RFC 6585), and what is the server's own trouble, but not what it can never do (RFC 9110, 15.6).
_PASSING_STATUSES = {408, 425, 429, *range(500, 600)} - {501, 505}

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html and
# https://cloud.google.com/storage/docs/objects#naming. Azure allows 1,024 characters.
_LONGEST_KEY = 1024


class ListingStrategy(HashStrategy[S], abc.ABC):
    """Compare each file with what one listing says of the remote objects.

    The hooks of ``HashStrategy`` and ``CachingHashStrategy`` keep their meaning for those who
    extend a strategy and override one: then that decides, file by file.

    Attributes:
        index: What is known of the remote objects, once the command has planned.
    """

    index: RemoteIndex | None = None

    def __init__(self, remote_storage: S) -> None:
        super().__init__(remote_storage)
        self._aborted = threading.Event()

    def abort(self) -> None:
        """End large uploads that are under way at the next piece that is read."""
        self._aborted.set()

    def check_aborted(self) -> None:
        """Raise InterruptedError in a large upload that is to end."""
        if self._aborted.is_set():
            raise InterruptedError("interrupted")

    @property
    def is_asked_per_file(self) -> bool:
        """Whether ``should_copy_file`` or a checksum's hook is overridden."""
        return self._has_own("should_copy_file") or self._has_own_hash

    @cached_property
    def _has_own_hash(self) -> bool:
        return any(self._has_own(name) for name in _HASH_HOOKS)

    def _has_own(self, name: str) -> bool:
        return is_overridden(type(self), name, outside=("collectfasta.strategies.",))

    @abc.abstractmethod
    def look_up(self, name: str) -> RemoteObject | None:
        """Return what the remote says of one object, None if there is none."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        """Return whether the remote object is missing, or not known to be the same."""
        if self._has_own_hash:
            return super().should_copy_file(path, prefixed_path, local_storage)
        source = SourceFile(path, prefixed_path, local_storage)
        remote = self._find(source.name)
        if remote is None:
            return True
        with self.open_payload(source) as payload:
            return not compare(source, payload, remote).same

    def get_local_file_hash(self, path: str, local_storage: Storage) -> str:
        """Return the MD5 of a file as it would be stored, in hexadecimal."""
        if self._has_own("get_gzipped_local_file_hash"):
            return super().get_local_file_hash(path, local_storage)
        with self.open_payload(SourceFile(path, path, local_storage)) as payload:
            return md5(payload.body)

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        """Return the MD5 of a remote object in hexadecimal, None if it isn't there or known."""
        remote = self._find(prefixed_path.replace("\\", "/"))
        checksum = (remote.checksum or remote.read_checksum()) if remote else None
        return checksum.value if checksum and checksum.algorithm == "md5" else None

    def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        """Remember a checksum where checksums decide."""
        if self._has_own_hash:
            super().post_copy_hook(path, prefixed_path, local_storage)

    def _find(self, name: str) -> RemoteObject | None:
        return self.look_up(name) if self.index is None else self.index.get(name)


class CloudStrategy(ListingStrategy[S], CachingHashStrategy[S], abc.ABC):
    """What the strategies for object stores have in common.

    Attributes:
        default_threads: Measured with boto3 (``benchmarks/README.md``): the client works 2 to 5 ms
            for each small file, however many threads there are, and waits for the rest of its
            request. At 20 ms a request, 16 threads are as fast as more; at 100 ms a round trip,
            32 took a quarter less time than 20, and 64 nearly half.
        passing_errors: What the SDK raises where no answer came, or not whole.
        passing_codes: The service's codes of refusals that pass, whatever their HTTP status.
    """

    default_threads: ClassVar[int] = 32
    passing_errors: ClassVar[tuple[type[Exception], ...]] = ()
    passing_codes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, remote_storage: S) -> None:
        super().__init__(remote_storage)
        # Each is asked for several times.
        self._keys: dict[str, str] = {}

    @abc.abstractmethod
    def answer_of(self, error: Exception) -> tuple[int | None, str]:
        """Return HTTP status and code of the answer behind an error; None and "" without one."""

    def is_passing(self, error: Exception) -> bool:
        """Tell whether a request that has failed by this error may succeed a little later."""
        status, code = self.answer_of(error)
        if status in _PASSING_STATUSES or code in self.passing_codes:
            return True
        return isinstance(error, self.passing_errors) or super().is_passing(error)

    def error_kind(self, error: Exception) -> str:
        """Name an error by status and code of the answer, by its type where there is none."""
        status, code = self.answer_of(error)
        # Without a code botocore repeats the status.
        words = (str(status), code) if code != str(status) else (code,)
        return " ".join(words).strip() if status else super().error_kind(error)

    def object_key(self, name: str) -> str:
        """Return the key of a name: the storage's location and the name.

        Raises:
            ValueError: The key is too long, or not Unicode.
            SuspiciousOperation: It would lie outside of the location.
        """
        if name in self._keys:
            return self._keys[name]
        key: str = self.full_path(clean_name(name))
        # AzureStorage cuts dots and slashes off the ends of the whole key.
        if not key.startswith(self.prefix):
            raise SuspiciousOperation("its key would lie outside of the location")
        if len(key.encode()) > _LONGEST_KEY:
            raise ValueError(f"its key is longer than {_LONGEST_KEY} bytes")
        self._keys[name] = key
        return key

    def full_path(self, name: str) -> str:
        """Return a cleaned name joined to the location, as the storage does it."""
        storage: Any = self.target_storage
        path: str = storage._normalize_name(name)
        return path

    @cached_property
    def prefix(self) -> str:
        """The location as keys begin with it: empty, or with a slash at its end.

        Raises:
            CollectfastaError: The storage refuses whatever is under its location.
        """
        try:
            return self.full_path("x")[:-1]
        except SuspiciousOperation:
            location = getattr(self.target_storage, "location", "")
            raise CollectfastaError(
                f"The location {location!r} is no plain path, so "
                f"{self.target_storage.__class__.__name__} stores nothing under it: write it "
                "without empty and dotted segments."
            ) from None

    @cached_property
    def saves_itself(self) -> bool:
        """Whether the storage's class has a way of saving of its own, which is always obeyed."""
        cls = self.target_storage.__class__
        packages = ("storages.", "django.")
        return any(is_overridden(cls, name, outside=packages) for name in ("save", "_save"))

    def upload(self, source: SourceFile) -> RemoteObject | None:
        """Put a file into the bucket, over what is there, by one request where it is small."""
        if not self.saves_itself:
            return self.put(source)
        super().upload(source)
        with self.open_payload(source) as payload:
            return self._written(source, payload)

    def _written(self, source: SourceFile, payload: Payload) -> RemoteObject | None:
        remote = self.look_up(source.name)
        return remote and replace(remote, parameters=payload.fingerprint)

    @abc.abstractmethod
    def put(self, source: SourceFile) -> RemoteObject:
        """Put a file into the bucket, over what is there, as the storage would."""

    @abc.abstractmethod
    def list_keys(self) -> Iterable[tuple[str, timedelta | None]]:
        """Return every key under the prefix, and how long ago its object was written."""

    def list_stored(self) -> Iterable[StoredObject] | None:
        """Return all objects under the location, None if there is no location."""
        if not self.prefix:
            return None
        keys: dict[str, timedelta | None] = {}
        for key, age in self.list_keys():
            if key in keys:
                raise NoListingError(f"The listing does not end: it names {key!r} a second time.")
            keys[key] = age
        return [
            StoredObject(key[len(self.prefix) :], age)
            for key, age in keys.items()
            if self._is_from_a_deploy(key)
        ]

    def _is_from_a_deploy(self, key: str) -> bool:
        """Tell whether a file's name can have led to this key.

        Others are somebody else's: the markers of folders that consoles make, which end in a
        slash, and keys with empty or dotted segments.
        """
        try:
            return not key.endswith("/") and self.object_key(key[len(self.prefix) :]) == key
        except (SuspiciousOperation, ValueError):
            return False

    def delete_files(self, names: Sequence[str]) -> None:
        """Delete objects in batches; missing ones are no error."""
        self.delete_keys([self.object_key(name) for name in names])

    @abc.abstractmethod
    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete objects by their keys."""
