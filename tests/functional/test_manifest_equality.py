"""A staged deploy ends as Django's own deploy of the same storage does: each byte, each header."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import django.contrib.admin
import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage, staticfiles_storage
from storages.backends.s3 import S3ManifestStaticStorage

from tests.conftest import CollectStatic, Run, StaticTree
from tests.functional.test_manifest_classes import MIXED, own
from tests.servers.clouds import Cloud, StoredObject
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud

pytestmark = pytest.mark.staging

CLOUDS = {
    "s3": ("s3_server", S3Cloud),
    "gcs": ("gcs_emulator", GoogleCloud),
    "azure": ("azurite", AzureCloud),
}
STRATEGIES = {
    ("s3", "memory"): "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy",
    ("s3", "directory"): "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy",
    ("gcs", "memory"): "collectfasta.strategies.gcloud.GoogleCloudManifestMemoryStrategy",
    ("gcs", "directory"): "collectfasta.strategies.gcloud.GoogleCloudManifestFileSystemStrategy",
    ("azure", "memory"): "collectfasta.strategies.azure.AzureBlobManifestMemoryStrategy",
    ("azure", "directory"): "collectfasta.strategies.azure.AzureBlobManifestFileSystemStrategy",
}


class Modules:
    """Rewrite the imports of JavaScript modules."""

    support_js_module_import_aggregation = True


class S3Modules(Modules, S3ManifestStaticStorage):
    """On S3."""


class LocalModules(Modules, ManifestStaticFilesStorage):  # type: ignore[misc]
    """On a file system."""


class Intermediate:
    """Keep what each pass of post-processing makes."""

    keep_intermediate_files = True


class S3Intermediate(Intermediate, S3ManifestStaticStorage):
    """On S3."""


class LocalIntermediate(Intermediate, ManifestStaticFilesStorage):  # type: ignore[misc]
    """On a file system."""


class Renamed:
    """Another name for the manifest, in a folder."""

    manifest_name = "release/assets.json"


class S3Renamed(Renamed, S3ManifestStaticStorage):
    """On S3."""


class LocalRenamed(Renamed, ManifestStaticFilesStorage):  # type: ignore[misc]
    """On a file system."""


class Lenient:
    """Work out names that the manifest doesn't have."""

    manifest_strict = False


class S3Lenient(Lenient, S3ManifestStaticStorage):
    """On S3."""


class LocalLenient(Lenient, ManifestStaticFilesStorage):  # type: ignore[misc]
    """On a file system."""


