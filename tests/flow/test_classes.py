"""The user's storage class is obeyed: what it overrides has the effect that it has with Django."""

from __future__ import annotations

import hashlib
import json
import posixpath
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.core.management import CommandError

from collectfasta.strategies import Strategy
from collectfasta.strategies.hashing import (
    FileSystemManifestFilesStorage,
    InMemoryManifestFilesStorage,
    TwoPassFileSystemStrategy,
    TwoPassInMemoryStrategy,
)
from tests.memory import (
    FILES,
    MANIFEST,
    MemoryManifestStorage,
    MemoryStorage,
    MemoryStrategy,
    Site,
)

MORE = {
    "page.html": b'<img src="img/a.png">',
    "other/README.txt": b"text",
    "nfd/o\u0308.txt": b"NFD",
}


@pytest.fixture(autouse=True)
def _more(request: pytest.FixtureRequest) -> None:
    site = request.getfixturevalue(
        "each_manifest" if "each_manifest" in request.fixturenames else "manifest"
    )
    for name, content in MORE.items():
        site.tree.write(name, content)


class FileHash(MemoryManifestStorage):
    def file_hash(self, name: str | None, content: Any = None) -> str | None:
        if content is None:
            return None
        return hashlib.sha256(b"".join(content.chunks())).hexdigest()[:8]


class NoHash(MemoryManifestStorage):
    """Files that keep their names, among them one that is rewritten."""

    def file_hash(self, name: str | None, content: Any = None) -> Any:
        if name is None or name.endswith(("a.css", ".txt")):
            return None
        return super().file_hash(name, content)


class HashedName(MemoryManifestStorage):
    """The hash in front, so that a copy's name doesn't begin as the original's does."""

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        hashed: str = super().hashed_name(name, content, filename)
        folder, base = posixpath.split(hashed)
        root, digest, extension = base.rsplit(".", 2)
        return posixpath.join(folder, f"{digest}.{root}.{extension}")


class Cdn(MemoryStorage):
    def url(self, name: str | None) -> str:
        return f"https://cdn.example.com/{name}?v=1"


class Url(ManifestFilesMixin, Cdn):  # type: ignore[misc]
    """The URL decides what references end with."""


class Patterns(MemoryManifestStorage):
    patterns = (
        *MemoryManifestStorage.patterns,
        ("*.html", ((r"""(?P<matched>src="(?P<url>[^"]*)")""", 'src="%(url)s"'),)),
    )


class HashKey(MemoryManifestStorage):
    def hash_key(self, name: str) -> str:
        return name.lower()


class CleanName(MemoryManifestStorage):
    def clean_name(self, name: str) -> str:
        return unicodedata.normalize("NFC", super().clean_name(name))


class UrlConverter(MemoryManifestStorage):
    def url_converter(self, *args: Any, **kwargs: Any) -> Callable[[Any], str]:
        convert = super().url_converter(*args, **kwargs)
        return lambda match: convert(match) + "/* converted */"


class Saved(MemoryManifestStorage):
    """Changes the bytes of what it stores."""

    def _save(self, name: str, content: Any) -> str:
        content.seek(0)
        body = content.read()
        if name.endswith(".css"):
            body += b"/* saved */"
        return super()._save(name, ContentFile(body))


class Packer(MemoryManifestStorage):
    """Saves a file that it makes from others, and has it post-processed, as django-pipeline."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        if dry_run:
            return
        parts = []
        for name in sorted(self.listdir("css")[1]):
            with self.open(f"css/{name}") as part:
                parts.append(part.read())
        self.save("css/all.css", ContentFile(b"".join(parts)))
        self.save("css/all.txt", ContentFile("text, not bytes"))
        paths["css/all.css"] = (self, "css/all.css")
        yield "css/all.css", "css/all.css", True
        yield from super().post_process(paths, dry_run, **options)


class Minifier(MemoryManifestStorage):
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


class OwnManifest(MemoryManifestStorage):
    """Adds something to the manifest, and a file beside it."""

    def save_manifest(self) -> None:
        super().save_manifest()
        content = json.loads(self.read_manifest())
        with self.open(self.hashed_files["img/a.png"]) as image:
            content["sizes"] = {"img/a.png": len(image.read())}
        storage: Any = self.manifest_storage
        storage.delete(self.manifest_name)
        text = json.dumps(content, sort_keys=True).encode()
        storage._save(self.manifest_name, ContentFile(text))
        self._save("extra.json", ContentFile(b"{}"))


class ManifestName(MemoryManifestStorage):
    manifest_name = "assets/v2.json"


class Keeping(MemoryManifestStorage):
    keep_intermediate_files = True


class Imports(MemoryManifestStorage):
    support_js_module_import_aggregation = True


Bodies = Mapping[str, bytes]
Paths = Mapping[str, str]


class Hook(NamedTuple):
    """A class, and what is seen of it in a bucket and in the manifest's paths."""

    storage: type
    is_seen: Callable[[Bodies, Paths], bool]


