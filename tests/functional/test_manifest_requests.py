"""What a deploy of a manifest storage to S3 costs in requests, counted at the server."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from django.core.cache import caches

from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

BACKEND = "storages.backends.s3.S3ManifestStaticStorage"
MEMORY = "collectfasta.strategies.boto3.Boto3ManifestMemoryStrategy"
FILE_SYSTEM = "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy"

FILES = 200
STYLES = 40
OBJECTS = 2 * FILES + 1

# What the storage's own constructor asks to load the manifest: where there is one, and where not.
LOADED = Counter({"HEAD": 2, "GET": 1})
NOT_FOUND = Counter({"HEAD": 1})


@dataclass
class Deployed:
    """A bucket that holds a deployed tree of files; `run` deploys again."""

    cloud: S3Cloud
    tree: StaticTree
    run: partial[Run]
    first: Counter[str]

    def counts_of_a_run(self) -> Counter[str]:
        self.cloud.clear_requests()
        self.run()
        return self.cloud.counts()

    def paths(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.cloud.get("staticfiles.json").body)["paths"]
        return found


@pytest.fixture(
    scope="module",
    params=[(MEMORY, 0), (MEMORY, 8), (FILE_SYSTEM, 0), (FILE_SYSTEM, 8)],
    ids=["memory-inline", "memory-threads", "directory-inline", "directory-threads"],
)
def deployed(
    request: pytest.FixtureRequest, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    strategy, threads = request.param
    tree = StaticTree(tmp_path_factory.mktemp("deployed") / "source")
    for number in range(STYLES):
        tree.write(f"css/{number}.css", b"b { background: url(../images/%d.png) }" % number)
    for number in range(FILES - STYLES):
        tree.write(f"images/{number}.png", b"%d" % number)
    with S3Cloud(s3_server) as cloud, pytest.MonkeyPatch.context() as monkeypatch:
        command = CollectStatic(tree, monkeypatch)
        run = partial(command, cloud, threads=threads, strategy=strategy, backend=BACKEND)
        run()
        command.close()
        yield Deployed(cloud, tree, run, cloud.counts())
        command.close()


def test_first_deploy_puts_each_object_once_and_lists_at_most_twice(deployed: Deployed) -> None:
    made = deployed.first - NOT_FOUND

    assert made["PUT"] == OBJECTS
    assert made["LIST"] <= 2
    assert set(made) == {"PUT", "LIST"}


def test_nothing_changed_is_one_list_with_a_cold_cache(deployed: Deployed) -> None:
    deployed.run()
    caches["default"].clear()

    assert deployed.counts_of_a_run() == Counter({"LIST": 1}) + LOADED


def test_nothing_changed_is_one_list_with_a_warm_cache(deployed: Deployed) -> None:
    deployed.run()

    assert deployed.counts_of_a_run() == Counter({"LIST": 1}) + LOADED


def test_one_changed_style_sheet_is_three_puts_and_one_list(deployed: Deployed) -> None:
    deployed.run()
    content = b"b { background: url(../images/7.png) } /* %s */" % uuid.uuid4().hex.encode()
    deployed.tree.write("css/7.css", content)

    assert deployed.counts_of_a_run() == Counter({"LIST": 1, "PUT": 3}) + LOADED
    assert deployed.cloud.get("css/7.css").body == content
    assert deployed.cloud.get(deployed.paths()["css/7.css"]).body.endswith(content[-20:])


def test_one_changed_image_is_sent_with_what_refers_to_it(deployed: Deployed) -> None:
    deployed.run()
    deployed.tree.write("images/8.png", uuid.uuid4().hex.encode())

    # The image and its hashed copy, the hashed style sheet and the manifest.
    assert deployed.counts_of_a_run() == Counter({"LIST": 1, "PUT": 4}) + LOADED


def test_dry_run_is_one_list(deployed: Deployed) -> None:
    deployed.run()
    deployed.tree.write("css/9.css", uuid.uuid4().hex.encode())
    deployed.cloud.clear_requests()

    deployed.run(dry_run=True)

    assert deployed.cloud.counts() == Counter({"LIST": 1}) + LOADED
