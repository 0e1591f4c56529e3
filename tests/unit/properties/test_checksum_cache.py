"""Cached checksums: nothing that comes out of a cache was not put into it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any
from unittest import mock

from django.core.cache import BaseCache, caches
from hypothesis import given, settings
from hypothesis import strategies as st

from collectfasta import checksum_cache
from collectfasta.cache import _decode, _encode
from collectfasta.checksum_cache import ChecksumCache
from collectfasta.remote import CachedChecksum

some_examples = settings(max_examples=40)

# Whatever Python can hold, and names as long as they can be.
texts = st.text(st.characters(exclude_categories=[]), max_size=12) | st.sampled_from(
    ["", "\ud800", "\udcff.css", "\x00", "n" * 300, "format", "shards", "pairs"]
)
checksums = st.builds(CachedChecksum, texts, texts, texts)
cached = st.dictionaries(texts, checksums, max_size=6)
# So few bytes make several entries of a few checksums.
entry_sizes = st.sampled_from([100, 200, 400, 10**6])


def saved(checksums: Mapping[str, CachedChecksum], entry_size: int) -> BaseCache:
    """Return a cache in which these checksums were saved, and nothing else."""
    cache = caches["default"]
    cache.clear()
    save(checksums, entry_size)
    return cache


def save(checksums: Mapping[str, CachedChecksum], entry_size: int) -> None:
    """Save checksums as the next run does."""
    with mock.patch.object(checksum_cache, "_ENTRY_SIZE", entry_size):
        run = ChecksumCache("target")
        run.load()
        run.save(checksums)


def entries_of(cache: Any) -> dict[str, str]:
    """Return keys and values of what LocMemCache holds."""
    return {key.split(":", 2)[2]: pickle.loads(value) for key, value in cache._cache.items()}


@some_examples
@given(cached, entry_sizes)
def test_what_was_saved_is_loaded_whatever_it_is(
    checksums: dict[str, CachedChecksum], size: int
) -> None:
    saved(checksums, size)
    assert ChecksumCache("target").load() == checksums


@some_examples
@given(cached, cached, entry_sizes, entry_sizes)
def test_the_next_run_replaces_all_in_however_many_entries_it_was(
    before: dict[str, CachedChecksum], after: dict[str, CachedChecksum], size: int, other_size: int
) -> None:
    cache = saved(before, size)
    save(after, other_size)
    assert ChecksumCache("target").load() == after
    assert sum(len(json.loads(text)["pairs"]) for text in entries_of(cache).values()) == len(after)


@some_examples
@given(cached, entry_sizes, st.data())
def test_a_lost_entry_loses_its_own_checksums_only(
    checksums: dict[str, CachedChecksum], size: int, data: st.DataObject
) -> None:
    cache = saved(checksums, size)
    entries = entries_of(cache)
    first = min(entries, key=lambda key: int(key.rpartition(".")[2]))
    lost = data.draw(st.sets(st.sampled_from(sorted(entries))))
    cache.delete_many(lost)
    gone = {name for key in lost for name in json.loads(entries[key])["pairs"]}
    loaded = ChecksumCache("target").load()
    if first in lost:
        # It says how many there are.
        assert loaded == {}
    else:
        assert loaded == {name: each for name, each in checksums.items() if name not in gone}


@some_examples
@given(cached, cached, entry_sizes, entry_sizes, st.data())
def test_entries_of_two_runs_that_are_mixed_have_of_each_name_what_one_has_saved(
    one: dict[str, CachedChecksum],
    other: dict[str, CachedChecksum],
    size: int,
    other_size: int,
    data: st.DataObject,
) -> None:
    first = entries_of(saved(one, size))
    cache = saved(other, other_size)
    second = entries_of(cache)
    for key in data.draw(st.sets(st.sampled_from(sorted(first)))):
        cache.set(key, first[key])
    for key in data.draw(st.sets(st.sampled_from(sorted({*first, *second})))):
        cache.delete(key)
    loaded = ChecksumCache("target").load()
    assert all(each in (one.get(name), other.get(name)) for name, each in loaded.items())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(texts, each, max_size=4),
    max_leaves=8,
)
garbage = (
    json_values.map(json.dumps)
    | json_values
    | st.binary()
    | st.fixed_dictionaries(
        {"format": st.sampled_from([1, 1.0, True, 2]), "shards": json_values, "pairs": json_values}
    ).map(json.dumps)
)


@some_examples
@given(cached, st.sampled_from([100, 200]), garbage, st.data())
def test_whatever_takes_the_place_of_an_entry_adds_no_checksum_and_harms_no_other(
    checksums: dict[str, CachedChecksum], size: int, value: Any, data: st.DataObject
) -> None:
    cache = saved(checksums, size)
    entries = entries_of(cache)
    key = data.draw(st.sampled_from(sorted(entries)))
    cache.set(key, value)
    loaded = ChecksumCache("target").load()
    told = json.loads(value)["pairs"] if _has_checksums(value) else {}
    assert all(
        each == checksums.get(name) or told[name] in _as_lists(each)
        for name, each in loaded.items()
    )


def _has_checksums(value: Any) -> bool:
    try:
        return isinstance(value, (str, bytes)) and isinstance(json.loads(value)["pairs"], dict)
    except (ValueError, TypeError, KeyError):
        return False


def _as_lists(each: CachedChecksum) -> tuple[list[str], list[str]]:
    return [each.version, each.checksum, each.headers], [each.version, each.checksum]


@some_examples
@given(texts, json_values.filter(lambda value: value == value), texts)
def test_an_entry_of_a_storage_cache_is_what_was_kept_and_of_its_own_key(
    key: str, value: object, other: str
) -> None:
    missing = object()
    try:
        body = _encode(key, value, None)
    except TypeError:
        # JSON has no infinity.
        return
    assert _decode(body, key, missing) == value
    assert _decode(body, other, missing) is missing or other == key


@given(st.binary() | garbage.map(str).map(lambda text: text.encode(errors="surrogatepass")))
def test_what_is_not_an_entry_of_a_storage_cache_is_missing(body: bytes) -> None:
    missing = object()
    assert _decode(body, "key of nobody", missing) is missing
