"""A directory to deploy to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from .base import Cloud, Properties, StoredObject


class FileSystemCloud(Cloud):
    """A directory. It has no server, so nothing is recorded.

    Args:
        root: The directory, made here; its parent exists.
    """

    backend = "django.contrib.staticfiles.storage.StaticFilesStorage"

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root

    def options(self, **more: Any) -> dict[str, Any]:
        return {"location": str(self.root), "base_url": "/static/", **more}

    def keys(self) -> list[str]:
        paths = (path for path in self.root.rglob("*") if not path.is_dir())
        return sorted(path.relative_to(self.root).as_posix() for path in paths)

    def get(self, key: str) -> StoredObject:
        return StoredObject((self.root / key).read_bytes(), {})

    def put(self, key: str, body: bytes, **properties: Unpack[Properties]) -> None:
        """Write a file. It has no properties: those given are ignored."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def delete(self, key: str) -> None:
        (self.root / key).unlink()

    def version(self, key: str) -> str:
        """Return the file's inode and times, which change when it is replaced or written."""
        status = (self.root / key).stat()
        return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_ctime_ns}"

    def empty(self) -> None:
        shutil.rmtree(self.root)
        self.root.mkdir()

    def close(self) -> None:
        shutil.rmtree(self.root)
