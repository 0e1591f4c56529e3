"""``--force``: everything is sent again, whatever the remote has."""

from __future__ import annotations

import pytest
from django.core.files.storage import Storage

from collectfasta.strategies import Strategy
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.s3 import S3Cloud

NAMES = ["a.css", "b/b.js", "c.png"]


class NeverCopies(Strategy[Storage]):
    """A strategy of the user's own."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return False


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    for name in NAMES:
        static_tree.write(name, name.encode())


@pytest.mark.parametrize("threads", [0, 8])
def test_every_file_is_sent_again(cloud: Cloud, collectstatic: CollectStatic, threads: int) -> None:
    collectstatic(cloud, threads=threads)
    cloud.clear_requests()

    run = collectstatic(cloud, threads=threads, force=True)

    assert "3 static files copied" in run.stdout
    if isinstance(cloud, RecordedCloud):
        assert cloud.counts()["PUT"] + cloud.counts()["UPLOAD"] == len(NAMES)


def test_strategy_of_ones_own_is_not_asked(s3: S3Cloud, collectstatic: CollectStatic) -> None:
    collectstatic(s3, strategy=NeverCopies, force=True)

    assert s3.keys() == NAMES


def test_nothing_is_deleted(s3: S3Cloud, collectstatic: CollectStatic) -> None:
    s3.put("old.css", b"old")

    collectstatic(s3, force=True)

    assert s3.keys() == sorted([*NAMES, "old.css"])


def test_dry_run_sends_nothing(cloud: Cloud, collectstatic: CollectStatic) -> None:
    run = collectstatic(cloud, force=True, dry_run=True)

    assert "3 static files copied" in run.stdout
    assert cloud.keys() == []
