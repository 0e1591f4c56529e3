"""docs/settings.md says what the code has, and no page names what the code has not."""

from __future__ import annotations

import ast
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from django.contrib.staticfiles.management.commands import collectstatic
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string

import collectfasta
from collectfasta import settings
from collectfasta.management.commands.collectstatic import Command
from tests.loop import for_each
from tests.markdown import DOCS, ROOT, blocks, read, table

PAGE = read("settings.md")
SETTINGS = {
    name.strip("`"): default for name, default, _ in table(PAGE, "setting", "default", "meaning")
}
OF_DJANGO_STORAGES = {"AWS_IS_GZIPPED", "GZIP_CONTENT_TYPES"}
PAGES = [*sorted(DOCS.glob("*.md")), *(ROOT / f"{name}.md" for name in ("README", "SECURITY"))]
_SETTING = re.compile(r"(?<!no setting )\bCOLLECTFASTA_[A-Z0-9_]*[A-Z0-9]")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_CHECK = re.compile(r"\b(?:collectfasta\.|`)([EW]\d{3})\b")
_PATH = re.compile(r"\bcollectfasta(?:\.[a-z_0-9]+)+(?:\.[A-Z]\w+)")
_SPAN = re.compile(r"`([^`\n]+)`")

# On these pages, options of other tools that stand alone.
FLAGS = table(
    read("migrating.md"),
    *("", "`aws s3 sync`", "`s5cmd sync`", "`gsutil rsync`", "`az storage blob upload-batch`"),
    "here",
)
OF_OTHER_TOOLS = {
    "performance.md": {"--only"},
    "migrating.md": {
        *(option for row in FLAGS for cell in row[1:-1] for option in _OPTION.findall(cell)),
        *("--disable-collectfast", "--ignore-etag"),  # Collectfast's
    },
}

each_page = for_each("page", PAGES)


def options_of(command: BaseCommand) -> set[str]:
    """Return the long options of a command."""
    parser: ArgumentParser = command.create_parser("manage.py", "collectstatic")
    return {each for each in parser._option_string_actions if each.startswith("--")}


OPTIONS = options_of(Command())
DJANGOS_OPTIONS = options_of(collectstatic.Command())


def documented_options() -> set[str]:
    rows = table(PAGE, "option", "meaning")
    return {found[0] for name, _ in rows if (found := _OPTION.search(name))}


def sources() -> Iterator[str]:
    for path in Path(collectfasta.__file__).parent.rglob("*.py"):
        yield path.read_text(encoding="utf-8")


@cache
def checks() -> frozenset[str]:
    """Return the ids of all checks, without the app's label."""
    return frozenset(
        str(node.args[0].value)
        for source in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "_report"
        and isinstance(node.args[0], ast.Constant)
    )


def documented_checks() -> list[str]:
    rows = table(PAGE, "id", "what it found")
    return [name.strip("`").removeprefix("collectfasta.") for name, _ in rows]


def test_every_setting_is_documented_and_no_other() -> None:
    assert set(SETTINGS) == {*settings.names(), *OF_DJANGO_STORAGES}


@for_each("name", SETTINGS)
def test_a_default_is_what_is_documented(name: str) -> None:
    value = getattr(settings, name.removeprefix("COLLECTFASTA_").lower())
    written = re.match(r"`(.+?)`$", SETTINGS[name])
    # What has no value of its own is told in words.
    assert value == (ast.literal_eval(written[1]) if written else None)


def test_every_option_is_documented() -> None:
    assert documented_options() >= OPTIONS - DJANGOS_OPTIONS


def test_every_documented_option_is_one() -> None:
    assert documented_options() <= OPTIONS


def test_every_check_is_documented_once_and_no_other() -> None:
    assert sorted(documented_checks()) == sorted(checks())


def test_no_check_is_made_in_a_way_that_these_tests_miss() -> None:
    written = {name for source in sources() for name in re.findall(r"\b[EW]0\d\d\b", source)}
    assert written == checks()


@each_page
def test_a_page_names_no_setting_that_there_is_not(page: Path) -> None:
    found = set(_SETTING.findall(page.read_text(encoding="utf-8")))
    of_the_tests = {name for name in found if name.startswith("COLLECTFASTA_TEST_")}
    assert found - of_the_tests <= set(settings.names())


@each_page
def test_a_page_names_no_check_that_there_is_not(page: Path) -> None:
    assert set(_CHECK.findall(page.read_text(encoding="utf-8"))) <= checks()


@each_page
def test_a_page_names_no_option_that_there_is_not(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(text) for line in block.text.splitlines()]
    spans = [span for span in _SPAN.findall(text) if span.startswith("--")]
    told = [
        *spans,
        *(line.partition("collectstatic ")[2] for line in [*lines, *_SPAN.findall(text)]),
    ]
    found = {option for each in told for option in _OPTION.findall(each)}
    assert found - OF_OTHER_TOOLS.get(page.name, set()) <= OPTIONS


def test_what_becomes_of_other_tools_options_exists() -> None:
    assert {option for row in FLAGS for option in _OPTION.findall(row[-1])} <= OPTIONS


@each_page
def test_what_a_page_names_in_the_package_can_be_imported(page: Path) -> None:
    for path in _PATH.findall(page.read_text(encoding="utf-8")):
        import_string(path)


def test_the_pages_name_what_these_tests_look_for() -> None:
    # Else none of those above could fail.
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert all(len(set(each.findall(text))) > 5 for each in (_SETTING, _OPTION, _CHECK, _PATH))
