"""Charts of results, as SVG that is readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]
from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]

from benchmarks.results import Results, Run, cpu, memory, wall
from benchmarks.scenarios import CHANGED, COLD, FIRST, FRESH, Case
from benchmarks.tools import OURS

_SCENARIOS = (FIRST, FRESH, COLD, CHANGED)
_GREY = "#808890"
# Told apart by most people who see colours otherwise: Okabe and Ito's, without black and yellow.
_COLOURS = {
    "django": "#999999",
    "peer": "#cc79a7",
    "aws": "#e69f00",
    "s5cmd": "#56b4e9",
    "collectfasta": "#009e73",
}
_STYLE = {
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": _GREY,
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.alpha": 0.3,
    "grid.color": _GREY,
    "legend.frameon": False,
    "legend.labelcolor": _GREY,
    "svg.fonttype": "none",
    # The same figures make the same file.
    "svg.hashsalt": "benchmarks",
    "text.color": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
}


def draw(results: Results, path: Path) -> None:
    """Draw the chart that belongs to results.

    Args:
        results: What was measured.
        path: Where the SVG is written.
    """
    with mpl.rc_context(_STYLE):
        figure = _growth(results) if results.facts["name"] == "growth" else _deploys(results)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def _deploys(results: Results) -> Any:
    """Draw wall times with the most files: a row for each scenario, a column for each storage."""
    measured = [*dict.fromkeys(case.scenario for case in results.cases())]
    scenarios = [each for each in _SCENARIOS if each in measured] or measured
    cases = [case for case in results.cases() if case.scenario in scenarios]
    files, latency = max((case.files, case.latency) for case in cases)
    storages = list(dict.fromkeys(case.storage for case in cases))
    size = 9.5, 0.6 + len(scenarios) * (0.5 + 0.2 * len(results.tools()))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(scenarios), len(storages), squeeze=False, sharey=True)
    for row, scenario in zip(panels, scenarios, strict=True):
        for panel, storage in zip(row, storages, strict=True):
            _bars(panel, results, Case(files, storage, latency, scenario))
            panel.set_title(f"{scenario.label} ({storage})", loc="left", fontsize="medium")
    text = f"{files:,} files, {latency:g} ms per request: median of seconds from start to end"
    figure.supxlabel(text, fontsize="medium")
    return figure


def _bars(panel: Any, results: Results, case: Case) -> None:
    tools = results.tools()
    medians = [results.median(case, tool, wall) for tool in tools]
    colours = [_COLOURS[tool.name] for tool in tools]
    bars = panel.barh(
        [tool.label for tool in tools], [each or 0 for each in medians], color=colours
    )
    panel.bar_label(
        bars, [f"{each:.1f}" if each else "not measured" for each in medians], padding=3
    )
    panel.set_xticks([])
    panel.spines["bottom"].set_visible(False)
    panel.tick_params(axis="y", length=0)
    # Room for the longest bar's label.
    panel.margins(x=0.12)


def _growth(results: Results) -> Any:
    """Draw time, CPU time and memory by number of files, each with what linear growth would be."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, 3)
    _curves(panels[0], results, wall, 1, "seconds")
    _curves(panels[1], results, cpu, 1, "CPU seconds")
    _curves(panels[2], results, memory, 1e6, "peak memory, MB")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _curves(
    panel: Any, results: Results, figure: Callable[[Run], float], unit: float, text: str
) -> None:
    cases = results.cases()
    kinds = dict.fromkeys((case.scenario, case.storage, case.latency) for case in cases)
    colours = iter(_COLOURS.values())
    for (scenario, storage, latency), colour in zip(kinds, colours, strict=False):
        found = [
            (case.files, (results.median(case, OURS, figure) or 0) / unit)
            for case in cases
            if (case.scenario, case.storage, case.latency) == (scenario, storage, latency)
        ]
        files, medians = zip(*sorted(found), strict=True)
        label = f"{scenario.label}, {storage}, {latency:g} ms"
        panel.plot(files, medians, marker="o", color=colour, label=label)
        if len(files) > 1:
            slope = (medians[1] - medians[0]) / (files[1] - files[0])
            end = medians[0] + slope * (files[-1] - files[0])
            panel.plot([files[0], files[-1]], [medians[0], end], "--", color=colour, linewidth=1)
    panel.set_title(text)
    panel.set_xlabel("files")
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.grid()
