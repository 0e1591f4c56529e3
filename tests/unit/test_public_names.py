"""The names that users' strategies and settings are written against, and their signatures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, get_type_hints

from django.contrib.staticfiles.management.commands import collectstatic
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.management.commands.collectstatic import Command
from collectfasta.strategies import Strategy
from collectfasta.strategies.base import CachingHashStrategy, HashStrategy
from collectfasta.strategies.listing import ListingStrategy
from tests.loop import for_each
from tests.markdown import read, table

STRATEGIES = {
    "collectfasta.strategies.Strategy": "collectfasta.strategies.base.Strategy",
    "collectfasta.strategies.DisabledStrategy": "collectfasta.strategies.base.Strategy",
    "collectfasta.strategies.base.Strategy": "collectfasta.strategies.base.Strategy",
    "collectfasta.strategies.base.HashStrategy": "collectfasta.strategies.base.Strategy",
    "collectfasta.strategies.base.CachingHashStrategy": (
        "collectfasta.strategies.base.HashStrategy"
    ),
    "collectfasta.strategies.base.DisabledStrategy": "collectfasta.strategies.base.Strategy",
    "collectfasta.strategies.boto3.Boto3Strategy": (
        "collectfasta.strategies.base.CachingHashStrategy"
    ),
    "collectfasta.strategies.gcloud.GoogleCloudStrategy": (
        "collectfasta.strategies.base.CachingHashStrategy"
    ),
    "collectfasta.strategies.azure.AzureBlobStrategy": (
        "collectfasta.strategies.base.CachingHashStrategy"
    ),
    "collectfasta.strategies.filesystem.FileSystemStrategy": (
        "collectfasta.strategies.base.HashStrategy"
    ),
    "collectfasta.strategies.filesystem.CachingFileSystemStrategy": (
        "collectfasta.strategies.base.CachingHashStrategy"
    ),
    "collectfasta.strategies.listing.ListingStrategy": (
        "collectfasta.strategies.base.HashStrategy"
    ),
    "collectfasta.strategies.hashing.HashingTwoPassStrategy": (
        "collectfasta.strategies.base.HashStrategy"
    ),
    "collectfasta.strategies.hashing.TwoPassInMemoryStrategy": (
        "collectfasta.strategies.hashing.HashingTwoPassStrategy"
    ),
    "collectfasta.strategies.hashing.TwoPassFileSystemStrategy": (
        "collectfasta.strategies.hashing.HashingTwoPassStrategy"
    ),
    "collectfasta.strategies.boto3.Boto3WithoutPrefixStrategy": (
        "collectfasta.strategies.boto3.Boto3Strategy"
    ),
    "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy": (
        "collectfasta.strategies.hashing.TwoPassInMemoryStrategy"
    ),
    "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy": (
        "collectfasta.strategies.hashing.TwoPassFileSystemStrategy"
    ),
}

HOOK = ["self", "path", "prefixed_path", "local_storage"]
METHODS = [
    (Strategy, "__init__", ["self", "remote_storage"]),
    (Strategy, "wrap_storage", ["self", "remote_storage"]),
    (Strategy, "should_copy_file", HOOK),
    (Strategy, "pre_should_copy_hook", ["self"]),
    (Strategy, "post_copy_hook", HOOK),
    (Strategy, "on_skip_hook", HOOK),
    (Strategy, "second_pass_strategy", ["self"]),
    (Strategy, "copy_args_hook", ["self", "args"]),
    (Strategy, "list_remote", ["self", "names"]),
    (Strategy, "upload", ["self", "source"]),
    (Strategy, "look_up", ["self", "name"]),
    (Strategy, "list_stored", ["self"]),
    (Strategy, "delete_files", ["self", "names"]),
    (Strategy, "is_passing", ["self", "error"]),
    (Strategy, "explain_error", ["self", "error"]),
    (HashStrategy, "get_local_file_hash", ["self", "path", "local_storage"]),
    (HashStrategy, "get_remote_file_hash", ["self", "prefixed_path"]),
    (
        HashStrategy,
        "get_gzipped_local_file_hash",
        ["self", "uncompressed_file_hash", "path", "contents"],
    ),
    (CachingHashStrategy, "get_cache_key", ["self", "path"]),
    (CachingHashStrategy, "get_cached_remote_file_hash", ["self", "path", "prefixed_path"]),
    (CachingHashStrategy, "invalidate_cached_hash", ["self", "path"]),
    (ListingStrategy, "list_named", ["self", "names"]),
]

SETTINGS = [
    "debug",
    "cache_key_prefix",
    "cache",
    "threads",
    "enabled",
    "aws_is_gzipped",
    "gzip_content_types",
]


# On the page, names by the paths of their classes.
TOLD = {
    (path, name)
    for paths, names in table(read("custom-strategies.md"), "class", "methods and attributes")
    for path in re.findall(r"`(collectfasta[\w.]+)`", paths)
    for name in re.findall(r"`(\w+)`", names)
}


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@for_each("path, parent", STRATEGIES.items())
def test_a_strategy_is_importable_and_extends_what_it_did(path: str, parent: str) -> None:
    assert issubclass(import_string(path), import_string(parent))


@for_each(
    "name, parent",
    [
        ("WithoutPrefixMixin", object),
        ("InMemoryManifestFilesStorage", InMemoryStorage),
        ("InMemoryManifestFilesStorage", ManifestFilesMixin),
        ("FileSystemManifestFilesStorage", FileSystemStorage),
        ("FileSystemManifestFilesStorage", ManifestFilesMixin),
    ],
)
def test_what_two_pass_strategies_are_made_of_is_importable(name: str, parent: type) -> None:
    assert issubclass(import_string(f"collectfasta.strategies.hashing.{name}"), parent)


@for_each("name", ["Strategy", "DisabledStrategy", "load_strategy"])
def test_the_package_of_strategies_gives_what_its_base_module_does(name: str) -> None:
    short = import_string(f"collectfasta.strategies.{name}")
    assert short is import_string(f"collectfasta.strategies.base.{name}")


@for_each("cls, name, expected", METHODS)
def test_a_method_takes_the_same_arguments_by_the_same_names(
    cls: type, name: str, expected: list[str]
) -> None:
    assert parameters(getattr(cls, name)) == expected


@for_each("path", STRATEGIES)
def test_no_strategy_narrows_the_methods_of_its_parents(path: str) -> None:
    cls = import_string(path)
    for parent, name, expected in METHODS:
        if issubclass(cls, parent) and name != "__init__":
            assert parameters(getattr(cls, name)) == expected, name


def test_load_strategy_takes_one_argument() -> None:
    assert parameters(import_string("collectfasta.strategies.load_strategy")) == ["klass"]


@for_each(
    "cls, names",
    [
        (Strategy, {"should_copy_file"}),
        (HashStrategy, {"get_remote_file_hash"}),
        (CachingHashStrategy, {"get_remote_file_hash"}),
    ],
)
def test_a_strategy_of_ones_own_has_to_implement_no_more_than_one_method(
    cls: Any, names: set[str]
) -> None:
    assert cls.__abstractmethods__ == names


def test_the_bases_take_the_type_of_their_storage() -> None:
    assert all(cls[Storage] for cls in (Strategy, HashStrategy, CachingHashStrategy))


def test_a_strategy_has_its_storage_and_may_replace_it() -> None:
    class OwnStrategy(Strategy[Storage]):
        def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
            return True

    storage = InMemoryStorage()
    strategy = OwnStrategy(storage)
    assert strategy.remote_storage is storage
    strategy.remote_storage = InMemoryStorage()
    assert strategy.target_storage is strategy.remote_storage


def test_a_strategy_names_the_exceptions_of_a_deletion_of_nothing() -> None:
    assert Strategy.delete_not_found_exception == ()


def test_hash_strategies_do_not_compress_by_default() -> None:
    assert HashStrategy.use_gzip is False


@for_each("name", SETTINGS)
def test_a_setting_is_an_attribute(name: str) -> None:
    assert hasattr(settings, name)


def test_a_setting_can_be_read_by_those_who_have_settings_of_their_own() -> None:
    assert len(parameters(settings._get_setting)) == 3


def test_the_command_extends_djangos_and_loads_its_strategy_by_a_method() -> None:
    assert issubclass(Command, collectstatic.Command)
    assert parameters(Command._load_strategy) == []


@for_each("path, name", sorted(TOLD))
def test_a_name_that_the_page_promises_exists(path: str, name: str) -> None:
    cls = import_string(path)
    # That one is told of no class, but given to each object.
    assert hasattr(cls, name) or name in {*get_type_hints(cls), "remote_storage"}


@for_each("cls, name", [(cls, name) for cls, name, _ in METHODS if name != "__init__"])
def test_a_method_that_stays_is_on_the_page(cls: type, name: str) -> None:
    assert (cls, name) in {(import_string(path), told) for path, told in TOLD}
