"""Every setting of Collectfasta: typed, validated, in one place.

The attributes of this module are read from Django's settings whenever they are asked for, so a
changed setting counts at once and a wrong one harms only what needs it. Each can be assigned, which
wins over Django's setting.

Attributes:
    debug: ``COLLECTFASTA_DEBUG`` (default: False). Show the traceback behind each failure.
    cache_key_prefix: ``COLLECTFASTA_CACHE_KEY_PREFIX``. Starts every key in the cache.
    cache: ``COLLECTFASTA_CACHE`` (default: ``"default"``). The alias in ``CACHES``.
    threads: ``COLLECTFASTA_THREADS``. Files sent at a time; 0 sends inline, None (unset) leaves
        the number to the strategy.
    enabled: ``COLLECTFASTA_ENABLED`` (default: True). False gives Django's own command.
    strategy: ``COLLECTFASTA_STRATEGY``. A dotted path or a class; None (unset) leaves the choice
        to the storage's class.
    staging_storage: ``COLLECTFASTA_STAGING_STORAGE``. An alias in ``STORAGES`` or the dotted path
        of a local storage class that post-processes; None (unset) stages with the storage itself.
    hashed_only: ``COLLECTFASTA_HASHED_ONLY`` (default: False). Send no files under their original
        names.
    s3_engine: ``COLLECTFASTA_S3_ENGINE``. ``"boto3"`` makes every request to S3 by boto3; None
        (unset) by obstore where that sends the same.
    aws_is_gzipped: ``AWS_IS_GZIPPED`` of django-storages.
    gzip_content_types: ``GZIP_CONTENT_TYPES`` of django-storages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from itertools import chain
from typing import Any, TypeVar

from django.conf import settings as django_settings

T = TypeVar("T")

debug: bool
cache_key_prefix: str
cache: str
threads: int | None
enabled: bool
strategy: str | type | None
staging_storage: str | None
hashed_only: bool
s3_engine: str | None
aws_is_gzipped: bool
gzip_content_types: Container[str]

_UNSET: Any = object()


def _get_setting(type_: type[T] | tuple[type[T], ...], key: str, default: T) -> T:
    """Read a setting and insist on its type.

    Args:
        type_: The type, or the types, that the value may have.
        key: The setting's name.
        default: What an unset setting stands for; not checked.

    Raises:
        ValueError: The setting has another type. A bool is not a number here.
    """
    value = getattr(django_settings, key, _UNSET)
    if value is _UNSET:
        return default
    types = type_ if isinstance(type_, tuple) else (type_,)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        expected = " or ".join(each.__name__.replace("NoneType", "None") for each in types)
        # Others may hold a password, in the address of a cache for instance.
        is_plain = isinstance(value, (str, int, float))
        name = type(value).__name__
        found = f"{value!r:.100} ({name})" if is_plain else name
        raise ValueError(f"The {key!r} setting must be of type {expected}, found {found}.")
    return value


_NONE = type(None)
# The type, Django's setting, and what an unset one stands for.
_SETTINGS: dict[str, tuple[Any, str, Any]] = {
    "debug": (bool, "COLLECTFASTA_DEBUG", False),
    "cache_key_prefix": (str, "COLLECTFASTA_CACHE_KEY_PREFIX", "collectfasta06_asset_"),
    "cache": (str, "COLLECTFASTA_CACHE", "default"),
    "threads": ((int, _NONE), "COLLECTFASTA_THREADS", None),
    "enabled": (bool, "COLLECTFASTA_ENABLED", True),
    "strategy": ((str, type, _NONE), "COLLECTFASTA_STRATEGY", None),
    "staging_storage": ((str, _NONE), "COLLECTFASTA_STAGING_STORAGE", None),
    "hashed_only": (bool, "COLLECTFASTA_HASHED_ONLY", False),
    "s3_engine": ((str, _NONE), "COLLECTFASTA_S3_ENGINE", None),
    "aws_is_gzipped": (bool, "AWS_IS_GZIPPED", False),
    # The collections that django-storages accepts, and the types that it compresses by default.
    "gzip_content_types": (
        (tuple, list, set, frozenset),
        "GZIP_CONTENT_TYPES",
        (
            "text/css",
            "text/javascript",
            "application/javascript",
            "application/x-javascript",
            "image/svg+xml",
        ),
    ),
}


def __getattr__(name: str) -> Any:
    if name not in _SETTINGS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = _get_setting(*_SETTINGS[name])
    if name == "threads" and value is not None and value < 0:
        raise ValueError(f"The 'COLLECTFASTA_THREADS' setting must be 0 or more, found {value}.")
    if name == "s3_engine" and value not in (None, "boto3"):
        raise ValueError(
            f"The 'COLLECTFASTA_S3_ENGINE' setting must be 'boto3' or unset, found {value!r}."
        )
    return value


def valid(name: str) -> Any:
    """Return the value of one of this module's attributes, None if the setting is wrong."""
    try:
        return globals()[name] if name in globals() else __getattr__(name)
    except ValueError:
        return None


def names() -> list[str]:
    """Return the names of all settings that are Collectfasta's own."""
    return [name for _, name, _ in _SETTINGS.values() if name.startswith("COLLECTFASTA_")]


def errors() -> list[str]:
    """Return one sentence for each setting with a value that can't be used."""
    found = []
    for name in _SETTINGS:
        try:
            __getattr__(name)
        except ValueError as error:
            found.append(str(error))
    return found


def entry(setting: str, alias: str) -> dict[str, Any]:
    """Return an entry of ``STORAGES`` or ``CACHES`` that has OPTIONS, whatever its shape is."""
    backends: Any = getattr(django_settings, setting)
    found = backends.get(alias) if isinstance(backends, Mapping) else None
    found = found if isinstance(found, Mapping) else {}
    options = found.get("OPTIONS")
    return {**found, "OPTIONS": dict(options) if isinstance(options, Mapping) else {}}


def secrets() -> list[str]:
    """Return the texts that storages or the environment are given under a secret's name.

    By the names that Django hides in its own reports: for where no storage is there to ask.
    """
    from django.views.debug import SafeExceptionReporterFilter

    hidden = f"{SafeExceptionReporterFilter.hidden_settings.pattern}|CONNECTION|CREDENTIAL"
    is_hidden = re.compile(hidden, re.IGNORECASE).search
    storages: Any = django_settings.STORAGES
    aliases = storages if isinstance(storages, Mapping) else ()
    options = [entry("STORAGES", alias)["OPTIONS"] for alias in aliases]
    names = (name for name in dir(django_settings) if name.startswith(("AWS_", "AZURE_", "GS_")))
    of_storages = {name: getattr(django_settings, name) for name in names}
    pairs = chain.from_iterable(each.items() for each in (*options, of_storages, os.environ))
    values = [value for name, value in pairs if is_hidden(name)]
    # Credentials may be an object that has a token; a connection string has parts with names.
    texts = [text for text in (getattr(each, "token", each) for each in values) if text]
    texts = [text for text in texts if isinstance(text, str)]
    parts = (part.partition("=") for text in texts for part in text.split(";"))
    return [*texts, *(value for name, _, value in parts if value and is_hidden(name))]
