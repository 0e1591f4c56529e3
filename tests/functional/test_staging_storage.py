"""``COLLECTFASTA_STAGING_STORAGE``: WhiteNoise and other local classes post-process the files."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import brotli
import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.cache import caches
from django.core.files.storage import InMemoryStorage
from django.core.management import CommandError
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3ManifestStaticStorage, S3Storage
from whitenoise.storage import CompressedManifestStaticFilesStorage

from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

pytestmark = pytest.mark.staging

MANIFEST = "staticfiles.json"
WHITENOISE = "whitenoise.storage.CompressedManifestStaticFilesStorage"
S3_MANIFEST = "storages.backends.s3.S3ManifestStaticStorage"
S3_PLAIN = "storages.backends.s3.S3StaticStorage"
FILES = {
    "css/a.css": b"@import 'b.css';\n" + 20 * b"a { background: url('../img/a.png') }\n",
    "css/b.css": 20 * b"b { background: url('../img/a.png') }\n",
    "img/a.png": b"png",
    "js/app.js": 20 * b"let app;\n",
    # What does not become smaller has no variants.
    "robots.txt": b"x",
}
# The file, its hashed copy, two variants of both, and the manifest.
OBJECTS_OF_A_CHANGE = 2 * 3 + 1
READS_OF_THE_CONSTRUCTOR = {"HEAD": 2, "GET": 1}

UPLOADS = {"PUT", "UPLOAD"}
WRITES = {*UPLOADS, "DELETE", "DELETE_BATCH", "POST", "MULTIPART", "BATCH", "BLOCK_LIST"}


class GoogleManifestStorage(ManifestFilesMixin, GoogleCloudStorage):
    """Mixed by hand, as django-storages has none."""

    querystring_auth = False


class AzureManifestStorage(ManifestFilesMixin, AzureStorage):
    """Mixed by hand, as django-storages has none."""

    def read_manifest(self) -> Any:
        # An AzureStorage opens what is not there, and fails to read it.
        return super().read_manifest() if self.exists(MANIFEST) else None


class InMemoryManifestStorage(ManifestFilesMixin, InMemoryStorage):  # type: ignore[misc]
    """A local class that has no files of the file system."""


class OwnManifestName(S3ManifestStaticStorage):
    """Has its manifest elsewhere."""

    manifest_name = "manifests/v2.json"


class InterruptedStorage(CompressedManifestStaticFilesStorage):
    """Stands for an interrupt while WhiteNoise works."""

    def post_process(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from super().post_process(*args, **kwargs)
        raise KeyboardInterrupt


@dataclass(frozen=True)
class Site:
    """A tree of files, the bucket of its site, and the command between them."""

    cloud: RecordedCloud
    tree: StaticTree
    run: Callable[..., Run]

    @property
    def paths(self) -> dict[str, str]:
        """What the published manifest names."""
        paths: dict[str, str] = json.loads(self.cloud.get(MANIFEST).body)["paths"]
        return paths

    @property
    def command(self) -> CollectStatic:
        command: CollectStatic = self.run.func  # type: ignore[attr-defined]
        return command

    def uploads(self) -> int:
        """Return how many files were sent since the requests were cleared."""
        return sum(self.cloud.counts()[kind] for kind in UPLOADS)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, of this test alone."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


BACKENDS = [
    ("s3_obstore", S3_MANIFEST, 0),
    ("s3_obstore", S3_MANIFEST, 8),
    ("s3_boto3", S3_MANIFEST, 8),
    ("s3_obstore", S3_PLAIN, 8),
    ("gcs", f"{__name__}.GoogleManifestStorage", 8),
    ("azure", f"{__name__}.AzureManifestStorage", 8),
]


@pytest.fixture(params=BACKENDS, ids=lambda params: "-".join(map(str, params)))
def site(request: pytest.FixtureRequest, tree: StaticTree, collectstatic: CollectStatic) -> Site:
    """A site on each cloud, staged by WhiteNoise, that was never deployed."""
    cloud, backend, threads = request.param
    return make_site(request.getfixturevalue(cloud), tree, collectstatic, backend, threads)


@pytest.fixture(params=[0, 8])
def s3_site(
    request: pytest.FixtureRequest, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> Site:
    """A manifest storage on S3, staged by WhiteNoise, that was never deployed."""
    return make_site(s3, tree, collectstatic, S3_MANIFEST, request.param)


def make_site(
    cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic, backend: str, threads: int
) -> Site:
    run = partial(
        collectstatic,
        cloud,
        backend=backend,
        threads=threads,
        settings={"COLLECTFASTA_STAGING_STORAGE": WHITENOISE},
    )
    return Site(cloud, tree, run)


@pytest.fixture
def live(s3_site: Site) -> Site:
    """A site on S3 that is live; what it took is forgotten."""
    s3_site.run()
    s3_site.cloud.clear_requests()
    return s3_site


def bodies(cloud: Any) -> dict[str, Any]:
    """Return all contents; the manifest parsed, because its order is not fixed."""
    found: dict[str, Any] = {key: each.body for key, each in cloud.objects().items()}
    return found | {MANIFEST: json.loads(found[MANIFEST])}


def name_in_this_process(name: str) -> str:
    """Return what this process takes for the published name of a file."""
    storage: Any = staticfiles_storage
    stored: str = storage.stored_name(name)
    return stored


class TestDeployed:
    @pytest.mark.parametrize("keeps_originals", [True, False])
    def test_it_is_what_whitenoise_makes_in_a_directory(
        self, site: Site, filesystem: FileSystemCloud, keeps_originals: bool
    ) -> None:
        settings = {"WHITENOISE_KEEP_ONLY_HASHED_FILES": not keeps_originals}
        site.command(filesystem, backend=WHITENOISE, settings=settings, disable_collectfasta=True)

        site.run(settings={**settings, "COLLECTFASTA_STAGING_STORAGE": WHITENOISE})

        expected = bodies(filesystem)
        assert bodies(site.cloud) == expected
        assert ("css/a.css" in expected) is keeps_originals
        assert sum(key.endswith(".br") for key in expected) == (6 if keeps_originals else 3)

    @pytest.mark.parametrize(
        ("extension", "encoding", "decompress"),
        [(".gz", "gzip", gzip.decompress), (".br", "br", brotli.decompress)],
    )
    def test_variant_has_the_type_of_its_original_and_its_own_encoding(
        self, site: Site, extension: str, encoding: str, decompress: Callable[[bytes], bytes]
    ) -> None:
        site.run()

        for original in [*site.paths, *site.paths.values()]:
            if not original.endswith((".css", ".js")):
                continue
            stored, variant = site.cloud.get(original), site.cloud.get(original + extension)
            assert decompress(variant.body) == stored.body
            assert variant.headers["content-type"] == stored.headers["content-type"]
            assert variant.headers["content-encoding"] == encoding
            assert "content-encoding" not in stored.headers

    def test_storages_own_gzip_does_not_compress_a_variant_again(self, s3_site: Site) -> None:
        s3_site.run(options={"gzip": True})

        variant = s3_site.cloud.get(s3_site.paths["js/app.js"] + ".gz")
        assert gzip.decompress(variant.body) == FILES["js/app.js"]

    def test_url_knows_the_new_names(self, s3_site: Site) -> None:
        s3_site.run()

        assert staticfiles_storage.url("css/a.css").endswith(f"/{s3_site.paths['css/a.css']}")
        assert s3_site.paths["css/a.css"] != "css/a.css"

    def test_next_process_knows_the_names_without_the_setting(self, live: Site) -> None:
        run = live.run(settings={}, dry_run=True)

        assert run.stdout.count("Pretending to copy") == 0
        assert name_in_this_process("css/a.css") == live.paths["css/a.css"]

    def test_manifest_is_sent_when_all_other_files_are_stored(self, s3_site: Site) -> None:
        stored: list[list[str]] = []
        s3_site.cloud.recorder.before(
            lambda request: request.path.endswith(f"/{MANIFEST}") and request.method == "PUT",
            lambda _: stored.append(s3_site.cloud.keys()),
        )

        s3_site.run()

        assert stored == [[key for key in s3_site.cloud.keys() if key != MANIFEST]]

    def test_manifest_has_the_name_that_the_storage_looks_for(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        site = make_site(s3, tree, collectstatic, f"{__name__}.OwnManifestName", threads=8)

        site.run()

        assert "js/app.js" in json.loads(s3.get(OwnManifestName.manifest_name).body)["paths"]
        assert not s3.exists(MANIFEST)

    def test_manifest_goes_to_the_manifest_storage_of_the_storage(
        self, s3_site: Site, s3_server: S3Server
    ) -> None:
        with S3Cloud(s3_server) as other:
            s3_site.run(options={"manifest_storage": S3Storage(**other.options())})

            paths = json.loads(other.get(MANIFEST).body)["paths"]
            assert set(paths.values()) < set(s3_site.cloud.keys())
            assert not s3_site.cloud.exists(MANIFEST)


class TestRequests:
    @pytest.mark.parametrize("cache", ["warm", "cold"])
    def test_unchanged_site_takes_one_listing(self, live: Site, cache: str) -> None:
        if cache == "cold":
            caches["default"].clear()

        live.run()

        assert live.cloud.counts() == {"LIST": 1, **READS_OF_THE_CONSTRUCTOR}

    def test_unchanged_site_on_a_plain_storage_takes_one_listing(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        site = make_site(s3, tree, collectstatic, S3_PLAIN, threads=8)
        site.run()
        s3.clear_requests()

        site.run()

        assert s3.counts() == {"LIST": 1}

    def test_changed_file_sends_its_variants_and_the_manifest(self, live: Site) -> None:
        live.tree.write("js/app.js", 30 * b"let it;\n")

        live.run()

        assert live.cloud.counts()["LIST"] == 1
        assert live.uploads() == OBJECTS_OF_A_CHANGE

    def test_force_sends_everything(self, live: Site) -> None:
        live.run(force=True)

        assert live.uploads() == len(live.cloud.keys())

    def test_clear_deletes_the_variants_of_what_is_gone(self, s3_site: Site) -> None:
        options = {"location": "static"}
        s3_site.run(options=options)
        s3_site.tree.delete("js/app.js")

        s3_site.run(options=options, clear=True)

        keys = s3_site.cloud.keys()
        assert not [key for key in keys if "app" in key]
        manifest = json.loads(s3_site.cloud.get(f"static/{MANIFEST}").body)
        assert {f"static/{name}" for name in manifest["paths"].values()} < set(keys)
        assert len([key for key in keys if key.endswith(".br")]) == 4


class TestDryRun:
    def test_it_writes_nothing(self, live: Site) -> None:
        before = live.cloud.objects()
        live.tree.write("js/app.js", 30 * b"let it;\n")

        live.run(dry_run=True)

        assert live.cloud.objects() == before
        assert not live.cloud.counts().keys() & WRITES

    def test_it_says_what_the_real_run_sends(self, live: Site) -> None:
        live.tree.write("js/app.js", 30 * b"let it;\n")

        dry, real = live.run(dry_run=True), live.run()

        assert dry.returned == real.returned
        assert dry.stdout.count("Pretending to copy") == OBJECTS_OF_A_CHANGE
        assert f"{OBJECTS_OF_A_CHANGE} objects" in dry.stdout
        assert f"{OBJECTS_OF_A_CHANGE} objects" in real.stdout

    def test_this_process_keeps_the_live_names(self, live: Site) -> None:
        before = live.paths["js/app.js"]
        live.tree.write("js/app.js", 30 * b"let it;\n")

        live.run(dry_run=True)

        assert name_in_this_process("js/app.js") == before


class TestOutput:
    def test_summary_counts_the_files_that_were_found(self, s3_site: Site) -> None:
        first, second = s3_site.run(), s3_site.run()

        assert f"{len(FILES)} static files copied" in first.stdout
        assert f"0 static files copied, {len(FILES)} unmodified" in second.stdout

    def test_summary_counts_them_also_where_only_hashed_files_are_kept(self, s3_site: Site) -> None:
        run = partial(
            s3_site.run,
            settings={
                "COLLECTFASTA_STAGING_STORAGE": WHITENOISE,
                "WHITENOISE_KEEP_ONLY_HASHED_FILES": True,
            },
        )

        first, second = run(), run()

        assert f"{len(FILES)} static files copied" in first.stdout
        assert f"0 static files copied, {len(FILES)} unmodified" in second.stdout

    def test_verbosity_2_names_each_object_that_is_sent(self, s3_site: Site) -> None:
        run = s3_site.run(verbosity=2)

        copied = [line for line in run.stdout.splitlines() if line.startswith("Copying '")]
        assert len(copied) == len(s3_site.cloud.keys())
        for key in s3_site.cloud.keys():
            assert sum(line.endswith((f"/{key}'", f"'{key}'")) for line in copied) == 1

    def test_verbosity_2_names_each_object_that_stays(self, live: Site) -> None:
        run = live.run(verbosity=2)

        for key in live.cloud.keys():
            assert f"Skipping '{key}' (not modified)" in run.stdout

    def test_verbosity_2_names_what_whitenoise_makes(self, s3_site: Site) -> None:
        run = s3_site.run(verbosity=2)

        hashed = s3_site.paths["js/app.js"]
        assert f"Post-processed 'js/app.js' as '{hashed}'" in run.stdout
        assert f"Post-processed '{hashed}' as '{hashed}.br'" in run.stdout

    def test_verbosity_1_names_nothing(self, s3_site: Site) -> None:
        run = s3_site.run()

        assert "app" not in run.stdout


FAULTS: dict[str, Callable[[Site], object]] = {
    "none": lambda site: None,
    "refused file": lambda site: site.cloud.recorder.fail(
        lambda request: request.method == "PUT", 403, times=1
    ),
    "missing reference": lambda site: site.tree.write("css/b.css", b"b { x: url('none.png') }"),
    "interrupt": lambda site: site.command,
}


class TestNothingIsLeft:
    @pytest.fixture(autouse=True)
    def work(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The working directory, of this test alone."""
        path = tmp_path / "work"
        path.mkdir()
        monkeypatch.chdir(path)
        return path

    @pytest.mark.parametrize("is_dry", [False, True])
    @pytest.mark.parametrize("fault", FAULTS)
    def test_on_this_machine(
        self, live: Site, fault: str, is_dry: bool, temporary: Path, work: Path, tmp_path: Path
    ) -> None:
        FAULTS[fault](live)
        before = sorted(tmp_path.rglob("*"))
        staging = f"{__name__}.InterruptedStorage" if fault == "interrupt" else WHITENOISE
        settings = {
            "COLLECTFASTA_STAGING_STORAGE": staging,
            "STATIC_ROOT": str(work / "static_root"),
        }

        with suppress(CommandError):
            live.run(settings=settings, dry_run=is_dry)

        assert sorted(tmp_path.rglob("*")) == before
        assert list(temporary.iterdir()) == list(work.iterdir()) == []


