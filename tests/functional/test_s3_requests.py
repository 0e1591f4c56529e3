"""What a deploy to S3 costs in requests, counted at the server."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import running
from tests.servers.recorder import Request
from tests.servers.s3 import S3Server
from tests.summary import deleted

FILES = 200

# moto, in whose buckets 2,500 objects of somebody else's lie from the beginning: to put as many
# through the protocol takes it a quarter of a minute.
CROWDED_SERVER = """
import sys
from moto.s3.models import S3Backend
from moto.server import main

create_bucket = S3Backend.create_bucket

def create_crowded_bucket(self, name, *args, **kwargs):
    bucket = create_bucket(self, name, *args, **kwargs)
    for number in range(2500):
        self.put_object(name, f"media/{number:04}", b"")
    return bucket

S3Backend.create_bucket = create_crowded_bucket
main(sys.argv[1:])
"""


@dataclass
class Deployed:
    """A bucket that holds a deployed tree of files; `run` deploys again."""

    cloud: S3Cloud
    tree: StaticTree
    run: partial[Run]
    first: Counter[str]
    first_run: Run

    def counts_of_a_run(self) -> Counter[str]:
        self.cloud.clear_requests()
        self.run()
        return self.cloud.counts()


@pytest.fixture(scope="module", params=[0, 8], ids=["inline", "threads"])
def deployed(
    request: pytest.FixtureRequest, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    tree = StaticTree(tmp_path_factory.mktemp("deployed") / "source")
    for number in range(FILES):
        tree.write(f"folder{number % 7}/{number}.css", b"%d" % number)
    with S3Cloud(s3_server) as cloud, pytest.MonkeyPatch.context() as monkeypatch:
        command = CollectStatic(tree, monkeypatch)
        run = partial(command, cloud, threads=request.param)
        first_run = run()
        command.close()
        yield Deployed(cloud, tree, run, cloud.counts(), first_run)
        command.close()


def test_first_deploy_puts_each_file_once_and_lists_at_most_twice(deployed: Deployed) -> None:
    assert deployed.first["PUT"] == FILES
    assert deployed.first["LIST"] <= 2
    assert set(deployed.first) == {"PUT", "LIST"}


def test_summary_tells_the_requests_that_were_made(deployed: Deployed) -> None:
    assert f"{deployed.first.total()} requests" in deployed.first_run.stdout


def test_nothing_changed_is_one_list_with_a_warm_cache(deployed: Deployed) -> None:
    deployed.run()

    assert deployed.counts_of_a_run() == {"LIST": 1}


def test_nothing_changed_is_one_list_with_a_cold_cache(deployed: Deployed) -> None:
    assert deployed.counts_of_a_run() == {"LIST": 1}


def test_one_file_changed_is_one_put_and_one_list(deployed: Deployed) -> None:
    deployed.run()
    content = uuid.uuid4().hex.encode()
    deployed.tree.write("folder3/3.css", content)

    assert deployed.counts_of_a_run() == {"LIST": 1, "PUT": 1}
    assert deployed.cloud.get("folder3/3.css").body == content


class CrowdedCloud(S3Cloud):
    """A bucket on a server that goes away with all its buckets."""

    def remove(self) -> None:
        self.client.close()


@pytest.fixture(scope="module")
def crowded_server() -> Iterator[S3Server]:
    def command(port: int) -> list[str]:
        return [sys.executable, "-c", CROWDED_SERVER, "-p", str(port)]

    with running("moto", command) as url:
        yield S3Server(url)


@pytest.fixture
def crowded(crowded_server: S3Server) -> Iterator[S3Cloud]:
    with CrowdedCloud(crowded_server) as cloud:
        yield cloud


def test_foreign_objects_between_the_files_are_not_listed(
    crowded: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    for name in ("a.css", "z.css"):
        static_tree.write(name, name.encode())
        crowded.put(name, name.encode())

    run = collectstatic(crowded)

    # A plain listing of the 2,502 objects takes three requests.
    assert crowded.counts() == {"LIST": 2}
    assert "2 unmodified" in run.stdout


def test_leftovers_are_deleted_a_thousand_by_a_request(
    crowded: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.css", b"a")

    run = collectstatic(crowded, options={"location": "media"}, clear=True)

    assert crowded.counts() == {"PUT": 1, "LIST": 3, "DELETE_BATCH": 3}
    assert crowded.keys() == ["media/a.css"]
    assert f"\n{deleted(2500)}1 static file copied" in run.stdout


def test_empty_page_that_is_not_the_last_is_followed(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.css", b"a")
    empty_page = b"""<ListBucketResult><IsTruncated>true</IsTruncated>
        <NextContinuationToken>next</NextContinuationToken></ListBucketResult>"""
    last_page = b"""<ListBucketResult><IsTruncated>false</IsTruncated><Contents>
        <Key>a.css</Key><ETag>"0cc175b9c0f1b6a831c399e269772661"</ETag><Size>1</Size>
        <LastModified>2026-01-01T00:00:00.000Z</LastModified>
        </Contents></ListBucketResult>"""

    def is_next(request: Request) -> bool:
        return "continuation-token=next" in request.query

    s3.recorder.fail(is_next, 200, last_page)
    s3.recorder.fail(lambda request: not is_next(request), 200, empty_page)

    run = collectstatic(s3)

    assert s3.counts() == {"LIST": 2}
    assert "1 unmodified" in run.stdout


def test_nothing_to_deploy_asks_for_nothing(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3)

    assert s3.counts() == {}
