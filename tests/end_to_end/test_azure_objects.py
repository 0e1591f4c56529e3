"""What is special about blobs on Azure: checksums that are missing, and names that are stripped."""

from __future__ import annotations

import hashlib

import pytest
from azure.storage.blob import BlobBlock
from django.core.cache import caches

from tests.servers.clouds.azure import AzureCloud

from . import storages, trees
from .site import MakeSite, Site
from .storages import path_of

# Of the default names to ignore is all that begins with a dot.
ALL = {"use_default_ignore_patterns": False}


def cloud_of(site: Site) -> AzureCloud:
    """Return the site's container."""
    assert isinstance(site.cloud, AzureCloud)
    return site.cloud


def stored_md5(site: Site, key: str) -> str | None:
    """Return the MD5 that the container keeps of a blob, in hexadecimal."""
    properties = cloud_of(site).client.get_blob_client(key).get_blob_properties()
    md5 = properties.content_settings.content_md5
    return bytes(md5).hex() if md5 else None


def put_without_md5(site: Site, key: str, body: bytes) -> None:
    """Store a blob as other tools do that send it in blocks."""
    blob = cloud_of(site).client.get_blob_client(key)
    blob.stage_block("1", body)
    blob.commit_block_list([BlobBlock("1")])


def test_every_blob_gets_its_md5_and_is_recognised_by_it(make_site: MakeSite) -> None:
    # In one request, and in blocks of 4 MiB of which the last is full or is not.
    files = {f"{size}.bin": bytes(size) for size in (0, 10, 4 * trees.MEGABYTE, trees.PART + 1)}
    site = make_site("azure", files)

    site.deploy()
    caches["default"].clear()
    again = site.deploy()

    assert site.bodies() == files
    md5s = {name: stored_md5(site, name) for name in files}
    assert md5s == {name: hashlib.md5(body).hexdigest() for name, body in files.items()}
    assert again.kinds == ["LIST"]


def test_a_blob_without_md5_is_sent_once_and_then_known(make_site: MakeSite) -> None:
    files = {"a.css": trees.TEXT, "b.css": trees.TEXT}
    site = make_site("azure", files)
    for name in files:
        put_without_md5(site, name, trees.TEXT)
    assert stored_md5(site, "a.css") is None

    first = site.deploy()
    put_without_md5(site, "a.css", trees.TEXT[::-1])
    replaced = site.deploy()
    caches["default"].clear()
    again = site.deploy()

    assert (first.uploads, replaced.uploads) == (2, 1)
    assert again.kinds == ["LIST"]
    assert site.bodies() == files


def test_changed_parameters_are_a_change(make_site: MakeSite) -> None:
    site = make_site("azure", {"a.css": trees.TEXT}, options={"cache_control": "max-age=1"})

    site.deploy()
    changed = site.deploy(options={"cache_control": "max-age=2"})

    assert changed.uploads == 1
    assert site.cloud.get("a.css").headers["cache-control"] == "max-age=2"


@pytest.mark.parametrize("backend", [None, path_of(storages.AzureUppercase)])
def test_names_stay_exact_where_the_storage_does_not_overwrite(
    make_site: MakeSite, backend: str | None
) -> None:
    files = {"a.css": b"old", "b/a.css": b"old"}
    site = make_site("azure", files, backend=backend, options={"overwrite_files": False})
    site.deploy()
    again = site.deploy()
    site.tree.write_all(dict.fromkeys(files, b"new"))

    changed = site.deploy()

    body = b"NEW!" if backend else b"new"
    assert site.bodies() == dict.fromkeys(files, body)
    assert again.kinds == ["LIST"]
    assert changed.writes == {"PUT"}


class TestNamesThatTheStorageStrips:
    """It strips dots and slashes from both ends of a blob's name."""

    def test_are_found_again_where_they_were_put_and_survive_clear(
        self, make_site: MakeSite
    ) -> None:
        files = {".well-known/security.txt": trees.TEXT, "a.": trees.TEXT}
        site = make_site("azure", files, **ALL)
        located = make_site(site.cloud, files, options={"location": "static"}, **ALL)
        site.cloud.put("static/old", b"old")

        site.deploy()
        caches["default"].clear()
        again = site.deploy()
        located.deploy(clear=True)

        assert again.kinds == ["LIST"]
        assert site.cloud.keys() == [
            "a",
            "static/.well-known/security.txt",
            "static/a",
            "well-known/security.txt",
        ]

    def test_that_would_become_one_are_refused_before_anything_is_sent(
        self, make_site: MakeSite
    ) -> None:
        names = (".well-known/a.txt", "well-known/a.txt", "c.css")
        site = make_site("azure", {name: name.encode() for name in names}, **ALL)

        refused = site.refused()

        assert "'.well-known/a.txt'" in refused.error
        assert "'well-known/a.txt'" in refused.error
        assert site.cloud.keys() == []
