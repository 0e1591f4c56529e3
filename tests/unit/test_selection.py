"""Which strategy goes with which storage."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles.storage import (
    ManifestFilesMixin,
    StaticFilesStorage,
    staticfiles_storage,
)
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.test import override_settings
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage
from storages.backends.s3boto3 import S3Boto3Storage, S3StaticStorage

from collectfasta.strategies import Strategy, load_strategy
from collectfasta.strategies.selection import fits, strategy_for

STRATEGIES = {
    S3Storage: "collectfasta.strategies.boto3.Boto3Strategy",
    GoogleCloudStorage: "collectfasta.strategies.gcloud.GoogleCloudStrategy",
    AzureStorage: "collectfasta.strategies.azure.AzureBlobStrategy",
    FileSystemStorage: "collectfasta.strategies.filesystem.FileSystemStrategy",
}
each_pair = pytest.mark.parametrize(
    ("storage_class", "strategy"),
    STRATEGIES.items(),
    ids=[each.__name__ for each in STRATEGIES],
)


class NamesakeStorage(Storage):
    """A storage of one's own that has the name of another one."""


NamesakeStorage.__name__ = NamesakeStorage.__qualname__ = "S3Storage"


class AnyStorageStrategy(Strategy[Storage]):
    """A strategy that names no storage."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True


@each_pair
def test_a_storage_gets_its_strategy(storage_class: type[Storage], strategy: str) -> None:
    assert strategy_for(storage_class) == strategy


@each_pair
def test_a_subclass_gets_the_strategy_of_its_parent(
    storage_class: type[Storage], strategy: str
) -> None:
    class MixIn:
        pass

    assert strategy_for(type("Child", (MixIn, storage_class), {})) == strategy


@each_pair
def test_the_strategy_can_be_loaded_and_is_made_for_the_storage(
    storage_class: type[Storage], strategy: str
) -> None:
    assert fits(load_strategy(strategy), storage_class)


@pytest.mark.parametrize(
    ("storage_class", "strategy"),
    [
        (StaticFilesStorage, STRATEGIES[FileSystemStorage]),
        (S3StaticStorage, STRATEGIES[S3Storage]),
        (S3Boto3Storage, STRATEGIES[S3Storage]),
    ],
)
def test_the_storages_that_projects_name_get_theirs(
    storage_class: type[Storage], strategy: str
) -> None:
    assert strategy_for(storage_class) == strategy


MANIFEST_STRATEGIES = {
    S3Storage: "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy",
    GoogleCloudStorage: "collectfasta.strategies.gcloud.GoogleCloudManifestMemoryStrategy",
    AzureStorage: "collectfasta.strategies.azure.AzureBlobManifestMemoryStrategy",
    # Post-processing in place costs no request there.
    FileSystemStorage: STRATEGIES[FileSystemStorage],
}
each_manifest_pair = pytest.mark.parametrize(
    ("storage_class", "strategy"),
    MANIFEST_STRATEGIES.items(),
    ids=[each.__name__ for each in MANIFEST_STRATEGIES],
)


@each_manifest_pair
def test_a_storage_that_hashes_files_gets_the_strategy_that_stages(
    storage_class: type[Storage], strategy: str
) -> None:
    hashing = type("Hashing", (ManifestFilesMixin, storage_class), {})
    assert strategy_for(hashing) == strategy
    assert fits(load_strategy(strategy), hashing)


@each_manifest_pair
def test_a_storage_that_another_class_is_to_stage_for_gets_the_strategy_that_stages(
    storage_class: type[Storage], strategy: str
) -> None:
    with override_settings(COLLECTFASTA_STAGING_STORAGE="local"):
        assert strategy_for(storage_class) == strategy


@each_pair
def test_what_is_staged_already_is_sent_by_the_plain_strategy(
    storage_class: type[Storage], strategy: str
) -> None:
    hashing = type("Hashing", (ManifestFilesMixin, storage_class), {})
    assert strategy_for(hashing, staged=False) == strategy


def test_the_storage_behind_djangos_lazy_object_gets_its_strategy() -> None:
    assert strategy_for(staticfiles_storage.__class__) == STRATEGIES[FileSystemStorage]


def test_the_nearest_class_decides() -> None:
    class Mirror(S3Storage, FileSystemStorage):
        pass

    assert strategy_for(Mirror) == STRATEGIES[S3Storage]


@pytest.mark.parametrize("storage_class", [InMemoryStorage, Storage, NamesakeStorage])
def test_an_unknown_storage_gets_none(storage_class: type[Storage]) -> None:
    assert strategy_for(storage_class) is None


@each_pair
def test_a_strategy_does_not_fit_another_storage(
    storage_class: type[Storage], strategy: str
) -> None:
    others = STRATEGIES.keys() - {storage_class}
    assert not any(fits(load_strategy(strategy), other) for other in others)


def test_a_strategy_that_names_no_storage_fits_any(subtests: pytest.Subtests) -> None:
    rows: list[type[Storage]] = [*STRATEGIES, InMemoryStorage]
    for storage_class in rows:
        with subtests.test(storage_class=storage_class):
            assert fits(AnyStorageStrategy, storage_class)


def test_a_subclass_of_a_strategy_fits_what_its_parent_fits() -> None:
    child = type("Child", (load_strategy(STRATEGIES[S3Storage]),), {})
    assert fits(child, S3StaticStorage)
    assert not fits(child, FileSystemStorage)