IMAGES = {"img/a.png": b"\x89PNG\r\n\x1a\n\x00\xff", "img/b.svg": b"<svg/>"}
MODULES = {
    "js/app.js": (
        b'import lib from "./lib.js";\nimport { a, b } from "./sub/lib.js";\n'
        b'import * as all from "./sub/lib.js";\nimport "./lib.js";\n'
        b'export { c } from "./sub/lib.js";\nconst later = import("./lib.js");\n'
        b'// import old from "./commented.js";\n'
        b'import react from "react";\n//# sourceMappingURL=app.js.map\n'
    ),
    "js/app.js.map": b'{"version": 3}',
    "js/commented.js": b"// Up to Django 5.2 references in comments count.\n",
    "js/lib.js": b"export default 1;\n",
    "js/sub/lib.js": b'import lib from "../lib.js";\nexport const a = 1, b = 2, c = 3;\n',
}
SOURCE_MAPS = {
    "a.js": b"var a;\n//# sourceMappingURL=a.js.map\n",
    "a.js.map": b"{}",
    "css/a.css": b"a {}\n/*# sourceMappingURL=a.css.map */",
    "css/a.css.map": b"{}",
    "css/no.css": b"a {}\n/* sourceMappingURL=gone.css.map */",
}
IMPORTS = {
    "css/a.css": b"@import 'b.css';\n@import url(\"sub/c.css\");\n",
    "css/b.css": b"@import 'sub/c.css';\n",
    "css/sub/c.css": b'@import "../d.css" screen;\n',
    "css/d.css": b"d { background: url(../img/a.png) }",
    # Two that import one another: their hashes settle in the passes that Django allows.
    "css/round.css": b"@import 'about.css';\n",
    "css/about.css": b"/* turns */ a { background: url('round.svg') }\n",
    "css/round.svg": b"<svg/>",
    **IMAGES,
}
FONTS = {
    "css/font.css": (
        b"@font-face { font-family: 'a';\n src: url('../fonts/a.eot');\n"
        b" src: url('../fonts/a.eot?#iefix') format('embedded-opentype'),\n"
        b"  url('../fonts/a.svg#webfontregular') format('svg'),\n"
        b"  url('../fonts/a.woff?v=1.2') format('woff'),\n"
        b"  url('../fonts/a.woff?v=1.2#x') format('woff'), url('#local'); }\n"
    ),
    "fonts/a.eot": b"eot",
    "fonts/a.svg": b"<svg/>",
    "fonts/a.woff": b"woff",
}
NESTED = {
    "a.css": b"a { background: url(one/two/three/deep.png) }",
    "one/two/a.css": b"a { background: url('../../img/a.png'); color: url(./three/../../up.png) }",
    "one/two/three/deep.png": b"deep",
    "one/two/three/a.css": b"@import '../a.css';",
    "one/up.png": b"up",
    **IMAGES,
}
LOCATED = {
    "vendor/static/app.js": b"var app;",
    "vendor/static/app.css": b"a { background: url('../../static/static/a.png') }",
    "static/static/a.png": b"a",
    "static.css": b"@import 'vendor/static/app.css'; a { src: url(vendor/static/app.js) }",
    "static/static.css": b"a { background: url(/static/static/static/a.png) }",
}
# Azure's storage leaves the slash out of a folder's URL, so that only S3 agrees with a directory.
FOLDERS = {"css/a.css": b"a { src: url(../img/) }", **IMAGES}
ODD = {
    "css/a.css": (
        b"a { background: url(/static/img/a.png) } b { background: url(/other/a.png) }\n"
        b"c { background: url(//example.com/a.png) } d { background: url(https://e.com/a.png) }\n"
        b"e { background: url('data:image/gif;base64,R0lGODlhAQABAAAAACw=') }\n"
        b"/* f { background: url(commented.png) } */ g { background: url(' ../img/b.svg') }\n"
        b"h { background: URL(../img/a.png) } i { background: url() }\n"
    ),
    "css/commented.png": b"Up to Django 5.2 references in comments count.",
    "empty.css": b"",
    "empty.js": b"",
    "empty.bin": b"",
    "plain.css": b"a { color: red }",
    "crlf.css": b"a {\r\n  background: url(img/a.png)\r\n}\r\n",
    "bom.css": b"\xef\xbb\xbfa { background: url(img/a.png) }",
    "all.bin": bytes(range(256)) * 20,
    "archive.css.gz": b"\x1f\x8b not really",
    "no-extension": b"x",
    ".well-known-not-hidden": b"ignored by Django",
    "same/a.txt": b"the same content",
    "same/b.txt": b"the same content",
    **IMAGES,
}
NAMES = {
    "css/größe.css": "a { background: url('../bilder/größe.png') }".encode(),
    "css/quoted.css": b"a { background: url('../bilder/gr%C3%B6%C3%9Fe.png') }",
    "bilder/größe.png": b"NFC",
    "bilder/gro\u0308sse.png": b"NFD",
    "bilder/漢字.svg": b"<svg/>",
    "with space/a b.css": b"a { background: url('c d.png') } b { background: url(c%20d.png) }",
    "with space/c d.png": b"space",
    "plus+and~tilde/a+b.png": b"plus",
    "dots/a.b.c.min.js": b"var a;",
    "percent/100%.png": b"percent",
    "percent/a%20b.png": b"quoted",
}
EVERYTHING = {**SOURCE_MAPS, **IMPORTS, **FONTS, **NESTED, **LOCATED, **ODD, **NAMES}

