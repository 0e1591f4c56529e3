"""What is remembered in a bucket: deploys by runners that keep nothing of their own.

Each run of the command has new settings, so new caches and storages, as on a fresh runner.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.cache import caches
from django.core.files.base import ContentFile
from storages.backends.s3 import S3Storage

from collectfasta.entries import is_entry
from tests.conftest import CollectStatic, StaticTree
from tests.functional.test_s3_opaque_etags import SERVER
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import running
from tests.servers.s3 import S3Server

NO_CACHE = {"CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}}
PRIVATE_S3 = "storages.backends.s3.S3Storage"
TOP = Path(__file__).parents[2]


class SecretStorage(S3Storage):
    """A storage that stores all bytes turned over, as one that encrypts would."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        with super()._open(name, mode) as content:
            return ContentFile(content.read()[::-1])

    def _save(self, name: str, content: Any) -> str:
        saved: str = super()._save(name, ContentFile(content.read()[::-1]))
        return saved


def remembering(
    static: Cloud,
    elsewhere: Cloud,
    options: Mapping[str, Any] | None = None,
    *,
    backend: str | None = None,
    static_backend: str | None = None,
    **cache_options: Any,
) -> dict[str, Any]:
    """Return settings with a cache in a storage.

    Args:
        static: Where the static files go.
        elsewhere: Where the cache is, under "ci/" if it is a cloud.
        options: More options for the static files' storage.
        backend: Another class for the cache's storage.
        static_backend: Another class for the static files' storage.
        cache_options: More options for the cache's storage.
    """
    if isinstance(elsewhere, RecordedCloud):
        cache_options = {"location": "ci", **cache_options}
    storage = {
        "BACKEND": backend or elsewhere.backend,
        "OPTIONS": elsewhere.options(**cache_options),
    }
    return {
        "STORAGES": {**static.storages(static_backend, **(options or {})), "ci": storage},
        "CACHES": {"default": {"BACKEND": "collectfasta.cache.StorageCache", "LOCATION": "ci"}},
    }


def entries(cloud: Cloud) -> list[str]:
    """Return the keys of a bucket's entries."""
    return [key for key in cloud.keys() if is_entry(key)]


@pytest.fixture
def other(s3_server: S3Server) -> Iterator[S3Cloud]:
    """A bucket for the cache."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def opaque_server() -> Iterator[S3Server]:
    """A server whose ETags say nothing of the content, as under SSE-KMS."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-c", SERVER, "-p", str(port)]

    with running("moto", command) as url:
        yield S3Server(url)


@pytest.fixture
def opaque(opaque_server: S3Server) -> Iterator[S3Cloud]:
    """An empty bucket on it."""
    with S3Cloud(opaque_server) as cloud:
        yield cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("a.css", b"a { color: red }" * 10)
    static_tree.write("b.txt", b"bbb")
    static_tree.write("parts.bin", bytes(10_000))
    return static_tree


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gzip": {"gzip": True},
    "parts": {"transfer_config": TransferConfig(multipart_threshold=10_000)},
    "kms": {"object_parameters": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/me"}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_runner_recognises_objects_by_one_get(
    opaque: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, kind: str
) -> None:
    settings = remembering(opaque, other, KINDS[kind])
    collectstatic(opaque, settings=settings)
    opaque.clear_requests()
    other.clear_requests()

    run = collectstatic(opaque, settings=settings)

    assert opaque.counts() == {"LIST": 1}
    assert other.counts() == {"GET": 1}
    assert "3 unmodified" in run.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_without_it_they_would_be_sent_again(
    opaque: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, kind: str
) -> None:
    collectstatic(opaque, options=KINDS[kind], settings=NO_CACHE)

    run = collectstatic(opaque, options=KINDS[kind], settings=NO_CACHE)

    assert "3 static files copied" in run.stdout


