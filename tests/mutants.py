"""Mutation testing: does `make test-fast` notice a line that does something else?

`make mutants` draws a seeded sample of the mutants that cosmic-ray's operators make of the modules
of `MUTATED`, and runs those fast tests against each that cover its line, until one fails.
Cosmic-ray itself starts the tests anew for each mutant, which takes seconds before the first one
runs; here each is a fork of a process that has imported the libraries, and nothing is written into
the package: the fork imports the mutated source in place of the module's own.

    python -m tests.mutants sample mutants.json    (with cosmic-ray)
    python -m tests.mutants run mutants.json       (with what the tests need)
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
MUTATED = [
    *("collectfasta/deploy/*.py", "collectfasta/strategies/*.py", "collectfasta/stores/store.py"),
    *("collectfasta/remote.py", "collectfasta/checksums.py", "collectfasta/checksum_cache.py"),
]
FAST = ["tests/unit", "tests/flow"]
SEED = 12
NUMBER = 400
TIMEOUT_SECONDS = 900

# What a fork need not import again.
LIBRARIES = [
    *("pytest", "hypothesis", "coverage", "django.core.management", "django.test", "whitenoise"),
    *("boto3", "botocore.session", "obstore", "google.cloud.storage"),
    *("azure.storage.blob", "requests", "tqdm"),
]

Mutant = dict[str, Any]


# The sample


class _WhatRuns(ast.NodeTransformer):
    """Drop what never runs: annotations, `@override`, and what is only for type checkers."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        node.decorator_list = [
            each
            for each in node.decorator_list
            if ast.unparse(each) not in ("override", "overload")
        ]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return ast.Pass()
        return self.generic_visit(node)


def _what_runs(source: str) -> str:
    return ast.dump(_WhatRuns().visit(ast.parse(source)))


def _places_of(path: Path) -> dict[tuple[Any, ...], list[tuple[str, int]]]:
    """Return each place with what can be done there: operators, and which occurrence it is."""
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast

    nodes = [*ast_nodes(get_ast(path.read_text(encoding="utf-8")))]
    places: dict[tuple[Any, ...], list[tuple[str, int]]] = {}
    for name in plugins.operator_names():
        if "Variable" in name or "NoOp" in name:  # need arguments, or change nothing
            continue
        operator = plugins.get_operator(name)()
        positions = [position for node in nodes for position in operator.mutation_positions(node)]
        kind = name.removeprefix("core/").partition("Operator_")[0]
        for occurrence, (start, _) in enumerate(positions):
            places.setdefault((path, *start, kind), []).append((name, occurrence))
    return places


def _mutate(path: Path, line: int, name: str, occurrence: int) -> Mutant | None:
    """Return a mutant, unless it can't be compiled or runs as before."""
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code

    source = path.read_text(encoding="utf-8")
    mutated = mutate_code(source, plugins.get_operator(name)(), occurrence)
    try:
        if mutated is None or _what_runs(mutated) == _what_runs(source):
            return None
    except SyntaxError:
        return None
    return {
        "path": path.relative_to(ROOT).as_posix(),
        "line": line,
        "operator": name,
        "source": mutated,
    }


def draw(seed: int, number: int) -> list[Mutant]:
    """Return some mutants, no more than one of each kind at a place.

    Else most of them would replace operators, of which each has a dozen replacements.
    """
    chosen = random.Random(seed)
    places: dict[tuple[Any, ...], list[tuple[str, int]]] = {}
    for path in sorted({path for pattern in MUTATED for path in ROOT.glob(pattern)}):
        places.update(_places_of(path))
    found: list[Mutant] = []
    for place in chosen.sample([*places], len(places)):
        if len(found) == number:
            break
        mutant = _mutate(place[0], place[1], *chosen.choice(places[place]))
        if mutant is not None:
            found.append(mutant)
    print(f"{len(found)} mutants of {len(places)} places, seed {seed}.")
    return found


# Which tests cover which line. This module is a plugin of pytest for that.


def pytest_runtest_logstart(nodeid: str) -> None:
    from coverage import Coverage

    measuring = Coverage.current()
    if measuring is not None:
        measuring.switch_context(nodeid.partition("[")[0])


def measure(data: Path) -> None:
    """Run the fast tests, and save which of them runs which line."""
    options = [f"--data-file={data}", "--parallel-mode", "--source=collectfasta"]
    environment = {**os.environ, "COVERAGE_CORE": "ctrace"}
    coverage = [sys.executable, "-m", "coverage"]
    tests = ["pytest", "-q", "-p", "tests.mutants", "-m", "not slow", "-p", "no:xdist", *FAST]
    subprocess.run([*coverage, "run", *options, "-m", *tests], env=environment, check=True)
    subprocess.run([*coverage, "combine", "--quiet", f"--data-file={data}"], check=True)


