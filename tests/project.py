"""A Django project of its own, deployed by its own manage.py in a process of its own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import MEASURING, StaticTree
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.recorder import Match, Request

MANIFEST = "staticfiles.json"
# Waited only by a test that fails.
WAIT_SECONDS = 60.0

_MANAGE = """
import signal, sys
from django.core.management import execute_from_command_line

# Whoever runs the tests in the background lets them, and what they start, ignore them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
execute_from_command_line(sys.argv)
"""
# What is in them need not have a spelling: credentials, for instance.
_SETTINGS = """
import pathlib, pickle

globals().update(pickle.loads(pathlib.Path(__file__).with_suffix(".pickle").read_bytes()))
"""


@dataclass(frozen=True)
class Ended:
    """How a process has ended."""

    status: int
    stdout: str
    stderr: str


class Project:
    """A Django project.

    Args:
        root: Where its manage.py and its settings are, made here.
        cloud: Where it is deployed to.
        tree: Its static files.
        is_measured: Whether coverage, where it measures the tests, measures the deploys too. That
            costs each some 0.4 s: it is for tests of what no deploy in their own process can show.
        settings: As of `configure`.

    Attributes:
        temporary: The directory for its temporary files.
        cloud: As given.
        tree: As given.
    """

    def __init__(
        self,
        root: Path,
        cloud: Cloud,
        tree: StaticTree,
        *,
        is_measured: bool = False,
        **settings: Any,
    ) -> None:
        self.temporary = root / "tmp"
        self.temporary.mkdir(parents=True)
        self.cloud, self.tree = cloud, tree
        self._root = root
        self._is_measured = is_measured
        self.manage(_MANAGE)
        (root / "settings.py").write_text(_SETTINGS)
        self.configure(**settings)

    def manage(self, text: str) -> None:
        """Give it another manage.py."""
        (self._root / "manage.py").write_text(text)

    def configure(
        self,
        backend: str | None = None,
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Write its settings anew.

        Args:
            backend: Another storage class than the cloud's plain one.
            options: More options for the storage.
            settings: More settings; they win.
        """
        names = {
            "SECRET_KEY": "tests",
            "INSTALLED_APPS": ["collectfasta", "django.contrib.staticfiles"],
            "STATIC_URL": "/static/",
            "STATICFILES_DIRS": [str(self.tree.root)],
            "STORAGES": self.cloud.storages(backend, **(options or {})),
            **self.cloud.settings,
            **settings,
        }
        (self._root / "settings.pickle").write_bytes(pickle.dumps(names))

    def start(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        **streams: Any,
    ) -> subprocess.Popen[str]:
        """Start a deploy.

        Args:
            options: The command's.
            environment: More environment variables.
            wrapper: A command line that runs the one behind it.
            streams: Others than pipes, or more for ``subprocess.Popen``.
        """
        return subprocess.Popen(
            [*wrapper, sys.executable, "manage.py", "collectstatic", "--noinput", *options],
            cwd=self._root,
            env={
                **os.environ,
                **self.cloud.environment,
                "DJANGO_SETTINGS_MODULE": "settings",
                "PYTHONPATH": os.pathsep.join([str(self._root), os.getcwd()]),
                "TMPDIR": str(self.temporary),
                "COVERAGE_PROCESS_CONFIG": MEASURING if self._is_measured else "",
                **(environment or {}),
            },
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                **streams,
            },
            text=True,
        )

    def run(self, *options: str, **others: Any) -> Ended:
        """Deploy; the arguments are those of `start`."""
        ended = end(self.start(*options, **others))
        if isinstance(self.cloud, RecordedCloud):
            settle(self.cloud)
        return ended

    def interrupt(self, number: signal.Signals, match: Match, *options: str) -> Ended:
        """Deploy, and send a signal while a matching request waits for its answer."""
        assert isinstance(self.cloud, RecordedCloud)
        started: list[subprocess.Popen[str]] = []
        is_first = once(match)

        def send(request: Request) -> None:
            # Until the rest of what is under way has left the client, and then until the signal
            # has reached it.
            time.sleep(0.2)
            if is_first(request):
                started[0].send_signal(number)
            time.sleep(0.2)

        self.cloud.recorder.before(match, send)
        started.append(self.start(*options))
        ended = end(started[0])
        settle(self.cloud)
        return ended


def end(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a process; one that hangs is killed."""
    try:
        stdout, stderr = process.communicate(timeout=WAIT_SECONDS)
    finally:
        process.kill()
    return Ended(process.returncode, stdout or "", stderr or "")


def settle(cloud: RecordedCloud) -> None:
    """Wait until the server has answered: it may take longer than the client lives.

    A request that the client has cut off is never answered.
    """
    deadline = time.monotonic() + 2
    while not all(request.status for request in cloud.requests) and time.monotonic() < deadline:
        time.sleep(0.01)


def after(number: int, match: Match) -> Match:
    """Match what another matches, but for the first so many."""
    left = iter(range(number))
    return lambda request: match(request) and next(left, None) is None


def once(match: Match) -> Match:
    """Match the first that another matches."""
    left = iter(range(1))
    return lambda request: match(request) and next(left, None) is not None


def is_in_one_line(ended: Ended) -> bool:
    """Tell whether a process has said in one line that it was interrupted."""
    is_one = len(ended.stderr.splitlines()) == 1
    return ended.status == 130 and is_one and ended.stderr.startswith("CommandError: Interrupted")


# The manifest storages of the clouds, by their plain ones.
MANIFEST_BACKENDS = {
    "storages.backends.s3.S3StaticStorage": "storages.backends.s3.S3ManifestStaticStorage",
    "storages.backends.gcloud.GoogleCloudStorage": "tests.storages.google.GoogleManifestStorage",
    "storages.backends.azure_storage.AzureStorage": "tests.storages.azure.AzureManifestStorage",
    "django.contrib.staticfiles.storage.StaticFilesStorage": (
        "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    ),
}
