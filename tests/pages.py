"""The examples in the pages of the documentation, and the projects that they make.

In a page, a block of Python is a file of a project if its first line is a comment with the file's
path. The files of one section, from a heading to the next one, make an example.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import StaticTree
from tests.project import Ended, Project
from tests.servers.clouds import Cloud

DOCS = Path(__file__).parent.parent / "docs"
SETTINGS = "myproject/settings.py"

_FENCE = re.compile(r"```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^(?=#+ )", re.MULTILINE)
_PATH = re.compile(r"# (\S+\.py)\n")
# Only what a page can't know is put in the place of what it says.
_SETTINGS = """
import pathlib, pickle

from myproject.settings import *

changes, options, SECRET_KEY = pickle.loads(
    pathlib.Path(__file__).with_suffix(".pickle").read_bytes()
)
globals().update(changes)
if options:
    STORAGES["staticfiles"].setdefault("OPTIONS", {}).update(options)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    code: str

    @property
    def path(self) -> str | None:
        """The path of the file that it is, if it is one."""
        found = _PATH.match(self.code)
        return found[1] if found else None


@dataclass(frozen=True)
class Section:
    """A section of a page, without those below it."""

    heading: str
    text: str

    @property
    def blocks(self) -> list[Block]:
        """Its blocks of code."""
        return [Block(*found.groups()) for found in _FENCE.finditer(self.text)]

    @property
    def files(self) -> dict[str, str]:
        """The files in it by their paths."""
        return {block.path: block.code for block in self.blocks if block.path}

    @property
    def rows(self) -> list[list[str]]:
        """The rows of its tables as lists of cells, without the lines below the heads."""
        lines = (line for line in self.text.splitlines() if line.startswith("|"))
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        return [row for row in rows if set("".join(row)) - set("-:")]


def sections(page: str) -> list[Section]:
    """Return the sections of a page.

    Args:
        page: Its name in ``docs/``, without the suffix.
    """
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    # What begins with "#" in a block is no heading.
    fences = {found.group(): f"\0{number}\0" for number, found in enumerate(_FENCE.finditer(text))}
    for fence, mark in fences.items():
        text = text.replace(fence, mark)
    parts = [part for part in _SECTION.split(text) if part.startswith("#")]
    for fence, mark in fences.items():
        parts = [part.replace(mark, fence) for part in parts]
    return [Section(part.splitlines()[0].lstrip("# "), part) for part in parts]


def section(page: str, heading: str) -> Section:
    """Return the section of a page that has a heading."""
    return next(each for each in sections(page) if each.heading == heading)


def examples(page: str) -> list[Section]:
    """Return the sections of a page that have the settings of a project."""
    return [each for each in sections(page) if SETTINGS in each.files]


@dataclass(frozen=True)
class Place:
    """What leads an example to a server of the tests.

    Attributes:
        options: Endpoint, credentials and bucket, in the place of those in the storage's options.
        environment: The environment variables that an example takes credentials from.
        settings: The place in the place of that in the settings.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


class PageProject:
    """A project made of the files in a page, deployed by a process of its own.

    Args:
        files: The files.
        root: Where they are written; made here.
        cloud: Where it is deployed to.
        tree: Its static files.
        place: What leads it there.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        root: Path,
        cloud: Cloud,
        tree: StaticTree,
        place: Place,
    ) -> None:
        self._place = place
        self._project = Project(root, cloud, tree)
        for name, code in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
        changes = {"STATICFILES_DIRS": [str(tree.root)], **place.settings}
        values: Sequence[object] = (changes, dict(place.options), "tests")
        (root / "settings.py").write_text(_SETTINGS)
        (root / "settings.pickle").write_bytes(pickle.dumps(values))

    def deploy(self, *options: str) -> Ended:
        """Deploy, with options of the command."""
        return self._project.run(*options, environment=self._place.environment)