HOOKS = [
    Hook(FileHash, lambda _, paths: len(paths["img/a.png"]) == len("img/a.12345678.png")),
    Hook(
        NoHash,
        lambda it, paths: paths["css/a.css"] == "css/a.css" and b"b.css'" not in it["css/a.css"],
    ),
    Hook(HashedName, lambda _, paths: paths["img/a.png"].endswith(".a.png")),
    Hook(Url, lambda it, paths: b'.png?v=1"' in it[paths["css/b.css"]]),
    Hook(Patterns, lambda it, paths: b"img/a.png" not in it[paths["page.html"]]),
    Hook(HashKey, lambda _, paths: "other/readme.txt" in paths),
    Hook(CleanName, lambda _, paths: "nfd/\u00f6.txt" in paths),
    Hook(UrlConverter, lambda it, paths: b"converted" in it[paths["css/b.css"]]),
    Hook(Saved, lambda it, paths: it[paths["css/b.css"]].endswith(b"/* saved */")),
    Hook(Packer, lambda it, paths: b"@import" in it[paths["css/all.css"]] and "css/all.txt" in it),
    Hook(Minifier, lambda it, _: it["page.html"] == MORE["page.html"].upper()),
    Hook(OwnManifest, lambda it, _: b'"sizes"' in it[MANIFEST] and "extra.json" in it),
    Hook(ManifestName, lambda it, _: "assets/v2.json" in it and MANIFEST not in it),
    Hook(Keeping, lambda it, paths: len(it) > 2 * len(paths) + 1),
    Hook(Imports, lambda it, paths: b'"./m.2' in it[paths["js/n.js"]]),
]


def parsed(bodies: Bodies) -> dict[str, Any]:
    """Return all contents, manifests parsed: up to Django 5.2 their order is not fixed."""
    return {
        key: json.loads(body) if key.endswith(".json") else body for key, body in bodies.items()
    }


def paths_of(bodies: Bodies) -> dict[str, str]:
    (manifest,) = (key for key in bodies if key in (MANIFEST, "assets/v2.json"))
    paths: dict[str, str] = json.loads(bodies[manifest])["paths"]
    return paths


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.storage.__name__)
class TestHook:
    @pytest.fixture(autouse=True)
    def _modules(self, each_manifest: Site) -> None:
        each_manifest.tree.write("js/m.js", b"export default 1;")
        each_manifest.tree.write("js/n.js", b'import m from "./m.js";\n')

    def test_it_has_the_effect_that_it_has_in_djangos_deploy(
        self, each_manifest: Site, hook: Hook
    ) -> None:
        django = Site(each_manifest.tree, each_manifest.command, each_manifest.kind)
        django.deploy(storage=hook.storage, disable_collectfasta=True)

        each_manifest.deploy(storage=hook.storage)

        bodies = each_manifest.bodies()
        assert hook.is_seen(bodies, paths_of(bodies))
        assert parsed(bodies) == parsed(django.bodies())

        # Nor is anything sent that is unchanged.
        each_manifest.forget()

        each_manifest.deploy(storage=hook.storage)

        assert each_manifest.called("PUT") == each_manifest.called("DELETE") == []


class Strict(MemoryManifestStorage):
    manifest_strict = False


def test_a_manifest_that_is_not_strict_is_obeyed(each_manifest: Site) -> None:
    each_manifest.deploy(storage=Strict)
    assert staticfiles_storage.url("img/a.png") == f"/static/{each_manifest.paths['img/a.png']}"


class Merging(MemoryManifestStorage):
    """Keeps the names of the last deploy, for pages that are still in somebody's cache."""

    hashed_files: Any

    def post_process(self, *args: Any, **kwargs: Any) -> Any:
        loaded: Any = self.load_manifest()
        before, _ = loaded
        yield from super().post_process(*args, **kwargs)
        self.hashed_files = {**before, **self.hashed_files}
        self.save_manifest()


