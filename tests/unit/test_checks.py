"""The system checks, run as ``manage.py check`` runs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core import checks
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage, Storage
from django.test import override_settings
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from collectfasta import settings as known_settings
from collectfasta.checks import ALL_CHECKS, all_other_apps
from collectfasta.strategies import Strategy
from collectfasta.strategies.filesystem import FileSystemStrategy
from collectfasta.strategies.hashing import HashingTwoPassStrategy

S3 = "storages.backends.s3.S3Storage"
FILESYSTEM = "django.contrib.staticfiles.storage.StaticFilesStorage"
S3_STRATEGY = "collectfasta.strategies.boto3.Boto3Strategy"
FILESYSTEM_STRATEGY = "collectfasta.strategies.filesystem.FileSystemStrategy"
TWO_PASSES = "collectfasta.strategies.hashing.TwoPassInMemoryStrategy"
S3_TWO_PASSES = "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy"
LOCAL_MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
S3_MANIFEST = "storages.backends.s3.S3ManifestStaticStorage"
SIGNED = f"{__name__}.SignedManifestStorage"
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
    "collectfasta.W004": {"STATICFILES_STORAGE": S3},
    "collectfasta.W006": {"backend": SIGNED},
}
WRONG_SETTINGS |= {
    "collectfasta.E012": {"CACHES": {"default": {"BACKEND": LOCMEM, "OPTIONS": ()}}},
    "collectfasta.E013": {"backend": S3, "AWS_LOCATION": None},
    "collectfasta.E016": {"backend": S3, "AWS_SECRET_ACCESS_KEY": "key\n"},
    "collectfasta.E015": {"backend": S3_MANIFEST, "COLLECTFASTA_STAGING_STORAGE": FILESYSTEM},
}


class SignedManifestStorage(ManifestFilesMixin, S3Storage):
    """A manifest storage whose URLs are signed, as S3Storage's are by default."""


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


def found_of_options(backend: str, options: Any, **settings: Any) -> list[str | None]:
    """Return the ids of what the checks say of a storage's options."""
    with override_settings(
        STORAGES={"staticfiles": {"BACKEND": backend, "OPTIONS": options}}, **settings
    ):
        return [each.id for check in ALL_CHECKS for each in check(None)]


class TestShapes:
    """STORAGES, CACHES and what is in them may be anything."""

    wrong: ClassVar[list[Any]] = [(), ({"default": {}},), [], "text", 1, None]

    def test_each_is_named_with_what_it_is(self) -> None:
        for wrong in self.wrong:
            for setting, alias in (("STORAGES", "staticfiles"), ("CACHES", "default")):
                entry = {"BACKEND": FILESYSTEM if setting == "STORAGES" else LOCMEM}
                shapes = {
                    setting: wrong,
                    f"{setting}['{alias}']": {alias: wrong},
                    f"{setting}['{alias}']['OPTIONS']": {alias: {**entry, "OPTIONS": wrong}},
                }
                for name, value in shapes.items():
                    # Not announced: Django's own handlers could not take them.
                    with patch.object(django_settings, setting, value):
                        found = [each for check in ALL_CHECKS for each in check(None)]
                        known_settings.secrets()
                    (message,) = (each for each in found if each.id == "collectfasta.E012")
                    assert message.msg == (
                        f"{name} must be of type dict, found {type(wrong).__name__}."
                    )

    def test_a_backend_is_a_dotted_path(self, subtests: pytest.Subtests) -> None:
        rows: list[Any] = [None, 1, FileSystemStorage, ()]
        for backend in rows:
            with subtests.test(backend=backend):
                assert found_of_options(backend, {}) == ["collectfasta.E012"]

    def test_what_is_missing_is_left_to_django(self) -> None:
        with override_settings(STORAGES={}):
            assert [each for check in ALL_CHECKS for each in check(None)] == []


GOOGLE = "storages.backends.gcloud.GoogleCloudStorage"
AZURE = "storages.backends.azure_storage.AzureStorage"


class S3Located(S3Storage):
    location = Path("static")


