"""A directory as a store: files are replaced by rename."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, ClassVar, cast

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from typing_extensions import override

from collectfasta.checksums import Checksum, md5
from collectfasta.errors import StoreError, describe, naming_disks
from collectfasta.files import replacing
from collectfasta.remote import Listed
from collectfasta.source import Body
from collectfasta.stores.store import Entry, Page, Store

# NAME_MAX of what POSIX systems and Windows have.
_LONGEST_NAME = 255


class FileSystemStore(Store):
    """The files of a FileSystemStorage, by their names.

    Args:
        storage: The storage.
        is_cached: Keep the checksums of the files in Django's cache.
    """

    service: ClassVar[str] = "File system"
    seeks = False

    def __init__(self, storage: Any, *, is_cached: bool = False) -> None:
        super().__init__(storage)
        self._is_cached = is_cached

    @property
    @override
    def url(self) -> str:
        return str(self.storage.location)

    @property
    @override
    def identity(self) -> str | None:
        return f"file {self.storage.location}" if self._is_cached else None

    @override
    def key(self, name: str) -> str:
        path = os.fsencode(self.storage.path(name))
        if b"\0" in path:
            raise ValueError("it has a null character")
        if max(map(len, path.split(os.sep.encode()))) > _LONGEST_NAME:
            raise ValueError(f"a part of it is longer than {_LONGEST_NAME} bytes")
        return name

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        """Return all files and links at once; what links to folders lead to is not ours."""
        with self.translating():
            return Page([*self._entries(prefix)])

    def _entries(self, prefix: str) -> Iterator[Entry]:
        root = self.storage.location
        top = os.path.join(root, posixpath.dirname(prefix))
        for folder, _, files in os.walk(top, onerror=_raise_unless_missing):
            inside = os.path.relpath(folder, root).replace(os.sep, "/")
            for name in files:
                key = posixpath.normpath(f"{inside}/{name}")
                if key.startswith(prefix):
                    listed = self._describe(os.path.join(folder, name))
                    if listed is not None:
                        yield Entry(key, listed)

    @override
    def head(self, key: str) -> Listed | None:
        with self.translating():
            return self._describe(self.storage.path(key))

    def _describe(self, path: str) -> Listed | None:
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            # Something might be there. The attempt will show whether it can be replaced.
            return Listed()
        written = _time_of(found.st_mtime)
        if not stat.S_ISREG(found.st_mode):
            # A link, as --link leaves them: it says nothing about what should be here.
            return Listed(last_modified=written)
        # A change of content can't leave all of these as they were.
        version = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"
        return Listed(
            version,
            found.st_size,
            last_modified=written,
            read_checksum=lambda: self._read_checksum(path),
        )

    def _read_checksum(self, path: str) -> Checksum | None:
        try:
            with self.translating(), open(path, "rb") as content:
                return Checksum("md5", md5(content))
        except StoreError as error:
            # A file that may not be read can still be replaced.
            if not error.denied:
                raise
            return None

    @override
    def get(self, key: str) -> bytes:
        with self.translating(), open(self.storage.path(key), "rb") as content:
            return content.read()

    @override
    def put(self, key: str, body: Body, headers: Mapping[str, Any]) -> Listed:
        """Write a file beside the one that it replaces, then rename it over that one."""
        path, content = self.storage.path(key), File(cast("Any", body))
        try:
            with (
                self.translating(),
                naming_disks(self.storage.location),
                replacing(path) as temporary,
            ):
                name = posixpath.join(posixpath.dirname(key), os.path.basename(temporary))
                self.storage.save(name, content)
        except StoreError:
            # What has ended the reading is not the storage's.
            if body.error is not None:
                raise body.error from None
            raise
        return self.head(key) or Listed()

    @override
    def delete(self, keys: Sequence[str]) -> None:
        """Delete files, and broken links."""
        with self.translating():
            for key in keys:
                with suppress(FileNotFoundError):
                    os.unlink(self.storage.path(key))

    @override
    def translate(self, error: Exception) -> StoreError | None:
        # Without a path, the same error of several files would look like one cause.
        has_path = isinstance(error, OSError) and error.filename
        if not has_path and not isinstance(error, SuspiciousFileOperation):
            return None
        text = describe(error)
        return StoreError(
            text,
            kind=type(error).__name__,
            transient=isinstance(error, (ConnectionError, TimeoutError)),
            advice=text,
            missing=isinstance(error, FileNotFoundError),
            denied=isinstance(error, PermissionError),
        )


def _time_of(seconds: float) -> datetime | None:
    with suppress(OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(seconds, timezone.utc)
    return None


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
