"""Checksums of content, and the cache that remembers them."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from functools import cache as cache_calls
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from collectfasta.checksums import (
    CHUNK_SIZE,
    Checksum,
    ChecksumCache,
    Pair,
    crc32c,
    md5,
    md5_of_parts,
    read_chunks,
)
from tests.unit.caches import CountingCache, caches_of

MEGABYTE = 1024 * 1024
MANY = 30_000
# So many need several entries.
SOME = 4_000


def etag_of_parts(content: bytes, part_size: int) -> str:
    """Work out a multipart ETag as S3 defines it, with everything in memory."""
    parts = [content[start : start + part_size] for start in range(0, len(content), part_size)]
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


class Dribble(io.BytesIO):
    """A file that gives less than it is asked for, as sockets and decompressors do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size) if size and size > 0 else 3)


class TestContent:
    @given(st.binary())
    def test_md5_is_that_of_all_bytes(self, content: bytes) -> None:
        assert md5(io.BytesIO(content)) == hashlib.md5(content).hexdigest()

    def test_md5_of_a_large_file_is_that_of_all_its_chunks(self) -> None:
        content = bytes(range(256)) * 10_000
        assert len(content) > 2 * CHUNK_SIZE
        assert md5(io.BytesIO(content)) == hashlib.md5(content).hexdigest()

    def test_text_counts_as_its_utf_8(self) -> None:
        assert md5(io.StringIO("é" * 10)) == hashlib.md5("é".encode() * 10).hexdigest()

    def test_a_body_is_read_in_chunks_of_the_size_at_most(self) -> None:
        assert list(read_chunks(io.BytesIO(b"abcde"), 2)) == [b"ab", b"cd", b"e"]

    @given(st.binary(min_size=1), st.integers(1, 20))
    def test_md5_of_parts_is_the_etag_of_a_multipart_upload(
        self, content: bytes, part_size: int
    ) -> None:
        expected = etag_of_parts(content, part_size)
        assert md5_of_parts(io.BytesIO(content), part_size) == expected

    @given(st.binary(min_size=1), st.integers(1, 20))
    def test_md5_of_parts_does_not_depend_on_how_much_each_read_gives(
        self, content: bytes, part_size: int
    ) -> None:
        assert md5_of_parts(Dribble(content), part_size) == etag_of_parts(content, part_size)

    def test_a_part_may_be_larger_than_a_chunk(self) -> None:
        content, part_size = bytes(range(256)) * 10_000, CHUNK_SIZE + 5
        assert md5_of_parts(io.BytesIO(content), part_size) == etag_of_parts(content, part_size)

    # The check value of CRC-32C in the catalogue of parametrised CRC algorithms, and of nothing.
    @pytest.mark.parametrize(("content", "expected"), [(b"123456789", "e3069283"), (b"", "0" * 8)])
    def test_crc32c_is_the_castagnoli_one(self, content: bytes, expected: str) -> None:
        assert crc32c(io.BytesIO(content)) == expected

    @pytest.mark.parametrize(
        "checksum",
        [
            Checksum("md5", hashlib.md5(b"123456789").hexdigest()),
            Checksum("md5-parts", etag_of_parts(b"123456789", 4), part_size=4),
            Checksum("crc32c", "e3069283"),
        ],
        ids=lambda checksum: checksum.algorithm,
    )
    def test_a_checksum_matches_its_content_only(self, checksum: Checksum) -> None:
        assert checksum.matches(io.BytesIO(b"123456789"))
        assert not checksum.matches(io.BytesIO(b"12345678"))


@cache_calls
def pairs_of(number: int) -> Mapping[str, Pair]:
    """Return pairs of usual sizes."""
    return {
        f"some-application/images/picture-{n}.0123456789ab.png": Pair(
            hashlib.md5(b"%d" % n).hexdigest(), "c" * 32, "p" * 16
        )
        for n in range(number)
    }


texts = st.text(max_size=20)
pairs_by_name = st.dictionaries(texts, st.builds(Pair, texts, texts, texts))


