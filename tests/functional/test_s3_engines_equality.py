"""Both engines and Django's own command leave the same bucket."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from storages.backends.s3 import S3StaticStorage

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

MEGABYTE = 1024 * 1024
THRESHOLD = 6 * MEGABYTE
PART = 5 * MEGABYTE
NOISE = random.Random(0).randbytes(2 * PART + 1)
CONFIG = TransferConfig(multipart_threshold=THRESHOLD, multipart_chunksize=PART)

NAMES = [
    " leading and trailing ",
    "!*'()|^`.css",
    "%",
    "%2F%20%00.css",
    "-rf",
    ".hidden/.css",
    "a b  c.css",
    "a+b.css",
    "a&b=c;d:e@f$g,h.css",
    "back\\slash.css",
    "hash#hash.css",
    "question?.css",
    "quotes'\".css",
    "tilde~.css",
    "[]{}<>.css",
    "…/ü\u00a0.css",
    "\U0001f600.png",
    unicodedata.normalize("NFC", "é.css"),
    unicodedata.normalize("NFD", "é.css"),
    "x" * 200 + "/" + "y" * 200,
]
SIZES = {
    "empty": 0,
    "empty.bin": 0,
    "one.bin": 1,
    "small.bin": MEGABYTE - 1,
    "at once.bin": MEGABYTE,
    "by file.bin": MEGABYTE + 1,
    "below.bin": THRESHOLD - 1,
    "parts.bin": THRESHOLD,
    "exact.bin": 2 * PART,
    "more.bin": 2 * PART + 1,
}
# Those that obstore can send first, then those that it can't.
PARAMETERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "cache": {"CacheControl": "public, max-age=31536000, immutable"},
    "type": {"ContentType": "text/css; charset=utf-8"},
    "disposition": {"ContentDisposition": 'attachment; filename="a b.css"'},
    "language": {"ContentLanguage": "de, en"},
    "encoding": {"ContentEncoding": "br"},
    "class": {"StorageClass": "STANDARD_IA"},
    "metadata": {"Metadata": {"Owner": "me", "build-id": "a b/c", "under_score": "1"}},
    "all": {
        "CacheControl": "no-cache",
        "ContentDisposition": "inline",
        "ContentEncoding": "identity",
        "ContentLanguage": "de",
        "ContentType": "text/plain",
        "Metadata": {"a": "b"},
        "StorageClass": "REDUCED_REDUNDANCY",
    },
    "acl": {"ACL": "public-read"},
    "grant": {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"},
    "tags": {"Tagging": "project=static&stage=live"},
    "sse": {"ServerSideEncryption": "AES256"},
    "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
    "expires": {"Expires": datetime(2030, 1, 1, tzinfo=timezone.utc)},
    "redirect": {"WebsiteRedirectLocation": "/elsewhere"},
    "spaces": {"CacheControl": "max-age=1,  public"},
    "space-around": {"Metadata": {"a": " b "}},
    "no-value": {"CacheControl": "", "Metadata": {"a": ""}},
    "umlaut": {"ContentDisposition": 'attachment; filename="ü.css"'},
    "like-a-header": {"Metadata": {"Storage-Class": "1"}},
    "nearly-a-header": {"Metadata": {"cachecontrol": "1", "contenttype": "2"}},
    "like-another": {"Metadata": {"content-length": "4", "acl": "5", "expires": "6"}},
    "odd-names": {"Metadata": {"a.b": "1", "_c": "2"}},
    "many": {"Metadata": {f"name-{n}": str(n) for n in range(20)}},
}


class PerObject(S3StaticStorage):
    """Writes each object with the parameters that its name says."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        return {**PARAMETERS[name.partition(".")[0]]}


