"""Manifest deploys that go wrong: the live manifest and what it names stay as they are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import (
    StaticFilesStorage,
    staticfiles_storage,
)
from django.core.management import CommandError
from storages.backends.s3 import S3ManifestStaticStorage, S3Storage

from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds import RecordedCloud, StoredObject
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request
from tests.servers.s3 import S3Server

MANIFEST = "staticfiles.json"
FILES = {
    "css/a.css": b"@import 'c.css';\na { background: url('../img/a.png') }\n",
    "css/b.css": b"b { background: url('../img/b.png') }\n",
    "css/c.css": b"c { background: url('../img/a.png') }\n",
    "img/a.png": b"a",
    "img/b.png": b"b",
    "js/app.js": b"let app;\n",
}
# css/c.css too is sent under a new name, and css/a.css because it imports that.
CHANGED_FILES = {"img/a.png": b"A", "js/new.js": b"let it;\n"}
CHANGED_OBJECTS = 2 * 2 + 2

# What the clouds have in common is asked of each, and all of it of S3.
VARIANTS = [
    ("s3_obstore", "Memory", "0"),
    ("s3_obstore", "Memory", "8"),
    ("s3_obstore", "FileSystem", "8"),
    ("s3_boto3", "Memory", "8"),
    ("s3_boto3", "FileSystem", "0"),
    ("gcs", "Memory", "8"),
    ("azure", "FileSystem", "8"),
]

UPLOADS = {"PUT", "UPLOAD"}
WRITES = {*UPLOADS, "DELETE", "DELETE_BATCH", "POST", "MULTIPART", "BATCH", "BLOCK_LIST"}


class BrokenManifestStorage(S3ManifestStaticStorage):
    """Fails within its own post-processing."""

    def post_process(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from super().post_process(*args, **kwargs)
        raise ArithmeticError("of its own")


BACKENDS = {
    "storages.backends.s3.S3StaticStorage": "storages.backends.s3.S3ManifestStaticStorage",
    "storages.backends.gcloud.GoogleCloudStorage": "tests.storages.google.GoogleManifestStorage",
    "storages.backends.azure_storage.AzureStorage": "tests.storages.azure.AzureManifestStorage",
}
STRATEGIES = {
    "storages.backends.s3.S3StaticStorage": "boto3.Boto3Manifest{}Strategy",
    "storages.backends.gcloud.GoogleCloudStorage": "gcloud.GoogleCloudManifest{}Strategy",
    "storages.backends.azure_storage.AzureStorage": "azure.AzureBlobManifest{}Strategy",
}


@dataclass(frozen=True)
class Site:
    """A tree of files, the bucket of its site, and the command between them."""

    cloud: RecordedCloud
    tree: StaticTree
    run: Callable[..., Run]

    def fail(self, **options: Any) -> str:
        """Run the command and return the error that it ends with."""
        with pytest.raises(CommandError) as caught:
            self.run(**options)
        assert caught.value.returncode
        return str(caught.value)

    def change(self) -> None:
        for name, content in CHANGED_FILES.items():
            self.tree.write(name, content)

    @property
    def paths(self) -> dict[str, str]:
        """What the published manifest names."""
        paths: dict[str, str] = json.loads(self.cloud.get(MANIFEST).body)["paths"]
        return paths

    def live(self) -> dict[str, StoredObject]:
        """Return the published manifest and every file that it names."""
        return {key: self.cloud.get(key) for key in (MANIFEST, *self.paths.values())}

    def is_upload(self, request: Request) -> bool:
        return self.cloud.kind(request) in UPLOADS

    def is_manifest(self, request: Request) -> bool:
        return self.is_upload(request) and request.path.endswith(f"/{MANIFEST}")

    def uploads(self) -> int:
        """Return how many files were sent since the requests were cleared."""
        return sum(map(self.is_upload, self.cloud.requests))


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


@pytest.fixture(params=["Memory", "FileSystem"])
def stage(request: pytest.FixtureRequest) -> str:
    """Where it is staged, as the strategies' names have it."""
    name: str = request.param
    return name


