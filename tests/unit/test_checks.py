"""The system checks, run as ``manage.py check`` runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage, Storage
from django.test import override_settings

from collectfasta import settings as known_settings
from collectfasta.checks import ALL_CHECKS, all_other_apps
from collectfasta.strategies import Strategy

S3 = "storages.backends.s3.S3Storage"
FILESYSTEM = "django.contrib.staticfiles.storage.StaticFilesStorage"
S3_STRATEGY = "collectfasta.strategies.boto3.Boto3Strategy"
FILESYSTEM_STRATEGY = "collectfasta.strategies.filesystem.FileSystemStrategy"
TWO_PASSES = "collectfasta.strategies.hashing.TwoPassInMemoryStrategy"
S3_TWO_PASSES = "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy"
LOCAL_MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
S3_MANIFEST = "storages.backends.s3.S3ManifestStaticStorage"
TOO_LATE = ["django.contrib.staticfiles", "collectfasta"]

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
STORAGE_CACHE = "collectfasta.cache.StorageCache"

# One that each check finds.
WRONG_SETTINGS: dict[str, dict[str, Any]] = {
    "collectfasta.E001": {"INSTALLED_APPS": TOO_LATE},
    "collectfasta.E002": {"COLLECTFASTA_THREADS": "8"},
    "collectfasta.E003": {"COLLECTFASTA_CACHE": "missing"},
    "collectfasta.E004": {"COLLECTFASTA_STRATEGY": "missing.Strategy"},
    "collectfasta.E005": {"COLLECTFASTA_STRATEGY": S3_STRATEGY},
    "collectfasta.E006": {"COLLECTFASTA_STRATEGY": TWO_PASSES},
    "collectfasta.E007": {"COLLECTFASTA_STAGING_STORAGE": "missing.Storage"},
    "collectfasta.E008": {"CACHES": {"default": {"BACKEND": STORAGE_CACHE}}},
}

WRONG_SETTINGS |= {
    "collectfasta.W001": {"backend": S3_MANIFEST, "COLLECTFASTA_STRATEGY": S3_STRATEGY},
    "collectfasta.W002": {"COLLECTFASTA_THREAD": 8},
    "collectfasta.W003": {"COLLECTFASTA_CACHE": "default"},
}


class Unmakeable(FileSystemStorage):
    """A storage that must not be made."""

    def __init__(self) -> None:
        raise AssertionError("A check made the storage.")


UNMAKEABLE = f"{__name__}.Unmakeable"


class AnyStorageStrategy(Strategy[Storage]):
    """A strategy that names no storage class."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True


def found(**settings: Any) -> list[CheckMessage]:
    """Return what the checks of this app say of some settings."""
    backend = settings.pop("backend", FILESYSTEM)
    with override_settings(STORAGES={"staticfiles": {"BACKEND": backend}}, **settings):
        messages = checks.run_checks(tags=[checks.Tags.staticfiles])
    return [each for each in messages if (each.id or "").startswith("collectfasta.")]


def only(**settings: Any) -> CheckMessage:
    """Return the one message about some settings."""
    (message,) = found(**settings)
    return message


def test_a_project_without_any_setting_passes() -> None:
    assert found() == []


@pytest.mark.parametrize(("identifier", "settings"), WRONG_SETTINGS.items())
def test_each_wrong_setting_is_one_message_with_a_hint(
    identifier: str, settings: dict[str, Any]
) -> None:
    message = only(**settings)
    level = checks.WARNING if ".W" in identifier else checks.ERROR
    assert (message.id, message.level) == (identifier, level)
    assert message.hint