def test_a_manifest_that_is_merged_with_the_published_one_keeps_its_names(
    each_manifest: Site,
) -> None:
    each_manifest.deploy(storage=Merging)
    gone = each_manifest.paths["img/a.png"]
    for name in ("img/a.png", "css/a.css", "css/b.css", "page.html"):
        each_manifest.tree.delete(name)

    each_manifest.deploy(storage=Merging)

    assert each_manifest.paths["img/a.png"] == gone


class FewPasses(MemoryManifestStorage):
    max_post_process_passes = 1


def test_the_number_of_passes_is_obeyed(each_manifest: Site) -> None:
    # Each pass settles one link of the chain.
    for number in range(4):
        each_manifest.tree.write(f"chain/{number}.css", b"@import '%d.css';" % (number + 1))
    each_manifest.tree.write("chain/4.css", b"a {}")

    with pytest.raises((CommandError, RuntimeError), match="Max post-process passes exceeded"):
        each_manifest.deploy(storage=FewPasses)

    assert each_manifest.keys() == []
    each_manifest.deploy()
    assert "chain/0.css" in each_manifest.paths


class LocalManifest(MemoryManifestStorage):
    """Keeps the manifest where no storage is, and notes what is stored by then."""

    file: ClassVar[Path]
    stored: ClassVar[list[str]] = []

    def read_manifest(self) -> Any:
        return self.file.read_text() if self.file.exists() else None

    def save_manifest(self) -> None:
        self.stored[:] = self.bucket.objects
        self.file.write_text(json.dumps({"version": "1.1", "paths": self.hashed_files}))


def test_a_manifest_without_a_storage_is_saved_when_all_files_are_stored(
    each_manifest: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalManifest, "file", tmp_path / "manifest.json", raising=False)

    each_manifest.deploy(storage=LocalManifest)

    paths = json.loads(LocalManifest.file.read_text())["paths"]
    assert set(paths) == {*FILES, *MORE}
    assert set(paths.values()) <= set(LocalManifest.stored)
    assert MANIFEST not in each_manifest.keys()
    each_manifest.forget()
    each_manifest.deploy(storage=LocalManifest, dry_run=True)
    assert staticfiles_storage.url("img/a.png") == f"/static/{paths['img/a.png']}"
    assert each_manifest.counts() == {"LIST": 1}


def test_a_manifest_that_a_class_saves_in_its_own_way_is_never_missing(
    each_manifest: Site,
) -> None:
    each_manifest.deploy(storage=OwnManifest)
    each_manifest.forget()
    each_manifest.tree.write("img/a.png", b"changed it")

    each_manifest.deploy(storage=OwnManifest)

    assert each_manifest.called("DELETE") == []
    assert json.loads(each_manifest.bodies()[MANIFEST])["sizes"] == {"img/a.png": 10}


def test_clear_leaves_what_a_class_saves_in_its_own_way(each_manifest: Site) -> None:
    each_manifest.location = "static"
    each_manifest.put("static/old.css")

    for _ in range(2):
        each_manifest.deploy(storage=OwnManifest, clear=True)

        names = {*each_manifest.paths, *each_manifest.paths.values(), MANIFEST, "extra.json"}
        assert set(each_manifest.keys()) == {f"static/{name}" for name in names}


class StoredName(MemoryManifestStorage):
    def stored_name(self, name: str) -> str:
        return f"release/{super().stored_name(name)}"


def test_a_stored_name_of_the_class_is_what_the_process_names(each_manifest: Site) -> None:
    each_manifest.deploy(storage=StoredName)

    url = staticfiles_storage.url("img/a.png")
    assert url == f"/static/release/{each_manifest.paths['img/a.png']}"


class PlainSaved(MemoryStorage):
    """Changes the bytes of what it stores."""

    def _save(self, name: str, content: Any) -> str:
        return super()._save(name, ContentFile(content.read().upper()))


def test_a_plain_class_that_saves_in_its_own_way_is_obeyed(site: Site, threads: int) -> None:
    site.deploy(storage=PlainSaved, threads=threads)
    assert site.bodies() == {name: content.upper() for name, content in site.contents().items()}
    site.forget()

    site.deploy(storage=PlainSaved, threads=threads)

    assert site.counts() == {"LIST": 1}