@pytest.fixture(params=[0, 8])
def threads(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(params=VARIANTS, ids="-".join)
def site(request: pytest.FixtureRequest, tree: StaticTree, collectstatic: CollectStatic) -> Site:
    """A site on each cloud that was never deployed."""
    cloud, stage, threads = request.param
    return make_site(request.getfixturevalue(cloud), tree, collectstatic, stage, int(threads))


@pytest.fixture
def s3_site(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, stage: str, threads: int
) -> Site:
    """A site on S3 that was never deployed."""
    return make_site(s3, tree, collectstatic, stage, threads)


def make_site(
    cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic, stage: str, threads: int
) -> Site:
    strategy = f"collectfasta.strategies.{STRATEGIES[cloud.backend]}".format(stage)
    run = partial(
        collectstatic, cloud, backend=BACKENDS[cloud.backend], strategy=strategy, threads=threads
    )
    return Site(cloud, tree, run)


@pytest.fixture
def live_site(site: Site) -> Site:
    """A site on each cloud that is live, and whose files have changed since."""
    return go_live(site)


@pytest.fixture
def live_s3_site(s3_site: Site) -> Site:
    """A site on S3 that is live, and whose files have changed since."""
    return go_live(s3_site)


def go_live(site: Site) -> Site:
    site.run()
    site.change()
    site.cloud.clear_requests()
    return site


def name_in_this_process(name: str) -> str:
    """Return what this process takes for the published name of a file."""
    storage: Any = staticfiles_storage
    stored: str = storage.stored_name(name)
    return stored


def objects(names: Collection[str]) -> int:
    """Return how many objects so many files make: each twice, and the manifest."""
    return 2 * len(names) + 1


class TestOrder:
    def test_manifest_is_sent_when_all_other_files_are_stored(self, site: Site) -> None:
        stored: list[list[str]] = []
        site.cloud.recorder.before(site.is_upload, lambda _: stored.append(site.cloud.keys()))

        site.run()

        assert stored[-1] == [key for key in site.cloud.keys() if key != MANIFEST]
        assert len(stored) == len(site.cloud.keys()) == objects(FILES)

    def test_manifest_is_replaced_when_all_new_files_are_stored(self, live_site: Site) -> None:
        before: list[StoredObject] = []
        cloud = live_site.cloud
        cloud.recorder.before(live_site.is_upload, lambda _: before.append(cloud.get(MANIFEST)))

        live_site.run()

        assert len(before) == live_site.uploads()
        assert cloud.get(MANIFEST) not in before
        assert set(live_site.paths.values()) < set(cloud.keys())


class TestRefusedFile:
    @pytest.fixture
    def refused(self, live_site: Site) -> Site:
        """A live site; one file of the next deploy is refused."""
        live_site.cloud.recorder.fail(live_site.is_upload, 403, times=1)
        return live_site

    def test_live_site_stays_as_it_is(self, refused: Site) -> None:
        before = refused.live()

        refused.fail()

        assert refused.live() == before

    def test_it_is_the_one_that_is_named(self, refused: Site) -> None:
        error = refused.fail()
        stored = refused.cloud.objects()
        refused.cloud.recorder.reset()
        refused.run()

        first, *others = error.splitlines()
        assert first.startswith("1 file was not sent")
        sent = {key for key, each in refused.cloud.objects().items() if each != stored.get(key)}
        assert {line.split("'")[1] for line in others} == sent - {MANIFEST}

    def test_next_run_sends_it_and_the_manifest_only(self, refused: Site) -> None:
        refused.fail()
        refused.cloud.recorder.reset()

        refused.run()

        assert refused.uploads() == 2
        assert set(refused.paths) == {*FILES, *CHANGED_FILES}
        assert set(refused.paths.values()) < set(refused.cloud.keys())


def test_refusal_of_everything_leaves_the_live_site_as_it_is(live_site: Site) -> None:
    before = live_site.cloud.objects()
    live_site.cloud.recorder.fail(live_site.is_upload, 403)

    live_site.fail()

    assert live_site.cloud.objects() == before


class TestRefusedManifest:
    @pytest.fixture
    def refused(self, live_s3_site: Site) -> Site:
        """A live site; the manifest of the next deploy is refused."""
        live_s3_site.cloud.recorder.fail(live_s3_site.is_manifest, 403)
        return live_s3_site

    def test_live_site_stays_as_it_is(self, refused: Site) -> None:
        before = refused.live()

        refused.fail()

        assert refused.live() == before

    def test_it_is_named_alone(self, refused: Site) -> None:
        error = refused.fail()

        first, *others = error.splitlines()
        assert first.startswith("1 file was not sent to s3://")
        assert [line.split("'")[1] for line in others] == [MANIFEST]

    def test_next_run_sends_nothing_else(self, refused: Site) -> None:
        refused.fail()
        refused.cloud.recorder.reset()

        refused.run()

        assert refused.cloud.counts()["PUT"] == refused.uploads() == 1
        assert set(refused.paths) == {*FILES, *CHANGED_FILES}


class TestMissingReference:
    @pytest.fixture
    def broken(self, live_s3_site: Site) -> Site:
        """A live site; a style sheet refers to what is not there."""
        live_s3_site.tree.write("css/b.css", b"b { background: url('../img/none.png') }\n")
        return live_s3_site

    def test_both_files_are_named(self, broken: Site) -> None:
        error = broken.fail()

        assert "img/none.png" in error
        assert "css/b.css" in error + broken_output(broken)

    def test_nothing_is_sent(self, broken: Site) -> None:
        before = broken.cloud.objects()

        broken.fail()

        assert not broken.cloud.counts().keys() & WRITES
        assert broken.cloud.objects() == before

    def test_next_run_sends_what_has_changed(self, broken: Site) -> None:
        broken.fail()
        broken.tree.write("css/b.css", FILES["css/b.css"])
        broken.cloud.clear_requests()

        broken.run()

        assert broken.uploads() == CHANGED_OBJECTS + 1


def broken_output(site: Site) -> str:
    """Return what the last run has printed; Django names the file that refers there."""
    last = site.run.func.last  # type: ignore[attr-defined]
    return str(last.stdout + last.stderr)


FAULTS: dict[str, Callable[[Site], object]] = {
    "refused file": lambda site: site.cloud.recorder.fail(site.is_upload, 403, times=1),
    "refused manifest": lambda site: site.cloud.recorder.fail(site.is_manifest, 403),
    "missing reference": lambda site: site.tree.write("css/b.css", b"b { x: url('none.png') }"),
    "unreadable listing": lambda site: site.cloud.recorder.fail(
        lambda request: site.cloud.kind(request) == "LIST", 400
    ),
}


@pytest.mark.parametrize("threads", [8])
@pytest.mark.parametrize("fault", FAULTS)
class TestAfterwards:
    @pytest.fixture
    def faulty(self, live_s3_site: Site, fault: str) -> Site:
        FAULTS[fault](live_s3_site)
        return live_s3_site

    def test_nothing_is_left_in_the_temporary_directory(
        self, faulty: Site, temporary: Path
    ) -> None:
        with pytest.raises(CommandError) as caught:
            faulty.run()

        # The error keeps what was under way alive; it is looked at before that can end.
        assert list(temporary.iterdir()) == []
        assert caught.value.returncode

    def test_this_process_still_names_the_live_files(self, faulty: Site) -> None:
        faulty.fail()

        live = {name: name_in_this_process(name) for name in FILES}
        assert live == faulty.paths

    def test_the_storage_reads_from_the_bucket_again(self, faulty: Site) -> None:
        with pytest.raises(CommandError) as caught:
            faulty.run()
        faulty.cloud.recorder.reset()

        with staticfiles_storage.open("js/app.js") as content:
            assert content.read() == FILES["js/app.js"]

        assert faulty.cloud.counts()["GET"] == 1
        assert caught.value.returncode


def test_error_of_the_storages_own_post_processing_ends_the_deploy(
    live_s3_site: Site, temporary: Path
) -> None:
    before = live_s3_site.cloud.objects()

    with pytest.raises(ArithmeticError):
        live_s3_site.run(backend=f"{__name__}.BrokenManifestStorage")

    assert live_s3_site.cloud.objects() == before
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("threads", [8])
def test_failed_deletion_after_the_commit_does_not_take_the_new_names_back(
    live_s3_site: Site,
) -> None:
    cloud = live_s3_site.cloud
    cloud.put("static/old.css", b"old")
    cloud.recorder.fail(lambda request: cloud.kind(request) == "DELETE_BATCH", 403)

    live_s3_site.fail(clear=True, options={"location": "static"})

    published = json.loads(cloud.get(f"static/{MANIFEST}").body)["paths"]
    assert name_in_this_process("js/new.js") == published["js/new.js"]


def test_source_that_vanishes_meanwhile_is_named_and_nothing_is_published(
    live_s3_site: Site,
) -> None:
    before = live_s3_site.live()
    cloud, tree = live_s3_site.cloud, live_s3_site.tree

    def vanish(_: Request) -> None:
        with suppress(FileNotFoundError):
            tree.delete("js/new.js")

    # The largest goes first.
    cloud.recorder.before(live_s3_site.is_upload, vanish)

    error = live_s3_site.fail(threads=0)

    assert "js/new" in error
    assert live_s3_site.live() == before


@pytest.mark.parametrize("stage", ["Memory"])
class TestManifestElsewhere:
    @pytest.fixture
    def other(self, s3_server: S3Server) -> Iterator[S3Cloud]:
        """An empty bucket for manifests, behind a recorder of its own."""
        with S3Cloud(s3_server) as cloud:
            yield cloud

    @pytest.fixture
    def elsewhere(self, live_s3_site: Site, other: S3Cloud) -> Site:
        """A site with its manifest in the other bucket, where an old one is."""
        run = partial(live_s3_site.run, options={"manifest_storage": S3Storage(**other.options())})
        other.put(MANIFEST, b'{"version": "1.1", "paths": {}}')
        return Site(live_s3_site.cloud, live_s3_site.tree, run)

    def test_it_is_written_when_all_files_are_stored(self, elsewhere: Site, other: S3Cloud) -> None:
        stored: list[list[str]] = []
        other.recorder.before(
            lambda request: request.method == "PUT",
            lambda _: stored.append(elsewhere.cloud.keys()),
        )

        elsewhere.run()

        assert stored == [elsewhere.cloud.keys()]
        paths = json.loads(other.get(MANIFEST).body)["paths"]
        assert set(paths) == {*FILES, *CHANGED_FILES}
        assert set(paths.values()) < set(stored[0])

    def test_none_is_written_to_the_storage_itself(self, elsewhere: Site) -> None:
        before = elsewhere.cloud.get(MANIFEST)

        elsewhere.run()

        assert elsewhere.cloud.get(MANIFEST) == before

    def test_it_is_not_touched_if_a_file_fails(self, elsewhere: Site, other: S3Cloud) -> None:
        elsewhere.cloud.recorder.fail(elsewhere.is_upload, 403, times=1)
        before = other.objects()

        elsewhere.fail()

        assert other.objects() == before
        assert not other.counts().keys() & WRITES

    def test_it_is_named_if_it_is_refused(self, elsewhere: Site, other: S3Cloud) -> None:
        other.recorder.fail(lambda request: request.method == "PUT", 403)
        before = other.objects()

        error = elsewhere.fail()

        assert error.startswith(f"1 file was not sent to s3://{other.name}/")
        assert f"'{MANIFEST}'" in error
        assert other.objects() == before

    def test_bucket_that_is_not_there_is_named(self, elsewhere: Site, other: S3Cloud) -> None:
        storage = S3Storage(**other.options(bucket_name="no-such-bucket"))
        storage.open = other_open  # its constructor's look for the last manifest

        error = elsewhere.fail(options={"manifest_storage": storage})

        assert "'no-such-bucket'" in error
        assert elsewhere.cloud.name not in error

    def test_dry_run_does_not_write_it(self, elsewhere: Site, other: S3Cloud) -> None:
        before = other.objects()

        elsewhere.run(dry_run=True)

        assert other.objects() == before

    def test_unchanged_site_does_not_write_it_again(self, elsewhere: Site, other: S3Cloud) -> None:
        elsewhere.run()
        other.clear_requests()
        elsewhere.cloud.clear_requests()

        elsewhere.run()

        assert not other.counts().keys() & WRITES
        assert elsewhere.cloud.counts() == {"LIST": 1}

    def test_it_can_be_a_directory(self, elsewhere: Site, tmp_path: Path) -> None:
        directory = tmp_path / "manifests"

        elsewhere.run(options={"manifest_storage": StaticFilesStorage(location=directory)})

        paths = json.loads((directory / MANIFEST).read_bytes())["paths"]
        assert set(paths.values()) < set(elsewhere.cloud.keys())


def other_open(*_: object) -> None:
    raise FileNotFoundError