S3_BACKEND = "storages.backends.s3.S3ManifestStaticStorage"
LOCAL_BACKEND = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"


@dataclass(frozen=True)
class Case:
    """A tree, and a storage to deploy it to.

    Attributes:
        name: What is special about it.
        files: The tree.
        backend: The storage's class.
        local_backend: What it would be on a file system.
        options: The storage's.
        cloud: A key of `CLOUDS`.
    """

    name: str
    files: Mapping[str, bytes]
    backend: str = S3_BACKEND
    local_backend: str = LOCAL_BACKEND
    options: Mapping[str, Any] = field(default_factory=dict)
    cloud: str = "s3"

    @property
    def prefix(self) -> str:
        """What keys begin with."""
        return self.options["location"] + "/" if "location" in self.options else ""


def of_class(name: str) -> dict[str, Any]:
    return {"backend": f"{__name__}.S3{name}", "local_backend": f"{__name__}.Local{name}"}


def on(cloud: str) -> dict[str, Any]:
    _, cloud_class = CLOUDS[cloud]
    return {"backend": own(MIXED[cloud_class]), "cloud": cloud}


CASES = [
    Case("modules", MODULES, **of_class("Modules")),
    Case("modules-as-they-are", MODULES),
    Case("source-maps", SOURCE_MAPS),
    Case("imports", IMPORTS),
    Case("fonts", FONTS),
    Case("nested", NESTED),
    Case("folders", FOLDERS),
    Case("location-in-paths", LOCATED, options={"location": "static"}),
    Case("location-deep", NESTED, options={"location": "a/b"}),
    Case("odd", ODD),
    Case("names", NAMES),
    Case("intermediate-files", {**IMPORTS, **FONTS}, **of_class("Intermediate")),
    Case("manifest-renamed", NESTED, **of_class("Renamed")),
    Case("not-strict", IMPORTS, **of_class("Lenient")),
    Case("compressed", {**IMPORTS, **SOURCE_MAPS}, options={"gzip": True}),
    Case(
        "parameters",
        FONTS,
        options={"object_parameters": {"CacheControl": "max-age=60", "Metadata": {"a": "b"}}},
    ),
    Case("gcs", EVERYTHING, **on("gcs")),
    Case("gcs-location", LOCATED, options={"location": "static"}, **on("gcs")),
    Case("azure", EVERYTHING, **on("azure")),
    Case("azure-location", LOCATED, options={"location": "static"}, **on("azure")),
]


@dataclass(frozen=True)
class Outcome:
    """What a deploy left behind.

    Attributes:
        files: All objects but the manifest.
        manifest: The manifest, parsed: up to Django 5.2 its order is not fixed.
        headers: The manifest's.
    """

    files: Mapping[str, StoredObject]
    manifest: Mapping[str, Any]
    headers: Mapping[str, str]


def outcome_of(cloud: Cloud, case: Case) -> Outcome:
    objects = cloud.objects()
    name = "release/assets.json" if case.name == "manifest-renamed" else "staticfiles.json"
    manifest = objects.pop(case.prefix + name)
    return Outcome(objects, json.loads(manifest.body), manifest.headers)


