"""Comparing with remote objects, and what is known of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from django.test import override_settings

from collectfasta.checksums import Checksum, md5_of_parts
from collectfasta.remote import (
    CachedChecksum,
    Listed,
    RemoteObject,
    compare,
    on_our_clock,
)
from collectfasta.source import Payload, SourceFile
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


def plain(**headers: str) -> Payload:
    """Return the payload of the source as it is."""
    return Payload(io.BytesIO(CONTENT), headers=headers)


def encoded(**headers: str) -> Payload:
    """Return the payload of the source as if it were compressed."""
    return Payload(io.BytesIO(ENCODED), encoded=True, headers=headers)


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError("The body was read.")


class TestCompare:
    def test_another_size_is_a_change_of_which_nothing_is_read(self, source: SourceFile) -> None:
        remote = RemoteObject(
            "a.css", "v", SIZE + 1, Checksum("md5", MD5), cached=CachedChecksum("v", MD5)
        )
        assert compare(source, Payload(Unread()), remote).same is False

    def test_another_size_says_nothing_of_what_is_encoded(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", len(ENCODED), Checksum("md5", MD5_OF_ENCODED))
        assert compare(source, encoded(), remote).same is True

    def test_an_unknown_size_says_nothing(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", None, Checksum("md5", MD5))
        assert compare(source, plain(), remote).same is True

    @pytest.mark.parametrize(("checksum", "same"), [(MD5, True), (MD5_OF_OTHER, False)])
    def test_the_cached_checksum_decides_before_what_looks_like_an_md5(
        self, source: SourceFile, checksum: str, same: bool
    ) -> None:
        # As the ETag of an object under SSE-KMS does.
        pretended = Checksum("md5", MD5_OF_OTHER if same else MD5)
        remote = RemoteObject("a.css", "v", SIZE, pretended, cached=CachedChecksum("v", checksum))
        assert compare(source, plain(), remote).same is same

    @pytest.mark.parametrize(("checksum", "same"), [(MD5, True), (MD5_OF_ENCODED, False)])
    def test_the_cached_checksum_speaks_of_the_source_before_it_is_encoded(
        self, source: SourceFile, checksum: str, same: bool
    ) -> None:
        cached = CachedChecksum("v", checksum, encoded().headers_hash)
        remote = RemoteObject("a.css", "v", len(ENCODED), cached=cached)
        assert compare(source, encoded(), remote).same is same

    def test_a_checksum_cached_before_compression_does_not_decide_after_it(
        self, source: SourceFile
    ) -> None:
        # As is cached of what was found to be the same before compression was switched on.
        remote = RemoteObject(
            "a.css", "v", SIZE, Checksum("md5", MD5), cached=CachedChecksum("v", MD5)
        )
        assert compare(source, encoded(), remote).same is False

    @pytest.mark.parametrize("payload_of", [plain, encoded])
    def test_other_headers_than_the_cached_ones_are_a_change(
        self, source: SourceFile, payload_of: Callable[..., Payload]
    ) -> None:
        written = payload_of(CacheControl="max-age=60").headers_hash
        remote = RemoteObject("a.css", "v", SIZE, cached=CachedChecksum("v", MD5, written))
        assert compare(source, payload_of(CacheControl="max-age=60"), remote).same is True
        assert compare(source, payload_of(CacheControl="max-age=90"), remote).same is False

    def test_headers_that_are_not_cached_are_not_a_change(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", SIZE, cached=CachedChecksum("v", MD5))
        assert compare(source, plain(CacheControl="max-age=60"), remote).same is True

    @pytest.mark.parametrize(("checksum", "same"), [(MD5, True), (MD5_OF_OTHER, False)])
    def test_the_remote_checksum_decides_where_nothing_is_cached(
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

    def test_an_object_without_any_checksum_is_unknown(self, source: SourceFile) -> None:
        assert compare(source, plain(), RemoteObject("a.css", "v", SIZE)).same is None

    def test_nothing_is_cached_of_what_is_unknown(self, source: SourceFile) -> None:
        assert compare(source, plain(), RemoteObject("a.css", "v", SIZE)).cached is None

    def test_nothing_is_cached_of_a_change(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", SIZE, Checksum("md5", MD5_OF_OTHER))
        assert compare(source, plain(), remote).cached is None

    @pytest.mark.parametrize(
        "checksum",
        [
            Checksum("md5", MD5),
            Checksum("md5-parts", md5_of_parts(io.BytesIO(CONTENT), 4), part_size=4),
        ],
        ids=lambda checksum: checksum.algorithm,
    )
    def test_the_md5_of_the_source_is_cached_of_what_is_the_same(
        self, source: SourceFile, checksum: Checksum
    ) -> None:
        remote = RemoteObject("a.css", "v", SIZE, checksum)
        assert compare(source, plain(), remote).cached == CachedChecksum("v", MD5)

    def test_the_md5_of_the_source_is_cached_of_what_is_encoded(self, source: SourceFile) -> None:
        remote = RemoteObject("a.css", "v", len(ENCODED), Checksum("md5", MD5_OF_ENCODED))
        cached = CachedChecksum("v", MD5, encoded().headers_hash)
        assert compare(source, encoded(), remote).cached == cached

    def test_what_was_cached_stays_with_its_headers(self, source: SourceFile) -> None:
        cached = CachedChecksum("v", MD5, plain().headers_hash)
        assert (
            compare(source, plain(), RemoteObject("a.css", "v", SIZE, cached=cached)).cached
            == cached
        )


class TestRemoteObject:
    def test_a_checksum_of_this_version_is_taken(self) -> None:
        cached = CachedChecksum("v", "c")
        assert RemoteObject("a.css", "v").with_cached(cached).cached == cached

    @pytest.mark.parametrize("version", ["w", ""])
    def test_a_checksum_of_another_version_is_not_taken(self, version: str) -> None:
        assert RemoteObject("a.css", version).with_cached(CachedChecksum("v", "c")).cached is None

    def test_a_checksum_is_not_taken_where_no_version_is_known(self) -> None:
        assert RemoteObject("a.css", "").with_cached(CachedChecksum("", "c")).cached is None

    def test_without_a_checksum_it_stays_as_it_is(self) -> None:
        remote = RemoteObject("a.css", "v", 1)
        assert remote.with_cached(None) == remote


class TestListed:
    def test_how_its_checksum_is_read_does_not_make_another_of_it(self) -> None:
        remote = RemoteObject("a.css", "v", 1)
        assert replace(remote, read_checksum=lambda: Checksum("md5", MD5)) == remote

    def test_it_is_the_remote_object_of_a_name(self) -> None:
        checksum = Checksum("md5", MD5)
        listed = Listed("v", SIZE, read_checksum=lambda: checksum)
        remote = RemoteObject.of("a.css", listed, "h")
        assert remote == RemoteObject("a.css", "v", SIZE, headers="h")
        assert remote.read_checksum() == checksum


class TestOnOurClock:
    HOUR = timedelta(hours=1)

    @property
    def now(self) -> datetime:
        # Not when the module is read: the tests may take minutes to come here.
        return datetime.now(timezone.utc)

    def age(self, written: datetime, date: str | None = None) -> float:
        """Return how many hours ago something was written."""
        return round((datetime.now(timezone.utc) - on_our_clock(written, date)) / self.HOUR, 1)

    def test_without_a_date_both_clocks_agree(self) -> None:
        for date in (None, "", "yesterday"):
            assert self.age(self.now - 2 * self.HOUR, date) == 2

    def test_the_clock_of_the_service_may_be_wrong(self) -> None:
        for off in (-48 * self.HOUR, 3 * self.HOUR):
            date = format_datetime(self.now + off, usegmt=True)
            assert self.age(self.now + off - 2 * self.HOUR, date) == 2

    def test_a_date_without_a_zone_is_that_of_utc(self) -> None:
        date = format_datetime(self.now + self.HOUR).replace("+0000", "-0000")
        assert self.age(self.now - self.HOUR, date) == 2

    def test_what_names_no_time_zone_is_in_that_of_django(self) -> None:
        with override_settings(TIME_ZONE="Asia/Tokyo"):
            tokyo = (self.now + 9 * self.HOUR).replace(tzinfo=None)
            assert self.age(tokyo - 2 * self.HOUR) == 2
