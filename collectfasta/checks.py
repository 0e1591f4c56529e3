"""System checks: settings that would harm a deploy, found before one begins.

They read settings and classes only; no storage is made and no server is asked. The command asks
the same checks, because ``call_command`` runs none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, NamedTuple

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
from django.core.management import find_commands, get_commands, load_command_class
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.cache import LOCATION_HINT, StorageCache, find_mistake
from collectfasta.patching import is_overridden
from collectfasta.strategies.base import Strategy, load_strategy
from collectfasta.strategies.hashing import HashingTwoPassStrategy
from collectfasta.strategies.selection import (
    class_paths,
    find_storage_class,
    fits,
    made_for,
    strategy_for,
)

Check = Callable[..., list[CheckMessage]]
AppConfigs = Sequence[AppConfig] | None

_APP = "collectfasta"
_OPTION = "The option %s of STORAGES['staticfiles']"
_CREDENTIAL = re.compile("KEY|TOKEN|SECRET|CONNECTION", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
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


def check_other_apps() -> list[CheckMessage]:
    """E011: no other app's command runs. W007: no other app's command is hidden by this one."""
    owners = [
        each.name
        for each in apps.get_app_configs()
        if "collectstatic" in find_commands(os.path.join(each.path, "management"))
    ]
    others = [each for each in owners if each not in (_APP, _STATICFILES, "collectfast")]
    if _APP not in owners or not others:
        return []
    first = get_commands()["collectstatic"]
    if first in others and not _extends_ours(first):
        return _report(
            "E011",
            f"{first!r} is listed before 'collectfasta' in INSTALLED_APPS and has a collectstatic "
            "of its own, which runs in place of Collectfasta's.",
            f"List 'collectfasta' before {first!r}, or let its command extend Collectfasta's.",
        )
    hidden = [each for each in others if owners.index(each) > owners.index(_APP)]
    return [
        message
        for each in hidden
        for message in _report(
            "W007",
            f"{each!r} has a collectstatic of its own, which does not run: 'collectfasta' is "
            "listed before it in INSTALLED_APPS.",
            "Do without what it adds, or write a command that extends both in an app of your own.",
        )
    ]


def _extends_ours(name: str) -> bool:
    ours = type(load_command_class(_APP, "collectstatic"))
    return isinstance(load_command_class(name, "collectstatic"), ours)


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


def check_shapes() -> list[CheckMessage]:
    """E012: what is read of ``STORAGES`` and ``CACHES`` is what Django makes storages of."""
    aliases = {"STORAGES": STATICFILES_STORAGE_ALIAS, "CACHES": settings.valid("cache")}
    found = []
    for setting, alias in aliases.items():
        value = getattr(django_settings, setting)
        wrong: list[tuple[str, Any, type]] = [(setting, value, dict)]
        if isinstance(value, Mapping) and alias in value:
            entry, name = value[alias], f"{setting}[{alias!r}]"
            wrong = [(name, entry, dict)]
            if isinstance(entry, Mapping):
                wrong = [
                    (f"{name}['BACKEND']", entry.get("BACKEND"), str),
                    (f"{name}['OPTIONS']", entry.get("OPTIONS", {}), dict),
                ]
        for name, value, kind in wrong:
            if not isinstance(value, Mapping if kind is dict else kind):
                text = f"{name} must be of type {kind.__name__}, found {type(value).__name__}."
                found += _report("E012", text, "Correct or remove the setting.")
    return found


def check_extra() -> list[CheckMessage]:
    """E014: what the storage's module imports is installed."""
    backend = _configured().get("BACKEND", "")
    try:
        import_string(backend)
    except (AttributeError, ImportError, ImproperlyConfigured) as error:
        # django-storages raises another error in place of it.
        cause = error if isinstance(error, ImportError) else error.__context__
        package = (getattr(cause, "name", None) or "").partition(".")[0]
        if package in _EXTRAS:
            return _report(
                "E014",
                f"The storage {backend!r} can't be imported, because {package!r} is not installed.",
                _install(_EXTRAS[package]),
            )
    return []


def check_obstore() -> list[CheckMessage]:
    """W005: the faster way to send to S3 is installed."""
    if _cloud() is not _CLOUDS[_S3] or settings.valid("s3_engine") == "boto3":
        return []
    with suppress(ImportError):
        if find_spec("obstore"):
            return []
    return _report(
        "W005",
        "obstore is not installed: boto3 sends everything, which takes more time.",
        _install("s3") + ' Or set COLLECTFASTA_S3_ENGINE = "boto3".',
    )


