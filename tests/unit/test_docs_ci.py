"""docs/ci.md: what is in its blocks can be read by what it is written for."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from collectfasta.cache import StorageCache
from tests.loop import for_each
from tests.markdown import ROOT, Block, blocks, read, table

PAGE = list(blocks(read("ci.md")))
JSON = [block for block in PAGE if block.language == "json"]
YAML = [block for block in PAGE if block.language == "yaml"]

LANGUAGES = {"console", "dockerfile", "json", "python", "text", "yaml"}


def the_only(section: str, language: str) -> Block:
    [block] = [each for each in PAGE if (each.section, each.language) == (section, language)]
    return block


POLICY = json.loads(the_only("Amazon S3", "json").text)


def actions(statement: dict[str, Any]) -> set[str]:
    found = statement["Action"]
    return {found} if isinstance(found, str) else {*found}


def test_every_block_has_a_language_that_these_tests_know() -> None:
    assert {block.language for block in PAGE} == LANGUAGES


@for_each("block", JSON)
def test_every_json_is_a_policy_or_a_role(block: Block) -> None:
    found = json.loads(block.text)
    if "DataActions" in found:
        assert found["IsCustom"]
        assert found["AssignableScopes"]
    else:
        assert found["Version"] == "2012-10-17"
        assert {each["Effect"] for each in found["Statement"]} == {"Allow"}


@for_each("block", YAML)
def test_every_yaml_can_be_read(block: Block) -> None:
    assert yaml.safe_load(block.text)


def test_the_cache_is_one_of_this_package() -> None:
    caches: dict[str, Any] = {}
    exec(the_only("CI and containers", "python").text, caches)
    chosen = caches["CACHES"][caches["COLLECTFASTA_CACHE"]]
    assert chosen["BACKEND"] == f"{StorageCache.__module__}.{StorageCache.__qualname__}"


def test_the_workflow_asks_for_a_token_and_logs_in_before_it_deploys() -> None:
    workflow = yaml.safe_load(the_only("With S3", "yaml").text)
    [job] = workflow["jobs"].values()
    steps = [step.get("uses") or step["run"] for step in job["steps"]]
    assert workflow["permissions"]["id-token"] == "write"
    assert steps[-2].startswith("aws-actions/configure-aws-credentials@")
    assert steps[-1] == "python manage.py collectstatic --noinput"


def test_the_actions_are_those_that_this_repository_uses_itself() -> None:
    own = (ROOT / ".github" / "workflows" / "docs.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(the_only("With S3", "yaml").text)
    used = [step.get("uses", "") for job in workflow["jobs"].values() for step in job["steps"]]
    ours = [each for each in used if each.startswith("actions/")]
    assert ours
    assert all(f"uses: {each}\n" in own for each in ours)


def test_no_workflow_has_a_long_lived_key() -> None:
    text = "\n".join(block.text for block in YAML)
    assert not re.search(r"secrets\.|ACCESS_KEY|ACCOUNT_KEY|CONNECTION_STRING", text)


@for_each("section", ["With S3", "GitLab CI"])
def test_a_role_trusts_one_project_alone(section: str) -> None:
    [statement] = json.loads(the_only(section, "json").text)["Statement"]
    conditions = statement["Condition"]["StringEquals"]
    provider = statement["Principal"]["Federated"].rpartition("oidc-provider/")[2]
    assert set(conditions) == {f"{provider}:aud", f"{provider}:sub"}
    assert "*" not in "".join(conditions.values())


def test_the_policy_allows_what_the_page_about_s3_says_that_a_deploy_needs() -> None:
    rows = table(read("s3.md"), "action", "on", "for")
    always = {action.strip("`") for action, _, why in rows if "only" not in why}
    documented = {action.strip("`") for action, _, _ in rows}
    allowed = set().union(*map(actions, POLICY["Statement"]))
    assert always <= allowed <= documented


def test_googles_role_has_what_the_page_about_google_says_that_a_deploy_needs() -> None:
    role = yaml.safe_load(the_only("Google Cloud", "yaml").text)
    documented = set(re.findall(r"storage\.objects\.\w+", read("google.md")))
    assert set(role["includedPermissions"]) == documented
