"""A place ends as Django's own command leaves it: each name, each byte, each header.

Each case deploys one tree to two places: by Collectfasta and with ``--disable-collectfasta``.
What Django's own command has left is then recognised, whatever it was sent with.
"""

from __future__ import annotations

import gc
import json
import stat
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import django.contrib.admin
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.cache import caches
from storages.backends.s3 import S3ManifestStaticStorage

from tests.servers.clouds import Cloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

from . import storages, trees
from .site import MANIFEST, Deploy, MakeCloud, MakeSite, manifest_backend
from .storages import PARAMETERS, path_of

DIRECTORY = "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy"
IN_PARTS = TransferConfig(multipart_threshold=trees.THRESHOLD, multipart_chunksize=trees.PART)
SMALL_PARTS = TransferConfig(multipart_threshold=10_000)
NO_CHECKSUM = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
GOOGLE = {
    "acl": "publicRead",
    "cache_control": "max-age=60",
    "content_disposition": "inline",
    "content_language": "en",
    "metadata": {"owner": "me"},
}
PER_OBJECT = {f"{name}.css": b"a { color: red }" * 100 for name in PARAMETERS}


@dataclass(frozen=True)
class Case:
    """A tree, and what to deploy it with.

    Attributes:
        name: What is special about it.
        files: The tree.
        backend: The storage's class; the plain one of the place if None, that with a manifest if
            "manifest".
        options: More options for the storage.
        settings: More settings.
        strategy: ``COLLECTFASTA_STRATEGY``.
        manifest: The manifest's key.
        reading: Parameters without which S3 lets nobody read an object.
        is_about_access: Whether to look at the tags and ACLs of objects too.
        is_recognised: Whether what Django's own command has left is known without a cache.
    """

    name: str
    files: Mapping[str, bytes]
    backend: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    strategy: str | None = None
    manifest: str = MANIFEST
    reading: Mapping[str, Any] = field(default_factory=dict)
    is_about_access: bool = False
    is_recognised: bool = True


@dataclass(frozen=True)
class Pair:
    """Both places of a case, and what was deployed to them."""

    case: Case
    ours: Mapping[str, Any]
    djangos: Mapping[str, Any]
    deploy: Deploy
    djangos_deploy: Deploy
    again: Deploy
    over_djangos: Deploy


def described(cloud: Cloud, case: Case) -> dict[str, Any]:
    """Return all that can be seen of the objects; a manifest is parsed: its order may differ."""
    if isinstance(cloud, S3Cloud):
        found = _described_on_s3(cloud, case)
    else:
        found = _described_elsewhere(cloud, case)
    if case.manifest in found:
        stored, *others = found[case.manifest]
        # Neither its ETag nor its size is the same in another order.
        found[case.manifest] = json.loads(stored.body), stored.headers, others[1:]
    return found


def _described_on_s3(cloud: S3Cloud, case: Case) -> dict[str, Any]:
    listed = cloud.client.list_objects_v2(Bucket=cloud.name)["Contents"]
    found: dict[str, Any] = {
        each["Key"]: (cloud.get(each["Key"], **case.reading), each["ETag"]) for each in listed
    }
    if case.is_about_access:
        for key, (_, etag) in found.items():
            where: Any = {"Bucket": cloud.name, "Key": key}
            tags = cloud.client.get_object_tagging(**where)["TagSet"]
            # moto can't tell the ACL of an object that was sent in parts without one.
            grants = "-" in etag or cloud.client.get_object_acl(**where)["Grants"]
            found[key] = (*found[key], tags, grants)
    return found


def _described_elsewhere(cloud: Cloud, case: Case) -> dict[str, Any]:
    found: dict[str, Any] = {key: (stored,) for key, stored in cloud.objects().items()}
    if isinstance(cloud, FileSystemCloud):
        for path in cloud.root.rglob("*"):
            name = path.relative_to(cloud.root).as_posix()
            found[name] = (*found.get(name, ()), stat.filemode(path.lstat().st_mode))
    return found


def deployed(case: Case, place: str, make_site: MakeSite, make_cloud: MakeCloud) -> Pair:
    """Deploy a case both ways."""
    ours, djangos = make_cloud(place), make_cloud(place)
    run = {
        "backend": manifest_backend(ours) if case.backend == "manifest" else case.backend,
        "options": case.options,
        "settings": case.settings,
        "use_default_ignore_patterns": False,
    }
    site = make_site(ours, case.files, strategy=case.strategy, **run)
    first = site.deploy()
    described_ours = described(ours, case)
    again = site.deploy()
    other = make_site(djangos, case.files, **run)
    with warnings.catch_warnings():
        # django-storages leaves what it decompresses open.
        warnings.simplefilter("ignore", ResourceWarning)
        by_django = other.deploy(disable_collectfasta=True)
        gc.collect()
    described_djangos = described(djangos, case)
    caches["default"].clear()
    return Pair(
        case,
        described_ours,
        described_djangos,
        first,
        by_django,
        again,
        other.deploy(strategy=case.strategy),
    )


