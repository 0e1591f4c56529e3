"""An S3 server: moto in a process of its own, or the one that the environment names.

The environment variable ``COLLECTFASTA_TEST_S3_ENDPOINT`` names the URL of a server that runs
already; the usual ``AWS_*`` variables then hold its credentials and region. One with https is taken
for live.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .process import HOST, running


@dataclass(frozen=True)
class S3Server:
    """Where an S3 server is and how to log in to it.

    Attributes:
        is_live: Whether it answers only those who call it by its own name.
    """

    endpoint: str
    region: str = "us-east-1"
    access_key: str = "testing"
    secret_key: str = field(default="testing", repr=False)
    security_token: str | None = field(default=None, repr=False)
    is_live: bool = False


@contextmanager
def serve() -> Iterator[S3Server]:
    """Start moto, or use the server that the environment names.

    Raises:
        ServerError: moto does not start.
    """
    endpoint = os.environ.get("COLLECTFASTA_TEST_S3_ENDPOINT")
    if endpoint:
        yield _from_environment(endpoint)
        return
    with running("moto", _command) as url:
        yield S3Server(url)


def _command(port: int) -> list[str]:
    return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]


def _from_environment(endpoint: str) -> S3Server:
    environment = os.environ
    return S3Server(
        endpoint=endpoint.rstrip("/"),
        region=environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or S3Server.region,
        access_key=environment.get("AWS_ACCESS_KEY_ID", S3Server.access_key),
        secret_key=environment.get("AWS_SECRET_ACCESS_KEY", "testing"),
        security_token=environment.get("AWS_SESSION_TOKEN"),
        is_live=endpoint.startswith("https:"),
    )