class Pipeline(MemoryStorage):
    """Makes more files of those that were collected, in place."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        if dry_run:
            return
        packed = []
        for storage, path in paths.values():
            with storage.open(path) as content:
                packed.append(content.read())
        self.save("packed.css", ContentFile(b"".join(packed)))
        yield "packed.css", "packed.css", True


class TestPostProcessingInPlace:
    def test_it_runs_when_everything_is_stored(self, site: Site, threads: int) -> None:
        run = site.deploy(storage=Pipeline, threads=threads)

        assert site.called("PUT")[-1] == "packed.css"
        assert len(site.bodies()["packed.css"]) == sum(map(len, site.contents().values()))
        assert ", 1 post-processed." in run.stdout

    def test_it_does_not_run_if_a_file_failed(self, site: Site) -> None:
        site.refuse("PUT", "js/app.js")
        site.fail(storage=Pipeline)
        assert "packed.css" not in site.keys()

    def test_no_post_process_leaves_it_out(self, site: Site) -> None:
        site.deploy(storage=Pipeline, post_process=False)
        assert "packed.css" not in site.keys()

    def test_clear_and_prune_keep_what_it_makes(self, site: Site) -> None:
        site.location = "static"
        for option in ("clear", "prune"):
            site.put("static/old.css")
            site.deploy(storage=Pipeline, **{option: True})
            names = {*site.tree.names(), "packed.css"}
            assert set(site.keys()) == {f"static/{name}" for name in names}, option

    def test_a_manifest_without_a_stage_is_what_two_passes_make(self, manifest: Site) -> None:
        other = Site(manifest.tree, manifest.command, "memory")
        other.deploy()

        manifest.deploy(strategy=MemoryStrategy)

        assert parsed(manifest.bodies()) == parsed(other.bodies())


def test_no_post_process_sends_the_files_as_they_were_found(each_manifest: Site) -> None:
    each_manifest.deploy(post_process=False)
    assert each_manifest.bodies() == each_manifest.contents()


# Strategies in two passes of the user's own.


class Noting(MemoryStrategy):
    """Note what is sent and what is not."""

    calls: ClassVar[list[tuple[str, str]]] = []

    def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        with local_storage.open(path) as content:
            assert content.read() is not None
        self.calls.append(("sent", prefixed_path))

    def on_skip_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        self.calls.append(("skipped", prefixed_path))


def in_two_passes(site: Site, **attributes: Any) -> type:
    """Return a strategy like the site's own with other attributes."""
    base = {"memory": TwoPassInMemoryStrategy, "directory": TwoPassFileSystemStrategy}[site.kind]
    return type("Own", (base,), {"second_strategy": MemoryStrategy, **attributes})


def test_hooks_of_a_second_strategy_are_called_for_each_object(each_manifest: Site) -> None:
    strategy = in_two_passes(each_manifest, second_strategy=Noting)
    for verb in ("sent", "skipped"):
        Noting.calls.clear()
        each_manifest.deploy(strategy=strategy)
        assert sorted(Noting.calls) == [(verb, key) for key in each_manifest.keys()]


