"""Fixtures: servers, buckets to deploy to, a tree of static files, and the command.

A server starts when the first test asks for it: a run of unit tests starts none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from coverage import Coverage
from django.conf import settings as django_settings
from django.core.cache import caches

from tests.command import CollectStatic, Run, StaticTree
from tests.servers import s3 as s3_servers
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.shuffle import shuffle

__all__ = ["MEASURING", "CollectStatic", "Run", "StaticTree"]

# Coverage measures this process, be it a worker of pytest-xdist, and each manage.py that takes this
# along (tests/project.py); servers go without.
MEASURING = os.environ.get("COVERAGE_PROCESS_CONFIG", "")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)

if TYPE_CHECKING:
    from tests.servers.azurite import AzureServer
    from tests.servers.clouds.azure import AzureCloud
    from tests.servers.clouds.google import GoogleCloud
    from tests.servers.clouds.s3 import S3Cloud
    from tests.servers.gcs import GoogleServer
    from tests.servers.s3 import S3Server


# The fixtures of the S3 server, and those which are asked for by the name that is a parameter.
_S3_FIXTURES = frozenset({"s3_server", "s3_obstore", "s3_boto3", "s3"})
_S3_PARAMETERS = frozenset({"s3_obstore", "s3_boto3"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses the S3 server, deselect what that is not able to do, and shuffle."""
    unable = []
    for item in items:
        if _uses_s3(item):
            item.add_marker("s3")
        if not all(s3_servers.is_able(*mark.args) for mark in item.iter_markers("needs_s3")):
            unable.append(item)
    config.hook.pytest_deselected(items=unable)
    items[:] = [item for item in items if item not in unable]
    shuffle(items)


def pytest_sessionfinish() -> None:
    """Save what coverage has measured: xdist kills a worker that takes 10 seconds to end."""
    measuring = Coverage.current()
    if measuring is not None:
        measuring.save()


def _uses_s3(item: pytest.Item) -> bool:
    if not _S3_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        return True
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params.values() if callspec else ()
    return any(
        each in _S3_PARAMETERS
        for parameter in parameters
        for each in (parameter if isinstance(parameter, tuple) else (parameter,))
        if isinstance(each, str)
    )


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    for alias in django_settings.CACHES:
        caches[alias].clear()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin the second round at once: no server of the tests has to recover."""
    monkeypatch.setattr("collectfasta.deploy.transfer.PAUSE_SECONDS", 0)


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Get no lines for a CI's log, wherever the tests run: they look at the output."""
    for name in ("CI", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _untaken_signals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SIGTERM and SIGHUP end the tests: deploys in their process take them for their own."""
    if request.node.get_closest_marker("signals") is None:
        monkeypatch.setattr("collectfasta.terminal.session.Watch", nullcontext)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The S3 server that the environment chooses."""
    import botocore.session

    # All sessions of the tests share what they read from botocore's large data files.
    loader = botocore.session.create_loader()
    with pytest.MonkeyPatch.context() as monkeypatch, s3_servers.serve() as server:
        monkeypatch.setattr(botocore.session, "create_loader", lambda *_: loader)
        yield server


@pytest.fixture(scope="session")
def gcs_emulator() -> Iterator[GoogleServer]:
    """A server of the Google Cloud Storage API."""
    from tests.servers import gcs

    with gcs.serve() as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzureServer]:
    """An Azure Blob server."""
    from tests.servers import azurite

    with azurite.serve() as server:
        yield server


@pytest.fixture
def s3_obstore(s3_server: S3Server) -> Iterator[S3Cloud]:
    """An empty S3 bucket, to be deployed to by the engine that is the default."""
    from tests.servers.clouds.s3 import S3Cloud

    with S3Cloud(s3_server) as cloud:
        yield cloud


@pytest.fixture
def s3_boto3(s3_server: S3Server) -> Iterator[S3Cloud]:
    """An empty S3 bucket, to be deployed to by boto3 alone."""
    from tests.servers.clouds.s3 import S3Cloud

    with S3Cloud(s3_server, engine="boto3") as cloud:
        yield cloud


@pytest.fixture(params=["s3_obstore", "s3_boto3"])
def s3(request: pytest.FixtureRequest) -> S3Cloud:
    """An empty S3 bucket, for each engine in turn."""
    fixture: S3Cloud = request.getfixturevalue(request.param)
    return fixture


@pytest.fixture
def gcs(gcs_emulator: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    """An empty Google Cloud Storage bucket."""
    from tests.servers.clouds.google import GoogleCloud

    with GoogleCloud(gcs_emulator) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        yield cloud


@pytest.fixture
def azure(azurite: AzureServer) -> Iterator[AzureCloud]:
    """An empty Azure Blob container."""
    from tests.servers.clouds.azure import AzureCloud

    with AzureCloud(azurite) as cloud:
        yield cloud


@pytest.fixture
def filesystem(tmp_path: Path) -> Iterator[FileSystemCloud]:
    """An empty directory to deploy to."""
    with FileSystemCloud(tmp_path / "deployed") as cloud:
        yield cloud


@pytest.fixture(params=["s3_obstore", "s3_boto3", "gcs", "azure", "filesystem"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each of the four in turn."""
    fixture: Cloud = request.getfixturevalue(request.param)
    return fixture


@pytest.fixture(params=["s3_obstore", "s3_boto3", "gcs", "azure"])
def recorded_cloud(request: pytest.FixtureRequest) -> RecordedCloud:
    """Each of those behind a recorder in turn."""
    fixture: RecordedCloud = request.getfixturevalue(request.param)
    return fixture


@pytest.fixture
def static_tree(tmp_path: Path) -> StaticTree:
    """An empty tree of source files."""
    return StaticTree(tmp_path / "source")


@pytest.fixture
def collectstatic(
    static_tree: StaticTree, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CollectStatic]:
    """The command; it deploys `static_tree`."""
    command = CollectStatic(static_tree, monkeypatch)
    yield command
    command.close()