@pytest.mark.needs_s3("ETags of uploads in parts")
def test_a_fresh_runner_recognises_parts_of_another_size(
    s3: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    megabyte = 1024 * 1024
    tree.write("large.bin", bytes(5 * megabyte + 1))

    def in_parts_of(size: int) -> dict[str, Any]:
        config = TransferConfig(multipart_threshold=megabyte, multipart_chunksize=size)
        return remembering(s3, other, {"transfer_config": config})

    collectstatic(s3, settings=in_parts_of(5 * megabyte))
    s3.clear_requests()

    collectstatic(s3, settings=in_parts_of(8 * megabyte))

    assert s3.counts() == {"LIST": 1}


def test_a_process_that_has_seen_nothing_recognises_objects(
    opaque: S3Cloud,
    other: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    tmp_path: Path,
) -> None:
    settings = remembering(opaque, other)
    collectstatic(opaque, settings=settings)
    opaque.clear_requests()
    other.clear_requests()
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    (tmp_path / "runner.py").write_text(
        "\n".join(
            ["from tests.settings import *", *lines, f"STATICFILES_DIRS = [{str(tree.root)!r}]"]
        )
    )

    subprocess.run(
        [sys.executable, "-m", "django", "collectstatic", "--noinput", "--settings=runner"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{TOP}"},
        check=True,
        capture_output=True,
    )

    assert opaque.counts() == {"LIST": 1}
    assert other.counts() == {"GET": 1}


def test_a_manifest_deploy_costs_one_get_more(
    s3: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    backend = "storages.backends.s3.S3ManifestStaticStorage"
    settings = remembering(s3, other, static_backend=backend)
    collectstatic(s3, settings=settings)
    other.clear_requests()

    run = collectstatic(s3, settings=settings)

    assert other.counts() == {"GET": 1}
    assert "0 static files copied" in run.stdout


def test_the_first_deploy_asks_once_and_writes_once(
    s3: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, settings=remembering(s3, other))
    assert other.counts() == {"GET": 1, "PUT": 1}


WRITTEN = {S3Cloud: "PUT", GoogleCloud: "UPLOAD", AzureCloud: "PUT"}


def test_each_cloud_reads_by_one_request_and_writes_by_one(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = remembering(recorded_cloud, recorded_cloud, {"location": "static"})
    collectstatic(recorded_cloud, settings=settings)
    recorded_cloud.clear_requests()

    collectstatic(recorded_cloud, settings=settings)
    assert recorded_cloud.counts() == {"LIST": 1, "GET": 1}
    tree.write("b.txt", b"new")
    recorded_cloud.clear_requests()
    collectstatic(recorded_cloud, settings=settings)

    written = WRITTEN[type(recorded_cloud)]
    assert recorded_cloud.counts() == {"LIST": 1, "GET": 1, written: 2}


def test_the_google_client_asks_for_nothing_in_the_background(
    gcs: GoogleCloud,
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA")
    settings = remembering(s3, gcs)
    collectstatic(s3, settings=settings)
    gcs.clear_requests()

    collectstatic(s3, settings=settings)

    assert gcs.counts() == {"GET": 1}


KEEPING: dict[type[Cloud], dict[str, Any]] = {
    S3Cloud: {"file_overwrite": False},
    GoogleCloud: {"file_overwrite": False},
    AzureCloud: {"overwrite_files": False},
}


def test_an_entry_is_replaced_where_the_storage_overwrites_nothing(
    cloud: Cloud, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = remembering(s3, cloud, {"location": "static"}, **KEEPING.get(type(cloud), {}))
    collectstatic(s3, settings=settings)
    (key,) = entries(cloud)
    before = cloud.get(key).body
    tree.write("b.txt", b"new")

    collectstatic(s3, settings=settings)

    assert entries(cloud) == [key]
    assert cloud.get(key).body != before


def test_all_entries_can_be_cleared(
    cloud: Cloud, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, settings=remembering(s3, cloud, {"location": "static"}))
    assert len(entries(cloud)) == 1

    caches["default"].clear()

    assert entries(cloud) == []


@pytest.mark.parametrize("location", ["static", ""])
def test_a_deploy_that_clears_keeps_the_entries(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, location: str
) -> None:
    settings = remembering(s3, s3, {"location": location})
    collectstatic(s3, settings=settings)
    tree.delete("b.txt")

    collectstatic(s3, settings=settings, clear=True)

    assert not [key for key in s3.keys() if key.endswith("b.txt")]
    assert len(entries(s3)) == 1


def test_entries_under_the_static_files_are_no_leftovers(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    is_recorded = isinstance(cloud, RecordedCloud)
    options = {"location": "static"} if is_recorded else {}
    inside: dict[str, Any] = {"location": "static/ci"} if is_recorded else {}
    settings = remembering(cloud, cloud, options, **inside)
    collectstatic(cloud, settings=settings)
    cloud.put("static/old.css" if is_recorded else "old.css", b"old")
    caches["default"].set("key", "value", timeout=None)

    collectstatic(cloud, settings=settings, clear=True)

    assert not [key for key in cloud.keys() if key.endswith("old.css")]
    assert caches["default"].get("key") == "value"


def test_a_dry_run_writes_no_entry(
    s3: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, settings=remembering(s3, other), dry_run=True)
    assert other.counts() == {"GET": 1}
    assert other.keys() == []


class TestPrivacy:
    PUBLIC: Mapping[str, Mapping[str, Any]] = {
        "default_acl": {"default_acl": "public-read"},
        "acl": {"object_parameters": {"ACL": "public-read"}},
        "grant": {
            "object_parameters": {
                "GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"
            }
        },
    }

    @pytest.mark.parametrize("kind", PUBLIC)
    def test_an_entry_is_private_where_the_options_make_objects_public(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, kind: str
    ) -> None:
        options = self.PUBLIC[kind]
        collectstatic(s3, settings=remembering(s3, s3, options, **options))
        (entry,) = entries(s3)
        assert self.is_public(s3, "b.txt")
        assert not self.is_public(s3, entry)

    def is_public(self, cloud: S3Cloud, key: str) -> bool:
        grants = cloud.client.get_object_acl(Bucket=cloud.name, Key=key)["Grants"]
        return any("URI" in grant["Grantee"] for grant in grants)

    @pytest.mark.parametrize(
        "options", [{"default_acl": "publicRead"}, {"object_parameters": {"acl": "publicRead"}}]
    )
    def test_no_public_acl_is_sent_to_google(
        self,
        gcs: GoogleCloud,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        options: dict[str, Any],
    ) -> None:
        collectstatic(s3, settings=remembering(s3, gcs, **options))
        assert gcs.counts()["UPLOAD"] == 1
        assert not any("predefinedAcl" in request.query for request in gcs.requests)

    def test_another_acl_and_encryption_are_sent(
        self, s3: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        # A bucket of another account, or one that refuses what is not encrypted, asks for them.
        parameters = {"ACL": "bucket-owner-full-control", "ServerSideEncryption": "AES256"}
        settings = remembering(s3, other, object_parameters=parameters)
        collectstatic(s3, settings=settings)
        (put,) = [request for request in other.requests if request.method == "PUT"]
        headers = {name.lower(): value for name, value in put.headers.items()}
        assert headers["x-amz-acl"] == "bucket-owner-full-control"
        assert headers["x-amz-server-side-encryption"] == "AES256"

    def test_the_storage_of_the_alias_itself_stays_as_it_is(
        self, s3: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        from django.core.files.storage import storages

        settings = remembering(s3, other, default_acl="public-read", gzip=True)
        collectstatic(s3, settings=settings)
        storage: Any = storages["ci"]
        assert (storage.default_acl, storage.gzip) == ("public-read", True)


@pytest.mark.parametrize("backend", ["s3_obstore", "gcs"])
def test_an_entry_is_readable_json_where_the_storage_compresses_json(
    backend: str,
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    request: pytest.FixtureRequest,
) -> None:
    cloud: RecordedCloud = request.getfixturevalue(backend)
    settings = remembering(
        s3, cloud, {"location": "static"}, gzip=True, gzip_content_types=["application/json"]
    )
    collectstatic(s3, settings=settings)
    (key,) = entries(cloud)
    assert cloud.get(key).headers["content-type"] == "application/json"
    assert json.loads(cloud.get(key).body).keys() == {"key", "expires", "value"}
    cloud.clear_requests()
    collectstatic(s3, settings=settings)
    assert cloud.counts()["GET"] == 1
    assert cloud.counts().keys() <= {"GET", "LIST"}


def test_no_entry_is_called_compressed_where_the_options_say_that_files_are(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    # The SDK, or the server, would decompress it.
    name = "ContentEncoding" if isinstance(recorded_cloud, S3Cloud) else "content_encoding"
    options: dict[str, Any] = {"object_parameters": {name: "gzip"}}
    static = {"location": "static", **options}
    collectstatic(
        recorded_cloud, settings=remembering(recorded_cloud, recorded_cloud, static, **options)
    )
    (key,) = entries(recorded_cloud)
    assert recorded_cloud.get("static/b.txt").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in recorded_cloud.get(key).headers


def test_an_entry_is_read_with_the_key_that_it_is_encrypted_with(
    s3: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    parameters = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
    collectstatic(s3, settings=remembering(s3, other, object_parameters=parameters))
    wanted = "x-amz-server-side-encryption-customer-key"
    for request in other.requests:
        assert wanted in {name.lower() for name in request.headers}


def test_a_class_that_reads_and_writes_by_itself_is_obeyed(
    opaque: S3Cloud, other: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = remembering(opaque, other, backend=f"{__name__}.SecretStorage")
    collectstatic(opaque, settings=settings)
    (key,) = entries(other)
    assert json.loads(other.get(key).body[::-1])["expires"] is None

    run = collectstatic(opaque, settings=settings)

    assert "3 unmodified" in run.stdout


class TestFailures:
    @pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"key": "other"}'])
    def test_a_corrupt_entry_is_a_miss_and_replaced(
        self,
        opaque: S3Cloud,
        other: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        body: bytes,
    ) -> None:
        settings = remembering(opaque, other)
        collectstatic(opaque, settings=settings)
        (key,) = entries(other)
        other.put(key, body)

        assert "3 static files copied" in collectstatic(opaque, settings=settings).stdout
        assert "3 unmodified" in collectstatic(opaque, settings=settings).stdout

    def test_a_bucket_that_is_missing_is_one_warning(
        self,
        cloud: Cloud,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        (tmp_path / "file").touch()
        missing: dict[type[Cloud], dict[str, Any]] = {
            S3Cloud: {"bucket_name": f"{s3.name}-missing"},
            GoogleCloud: {"bucket_name": f"{s3.name}-missing"},
            AzureCloud: {"azure_container": f"{s3.name}-missing"},
        }
        # No directory can be made in a file.
        options = missing.get(type(cloud), {"location": str(tmp_path / "file" / "ci")})

        run = collectstatic(s3, settings=remembering(s3, cloud, {"location": "static"}, **options))

        (warning,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert "Deploying without it is slower" in warning.getMessage()
        where = f"{s3.name}-missing" if isinstance(cloud, RecordedCloud) else str(tmp_path)
        assert where in warning.getMessage()
        assert "3 static files copied" in run.stdout

    @pytest.mark.parametrize(("method", "action"), [("GET", "GetObject"), ("PUT", "PutObject")])
    def test_a_refusal_is_one_warning_that_names_the_permission(
        self,
        s3: S3Cloud,
        other: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
        method: str,
        action: str,
    ) -> None:
        other.recorder.fail(
            lambda request: request.method == method,
            403,
            b"<Error><Code>AccessDenied</Code></Error>",
        )

        run = collectstatic(s3, settings=remembering(s3, other))

        (warning,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert f"s3:{action} on arn:aws:s3:::{other.name}/ci/*" in warning.getMessage()
        assert "3 static files copied" in run.stdout
