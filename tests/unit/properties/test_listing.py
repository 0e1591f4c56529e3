"""Listing by each cloud's SDK: exactly the expected objects, by no more requests than needed.

The semantics of pages are those of ``listings.py``, which answers the SDKs over a socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from hypothesis import example, given, settings
from hypothesis import strategies as st
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from collectfasta import remote
from collectfasta.remote import RemoteObject
from collectfasta.strategies import azure_listing, s3_obstore
from collectfasta.strategies.azure import AzureBlobStrategy
from collectfasta.strategies.boto3 import Boto3Strategy
from collectfasta.strategies.gcloud import GoogleCloudStrategy
from collectfasta.strategies.listing import CloudStrategy
from collectfasta.strategies.s3 import is_plain
from tests.unit.properties.listings import ListedBucket, md5_of, serving

ENGINES = ("boto3", "obstore", "google", "azure")
each_engine = pytest.mark.parametrize("engine", ENGINES)
# Each example takes some requests.
some_examples = settings(max_examples=25)

_MOST_FOLDERS = 3


@pytest.fixture(scope="module")
def bucket() -> Iterator[ListedBucket]:
    with serving() as bucket:
        yield bucket


@cache
def strategy_of(engine: str, url: str, location: str) -> CloudStrategy[Any]:
    """Return a strategy that is ready to list the bucket at a URL."""
    made: CloudStrategy[Any]
    if engine == "google":
        google = GoogleCloudStorage(bucket_name="bucket", location=location)
        options = {"api_endpoint": url}
        google._client = Client("project", AnonymousCredentials(), client_options=options)
        made = GoogleCloudStrategy(google)
    elif engine == "azure":
        login = f"AccountName=account;AccountKey=a2V5;BlobEndpoint={url}/account"
        made = AzureBlobStrategy(
            AzureStorage(connection_string=login, azure_container="c", location=location)
        )
    else:
        keys = {"access_key": "key", "secret_key": "secret", "region_name": "us-east-1"}
        made = Boto3Strategy(
            S3Storage(bucket_name="bucket", endpoint_url=url, location=location, **keys)
        )
    with override_settings(COLLECTFASTA_S3_ENGINE="boto3" if engine == "boto3" else None):
        made.prepare(4)
    return made


def listed(
    strategy: CloudStrategy[Any], bucket: ListedBucket, names: set[str], threads: int = 0
) -> list[RemoteObject]:
    """Return what is listed where a page has as many keys as the bucket's pages have."""
    strategy._threads = threads  # type: ignore[attr-defined]
    if isinstance(strategy, Boto3Strategy):
        # What one strategy has given up, the next example begins anew.
        strategy._engine._is_given_up = False
    with (
        mock.patch.object(remote, "_PAGE", bucket.page_size),
        mock.patch.object(s3_obstore, "_PAGE", bucket.page_size),
        mock.patch.object(azure_listing, "_MOST_FOLDERS", _MOST_FOLDERS),
    ):
        return list(strategy.list_remote(sorted(names)) or ())


# Few characters make keys that begin with each other and lie next to each other; the others are
# the ends of the ranges of ASCII, of UTF-16's surrogates and of Unicode.
characters = st.sampled_from("abc.~ !+%&<\x01\x7fé\ud7ff\ue000\uffff\U0001f600\U0010ffff")
plain_characters = st.sampled_from("abc.~ !+%&<é\uac00\uff5e\U0001f600")


