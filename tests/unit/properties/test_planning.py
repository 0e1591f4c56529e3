"""The plan, for any files and any remote: each file is decided once, and rightly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from django.core.files.storage import InMemoryStorage, Storage
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from collectfasta.checksums import Checksum
from collectfasta.deploy.plan import Decision, Reason, make_plan
from collectfasta.errors import StoreError
from collectfasta.remote import CachedChecksum, RemoteObject
from collectfasta.strategies.listing import ListingStrategy
from tests.unit.helpers import sources_of

names = st.sampled_from([f"{letter}.css" for letter in "abcdef"])
contents = st.sampled_from([b"x", b"y", b"xx"])
files = st.dictionaries(names, contents)


class Remote(ListingStrategy[Storage]):
    """A remote in memory that can only be read.

    Args:
        stored: Its objects.
        order: The names in the order in which they are listed; others follow.
        known: The names of the objects that it keeps a checksum of.
        is_listed: Whether it may be listed.
    """

    def __init__(
        self, stored: Mapping[str, bytes], order: Sequence[str], known: set[str], is_listed: bool
    ) -> None:
        super().__init__(InMemoryStorage())
        self._stored, self._order, self._known = stored, order, known
        self._is_listed = is_listed

    @override
    def list_named(self, names: Sequence[str]) -> Iterable[RemoteObject]:
        if not self._is_listed:
            raise StoreError("denied", kind="403", denied=True, advice="Denied.")
        ordered = sorted(names, key=lambda name: (name not in self._order, name))
        return [each for each in map(self.look_up, ordered) if each]

    @override
    def look_up(self, name: str) -> RemoteObject | None:
        if name not in self._stored:
            return None
        content = self._stored[name]
        checksum = Checksum("md5", md5(content)) if name in self._known else None
        return RemoteObject(name, version_of(content), len(content), checksum)

    @override
    def upload(self, source: object) -> None:
        raise AssertionError("Something was sent.")

    @override
    def delete_files(self, names: Sequence[str]) -> None:
        raise AssertionError("Something was deleted.")


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def version_of(content: bytes) -> str:
    return f"version of {content!r}"


@given(
    files,
    files,
    files,
    st.sets(names),
    st.lists(names),
    st.booleans(),
    st.sampled_from([0, 1, 4]),
    st.booleans(),
)
# The checksum of what is there is known from the cache only.
@example({"a.css": b"x"}, {"a.css": b"x"}, {"a.css": b"x"}, set(), [], True, 0, False)
@settings(max_examples=60)
def test_each_file_is_decided_once_and_rightly(
    local: dict[str, bytes],
    stored: dict[str, bytes],
    cached: dict[str, bytes],
    known: set[str],
    order: list[str],
    is_listed: bool,
    threads: int,
    forced: bool,
) -> None:
    checksums = {name: CachedChecksum(version_of(each), md5(each)) for name, each in cached.items()}
    remote = Remote(stored, order, known, is_listed)
    sources = sources_of(local)
    plan = make_plan(sources, remote, checksums, threads=threads, forced=forced)
    assert [each.source for each in plan] == sources
    reasons = {each.source.name: each.reason for each in plan}
    assert reasons == {
        name: expected_reason(name, local, stored, cached, known, forced=forced) for name in local
    }
    # What is cached is true, and of nothing but what stays.
    stays = {each.source.name: each.cached for each in plan if each.reason is Reason.UNMODIFIED}
    assert all(each.cached is None for each in plan if each.source.name not in stays)
    assert stays == {
        name: CachedChecksum(version_of(stored[name]), md5(local[name])) for name in stays
    }


def expected_reason(
    name: str,
    local: Mapping[str, bytes],
    stored: Mapping[str, bytes],
    cached: Mapping[str, bytes],
    known: set[str],
    *,
    forced: bool,
) -> Reason:
    if forced:
        return Reason.FORCED
    if name not in stored:
        return Reason.MISSING
    is_known = name in known or cached.get(name) == stored[name]
    if is_known or len(local[name]) != len(stored[name]):
        return Reason.UNMODIFIED if local[name] == stored[name] else Reason.CHANGED
    return Reason.UNKNOWN


@given(files, files, st.sets(names), st.lists(names), st.lists(names))
@settings(max_examples=40)
def test_the_order_of_the_listing_and_the_threads_change_nothing(
    local: dict[str, bytes],
    stored: dict[str, bytes],
    known: set[str],
    order: list[str],
    other: list[str],
) -> None:
    def plan(order: list[str], threads: int, *, is_listed: bool) -> list[Decision]:
        remote = Remote(stored, order, known, is_listed)
        return make_plan(sources, remote, {}, threads=threads)

    sources = sources_of(local)
    first = plan(order, 0, is_listed=True)
    assert first == plan(other, 4, is_listed=True)
    assert first == plan(other, 4, is_listed=False)
