"""``--dry-run``: nothing is written, and what is said is what a real run then does."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError

from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds.s3 import S3Cloud

READS = {"LIST", "HEAD", "GET"}
FILES = {"a.css": b"aaa", "b/b.js": b"bbb", "c.txt": b"ccc", "d.txt": b"ddd"}


@pytest.fixture
def stale(s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic) -> S3Cloud:
    """A bucket to which a file is missing, one has changed, one is unknown and one is right."""
    for name, content in FILES.items():
        static_tree.write(name, content)
    collectstatic(s3)
    static_tree.write("new.css", b"new")
    static_tree.write("a.css", b"xxx")
    s3.put("b/b.js", b"yyy")
    s3.clear_requests()
    return s3


def cached() -> dict[str, Any]:
    """Return all that is in the cache."""
    cache: Any = caches["default"]
    return {**cache._cache, "expiry": {**cache._expire_info}}


def steps(run: Run, verb: str) -> list[str]:
    """Return the files that a run says it copies, or pretends to."""
    lines = run.stdout.splitlines()
    return sorted(line.removeprefix(f"{verb} ") for line in lines if line.startswith(f"{verb} "))


@pytest.mark.parametrize("threads", [0, 8])
def test_nothing_is_written_to_the_bucket(
    stale: S3Cloud, collectstatic: CollectStatic, threads: int
) -> None:
    before = stale.objects()

    collectstatic(stale, dry_run=True, threads=threads)

    assert stale.counts() == {"LIST": 1}
    assert stale.objects() == before


@pytest.mark.parametrize("threads", [0, 8])
def test_nothing_is_written_without_permission_to_list(
    stale: S3Cloud, collectstatic: CollectStatic, threads: int
) -> None:
    stale.recorder.fail(lambda request: stale.kind(request) == "LIST", 403)

    collectstatic(stale, dry_run=True, threads=threads)

    assert stale.counts().keys() <= READS
    assert stale.counts()["HEAD"] == 5


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
def test_nothing_is_written_to_the_cache(
    stale: S3Cloud, collectstatic: CollectStatic, is_warm: bool
) -> None:
    if not is_warm:
        caches["default"].clear()
    before = cached()

    collectstatic(stale, dry_run=True)

    assert cached() == before


def test_summary_is_that_of_the_real_run(stale: S3Cloud, collectstatic: CollectStatic) -> None:
    dry = collectstatic(stale, dry_run=True)
    real = collectstatic(stale)

    assert dry.returned == real.returned
    assert real.returned == "\n3 static files copied, 2 unmodified."


def test_files_are_those_of_the_real_run(stale: S3Cloud, collectstatic: CollectStatic) -> None:
    dry = collectstatic(stale, dry_run=True, verbosity=2)
    real = collectstatic(stale, verbosity=2)

    assert steps(dry, "Pretending to copy") == steps(real, "Copying")
    assert len(steps(real, "Copying")) == 3
    assert steps(dry, "Skipping") == steps(real, "Skipping")
    assert len(steps(real, "Skipping")) == 2


def test_facts_are_those_of_the_real_run(stale: S3Cloud, collectstatic: CollectStatic) -> None:
    dry = collectstatic(stale, dry_run=True)
    real = collectstatic(stale)

    assert f"3 objects (9 bytes) to be sent to s3://{stale.name}/, 1 request" in dry.stdout
    assert f"3 objects (9 bytes) sent to s3://{stale.name}/, 4 requests" in real.stdout


def test_refusal_is_that_of_the_real_run(stale: S3Cloud, collectstatic: CollectStatic) -> None:
    options = {"bucket_name": f"{stale.name}-absent"}

    with pytest.raises(CommandError) as dry:
        collectstatic(stale, options=options, dry_run=True)
    with pytest.raises(CommandError) as real:
        collectstatic(stale, options=options)

    assert str(dry.value) == str(real.value)