class TestFaults:
    @pytest.mark.parametrize("fault", ["refused file", "missing reference", "interrupt"])
    def test_live_site_stays_as_it_is(self, live: Site, fault: str) -> None:
        before = {key: live.cloud.get(key) for key in (MANIFEST, *live.paths.values())}
        live.tree.write("js/new.js", b"let it;")
        FAULTS[fault](live)
        staging = f"{__name__}.InterruptedStorage" if fault == "interrupt" else WHITENOISE

        with pytest.raises(CommandError) as caught:
            live.run(settings={"COLLECTFASTA_STAGING_STORAGE": staging})

        assert caught.value.returncode == (130 if fault == "interrupt" else 1)
        assert {key: live.cloud.get(key) for key in before} == before
        assert name_in_this_process("js/app.js") == live.paths["js/app.js"]

    def test_missing_reference_is_named_as_whitenoise_does(self, live: Site) -> None:
        FAULTS["missing reference"](live)

        with pytest.raises(CommandError, match=r"CSS file 'css/b\.css' references a file"):
            live.run()


class TestOtherClasses:
    """Each deployed to S3."""

    @pytest.fixture
    def run(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> Callable[..., Run]:
        return partial(collectstatic, s3, threads=8)

    def test_alias_brings_its_options_but_its_location(
        self, s3: S3Cloud, run: Callable[..., Run], tmp_path: Path
    ) -> None:
        staging = {
            "BACKEND": f"{__name__}.OptionStorage",
            "OPTIONS": {"location": str(tmp_path / "elsewhere"), "suffix": ".own"},
        }
        storages = {**s3.storages(S3_MANIFEST), "staging": staging}

        run(settings={"STORAGES": storages, "COLLECTFASTA_STAGING_STORAGE": "staging"})

        paths = json.loads(s3.get(MANIFEST).body)["paths"]
        assert all(name.endswith(".own") for name in paths.values())
        assert set(paths.values()) < set(s3.keys())
        assert not (tmp_path / "elsewhere").exists()

    def test_class_without_a_manifest(self, s3: S3Cloud, run: Callable[..., Run]) -> None:
        staging = "whitenoise.storage.CompressedStaticFilesStorage"

        run(backend=S3_PLAIN, settings={"COLLECTFASTA_STAGING_STORAGE": staging})

        variants = [f"{name}{end}" for name in FILES for end in (".br", ".gz") if name[-1] == "s"]
        assert s3.keys() == sorted([*FILES, *variants])

    def test_class_that_keeps_its_files_in_memory(
        self, s3: S3Cloud, run: Callable[..., Run]
    ) -> None:
        staging = f"{__name__}.InMemoryManifestStorage"

        run(backend=S3_MANIFEST, settings={"COLLECTFASTA_STAGING_STORAGE": staging})

        paths = json.loads(s3.get(MANIFEST).body)["paths"]
        assert s3.keys() == sorted([*FILES, *paths.values(), MANIFEST])
        assert s3.get("img/a.png").body == FILES["img/a.png"]

    def test_setting_wins_over_the_stage_of_the_strategy(
        self, s3: S3Cloud, run: Callable[..., Run]
    ) -> None:
        run(
            backend=S3_MANIFEST,
            strategy="collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy",
            settings={"COLLECTFASTA_STAGING_STORAGE": WHITENOISE},
        )

        assert s3.exists("js/app.js.br")


class OptionStorage(CompressedManifestStaticFilesStorage):
    """Has an option of its own."""

    def __init__(self, *args: Any, suffix: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._suffix = suffix

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        hashed: str = super().hashed_name(name, content, filename)
        return hashed.removesuffix(self._suffix) + self._suffix


class TestRefused:
    @pytest.mark.parametrize(
        "staging",
        [
            "no.such.Storage",
            "whitenoise.storage.NoSuchStorage",
            "whitenoise.storage",
            "collections.OrderedDict",
            "no-such-alias",
            "",
            b"whitenoise.storage.CompressedManifestStaticFilesStorage",
        ],
    )
    def test_what_is_no_storage_is_refused_in_one_line(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, staging: Any
    ) -> None:
        site = make_site(s3, tree, collectstatic, S3_MANIFEST, threads=0)

        with pytest.raises(CommandError, match="COLLECTFASTA_STAGING_STORAGE") as caught:
            site.run(settings={"COLLECTFASTA_STAGING_STORAGE": staging})

        assert len(str(caught.value).splitlines()) == 1
        assert s3.keys() == []

    def test_alias_whose_class_can_not_be_imported_is_refused_in_one_line(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        site = make_site(s3, tree, collectstatic, S3_MANIFEST, threads=0)
        storages = {**s3.storages(S3_MANIFEST), "staging": {"BACKEND": "no.such.Storage"}}

        with pytest.raises(CommandError, match="COLLECTFASTA_STAGING_STORAGE") as caught:
            site.run(settings={"STORAGES": storages, "COLLECTFASTA_STAGING_STORAGE": "staging"})

        assert len(str(caught.value).splitlines()) == 1
