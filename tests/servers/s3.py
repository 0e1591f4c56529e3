"""An S3 server: one that is started here, or one that runs already.

The environment variable ``COLLECTFASTA_TEST_S3`` names the one to start, one of `SERVERS`; moto if
unset. ``COLLECTFASTA_TEST_S3_ENDPOINT``, which wins, names the URL of a server that runs already;
the usual ``AWS_*`` variables then hold its credentials and region. One with https is taken for
live.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module

from .process import ServerError

SERVERS = ("moto", "localstack", "ceph", "seaweedfs")
# Those that run already, as the URL's scheme tells them apart.
EMULATOR, LIVE = "emulator", "live"

# What not every server can do, and which can. The reasons are in tests/README.md.
ABILITIES: Mapping[str, frozenset[str]] = {
    "accounts": frozenset({"ceph"}),
    "ACLs": frozenset({"ceph", "localstack", "moto", EMULATOR, LIVE}),
    "anonymous requests": frozenset({"ceph", "moto", LIVE}),
    "ETags of uploads in parts": frozenset({"localstack", "moto", "seaweedfs", EMULATOR, LIVE}),
    "any credentials": frozenset({"localstack", "moto", EMULATOR}),
    "any key": frozenset({"ceph", "localstack", "moto", EMULATOR, LIVE}),
    "encryption by keys of KMS": frozenset({"ceph", "localstack", "moto", EMULATOR, LIVE}),
    "listings in the order of keys": frozenset({"ceph", "localstack", "moto", EMULATOR, LIVE}),
    "missing buckets": frozenset({"ceph", "localstack", "moto", EMULATOR, LIVE}),
    "listings from any key": frozenset({"ceph", "moto", EMULATOR, LIVE}),
    "lost answers to uploads in parts": frozenset({"ceph", "moto", "seaweedfs", EMULATOR, LIVE}),
    "null characters in keys": frozenset({"localstack", "moto", EMULATOR, LIVE}),
    "public access blocks": frozenset({"localstack", "moto", EMULATOR, LIVE}),
    "signature version 2": frozenset({"localstack", "moto", EMULATOR}),
    "tabs in headers": frozenset({"localstack", "moto", EMULATOR, LIVE}),
}


@dataclass(frozen=True)
class S3User:
    """An account at a server."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class S3Server:
    """Where an S3 server is and how to log in to it.

    Attributes:
        is_live: Whether it answers only those who call it by its own name.
        stranger: Another account, if the server tells accounts apart.
    """

    endpoint: str
    region: str = "us-east-1"
    access_key: str = "testing"
    secret_key: str = field(default="testing", repr=False)
    security_token: str | None = field(default=None, repr=False)
    is_live: bool = False
    stranger: S3User | None = None


@contextmanager
def serve() -> Iterator[S3Server]:
    """Start the server that the environment chooses, or use the one that it names.

    Raises:
        ServerError: The choice is unknown, or the server is not installed or does not start.
    """
    endpoint = os.environ.get("COLLECTFASTA_TEST_S3_ENDPOINT")
    if endpoint:
        yield _from_environment(endpoint)
        return
    with import_module(f".{chosen()}", __package__).serve() as server:
        yield server


def is_able(ability: str) -> bool:
    """Say whether the chosen server has an ability.

    Args:
        ability: A key of `ABILITIES`.
    """
    return chosen() in ABILITIES[ability]


def chosen() -> str:
    """Return which server the environment chooses: of `SERVERS`, or `EMULATOR` or `LIVE`.

    Raises:
        ServerError: There is none of that name.
    """
    endpoint = os.environ.get("COLLECTFASTA_TEST_S3_ENDPOINT")
    if endpoint:
        return LIVE if endpoint.startswith("https:") else EMULATOR
    name = os.environ.get("COLLECTFASTA_TEST_S3") or SERVERS[0]
    if name not in SERVERS:
        raise ServerError(f"COLLECTFASTA_TEST_S3 is {name!r}; it can be {', '.join(SERVERS)}.")
    return name


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
