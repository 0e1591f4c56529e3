"""The local side: a file that a finder found, its bytes while they are sent, and its headers."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage
from django.utils.encoding import force_bytes
from typing_extensions import override

from collectfasta.checksums import CHUNK_SIZE, md5, new_md5, read_chunks
from collectfasta.errors import SourceChangedError, naming_disks
from collectfasta.patching import is_overridden

# A size in bytes and a time of modification, each None where the storage has none.
Stamp = tuple[int | None, object]

# A finder may yield what has open() alone.
_UNKNOWN = (AttributeError, NotImplementedError)

_encode = json.JSONEncoder(sort_keys=True, default=repr).encode


@dataclass(frozen=True)
class SourceFile:
    """A file to be deployed.

    Attributes:
        path: Its path in ``storage``.
        prefixed_path: Where it goes, relative to the target storage's location, as Django's
            finders have it (with the prefix of ``STATICFILES_DIRS``).
        storage: The finder's storage that holds it.
        is_made: Post-processing has made it, which Django saves by ``_save()``, not by ``save()``.
        expected: What its stamp has to be when it is sent, because its name was made from its
            content; None where it is sent as it is by then.
        body: Its content while it is being sent, which ``open()`` returns then.
    """

    path: str
    prefixed_path: str
    storage: Storage
    is_made: bool = field(default=False, compare=False)
    expected: Stamp | None = field(default=None, compare=False)
    body: Body | None = field(default=None, compare=False, repr=False)

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
        """The path that opening it opens; None where its storage opens files in another way."""
        cls: Any = self.storage.__class__
        return self.storage.path(self.path) if _opens_paths(cls) else None

    @cached_property
    def size(self) -> int | None:
        """Its size in bytes when first asked, None where the storage has none."""
        if self.local_path is not None:
            return self.first_stamp[0]
        with suppress(*_UNKNOWN):
            return self.storage.size(self.path)
        return None

    @property
    def label(self) -> str:
        """What Django's messages call it: the absolute path, where the storage has one."""
        with suppress(*_UNKNOWN):
            return self.local_path or self.storage.path(self.path)
        return self.path

    def open(self) -> File[Any]:
        """Open it for reading bytes.

        Raises:
            OSError: It has vanished or may not be read.
        """
        if self.body is not None and not self.body.closed:
            self.body.seek(0)
            body: Any = self.body
            return File(body)
        if self.local_path is None:
            return self.storage.open(self.path)
        return File(open(self.local_path, "rb"))

    @cached_property
    def first_stamp(self) -> Stamp:
        """Its stamp when first asked."""
        return self.stamp()

    def stamp(self) -> Stamp:
        """Return its size and modification time now: if they change, so did the file."""
        if self.local_path is not None:
            status = os.stat(self.local_path)
            return status.st_size, status.st_mtime_ns
        size, time = None, None
        with suppress(*_UNKNOWN):
            size = self.storage.size(self.path)
        with suppress(*_UNKNOWN):
            time = self.storage.get_modified_time(self.path)
        return size, time

    def hashed_as(self, name: str) -> SourceFile:
        """Return it under a name made from the content that it has had since it was first asked."""
        return self._copy(prefixed_path=name, expected=self.first_stamp, is_made=True)

    def open_body(
        self,
        *,
        is_hashed: bool = False,
        on_read: Callable[[int], object] = lambda position: None,
    ) -> Body:
        """Open it to be sent: while it is, it must not change.

        Args:
            is_hashed: Compute its MD5 while it is read.
            on_read: Called before each piece is read, with the number of bytes before it. What it
                raises ends the reading.

        Raises:
            OSError: It has vanished.
            SourceChangedError: Its name was made from its content, and that has changed.
        """
        if self.body is not None:
            self.body.seek(0)
            return self.body
        stamp = self.stamp()
        if self.expected not in (None, stamp):
            raise SourceChangedError("it changed after it was hashed: run the command again")

        size = self.size if stamp[0] is None else stamp[0]
        content = self.open()

        def check() -> None:
            position = None if content.closed else content.tell()
            if self.stamp() != stamp:
                raise SourceChangedError(
                    "it changed while it was being sent: run the command again"
                )
            if position is not None and content.tell() != position:
                # Django's InMemoryStorage returns one object for all, and to get its size too.
                content.seek(position)

        return Body(content, size, on_read=on_read, check=check, is_hashed=is_hashed)

    def with_body(self, body: Body) -> SourceFile:
        """Return it with a body: what ``open()`` and ``open_body()`` return from now on."""
        sent = self._copy(body=body)
        vars(sent)["size"] = body.size
        return sent

    def _copy(self, **changes: Any) -> SourceFile:
        copy = replace(self, **changes)
        # What is known of the content need not be found out twice.
        vars(copy).update((key, vars(self)[key]) for key in _OF_THE_CONTENT & vars(self).keys())
        return copy


_OF_THE_CONTENT = {"local_path", "size", "first_stamp"}


