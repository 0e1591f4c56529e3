"""Deploy to a file system: sizes first, then content; replaced by rename."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import ClassVar

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage

from collectfasta.checksums import Checksum, md5
from collectfasta.disks import naming_disks
from collectfasta.errors import describe
from collectfasta.remote import RemoteObject, StoredObject
from collectfasta.shadowing import is_overridden
from collectfasta.source import SourceFile
from collectfasta.strategies.base import CachingHashStrategy
from collectfasta.strategies.clock import age_of
from collectfasta.strategies.listing import ListingStrategy

_TEMPORARY = re.compile(r"\.collectfasta-[0-9a-f]{16}\.tmp")
_STALE_SECONDS = 3600

# NAME_MAX of what POSIX systems and Windows have.
_LONGEST_NAME = 255


class FileSystemStrategy(ListingStrategy[FileSystemStorage]):
    """Deploy to a directory by comparing sizes, then contents."""

    storage_class: ClassVar[str | None] = "django.core.files.storage.filesystem.FileSystemStorage"

    @property
    def target_name(self) -> str:
        """The directory."""
        return str(self.target_storage.location)

    def object_key(self, name: str) -> str:
        """Return the name.

        Raises:
            ValueError: No file can have it.
            SuspiciousOperation: It would lie outside of the directory.
        """
        path = os.fsencode(self.target_storage.path(name))
        if b"\0" in path:
            raise ValueError("it has a null character")
        if max(map(len, path.split(os.sep.encode()))) > _LONGEST_NAME:
            raise ValueError(f"a part of it is longer than {_LONGEST_NAME} bytes")
        return name

    def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject]:
        """Yield the named files that exist, and remove what killed deploys left beside them."""
        if not self.dry_run:
            for folder in {*map(os.path.dirname, names)}:
                self._remove_temporary(folder)
        return (each for each in map(self.look_up, names) if each)

    def look_up(self, name: str) -> RemoteObject | None:
        """Return what the file system says of one file, None if there is none."""
        path = self.target_storage.path(name)
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            # Something may be there. Whether it can be replaced, the attempt will show.
            return RemoteObject(name)
        if not stat.S_ISREG(found.st_mode):
            # A link, as --link leaves them: it says nothing about what should be here.
            return RemoteObject(name)
        # A change of content can't leave all of these as they were.
        version = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"
        return RemoteObject(name, version, found.st_size, read_checksum=partial(_checksum, path))

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        """Return the checksum of a deployed file, None if there is none.

        By a ``get_local_file_hash`` of one's own, where there is one, so that both sides agree.
        """
        if not self._has_own("get_local_file_hash"):
            return super().get_remote_file_hash(prefixed_path)
        try:
            return self.get_local_file_hash(prefixed_path, self.target_storage)
        except FileNotFoundError:
            return None

    def upload(self, source: SourceFile) -> RemoteObject | None:
        """Write a file beside the one that it replaces, then rename it over that one.

        A storage class with a ``_save()`` of its own writes as it likes, over what is there.
        """
        cls = self.target_storage.__class__
        if any(is_overridden(cls, name, outside=("django.",)) for name in ("save", "_save")):
            path = self.target_storage.path(source.name)
            if os.path.islink(path):
                # What is written through a link that --link has made would overwrite the source.
                os.unlink(path)
            super().upload(source)
        else:
            self._replace(source)
        return self.look_up(source.name)

    def _replace(self, source: SourceFile) -> None:
        # Not made from the file's name, which may be as long as a name can be.
        temporary = os.path.join(
            os.path.dirname(source.name), f".collectfasta-{secrets.token_hex(8)}.tmp"
        )
        with naming_disks(self.target_storage.location):
            self._save_and_rename(source, temporary)

    def _save_and_rename(self, source: SourceFile, temporary: str) -> None:
        path = self.target_storage.path(temporary)
        try:
            with source.open() as content:
                self.target_storage.save(temporary, content)
            os.replace(path, self.target_storage.path(source.name))
        except BaseException as error:
            # Where even that is refused, as on a read-only disk, there is nothing.
            with suppress(OSError):
                os.unlink(path)
            if isinstance(error, OSError) and error.filename == path:
                # A name that the user has never heard of, and that no two files share.
                error.filename = self.target_storage.path(source.name)
            raise

    def _remove_temporary(self, folder: str) -> None:
        """Remove files that a deploy has begun to write and, killed, neither renamed nor removed.

        Those of another deploy that is under way are younger: each write makes them so.
        """
        begun = time.time() - _STALE_SECONDS
        with suppress(OSError), os.scandir(self.target_storage.path(folder)) as entries:
            for entry in entries:
                is_ours = _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
                if is_ours and entry.stat(follow_symlinks=False).st_mtime < begun:
                    os.unlink(entry.path)

    def list_stored(self) -> Iterator[StoredObject]:
        """Return all files and links; what links to folders lead to is not ours."""
        root = self.target_storage.location
        for folder, _, files in os.walk(root, onerror=_raise_unless_missing):
            for name in files:
                path = os.path.relpath(os.path.join(folder, name), root)
                yield StoredObject(path.replace(os.sep, "/"))

    def read_age(self, name: str) -> timedelta | None:
        """Return how long ago a file was written, or a link made."""
        try:
            written = os.lstat(self.target_storage.path(name)).st_mtime
        except FileNotFoundError:
            return None
        return age_of(datetime.fromtimestamp(written, timezone.utc))

    def delete_files(self, names: Sequence[str]) -> None:
        """Delete files, and links that lead nowhere."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(self.target_storage.path(name))

    def explain_error(self, error: Exception) -> str | None:
        """Say in a line what the file system refuses, and for which path."""
        # Without a path, the same error of several files would look like one cause.
        has_path = isinstance(error, OSError) and error.filename
        return describe(error) if has_path or isinstance(error, SuspiciousFileOperation) else None


class CachingFileSystemStrategy(FileSystemStrategy, CachingHashStrategy[FileSystemStorage]):
    """Deploy to a directory whose files need not be read to be known.

    The checksum of a file there is remembered with its inode, size and times, so that only the
    source files are read.
    """

    @property
    def target_id(self) -> str | None:
        """The directory."""
        return f"file {self.target_storage.location}"


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _checksum(path: str) -> Checksum | None:
    """Return the checksum of a deployed file; one that may not be read can still be replaced."""
    try:
        with open(path, "rb") as content:
            return Checksum("md5", md5(content))
    except PermissionError:
        return None
