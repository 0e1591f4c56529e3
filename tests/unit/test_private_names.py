"""Private names of other libraries: which there are, where, and what breaks when one goes."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import botocore.credentials
import botocore.handlers
import botocore.hooks
import google.cloud.storage
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.files.storage import FileSystemStorage
from django.core.files.storage.handler import StorageHandler
from django.utils.functional import LazyObject
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from requests.adapters import HTTPAdapter
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

import collectfasta

ROOT = Path(collectfasta.__file__).parent
_PRIVATE = re.compile(r"_[a-z]\w*")

# What Django's documentation asks a storage to have is not private:
# https://docs.djangoproject.com/en/stable/howto/custom-file-storage/
DOCUMENTED = {"_open", "_save"}


@dataclass(frozen=True)
class Private:
    """A private name of another library.

    Attributes:
        module: The one module of the package that may have it.
        exists: Whether the library that is installed has it still.
        breaks: What a user would see without it.
    """

    module: str
    exists: Callable[[], bool]
    breaks: str


def has(cls: Any, name: str) -> Callable[[], bool]:
    """Return what finds an attribute of a class, or one that its own methods set or use."""
    return lambda: (
        hasattr(cls, name) or bool(re.search(rf"\bself\.{name}\b", inspect.getsource(cls)))
    )


def google_client() -> Any:
    credentials: Any = AnonymousCredentials()
    return Client(project="tests", credentials=credentials)


DJANGO, STORAGES = "patching", "stores.django_storages"
BOTOCORE, GOOGLE, HTTP = "stores.s3.connection", "stores.gcloud", "stores.http"

NAMES = {
    "_wrapped": Private(
        DJANGO, lambda: "_wrapped" in vars(LazyObject()), "storages behind lazy ones are not found"
    ),
    "_storages": Private(
        DJANGO,
        has(StorageHandler, "_storages"),
        "a staging class that reads storages['staticfiles'] reads the last deploy's files",
    ),
    "_allow_overwrite": Private(
        DJANGO,
        has(FileSystemStorage, "_allow_overwrite"),
        "a directory gets a second file beside each that it has",
    ),
    "_post_process": Private(
        DJANGO,
        has(HashedFilesMixin, "_post_process"),
        "post-processing goes by Django's way, which takes longer",
    ),
    "_url": Private(
        DJANGO,
        has(HashedFilesMixin, "_url"),
        "a storage with URLs of its own is post-processed as if it had none",
    ),
    "_normalize_name": Private(
        STORAGES, has(S3Storage, "_normalize_name"), "keys are without the location"
    ),
    "_get_valid_path": Private(
        STORAGES, has(AzureStorage, "_get_valid_path"), "names of blobs are without the location"
    ),
    "_get_content_settings_parameters": Private(
        STORAGES,
        has(AzureStorage, "_get_content_settings_parameters"),
        "blobs are sent without the headers of the storage",
    ),
    "_get_service_client": Private(
        STORAGES, has(AzureStorage, "_get_service_client"), "there is no way to log in to Azure"
    ),
    "_client": Private(
        STORAGES, has(GoogleCloudStorage, "_client"), "a client is made, though none is needed"
    ),
    "_compress_content": Private(
        STORAGES, has(S3Storage, "_compress_content"), "compressed files have other bytes"
    ),
    "_create_session": Private(
        STORAGES, has(S3Storage, "_create_session"), "the storage's profile is not asked"
    ),
    "_connections": Private(
        STORAGES,
        has(S3Storage, "_connections"),
        "credentials are asked for twice, and who listens to the client's events is ignored",
    ),
    "_emitter": Private(
        BOTOCORE,
        lambda: hasattr(boto3.client("s3", "us-east-1").meta.events, "_emitter"),
        "who listens to the events of the storage's client is ignored",
    ),
    "_handlers": Private(
        BOTOCORE,
        has(botocore.hooks.HierarchicalEmitter, "_handlers"),
        "who listens to the events of the storage's client is ignored",
    ),
    "_get_write_parameters": Private(
        STORAGES, has(S3Storage, "_get_write_parameters"), "objects are sent without headers"
    ),
    "_session": Private(
        BOTOCORE, lambda: hasattr(boto3.Session(), "_session"), "~/.aws/config is not obeyed"
    ),
    "_handle_200_error": Private(
        BOTOCORE,
        lambda: hasattr(botocore.handlers, "_handle_200_error"),
        "a web page in place of a listing is told as the status 500",
    ),
    "_get_credentials": Private(
        BOTOCORE, has(botocore.client.BaseClient, "_get_credentials"), "secrets are not hidden"
    ),
    "_secret_key": Private(
        BOTOCORE,
        has(botocore.credentials.RefreshableCredentials, "_secret_key"),
        "a secret that is refreshed is not hidden",
    ),
    "_token": Private(
        BOTOCORE,
        has(botocore.credentials.RefreshableCredentials, "_token"),
        "a token that is refreshed is not hidden",
    ),
    "_connection": Private(
        GOOGLE, lambda: hasattr(google_client(), "_connection"), "reports don't name the target"
    ),
    "_http": Private(
        GOOGLE, lambda: hasattr(google_client(), "_http"), "threads wait for ten connections"
    ),
    "_credentials": Private(
        GOOGLE, lambda: hasattr(google_client(), "_credentials"), "tokens are not hidden"
    ),
    "_bucket_metadata_cache": Private(
        GOOGLE,
        # Older releases of the SDK have neither the thread nor the name.
        lambda: (
            not hasattr(google.cloud.storage, "_bucket_metadata_cache")
            or hasattr(google_client(), "_bucket_metadata_cache")
        ),
        "a thread of the SDK asks for the bucket's metadata",
    ),
    "_pool_maxsize": Private(
        HTTP, lambda: hasattr(HTTPAdapter(), "_pool_maxsize"), "threads wait for ten connections"
    ),
    "_pool_block": Private(
        HTTP, lambda: hasattr(HTTPAdapter(), "_pool_block"), "a limit of connections is exceeded"
    ),
}


def uses() -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each private name that is not the package's own."""
    trees = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text())
        for path in ROOT.rglob("*.py")
    }
    own = {name for tree in trees.values() for name in definitions(tree)} | DOCUMENTED
    for module, tree in trees.items():
        # Names of attributes that the package's objects have may stand in a string too.
        for name in set(names_in(tree)) - own:
            yield module, name
        yield from ((module, name) for name in set(of_others(tree)) & NAMES.keys())


def definitions(tree: ast.AST) -> Iterator[str]:
    """Yield what is defined, and the attributes that methods set on their own object."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node):
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "self.__dict__.setdefault":
            yield ast.literal_eval(node.args[0])


def names_in(tree: ast.AST) -> Iterator[str]:
    """Yield private attributes, and strings and imports that are private names."""
    for node in ast.walk(tree):
        found = ""
        if isinstance(node, ast.Attribute):
            found = node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = node.value
        elif isinstance(node, ast.alias):
            found = node.name
        if _PRIVATE.fullmatch(found):
            yield found


def of_others(tree: ast.AST) -> Iterator[str]:
    """Yield the attributes of other objects, and strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_own(node):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def test_each_is_known_and_in_the_one_module_of_its_library() -> None:
    found = set(uses())
    assert {(module, name) for module, name in found if name not in NAMES} == set()
    assert found == {(private.module, name) for name, private in NAMES.items()}


def test_there_are_few() -> None:
    assert len(NAMES) <= 27


def test_each_is_still_there() -> None:
    """In the versions that are installed; what is to be seen without it is what fails here."""
    assert [f"{name}: {each.breaks}" for name, each in NAMES.items() if not each.exists()] == []
