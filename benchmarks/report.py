"""Write results as Markdown and charts, also into the documentation.

``python -m benchmarks.report RESULTS.json`` writes both anew from what was measured, next to it;
``--docs`` writes them into the documentation, too.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from benchmarks import results as results_module
from benchmarks.charts import draw
from benchmarks.results import Results, Run, cpu, memory, wall
from benchmarks.scenarios import Case
from benchmarks.tables import kinds, markdown_table, spread
from benchmarks.targets import Target, targets

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_PAGE = _DOCS / "performance.md"
_DETAILS = ["deploy", "tool", "n", "wall s", "CPU s", "peak MB", "MB sent", "requests"]


def write_report(results: Results, output: Path) -> str:
    """Write a report and a chart next to each other.

    Args:
        results: What was measured.
        output: An existing directory.

    Returns:
        The report, in Markdown.
    """
    name = results.facts["name"]
    text = _report(results, f"{name}.svg")
    (output / f"{name}.md").write_text(text, encoding="utf-8")
    draw(results, output / f"{name}.svg")
    return text


def publish(results: Results) -> None:
    """Write a report into its section of the documentation, with its chart.

    Raises:
        ValueError: The documentation has no such section.
    """
    name = results.facts["name"]
    images = _DOCS / "images"
    images.mkdir(exist_ok=True)
    draw(results, images / f"{name}.svg")
    section = f"<!-- {name}: written by the benchmark -->\n", f"<!-- end of {name} -->"
    pattern = re.compile(f"({re.escape(section[0])}).*?({re.escape(section[1])})", re.DOTALL)
    page = _PAGE.read_text(encoding="utf-8")
    if not pattern.search(page):
        raise ValueError(f"{_PAGE} has no section that begins with {section[0]!r}.")
    text = _report(results, f"images/{name}.svg")
    written = pattern.sub(lambda match: f"{match[1]}{text}{match[2]}", page)
    _PAGE.write_text(written, encoding="utf-8")


def _report(results: Results, chart: str) -> str:
    name = results.facts["name"]
    parts = [_headline(results), f"![{name.capitalize()}]({chart})"]
    found = targets(results)
    if found:
        parts.append(f"**Targets**\n\n{_targets_table(found)}")
    groups = _groups(results)
    parts += [f"{_title(runs)}\n\n{_summary(runs)}" for runs in groups]
    details = "\n\n".join(f"{_title(runs)}\n\n{_details(runs)}" for runs in groups)
    summary = "<summary>CPU time, memory, bytes and requests of each</summary>"
    parts.append(f"<details>\n{summary}\n\n{details}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _headline(results: Results) -> str:
    facts = results.facts
    rows = [["tool", "versions"]]
    for tool in results.tools():
        versions = facts["versions"][tool.name].items()
        rows.append([tool.label, ", ".join(f"{name} {number}" for name, number in versions)])
    return (
        f"{facts['started'][:10]}, {facts['system']}, {facts['cpus']} CPUs.\n\n"
        f"{markdown_table(rows, words={0, 1})}"
    )


def _targets_table(found: Iterable[Target]) -> str:
    rows = [["files", "storage", "ms", "deploy", "ratio", "measured", "target", "met"]]
    for target in found:
        case, sign = target.case, "≥" if target.is_at_least else "≤"
        rows.append(
            [
                f"{case.files:,}",
                case.storage,
                f"{case.latency:g}",
                case.scenario.label,
                target.text,
                f"{target.measured:.2f}",
                f"{sign} {target.limit:g}",
                "yes" if target.is_met else "**no**",
            ]
        )
    return markdown_table(rows, words={1, 3, 4, 7})


def _groups(results: Results) -> list[list[Run]]:
    """Return the deploys in groups of one tree, storage and latency."""
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in results.runs:
        case = run.case
        key = case.files, case.scenario.scale, case.storage, case.latency
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def _title(runs: Sequence[Run]) -> str:
    case, megabytes = runs[0].case, runs[0].tree_bytes / 1e6
    loads = [run.load for run in runs]
    return (
        f"**{case.files:,} files ({megabytes:.0f} MB), {case.storage} storage, "
        f"{case.latency:g} ms per request** (load {min(loads):.1f}-{max(loads):.1f})"
    )


def _summary(runs: Sequence[Run]) -> str:
    """Return wall times, a row for each tool and a column for each scenario."""
    deploys = _deploys(run for run in runs if run.case.scenario.sends)
    cases = list(dict.fromkeys(case for case, _ in deploys))
    rows = [["wall s", *(case.scenario.label for case in cases)]]
    for label in dict.fromkeys(label for _, label in deploys):
        found = (deploys.get((case, label), []) for case in cases)
        rows.append([label, *(_figures(group) for group in found)])
    return markdown_table(rows, words={0})


def _figures(runs: Sequence[Run]) -> str:
    return spread([wall(run) for run in runs]) if runs else ""


def _details(runs: Sequence[Run]) -> str:
    rows = [_DETAILS]
    for (case, label), group in _deploys(runs).items():
        rows.append(
            [
                case.scenario.label,
                label,
                str(len(group)),
                spread([wall(run) for run in group]),
                spread([cpu(run) for run in group]),
                f"{median(memory(run) for run in group) / 1e6:.0f}",
                f"{median(run.bytes_sent for run in group) / 1e6:.1f}",
                kinds([run.requests for run in group]),
            ]
        )
    return markdown_table(rows, words={0, 1})


def _deploys(runs: Iterable[Run]) -> dict[tuple[Case, str], list[Run]]:
    """Return the repeats of each deploy, in the order of the tools."""
    deploys: dict[tuple[Case, str], list[Run]] = {}
    for run in runs:
        deploys.setdefault((run.case, run.tool.label), []).append(run)
    return deploys


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of results and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", type=Path, help="what a benchmark has written")
    parser.add_argument("--docs", action="store_true", help="write it into the documentation, too")
    options = parser.parse_args(arguments)
    results = results_module.read(options.results)
    print(write_report(results, options.results.parent))
    if options.docs:
        publish(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
