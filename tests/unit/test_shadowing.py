"""Storages with other methods for a while."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage

from collectfasta.shadowing import (
    is_overridden,
    noting_names,
    saving_under_exact_names,
    shadowing,
)
from tests.unit.helpers import LazyStorage, each_storage, in_memory


class TestShadowing:
    @each_storage
    def test_attributes_are_others_for_as_long_as_it_lasts(
        self, tmp_path: Path, make: Callable[[Path], Any]
    ) -> None:
        storage = make(tmp_path)
        storage.overwrite = False
        with shadowing(storage, overwrite=True, other=1):
            assert (storage.overwrite, storage.other) == (True, 1)
        assert storage.overwrite is False
        assert not hasattr(storage, "other")

    @each_storage
    def test_they_are_set_back_after_an_error(
        self, tmp_path: Path, make: Callable[[Path], Any]
    ) -> None:
        storage = make(tmp_path)
        storage.overwrite = False
        with pytest.raises(KeyError), shadowing(storage, overwrite=True):
            raise KeyError
        assert storage.overwrite is False

    @each_storage
    def test_methods_of_the_class_are_back_afterwards(
        self, tmp_path: Path, make: Callable[[Path], Any]
    ) -> None:
        storage = make(tmp_path)
        storage.save("a.css", ContentFile(b"x"))
        with shadowing(storage, exists=lambda name: False):
            assert not storage.exists("a.css")
        assert storage.exists("a.css")

    def test_within_another_one_the_outer_one_is_back(self) -> None:
        storage: Any = InMemoryStorage()
        with shadowing(storage, number=1):
            with shadowing(storage, number=2):
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

    @pytest.mark.parametrize(
        ("dry_run", "expected"), [(True, {"staticfiles.json", "a.123.css"}), (False, set())]
    )
    def test_of_a_dry_run_the_names_of_the_last_deploy_are_noted(
        self, dry_run: bool, expected: set[str]
    ) -> None:
        storage = ManifestStorage()
        storage.hashed_files = {"a.css": "a.123.css"}
        with noting_names(storage, dry_run=dry_run) as names:
            pass
        assert names == expected


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
