"""A Django cache of objects in a storage: its semantics, without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.cache import CacheKeyWarning, caches
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages
from django.test import override_settings

from collectfasta.cache import StorageCache, is_entry
from collectfasta.checksum_cache import ChecksumCache
from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.remote import CachedChecksum

STATIC = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
MEMORY = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
BACKEND = "collectfasta.cache.StorageCache"


class PlainStorage(Storage):
    """A storage of somebody, with nothing but what Django asks for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def _open(self, name: str, mode: str = "rb") -> Any:
        if name not in self.files:
            raise FileNotFoundError(name)
        return ContentFile(self.files[name])

    def _save(self, name: str, content: Any) -> str:
        self.files[name] = content.read()
        return name

    def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def exists(self, name: str) -> bool:
        return name in self.files

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        return [], [name[len(path) + 1 :] for name in self.files if name.startswith(f"{path}/")]


class BrokenStorage(InMemoryStorage):
    """A storage whose server is down."""

    def open(self, name: str, mode: str = "rb") -> Any:
        raise ConnectionError("no answer")


def in_storage(storage: Mapping[str, Any], **parameters: Any) -> Any:
    """Return settings with a storage under the alias "ci" and a cache in it."""
    return override_settings(
        STORAGES={"default": MEMORY, "staticfiles": STATIC, "ci": storage},
        CACHES={"default": {"BACKEND": BACKEND, "LOCATION": "ci", **parameters}},
    )


