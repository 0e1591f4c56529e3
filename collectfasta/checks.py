"""System checks: settings that would harm a deploy, found before one begins.

They read settings and classes only; no storage is made and no server is asked. The command asks
the same checks, because ``call_command`` runs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.cache import LOCATION_HINT, StorageCache, find_mistake
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


def check_order(app_configs: AppConfigs, **_: Any) -> list[CheckMessage]:
    """E001: Django takes a command from the app that is listed first."""
    names = [each.name for each in apps.get_app_configs()]
    if not {_APP, _STATICFILES} <= set(names) or not is_asked(app_configs):
        return []
    if names.index(_APP) < names.index(_STATICFILES):
        return []
    return [
        Error(
            "'collectfasta' is listed after 'django.contrib.staticfiles' in INSTALLED_APPS, so "
            "Django's own collectstatic runs.",
            hint="List 'collectfasta' before 'django.contrib.staticfiles'.",
            id="collectfasta.E001",
        )
    ]


def check_settings(app_configs: AppConfigs, **_: Any) -> list[CheckMessage]:
    """E002: each setting has a value of its type and range."""
    if not is_asked(app_configs):
        return []
    return [
        Error(message, hint="Correct or remove the setting.", id="collectfasta.E002")
        for message in settings.errors()
    ]


def check_cache(app_configs: AppConfigs, **_: Any) -> list[CheckMessage]:
    """E003: the cache that checksums are remembered in is configured."""
    alias = _valid(lambda: settings.cache)
    if not is_asked(app_configs) or alias is None or alias in django_settings.CACHES:
        return []
    return [
        Error(
            f"COLLECTFASTA_CACHE names the cache {alias!r}, which is not in CACHES.",
            hint=f"Add it to CACHES, or name one of: {', '.join(sorted(django_settings.CACHES))}.",
            id="collectfasta.E003",
        )
    ]


def check_cache_location(app_configs: AppConfigs, **_: Any) -> list[CheckMessage]:
    """E008: a StorageCache that checksums are remembered in has a storage to itself."""
    configured = django_settings.CACHES.get(_valid(lambda: settings.cache), {})
    if not is_asked(app_configs) or not _is_storage_cache(configured.get("BACKEND")):
        return []
    mistake = find_mistake(configured.get("LOCATION"))
    return [Error(mistake, hint=LOCATION_HINT, id="collectfasta.E008")] if mistake else []


def _is_storage_cache(backend: Any) -> bool:
    try:
        found = import_string(backend)
    except (ImportError, AttributeError):
        # Django says so when the cache is used.
        return False
    return isinstance(found, type) and issubclass(found, StorageCache)


def check_strategy(app_configs: AppConfigs, **_: Any) -> list[CheckMessage]:
    """E004: the strategy can be imported and is one. E005: it is made for the storage."""
    strategy = _valid(lambda: settings.strategy)
    if not is_asked(app_configs) or strategy is None:
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
    if not issubclass(found, HashingTwoPassStrategy) or _valid(lambda: settings.staging_storage):
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


def check_staging_storage(app_configs: AppConfigs, **_: Any) -> list[CheckMessage]:
    """E007: the storage to stage with can be imported and is one."""
    name = _valid(lambda: settings.staging_storage)
    if not is_asked(app_configs) or name is None:
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


def _valid(read: Callable[[], Any]) -> Any:
    """Return a setting's value, None if it is wrong: that is said by E002."""
    try:
        return read()
    except ValueError:
        return None


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


ALL_CHECKS: Iterable[Check] = (
    check_order,
    check_settings,
    check_cache,
    check_cache_location,
    check_strategy,
    check_staging_storage,
)
