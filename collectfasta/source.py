"""The local side: a file that a finder found, and what sending it would put into the storage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import Storage


@dataclass(frozen=True)
class SourceFile:
    """A file to be deployed.

    Attributes:
        path: Its path in ``storage``.
        prefixed_path: Where it goes, relative to the target storage's location, as Django's
            finders give it (with the prefix of ``STATICFILES_DIRS``).
        storage: The finder's storage that holds it.
    """

    path: str
    prefixed_path: str
    storage: Storage

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
    def size(self) -> int | None:
        """Its size in bytes when first asked, None where the storage can't tell."""
        try:
            return self.storage.size(self.path)
        except NotImplementedError:
            return None

    @property
    def label(self) -> str:
        """How Django's messages call it: the absolute path, where the storage has one."""
        try:
            return self.storage.path(self.path)
        except NotImplementedError:
            return self.path

    def open(self) -> File[Any]:
        """Open it for reading bytes.

        Raises:
            OSError: It has vanished or may not be read.
        """
        return self.storage.open(self.path)

    def stamp(self) -> tuple[int | None, datetime | None]:
        """Return its size and modification time now: if they change, so did the file."""
        try:
            return self.storage.size(self.path), self.storage.get_modified_time(self.path)
        except NotImplementedError:
            return None, None


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
        text = json.dumps(known, sort_keys=True, default=repr)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
