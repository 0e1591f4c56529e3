"""Listing by each cloud's SDK: exactly the expected objects, by no more requests than needed.

The semantics of pages are those of ``listings.py``, which answers the SDKs over a socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from unittest import mock

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from hypothesis import example, given, settings
from hypothesis import strategies as st
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from collectfasta.remote import Listed
from collectfasta.stores import store as stores
from collectfasta.stores.azure import AzureStore
from collectfasta.stores.gcloud import GoogleStore
from collectfasta.stores.s3 import obstore as s3_obstore
from collectfasta.stores.s3.base import is_plain
from collectfasta.stores.s3.boto3 import Boto3Store
from collectfasta.stores.s3.store import S3Store
from collectfasta.stores.store import Entry, Store, leapfrog
from tests.unit.properties.listings import ListedBucket, md5_of, serving

SENDERS = ("boto3", "obstore", "google", "azure")
each_sender = pytest.mark.parametrize("sender", SENDERS)
# Each example takes some requests.
some_examples = settings(max_examples=25)

_MOST_FOLDERS = 3


@pytest.fixture(scope="module")
def bucket() -> Iterator[ListedBucket]:
    with serving() as bucket:
        yield bucket


@cache
def store_of(sender: str, url: str, location: str) -> Store:
    """Return a store that is ready to list the bucket at a URL."""
    made: Store
    if sender == "google":
        google = GoogleCloudStorage(bucket_name="bucket", location=location)
        options = {"api_endpoint": url}
        google._client = Client("project", AnonymousCredentials(), client_options=options)
        made = GoogleStore(google)
    elif sender == "azure":
        login = f"AccountName=account;AccountKey=a2V5;BlobEndpoint={url}/account"
        made = AzureStore(
            AzureStorage(connection_string=login, azure_container="c", location=location)
        )
    else:
        keys = {"access_key": "key", "secret_key": "secret", "region_name": "us-east-1"}
        s3 = S3Storage(bucket_name="bucket", endpoint_url=url, location=location, **keys)
        made = Boto3Store(s3) if sender == "boto3" else S3Store(s3)
    made.prepare(4)
    return made


def listed(store: Store, bucket: ListedBucket, names: set[str], threads: int = 0) -> list[Entry]:
    """Return what is listed where a page has as many keys as the bucket's pages have."""
    if isinstance(store, S3Store):
        # What one store has given up, the next example begins again.
        store._is_given_up = False
    with (
        mock.patch.object(stores, "PAGE_SIZE", bucket.page_size),
        mock.patch.object(s3_obstore, "PAGE_SIZE", bucket.page_size),
        mock.patch.object(stores, "_MOST_FOLDERS", _MOST_FOLDERS),
    ):
        return list(leapfrog(store, map(store.key, names), threads=threads))


# Few characters make keys that begin with each other and lie next to each other; the others are
# the ends of the ranges of ASCII, of UTF-16's surrogates and of Unicode.
characters = st.sampled_from("abc.~ !+%&<\x01\x7fé\ud7ff\ue000\uffff\U0001f600\U0010ffff")
plain_characters = st.sampled_from("abc.~ !+%&<é\uac00\uff5e\U0001f600")


