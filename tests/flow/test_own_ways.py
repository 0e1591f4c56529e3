"""Classes that save, post-process or stage in their own way, as real projects have them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.storage import (
    ManifestFilesMixin,
    staticfiles_storage,
)
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages

from tests.memory import (
    MANIFEST,
    MemoryManifestStorage,
    MemoryStorage,
    MemoryStrategy,
    Site,
    path_of,
)
from tests.memory_store import Bucket, MemoryObject

# What is the same on FUSE, sshfs, VirtualBox and mapped drives, for each of their files.
_INODE, _DEVICE = 1, 2


@pytest.mark.parametrize("taken", [(_INODE,), (_INODE, _DEVICE)])
def test_files_without_inodes_of_their_own_keep_their_contents(
    each_manifest: Site, threads: int, monkeypatch: pytest.MonkeyPatch, taken: tuple[int, ...]
) -> None:
    def without_inodes(ask: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def asked(*args: Any, **kwargs: Any) -> os.stat_result:
            status = ask(*args, **kwargs)
            if not stat.S_ISREG(status.st_mode):
                return status
            reduced: Any = status.__reduce__()
            fields, more = reduced[1]
            same = [0 if at in taken else each for at, each in enumerate(fields)]
            return os.stat_result(same, more)

        return asked

    for number in range(5):
        path = each_manifest.tree.write(f"same/{number}.txt", str(number).encode())
        os.utime(path, (0, 0))
    monkeypatch.setattr(os, "stat", without_inodes(os.stat))
    monkeypatch.setattr(os, "fstat", without_inodes(os.fstat))

    each_manifest.deploy(threads=threads)

    bodies, paths = each_manifest.bodies(), each_manifest.paths
    for number in range(5):
        assert bodies[paths[f"same/{number}.txt"]] == str(number).encode()
    assert len({*paths.values()}) == len(paths)


class Duck:
    """A finder's storage that has what Django's command asks of one."""

    prefix = ""

    def open(self, name: str, mode: str = "rb") -> Any:
        return ContentFile(b"quack")

    def path(self, name: str) -> str:
        return f"/nowhere/{name}"


class DuckFinder(BaseFinder):
    def list(self, ignore_patterns: Any) -> Iterator[Any]:
        yield "duck.txt", Duck()

    def find(self, *args: Any, **kwargs: Any) -> Any:
        return []

    def check(self, **kwargs: Any) -> Any:
        return []


class TestSourceWithoutSize:
    settings: ClassVar[dict[str, Any]] = {"STATICFILES_FINDERS": [f"{__name__}.DuckFinder"]}

    def test_it_is_deployed(self, each_site: Site, threads: int) -> None:
        each_site.deploy(settings=self.settings, threads=threads)
        assert each_site.bodies()["duck.txt"] == b"quack"
        assert not each_site.is_staged or each_site.bodies()[each_site.paths["duck.txt"]]
        each_site.forget()

        each_site.deploy("--check", settings=self.settings)

        assert each_site.counts() == {"LIST": 1}

    def test_a_dry_run_says_so(self, each_site: Site) -> None:
        run = each_site.deploy("--dry-run", settings=self.settings)
        assert "Pretending to copy '/nowhere/duck.txt'" in run.stdout
        assert each_site.keys() == []


class Minifying(MemoryManifestStorage):
    """Changes what its ``save()`` is given, which Django does not call for what it makes."""

    def save(self, name: Any, content: Any, max_length: int | None = None) -> str:
        if name.endswith((".css", ".json")):
            content = ContentFile(content.read().replace(b" ", b""))
        return super().save(name, content, max_length)


class Elsewhere(Minifying):
    """The manifest in another storage, whose ``save()`` is its own too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, manifest_storage=MinifyingFiles(), **kwargs)


class MinifyingFiles(FileSystemStorage):
    folder = ""

    def __init__(self) -> None:
        super().__init__(location=self.folder)

    def save(self, name: Any, content: Any, max_length: int | None = None) -> str:
        return super().save(name, ContentFile(b"minified"), max_length)


