"""Who imports whom, and what an import costs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import collectfasta

ROOT = Path(collectfasta.__file__).parent
COMMAND = "collectfasta.management.commands.collectstatic"
SDKS = ("azure", "boto3", "botocore", "google.api_core", "google.auth", "google.cloud.storage")

# The steps of a deploy, the last one first, and what all of them stand upon.
LAYERS = [
    {COMMAND},
    {"collectfasta.management.deploying"},
    {"collectfasta.commit"},
    {"collectfasta.deploy"},
    {"collectfasta.transfer"},
    {"collectfasta.plan"},
    {"collectfasta.remote", "collectfasta.checksums"},
    {"collectfasta.settings"},
]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {name_of(path): path for path in ROOT.rglob("*.py")}


def imported_names(name: str, path: Path) -> Iterator[str]:
    """Yield each name that a module imports anywhere, also within functions and for types."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """Return the module of this package that a name is, or is in; None if it is in no such."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name or None


@cache
def graph() -> dict[str, set[str]]:
    """Return the modules that each module imports."""
    found = {}
    for name, path in modules().items():
        imported = {module_of(each) for each in imported_names(name, path)}
        found[name] = {each for each in imported if each} - {name}
    return found


def reached_from(name: str) -> set[str]:
    """Return all modules that a module needs."""
    seen: set[str] = set()
    waiting = {name}
    while waiting:
        new = waiting.pop()
        seen.add(new)
        waiting |= graph()[new] - seen
    return seen - {name}


def strategies() -> list[str]:
    return sorted(name for name in modules() if name.startswith("collectfasta.strategies"))


def test_the_graph_is_that_of_this_package() -> None:
    # Else nothing below could fail.
    assert "collectfasta.plan" in graph()["collectfasta.management.deploying"]
    assert "collectfasta.settings" in graph()["collectfasta.checksums"]
    assert "collectfasta.strategies.s3" in graph()["collectfasta.strategies.boto3"]


def test_no_module_needs_itself() -> None:
    # static_order() raises a CycleError that names the modules.
    assert set(TopologicalSorter(graph()).static_order()) == set(modules())


@pytest.mark.parametrize("number", range(1, len(LAYERS)))
def test_no_step_needs_one_that_comes_after_it(number: int) -> None:
    later = set().union(*LAYERS[:number])
    for module in LAYERS[number]:
        assert not reached_from(module) & later


@pytest.mark.parametrize("number", range(len(LAYERS) - 1))
def test_each_step_needs_the_one_before_it(number: int) -> None:
    needed = set().union(*map(reached_from, LAYERS[number]))
    assert LAYERS[number + 1] <= needed


@pytest.mark.parametrize("name", strategies())
def test_no_strategy_needs_a_step_of_the_command(name: str) -> None:
    assert not reached_from(name) & set().union(*LAYERS[:6])


@pytest.mark.parametrize("name", ["collectfasta.remote", "collectfasta.checksums"])
def test_what_the_strategies_stand_upon_needs_no_strategy(name: str) -> None:
    assert not reached_from(name) & set(strategies())


def modules_after(*statements: str, **environment: str) -> set[str]:
    """Return what is imported in a new interpreter after some statements."""
    code = "\n".join([*statements, "import json, sys", "print(json.dumps(list(sys.modules)))"])
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return set(json.loads(process.stdout))


def test_an_installed_app_and_its_command_import_no_cloud_sdk() -> None:
    imported = modules_after(
        "import django",
        "django.setup()",
        "import collectfasta.apps, collectfasta.checks, collectfasta.strategies",
        f"import {COMMAND}",
        DJANGO_SETTINGS_MODULE="tests.settings",
    )
    assert COMMAND in imported
    assert not [name for name in imported if f"{name}.".startswith(tuple(f"{s}." for s in SDKS))]


def test_the_sdks_are_what_they_are_called_here() -> None:
    # Else the test above could not fail.
    imported = modules_after(
        *(f"import collectfasta.strategies.{cloud}" for cloud in ("azure", "boto3", "gcloud")),
        DJANGO_SETTINGS_MODULE="tests.settings",
    )
    assert imported >= set(SDKS)


def test_an_import_reads_no_setting() -> None:
    # There are none to be read.
    imported = modules_after(
        "import collectfasta.apps, collectfasta.checks, collectfasta.strategies",
        "import collectfasta.settings, collectfasta.strategies.filesystem, collectfasta.commit",
        DJANGO_SETTINGS_MODULE="",
    )
    assert "collectfasta.commit" in imported
