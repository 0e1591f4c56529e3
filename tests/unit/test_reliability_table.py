"""docs/reliability.md names a test for each fault: each of them exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
COLUMNS = ["fault", "what you see", "exit status", "what the storage holds", "test"]
_TEST = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")


def tables() -> list[list[list[str]]]:
    """Return the cells of each table of the document, its head first."""
    found: list[list[list[str]]] = [[]]
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found[-1].append([cell.strip() for cell in cells])
        elif found[-1]:
            found.append([])
    return [each for each in found if each and each[0] == COLUMNS]


ROWS = [row for table in tables() for row in table[2:]]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the tests of a module: functions, classes, and the methods of classes."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
            names |= {f"{node.name}::{each.name}" for each in methods}
    return frozenset(names)


def test_there_are_rows() -> None:
    assert len(ROWS) > 50


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_whole(row: list[str]) -> None:
    assert len(row) == len(COLUMNS)
    assert all(row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_has_a_test_that_exists(row: list[str]) -> None:
    tests = _TEST.findall(row[-1])
    assert tests
    for test in tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        assert name in names_in(ROOT / path), test
        assert name.rpartition("::")[2].startswith(("test_", "Test")), test
