"""An Azure Blob server: Azurite in a process of its own, or the one that the environment names.

The environment variable ``COLLECTFASTA_TEST_AZURE_CONNECTION_STRING`` names a server that runs
already. Otherwise Azurite is needed, as ``npm ci`` in this directory installs it.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .process import HOST, running

_ACCOUNT = "collectfasta"
_EXECUTABLE = Path(__file__).parent / "node_modules" / ".bin" / "azurite-blob"


@dataclass(frozen=True)
class AzureServer:
    """Where an Azure Blob server is and how to log in to it."""

    connection_string: str = field(repr=False)


@contextmanager
def serve() -> Iterator[AzureServer]:
    """Start Azurite, or use the server that the environment names.

    Raises:
        ServerError: Azurite is not installed or does not start.
    """
    connection_string = os.environ.get("COLLECTFASTA_TEST_AZURE_CONNECTION_STRING")
    if connection_string:
        yield AzureServer(connection_string)
        return
    key = base64.b64encode(os.urandom(64)).decode()
    with running("azurite", _command, {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"}) as url:
        yield AzureServer(
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={key};"
            f"BlobEndpoint={url}/{_ACCOUNT};"
        )


def _command(port: int) -> list[str]:
    return [
        str(_EXECUTABLE),
        *("--blobHost", HOST),
        *("--blobPort", str(port)),
        "--inMemoryPersistence",
        "--disableTelemetry",
        "--silent",
        # The SDK may be newer than the API versions that Azurite knows.
        "--skipApiVersionCheck",
    ]