@pytest.fixture
def django_s3(s3_server: S3Server) -> Iterator[S3Cloud]:
    """An empty bucket, to be deployed to by Django's own command."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


class Deploy:
    """One tree in three buckets: by obstore, by boto3, and by Django."""

    def __init__(self, clouds: list[S3Cloud], collectstatic: CollectStatic) -> None:
        self._clouds = clouds
        self._collectstatic = collectstatic

    def __call__(self, *, threads: int = 8, **options: Any) -> None:
        """Deploy to each, and compare all that can be seen of the objects."""
        for cloud in self._clouds:
            by_django = cloud is self._clouds[-1]
            self._collectstatic(
                cloud,
                threads=threads,
                disable_collectfasta=by_django,
                use_default_ignore_patterns=False,
                **options,
            )
        by_obstore, by_boto3, by_django_itself = (everything(cloud) for cloud in self._clouds)
        assert by_obstore == by_django_itself
        assert by_boto3 == by_django_itself
        assert by_django_itself


@pytest.fixture
def deploy(
    s3_obstore: S3Cloud, s3_boto3: S3Cloud, django_s3: S3Cloud, collectstatic: CollectStatic
) -> Deploy:
    return Deploy([s3_obstore, s3_boto3, django_s3], collectstatic)


def everything(cloud: S3Cloud) -> dict[str, Any]:
    """Return the body, headers, ETag, tags and ACL of each object."""
    # Django sorts the manifest's names since 6.0 only: its bytes are compared elsewhere, parsed.
    keys = (key for key in cloud.keys() if not key.endswith("staticfiles.json"))
    return {key: _described(cloud, key) for key in keys}


def _described(cloud: S3Cloud, key: str) -> Any:
    where: Any = {"Bucket": cloud.name, "Key": key}
    stored, etag = cloud.get(key), cloud.version(key)
    body = hashlib.sha256(stored.body).hexdigest()
    tags = cloud.client.get_object_tagging(**where)["TagSet"]
    # moto can't tell the ACL of an object that was sent in parts without one.
    grants = "-" in etag or cloud.client.get_object_acl(**where)["Grants"]
    return body, len(stored.body), stored.headers, etag, tags, grants


@pytest.mark.parametrize("location", ["", "a b/+%2F~ü"], ids=["root", "location"])
@pytest.mark.parametrize("threads", [0, 8])
def test_odd_keys(static_tree: StaticTree, deploy: Deploy, location: str, threads: int) -> None:
    for name in NAMES:
        static_tree.write(name, name.encode())

    deploy(options={"location": location}, threads=threads)


@pytest.mark.parametrize("gzip", [False, True], ids=["", "gzip"])
@pytest.mark.parametrize("threads", [0, 8])
def test_sizes(static_tree: StaticTree, deploy: Deploy, gzip: bool, threads: int) -> None:
    for name, size in SIZES.items():
        static_tree.write(name, NOISE[:size])
    for name, size in {"small.css": 1000, "mid.css": MEGABYTE, "large.css": 4 * MEGABYTE}.items():
        static_tree.write(name, NOISE[:size].hex().encode())

    deploy(options={"transfer_config": CONFIG, "gzip": gzip}, threads=threads)


@pytest.mark.parametrize("gzip", [False, True], ids=["", "gzip"])
def test_parameters(static_tree: StaticTree, deploy: Deploy, gzip: bool) -> None:
    for case in PARAMETERS:
        static_tree.write(f"{case}.css", b"a { color: red }" * 100)

    deploy(backend=f"{__name__}.PerObject", options={"gzip": gzip})


@pytest.mark.needs_s3("tabs in headers")
def test_tab_in_a_parameter(static_tree: StaticTree, deploy: Deploy) -> None:
    static_tree.write("a.css", b"a { color: red }")

    deploy(options={"object_parameters": {"CacheControl": "a\tb"}})


@pytest.mark.parametrize("case", ["all", "acl", "metadata", "like-a-header", "spaces"])
def test_parameters_of_files_in_parts(static_tree: StaticTree, deploy: Deploy, case: str) -> None:
    static_tree.write("large.bin", NOISE[:THRESHOLD])

    deploy(options={"transfer_config": CONFIG, "object_parameters": PARAMETERS[case]})


def test_acl_of_a_file_in_parts(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("large.bin", NOISE[:THRESHOLD])

    collectstatic(s3, options={"transfer_config": CONFIG, "default_acl": "public-read"})

    grants = s3.client.get_object_acl(Bucket=s3.name, Key="large.bin")["Grants"]
    assert "READ" in {each["Permission"] for each in grants}


def test_tree_of_a_manifest_storage(static_tree: StaticTree, deploy: Deploy) -> None:
    static_tree.write("css/a.css", b"@import 'b.css'; a { background: url(../i/c.png) }")
    static_tree.write("css/b.css", b"b {}")
    static_tree.write("i/c.png", NOISE[:1000])

    deploy(backend="storages.backends.s3.S3ManifestStaticStorage", options={"location": "static"})
