"""Deploy to S3 and what speaks its protocol, through django-storages' S3Storage."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from storages.backends.s3 import S3Storage
from typing_extensions import override

from collectfasta.patching import URL_METHODS, is_overridden
from collectfasta.stores.s3.store import S3Store
from collectfasta.strategies.hashing import (
    HashingTwoPassStrategy,
    TwoPassFileSystemStrategy,
    TwoPassInMemoryStrategy,
    WithoutPrefixMixin,
)
from collectfasta.strategies.listing import CloudStrategy


class Boto3Strategy(CloudStrategy[S3Storage]):
    """Deploy to a bucket by listing it once and sending what differs."""

    def __init__(self, remote_storage: S3Storage) -> None:
        super().__init__(remote_storage)
        self.use_gzip = remote_storage.gzip

    @cached_property
    @override
    def store(self) -> S3Store:
        """What reads and writes the bucket."""
        return S3Store(self.target_storage)


class Boto3WithoutPrefixStrategy(WithoutPrefixMixin, Boto3Strategy):
    """Send what is staged."""


class _PlainUrls(HashingTwoPassStrategy):
    """Work out URLs without a client of boto3 while files are post-processed.

    Without a ``custom_domain`` the storage asks a client for each URL, a millisecond of work, and
    of each only the file's name is used: a reference keeps its folders.
    """

    @override
    def staged_attributes(self) -> Mapping[str, object]:
        """Give the storage a domain, unless its URLs depend on more than the key."""
        storage: Any = self.remote_storage
        is_custom = any(is_overridden(storage.__class__, name) for name in URL_METHODS)
        if is_custom or storage.custom_domain or storage.querystring_auth:
            return super().staged_attributes()
        return {**super().staged_attributes(), "custom_domain": "staged"}


class Boto3ManifestMemoryStrategy(_PlainUrls, TwoPassInMemoryStrategy):
    """Deploy a manifest storage by post-processing in memory and sending what differs."""

    second_strategy = Boto3WithoutPrefixStrategy


class Boto3ManifestFileSystemStrategy(_PlainUrls, TwoPassFileSystemStrategy):
    """Deploy a manifest storage by post-processing in a temporary directory."""

    second_strategy = Boto3WithoutPrefixStrategy
