"""System checks: settings that would harm a deploy, found before one begins.

They read settings and classes only; no storage is made and no server is asked. The command asks
the same checks, because ``call_command`` runs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig, apps
from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.cache_checks import check_cache, check_cache_location, check_memory
from collectfasta.strategies.base import Strategy, load_strategy
from collectfasta.strategies.hashing import HashingTwoPassStrategy, find_storage_class
from collectfasta.strategies.selection import fits, strategy_for

Check = Callable[..., list[CheckMessage]]
AppConfigs = Sequence[AppConfig] | None

_APP = "collectfasta"
_STATICFILES = "django.contrib.staticfiles"


def is_asked(app_configs: AppConfigs) -> bool:
    """Tell whether this app is to be checked: not if others are, nor if it is switched off."""
    if app_configs is not None and all(each.name != _APP for each in app_configs):
        return False
    try:
        return settings.enabled
    except ValueError:
        return True


def all_other_apps() -> list[AppConfig]:
    """Return all apps but this one: what to check where only others matter."""
    return [each for each in apps.get_app_configs() if each.name != _APP]


def check_order() -> list[CheckMessage]:
    """E001: Django takes a command from the app that is listed first."""
    names = [each.name for each in apps.get_app_configs()]
    if not {_APP, _STATICFILES} <= {*names} or names.index(_APP) < names.index(_STATICFILES):
        return []
    return [
        Error(
            "'collectfasta' is listed after 'django.contrib.staticfiles' in INSTALLED_APPS, so "
            "Django's own collectstatic runs.",
            hint="List 'collectfasta' before 'django.contrib.staticfiles'.",
            id="collectfasta.E001",
        )
    ]


def check_staticfiles() -> list[CheckMessage]:
    """E010: Django's app is there, whose command this one extends."""
    if any(each.label == "staticfiles" for each in apps.get_app_configs()):
        return []
    return [
        Error(
            "'django.contrib.staticfiles' is not in INSTALLED_APPS: collectstatic extends its "
            "command.",
            hint="Add 'django.contrib.staticfiles' behind 'collectfasta'.",
            id="collectfasta.E010",
        )
    ]


def check_predecessor() -> list[CheckMessage]:
    """E009: Collectfast, which this continues, would override the same command."""
    if not apps.is_installed("collectfast"):
        return []
    return [
        Error(
            "'collectfast' and 'collectfasta' are both in INSTALLED_APPS: both override "
            "collectstatic.",
            hint="Remove 'collectfast', and uninstall Collectfast.",
            id="collectfasta.E009",
        )
    ]


def check_names() -> list[CheckMessage]:
    """W002: each setting that looks like one of Collectfasta's is one."""
    known = settings.names()
    named = (each for each in dir(django_settings) if each.startswith("COLLECTFAST"))
    return [_unknown(name, known) for name in named if name not in known]


def _unknown(name: str, known: Sequence[str]) -> CheckMessage:
    # Without the beginning, which would make all of them near.
    rests = {each.partition("_")[2]: each for each in known}
    nearest = [rests[each] for each in get_close_matches(name.partition("_")[2], rests, n=1)]
    hint = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(sorted(known))}."
    return CheckWarning(
        f"There is no setting {name}: it has no effect.", hint=hint, id="collectfasta.W002"
    )


def check_settings() -> list[CheckMessage]:
    """E002: each setting has a value of its type and range."""
    return [
        Error(message, hint="Correct or remove the setting.", id="collectfasta.E002")
        for message in settings.errors()
    ]


def check_strategy() -> list[CheckMessage]:
    """E004: the strategy can be imported and is one. E005: it is made for the storage."""
    strategy = settings.valid("strategy")
    if strategy is None:
        return []
    storage_class = _storage_class()
    hint = _suggest(storage_class)
    try:
        found = load_strategy(strategy)
    except ImproperlyConfigured as error:
        return [Error(f"COLLECTFASTA_STRATEGY: {error}", hint=hint, id="collectfasta.E004")]
    if storage_class is None:
        return []
    if not fits(found, storage_class):
        return [_unfit(found, storage_class, hint)]
    return _check_staging(found, storage_class)


