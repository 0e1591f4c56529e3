"""Manifest storages of the user's own class, and two-pass strategies of the user's own."""

from __future__ import annotations

import hashlib
import json
import posixpath
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management import CommandError
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3ManifestStaticStorage, S3StaticStorage, S3Storage

from collectfasta.strategies import Strategy
from collectfasta.strategies.boto3 import Boto3Strategy, Boto3WithoutPrefixStrategy
from collectfasta.strategies.hashing import (
    FileSystemManifestFilesStorage,
    InMemoryManifestFilesStorage,
    TwoPassFileSystemStrategy,
    TwoPassInMemoryStrategy,
)
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import Cloud, RecordedCloud, StoredObject
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.moto import S3Server

BACKEND = "storages.backends.s3.S3ManifestStaticStorage"
MEMORY = "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy"
DIRECTORY = "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy"
WRITES = {"PUT", "UPLOAD", "DELETE", "POST", "BATCH", "DELETE_BATCH", "MULTIPART"}

FILES = {
    "css/a.css": b"@import 'b.css';\na { background: url(../img/a.png) }\n",
    "css/b.css": b"b { background: url('../img/a.png') }\n",
    "img/a.png": b"\x89PNG",
    "page.html": b'<img src="img/a.png">',
    "other/README.txt": b"text",
    "nfd/o\u0308.txt": b"NFD",
}


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


