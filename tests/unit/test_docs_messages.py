"""docs/troubleshooting.md names every message of the package, and no other as one of its own.

A message is any text in the source that has words in it, except docstrings, regular expressions,
texts that others' texts are compared with, the help of options (docs/settings.md has these), and
what only programs get to see. What varies in it is a placeholder.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

import collectfasta
from tests.loop import for_each

PACKAGE = Path(collectfasta.__file__).parent
PAGE = PACKAGE.parent / "docs" / "troubleshooting.md"
OTHERS = "Messages of Django, django-storages and the SDKs"


# What only those see who write code against the package.
_MISTAKES_OF_PROGRAMS = {"AttributeError", "NotImplementedError"}

_FIELD = "…"
_FIELD_TO_FILL = re.compile(r"%[sdr]|\{\w*\}")
_FIELD_IN_PAGE = re.compile(r"<[a-z ]+>")
_WORD = re.compile(r"[^\W\d_]{2,}")
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Text:
    """A text in the source, with a placeholder for each of its fields."""

    where: str
    text: str

    @cached_property
    def is_message(self) -> bool:
        return " " in self.text and len(_WORD.findall(self.text)) > 1

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("(.*?)".join(map(re.escape, self.text.split(_FIELD))))

    def is_in(self, entry: str) -> bool:
        edges = r"(?<!\w)", r"(?!\w)"
        return re.search(self.pattern.pattern.join(edges), entry) is not None


class Collector(ast.NodeVisitor):
    """Collect the texts of a module."""

    def __init__(self, path: Path) -> None:
        self._name = path.relative_to(PACKAGE.parent).as_posix()
        self.texts: list[Text] = []

    def _add(self, node: ast.expr, text: str) -> None:
        text = " ".join(_FIELD_TO_FILL.sub(_FIELD, text).split())
        self.texts.append(Text(f"{self._name}:{node.lineno}", text))

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._add(node, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        parts = [each.value if isinstance(each, ast.Constant) else _FIELD for each in node.values]
        self._add(node, "".join(map(str, parts)))
        for each in node.values:
            if isinstance(each, ast.FormattedValue):
                self.visit(each.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        # The help of options.
        if ast.unparse(node.targets[0]) != "_FLAGS":
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        pass

    def visit_Raise(self, node: ast.Raise) -> None:
        raised = getattr(getattr(node.exc, "func", None), "id", None)
        if raised not in _MISTAKES_OF_PROGRAMS:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func) != "re.compile":
            node.keywords = [each for each in node.keywords if each.arg != "help"]
            self.generic_visit(node)


@cache
def texts() -> list[Text]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        collector = Collector(path)
        collector.visit(ast.parse(path.read_text(encoding="utf-8")))
        found += collector.texts
    return found


@dataclass(frozen=True)
class Item:
    """What the page says of some texts: an item of a list, or a row of a table."""

    section: str
    entries: tuple[str, ...]
    explanation: str


def items() -> Iterator[Item]:
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        for paragraph in re.findall(r"^- `.*(?:\n(?:  .*)?)*", body, re.MULTILINE):
            head, _, explanation = paragraph.partition("\n\n")
            yield Item(title, entries_in(head), explanation.strip())
        for row in re.findall(r"^\| `.*", body, re.MULTILINE):
            head, _, explanation = row.strip("| ").partition(" | ")
            yield Item(title, entries_in(head), explanation.strip())


def entries_in(text: str) -> tuple[str, ...]:
    spans = (" ".join(each.split()) for each in _SPAN.findall(text))
    return tuple(_FIELD_IN_PAGE.sub(_FIELD, each) for each in spans)


ITEMS = [*items()]
OURS = [entry for item in ITEMS if item.section != OTHERS for entry in item.entries]
MESSAGES = sorted({each.text: each for each in texts() if each.is_message}.values(), key=str)


@cache
def is_in_the_code(entry: str) -> bool:
    """Tell whether a text, and what its fields are filled with, are texts of the source."""
    if not _WORD.search(entry):
        return True
    # An entry may have what stands around a part.
    forms = [entry.strip(around) for around in (" ", f" {_FIELD}", f" {_FIELD}()")]
    usable = [each.pattern for each in texts() if _WORD.search(each.text)]
    found = (pattern.fullmatch(form) for form in forms for pattern in usable)
    return any(all(map(is_in_the_code, each.groups())) for each in found if each)


def test_messages_are_found_in_the_code() -> None:
    # Else nothing below could fail.
    found = {each.text for each in MESSAGES}
    assert {
        "… of … files were not sent for a reason that may pass (…). Sending them again.",  # a log's
        "The credentials lack the permission … on …*.",  # an f-string
        "Correct or remove the setting.",  # a hint
        "would overwrite …",  # a part of a message
    } <= found
    assert len(found) > 100


@for_each("message", MESSAGES)
def test_every_message_has_an_entry(message: Text) -> None:
    if not any(map(message.is_in, OURS)):
        pytest.fail(
            f"{message.where} has a message without an entry in docs/troubleshooting.md:\n"
            f"    {message.text}\n"
            "Add an item to the section that it belongs into: '- `the message, as its user sees "
            f"it`' with {_FIELD} or <name> for what varies, an empty line, then (indented) why, "
            "and what to do. A part of a message needs an entry that has it in it.",
            pytrace=False,
        )


@for_each("entry", OURS)
def test_every_entry_is_in_the_code(entry: str) -> None:
    if not is_in_the_code(entry):
        pytest.fail(
            "docs/troubleshooting.md has a message that is in no module of the package:\n"
            f"    {entry}\n"
            f"Correct or remove it. What is not Collectfasta's goes to '{OTHERS}'.",
            pytrace=False,
        )


@for_each("item", ITEMS)
def test_every_entry_is_explained(item: Item) -> None:
    assert len(_WORD.findall(item.explanation)) > 3


def test_no_message_has_two_entries() -> None:
    entries = [entry for item in ITEMS for entry in item.entries]
    assert sorted(entries) == sorted({*entries})


def test_there_are_messages_of_others() -> None:
    assert OTHERS in {each.section for each in ITEMS}
