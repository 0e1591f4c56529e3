"""What a deploy to Google Cloud Storage leaves in the bucket: names, bytes and headers."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile, File
from storages.backends.gcloud import GoogleCloudStorage

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.google import GoogleCloud
from tests.servers.fake_gcs import FakeGoogle, serve
from tests.servers.gcs import GoogleServer

MEGABYTE = 1024 * 1024
TEXT = b"body { color: red }\n" * 50
PARAMETERS = {
    "acl": "publicRead",
    "cache_control": "max-age=60",
    "content_disposition": "inline",
    "content_language": "en",
    "metadata": {"owner": "me"},
}


class PerObject(GoogleCloudStorage):
    """Decides by the name."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        if name.endswith(".css"):
            return {"cache_control": "no-cache", "content_type": "text/x-css", "acl": "private"}
        return {}


class Uppercase(GoogleCloudStorage):
    """Has a way of saving of its own."""

    def _save(self, name: str, content: File[bytes]) -> str:
        saved: str = super()._save(name, ContentFile(content.read().upper()))
        return saved


@pytest.fixture
def other(gcs_emulator: GoogleServer) -> Iterator[GoogleCloud]:
    """Another empty bucket."""
    with GoogleCloud(gcs_emulator) as cloud:
        yield cloud


@pytest.fixture
def kinds_of_files(static_tree: StaticTree) -> StaticTree:
    """Files that differ in what a storage does with them."""
    for name in ("a.css", "b c+d%2F~#\u00fc.js", "e.svg", "f.unknown", "g.css.gz", "h/i", "j.png"):
        static_tree.write(name, TEXT + name.encode())
    static_tree.write("empty.css", b"")
    static_tree.write("large.txt", TEXT * 2500)
    return static_tree


def acls(cloud: GoogleCloud) -> list[str]:
    """Return the predefined ACLs that uploads were begun with, sorted."""
    queries = (parse_qs(each.query) for each in cloud.requests if each.method == "POST")
    return sorted(query.get("predefinedAcl", [""])[0] for query in queries)


@pytest.mark.parametrize(
    ("options", "threads"),
    [
        pytest.param({}, 0, id="plain"),
        pytest.param({"gzip": True}, 8, id="gzip"),
        pytest.param({"gzip": True, "object_parameters": PARAMETERS}, 0, id="parameters"),
        pytest.param({"location": "a/b", "default_acl": "publicRead"}, 8, id="location"),
        pytest.param({"blob_chunk_size": 256 * 1024}, 8, id="chunks"),
        pytest.param(
            {"gzip": True, "object_parameters": {"content_encoding": "identity"}}, 8, id="encoded"
        ),
    ],
)
def test_bytes_and_headers_are_those_of_djangos_own_deploy(
    gcs: GoogleCloud,
    other: GoogleCloud,
    collectstatic: CollectStatic,
    kinds_of_files: StaticTree,
    options: dict[str, Any],
    threads: int,
) -> None:
    collectstatic(gcs, threads=threads, options=options)
    collectstatic(other, options=options, disable_collectfasta=True)

    assert len(gcs.keys()) == 9
    assert gcs.objects() == other.objects()
    assert acls(gcs) == acls(other)


@pytest.mark.parametrize("cold", [False, True])
def test_compressed_files_are_not_sent_again(
    gcs: GoogleCloud, collectstatic: CollectStatic, kinds_of_files: StaticTree, cold: bool
) -> None:
    collectstatic(gcs, options={"gzip": True})
    if cold:
        cache.clear()
    gcs.clear_requests()

    collectstatic(gcs, options={"gzip": True})

    assert gcs.counts() == {"LIST": 1}
    assert gzip.decompress(gcs.get("a.css").body) == TEXT + b"a.css"


