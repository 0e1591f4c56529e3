"""Comparing with remote objects, and listing no more of them than needed."""

from __future__ import annotations

import hashlib
import io
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectfasta import remote
from collectfasta.checksums import Checksum, Pair, md5_of_parts
from collectfasta.remote import Page, RemoteIndex, RemoteObject, compare, leapfrog
from collectfasta.source import Payload, SourceFile
from collectfasta.strategies.s3 import is_plain, just_before
from tests.unit.helpers import sources_of

CONTENT = b"body { color: red }"
OTHER = b"body { color: tan }"  # as long
ENCODED = b"what a compressor makes of it"

MD5 = hashlib.md5(CONTENT).hexdigest()
MD5_OF_OTHER = hashlib.md5(OTHER).hexdigest()
MD5_OF_ENCODED = hashlib.md5(ENCODED).hexdigest()
SIZE = len(CONTENT)


@pytest.fixture
def source() -> SourceFile:
    (source,) = sources_of({"a.css": CONTENT})
    return source


def plain(**parameters: str) -> Payload:
    """Return the payload of the source as it is."""
    return Payload(io.BytesIO(CONTENT), parameters=parameters)


def encoded(**parameters: str) -> Payload:
    """Return the payload of the source as if it were compressed."""
    return Payload(io.BytesIO(ENCODED), encoded=True, parameters=parameters)


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError("The body was read.")