class Deciding(MemoryStrategy):
    """Send all style sheets, always."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        is_changed = super().should_copy_file(path, prefixed_path, local_storage)
        return prefixed_path.endswith(".css") or is_changed


def test_a_second_strategy_decides_what_is_sent(each_manifest: Site) -> None:
    strategy = in_two_passes(each_manifest, second_strategy=Deciding)
    each_manifest.deploy(strategy=strategy)
    each_manifest.forget()

    run = each_manifest.deploy(strategy=strategy)

    assert len(each_manifest.called("PUT")) == 4
    assert "2 static files copied, 5 unmodified" in run.stdout


class Moving(MemoryStrategy):
    """Put all that is staged below a folder."""

    def copy_args_hook(self, args: tuple[str, str, Storage]) -> tuple[str, str, Storage]:
        path, prefixed_path, storage = args
        return path, f"v2/{prefixed_path}", storage


def test_a_second_strategy_says_where_staged_files_go(each_manifest: Site) -> None:
    each_manifest.deploy(strategy=in_two_passes(each_manifest, second_strategy=Moving))

    paths = json.loads(each_manifest.bodies()[f"v2/{MANIFEST}"])["paths"]
    names = {*paths, *paths.values(), MANIFEST}
    assert set(each_manifest.keys()) == {f"v2/{name}" for name in names}


class LongHash:
    """Hashes of 20 digits."""

    def file_hash(self, name: str | None, content: Any = None) -> Any:
        return content and hashlib.sha256(b"".join(content.chunks())).hexdigest()[:20]


class LongHashInMemory(LongHash, InMemoryManifestFilesStorage):  # type: ignore[misc]
    pass


class LongHashInDirectory(LongHash, FileSystemManifestFilesStorage):  # type: ignore[misc]
    pass


class OtherManifest(MemoryManifestStorage):
    manifest_name = "assets.json"
    keep_intermediate_files = True


@pytest.mark.parametrize("first", [LongHashInMemory, LongHashInDirectory])
class TestFirstStorage:
    def test_it_makes_the_names(self, each_manifest: Site, first: type, temporary: Path) -> None:
        strategy = in_two_passes(each_manifest, first_manifest_storage=first)

        run = each_manifest.deploy(strategy=strategy)

        paths = each_manifest.paths
        image = paths["img/a.png"]
        assert len(image) == len("img/a..png") + 20
        assert set(each_manifest.keys()) == {*paths, *paths.values(), MANIFEST}
        assert posixpath.basename(image).encode() in each_manifest.bodies()[paths["css/b.css"]]
        assert image in staticfiles_storage.url("img/a.png")
        assert "7 static files copied, 7 post-processed." in run.stdout
        assert list(temporary.iterdir()) == []

    def test_it_takes_the_manifests_name_from_the_storage(
        self, each_manifest: Site, first: type
    ) -> None:
        strategy = in_two_passes(each_manifest, first_manifest_storage=first)

        each_manifest.deploy(storage=OtherManifest, strategy=strategy)

        paths = json.loads(each_manifest.bodies()["assets.json"])["paths"]
        intermediate = set(each_manifest.keys()) - {*paths, *paths.values(), "assets.json"}
        assert MANIFEST not in intermediate
        assert {name.split(".")[0] for name in intermediate} == {"css/a", "css/b"}


class Built(Strategy[Any]):
    """Collect into a folder, as one wrote it for Collectfasta 3; then send that."""

    folder: ClassVar[Path]

    def wrap_storage(self, remote_storage: Any) -> Any:
        return FileSystemManifestFilesStorage(location=self.folder)

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True

    def second_pass_strategy(self) -> Strategy[Any]:
        return MemoryStrategy(self.remote_storage)


class TestBuilt:
    @pytest.fixture
    def build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of `Built`, in which other things lie."""
        folder = tmp_path / "build"
        (folder / "css").mkdir(parents=True)
        (folder / ".env").write_text("SECRET=1")
        (folder / "css" / "a.css").write_text("an old version")
        monkeypatch.setattr(Built, "folder", folder, raising=False)
        return folder

    def test_it_sends_what_it_has_collected_and_no_more(
        self, manifest: Site, build: Path, threads: int
    ) -> None:
        run = manifest.deploy(strategy=Built, threads=threads)

        names = {*manifest.paths, *manifest.paths.values(), MANIFEST}
        assert set(manifest.paths) == {*FILES, *MORE}
        assert set(manifest.keys()) == names
        assert manifest.bodies()["css/a.css"] == FILES["css/a.css"]
        assert (build / ".env").exists()
        assert f"7 static files copied to '{build}', 7 post-processed." in run.stdout

    def test_it_sends_only_what_changed(self, manifest: Site, build: Path, threads: int) -> None:
        manifest.deploy(strategy=Built, threads=threads)
        manifest.forget()
        manifest.tree.write("img/a.png", b"changed")

        run = manifest.deploy(strategy=Built, threads=threads)

        assert len(manifest.called("PUT")) == 5
        assert set(manifest.paths.values()) <= set(manifest.keys())
        assert f"1 static file copied to '{build}', 6 unmodified" in run.stdout

    def test_a_dry_run_leaves_the_folder_as_it_is(self, manifest: Site, build: Path) -> None:
        before = sorted(build.rglob("*"))

        run = manifest.deploy(strategy=Built, dry_run=True)

        assert sorted(build.rglob("*")) == before
        assert (build / "css" / "a.css").read_text() == "an old version"
        assert "7 static files copied" in run.stdout
        assert manifest.keys() == []
