"""The plan, for any files and any remote: each file is decided of once, and rightly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from django.core.files.storage import InMemoryStorage, Storage
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectfasta.checksums import Checksum, Pair
from collectfasta.plan import Plan, Reason, make_plan
from collectfasta.remote import ListingDeniedError, RemoteObject
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
        telling: The names of the objects that it knows a checksum of.
        is_listed: Whether it may be listed.
    """

    def __init__(
        self, stored: Mapping[str, bytes], order: Sequence[str], telling: set[str], is_listed: bool
    ) -> None:
        super().__init__(InMemoryStorage())
        self._stored, self._order, self._telling = stored, order, telling
        self._is_listed = is_listed

    def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject]:
        if not self._is_listed:
            raise ListingDeniedError("denied")
        ordered = sorted(names, key=lambda name: (name not in self._order, name))
        return [each for each in map(self.look_up, ordered) if each]

    def look_up(self, name: str) -> RemoteObject | None:
        if name not in self._stored:
            return None
        content = self._stored[name]
        checksum = Checksum("md5", md5(content)) if name in self._telling else None
        return RemoteObject(name, version_of(content), len(content), checksum)

    def upload(self, source: object) -> None:
        raise AssertionError("Something was sent.")

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
def test_each_file_is_decided_of_once_and_rightly(
    local: dict[str, bytes],
    stored: dict[str, bytes],
    remembered: dict[str, bytes],
    telling: set[str],
    order: list[str],
    is_listed: bool,
    threads: int,
    forced: bool,
) -> None:
    pairs = {name: Pair(version_of(each), md5(each)) for name, each in remembered.items()}
    remote = Remote(stored, order, telling, is_listed)
    sources = sources_of(local)
    plan = make_plan(sources, remote, pairs, threads=threads, forced=forced)
    assert [each.source for each in plan.decisions] == sources
    reasons = {each.source.name: each.reason for each in plan.decisions}
    assert reasons == {
        name: expected_reason(name, local, stored, remembered, telling, forced=forced)
        for name in local
    }
    left = [each for each in plan.decisions if each.reason is Reason.UNMODIFIED]
    assert len(left) + len(plan.uploads) == len(sources)
    # What is remembered is true, and of nothing but what stays.
    stays = {each.source.name: md5(local[each.source.name]) for each in left}
    assert {name: pair.checksum for name, pair in plan.pairs.items()} == stays
    assert all(pair.version == version_of(stored[name]) for name, pair in plan.pairs.items())


def expected_reason(
    name: str,
    local: Mapping[str, bytes],
    stored: Mapping[str, bytes],
    remembered: Mapping[str, bytes],
    telling: set[str],
    *,
    forced: bool,
) -> Reason:
    if forced:
        return Reason.FORCED
    if name not in stored:
        return Reason.MISSING
    is_known = name in telling or remembered.get(name) == stored[name]
    if is_known or len(local[name]) != len(stored[name]):
        return Reason.UNMODIFIED if local[name] == stored[name] else Reason.CHANGED
    return Reason.UNKNOWN


@given(files, files, st.sets(names), st.lists(names), st.lists(names))
@settings(max_examples=40)
def test_the_order_of_the_listing_and_the_threads_change_nothing(
    local: dict[str, bytes],
    stored: dict[str, bytes],
    telling: set[str],
    order: list[str],
    other: list[str],
) -> None:
    def plan(order: list[str], threads: int, *, is_listed: bool) -> Plan:
        remote = Remote(stored, order, telling, is_listed)
        return make_plan(sources, remote, {}, threads=threads)

    sources = sources_of(local)
    first = plan(order, 0, is_listed=True)
    assert first == plan(other, 4, is_listed=True)
    assert first == plan(other, 4, is_listed=False)
