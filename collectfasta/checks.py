"""System checks: settings that would harm a deploy, found before one begins.

They read settings and classes only; no storage is made and no server is asked. The command asks
the same checks, because ``call_command`` runs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig, apps
from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.cache import LOCATION_HINT, StorageCache, find_mistake
from collectfasta.strategies.base import Strategy, load_strategy
from collectfasta.strategies.hashing import HashingTwoPassStrategy
from collectfasta.strategies.selection import find_storage_class, fits, made_for, strategy_for

Check = Callable[..., list[CheckMessage]]
AppConfigs = Sequence[AppConfig] | None

_APP = "collectfasta"
_STATICFILES = "django.contrib.staticfiles"


def is_asked(app_configs: AppConfigs) -> bool:
    """Return whether this app is to be checked: not if others are, nor if it is switched off."""
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
    return _report(
        "E001",
        "'collectfasta' is listed after 'django.contrib.staticfiles' in INSTALLED_APPS, so "
        "Django's own collectstatic runs.",
        "List 'collectfasta' before 'django.contrib.staticfiles'.",
    )


def check_staticfiles() -> list[CheckMessage]:
    """E010: Django's app is there, whose command this one extends."""
    if any(each.label == "staticfiles" for each in apps.get_app_configs()):
        return []
    return _report(
        "E010",
        "'django.contrib.staticfiles' is not in INSTALLED_APPS: collectstatic extends its command.",
        "Add 'django.contrib.staticfiles' after 'collectfasta'.",
    )


def check_predecessor() -> list[CheckMessage]:
    """E009: Collectfast, which this continues, would override the same command."""
    if not apps.is_installed("collectfast"):
        return []
    return _report(
        "E009",
        "'collectfast' and 'collectfasta' are both in INSTALLED_APPS: both override collectstatic.",
        "Remove 'collectfast', and uninstall Collectfast.",
    )


def check_names() -> list[CheckMessage]:
    """W002: each setting that looks like one of Collectfasta's is one."""
    known = settings.names()
    named = (each for each in dir(django_settings) if each.startswith("COLLECTFAST"))
    return [each for name in named if name not in known for each in _unknown(name, known)]


def _unknown(name: str, known: Sequence[str]) -> list[CheckMessage]:
    # Without the beginning, which would make all of them near.
    rests = {each.partition("_")[2]: each for each in known}
    nearest = [rests[each] for each in get_close_matches(name.partition("_")[2], rests, n=1)]
    hint = f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(sorted(known))}."
    return _report("W002", f"There is no setting {name}: it has no effect.", hint)


def check_settings() -> list[CheckMessage]:
    """E002: each setting has a value of its type and range."""
    hint = "Correct or remove the setting."
    return [each for message in settings.errors() for each in _report("E002", message, hint)]


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
        return _report("E004", f"COLLECTFASTA_STRATEGY: {error}", hint)
    if storage_class is None:
        return []
    if not fits(found, storage_class):
        return _report(
            "E005",
            f"The strategy {_path(found)!r} is made for {made_for(found)!r}, but the storage of "
            f"the static files is a {_path(storage_class)!r}.",
            hint or "Set COLLECTFASTA_STRATEGY to a strategy that is made for this storage.",
        )
    return _check_staging(found, storage_class)


def _check_staging(
    found: type[Strategy[Storage]], storage_class: type[Storage]
) -> list[CheckMessage]:
    """E006: what stages needs a storage that hashes files, or another class that does."""
    if not issubclass(found, HashingTwoPassStrategy) or settings.valid("staging_storage"):
        return []
    if issubclass(storage_class, ManifestFilesMixin):
        return []
    return _report(
        "E006",
        f"The strategy {_path(found)!r} is made for storages that extend ManifestFilesMixin, "
        f"but the storage of the static files is a {_path(storage_class)!r}.",
        _suggest(storage_class),
    )


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
    return _report(
        "W001",
        f"The strategy {_path(found)!r} post-processes in the remote storage, by several "
        "requests for each file.",
        f"Set COLLECTFASTA_STRATEGY to {better!r}, or leave it unset.",
    )


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
    return _report(
        "E007",
        f"COLLECTFASTA_STAGING_STORAGE: {name!r} {cause}.",
        "Name an alias in STORAGES, or the dotted path of a local storage class.",
    )


def check_cache() -> list[CheckMessage]:
    """E003: the cache for checksums is configured."""
    alias = settings.valid("cache")
    if alias is None or alias in django_settings.CACHES:
        return []
    return _report(
        "E003",
        f"COLLECTFASTA_CACHE names the cache {alias!r}, which is not in CACHES.",
        f"Add it to CACHES, or name one of: {', '.join(sorted(django_settings.CACHES))}.",
    )


def check_memory() -> list[CheckMessage]:
    """W003: cached checksums outlive the process where everything is sent again without them."""
    alias = settings.valid("cache")
    backend = django_settings.CACHES.get(alias, {}).get("BACKEND")
    is_lost = _extends(backend, DummyCache, LocMemCache)
    is_named = hasattr(django_settings, "COLLECTFASTA_CACHE")
    if not is_lost or not (is_named or _hides_checksums()):
        return []
    problem = f"The cache {alias!r} keeps nothing between two runs"
    return _report(
        "W003",
        f"{problem}, although COLLECTFASTA_CACHE names it."
        if is_named
        else f"{problem}, but S3 tells no checksums of encrypted objects: all are sent anew.",
        "Name a cache on a server, a FileBasedCache, or a collectfasta.cache.StorageCache "
        "in COLLECTFASTA_CACHE.",
    )


def _hides_checksums() -> bool:
    """Return whether S3's ETags are not checksums, by the options of the static files' storage.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    configured = django_settings.STORAGES.get(STATICFILES_STORAGE_ALIAS, {}).get("OPTIONS", {})
    default = getattr(django_settings, "AWS_S3_OBJECT_PARAMETERS", {})
    parameters = configured.get("object_parameters", default)
    if not isinstance(parameters, Mapping):
        return False
    is_kms = str(parameters.get("ServerSideEncryption", "")).startswith("aws:kms")
    return is_kms or "SSECustomerKey" in parameters


def check_cache_location() -> list[CheckMessage]:
    """E008: a StorageCache for checksums has a storage to itself."""
    configured = django_settings.CACHES.get(settings.valid("cache"), {})
    if not _extends(configured.get("BACKEND"), StorageCache):
        return []
    mistake = find_mistake(configured.get("LOCATION"))
    return _report("E008", mistake, LOCATION_HINT) if mistake else []


def _extends(path: Any, *classes: type) -> bool:
    try:
        found = import_string(path)
    except (ImportError, AttributeError):
        # Django says so when it is used.
        return False
    return isinstance(found, type) and issubclass(found, classes)


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


def _report(number: str, message: str, hint: str | None) -> list[CheckMessage]:
    kind = Error if number.startswith("E") else CheckWarning
    return [kind(message, hint=hint, id=f"collectfasta.{number}")]


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
