"""Large files by both engines: their parts, their memory, and what an interrupt leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.project import Project
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request
from tests.slow.test_manifest_interrupts import is_part
from tests.slow.test_memory import peak_memory

MEGABYTE = 1024 * 1024
PART = 5 * MEGABYTE
PLAIN = "storages.backends.s3.S3StaticStorage"


def parts(cloud: S3Cloud) -> list[int]:
    """Return the sizes of the parts that were sent, by their numbers."""
    sent = [
        (int(_number(request)), request.body_size) for request in cloud.requests if is_part(request)
    ]
    return [size for _, size in sorted(sent)]


def _number(request: Request) -> str:
    return request.query.partition("partNumber=")[2].partition("&")[0]


def unfinished(cloud: S3Cloud) -> Any:
    """Return the uploads in parts that were neither completed nor aborted."""
    return cloud.client.list_multipart_uploads(Bucket=cloud.name).get("Uploads", [])


def in_parts(**options: Any) -> dict[str, Any]:
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, **options)
    return {"transfer_config": config}


@pytest.mark.parametrize("part_size", [PART, 6 * MEGABYTE + 1])
def test_parts_have_the_size_of_the_transfer_configuration(
    s3_obstore: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, part_size: int
) -> None:
    static_tree.write("large.bin", os.urandom(2 * part_size + 1))
    config = TransferConfig(multipart_threshold=part_size, multipart_chunksize=part_size)

    run = collectstatic(s3_obstore, options={"transfer_config": config}, verbosity=2)

    assert parts(s3_obstore) == [part_size, part_size, 1]
    assert f"{len(s3_obstore.requests)} requests by obstore," in run.stdout


def test_file_below_the_threshold_is_one_request(
    s3_obstore: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("large.bin", os.urandom(PART - 1))

    collectstatic(s3_obstore, options=in_parts())

    assert s3_obstore.counts() == {"LIST": 1, "PUT": 1}


@pytest.mark.parametrize("use_threads", [False, True])
def test_several_files_in_parts_arrive_whole(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, use_threads: bool
) -> None:
    contents = {f"{n}.bin": os.urandom(PART + n) for n in range(4)}
    for name, content in contents.items():
        static_tree.write(name, content)

    collectstatic(s3, options=in_parts(use_threads=use_threads), threads=4)

    assert {key: stored.body for key, stored in s3.objects().items()} == contents
    assert unfinished(s3) == []


def test_source_that_shrinks_while_it_is_sent_fails(
    s3_obstore: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    path = static_tree.write("large.bin", os.urandom(3 * PART))
    static_tree.write("small.css", b"small")
    s3_obstore.recorder.before(is_part, lambda _: os.truncate(path, PART + 1))

    with pytest.raises(CommandError, match=r"'large\.bin'"):
        collectstatic(s3_obstore, options=in_parts(max_concurrency=1), threads=0)

    assert "small.css" in s3_obstore.keys()
    assert unfinished(s3_obstore) == []


def test_source_that_vanishes_before_its_turn_fails(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    first = static_tree.write("1.bin", os.urandom(PART + 1))
    second = static_tree.write("2.bin", os.urandom(PART))
    assert first.stat().st_size > second.stat().st_size
    s3.recorder.before(is_part, lambda _: second.unlink(missing_ok=True))

    with pytest.raises(CommandError, match=r"'2\.bin'"):
        collectstatic(s3, options=in_parts(), threads=0)

    assert s3.keys() == ["1.bin"]


class TestInterrupt:
    @pytest.fixture
    def project(self, s3_obstore: S3Cloud, static_tree: StaticTree, tmp_path: Path) -> Project:
        """A project with a file of many parts."""
        static_tree.write("large.bin", os.urandom(24 * PART))
        # A single file would be sent without threads.
        static_tree.write("small.css", b"small")
        return Project(tmp_path / "project", s3_obstore, static_tree, backend=PLAIN)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("threads", [0, 4])
    def test_no_upload_is_left_behind(
        self,
        s3_obstore: S3Cloud,
        project: Project,
        number: signal.Signals,
        threads: int,
    ) -> None:
        project.configure(backend=PLAIN, COLLECTFASTA_THREADS=threads)

        ended = project.interrupt(number, is_part)

        assert ended.status == 130
        assert "large.bin" not in s3_obstore.keys()
        assert unfinished(s3_obstore) == []
        assert len(parts(s3_obstore)) < 15


def test_memory_is_bounded_whatever_the_number_of_threads(
    s3_obstore: S3Cloud, static_tree: StaticTree, tmp_path: Path
) -> None:
    static_tree.write("small.bin", b"x")
    small = peak_memory(s3_obstore, static_tree, tmp_path, threads=64)
    for number in range(40):
        static_tree.write(f"{number}.bin", os.urandom(5 * MEGABYTE))
    static_tree.write("large.bin", os.urandom(100 * MEGABYTE))

    large = peak_memory(s3_obstore, static_tree, tmp_path, threads=64)

    assert len(s3_obstore.keys()) == 42
    assert large - small < 128 * MEGABYTE
