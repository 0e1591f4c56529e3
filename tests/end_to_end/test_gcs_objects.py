"""What is special about objects on Google Cloud Storage: parameters, checksums, exact names."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from django.core.cache import caches

from tests.servers.clouds.google import GoogleCloud
from tests.servers.fake_gcs import FakeGoogle, serve
from tests.servers.gcs import GoogleServer

from . import storages, trees
from .site import Deploy, MakeSite
from .storages import path_of

PARAMETERS = {
    "acl": "publicRead",
    "cache_control": "max-age=60",
    "content_disposition": "inline",
    "content_language": "en",
    "metadata": {"owner": "me"},
}


def acls(deploy: Deploy) -> list[str]:
    """Return the predefined ACLs that uploads were begun with."""
    queries = (parse_qs(each.query) for each in deploy.requests if each.method == "POST")
    return [query.get("predefinedAcl", [""])[0] for query in queries]


def test_parameters_are_set_and_a_change_of_them_is_one(make_site: MakeSite) -> None:
    options = {"object_parameters": PARAMETERS, "default_acl": "private"}
    site = make_site("gcs", {"a.css": trees.TEXT}, options=options)

    first, again = site.deploy(), site.deploy()
    headers = site.cloud.get("a.css").headers
    changed = site.deploy(options={"object_parameters": {"cache_control": "max-age=2"}})

    expected = {
        "cache-control": "max-age=60",
        "content-disposition": "inline",
        "content-language": "en",
        "x-goog-meta-owner": "me",
    }
    assert expected.items() <= headers.items()
    assert acls(first) == ["publicRead"]
    assert again.kinds == ["LIST"]
    assert changed.uploads == 1
    assert site.cloud.get("a.css").headers["cache-control"] == "max-age=2"


# In chunks of 4 MiB: the last is shorter, or just full, which the client can't know.
def test_large_files_are_stored_whole_and_recognised(make_site: MakeSite) -> None:
    files = {"full.bin": bytes(8 * trees.MEGABYTE), "shorter.bin": trees.NOISE}
    site = make_site("gcs", files, options={"default_acl": "publicRead"})

    first = site.deploy()
    caches["default"].clear()
    again = site.deploy()

    assert site.bodies() == files
    assert acls(first) == ["publicRead", "publicRead"]
    assert again.kinds == ["LIST"]


@pytest.mark.parametrize("backend", [None, path_of(storages.GoogleUppercase)])
def test_names_stay_exact_where_the_storage_does_not_overwrite(
    make_site: MakeSite, backend: str | None
) -> None:
    files = {"a.css": b"old", "b/a.css": b"old"}
    site = make_site("gcs", files, backend=backend, options={"file_overwrite": False})
    site.deploy()
    again = site.deploy()
    site.tree.write_all(dict.fromkeys(files, b"new"))

    changed = site.deploy()

    body = b"NEW!" if backend else b"new"
    assert site.bodies() == dict.fromkeys(files, body)
    assert again.kinds == ["LIST"]
    assert changed.writes == {"UPLOAD"}


def test_a_composite_object_is_compared_by_its_crc32c(make_site: MakeSite) -> None:
    """It has no MD5."""
    fake = FakeGoogle()
    with serve(fake) as url, GoogleCloud(GoogleServer(url)) as cloud:
        site = make_site(cloud, {"a.bin": b"content", "b.bin": b"content"})
        fake.put(cloud.name, "a.bin", b"content", composite=True)
        fake.put(cloud.name, "b.bin", b"CONTENT", composite=True)

        deploy = site.deploy()

        site.close()
        assert deploy.kinds == ["LIST", "UPLOAD"]
        assert deploy.summary == "1 static file copied, 1 unmodified."