def paths_of(characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return paths that are no others after they are normalised."""
    segments = st.text(characters, min_size=1, max_size=3).filter(lambda s: s.strip(".") != "")
    paths = st.lists(segments, min_size=1, max_size=3).map("/".join)
    # AzureStorage takes dots off the ends.
    return paths.filter(lambda path: path.strip(".") == path)


def neighbours_of(paths: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return keys that other people may have put there: some are no paths, some mark folders.

    No folder is named as a file is, with an extension: that is what obstore's engine relies on.
    """
    ends = st.sampled_from(["", "/", "//x", "/.", "/../x", "~", "\x01"])
    keys = st.tuples(st.sampled_from(["", "/", "static-old/"]), paths, ends).map("".join)
    return keys.filter(lambda key: not (key.endswith("/") and "." in key.split("/")[-2]))


locations = st.sampled_from(["", "static", "é/b"])
names = st.sets(paths_of(characters), max_size=12)
foreign = st.sets(neighbours_of(paths_of(characters)), max_size=12)
page_sizes = st.integers(1, 5)


def accepted(strategy: CloudStrategy[Any], names: set[str]) -> set[str]:
    """Return those that the strategy does not refuse before it lists: Azure has fewer names."""
    return {name for name in names if _is_accepted(strategy, name)}


def _is_accepted(strategy: CloudStrategy[Any], name: str) -> bool:
    try:
        strategy.object_key(name)
    except ValueError:
        return False
    return True


def is_of(object_: RemoteObject, key: str) -> bool:
    """Tell whether what was listed is what the bucket has under a key."""
    return object_.checksum is not None and object_.checksum.value == md5_of(key)


@each_engine
@some_examples
@given(locations, names, names, foreign, page_sizes, st.sampled_from([0, 3]), st.booleans())
# The listing goes on behind a key between the next expected one and where it would begin.
@example("", {"b"}, {"a", "b"}, {"ar~"}, 1, 0, False)
# A folder's marker fills a page, or has the place of an expected object.
@example("static", {"b"}, {"a", "b"}, {"a/"}, 1, 0, False)
# obstore would show a key that begins with a slash without it.
@example("", set(), {"!", "a"}, {"/a"}, 5, 0, False)
# A file and a folder at the top of a container begin alike.
@example("", {"ab/c"}, {"a", "ab/c"}, {"!"}, 1, 0, False)
def test_exactly_the_expected_objects_are_listed_each_once(
    bucket: ListedBucket,
    engine: str,
    location: str,
    stored: set[str],
    expected: set[str],
    foreign: set[str],
    page_size: int,
    threads: int,
    has_empty_pages: bool,
) -> None:
    strategy = strategy_of(engine, bucket.url, location)
    keys = {strategy.object_key(name) for name in accepted(strategy, stored)}
    keys |= {f"{prefix}{key}" for key in foreign for prefix in ("", strategy.prefix)}
    bucket.reset([*keys], page_size, has_empty_pages=has_empty_pages)
    expected = accepted(strategy, expected)
    found = listed(strategy, bucket, expected, threads)
    there = {name for name in expected if strategy.object_key(name) in keys}
    # obstore shows the marker of a folder as an object, of which nothing more is told.
    markers = {name for name in expected - there if f"{strategy.object_key(name)}/" in keys}
    certain = [each for each in found if each.checksum]
    uncertain = {each.name for each in found if not each.checksum}
    assert sorted(each.name for each in certain) == sorted(there - uncertain)
    assert all(is_of(each, strategy.object_key(each.name)) for each in certain)
    assert uncertain <= (markers if engine == "obstore" else set())


plain_names = st.sets(paths_of(plain_characters), max_size=12)


@pytest.mark.parametrize("engine", ["boto3", "obstore", "google"])
@some_examples
@given(locations, plain_names, plain_names, page_sizes, st.integers(0, 4))
@example("static", {"a", "b"}, {"a", "c"}, 2, 0)
# A range begins with a key before which nothing in ASCII is.
@example("", {"+", "<", "</<", "a"}, {"+", "<", "</<", "<<", "<<<", "a", "b", "é"}, 1, 3)
def test_leapfrog_takes_no_more_requests_than_a_plain_listing_and_one_for_each_range(
    bucket: ListedBucket,
    engine: str,
    location: str,
    stored: set[str],
    expected: set[str],
    page_size: int,
    threads: int,
) -> None:
    strategy = strategy_of(engine, bucket.url, location)
    bucket.reset([strategy.object_key(name) for name in stored], page_size)
    listed(strategy, bucket, expected, threads)
    assert all(map(is_plain, bucket.keys))
    ranges = min(threads, -(-len(expected) // page_size)) if threads else 0
    # Of a full page obstore does not tell whether it was the last.
    unknown_end = engine == "obstore" and len(bucket.keys) % page_size == 0
    most = bucket.plain_requests(strategy.prefix) + ranges + unknown_end
    assert bucket.requests <= (most if expected else 0)


@some_examples
@given(plain_names, plain_names, page_sizes, st.booleans(), st.sampled_from(["", "static"]))
# Files at the top whose names others begin with.
@example({f"aa{letter}" for letter in "bcdefghijkl"}, {"a", "aa", "b"}, 1, False, "")
def test_azure_lists_a_location_once_and_without_one_each_folder_at_most(
    bucket: ListedBucket,
    stored: set[str],
    expected: set[str],
    page_size: int,
    has_empty_pages: bool,
    location: str,
) -> None:
    strategy = strategy_of("azure", bucket.url, location)
    keys = [strategy.object_key(name) for name in stored]
    bucket.reset(keys, page_size, has_empty_pages=has_empty_pages)
    listed(strategy, bucket, expected)
    # The first page, and of each folder one that is not full.
    more = 0 if location else (1 + _MOST_FOLDERS) * (1 + has_empty_pages)
    assert bucket.requests <= bucket.plain_requests(strategy.prefix) + more


@each_engine
@some_examples
@given(locations, names, foreign, page_sizes, st.booleans())
def test_every_key_under_the_location_is_told_letter_by_letter(
    bucket: ListedBucket,
    engine: str,
    location: str,
    stored: set[str],
    foreign: set[str],
    page_size: int,
    has_empty_pages: bool,
) -> None:
    strategy = strategy_of(engine, bucket.url, location)
    keys = {strategy.object_key(name) for name in accepted(strategy, stored)}
    keys |= {f"{prefix}{key}" for key in foreign for prefix in ("", strategy.prefix)}
    bucket.reset([*keys], page_size, has_empty_pages=has_empty_pages)
    within = [key for key in bucket.keys if key.startswith(strategy.prefix)]
    assert [key for key, _ in strategy.list_keys()] == within
