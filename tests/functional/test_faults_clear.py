"""What goes wrong while ``--clear`` lists and deletes what is left over, and listings in pages."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.core.management import CommandError

from tests import backoff
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import RecordedCloud
from tests.servers.recorder import Fault, Faults, Match

NAMES = ["a.css", "b.css"]
LEFT_OVER = [f"static/old/{number}.css" for number in range(8)]
THEIRS = ["media/a.png", "static-old/a.css"]
DEPLOYED = [f"static/{name}" for name in NAMES]
DELETIONS = {"DELETE_BATCH", "BATCH", "DELETE"}

ANY = [
    Fault.INTERNAL_ERROR,
    Fault.SLOW_DOWN,
    Fault.TOO_MANY_REQUESTS,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.TRUNCATE,
]
each_fault = pytest.mark.parametrize("fault", ANY, ids=lambda fault: fault.name)
UNDER_LOCATION: dict[str, Any] = {"options": {"location": "static"}, "threads": 2}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff.shorten(monkeypatch)
    monkeypatch.setattr("collectfasta.strategies.patience._LONGEST", backoff.SECONDS)


@pytest.fixture
def full(recorded_cloud: RecordedCloud, static_tree: StaticTree) -> RecordedCloud:
    """A bucket with what is left over under the location, and what is somebody else's."""
    for name in NAMES:
        static_tree.write(name, name.encode())
    for key in (*LEFT_OVER, *THEIRS):
        recorded_cloud.put(key, b"left")
    return recorded_cloud


def listing(cloud: RecordedCloud) -> Match:
    """Match a listing: of leftovers, because ``--clear`` sends everything without looking."""
    return lambda request: cloud.kind(request) == "LIST"


def later_listing(cloud: RecordedCloud) -> Match:
    """Match all listings but the first."""
    numbers = itertools.count()
    return lambda request: cloud.kind(request) == "LIST" and next(numbers) > 0


@each_fault
def test_a_listing_that_goes_wrong_once_leaves_nothing_over_and_what_is_theirs(
    full: RecordedCloud, collectstatic: CollectStatic, fault: Fault
) -> None:
    full.recorder.disturb(Faults.each(fault, times=1), listing(full))

    collectstatic(full, clear=True, **UNDER_LOCATION)

    assert full.keys() == sorted([*DEPLOYED, *THEIRS])
    assert [request.fault for request in full.requests].count(fault) == 1


@pytest.mark.parametrize("fault", [Fault.SLOW_DOWN, Fault.TRUNCATE], ids=lambda fault: fault.name)
def test_a_listing_that_never_comes_whole_ends_the_command_before_it_sends(
    full: RecordedCloud, collectstatic: CollectStatic, fault: Fault
) -> None:
    full.recorder.disturb(Faults.each(fault), listing(full))

    with pytest.raises(CommandError) as caught:
        collectstatic(full, clear=True, **UNDER_LOCATION)

    assert full.keys() == sorted([*LEFT_OVER, *THEIRS])
    assert len(str(caught.value).splitlines()) == 1
    assert "Run the command again" in str(caught.value)


@each_fault
def test_a_deletion_that_goes_wrong_once_leaves_nothing_over_and_what_is_theirs(
    full: RecordedCloud, collectstatic: CollectStatic, fault: Fault
) -> None:
    full.recorder.disturb(
        Faults.each(fault, times=1), lambda request: full.kind(request) in DELETIONS
    )

    collectstatic(full, clear=True, **UNDER_LOCATION)

    assert full.keys() == sorted([*DEPLOYED, *THEIRS])
    assert fault in [request.fault for request in full.requests]


@pytest.mark.parametrize("fault", [Fault.SLOW_DOWN, Fault.RESET_BEFORE], ids=lambda each: each.name)
def test_deletions_that_never_succeed_end_the_command_and_cost_no_file(
    full: RecordedCloud, collectstatic: CollectStatic, fault: Fault
) -> None:
    full.recorder.disturb(Faults.each(fault), lambda request: full.kind(request) in DELETIONS)

    with pytest.raises(CommandError) as caught:
        collectstatic(full, clear=True, **UNDER_LOCATION)

    assert full.keys() == sorted([*DEPLOYED, *LEFT_OVER, *THEIRS])
    assert "Traceback" not in str(caught.value)
    assert len(full.requests) < 150


class TestPages:
    """Four objects to a page."""

    @pytest.fixture
    def deployed(
        self,
        azure: RecordedCloud,
        static_tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> RecordedCloud:
        for number in range(10):
            static_tree.write(f"css/{number}.css", b"%d" % number)
        monkeypatch.setattr("collectfasta.strategies.azure_listing._PAGE", 4)
        collectstatic(azure, **UNDER_LOCATION)
        azure.clear_requests()
        return azure

    @pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.TRUNCATE, Fault.SLOW_DOWN])
    def test_a_page_that_goes_wrong_makes_nothing_missing(
        self, deployed: RecordedCloud, collectstatic: CollectStatic, fault: Fault
    ) -> None:
        deployed.recorder.disturb(Faults.each(fault, times=1), later_listing(deployed))

        run = collectstatic(deployed, **UNDER_LOCATION)

        assert "10 unmodified" in run.stdout
        assert fault in [request.fault for request in deployed.requests]
        assert {*deployed.counts()} == {"LIST"}

    def test_a_page_that_never_comes_whole_ends_the_command_before_it_sends(
        self, deployed: RecordedCloud, static_tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        static_tree.write("css/3.css", b"changed")
        deployed.recorder.disturb(Faults.each(Fault.TRUNCATE), later_listing(deployed))

        with pytest.raises(CommandError, match="Run the command again"):
            collectstatic(deployed, **UNDER_LOCATION)

        assert {*deployed.counts()} == {"LIST"}
        assert deployed.get("static/css/3.css").body == b"3"
