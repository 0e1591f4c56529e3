"""What the page about migrating says: its tables, and its settings deployed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import override_settings

from collectfasta import settings
from collectfasta.checks import check_names
from tests.conftest import StaticTree
from tests.loop import for_each
from tests.markdown import read, table
from tests.pages import PageProject, Place, Section, examples, sections
from tests.servers.clouds.s3 import S3Cloud

FILES = {"css/site.css": b"a {}", "js/app.js": b"run()", "js/app.js.map": b"{}"}
EVERYONE = "http://acs.amazonaws.com/groups/global/AllUsers"
# https://github.com/antonagestam/collectfast/blob/master/collectfast/settings.py, and the strategy
# that its command asks for; Collectfasta 3.3.5 has the same.
OLD = {"STRATEGY", "CACHE", "CACHE_KEY_PREFIX", "THREADS", "ENABLED", "DEBUG"}
SCRIPTS = Section("migrating", "From aws s3 sync and others")
PAGE = read("migrating.md")
COLLECTFAST = table(PAGE, "Collectfast", "now", "")
COLLECTFASTA_3 = table(PAGE, "setting", "in 3.3", "now")


def names(text: str, prefix: str) -> set[str]:
    return {*re.findall(rf"`{prefix}(\w+)`", text)}


def projects(example: Section, cloud: S3Cloud, tree: StaticTree, root: Path) -> PageProject:
    options = cloud.options()
    environment = {
        "AWS_ACCESS_KEY_ID": options.pop("access_key"),
        "AWS_SECRET_ACCESS_KEY": options.pop("secret_key"),
    }
    return PageProject(example.files, root, cloud, tree, Place(options, environment))


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


@pytest.fixture
def project(s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path) -> PageProject:
    return projects(SCRIPTS, s3_obstore, tree, tmp_path / "project")


def test_every_setting_of_collectfast_has_a_row() -> None:
    assert {name for row in COLLECTFAST for name in names(row[0], "COLLECTFAST_")} == OLD


def test_settings_of_collectfast_keep_what_is_behind_their_prefix() -> None:
    new = [names(row[1], "COLLECTFASTA_") for row in COLLECTFAST]
    assert new == [names(row[0], "COLLECTFAST_") for row in COLLECTFAST]


def test_every_setting_of_collectfasta_has_a_row() -> None:
    assert sorted(row[0].strip("`") for row in COLLECTFASTA_3) == sorted(settings.names())


def test_settings_that_are_new_are_told_as_such() -> None:
    new = {row[0].strip("`") for row in COLLECTFASTA_3 if row[2].startswith("[new]")}
    assert new == {*settings.names()} - {f"COLLECTFASTA_{name}" for name in OLD}


def test_defaults_are_those_of_the_code() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in COLLECTFASTA_3}
    assert told["COLLECTFASTA_CACHE"] == f'"{settings.cache}"'
    assert told["COLLECTFASTA_CACHE_KEY_PREFIX"] == f'"{settings.cache_key_prefix}"'
    assert told["COLLECTFASTA_ENABLED"] == str(settings.enabled)


@for_each("name", sorted(OLD))
def test_no_setting_of_collectfasta_3_is_unknown(name: str) -> None:
    assert f"COLLECTFASTA_{name}" in settings.names()


def test_every_example_is_executed() -> None:
    assert {each.heading for each in examples("migrating")} == {
        "From Collectfast",
        "From aws s3 sync and others",
    }


def test_all_python_is_before_or_after() -> None:
    blocks = [block for each in sections("migrating") for block in each.blocks]
    first = {block.text.splitlines()[0] for block in blocks if block.language == "python"}
    assert first == {"# before", "# myproject/settings.py"}


def test_what_becomes_of_collectfast_deploys(
    s3_obstore: S3Cloud, tree: StaticTree, tmp_path: Path
) -> None:
    example = Section("migrating", "From Collectfast")
    projects(example, s3_obstore, tree, tmp_path / "project").deploy()
    assert s3_obstore.keys() == [f"static/{name}" for name in FILES]


def test_what_becomes_of_a_script_leaves_files_out(
    project: PageProject, s3_obstore: S3Cloud
) -> None:
    project.deploy("--ignore", "*.map")
    assert s3_obstore.keys() == ["static/css/site.css", "static/js/app.js"]


def test_what_becomes_of_a_script_has_its_header(project: PageProject, s3_obstore: S3Cloud) -> None:
    project.deploy()
    assert {each.headers["cache-control"] for each in s3_obstore.objects().values()} == {
        "max-age=86400"
    }


def test_what_becomes_of_a_script_has_its_acl(project: PageProject, s3_obstore: S3Cloud) -> None:
    project.deploy()
    acl = s3_obstore.client.get_object_acl(Bucket=s3_obstore.name, Key="static/js/app.js")
    assert ("READ", EVERYONE) in {
        (grant["Permission"], grant["Grantee"].get("URI")) for grant in acl["Grants"]
    }


class TestFirstDeployAfterAScript:
    @pytest.fixture(autouse=True)
    def _sent_by_a_script(self, s3_obstore: S3Cloud) -> None:
        for name, content in FILES.items():
            s3_obstore.put(f"static/{name}", content, cache_control="no-cache")

    def test_nothing_is_sent_again(self, project: PageProject) -> None:
        assert "0 static files copied, 3 unmodified." in project.deploy().stdout

    def test_objects_keep_their_headers(self, project: PageProject, s3_obstore: S3Cloud) -> None:
        project.deploy()
        assert s3_obstore.get("static/js/app.js").headers["cache-control"] == "no-cache"

    def test_force_gives_them_those_of_the_settings(
        self, project: PageProject, s3_obstore: S3Cloud
    ) -> None:
        project.deploy("--force")
        assert s3_obstore.get("static/js/app.js").headers["cache-control"] == "max-age=86400"


@for_each("name", sorted(OLD))
def test_a_setting_that_was_not_renamed_is_reported(name: str) -> None:
    with override_settings(**{f"COLLECTFAST_{name}": None}):
        assert [each.id for each in check_names()] == ["collectfasta.W002"]
