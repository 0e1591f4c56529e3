"""The local side: a file that a finder found, and what sending it would put into the storage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage

from collectfasta.shadowing import is_overridden

# A size in bytes and a time of modification, each None where the storage can't tell.
Stamp = tuple[int | None, object]

_encode = json.JSONEncoder(sort_keys=True, default=repr).encode


@dataclass(frozen=True)
class SourceFile:
    """A file to be deployed.

    Attributes:
        path: Its path in ``storage``.
        prefixed_path: Where it goes, relative to the target storage's location, as Django's
            finders give it (with the prefix of ``STATICFILES_DIRS``).
        storage: The finder's storage that holds it.
        expected: What its stamp has to be when it is sent, because its name tells its content;
            None where it is sent as it is by then.
    """

    path: str
    prefixed_path: str
    storage: Storage
    expected: Stamp | None = field(default=None, compare=False)

    def __hash__(self) -> int:
        # Not by the storage: one that defines equality alone has no hash.
        return hash((self.path, self.prefixed_path))

    @cached_property
    def name(self) -> str:
        """Its name in the target storage: the prefixed path with forward slashes on any system.

        ``Storage.get_available_name()`` replaces backslashes in the same way before it saves.
        """
        return self.prefixed_path.replace("\\", "/")

    @cached_property
    def local_path(self) -> str | None:
        """The path that opening it opens; None where its storage has another way."""
        cls: Any = self.storage.__class__
        return self.storage.path(self.path) if _opens_paths(cls) else None

    @cached_property
    def size(self) -> int | None:
        """Its size in bytes when first asked, None where the storage can't tell."""
        if self.local_path is not None:
            return self.first_stamp[0]
        try:
            return self.storage.size(self.path)
        except NotImplementedError:
            return None

    @property
    def label(self) -> str:
        """How Django's messages call it: the absolute path, where the storage has one."""
        try:
            return self.local_path or self.storage.path(self.path)
        except NotImplementedError:
            return self.path

    def open(self) -> File[Any]:
        """Open it for reading bytes.

        Raises:
            OSError: It has vanished or may not be read.
        """
        if self.local_path is None:
            return self.storage.open(self.path)
        return File(open(self.local_path, "rb"))

    @cached_property
    def first_stamp(self) -> Stamp:
        """Its stamp when first asked."""
        return self._read_stamp()

    def stamp(self) -> Stamp:
        """Return its size and modification time now: if they change, so did the file."""
        return self._read_stamp()

    def _read_stamp(self) -> Stamp:
        if self.local_path is not None:
            status = os.stat(self.local_path)
            return status.st_size, status.st_mtime_ns
        try:
            return self.storage.size(self.path), self.storage.get_modified_time(self.path)
        except NotImplementedError:
            return None, None

    def hashed_as(self, name: str) -> SourceFile:
        """Return it under a name made from the content that it has had since it was first asked."""
        hashed = SourceFile(self.path, name, self.storage, self.first_stamp)
        # What is known of the content need not be found out twice.
        vars(hashed).update((key, vars(self)[key]) for key in _OF_THE_CONTENT & vars(self).keys())
        return hashed


_OF_THE_CONTENT = {"local_path", "size", "first_stamp"}


@cache
def _opens_paths(cls: type[Storage]) -> bool:
    """Tell whether ``open()`` of a storage class does no more than open what is at ``path()``.

    Without the detour a file is opened in half of the time: it joins and checks the path anew.
    """
    methods = "open", "_open", "size", "get_modified_time"
    is_plain = not any(is_overridden(cls, name, outside=("django.",)) for name in methods)
    return is_plain and issubclass(cls, FileSystemStorage)


@dataclass(frozen=True)
class Payload:
    """What an upload of a source file would send.

    Attributes:
        body: The bytes as they would be stored, compressed where the storage compresses; at its
            beginning, and readable once.
        encoded: The bytes differ, or may differ, from those of the source file.
        parameters: All that goes with the bytes (content type, Cache-Control, ACL ...), as the
            storage's SDK takes it.
    """

    body: IO[bytes]
    encoded: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """A short digest of the parameters, the same for equal ones in any order.

        ``Expires`` is left out: it is usually worked out from the time of day, which would make
        every file changed in every deploy.
        """
        known = {key: value for key, value in self.parameters.items() if key != "Expires"}
        return hashlib.blake2b(_encode(known).encode(), digest_size=8).hexdigest()