class TestOptions:
    def test_a_location_is_text(self, subtests: pytest.Subtests) -> None:
        backend_rows: list[tuple[str, str]] = [
            (S3, "AWS_LOCATION"),
            (GOOGLE, "GS_LOCATION"),
            (AZURE, "AZURE_LOCATION"),
        ]
        each_location: list[Any] = [None, Path("static"), b"static", 1]
        for backend, setting in backend_rows:
            for location in each_location:
                with subtests.test(backend=backend, setting=setting, location=location):
                    wrong = ["collectfasta.E013"]
                    assert found_of_options(backend, {"location": location}) == wrong
                    assert found_of_options(backend, {}, **{setting: location}) == wrong
                    assert (
                        found_of_options(backend, {"location": "static"}, **{setting: location})
                        == []
                    )

    def test_an_attribute_of_the_class_counts_as_the_storage_reads_it(self) -> None:
        message = only(backend=f"{__name__}.S3Located", AWS_LOCATION="static")
        assert message.msg.startswith("The storage's attribute 'location' must be of type str")

    def test_a_path_is_right_where_the_storage_takes_one(self, tmp_path: Path) -> None:
        for location in (tmp_path, None):
            assert found_of_options(FILESYSTEM, {"location": location}) == []

    @pytest.mark.parametrize(
        ("backend", "option", "setting", "name"),
        [
            (S3, "bucket_name", "AWS_STORAGE_BUCKET_NAME", "s3://assets/static/"),
            (GOOGLE, "bucket_name", "GS_BUCKET_NAME", "gs://assets"),
            (AZURE, "azure_container", "AZURE_CONTAINER", "https://x.blob.core.windows.net/assets"),
        ],
    )
    def test_a_target_is_named_without_a_scheme(
        self, backend: str, option: str, setting: str, name: str
    ) -> None:
        wrong = ["collectfasta.E013"]
        assert found_of_options(backend, {option: name}) == wrong
        assert found_of_options(backend, {}, **{setting: name}) == wrong
        assert found_of_options(backend, {option: "assets"}) == []

    def test_an_access_point_is_a_name(self) -> None:
        arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/assets"
        assert found_of_options(S3, {"bucket_name": arn}) == []

    def test_the_option_and_the_name_are_told(self) -> None:
        message = only(backend=S3, AWS_STORAGE_BUCKET_NAME="s3://assets/static")
        assert message.msg.startswith("AWS_STORAGE_BUCKET_NAME is 's3://assets/static'")
        assert message.hint == "Write 'assets'."


class TestCredentials:
    @pytest.mark.parametrize(
        ("backend", "option", "setting"),
        [
            (S3, "secret_key", "AWS_SECRET_ACCESS_KEY"),
            (S3, "access_key", "AWS_ACCESS_KEY_ID"),
            (S3, "security_token", "AWS_SESSION_TOKEN"),
            (AZURE, "account_key", "AZURE_ACCOUNT_KEY"),
            (AZURE, "connection_string", "AZURE_CONNECTION_STRING"),
        ],
    )
    def test_what_a_secret_store_adds_is_named(
        self,
        monkeypatch: pytest.MonkeyPatch,
        subtests: pytest.Subtests,
        backend: str,
        option: str,
        setting: str,
    ) -> None:
        wrong = ["collectfasta.E016"]
        unused: list[dict[str, Any]] = [{"session_profile": "x"}, {"access_key": "key"}]
        for value in ("key\n", " key", "key\r", "k\x00ey", "k\x7fey", "\tkey"):
            with subtests.test(value=value), monkeypatch.context() as environment:
                assert found_of_options(backend, {option: value}) == wrong
                message = only(backend=backend, **{setting: value})
                assert message.msg.startswith(f"{setting} has white space")
                assert value not in f"{message}"
                if backend == S3 and "\0" not in value:
                    environment.setenv(setting, value)
                    assert found_of_options(backend, {}) == wrong
                    for options in unused:
                        assert found_of_options(backend, options) == []
                    assert found_of_options(GOOGLE, {}) == []

    def test_a_key_in_lines_is_one(self) -> None:
        pem = "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n"
        assert found_of_options(S3, {"cloudfront_key": pem}) == []

    def test_other_values_may_have_any(self) -> None:
        assert found_of_options(S3, {"custom_domain": " x"}) == []
        assert found_of_options(FILESYSTEM, {}, AWS_SECRET_ACCESS_KEY="key ") == []


class GoogleManifest(ManifestFilesMixin, GoogleCloudStorage):
    pass


class AzureManifest(ManifestFilesMixin, AzureStorage):
    pass


class OwnUrls(SignedManifestStorage):
    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        return f"/static/{name}"


class TestSignedUrls:
    def test_they_are_not_for_style_sheets(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[type, dict[str, Any]]] = [
            (SignedManifestStorage, {}),
            (SignedManifestStorage, {"custom_domain": "cdn", "cloudfront_key": "key"}),
            (GoogleManifest, {}),
            (AzureManifest, {"expiration_secs": 60}),
        ]
        for storage, options in rows:
            with subtests.test(storage=storage, options=options):
                backend = f"{__name__}.{storage.__name__}"
                assert found_of_options(backend, options) == ["collectfasta.W006"]

    def test_other_urls_are(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[type, dict[str, Any]]] = [
            (SignedManifestStorage, {"querystring_auth": False}),
            (SignedManifestStorage, {"custom_domain": "cdn"}),
            (GoogleManifest, {"querystring_auth": False}),
            (GoogleManifest, {"default_acl": "publicRead"}),
            (AzureManifest, {}),
            (OwnUrls, {}),
        ]
        for storage, options in rows:
            with subtests.test(storage=storage, options=options):
                assert found_of_options(f"{__name__}.{storage.__name__}", options) == []

    def test_a_storage_that_writes_no_urls_may_sign_them(self) -> None:
        for backend in (S3, GOOGLE, S3_MANIFEST):
            assert found_of_options(backend, {}) == []


