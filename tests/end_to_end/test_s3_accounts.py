"""Signatures, permissions and ACLs at a server that checks them: nothing here is simulated."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

NAMES = [f"{letter}.css" for letter in "abcdef"]
BODIES = {name: name.encode() for name in NAMES}
MANIFEST = "storages.backends.s3.S3ManifestStaticStorage"
ODD_NAMES = [
    "a b/c  d.css",
    "plus+plus.css",
    "percent%2Fencoded%20.css",
    "hash#hash.css",
    "tilde~tilde.css",
    "question?a=b&c.css",
    unicodedata.normalize("NFC", "é.css"),
    unicodedata.normalize("NFD", "é.css"),
]
THREADS = 8
READ = ("s3:ListBucket", "s3:GetObject")
WRONG = {
    "SignatureDoesNotMatch": {"secret_key": "not the secret key"},
    "InvalidAccessKeyId": {"access_key": "AKIAUNKNOWN"},
}

needs_accounts = pytest.mark.needs_s3("accounts")


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, body in BODIES.items():
        static_tree.write(name, body)
    return static_tree


@pytest.fixture
def stranger(s3_server: S3Server) -> dict[str, Any]:
    """Options of a storage that logs in to another account than the bucket's."""
    user = s3_server.stranger
    assert user is not None
    return {"access_key": user.access_key, "secret_key": user.secret_key}


@pytest.fixture
def allow(s3: S3Cloud, s3_server: S3Server) -> Callable[..., None]:
    """Gives the other account some permissions on the bucket, and no others."""

    def statement(effect: str, user: str, *actions: str, **more: Any) -> dict[str, Any]:
        return {
            "Effect": effect,
            "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]},
            "Action": [*actions],
            "Resource": [f"arn:aws:s3:::{s3.name}", f"arn:aws:s3:::{s3.name}/*"],
            **more,
        }

    def allow(*actions: str) -> None:
        assert s3_server.stranger is not None
        user = s3_server.stranger.name
        # What the other account writes is its own: without a policy the tests could not read it.
        owner = s3.client.list_buckets()["Owner"]["ID"]
        statements = [statement("Allow", owner, "s3:*"), statement("Allow", user, *actions)]
        if "s3:PutObjectAcl" not in actions:
            # Ceph 16 asks for the permission in requests for an ACL alone. In S3 it goes with any
            # ACL: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
            condition = {"StringEquals": {"s3:x-amz-acl": "public-read"}}
            statements.append(statement("Deny", user, "s3:PutObject", Condition=condition))
        policy = {"Version": "2012-10-17", "Statement": statements}
        s3.client.put_bucket_policy(Bucket=s3.name, Policy=json.dumps(policy))

    return allow


@pytest.fixture
def refused(collectstatic: CollectStatic) -> Callable[..., str]:
    """Runs the command and returns the message that it fails with."""

    def run(*arguments: Any, **keywords: Any) -> str:
        with pytest.raises(CommandError) as caught:
            collectstatic(*arguments, **keywords)
        return str(caught.value)

    return run


