"""The README: its links, those that PyPI shows, and the command that CI runs."""

from __future__ import annotations

import re
from typing import Any

from hatch_build import ReadmeHook
from tests.markdown import ROOT, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
URLS = {"Repository": "https://repository.example.com/collectfasta"}


def paths(text: str) -> list[str]:
    """Return where the links and pictures lead, without anchors."""
    return re.findall(r"\]\(([^)#]+)", text)


def on_pypi() -> str:
    metadata: dict[str, Any] = {"urls": URLS}
    ReadmeHook(str(ROOT), {}).update(metadata)
    text: str = metadata["readme"]["text"]
    return text


def test_each_link_leads_to_a_file() -> None:
    assert len(paths(README)) > 5
    assert [path for path in paths(README) if not (ROOT / path).is_file()] == []


def test_each_link_on_pypi_leads_to_the_same_file_of_the_repository() -> None:
    found = [re.sub(r"^.*/(blob|raw)/main/", "", path) for path in paths(on_pypi())]
    assert all(path.startswith(URLS["Repository"]) for path in paths(on_pypi()))
    assert found == paths(README)


def test_picture_on_pypi_is_the_picture_and_not_a_page_about_it() -> None:
    [picture] = re.findall(r"!\[[^]]*\]\((.*?)\)", on_pypi())
    assert picture == f"{URLS['Repository']}/raw/main/docs/images/deploys.svg"


def test_ci_runs_the_command_that_tests() -> None:
    [commands] = [each.text for each in blocks(README) if "make test" in each.text]
    [word] = re.findall(r"^\$ make (test)\b", commands, re.MULTILINE)
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    assert re.search(rf"^for word in {word} ", run, re.MULTILINE)
    assert f"- run: make {word} PYTHON=python\n" in workflow