@pytest.mark.parametrize("settings", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_nothing_is_checked_where_collectfasta_is_switched_off(settings: dict[str, Any]) -> None:
    assert found(COLLECTFASTA_ENABLED=False, **settings) == []


@pytest.mark.parametrize("settings", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_nothing_is_checked_where_only_other_apps_are(settings: dict[str, Any]) -> None:
    backend = settings.get("backend", FILESYSTEM)
    with override_settings(STORAGES={"staticfiles": {"BACKEND": backend}}, **settings):
        others = all_other_apps()
        assert others
        assert [each for check in ALL_CHECKS for each in check(others)] == []


@pytest.mark.parametrize("settings", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_everything_is_checked_where_the_app_is_among_those_asked_for(
    settings: dict[str, Any],
) -> None:
    backend = settings.get("backend", FILESYSTEM)
    with override_settings(STORAGES={"staticfiles": {"BACKEND": backend}}, **settings):
        asked = [apps.get_app_config("collectfasta")]
        assert [each for check in ALL_CHECKS for each in check(asked)] != []


def test_the_checks_make_no_storage() -> None:
    assert found(backend=f"{__name__}.Unmakeable") == []


def test_without_staticfiles_there_is_nothing_to_extend() -> None:
    message = only(INSTALLED_APPS=["collectfasta"])
    assert message.id == "collectfasta.E010"
    assert "'django.contrib.staticfiles'" in message.msg


def test_the_checks_of_a_process_pass_where_the_app_is_no_longer_installed() -> None:
    assert found(INSTALLED_APPS=["django.contrib.staticfiles"]) == []


def test_collectfast_beside_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "collectfast").mkdir()
    (tmp_path / "collectfast" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    message = only(INSTALLED_APPS=["collectfast", "collectfasta", "django.contrib.staticfiles"])
    assert message.id == "collectfasta.E009"
    assert "'collectfast'" in message.msg


def test_each_wrong_setting_is_an_error_of_its_own() -> None:
    messages = found(COLLECTFASTA_THREADS=-1, COLLECTFASTA_CACHE=1)
    assert [each.id for each in messages] == ["collectfasta.E002", "collectfasta.E002"]


def test_a_wrong_switch_is_an_error() -> None:
    assert "COLLECTFASTA_ENABLED" in only(COLLECTFASTA_ENABLED="no").msg


def test_an_unknown_cache_is_named_with_those_that_there_are() -> None:
    backend = {"BACKEND": LOCMEM}
    message = only(COLLECTFASTA_CACHE="missing", CACHES={"default": backend, "static": backend})
    assert "'missing'" in message.msg
    assert "default, static" in str(message.hint)


@pytest.mark.parametrize(
    "strategy", ["missing.Strategy", "nodots", "collectfasta.strategies.boto3.Missing"]
)
def test_a_strategy_that_does_not_import_is_named_and_the_right_one_suggested(
    strategy: str,
) -> None:
    message = only(COLLECTFASTA_STRATEGY=strategy, backend=S3)
    assert message.id == "collectfasta.E004"
    assert repr(strategy) in message.msg
    assert S3_STRATEGY in str(message.hint)


@pytest.mark.parametrize("strategy", ["collectfasta.checks.check_order", int])
def test_what_is_no_strategy_is_named(strategy: object) -> None:
    message = only(COLLECTFASTA_STRATEGY=strategy)
    assert message.id == "collectfasta.E004"
    assert repr(strategy) in message.msg


def test_a_strategy_for_another_storage_is_named_with_both_storages_and_the_right_strategy() -> (
    None
):
    message = only(COLLECTFASTA_STRATEGY=S3_STRATEGY)
    assert message.id == "collectfasta.E005"
    assert S3_STRATEGY in message.msg
    assert S3 in message.msg
    assert FILESYSTEM in message.msg
    assert FILESYSTEM_STRATEGY in str(message.hint)


def test_a_strategy_for_a_parent_of_the_storage_fits() -> None:
    assert found(COLLECTFASTA_STRATEGY=FILESYSTEM_STRATEGY) == []


def test_a_strategy_that_names_no_storage_fits_any() -> None:
    strategy = f"{__name__}.AnyStorageStrategy"
    assert found(COLLECTFASTA_STRATEGY=strategy, backend=S3) == []


def test_a_strategy_that_stages_is_told_from_the_right_one_for_a_plain_storage() -> None:
    message = only(COLLECTFASTA_STRATEGY=S3_TWO_PASSES, backend=S3)
    assert message.id == "collectfasta.E006"
    assert S3_TWO_PASSES in message.msg
    assert S3 in message.msg
    assert S3_STRATEGY in str(message.hint)


def test_a_strategy_that_stages_fits_a_storage_that_hashes_files() -> None:
    assert found(COLLECTFASTA_STRATEGY=S3_TWO_PASSES, backend=S3_MANIFEST) == []


@pytest.mark.parametrize("staging_storage", ["staticfiles", LOCAL_MANIFEST])
def test_a_strategy_that_stages_fits_any_storage_where_another_class_stages(
    staging_storage: str,
) -> None:
    settings = {"COLLECTFASTA_STAGING_STORAGE": staging_storage}
    assert found(COLLECTFASTA_STRATEGY=S3_TWO_PASSES, backend=S3, **settings) == []


@pytest.mark.parametrize(
    "staging_storage", ["missing.Storage", "nodots", "collectfasta.checks.check_order", "os.path"]
)
def test_a_staging_storage_that_is_none_is_named(staging_storage: str) -> None:
    message = only(COLLECTFASTA_STAGING_STORAGE=staging_storage)
    assert message.id == "collectfasta.E007"
    assert repr(staging_storage) in message.msg


def test_a_storage_that_does_not_import_is_left_to_django() -> None:
    assert found(COLLECTFASTA_STRATEGY=S3_STRATEGY, backend="missing.Storage") == []


class TestNames:
    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("COLLECTFASTA_THREAD", "COLLECTFASTA_THREADS"),
            ("COLLECTFASTA_STATEGY", "COLLECTFASTA_STRATEGY"),
            ("COLLECTFAST_ENABLED", "COLLECTFASTA_ENABLED"),
        ],
    )
    def test_the_nearest_name_is_suggested(self, name: str, nearest: str) -> None:
        message = only(**{name: None})
        assert name in message.msg
        assert message.hint == f"Did you mean {nearest}?"

    def test_all_names_are_told_where_none_is_near(self) -> None:
        assert "COLLECTFASTA_HASHED_ONLY" in str(only(COLLECTFASTA_XYZ=1).hint)

    def test_every_setting_is_known(self) -> None:
        settings = dict.fromkeys(known_settings.names())
        assert [each for each in found(**settings) if each.id == "collectfasta.W002"] == []


class TestPasses:
    def test_the_strategy_that_stages_is_suggested(self) -> None:
        message = only(backend=S3_MANIFEST, COLLECTFASTA_STRATEGY=S3_STRATEGY)
        assert S3_STRATEGY in message.msg
        assert S3_TWO_PASSES in str(message.hint)

    @pytest.mark.parametrize(
        ("backend", "strategy"), [(S3, S3_STRATEGY), (LOCAL_MANIFEST, FILESYSTEM_STRATEGY)]
    )
    def test_a_storage_that_no_other_strategy_stages_for_passes(
        self, backend: str, strategy: str
    ) -> None:
        assert found(backend=backend, COLLECTFASTA_STRATEGY=strategy) == []


class TestMemory:
    @staticmethod
    def identifiers(cache: str, options: dict[str, Any], **settings: Any) -> list[str | None]:
        storages = {"staticfiles": {"BACKEND": S3, "OPTIONS": options}}
        with override_settings(
            STORAGES=storages, CACHES={"default": {"BACKEND": cache}}, **settings
        ):
            return [each.id for each in checks.run_checks(tags=[checks.Tags.staticfiles])]

    @pytest.mark.parametrize("cache", [LOCMEM, "django.core.cache.backends.dummy.DummyCache"])
    @pytest.mark.parametrize(
        "parameters",
        [
            {"ServerSideEncryption": "aws:kms"},
            {"ServerSideEncryption": "aws:kms:dsse"},
            {"SSECustomerKey": "key", "SSECustomerAlgorithm": "AES256"},
        ],
    )
    def test_it_matters_where_s3_tells_no_checksums(
        self, cache: str, parameters: dict[str, str]
    ) -> None:
        assert self.identifiers(cache, {"object_parameters": parameters}) == ["collectfasta.W003"]

    def test_it_matters_where_the_setting_of_django_storages_says_so(self) -> None:
        encrypted = {"ServerSideEncryption": "aws:kms"}
        found = self.identifiers(LOCMEM, {}, AWS_S3_OBJECT_PARAMETERS=encrypted)
        assert found == ["collectfasta.W003"]

    @pytest.mark.parametrize(
        "options",
        [{}, {"object_parameters": {"ServerSideEncryption": "AES256"}}, {"object_parameters": 1}],
    )
    def test_it_does_not_matter_elsewhere(self, options: dict[str, Any]) -> None:
        assert self.identifiers(LOCMEM, options) == []

    @pytest.mark.parametrize(
        "cache", ["django.core.cache.backends.filebased.FileBasedCache", "missing.Cache"]
    )
    def test_another_cache_passes(self, cache: str) -> None:
        encrypted = {"object_parameters": {"ServerSideEncryption": "aws:kms"}}
        assert self.identifiers(cache, encrypted) == []


class TestCacheLocation:
    @staticmethod
    def found(**cache: Any) -> list[CheckMessage]:
        backends = {"staticfiles": {"BACKEND": FILESYSTEM}, "ci": {"BACKEND": UNMAKEABLE}}
        with override_settings(STORAGES=backends, CACHES={"default": cache}):
            return [
                each
                for each in checks.run_checks(tags=[checks.Tags.staticfiles])
                if each.id == "collectfasta.E008"
            ]

    def test_a_storage_to_itself_is_fine(self) -> None:
        assert self.found(BACKEND=STORAGE_CACHE, LOCATION="ci") == []

    @pytest.mark.parametrize("location", ["", "missing", "staticfiles"])
    def test_any_other_location_is_refused(self, location: str) -> None:
        (message,) = self.found(BACKEND=STORAGE_CACHE, LOCATION=location)
        assert repr(location) in message.msg or "no LOCATION" in message.msg
        assert message.hint

    @pytest.mark.parametrize(
        "backend",
        ["django.core.cache.backends.locmem.LocMemCache", "missing.Cache", "django.conf.settings"],
    )
    def test_a_cache_of_another_class_is_not_its_concern(self, backend: str) -> None:
        assert self.found(BACKEND=backend, LOCATION="staticfiles") == []
