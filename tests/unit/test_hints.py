"""Django's cache as a deploy uses it."""

from __future__ import annotations

import logging
import pickle
import threading
from typing import Any

import pytest
from django.core.cache import BaseCache, cache
from django.core.cache.backends.base import InvalidCacheBackendError
from django.db import OperationalError
from django.test import override_settings

from collectfasta import hints
from collectfasta.errors import CollectfastaError
from collectfasta.hints import Hints
from tests.unit.caches import CacheDownError, caches_of

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "collectfasta")
    return caplog


def failing(error: Exception) -> Any:
    """Return an action that fails, and counts how often it was tried."""

    def action(cache: BaseCache) -> None:
        action.calls += 1  # type: ignore[attr-defined]
        raise error

    action.calls = 0  # type: ignore[attr-defined]
    return action


class TestHints:
    def test_what_an_action_reads_is_returned(self, warnings: pytest.LogCaptureFixture) -> None:
        cache.set("key", "value")
        assert Hints("So what.").read(lambda cache: cache.get("key")) == "value"
        assert warnings.records == []

    def test_an_action_writes(self, warnings: pytest.LogCaptureFixture) -> None:
        Hints("So what.").write(lambda cache: cache.set("key", "value"))
        assert cache.get("key") == "value"
        assert warnings.records == []

    def test_a_failure_is_one_warning_that_says_what_to_do(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        used = Hints("So what.")
        assert used.read(failing(CacheDownError(SECRET))) is None
        used.write(failing(CacheDownError(SECRET)))
        (warning,) = warnings.records
        assert warning.getMessage() == (
            "The cache 'default' could not be read (CacheDownError). So what. Mend it, or name "
            "another one in COLLECTFASTA_CACHE."
        )

    def test_after_a_failure_the_cache_is_left_alone(self) -> None:
        used, action = Hints("So what."), failing(CacheDownError())
        used.write(action)
        used.write(action)
        used.read(action)
        assert action.calls == 1

    def test_an_error_of_collectfasta_is_told(self, warnings: pytest.LogCaptureFixture) -> None:
        Hints("So what.").write(failing(CollectfastaError("the bucket is gone")))
        assert "(the bucket is gone)" in warnings.text

    def test_an_error_of_a_database_tells_how_its_table_is_made(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        Hints("So what.").read(failing(OperationalError(f"no table for {SECRET}")))
        assert "(OperationalError; manage.py createcachetable makes its table)" in warnings.text
        assert SECRET not in warnings.text

    @pytest.mark.parametrize(
        "error", [pickle.UnpicklingError(), ValueError(), EOFError(), ImportError()], ids=repr
    )
    def test_a_value_that_can_t_be_read_is_a_miss_and_no_failure(
        self, warnings: pytest.LogCaptureFixture, error: Exception
    ) -> None:
        used = Hints("So what.")
        assert used.read(failing(error)) is None
        used.write(lambda cache: cache.set("key", "value"))
        assert cache.get("key") == "value"
        assert warnings.records == []

    def test_what_can_t_be_written_for_such_a_reason_is_a_failure(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        Hints("So what.").write(failing(ImportError()))
        assert "could not be written (ImportError)" in warnings.text

    def test_a_cache_that_can_t_be_made_is_one_warning(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        with override_settings(CACHES={"default": {"BACKEND": "no.such.Backend"}}):
            assert Hints("So what.").read(lambda cache: cache.get("key")) is None
        assert InvalidCacheBackendError.__name__ in warnings.text

    def test_of_several_threads_one_warns(self, warnings: pytest.LogCaptureFixture) -> None:
        used, barrier = Hints("So what."), threading.Barrier(8)

        def action(cache: BaseCache) -> None:
            barrier.wait(10)
            raise CacheDownError

        threads = [threading.Thread(target=used.read, args=(action,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(warnings.records) == 1


class TestWaiting:
    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hints, "_SECONDS", 0.05)
        monkeypatch.setattr(hints, "_SECONDS_PER_ENTRY", 0)

    def thread_of(self, name: str, **parameters: Any) -> Any:
        """Return the thread that a cache of this class is used in."""
        with override_settings(CACHES={"default": {"BACKEND": name, **parameters}}):
            return Hints("So what.").read(lambda _: threading.current_thread())

    def test_a_cache_that_does_not_answer_is_left_behind(
        self, warnings: pytest.LogCaptureFixture
    ) -> None:
        ended = threading.Event()
        with override_settings(CACHES=caches_of("DownCache")):
            Hints("So what.").read(lambda _: ended.wait(30))
        ended.set()
        assert "(no answer in 0 s)" in warnings.text

    def test_what_was_left_behind_does_not_keep_the_process(self) -> None:
        assert self.thread_of("tests.unit.caches.DownCache").daemon

    def test_many_entries_are_waited_for_longer(
        self, warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hints, "_SECONDS_PER_ENTRY", 1)
        ended = threading.Event()
        with override_settings(CACHES=caches_of("DownCache")):
            assert Hints("So what.").read(lambda _: not ended.wait(0.2), entries=30)
        assert warnings.records == []

    @pytest.mark.parametrize(
        ("name", "location"),
        [
            ("django.core.cache.backends.db.DatabaseCache", "table"),
            ("django.core.cache.backends.locmem.LocMemCache", ""),
            ("collectfasta.cache.StorageCache", "default"),
        ],
    )
    def test_a_cache_that_ends_by_itself_is_used_in_the_thread_that_asks(
        self, name: str, location: str
    ) -> None:
        assert self.thread_of(name, LOCATION=location) is threading.current_thread()
