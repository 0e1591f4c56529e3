"""The system checks of the cache that checksums are remembered in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import STATICFILES_STORAGE_ALIAS
from django.conf import settings as django_settings
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from collectfasta import settings
from collectfasta.cache import LOCATION_HINT, StorageCache, find_mistake


def check_cache() -> list[CheckMessage]:
    """E003: the cache that checksums are remembered in is configured."""
    alias = settings.valid("cache")
    if alias is None or alias in django_settings.CACHES:
        return []
    return [
        Error(
            f"COLLECTFASTA_CACHE names the cache {alias!r}, which is not in CACHES.",
            hint=f"Add it to CACHES, or name one of: {', '.join(sorted(django_settings.CACHES))}.",
            id="collectfasta.E003",
        )
    ]


def check_memory() -> list[CheckMessage]:
    """W003: what is remembered outlives the process where sending all anew is the alternative."""
    alias = settings.valid("cache")
    backend = _imported(django_settings.CACHES.get(alias, {}).get("BACKEND"))
    is_lost = isinstance(backend, type) and issubclass(backend, (DummyCache, LocMemCache))
    is_named = hasattr(django_settings, "COLLECTFASTA_CACHE")
    if not is_lost or not (is_named or _hides_checksums()):
        return []
    problem = f"The cache {alias!r} keeps nothing between two runs"
    return [
        CheckWarning(
            f"{problem}, although COLLECTFASTA_CACHE names it."
            if is_named
            else f"{problem}, but S3 tells no checksums of encrypted objects: all are sent anew.",
            hint="Name a cache on a server, a FileBasedCache, or a collectfasta.cache.StorageCache "
            "in COLLECTFASTA_CACHE.",
            id="collectfasta.W003",
        )
    ]


def _hides_checksums() -> bool:
    """Tell whether S3's ETags are no checksums, by the options of the static files' storage.

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
    """E008: a StorageCache that checksums are remembered in has a storage to itself."""
    configured = django_settings.CACHES.get(settings.valid("cache"), {})
    if not _is_storage_cache(configured.get("BACKEND")):
        return []
    mistake = find_mistake(configured.get("LOCATION"))
    return [Error(mistake, hint=LOCATION_HINT, id="collectfasta.E008")] if mistake else []


def _is_storage_cache(backend: Any) -> bool:
    found = _imported(backend)
    return isinstance(found, type) and issubclass(found, StorageCache)


def _imported(path: Any) -> Any:
    try:
        return import_string(path)
    except (ImportError, AttributeError):
        # Django says so when it is used.
        return None