class Covering:
    """The tests that run a line."""

    def __init__(self, data: Path) -> None:
        from coverage import CoverageData

        measured = CoverageData(str(data))
        measured.read()
        self._tests: dict[str, dict[int, list[str]]] = {}
        self._lines: dict[str, int] = {}
        for path in measured.measured_files():
            found = measured.contexts_by_lineno(path)
            self._tests[Path(path).resolve().relative_to(ROOT).as_posix()] = found
            for tests in found.values():
                for test in tests:
                    self._lines[test] = self._lines.get(test, 0) + 1

    def tests(self, path: str, line: int) -> list[str]:
        """Return tests by how much else they run, the least first.

        What runs at import is covered by all tests that run anything of the module.
        """
        of_module = self._tests[path]
        found = {test for test in of_module.get(line, []) if test}
        found = found or {test for tests in of_module.values() for test in tests if test}
        return sorted(found, key=lambda test: (self._lines[test], test))


# Runs


class _Mutated(importlib.machinery.SourceFileLoader):
    source = ""

    def get_code(self, fullname: str) -> Any:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Give the mutated source of a module instead of its own."""

    def __init__(self, mutant: Mutant) -> None:
        self._path = ROOT / mutant["path"]
        parts = Path(mutant["path"]).with_suffix("").parts
        self._name = ".".join(parts).removesuffix(".__init__")
        self._source = mutant["source"]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Mutated(fullname, str(self._path))
        loader.source = self._source
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


def _child(mutant: Mutant | None, tests: list[str], log: Path) -> None:
    """Run the tests in this process, which is a fork, and end it."""
    import pytest

    os.setpgrp()
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant))
    options = [
        *("-x", "-q", "--tb=line", "-m", "not slow"),
        *("-p", "no:cacheprovider", "-p", "no:xdist"),
    ]
    # Without asserts rewritten: pytest warns of plugins that the parent has imported.
    code = pytest.main(["--assert=plain", *options, *tests])
    sys.stdout.flush()
    os._exit(int(code))


def run(mutant: Mutant | None, tests: list[str], log: Path) -> str:
    """Return what became of a mutant: survived, killed, timed out or uncovered.

    Raises:
        RuntimeError: If pytest did not know the tests.
    """
    if not tests:
        return "uncovered"
    child = os.fork()
    if not child:
        try:
            _child(mutant, tests, log)
        finally:
            traceback.print_exc()
            os._exit(4)
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            if code in (4, 5):
                raise RuntimeError(log.read_text(encoding="utf-8")[-2000:])
            return "killed" if code else "survived"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def difference(mutant: Mutant) -> str:
    """Return what a mutant changes, as a diff without context."""
    before = (ROOT / mutant["path"]).read_text(encoding="utf-8").splitlines()
    lines = difflib.unified_diff(before, mutant["source"].splitlines(), n=0, lineterm="")
    return "\n".join([*lines][2:])


def run_all(path: Path, data: Path) -> None:
    """Run each mutant of the sample, and print those that no test notices, and the rate."""
    mutants = json.loads(path.read_text(encoding="utf-8"))
    if not data.exists():
        measure(data)
    covering = Covering(data)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    for library in LIBRARIES:
        importlib.import_module(library)
    log = path.with_suffix(".log")
    # Else whatever breaks the tests would count as a mutant that they notice.
    for mutant in mutants[:3]:
        tests = covering.tests(mutant["path"], mutant["line"])
        if run(None, tests, log) != "survived":
            raise RuntimeError(log.read_text(encoding="utf-8")[-2000:])
    found: dict[str, int] = {}
    for number, mutant in enumerate(mutants, 1):
        tests = covering.tests(mutant["path"], mutant["line"])
        began = time.monotonic()
        outcome = run(mutant, tests, log)
        found[outcome] = found.get(outcome, 0) + 1
        seconds = time.monotonic() - began
        head = f"{number:4} {outcome:9} {seconds:4.0f} s {mutant['path']}:{mutant['line']}"
        print(f"{head} {mutant['operator']} ({len(tests)} tests)", flush=True)
        if outcome != "killed":
            print(difference(mutant), flush=True)
    # One that timed out may have met a busy machine: it is not counted as noticed.
    killed = found.get("killed", 0)
    print(f"{killed} of {len(mutants)} noticed ({killed / len(mutants):.1%}): {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", choices=["sample", "run"])
    parser.add_argument("mutants", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--number", type=int, default=NUMBER)
    given = parser.parse_args()
    if given.word == "sample":
        given.mutants.write_text(json.dumps(draw(given.seed, given.number)), encoding="utf-8")
    else:
        run_all(given.mutants, given.mutants.with_suffix(".coverage"))


if __name__ == "__main__":
    main()