@pytest.fixture(params=["memory", "directory", "plain"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCache]:
    """An empty cache in each kind of storage in turn."""
    directory = "django.core.files.storage.FileSystemStorage"
    kinds: dict[str, dict[str, Any]] = {
        "memory": dict(MEMORY),
        "directory": {"BACKEND": directory, "OPTIONS": {"location": tmp_path}},
        "plain": {"BACKEND": f"{__name__}.PlainStorage"},
    }
    with in_storage(kinds[request.param]):
        yield caches["default"]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Make it a number of seconds later."""
    now = time.time

    def move(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now() + seconds)

    return move


def names() -> list[str]:
    return sorted(storages["ci"].listdir("collectfasta-cache")[1])


def body_of(name: str) -> bytes:
    with storages["ci"].open(f"collectfasta-cache/{name}") as content:
        body: bytes = content.read()
    return body


def replace(name: str, body: bytes) -> None:
    storages["ci"].delete(f"collectfasta-cache/{name}")
    storages["ci"].save(f"collectfasta-cache/{name}", ContentFile(body))


class TestValues:
    def test_what_is_set_is_got(self, cache: BaseCache) -> None:
        cache.set("key", "value")
        assert cache.get("key") == "value"

    def test_what_is_not_there_is_the_default(self, cache: BaseCache) -> None:
        assert cache.get("key") is None
        assert cache.get("key", "default") == "default"

    def test_none_is_a_value(self, cache: BaseCache) -> None:
        cache.set("key", None)
        assert cache.get("key", "default") is None
        assert "key" in cache

    def test_a_shorter_value_replaces_a_longer_one_wholly(self, cache: BaseCache) -> None:
        cache.set("key", "long" * 1000)
        cache.set("key", "short")
        assert cache.get("key") == "short"
        assert len(names()) == 1

    def test_a_value_that_json_would_lose_or_change_is_refused(self, cache: BaseCache) -> None:
        values = [b"bytes", (1, 2), {1: "a"}, {"a": (1,)}, {1}, date(2026, 1, 1), ...]
        values += [float("nan"), float("inf")]
        for value in values:
            with pytest.raises(TypeError, match="A StorageCache keeps what JSON can hold"):
                cache.set("key", value)
            assert "key" not in cache, value

    def test_a_value_that_is_too_deep_is_refused(self, cache: BaseCache) -> None:
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        with pytest.raises(TypeError, match="A StorageCache keeps what JSON can hold"):
            cache.set("key", value)

    def test_a_number_is_counted_up_and_down(self, cache: BaseCache) -> None:
        cache.set("key", 1)
        assert cache.incr("key", 5) == 6
        assert cache.decr("key") == 5
        with pytest.raises(ValueError, match="other"):
            cache.incr("other")


class TestKeys:
    def test_each_key_is_its_own_entry_in_the_one_folder(self, cache: BaseCache) -> None:
        keys = ["a", "A", "../../etc/passwd", "/", "", "ключ", "a.json", "\ud800", "x" * 200]
        for key in keys:
            cache.set(key, f"of {key!r}")
        assert [cache.get(key) for key in keys] == [f"of {key!r}" for key in keys]
        assert len(names()) == len(keys)
        assert all(is_entry(f"collectfasta-cache/{name}") for name in names())

    def test_a_key_that_is_not_portable_is_warned_of_as_in_other_caches(
        self, cache: BaseCache
    ) -> None:
        with pytest.warns(CacheKeyWarning):
            cache.set("with space", "value")

    def test_versions_are_entries_of_their_own(self, cache: BaseCache) -> None:
        cache.set("key", "one")
        cache.set("key", "two", version=2)
        assert (cache.get("key"), cache.get("key", version=2)) == ("one", "two")
        cache.incr_version("key", version=2)
        assert cache.get("key", version=3) == "two"
        assert cache.get("key", version=2) is None

    def test_prefixes_are_entries_of_their_own(self) -> None:
        with in_storage(MEMORY):
            mine = StorageCache("ci", {"KEY_PREFIX": "mine"})
            other = StorageCache("ci", {"KEY_PREFIX": "other"})
            mine.set("key", "value")
            assert mine.get("key") == "value"
            assert other.get("key") is None

    def test_an_entry_that_was_copied_over_another_is_a_miss(self, cache: BaseCache) -> None:
        cache.set("a", "value")
        (name,) = names()
        cache.set("b", "other")
        (other,) = set(names()) - {name}
        replace(other, body_of(name))
        assert cache.get("b") is None


class TestTimeouts:
    def test_an_entry_expires(self, cache: BaseCache, later: Callable[[float], None]) -> None:
        cache.set("key", "value", timeout=60)
        later(59)
        assert cache.get("key") == "value"
        later(61)
        assert cache.get("key") is None
        assert "key" not in cache

    def test_an_entry_without_timeout_stays(
        self, cache: BaseCache, later: Callable[[float], None]
    ) -> None:
        cache.set("key", "value", timeout=None)
        later(10**9)
        assert cache.get("key") == "value"

    def test_the_default_is_the_timeout_of_the_cache(self, later: Callable[[float], None]) -> None:
        with in_storage(MEMORY, TIMEOUT=60):
            caches["default"].set("key", "value")
            later(61)
            assert caches["default"].get("key") is None

    def test_what_expires_at_once_is_not_kept(self, cache: BaseCache) -> None:
        for timeout in (0, -1):
            cache.set("key", "before")
            cache.set("key", "value", timeout=timeout)
            assert names() == []

    def test_touch_gives_another_time(
        self, cache: BaseCache, later: Callable[[float], None]
    ) -> None:
        cache.set("key", "value", timeout=60)
        assert cache.touch("key", timeout=120)
        later(100)
        assert cache.get("key") == "value"

    def test_touch_makes_no_entry(self, cache: BaseCache) -> None:
        assert not cache.touch("key")
        assert cache.get("key") is None


class TestMany:
    def test_add_keeps_what_is_there(self, cache: BaseCache) -> None:
        assert cache.add("key", "first")
        assert not cache.add("key", "second")
        assert cache.get("key") == "first"

    def test_many_are_set_and_got(self, cache: BaseCache) -> None:
        assert cache.set_many({"a": 1, "b": 2}) == []
        assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}

    def test_delete_tells_whether_there_was_an_entry(self, cache: BaseCache) -> None:
        cache.set("key", "value")
        assert cache.delete("key")
        assert not cache.delete("key")
        assert cache.get("key") is None

    def test_many_are_deleted_and_others_stay(self, cache: BaseCache) -> None:
        cache.set_many({"a": 1, "b": 2, "c": 3})
        cache.delete_many(["a", "b", "missing"])
        assert cache.get_many(["a", "b", "c"]) == {"c": 3}

    def test_clear_deletes_all_entries_and_nothing_else(self, cache: BaseCache) -> None:
        cache.clear()
        cache.set_many({"a": 1, "b": 2})
        for name in ("other.json", "collectfasta-cache/mine.txt"):
            storages["ci"].save(name, ContentFile(b"mine"))
        cache.clear()
        assert cache.get_many(["a", "b"]) == {}
        assert names() == ["mine.txt"]
        assert storages["ci"].exists("other.json")


def test_an_entry_that_cannot_be_read_is_a_miss_and_replaced(cache: BaseCache) -> None:
    bodies = [b"", b"{", b"\xff", b"null", b"1", b"[]", b'""', b"{}", b"[" * 100_000]
    bodies += [b'{"key": ":1:key", "value": 1}', b'{"key": ":1:key", "expires": null}']
    bodies += [b'{"key": ":1:key", "expires": "never", "value": 1}']
    for body in bodies:
        cache.set("key", "value")
        (name,) = names()
        replace(name, body)
        assert cache.get("key") is None, body[:40]
        cache.set("key", "again")
        assert cache.get("key") == "again", body[:40]


def test_an_entry_is_json_that_names_its_key() -> None:
    with in_storage(MEMORY):
        caches["default"].set("key", {"a": 1}, timeout=None)
        (name,) = names()
        entry = json.loads(body_of(name))
    assert entry == {"key": ":1:key", "expires": None, "value": {"a": 1}}


class TestFailures:
    def test_a_storage_that_fails_is_not_a_miss(self) -> None:
        with (
            in_storage({"BACKEND": f"{__name__}.BrokenStorage"}),
            pytest.raises(CollectfastaError, match=r"BrokenStorage can't be used: .* no answer"),
        ):
            caches["default"].get("key")

    def test_what_a_service_refuses_is_explained(self, tmp_path: Path) -> None:
        directory = "django.core.files.storage.FileSystemStorage"
        (tmp_path / "file").touch()
        # Nothing can be written under a file.
        options = {"location": tmp_path / "file"}
        with in_storage({"BACKEND": directory, "OPTIONS": options}):
            with pytest.raises(CollectfastaError, match=str(tmp_path)) as caught:
                caches["default"].set("key", "value")
            assert not isinstance(caught.value, StoreError)


class OwnOpen(InMemoryStorage):
    """A storage that opens files in its own way."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        body = super()._open(name, mode).read()  # type: ignore[misc]
        return ContentFile(body.replace(b"stored", b"opened"))


class OwnSave(FileSystemStorage):
    """A storage that saves files in its own way."""

    def _save(self, name: str, content: Any) -> str:
        changed = ContentFile(content.read().replace(b"sent", b"saved"))
        return str(super()._save(name, changed))  # type: ignore[misc]


def test_the_storages_own_ways_are_obeyed(tmp_path: Path) -> None:
    with in_storage({"BACKEND": f"{__name__}.OwnOpen"}):
        caches["default"].set("key", "stored")
        assert caches["default"].get("key") == "opened"
    with in_storage({"BACKEND": f"{__name__}.OwnSave", "OPTIONS": {"location": tmp_path}}):
        for value in ("sent", "sent again"):
            caches["default"].set("key", value)
            assert caches["default"].get("key") == value.replace("sent", "saved")


class Configured(InMemoryStorage):
    """A storage with the options of a cloud's."""

    gzip = True
    default_acl = "public-read"
    saved: ClassVar[list[tuple[bool, str | None, dict[str, str]]]] = []

    def get_object_parameters(self, name: str) -> dict[str, str]:
        groups = "uri=http://acs.amazonaws.com/groups/global/AllUsers"
        return {
            "CacheControl": "max-age=60",
            "ACL": "public-read",
            "GrantRead": groups,
            "ContentEncoding": "gzip",
        }

    def _save(self, name: str, content: Any) -> str:
        self.saved.append((self.gzip, self.default_acl, self.get_object_parameters(name)))
        return str(super()._save(name, content))  # type: ignore[misc]


def test_entries_are_private_and_not_compressed_whatever_the_storage_says() -> None:
    Configured.saved.clear()
    with in_storage({"BACKEND": f"{__name__}.Configured"}):
        caches["default"].set("key", "value")
        storage: Any = storages["ci"]
        # The storage itself stays as it is.
        assert (storage.gzip, storage.default_acl) == (True, "public-read")
        assert len(storage.get_object_parameters("x")) == 4
    assert Configured.saved == [(False, None, {"CacheControl": "max-age=60"})]


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    # Who has the old one open reads it to its end.
    backend = f"{FileSystemStorage.__module__}.FileSystemStorage"
    with in_storage({"BACKEND": backend, "OPTIONS": {"location": tmp_path}}):
        caches["default"].set("key", "before")
        (path,) = (each for each in tmp_path.rglob("*") if each.is_file())
        with path.open("rb") as reader:
            caches["default"].set("key", "after")
            assert json.load(reader)["value"] == "before"
        assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]


