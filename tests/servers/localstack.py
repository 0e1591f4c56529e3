"""LocalStack, an S3 server in a process of its own, from a virtual environment of its own.

``make .venv-localstack`` makes that: its pins are others than those of the tests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import HOST, running
from .s3 import S3Server

_PYTHON = Path(__file__).parents[2] / ".venv-localstack" / "bin" / "python"
# The directory of its S3 is the same for all that run on a machine, and no setting changes that.
_START = """
import os, runpy, sys
os.environ["GATEWAY_LISTEN"] = sys.argv.pop()
from localstack.services.s3 import provider
provider.DEFAULT_S3_TMP_DIR = os.path.join(os.environ["FILESYSTEM_ROOT"], "s3")
runpy.run_module("localstack.runtime.main", run_name="__main__", alter_sys=True)
"""
_ENVIRONMENT = {
    # The only one of its web servers that listens on the address it is told to, and no other.
    "GATEWAY_SERVER": "hypercorn",
    # No name server either.
    "DNS_ADDRESS": "0",
    "SERVICES": "s3",
    "EAGER_SERVICE_LOADING": "1",
    # Nothing is sent to or fetched from its makers.
    "DISABLE_EVENTS": "1",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
}


@contextmanager
def serve() -> Iterator[S3Server]:
    """Start LocalStack.

    Raises:
        ServerError: It is not installed or does not start.
    """
    with tempfile.TemporaryDirectory(prefix="localstack-") as root:
        environment = {**_ENVIRONMENT, "FILESYSTEM_ROOT": root, "HOME": root, "TMPDIR": root}
        with running("localstack", _command, environment) as url:
            yield S3Server(url)


def _command(port: int) -> list[str]:
    return [str(_PYTHON), "-c", _START, f"{HOST}:{port}"]
