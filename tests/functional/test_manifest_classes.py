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
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.staging

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


@pytest.fixture(params=[(MEMORY, 8), (DIRECTORY, 0)], ids=["memory-threads", "directory-inline"])
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A strategy and a number of threads, where there is too much to try for all four pairs."""
    strategy, threads = request.param
    return {"strategy": strategy, "threads": threads}


@pytest.fixture(params=[0, 8], ids=["inline", "threads"])
def threads(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def other_s3(s3_server: S3Server) -> Iterator[S3Cloud]:
    """Another empty bucket."""
    with S3Cloud(s3_server) as cloud:
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
    """Google's storage, mixed by hand.

    Django asks it for the URL of each reference, and the tests' credentials can't sign one.
    """

    querystring_auth = False


class MixedAzure(ManifestFilesMixin, AzureStorage):
    """Azure's storage, mixed by hand; its missing files aren't told as Django expects it."""

    def read_manifest(self) -> Any:
        return super().read_manifest() if self.exists(self.manifest_name) else None


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

    hashed_files: Any

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
    hook: Hook, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, StoredObject]:
    """What Django's own deploy of a class leaves."""
    tree = StaticTree(tmp_path_factory.mktemp("hooks") / "source")
    for name, content in FILES.items():
        tree.write(name, content)
    with S3Cloud(s3_server) as cloud, pytest.MonkeyPatch.context() as monkeypatch:
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
    way: dict[str, Any],
) -> None:
    collectstatic(s3, backend=own(hook.storage), **way)

    objects = s3.objects()
    assert hook.is_seen(objects, paths_of(s3))
    assert parsed(objects) == parsed(djangos)


def test_a_hook_sends_nothing_that_is_unchanged(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, hook: Hook
) -> None:
    collectstatic(s3, backend=own(hook.storage))
    s3.clear_requests()

    collectstatic(s3, backend=own(hook.storage))

    assert not set(s3.counts()) & WRITES


