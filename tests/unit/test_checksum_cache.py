"""Cached checksums, and Django's cache as a deploy uses it."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import threading
from collections.abc import Mapping
from functools import cache as cache_calls
from typing import Any

import pytest
from django.core.cache import BaseCache, cache, caches
from django.core.cache.backends.base import InvalidCacheBackendError
from django.db import OperationalError
from django.test import override_settings

from collectfasta import checksum_cache
from collectfasta.checksum_cache import CacheAccess, ChecksumCache
from collectfasta.errors import CollectfastaError
from collectfasta.remote import CachedChecksum
from tests.unit.caches import CacheDownError, CountingCache, caches_of

MEGABYTE = 1024 * 1024
MANY = 30_000
# So many need several entries.
SOME = 4_000
ONE = {"a.css": CachedChecksum("1", "c")}
SECRET = "correct-horse-battery-staple"


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "collectfasta")
    return caplog


@cache_calls
def checksums_of(number: int) -> Mapping[str, CachedChecksum]:
    """Return cached checksums of usual sizes."""
    return {
        f"some-application/images/picture-{n}.0123456789ab.png": CachedChecksum(
            hashlib.md5(b"%d" % n).hexdigest(), "c" * 32, "p" * 16
        )
        for n in range(number)
    }


def save(checksums: Mapping[str, CachedChecksum], target: str = "target") -> None:
    """Save checksums as a deploy does."""
    run = ChecksumCache(target)
    run.load()
    run.save(checksums)


def load(target: str = "target") -> dict[str, CachedChecksum]:
    return ChecksumCache(target).load()


class TestChecksumCache:
    def test_what_was_saved_is_loaded_and_what_is_gone_is_gone(self) -> None:
        assert load() == {}
        for checksums in (ONE, checksums_of(SOME), {}, checksums_of(2)):
            save(checksums)
            assert load() == checksums

    def test_many_names_that_are_gone_leave_no_entry_behind(self, counting: CountingCache) -> None:
        save(checksums_of(SOME))
        save(checksums_of(1))
        assert len(cache.get_many(counting.written[0])) == 1

    def test_targets_and_key_prefixes_never_see_each_other(self) -> None:
        save(ONE, "s3 aws bucket static/")
        save(checksums_of(1), "s3 aws bucket static-old/")
        assert load("s3 aws bucket static/") == ONE
        with override_settings(COLLECTFASTA_CACHE_KEY_PREFIX="another-project-"):
            assert load("s3 aws bucket static/") == {}

    def test_the_cache_that_the_setting_names_is_used(self) -> None:
        locmem = "django.core.cache.backends.locmem.LocMemCache"
        both = {name: {"BACKEND": locmem, "LOCATION": name} for name in ("default", "static")}
        with override_settings(CACHES=both, COLLECTFASTA_CACHE="static"):
            save(ONE)
            caches["default"].clear()
            assert load() == ONE

    def test_entries_outlive_the_timeout_of_the_cache(self) -> None:
        # A timeout of 0 expires an entry at once.
        with override_settings(CACHES=caches_of("CountingCache", TIMEOUT=0)):
            save(ONE)
            assert load() == ONE

    def test_no_entry_reaches_what_memcached_takes(self, counting: CountingCache) -> None:
        wide = "\U0001f600" * 100
        checksum = CachedChecksum("v" * 34, "c" * 32, "p" * 16)
        save(checksums_of(MANY))
        assert counting.largest < MEGABYTE / 2
        save({f"{wide}{n}": checksum for n in range(MANY)})
        assert counting.largest < MEGABYTE

    def test_entries_become_more_with_the_names_not_larger(self, counting: CountingCache) -> None:
        save(checksums_of(100), "small")
        save(checksums_of(MANY), "large")
        small, large = counting.written
        assert len(small) == 1
        assert 8 <= len(large) <= 64

    def test_round_trips_do_not_depend_on_the_number_of_names(
        self, counting: CountingCache
    ) -> None:
        for number in (1, SOME):
            cache.clear()
            counting.trips.clear()
            save(checksums_of(number))
            assert counting.trips == {"get_many": 1, "set_many": 1}, number
            counting.trips.clear()
            save(checksums_of(number))
            assert set(counting.trips) == {"get_many"}, number
            assert counting.trips["get_many"] <= 2, number
        counting.trips.clear()
        save(ONE)
        assert counting.trips == {"get_many": 2, "set_many": 1, "delete_many": 1}

    def test_only_the_entry_of_a_changed_name_is_written_again(
        self, counting: CountingCache
    ) -> None:
        checksums = checksums_of(SOME)
        save(checksums)
        counting.written.clear()
        name = next(iter(checksums))
        save({**checksums, name: CachedChecksum("v" * 32, "d" * 32, "p" * 16)})
        ((key,),) = counting.written
        assert name in cache.get(key)

    def test_a_name_that_is_not_unicode_does_not_fail(self) -> None:
        # As os.listdir() gives names of bytes that are not UTF-8.
        save({"\udcff.css": CachedChecksum("1", "c"), **ONE})
        assert load()["a.css"] == ONE["a.css"]


def own_entry(counting: CountingCache) -> tuple[str, str]:
    """Save a checksum, and return key and value of the entry that it led to."""
    counting.written.clear()
    ChecksumCache("target").save(ONE)
    ((key,),) = counting.written
    return key, cache.get(key)


class TestEntries:
    def test_a_value_of_somebody_else_is_a_miss_and_replaced(self, counting: CountingCache) -> None:
        key, text = own_entry(counting)
        entry = json.loads(text)
        values: list[object] = [b"\x80\x81", None, 1, ["a.css"], "", "c4ca4238a0b923820dcc", "null"]
        values += ["[" * 100_000, "\ud800", "9" * 5000]
        changes: list[tuple[str, list[object]]] = [
            ("format", [2, None]),
            ("shards", [0, -1, 10**9, "1", 1.5]),
            ("pairs", [None, ["a.css"], {"a.css": None}, {"a.css": "abc"}, {"a.css": ["1"]}]),
            ("pairs", [{"a.css": ["1", "c", "", ""]}, {"a.css": [1, "c", ""]}]),
        ]
        changed = [{**entry, key: each} for key, others in changes for each in others]
        values += map(json.dumps, changed)
        values += [json.dumps({k: v for k, v in entry.items() if k != left}) for left in entry]
        failed = []
        for value in values:
            cache.set(key, value)
            second = ChecksumCache("target")
            found = second.load()
            second.save(ONE)
            if found != {} or cache.get(key) != text:
                failed.append(value)
        assert failed == []

    def test_a_culled_entry_is_a_miss_for_its_names_only(self, counting: CountingCache) -> None:
        save(checksums_of(SOME))
        (keys,) = counting.written
        culled = sorted(keys)[-1]
        names = json.loads(cache.get(culled))["pairs"].keys()
        cache.delete(culled)
        assert load().keys() == checksums_of(SOME).keys() - names

    def test_a_culled_first_entry_is_a_miss_and_repaired(self, counting: CountingCache) -> None:
        save(checksums_of(SOME))
        (keys,) = counting.written
        cache.delete(min(keys))
        save(checksums_of(SOME))
        assert load() == checksums_of(SOME)


class TestFailingCache:
    def test_a_cache_that_fails_is_one_warning_and_a_miss(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        for name in ("DownCache", "ReadOnlyCache", "FullCache"):
            warnings.clear()
            with override_settings(CACHES=caches_of(name)):
                checksums = ChecksumCache("target")
                assert checksums.load() == {}
                checksums.save(ONE)
            assert len(warnings.records) == 1, name
            assert "'default'" in warnings.text
            # What the client says may hold a password.
            assert "cache.internal" not in warnings.text

    def test_a_cache_that_works_is_not_warned_of(self, warnings: pytest.LogCaptureFixture) -> None:
        save(ONE)
        assert warnings.records == []


def failing(error: Exception) -> Any:
    """Return an action that fails, and counts how often it was tried."""

    def action(cache: BaseCache) -> None:
        action.calls += 1  # type: ignore[attr-defined]
        raise error

    action.calls = 0  # type: ignore[attr-defined]
    return action


class TestCacheAccess:
    def test_actions_read_and_write(self, warnings: pytest.LogCaptureFixture) -> None:
        access = CacheAccess("So what.")
        access.write(lambda cache: cache.set("key", "value"))
        assert access.read(lambda cache: cache.get("key")) == "value"
        assert warnings.records == []

    def test_a_failure_is_one_warning_that_says_what_to_do(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        access = CacheAccess("So what.")
        assert access.read(failing(CacheDownError(SECRET))) is None
        access.write(failing(CacheDownError(SECRET)))
        (warning,) = warnings.records
        assert warning.getMessage() == (
            "The cache 'default' could not be read (CacheDownError). So what. Fix it, or name "
            "another cache in COLLECTFASTA_CACHE."
        )

    def test_after_a_failure_the_cache_is_left_alone(self) -> None:
        access, action = CacheAccess("So what."), failing(CacheDownError())
        access.write(action)
        access.write(action)
        access.read(action)
        assert action.calls == 1

    def test_the_warning_names_the_cause(self, warnings: pytest.LogCaptureFixture) -> None:
        causes = {
            "(the bucket is gone)": CollectfastaError("the bucket is gone"),
            "(OperationalError; manage.py createcachetable makes its table)": OperationalError(
                f"no table for {SECRET}"
            ),
            "could not be written (ImportError)": ImportError(),
        }
        for words, error in causes.items():
            CacheAccess("So what.").write(failing(error))
            assert words in warnings.text
        assert SECRET not in warnings.text

    def test_a_value_that_cannot_be_read_is_a_miss_and_not_a_failure(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        for error in (pickle.UnpicklingError(), ValueError(), EOFError(), ImportError()):
            access = CacheAccess("So what.")
            assert access.read(failing(error)) is None
            access.write(lambda cache: cache.set("key", "value"))
            assert cache.get("key") == "value"
            cache.delete("key")
        assert warnings.records == []

    def test_a_cache_that_cannot_be_made_is_one_warning(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        with override_settings(CACHES={"default": {"BACKEND": "no.such.Backend"}}):
            assert CacheAccess("So what.").read(lambda cache: cache.get("key")) is None
        assert InvalidCacheBackendError.__name__ in warnings.text

    def test_of_several_threads_one_warns(self, warnings: pytest.LogCaptureFixture) -> None:
        access, barrier = CacheAccess("So what."), threading.Barrier(8)

        def action(cache: BaseCache) -> None:
            barrier.wait(10)
            raise CacheDownError

        threads = [threading.Thread(target=access.read, args=(action,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(warnings.records) == 1


class TestTimeouts:
    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checksum_cache, "_SECONDS", 0.05)
        monkeypatch.setattr(checksum_cache, "_SECONDS_PER_ENTRY", 0)

    def thread_of(self, name: str, **parameters: Any) -> Any:
        """Return the thread that a cache of this class is used in."""
        with override_settings(CACHES={"default": {"BACKEND": name, **parameters}}):
            return CacheAccess("So what.").read(lambda _: threading.current_thread())

    def test_a_cache_that_does_not_answer_is_left_behind(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        ended = threading.Event()
        with override_settings(CACHES=caches_of("DownCache")):
            CacheAccess("So what.").read(lambda _: ended.wait(30))
        ended.set()
        assert "(no answer in 0 s)" in warnings.text

    def test_many_entries_are_waited_for_longer(
        self, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checksum_cache, "_SECONDS_PER_ENTRY", 1)
        ended = threading.Event()
        with override_settings(CACHES=caches_of("DownCache")):
            assert CacheAccess("So what.").read(lambda _: not ended.wait(0.2), entries=30)
        assert warnings.records == []

    def test_only_a_cache_that_ends_by_itself_is_used_in_the_calling_thread(self) -> None:
        ending = {
            "django.core.cache.backends.db.DatabaseCache": "table",
            "django.core.cache.backends.locmem.LocMemCache": "",
            "collectfasta.cache.StorageCache": "default",
        }
        threads = {name: self.thread_of(name, LOCATION=where) for name, where in ending.items()}
        assert set(threads.values()) == {threading.current_thread()}, threads
        # What was left behind does not keep the process.
        assert self.thread_of("tests.unit.caches.DownCache").daemon
