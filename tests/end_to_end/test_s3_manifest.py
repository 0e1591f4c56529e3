"""A manifest storage on S3."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from storages.backends.s3 import S3ManifestStaticStorage, S3StaticStorage

from . import storages, trees
from .lives import ManifestBucket
from .site import MANIFEST, MakeCloud, MakeSite
from .storages import path_of

pytestmark = [pytest.mark.s3, pytest.mark.staging]

S3_MANIFEST = path_of(S3ManifestStaticStorage)
DIRECTORY = "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy"
BOTH_STAGES = pytest.mark.parametrize("strategy", [None, DIRECTORY], ids=["memory", "directory"])


class TestStagedInMemory(ManifestBucket):
    """By default."""

    place = "s3"


class TestStagedInADirectory(ManifestBucket):
    """By a strategy that is asked for by name."""

    place = "s3"
    defaults = {"strategy": DIRECTORY}  # noqa: RUF012


@dataclass(frozen=True)
class Elsewhere:
    """Another place for the manifest, and how to read it there."""

    storage: Callable[[], Storage]
    read: Callable[[], bytes]


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


class TestManifestElsewhere:
    """The manifest is kept in another storage."""

    @pytest.fixture(scope="class", params=["directory", "s3", "unknown"])
    @classmethod
    def elsewhere(
        cls,
        request: pytest.FixtureRequest,
        make_cloud: MakeCloud,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Elsewhere:
        if request.param == "unknown":
            return Elsewhere(Dictionary, lambda: Dictionary.contents[MANIFEST])
        if request.param == "directory":
            path = tmp_path_factory.mktemp("manifests") / MANIFEST
            return Elsewhere(lambda: FileSystemStorage(path.parent), path.read_bytes)
        cloud = make_cloud("s3")
        return Elsewhere(
            lambda: S3StaticStorage(**cloud.options(location="manifests")),
            lambda: cloud.get(f"manifests/{MANIFEST}").body,
        )

    def test_it_is_written_there_and_replaced_and_not_by_a_dry_run(
        self, make_site: MakeSite, elsewhere: Elsewhere
    ) -> None:
        site = make_site("s3", trees.HOOKED, backend=S3_MANIFEST)

        def deploy(**options: Any) -> bytes:
            site.deploy(options={"manifest_storage": elsewhere.storage()}, **options)
            return elsewhere.read()

        first = deploy()
        keys = {*site.cloud.keys()}
        site.tree.write("img/a.png", b"changed")
        dry, changed = deploy(dry_run=True), deploy()

        before, after = json.loads(first)["paths"], json.loads(changed)["paths"]
        assert {*before} == {*trees.HOOKED}
        assert keys == {*before, *before.values()}
        assert dry == first
        assert after["img/a.png"] != before["img/a.png"]
        assert {*after.values()} < {*site.cloud.keys()}
        Dictionary.contents.clear()


@BOTH_STAGES
def test_a_manifest_that_is_saved_in_an_own_way_is_never_missing_and_stays_where_all_is_cleared(
    make_site: MakeSite, strategy: str | None
) -> None:
    options = {"location": "static"}
    backend = path_of(storages.S3OwnManifest)
    site = make_site("s3", trees.HOOKED, backend=backend, strategy=strategy, options=options)
    site.cloud.put("static/old.css", b"old")

    site.deploy(clear=True)
    site.tree.write("img/a.png", b"changed it")
    changed = site.deploy()
    site.deploy(clear=True)

    manifest = json.loads(site.cloud.get(f"static/{MANIFEST}").body)
    paths = manifest["paths"]
    assert changed.writes == {"PUT"}
    assert manifest["sizes"] == {"img/a.png": 10}
    names = {*paths, *paths.values(), MANIFEST, "extra.json"}
    assert {*site.cloud.keys()} == {f"static/{name}" for name in names}


def test_a_single_pass_leaves_what_two_passes_leave(make_site: MakeSite) -> None:
    staged = make_site("s3", trees.HOOKED, backend=S3_MANIFEST)
    strategy = "collectfasta.strategies.boto3.Boto3Strategy"
    single = make_site("s3", trees.HOOKED, backend=S3_MANIFEST, strategy=strategy)

    staged.deploy()
    single.deploy()

    two, one = staged.bodies(), single.bodies()
    assert json.loads(one.pop(MANIFEST)) == json.loads(two.pop(MANIFEST))
    assert one == two
