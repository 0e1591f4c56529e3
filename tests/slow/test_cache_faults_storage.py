"""A StorageCache whose bucket fails: what is deployed is the same, and one warning tells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request
from tests.servers.s3 import S3Server
from tests.slow.cache_faults import ALIAS, Deploys, opaque_server

CACHE = {"BACKEND": "collectfasta.cache.StorageCache", "LOCATION": "ci"}
LARGE = 30_000_000


@pytest.fixture(scope="module")
def opaque() -> Iterator[S3Server]:
    """A server whose ETags say nothing of the content."""
    with opaque_server() as server:
        yield server


@pytest.fixture
def cloud(opaque: S3Server) -> Iterator[S3Cloud]:
    """An empty bucket on it."""
    with S3Cloud(opaque) as cloud:
        yield cloud


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[S3Cloud]:
    """An empty bucket for the cache."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


class StorageDeploys(Deploys):
    """Deploys with a cache in a bucket."""

    bucket: S3Cloud

    def __call__(
        self, cache: Mapping[str, Any] = CACHE, ci: Mapping[str, Any] | None = None, **options: Any
    ) -> str:
        own = {"BACKEND": self.bucket.backend, "OPTIONS": self.bucket.options(location="ci")}
        storages = {**self.cloud.storages(), "ci": ci or own}
        return super().__call__(cache, settings={"STORAGES": storages}, **options)


@pytest.fixture
def deploy(
    cloud: S3Cloud,
    bucket: S3Cloud,
    static_tree: StaticTree,
    collectstatic: CollectStatic,
    caplog: pytest.LogCaptureFixture,
) -> StorageDeploys:
    """Deploys of three files."""
    for name in ("a.css", "b.js", "c.txt"):
        static_tree.write(name, name.encode())
    deploys = StorageDeploys(cloud, static_tree, collectstatic, caplog)
    deploys.bucket = bucket
    return deploys


def entries(cloud: S3Cloud) -> list[str]:
    """Return the keys of the cache's entries."""
    return [key for key in cloud.keys() if key.startswith("ci/")]


def is_entry_of(method: str) -> Any:
    """Match the requests that read (GET) or write (PUT) an entry."""

    def match(request: Request) -> bool:
        return request.method == method and "/ci/" in request.path

    return match


def check(warnings: list[str], action: str, *words: str) -> None:
    """See that there was one warning, in one line, and what it says."""
    (warning,) = warnings
    assert warning.startswith(f"The cache '{ALIAS}' could not be {action} (")
    assert warning.endswith(
        "Deploying without it is slower, not different. Fix it, or name another cache in "
        "COLLECTFASTA_CACHE."
    )
    assert "\n" not in warning
    for word in words:
        assert word in warning


@pytest.mark.parametrize(("method", "action"), [("GET", "read"), ("PUT", "written")])
@pytest.mark.parametrize("status", [500, 503, 400])
def test_a_bucket_that_fails(
    deploy: StorageDeploys, bucket: S3Cloud, method: str, action: str, status: int
) -> None:
    bucket.recorder.fail(is_entry_of(method), status)

    deploy()

    check(deploy.take_warnings(), action)
    bucket.recorder.reset()
    deploy.see_that_the_next_work(CACHE)


@pytest.mark.parametrize("kind", ["s3_obstore", "gcs", "azure", "filesystem"])
def test_a_bucket_that_is_missing_is_one_warning(
    kind: str,
    request: pytest.FixtureRequest,
    deploy: StorageDeploys,
    tmp_path: Path,
) -> None:
    place: Cloud = request.getfixturevalue(kind)
    (tmp_path / "file").touch()
    # No directory can be made in a file.
    missing, where = {"location": str(tmp_path / "file" / "ci")}, str(tmp_path)
    if isinstance(place, RecordedCloud):
        where = f"{deploy.bucket.name}-missing"
        missing = {"azure_container" if kind == "azure" else "bucket_name": where}
    ci = {"BACKEND": place.backend, "OPTIONS": place.options(**missing)}

    assert "3 static files copied" in deploy(ci=ci)

    # Google and Azure answer for an entry of no bucket as for one that is missing.
    action = "written" if kind in ("gcs", "azure") else "read"
    check(deploy.take_warnings(), action, where)


@pytest.mark.parametrize(("method", "action"), [("GET", "GetObject"), ("PUT", "PutObject")])
def test_a_refusal_is_one_warning_that_names_the_permission(
    deploy: StorageDeploys, bucket: S3Cloud, method: str, action: str
) -> None:
    body = b"<Error><Code>AccessDenied</Code></Error>"
    bucket.recorder.fail(lambda request: request.method == method, 403, body)

    assert "3 static files copied" in deploy()

    done = "read" if method == "GET" else "written"
    check(deploy.take_warnings(), done, f"s3:{action} on arn:aws:s3:::{bucket.name}/ci/*")


def test_a_bucket_that_is_removed_between_reading_and_writing(
    deploy: StorageDeploys, bucket: S3Cloud
) -> None:
    bucket.recorder.before(
        is_entry_of("PUT"), lambda _: bucket.client.delete_bucket(Bucket=bucket.name)
    )

    deploy()

    check(deploy.take_warnings(), "written", bucket.name)
    bucket.recorder.reset()
    bucket.client.create_bucket(Bucket=bucket.name)
    deploy.see_that_the_next_work(CACHE)


LARGE_ENTRIES = {
    "no JSON": b"\x00" * LARGE,
    "JSON": json.dumps(["x" * LARGE]).encode(),
    "deep JSON": b"[" * LARGE,
}


@pytest.mark.parametrize("kind", LARGE_ENTRIES)
def test_a_large_object_in_the_place_of_an_entry_is_a_miss_and_replaced(
    deploy: StorageDeploys, bucket: S3Cloud, kind: str
) -> None:
    deploy()
    (key,) = entries(bucket)
    bucket.put(key, LARGE_ENTRIES[kind])

    deploy.see_that_the_next_work(CACHE)

    assert len(bucket.get(key).body) < 2000


def test_an_entry_that_somebody_else_changes_meanwhile_is_replaced(
    deploy: StorageDeploys, bucket: S3Cloud
) -> None:
    deploy()
    (key,) = entries(bucket)
    others = bucket.get(key).body
    deploy.tree.write("a.css", b"new")
    bucket.recorder.before(is_entry_of("PUT"), lambda _: bucket.put(key, others))

    assert "1 static file copied" in deploy()

    assert "0 static files copied" in deploy()
    assert deploy.take_warnings() == []


def test_an_entry_of_another_deploy_that_ended_later_costs_what_it_does_not_know(
    deploy: StorageDeploys, bucket: S3Cloud
) -> None:
    deploy()
    (key,) = entries(bucket)
    others = bucket.get(key).body
    deploy.tree.write("a.css", b"new")
    deploy()
    bucket.put(key, others)

    assert "1 static file copied" in deploy()

    assert "0 static files copied" in deploy()
    assert deploy.take_warnings() == []
