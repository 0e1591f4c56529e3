"""Which requests a deploy to Google Cloud Storage takes, counted at the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from django.core.cache import cache

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.google import GoogleCloud
from tests.servers.fake_gcs import FakeGoogle, serve
from tests.servers.gcs import GoogleServer
from tests.servers.recorder import Request


@pytest.fixture
def fake() -> FakeGoogle:
    """A server that pages, to be filled by the test."""
    return FakeGoogle()


@pytest.fixture
def fake_gcs(fake: FakeGoogle) -> Iterator[GoogleCloud]:
    """An empty bucket on that server."""
    with serve(fake) as url, GoogleCloud(GoogleServer(url)) as cloud:
        yield cloud
        fake.create_bucket(cloud.name)  # Emptied at once: the cloud deletes one by one.


def deploy(collectstatic: CollectStatic, cloud: GoogleCloud, threads: int) -> dict[str, int]:
    """Run the command and return the requests that it took."""
    cloud.clear_requests()
    collectstatic(cloud, threads=threads)
    return dict(cloud.counts())


@pytest.mark.parametrize("threads", [0, 8])
def test_200_files_take_an_upload_each_and_then_one_listing_a_deploy(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    for number in range(200):
        static_tree.write(f"{number % 7}/{number}.css", b"%d" % number)

    first = deploy(collectstatic, gcs, threads)
    warm = deploy(collectstatic, gcs, threads)
    cache.clear()
    cold = deploy(collectstatic, gcs, threads)
    static_tree.write("0/0.css", b"X")
    changed = deploy(collectstatic, gcs, threads)

    assert first == {"LIST": 1, "UPLOAD": 200}
    assert warm == cold == {"LIST": 1}
    assert changed == {"LIST": 1, "UPLOAD": 1}
    assert gcs.get("0/0.css").body == b"X"
    # In batches, for the fixture would delete them one by one.
    keys = gcs.keys()
    for start in (0, 100):
        with gcs.bucket.client.batch():
            gcs.bucket.delete_blobs(keys[start : start + 100])


def test_the_command_tells_the_number_of_requests(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", b"a")
    static_tree.write("b.css", b"b")

    run = collectstatic(gcs)

    assert len(gcs.requests) == 3
    assert "2 objects (2 bytes) sent to gs://" in run.stdout
    assert ", 3 requests," in run.stdout


def test_requests_are_those_of_the_sdk(
    gcs: GoogleCloud,
    collectstatic: CollectStatic,
    static_tree: StaticTree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def requests() -> list[tuple[str, str, list[tuple[str, str]]]]:
        gcs.clear_requests()
        collectstatic(gcs, force=True, options={"default_acl": "publicRead"})
        return sorted((each.method, _lasting(each.query), headers(each)) for each in gcs.requests)

    def headers(request: Request) -> list[tuple[str, str]]:
        return sorted((name, _lasting(value)) for name, value in request.headers.items())

    for name in ("a.css", "b c+d%2F~#\u00fc.js", "empty"):
        static_tree.write(name, name.encode() * (name != "empty"))
    static_tree.write("large.bin", bytes(5 * 1024 * 1024))

    shorter = requests()
    monkeypatch.setattr("collectfasta.strategies.gcloud_client.shorten_way", lambda session: None)

    assert shorter == requests()


def _lasting(text: str) -> str:
    """Blot out what names one request: identifiers of calls and uploads, and boundaries."""
    return re.sub(r"(gccl-invocation-id/|upload_id=|boundary=)[^ &]+", r"\1", text)


@pytest.mark.parametrize("location", ["static", "static/", "a/b"])
def test_only_what_is_under_the_location_is_listed(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, location: str
) -> None:
    static_tree.write("vendor/static/app.js", b"1")
    gcs.put("static-old/vendor/static/app.js", b"1")

    collectstatic(gcs, options={"location": location})

    key = f"{location.rstrip('/')}/vendor/static/app.js"
    (listing,) = [each for each in gcs.requests if gcs.kind(each) == "LIST"]
    assert parse_qs(listing.query)["prefix"] == [f"{location.rstrip('/')}/"]
    assert gcs.keys() == sorted([key, "static-old/vendor/static/app.js"])
    gcs.clear_requests()
    collectstatic(gcs, options={"location": location})
    assert gcs.counts() == {"LIST": 1}


def test_pages_of_foreign_objects_between_two_names_are_jumped_over(
    fake: FakeGoogle, fake_gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    fake.page_limit = 10
    for number in range(200):
        fake.put(fake_gcs.name, f"media/{number}", b"")
    for name in ("a.css", "z.css"):
        fake.put(fake_gcs.name, name, b"content")
        static_tree.write(name, b"content")

    collectstatic(fake_gcs)

    assert fake_gcs.counts() == {"LIST": 2}


def test_all_pages_are_read_where_every_object_is_expected(
    fake: FakeGoogle, fake_gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    fake.page_limit = 10
    for number in range(95):
        fake.put(fake_gcs.name, f"{number}.css", b"content")
        static_tree.write(f"{number}.css", b"content")

    run = collectstatic(fake_gcs)

    assert "95 unmodified" in run.stdout
    assert fake_gcs.counts() == {"LIST": 10}


@pytest.mark.parametrize(("threads", "second_half"), [(0, 20), (8, 18)])
def test_what_the_first_page_leaves_is_listed_in_ranges_by_threads(
    fake: FakeGoogle,
    fake_gcs: GoogleCloud,
    collectstatic: CollectStatic,
    static_tree: StaticTree,
    threads: int,
    second_half: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake.page_limit = 10
    monkeypatch.setattr("collectfasta.remote._PAGE", 10)
    for number in range(25):
        fake.put(fake_gcs.name, f"{number}.css".rjust(6, "0"), b"content")
        static_tree.write(f"{number}.css".rjust(6, "0"), b"content")

    run = collectstatic(fake_gcs, threads=threads)

    assert "25 unmodified" in run.stdout
    begins = sorted(parse_qs(each.query)["startOffset"][0] for each in fake_gcs.requests)
    assert begins == ["00.css", "10.css", f"{second_half}.css"]


def test_an_empty_page_is_not_taken_for_the_last_one(
    fake: FakeGoogle, fake_gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    fake.has_empty_pages = True
    fake.put(fake_gcs.name, "a.css", b"content")
    static_tree.write("a.css", b"content")

    collectstatic(fake_gcs)

    assert fake_gcs.counts() == {"LIST": 2}


def test_names_beyond_ascii_are_found_in_the_order_of_their_utf8(
    fake: FakeGoogle, fake_gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    fake.page_limit = 1
    # UTF-16 would sort the second before the first.
    for name in ("\uff41.css", "\U0001f600.css", "~.css", "e\u0301.css", "\u00e9.css"):
        fake.put(fake_gcs.name, name, b"content")
        static_tree.write(name, b"content")

    run = collectstatic(fake_gcs)

    assert "5 unmodified" in run.stdout
    assert "UPLOAD" not in fake_gcs.counts()


@pytest.mark.parametrize("threads", [0, 8])
def test_a_dry_run_lists_and_does_nothing_else(
    gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    gcs.put("static/left.css", b"left")
    static_tree.write("a.css", b"a")

    run = collectstatic(
        gcs,
        threads=threads,
        options={"location": "static"},
        dry_run=True,
        clear=True,
        verbosity=2,
    )

    assert gcs.counts().keys() == {"LIST"}
    assert gcs.keys() == ["static/left.css"]
    assert "Pretending to delete 'left.css'" in run.stdout
    assert "1 static file copied" in run.stdout