@pytest.fixture(scope="class")
def pair(request: pytest.FixtureRequest, make_site: MakeSite, make_cloud: MakeCloud) -> Pair:
    """Both places of a case."""
    return deployed(request.param, request.cls.place, make_site, make_cloud)


def cases(*found: Case) -> pytest.MarkDecorator:
    """Ask a class's questions of each case."""
    return pytest.mark.parametrize(
        "pair", found, indirect=True, ids=lambda case: case.name, scope="class"
    )


class Questions:
    """What is asked of each case; ``place`` says where, as of ``make_cloud``."""

    place: ClassVar[str]

    def test_the_place_is_as_django_leaves_it(self, pair: Pair) -> None:
        assert pair.djangos
        different = {
            key: (pair.ours.get(key), pair.djangos.get(key))
            for key in {*pair.ours} | {*pair.djangos}
            if pair.ours.get(key) != pair.djangos.get(key)
        }
        assert different == {}
        # What is there is not sent again, by whomever it was sent.
        assert not pair.again.writes
        if pair.case.is_recognised:
            assert not pair.over_djangos.writes


ON_S3 = {
    case.name: case
    for case in (
        Case("odd keys", trees.ODD_KEYS),
        Case("odd location", trees.ODD_KEYS, options={"location": "a b/+%2F~\u00fc"}),
        Case("sizes", trees.SIZES, options={"transfer_config": IN_PARTS, "gzip": True}),
        Case(
            "parameters",
            PER_OBJECT,
            path_of(storages.S3PerObject),
            is_about_access=True,
            is_recognised=False,
        ),
        Case(
            "compressed, parameters",
            PER_OBJECT,
            path_of(storages.S3PerObject),
            options={"gzip": True, "client_config": NO_CHECKSUM},
        ),
        Case("compressed", trees.COMPRESSIBLE, options={"gzip": True}),
        Case(
            "compressed by type",
            trees.COMPRESSIBLE,
            options={"gzip": True, "gzip_content_types": ["text/plain"]},
        ),
        Case(
            "compressed otherwise",
            trees.COMPRESSIBLE,
            path_of(storages.S3OwnCompressor),
            options={"gzip": True},
        ),
        Case(
            "own parameters",
            trees.COMPRESSIBLE,
            path_of(storages.S3OwnParameters),
            options={"gzip": True},
        ),
        Case(
            "own way to save",
            trees.COMPRESSIBLE,
            path_of(storages.S3Uppercase),
            options={"gzip": True},
            is_recognised=False,
        ),
        Case(
            "ACL for all",
            trees.COMPRESSIBLE,
            options={"default_acl": "public-read"},
            is_about_access=True,
        ),
        Case(
            "key of the user's own",
            trees.COMPRESSIBLE,
            options={"object_parameters": SSE_C},
            reading=SSE_C,
        ),
        Case(
            "in parts, parameters",
            dict.fromkeys(PER_OBJECT, trees.NOISE[:10000]),
            path_of(storages.S3PerObject),
            options={"transfer_config": SMALL_PARTS},
            is_recognised=False,
        ),
        Case(
            "tab",
            {"a.css": trees.TEXT},
            options={"object_parameters": {"CacheControl": "a\tb"}},
        ),
    )
}


@pytest.mark.s3
@cases(*ON_S3.values())
class TestPlainOnS3(Questions):
    """A plain storage, by obstore where it can."""

    place = "s3"

    def test_no_header_is_sent_that_django_would_not_send(self, pair: Pair) -> None:
        ours, djangos = sent_headers(pair.deploy), sent_headers(pair.djangos_deploy)
        assert ours.keys() == djangos.keys()
        for name, headers in ours.items():
            assert headers.items() <= djangos[name].items(), name
            assert djangos[name].keys() - headers.keys() <= OF_BOTOCORE, name


# They are about the attempt and the way, not about the object.
VOLATILE = {
    "accept",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "host",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
}
# How botocore sends a body, and the checksum of the way there that it adds by itself.
OF_BOTOCORE = {
    "accept-encoding",
    "content-encoding",
    "expect",
    "x-amz-checksum-crc32",
    "x-amz-sdk-checksum-algorithm",
}


def sent_headers(deploy: Deploy) -> dict[str, dict[str, str]]:
    """Return what was sent with each object that was sent in one request, by its key."""
    return {
        request.path.split("/", 2)[2]: {
            name: value for name, value in request.headers.items() if name not in VOLATILE
        }
        for request, kind in zip(deploy.requests, deploy.kinds, strict=True)
        if kind == "PUT"
    }


