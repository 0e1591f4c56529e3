"""The settings: defaults, types, and when they are read."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from django.test import override_settings

from collectfasta import settings

DEFAULTS = {
    "debug": False,
    "cache_key_prefix": "collectfasta06_asset_",
    "cache": "default",
    "threads": None,
    "enabled": True,
    "strategy": None,
    "staging_storage": None,
    "hashed_only": False,
    "aws_is_gzipped": False,
    "gzip_content_types": (
        "text/css",
        "text/javascript",
        "application/javascript",
        "application/x-javascript",
        "image/svg+xml",
    ),
}

# Attribute, Django's setting, a value that is no default, a value of a wrong type.
SETTINGS: list[tuple[str, str, Any, Any]] = [
    ("debug", "COLLECTFASTA_DEBUG", True, "yes"),
    ("cache_key_prefix", "COLLECTFASTA_CACHE_KEY_PREFIX", "mine_", None),
    ("cache", "COLLECTFASTA_CACHE", "static", 1),
    ("threads", "COLLECTFASTA_THREADS", 3, "3"),
    ("enabled", "COLLECTFASTA_ENABLED", False, 0),
    ("strategy", "COLLECTFASTA_STRATEGY", "a.Strategy", 1),
    ("staging_storage", "COLLECTFASTA_STAGING_STORAGE", "local", 1),
    ("hashed_only", "COLLECTFASTA_HASHED_ONLY", True, "yes"),
    ("aws_is_gzipped", "AWS_IS_GZIPPED", True, 1),
    ("gzip_content_types", "GZIP_CONTENT_TYPES", ("text/plain",), "text/plain"),
]


def test_an_unset_setting_has_its_default(subtests: pytest.Subtests) -> None:
    for attribute, value in DEFAULTS.items():
        with subtests.test(attribute=attribute, value=value):
            assert getattr(settings, attribute) == value


def test_a_changed_setting_counts_at_once(subtests: pytest.Subtests) -> None:
    for attribute, key, value, _ in SETTINGS:
        before = getattr(settings, attribute)
        with subtests.test(key):
            with override_settings(**{key: value}):
                assert getattr(settings, attribute) == value
            assert getattr(settings, attribute) == before


def test_a_value_of_a_wrong_type_is_refused_by_the_name_of_its_setting(
    subtests: pytest.Subtests,
) -> None:
    for attribute, key, _, wrong in SETTINGS:
        with (
            subtests.test(key),
            override_settings(**{key: wrong}),
            pytest.raises(ValueError, match=rf"'{key}' .*{type(wrong).__name__}"),
        ):
            getattr(settings, attribute)


def test_an_assigned_attribute_wins_over_the_setting(subtests: pytest.Subtests) -> None:
    for attribute, key, value, wrong in SETTINGS:
        with (
            subtests.test(key),
            mock.patch.object(settings, attribute, value),
            override_settings(**{key: wrong}),
        ):
            assert getattr(settings, attribute) == value


def test_debug_is_off_where_it_is_unset_also_with_djangos_debug() -> None:
    with override_settings(DEBUG=True):
        assert settings.debug is False


def test_debug_wins_over_djangos_debug() -> None:
    with override_settings(DEBUG=True, COLLECTFASTA_DEBUG=False):
        assert settings.debug is False


def test_a_bool_is_no_number_of_threads() -> None:
    with override_settings(COLLECTFASTA_THREADS=True), pytest.raises(ValueError, match="bool"):
        _ = settings.threads


def test_a_negative_number_of_threads_is_refused() -> None:
    with override_settings(COLLECTFASTA_THREADS=-1), pytest.raises(ValueError, match="-1"):
        _ = settings.threads


def test_no_threads_is_a_number_of_threads() -> None:
    with override_settings(COLLECTFASTA_THREADS=0):
        assert settings.threads == 0


def test_a_strategy_may_be_a_class() -> None:
    with override_settings(COLLECTFASTA_STRATEGY=int):
        assert settings.strategy is int


def test_gzip_content_types_take_the_collections_that_django_storages_takes(
    subtests: pytest.Subtests,
) -> None:
    rows: list[type] = [tuple, list, set, frozenset]
    for collection in rows:
        with (
            subtests.test(collection=collection),
            override_settings(GZIP_CONTENT_TYPES=collection(["text/plain"])),
        ):
            assert "text/plain" in settings.gzip_content_types


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="threats"):
        _ = settings.threats


def test_get_setting_returns_the_default_where_the_setting_is_unset() -> None:
    assert settings._get_setting(int, "COLLECTFASTA_OF_A_SUBCLASS", 7) == 7


def test_get_setting_does_not_check_the_default() -> None:
    default: Any = None
    assert settings._get_setting(int, "COLLECTFASTA_OF_A_SUBCLASS", default) is None


def test_get_setting_returns_a_value_of_the_type() -> None:
    with override_settings(COLLECTFASTA_OF_A_SUBCLASS=8):
        assert settings._get_setting(int, "COLLECTFASTA_OF_A_SUBCLASS", 7) == 8


def test_get_setting_refuses_another_type() -> None:
    with (
        override_settings(COLLECTFASTA_OF_A_SUBCLASS="8"),
        pytest.raises(ValueError, match=r"'COLLECTFASTA_OF_A_SUBCLASS' .* int, found '8' \(str\)"),
    ):
        settings._get_setting(int, "COLLECTFASTA_OF_A_SUBCLASS", 7)


def test_all_wrong_settings_are_told_at_once() -> None:
    wrong = {key: value for _, key, _, value in SETTINGS}
    with override_settings(**wrong):
        told = settings.errors()
    assert len(told) == len(SETTINGS)
    assert all(any(key in sentence for sentence in told) for key in wrong)


def test_nothing_is_told_of_right_settings() -> None:
    with override_settings(**{key: value for _, key, value, _ in SETTINGS}):
        assert settings.errors() == []
