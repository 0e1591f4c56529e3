"""The ratios that the design sets as targets, and whether the figures meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.results import Results, Run, cpu, memory, wall
from benchmarks.scenarios import COLD, DRY, FIRST, LARGE, Case
from benchmarks.tools import OURS, PEER, S5CMD, Tool


@dataclass(frozen=True)
class Target:
    """A ratio that was measured, and its limit.

    Attributes:
        case: Where it was measured.
        text: What it is a ratio of.
        measured: The ratio of the medians.
        limit: What it has to reach.
        is_at_least: It has to be the limit or more. Else the limit or less.
    """

    case: Case
    text: str
    measured: float
    limit: float
    is_at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the limit is reached."""
        if self.is_at_least:
            return self.measured >= self.limit
        return self.measured <= self.limit


def targets(results: Results) -> list[Target]:
    """Return the targets of all cases that were measured with the tools they are about."""
    found: list[Target] = []
    for case in results.cases():
        if case.scenario == FIRST:
            found += _first(results, case)
        elif case.scenario == COLD:
            found += _unchanged(results, case)
        elif case.scenario == LARGE:
            found += _ratio(results, case, "peak memory, ours / peer", memory, OURS, PEER, 0.2)
    return found


def _first(results: Results, case: Case) -> Iterator[Target]:
    limit = 0.8 if case.storage == "plain" else 1.0
    text = "time, peer / ours"
    yield from _ratio(results, case, text, wall, PEER, OURS, 10, is_at_least=True)
    yield from _ratio(results, case, "time, ours / s5cmd sync", wall, OURS, S5CMD, limit)
    milliseconds = _cpu_of_sending(results, case)
    if milliseconds is not None:
        yield Target(case, "CPU ms per object sent, ours", milliseconds, 1.5)


def _unchanged(results: Results, case: Case) -> Iterator[Target]:
    yield from _ratio(results, case, "time, ours / peer", wall, OURS, PEER, 0.6)
    yield from _ratio(results, case, "CPU time, ours / peer", cpu, OURS, PEER, 0.6)
    yield from _ratio(results, case, "time, ours / s5cmd sync", wall, OURS, S5CMD, 1.0)


def _ratio(
    results: Results,
    case: Case,
    text: str,
    figure: Callable[[Run], float],
    upper: Tool,
    lower: Tool,
    limit: float,
    *,
    is_at_least: bool = False,
) -> Iterator[Target]:
    numerator = results.median(case, upper, figure)
    denominator = results.median(case, lower, figure)
    if numerator and denominator:
        yield Target(case, text, numerator / denominator, limit, is_at_least)


def _cpu_of_sending(results: Results, case: Case) -> float | None:
    """Return by how many milliseconds CPU time is above that of a dry run, for each object."""
    dry_case = Case(case.files, case.storage, case.latency, DRY)
    sending, dry = results.median(case, OURS, cpu), results.median(dry_case, OURS, cpu)
    objects = results.median(case, OURS, lambda run: run.objects)
    if sending is None or dry is None or not objects:
        return None
    return (sending - dry) * 1000 / objects
