"""``COLLECTFASTA_HASHED_ONLY``: hashed files and the manifest are sent, the originals are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3ManifestStaticStorage

from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.s3 import S3Cloud

MANIFEST = "staticfiles.json"
WHITENOISE = "whitenoise.storage.CompressedManifestStaticFilesStorage"
S3_MANIFEST = "storages.backends.s3.S3ManifestStaticStorage"
S3_PLAIN = "storages.backends.s3.S3StaticStorage"
HASHED_ONLY = {"COLLECTFASTA_HASHED_ONLY": True}
FILES = {
    "css/a.css": b"@import 'b.css';\n" + 20 * b"a { background: url('../img/a.png') }\n",
    "css/b.css": 20 * b"b { background: url('../img/a.png') }\n",
    "img/a.png": b"png",
    "js/app.js": 20 * b"let app;\n",
}
READS_OF_THE_CONSTRUCTOR = {"HEAD": 2, "GET": 1}
WRITES = {"PUT", "DELETE", "DELETE_BATCH", "POST", "MULTIPART"}


class GoogleManifestStorage(ManifestFilesMixin, GoogleCloudStorage):
    """Mixed by hand, as django-storages has none."""

    querystring_auth = False


class AzureManifestStorage(ManifestFilesMixin, AzureStorage):
    """Mixed by hand, as django-storages has none."""

    def read_manifest(self) -> Any:
        # An AzureStorage opens what is not there, and fails to read it.
        return super().read_manifest() if self.exists(MANIFEST) else None


class OnePlainName(S3ManifestStaticStorage):
    """Leaves one file its name."""

    def file_hash(self, name: str, content: Any = None) -> Any:
        return None if name == "js/app.js" else super().file_hash(name, content)


BACKENDS = {
    "storages.backends.s3.S3StaticStorage": S3_MANIFEST,
    "storages.backends.gcloud.GoogleCloudStorage": f"{__name__}.GoogleManifestStorage",
    "storages.backends.azure_storage.AzureStorage": f"{__name__}.AzureManifestStorage",
}


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


@pytest.fixture
def run(tree: StaticTree, s3: S3Cloud, collectstatic: CollectStatic) -> Callable[..., Run]:
    """The command, to a manifest storage on S3."""
    return partial(collectstatic, s3, backend=S3_MANIFEST, threads=8, settings=HASHED_ONLY)


def paths(cloud: RecordedCloud, key: str = MANIFEST) -> dict[str, str]:
    """Return what the published manifest names."""
    found: dict[str, str] = json.loads(cloud.get(key).body)["paths"]
    return found


def hashed_and_manifest(cloud: RecordedCloud) -> list[str]:
    return sorted([*paths(cloud).values(), MANIFEST])


@pytest.mark.parametrize("threads", [0, 8])
@pytest.mark.parametrize("stage", ["Memory", "FileSystem"])
def test_200_files_are_201_objects(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, stage: str, threads: int
) -> None:
    static_tree.write("img/a.png", b"png")
    for number in range(199):
        is_css = number < 40
        content = b"a { background: url('../img/a.png') }" if is_css else b"let it;"
        static_tree.write(f"{number}/{number}.{'css' if is_css else 'js'}", content)
    strategy = f"collectfasta.strategies.boto3.Boto3Manifest{stage}Strategy"

    collectstatic(s3, backend=S3_MANIFEST, threads=threads, strategy=strategy, settings=HASHED_ONLY)

    assert s3.counts() == {"PUT": 201, "LIST": 1, "HEAD": 1}
    assert s3.keys() == hashed_and_manifest(s3)


def test_no_original_is_sent(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    backend = BACKENDS[recorded_cloud.backend]

    collectstatic(recorded_cloud, backend=backend, settings=HASHED_ONLY)

    assert set(paths(recorded_cloud)) == set(FILES)
    assert recorded_cloud.keys() == hashed_and_manifest(recorded_cloud)


def test_hashed_files_are_those_of_a_whole_deploy(run: Callable[..., Run], s3: S3Cloud) -> None:
    run(settings={})
    expected = {key: s3.get(key) for key in hashed_and_manifest(s3)}
    s3.empty()

    run()

    assert s3.objects() == expected


def test_unchanged_site_takes_one_listing(run: Callable[..., Run], s3: S3Cloud) -> None:
    run()
    s3.clear_requests()

    run()

    assert s3.counts() == {"LIST": 1, **READS_OF_THE_CONSTRUCTOR}


def test_changed_file_takes_two_puts(
    run: Callable[..., Run], s3: S3Cloud, tree: StaticTree
) -> None:
    run()
    s3.clear_requests()
    tree.write("js/app.js", b"let it;")

    run()

    assert s3.counts() == {"PUT": 2, "LIST": 1, **READS_OF_THE_CONSTRUCTOR}


def test_url_leads_to_an_object(run: Callable[..., Run], s3: S3Cloud) -> None:
    run()

    for name in FILES:
        assert s3.exists(staticfiles_storage.url(name).partition(f"{s3.name}/")[2])


class TestSummary:
    def test_files_are_copied_whose_hashed_files_are_sent(self, run: Callable[..., Run]) -> None:
        first = run()

        assert "\n4 static files copied, 4 post-processed." in first.stdout
        assert ": 5 objects (" in first.stdout

    def test_files_are_unmodified_whose_hashed_files_are(
        self, run: Callable[..., Run], tree: StaticTree
    ) -> None:
        run()
        tree.write("js/app.js", b"let it;")

        second = run()

        assert "\n1 static file copied, 3 unmodified, 4 post-processed." in second.stdout
        assert ": 2 objects (" in second.stdout

    def test_dry_run_says_the_same(self, run: Callable[..., Run], s3: S3Cloud) -> None:
        dry, real = run(dry_run=True), run()

        assert dry.returned == real.returned
        assert ": 5 objects (" in dry.stdout
        assert dry.stdout.count("Pretending to copy") == 5


def test_clear_deletes_the_originals_of_earlier_deploys(
    run: Callable[..., Run], s3: S3Cloud
) -> None:
    options = {"location": "static"}
    run(options=options, settings={})

    run(options=options, clear=True)

    named = paths(s3, f"static/{MANIFEST}").values()
    assert s3.keys() == sorted(f"static/{name}" for name in (*named, MANIFEST))


def test_without_clear_they_stay(run: Callable[..., Run], s3: S3Cloud) -> None:
    run(settings={})
    before = s3.objects()

    run()

    assert s3.objects() == before


@pytest.mark.parametrize("backend", [S3_MANIFEST, S3_PLAIN])
class TestWhiteNoise:
    def settings(self, **more: Any) -> dict[str, Any]:
        return {"COLLECTFASTA_STAGING_STORAGE": WHITENOISE, **more}

    def test_variants_of_hashed_files_are_sent_and_of_originals_are_not(
        self, run: Callable[..., Run], s3: S3Cloud, backend: str
    ) -> None:
        run(backend=backend, settings=self.settings(**HASHED_ONLY))

        hashed = hashed_and_manifest(s3)
        texts = [name for name in hashed if name.endswith((".css", ".js"))]
        variants = [f"{name}{extension}" for name in texts for extension in (".br", ".gz")]
        assert len(texts) == 3
        assert s3.keys() == sorted([*hashed, *variants])

    def test_it_is_what_whitenoise_keeps_by_its_own_setting(
        self, run: Callable[..., Run], s3: S3Cloud, backend: str
    ) -> None:
        run(backend=backend, settings=self.settings(WHITENOISE_KEEP_ONLY_HASHED_FILES=True))
        expected = s3.objects()
        s3.empty()

        run(backend=backend, settings=self.settings(**HASHED_ONLY))

        assert s3.objects() == expected

    def test_summary_counts_the_files_that_were_found(
        self, run: Callable[..., Run], s3: S3Cloud, backend: str
    ) -> None:
        settings = self.settings(**HASHED_ONLY)

        first, second = (run(backend=backend, settings=settings) for _ in range(2))

        assert "\n4 static files copied, " in first.stdout
        assert "\n0 static files copied, 4 unmodified, " in second.stdout


class TestNotHashed:
    """A file without a hashed one is sent under its own name: nothing else would be there."""

    def test_file_that_the_storage_leaves_its_name(
        self, run: Callable[..., Run], s3: S3Cloud
    ) -> None:
        run(backend=f"{__name__}.OnePlainName")

        assert paths(s3)["js/app.js"] == "js/app.js"
        assert s3.keys() == hashed_and_manifest(s3)

    def test_files_of_a_stage_that_does_not_hash(
        self, run: Callable[..., Run], s3: S3Cloud
    ) -> None:
        staging = "whitenoise.storage.CompressedStaticFilesStorage"

        run(backend=S3_PLAIN, settings={**HASHED_ONLY, "COLLECTFASTA_STAGING_STORAGE": staging})

        assert set(FILES) < set(s3.keys())

    def test_files_of_a_plain_storage(self, run: Callable[..., Run], s3: S3Cloud) -> None:
        run(backend=S3_PLAIN)

        assert s3.keys() == sorted(FILES)

    def test_files_that_are_not_post_processed(self, run: Callable[..., Run], s3: S3Cloud) -> None:
        run(post_process=False)

        assert s3.keys() == sorted(FILES)
