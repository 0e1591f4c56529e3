"""The ratios of measured figures and whether they meet the targets."""

from __future__ import annotations

import pytest

from benchmarks.measured_process import Usage
from benchmarks.results import Results, Run
from benchmarks.scenarios import COLD, DRY, FIRST, Case, Scenario
from benchmarks.targets import Target, targets
from benchmarks.tools import OURS, PEER, S5CMD, Tool


def run(
    tool: Tool,
    scenario: Scenario = FIRST,
    storage: str = "plain",
    seconds: float = 1.0,
    cpu_seconds: float = 1.0,
) -> Run:
    return Run(
        case=Case(100, storage, 20.0, scenario),
        tool=tool,
        usage=Usage(seconds, cpu_seconds, 1_000_000),
        requests={"PUT": 100},
        bytes_sent=1000,
        objects=100,
        tree_bytes=1000,
        server_cpu_seconds=0.1,
        load=0.5,
    )


def target(text: str, *runs: Run) -> Target:
    (found,) = (each for each in targets(Results({}, runs)) if text in each.text)
    return found


@pytest.mark.parametrize(("seconds", "is_met"), [(10.0, True), (9.9, False)])
def test_a_first_deploy_has_to_be_ten_times_faster_than_the_peer(
    seconds: float, is_met: bool
) -> None:
    assert target("peer", run(PEER, seconds=seconds), run(OURS)).is_met is is_met


def test_a_first_deploy_is_held_to_s5cmd(subtests: pytest.Subtests) -> None:
    rows: list[tuple[str, float, bool]] = [
        ("plain", 0.8, True),
        ("plain", 0.81, False),
        ("manifest", 1.0, True),
        ("manifest", 1.01, False),
    ]
    for storage, seconds, is_met in rows:
        with subtests.test(storage=storage, seconds=seconds, is_met=is_met):
            ours, s5cmd = run(OURS, storage=storage, seconds=seconds), run(S5CMD, storage=storage)
            assert target("s5cmd", ours, s5cmd).is_met is is_met


@pytest.mark.parametrize("text", ["time, ours / peer", "CPU time, ours / peer"])
def test_an_unchanged_deploy_is_held_to_the_peer(text: str) -> None:
    ours = run(OURS, COLD, seconds=0.6, cpu_seconds=0.6)
    found = [each for each in targets(Results({}, [ours, run(PEER, COLD)])) if each.text == text]
    assert [each.measured for each in found] == [0.6]


def test_cpu_of_sending_is_what_is_above_the_dry_run() -> None:
    found = target("CPU ms", run(OURS, cpu_seconds=1.1), run(OURS, DRY, cpu_seconds=1.0))
    assert found.measured == pytest.approx(1.0)


def test_the_ratio_is_of_medians() -> None:
    runs = [run(PEER, seconds=seconds) for seconds in (1.0, 12.0, 100.0)]
    assert target("peer", *runs, run(OURS)).measured == 12.0


def test_a_tool_that_was_not_measured_has_no_target() -> None:
    assert not targets(Results({}, [run(OURS)]))
