"""The pages of the documentation, taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(?P<language>[\w-]*)\s*$")
_HEADING = re.compile(r"^#+ (?P<title>.+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        section: The heading that it is under.
        language: What the fence says, "" if nothing.
        text: What is in it.
    """

    section: str
    language: str
    text: str


def read(name: str) -> str:
    """Return a page of ``docs/``."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in their order."""
    section, language = "", None
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        heading = _HEADING.match(line)
        if language is not None and line == "```":
            yield Block(section, language, "\n".join(lines))
            language = None
        elif language is not None:
            lines.append(line)
        elif fence:
            language, lines = fence["language"], []
        elif heading:
            section = heading["title"]


def table(text: str, *head: str) -> list[list[str]]:
    """Return the cells of all rows of the tables that have this head.

    Raises:
        ValueError: There is no such table.
    """
    rows: list[list[str]] = []
    is_in = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not line.startswith("|"):
            is_in = False
        elif cells == list(head):
            is_in = True
        elif is_in and set(line) - set("|-: "):
            rows.append(cells)
    if not rows:
        raise ValueError(f"There is no table with the head {head}.")
    return rows