def _install(extra: str) -> str:
    return f'Run: pip install "Collectfasta[{extra}]".'


def check_old_name() -> list[CheckMessage]:
    """W004: the storage is named by the setting that Django reads."""
    named = getattr(django_settings, "STATICFILES_STORAGE", None)
    if named in (None, _configured().get("BACKEND")):
        return []
    return _report(
        "W004",
        "STATICFILES_STORAGE has no effect: Django reads STORAGES['staticfiles'] since 5.1.",
        f"Set the BACKEND of STORAGES['staticfiles'] to {named!r}.",
    )


def check_options() -> list[CheckMessage]:
    """E013: the options by which a cloud's storage finds its target can be used."""
    cloud = _cloud()
    if cloud is None:
        return []
    found = []
    where, location = _option("location", cloud.location, "")
    if not isinstance(location, str):
        text = f"{where} must be of type str, found {type(location).__name__}."
        found += _report("E013", text, "Write '' for none.")
    where, target = _option(cloud.target, cloud.target_setting, None)
    if isinstance(target, str) and "://" in target:
        text = f"{where} is {target!r}, which has a scheme: it must be the name alone."
        found += _report("E013", text, f"Write {target.partition('://')[2].partition('/')[0]!r}.")
    return found


def check_credentials() -> list[CheckMessage]:
    """E016: credentials are without the white space and line ends that secret stores add."""
    cloud = _cloud()
    if cloud is None:
        return []
    options, prefix = _configured()["OPTIONS"], cloud.location.removesuffix("LOCATION")
    given = {_OPTION % repr(name): value for name, value in options.items()}
    given |= {
        name: getattr(django_settings, name)
        for name in dir(django_settings)
        if name.startswith(prefix)
    }
    profile = _option("session_profile", "AWS_S3_SESSION_PROFILE", None)[1]
    if not profile and not any(re.search("access_key", name, re.IGNORECASE) for name in given):
        # Else these are not what the SDK takes.
        environment = os.environ.items()
        given |= {name: value for name, value in environment if name.startswith(prefix)}
    return [
        message
        for name, value in given.items()
        if _CREDENTIAL.search(name) and isinstance(value, str) and "-----BEGIN" not in value
        if value != value.strip() or _CONTROL.search(value)
        for message in _report(
            "E016",
            f"{name} has white space around it, or a control character in it.",
            "Correct the value: secret stores, files and copying add line ends.",
        )
    ]


def check_signed_urls() -> list[CheckMessage]:
    """W006: no URL that ends after a while is written into style sheets."""
    cloud, storage_class = _cloud(), _storage_class()
    if cloud is None or storage_class is None or is_overridden(storage_class, "url"):
        return []
    if not issubclass(storage_class, ManifestFilesMixin) or not cloud.signs():
        return []
    return _report(
        "W006",
        "Post-processing writes the storage's URLs into style sheets, and these URLs are signed: "
        "they end after a while.",
        f"Set the storage's option {cloud.unsigned}.",
    )


class _Cloud(NamedTuple):
    """Options of a storage class of django-storages, and the settings that they default to."""

    location: str
    target: str
    target_setting: str
    unsigned: str
    signs: Callable[[], bool]


def _option(name: str, setting: str, default: Any) -> tuple[str, Any]:
    """Return what is to be corrected where an option is wrong, and its value."""
    options = _configured()["OPTIONS"]
    if name in options:
        return _OPTION % repr(name), options[name]
    if hasattr(_storage_class(), name):
        return f"The storage's attribute {name!r}", getattr(_storage_class(), name)
    return setting, getattr(django_settings, setting, default)


def _s3_signs() -> bool:
    _, is_signed = _option("querystring_auth", "AWS_QUERYSTRING_AUTH", True)
    _, domain = _option("custom_domain", "AWS_S3_CUSTOM_DOMAIN", None)
    _, key = _option("cloudfront_key", "AWS_CLOUDFRONT_KEY", None)
    return bool(is_signed and (key or not domain))


def _google_signs() -> bool:
    _, is_signed = _option("querystring_auth", "GS_QUERYSTRING_AUTH", True)
    return bool(is_signed and _option("default_acl", "GS_DEFAULT_ACL", None)[1] != "publicRead")


