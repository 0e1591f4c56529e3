"""Which S3 server the tests run on, and which tests that is for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import s3
from tests.servers.process import ServerError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLLECTFASTA_TEST_S3", raising=False)
    monkeypatch.delenv("COLLECTFASTA_TEST_S3_ENDPOINT", raising=False)


def collected(*arguments: str, **variables: str) -> list[str]:
    """Return the test items that a run of pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *arguments]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [line.rpartition("::")[2] for line in run.stdout.splitlines() if "::" in line]


def test_moto_is_the_default() -> None:
    assert s3.chosen() == "moto"


def test_each_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in s3.SERVERS:
        monkeypatch.setenv("COLLECTFASTA_TEST_S3", name)
        assert s3.chosen() == name


def test_unknown_one_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLECTFASTA_TEST_S3", "minio")

    with pytest.raises(ServerError, match="is 'minio'; it can be moto, localstack, ceph"):
        s3.chosen()


@pytest.mark.parametrize(
    ("url", "kind"), [("http://127.0.0.1:1", s3.EMULATOR), ("https://s3.test", s3.LIVE)]
)
def test_one_that_runs_already_comes_first(
    monkeypatch: pytest.MonkeyPatch, url: str, kind: str
) -> None:
    monkeypatch.setenv("COLLECTFASTA_TEST_S3", "ceph")
    monkeypatch.setenv("COLLECTFASTA_TEST_S3_ENDPOINT", url)

    assert s3.chosen() == kind


def test_abilities_are_those_of_servers_that_there_are() -> None:
    known = {*s3.SERVERS, s3.EMULATOR, s3.LIVE}

    assert all(servers < known and servers for servers in s3.ABILITIES.values())


@pytest.mark.slow
def test_suite_of_s3_is_what_leads_to_its_server() -> None:
    items = collected("-m", "s3", "tests/contract/test_listing.py", "tests/unit/test_settings.py")

    words = {item.rpartition("[")[2].rstrip("]").partition("-")[0] for item in items}
    assert words == {"s3", "boto3"}


@pytest.mark.slow
def test_what_a_server_is_not_able_to_do_is_deselected() -> None:
    file = "tests/contract/test_large.py"

    moto, ceph = (set(collected(file, COLLECTFASTA_TEST_S3=name)) for name in ("moto", "ceph"))

    assert {item.partition("[")[0] for item in moto - ceph} == {
        "test_small_object_in_parts_is_recognised_where_the_parts_are_alike"
    }
    assert ceph < moto
