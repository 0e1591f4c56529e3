"""The system checks, run as ``manage.py check`` runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core import checks
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage, Storage
from django.test import override_settings

from collectfasta import settings as known_settings
from collectfasta.checks import ALL_CHECKS, all_other_apps
from collectfasta.strategies import Strategy
from collectfasta.strategies.filesystem import FileSystemStrategy

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


class OwnStrategy(FileSystemStrategy):
    """A strategy that extends one that is made for file systems."""


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


def test_each_wrong_setting_is_one_message_with_a_hint() -> None:
    for identifier, settings in WRONG_SETTINGS.items():
        messages = found(**settings)
        level = checks.WARNING if ".W" in identifier else checks.ERROR
        assert [(each.id, each.level) for each in messages] == [(identifier, level)]
        assert messages[0].hint, identifier


def test_nothing_is_checked_where_collectfasta_is_switched_off() -> None:
    checked = {
        key: found(COLLECTFASTA_ENABLED=False, **WRONG_SETTINGS[key]) for key in WRONG_SETTINGS
    }
    assert {key: messages for key, messages in checked.items() if messages} == {}


def found_of(asked: list[AppConfig], settings: dict[str, Any]) -> list[CheckMessage]:
    """Return what the checks say when they are asked about some apps."""
    backend = settings.get("backend", FILESYSTEM)
    with override_settings(STORAGES={"staticfiles": {"BACKEND": backend}}, **settings):
        return [each for check in ALL_CHECKS for each in check(asked)]


def test_only_what_concerns_the_apps_that_are_asked_about_is_checked() -> None:
    ours, others = [apps.get_app_config("collectfasta")], all_other_apps()
    assert others
    for identifier, settings in WRONG_SETTINGS.items():
        assert found_of(others, settings) == [], identifier
        if identifier != "collectfasta.E001":
            assert found_of(ours, settings) != [], identifier


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


def test_a_wrong_switch_is_an_error_that_shows_its_value() -> None:
    message = only(COLLECTFASTA_ENABLED="no").msg
    assert "COLLECTFASTA_ENABLED" in message
    assert "found 'no' (str)" in message


def test_an_unknown_cache_is_named_with_those_that_there_are() -> None:
    backend = {"BACKEND": LOCMEM}
    message = only(COLLECTFASTA_CACHE="missing", CACHES={"default": backend, "static": backend})
    assert "'missing'" in message.msg
    assert "default, static" in str(message.hint)


def test_what_is_not_a_strategy_is_named_and_the_right_one_suggested() -> None:
    strategies = ["missing.Strategy", "nodots", "collectfasta.strategies.boto3.Missing", int]
    for strategy in (*strategies, "collectfasta.checks.check_order"):
        message = only(COLLECTFASTA_STRATEGY=strategy, backend=S3)
        assert message.id == "collectfasta.E004"
        assert repr(strategy) in message.msg
        assert S3_STRATEGY in str(message.hint), strategy


def test_a_strategy_for_another_storage_is_named_with_both_storages_and_the_right_strategy() -> (
    None
):
    message = only(COLLECTFASTA_STRATEGY=S3_STRATEGY)
    assert message.id == "collectfasta.E005"
    assert S3_STRATEGY in message.msg
    assert S3 in message.msg
    assert FILESYSTEM in message.msg
    assert FILESYSTEM_STRATEGY in str(message.hint)


def test_a_strategy_is_made_for_the_storage_of_the_one_that_it_extends() -> None:
    strategy = f"{__name__}.OwnStrategy"
    assert found(COLLECTFASTA_STRATEGY=strategy) == []
    message = only(COLLECTFASTA_STRATEGY=strategy, backend=S3)
    assert message.id == "collectfasta.E005"
    assert "'django.core.files.storage.filesystem.FileSystemStorage'" in message.msg
    assert S3_STRATEGY in str(message.hint)


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


def test_a_strategy_that_stages_fits_any_storage_where_another_class_stages() -> None:
    for staging_storage in ("staticfiles", LOCAL_MANIFEST):
        settings = {"COLLECTFASTA_STAGING_STORAGE": staging_storage}
        assert found(COLLECTFASTA_STRATEGY=S3_TWO_PASSES, backend=S3, **settings) == []


def test_what_is_not_a_staging_storage_is_named() -> None:
    for name in ("missing.Storage", "nodots", "collectfasta.checks.check_order", "os.path"):
        message = only(COLLECTFASTA_STAGING_STORAGE=name)
        assert message.id == "collectfasta.E007"
        assert repr(name) in message.msg


def test_a_storage_that_does_not_import_is_left_to_django() -> None:
    assert found(COLLECTFASTA_STRATEGY=S3_STRATEGY, backend="missing.Storage") == []


class TestNames:
    def test_the_nearest_name_is_suggested(self) -> None:
        nearest = {
            "COLLECTFASTA_THREAD": "COLLECTFASTA_THREADS",
            "COLLECTFASTA_STATEGY": "COLLECTFASTA_STRATEGY",
            "COLLECTFAST_ENABLED": "COLLECTFASTA_ENABLED",
        }
        for name, meant in nearest.items():
            message = only(**{name: None})
            assert name in message.msg
            assert message.hint == f"Did you mean {meant}?"

    def test_all_names_are_listed_where_none_is_near(self) -> None:
        assert "COLLECTFASTA_HASHED_ONLY" in str(only(COLLECTFASTA_XYZ=1).hint)

    def test_every_setting_is_known(self) -> None:
        settings = dict.fromkeys(known_settings.names())
        assert [each for each in found(**settings) if each.id == "collectfasta.W002"] == []


class TestPasses:
    def test_the_strategy_that_stages_is_suggested(self) -> None:
        message = only(backend=S3_MANIFEST, COLLECTFASTA_STRATEGY=S3_STRATEGY)
        assert S3_STRATEGY in message.msg
        assert S3_TWO_PASSES in str(message.hint)

    def test_a_storage_that_no_other_strategy_stages_for_passes(self) -> None:
        for backend, strategy in ((S3, S3_STRATEGY), (LOCAL_MANIFEST, FILESYSTEM_STRATEGY)):
            assert found(backend=backend, COLLECTFASTA_STRATEGY=strategy) == []


class TestMemory:
    @staticmethod
    def identifiers(cache: str, options: dict[str, Any], **settings: Any) -> list[str | None]:
        storages = {"staticfiles": {"BACKEND": S3, "OPTIONS": options}}
        with override_settings(
            STORAGES=storages, CACHES={"default": {"BACKEND": cache}}, **settings
        ):
            return [each.id for each in checks.run_checks(tags=[checks.Tags.staticfiles])]

    def test_it_matters_where_s3_has_no_checksums(self) -> None:
        encrypted = [
            {"ServerSideEncryption": "aws:kms"},
            {"ServerSideEncryption": "aws:kms:dsse"},
            {"SSECustomerKey": "key", "SSECustomerAlgorithm": "AES256"},
        ]
        for cache in (LOCMEM, "django.core.cache.backends.dummy.DummyCache"):
            for parameters in encrypted:
                found = self.identifiers(cache, {"object_parameters": parameters})
                assert found == ["collectfasta.W003"], (cache, parameters)
        found = self.identifiers(LOCMEM, {}, AWS_S3_OBJECT_PARAMETERS=encrypted[0])
        assert found == ["collectfasta.W003"]

    def test_it_does_not_matter_elsewhere(self) -> None:
        for parameters in ({}, {"ServerSideEncryption": "AES256"}, 1):
            assert self.identifiers(LOCMEM, {"object_parameters": parameters}) == []
        encrypted = {"object_parameters": {"ServerSideEncryption": "aws:kms"}}
        for cache in ("django.core.cache.backends.filebased.FileBasedCache", "missing.Cache"):
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

    def test_any_other_location_is_refused(self) -> None:
        for location in ("", "missing", "staticfiles"):
            (message,) = self.found(BACKEND=STORAGE_CACHE, LOCATION=location)
            assert repr(location) in message.msg or "no LOCATION" in message.msg
            assert message.hint

    def test_a_cache_of_another_class_is_left_alone(self) -> None:
        for backend in (LOCMEM, "missing.Cache", "django.conf.settings"):
            assert self.found(BACKEND=backend, LOCATION="staticfiles") == []
