"""The figures of deploys, and how they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measured_process import Usage
from benchmarks.scenarios import SCENARIOS, Case
from benchmarks.tools import TOOLS, Tool


@dataclass(frozen=True)
class Run:
    """What one deploy took.

    Attributes:
        case: What was deployed.
        tool: What deployed it.
        usage: What the tool's processes took.
        requests: How many requests of each kind arrived at the server.
        bytes_sent: How many bytes were in their bodies.
        objects: How many objects the bucket has now.
        tree_bytes: How large the files are together.
        server_cpu_seconds: What the server worked for it.
        load: The machine's load when it began: what else wanted a CPU.
    """

    case: Case
    tool: Tool
    usage: Usage
    requests: Mapping[str, int]
    bytes_sent: int
    objects: int
    tree_bytes: int
    server_cpu_seconds: float
    load: float

    def as_json(self) -> dict[str, Any]:
        """Return the figures in one level."""
        return {
            **asdict(self.case),
            "scenario": self.case.scenario.name,
            "tool": self.tool.name,
            **self.usage._asdict(),
            **{name: getattr(self, name) for name in _OWN_FIGURES},
        }


_OWN_FIGURES = (
    "requests",
    "bytes_sent",
    "objects",
    "tree_bytes",
    "server_cpu_seconds",
    "load",
)


@dataclass(frozen=True)
class Results:
    """All that one call of the benchmark measured.

    Attributes:
        facts: When, on what, with which versions and options.
        runs: The deploys, in the order in which they ran.
    """

    facts: Mapping[str, Any]
    runs: Sequence[Run]

    def of(self, case: Case, tool: Tool) -> list[Run]:
        """Return the deploys of a case with a tool."""
        return [run for run in self.runs if run.case == case and run.tool == tool]

    def median(self, case: Case, tool: Tool, figure: Callable[[Run], float]) -> float | None:
        """Return the median of a figure; None if the case was not measured with the tool."""
        runs = self.of(case, tool)
        return median(map(figure, runs)) if runs else None

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they were measured."""
        return list(dict.fromkeys(run.case for run in self.runs))

    def tools(self) -> list[Tool]:
        """Return the tools that were measured, in the order of ``TOOLS``."""
        measured = {run.tool.name for run in self.runs}
        return [tool for tool in TOOLS.values() if tool.name in measured]

    def write(self, path: Path) -> None:
        """Write everything to a file, as JSON."""
        record = {**self.facts, "runs": [run.as_json() for run in self.runs]}
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Return what was written to a file."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    runs = facts.pop("runs")
    return Results(facts, list(_runs(runs)))


def _runs(records: Iterable[Mapping[str, Any]]) -> Iterable[Run]:
    for record in records:
        figures = {name: record[name] for name in _OWN_FIGURES}
        scenario = SCENARIOS[record["scenario"]]
        case = Case(record["files"], record["storage"], record["latency"], scenario)
        usage = Usage(*(record[name] for name in Usage._fields))
        yield Run(case, TOOLS[record["tool"]], usage, **figures)


def wall(run: Run) -> float:
    """Return the seconds from a deploy's start to its end."""
    return run.usage.seconds


def cpu(run: Run) -> float:
    """Return the seconds that a deploy's processes worked."""
    return run.usage.cpu_seconds


def memory(run: Run) -> float:
    """Return the peak memory of a deploy in bytes."""
    return run.usage.peak_bytes
