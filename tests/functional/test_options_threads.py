"""``--threads N``: so many files are sent at a time, whatever the setting says."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management import CommandError, call_command

from collectfasta.strategies import Strategy
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud

FILES = 12
# Waited only by a test that fails.
WAIT_SECONDS = 20.0


class Sending(Strategy[FileSystemStorage]):
    """A strategy that goes on only when so many files are sent at a time.

    Attributes:
        gate: Opens for so many threads; those that wait longer raise.
        threads: Which threads have sent a file.
    """

    gate: threading.Barrier
    threads: set[threading.Thread]

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True

    def upload(self, source: Any) -> Any:
        self.threads.add(threading.current_thread())
        self.gate.wait(WAIT_SECONDS)
        return super().upload(source)


def sending(at_a_time: int) -> type[Sending]:
    attributes = {"gate": threading.Barrier(at_a_time), "threads": set()}
    return type("SendingThese", (Sending,), attributes)


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    for number in range(FILES):
        static_tree.write(f"{number}.txt", b"%d" % number)


@pytest.mark.parametrize("setting", [None, 0, 1, 12])
def test_so_many_files_are_sent_at_a_time_whatever_the_setting_says(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, setting: int | None
) -> None:
    strategy = sending(3)

    collectstatic(filesystem, "--threads", "3", threads=setting, strategy=strategy)

    assert len(strategy.threads) == 3
    assert len(filesystem.keys()) == FILES


@pytest.mark.parametrize("setting", [None, 8])
def test_none_sends_in_the_thread_of_the_command(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, setting: int | None
) -> None:
    strategy = sending(1)

    collectstatic(filesystem, "--threads=0", threads=setting, strategy=strategy)

    assert strategy.threads == {threading.current_thread()}


def test_without_it_the_setting_counts(
    filesystem: FileSystemCloud, collectstatic: CollectStatic
) -> None:
    strategy = sending(2)

    collectstatic(filesystem, threads=2, strategy=strategy)

    assert len(strategy.threads) == 2


@pytest.mark.parametrize("number", ["0", "1", "5"])
def test_every_cloud_gets_all_files(
    cloud: Cloud, collectstatic: CollectStatic, number: str
) -> None:
    collectstatic(cloud, "--threads", number)

    assert len(cloud.keys()) == FILES
    if isinstance(cloud, RecordedCloud):
        assert cloud.counts()["PUT"] + cloud.counts()["UPLOAD"] == FILES


@pytest.mark.parametrize("number", ["-1", "1.5", "many", "", "²"])
def test_what_is_no_number_of_threads_is_refused_by_the_parser(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, number: str
) -> None:
    with pytest.raises(CommandError) as caught:
        collectstatic(filesystem, f"--threads={number}")

    assert str(caught.value) == (
        f"Error: argument --threads: {number!r} is not a number of 0 or more"
    )
    assert filesystem.keys() == []


@pytest.mark.parametrize("number", [-1, 1.5, "8", True])
def test_the_same_is_refused_in_one_line_when_python_calls(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, number: Any
) -> None:
    collectstatic(filesystem, dry_run=True)

    with pytest.raises(CommandError) as caught:
        call_command("collectstatic", interactive=False, threads=number)

    assert str(caught.value) == f"--threads must be a number of 0 or more, found {number!r}."
    assert filesystem.keys() == []
