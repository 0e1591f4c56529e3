"""docs/reliability.md and tests/README.md: each fault has tests, and each of them exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.loop import for_each

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "reliability.md"
README = TESTS / "README.md"
FAULTS = ["fault", "what you see", "exit status", "what the storage holds"]
_TEST = re.compile(r"`(\w+(?:::\w+)?)`")


def rows(document: Path, head: list[str]) -> list[tuple[str, list[str]]]:
    """Return section and cells of each row of the tables that have this head."""
    found, section, is_inside = [], "", False
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        cells = [each.strip() for each in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        is_inside = line.startswith("|") and (is_inside or cells == head)
        if is_inside and cells != head and not line.startswith("|--"):
            found.append((section, cells))
    return found


def names_in(path: Path) -> Iterator[str]:
    """Yield the tests of a module: functions, classes, and the methods of classes."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
            yield from (f"{node.name}::{each.name}" for each in methods)


DESCRIBED = rows(DOCUMENT, FAULTS)
HELD = rows(README, ["fault", "tests"])
NAMES = {name for path in TESTS.rglob("test_*.py") for name in names_in(path)}


@for_each("row", DESCRIBED)
def test_every_row_is_whole(row: tuple[str, list[str]]) -> None:
    assert len(row[1]) == len(FAULTS)
    assert all(row[1])


def test_every_fault_is_held_by_tests_and_no_other() -> None:
    assert len(DESCRIBED) > 50
    assert [(section, cells[0]) for section, cells in HELD] == [
        (section, cells[0]) for section, cells in DESCRIBED
    ]


@for_each("row", HELD)
def test_the_tests_of_a_fault_exist(row: tuple[str, list[str]]) -> None:
    tests = _TEST.findall(row[1][1])
    assert tests
    assert all(each.rpartition("::")[2].startswith(("test_", "Test")) for each in tests)
    assert [each for each in tests if each not in NAMES] == []
