"""Storages on S3 that interrupt their own process at an exact moment."""

from __future__ import annotations

import os
import signal
from typing import Any

from storages.backends.s3 import S3ManifestStaticStorage


def interrupt() -> None:
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


class WhileStaging(S3ManifestStaticStorage):
    """Interrupts when a file is hashed."""

    def file_hash(self, name: str, content: Any = None) -> Any:
        if name == "5.js":
            interrupt()
        return super().file_hash(name, content)


class WhileComparing(S3ManifestStaticStorage):
    """Interrupts when a file is compared."""

    gzip = True  # what is compressed depends on the parameters

    def get_object_parameters(self, name: str) -> Any:
        if name == "5.js":
            interrupt()
        return super().get_object_parameters(name)
