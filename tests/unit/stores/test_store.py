"""What all stores share: listing only what is expected, page by page, and what goes wrong there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from hashlib import md5
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typing_extensions import override

from collectfasta.errors import StoreError
from collectfasta.stores import store as stores
from collectfasta.stores.s3.base import just_before
from collectfasta.stores.store import (
    Entry,
    NoListingError,
    Page,
    batches,
    is_compressed,
    leapfrog,
    next_token,
    reading_listing,
)
from tests.memory_store import Bucket, Call, MemoryStore


class AfterStore(MemoryStore):
    """Lists as S3 does, by ``StartAfter``: after a text that comes just before a key."""

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        begin = "" if token else max(just_before(start), after)
        return super().list(prefix, after=begin, token=token)


class DisorderedStore(MemoryStore):
    """Lists in an order of its own, and goes on by tokens only.

    Attributes:
        place: Where a key stands in its listings.
        takes_start: It takes where to begin for a place in that order; else it ignores it.
    """

    place: Any = staticmethod(lambda key: key.split("/"))
    takes_start = True

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        self.bucket.request("LIST", start or token)
        place = self.place
        begin = token or (max(just_before(start), after) if self.takes_start else "")
        keys = sorted((key for key in self.bucket.objects if key.startswith(prefix)), key=place)
        keys = [key for key in keys if not begin or place(key) > place(begin)]
        shown = keys[: self.bucket.page_size]
        entries = [Entry(key, self._describe(self.bucket.objects[key])) for key in shown]
        return Page(entries, shown[-1] if len(keys) > len(shown) else None)


class ShuffledStore(DisorderedStore):
    """Lists in no order, as S3's directory buckets."""

    place = staticmethod(lambda key: md5(key.encode()).digest())
    takes_start = False


class IgnoringStore(DisorderedStore):
    """Lists in the order of keys, from the beginning."""

    place = staticmethod(lambda key: key)
    takes_start = False


class UnseekingStore(MemoryStore):
    """Lists as Azure does: from the beginning only."""

    seeks = False

    @override
    def list(self, prefix: str, start: str = "", *, after: str = "", token: str = "") -> Page:
        return super().list(prefix, token=token)


def store_of(
    keys: Iterable[str],
    page_size: int = 1000,
    cls: type[MemoryStore] = MemoryStore,
    *,
    location: str = "",
) -> MemoryStore:
    """Return a store with these keys, that has made no request yet."""
    bucket = Bucket(page_size=page_size)
    for key in keys:
        bucket.put(key, b"x")
    return cls(SimpleNamespace(location=location, bucket=bucket))


def found_in(store: MemoryStore, expected: Iterable[str], threads: int = 0) -> list[str]:
    """Return the keys that are found, where a page of the service is one of the store."""
    with mock.patch.object(stores, "PAGE_SIZE", store.bucket.page_size):
        return sorted(key for key, _ in leapfrog(store, expected, threads=threads))


