"""Deploys of 500 files, of whose requests a fifth is refused and a tenth reset."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import backoff
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.recorder import Fault, Faults

FILES = 500
RATES = {
    Fault.SLOW_DOWN: 0.2,
    Fault.RESET_BEFORE: 0.03,
    Fault.RESET_DURING: 0.03,
    Fault.RESET_AFTER: 0.04,
}
MANIFEST = "staticfiles.json"
SEED = 2026
IN_MANIFEST = {
    "S3Cloud": "storages.backends.s3.S3ManifestStaticStorage",
    "GoogleCloud": "tests.storages.google.GoogleManifestStorage",
    "AzureCloud": "tests.storages.azure.AzureManifestStorage",
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff.shorten(monkeypatch)


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    """As many images as style sheets, each of which refers to two of them and another sheet."""
    half = FILES // 2
    for number in range(half):
        static_tree.write(f"img/{number}.png", b"png %d" % number)
        sheet = (
            f"@import '{(number + 1) % half}.css';"
            if number % 5
            else f"a {{ background: url('../img/{number}.png') }}"
        )
        sheet += f" b {{ background: url('../img/{(number * 7) % half}.png') }}"
        static_tree.write(f"css/{number}.css", sheet.encode())
    assert len(static_tree.names()) == FILES
    return static_tree


def comparable(cloud: Cloud) -> dict[str, Any]:
    """Return what a cloud has; the manifest is the same in another order."""
    bodies: dict[str, Any] = {key: each.body for key, each in cloud.objects().items()}
    if MANIFEST in bodies:
        bodies[MANIFEST] = json.loads(bodies[MANIFEST])
    return bodies


def faults_of(cloud: RecordedCloud) -> Counter[Fault | None]:
    return Counter(request.fault for request in cloud.requests)


def assert_many_faults(cloud: RecordedCloud, objects: int) -> None:
    """The deploy has met what it was to meet, and no request was repeated for ever."""
    counts = faults_of(cloud)
    assert counts[Fault.SLOW_DOWN] >= objects / 5
    assert sum(counts[fault] for fault in RATES if fault is not Fault.SLOW_DOWN) >= objects / 10
    assert {*counts} == {None, *RATES}
    assert len(cloud.requests) < 2 * objects


def test_plain_deploy_ends_with_the_exact_bucket(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    recorded_cloud.recorder.disturb(Faults(SEED, RATES))

    run = collectstatic(recorded_cloud)

    assert f"{FILES} static files copied" in run.stdout
    assert comparable(recorded_cloud) == {n: tree.path(n).read_bytes() for n in tree.names()}
    assert_many_faults(recorded_cloud, FILES)
    recorded_cloud.recorder.reset()
    collectstatic(recorded_cloud)
    assert recorded_cloud.counts() == {"LIST": 1}


def test_manifest_deploy_ends_with_the_exact_bucket(
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    tmp_path: Path,
) -> None:
    """As Django's own command would have made it in a directory."""
    local = FileSystemCloud(tmp_path / "deployed")
    collectstatic(
        local,
        backend="django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
        settings={"COLLECTFASTA_ENABLED": False},
    )
    recorded_cloud.recorder.disturb(Faults(SEED, RATES))

    collectstatic(recorded_cloud, backend=IN_MANIFEST[type(recorded_cloud).__name__])

    expected = comparable(local)
    assert len(expected) == 2 * FILES + 1
    assert comparable(recorded_cloud) == expected
    assert_many_faults(recorded_cloud, len(expected))
