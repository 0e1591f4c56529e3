"""What the benchmark of deploys is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.scenarios import COLD, FIRST, LARGE, SCENARIOS, WARM, Case, Scenario
from benchmarks.tools import OURS, TOOLS, Tool

_EVERYTHING: Mapping[str, Any] = {
    "tools": list(TOOLS),
    "scenarios": list(SCENARIOS),
    "files": [300, 3_000],
    "repeats": 5,
    "patience": 20.0,
}
_GROWTH: Mapping[str, Any] = {
    "tools": [OURS.name],
    "scenarios": [FIRST.name, COLD.name],
    "files": [3_000, 10_000, 30_000],
    "repeats": 3,
    "patience": 120.0,
}
_EPILOG = """
A deploy is named FILES/STORAGE/LATENCY/SCENARIO/TOOL, as 300/plain/20/first/s5cmd; patterns are
those of a shell, where * also stands for slashes.
"""


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
        name: ``deploys`` or ``growth``: what the files with the results are called.
        tools: What deploys.
        scenarios: The states that deploys begin with.
        files: How many files there are.
        latencies: Milliseconds by which the server holds back each answer.
        storages: ``plain`` and ``manifest``.
        repeats: The most deploys of each kind.
        patience: Seconds; a deploy is not repeated once it took longer, all repeats together.
        is_slow_wanted: Slow tools are measured with any number of files.
        only: Patterns of the deploys that are measured; all without one.
        skip: Patterns of those that are not.
        output: Where the results are written.
        docs: The results are written into the documentation, too.
    """

    name: str
    tools: Sequence[Tool]
    scenarios: Sequence[Scenario]
    files: Sequence[int]
    latencies: Sequence[float]
    storages: Sequence[str]
    repeats: int
    patience: float
    is_slow_wanted: bool
    only: Sequence[str]
    skip: Sequence[str]
    output: Path
    docs: bool

    def cases_by_tree(self) -> Iterator[list[Case]]:
        """Yield the cases, those of one tree together, each with a tool to measure."""
        usual = [each for each in self.scenarios if each != LARGE]
        for files in self.files:
            yield from self._wanted(files, self.storages, usual)
        if LARGE in self.scenarios and "manifest" in self.storages:
            yield from self._wanted(min(self.files), ["manifest"], [LARGE])

    def tools_for(self, case: Case) -> list[Tool]:
        """Return the tools that are measured in a case."""
        return [tool for tool in self.tools if self._is_wanted(case, tool)]

    def _wanted(
        self, files: int, storages: Sequence[str], scenarios: Sequence[Scenario]
    ) -> Iterator[list[Case]]:
        cases = [
            Case(files, storage, latency, scenario)
            for storage in storages
            for latency in self.latencies
            for scenario in scenarios
        ]
        wanted = [case for case in cases if self.tools_for(case)]
        if wanted:
            yield wanted

    def _is_wanted(self, case: Case, tool: Tool) -> bool:
        if case.scenario == WARM and not tool.has_cache:
            return False
        if not case.scenario.sends and not tool.has_parts:
            return False
        if not self.is_slow_wanted and tool.most_files and case.files > tool.most_files:
            return False
        name = f"{case.name}/{tool.name}"
        is_chosen = not self.only or any(fnmatch(name, pattern) for pattern in self.only)
        return is_chosen and not any(fnmatch(name, pattern) for pattern in self.skip)


def parse(arguments: Sequence[str] | None) -> Options:
    """Return what the command line asks for; end with a message if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="make benchmark", description=__doc__, epilog=_EPILOG, allow_abbrev=False
    )
    _add_arguments(parser)
    given, _ = parser.parse_known_args(arguments)
    parser.set_defaults(**(_GROWTH if given.growth else _EVERYTHING))
    given = parser.parse_args(arguments)
    given.output.mkdir(parents=True, exist_ok=True)
    return Options(
        name="growth" if given.growth else "deploys",
        tools=[TOOLS[name] for name in given.tools],
        scenarios=[SCENARIOS[name] for name in given.scenarios],
        files=sorted(given.files),
        latencies=given.latency,
        storages=given.storages,
        repeats=given.repeats,
        patience=given.patience,
        is_slow_wanted=given.slow,
        only=given.only,
        skip=given.skip,
        output=given.output,
        docs=given.docs,
    )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add, number = parser.add_argument, _at_least_1
    growth = "measure how our own cost grows, at 3,000, 10,000 and 30,000 files"
    slow = "measure slow tools with any number of files: " + ", ".join(
        f"{tool.name} above {tool.most_files:,}" for tool in TOOLS.values() if tool.most_files
    )
    patience = "seconds after which a deploy is not repeated, all repeats together (20)"
    storages = ["plain", "manifest"]
    add("--growth", action="store_true", help=growth)
    add("--tools", nargs="+", choices=TOOLS, metavar="TOOL", help=f"of {' '.join(TOOLS)} (all)")
    names = " ".join(SCENARIOS)
    add("--scenarios", nargs="+", choices=SCENARIOS, metavar="NAME", help=f"of {names} (all)")
    add("--storages", nargs="+", choices=storages, default=storages, help="(both)")
    add("--files", type=number, nargs="+", metavar="N", help="files to deploy (300 3000)")
    add("--latency", type=float, nargs="+", default=[20.0], metavar="MS", help="per request (20)")
    add("--repeats", type=number, metavar="N", help="the most deploys of each kind (5)")
    add("--patience", type=float, metavar="S", help=patience)
    add("--slow", action="store_true", help=slow)
    add("--only", nargs="+", default=[], metavar="PATTERN", help="deploys that are measured")
    add("--skip", nargs="+", default=[], metavar="PATTERN", help="deploys that are not")
    output = Path("build", "benchmark")
    add("--output", type=Path, default=output, metavar="DIR", help=f"for the results ({output})")
    add("--docs", action="store_true", help="write the results into docs/performance.md, too")


def _at_least_1(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value
