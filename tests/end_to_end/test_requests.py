"""What a deploy costs in requests, counted at the server."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from django.core.cache import caches

from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import running
from tests.servers.s3 import S3Server
from tests.summary import deleted

from .site import Deploy, MakeSite

FILES = {f"folder{number % 7}/{number}.css": b"%d" % number for number in range(60)}
IMAGES = {f"images/{number}.png": b"%d" % number for number in range(22)}
STYLES = {
    f"css/{number}.css": b"b { background: url(../images/%d.png) }" % number for number in range(8)
}
# What S3's storage asks in its constructor to load its manifest: where there is one, and where not.
LOADED = Counter({"HEAD": 2, "GET": 1})
NOT_FOUND = Counter({"HEAD": 1})

# moto, in whose buckets 1,100 objects of somebody else's lie from the beginning: to put as many
# through the protocol takes it five seconds.
CROWDED_SERVER = """
import sys
from moto.s3.models import S3Backend
from moto.server import main

create_bucket = S3Backend.create_bucket

def create_crowded_bucket(self, name, *args, **kwargs):
    bucket = create_bucket(self, name, *args, **kwargs)
    for number in range(1100):
        self.put_object(name, f"media/{number:04}", b"")
    return bucket

S3Backend.create_bucket = create_crowded_bucket
main(sys.argv[1:])
"""


@pytest.mark.parametrize("place", [pytest.param("s3", marks=pytest.mark.s3), "gcs", "azure"])
def test_a_file_takes_a_request_and_an_unchanged_tree_one_listing(
    place: str, make_site: MakeSite
) -> None:
    site = make_site(place, FILES)

    first = site.deploy()
    warm = site.deploy()
    caches["default"].clear()
    cold = site.deploy()
    site.tree.write("folder3/3.css", b"changed")
    changed = site.deploy()

    assert (first.counts["LIST"], first.uploads, len(first.kinds)) == (1, 60, 61)
    assert ", 61 requests," in first.run.stdout
    assert warm.kinds == cold.kinds == ["LIST"]
    assert (changed.kinds[0], changed.uploads, len(changed.kinds)) == ("LIST", 1, 2)
    assert site.cloud.get("folder3/3.css").body == b"changed"


@pytest.mark.s3
def test_nothing_to_deploy_asks_for_nothing(make_site: MakeSite) -> None:
    assert make_site("s3", {}).deploy().kinds == []


@pytest.mark.s3
@pytest.mark.staging
class TestManifestOnS3:
    """The original and the hashed copy of each file, and the manifest."""

    @pytest.fixture(scope="class")
    @classmethod
    def deploys(cls, make_site: MakeSite) -> dict[str, Deploy]:
        backend = "storages.backends.s3.S3ManifestStaticStorage"
        site = make_site("s3", {**IMAGES, **STYLES}, backend=backend)
        found = {"first": site.deploy(), "warm": site.deploy()}
        caches["default"].clear()
        found["cold"] = site.deploy()
        site.tree.write("css/7.css", b"b { background: url(../images/7.png) } /* changed */")
        found["style sheet"] = site.deploy()
        site.tree.write("images/5.png", b"changed")
        found["image, dry"] = site.deploy(dry_run=True)
        found["image"] = site.deploy()
        return found

    def test_the_first_deploy_sends_each_object_once(self, deploys: dict[str, Deploy]) -> None:
        made = deploys["first"].counts - NOT_FOUND
        assert made == {"LIST": 1, "PUT": 2 * 30 + 1}

    def test_nothing_changed_is_one_listing(self, deploys: dict[str, Deploy]) -> None:
        for name in ("warm", "cold", "image, dry"):
            assert deploys[name].counts - LOADED == {"LIST": 1}, name

    def test_a_changed_style_sheet_is_three_uploads(self, deploys: dict[str, Deploy]) -> None:
        assert deploys["style sheet"].counts - LOADED == {"LIST": 1, "PUT": 3}

    def test_a_changed_image_is_sent_with_what_refers_to_it(
        self, deploys: dict[str, Deploy]
    ) -> None:
        # The image and its hashed copy, the hashed style sheet and the manifest.
        assert deploys["image"].counts - LOADED == {"LIST": 1, "PUT": 4}


class CrowdedCloud(S3Cloud):
    """A bucket on a server that goes away with all its buckets."""

    def remove(self) -> None:
        self.client.close()


@pytest.mark.s3
class TestFullBucket:
    """1,100 objects of somebody else's lie in it, more than a listing shows at once."""

    @pytest.fixture(scope="class")
    @classmethod
    def deploys(cls, make_site: MakeSite) -> Iterator[tuple[Deploy, Deploy, list[str]]]:
        def command(port: int) -> list[str]:
            return [sys.executable, "-c", CROWDED_SERVER, "-p", str(port)]

        with running("moto", command) as url, CrowdedCloud(S3Server(url)) as cloud:
            site = make_site(cloud, {"a.css": b"a", "z.css": b"z"})
            for name in site.tree.names():
                cloud.put(name, site.tree.path(name).read_bytes())
            beside = site.deploy()
            over = site.deploy(options={"location": "media"}, clear=True)
            yield beside, over, cloud.keys()

    def test_what_lies_between_the_files_is_not_listed(
        self, deploys: tuple[Deploy, Deploy, list[str]]
    ) -> None:
        beside, _, _ = deploys
        assert beside.kinds == ["LIST", "LIST"]
        # Right before the next file, not behind the first page.
        assert "z.cs" in beside.requests[1].query
        assert beside.summary == "0 static files copied, 2 unmodified."

    def test_a_thousand_are_deleted_by_a_request(
        self, deploys: tuple[Deploy, Deploy, list[str]]
    ) -> None:
        _, over, keys = deploys
        assert over.counts == {"PUT": 2, "LIST": 2, "DELETE_BATCH": 2}
        assert keys == ["a.css", "media/a.css", "media/z.css", "z.css"]
        assert over.summary.startswith(f"{deleted(1100)}2 static files copied")