def _check_staging(
    found: type[Strategy[Storage]], storage_class: type[Storage]
) -> list[CheckMessage]:
    """E006: what stages needs a storage that hashes files, or another class that does."""
    if not issubclass(found, HashingTwoPassStrategy) or settings.valid("staging_storage"):
        return []
    if issubclass(storage_class, ManifestFilesMixin):
        return []
    return [
        Error(
            f"The strategy {_path(found)!r} is made for storages that extend ManifestFilesMixin, "
            f"but the storage of the static files is a {_path(storage_class)!r}.",
            hint=_suggest(storage_class),
            id="collectfasta.E006",
        )
    ]


def check_passes() -> list[CheckMessage]:
    """W001: a manifest storage is not post-processed in the remote storage, file by file."""
    strategy = settings.valid("strategy")
    storage_class = _storage_class()
    if strategy is None or storage_class is None:
        return []
    better = strategy_for(storage_class)
    if better in (None, strategy_for(storage_class, staged=False)):
        return []
    try:
        found = load_strategy(strategy)
    except ImproperlyConfigured:
        return []
    if found.second_pass_strategy is not Strategy.second_pass_strategy:
        return []
    return [
        CheckWarning(
            f"The strategy {_path(found)!r} post-processes in the remote storage, by several "
            "requests for each file.",
            hint=f"Set COLLECTFASTA_STRATEGY to {better!r}, or leave it unset.",
            id="collectfasta.W001",
        )
    ]


def check_staging_storage() -> list[CheckMessage]:
    """E007: the storage to stage with can be imported and is one."""
    name = settings.valid("staging_storage")
    if name is None:
        return []
    cause = "is no storage"
    try:
        staging_class, _options = find_storage_class(name)
        if issubclass(staging_class, Storage):
            return []
    except (ImportError, ImproperlyConfigured, TypeError) as error:
        cause = f"can't be imported: {error}"
    return [
        Error(
            f"COLLECTFASTA_STAGING_STORAGE: {name!r} {cause}.",
            hint="Name an alias in STORAGES, or the dotted path of a local storage class.",
            id="collectfasta.E007",
        )
    ]


def _unfit(found: type[Strategy[Storage]], storage_class: type, hint: str | None) -> CheckMessage:
    return Error(
        f"The strategy {_path(found)!r} is made for {found.storage_class!r}, but the storage of "
        f"the static files is a {_path(storage_class)!r}.",
        hint=hint or "Set COLLECTFASTA_STRATEGY to a strategy that is made for this storage.",
        id="collectfasta.E005",
    )


def _suggest(storage_class: type[Storage] | None) -> str | None:
    suggestion = strategy_for(storage_class) if storage_class else None
    return suggestion and f"Set COLLECTFASTA_STRATEGY to {suggestion!r}, or leave it unset."


def _storage_class() -> type[Storage] | None:
    """Return the class of the static files' storage; None where Django will complain of it."""
    try:
        backend = django_settings.STORAGES[STATICFILES_STORAGE_ALIAS]["BACKEND"]
        found: type[Storage] = import_string(backend)
    except (ImportError, ImproperlyConfigured, KeyError, TypeError):
        return None
    return found


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _where_asked(find: Callable[[], list[CheckMessage]]) -> Check:
    # Not wrapped: Django looks at what a check takes.
    def check(app_configs: AppConfigs, **_: Any) -> list[CheckMessage]:
        return find() if is_asked(app_configs) else []

    return check


ALL_CHECKS: Sequence[Check] = [
    _where_asked(each)
    for each in (
        check_order,
        check_staticfiles,
        check_predecessor,
        check_names,
        check_settings,
        check_cache,
        check_cache_location,
        check_memory,
        check_strategy,
        check_passes,
        check_staging_storage,
    )
]
