"""A server of the Google Cloud Storage API: an emulator, or the one that the environment names.

The environment variable ``COLLECTFASTA_TEST_GCS_ENDPOINT`` names the URL of a server that runs
already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .process import HOST, running

# The emulator serves one connection after the other and lets five wait, socketserver's default: of
# 64 uploads at a time some were reset. With a longer queue none was, not even of 128 at a time.
_START = """
import runpy, socketserver
socketserver.TCPServer.request_queue_size = 256
runpy.run_module("gcp_storage_emulator", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class GoogleServer:
    """Where a Google Cloud Storage server is."""

    endpoint: str


@contextmanager
def serve() -> Iterator[GoogleServer]:
    """Start the emulator, or use the server that the environment names.

    Raises:
        ServerError: The emulator does not start.
    """
    endpoint = os.environ.get("COLLECTFASTA_TEST_GCS_ENDPOINT")
    if endpoint:
        yield GoogleServer(endpoint.rstrip("/"))
        return
    with running("gcp-storage-emulator", _command) as url:
        yield GoogleServer(url)


def _command(port: int) -> list[str]:
    return [
        *(sys.executable, "-c", _START, "start"),
        f"--host={HOST}",
        f"--port={port}",
        "--in-memory",
    ]
