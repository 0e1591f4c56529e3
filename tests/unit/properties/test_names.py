"""Names, the keys made from them, and the names made from keys, for any location."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectfasta.deploy.commit import find_stale
from collectfasta.deploy.plan import PlanError, check_sources
from collectfasta.errors import CollectfastaError
from collectfasta.remote import Listed, StoredObject
from collectfasta.source import SourceFile
from collectfasta.stores.store import Entry
from collectfasta.strategies.listing import CloudStrategy
from tests.unit.helpers import in_memory
from tests.unit.properties.clouds import CLOUDS, saved_under, strategy_of

FILES = in_memory({"x": b"x"})

# Of sets of names, which take longer.
some_examples = settings(max_examples=40)
each_cloud = pytest.mark.parametrize("cloud", CLOUDS)

LOCATIONS = [
    "",
    "static",
    "static/",
    "static//",
    "a/b",
    "a/b/",
    "static/static",
    "é",
    "e\u0301",
    "a b",
    ".static",
    "static.",
    "l" * 1000,
]
locations = st.sampled_from(LOCATIONS)

# What file systems allow, and what means something to a path, to a URL or to XML.
segments = st.text(
    st.sampled_from("ab./\\ ~+%#?&é\u0301\x01\n\r\x7f\x85\u2028\ud800\ufffe\U0001f600"), max_size=4
) | st.sampled_from(
    ["", ".", "..", "...", "static", "static-old", "static.", ".static", "a.css", "n" * 300]
)
names = st.lists(segments, min_size=1, max_size=5).map("/".join)


def source_of(name: str) -> SourceFile:
    return SourceFile("x", name, FILES)


def is_accepted(strategy: CloudStrategy[Any], *names: str) -> bool:
    """Return whether files of these names would be sent."""
    try:
        check_sources([source_of(name) for name in names], strategy)
    except PlanError:
        return False
    return True


def prefix_of(cloud: str, location: str) -> str:
    """Return what all keys under a location begin with."""
    stripped = location.strip("./") if cloud == "azure" and location != "static." else location
    folder = stripped.rstrip("/")
    return f"{folder}/" if folder else ""


def is_kept_by(cloud: str, location: str, name: str) -> bool:
    """Return whether a storage takes a name as it is, as its documentation has it."""
    if cloud == "azure" and (name.endswith(".") or (not location and name.startswith("."))):
        return False
    return posixpath.normpath(name) == name


def holding(strategy: CloudStrategy[Any], keys: Sequence[str]) -> CloudStrategy[Any]:
    """Return a strategy for a bucket with these keys that notes which of them it deletes."""
    other, store = copy.copy(strategy), copy.copy(strategy.store)
    vars(store)["list_all"] = lambda prefix: [
        Entry(key, Listed()) for key in keys if key.startswith(prefix)
    ]
    vars(store)["deleted"] = []
    vars(store)["delete"] = store.deleted.extend  # type: ignore[attr-defined]
    vars(other)["store"] = store
    return other


def clear(bucket: CloudStrategy[Any], kept: Iterable[str]) -> list[str]:
    """Delete what a deploy with --clear does not keep, and return the keys."""
    target: Any = SimpleNamespace(strategy=bucket, cached={})
    bucket.delete_files(find_stale(target, bucket.list_stored(), kept))
    deleted: list[str] = vars(bucket.store)["deleted"]
    return deleted


@each_cloud
@given(locations, names)
@example("static", "...")
def test_an_accepted_name_is_sent_to_where_the_storage_would_save_it(
    cloud: str, location: str, name: str
) -> None:
    strategy = strategy_of(cloud, location)
    source = source_of(name)
    if not is_accepted(strategy, name):
        return
    assert strategy.object_key(source.name) == saved_under(strategy, source.name)


@given(locations, names)
@example("", ".well-known/acme-challenge/token")
@example("static", "a\n.css")
def test_no_accepted_name_is_one_that_google_refuses(location: str, name: str) -> None:
    strategy = strategy_of("google", location)
    if not is_accepted(strategy, name):
        return
    key = strategy.object_key(source_of(name).name)
    # https://cloud.google.com/storage/docs/objects#naming
    assert not {"\r", "\n"} & {*key}
    assert not key.startswith(".well-known/acme-challenge/")
    assert key not in (".", "..")
    assert 1 <= len(key.encode()) <= 1024


@each_cloud
@given(locations, names)
@example("static", "...")
@example("static", "../static-old/a.css")
def test_an_accepted_name_stays_within_the_location(cloud: str, location: str, name: str) -> None:
    strategy = strategy_of(cloud, location)
    if not is_accepted(strategy, name):
        return
    key, prefix = strategy.object_key(source_of(name).name), prefix_of(cloud, location)
    assert key.startswith(prefix)
    assert len(key) > len(prefix)
    assert not {"", ".", ".."} & {*key.split("/")}


@each_cloud
@given(locations, names)
def test_a_key_is_the_location_and_the_name_and_leads_back_to_it(
    cloud: str, location: str, name: str
) -> None:
    strategy = strategy_of(cloud, location)
    source = source_of(name)
    if not (is_kept_by(cloud, location, source.name) and is_accepted(strategy, name)):
        return
    prefix = prefix_of(cloud, location)
    assert strategy.store.prefix == prefix
    assert strategy.object_key(source.name) == prefix + source.name
    stored = holding(strategy, [prefix + source.name]).list_stored()
    assert stored == ([StoredObject(source.name)] if prefix else None)


@each_cloud
@given(locations, st.lists(names, max_size=6))
@example("static", ["css/a.css", "css//a.css"])
@example("static", ["css/a.css", "css\\a.css"])
@example("static", ["a", "a."])
def test_accepted_names_have_a_key_each(cloud: str, location: str, names: list[str]) -> None:
    strategy = strategy_of(cloud, location)
    if is_accepted(strategy, *names):
        keys = [strategy.object_key(source_of(name).name) for name in names]
        assert len({*keys}) == len(names)


@each_cloud
@given(locations, st.lists(names, min_size=1, max_size=6))
def test_whatever_is_refused_is_named(cloud: str, location: str, names: list[str]) -> None:
    strategy = strategy_of(cloud, location)
    refused = [name for name in names if not is_accepted(strategy, name)]
    if not refused:
        return
    with pytest.raises(PlanError) as raised:
        check_sources([source_of(name) for name in names], strategy)
    _, *lines = str(raised.value).split("\n")
    assert all(any(line.startswith(f"  {name!r}: ") for line in lines) for name in refused)


@each_cloud
@given(locations, names)
def test_a_name_from_windows_is_the_same_name(cloud: str, location: str, name: str) -> None:
    strategy = strategy_of(cloud, location)
    plain = name.replace("\\", "/")
    windows = plain.replace("/", "\\")
    assert is_accepted(strategy, windows) == is_accepted(strategy, plain)
    if not is_accepted(strategy, windows):
        return
    key = strategy.object_key(source_of(windows).name)
    assert key == strategy.object_key(source_of(plain).name)
    if is_kept_by(cloud, location, plain):
        assert key == prefix_of(cloud, location) + PureWindowsPath(windows).as_posix()


# Keys that anybody may have put into the bucket, within the location and beside it.
foreign_keys = st.lists(
    st.tuples(st.sampled_from(["", "static/", "static-old/", "a/b/", "a/"]), names).map("".join),
    max_size=6,
)


@each_cloud
@some_examples
@given(st.sampled_from(["static", "a/b"]), foreign_keys, st.lists(names, max_size=4))
@example("static", ["static/", "static/a//b", "static/a/b", "static/css/"], ["a/b"])
def test_clearing_deletes_listed_keys_within_the_location_and_none_that_is_kept(
    cloud: str, location: str, foreign: list[str], kept: list[str]
) -> None:
    strategy = strategy_of(cloud, location)
    kept = [source_of(name).name for name in kept if is_accepted(strategy, name)]
    kept_keys = {strategy.object_key(name) for name in kept}
    # A bucket has each key once.
    bucket = holding(strategy, sorted({*foreign, *kept_keys}))
    deleted = clear(bucket, kept)
    assert {*deleted} <= {*foreign} - kept_keys
    assert all(key.startswith(f"{location}/") and not key.endswith("/") for key in deleted)


@each_cloud
@some_examples
@given(st.lists(names, max_size=6), st.lists(names, max_size=3))
def test_clearing_deletes_all_of_an_earlier_deploy_that_is_not_kept(
    cloud: str, earlier: list[str], kept: list[str]
) -> None:
    strategy = strategy_of(cloud, "static")
    before, now = (
        {strategy.object_key(source_of(name).name) for name in names if is_accepted(strategy, name)}
        for names in (earlier, kept)
    )
    bucket = holding(strategy, sorted(before | now))
    kept = [source_of(name).name for name in kept if is_accepted(strategy, name)]
    assert {*clear(bucket, kept)} == before - now


@each_cloud
def test_a_location_that_the_storage_stores_nothing_under_is_named(cloud: str) -> None:
    for location in (".", "./static", "a//b", "a/../b", "a/./b"):
        strategy = strategy_of(cloud, location)
        with pytest.raises(CollectfastaError, match="no plain path") as raised:
            _ = strategy.store.prefix
        assert repr(location) in str(raised.value)