@cache
def _opens_paths(cls: type[Storage]) -> bool:
    """Return whether ``open()`` of a storage class only opens what is at ``path()``.

    Without the detour a file is opened in half of the time: it joins and checks the path again.
    """
    methods = "open", "_open", "size", "get_modified_time"
    is_plain = not any(is_overridden(cls, name) for name in methods)
    return is_plain and issubclass(cls, FileSystemStorage)


def md5_of(source: SourceFile) -> str:
    """Return the MD5 of a source file's content, as it is before any encoding."""
    body = source.body
    if body is not None and body.md5 is not None:
        return body.md5
    with source.open() as content:
        return md5(content)


class Body(io.RawIOBase):
    """A file while it is being sent: the one kind of body that every store sends.

    It hashes what is read from its beginning on, moves the progress, ends the reading when the
    deploy is aborted, and raises in place of its last bytes if the source has changed, so that no
    request, and no upload in parts, is completed with a mixture.

    Args:
        content: The bytes, at their beginning; closed with the body.
        size: How many there are; None where that is not known yet.
        on_read: Called before each piece is read, with the number of bytes before it.
        check: Called at the end: raises if the bytes are not those that the body began with.
        is_hashed: Work out the MD5.

    Attributes:
        size: As given.
        error: What has ended its reading, for SDKs that make another error of it.
    """

    def __init__(
        self,
        content: Any,
        size: int | None,
        *,
        on_read: Callable[[int], object] = lambda position: None,
        check: Callable[[], object] = lambda: None,
        is_hashed: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self.error: Exception | None = None
        self._content = content
        if hasattr(content, "content_type"):
            # S3Storage and AzureStorage prefer it to what the name says.
            self.content_type = content.content_type
        # Not the content's own word: what compresses on the fly has none.
        self._position = 0
        self._on_read = on_read
        self.check = check
        self._digest = new_md5() if is_hashed else None
        self._hashed = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._content.seek(offset, whence)
        self._position = int(self._content.tell())
        return self._position

    @override
    def tell(self) -> int:
        return self._position

    @override
    def read(self, size: int | None = -1) -> bytes:
        """Read, and hash what was not read before.

        Raises:
            SourceChangedError: This would be its end, and it is not what it was.
        """
        try:
            return self._read(-1 if size is None else size)
        except Exception as error:
            self.error = error
            raise

    def _read(self, size: int) -> bytes:
        position = self._position
        self._on_read(position)
        piece = force_bytes(self._content.read(size))
        left = None if self.size is None else max(self.size - position, 0)
        wanted = 0 if left is None else left if size < 0 else min(size, left)
        while len(piece) < wanted and (more := self._content.read(wanted - len(piece))):
            piece += force_bytes(more)
        self._position += len(piece)
        if self._digest is not None and position == self._hashed:
            self._digest.update(piece)
            self._hashed += len(piece)
        if size < 0 or len(piece) < size or (left is not None and len(piece) >= left):
            self.check()
        if len(piece) < wanted:
            raise SourceChangedError("it became shorter while it was being sent")
        return piece

    @override
    def readall(self) -> bytes:
        return self.read()

    @override
    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    @override
    def close(self) -> None:
        if not self.closed:
            self._content.close()
        super().close()

    @property
    def md5(self) -> str | None:
        """The MD5 in hexadecimal; None if it was not asked for, or not read to its end."""
        if self._digest is None or self._hashed != self.size:
            return None
        return str(self._digest.hexdigest())

    def whole(self) -> bytes:
        """Return all its bytes."""
        self.seek(0)
        return self.read()

    def sized(self) -> Body:
        """Return a body of known size: itself, or a copy: in memory if small, else in a file.

        Raises:
            OSError: The disk is full.
        """
        if self.size is not None:
            return self
        with naming_disks(gettempdir()):
            spool = SpooledTemporaryFile(CHUNK_SIZE)  # noqa: SIM115 - closed with the body
            content: Any = self
            for piece in read_chunks(content):
                spool.write(piece)
            size = spool.tell()
            spool.seek(0)
        return Body(spool, size, on_read=lambda _: self._on_read(self.tell()), check=self.check)

    def encoded(self, content: IO[bytes]) -> Body:
        """Return the body that is sent in its place: the same file, encoded.

        Args:
            content: Reads this body, and encodes what it reads.
        """
        return Body(content, None, on_read=lambda _: self._on_read(self.tell()), check=self.check)


@dataclass(frozen=True)
class Payload:
    """What an upload of a source file would send.

    Attributes:
        content: The bytes as they would be stored, compressed where the storage compresses; at the
            beginning, and readable once.
        encoded: The bytes differ, or may differ, from those of the source file.
        headers: What goes with the bytes (content type, Cache-Control, ACL ...), as the storage's
            SDK takes it.
    """

    content: IO[bytes]
    encoded: bool = False
    headers: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def headers_hash(self) -> str:
        """A short hash of the headers, the same for equal ones in any order.

        ``Expires`` is left out: it is usually computed from the time of day, which would make
        every file changed in every deploy.
        """
        known = {key: value for key, value in self.headers.items() if key != "Expires"}
        return hashlib.blake2b(_encode(known).encode(), digest_size=8).hexdigest()
