"""Set up the state that a deploy begins with, and check the one that it leaves."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from benchmarks import contents
from benchmarks.measured_process import measure
from benchmarks.scenarios import FIRST, Scenario
from benchmarks.side_path import FastS3Server
from benchmarks.static_tree import change_tree, write_tree
from benchmarks.tools import OURS, S5CMD, Deployment, Tool

_BUCKET = "deploy"
_HOUR = 3600.0
# Files are older than what was collected from them, and that is older than what was sent of it.
_AGE_OF_FILES, _AGE_OF_ROOT, _AGE_OF_OBJECTS = 3 * _HOUR, 2 * _HOUR, _HOUR


class States:
    """The states of one tree, its buckets, caches and ``STATIC_ROOT``.

    What was deployed before a scenario begins was deployed by us, whichever tool is measured: the
    objects are the same, and the slow tools would take hours. What the cache of a tool knows it
    learned in a deploy of its own to that bucket.

    Args:
        directory: An empty directory.
        server: The server that has the buckets.
        files: How many files the tree has.
        scale: How many times as large as usual each image is.
    """

    def __init__(self, directory: Path, server: FastS3Server, files: int, scale: int) -> None:
        self._directory = directory
        self._server = server
        self._tree = directory / "tree"
        self._changed_tree = directory / "changed-tree"
        self._tree.mkdir()
        self._checksums = write_tree(self._tree, files, scale)
        shutil.copytree(self._tree, self._changed_tree, copy_function=os.link)
        changes = change_tree(self._changed_tree, files, scale)
        self._changed_checksums = {**self._checksums, **changes}
        self._changed_files = [self._changed_tree / name for name in changes]
        self._buckets = {_BUCKET}

    @property
    def tree_bytes(self) -> int:
        """How large the files are together."""
        return sum((self._tree / name).stat().st_size for name in self._checksums)

    def close(self) -> None:
        """Free the memory of the buckets."""
        for bucket in self._buckets:
            self._server.forget(bucket)

    def prepare(self, tool: Tool, storage: str, scenario: Scenario) -> Deployment:
        """Set up the state that a deploy begins with.

        Args:
            tool: What will deploy.
            storage: ``plain`` or ``manifest``.
            scenario: The state.

        Raises:
            ContentError: What was deployed before is not what it should be.
            ProcessError: A deploy before failed.
        """
        deployment = self._deployment("now", storage, _BUCKET)
        if scenario.is_changed:
            deployment = replace(deployment, tree=self._changed_tree)
        deployment = replace(deployment, command=scenario.command)
        is_warm = scenario.is_warm and tool.has_cache
        _link(deployment.cache, self._known(tool, storage) if is_warm else None)
        keeps_root = scenario.keeps_root and tool.is_local
        _link(deployment.static_root, self._collected(storage) if keeps_root else None)
        self._set_bucket(storage, scenario)
        self._set_times(scenario)
        # So that the disk is idle when the deploy begins.
        os.sync()
        return deployment

    def check(self, deployment: Deployment, scenario: Scenario) -> None:
        """Check what a deploy left in the bucket, byte for byte.

        Raises:
            ContentError: It is not what it should be.
        """
        checksums = self._changed_checksums if scenario.is_changed else self._checksums
        if not scenario.sends:
            contents.check_nothing(self._server, deployment.bucket)
        elif deployment.storage == "plain":
            contents.check_plain(self._server, deployment.bucket, checksums)
        else:
            earlier: Set[str] = frozenset()
            if scenario.is_deployed:
                earlier = self._server.look_at(self._deployed(deployment.storage)).objects.keys()
            contents.check_manifest(
                self._server, deployment.bucket, deployment.tree, checksums, earlier
            )

    def _set_times(self, scenario: Scenario) -> None:
        now = time.time()
        age = 0.0 if scenario.is_fresh else _AGE_OF_FILES
        for name in self._checksums:
            os.utime(self._tree / name, (now, now - age))
        for path in self._changed_files:
            os.utime(path, (now, now))

    def _set_bucket(self, storage: str, scenario: Scenario) -> None:
        if scenario.is_deployed:
            self._server.copy(self._deployed(storage), _BUCKET, _AGE_OF_OBJECTS)
        else:
            self._server.forget(_BUCKET)

    def _deployed(self, storage: str) -> str:
        """Return the bucket that the tree was deployed to, once."""
        bucket = f"deployed-{storage}"
        if bucket not in self._buckets:
            self._buckets.add(bucket)
            deployment = self._deployment("deployed", storage, bucket)
            measure(OURS.commands(deployment), OURS.environment(deployment))
            self.check(deployment, FIRST)
        return bucket

    def _known(self, tool: Tool, storage: str) -> Path:
        """Return the cache that a tool has filled, once."""
        deployment = self._deployment(f"known-{tool.name}", storage, _BUCKET)
        if not deployment.cache.exists():
            # What is known may be known of this bucket alone.
            self._server.copy(self._deployed(storage), _BUCKET, _AGE_OF_OBJECTS)
            measure(tool.commands(deployment), tool.environment(deployment))
        return deployment.cache

    def _collected(self, storage: str) -> Path:
        """Return what Django has collected to a directory, once."""
        deployment = self._deployment("collected", storage, _BUCKET)
        if not deployment.static_root.exists():
            collect, _ = S5CMD.commands(deployment)
            measure([collect], S5CMD.environment(deployment))
            modified = time.time() - _AGE_OF_ROOT
            for path in deployment.static_root.rglob("*"):
                os.utime(path, (modified, modified))
        return deployment.static_root

    def _deployment(self, name: str, storage: str, bucket: str) -> Deployment:
        directory = self._directory / f"{name}-{storage}"
        return Deployment(
            tree=self._tree,
            storage=storage,
            endpoint=self._server.endpoint,
            bucket=bucket,
            cache=directory / "cache",
            static_root=directory / "root",
        )


def _link(target: Path, source: Path | None) -> None:
    """Let a directory have the files of another one: links, as tools replace what they change."""
    shutil.rmtree(target, ignore_errors=True)
    if source:
        shutil.copytree(source, target, copy_function=os.link)
