"""Large files, sent in parts, chunks or blocks: each of their requests goes wrong."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.management import CommandError

from tests import backoff
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import RecordedCloud
from tests.servers.recorder import Fault, Faults, Match, Request

KIBIBYTE = 1024
# The least that S3 takes, and what chunks to Google Cloud Storage have to be multiples of.
S3_PART = 5 * KIBIBYTE * KIBIBYTE
PIECE = 256 * KIBIBYTE

# What sends large files, and how many of it goes wrong once: what begins and ends them, and pieces.
KINDS = {
    "S3Cloud": {"MULTIPART"},
    "GoogleCloud": {"UPLOAD"},
    "AzureCloud": {"PUT_BLOCK", "BLOCK_LIST"},
}
REQUESTS = {"S3Cloud": 1 + 3 + 1, "GoogleCloud": 1 + 3, "AzureCloud": 3 + 1}

FAULTS = [
    Fault.INTERNAL_ERROR,
    Fault.SLOW_DOWN,
    Fault.RESET_BEFORE,
    Fault.RESET_DURING,
    Fault.RESET_AFTER,
]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call files large that are not: neither storage has an option for that."""
    backoff.shorten(monkeypatch)
    for name in ("gcloud._ONE_REQUEST", "gcloud._CHUNK", "azure._ONE_REQUEST"):
        monkeypatch.setattr(f"collectfasta.strategies.{name}", PIECE)


@pytest.fixture
def body(recorded_cloud: RecordedCloud, static_tree: StaticTree) -> bytes:
    """What a file has that takes two pieces and a byte; there is a small one too."""
    size = S3_PART if type(recorded_cloud).__name__ == "S3Cloud" else PIECE
    content = os.urandom(2 * size + 1)
    static_tree.write("large.bin", content)
    static_tree.write("small.css", b"small")
    return content


def options(cloud: RecordedCloud) -> dict[str, Any]:
    config = TransferConfig(multipart_threshold=S3_PART, multipart_chunksize=S3_PART)
    return {"transfer_config": config} if type(cloud).__name__ == "S3Cloud" else {}


def is_large(cloud: RecordedCloud) -> Match:
    """Match what sends the large file, to any of the clouds."""
    kinds = KINDS[type(cloud).__name__]
    return lambda request: request.subject != "small.css" and cloud.kind(request) in kinds


def is_last_chunk(request: Request) -> bool:
    """Match the end of a resumable upload.

    The emulator has forgotten the upload by the time that it is complete, so that it can't answer
    its last chunk twice, as the service does.
    """
    return not request.headers.get("content-range", "*").endswith("*")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_large_file_arrives_whole_though_each_request_goes_wrong_once(
    recorded_cloud: RecordedCloud, body: bytes, collectstatic: CollectStatic, fault: Fault
) -> None:
    large, is_lost = is_large(recorded_cloud), fault is Fault.RESET_AFTER
    recorded_cloud.recorder.disturb(
        Faults.each(fault, times=1),
        lambda request: large(request) and not (is_lost and is_last_chunk(request)),
    )

    collectstatic(recorded_cloud, options=options(recorded_cloud), threads=2)

    stored = {key: each.body for key, each in recorded_cloud.objects().items()}
    assert stored == {"large.bin": body, "small.css": b"small"}
    faults = [request.fault for request in recorded_cloud.requests]
    assert faults.count(fault) >= 3
    assert len(faults) <= 2 + 6 * REQUESTS[type(recorded_cloud).__name__]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_large_file_arrives_whole_though_an_answer_is_cut_off(
    recorded_cloud: RecordedCloud, body: bytes, collectstatic: CollectStatic, position: int
) -> None:
    large, numbers = is_large(recorded_cloud), itertools.count()
    recorded_cloud.recorder.disturb(
        Faults.each(Fault.TRUNCATE),
        lambda request: large(request) and next(numbers) == position,
    )

    collectstatic(recorded_cloud, options=options(recorded_cloud), threads=2)

    stored = {key: each.body for key, each in recorded_cloud.objects().items()}
    assert stored == {"large.bin": body, "small.css": b"small"}
    assert [request.fault for request in recorded_cloud.requests].count(Fault.TRUNCATE) == 1


@pytest.mark.parametrize("fault", [Fault.SLOW_DOWN, Fault.RESET_DURING], ids=lambda each: each.name)
def test_a_large_file_that_can_not_be_sent_is_named_and_others_are_sent(
    recorded_cloud: RecordedCloud, body: bytes, collectstatic: CollectStatic, fault: Fault
) -> None:
    recorded_cloud.recorder.disturb(Faults.each(fault), is_large(recorded_cloud))

    with pytest.raises(CommandError) as caught:
        collectstatic(recorded_cloud, options=options(recorded_cloud), threads=2)

    first, named, advice = str(caught.value).splitlines()
    assert first.startswith("1 file was not sent")
    assert "'large.bin'" in named
    assert advice.startswith("Run the command again")
    assert recorded_cloud.keys() == ["small.css"]
    assert len(recorded_cloud.requests) <= 2 + 10 * REQUESTS[type(recorded_cloud).__name__]
