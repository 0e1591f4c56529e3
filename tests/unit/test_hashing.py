"""The strategies in two passes: which stage they make, and that nothing of it is left."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.test import override_settings

from collectfasta.deploy.stage import LocalStage, PatchedStage, Stage, make_stage
from collectfasta.source import SourceFile
from collectfasta.strategies.base import HashStrategy, Strategy
from collectfasta.strategies.filesystem import FileSystemStrategy
from collectfasta.strategies.hashing import (
    FileSystemManifestFilesStorage,
    HashingTwoPassStrategy,
    InMemoryManifestFilesStorage,
    TwoPassFileSystemStrategy,
    TwoPassInMemoryStrategy,
    WithoutPrefixMixin,
)
from collectfasta.strategies.selection import find_storage_class
from tests.unit.helpers import sources_of

FILES = {"css/a.css": b"a { background: url(../a.png) }", "a.png": b"png"}


class InMemory(TwoPassInMemoryStrategy):
    second_strategy = FileSystemStrategy


class InDirectory(TwoPassFileSystemStrategy):
    second_strategy = FileSystemStrategy


class OwnInMemory(InMemoryManifestFilesStorage):
    """A class of a user's own."""


class OwnInDirectory(FileSystemManifestFilesStorage):
    """A class of a user's own."""