@contextmanager
def deploying(
    request: pytest.FixtureRequest, case: Case, tree: StaticTree
) -> Iterator[tuple[Cloud, partial[Run]]]:
    """Make a bucket for a case, and the command that deploys to it."""
    server, cloud_class = CLOUDS[case.cloud]
    with (
        cloud_class(request.getfixturevalue(server)) as cloud,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        command = CollectStatic(tree, monkeypatch)
        try:
            yield cloud, partial(command, cloud, backend=case.backend, options=case.options)
        finally:
            command.close()


def parameter(case: Case) -> Any:
    """Tell that a case is one of S3, which its type does not."""
    return pytest.param(case, id=case.name, marks=[pytest.mark.s3] if case.cloud == "s3" else [])


@pytest.fixture(scope="module", params=map(parameter, CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def tree(case: Case, tmp_path_factory: pytest.TempPathFactory) -> StaticTree:
    tree = StaticTree(tmp_path_factory.mktemp("equality") / "source")
    for name, content in case.files.items():
        tree.write(name, content)
    return tree


@pytest.fixture(scope="module")
def djangos(request: pytest.FixtureRequest, case: Case, tree: StaticTree) -> Outcome:
    """What Django's own deploy leaves in a bucket of its own."""
    with deploying(request, case, tree) as (cloud, run), warnings.catch_warnings():
        # django-storages leaves what it decompresses open.
        warnings.simplefilter("ignore", ResourceWarning)
        run(disable_collectfasta=True)
        gc.collect()
        return outcome_of(cloud, case)


@pytest.fixture(scope="module")
def local_manifest(
    case: Case, tree: StaticTree, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The manifest that Django's own storage writes into a directory."""
    root = tmp_path_factory.mktemp("equality") / "deployed"
    with FileSystemCloud(root) as cloud, pytest.MonkeyPatch.context() as monkeypatch:
        command = CollectStatic(tree, monkeypatch)
        command(cloud, backend=case.local_backend, disable_collectfasta=True)
        storage: Any = staticfiles_storage
        name = storage.manifest_name
        command.close()
        return manifest_of(cloud, name)


def manifest_of(cloud: Cloud, key: str = "staticfiles.json") -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(cloud.get(key).body)
    return manifest


@pytest.fixture(
    scope="module",
    params=[("memory", 8), ("directory", 0)],
    ids=["memory-threads", "directory-inline"],
)
def ours(request: pytest.FixtureRequest, case: Case, tree: StaticTree) -> Outcome:
    """What a staged deploy leaves."""
    stage, threads = request.param
    with deploying(request, case, tree) as (cloud, run):
        run(strategy=STRATEGIES[case.cloud, stage], threads=threads)
        return outcome_of(cloud, case)


def test_names_are_those_of_djangos_deploy(djangos: Outcome, ours: Outcome) -> None:
    assert set(ours.files) == set(djangos.files)


def test_bytes_and_headers_are_those_of_djangos_deploy(djangos: Outcome, ours: Outcome) -> None:
    assert ours.files == djangos.files
    assert ours.headers == djangos.headers


def test_manifest_is_that_of_djangos_deploy(djangos: Outcome, ours: Outcome) -> None:
    assert ours.manifest == djangos.manifest


def test_manifest_is_that_of_a_directory(local_manifest: dict[str, Any], ours: Outcome) -> None:
    assert ours.manifest == local_manifest


def test_all_that_the_manifest_names_is_there(case: Case, ours: Outcome) -> None:
    assert {case.prefix + name for name in ours.manifest["paths"].values()} <= set(ours.files)


@pytest.mark.parametrize("threads", [0, 8])
@pytest.mark.parametrize("stage", ["memory", "directory"])
def test_files_of_djangos_admin_are_those_of_djangos_deploy_to_a_directory(
    s3: S3Cloud,
    filesystem: FileSystemCloud,
    collectstatic: CollectStatic,
    stage: str,
    threads: int,
) -> None:
    settings = {"STATICFILES_DIRS": [Path(django.contrib.admin.__file__).with_name("static")]}
    collectstatic(filesystem, backend=LOCAL_BACKEND, settings=settings, disable_collectfasta=True)

    strategy = STRATEGIES["s3", stage]
    collectstatic(s3, backend=S3_BACKEND, settings=settings, strategy=strategy, threads=threads)

    assert manifest_of(s3) == manifest_of(filesystem)
    assert bodies_of(s3) == bodies_of(filesystem)


def bodies_of(cloud: Cloud) -> dict[str, bytes]:
    objects = cloud.objects()
    return {key: objects[key].body for key in objects if key != "staticfiles.json"}
