"""SeaweedFS, an S3 server in a process of its own, from a virtual environment of its own.

``make .venv-seaweedfs`` makes that. It keeps objects as files in folders, so that its listings walk
through these: not in the order of keys.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import HOST, free_port, running
from .s3 import S3Server

_WEED = Path(__file__).parents[2] / ".venv-seaweedfs" / "bin" / "weed"
# What it listens on beside S3; each has another port for gRPC.
_PARTS = ("master", "volume", "filer")
_IDENTITY = {
    "name": "tests",
    "credentials": [{"accessKey": S3Server.access_key, "secretKey": S3Server.secret_key}],
    "actions": ["Admin", "Read", "List", "Tagging", "Write"],
}


@contextmanager
def serve() -> Iterator[S3Server]:
    """Start SeaweedFS.

    Raises:
        ServerError: It is not installed or does not start.
    """
    with tempfile.TemporaryDirectory(prefix="seaweedfs-") as root:
        config = Path(root, "s3.json")
        config.write_text(json.dumps({"identities": [_IDENTITY]}))

        def command(port: int) -> list[str]:
            ports = [f"-{part}.port={free_port()}" for part in _PARTS]
            grpc = [f"-{part}.port.grpc={free_port()}" for part in (*_PARTS, "s3")]
            return [
                *(str(_WEED), "server", f"-dir={root}", f"-ip={HOST}", f"-ip.bind={HOST}"),
                *(*ports, *grpc, "-filer", "-s3", f"-s3.port={port}", f"-s3.config={config}"),
                *("-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
                *("-volume.max=100", "-master.volumeSizeLimitMB=64"),
            ]

        with running("seaweedfs", command, {"HOME": root, "TMPDIR": root}) as url:
            yield S3Server(url)
