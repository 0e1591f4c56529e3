"""What is remembered in a bucket: deploys by runners that keep nothing themselves.

Each run of the command has new settings, so new caches and storages, as on a fresh runner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.cache import caches
from django.core.files.base import ContentFile
from storages.backends.s3 import S3Storage

from tests.servers.clouds import Cloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

from .site import MakeCloud, MakeSite, Site
from .storages import path_of

FILES = {"a.css": b"a { color: red }" * 10, "b.txt": b"bbb", "parts.bin": bytes(10_000)}
NO_CACHE = {"CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}}
PLACES = [pytest.param("s3", marks=pytest.mark.s3), "gcs", "azure"]
KEEPING: dict[str, dict[str, Any]] = {
    "s3": {"file_overwrite": False},
    "gcs": {"file_overwrite": False},
    "azure": {"overwrite_files": False},
}


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
    """Return settings with a cache under "ci/", of another class and with more options or not."""
    storage = {
        "BACKEND": backend or elsewhere.backend,
        "OPTIONS": elsewhere.options(**{"location": "ci", **cache_options}),
    }
    return {
        "STORAGES": {**static.storages(static_backend, **(options or {})), "ci": storage},
        "CACHES": {"default": {"BACKEND": "collectfasta.cache.StorageCache", "LOCATION": "ci"}},
    }


def entries(cloud: Cloud, files: Mapping[str, bytes] = FILES) -> list[str]:
    """Return the keys of a place that are no files'."""
    return [key for key in cloud.keys() if not key.endswith(tuple(files))]


@pytest.mark.parametrize("place", PLACES)
def test_one_request_reads_and_one_writes_and_entries_are_no_stale_objects(
    make_site: MakeSite, make_cloud: MakeCloud, place: str
) -> None:
    cloud = make_cloud(place)
    settings = remembering(cloud, cloud, {"location": "static"}, **KEEPING[place])
    inside = remembering(cloud, cloud, {"location": "static"}, location="static/ci")
    site = make_site(cloud, FILES, settings=settings)

    dry = site.deploy(dry_run=True)
    first = site.deploy()
    (entry,) = entries(cloud)
    content = cloud.get(entry).body
    again = site.deploy()
    site.tree.write("b.txt", b"new")
    changed = site.deploy()
    changed_content = cloud.get(entry).body
    site.deploy(settings=inside)
    cloud.put("static/old.css", b"old")
    site.deploy(settings=inside, clear=True)
    cleared = entries(cloud, {**FILES, "old.css": b""})
    caches["default"].clear()

    assert dry.counts == {"LIST": 1, "GET": 1}
    assert (first.counts["LIST"], first.counts["GET"], first.uploads) == (1, 1, 4)
    assert again.counts == {"LIST": 1, "GET": 1}
    assert (changed.counts["LIST"], changed.counts["GET"], changed.uploads) == (1, 1, 2)
    assert changed_content != content
    assert cleared == sorted([entry, entry.replace("ci/", "static/ci/", 1)])
    assert not cloud.exists("static/old.css")
    assert entries(cloud) == [entry]


@pytest.mark.s3
class TestOnS3:
    """Static files on S3, and entries there or in another bucket."""

    @pytest.mark.parametrize("backend", [None, path_of(SecretStorage)])
    def test_what_nobody_else_could_know_is_recognised_by_a_fresh_runner(
        self,
        opaque_server: S3Server,
        make_site: MakeSite,
        make_cloud: MakeCloud,
        backend: str | None,
    ) -> None:
        options = {
            "gzip": True,
            "transfer_config": TransferConfig(multipart_threshold=10_000),
            "object_parameters": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/me"},
        }
        other = make_cloud("s3")
        with S3Cloud(opaque_server) as cloud:
            site = make_site(cloud, FILES, options=options)
            site.deploy(settings=NO_CACHE)
            without = site.deploy(settings=NO_CACHE)
            settings = remembering(cloud, other, options, backend=backend)
            site.deploy(settings=settings)
            other.clear_requests()
            again = site.deploy(settings=settings)
            site.close()

        assert without.summary.startswith("3 static files copied")
        assert again.kinds == ["LIST"]
        if backend is None:
            assert other.counts() == {"GET": 1}
        else:
            (key,) = other.keys()
            assert json.loads(other.get(key).body[::-1])["expires"] is None

    def test_a_manifest_deploy_costs_one_request_more(
        self, make_site: MakeSite, make_cloud: MakeCloud
    ) -> None:
        site, other = make_site("s3", FILES), make_cloud("s3")
        backend = "storages.backends.s3.S3ManifestStaticStorage"
        settings = remembering(site.cloud, other, static_backend=backend)
        site.deploy(settings=settings)
        other.clear_requests()
        again = site.deploy(settings=settings)
        assert other.counts() == {"GET": 1}
        assert not again.writes

    @pytest.mark.parametrize("location", ["static", ""])
    def test_a_deploy_that_clears_keeps_the_entries(
        self, make_site: MakeSite, location: str
    ) -> None:
        site = make_site("s3", FILES)
        settings = remembering(site.cloud, site.cloud, {"location": location})
        site.deploy(settings=settings)
        site.tree.delete("b.txt")
        site.deploy(settings=settings, clear=True)
        assert [key for key in site.cloud.keys() if key.endswith("b.txt")] == []
        assert len(entries(site.cloud)) == 1