class Elsewhere(ManifestStaticFilesStorage):
    """Takes other options."""

    def __init__(self, *args: Any, marker: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.marker = marker


@pytest.fixture
def remote(tmp_path: Path) -> ManifestStaticFilesStorage:
    (tmp_path / "remote").mkdir()
    return ManifestStaticFilesStorage(str(tmp_path / "remote"), "/static/")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def post_process(stage: Stage) -> list[str]:
    list(stage.post_process(dry_run=False))
    return [each.name for each in stage.files]


def made_with(
    strategy_class: type[HashingTwoPassStrategy], first: type, remote: Any
) -> HashingTwoPassStrategy:
    """Return a strategy with another storage for the first pass."""
    own = type("Own", (strategy_class,), {"first_manifest_storage": first})
    strategy: HashingTwoPassStrategy = own(remote)
    return strategy


class TestStage:
    @pytest.mark.parametrize("strategy_class", [InMemory, InDirectory])
    def test_the_peers_storages_stand_for_the_methods_of_the_storage_itself(
        self,
        remote: ManifestStaticFilesStorage,
        strategy_class: type[HashingTwoPassStrategy],
    ) -> None:
        with make_stage(strategy_class(remote), sources_of(FILES)) as stage:
            assert isinstance(stage, PatchedStage)
            assert len(post_process(stage)) == 4

    @pytest.mark.parametrize("first", [OwnInMemory, OwnInDirectory])
    def test_another_class_works_by_itself(
        self, remote: ManifestStaticFilesStorage, first: type
    ) -> None:
        with make_stage(made_with(InMemory, first, remote), sources_of(FILES)) as stage:
            assert isinstance(stage, LocalStage)
            names = post_process(stage)
            assert len(names) == 4
            assert isinstance(stage.files[0].storage, first)

    @pytest.mark.parametrize("first", [OwnInMemory, OwnInDirectory])
    def test_another_class_is_given_a_temporary_location(
        self, remote: ManifestStaticFilesStorage, first: type, temporary: Path
    ) -> None:
        with make_stage(made_with(InMemory, first, remote), sources_of(FILES)) as stage:
            post_process(stage)
            storage: Any = stage.files[0].storage
            assert Path(storage.location).parent == temporary

    def test_memory_writes_no_file(
        self, remote: ManifestStaticFilesStorage, temporary: Path
    ) -> None:
        with make_stage(InMemory(remote), sources_of(FILES)) as stage:
            post_process(stage)
            assert [each for each in temporary.rglob("*") if each.is_file()] == []

    def test_the_directory_can_be_read_by_nobody_else(
        self, remote: ManifestStaticFilesStorage, temporary: Path
    ) -> None:
        with make_stage(InDirectory(remote), sources_of(FILES)) as stage:
            post_process(stage)
            (folder,) = temporary.iterdir()
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert [each for each in folder.rglob("*") if each.is_file()]

    @pytest.mark.parametrize("strategy_class", [InMemory, InDirectory])
    def test_nothing_is_left_of_it(
        self,
        remote: ManifestStaticFilesStorage,
        temporary: Path,
        strategy_class: type[HashingTwoPassStrategy],
    ) -> None:
        with make_stage(strategy_class(remote), sources_of(FILES)) as stage:
            post_process(stage)

        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_nothing_is_left_of_it_after_a_failure(
        self,
        remote: ManifestStaticFilesStorage,
        temporary: Path,
        error: type[BaseException],
    ) -> None:
        def fail_within_a_stage() -> None:
            with make_stage(InDirectory(remote), sources_of(FILES)) as stage:
                post_process(stage)
                raise error

        with pytest.raises(error):
            fail_within_a_stage()

        assert list(temporary.iterdir()) == []


class TestStagingStorage:
    @pytest.mark.parametrize("strategy_class", [InMemory, InDirectory])
    def test_the_setting_wins(
        self,
        remote: ManifestStaticFilesStorage,
        strategy_class: type[HashingTwoPassStrategy],
    ) -> None:
        path = f"{__name__}.{OwnInMemory.__qualname__}"
        strategy = made_with(strategy_class, OwnInDirectory, remote)

        with (
            override_settings(COLLECTFASTA_STAGING_STORAGE=path),
            make_stage(strategy, sources_of(FILES)) as stage,
        ):
            post_process(stage)
            assert type(stage.files[0].storage) is OwnInMemory

    def test_an_alias_has_its_options_but_a_temporary_location(
        self, remote: ManifestStaticFilesStorage, temporary: Path
    ) -> None:
        backend = f"{__name__}.{Elsewhere.__qualname__}"
        options = {"location": "/somewhere/else", "base_url": "/static/", "marker": "mine"}
        storages = {**settings.STORAGES, "local": {"BACKEND": backend, "OPTIONS": options}}

        with (
            override_settings(STORAGES=storages, COLLECTFASTA_STAGING_STORAGE="local"),
            make_stage(InMemory(remote), sources_of(FILES)) as stage,
        ):
            post_process(stage)
            storage: Any = stage.files[0].storage
            assert storage.marker == "mine"
            assert Path(storage.location).parent == temporary

    def test_the_options_of_the_settings_stay_as_they_are(
        self, remote: ManifestStaticFilesStorage
    ) -> None:
        options = {"base_url": "/static/"}
        backend = f"{__name__}.{Elsewhere.__qualname__}"
        storages = {**settings.STORAGES, "local": {"BACKEND": backend, "OPTIONS": options}}

        with (
            override_settings(STORAGES=storages, COLLECTFASTA_STAGING_STORAGE="local"),
            make_stage(InMemory(remote), sources_of(FILES)),
        ):
            pass

        assert options == {"base_url": "/static/"}

    def test_a_dotted_path_is_a_class(self) -> None:
        path = "django.core.files.storage.InMemoryStorage"

        assert find_storage_class(path) == (InMemoryStorage, {})

    def test_another_name_is_an_import_error(self) -> None:
        with pytest.raises(ImportError, match="nowhere"):
            find_storage_class("nowhere.Storage")


class TestSecondPass:
    def test_it_is_of_the_class_that_is_named_and_for_the_same_storage(
        self, remote: ManifestStaticFilesStorage
    ) -> None:
        second = InMemory(remote).second_pass_strategy()

        assert isinstance(second, FileSystemStrategy)
        assert second.remote_storage is remote

    def test_it_knows_of_a_dry_run(self, remote: ManifestStaticFilesStorage) -> None:
        strategy = InMemory(remote)
        strategy.dry_run = True

        second = strategy.second_pass_strategy()

        assert second is not None
        assert second.dry_run

    def test_a_mixin_of_the_peers_changes_no_name(self, remote: ManifestStaticFilesStorage) -> None:
        class Second(WithoutPrefixMixin, FileSystemStrategy):
            pass

        args = "static/a.css", "static/a.css", FileSystemStorage()

        assert Second(remote).copy_args_hook(args) == args


class TestPublicNames:
    def test_a_two_pass_strategy_is_a_hash_strategy(self) -> None:
        for each in (TwoPassInMemoryStrategy, TwoPassFileSystemStrategy):
            assert issubclass(each, HashingTwoPassStrategy)
            assert issubclass(each, HashStrategy)
            assert issubclass(each, Strategy)

    def test_nothing_is_there_already(self, remote: ManifestStaticFilesStorage) -> None:
        assert InMemory(remote).get_remote_file_hash("a.css") is None

    @pytest.mark.parametrize(
        "storage_class", [InMemoryManifestFilesStorage, FileSystemManifestFilesStorage]
    )
    def test_the_peers_storages_can_be_used_as_storages(
        self, storage_class: type, tmp_path: Path
    ) -> None:
        storage = storage_class(location=str(tmp_path / "own"), base_url="/static/")
        found = in_storage(storage, sources_of(FILES))

        outcomes = list(storage.post_process(found))

        assert {name for name, _, _ in outcomes} == set(FILES)
        assert storage.exists(storage.hashed_files["css/a.css"])
        assert storage.exists("staticfiles.json")
        assert storage.url("a.png") == f"/static/{storage.hashed_files['a.png']}"


def in_storage(storage: Any, sources: Sequence[SourceFile]) -> dict[str, Any]:
    for source in sources:
        with source.open() as content:
            storage.save(source.name, ContentFile(content.read()))
    return {source.name: (source.storage, source.path) for source in sources}
