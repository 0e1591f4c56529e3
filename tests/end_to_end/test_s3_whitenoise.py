"""Storages on S3 that WhiteNoise's storage stages."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import InMemoryStorage
from storages.backends.s3 import S3ManifestStaticStorage, S3StaticStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage, CompressedStaticFilesStorage

from .lives import COMPRESSED, WHITENOISE, WhiteNoiseBucket, WhiteNoiseManifestBucket
from .site import MANIFEST, MakeCloud, MakeSite
from .storages import path_of

pytestmark = [pytest.mark.s3, pytest.mark.staging]


class TestManifest(WhiteNoiseManifestBucket):
    """A manifest storage."""

    place = "s3"


class TestPlain(WhiteNoiseBucket):
    """A plain storage, which publishes no manifest of its own: WhiteNoise's is one file of all."""

    place = "s3"
    is_plain = True


class OwnManifestName(S3ManifestStaticStorage):
    """Has its manifest elsewhere."""

    manifest_name = "manifests/v2.json"


class InMemoryManifestStorage(ManifestFilesMixin, InMemoryStorage):  # type: ignore[misc]
    """A local class that has no files of the file system."""


class OptionStorage(CompressedManifestStaticFilesStorage):
    """Has an option of its own."""

    def __init__(self, *args: Any, suffix: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._suffix = suffix

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        hashed: str = super().hashed_name(name, content, filename)
        return hashed.removesuffix(self._suffix) + self._suffix


def staged_by(storage: type | str) -> dict[str, Any]:
    """Return settings that stage by a storage class, or by one of an alias."""
    path = storage if isinstance(storage, str) else path_of(storage)
    return {"COLLECTFASTA_STAGING_STORAGE": path}


class TestBetweenTwoClasses:
    """The class that stages and the class of the bucket are two."""

    S3_MANIFEST = path_of(S3ManifestStaticStorage)

    def test_the_buckets_names_the_manifest(self, make_site: MakeSite) -> None:
        site = make_site(
            "s3", COMPRESSED, backend=path_of(OwnManifestName), settings=staged_by(WHITENOISE)
        )
        site.deploy()
        assert {*json.loads(site.cloud.get("manifests/v2.json").body)["paths"]} == {*COMPRESSED}
        assert not site.cloud.exists(MANIFEST)

    def test_the_buckets_says_where_the_manifest_goes(
        self, make_site: MakeSite, make_cloud: MakeCloud
    ) -> None:
        other = make_cloud("s3")
        site = make_site("s3", COMPRESSED, backend=self.S3_MANIFEST, settings=staged_by(WHITENOISE))
        site.deploy(options={"manifest_storage": S3StaticStorage(**other.options())})
        paths = json.loads(other.get(MANIFEST).body)["paths"]
        assert {*paths.values()} < {*site.cloud.keys()}
        assert not site.cloud.exists(MANIFEST)

    def test_the_buckets_does_not_compress_a_variant_again(self, make_site: MakeSite) -> None:
        site = make_site(
            "s3",
            COMPRESSED,
            backend=self.S3_MANIFEST,
            settings=staged_by(WHITENOISE),
            options={"gzip": True},
        )
        site.deploy()
        assert gzip.decompress(site.cloud.get("js/app.js.gz").body) == COMPRESSED["js/app.js"]

    def test_the_one_that_stages_brings_its_options_but_its_location(
        self, make_site: MakeSite, make_cloud: MakeCloud, tmp_path: Any
    ) -> None:
        cloud = make_cloud("s3")
        options = {"location": str(tmp_path / "elsewhere"), "suffix": ".own"}
        staging = {"BACKEND": path_of(OptionStorage), "OPTIONS": options}
        all_storages = {**cloud.storages(self.S3_MANIFEST), "staging": staging}
        site = make_site(
            cloud, COMPRESSED, settings={"STORAGES": all_storages, **staged_by("staging")}
        )
        site.deploy()
        paths = json.loads(cloud.get(MANIFEST).body)["paths"]
        assert [name for name in paths.values() if not name.endswith(".own")] == []
        assert {*paths.values()} < {*cloud.keys()}
        assert not (tmp_path / "elsewhere").exists()

    def test_the_one_that_stages_may_make_no_manifest(self, make_site: MakeSite) -> None:
        site = make_site("s3", COMPRESSED, settings=staged_by(CompressedStaticFilesStorage))
        site.deploy()
        variants = [
            f"{name}{end}" for name in COMPRESSED for end in (".br", ".gz") if name[-1] == "s"
        ]
        assert site.cloud.keys() == sorted([*COMPRESSED, *variants])

    def test_the_one_that_stages_may_keep_its_files_in_memory(self, make_site: MakeSite) -> None:
        site = make_site(
            "s3",
            COMPRESSED,
            backend=self.S3_MANIFEST,
            settings=staged_by(InMemoryManifestStorage),
        )
        site.deploy()
        paths = json.loads(site.cloud.get(MANIFEST).body)["paths"]
        assert site.cloud.keys() == sorted([*COMPRESSED, *paths.values(), MANIFEST])
        assert site.cloud.get("img/a.png").body == COMPRESSED["img/a.png"]

    def test_the_setting_wins_over_the_stage_of_the_strategy(self, make_site: MakeSite) -> None:
        site = make_site(
            "s3",
            COMPRESSED,
            backend=self.S3_MANIFEST,
            strategy="collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy",
            settings=staged_by(WHITENOISE),
        )
        site.deploy()
        assert site.cloud.exists("js/app.js.br")
