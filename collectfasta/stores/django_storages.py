"""What the stores for django-storages' classes have in common, and its private names.

``_normalize_name`` of each class, ``AzureStorage._get_valid_path``,
``_get_content_settings_parameters`` and ``_get_service_client``,
``GoogleCloudStorage._compress_content`` and ``_client``, ``S3Storage._create_session``,
``_connections``, ``_get_write_parameters`` and ``_compress_content`` are what ``_save()``,
``client`` and ``connection`` are made of: there is no public way to a key, to the headers and the
bytes of a file, to the session, or to a client with other options.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from django.core.exceptions import SuspiciousOperation
from storages.utils import clean_name
from typing_extensions import override

from collectfasta.errors import CollectfastaError
from collectfasta.patching import is_overridden, unwrapped
from collectfasta.stores.store import Store

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html and
# https://cloud.google.com/storage/docs/objects#naming. Azure allows 1,024 characters.
_LONGEST_KEY = 1024


# What an S3Storage reaches its bucket by.
S3_CLIENT_METHODS = ("bucket", "connection", "_create_session")


class CloudStore(Store):
    """The objects under a location of django-storages' storage of a cloud.

    Attributes:
        secret_attributes: Attributes of the storage that must not appear in any output.
        secret_variables: Environment variables that the storage's SDK takes secrets from.
    """

    secret_attributes: ClassVar[tuple[str, ...]] = ()
    secret_variables: ClassVar[tuple[str, ...]] = ()

    @cached_property
    @override
    def prefix(self) -> str:  # type: ignore[override]
        """The location as keys begin with it: empty, or with a slash at its end.

        Raises:
            CollectfastaError: The storage refuses whatever is under its location.
        """
        try:
            return self.full_path("x")[:-1]
        except SuspiciousOperation:
            location = getattr(self.storage, "location", "")
            raise CollectfastaError(
                f"The location {location!r} is no plain path, so "
                f"{type(self.storage).__name__} stores nothing under it: write it "
                "without empty and dotted segments."
            ) from None

    @override
    def key(self, name: str) -> str:
        """Return the key of a name: the storage's location and the name.

        Raises:
            ValueError: The key is too long, or not Unicode.
            SuspiciousOperation: It would lie outside of the location.
        """
        key = self.full_path(clean_name(name))
        # AzureStorage cuts dots and slashes off the ends of the whole key.
        if not key.startswith(self.prefix):
            raise SuspiciousOperation("its key would lie outside of the location")
        if len(key.encode()) > _LONGEST_KEY:
            raise ValueError(f"its key is longer than {_LONGEST_KEY} bytes")
        return key

    def full_path(self, name: str) -> str:
        """Return a cleaned name joined to the location, as the storage does it."""
        path: str = self.storage._normalize_name(name)
        return path

    @property
    @override
    def secrets(self) -> list[str]:
        variables = map(os.environ.get, self.secret_variables)
        return [*texts_of(self.storage, self.secret_attributes), *filter(None, variables)]


def texts_of(owner: object, names: Iterable[str]) -> list[str]:
    """Return the texts that an object has under some names."""
    values = (getattr(owner, name, None) for name in names)
    return [value for value in values if isinstance(value, str) and value]


def azure_path(storage: Any, name: str) -> str:
    """Return the name of the blob that an AzureStorage stores a file as."""
    path: str = storage._get_valid_path(name)
    return path


def azure_headers(storage: Any, key: str, content: Any) -> dict[str, Any]:
    """Return the content settings that an AzureStorage would send a file with."""
    headers: dict[str, Any] = storage._get_content_settings_parameters(key, content)
    return headers


def azure_service(storage: Any, options: Mapping[str, Any] | None = None) -> Any:
    """Return a service client from an AzureStorage's account and credentials.

    Args:
        storage: The storage, which keeps the client that it has.
        options: In place of its ``client_options``, which a connection string leaves out.
    """
    if options is not None:
        storage = copy.copy(storage)
        storage.client_options = dict(options)
    return storage._get_service_client()


def azure_accessor(storage: Any) -> str | None:
    """Return what a subclass of AzureStorage makes its client by, if it is its own way."""
    names = ("client", "service_client", "_get_service_client")
    return next(
        (name for name in names if is_overridden(type(storage), name, outside=("storages.",))), None
    )


def google_compressed(storage: Any, content: Any) -> Any:
    """Return a file, compressed in memory as a GoogleCloudStorage does it."""
    return storage._compress_content(content)


def google_client_so_far(storage: Any) -> Any:
    """Return the client of a GoogleCloudStorage, None as long as it has not made one."""
    return storage._client


def s3_session(storage: Any) -> Any:
    """Return the boto3 session that an S3Storage would make its client with."""
    return storage._create_session()


def s3_connection_so_far(storage: Any) -> Any:
    """Return the boto3 resource of an S3Storage, None as long as this thread has not made one."""
    return getattr(getattr(storage, "_connections", None), "connection", None)


def share_s3_sessions(storage: Any, share: Callable[[Any], None]) -> None:
    """Hand each boto3 session that an S3Storage makes from now on to a function first."""
    storage = unwrapped(storage)
    create = type(storage)._create_session

    def create_session() -> Any:
        session = create(storage)
        share(session)
        return session

    vars(storage)["_create_session"] = create_session


def s3_headers(storage: Any, key: str, content: Any) -> dict[str, Any]:
    """Return the arguments that an S3Storage would send a file with."""
    headers: dict[str, Any] = storage._get_write_parameters(key, content)
    return headers


def s3_compressed(storage: Any, content: Any) -> Any:
    """Return a file as an S3Storage compresses it while it is read."""
    return storage._compress_content(content)