def paths_of(characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return paths that normalising leaves as they are."""
    segments = st.text(characters, min_size=1, max_size=3).filter(lambda s: s.strip(".") != "")
    paths = st.lists(segments, min_size=1, max_size=3).map("/".join)
    # AzureStorage takes dots off the ends.
    return paths.filter(lambda path: path.strip(".") == path)


def neighbours_of(paths: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return keys that other people may have put there: some are not paths, some mark folders.

    No folder is named as a file is, with an extension: the store relies on that.
    """
    ends = st.sampled_from(["", "/", "//x", "/.", "/../x", "~", "\x01"])
    keys = st.tuples(st.sampled_from(["", "/", "static-old/"]), paths, ends).map("".join)
    return keys.filter(lambda key: not (key.endswith("/") and "." in key.split("/")[-2]))


locations = st.sampled_from(["", "static", "é/b"])
names = st.sets(paths_of(characters), max_size=12)
foreign = st.sets(neighbours_of(paths_of(characters)), max_size=12)
page_sizes = st.integers(1, 5)


def accepted(store: Store, names: set[str]) -> set[str]:
    """Return those that are not refused before anything is listed: Azure has fewer names."""
    return {name for name in names if _is_accepted(store, name)}


def _is_accepted(store: Store, name: str) -> bool:
    try:
        store.key(name)
    except ValueError:
        return False
    return True


def is_of(found: Listed, key: str) -> bool:
    """Return whether what was listed is what the bucket has under a key."""
    return found.checksum is not None and found.checksum.value == md5_of(key)


@each_sender
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
    sender: str,
    location: str,
    stored: set[str],
    expected: set[str],
    foreign: set[str],
    page_size: int,
    threads: int,
    has_empty_pages: bool,
) -> None:
    store = store_of(sender, bucket.url, location)
    keys = {store.key(name) for name in accepted(store, stored)}
    keys |= {f"{prefix}{key}" for key in foreign for prefix in ("", store.prefix)}
    bucket.reset([*keys], page_size, has_empty_pages=has_empty_pages)
    expected = accepted(store, expected)
    found = listed(store, bucket, expected, threads)
    wanted = {store.key(name) for name in expected}
    # obstore shows the marker of a folder as an object, of which nothing more is known.
    markers = {key for key in wanted - keys if f"{key}/" in keys}
    certain = [each for each in found if each.listed.checksum]
    uncertain = {each.key for each in found if not each.listed.checksum}
    assert sorted(each.key for each in certain) == sorted((wanted & keys) - uncertain)
    assert all(is_of(each.listed, each.key) for each in certain)
    assert uncertain <= (markers if sender == "obstore" else set())


plain_names = st.sets(paths_of(plain_characters), max_size=12)


@pytest.mark.parametrize("sender", ["boto3", "obstore", "google"])
@some_examples
@given(locations, plain_names, plain_names, page_sizes, st.integers(0, 4))
@example("static", {"a", "b"}, {"a", "c"}, 2, 0)
# A range begins with a key before which nothing in ASCII is.
@example("", {"+", "<", "</<", "a"}, {"+", "<", "</<", "<<", "<<<", "a", "b", "é"}, 1, 3)
def test_leapfrog_takes_at_most_one_request_more_than_a_plain_listing_and_one_for_each_range(
    bucket: ListedBucket,
    sender: str,
    location: str,
    stored: set[str],
    expected: set[str],
    page_size: int,
    threads: int,
) -> None:
    store = store_of(sender, bucket.url, location)
    bucket.reset([store.key(name) for name in stored], page_size)
    listed(store, bucket, expected, threads)
    assert all(map(is_plain, bucket.keys))
    ranges = min(threads, -(-len(expected) // page_size)) if threads else 0
    # Of a full page obstore does not know whether it was the last.
    unknown_end = sender == "obstore" and len(bucket.keys) % page_size == 0
    # The first page begins at what all expected keys begin with, which may come before them.
    most = bucket.plain_requests(store.prefix) + ranges + unknown_end + 1
    assert bucket.requests <= (most if expected else 0)
    # To make sure of a key that a server which walks through folders would list elsewhere.
    assert bucket.heads <= 1


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
    store = store_of("azure", bucket.url, location)
    bucket.reset([store.key(name) for name in stored], page_size, has_empty_pages=has_empty_pages)
    listed(store, bucket, expected)
    # The first page, and of each folder one that is not full.
    more = 0 if location else (1 + _MOST_FOLDERS) * (1 + has_empty_pages)
    assert bucket.requests <= bucket.plain_requests(store.prefix) + more


@each_sender
@some_examples
@given(locations, names, foreign, page_sizes, st.booleans())
def test_every_key_under_the_location_is_listed_letter_by_letter(
    bucket: ListedBucket,
    sender: str,
    location: str,
    stored: set[str],
    foreign: set[str],
    page_size: int,
    has_empty_pages: bool,
) -> None:
    store = store_of(sender, bucket.url, location)
    keys = {store.key(name) for name in accepted(store, stored)}
    keys |= {f"{prefix}{key}" for key in foreign for prefix in ("", store.prefix)}
    bucket.reset([*keys], page_size, has_empty_pages=has_empty_pages)
    within = [key for key in bucket.keys if key.startswith(store.prefix)]
    assert [key for key, _ in store.list_all(store.prefix)] == within
