"""Listings: every key once and exact, in order, in pages, from any key on, and by leapfrog."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

import pytest

from benchmarks import fast_s3
from benchmarks.fast_s3 import FastS3Server
from collectfasta.remote import RemoteObject, compare
from collectfasta.stores.store import NoListingError, leapfrog
from tests.contract.answers import answer, listing, refuse
from tests.contract.conftest import KINDS, Sources, Target, attempt, refusal, send
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.memory import MemoryCloud
from tests.servers.fake_gcs import FakeGoogle, serve
from tests.servers.gcs import GoogleServer
from tests.servers.recorder import Recorder

# UTF-16 would sort the emoji before the fullwidth letter.
ODD = [
    " leading.css",
    "!*'()|^`.css",
    "%2F%20.css",
    "+.css",
    "-rf",
    "a b  c.css",
    "a&b=c.css",
    "a.css/b",
    "a/b/c/d.css",
    "dir/empty",
    "e.css",
    unicodedata.normalize("NFC", "é.css"),
    unicodedata.normalize("NFD", "é.css"),
    "\uff41.css",
    "\U0001f600.css",
    "~.css",
]
SEEKING = [kind for kind in KINDS if kind not in ("filesystem", "azure")]


def fill(target: Target, keys: list[str], body: bytes = b"x") -> None:
    """Store objects, as somebody else would."""
    for key in keys:
        target.cloud.put(key, body)


def listed(store: Any, prefix: str) -> list[str]:
    """Return all keys under a prefix."""
    return [entry.key for entry in store.list_all(prefix)]


def found(store: Any, *keys: str, threads: int = 0) -> list[str]:
    """Return which of some keys leapfrog finds, sorted."""
    entries = [entry.key for entry in leapfrog(store, keys, threads=threads)]
    assert len(entries) == len(set(entries))
    return sorted(entries)


@pytest.mark.needs_s3("listings in the order of keys")
class TestEveryKey:
    def test_all_are_listed_exactly_and_in_order(self, target: Target) -> None:
        fill(target, ODD)
        store = target.store()

        keys = listed(store, "")

        assert sorted(keys) == sorted(ODD)
        if store.seeks:
            assert keys == sorted(ODD)

    @pytest.mark.needs_s3("listings from any key")
    def test_all_that_are_expected_are_found_among_others(self, target: Target) -> None:
        fill(target, ODD)
        store = target.store()

        assert found(store, *ODD) == sorted(ODD)
        for first, second in pairwise(sorted(ODD)):
            assert found(store, second, first[:-1] + "_", first, threads=2) == [first, second]
        assert found(store, "absent.css", "zz/absent.css") == []
        assert found(store) == []

    @pytest.mark.needs_s3("listings from any key")
    @pytest.mark.parametrize("target", SEEKING, indirect=True)
    def test_listing_begins_near_any_key(self, target: Target) -> None:
        fill(target, ODD)
        store = target.store()

        for key in ODD:
            keys = [entry.key for entry in store.list("", key).entries]
            assert keys == sorted(keys)
            assert {each for each in ODD if each >= key} <= {*keys}

    def test_listing_begins_at_the_first_key_whatever_its_last_character(
        self, target: Target
    ) -> None:
        keys = [f"a{end}" for end in (" ", "!", "~", "\u0301", "\u00a0", "\uffee")]
        fill(target, keys)

        for key in keys:
            assert found(target.store(), key) == [key]


class TestPrefixes:
    NEIGHBOURS = ("static-old/app.js", "static.txt", "staticx/a.js", "other/app.js", "statiC/a.js")

    def test_border_of_a_location_is_its_slash(self, target: Target) -> None:
        ours = ["static/app.js", "static/static/app.js", "static/~"]
        fill(target, [*self.NEIGHBOURS, *ours])
        if target.kind != "filesystem":
            fill(target, ["static"])
        options = {} if target.kind == "filesystem" else {"location": "static"}
        store = target.store(**options)

        assert sorted(listed(store, "static/")) == ours
        expected = [*ours, "static/absent.js", "static/static"]
        assert found(store, *expected) == ours

    def test_location_is_all_that_is_asked_for(self, remote: Target) -> None:
        fill(remote, [*self.NEIGHBOURS, "static/app.js"])
        store = remote.store(location="static/")

        found(store, "static/app.js", "static/b.js")
        listed(store, store.prefix)

        lists = [parse_qs(each.query) for each in remote.cloud.requests]
        assert {each["prefix"][0] for each in lists} == {"static/"}
        assert len(lists) == 2

    def test_prefix_that_is_part_of_a_name(self, target: Target) -> None:
        fill(target, ["css/a.css", "css/b.css", "csv/a.css", "cs"])

        assert sorted(listed(target.store(), "css/a")) == ["css/a.css"]


class TestTimes:
    def test_objects_were_written_just_now(self, target: Target) -> None:
        fill(target, ["a.css"])

        (entry,) = target.store().list_all("")

        age = datetime.now(timezone.utc) - entry.listed.last_modified
        assert abs(age) < timedelta(seconds=30)

    def test_clock_of_the_service_counts(self, remote: Target) -> None:
        """Whatever this machine's is: an hour ago by the service's is an hour ago by ours."""
        fill(remote, ["a.css"])
        remote.recorded.recorder.set_clock(ahead=timedelta(hours=1))
        store = remote.store()
        # Google's and Azure's stores learn the date by the answer before.
        listed(store, "")

        (entry,) = store.list_all("")

        age = datetime.now(timezone.utc) - entry.listed.last_modified
        assert timedelta(minutes=59) < age < timedelta(minutes=61)


@pytest.mark.needs_s3("any key")
class TestKeysThatAreNotPaths:
    """obstore would show keys as paths: "x" for "/x" and for "x/"."""

    FOREIGN = ("b//c.css", "b/../a.css", "b/./c.css", "b/\x7f.css", "b/\t", "css/", "/a.css")

    @pytest.mark.parametrize("location", ["", "static"])
    def test_they_hide_nothing(self, s3: Target, location: str) -> None:
        prefix = f"{location}/" if location else ""
        ours = [f"{prefix}{name}" for name in ("a.css", "b/c.css", "css/d.css")]
        store = s3.store(location=location)
        for foreign in self.FOREIGN:
            fill(s3, [f"{prefix}{foreign}", *ours])

            assert found(store, *ours) == ours
            assert sorted(listed(store, prefix)) == sorted([*ours, f"{prefix}{foreign}"])
            s3.cloud.empty()

    def test_nothing_goes_by_boto3(self, combined: Target, sources: Sources) -> None:
        fill(combined, ["b//c.css"])
        store = combined.store()

        found(store, "a.css", "b/c.css")
        send(store, sources.write("b/c.css", b"x"))

        puts = [each for each in combined.cloud.requests if each.method == "PUT"]
        assert all(each.headers["user-agent"].startswith("object_store/") for each in puts)
        assert store.sender == "obstore"

    def test_markers_of_folders_are_not_taken_for_files(self, remote: Target) -> None:
        markers = ["css/", "css/a.css/", "static/", "static//"]
        fill(remote, markers, b"")
        store = remote.store()

        assert sorted(listed(store, "")) == markers
        (*hits,) = leapfrog(store, ["css/a.css", "css", "static"])
        # What may be a marker is asked for before it is taken for a file.
        assert [e.key for e in hits if e.listed.checksum or e.listed.read_checksum()] == []
        assert all(entry.listed.version == "" for entry in hits)

    def test_marker_does_not_hide_the_object_of_its_name(
        self, remote: Target, sources: Sources
    ) -> None:
        fill(remote, ["a/dir"], b"content")
        fill(remote, ["a/dir/"], b"")

        (hit,) = leapfrog(remote.store(), ["a/dir"])

        assert hit.listed.size == 7

    def test_empty_object_without_extension_is_recognised(
        self, target: Target, sources: Sources
    ) -> None:
        store, source = target.store(), sources.write("dir/empty", b"")
        send(store, source)

        (hit,) = leapfrog(store, ["dir/empty"])

        with source.open() as content:
            payload = store.payload("dir/empty", content)
            assert compare(source, payload, RemoteObject.of("dir/empty", hit.listed)).same

    @pytest.mark.parametrize("name", ["x.css", "+.css", "0.css", "-/x.css"])
    def test_key_with_a_slash_before_a_name_is_not_taken_for_it(
        self, s3: Target, name: str
    ) -> None:
        fill(s3, [f"/{name}"])

        assert found(s3.store(), name) == []


@pytest.fixture
def fake() -> FakeGoogle:
    """A server of Google's API that pages."""
    return FakeGoogle()


