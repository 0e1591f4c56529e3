"""The command in this process, and the tree of files that it deploys."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from tests.servers.clouds import Cloud


class StaticTree:
    """A directory of source files, to be an entry of ``STATICFILES_DIRS``."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root

    def path(self, name: str) -> Path:
        """Return where a file is, or would be."""
        return self.root / name

    def write(self, name: str, content: bytes) -> Path:
        """Write a file, and the directories above it."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def write_all(self, files: Mapping[str, bytes]) -> None:
        """Write files by their names."""
        for name, content in files.items():
            self.write(name, content)

    def delete(self, name: str) -> None:
        """Remove a file."""
        self.path(name).unlink()

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        paths = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in paths)


@dataclass(frozen=True)
class Run:
    """What one run of the command returned and printed."""

    returned: str | None
    stdout: str
    stderr: str


class CollectStatic:
    """The command in this process, deploying a tree to a cloud.

    The settings of a run stay until the next run or the end of the test, so that a test can look at
    the storage that the run left behind.

    Attributes:
        last: The last run, also if it ended with an exception.
    """

    def __init__(self, tree: StaticTree, monkeypatch: pytest.MonkeyPatch) -> None:
        self.last: Run | None = None
        self._tree = tree
        self._monkeypatch = monkeypatch
        self._settings = ExitStack()

    def __call__(
        self,
        cloud: Cloud,
        *arguments: str,
        threads: int | None = None,
        strategy: str | type | None = None,
        backend: str | None = None,
        options: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        verbosity: int = 1,
        **command_options: Any,
    ) -> Run:
        """Run ``collectstatic``; exceptions pass through.

        Args:
            cloud: Where to deploy to.
            arguments: The command's, as a shell gives them.
            threads: ``COLLECTFASTA_THREADS``; unset if None.
            strategy: ``COLLECTFASTA_STRATEGY``; unset if None.
            backend: Another storage class than the cloud's plain one.
            options: More options for the storage.
            settings: More settings; they win.
            verbosity: The command's.
            command_options: The command's, in addition to ``interactive=False``.
        """
        for name, value in cloud.environment.items():
            self._monkeypatch.setenv(name, value)
        self._override(
            {
                "STORAGES": cloud.storages(backend, **(options or {})),
                "STATICFILES_DIRS": [str(self._tree.root)],
                **cloud.settings,
                **_set({"COLLECTFASTA_THREADS": threads, "COLLECTFASTA_STRATEGY": strategy}),
                **(settings or {}),
            }
        )
        return self._run(
            *arguments, verbosity=verbosity, **{"interactive": False, **command_options}
        )

    def close(self) -> None:
        """Take back the settings of the last run."""
        self._settings.close()

    def _override(self, settings: Mapping[str, Any]) -> None:
        self.close()
        self._settings.enter_context(override_settings(**settings))

    def _run(self, *arguments: str, **options: Any) -> Run:
        stdout, stderr = io.StringIO(), io.StringIO()
        returned = None
        try:
            returned = call_command(
                "collectstatic", *arguments, stdout=stdout, stderr=stderr, **options
            )
        finally:
            self.last = Run(returned, stdout.getvalue(), stderr.getvalue())
        return self.last


def _set(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}