class TestCompare:
    def test_another_size_is_a_change_of_which_nothing_is_read(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", SIZE + 1, Checksum("md5", MD5), pair=Pair("v", MD5))
        assert compare(source, Payload(Unread()), remote).same is False

    def test_another_size_says_nothing_of_what_is_encoded(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", len(ENCODED), Checksum("md5", MD5_OF_ENCODED))
        assert compare(source, encoded(), remote).same is True

    def test_an_unknown_size_says_nothing(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", None, Checksum("md5", MD5))
        assert compare(source, plain(), remote).same is True

    @pytest.mark.parametrize(("checksum", "same"), [(MD5, True), (MD5_OF_OTHER, False)])
    def test_the_remembered_pair_decides_before_what_looks_like_an_md5(
        self, source: SourceFile, checksum: str, same: bool
    ) -> None:
        # As the ETag of an object under SSE-KMS does.
        pretended = Checksum("md5", MD5_OF_OTHER if same else MD5)
        remote = RemoteObject("a.css", "v", SIZE, pretended, pair=Pair("v", checksum))
        assert compare(source, plain(), remote).same is same

    @pytest.mark.parametrize(("checksum", "same"), [(MD5, True), (MD5_OF_ENCODED, False)])
    def test_the_remembered_pair_speaks_of_the_source_before_it_is_encoded(
        self, source: SourceFile, checksum: str, same: bool
    ) -> None:
        pair = Pair("v", checksum, encoded().fingerprint)
        remote = RemoteObject("a.css", "v", len(ENCODED), pair=pair)
        assert compare(source, encoded(), remote).same is same

    def test_a_pair_that_does_not_tell_whether_it_was_encoded_does_not_decide_of_what_is(
        self, source: SourceFile
    ) -> None:
        # As is remembered of what was found to be the same before compression was switched on.
        remote = RemoteObject("a.css", "v", SIZE, Checksum("md5", MD5), pair=Pair("v", MD5))
        assert compare(source, encoded(), remote).same is False

    @pytest.mark.parametrize("payload_of", [plain, encoded])
    def test_other_write_parameters_than_the_remembered_ones_are_a_change(
        self, source: SourceFile, payload_of: Callable[..., Payload]
    ) -> None:
        written = payload_of(CacheControl="max-age=60").fingerprint
        remote = RemoteObject("a.css", "v", SIZE, pair=Pair("v", MD5, written))
        assert compare(source, payload_of(CacheControl="max-age=60"), remote).same is True
        assert compare(source, payload_of(CacheControl="max-age=90"), remote).same is False

    def test_write_parameters_that_are_not_remembered_are_no_change(
        self, source: SourceFile
    ) -> None:
        remote = RemoteObject("a.css", "v", SIZE, pair=Pair("v", MD5))
        assert compare(source, plain(CacheControl="max-age=60"), remote).same is True

    @pytest.mark.parametrize(("checksum", "same"), [(MD5, True), (MD5_OF_OTHER, False)])
    def test_the_remote_checksum_decides_where_nothing_is_remembered(
        self, source: SourceFile, checksum: str, same: bool
    ) -> None:
        remote = RemoteObject("a.css", "v", SIZE, Checksum("md5", checksum))
        assert compare(source, plain(), remote).same is same

    @pytest.mark.parametrize(("checksum", "same"), [(MD5_OF_ENCODED, True), (MD5, False)])
    def test_the_remote_checksum_is_that_of_what_would_be_sent(
        self, source: SourceFile, checksum: str, same: bool
    ) -> None:
        remote = RemoteObject("a.css", "v", len(ENCODED), Checksum("md5", checksum))
        assert compare(source, encoded(), remote).same is same

    @pytest.mark.parametrize(("checksum", "same"), [(MD5, True), (MD5_OF_OTHER, False)])
    def test_a_checksum_that_has_to_be_worked_out_decides_too(
        self, source: SourceFile, checksum: str, same: bool
    ) -> None:
        remote = RemoteObject("a.css", "v", SIZE, read_checksum=lambda: Checksum("md5", checksum))
        assert compare(source, plain(), remote).same is same

    def test_nothing_can_be_told_of_an_object_without_any_checksum(
        self, source: SourceFile
    ) -> None:
        assert compare(source, plain(), RemoteObject("a.css", "v", SIZE)).same is None

    def test_there_is_nothing_to_remember_of_what_can_not_be_told(self, source: SourceFile) -> None:
        assert compare(source, plain(), RemoteObject("a.css", "v", SIZE)).pair is None

    def test_there_is_nothing_to_remember_of_a_change(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", SIZE, Checksum("md5", MD5_OF_OTHER))
        assert compare(source, plain(), remote).pair is None

    @pytest.mark.parametrize(
        "checksum",
        [
            Checksum("md5", MD5),
            Checksum("md5-parts", md5_of_parts(io.BytesIO(CONTENT), 4), part_size=4),
        ],
        ids=lambda checksum: checksum.algorithm,
    )
    def test_the_md5_of_the_source_is_remembered_of_what_is_the_same(
        self, source: SourceFile, checksum: Checksum
    ) -> None:
        remote = RemoteObject("a.css", "v", SIZE, checksum)
        assert compare(source, plain(), remote).pair == Pair("v", MD5)

    def test_the_md5_of_the_source_is_remembered_of_what_is_encoded(
        self, source: SourceFile
    ) -> None:
        remote = RemoteObject("a.css", "v", len(ENCODED), Checksum("md5", MD5_OF_ENCODED))
        pair = Pair("v", MD5, encoded().fingerprint)
        assert compare(source, encoded(), remote).pair == pair

    def test_what_was_remembered_stays_with_its_write_parameters(self, source: SourceFile) -> None:
        pair = Pair("v", MD5, plain().fingerprint)
        assert compare(source, plain(), RemoteObject("a.css", "v", SIZE, pair=pair)).pair == pair


class TestRemoteObject:
    def test_a_pair_of_this_version_is_taken(self) -> None:
        pair = Pair("v", "c")
        assert RemoteObject("a.css", "v").with_pair(pair).pair == pair

    @pytest.mark.parametrize("version", ["w", ""])
    def test_a_pair_of_another_version_is_not_taken(self, version: str) -> None:
        assert RemoteObject("a.css", version).with_pair(Pair("v", "c")).pair is None

    def test_a_pair_is_not_taken_where_no_version_is_known(self) -> None:
        assert RemoteObject("a.css", "").with_pair(Pair("", "c")).pair is None

    def test_without_a_pair_it_stays_as_it_is(self) -> None:
        remote = RemoteObject("a.css", "v", 1)
        assert remote.with_pair(None) == remote


def refuse(name: str) -> RemoteObject | None:
    raise AssertionError(f"{name} was looked up.")


class TestRemoteIndex:
    def test_a_listed_object_is_found_without_a_look_up(self) -> None:
        remote = RemoteObject("a.css", "v")
        assert RemoteIndex([remote], refuse).get("a.css") == remote

    def test_what_is_not_listed_is_not_there(self) -> None:
        assert RemoteIndex([RemoteObject("a.css", "v")], refuse).get("b.css") is None

    def test_an_empty_listing_is_a_listing(self) -> None:
        index = RemoteIndex([], refuse)
        assert index.get("a.css") is None

    def test_without_a_listing_each_object_is_looked_up(self) -> None:
        index = RemoteIndex(None, lambda name: RemoteObject(name, "v"))
        assert index.get("a.css") == RemoteObject("a.css", "v")


class Bucket:
    """A model of a bucket that lists in the order of the keys' UTF-8, page by page."""

    def __init__(self, keys: Iterable[str], page_size: int) -> None:
        self.keys = sorted(set(keys), key=str.encode)
        self.page_size = page_size
        self.requests = 0

    def page(self, start: int) -> Page[str]:
        """Answer one request."""
        self.requests += 1
        end = start + self.page_size
        # Keys and what is said of them: here, the key itself.
        return Page([(key, key) for key in self.keys[start:end]], is_last=end >= len(self.keys))

    def list_from(self, key: str, last: str) -> Page[str]:
        """List as GCS does, by ``start_offset``: from a key on."""
        assert key.encode() > last.encode()
        return self.page(bisect_left(self._encoded, key.encode()))

    def list_after(self, key: str, last: str) -> Page[str]:
        """List as S3 does, by ``StartAfter``: behind a key."""
        after = max(just_before(key), last)
        return self.page(bisect_right(self._encoded, after.encode()))

    @property
    def _encoded(self) -> Sequence[bytes]:
        return [key.encode() for key in self.keys]

    @property
    def plain_requests(self) -> int:
        """How many requests a plain listing of everything takes."""
        return max(1, -(-len(self.keys) // self.page_size))


# Few characters make keys that begin with each other and that lie next to each other; the others
# are the ends of the ranges of ASCII, of UTF-16 surrogates and of Unicode.
keys = st.text(
    st.sampled_from("ab/~ !\x01\x7fé\ud7ff\ue000\uffff\U0001f600\U0010ffff"),
    min_size=1,
    max_size=4,
)
sets_of_keys = st.sets(keys, max_size=30)
ways = pytest.mark.parametrize("way", ["list_from", "list_after"])


class TestLeapfrog:
    @ways
    @given(sets_of_keys, sets_of_keys, st.integers(1, 5))
    def test_it_finds_exactly_the_expected_keys_that_exist(
        self, way: str, stored: set[str], expected: set[str], page_size: int
    ) -> None:
        bucket = Bucket(stored, page_size)
        found = list(leapfrog(expected, getattr(bucket, way)))
        assert sorted(found) == sorted((key, key) for key in stored & expected)

    @ways
    @given(sets_of_keys, sets_of_keys, st.integers(1, 5))
    # An expected key behind all that is stored, after a page that was full and the last.
    @example({"a", "b"}, {"a", "c"}, 2)
    def test_it_takes_no_more_requests_than_a_plain_listing(
        self, way: str, stored: set[str], expected: set[str], page_size: int
    ) -> None:
        bucket = Bucket(stored, page_size)
        list(leapfrog(expected, getattr(bucket, way)))
        assert bucket.requests <= bucket.plain_requests

    @ways
    def test_an_empty_bucket_takes_one_request(self, way: str) -> None:
        bucket = Bucket([], 1000)
        assert list(leapfrog([f"{n}.css" for n in range(5000)], getattr(bucket, way))) == []
        assert bucket.requests == 1

    @ways
    def test_nothing_expected_takes_no_request(self, way: str) -> None:
        bucket = Bucket(["a.css"], 1000)
        assert list(leapfrog([], getattr(bucket, way))) == []
        assert bucket.requests == 0

    @ways
    def test_it_jumps_over_foreign_keys_between_before_and_behind_the_expected_ones(
        self, way: str
    ) -> None:
        foreign = [f"{folder}/{n:05}" for folder in ("a", "m", "z") for n in range(10_000)]
        expected = ["css/site.css", "static/site.js"]
        bucket = Bucket([*foreign, *expected], 1000)
        assert sorted(leapfrog(expected, getattr(bucket, way))) == [(key, key) for key in expected]
        assert bucket.requests == 2

    @ways
    def test_it_takes_one_request_for_a_page_of_expected_keys(self, way: str) -> None:
        expected = [f"{n:05}.css" for n in range(3000)]
        bucket = Bucket(expected, 1000)
        assert len(list(leapfrog(reversed(expected), getattr(bucket, way)))) == 3000
        assert bucket.requests == 3

    @given(sets_of_keys, sets_of_keys, st.integers(1, 5), st.integers(1, 4))
    def test_threads_find_exactly_the_expected_keys_that_exist(
        self, stored: set[str], expected: set[str], page_size: int, threads: int
    ) -> None:
        bucket = Bucket(stored, page_size)
        with mock.patch.object(remote, "_PAGE", page_size):
            found = list(leapfrog(expected, bucket.list_from, threads=threads))
        assert sorted(found) == sorted((key, key) for key in stored & expected)

    @given(sets_of_keys, sets_of_keys, st.integers(1, 5), st.integers(1, 4))
    def test_threads_take_at_most_one_request_more_for_each_range(
        self, stored: set[str], expected: set[str], page_size: int, threads: int
    ) -> None:
        bucket = Bucket(stored, page_size)
        ranges = min(threads, -(-len(expected) // page_size))
        with mock.patch.object(remote, "_PAGE", page_size):
            list(leapfrog(expected, bucket.list_from, threads=threads))
        assert bucket.requests <= bucket.plain_requests + ranges

    def test_threads_ask_for_all_pages_but_the_first_at_a_time(self) -> None:
        expected = [f"{n:05}.css" for n in range(20_000)]
        bucket = Bucket(expected, 1000)
        # Breaks unless all of them are asked for before one is answered.
        together = threading.Barrier(19, timeout=20)

        def list_from(key: str, last: str) -> Page[str]:
            if bucket.requests:
                together.wait()
            return bucket.list_from(key, last)

        assert len(list(leapfrog(expected, list_from, threads=32))) == 20_000
        assert bucket.requests == 20

    def test_threads_ask_an_empty_bucket_once(self) -> None:
        bucket = Bucket([], 1000)
        expected = [f"{n:05}.css" for n in range(20_000)]
        assert list(leapfrog(expected, bucket.list_from, threads=32)) == []
        assert bucket.requests == 1

    def test_a_page_that_fails_in_a_thread_fails_the_listing(self) -> None:
        bucket = Bucket([f"{n:05}.css" for n in range(5000)], 1000)

        def list_from(key: str, last: str) -> Page[str]:
            if key > "03":
                raise ConnectionError("broken")
            return bucket.list_from(key, last)

        with pytest.raises(ConnectionError, match="broken"):
            list(leapfrog(bucket.keys, list_from, threads=8))

    @ways
    def test_a_key_that_is_expected_twice_is_found_once(self, way: str) -> None:
        bucket = Bucket(["a.css"], 1000)
        assert list(leapfrog(["a.css", "a.css"], getattr(bucket, way))) == [("a.css", "a.css")]

    def test_a_server_that_does_not_go_on_is_not_listed_for_ever(self) -> None:
        bucket = Bucket([f"{n}" for n in range(9)], 3)
        pages = leapfrog(bucket.keys, lambda *_: bucket.page(0))
        assert sorted(pages) == [(key, key) for key in "012"]

    def test_an_empty_page_ends_the_listing(self) -> None:
        pages = iter([Page[str]((), is_last=False)])
        assert list(leapfrog(["a.css"], lambda *_: next(pages))) == []

    def test_each_page_says_where_the_one_before_ended(self) -> None:
        bucket = Bucket(["a", "b", "c", "d"], 2)
        asked: list[tuple[str, str]] = []

        def list_from(key: str, last: str) -> Page[str]:
            asked.append((key, last))
            return bucket.list_from(key, last)

        list(leapfrog(["a", "d"], list_from))
        assert asked == [("a", ""), ("d", "b")]


@given(keys)
def test_what_s3_is_asked_to_list_behind_sorts_before_the_key(key: str) -> None:
    assert just_before(key).encode() < key.encode()


@given(keys)
def test_what_s3_is_asked_to_list_behind_adds_nothing_that_a_service_may_not_take(key: str) -> None:
    before = just_before(key)
    # It is the key's beginning, and at most two characters more.
    added = next(
        before[size:] for size in range(len(before), -1, -1) if key[:size] == before[:size]
    )
    assert all(" " <= character <= "~" for character in added)


@given(keys)
def test_what_s3_is_asked_to_list_behind_is_a_plain_path(key: str) -> None:
    assert not just_before(key) or is_plain(just_before(key))


def test_a_copy_of_a_remote_object_is_no_other_for_how_its_checksum_is_read() -> None:
    remote = RemoteObject("a.css", "v", 1)
    assert replace(remote, read_checksum=lambda: Checksum("md5", MD5)) == remote