class TestChecksumCache:
    @given(pairs_by_name)
    def test_what_was_saved_is_loaded(self, pairs: dict[str, Pair]) -> None:
        ChecksumCache("target").save(pairs)
        assert ChecksumCache("target").load() == pairs

    @given(pairs_by_name, pairs_by_name)
    def test_names_that_are_gone_are_gone(
        self, before: dict[str, Pair], after: dict[str, Pair]
    ) -> None:
        ChecksumCache("target").save(before)
        second = ChecksumCache("target")
        second.load()
        second.save(after)
        assert ChecksumCache("target").load() == after

    def test_many_names_that_are_gone_leave_no_entry_behind(self, counting: CountingCache) -> None:
        ChecksumCache("target").save(pairs_of(SOME))
        second = ChecksumCache("target")
        second.load()
        second.save(pairs_of(1))
        assert len(cache.get_many(counting.written[0])) == 1

    def test_nothing_is_loaded_where_nothing_was_saved(self) -> None:
        assert ChecksumCache("target").load() == {}

    @given(pairs_by_name, pairs_by_name)
    def test_two_targets_never_see_each_other(
        self, first: dict[str, Pair], second: dict[str, Pair]
    ) -> None:
        ChecksumCache("s3 aws bucket static/").save(first)
        ChecksumCache("s3 aws bucket static-old/").save(second)
        assert ChecksumCache("s3 aws bucket static/").load() == first

    def test_two_prefixes_of_keys_never_see_each_other(self) -> None:
        ChecksumCache("target").save({"a.css": Pair("1", "c")})
        with override_settings(COLLECTFASTA_CACHE_KEY_PREFIX="another-project-"):
            assert ChecksumCache("target").load() == {}

    def test_the_cache_that_the_setting_names_is_used(self) -> None:
        locmem = "django.core.cache.backends.locmem.LocMemCache"
        both = {
            "default": {"BACKEND": locmem, "LOCATION": "default"},
            "static": {"BACKEND": locmem, "LOCATION": "static"},
        }
        with override_settings(CACHES=both, COLLECTFASTA_CACHE="static"):
            ChecksumCache("target").save({"a.css": Pair("1", "c")})
            caches["default"].clear()
            assert ChecksumCache("target").load() == {"a.css": Pair("1", "c")}

    def test_entries_outlive_the_timeout_of_the_cache(self) -> None:
        # A timeout of 0 expires an entry at once.
        with override_settings(CACHES=caches_of("CountingCache", TIMEOUT=0)):
            ChecksumCache("target").save({"a.css": Pair("1", "c")})
            assert ChecksumCache("target").load() == {"a.css": Pair("1", "c")}

    def test_no_entry_reaches_what_memcached_takes(self, counting: CountingCache) -> None:
        ChecksumCache("target").save(pairs_of(MANY))
        assert counting.largest < MEGABYTE / 2

    def test_no_entry_of_wide_characters_reaches_what_memcached_takes(
        self, counting: CountingCache
    ) -> None:
        pair, wide = Pair("v" * 34, "c" * 32, "p" * 16), "\U0001f600" * 100
        pairs = {f"{wide}{n}": pair for n in range(MANY)}
        ChecksumCache("target").save(pairs)
        assert counting.largest < MEGABYTE

    def test_entries_become_more_with_the_names_not_larger(self, counting: CountingCache) -> None:
        ChecksumCache("small").save(pairs_of(100))
        ChecksumCache("large").save(pairs_of(MANY))
        small, large = counting.written
        assert len(small) == 1
        assert 8 <= len(large) <= 64

    def test_many_names_are_loaded_from_many_entries(self) -> None:
        ChecksumCache("target").save(pairs_of(SOME))
        assert ChecksumCache("target").load() == pairs_of(SOME)

    @pytest.mark.parametrize("number", [1, SOME])
    def test_a_deploy_that_changes_nothing_takes_two_round_trips_at_most(
        self, counting: CountingCache, number: int
    ) -> None:
        ChecksumCache("target").save(pairs_of(number))
        counting.trips.clear()
        second = ChecksumCache("target")
        second.save(second.load())
        assert set(counting.trips) == {"get_many"}
        assert counting.trips["get_many"] <= 2

    @pytest.mark.parametrize("number", [1, SOME])
    def test_a_first_deploy_takes_one_round_trip_each_way(
        self, counting: CountingCache, number: int
    ) -> None:
        first = ChecksumCache("target")
        first.load()
        first.save(pairs_of(number))
        assert counting.trips == {"get_many": 1, "set_many": 1}

    def test_a_deploy_that_changes_everything_takes_four_round_trips_at_most(
        self, counting: CountingCache
    ) -> None:
        ChecksumCache("target").save(pairs_of(SOME))
        counting.trips.clear()
        second = ChecksumCache("target")
        second.load()
        second.save({"a.css": Pair("1", "c")})
        assert counting.trips == {"get_many": 2, "set_many": 1, "delete_many": 1}

    def test_only_the_entry_of_a_changed_name_is_written_again(
        self, counting: CountingCache
    ) -> None:
        pairs = pairs_of(SOME)
        ChecksumCache("target").save(pairs)
        counting.written.clear()
        second = ChecksumCache("target")
        second.load()
        name = next(iter(pairs))
        second.save({**pairs, name: Pair("v" * 32, "d" * 32, "p" * 16)})
        ((key,),) = counting.written
        assert name in cache.get(key)

    def test_a_name_that_is_not_unicode_does_not_fail(self) -> None:
        # As os.listdir() gives names of bytes that are not UTF-8.
        pairs = {"\udcff.css": Pair("1", "c"), "a.css": Pair("2", "c")}
        ChecksumCache("target").save(pairs)
        assert ChecksumCache("target").load()["a.css"] == Pair("2", "c")


def own_entry(counting: CountingCache) -> tuple[str, str]:
    """Save a pair, and return key and value of the entry that it led to."""
    ChecksumCache("target").save({"a.css": Pair("1", "c")})
    ((key,),) = counting.written
    return key, cache.get(key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: (
        st.lists(children)
        | st.dictionaries(
            st.sampled_from(["format", "shards", "pairs", "a.css"]) | st.text(), children
        )
    ),
)


