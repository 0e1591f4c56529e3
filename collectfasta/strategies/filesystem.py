"""Deploy to a file system: sizes first, then content; replaced by rename."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from django.core.files.storage import FileSystemStorage
from django.utils.crypto import get_random_string

from collectfasta.checksums import Checksum, md5
from collectfasta.remote import RemoteObject
from collectfasta.source import SourceFile
from collectfasta.strategies.base import CachingHashStrategy
from collectfasta.strategies.listing import ListingStrategy, is_overridden


class FileSystemStrategy(ListingStrategy[FileSystemStorage]):
    """Deploy to a directory by comparing sizes, then contents."""

    storage_class: ClassVar[str | None] = "django.core.files.storage.filesystem.FileSystemStorage"

    @property
    def target_name(self) -> str:
        """The directory."""
        return str(self.wrapped_storage.location)

    def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject] | None:
        """Return the named files that exist."""
        return [each for each in map(self.look_up, names) if each]

    def look_up(self, name: str) -> RemoteObject | None:
        """Return what the file system says of one file, None if there is none."""
        path = self.wrapped_storage.path(name)
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            # A link, as --link leaves them: it says nothing about what should be here.
            return RemoteObject(name)
        # A change of content can't leave all of these as they were.
        version = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"
        return RemoteObject(name, version, found.st_size, read_checksum=partial(_checksum, path))

    def upload(self, source: SourceFile) -> RemoteObject | None:
        """Write a file beside the one that it replaces, then rename it over that one.

        A storage class with a ``_save()`` of its own writes as it likes, over what is there.
        """
        cls = self.wrapped_storage.__class__
        if any(is_overridden(cls, name, outside=("django.",)) for name in ("save", "_save")):
            super().upload(source)
        else:
            self._replace(source)
        return self.look_up(source.name)

    def _replace(self, source: SourceFile) -> None:
        folder, name = os.path.split(source.name)
        temporary = os.path.join(folder, f".{name[:200]}.{get_random_string(8)}.tmp")
        try:
            with source.open() as content:
                self.wrapped_storage.save(temporary, content)
            os.replace(self.wrapped_storage.path(temporary), self.wrapped_storage.path(source.name))
        except BaseException:
            self.wrapped_storage.delete(temporary)
            raise

    def delete_files(self, names: Sequence[str]) -> None:
        """Delete files, and links that lead nowhere."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(self.wrapped_storage.path(name))


class CachingFileSystemStrategy(FileSystemStrategy, CachingHashStrategy[FileSystemStorage]):
    """Deploy to a directory whose files need not be read to be known.

    The checksum of a file there is remembered with its inode, size and times, so that only the
    source files are read.
    """

    @property
    def target_id(self) -> str | None:
        """The directory."""
        return f"file {self.wrapped_storage.location}"


def _checksum(path: str) -> Checksum | None:
    """Return the checksum of a deployed file; one that may not be read can still be replaced."""
    try:
        with open(path, "rb") as content:
            return Checksum("md5", md5(content))
    except PermissionError:
        return None
