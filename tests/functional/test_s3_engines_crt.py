"""What obstore can't say is sent by awscrt, where that is installed."""

from __future__ import annotations

import gc
import hashlib
import time
from datetime import datetime, timezone

import pytest
from django.core.management import CommandError

from collectfasta.strategies import s3_combined
from collectfasta.strategies.s3_crt import CrtSender
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request

PUBLIC = {"default_acl": "public-read"}
NAMES = ["a.css", "b c+ü.js", "empty.txt"]
REFUSAL = b"<Error><Code>%s</Code><Message>no</Message></Error>"


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("a.css", b"a { color: red }")
    static_tree.write("b c+ü.js", b"b()")
    static_tree.write("empty.txt", b"")
    return static_tree


def is_put(request: Request) -> bool:
    return request.method == "PUT"


def agents(cloud: S3Cloud) -> set[str]:
    """Return the products that the files were sent by."""
    sent = (each.headers["user-agent"] for each in cloud.requests if is_put(each))
    return {agent.partition("/")[0] for agent in sent}


def test_object_with_an_acl_is_sent_by_awscrt(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    run = collectstatic(s3_obstore, options=PUBLIC, threads=8, verbosity=2)

    assert agents(s3_obstore) == {"CRTS3NativeClient"}
    assert s3_obstore.keys() == NAMES
    assert "by obstore and awscrt" in run.stdout


def test_nothing_of_awscrt_is_kept_when_the_deploy_has_ended(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    """Each client has four threads and nine descriptors."""
    # Those of other tests may be held by the tracebacks that pytest keeps.
    others = senders()
    collectstatic(s3_obstore, options=PUBLIC)
    assert agents(s3_obstore) == {"CRTS3NativeClient"}

    # A thread of awscrt's may hold it for a moment longer.
    deadline = time.monotonic() + 10
    while len(senders()) > len(others) and time.monotonic() < deadline:
        time.sleep(0.05)
        gc.collect()
    assert len(senders()) == len(others)


def senders() -> list[CrtSender]:
    return [each for each in gc.get_objects() if type(each) is CrtSender]


def test_next_deploy_finds_nothing_to_send(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3_obstore, options=PUBLIC)
    s3_obstore.clear_requests()

    collectstatic(s3_obstore, options=PUBLIC)

    assert s3_obstore.counts() == {"LIST": 1}


@pytest.mark.parametrize(
    "parameters",
    [
        {"ACL": "bucket-owner-full-control", "CacheControl": "max-age=5"},
        {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
        {"Tagging": "a=b&c=d", "Metadata": {"owner": "me"}},
        {"WebsiteRedirectLocation": "/elsewhere", "ContentLanguage": "de"},
        {"Expires": datetime(2030, 1, 1, tzinfo=timezone.utc), "StorageClass": "STANDARD_IA"},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_object_is_that_of_boto3(
    s3_obstore: S3Cloud,
    s3_boto3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    parameters: dict[str, object],
) -> None:
    options = {"object_parameters": parameters}
    collectstatic(s3_obstore, options=options)
    collectstatic(s3_boto3, options=options)

    assert agents(s3_obstore) == {"CRTS3NativeClient"}
    assert agents(s3_boto3) == {"Boto3"}
    assert s3_obstore.objects() == s3_boto3.objects()
    for key in NAMES:
        assert _said_of(s3_obstore, key) == _said_of(s3_boto3, key)


def _said_of(cloud: S3Cloud, key: str) -> object:
    place = {"Bucket": cloud.name, "Key": key}
    grants = cloud.client.get_object_acl(**place)["Grants"]  # type: ignore[arg-type]
    tags = cloud.client.get_object_tagging(**place)["TagSet"]  # type: ignore[arg-type]
    return grants, tags, cloud.version(key)


def test_body_is_signed(
    s3_obstore: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.css", b"a { color: red }")

    collectstatic(s3_obstore, options=PUBLIC)

    (put,) = filter(is_put, s3_obstore.requests)
    checksum = hashlib.sha256(b"a { color: red }").hexdigest()
    assert put.headers["x-amz-content-sha256"] == checksum


def test_session_token_is_sent(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3_obstore, options={**PUBLIC, "security_token": "a-token"})

    tokens = {each.headers["x-amz-security-token"] for each in s3_obstore.requests}
    assert agents(s3_obstore) == {"CRTS3NativeClient"}
    assert tokens == {"a-token"}


def test_failed_attempt_is_repeated(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    s3_obstore.recorder.fail(is_put, 503, REFUSAL % b"SlowDown", times=2)

    collectstatic(s3_obstore, options=PUBLIC)

    assert agents(s3_obstore) == {"CRTS3NativeClient"}
    assert s3_obstore.keys() == NAMES


def test_refusal_is_told_as_ever(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    s3_obstore.recorder.fail(is_put, 403, REFUSAL % b"AccessDenied")

    with pytest.raises(CommandError, match="s3:PutObject and s3:PutObjectAcl on"):
        collectstatic(s3_obstore, options=PUBLIC)

    assert agents(s3_obstore) == {"CRTS3NativeClient"}


def test_boto3_follows_a_bucket_to_another_region(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    def is_by_awscrt(request: Request) -> bool:
        return request.headers["user-agent"].startswith("CRT")

    s3_obstore.recorder.fail(is_by_awscrt, 400, REFUSAL % b"AuthorizationHeaderMalformed")

    collectstatic(s3_obstore, options=PUBLIC, threads=0)

    assert s3_obstore.keys() == NAMES
    assert len([each for each in s3_obstore.requests if is_by_awscrt(each)]) == 1


def test_large_file_goes_by_boto3(
    s3_obstore: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("large.bin", bytes(2_000_000))

    collectstatic(s3_obstore, options=PUBLIC)

    assert agents(s3_obstore) == {"Boto3"}
    assert s3_obstore.get("large.bin").body == bytes(2_000_000)


def test_without_awscrt_boto3_sends(
    s3_obstore: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3_combined, "find_spec", lambda name: name == "obstore" or None)

    run = collectstatic(s3_obstore, options=PUBLIC, verbosity=2)

    assert agents(s3_obstore) == {"Boto3"}
    assert "by obstore and boto3 (ACL)" in run.stdout
