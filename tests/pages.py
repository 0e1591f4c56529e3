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
from tests.markdown import Block, blocks, read
from tests.project import Ended, Project
from tests.servers.clouds import Cloud

SETTINGS = "myproject/settings.py"

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
class Section:
    """A section of a page, without those below it.

    Attributes:
        page: The page's name in ``docs/``, without the suffix.
        heading: As the page has it.
    """

    page: str
    heading: str

    @property
    def blocks(self) -> list[Block]:
        """Its blocks of code."""
        found = blocks(read(f"{self.page}.md"))
        return [block for block in found if block.section == self.heading]

    @property
    def files(self) -> dict[str, str]:
        """The files in it by their paths."""
        found = ((_PATH.match(block.text), block.text) for block in self.blocks)
        return {path[1]: f"{text}\n" for path, text in found if path}


def sections(page: str) -> list[Section]:
    """Return the sections of a page that have blocks of code, in their order."""
    headings = dict.fromkeys(block.section for block in blocks(read(f"{page}.md")))
    return [Section(page, heading) for heading in headings]


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
