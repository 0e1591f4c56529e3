"""The bucket is the truth, also where the cache remembers what was there."""

from __future__ import annotations

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud

pytestmark = pytest.mark.parametrize("threads", [0, 8])

FILES = {"a.css": b"aaa", "b/b.js": b"bbb", "c.txt": b"ccc", "empty.txt": b""}


@pytest.fixture
def deployed(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> S3Cloud:
    """A bucket with deployed files, of which the cache remembers all."""
    for name, content in FILES.items():
        static_tree.write(name, content)
    collectstatic(s3, threads=threads)
    s3.clear_requests()
    return s3


def bodies(cloud: S3Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


@pytest.mark.parametrize("name", ["b/b.js", "empty.txt"])
def test_removed_object_is_sent_again(
    deployed: S3Cloud, collectstatic: CollectStatic, threads: int, name: str
) -> None:
    deployed.delete(name)

    collectstatic(deployed, threads=threads)

    assert bodies(deployed) == FILES
    assert deployed.counts() == {"LIST": 1, "PUT": 1}


@pytest.mark.parametrize("content", [b"xxx", b"longer"], ids=["same size", "longer"])
def test_replaced_object_is_sent_again(
    deployed: S3Cloud, collectstatic: CollectStatic, threads: int, content: bytes
) -> None:
    deployed.put("b/b.js", content)

    collectstatic(deployed, threads=threads)

    assert bodies(deployed) == FILES
    assert deployed.counts() == {"LIST": 1, "PUT": 1}


def test_emptied_bucket_is_filled_again(
    deployed: S3Cloud, collectstatic: CollectStatic, threads: int
) -> None:
    deployed.empty()

    collectstatic(deployed, threads=threads)

    assert bodies(deployed) == FILES
    assert deployed.counts() == {"LIST": 1, "PUT": len(FILES)}