class TestEntriesOfOthers:
    @pytest.mark.parametrize(
        "value",
        [
            b"\x80\x81",
            None,
            1,
            ["a.css"],
            "",
            "c4ca4238a0b923820dcc509a6f75849b",
            "null",
            "[" * 100_000,
            "\ud800",
            "9" * 5000,
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_a_value_of_somebody_else_is_a_miss_and_replaced(
        self, counting: CountingCache, value: object
    ) -> None:
        key, text = own_entry(counting)
        cache.set(key, value)
        second = ChecksumCache("target")
        assert second.load() == {}
        second.save({"a.css": Pair("1", "c")})
        assert cache.get(key) == text

    @pytest.mark.parametrize(
        "change",
        [
            {"format": 2},
            {"format": None},
            {"shards": 0},
            {"shards": -1},
            {"shards": 10**9},
            {"shards": "1"},
            {"shards": 1.5},
            {"pairs": None},
            {"pairs": ["a.css"]},
            {"pairs": {"a.css": None}},
            {"pairs": {"a.css": "abc"}},
            {"pairs": {"a.css": ["1"]}},
            {"pairs": {"a.css": ["1", "c", "", ""]}},
            {"pairs": {"a.css": [1, "c", ""]}},
        ],
        ids=str,
    )
    def test_an_entry_of_another_version_is_a_miss_and_replaced(
        self, counting: CountingCache, change: dict[str, object]
    ) -> None:
        key, text = own_entry(counting)
        cache.set(key, json.dumps({**json.loads(text), **change}))
        second = ChecksumCache("target")
        assert second.load() == {}
        second.save({"a.css": Pair("1", "c")})
        assert cache.get(key) == text

    @pytest.mark.parametrize("key", ["format", "shards", "pairs"])
    def test_an_entry_that_lacks_something_is_a_miss(
        self, counting: CountingCache, key: str
    ) -> None:
        entry_key, text = own_entry(counting)
        entry = json.loads(text)
        del entry[key]
        cache.set(entry_key, json.dumps(entry))
        assert ChecksumCache("target").load() == {}

    @override_settings(CACHES=caches_of("CountingCache"))
    @given(json_values)
    def test_no_json_whatever_prevents_that_the_entry_is_replaced(self, value: object) -> None:
        counting: Any = caches["default"]
        counting.written.clear()
        key, _ = own_entry(counting)
        cache.set(key, json.dumps(value))
        second = ChecksumCache("target")
        second.load()
        second.save({"a.css": Pair("2", "c")})
        assert ChecksumCache("target").load() == {"a.css": Pair("2", "c")}

    def test_a_culled_entry_is_a_miss_for_its_names_only(self, counting: CountingCache) -> None:
        ChecksumCache("target").save(pairs_of(SOME))
        (keys,) = counting.written
        culled = sorted(keys)[-1]
        names = json.loads(cache.get(culled))["pairs"].keys()
        cache.delete(culled)
        assert ChecksumCache("target").load().keys() == pairs_of(SOME).keys() - names

    def test_a_culled_first_entry_is_a_miss_and_repaired(self, counting: CountingCache) -> None:
        ChecksumCache("target").save(pairs_of(SOME))
        (keys,) = counting.written
        cache.delete(min(keys))
        second = ChecksumCache("target")
        second.load()
        second.save(pairs_of(SOME))
        assert ChecksumCache("target").load() == pairs_of(SOME)


class TestFailingCache:
    @pytest.fixture
    def warnings(self, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
        caplog.set_level(logging.WARNING, "collectfasta")
        return caplog

    def test_a_cache_that_is_down_is_one_warning_and_a_miss(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        with override_settings(CACHES=caches_of("DownCache")):
            checksums = ChecksumCache("target")
            assert checksums.load() == {}
            checksums.save({"a.css": Pair("1", "c")})
        assert len(warnings.records) == 1
        assert "'default'" in warnings.text
        assert "CacheDownError" in warnings.text

    def test_the_warning_does_not_tell_what_the_client_says(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        with override_settings(CACHES=caches_of("DownCache")):
            ChecksumCache("target").load()
        assert "cache.internal" not in warnings.text

    @pytest.mark.parametrize("name", ["ReadOnlyCache", "FullCache"])
    def test_a_cache_that_refuses_to_be_written_is_one_warning(
        self, warnings: pytest.LogCaptureFixture, name: str
    ) -> None:
        with override_settings(CACHES=caches_of(name)):
            checksums = ChecksumCache("target")
            checksums.load()
            checksums.save({"a.css": Pair("1", "c")})
        assert len(warnings.records) == 1

    def test_a_cache_that_works_is_no_warning(self, warnings: pytest.LogCaptureFixture) -> None:
        checksums = ChecksumCache("target")
        checksums.load()
        checksums.save({"a.css": Pair("1", "c")})
        assert warnings.records == []
