"""ETags that look like an MD5 and are not one, as S3 gives them under SSE-KMS and SSE-C.

moto answers with MD5s whatever the encryption is, so these tests run it with other ETags: each
write gets a random one (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import running
from tests.servers.s3 import S3Server

SERVER = """
import sys, uuid
from moto.s3.models import FakeKey
from moto.server import main

etag_of_content = FakeKey.etag.fget

def etag(self):
    if "opaque" not in vars(self):
        _, _, parts = etag_of_content(self).strip('"').partition("-")
        self.opaque = uuid.uuid4().hex + ("-" + parts if parts else "")
    return f'"{self.opaque}"'

FakeKey.etag = property(etag)
main(sys.argv[1:])
"""
ENCRYPTIONS: dict[str, dict[str, Any]] = {
    "KMS": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
    "C": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))},
}
FILES = {"a.css": b"aaa", "b.js": b"bbb", "c.txt": b"ccc"}


@pytest.fixture(scope="module")
def opaque_server() -> Iterator[S3Server]:
    """A server whose ETags say nothing of the content."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-c", SERVER, "-p", str(port)]

    with running("moto", command) as url:
        yield S3Server(url)


@pytest.fixture
def opaque(opaque_server: S3Server) -> Iterator[S3Cloud]:
    """An empty bucket on it."""
    with S3Cloud(opaque_server) as cloud:
        yield cloud


@pytest.fixture(params=ENCRYPTIONS)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options that encrypt, with a threshold that sends the file of `tree` in parts."""
    return {
        "object_parameters": ENCRYPTIONS[request.param],
        "transfer_config": TransferConfig(multipart_threshold=10_000),
    }


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    static_tree.write("parts.bin", bytes(10_000))
    return static_tree


def test_object_sent_by_others_is_sent_once_and_recognised_then(
    opaque: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, options: dict[str, Any]
) -> None:
    collectstatic(opaque, options=options, disable_collectfasta=True)
    opaque.clear_requests()

    collectstatic(opaque, options=options)
    assert opaque.counts() == {"LIST": 1, "PUT": 3, "MULTIPART": 3}
    opaque.clear_requests()
    collectstatic(opaque, options=options)

    assert opaque.counts() == {"LIST": 1}


@pytest.mark.parametrize("threads", [0, 8])
def test_object_is_recognised_from_its_first_deploy_on(
    opaque: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    options: dict[str, Any],
    threads: int,
) -> None:
    collectstatic(opaque, options=options, threads=threads)
    opaque.clear_requests()

    collectstatic(opaque, options=options, threads=threads)

    assert opaque.counts() == {"LIST": 1}


def test_object_stays_recognised_from_deploy_to_deploy(
    opaque: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, options: dict[str, Any]
) -> None:
    collectstatic(opaque, options=options)
    collectstatic(opaque, options=options)
    opaque.clear_requests()

    collectstatic(opaque, options=options)

    assert opaque.counts() == {"LIST": 1}


@pytest.mark.parametrize("name", ["b.js", "parts.bin"])
def test_changed_source_of_the_same_size_is_sent(
    opaque: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    options: dict[str, Any],
    name: str,
) -> None:
    collectstatic(opaque, options=options)
    opaque.clear_requests()
    changed = b"x" * tree.path(name).stat().st_size
    tree.write(name, changed)

    collectstatic(opaque, options=options)

    assert opaque.get(name).body == changed
    assert opaque.counts() == {"LIST": 1, **({"PUT": 1} if name == "b.js" else {"MULTIPART": 3})}


def test_what_is_remembered_says_nothing_of_an_object_written_since(
    opaque: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, options: dict[str, Any]
) -> None:
    collectstatic(opaque, options=options)
    opaque.put("b.js", b"xxx")
    opaque.clear_requests()

    collectstatic(opaque, options=options)

    assert opaque.get("b.js").body == FILES["b.js"]
    assert opaque.counts() == {"LIST": 1, "PUT": 1}


def test_deploy_that_could_not_list_forgets_nothing(
    opaque: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, options: dict[str, Any]
) -> None:
    collectstatic(opaque, options=options)
    opaque.recorder.fail(lambda request: request.method == "GET", 400)
    with pytest.raises(CommandError):
        collectstatic(opaque, options=options)
    opaque.recorder.reset()

    collectstatic(opaque, options=options)

    assert opaque.counts() == {"LIST": 1}
