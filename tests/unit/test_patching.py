"""Methods and attributes of one storage object replaced for a while."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from collectfasta.patching import (
    is_overridden,
    noting_names,
    patched,
    save_sorted_manifest,
    saving_under_exact_names,
    unwrapped,
)
from tests.unit.helpers import LazyStorage, each_storage, in_memory


class TestPatched:
    @each_storage
    def test_attributes_are_others_for_as_long_as_it_lasts(
        self, tmp_path: Path, make: Callable[[Path], Any]
    ) -> None:
        storage = make(tmp_path)
        storage.overwrite = False
        with patched(storage, overwrite=True, other=1):
            assert (storage.overwrite, storage.other) == (True, 1)
        assert storage.overwrite is False
        assert not hasattr(storage, "other")

    @each_storage
    def test_they_are_set_back_after_an_error(
        self, tmp_path: Path, make: Callable[[Path], Any]
    ) -> None:
        storage = make(tmp_path)
        storage.overwrite = False
        with pytest.raises(KeyError), patched(storage, overwrite=True):
            raise KeyError
        assert storage.overwrite is False

    @each_storage
    def test_methods_of_the_class_are_back_afterwards(
        self, tmp_path: Path, make: Callable[[Path], Any]
    ) -> None:
        storage = make(tmp_path)
        storage.save("a.css", ContentFile(b"x"))
        with patched(storage, exists=lambda name: False):
            assert not storage.exists("a.css")
        assert storage.exists("a.css")

    def test_within_another_one_the_outer_one_is_back(self) -> None:
        storage: Any = InMemoryStorage()
        with patched(storage, number=1):
            with patched(storage, number=2):
                assert storage.number == 2
            assert storage.number == 1

    def test_the_storage_behind_a_lazy_one_is_changed(self) -> None:
        storage: Any = LazyStorage()
        with saving_under_exact_names(storage):
            # Which calls the other method of the storage behind it.
            storage.save("a.css", ContentFile(b"before"))
            assert storage.save("a.css", ContentFile(b"after!")) == "a.css"


class ManifestStorage(ManifestFilesMixin, InMemoryStorage):  # type: ignore[misc]
    """A storage that hashes files."""


class TestNotingNames:
    def test_names_that_are_saved_or_found_are_noted(self) -> None:
        storage = in_memory({"found.css": b"x", "other.css": b"x"})
        with noting_names(storage) as names:
            storage.save("saved.css", ContentFile(b"x"))
            storage.exists("found.css")
            storage.exists("missing.css")
        assert names == {"saved.css", "found.css"}

    def test_saving_and_finding_work_as_they_do(self) -> None:
        storage = in_memory({"a.css": b"x"})
        with noting_names(storage):
            assert storage.exists("a.css")
            assert not storage.exists("b.css")
            storage.save("b.css", ContentFile(b"content"))
        assert storage.open("b.css").read() == b"content"

    def test_nothing_is_noted_afterwards(self) -> None:
        storage = in_memory({"a.css": b"x"})
        with noting_names(storage) as names:
            pass
        storage.exists("a.css")
        storage.save("b.css", ContentFile(b"x"))
        assert names == set()

    def test_of_a_dry_run_the_names_of_the_last_deploy_are_noted(self) -> None:
        for dry_run, expected in ((True, {"staticfiles.json", "a.123.css"}), (False, set())):
            storage = ManifestStorage()
            storage.hashed_files = {"a.css": "a.123.css"}
            with noting_names(storage, dry_run=dry_run) as names:
                pass
            assert names == expected

    def test_sizes_are_noted_where_they_are_asked_for(self) -> None:
        storage, sizes = in_memory({}), dict[str, int | None]()
        with noting_names(storage, sizes=sizes):
            storage.save("a.css", ContentFile(b"12345"))
        assert sizes == {"a.css": 5}


class TestPrivateNamesOfDjango:
    """What breaks where Django changes a name that it does not document."""

    def test_a_file_system_storage_overwrites_by_its_allow_overwrite(self, tmp_path: Path) -> None:
        storage = FileSystemStorage(tmp_path)
        assert "_allow_overwrite" in vars(storage)
        storage.save("a.css", ContentFile(b"before"))
        with saving_under_exact_names(storage):
            assert storage.save("a.css", ContentFile(b"after")) == "a.css"
        assert (tmp_path / "a.css").read_bytes() == b"after"
        assert storage.save("a.css", ContentFile(b"other")) != "a.css"

    def test_a_lazy_storage_keeps_the_real_one_as_wrapped(self) -> None:
        storage = LazyStorage()
        assert isinstance(unwrapped(storage), InMemoryStorage)
        assert unwrapped(storage) is vars(storage)["_wrapped"]

    def test_what_is_not_lazy_is_itself(self) -> None:
        storage = InMemoryStorage()
        assert unwrapped(storage) is storage


def test_a_manifest_is_sorted_on_every_version_of_django() -> None:
    storage = ManifestStorage()
    storage.hashed_files = {"b.css": "b.1.css", "a.css": "a.1.css"}
    save_sorted_manifest(storage)
    paths = json.loads(storage.open("staticfiles.json").read())["paths"]
    assert [*paths] == ["a.css", "b.css"]


class Base:
    def save(self) -> None: ...


class Child(Base): ...


class TestIsOverridden:
    def test_a_method_from_outside_is(self) -> None:
        assert is_overridden(Child, "save", outside=("django.",))

    def test_a_method_from_inside_is_not(self) -> None:
        assert not is_overridden(Child, "save", outside=("tests.",))

    def test_the_nearest_method_counts(self) -> None:
        class Own(FileSystemStorage):
            def exists(self, name: str) -> bool:
                return False

        assert is_overridden(Own, "exists", outside=("django.",))
        assert not is_overridden(Own, "save", outside=("django.",))

    def test_a_method_that_there_is_not_is_not(self) -> None:
        assert not is_overridden(Child, "missing", outside=("django.",))
