"""Compressed files: what S3Storage would have sent, told apart without sending it."""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any

import pytest
from django.core.files.base import ContentFile
from storages.backends.s3 import S3StaticStorage

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

TEXT = b"body { color: red }\n" * 100
SVGZ = gzip.compress(b"<svg/>" * 50, mtime=0)
FILES = {
    "a.css": TEXT,
    "b/b.js": b"alert(1);\n" * 100,
    "c.svg": b"<svg/>" * 100,
    "compressed.svgz": SVGZ,
    "compressed.css.gz": gzip.compress(TEXT, mtime=0),
    "empty.css": b"",
    "image.png": b"\x89PNG" + bytes(500),
    "plain.txt": TEXT,
}
# Larger than what is held in memory, and badly compressible.
LARGE = random.Random(0).randbytes(1_200_000).hex().encode()


class PerObject(S3StaticStorage):
    """Decides for each object."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_object_parameters(name)
        if name.startswith("b/"):
            return {**parameters, "ContentEncoding": "identity", "CacheControl": "no-store"}
        return {**parameters, "ContentType": "text/css"} if name == "plain.txt" else parameters


class OwnCompressor(S3StaticStorage):
    """Compresses in its own way, always to the same bytes."""

    def _compress_content(self, content: IO[bytes]) -> IO[bytes]:
        return BytesIO(gzip.compress(content.read(), compresslevel=1, mtime=0))


class RestlessCompressor(S3StaticStorage):
    """Compresses the same content to other bytes each time."""

    clock = itertools.count(1)

    def _compress_content(self, content: IO[bytes]) -> IO[bytes]:
        return BytesIO(gzip.compress(content.read(), mtime=next(self.clock)))


class OwnParameters(S3StaticStorage):
    """Works the parameters out in its own way."""

    def _get_write_parameters(self, name: str, content: Any = None) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._get_write_parameters(name, content)
        if parameters["ContentType"] == "text/css":
            parameters["CacheControl"] = "max-age=60"
        if name == "plain.txt":
            parameters["ContentType"] = "image/svg+xml"
        return parameters


class OwnSave(S3StaticStorage):
    """Saves something else than it is given."""

    def _save(self, name: str, content: Any) -> str:
        content.seek(0)
        saved: str = super()._save(name, ContentFile(content.read().upper() + b"!", name))
        return saved


STORAGES = {
    storage.__name__: f"{__name__}.{storage.__name__}"
    for storage in (PerObject, OwnCompressor, OwnParameters, OwnSave)
}


@pytest.fixture
def other_s3(s3_server: S3Server) -> Iterator[S3Cloud]:
    """Another empty bucket."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


@pytest.mark.parametrize("threads", [0, 8])
def test_bucket_equals_the_one_of_django(
    s3: S3Cloud, other_s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    tree.write("large.css", LARGE)
    collectstatic(s3, options={"gzip": True}, threads=threads)
    collectstatic(other_s3, options={"gzip": True}, disable_collectfasta=True)

    assert s3.objects() == other_s3.objects()
    assert s3.get("a.css").headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("backend", STORAGES.values(), ids=STORAGES)
def test_bucket_equals_the_one_of_django_by_a_class_that_decides_otherwise(
    s3: S3Cloud, other_s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, backend: str
) -> None:
    collectstatic(s3, backend=backend, options={"gzip": True})
    collectstatic(other_s3, backend=backend, options={"gzip": True}, disable_collectfasta=True)

    assert s3.objects() == other_s3.objects()


def test_content_types_to_compress_are_those_of_the_storage(
    s3: S3Cloud, other_s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    options = {"gzip": True, "gzip_content_types": ["text/plain"]}
    collectstatic(s3, options=options)
    collectstatic(other_s3, options=options, disable_collectfasta=True)

    assert s3.objects() == other_s3.objects()
    encoded = [key for key in s3.keys() if "content-encoding" in s3.get(key).headers]
    assert encoded == ["compressed.css.gz", "compressed.svgz", "plain.txt"]


def test_compressed_file_is_not_compressed_again(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, options={"gzip": True})

    stored = s3.get("compressed.svgz")
    assert stored.body == SVGZ
    assert stored.headers["content-encoding"] == "gzip"


def test_encoding_that_the_class_has_set_is_kept(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, backend=STORAGES["PerObject"], options={"gzip": True})

    assert s3.get("b/b.js").body == FILES["b/b.js"]
    assert s3.get("plain.txt").headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("backend", [None, *STORAGES.values()], ids=["plain", *STORAGES])
def test_nothing_is_sent_again_with_a_warm_cache(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, backend: str | None
) -> None:
    collectstatic(s3, backend=backend, options={"gzip": True})
    s3.clear_requests()

    collectstatic(s3, backend=backend, options={"gzip": True})

    assert s3.counts() == {"LIST": 1}


def test_nothing_is_sent_again_with_a_warm_cache_whatever_the_compressor_makes(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    backend = f"{__name__}.RestlessCompressor"
    collectstatic(s3, backend=backend, options={"gzip": True})
    s3.clear_requests()

    collectstatic(s3, backend=backend, options={"gzip": True})

    assert s3.counts() == {"LIST": 1}


@pytest.mark.parametrize(
    "backend", [None, *(STORAGES[name] for name in ("PerObject", "OwnCompressor", "OwnParameters"))]
)
def test_nothing_is_sent_again_with_a_cold_cache(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, backend: str | None
) -> None:
    collectstatic(s3, backend=backend, options={"gzip": True}, disable_collectfasta=True)
    s3.clear_requests()

    collectstatic(s3, backend=backend, options={"gzip": True})

    assert s3.counts() == {"LIST": 1}


@pytest.mark.parametrize("backend", [None, STORAGES["OwnSave"]], ids=["plain", "OwnSave"])
def test_changed_file_is_sent_with_a_warm_cache(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, backend: str | None
) -> None:
    collectstatic(s3, backend=backend, options={"gzip": True})
    before = s3.objects()
    s3.clear_requests()
    tree.write("a.css", TEXT.replace(b"red", b"tan"))

    collectstatic(s3, backend=backend, options={"gzip": True})

    assert s3.counts()["PUT"] == 1
    assert {key for key, stored in s3.objects().items() if stored != before[key]} == {"a.css"}


@pytest.mark.parametrize("gzip_at_first", [False, True])
def test_compression_switched_on_or_off_is_a_change(
    s3: S3Cloud,
    other_s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    gzip_at_first: bool,
) -> None:
    collectstatic(s3, options={"gzip": gzip_at_first})
    collectstatic(other_s3, options={"gzip": not gzip_at_first}, disable_collectfasta=True)

    collectstatic(s3, options={"gzip": not gzip_at_first})

    assert s3.objects() == other_s3.objects()
