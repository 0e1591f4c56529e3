"""A server of the Google Cloud Storage API: an emulator, or the one that the environment names.

The environment variable ``COLLECTFASTA_TEST_GCS_ENDPOINT`` names the URL of a server that runs
already. One with https is taken for live: credentials and project are Google's defaults then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import google.auth
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud.storage import Client

from .process import HOST, ServerError, running

# The emulator serves one connection after the other and lets five wait, socketserver's default: of
# 64 uploads at a time some were reset. With a longer queue none was, not even of 128 at a time.
# With each request it writes down all that it has, also where that is in memory: 1,000 deletions
# took a minute. And it refuses a piece of a resumable upload that it has already got, of which the
# service ignores what it has (https://cloud.google.com/storage/docs/resumable-uploads).
_START = """
import runpy, socketserver
from gcp_storage_emulator.storage import Storage
socketserver.TCPServer.request_queue_size = 256
Storage._write_config_to_file = lambda self: None
add = Storage.add_to_resumable_upload
def add_what_is_new(self, file_id, content, total_size=None, expected_start=None):
    there = self.get_resumable_byte_count(file_id)
    if expected_start is not None and expected_start < there:
        content, expected_start = content[there - expected_start :], there
    return add(self, file_id, content, total_size, expected_start)
Storage.add_to_resumable_upload = add_what_is_new
runpy.run_module("gcp_storage_emulator", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class GoogleServer:
    """Where a Google Cloud Storage server is and how to log in to it.

    Attributes:
        is_live: Whether it answers only those who call it by its own name.
    """

    endpoint: str
    project: str = "collectfasta-tests"
    credentials: Credentials = field(default_factory=AnonymousCredentials, repr=False)
    is_live: bool = False


@contextmanager
def serve() -> Iterator[GoogleServer]:
    """Start the emulator, or use the server that the environment names.

    Raises:
        ServerError: The emulator does not start, or no project is known to the server named.
    """
    endpoint = os.environ.get("COLLECTFASTA_TEST_GCS_ENDPOINT")
    if endpoint:
        yield _from_environment(endpoint.rstrip("/"))
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


def _from_environment(endpoint: str) -> GoogleServer:
    if not endpoint.startswith("https:"):
        return GoogleServer(endpoint)
    # With scopes, so that all clients can share the credentials, and one token.
    credentials, project = google.auth.default(scopes=Client.SCOPE)
    if project is None:
        raise ServerError("GOOGLE_CLOUD_PROJECT has to name the project to make buckets in.")
    return GoogleServer(endpoint, project, credentials, is_live=True)
