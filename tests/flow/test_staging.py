"""``COLLECTFASTA_STAGING_STORAGE`` and ``COLLECTFASTA_HASHED_ONLY``."""

from __future__ import annotations

import gzip
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.cache import caches
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

from tests.memory import (
    FILES,
    MANIFEST,
    MemoryManifestStorage,
    MemoryStorage,
    Site,
    invalid,
    name_in_this_process,
)

WHITENOISE = "whitenoise.storage.CompressedManifestStaticFilesStorage"
HASHED_ONLY = {"COLLECTFASTA_HASHED_ONLY": True}
STAGED = {"COLLECTFASTA_STAGING_STORAGE": WHITENOISE}
TEXTS = {"css/a.css", "css/b.css", "js/app.js"}


class InMemoryManifestStorage(ManifestFilesMixin, InMemoryStorage):  # type: ignore[misc]
    """A local class that has no files of the file system."""


class Interrupted(CompressedManifestStaticFilesStorage):
    def post_process(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from super().post_process(*args, **kwargs)
        raise KeyboardInterrupt


class OptionStorage(CompressedManifestStaticFilesStorage):
    """Has an option."""

    def __init__(self, *args: Any, suffix: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._suffix = suffix

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        hashed: str = super().hashed_name(name, content, filename)
        return hashed.removesuffix(self._suffix) + self._suffix


class OtherName(MemoryManifestStorage):
    manifest_name = "manifests/v2.json"


class OnePlainName(MemoryManifestStorage):
    """Leaves one file its name."""

    def file_hash(self, name: str, content: Any = None) -> Any:
        return None if name == "js/app.js" else super().file_hash(name, content)


@pytest.fixture
def white(each_manifest: Site) -> Site:
    """A site that WhiteNoise stages: its texts are worth compressing."""
    for name in TEXTS:
        each_manifest.tree.write(name, FILES[name] * 20)
    each_manifest.tree.write("css/a.css", FILES["css/a.css"] + 20 * b"a { color: red }\n")
    return each_manifest


class TestStagingStorage:
    def test_what_is_deployed_is_what_it_makes_in_a_directory(
        self, white: Site, tmp_path: Path, temporary: Path
    ) -> None:
        local = {"BACKEND": WHITENOISE, "OPTIONS": {"location": str(tmp_path / "local")}}
        for keeps in (True, False):
            settings = {"WHITENOISE_KEEP_ONLY_HASHED_FILES": not keeps}
            white.deploy(
                settings={**settings, "STORAGES": {"staticfiles": local}},
                disable_collectfasta=True,
                clear=True,
            )
            storage = FileSystemStorage(tmp_path / "local")
            expected = {
                path.relative_to(storage.location).as_posix(): path.read_bytes()
                for path in Path(storage.location).rglob("*")
                if path.is_file()
            }
            white.bucket.objects.clear()

            white.deploy(settings={**settings, **STAGED})

            parsed = [
                {**each, MANIFEST: json.loads(each[MANIFEST])}
                for each in (white.bodies(), expected)
            ]
            assert parsed[0] == parsed[1]
            assert ("js/app.js" in expected) is keeps
            assert list(temporary.iterdir()) == []

    def test_it_is_sent_as_it_is_named_by_this_process(self, white: Site) -> None:
        white.deploy(settings=STAGED)
        hashed = white.paths["js/app.js"]
        assert gzip.decompress(white.bodies()[f"{hashed}.gz"]) == white.contents()["js/app.js"]
        assert name_in_this_process("js/app.js") == hashed
        assert staticfiles_storage.url("js/app.js") == f"/static/{hashed}"
        assert white.called("PUT")[-1] == MANIFEST

    def test_an_unchanged_site_takes_one_listing(self, white: Site) -> None:
        white.deploy(settings=STAGED)
        for is_cold in (False, True):
            if is_cold:
                caches["default"].clear()
            white.forget()
            run = white.deploy(settings=STAGED)
            assert white.counts() == {"LIST": 1}
            assert "0 static files copied, 4 unmodified" in run.stdout

    def test_a_changed_file_sends_its_variants_and_the_manifest(self, white: Site) -> None:
        white.deploy(settings=STAGED)
        white.forget()
        white.tree.write("js/app.js", 30 * b"let it;\n")
        dry = white.deploy(settings=STAGED, dry_run=True)
        assert white.called("PUT") == []

        real = white.deploy(settings=STAGED)

        assert dry.returned == real.returned
        assert dry.stdout.count("Pretending to copy") == len(white.called("PUT")) == 2 * 3 + 1

    def test_clear_deletes_the_variants_of_what_is_gone(self, white: Site) -> None:
        white.location = "static"
        white.deploy(settings=STAGED)
        white.tree.delete("js/app.js")
        white.deploy(settings=STAGED, clear=True)
        assert not [key for key in white.keys() if "app" in key]
        assert {f"static/{name}" for name in white.paths.values()} < set(white.keys())

    def test_output_names_each_object_at_verbosity_2(self, white: Site) -> None:
        run = white.deploy(settings=STAGED, verbosity=2)
        copied = [line for line in run.stdout.splitlines() if line.startswith("Copying '")]
        assert len(copied) == len(white.keys())
        hashed = white.paths["js/app.js"]
        assert f"Post-processed 'js/app.js' as '{hashed}'" in run.stdout
        assert f"Post-processed '{hashed}' as '{hashed}.br'" in run.stdout
        assert "app" not in white.deploy(settings=STAGED).stdout

    def test_the_live_site_stays_as_it_is_whatever_fails(
        self, white: Site, temporary: Path
    ) -> None:
        white.deploy(settings=STAGED)
        before = white.live()
        white.tree.write("js/new.js", b"let it;")
        white.refuse("PUT", "js/new.js", invalid)
        interrupted = {"COLLECTFASTA_STAGING_STORAGE": f"{__name__}.Interrupted"}
        for settings in (STAGED, interrupted):
            with pytest.raises(Exception, match=r"not sent|Interrupted"):
                white.deploy(settings=settings)
            assert white.live() == before
            assert name_in_this_process("js/app.js") == white.paths["js/app.js"]
            assert list(temporary.iterdir()) == []

    def test_an_alias_brings_its_options_but_its_location(
        self, manifest: Site, tmp_path: Path
    ) -> None:
        options = {"location": str(tmp_path / "elsewhere"), "suffix": ".own"}
        staging = {"BACKEND": f"{__name__}.OptionStorage", "OPTIONS": options}
        manifest.deploy(dry_run=True)
        storages = {**django_settings.STORAGES, "staging": staging}
        manifest.deploy(settings={"STORAGES": storages, "COLLECTFASTA_STAGING_STORAGE": "staging"})

        assert all(name.endswith(".own") for name in manifest.paths.values())
        assert set(manifest.paths.values()) < set(manifest.keys())
        assert not (tmp_path / "elsewhere").exists()
        assert options == {"location": str(tmp_path / "elsewhere"), "suffix": ".own"}

    def test_a_class_that_keeps_its_files_in_memory(self, white: Site) -> None:
        white.deploy(settings={"COLLECTFASTA_STAGING_STORAGE": path("InMemoryManifestStorage")})
        assert white.keys() == sorted([*FILES, *white.paths.values(), MANIFEST])
        assert white.bodies() == white.expected()

    def test_a_class_without_a_manifest_is_for_storages_without_one(self, white: Site) -> None:
        plain = "whitenoise.storage.CompressedStaticFilesStorage"
        settings = {"COLLECTFASTA_STAGING_STORAGE": plain}
        for option in ("--prune", "--clear", "--check", "--dry-run"):
            assert "makes no manifest" in white.fail(option, settings=settings)
        assert white.keys() == []
        white.deploy(storage=MemoryStorage, settings=settings)
        variants = {f"{name}{end}" for name in TEXTS for end in (".br", ".gz")}
        assert set(white.keys()) == {*FILES, *variants}

    def test_the_manifest_has_the_name_that_the_storage_looks_for(self, white: Site) -> None:
        white.deploy(storage=OtherName, settings=STAGED)
        assert "js/app.js" in json.loads(white.bodies()["manifests/v2.json"])["paths"]
        assert MANIFEST not in white.keys()

    def test_what_is_no_storage_is_refused_in_one_line(self, manifest: Site) -> None:
        values: list[Any] = [
            "no.such.Storage",
            "whitenoise.storage.NoSuchStorage",
            "whitenoise.storage",
            "collections.OrderedDict",
            "no-such-alias",
            "",
            WHITENOISE.encode(),
        ]
        for staging in values:
            message = manifest.fail(settings={"COLLECTFASTA_STAGING_STORAGE": staging})
            assert "COLLECTFASTA_STAGING_STORAGE" in message
            assert len(message.splitlines()) == 1
        assert manifest.called("PUT") == []


def path(name: str) -> str:
    return f"{__name__}.{name}"


class TestDirectory:
    def test_it_can_be_read_by_nobody_else(self, each_manifest: Site, temporary: Path) -> None:
        modes: set[int] = set()
        files: set[str] = set()

        def look(_: object) -> None:
            for each in temporary.iterdir():
                modes.add(stat.S_IMODE(each.stat().st_mode))
                files.update(found.name for found in each.rglob("*") if found.is_file())

        each_manifest.before("PUT", look)
        each_manifest.deploy()

        # Only what is rewritten is written there.
        is_there = each_manifest.kind == "directory"
        assert modes == ({0o700} if is_there else set())
        assert {name.split(".")[0] for name in files} == ({"a", "b"} if is_there else set())


class TestHashedOnly:
    def test_no_original_is_sent(self, each_manifest: Site) -> None:
        each_manifest.deploy(settings={})
        expected = {key: each_manifest.bodies()[key] for key in each_manifest.live()}
        each_manifest.bucket.objects.clear()

        first = each_manifest.deploy(settings=HASHED_ONLY)

        assert each_manifest.bodies() == expected
        assert set(each_manifest.paths) == set(FILES)
        assert "\n4 static files copied, 4 post-processed." in first.stdout
        assert ": 5 objects (" in first.stdout

    def test_a_changed_file_takes_two_puts(self, each_manifest: Site) -> None:
        each_manifest.deploy(settings=HASHED_ONLY)
        each_manifest.forget()
        each_manifest.deploy(settings=HASHED_ONLY)
        assert each_manifest.counts() == {"LIST": 1}
        each_manifest.tree.write("js/app.js", b"let it;")

        dry = each_manifest.deploy(settings=HASHED_ONLY, dry_run=True)
        each_manifest.forget()
        real = each_manifest.deploy(settings=HASHED_ONLY)

        assert each_manifest.counts() == {"LIST": 1, "PUT": 2}
        assert dry.returned == real.returned
        assert "\n1 static file copied, 3 unmodified, 4 post-processed." in real.stdout

    def test_clear_deletes_earlier_originals_and_else_they_stay(self, each_manifest: Site) -> None:
        each_manifest.location = "static"
        each_manifest.deploy(settings={})
        before = each_manifest.state()
        each_manifest.deploy(settings=HASHED_ONLY)
        assert each_manifest.state() == before

        each_manifest.deploy(settings=HASHED_ONLY, clear=True)

        names = {*each_manifest.paths.values(), MANIFEST}
        assert set(each_manifest.keys()) == {f"static/{name}" for name in names}

    def test_variants_of_hashed_files_are_sent_and_of_originals_are_not(self, white: Site) -> None:
        white.deploy(settings={**STAGED, "WHITENOISE_KEEP_ONLY_HASHED_FILES": True})
        expected = white.bodies()
        white.bucket.objects.clear()
        run = white.deploy(settings={**STAGED, **HASHED_ONLY})
        assert white.bodies() == expected
        assert "\n4 static files copied, " in run.stdout

    def test_what_is_not_hashed_is_sent_under_its_own_name(self, each_manifest: Site) -> None:
        each_manifest.deploy(storage=OnePlainName, settings=HASHED_ONLY)
        assert each_manifest.paths["js/app.js"] == "js/app.js"
        assert each_manifest.keys() == sorted({*each_manifest.paths.values(), MANIFEST})

    def test_files_of_a_plain_site_are_sent_and_those_not_post_processed(
        self, each_site: Site
    ) -> None:
        each_site.deploy(settings=HASHED_ONLY, post_process=False)
        assert each_site.bodies() == FILES


def test_no_post_processing_storage_is_changed_by_a_deploy(each_manifest: Site) -> None:
    each_manifest.deploy(dry_run=True)
    storage: Any = staticfiles_storage._wrapped  # type: ignore[attr-defined]
    before = set(vars(storage))
    call_command("collectstatic", interactive=False, verbosity=0)
    assert set(vars(storage)) - before <= {"hashed_files", "manifest_hash"}
