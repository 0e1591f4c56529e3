"""docs/ci.md: the policy is enough and no more, and a job's variables are credentials."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from boto3.s3.transfer import TransferConfig
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.markdown import blocks, read
from tests.project import Project
from tests.servers import moto
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request
from tests.servers.s3 import S3Server, S3User

MANIFEST = "storages.backends.s3.S3ManifestStaticStorage"
PARTS = {
    "transfer_config": TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
}
LOCATION = {"location": "static"}

BLOCKS = list(blocks(read("ci.md")))
[POLICY] = [
    json.loads(each.text)
    for each in BLOCKS
    if (each.section, each.language) == ("Amazon S3", "json")
]
STATEMENTS = {each["Sid"]: each for each in POLICY["Statement"]}
# As the page has it, for those who add it to the first statement.
CONDITION = json.loads(
    re.findall(r'`"Condition": (\{[^`]+\})`', read("ci.md"))[0],
)


def action_of(cloud: S3Cloud, request: Request) -> str:
    """Return the permission that S3 asks for.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    """
    kind = cloud.kind(request)
    if kind == "MULTIPART" and request.method == "DELETE":
        return "s3:AbortMultipartUpload"
    return {
        "LIST": "s3:ListBucket",
        "PUT": "s3:PutObject",
        "MULTIPART": "s3:PutObject",
        "HEAD": "s3:GetObject",
        "GET": "s3:GetObject",
        "DELETE": "s3:DeleteObject",
        "DELETE_BATCH": "s3:DeleteObject",
    }[kind]


def allows(statement: dict[str, Any], cloud: S3Cloud, request: Request) -> bool:
    """Tell whether a statement of the policy allows a request."""
    actions = statement["Action"]
    if action_of(cloud, request) not in ([actions] if isinstance(actions, str) else actions):
        return False
    [prefix] = parse_qs(request.query).get("prefix", [""])
    wanted = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", "*")
    key = request.path.strip("/").partition("/")[2]
    resource = f"arn:aws:s3:::my-bucket/{key}".rstrip("/")
    # What a batch deletes is named in its body, which is not recorded.
    is_about = cloud.kind(request) == "DELETE_BATCH" or fnmatchcase(resource, statement["Resource"])
    return is_about and fnmatchcase(prefix, wanted)


def used(cloud: S3Cloud) -> set[str]:
    """Return the statements that the requests need.

    Raises:
        AssertionError: No statement allows one of them.
    """
    found = set()
    for request in cloud.requests:
        names = [name for name, each in STATEMENTS.items() if allows(each, cloud, request)]
        assert names, f"{request.method} {request.path}?{request.query}"
        found |= {*names}
    return found


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("a.css", b"a {background: url(b.svg)}")
    static_tree.write("b.svg", b"<svg/>")
    static_tree.write("large.bin", bytes(6 << 20))
    return static_tree


class TestPolicyOfS3:
    def test_first_deploy_needs_to_plan_and_to_send(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3, options={**LOCATION, **PARTS})
        assert used(s3) == {"Plan", "Send"}

    def test_manifest_storage_needs_to_read_its_manifest(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        for _ in range(2):
            collectstatic(s3, backend=MANIFEST, options={**LOCATION, **PARTS})
        assert used(s3) == {"Plan", "Send", "ReadManifest"}

    @pytest.mark.parametrize("option", [{"clear": True}, {"prune": True}], ids=str)
    def test_deletion_needs_to_delete(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, option: Any
    ) -> None:
        for name in ("c.css", "d.css"):
            s3.put(f"static/{name}", b"")
        collectstatic(s3, options=LOCATION, **option)
        assert used(s3) == {"Plan", "Send", "Delete"}

    def test_check_needs_to_plan_alone(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        with pytest.raises(CommandError, match="differs"):
            collectstatic(s3, options=LOCATION, check=True)
        assert used(s3) == {"Plan"}


@pytest.mark.needs_s3("accounts")
class TestServerThatChecksPermissions:
    @pytest.fixture
    def user(self, s3_server: S3Server) -> S3User:
        assert s3_server.stranger is not None
        return s3_server.stranger

    @pytest.fixture
    def allow(self, s3: S3Cloud, user: S3User) -> Callable[..., None]:
        """Give the other account what the policy gives."""
        owner = s3.client.list_buckets()["Owner"]["ID"]
        # What another account writes is its own: without it the tests could not look at it.
        whole = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::my-bucket*"}

        def allow(policy: dict[str, Any]) -> None:
            theirs = [(user.name, each) for each in policy["Statement"]]
            statements = [
                {**each, "Principal": {"AWS": [f"arn:aws:iam:::user/{name}"]}}
                for name, each in [(owner, whole), *theirs]
            ]
            text = json.dumps({"Version": "2012-10-17", "Statement": statements})
            s3.client.put_bucket_policy(Bucket=s3.name, Policy=text.replace("my-bucket", s3.name))

        return allow

    @pytest.fixture
    def options(self, user: S3User) -> dict[str, Any]:
        return {"access_key": user.access_key, "secret_key": user.secret_key, **LOCATION, **PARTS}

    def test_lets_a_deploy_by_the_policy_pass(
        self,
        s3: S3Cloud,
        allow: Callable[..., None],
        options: dict[str, Any],
        tree: StaticTree,
        collectstatic: CollectStatic,
    ) -> None:
        # Without --clear: Ceph 16 wants the permission to delete several objects on the bucket.
        allow(POLICY)
        collectstatic(s3, options=options)
        assert s3.keys() == [f"static/{name}" for name in tree.names()]

    def test_says_that_there_is_no_manifest_yet_to_those_alone_who_may_list_all(
        self,
        s3: S3Cloud,
        allow: Callable[..., None],
        options: dict[str, Any],
        tree: StaticTree,
        collectstatic: CollectStatic,
    ) -> None:
        plan, *others = POLICY["Statement"]
        allow({"Statement": [{**plan, "Condition": CONDITION}, *others]})
        with pytest.raises(CommandError, match="s3:ListBucket"):
            collectstatic(s3, backend=MANIFEST, options=options)
        allow(POLICY)
        collectstatic(s3, backend=MANIFEST, options=options)
        assert s3.exists("static/staticfiles.json")

    def test_lets_later_deploys_of_a_manifest_storage_pass(
        self,
        s3: S3Cloud,
        allow: Callable[..., None],
        options: dict[str, Any],
        tree: StaticTree,
        collectstatic: CollectStatic,
    ) -> None:
        s3.put("static/staticfiles.json", b'{"version": "1.1", "paths": {}}')
        plan, *others = POLICY["Statement"]
        allow({"Statement": [{**plan, "Condition": CONDITION}, *others]})
        collectstatic(s3, backend=MANIFEST, options=options)
        assert b"a.css" in s3.get("static/staticfiles.json").body


@pytest.mark.needs_s3("any credentials")
def test_the_variables_of_a_job_on_gitlab_are_all_that_boto3_needs(
    s3_obstore: S3Cloud,
    static_tree: StaticTree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    [text] = [each.text for each in BLOCKS if each.section == "GitLab CI" and "stage:" in each.text]
    [job] = yaml.safe_load(text).values()
    variables = job["variables"]
    token = tmp_path / "token"
    variables["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(token)
    [name] = job["id_tokens"]
    [save] = [line for line in job["script"] if "AWS_WEB_IDENTITY_TOKEN_FILE" in line]
    subprocess.run(["bash", "-c", save], env={**variables, name: "a.b.c"}, check=True)
    static_tree.write("a.css", b"a")
    keyless = {"access_key": None, "secret_key": None}
    project = Project(tmp_path / "project", s3_obstore, static_tree, options=keyless)

    with moto.serve() as sts:
        endpoint = {"AWS_ENDPOINT_URL_STS": sts.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        ended = project.run(environment={**variables, **endpoint})

    assert (ended.status, ended.stderr) == (0, "")
    assert s3_obstore.keys() == ["a.css"]
    [request] = [each for each in s3_obstore.requests if s3_obstore.kind(each) == "PUT"]
    assert "x-amz-security-token" in request.headers