@pytest.mark.s3
@cases(*(ON_S3[name] for name in ("odd location", "sizes", "parameters")))
class TestPlainOnS3ByBoto3(Questions):
    """The same, by boto3 alone."""

    place = "s3-boto3"


S3_MANIFEST = path_of(S3ManifestStaticStorage)
Paths = Mapping[str, str]
Bodies = Mapping[str, bytes]
# What is seen of each class in the manifest's paths and in the contents.
HOOKS: Mapping[type, Callable[[Paths, Bodies], bool]] = {
    storages.S3Names: lambda paths, _: (
        len(paths["img/a.png"]) == len("img/12345678.a.png")
        and paths["img/a.png"].endswith(".a.png")
        and "other/readme.txt" in paths
        and "nfd/\u00f6.txt" in paths
    ),
    storages.S3Contents: lambda paths, bodies: (
        b"img/a.png" not in bodies[paths["page.html"]]
        and b"converted" in bodies[paths["css/b.css"]]
        and bodies[paths["css/b.css"]].endswith(b"/* saved */")
    ),
    storages.S3NoHash: lambda paths, bodies: (
        paths["css/a.css"] == "css/a.css" and b"b.css'" not in bodies["css/a.css"]
    ),
    storages.S3MixedUrl: lambda paths, bodies: b'.png?v=1"' in bodies[paths["css/b.css"]],
    storages.S3ByHash: lambda paths, _: {*paths} == {*trees.HOOKED},
    storages.S3Packer: lambda paths, bodies: (
        b"@import" in bodies[paths["css/all.css"]]
        and "css/all.txt" in bodies
        and bodies["page.html"] == trees.HOOKED["page.html"].upper()
    ),
    storages.S3OwnManifest: lambda _, bodies: bodies["extra.json"] == b"{}",
    storages.S3Further: lambda paths, _: {*paths} == {*trees.HOOKED},
}


@pytest.mark.s3
@pytest.mark.staging
@cases(
    *(
        Case(
            storage.__name__,
            trees.HOOKED,
            path_of(storage),
            strategy=DIRECTORY if number % 2 else None,
            is_recognised=False,
        )
        for number, storage in enumerate(HOOKS)
    )
)
class TestHooksOnS3(Questions):
    """Manifest storages with something of their own, staged in memory and on disk in turn."""

    place = "s3"

    def test_the_hook_has_its_effect(self, pair: Pair) -> None:
        storage = getattr(storages, pair.case.name)
        bodies = {key: found[0].body for key, found in pair.ours.items() if key != MANIFEST}
        assert HOOKS[storage](pair.ours[MANIFEST][0]["paths"], bodies)


@pytest.mark.s3
@pytest.mark.staging
@cases(
    Case(
        "location, from a directory",
        trees.LOCATED,
        S3_MANIFEST,
        {"location": "static"},
        manifest=f"static/{MANIFEST}",
        strategy=DIRECTORY,
    ),
    Case(
        "compressed, parameters, deep location",
        trees.HOOKED,
        S3_MANIFEST,
        {
            "gzip": True,
            "location": "a/b",
            "object_parameters": {"CacheControl": "max-age=60", "Metadata": {"a": "b"}},
        },
        manifest=f"a/b/{MANIFEST}",
    ),
    Case(
        "attributes",
        {**trees.HOOKED, **trees.FONTS},
        path_of(storages.S3Attributes),
        manifest="release/assets.json",
    ),
)
class TestManifestOnS3(Questions):
    """Manifest storages as Django and django-storages have them."""

    place = "s3"


@cases(
    Case("plain", trees.KINDS),
    Case(
        "compressed, parameters", trees.KINDS, options={"gzip": True, "object_parameters": GOOGLE}
    ),
    Case(
        "location, ACL, chunks",
        trees.KINDS,
        options={"location": "a/b", "default_acl": "publicRead", "blob_chunk_size": 256 * 1024},
    ),
    Case(
        "encoding",
        trees.KINDS,
        options={"gzip": True, "object_parameters": {"content_encoding": "identity"}},
    ),
    Case(
        "by name, own way to save",
        trees.KINDS,
        path_of(storages.GoogleOwnWays),
        options={"default_acl": "publicRead"},
        is_recognised=False,
    ),
)
class TestPlainOnGoogleCloudStorage(Questions):
    """A plain storage."""

    place = "gcs"

    def test_uploads_begin_with_the_same_acls(self, pair: Pair) -> None:
        assert acls(pair.deploy) == acls(pair.djangos_deploy)


