"""What measured processes are run with: nothing of the user's own settings."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from typing import Any

from tests.servers.process import HOST

# Settings of the user's own shell that would make it another deploy.
_FOREIGN_PREFIXES = ("AWS_", "BENCHMARK_", "COLLECTFASTA_", "DJANGO_", "PYTHON", "S3_", "S5CMD_")


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would change a deploy."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN_PREFIXES)}
    return {
        **own,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # No proxy for the loopback interface.
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    }


def machine() -> dict[str, Any]:
    """Return when and on what the benchmark runs."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
    }