def _azure_signs() -> bool:
    return bool(_option("expiration_secs", "AZURE_URL_EXPIRATION_SECS", None)[1])


_S3 = "storages.backends.s3.S3Storage"
_PLAIN = "querystring_auth to False"
_CLOUDS = {
    _S3: _Cloud("AWS_LOCATION", "bucket_name", "AWS_STORAGE_BUCKET_NAME", _PLAIN, _s3_signs),
    "storages.backends.gcloud.GoogleCloudStorage": _Cloud(
        "GS_LOCATION", "bucket_name", "GS_BUCKET_NAME", _PLAIN, _google_signs
    ),
    "storages.backends.azure_storage.AzureStorage": _Cloud(
        "AZURE_LOCATION",
        "azure_container",
        "AZURE_CONTAINER",
        "expiration_secs to None",
        _azure_signs,
    ),
}
_EXTRAS = {"boto3": "s3", "botocore": "s3", "google": "google", "azure": "azure"}


def _cloud() -> _Cloud | None:
    found = class_paths(_storage_class() or object)
    return next((_CLOUDS[path] for path in found if path in _CLOUDS), None)


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
        return _check_manifest(f"The strategy {_path(found)!r}", found.first_manifest_storage)
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
            return _check_manifest(f"COLLECTFASTA_STAGING_STORAGE: {name!r}", staging_class)
    except (AttributeError, ImportError, ImproperlyConfigured, TypeError) as error:
        cause = f"can't be imported: {error}"
    return _report(
        "E007",
        f"COLLECTFASTA_STAGING_STORAGE: {name!r} {cause}.",
        "Name an alias in STORAGES, or the dotted path of a local storage class.",
    )


def _check_manifest(what: str, staging_class: type[Any]) -> list[CheckMessage]:
    """E015: what stages for a manifest storage makes a manifest."""
    storage_class = _storage_class()
    if storage_class is None or not issubclass(storage_class, ManifestFilesMixin):
        return []
    chosen = settings.valid("strategy") or strategy_for(storage_class)
    try:
        if not issubclass(load_strategy(chosen), HashingTwoPassStrategy):
            return []
    except ImproperlyConfigured:
        return []
    if hasattr(staging_class, "manifest_name"):
        return []
    return _report(
        "E015",
        f"{what} makes no manifest, but the storage of the static files, "
        f"{_path(storage_class)!r}, reads one.",
        "Name a class that extends ManifestFilesMixin.",
    )


def check_cache() -> list[CheckMessage]:
    """E003: the cache for checksums is configured."""
    alias = settings.valid("cache")
    if alias is None or not isinstance(django_settings.CACHES, Mapping):
        return []
    if alias in django_settings.CACHES:
        return []
    return _report(
        "E003",
        f"COLLECTFASTA_CACHE names the cache {alias!r}, which is not in CACHES.",
        f"Add it to CACHES, or name one of: {', '.join(sorted(django_settings.CACHES))}.",
    )


def check_memory() -> list[CheckMessage]:
    """W003: cached checksums outlive the process where everything is sent again without them."""
    alias = settings.valid("cache")
    backend = settings.entry("CACHES", alias).get("BACKEND")
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
    default = getattr(django_settings, "AWS_S3_OBJECT_PARAMETERS", {})
    parameters = _configured()["OPTIONS"].get("object_parameters", default)
    if not isinstance(parameters, Mapping):
        return False
    is_kms = str(parameters.get("ServerSideEncryption", "")).startswith("aws:kms")
    return is_kms or "SSECustomerKey" in parameters


def check_cache_location() -> list[CheckMessage]:
    """E008: a StorageCache for checksums has a storage to itself."""
    configured = settings.entry("CACHES", settings.valid("cache"))
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
        found = import_string(_configured().get("BACKEND", ""))
    except (AttributeError, ImportError, ImproperlyConfigured):
        return None
    return found if isinstance(found, type) and issubclass(found, Storage) else None


def _configured() -> dict[str, Any]:
    return settings.entry("STORAGES", STATICFILES_STORAGE_ALIAS)


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
        check_other_apps,
        check_names,
        check_settings,
        check_shapes,
        check_extra,
        check_obstore,
        check_old_name,
        check_options,
        check_credentials,
        check_signed_urls,
        check_cache,
        check_cache_location,
        check_memory,
        check_strategy,
        check_passes,
        check_staging_storage,
    )
]