@pytest.fixture
def fake_google(fake: FakeGoogle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A bucket on it."""
    with serve(fake) as url, GoogleCloud(GoogleServer(url)) as cloud:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.recorder.url)
        yield Target("gcs", cloud)
        # Emptied at once: the cloud deletes one by one.
        fake.create_bucket(cloud.name)


class TestPages:
    """On servers that page: of the emulators, none pages and is quick with thousands."""

    @pytest.fixture
    def paged_memory(self) -> Target:
        cloud = MemoryCloud()
        cloud.bucket.page_size = 10
        return Target("memory", cloud)

    @pytest.fixture
    def paged_azure(self, azure: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
        monkeypatch.setattr("collectfasta.stores.azure._PAGE", 10)
        return azure

    @pytest.fixture
    def paged_google(self, fake: FakeGoogle, fake_google: Target) -> Target:
        fake.page_limit = 10
        return fake_google

    @pytest.fixture(params=["memory", "google", "azure"])
    def paged(self, request: pytest.FixtureRequest) -> Target:
        """A bucket whose listings have pages of ten."""
        target: Target = request.getfixturevalue(f"paged_{request.param}")
        return target

    @staticmethod
    def fill(target: Target, fake: FakeGoogle, keys: list[str]) -> None:
        """Store objects in a quick way."""
        if target.kind == "gcs":
            for key in keys:
                fake.put(target.recorded.name, key, b"x")
        else:
            fill(target, keys)

    @staticmethod
    def lists(store: Any) -> int:
        number: int = store.requests
        return number

    def test_all_pages_are_read(self, paged: Target, fake: FakeGoogle) -> None:
        keys = [f"{number:02}.css" for number in range(25)]
        self.fill(paged, fake, keys)
        store = paged.store()

        assert listed(store, "") == keys
        assert self.lists(store) == 3

    def test_all_pages_are_read_where_every_key_is_expected(
        self, paged: Target, fake: FakeGoogle
    ) -> None:
        keys = [f"static/{number:02}.css" for number in range(25)]
        self.fill(paged, fake, ["a.css", *keys])
        for threads in (0, 4):
            store = paged.store(location="static")

            assert found(store, *keys, threads=threads) == keys
            assert self.lists(store) == 3

    def test_foreign_pages_between_two_keys_are_jumped_over(
        self, paged: Target, fake: FakeGoogle
    ) -> None:
        self.fill(paged, fake, ["a.css", "z.css", *(f"media/{number}" for number in range(60))])
        store = paged.store()

        assert found(store, "a.css", "z.css") == ["a.css", "z.css"]
        assert self.lists(store) == 2

    def test_foreign_pages_before_the_first_key_are_jumped_over(
        self, paged: Target, fake: FakeGoogle
    ) -> None:
        self.fill(paged, fake, ["z/a.css", *(f"media/{number}" for number in range(30))])
        store = paged.store()

        assert found(store, "z/a.css", "z/b.css") == ["z/a.css"]
        assert self.lists(store) == (2 if paged.kind == "azure" else 1)

    def test_ranges_are_listed_by_threads(
        self, fake: FakeGoogle, paged_google: Target, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("collectfasta.stores.store.PAGE_SIZE", 10)
        keys = [f"{number:02}.css" for number in range(25)]
        self.fill(paged_google, fake, keys)
        for threads, half in ((0, 20), (8, 18)):
            paged_google.cloud.clear_requests()

            assert found(paged_google.store(), *keys, threads=threads) == keys
            begins = [
                parse_qs(request.query)["startOffset"][0] for request in paged_google.cloud.requests
            ]
            assert sorted(begins) == ["00.css", "10.css", f"{half}.css"]

    def test_empty_page_is_not_taken_for_the_last_one(
        self, fake: FakeGoogle, fake_google: Target
    ) -> None:
        fake.has_empty_pages = True
        fake.put(fake_google.recorded.name, "a.css", b"x")

        assert listed(fake_google.store(), "") == ["a.css"]
        assert found(fake_google.store(), "a.css") == ["a.css"]

    def test_order_is_that_of_utf8(self, fake: FakeGoogle, fake_google: Target) -> None:
        fake.page_limit = 1
        self.fill(fake_google, fake, ODD)

        assert listed(fake_google.store(), "") == sorted(ODD)
        assert found(fake_google.store(), *ODD[::2]) == sorted(ODD[::2])

    def test_composite_object_has_a_crc32c(
        self, fake: FakeGoogle, fake_google: Target, sources: Sources
    ) -> None:
        source = sources.write("a.bin", b"content")
        for content, same in ((b"content", True), (b"CONTENT", False)):
            fake.put(fake_google.recorded.name, "a.bin", content, composite=True)

            (hit,) = leapfrog(fake_google.store(), ["a.bin"])

            with source.open() as opened:
                payload = fake_google.store().payload("a.bin", opened)
                assert compare(source, payload, RemoteObject.of("a.bin", hit.listed)).same is same


@pytest.fixture(scope="module")
def server() -> Iterator[FastS3Server]:
    """A server that is quick with thousands of objects."""
    with fast_s3.serve(latency=0) as server:
        yield server


@pytest.fixture(scope="module")
def recorder(server: FastS3Server) -> Iterator[Recorder]:
    """What stands before it."""
    with Recorder(server.endpoint) as recorder:
        yield recorder


class TestPagesOfS3:
    """There a page has a thousand, and so has a deletion."""

    KEYS = tuple(f"{letter}/{number:04}.css" for letter in "bm" for number in range(1100))

    @pytest.fixture
    def options(self, recorder: Recorder) -> Iterator[dict[str, Any]]:
        yield {"endpoint_url": recorder.url, "bucket_name": "pages"}
        recorder.reset()

    @pytest.fixture(autouse=True)
    def _filled(
        self, server: FastS3Server, combined: Target, options: dict[str, Any], tmp_path: Any
    ) -> None:
        if server.look_at("pages").objects:
            return
        store = combined.store(**{**options, "endpoint_url": server.endpoint})
        sources = Sources(tmp_path / "filling")
        source = sources.write("x", b"x")

        def put(key: str) -> None:
            with source.open_body() as body:
                store.put(key, body, {})

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(put, self.KEYS))

    @pytest.fixture(params=["s3", "boto3"])
    def store(self, request: pytest.FixtureRequest, combined: Target, options: Any) -> Any:
        return Target(request.param, combined.cloud).store(**options)

    def test_all_are_listed(self, store: Any, recorder: Recorder) -> None:
        assert tuple(listed(store, "")) == self.KEYS
        assert len(recorder.requests) == 3

    @pytest.mark.parametrize("threads", [0, 4])
    def test_all_are_found(self, store: Any, recorder: Recorder, threads: int) -> None:
        assert tuple(found(store, *self.KEYS, threads=threads)) == self.KEYS
        assert len(recorder.requests) <= 3 + (1 if threads else 0)

    def test_foreign_pages_are_jumped_over(self, store: Any, recorder: Recorder) -> None:
        assert found(store, "a.css", "b/0000.css", "m/1099.css") == ["b/0000.css", "m/1099.css"]
        assert len(recorder.requests) == 2

    def test_deletions_go_by_thousands(
        self, store: Any, recorder: Recorder, server: FastS3Server
    ) -> None:
        store.delete([f"absent/{number}" for number in range(1001)])

        assert [each.query for each in recorder.requests] == ["delete", "delete"]
        assert len(server.look_at("pages").objects) == len(self.KEYS)


class TestFoldersOfAzure:
    """It can't begin a listing at a blob: without a location only the folders in use are listed."""

    @pytest.fixture
    def full(self, azure: Target, monkeypatch: pytest.MonkeyPatch) -> Target:
        """A container whose first page, of four blobs, ends with the first of two in "css"."""
        monkeypatch.setattr("collectfasta.stores.azure._PAGE", 4)
        names = ["a.css", "archive/1", "archive/2", "css/1.css", "css/2.css", "favicon.ico"]
        fill(azure, [*names, *(f"media/{number}" for number in range(9)), "site/a.css"])
        return azure

    @staticmethod
    def prefixes(target: Target) -> list[str]:
        """Return the prefix of each listing, "" where there is none."""
        queries = (parse_qs(each.query) for each in target.cloud.requests)
        return [query.get("prefix", [""])[0] for query in queries]

    def test_beyond_one_answer_only_the_folders_with_the_rest_are_listed(
        self, full: Target
    ) -> None:
        there = ["a.css", "css/1.css", "css/2.css", "favicon.ico", "site/a.css"]
        for threads in (0, 4):
            full.cloud.clear_requests()

            assert found(full.store(), *there, "new/a.css", threads=threads) == there
            first, *others = self.prefixes(full)
            assert first == ""
            assert sorted(others) == ["css/", "favicon.ico", "new/", "site/"]

    def test_beyond_one_answer_nothing_is_listed_where_it_has_all(self, full: Target) -> None:
        assert found(full.store(), "a.css", "css/1.css") == ["a.css", "css/1.css"]
        assert self.prefixes(full) == [""]

    @pytest.mark.parametrize(("folders", "prefixes"), [(50, 51), (51, 1)])
    def test_more_than_50_folders_are_listed_at_once(
        self, full: Target, folders: int, prefixes: int
    ) -> None:
        keys = [f"new-{number}/a.css" for number in range(folders - 1)]

        assert found(full.store(), *keys, "site/a.css", threads=4) == ["site/a.css"]
        assert len({*self.prefixes(full)}) == prefixes

    def test_folder_that_may_not_be_listed_is_denied(self, full: Target) -> None:
        refuse(
            full,
            lambda request: "prefix=site" in request.query,  # type: ignore[attr-defined]
            403,
            "AuthorizationPermissionMismatch",
        )

        error = refusal(lambda: found(full.store(), "a.css", "site/a.css", threads=2))

        assert error.denied


class TestEnd:
    """A listing that leads to itself."""

    @pytest.mark.parametrize("keys", [[], ["static/b.css"]], ids=["empty", "full"])
    def test_is_noticed_where_all_is_listed(self, remote: Target, keys: list[str]) -> None:
        answer(remote, remote.is_list, listing(remote, *keys, marker="bWFya2Vy"))
        store = remote.store(location="static")

        with pytest.raises(NoListingError, match=r"The listing does not (go on|end)") as caught:
            listed(store, "static/")

        assert caught.value.advice
        assert len(remote.cloud.requests) <= 3

    @pytest.mark.parametrize("keys", [[], ["static/b.css"]], ids=["empty", "full"])
    def test_is_noticed_or_left_where_some_are_expected(
        self, remote: Target, keys: list[str]
    ) -> None:
        answer(remote, remote.is_list, listing(remote, *keys, marker="bWFya2Vy"))
        store = remote.store(location="static")

        result = attempt(lambda: found(store, "static/a.css", "static/z.css"))

        assert result == [] or str(result).startswith("The listing does not ")
        # What may still be listing, does so no longer.
        remote.recorded.recorder.reset()

    def test_listing_goes_on_behind_a_key_that_is_not_a_path(self, s3: Target) -> None:
        # Between the next key and where its listing would begin.
        first = listing(s3, "a.css", "b/c.csr~//x", marker="more")
        answer(s3, lambda r: s3.is_list(r) and "%2F%2Fx" not in r.query, first)  # type: ignore[attr-defined]
        fill(s3, ["b/c.css"])

        assert found(s3.store(), "a.css", "b/c.css") == ["a.css", "b/c.css"]