class NoManifestTwoPasses(HashingTwoPassStrategy):
    first_manifest_storage = FileSystemStorage
    second_strategy = FileSystemStrategy


class TestStagingWithoutAManifest:
    def test_a_strategy_that_stages_so_is_refused(self) -> None:
        strategy = f"{__name__}.NoManifestTwoPasses"
        message = only(COLLECTFASTA_STRATEGY=strategy, backend=LOCAL_MANIFEST)
        assert message.id == "collectfasta.E015"
        assert strategy in message.msg

    def test_it_is_right_for_a_storage_that_reads_none(self) -> None:
        assert found(backend=S3, COLLECTFASTA_STAGING_STORAGE=FILESYSTEM) == []

    def test_it_does_not_matter_where_nothing_is_staged(self) -> None:
        assert found(backend=LOCAL_MANIFEST, COLLECTFASTA_STAGING_STORAGE=FILESYSTEM) == []


class TestInstalled:
    """Packages that are not there."""

    @staticmethod
    def hide(monkeypatch: pytest.MonkeyPatch, name: str, *modules: str) -> None:
        for module in [*sys.modules]:
            if f"{module}.".startswith((f"{name}.", *modules)):
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)

    @pytest.mark.parametrize(
        ("package", "backend", "extra"),
        [
            ("boto3", S3, "s3"),
            ("boto3", S3_MANIFEST, "s3"),
            ("google", GOOGLE, "google"),
            ("azure", AZURE, "azure"),
        ],
    )
    def test_the_extra_is_named(
        self, monkeypatch: pytest.MonkeyPatch, package: str, backend: str, extra: str
    ) -> None:
        self.hide(monkeypatch, package, "storages.backends.")
        (message,) = (each for each in found(backend=backend) if each.level == checks.ERROR)
        assert message.id == "collectfasta.E014"
        assert repr(package) in message.msg
        assert message.hint == f'Run: pip install "Collectfasta[{extra}]".'

    def test_a_storage_of_ones_own_needs_it_too(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "own_storage.py").write_text("from storages.backends.s3 import S3Storage\n")
        monkeypatch.syspath_prepend(tmp_path)
        self.hide(monkeypatch, "boto3", "storages.backends.")
        assert only(backend="own_storage.S3Storage").id == "collectfasta.E014"

    def test_without_obstore_s3_is_slower(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("collectfasta.checks.find_spec", lambda name: None)
        message = only(backend=S3)
        assert message.id == "collectfasta.W005"
        assert '"Collectfasta[s3]"' in str(message.hint)
        assert found(backend=S3, COLLECTFASTA_S3_ENGINE="boto3") == found(backend=GOOGLE) == []


def test_the_old_setting_is_fine_where_it_says_the_same() -> None:
    assert found(STATICFILES_STORAGE=FILESYSTEM) == []


class TestOtherApps:
    @pytest.fixture(autouse=True)
    def _app(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, parent in (
            ("other", "django.contrib.staticfiles"),
            ("friend", "collectfasta"),
        ):
            folder = tmp_path / name / "management" / "commands"
            folder.mkdir(parents=True)
            (folder / "collectstatic.py").write_text(
                f"from {parent}.management.commands.collectstatic import Command\n"
                "class Command(Command): pass\n"
            )
        monkeypatch.syspath_prepend(tmp_path)

    @staticmethod
    def found(*names: str) -> list[CheckMessage]:
        return found(INSTALLED_APPS=[*names, "django.contrib.staticfiles"])

    def test_one_whose_command_runs_is_an_error(self) -> None:
        (message,) = self.found("other", "collectfasta")
        assert message.id == "collectfasta.E011"
        assert message.msg.startswith("'other'")

    def test_one_whose_command_does_not_run_is_a_warning(self) -> None:
        for names in (("collectfasta", "other"), ("friend", "collectfasta", "other")):
            (message,) = self.found(*names)
            assert message.id == "collectfasta.W007"
            assert message.msg.startswith("'other'")

    def test_one_whose_command_extends_this_one_is_right(self) -> None:
        assert self.found("friend", "collectfasta") == []