@pytest.fixture(params=[MEMORY, DIRECTORY], ids=["memory", "directory"])
def strategy(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


@pytest.fixture(params=[0, 8], ids=["inline", "threads"])
def threads(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def other_s3(moto: S3Server) -> Iterator[S3Cloud]:
    """Another empty bucket."""
    with S3Cloud(moto) as cloud:
        yield cloud


def paths_of(cloud: Cloud, key: str = "staticfiles.json") -> dict[str, str]:
    """Return what a published manifest says."""
    paths: dict[str, str] = json.loads(cloud.get(key).body)["paths"]
    return paths


def parsed(objects: Mapping[str, StoredObject]) -> dict[str, object]:
    """Return all objects, manifests parsed: up to Django 5.2 their order is not fixed."""
    return {
        key: (json.loads(each.body), each.headers) if key.endswith(".json") else each
        for key, each in objects.items()
    }


def own(cls: type) -> str:
    return f"{__name__}.{cls.__qualname__}"


# Chosen by itself.


class MixedS3(ManifestFilesMixin, S3Storage):
    """S3's storage, mixed by hand."""

    querystring_auth = False


class MixedGcs(ManifestFilesMixin, GoogleCloudStorage):
    """Google's storage, mixed by hand."""

    querystring_auth = False


class MixedAzure(ManifestFilesMixin, AzureStorage):
    """Azure's storage, mixed by hand; its file doesn't tell as Django expects that it isn't there."""

    def read_manifest(self) -> str | None:
        content: str | None = None
        if self.exists(self.manifest_name):
            content = super().read_manifest()
        return content


class Further(MixedS3):
    """A subclass of such a class."""


MIXED: dict[type, type] = {S3Cloud: MixedS3, GoogleCloud: MixedGcs, AzureCloud: MixedAzure}
CHOSEN = {
    S3Cloud: "Boto3ManifestMemoryStrategy",
    GoogleCloud: "GoogleCloudManifestMemoryStrategy",
    AzureCloud: "AzureBlobManifestMemoryStrategy",
}


def test_classes_mixed_by_hand_are_staged_without_a_setting(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    mixed = own(MIXED[type(recorded_cloud)])
    collectstatic(recorded_cloud, backend=mixed, threads=threads)
    recorded_cloud.clear_requests()

    run = collectstatic(recorded_cloud, backend=mixed, threads=threads)

    assert CHOSEN[type(recorded_cloud)] in run.stdout
    assert set(paths_of(recorded_cloud)) == set(FILES)
    assert recorded_cloud.counts()["LIST"] >= 1
    assert not set(recorded_cloud.counts()) & WRITES


def test_a_subclass_of_a_mixed_class_is_staged_without_a_setting(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    run = collectstatic(s3, backend=own(Further))

    assert "Boto3ManifestMemoryStrategy" in run.stdout
    assert s3.counts()["PUT"] == 2 * len(FILES) + 1


# Every hook of the storage's class.


class FileHash(S3ManifestStaticStorage):
    def file_hash(self, name: str | None, content: Any = None) -> str | None:
        if content is None:
            return None
        return hashlib.sha256(b"".join(content.chunks())).hexdigest()[:8]


class NoHash(S3ManifestStaticStorage):
    """Files that keep their names, among them one that is rewritten."""

    def file_hash(self, name: str | None, content: Any = None) -> Any:
        is_kept = name is not None and name.endswith(("a.css", ".txt"))
        return None if is_kept else super().file_hash(name, content)


class HashedName(S3ManifestStaticStorage):
    """The hash in front, so that a copy's name doesn't begin as the original's does."""

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        hashed: str = super().hashed_name(name, content, filename)
        folder, base = posixpath.split(hashed)
        root, digest, extension = base.rsplit(".", 2)
        return posixpath.join(folder, f"{digest}.{root}.{extension}")


class Url(S3StaticStorage):
    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        return f"https://cdn.example.com/{name}?v=1"


class MixedUrl(ManifestFilesMixin, Url):
    """The URL decides what references end with."""


class Patterns(S3ManifestStaticStorage):
    patterns = (
        *S3ManifestStaticStorage.patterns,
        ("*.html", ((r"""(?P<matched>src="(?P<url>[^"]*)")""", 'src="%(url)s"'),)),
    )


class HashKey(S3ManifestStaticStorage):
    def hash_key(self, name: str) -> str:
        return name.lower()


class CleanName(S3ManifestStaticStorage):
    def clean_name(self, name: str) -> str:
        return unicodedata.normalize("NFC", super().clean_name(name))


class UrlConverter(S3ManifestStaticStorage):
    def url_converter(self, *args: Any, **kwargs: Any) -> Callable[[Any], str]:
        convert = super().url_converter(*args, **kwargs)
        return lambda match: convert(match) + "/* converted */"


class Saved(S3ManifestStaticStorage):
    """Changes the bytes of what it stores."""

    def _save(self, name: str, content: Any) -> str:
        content.seek(0)
        body = content.read()
        if name.endswith(".css"):
            body += b"/* saved */"
        saved: str = super()._save(name, ContentFile(body))
        return saved


class Parameters(S3ManifestStaticStorage):
    """Other parameters for hashed names, as many a project has."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        is_hashed = len(name.split(".")) > 2
        return {"CacheControl": "immutable" if is_hashed else "no-cache"}


class Packer(S3ManifestStaticStorage):
    """Saves a file that it makes from others, and has it post-processed, as django-pipeline."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        if dry_run:
            return
        _, names = self.listdir("css")
        parts = []
        for name in sorted(names):
            with self.open(f"css/{name}") as part:
                parts.append(part.read())
        self.save("css/all.css", ContentFile(b"".join(parts)))
        self.save("css/all.txt", ContentFile("text, not bytes"))
        paths["css/all.css"] = (self, "css/all.css")
        yield "css/all.css", "css/all.css", True
        yield from super().post_process(paths, dry_run, **options)


class Minifier(S3ManifestStaticStorage):
    """Rewrites the originals in their places."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        for name, (storage, path) in list(paths.items()):
            if name.endswith(".html"):
                with storage.open(path) as original:
                    content = original.read().upper()
                self.delete(name)
                self.save(name, ContentFile(content))
                paths[name] = (self, name)
        yield from super().post_process(paths, dry_run, **options)


class Merging(S3ManifestStaticStorage):
    """Keeps the names of the last deploy, for pages that are still in somebody's cache."""

    def post_process(self, *args: Any, **kwargs: Any) -> Any:
        before, _ = self.load_manifest()
        yield from super().post_process(*args, **kwargs)
        self.hashed_files = {**before, **self.hashed_files}
        self.save_manifest()


class OwnManifest(S3ManifestStaticStorage):
    """Adds something of its own to the manifest."""

    def save_manifest(self) -> None:
        super().save_manifest()
        content = json.loads(self.read_manifest())
        with self.open(self.hashed_files["img/a.png"]) as image:
            content["sizes"] = {"img/a.png": len(image.read())}
        self.manifest_storage.delete(self.manifest_name)
        self.manifest_storage._save(
            self.manifest_name, ContentFile(json.dumps(content, sort_keys=True).encode())
        )
        self._save("extra.json", ContentFile(b"{}"))


Objects = Mapping[str, StoredObject]
Paths = Mapping[str, str]


@dataclass(frozen=True)
class Hook:
    """A class, and what is seen of it in a bucket and in the manifest's paths."""

    storage: type
    is_seen: Callable[[Objects, Paths], bool]


HOOKS = [
    Hook(FileHash, lambda _, paths: len(paths["img/a.png"]) == len("img/a.12345678.png")),
    Hook(
        NoHash,
        lambda objects, paths: (
            paths["css/a.css"] == "css/a.css" and b"b.css'" not in objects["css/a.css"].body
        ),
    ),
    Hook(HashedName, lambda _, paths: paths["img/a.png"].endswith(".a.png")),
    Hook(MixedUrl, lambda objects, paths: b'.png?v=1"' in objects[paths["css/b.css"]].body),
    Hook(Patterns, lambda objects, paths: b"img/a.png" not in objects[paths["page.html"]].body),
    Hook(HashKey, lambda _, paths: "other/readme.txt" in paths),
    Hook(CleanName, lambda _, paths: "nfd/\u00f6.txt" in paths),
    Hook(UrlConverter, lambda objects, paths: b"converted" in objects[paths["css/b.css"]].body),
    Hook(
        Saved,
        lambda objects, paths: objects[paths["css/b.css"]].body.endswith(b"/* saved */"),
    ),
    Hook(
        Parameters,
        lambda objects, paths: (
            objects["img/a.png"].headers["cache-control"] == "no-cache"
            and objects[paths["img/a.png"]].headers["cache-control"] == "immutable"
        ),
    ),
    Hook(
        Packer,
        lambda objects, paths: (
            b"@import" in objects[paths["css/all.css"]].body and "css/all.txt" in objects
        ),
    ),
    Hook(Minifier, lambda objects, _: objects["page.html"].body == FILES["page.html"].upper()),
    Hook(OwnManifest, lambda objects, _: b'"sizes"' in objects["staticfiles.json"].body),
]


@pytest.fixture(scope="module", params=HOOKS, ids=lambda hook: hook.storage.__name__)
def hook(request: pytest.FixtureRequest) -> Hook:
    found: Hook = request.param
    return found


@pytest.fixture(scope="module")
def djangos(
    hook: Hook, moto: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, StoredObject]:
    """What Django's own deploy of a class leaves."""
    tree = StaticTree(tmp_path_factory.mktemp("hooks") / "source")
    for name, content in FILES.items():
        tree.write(name, content)
    with S3Cloud(moto) as cloud, pytest.MonkeyPatch.context() as monkeypatch:
        command = CollectStatic(tree, monkeypatch)
        command(cloud, backend=own(hook.storage), disable_collectfasta=True)
        command.close()
        return cloud.objects()


def test_a_hook_has_the_effect_that_it_has_in_djangos_deploy(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    hook: Hook,
    djangos: Mapping[str, StoredObject],
    strategy: str,
    threads: int,
) -> None:
    collectstatic(s3, backend=own(hook.storage), strategy=strategy, threads=threads)

    objects = s3.objects()
    assert hook.is_seen(objects, paths_of(s3))
    assert parsed(objects) == parsed(djangos)


def test_a_hook_sends_nothing_that_is_unchanged(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, hook: Hook, strategy: str
) -> None:
    collectstatic(s3, backend=own(hook.storage), strategy=strategy)
    s3.clear_requests()

    collectstatic(s3, backend=own(hook.storage), strategy=strategy)

    assert not set(s3.counts()) & WRITES
