"""A memcached server: Debian's ``memcached`` in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pymemcache import Client

from .process import HOST, Server, answers_line, started

BACKEND = "django.core.cache.backends.memcached.PyMemcacheCache"
# How pymemcache marks a pickle.
_PICKLE = 1


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

    def cache(self, **options: Any) -> dict[str, Any]:
        """Return an entry of ``CACHES`` for it, with these ``OPTIONS``."""
        return {"BACKEND": BACKEND, "LOCATION": self.location, "OPTIONS": options}

    def keys(self) -> list[str]:
        """Return the keys of all entries."""
        with closing(Client(self.location)) as client:
            lines = client.raw_command("lru_crawler metadump all", b"END\r\n").splitlines()
        # key=%3A1%3Akey exp=-1 la=...
        return sorted(unquote(line.split()[0][4:].decode()) for line in lines)

    def put(self, key: str, value: bytes) -> None:
        """Store an entry as it is, as a pickle."""
        with closing(Client(self.location)) as client:
            client.set(key, value, flags=_PICKLE, noreply=False)

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with closing(Client(self.location)) as client:
            client.delete(key, noreply=False)


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
