"""docs/contributing.md names what there is in the package, and each of its modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import collectfasta
from tests.loop import for_each

PACKAGE = Path(collectfasta.__file__).parent
ROOT = PACKAGE.parent
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")

_SPAN = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r"[A-Z]\w+(?:\.\w+)?|[a-z]+(?:_[a-z]+)*")
_PATH = re.compile(r"(?:collectfasta|docs|tests|\.github)/[\w/.]*|[A-Z]+\.md")

# Words of what a file passes that are Django's, or the file's.
_OF_OTHERS = {"S3ManifestStaticStorage"}


def section(title: str) -> str:
    """Return the text of a section."""
    body = PAGE.split(f"\n## {title}\n")[1]
    return body.split("\n## ")[0]


def name_of(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {name_of(path) for path in PACKAGE.rglob("*.py") if path.stat().st_size} - {"__init__"}
NAMES = sorted(set(_SPAN.findall(section("What a file passes"))) - _OF_OTHERS)
PATHS = sorted({each for each in _SPAN.findall(PAGE) if _PATH.fullmatch(each)})


@cache
def defined() -> frozenset[str]:
    """Return the functions, classes, methods and constants of the package."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        found |= {*definitions(ast.parse(path.read_text(encoding="utf-8")))}
    return frozenset(found)


def definitions(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{each}" for each in definitions(node))
            yield from definitions(node)


def test_what_a_file_passes_names_functions() -> None:
    # Else nothing below could fail.
    assert len([each for each in NAMES if _NAME.fullmatch(each)]) > 30


@for_each("name", [each for each in NAMES if _NAME.fullmatch(each)])
def test_what_a_file_passes_exists(name: str) -> None:
    assert name in defined()


def test_every_module_is_in_the_table_and_no_other() -> None:
    modules = section("The map").split("\n### ")[0]
    rows = [each for each in modules.splitlines() if each.startswith("| `")]
    named = [name for row in rows for name in _SPAN.findall(row.split("|")[1])]
    assert sorted(named) == sorted(MODULES)


@for_each("word", sorted({*re.findall(r"`make ([a-z-]+)`", PAGE)}))
def test_make_knows_every_word(word: str) -> None:
    assert re.search(rf"^{word}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@for_each("path", PATHS)
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()
