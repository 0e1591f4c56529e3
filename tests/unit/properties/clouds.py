"""Strategies for clouds that are never asked, and the keys that their storages would save under."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from unittest import mock

from django.core.files.base import ContentFile
from storages.backends import gcloud
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from collectfasta.strategies.azure import AzureBlobStrategy
from collectfasta.strategies.boto3 import Boto3Strategy
from collectfasta.strategies.gcloud import GoogleCloudStrategy
from collectfasta.strategies.listing import CloudStrategy

CLOUDS = ("s3", "google", "azure")


@cache
def strategy_of(cloud: str, location: str) -> CloudStrategy[Any]:
    """Return a strategy for a bucket that nobody connects to."""
    if cloud == "s3":
        return Boto3Strategy(S3Storage(bucket_name="bucket", location=location))
    if cloud == "google":
        return GoogleCloudStrategy(GoogleCloudStorage(bucket_name="bucket", location=location))
    return AzureBlobStrategy(AzureStorage(azure_container="container", location=location))


def saved_under(strategy: CloudStrategy[Any], name: str) -> str:
    """Return the key of the object that the storage makes of a file without Collectfasta."""
    return _WAYS[type(strategy)](strategy.target_storage, name)


def _by_s3(storage: Any, name: str) -> str:
    bucket = mock.Mock()
    with mock.patch.object(storage, "_bucket", bucket):
        storage.save(name, ContentFile(b"x"))
    return str(bucket.Object.call_args.args[0])


def _by_google(storage: Any, name: str) -> str:
    bucket = mock.Mock()
    bucket.get_blob.return_value = None
    with mock.patch.object(storage, "_bucket", bucket), mock.patch.object(gcloud, "Blob") as blob:
        storage.save(name, ContentFile(b"x"))
    return str(blob.call_args.args[0])


def _by_azure(storage: Any, name: str) -> str:
    client = mock.Mock()
    with (
        mock.patch.object(storage, "_client", client),
        mock.patch.object(storage, "overwrite_files", True),
    ):
        storage.save(name, ContentFile(b"x"))
    return str(client.upload_blob.call_args.args[0])


_WAYS: dict[type, Callable[[Any, str], str]] = {
    Boto3Strategy: _by_s3,
    GoogleCloudStrategy: _by_google,
    AzureBlobStrategy: _by_azure,
}
