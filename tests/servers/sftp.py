"""An SFTP server: asyncssh in a process of its own, which serves a directory to one user."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from .process import HOST, answers_line, started

USER = "deploy"

# A file beside the directory that is served ends the connection which next writes something.
_START = """
import asyncio, pathlib, sys
import asyncssh

host, port, root, host_key, allowed = sys.argv[1:]
cut = pathlib.Path(root).with_name("cut")

class Server(asyncssh.SFTPServer):
    def write(self, file_obj, offset, data):
        if cut.exists():
            cut.unlink()
            self.channel.get_connection().abort()
        return super().write(file_obj, offset, data)

async def serve():
    await asyncssh.listen(
        host, int(port), server_host_keys=[host_key], authorized_client_keys=allowed,
        sftp_factory=lambda channel: Server(channel, chroot=root.encode()),
    )
    await asyncio.Event().wait()

asyncio.run(serve())
"""


@dataclass(frozen=True)
class SFTPServer:
    """Where an SFTP server is and how to log in to it.

    Attributes:
        port: Its loopback port.
        root: The directory that it serves as "/".
        key: The file of the key that it lets in.
        other_key: The file of a key that it doesn't.
        known_hosts: The file that has its own key.
    """

    port: int
    root: Path
    key: Path
    other_key: Path
    known_hosts: Path

    def cut_next_write(self) -> None:
        """End the connection that next writes something."""
        self.root.with_name("cut").touch()


@contextmanager
def serve(directory: Path) -> Iterator[SFTPServer]:
    """Serve an empty directory.

    Args:
        directory: Where that, and the keys, are made.

    Raises:
        ServerError: It does not start.
    """
    root = directory / "served"
    root.mkdir()
    keys = {
        name: asyncssh.generate_private_key("ssh-ed25519") for name in ("host", "user", "other")
    }
    for name, key in keys.items():
        key.write_private_key(directory / name)
    allowed = directory / "allowed"
    keys["user"].write_public_key(allowed)

    def command(port: int) -> list[str]:
        return [
            *(sys.executable, "-c", _START, HOST, str(port)),
            *map(str, (root, directory / "host", allowed)),
        ]

    with started("sftp", command, probe=_answers) as server:
        known = directory / "known_hosts"
        public = keys["host"].export_public_key().decode()
        known.write_text(f"[{HOST}]:{server.port} {public}")
        yield SFTPServer(server.port, root, directory / "user", directory / "other", known)


def _answers(port: int) -> bool:
    return answers_line(port, b"SSH-2.0-probe", (b"SSH-2.0",))
