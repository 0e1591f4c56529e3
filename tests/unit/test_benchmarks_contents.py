"""What the benchmark finds wrong in a bucket."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.contents import ContentError, check_manifest, check_plain
from benchmarks.fast_s3 import serve
from benchmarks.side_path import FastS3Server
from benchmarks.static_tree import replace_references, write_tree

BUCKET = "tests"
FILES = 20
STYLE = "app-0/file-3.css"
IMAGE = "app-0/file-0.png"


@pytest.fixture(scope="module")
def server() -> Iterator[FastS3Server]:
    with serve(latency=0) as running:
        yield running


@pytest.fixture
def bucket(server: FastS3Server) -> Iterator[str]:
    yield BUCKET
    server.forget(BUCKET)


@pytest.fixture
def checksums(tmp_path: Path) -> dict[str, str]:
    return write_tree(tmp_path, FILES)


def put(server: FastS3Server, key: str, body: bytes) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc)
    connection.request("PUT", f"/{BUCKET}/{key}", body)
    assert connection.getresponse().status == 200
    connection.close()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def hashed_name(name: str, content: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{md5(content)[:12]}.{suffix}"


def deploy_plain(server: FastS3Server, tree: Path, names: Mapping[str, str]) -> None:
    for name in names:
        put(server, f"static/{name}", (tree / name).read_bytes())


def deploy_manifest(server: FastS3Server, tree: Path, names: Mapping[str, str]) -> dict[str, str]:
    """Deploy as a manifest storage would, and return what the manifest names."""
    deploy_plain(server, tree, names)
    contents = {name: (tree / name).read_bytes() for name in names}
    paths = {name: hashed_name(name, content) for name, content in contents.items()}
    for name in names:
        if name.endswith(".css"):
            contents[name] = replace_references(contents[name].decode(), paths).encode()
            paths[name] = hashed_name(name, contents[name])
    for name, content in contents.items():
        put(server, f"static/{paths[name]}", content)
    put(server, "static/staticfiles.json", json.dumps({"paths": paths}).encode())
    return paths


def test_a_complete_plain_deploy_passes(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_plain(server, tmp_path, checksums)
    check_plain(server, bucket, checksums)


def test_a_missing_object_is_found(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_plain(server, tmp_path, {k: v for k, v in checksums.items() if k != IMAGE})
    with pytest.raises(ContentError, match=IMAGE):
        check_plain(server, bucket, checksums)


def test_a_wrong_byte_is_found(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_plain(server, tmp_path, checksums)
    put(server, f"static/{IMAGE}", b"?" + (tmp_path / IMAGE).read_bytes()[1:])
    with pytest.raises(ContentError, match=IMAGE):
        check_plain(server, bucket, checksums)


def test_an_object_too_many_is_found(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_plain(server, tmp_path, checksums)
    put(server, "static/foreign.txt", b"")
    with pytest.raises(ContentError, match=r"foreign\.txt"):
        check_plain(server, bucket, checksums)


def test_a_complete_manifest_deploy_passes(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_manifest(server, tmp_path, checksums)
    check_manifest(server, bucket, tmp_path, checksums, frozenset())


def test_a_style_sheet_that_refers_to_the_unhashed_name_is_found(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    paths = deploy_manifest(server, tmp_path, checksums)
    put(server, f"static/{paths[STYLE]}", (tmp_path / STYLE).read_bytes())
    with pytest.raises(ContentError, match=r"file-3\..*css"):
        check_manifest(server, bucket, tmp_path, checksums, frozenset())


def test_a_file_that_the_manifest_does_not_name_is_found(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    paths = deploy_manifest(server, tmp_path, checksums)
    del paths[IMAGE]
    put(server, "static/staticfiles.json", json.dumps({"paths": paths}).encode())
    with pytest.raises(ContentError, match=IMAGE):
        check_manifest(server, bucket, tmp_path, checksums, frozenset())


def test_a_missing_manifest_is_found(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_plain(server, tmp_path, checksums)
    with pytest.raises(ContentError, match="manifest"):
        check_manifest(server, bucket, tmp_path, checksums, frozenset())


def test_what_an_earlier_deploy_left_may_stay(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_manifest(server, tmp_path, checksums)
    put(server, "static/app-0/file-0.0123456789ab.png", b"")
    earlier = frozenset({"static/app-0/file-0.0123456789ab.png"})
    check_manifest(server, bucket, tmp_path, checksums, earlier)


def test_a_copied_bucket_holds_the_same_and_was_asked_nothing(
    server: FastS3Server, bucket: str, tmp_path: Path, checksums: dict[str, str]
) -> None:
    deploy_plain(server, tmp_path, checksums)
    server.copy(bucket, "copy", age=60)
    assert server.look_at("copy").objects == server.look_at(bucket).objects
    assert not server.look_at("copy").requests
    server.forget("copy")


def test_a_copy_stays_when_the_original_is_forgotten(server: FastS3Server, bucket: str) -> None:
    put(server, "key", b"content")
    server.copy(bucket, "copy", age=60)
    server.forget(bucket)
    assert server.read("copy", "key") == b"content"
    server.forget("copy")