class TestPrivacy:
    """Nobody else is to read what is remembered."""

    PUBLIC = (
        {"default_acl": "public-read"},
        {"object_parameters": {"ACL": "public-read"}},
        {"object_parameters": {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}},
    )

    @staticmethod
    def is_public(cloud: Cloud, key: str) -> bool:
        """Return whether others than the owner have any right."""
        assert isinstance(cloud, S3Cloud)
        grants = cloud.client.get_object_acl(Bucket=cloud.name, Key=key)["Grants"]
        return any("URI" in grant["Grantee"] for grant in grants)

    @pytest.mark.s3
    def test_entries_are_private_where_the_options_make_objects_public(
        self, make_site: MakeSite
    ) -> None:
        for options in self.PUBLIC:
            site = make_site("s3", FILES)
            site.deploy(settings=remembering(site.cloud, site.cloud, options, **options))
            (entry,) = entries(site.cloud)
            assert self.is_public(site.cloud, "b.txt"), options
            assert not self.is_public(site.cloud, entry), options

    @pytest.mark.parametrize(
        "options", [{"default_acl": "publicRead"}, {"object_parameters": {"acl": "publicRead"}}]
    )
    def test_no_public_acl_is_sent_to_google(
        self, make_site: MakeSite, options: dict[str, Any]
    ) -> None:
        site = make_site("gcs", FILES)
        settings = remembering(site.cloud, site.cloud, {"location": "static"}, **options)
        deploy = site.deploy(settings=settings)
        assert deploy.uploads == 4
        assert [each.query for each in deploy.requests if "predefinedAcl" in each.query] == []

    @pytest.mark.s3
    def test_another_acl_and_encryption_are_obeyed(
        self, make_site: MakeSite, make_cloud: MakeCloud
    ) -> None:
        # A bucket of another account, or one that refuses what is not encrypted, asks for them.
        parameters = {"ACL": "bucket-owner-full-control", "ServerSideEncryption": "AES256"}
        key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
        for asked in (parameters, key):
            site, other = make_site("s3", FILES), make_cloud("s3")
            site.deploy(settings=remembering(site.cloud, other, object_parameters=asked))
            (put,) = [request for request in other.requests if request.method == "PUT"]
            if asked is key:
                name = "x-amz-server-side-encryption-customer-key"
                assert [each.method for each in other.requests if name not in each.headers] == []
            else:
                assert put.headers["x-amz-acl"] == "bucket-owner-full-control"
                assert put.headers["x-amz-server-side-encryption"] == "AES256"


@pytest.mark.parametrize("place", PLACES)
def test_entries_are_readable_json_whatever_is_compressed(
    make_site: MakeSite, make_cloud: MakeCloud, place: str
) -> None:
    name = "ContentEncoding" if place == "s3" else "content_encoding"
    compressing: dict[str, Any] = {"gzip": True, "gzip_content_types": ["application/json"]}
    # The SDK, or the server, would decompress what is called compressed.
    for options in ({"object_parameters": {name: "gzip"}}, compressing):
        if place == "azure" and options is compressing:
            continue
        site: Site = make_site("filesystem", FILES)
        cloud = make_cloud(place)
        strategy = "collectfasta.strategies.filesystem.CachingFileSystemStrategy"
        settings = remembering(site.cloud, cloud, **options)
        site.deploy(settings=settings, strategy=strategy)
        (key,) = cloud.keys()
        stored = cloud.get(key)
        cloud.clear_requests()
        site.deploy(settings=settings, strategy=strategy)

        assert stored.headers["content-type"] == "application/json"
        assert "content-encoding" not in stored.headers
        assert json.loads(stored.body).keys() == {"key", "expires", "value"}
        assert cloud.counts() == {"GET": 1}
