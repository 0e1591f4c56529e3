"""A directory on an SFTP server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..process import HOST
from ..sftp import USER, SFTPServer
from .filesystem import FileSystemCloud


class SFTPCloud(FileSystemCloud):
    """A directory on an SFTP server, looked at where the server has it.

    Args:
        server: The server.
        path: The directory's path there.
    """

    backend = "storages.backends.sftpstorage.SFTPStorage"

    def __init__(self, server: SFTPServer, path: str) -> None:
        self.server = server
        root = server.root / path.strip("/")
        root.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(root)

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "host": HOST,
            "params": self.login(self.server.key),
            "known_host_file": str(self.server.known_hosts),
            **more,
        }

    def login(self, key: Path) -> dict[str, Any]:
        """Return the ``params`` of a storage that logs in with a key."""
        return {
            "port": self.server.port,
            "username": USER,
            "key_filename": str(key),
            "allow_agent": False,
            "look_for_keys": False,
        }
