"""The strategies on the page about strategies of one's own, deployed by them to real servers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.files.storage import InMemoryStorage

from tests.conftest import CollectStatic, StaticTree
from tests.pages import SETTINGS, PageProject, Place, Section, sections
from tests.project import MANIFEST
from tests.servers import sftp
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.sftp import SFTPCloud

PAGE = "custom-strategies"
WHOLE = Section(PAGE, "A whole one: SFTP").files
MANIFESTS = Section(PAGE, "Manifest storages and the second pass")
# As the settings say, but for its first slash.
PLACE = "srv/static"
FILES = {"css/site.css": b"a { color: red }", "js/app.js": b"run()", "robots.txt": b"Allow: /"}


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


@pytest.fixture
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SFTPCloud]:
    with sftp.serve(tmp_path_factory.mktemp("sftp")) as server, SFTPCloud(server, PLACE) as cloud:
        yield cloud


@pytest.fixture
def project(cloud: SFTPCloud, tree: StaticTree, tmp_path: Path) -> PageProject:
    return make(cloud, tree, tmp_path / "project", WHOLE)


def make(
    cloud: SFTPCloud, tree: StaticTree, root: Path, files: Mapping[str, str], **options: Any
) -> PageProject:
    cache = {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(root.with_name("cache")),
    }
    place = Place(
        cloud.options(**options),
        {"DEPLOY_KEY": str(cloud.server.key)},
        {"CACHES": {"default": cache}},
    )
    return PageProject(files, root, cloud, tree, place)


def bodies(cloud: SFTPCloud) -> dict[str, bytes]:
    return {name: cloud.get(name).body for name in cloud.keys()}


def test_a_deploy_ends_well(project: PageProject) -> None:
    ended = project.deploy()
    assert (ended.status, ended.stderr) == (0, "")


def test_it_stores_each_file(project: PageProject, cloud: SFTPCloud) -> None:
    project.deploy()
    assert bodies(cloud) == FILES


def test_files_have_the_mode_of_the_settings(project: PageProject, cloud: SFTPCloud) -> None:
    project.deploy()
    assert {(cloud.root / name).stat().st_mode & 0o777 for name in FILES} == {0o644}


def test_what_is_there_is_not_sent_again(project: PageProject) -> None:
    project.deploy()
    assert "0 static files copied, 3 unmodified." in project.deploy().stdout


def test_only_a_changed_file_is_sent(
    project: PageProject, cloud: SFTPCloud, tree: StaticTree
) -> None:
    project.deploy()
    before = {name: cloud.version(name) for name in FILES}
    tree.write("js/app.js", b"go( )")  # of the same size

    project.deploy()

    assert [name for name in FILES if cloud.version(name) != before[name]] == ["js/app.js"]
    assert cloud.get("js/app.js").body == b"go( )"


def test_what_was_changed_on_the_server_is_put_right(
    project: PageProject, cloud: SFTPCloud
) -> None:
    project.deploy()
    cloud.put("js/app.js", b"hacked")

    project.deploy()

    assert bodies(cloud) == FILES


def test_a_link_on_the_server_is_replaced(project: PageProject, cloud: SFTPCloud) -> None:
    cloud.put("other.txt", b"theirs")
    os.symlink(cloud.root / "other.txt", cloud.root / "robots.txt")

    project.deploy()

    assert bodies(cloud) == {**FILES, "other.txt": b"theirs"}


def test_without_what_is_remembered_everything_is_sent(
    cloud: SFTPCloud, tree: StaticTree, tmp_path: Path
) -> None:
    make(cloud, tree, tmp_path / "one" / "project", WHOLE).deploy()
    ended = make(cloud, tree, tmp_path / "other" / "project", WHOLE).deploy()
    assert "3 static files copied." in ended.stdout


def test_a_dry_run_writes_nothing(project: PageProject, cloud: SFTPCloud) -> None:
    project.deploy("--dry-run")
    assert cloud.keys() == []


def test_a_dry_run_says_what_would_be_sent(project: PageProject, tree: StaticTree) -> None:
    project.deploy()
    tree.write("js/app.js", b"changed")
    stdout = project.deploy("--dry-run").stdout
    assert [name for name in FILES if f"Pretending to copy '{tree.path(name)}'" in stdout] == [
        "js/app.js"
    ]


def test_clear_deletes_what_is_left_over(project: PageProject, cloud: SFTPCloud) -> None:
    cloud.put("old/left.css", b"")
    cloud.put("js/app.js.0a1b2c3d.part", b"")

    project.deploy("--clear")

    assert bodies(cloud) == FILES


def test_prune_deletes_what_is_old_enough(project: PageProject, cloud: SFTPCloud) -> None:
    cloud.put("old.css", b"")
    cloud.put("young.css", b"")
    os.utime(cloud.root / "old.css", (0, 0))

    project.deploy("--prune", "--prune-older-than", "30")

    assert bodies(cloud) == {**FILES, "young.css": b""}


def test_a_dry_run_of_clear_deletes_nothing(project: PageProject, cloud: SFTPCloud) -> None:
    cloud.put("old/left.css", b"")
    ended = project.deploy("--clear", "--dry-run")
    assert cloud.keys() == ["old/left.css"]
    assert "1 static file deleted" in ended.stdout


def test_a_connection_that_is_lost_costs_no_file(project: PageProject, cloud: SFTPCloud) -> None:
    cloud.server.cut_next_write()
    ended = project.deploy()
    assert ended.status == 0
    assert bodies(cloud).items() >= FILES.items()


def test_several_threads_take_turns(cloud: SFTPCloud, tree: StaticTree, tmp_path: Path) -> None:
    for number in range(30):
        tree.write(f"many/{number}.js", b"%d" % number)
    files = {**WHOLE, SETTINGS: WHOLE[SETTINGS] + "COLLECTFASTA_THREADS = 8\n"}

    ended = make(cloud, tree, tmp_path / "project", files).deploy()

    assert (ended.status, len(cloud.keys())) == (0, 33)


def test_a_login_that_is_refused_is_one_line_that_says_what_to_do(
    cloud: SFTPCloud, tree: StaticTree, tmp_path: Path
) -> None:
    params = cloud.login(cloud.server.other_key)
    ended = make(cloud, tree, tmp_path / "project", WHOLE, params=params).deploy()
    reason = "sftp://127.0.0.1/srv/static refuses the login: check params of the storage."
    assert (ended.status, ended.stderr) == (1, f"CommandError: {reason}\n")


def test_a_server_that_is_down_is_one_line(
    cloud: SFTPCloud, tree: StaticTree, tmp_path: Path
) -> None:
    params = {**cloud.login(cloud.server.key), "port": 1}
    ended = make(cloud, tree, tmp_path / "project", WHOLE, params=params).deploy()
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("CommandError: sftp://127.0.0.1/srv/static can't be used: ")


def test_another_host_key_is_refused(cloud: SFTPCloud, tree: StaticTree, tmp_path: Path) -> None:
    known = cloud.server.known_hosts
    other = cloud.server.other_key.with_suffix(".pub")
    key = known.read_text().split()[0]
    import asyncssh

    asyncssh.read_private_key(cloud.server.other_key).write_public_key(other)
    known.write_text(f"{key} {other.read_text()}")

    ended = make(cloud, tree, tmp_path / "project", WHOLE).deploy()

    assert ended.status == 1
    assert "has another host key than known_hosts says" in ended.stderr
    assert cloud.keys() == []


class TestManifest:
    @pytest.fixture
    def project(self, cloud: SFTPCloud, tree: StaticTree, tmp_path: Path) -> PageProject:
        (more,) = (
            each.text
            for each in MANIFESTS.blocks
            if each.text.startswith("# myproject/settings.py,")
        )
        files = {**WHOLE, **MANIFESTS.files, SETTINGS: WHOLE[SETTINGS] + more}
        return make(cloud, tree, tmp_path / "project", files)

    def test_what_the_manifest_names_is_stored(
        self, project: PageProject, cloud: SFTPCloud
    ) -> None:
        project.deploy()
        paths = json.loads(cloud.get(MANIFEST).body)["paths"]
        assert paths.keys() == FILES.keys()
        assert {*cloud.keys()} == {*FILES, *paths.values(), MANIFEST}

    def test_what_is_there_is_not_sent_again(self, project: PageProject) -> None:
        project.deploy()
        assert "SFTPManifestStrategy: 0 objects" in project.deploy().stdout


class TestFirstExample:
    @pytest.fixture
    def project(self, cloud: SFTPCloud, tree: StaticTree, tmp_path: Path) -> PageProject:
        first = Section(PAGE, "One question: should this file be copied?").files
        return make(cloud, tree, tmp_path / "project", {**WHOLE, **first})

    def test_it_sends_what_is_missing(self, project: PageProject, cloud: SFTPCloud) -> None:
        project.deploy()
        assert bodies(cloud) == FILES

    def test_it_sends_what_has_another_size(
        self, project: PageProject, cloud: SFTPCloud, tree: StaticTree
    ) -> None:
        project.deploy()
        tree.write("js/app.js", b"longer")

        ended = project.deploy()

        assert "1 static file copied, 2 unmodified." in ended.stdout
        assert cloud.get("js/app.js").body == b"longer"


class Telling(InMemoryStorage):
    """Tells the MD5 of what it holds, which outlives its instances."""

    contents: ClassVar[dict[str, bytes]] = {}

    def _save(self, name: str, content: Any) -> str:
        self.contents[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in self.contents

    def md5(self, name: str) -> str | None:
        content = self.contents.get(name)
        return None if content is None else hashlib.md5(content).hexdigest()


class Told(FileSystemCloud):
    """A target without options, for `Telling`."""

    backend = f"{__name__}.Telling"

    def options(self, **more: Any) -> dict[str, Any]:
        return more


def test_the_second_example_compares_checksums(
    tree: StaticTree, tmp_path: Path, collectstatic: CollectStatic
) -> None:
    Telling.contents = {"js/app.js": b"old()", "robots.txt": FILES["robots.txt"]}
    names: dict[str, Any] = {}
    (code,) = Section(PAGE, "Or: what is the remote checksum?").files.values()
    exec(code, names)
    with Told(tmp_path / "told") as cloud:
        run = collectstatic(cloud, strategy=names["MD5Strategy"])
    assert Telling.contents == FILES
    assert "2 static files copied, 1 unmodified." in run.stdout


def test_every_block_of_python_is_executed() -> None:
    executed = {*WHOLE, *MANIFESTS.files, "myproject/settings.py, where it differs"}
    told = [
        block.text.splitlines()[0].removeprefix("# ")
        for each in sections(PAGE)[1:]
        for block in each.blocks
        if block.language == "python"
    ]
    assert {*told} == executed