def test_object_parameters_are_set(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", TEXT)

    collectstatic(gcs, options={"object_parameters": PARAMETERS, "default_acl": "private"})

    headers = gcs.get("a.css").headers
    assert headers["cache-control"] == "max-age=60"
    assert headers["content-disposition"] == "inline"
    assert headers["content-language"] == "en"
    assert headers["x-goog-meta-owner"] == "me"
    assert acls(gcs) == ["publicRead"]


def test_default_acl_is_set(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", TEXT)
    static_tree.write("large.bin", bytes(5 * MEGABYTE))

    collectstatic(gcs, options={"default_acl": "publicRead"})

    assert acls(gcs) == ["publicRead", "publicRead"]


def test_parameters_of_a_subclass_go_by_the_name(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", TEXT)
    static_tree.write("a.js", TEXT)

    collectstatic(gcs, backend=f"{__name__}.PerObject", options={"default_acl": "publicRead"})

    css, js = gcs.get("a.css").headers, gcs.get("a.js").headers
    assert (css["cache-control"], css["content-type"]) == ("no-cache", "text/x-css")
    assert "cache-control" not in js
    assert js["content-type"] == "text/javascript"
    assert acls(gcs) == ["private", "publicRead"]


def test_changed_parameters_are_a_change(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", TEXT)
    collectstatic(gcs, options={"object_parameters": {"cache_control": "max-age=1"}})

    collectstatic(gcs, options={"object_parameters": {"cache_control": "max-age=2"}})

    assert gcs.get("a.css").headers["cache-control"] == "max-age=2"


@pytest.mark.parametrize("threads", [0, 8])
def test_names_stay_exact_and_nothing_is_deleted_where_the_storage_does_not_overwrite(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    for content in (b"1", b"2"):
        static_tree.write("a.css", content)
        static_tree.write("b/a.css", content)
        collectstatic(gcs, threads=threads, options={"file_overwrite": False})

    assert {key: each.body for key, each in gcs.objects().items()} == {
        "a.css": b"2",
        "b/a.css": b"2",
    }
    assert gcs.counts().keys() == {"LIST", "UPLOAD"}


@pytest.mark.parametrize("cold", [False, True])
def test_an_object_replaced_by_others_is_replaced_again(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, cold: bool
) -> None:
    static_tree.write("a.css", b"ours")
    static_tree.write("b.css", b"ours")
    collectstatic(gcs)
    gcs.put("a.css", b"else")
    gcs.delete("b.css")
    if cold:
        cache.clear()

    collectstatic(gcs)

    assert [each.body for each in gcs.objects().values()] == [b"ours", b"ours"]


@pytest.mark.parametrize("threads", [0, 8])
def test_an_overridden_save_is_obeyed(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    options = {"file_overwrite": False, "location": "static"}
    for content in (b"old", b"new"):
        static_tree.write("a.css", content)
        static_tree.write("b.css", content)
        collectstatic(gcs, threads=threads, backend=f"{__name__}.Uppercase", options=options)

    bodies = {key: each.body for key, each in gcs.objects().items()}
    assert bodies == {"static/a.css": b"NEW", "static/b.css": b"NEW"}
    assert "DELETE" not in gcs.counts()


def test_what_an_overridden_save_has_stored_is_remembered(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", b"content")
    collectstatic(gcs, backend=f"{__name__}.Uppercase")
    gcs.clear_requests()

    collectstatic(gcs, backend=f"{__name__}.Uppercase")

    assert gcs.counts() == {"LIST": 1}


class TestLargeFile:
    # In chunks of 4 MiB: the last is shorter, or just full, which the client can't know.
    @pytest.mark.parametrize("size", [9 * MEGABYTE + 1, 8 * MEGABYTE])
    def test_is_stored_whole_and_is_unmodified_afterwards(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, size: int
    ) -> None:
        content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        static_tree.write("large.bin", content)

        collectstatic(gcs)

        assert gcs.get("large.bin").body == content
        cache.clear()
        gcs.clear_requests()
        run = collectstatic(gcs)
        assert "1 unmodified" in run.stdout
        assert gcs.counts() == {"LIST": 1}

    def test_is_never_held_in_memory(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        static_tree.write("large.bin", bytes(48 * MEGABYTE))
        tracemalloc.start()
        try:
            collectstatic(gcs, threads=0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert peak < 20 * MEGABYTE
        assert gcs.bucket.get_blob("large.bin").size == 48 * MEGABYTE


class TestCompositeObject:
    """Has no MD5, only a CRC32C."""

    @pytest.fixture
    def fake(self) -> FakeGoogle:
        return FakeGoogle()

    @pytest.fixture
    def fake_gcs(self, fake: FakeGoogle) -> Iterator[GoogleCloud]:
        with serve(fake) as url, GoogleCloud(GoogleServer(url)) as cloud:
            yield cloud

    def test_of_the_same_content_is_unmodified(
        self,
        fake: FakeGoogle,
        fake_gcs: GoogleCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
    ) -> None:
        static_tree.write("a.bin", b"content")
        fake.put(fake_gcs.name, "a.bin", b"content", composite=True)

        collectstatic(fake_gcs)

        assert fake_gcs.counts() == {"LIST": 1}

    def test_of_other_content_is_replaced(
        self,
        fake: FakeGoogle,
        fake_gcs: GoogleCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
    ) -> None:
        static_tree.write("a.bin", b"content")
        fake.put(fake_gcs.name, "a.bin", b"CONTENT", composite=True)

        collectstatic(fake_gcs)

        assert fake_gcs.counts() == {"LIST": 1, "UPLOAD": 1}