def bodies(cloud: S3Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def read_by_anyone(server: S3Server, cloud: S3Cloud, key: str) -> bytes:
    """Read an object without credentials."""
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
    client = boto3.client(
        "s3", endpoint_url=server.endpoint, region_name=server.region, config=config
    )
    try:
        return client.get_object(Bucket=cloud.name, Key=key)["Body"].read()
    finally:
        client.close()


@pytest.mark.needs_s3("anonymous requests")
class TestAccessByAnyone:
    def test_is_given_by_the_acl(
        self,
        s3: S3Cloud,
        s3_server: S3Server,
        tree: StaticTree,
        collectstatic: CollectStatic,
    ) -> None:
        collectstatic(s3, settings={"AWS_DEFAULT_ACL": "public-read"})

        assert {name: read_by_anyone(s3_server, s3, name) for name in NAMES} == BODIES

    def test_is_refused_without_one(
        self, s3: S3Cloud, s3_server: S3Server, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3)

        with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
            read_by_anyone(s3_server, s3, NAMES[0])

    def test_is_given_to_what_a_manifest_names(
        self, s3: S3Cloud, s3_server: S3Server, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3, backend=MANIFEST, settings={"AWS_DEFAULT_ACL": "public-read"})

        manifest = json.loads(read_by_anyone(s3_server, s3, "staticfiles.json"))
        published = manifest["paths"].items()
        assert {k: read_by_anyone(s3_server, s3, name) for k, name in published} == BODIES


@needs_accounts
class TestNoPermissionToList:
    @pytest.fixture
    def unlisted(self, s3: S3Cloud, tree: StaticTree, allow: Callable[..., None]) -> S3Cloud:
        """A bucket with one file as it should be, one stale, and the rest missing."""
        s3.put("a.css", BODIES["a.css"])
        s3.put("b.css", b"stale")
        allow("s3:GetObject", "s3:PutObject")
        return s3

    def test_objects_are_asked_for_one_by_one(
        self,
        unlisted: S3Cloud,
        stranger: dict[str, Any],
        collectstatic: CollectStatic,
    ) -> None:
        collectstatic(unlisted, options=stranger)

        assert bodies(unlisted) == BODIES
        assert unlisted.counts() == {"LIST": 1, "HEAD": len(NAMES), "PUT": len(NAMES) - 1}

    def test_one_warning_names_the_permission(
        self,
        unlisted: S3Cloud,
        stranger: dict[str, Any],
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        collectstatic(unlisted, options=stranger)

        (warning,) = warnings_of(caplog)
        assert f"s3:ListBucket on arn:aws:s3:::{unlisted.name}." in warning

    def test_manifest_is_published_in_the_place_of_another(
        self,
        unlisted: S3Cloud,
        stranger: dict[str, Any],
        collectstatic: CollectStatic,
    ) -> None:
        unlisted.put("staticfiles.json", b'{"version": "1.1", "paths": {}}')

        collectstatic(unlisted, backend=MANIFEST, options=stranger)

        stored = bodies(unlisted)
        paths = json.loads(stored["staticfiles.json"])["paths"]
        assert {name: stored[hashed] for name, hashed in paths.items()} == BODIES

    def test_first_manifest_is_not_known_to_be_the_first(
        self,
        unlisted: S3Cloud,
        stranger: dict[str, Any],
        refused: Callable[..., str],
    ) -> None:
        message = refused(unlisted, backend=MANIFEST, options=stranger)

        assert message.startswith("S3 does not say why it refuses to look at an object of s3://")
        assert f"s3:ListBucket on arn:aws:s3:::{unlisted.name}." in message
        assert "\n" not in message
        assert unlisted.counts() == {"HEAD": 1}


@needs_accounts
class TestReadOnly:
    @pytest.fixture
    def read_only(self, s3: S3Cloud, allow: Callable[..., None]) -> S3Cloud:
        allow(*READ)
        return s3

    def test_one_line_names_the_permission_and_the_number_of_files(
        self,
        read_only: S3Cloud,
        stranger: dict[str, Any],
        tree: StaticTree,
        refused: Callable[..., str],
    ) -> None:
        message = refused(read_only, options=stranger)

        assert message == (
            f"6 files were not sent to s3://{read_only.name}/: The credentials lack the "
            f"permission s3:PutObject on arn:aws:s3:::{read_only.name}/*."
        )

    def test_rest_is_not_tried(
        self,
        read_only: S3Cloud,
        stranger: dict[str, Any],
        static_tree: StaticTree,
        refused: Callable[..., str],
    ) -> None:
        for number in range(50):
            static_tree.write(f"{number}.css", b"x")

        message = refused(read_only, options=stranger, threads=THREADS)

        assert message.startswith("50 files were not sent")
        # Three that were refused, and one that each thread had begun by then.
        assert read_only.counts()["PUT"] <= 3 + 2 * THREADS
        assert read_only.keys() == []

    def test_live_manifest_stays(
        self,
        read_only: S3Cloud,
        stranger: dict[str, Any],
        tree: StaticTree,
        collectstatic: CollectStatic,
        refused: Callable[..., str],
    ) -> None:
        collectstatic(read_only, backend=MANIFEST)
        live = bodies(read_only)
        for name in NAMES:
            tree.write(name, b"changed")

        message = refused(read_only, backend=MANIFEST, options=stranger)

        assert bodies(read_only) == live
        assert "s3:PutObject" in message


@needs_accounts
class TestOtherPermissions:
    def test_setting_an_acl_is_named_where_one_is_set(
        self,
        s3: S3Cloud,
        stranger: dict[str, Any],
        tree: StaticTree,
        allow: Callable[..., None],
        refused: Callable[..., str],
    ) -> None:
        allow(*READ, "s3:PutObject")
        options = {**stranger, "default_acl": "public-read"}

        message = refused(s3, options=options)

        assert message == (
            f"6 files were not sent to s3://{s3.name}/: The credentials lack the permission "
            f"s3:PutObject and s3:PutObjectAcl on arn:aws:s3:::{s3.name}/*."
        )
        assert s3.keys() == []

    def test_deleting_is_named_when_everything_is_written(
        self,
        s3: S3Cloud,
        stranger: dict[str, Any],
        tree: StaticTree,
        allow: Callable[..., None],
        refused: Callable[..., str],
    ) -> None:
        s3.put("static/old.css", b"old")
        allow(*READ, "s3:PutObject")

        message = refused(s3, options={**stranger, "location": "static"}, clear=True)

        deployed = {f"static/{name}": body for name, body in BODIES.items()}
        assert bodies(s3) == {**deployed, "static/old.css": b"old"}
        assert f"s3:DeleteObject on arn:aws:s3:::{s3.name}/static/" in message
        assert len(message.splitlines()) <= 3

    def test_bucket_of_somebody_else_is_not_written(
        self,
        s3: S3Cloud,
        stranger: dict[str, Any],
        tree: StaticTree,
        refused: Callable[..., str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        message = refused(s3, options=stranger, threads=0)

        assert f"The credentials lack the permission s3:PutObject on arn:aws:s3:::{s3.name}/*." in (
            message
        )
        assert len(message.splitlines()) == 1
        assert len(warnings_of(caplog)) == 1
        assert s3.counts() == {"LIST": 1, "HEAD": len(NAMES), "PUT": 3}
        assert s3.keys() == []


@needs_accounts
@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
class TestWrongCredentials:
    def test_are_named_before_anything_is_sent(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        refused: Callable[..., str],
        request: pytest.FixtureRequest,
        options: dict[str, str],
    ) -> None:
        message = refused(s3, options=options)

        assert message.startswith(f"The credentials for the bucket '{s3.name}' at http://")
        assert f"({request.node.callspec.id.rpartition('-')[2]})" in message
        assert "\n" not in message
        assert s3.counts() == {"LIST": 1}

    def test_are_named_where_the_storage_reads_its_manifest(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        refused: Callable[..., str],
        options: dict[str, str],
    ) -> None:
        message = refused(s3, backend=MANIFEST, options=options)

        assert message.startswith("S3 does not say why it refuses to look at an object of s3://")
        assert "the credentials are wrong" in message
        assert "\n" not in message
        assert s3.counts() == {"HEAD": 1}


@needs_accounts
class TestSignaturesOfOddKeys:
    """The same is sent where signatures don't count by the contract tests."""

    @pytest.fixture
    def odd(self, static_tree: StaticTree) -> dict[str, bytes]:
        for name in ODD_NAMES:
            static_tree.write(name, name.encode())
        return {f"a b/+%2F~ü/{name}": name.encode() for name in ODD_NAMES}

    @pytest.mark.parametrize("acl", [None, "public-read"])
    def test_are_right_to_put_list_and_delete(
        self, s3: S3Cloud, odd: dict[str, bytes], collectstatic: CollectStatic, acl: str | None
    ) -> None:
        options = {"location": "a b/+%2F~ü", "default_acl": acl}
        for name in ODD_NAMES:
            s3.put(f"a b/+%2F~ü/old {name}", b"old")

        collectstatic(s3, options=options, clear=True)
        cleared = bodies(s3)
        s3.clear_requests()
        collectstatic(s3, options=options)

        assert cleared == odd
        assert s3.counts() == {"LIST": 1}

    def test_are_right_to_look_at(
        self,
        s3: S3Cloud,
        stranger: dict[str, Any],
        odd: dict[str, bytes],
        allow: Callable[..., None],
        collectstatic: CollectStatic,
    ) -> None:
        for key, body in odd.items():
            s3.put(key, body)
        allow("s3:GetObject")

        run = collectstatic(s3, options={**stranger, "location": "a b/+%2F~ü"})

        assert f"0 static files copied, {len(odd)} unmodified" in run.stdout
        assert s3.counts() == {"LIST": 1, "HEAD": len(odd)}

    def test_are_right_in_parts(
        self, s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        for name in ODD_NAMES:
            static_tree.write(name, name.encode() * 1_000_000)

        collectstatic(s3)

        assert bodies(s3) == {name: name.encode() * 1_000_000 for name in ODD_NAMES}
        assert "MULTIPART" in s3.counts()
