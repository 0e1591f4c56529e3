"""A memcached server: Debian's ``memcached`` in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .process import HOST, Server, answers_line, started


@dataclass(frozen=True)
class MemcachedServer:
    """A memcached server.

    Attributes:
        process: Stops or pauses it.
    """

    process: Server

    @property
    def location(self) -> str:
        """Where it is."""
        return f"{HOST}:{self.process.port}"


@contextmanager
def serve(*options: str) -> Iterator[MemcachedServer]:
    """Start a server.

    Args:
        options: More command line options.

    Raises:
        ServerError: It does not start.
    """

    def command(port: int) -> list[str]:
        # As root it runs only if it is told to.
        user = ["-u", "root"] if os.geteuid() == 0 else []
        return ["memcached", "-l", HOST, "-p", str(port), "-U", "0", "-m", "16", *user, *options]

    with started("memcached", command, probe=_answers) as process:
        yield MemcachedServer(process)


def _answers(port: int) -> bool:
    return answers_line(port, b"version", (b"VERSION",))