def test_nothing_is_made_before_the_first_use() -> None:
    with in_storage({"BACKEND": "no.such.Storage"}):
        cache = caches["default"]
        with pytest.raises(ImproperlyConfigured, match=r"no\.such"):
            cache.get("key")


def test_a_location_that_cannot_be_used_is_refused() -> None:
    messages = {
        "": r"no LOCATION\. Set it to the alias",
        "other": r"'other', which is not in STORAGES\. Set it to the alias",
        "staticfiles": "'staticfiles' as its LOCATION.*that nothing serves to the public",
    }
    for location, message in messages.items():
        with (
            in_storage(MEMORY, LOCATION=location),
            pytest.raises(ImproperlyConfigured, match=message),
        ):
            caches["default"]


def test_entries_are_told_from_files_by_their_names() -> None:
    entry = f"collectfasta-cache/{'0af' * 21}0.json"
    assert is_entry(entry)
    assert is_entry(f"a/b/{entry}")
    others = [f"{entry}/a.css", f"my-{entry}", entry.replace("a", "A"), "a.css"]
    others += ["collectfasta-cache/data.json"]
    assert [name for name in others if is_entry(name)] == []


def test_checksums_of_many_objects_are_few_entries() -> None:
    for number, entries in ((1, 1), (10_000, 1), (50_000, 2)):
        each = CachedChecksum("v" * 32, "c" * 32, "p" * 16)
        checksums = {f"folder/{n}.css": each for n in range(number)}
        with in_storage(MEMORY):
            ChecksumCache("target").save(checksums)
            assert len(names()) == entries, number
            assert ChecksumCache("target").load() == checksums
