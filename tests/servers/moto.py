"""moto, an S3 server in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .process import HOST, running
from .s3 import S3Server


@contextmanager
def serve() -> Iterator[S3Server]:
    """Start moto.

    Raises:
        ServerError: It does not start.
    """
    with running("moto", _command) as url:
        yield S3Server(url)


def _command(port: int) -> list[str]:
    return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
