"""A Redis server that keeps nothing: Debian's ``redis-server`` in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from .process import HOST, Server, answers_line, started

BACKEND = "django.core.cache.backends.redis.RedisCache"


@dataclass(frozen=True)
class RedisServer:
    """A Redis server.

    Attributes:
        process: Stops or pauses it.
        password: What clients have to give; "" if nothing.
    """

    process: Server
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Where it is and how to log in to it."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}{HOST}:{self.process.port}/0"

    def cache(self, **options: Any) -> dict[str, Any]:
        """Return an entry of ``CACHES`` for it, with these ``OPTIONS``."""
        return {"BACKEND": BACKEND, "LOCATION": self.url, "OPTIONS": options}

    def keys(self) -> list[str]:
        """Return the keys of all entries."""
        with Redis.from_url(self.url) as client:
            return sorted(key.decode() for key in client.keys())

    def put(self, key: str, value: bytes) -> None:
        """Store an entry as it is."""
        with Redis.from_url(self.url) as client:
            client.set(key, value)

    def delete(self, key: str) -> None:
        """Delete an entry."""
        with Redis.from_url(self.url) as client:
            client.delete(key)


@contextmanager
def serve(*options: str, password: str = "") -> Iterator[RedisServer]:
    """Start a server.

    Args:
        options: More command line options.
        password: What clients are to give.

    Raises:
        ServerError: It does not start.
    """

    def command(port: int) -> list[str]:
        secret = ["--requirepass", password] if password else []
        place = ["--bind", HOST, "--port", str(port)]
        return ["redis-server", *place, "--save", "", "--appendonly", "no", *secret, *options]

    # It answers each line, by "-NOAUTH ..." if it wants a password first.
    with started("redis-server", command, probe=_answers) as process:
        yield RedisServer(process, password)


def _answers(port: int) -> bool:
    return answers_line(port, b"PING", (b"+PONG", b"-NOAUTH"))