def plain_requests(store: MemoryStore) -> int:
    """Return how many requests a plain listing of everything takes."""
    return max(1, -(-len(store.bucket.objects) // store.bucket.page_size))


def requests(store: MemoryStore) -> int:
    return store.requests or 0


# Few characters make keys that begin with each other and that lie next to each other; the others
# are the ends of the ranges of ASCII, of UTF-16 surrogates and of Unicode.
keys = st.text(
    st.sampled_from("ab/~ !\x01\x7fé\ud7ff\ue000\uffff\U0001f600\U0010ffff"),
    min_size=1,
    max_size=4,
)
sets_of_keys = st.sets(keys, max_size=30)
page_sizes = st.integers(1, 5)
seeking = st.sampled_from([MemoryStore, AfterStore])
some_threads = st.integers(0, 4)


class TestLeapfrog:
    @given(
        sets_of_keys,
        sets_of_keys,
        page_sizes,
        st.sampled_from([*"fau"]),
        some_threads,
        st.booleans(),
    )
    def test_exactly_the_expected_keys_that_exist_are_found(
        self,
        stored: set[str],
        expected: set[str],
        page_size: int,
        way: str,
        threads: int,
        is_under_a_location: bool,
    ) -> None:
        cls = {"f": MemoryStore, "a": AfterStore, "u": UnseekingStore}[way]
        prefix = "b/" if is_under_a_location else ""
        others = ["b", "b0", "a/b/c"] if prefix else []
        all_keys = [*(prefix + key for key in stored), *others]
        store = store_of(all_keys, page_size, cls, location=prefix)
        found = found_in(store, [prefix + key for key in expected], threads)
        assert found == sorted(prefix + key for key in stored & expected)

    @given(sets_of_keys, sets_of_keys, page_sizes, seeking, some_threads)
    # An expected key behind all that is stored, after a page that was full and the last.
    @example({"a", "b"}, {"a", "c"}, 2, MemoryStore, 0)
    def test_it_takes_no_more_requests_than_a_plain_listing_and_one_for_each_range(
        self,
        stored: set[str],
        expected: set[str],
        page_size: int,
        cls: type[MemoryStore],
        threads: int,
    ) -> None:
        store = store_of(stored, page_size, cls)
        found_in(store, expected, threads)
        ranges = min(threads, -(-len(expected) // page_size))
        verbs = [call.verb for call in store.bucket.calls]
        assert verbs.count("LIST") <= plain_requests(store) + ranges
        # Where a server that walks through folders would list a missing key on another page.
        assert verbs.count("HEAD") <= 1

    @given(sets_of_keys, sets_of_keys, page_sizes)
    def test_without_seeking_each_folder_costs_a_request_at_most(
        self, stored: set[str], expected: set[str], page_size: int
    ) -> None:
        store = store_of(stored, page_size, UnseekingStore)
        found_in(store, expected)
        folders = {key.partition("/")[0] for key in expected}
        # The first page, and of each folder one that is not full.
        assert requests(store) <= plain_requests(store) + 1 + 2 * len(folders)

    @given(sets_of_keys, sets_of_keys, page_sizes)
    def test_without_seeking_many_folders_cost_one_plain_listing(
        self, stored: set[str], expected: set[str], page_size: int
    ) -> None:
        store = store_of(stored, page_size, UnseekingStore)
        with mock.patch.object(stores, "_MOST_FOLDERS", 0):
            assert found_in(store, expected) == sorted(stored & expected)
        assert requests(store) <= plain_requests(store)

    def test_few_requests_are_made(self) -> None:
        foreign = [f"{folder}/{n:05}" for folder in ("a", "m", "z") for n in range(10_000)]
        sparse = ["css/site.css", "static/site.js"]
        many = [f"{n:05}.css" for n in range(20_000)]
        cases = {
            "an empty bucket": ([], many, 0, 1),
            "an empty bucket, in threads": ([], many, 32, 1),
            "nothing expected": (["a.css"], [], 0, 0),
            "others before, between and after": ([*foreign, *sparse], sparse, 0, 2),
            "pages of expected keys": (many, [*reversed(many)], 0, 20),
            "pages of expected keys, in threads": (many, many, 32, 20),
        }
        for what, (stored, expected, threads, number) in cases.items():
            for cls in (MemoryStore, AfterStore):
                store = store_of(stored, cls=cls)
                found = [key for key, _ in leapfrog(store, expected, threads=threads)]
                assert sorted(found) == sorted({*stored} & {*expected}), what
                assert requests(store) == number, what

    def test_threads_ask_for_all_pages_but_the_first_at_a_time(self) -> None:
        expected = [f"{n:05}.css" for n in range(20_000)]
        store = store_of(expected)
        # Breaks unless all of them are asked for before one is answered.
        together = threading.Barrier(19, timeout=20)

        def answer(call: Call) -> None:
            if call.key != expected[0]:
                together.wait()

        store.bucket.fail = answer
        assert len(list(leapfrog(store, expected, threads=32))) == 20_000
        assert requests(store) == 20

    def test_a_page_that_fails_in_a_thread_fails_the_listing(self) -> None:
        expected = [f"{n:05}.css" for n in range(5000)]
        store = store_of(expected)

        def refuse(call: Call) -> None:
            if call.key > "03":
                raise StoreError("broken", kind="503")

        store.bucket.fail = refuse
        with pytest.raises(StoreError, match="broken"):
            list(leapfrog(store, expected, threads=8))

    def test_a_key_that_is_expected_twice_is_found_once(self) -> None:
        assert found_in(store_of(["a.css"]), ["a.css", "a.css"]) == ["a.css"]

    def test_a_service_that_does_not_go_on_is_not_listed_forever(self) -> None:
        expected = [f"static/{n}" for n in range(9)]
        for size in (0, 3):
            store = store_of(expected[:size], location="static")
            page = Page(store.list("").entries, token="more")
            with (
                mock.patch.object(MemoryStore, "list", lambda *_, page=page, **__: page),
                pytest.raises(NoListingError, match="each page leads to itself"),
            ):
                found_in(store, expected)

    def test_each_page_is_told_where_the_one_before_ended(self) -> None:
        store = store_of("abcd", 2)
        asked: list[tuple[str, str]] = []
        list_page = store.list

        def note(prefix: str, start: str, *, after: str = "") -> Page:
            asked.append((start, after))
            return list_page(prefix, start, after=after)

        with mock.patch.object(store, "list", note):
            found_in(store, ["a", "d"])
        assert asked == [("a", ""), ("d", "b")]


class TestLeapfrogWithoutOrder:
    """Servers whose listings are not in the order of keys, or begin elsewhere than asked to."""

    NAMES = (
        "app-theme/a.css",
        "app-theme/b.css",
        "app.js",
        "app/a.css",
        "app/b.css",
        "zz.css",
    )

    def test_all_that_exists_is_found(self, subtests: pytest.Subtests) -> None:
        each_cls: list[type[MemoryStore]] = [DisorderedStore, ShuffledStore, IgnoringStore]
        each_location: list[str] = ["", "static"]
        for cls in each_cls:
            for location in each_location:
                with subtests.test(cls=cls, location=location):
                    prefix = location and f"{location}/"
                    expected = [prefix + name for name in self.NAMES]
                    others = [f"{prefix}old{number}" for number in range(20)]
                    for size in (*range(1, 8), 1000):
                        for threads in (0, 3):
                            store = store_of([*expected, *others], size, cls, location=location)
                            # A page with one key is in order, whatever the order is.
                            if size > 1 or cls is not ShuffledStore:
                                assert found_in(store, expected, threads) == expected, (
                                    size,
                                    threads,
                                )

    # Files have no empty names.
    @given(st.sets(keys.filter(lambda key: "" not in key.split("/"))), page_sizes, some_threads)
    def test_folders_may_be_listed_before_what_stands_beside_them(
        self, stored: set[str], page_size: int, threads: int
    ) -> None:
        store = store_of(stored, page_size, DisorderedStore)
        assert found_in(store, stored, threads) == sorted(stored)

    def test_it_is_found_out_once(self) -> None:
        store = store_of(self.NAMES, 2, DisorderedStore)
        assert store.seeks
        found_in(store, self.NAMES)
        assert not store.seeks
        before = requests(store)
        found_in(store, self.NAMES)
        assert requests(store) - before <= plain_requests(store) + 2

    def test_a_missing_key_is_asked_for_once_and_only_where_it_could_be_elsewhere(self) -> None:
        expected = [*self.NAMES, "app/new.css", "app/new.js"]
        heads = []
        for missing in (expected, [*self.NAMES, "zzz.css"]):
            store = store_of(self.NAMES, 2)
            found_in(store, missing)
            heads.append([call.key for call in store.bucket.calls if call.verb == "HEAD"])
        assert heads == [["app/new.css"], []]

    def test_first_deploy_asks_for_nothing_more(self) -> None:
        store = store_of([])
        assert found_in(store, self.NAMES) == []
        assert [call.verb for call in store.bucket.calls] == ["LIST"]


class TestListAll:
    def test_every_key_under_a_prefix_is_listed_once(self) -> None:
        stored = ["a", "b", "b/1", "b/2", "b/3", "c"]
        for size in (1, 2, 3, 1000):
            store = store_of(stored, size)
            assert [key for key, _ in store.list_all("b/")] == ["b/1", "b/2", "b/3"]
            assert [key for key, _ in store.list_all("")] == stored

    def test_a_listing_that_does_not_end_is_refused(self) -> None:
        store = store_of("abc")
        entries = store.list("").entries
        pages = {
            "names 'a' a second time": lambda _, token: Page(entries, f"{token}x"),
            "each page leads to itself": lambda _, token: Page((), "x"),
        }
        for words, answer in pages.items():
            answer = mock.Mock(
                side_effect=lambda prefix, token, answer=answer: answer(prefix, token)
            )
            with (
                mock.patch.object(store, "list", answer),
                pytest.raises(NoListingError, match=words) as caught,
            ):
                list(store.list_all(""))
            assert "Check the storage's endpoint" in str(caught.value.advice)

    def test_next_token(self) -> None:
        assert [next_token("a", each) for each in ("b", "", None)] == ["b", None, None]
        with pytest.raises(NoListingError):
            next_token("a", "a")


class TestReadingListing:
    def test_an_answer_of_another_shape_is_not_a_listing(self) -> None:
        actions: list[Callable[[Any], object]] = [
            lambda answer: answer["Contents"],
            lambda answer: answer.entries,
            lambda answer: int(answer),
            lambda answer: answer + 1,
        ]
        for act in actions:
            with pytest.raises(NoListingError, match="is no listing"), reading_listing():
                act("<html>")

    def test_errors_that_mean_something_else_stay(self) -> None:
        with pytest.raises(UnicodeError), reading_listing(UnicodeError):
            b"\xff".decode()
        with pytest.raises(ConnectionError), reading_listing():
            raise ConnectionError


class Translated(MemoryStore):
    """A store whose SDK raises KeyErrors."""

    @override
    def translate(self, error: Exception) -> StoreError | None:
        return StoreError("told", kind="key") if isinstance(error, KeyError) else None


class TestTranslating:
    def test_errors_of_the_sdk_are_store_errors_and_others_are_left_alone(self) -> None:
        store = store_of([], cls=Translated)
        with pytest.raises(StoreError, match="told") as caught, store.translating():
            raise KeyError
        assert isinstance(caught.value.__cause__, KeyError)
        for error in (ValueError("mine"), StoreError("mine", kind="x")):
            with pytest.raises(type(error), match="mine"), store.translating():
                raise error


def test_batches_have_the_size_and_all_items() -> None:
    assert [*batches("abcde", 2)] == [["a", "b"], ["c", "d"], ["e"]]
    assert [*batches("", 2)] == []


def test_what_a_storage_compresses() -> None:
    storage = SimpleNamespace(gzip=True, gzip_content_types=("text/css",))
    off = SimpleNamespace(gzip=False, gzip_content_types=("text/css",))
    assert is_compressed(storage, "text/css", None)
    assert not is_compressed(storage, "text/css", "br")
    assert not is_compressed(storage, "image/png", None)
    assert not is_compressed(storage, None, None)
    assert not is_compressed(off, "text/css", None)
