"""The bases for custom strategies, and the loading of one by its name.

A custom strategy needs only ``should_copy_file`` (extend ``Strategy``) or
``get_remote_file_hash`` (extend ``HashStrategy`` or ``CachingHashStrategy``).
"""

from __future__ import annotations

import abc
import gzip
import importlib
import mimetypes
import pkgutil
from collections.abc import Callable
from io import BytesIO
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from django.utils.encoding import force_bytes
from typing_extensions import override

from collectfasta import settings
from collectfasta.checksum_cache import CacheAccess
from collectfasta.checksums import md5, new_md5
from collectfasta.strategies.contract import S, Strategy

__all__ = (
    "CachingHashStrategy",
    "DisabledStrategy",
    "HashStrategy",
    "Strategy",
    "load_strategy",
)

_TRUSTED = (
    "Deploying without it is slower, and leaves in it what is out of date: clear it before the "
    "next deploy."
)


class HashStrategy(Strategy[S], abc.ABC):
    """Send a file if its MD5 is not the one that ``get_remote_file_hash`` returns.

    Attributes:
        use_gzip: Compare the MD5 of the compressed content, for the content types in
            ``GZIP_CONTENT_TYPES``.
    """

    use_gzip: bool = False

    @override
    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        """Return whether the local and the remote checksum differ."""
        local = self.get_local_file_hash(path, local_storage)
        return local != self.get_remote_file_hash(prefixed_path)

    def get_local_file_hash(self, path: str, local_storage: Storage) -> str:
        """Return the MD5 of a file as it would be stored, in hexadecimal."""
        with local_storage.open(path) as content:
            checksum = md5(content)
        content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
        if not self.use_gzip or content_type not in settings.gzip_content_types:
            return checksum
        with local_storage.open(path) as content:
            return self.get_gzipped_local_file_hash(checksum, path, content.read())

    @abc.abstractmethod
    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        """Return the MD5 of the remote file in hexadecimal, None if there is none."""

    def get_gzipped_local_file_hash(
        self, uncompressed_file_hash: str, path: str, contents: str | bytes
    ) -> str:
        """Return the MD5 of a file's content compressed by ``gzip.GzipFile``."""
        buffer = BytesIO()
        with gzip.GzipFile(mode="wb", fileobj=buffer, mtime=0.0) as compressor:
            compressor.write(force_bytes(contents))
        return str(new_md5(buffer.getvalue()).hexdigest())


class CachingHashStrategy(HashStrategy[S], abc.ABC):
    """Keep remote checksums in Django's cache and trust them.

    What changes in the remote storage in other ways goes unnoticed. The strategies for S3, Google
    Cloud Storage and Azure that come with Collectfasta extend this class for those who extend
    them, and trust the remote's listing.
    """

    def get_cache_key(self, path: str) -> str:
        """Return the prefix and 32 hexadecimal digits for a path."""
        name = path.encode(errors="surrogatepass")
        return f"{settings.cache_key_prefix}{new_md5(name).hexdigest()}"

    def invalidate_cached_hash(self, path: str) -> None:
        """Delete the cached remote checksum of a file."""
        if not self.dry_run:
            key = self.get_cache_key(path)
            self._access.write(lambda cache: cache.delete(key))

    @override
    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        """Return whether the local and the cached remote checksum differ."""
        local = self.get_local_file_hash(path, local_storage)
        if local == self.get_cached_remote_file_hash(path, prefixed_path):
            return False
        # It is about to be replaced, and the run may end before it is.
        self.invalidate_cached_hash(prefixed_path)
        return True

    def get_cached_remote_file_hash(self, path: str, prefixed_path: str) -> str | None:
        """Return the cached checksum of the remote file, else ask the remote for it."""
        # By the prefixed path: the same path might be in use under two prefixes.
        return self._cached(
            self.get_cache_key(prefixed_path), lambda: self.get_remote_file_hash(prefixed_path)
        )

    @override
    def get_gzipped_local_file_hash(
        self, uncompressed_file_hash: str, path: str, contents: str | bytes
    ) -> str:
        """Return the MD5 of a file's compressed content, cached by that of the content."""
        key = self.get_cache_key(f"gzip_hash_{uncompressed_file_hash}")
        compute = super().get_gzipped_local_file_hash
        checksum = self._cached(key, lambda: compute(uncompressed_file_hash, path, contents))
        return str(checksum)

    @override
    def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        """Cache the checksum of the file that was sent."""
        super().post_copy_hook(path, prefixed_path, local_storage)
        if not self._caches_checksums:
            return
        checksum = self.get_local_file_hash(path, local_storage)
        key = self.get_cache_key(prefixed_path)
        self._access.write(lambda cache: cache.set(key, checksum))

    @property
    def _caches_checksums(self) -> bool:
        """Whether checksums decide; ListingStrategy, which comes before, has another answer."""
        return True

    def _cached(self, key: str, compute: Callable[[], str | None]) -> str | None:
        value = self._access.read(lambda cache: cache.get(key))
        if isinstance(value, str):
            return value
        computed = compute()
        if computed is not None and not self.dry_run:
            self._access.write(lambda cache: cache.set(key, computed))
        return computed

    @property
    def _access(self) -> CacheAccess:
        # One operation, so that all threads have the same.
        access: CacheAccess = self.__dict__.setdefault("_access_made", CacheAccess(_TRUSTED))
        return access


class DisabledStrategy(Strategy[Storage]):
    """Stand for no strategy: to ask it is a mistake."""

    @override
    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError("Collectfasta is disabled.")

    @override
    def pre_should_copy_hook(self) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError("Collectfasta is disabled.")


def load_strategy(klass: str | type | object) -> type[Strategy[Storage]]:
    """Return a strategy class by its dotted path or itself.

    Raises:
        ImproperlyConfigured: The path can't be imported, or it names no strategy.
    """
    found: object = klass
    if isinstance(klass, str):
        try:
            found = _resolve(klass)
        except Exception as error:
            raise ImproperlyConfigured(f"{klass!r} can't be imported: {error}.") from error
    if not isinstance(found, type) or not issubclass(found, Strategy):
        raise ImproperlyConfigured(
            f"{klass!r} is no strategy: strategies must be subclasses of "
            "collectfasta.strategies.Strategy."
        )
    return found


def _resolve(path: str) -> object:
    try:
        return pkgutil.resolve_name(path)
    except AttributeError:
        # Raised too where the module can't be imported, for the lack of an SDK for instance.
        importlib.import_module(path.rpartition(".")[0])
        raise
