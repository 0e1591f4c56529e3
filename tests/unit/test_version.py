"""The version is in one place, and the changelog tells of it."""

from __future__ import annotations

import re
from pathlib import Path

import collectfasta

REPOSITORY = Path(__file__).parents[2]


def test_newest_section_of_the_changelog_is_that_of_the_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest
    assert newest[1] == collectfasta.__version__