class TestOwnSave:
    def test_it_is_called_as_django_calls_it(self, each_manifest: Site, threads: int) -> None:
        django = Site(each_manifest.tree, each_manifest.command, each_manifest.kind)
        django.deploy(storage=Minifying, disable_collectfasta=True)

        for _ in range(2):
            each_manifest.deploy(storage=Minifying, threads=threads)

        bodies, expected = each_manifest.bodies(), django.bodies()
        assert bodies.keys() == expected.keys()
        # Up to Django 5.2 a manifest's order is not fixed.
        assert bodies.pop(MANIFEST).count(b" ") == expected.pop(MANIFEST).count(b" ") > 0
        assert bodies == expected
        assert b" " not in bodies["css/b.css"]
        assert b" " in bodies[each_manifest.paths["css/b.css"]]

    def test_nor_for_a_manifest_elsewhere(
        self, each_manifest: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(MinifyingFiles, "folder", str(tmp_path / "kept"))
        each_manifest.deploy(storage=Elsewhere)
        assert b'"paths"' in (tmp_path / "kept" / MANIFEST).read_bytes()


class Bundling(ManifestFilesMixin, FileSystemStorage):  # type: ignore[misc]
    """Reads its files by the storage that Django has for all, as django-pipeline does."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Iterator[Any]:
        assert staticfiles_storage.path("x") == storages["staticfiles"].path("x") == self.path("x")
        with staticfiles_storage.open("js/app.js") as app:
            text = app.read()
        self.delete("all.js")
        self.save("all.js", ContentFile(text))
        yield "all.js", "all.js", True
        yield from super().post_process({**paths, "all.js": (self, "all.js")}, dry_run, **options)


class Broken(Bundling):
    def post_process(self, *args: Any, **options: Any) -> Iterator[Any]:
        yield from super().post_process(*args, **options)
        raise KeyboardInterrupt


class TestStagingClass:
    def settings(self, staging: type, **options: Any) -> dict[str, Any]:
        return {"COLLECTFASTA_STAGING_STORAGE": path_of(staging), **options}

    def test_it_reads_by_the_global_storage_what_is_deployed_now(
        self, each_manifest: Site, threads: int
    ) -> None:
        for text in (b"let first;", b"let second;"):
            each_manifest.tree.write("js/app.js", text)
            each_manifest.deploy(settings=self.settings(Bundling), threads=threads)
            assert each_manifest.bodies()[each_manifest.paths["all.js"]] == text

    @pytest.mark.parametrize("option", ["--dry-run", "--check"])
    def test_a_dry_run_reads_the_same(self, each_manifest: Site, option: str) -> None:
        settings = self.settings(Bundling)
        each_manifest.deploy(settings=settings)
        each_manifest.forget()
        each_manifest.deploy(option, settings=settings)
        assert "PUT" not in each_manifest.counts()

    def test_the_global_storage_is_the_own_one_afterwards(self, each_manifest: Site) -> None:
        each_manifest.deploy(settings=self.settings(Bundling))
        assert isinstance(storages["staticfiles"], MemoryManifestStorage)
        assert staticfiles_storage.url("js/app.js") == f"/static/{each_manifest.paths['js/app.js']}"
        each_manifest.tree.write("css/a.css", b"@import 'missing.css';")
        for staging in (Broken, Bundling):
            with pytest.raises(Exception, match=r"Interrupted|missing"):
                each_manifest.deploy(settings=self.settings(staging))
            assert isinstance(storages["staticfiles"], MemoryManifestStorage)

    @pytest.mark.parametrize("option", ["--dry-run", "--check", "--prune", "--clear"])
    def test_a_manifest_storage_of_its_own_gets_nothing(
        self, each_manifest: Site, tmp_path: Path, option: str
    ) -> None:
        each_manifest.location = "static"
        kept = FileSystemStorage(location=tmp_path / "kept")
        entry = {"BACKEND": path_of(Bundling), "OPTIONS": {"manifest_storage": kept}}
        deploy = _deploying_with(each_manifest, entry)
        deploy()
        live = each_manifest.bodies()

        deploy(option)

        assert not (tmp_path / "kept").exists()
        assert each_manifest.bodies() == live
        assert "all.js" in each_manifest.paths


def _deploying_with(site: Site, entry: dict[str, Any]) -> Callable[..., Any]:
    storage = {"location": site.location, "bucket": site.bucket}
    own = {"BACKEND": path_of(MemoryManifestStorage), "OPTIONS": storage}

    def deploy(*arguments: str) -> Any:
        settings = {
            "STORAGES": {"staticfiles": own, "stage": entry},
            "COLLECTFASTA_STAGING_STORAGE": "stage",
        }
        return site.deploy(*arguments, settings=settings)

    return deploy


class Packing(MemoryStorage):
    """Saves variants beside each file, one of them under a name of its own."""

    def _save(self, name: str, content: Any) -> str:
        saved = super()._save(name, content)
        for variant in (f"{name}.gz", f"{name.partition('.')[0]}.webp"):
            super()._save(variant, ContentFile(b"packed " + name.encode()))
        return saved


class PackingManifest(ManifestFilesMixin, Packing):  # type: ignore[misc]
    pass


PACKING = {"plain": Packing, "memory": PackingManifest, "directory": PackingManifest}


class TestVariantsThatSavingWrites:
    @pytest.fixture
    def packed(self, each_site: Site) -> Site:
        each_site.location = "static"
        each_site.deploy(storage=PACKING[each_site.kind])
        assert "static/js/app.js.gz" in each_site.keys()
        return each_site

    def test_clear_leaves_all_and_deletes_the_rest(self, packed: Site, threads: int) -> None:
        live = packed.keys()
        for name in ("old.css", "old.css.gz", "js/old.js", "js/app.mjs"):
            packed.put(f"static/{name}")

        run = packed.deploy("--clear", storage=PACKING[packed.kind], threads=threads)

        assert packed.keys() == live
        assert "4 static files deleted" in run.stdout
        assert "may be what Packing" in run.stdout

    def test_pruning_leaves_those_of_files_that_are_not_sent(self, packed: Site) -> None:
        live = {key for key in packed.keys() if not key.endswith(".webp")}
        packed.put("static/old.css.gz")

        for option in ("--dry-run", "--prune"):
            packed.deploy("--prune", option, storage=PACKING[packed.kind])

        assert live <= {*packed.keys()}
        assert "static/old.css.gz" not in packed.keys()

    def test_those_of_a_file_that_is_gone_go_too(self, packed: Site) -> None:
        packed.tree.delete("js/app.js")
        packed.deploy("--prune", storage=PACKING[packed.kind])
        assert [key for key in packed.keys() if "app" in key] == []

    def test_nothing_is_said_of_a_class_that_saves_as_django_does(self, each_site: Site) -> None:
        each_site.location = "static"
        each_site.put("static/js/app.js.gz")
        run = each_site.deploy("--prune")
        assert "static/js/app.js.gz" not in each_site.keys()
        assert "may be" not in run.stdout

    def test_a_service_of_whole_seconds_is_understood(
        self, packed: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        live = packed.keys()
        put = Bucket.put

        def put_at_a_second(bucket: Bucket, *args: Any) -> MemoryObject:
            stored = put(bucket, *args)
            stored.last_modified = stored.last_modified.replace(microsecond=0)
            return stored

        monkeypatch.setattr(Bucket, "put", put_at_a_second)
        packed.put("static/old.css")
        packed.bucket.objects["static/old.css"].last_modified -= timedelta(seconds=9)

        packed.deploy("--clear", storage=PACKING[packed.kind])

        assert packed.keys() == live


class UpToDate(MemoryStorage):
    """Leaves variants that are newer than their file, without a word, as django-static-compress."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Iterator[Any]:
        for name in () if dry_run else paths:
            known = self.bucket.objects
            variant, original = (known.get(self._key(each)) for each in (f"{name}.gz", name))
            assert original is not None
            if variant is None or variant.last_modified < original.last_modified:
                self._save(f"{name}.gz", ContentFile(b"packed"))
                yield name, f"{name}.gz", True


class Forgiving(MemoryManifestStorage):
    """Post-processes as Django does, by a method of its own."""

    def post_process(self, *args: Any, **options: Any) -> Iterator[Any]:
        yield from super().post_process(*args, **options)


class TestOwnPostProcessing:
    @pytest.mark.parametrize("option", ["--prune", "--clear"])
    def test_variants_that_it_leaves_alone_stay(self, site: Site, option: str) -> None:
        site.location = "static"
        site.deploy(storage=UpToDate)
        live = site.keys()
        site.put("static/old.js.gz")

        run = site.deploy(option, storage=UpToDate)

        assert site.keys() == live
        assert len(live) == 8
        if option == "--prune":
            assert "4 objects under memory://static/ may be what UpToDate makes" in run.stdout

    @pytest.mark.parametrize("option", ["--prune", "--clear"])
    def test_a_dry_run_lists_nothing_that_the_run_leaves(self, site: Site, option: str) -> None:
        self.run_dry(site, option, UpToDate)

    @pytest.mark.parametrize("option", ["--prune", "--clear"])
    def test_nor_does_it_where_files_are_staged(self, each_manifest: Site, option: str) -> None:
        self.run_dry(each_manifest, option, Forgiving)

    @staticmethod
    def run_dry(site: Site, option: str, storage: type) -> None:
        site.location = "static"
        site.deploy(storage=storage)
        before = site.state()

        run = site.deploy(option, "--dry-run", storage=storage)

        assert site.state() == before
        assert f"A dry run can't tell what post_process() of {storage.__name__}" in run.stdout
        assert "deleted" not in run.stdout

    def test_in_place_it_is_the_same(self, manifest: Site) -> None:
        manifest.location = "static"
        options: dict[str, Any] = {"storage": Forgiving, "strategy": MemoryStrategy}
        manifest.deploy(**options)
        run = manifest.deploy("--prune", "--dry-run", **options)
        assert "A dry run can't tell what post_process() of Forgiving" in run.stdout
        assert "deleted" not in run.stdout

    def test_without_post_processing_a_dry_run_knows_all(self, site: Site) -> None:
        site.location = "static"
        site.deploy(storage=UpToDate)
        site.put("static/old.js")
        run = site.deploy(
            "--prune", "--dry-run", "--no-post-process", storage=UpToDate, verbosity=2
        )
        assert "Pretending to delete 'old.js'" in run.stdout
        assert "can't tell" not in run.stdout
