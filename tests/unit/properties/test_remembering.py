"""What is remembered of objects: nothing that comes out of a cache was not put into it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any
from unittest import mock

from django.core.cache import BaseCache, caches
from hypothesis import given, settings
from hypothesis import strategies as st

from collectfasta import checksums
from collectfasta.cache import _decode, _encode
from collectfasta.checksums import ChecksumCache, Pair

some_examples = settings(max_examples=40)

# Whatever Python can hold, and names as long as they can be.
texts = st.text(st.characters(exclude_categories=[]), max_size=12) | st.sampled_from(
    ["", "\ud800", "\udcff.css", "\x00", "n" * 300, "format", "shards", "pairs"]
)
pairs = st.builds(Pair, texts, texts, texts)
remembered = st.dictionaries(texts, pairs, max_size=6)
# So few bytes make several entries of a few pairs.
entry_sizes = st.sampled_from([100, 200, 400, 10**6])


def saved(pairs: Mapping[str, Pair], entry_size: int) -> BaseCache:
    """Return a cache in which these pairs were saved, and nothing else."""
    cache = caches["default"]
    cache.clear()
    save(pairs, entry_size)
    return cache


def save(pairs: Mapping[str, Pair], entry_size: int) -> None:
    """Save pairs as the next run does."""
    with mock.patch.object(checksums, "_ENTRY_SIZE", entry_size):
        run = ChecksumCache("target")
        run.load()
        run.save(pairs)


def entries_of(cache: Any) -> dict[str, str]:
    """Return keys and values of what LocMemCache holds."""
    return {key.split(":", 2)[2]: pickle.loads(value) for key, value in cache._cache.items()}


@some_examples
@given(remembered, entry_sizes)
def test_what_was_saved_is_loaded_whatever_it_is(pairs: dict[str, Pair], size: int) -> None:
    saved(pairs, size)
    assert ChecksumCache("target").load() == pairs


@some_examples
@given(remembered, remembered, entry_sizes, entry_sizes)
def test_the_next_run_replaces_all_in_however_many_entries_it_was(
    before: dict[str, Pair], after: dict[str, Pair], size: int, other_size: int
) -> None:
    cache = saved(before, size)
    save(after, other_size)
    assert ChecksumCache("target").load() == after
    assert sum(len(json.loads(each)["pairs"]) for each in entries_of(cache).values()) == len(after)


@some_examples
@given(remembered, entry_sizes, st.data())
def test_a_lost_entry_loses_its_own_pairs_only(
    pairs: dict[str, Pair], size: int, data: st.DataObject
) -> None:
    cache = saved(pairs, size)
    entries = entries_of(cache)
    first = min(entries, key=lambda key: int(key.rpartition(".")[2]))
    lost = data.draw(st.sets(st.sampled_from(sorted(entries))))
    cache.delete_many(lost)
    gone = {name for key in lost for name in json.loads(entries[key])["pairs"]}
    loaded = ChecksumCache("target").load()
    if first in lost:
        # It tells how many there are.
        assert loaded == {}
    else:
        assert loaded == {name: pair for name, pair in pairs.items() if name not in gone}


@some_examples
@given(remembered, remembered, entry_sizes, entry_sizes, st.data())
def test_entries_of_two_runs_that_are_mixed_tell_of_each_name_what_one_has_saved(
    one: dict[str, Pair], other: dict[str, Pair], size: int, other_size: int, data: st.DataObject
) -> None:
    first = entries_of(saved(one, size))
    cache = saved(other, other_size)
    second = entries_of(cache)
    for key in data.draw(st.sets(st.sampled_from(sorted(first)))):
        cache.set(key, first[key])
    for key in data.draw(st.sets(st.sampled_from(sorted({*first, *second})))):
        cache.delete(key)
    loaded = ChecksumCache("target").load()
    assert all(pair in (one.get(name), other.get(name)) for name, pair in loaded.items())


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
@given(remembered, st.sampled_from([100, 200]), garbage, st.data())
def test_whatever_takes_the_place_of_an_entry_adds_no_pair_and_harms_no_other(
    pairs: dict[str, Pair], size: int, value: Any, data: st.DataObject
) -> None:
    cache = saved(pairs, size)
    entries = entries_of(cache)
    key = data.draw(st.sampled_from(sorted(entries)))
    cache.set(key, value)
    loaded = ChecksumCache("target").load()
    told = json.loads(value)["pairs"] if _has_pairs(value) else {}
    assert all(
        pair == pairs.get(name) or told[name] in _as_lists(pair) for name, pair in loaded.items()
    )


def _has_pairs(value: Any) -> bool:
    try:
        return isinstance(value, (str, bytes)) and isinstance(json.loads(value)["pairs"], dict)
    except (ValueError, TypeError, KeyError):
        return False


def _as_lists(pair: Pair) -> tuple[list[str], list[str]]:
    return [pair.version, pair.checksum, pair.parameters], [pair.version, pair.checksum]


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
def test_what_is_no_entry_of_a_storage_cache_is_missing(body: bytes) -> None:
    missing = object()
    assert _decode(body, "key of nobody", missing) is missing