def test_a_manifest_that_is_merged_with_the_published_one_keeps_its_names(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    collectstatic(s3, backend=own(Merging), strategy=strategy)
    gone = paths_of(s3)["img/a.png"]
    for name in ("img/a.png", "css/a.css", "css/b.css", "page.html"):
        tree.delete(name)

    collectstatic(s3, backend=own(Merging), strategy=strategy)

    assert paths_of(s3)["img/a.png"] == gone


class FewPasses(S3ManifestStaticStorage):
    max_post_process_passes = 1


def test_the_number_of_passes_is_obeyed(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    # Each pass settles one link of the chain.
    for number in range(4):
        tree.write(f"chain/{number}.css", b"@import '%d.css';" % (number + 1))
    tree.write("chain/4.css", b"a {}")
    collectstatic(s3, backend=BACKEND, strategy=strategy)
    s3.empty()

    with pytest.raises((CommandError, RuntimeError), match="Max post-process passes exceeded"):
        collectstatic(s3, backend=own(FewPasses), strategy=strategy)

    assert s3.keys() == []


class LocalManifest(S3ManifestStaticStorage):
    """Keeps the manifest where no storage is, and writes down what is stored by then."""

    file: ClassVar[Path]
    stored: ClassVar[list[str]] = []

    def read_manifest(self) -> str | None:
        return self.file.read_text() if self.file.exists() else None

    def save_manifest(self) -> None:
        _, images = S3ManifestStaticStorage.listdir(S3Storage(**self.own_options), "img")
        self.stored[:] = images
        self.file.write_text(json.dumps({"version": "1.1", "paths": self.hashed_files}))

    own_options: ClassVar[dict[str, Any]] = {}


@pytest.fixture
def local_manifest(
    s3: S3Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> type[LocalManifest]:
    monkeypatch.setattr(LocalManifest, "file", tmp_path / "manifest.json", raising=False)
    monkeypatch.setattr(LocalManifest, "own_options", s3.options())
    LocalManifest.stored.clear()
    return LocalManifest


def test_a_manifest_that_is_saved_without_a_storage_is_saved_when_all_files_are_stored(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    local_manifest: type[LocalManifest],
    strategy: str,
    threads: int,
) -> None:
    collectstatic(s3, backend=own(local_manifest), strategy=strategy, threads=threads)

    paths = json.loads(local_manifest.file.read_text())["paths"]
    assert set(paths) == set(FILES)
    assert f"img/{posixpath.basename(paths['img/a.png'])}" in [
        f"img/{name}" for name in local_manifest.stored
    ]
    assert "staticfiles.json" not in s3.keys()


def test_a_manifest_that_is_saved_without_a_storage_is_read_as_it_was_saved(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    local_manifest: type[LocalManifest],
) -> None:
    collectstatic(s3, backend=own(local_manifest))
    s3.clear_requests()

    collectstatic(s3, backend=own(local_manifest), dry_run=True)

    assert staticfiles_storage.url("img/a.png").endswith(".3bdaf5969285.png")
    assert s3.counts() == {"LIST": 1}


def test_clear_leaves_a_manifest_that_a_class_saves_in_its_own_way(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str, threads: int
) -> None:
    s3.put("static/old.css", b"old")

    for _ in range(2):
        collectstatic(
            s3,
            backend=own(OwnManifest),
            strategy=strategy,
            threads=threads,
            options={"location": "static"},
            clear=True,
        )

    paths = paths_of(s3, "static/staticfiles.json")
    names = {*paths, *paths.values(), "staticfiles.json", "extra.json"}
    assert set(s3.keys()) == {f"static/{name}" for name in names}


def test_a_manifest_that_a_class_saves_in_its_own_way_is_never_missing(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    collectstatic(s3, backend=own(OwnManifest), strategy=strategy)
    s3.clear_requests()
    tree.write("img/a.png", b"changed it")

    collectstatic(s3, backend=own(OwnManifest), strategy=strategy)

    assert set(s3.counts()) == {"HEAD", "GET", "LIST", "PUT"}
    assert json.loads(s3.get("staticfiles.json").body)["sizes"] == {"img/a.png": 10}


# A manifest that is kept in another storage.


class Dictionary(Storage):
    """A storage that Collectfasta does not know."""

    contents: ClassVar[dict[str, bytes]] = {}

    def _open(self, name: str, mode: str = "rb") -> Any:
        try:
            return ContentFile(self.contents[name])
        except KeyError:
            raise FileNotFoundError(name) from None

    def _save(self, name: str, content: Any) -> str:
        self.contents[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in self.contents

    def delete(self, name: str) -> None:
        del self.contents[name]


@dataclass(frozen=True)
class Elsewhere:
    """Another place for the manifest, and how to read it there."""

    storage: Callable[[], Storage]
    read: Callable[[], bytes]


@pytest.fixture(params=["directory", "s3", "dictionary"])
def elsewhere(
    request: pytest.FixtureRequest, other_s3: S3Cloud, tmp_path: Path
) -> Iterator[Elsewhere]:
    path = tmp_path / "manifests" / "staticfiles.json"
    options = other_s3.options(location="manifests")
    found = {
        "directory": Elsewhere(lambda: FileSystemStorage(path.parent), path.read_bytes),
        "s3": Elsewhere(
            lambda: S3StaticStorage(**options),
            lambda: other_s3.get("manifests/staticfiles.json").body,
        ),
        "dictionary": Elsewhere(Dictionary, lambda: Dictionary.contents["staticfiles.json"]),
    }
    yield found[request.param]
    Dictionary.contents.clear()


def test_the_manifest_is_kept_in_its_own_storage(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    elsewhere: Elsewhere,
    strategy: str,
    threads: int,
) -> None:
    collectstatic(
        s3,
        backend=BACKEND,
        strategy=strategy,
        threads=threads,
        options={"manifest_storage": elsewhere.storage()},
    )

    paths = json.loads(elsewhere.read())["paths"]
    assert set(paths) == set(FILES)
    assert set(s3.keys()) == {*paths, *paths.values()}


def test_the_manifest_in_its_own_storage_is_replaced_by_the_next_one(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    elsewhere: Elsewhere,
    strategy: str,
) -> None:
    collectstatic(
        s3, backend=BACKEND, strategy=strategy, options={"manifest_storage": elsewhere.storage()}
    )
    before = json.loads(elsewhere.read())["paths"]
    tree.write("img/a.png", b"changed")

    collectstatic(
        s3, backend=BACKEND, strategy=strategy, options={"manifest_storage": elsewhere.storage()}
    )

    after = json.loads(elsewhere.read())["paths"]
    assert after["img/a.png"] != before["img/a.png"]
    assert set(after.values()) <= set(s3.keys())


def test_a_dry_run_leaves_the_manifest_in_its_own_storage(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, elsewhere: Elsewhere
) -> None:
    collectstatic(s3, backend=BACKEND, options={"manifest_storage": elsewhere.storage()})
    before = elsewhere.read()
    tree.write("img/a.png", b"changed")

    collectstatic(
        s3, backend=BACKEND, options={"manifest_storage": elsewhere.storage()}, dry_run=True
    )

    assert elsewhere.read() == before


# What the process's own storage says.


class StoredName(S3ManifestStaticStorage):
    def stored_name(self, name: str) -> str:
        return f"release/{super().stored_name(name)}"


def test_a_stored_name_of_ones_own_is_what_the_process_says(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    collectstatic(s3, backend=own(StoredName), strategy=strategy)

    url = staticfiles_storage.url("img/a.png")
    assert url.endswith("/release/" + paths_of(s3)["img/a.png"])


def test_the_process_knows_the_new_names_after_a_deploy(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    mixed = own(MIXED[type(recorded_cloud)])

    collectstatic(recorded_cloud, backend=mixed, threads=threads)

    assert paths_of(recorded_cloud)["img/a.png"] in staticfiles_storage.url("img/a.png")


@contextmanager
def same_process(
    s3: S3Cloud, collectstatic: CollectStatic, strategy: str
) -> Iterator[Callable[..., Any]]:
    """Deploy, and yield what deploys again with the same storage object."""
    from django.core.management import call_command

    collectstatic(s3, backend=BACKEND, strategy=strategy)
    yield lambda **options: call_command("collectstatic", interactive=False, verbosity=0, **options)


def test_the_process_knows_the_newer_names_after_a_second_deploy(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    with same_process(s3, collectstatic, strategy) as run:
        tree.write("img/a.png", b"changed")
        run()

        assert paths_of(s3)["img/a.png"] in staticfiles_storage.url("img/a.png")


def test_the_process_knows_the_old_names_after_a_dry_run(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    with same_process(s3, collectstatic, strategy) as run:
        storage: Any = staticfiles_storage
        before = storage.url("img/a.png"), storage.manifest_hash
        tree.write("img/a.png", b"changed")
        run(dry_run=True)

        assert (storage.url("img/a.png"), storage.manifest_hash) == before


def test_the_process_knows_the_old_names_after_a_failed_upload(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    with same_process(s3, collectstatic, strategy) as run:
        before = staticfiles_storage.url("img/a.png")
        tree.write("img/a.png", b"changed")
        s3.recorder.fail(lambda request: request.method == "PUT", 403)
        with pytest.raises(CommandError):
            run()

        assert staticfiles_storage.url("img/a.png") == before


def test_the_process_knows_the_old_names_after_failed_post_processing(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str
) -> None:
    with same_process(s3, collectstatic, strategy) as run:
        before = staticfiles_storage.url("img/a.png")
        tree.write("img/a.png", b"changed")
        tree.write("css/b.css", b"a { background: url(gone.png) }")
        with pytest.raises((CommandError, ValueError), match=r"gone\.png"):
            run()

        assert staticfiles_storage.url("img/a.png") == before


# A dry run.


def test_a_dry_run_writes_nothing_and_says_what_the_run_will_do(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    mixed = own(MIXED[type(recorded_cloud)])

    dry = collectstatic(recorded_cloud, backend=mixed, threads=threads, dry_run=True)

    assert not set(recorded_cloud.counts()) & WRITES
    assert caches["default"]._cache == {}  # type: ignore[attr-defined]
    run = collectstatic(recorded_cloud, backend=mixed, threads=threads)
    assert dry.returned == run.returned


def test_a_dry_run_of_a_change_says_what_the_run_will_do(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, strategy: str, threads: int
) -> None:
    collectstatic(s3, backend=BACKEND, strategy=strategy, threads=threads)
    before = s3.objects()
    tree.write("img/a.png", b"changed")
    tree.write("new.txt", b"new")

    dry = collectstatic(s3, backend=BACKEND, strategy=strategy, threads=threads, dry_run=True)

    assert s3.objects() == before
    s3.clear_requests()
    run = collectstatic(s3, backend=BACKEND, strategy=strategy, threads=threads)
    assert dry.returned == run.returned
    assert "2 static files copied, 5 unmodified, 7 post-processed." in run.stdout
    # The image, the new file, their hashed copies, both style sheets anew and the manifest.
    assert s3.counts()["PUT"] == 7
    assert "7 objects" in dry.stdout
    assert "7 objects" in run.stdout


# Strategies.


def test_a_single_pass_leaves_what_two_passes_leave(
    s3: S3Cloud,
    other_s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    threads: int,
) -> None:
    collectstatic(other_s3, backend=BACKEND)

    collectstatic(s3, backend=BACKEND, strategy=Boto3Strategy, threads=threads)

    assert parsed(s3.objects()) == parsed(other_s3.objects())


class Noting(Boto3Strategy):
    """Note what is sent and what is not."""

    calls: ClassVar[list[tuple[str, str]]] = []

    def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        with local_storage.open(path) as content:
            assert content.read() is not None
        self.calls.append(("sent", prefixed_path))

    def on_skip_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        self.calls.append(("skipped", prefixed_path))


class NotingInMemory(TwoPassInMemoryStrategy):
    second_strategy = Noting


class NotingInDirectory(TwoPassFileSystemStrategy):
    second_strategy = Noting


@pytest.mark.parametrize("own_strategy", [NotingInMemory, NotingInDirectory])
def test_hooks_of_ones_own_second_strategy_are_called_for_each_object(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, own_strategy: type, threads: int
) -> None:
    Noting.calls.clear()
    collectstatic(s3, backend=BACKEND, strategy=own_strategy, threads=threads)
    keys = s3.keys()
    assert sorted(Noting.calls) == [("sent", key) for key in keys]
    Noting.calls.clear()

    collectstatic(s3, backend=BACKEND, strategy=own_strategy, threads=threads)

    assert sorted(Noting.calls) == [("skipped", key) for key in keys]


class Deciding(Boto3WithoutPrefixStrategy):
    """Send all style sheets, always."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        is_changed = super().should_copy_file(path, prefixed_path, local_storage)
        return prefixed_path.endswith(".css") or is_changed


class DecidingTwice(TwoPassInMemoryStrategy):
    second_strategy = Deciding


def test_ones_own_second_strategy_decides_what_is_sent(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(s3, backend=BACKEND, strategy=DecidingTwice, threads=threads)
    s3.clear_requests()

    run = collectstatic(s3, backend=BACKEND, strategy=DecidingTwice, threads=threads)

    assert s3.counts()["PUT"] == 4
    assert "2 static files copied, 4 unmodified" in run.stdout


class Moving(Boto3Strategy):
    """Put all that is staged below a folder, as the peer's WithoutPrefixMixin took one away."""

    def copy_args_hook(self, args: tuple[str, str, Storage]) -> tuple[str, str, Storage]:
        path, prefixed_path, storage = args
        return path, f"v2/{prefixed_path}", storage


class MovingTwice(TwoPassInMemoryStrategy):
    second_strategy = Moving


def test_ones_own_second_strategy_says_where_staged_files_go(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(s3, backend=BACKEND, strategy=MovingTwice, threads=threads)

    paths = paths_of(s3, "v2/staticfiles.json")
    names = {*paths, *paths.values(), "staticfiles.json"}
    assert set(s3.keys()) == {f"v2/{name}" for name in names}


class LongHash:
    """Hashes of 20 digits."""

    def file_hash(self, name: str | None, content: Any = None) -> Any:
        return content and hashlib.sha256(b"".join(content.chunks())).hexdigest()[:20]


class LongHashInMemory(LongHash, InMemoryManifestFilesStorage):  # type: ignore[misc]
    pass


class LongHashInDirectory(LongHash, FileSystemManifestFilesStorage):  # type: ignore[misc]
    pass


class StagedInMemory(TwoPassInMemoryStrategy):
    first_manifest_storage = LongHashInMemory
    second_strategy = Boto3WithoutPrefixStrategy


class StagedInDirectory(TwoPassFileSystemStrategy):
    first_manifest_storage = LongHashInDirectory
    second_strategy = Boto3WithoutPrefixStrategy


@pytest.mark.parametrize("own_strategy", [StagedInMemory, StagedInDirectory])
def test_ones_own_storage_of_the_first_pass_makes_the_names(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, own_strategy: type, threads: int
) -> None:
    run = collectstatic(s3, backend=BACKEND, strategy=own_strategy, threads=threads)

    paths = paths_of(s3)
    image = paths["img/a.png"]
    assert len(image) == len("img/a..png") + 20
    assert set(s3.keys()) == {*paths, *paths.values(), "staticfiles.json"}
    assert posixpath.basename(image).encode() in s3.get(paths["css/b.css"]).body
    assert image in staticfiles_storage.url("img/a.png")
    assert "6 static files copied, 6 post-processed." in run.stdout


class OtherManifest(S3ManifestStaticStorage):
    manifest_name = "assets.json"
    keep_intermediate_files = True


@pytest.mark.parametrize("own_strategy", [StagedInMemory, StagedInDirectory])
def test_ones_own_storage_of_the_first_pass_takes_the_manifests_name_from_the_storage(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, own_strategy: type
) -> None:
    collectstatic(s3, backend=own(OtherManifest), strategy=own_strategy)

    paths = paths_of(s3, "assets.json")
    assert "staticfiles.json" not in s3.keys()
    intermediate = set(s3.keys()) - {*paths, *paths.values(), "assets.json"}
    assert {name.split(".")[0] for name in intermediate} == {"css/a", "css/b"}


class Built(Strategy[Any]):
    """Collect into a folder of one's own, as one wrote it for the peer; then send that."""

    folder: ClassVar[Path]

    def wrap_storage(self, remote_storage: Any) -> Any:
        return FileSystemManifestFilesStorage(location=self.folder)

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True

    def second_pass_strategy(self) -> Strategy[Any]:
        return Boto3Strategy(self.remote_storage)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `Built`, in which other things lie."""
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / ".env").write_text("SECRET=1")
    (folder / "css").mkdir()
    (folder / "css" / "a.css").write_text("an old version")
    monkeypatch.setattr(Built, "folder", folder, raising=False)
    return folder


def test_a_strategy_that_wraps_and_has_a_second_pass_sends_what_it_has_collected_and_no_more(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, build: Path, threads: int
) -> None:
    run = collectstatic(s3, backend=BACKEND, strategy=Built, threads=threads)

    paths = paths_of(s3)
    assert set(paths) == set(FILES)
    assert set(s3.keys()) == {*paths, *paths.values(), "staticfiles.json"}
    assert s3.get("css/a.css").body == FILES["css/a.css"]
    assert (build / ".env").exists()
    assert f"6 static files copied to '{build}', 6 post-processed." in run.stdout


def test_a_strategy_that_wraps_and_has_a_second_pass_sends_only_what_changed(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, build: Path, threads: int
) -> None:
    collectstatic(s3, backend=BACKEND, strategy=Built, threads=threads)
    s3.clear_requests()
    tree.write("img/a.png", b"changed")

    run = collectstatic(s3, backend=BACKEND, strategy=Built, threads=threads)

    paths = paths_of(s3)
    assert s3.counts()["PUT"] == 5
    assert set(paths.values()) <= set(s3.keys())
    assert s3.get(paths["img/a.png"]).body == b"changed"
    assert f"1 static file copied to '{build}', 5 unmodified" in run.stdout


def test_a_dry_run_leaves_the_folder_of_ones_own_strategy_as_it_is(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, build: Path
) -> None:
    before = sorted(build.rglob("*"))

    run = collectstatic(s3, backend=BACKEND, strategy=Built, dry_run=True)

    assert sorted(build.rglob("*")) == before
    assert (build / "css" / "a.css").read_text() == "an old version"
    assert "6 static files copied" in run.stdout


# The order of the manifest.


def test_a_manifest_in_another_order_is_not_sent_again(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    tmp_path: Path,
    strategy: str,
    threads: int,
) -> None:
    more = StaticTree(tmp_path / "more")
    more.write("zzz.txt", b"z")
    more.write("000.txt", b"0")
    folders = [str(tree.root), str(more.root)]
    collectstatic(
        s3,
        backend=BACKEND,
        strategy=strategy,
        threads=threads,
        settings={"STATICFILES_DIRS": folders},
    )
    s3.clear_requests()

    collectstatic(
        s3,
        backend=BACKEND,
        strategy=strategy,
        threads=threads,
        settings={"STATICFILES_DIRS": folders[::-1]},
    )

    assert not set(s3.counts()) & WRITES