def acls(deploy: Deploy) -> list[str]:
    """Return the predefined ACLs that uploads were begun with, sorted."""
    queries = (parse_qs(each.query) for each in deploy.requests if each.method == "POST")
    return sorted(query.get("predefinedAcl", [""])[0] for query in queries)


LOCATED = Case(
    "location", trees.LOCATED, "manifest", {"location": "static"}, manifest=f"static/{MANIFEST}"
)


@pytest.mark.staging
@cases(LOCATED)
class TestManifestOnGoogleCloudStorage(Questions):
    """A manifest storage."""

    place = "gcs"


@cases(
    Case("plain", trees.KINDS),
    Case(
        "location, cache",
        trees.KINDS,
        options={"location": "a/b", "cache_control": "max-age=60", "overwrite_files": True},
    ),
    Case(
        "parameters",
        trees.KINDS,
        options={
            "cache_control": "max-age=60",
            "object_parameters": {
                "cache_control": "no-cache",
                "content_disposition": "inline",
                "content_language": "en",
            },
        },
    ),
    Case(
        "by name, own way to save",
        trees.KINDS,
        path_of(storages.AzureOwnWays),
        options={"cache_control": "max-age=60"},
        is_recognised=False,
    ),
)
class TestPlainOnAzure(Questions):
    """A plain storage."""

    place = "azure"


@pytest.mark.staging
@cases(LOCATED)
class TestManifestOnAzure(Questions):
    """A manifest storage."""

    place = "azure"


LOCAL_NAMES = {
    "\u00e9\u00fc/\u65e5\u672c.css": b"\r\n\0\xff",
    "e\u0301.css": b"decomposed",
    "\U0001f600.css": b"astral",
    " a b+c%2F~#?&*.css": b"punctuation",
    "a\nb.css": b"newline",
    # 255 bytes: as long as a name can be.
    "\u65e5" * 85: b"long",
    ".hidden.css": b"hidden",
    "vendor/deployed/a.css": b"nested",
    "a\\b.css": b"a backslash, of which Django makes a folder",
    "empty.css": b"",
}


@cases(
    Case("names", LOCAL_NAMES),
    Case("umask", trees.KINDS, settings={"FILE_UPLOAD_PERMISSIONS": None}),
    Case(
        "permissions",
        trees.KINDS,
        settings={
            "FILE_UPLOAD_PERMISSIONS": 0o640,
            "FILE_UPLOAD_DIRECTORY_PERMISSIONS": 0o2750,
        },
    ),
    Case(
        "permissions of the storage",
        trees.KINDS,
        options={"file_permissions_mode": 0o604, "directory_permissions_mode": 0o705},
    ),
    Case("own way to save", trees.KINDS, path_of(storages.LocalUppercase)),
    Case("manifest", trees.EVERYTHING, "manifest"),
    Case("modules", trees.MODULES, path_of(storages.LocalModules)),
)
class TestDirectory(Questions):
    """Django's own storages."""

    place = "filesystem"


ADMIN = [str(Path(django.contrib.admin.__file__).with_name("static"))]


@pytest.mark.staging
@pytest.mark.parametrize(
    ("place", "files", "storage", "local_storage", "settings"),
    [
        pytest.param(
            "s3", {**trees.EVERYTHING, **trees.FOLDERS}, None, None, {}, marks=pytest.mark.s3
        ),
        pytest.param(
            "s3",
            trees.MODULES,
            path_of(storages.S3Modules),
            path_of(storages.LocalModules),
            {},
            marks=pytest.mark.s3,
        ),
        ("gcs", trees.EVERYTHING, None, None, {}),
        ("gcs", {}, None, None, {"STATICFILES_DIRS": ADMIN}),
        ("azure", trees.EVERYTHING, None, None, {}),
    ],
    ids=["s3", "s3, modules", "gcs", "gcs, Django's admin", "azure"],
)
def test_contents_and_names_are_those_that_django_gives_in_a_directory(
    make_site: MakeSite,
    make_cloud: MakeCloud,
    place: str,
    files: Mapping[str, bytes],
    storage: str | None,
    local_storage: str | None,
    settings: Mapping[str, Any],
) -> None:
    """Django takes seconds to post-process such a tree where it asks a server for each file."""
    cloud = make_cloud(place)
    local = local_storage or path_of(ManifestStaticFilesStorage)
    site = make_site(cloud, files, backend=storage or manifest_backend(cloud), settings=settings)
    directory = make_site("filesystem", files, backend=local, settings=settings)

    site.deploy()
    directory.deploy(disable_collectfasta=True)

    ours, djangos = site.bodies(), directory.bodies()
    manifest = json.loads(ours.pop(MANIFEST))
    assert manifest == json.loads(djangos.pop(MANIFEST))
    assert {*manifest["paths"].values()} <= {*ours}
    assert ours == djangos
