"""File names: each reaches the bucket as it is or is refused, and none forges output."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.core.management import CommandError

from tests.command import StaticTree
from tests.memory import FILES, MANIFEST, Site, invalid

FORGERY = "Deleting 'everything'"
CONTROLS = [
    f"newline\n{FORGERY}\n.css",
    "return\r.css",
    "escape\x1b[2J\x1b]0;title\x07.css",
    "delete\x7f.css",
    "c1\x9b31m.css",
    "next\x85line.css",
    "tab\t.css",
]
MARKS = ["override\u202efdp.css", "line\u2028separator.css", "paragraph\u2029.css"]
ODD = ["dot..css.", "dots...", "space .css ", "-rf", "a~b", "a+b%2F.css", "CON", "x" * 240]
UNDECODABLE = os.fsdecode(b"latin-\xe9.css")
PRINTABLE = ["é.css", "e\u0301.css", "日本/語.js", "\U0001f469\u200d\U0001f680.png", "שלום.css"]
# What steers a terminal or makes a line.
FORGING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def named(message: str) -> list[str]:
    """Return the names in a message's lines below the first."""
    found = re.findall(r"""^  ('[^']*'|"[^"]*"): """, message, re.MULTILINE)
    return sorted(map(ast.literal_eval, found))


@pytest.fixture
def named_site(each_site: Site) -> Site:
    """A site with files of all these names."""
    for name in (*CONTROLS, *MARKS, *ODD, *PRINTABLE, UNDECODABLE):
        each_site.tree.write(name, ascii(name).encode())
    return each_site


def test_they_are_deployed_as_they_are_and_found_again(named_site: Site) -> None:
    named_site.deploy()
    assert named_site.bodies() == named_site.expected()
    if named_site.is_staged:
        assert sorted(named_site.paths) == named_site.tree.names()
    named_site.forget()

    run = named_site.deploy()

    assert named_site.counts() == {"LIST": 1}
    assert f", {len(named_site.tree.names())} unmodified" in str(run.returned)


class NamesStorage(Storage):
    """Has every name, as it is."""

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(b"x", name)

    def size(self, name: str) -> int:
        return 1


class NamesFinder(BaseFinder):
    """Finds what it is told to."""

    names: ClassVar[list[str]] = []

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, Storage]]:
        storage = NamesStorage()
        return ((name, storage) for name in self.names)


IMPOSSIBLE = [
    "../up.css",
    "a/../../up.css",
    "a\\..\\..\\up.css",
    "a/..",
    "/absolute.css",
    "\\absolute.css",
    "//host/absolute.css",
    ".",
    "",
    "null\0.css",
]
FINDER = {"STATICFILES_FINDERS": [f"{__name__}.NamesFinder"]}


def test_impossible_names_are_all_refused_by_name_before_any_request(
    each_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NamesFinder, "names", [*IMPOSSIBLE, "good.css"])
    for options in ({}, {"force": True}, {"clear": True}, {"dry_run": True}):
        message = each_site.fail(settings=FINDER, **options)
        assert message.startswith(
            f"Nothing was sent, because {len(IMPOSSIBLE)} of the files can't be stored under their "
        )
        assert named(message) == sorted(IMPOSSIBLE)
        assert message.endswith("Rename them, or leave them out by --ignore.")
        assert not FORGING.search(message)
    assert each_site.called("PUT") == []


def test_two_names_for_one_object_are_refused_and_both_told(each_site: Site) -> None:
    each_site.tree.write("css/x.css", b"1")
    each_site.tree.write("css\\x.css", b"2")
    message = each_site.fail()
    assert "would overwrite" in message
    assert repr("css/x.css") in message
    assert repr("css\\x.css") in message
    assert each_site.called("PUT") == []


def test_a_prefix_outside_of_the_location_is_refused(each_site: Site) -> None:
    directories = [("../up", str(each_site.tree.root))]
    message = each_site.fail(settings={"STATICFILES_DIRS": directories})
    assert named(message) == [f"../up/{name}" for name in sorted(FILES)]
    assert each_site.called("PUT") == []


def test_the_same_path_under_two_prefixes_is_two_files(each_site: Site, tmp_path: Path) -> None:
    directories = []
    for prefix in ("one", "two"):
        StaticTree(tmp_path / prefix).write("a.css", prefix.encode())
        directories.append((prefix, str(tmp_path / prefix)))
    settings = {"STATICFILES_DIRS": directories}

    each_site.deploy(settings=settings)
    run = each_site.deploy(settings=settings)

    bodies = each_site.bodies()
    assert (bodies["one/a.css"], bodies["two/a.css"]) == (b"one", b"two")
    assert "2 unmodified" in run.stdout


def test_names_with_the_location_in_them_keep_it(each_site: Site) -> None:
    each_site.location = "static"
    each_site.tree.write("static/static/a.css", b"nested")
    each_site.deploy(clear=True)
    assert each_site.bodies()["static/static/static/a.css"] == b"nested"
    assert each_site.bodies() == each_site.expected()


def told(site: Site, caplog: pytest.LogCaptureFixture, **options: Any) -> str:
    """Return all that a run says, in whatever way."""
    error = ""
    try:
        site.deploy(**options)
    except (CommandError, ValueError) as failed:
        error = str(failed)
    logged = [each.getMessage() for each in caplog.records if each.name == "collectfasta"]
    return "\n".join([error, site.last.stdout, site.last.stderr, *logged])


def check(text: str) -> None:
    assert FORGING.findall(text) == []
    assert not [line for line in text.splitlines() if line.startswith(FORGERY)]


class TestOutput:
    @pytest.mark.parametrize("verbosity", [1, 2, 3])
    def test_no_name_makes_a_line_or_steers_a_terminal(
        self, named_site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, verbosity: int
    ) -> None:
        caplog.set_level(logging.DEBUG, "collectfasta")
        again = StaticTree(tmp_path / "again")
        again.write(MARKS[0], b"found twice")
        directories = [str(named_site.tree.root), str(again.root)]
        options = {"settings": {"STATICFILES_DIRS": directories}, "verbosity": verbosity}

        text = "".join(told(named_site, caplog, dry_run=dry, **options) for dry in (True, False))
        text += told(named_site, caplog, **options)

        check(text)
        assert r"override\u202efdp.css" in text

    def test_nor_does_a_stale_key(self, each_site: Site, caplog: pytest.LogCaptureFixture) -> None:
        each_site.location = "static"
        stale = [*CONTROLS, *MARKS]
        for name in stale:
            each_site.put(f"static/{name}")
        for dry_run in (True, False):
            text = told(each_site, caplog, clear=True, dry_run=dry_run, verbosity=3)
            check(text)
            verb = "Pretending to delete" if dry_run else "Deleting"
            assert len([each for each in text.splitlines() if each.startswith(verb)]) == len(stale)

    def test_nor_does_a_file_that_can_not_be_post_processed(
        self, manifest: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in (*CONTROLS, *MARKS):
            content = f"a {{ background: url(missing-{FORGERY}\x1b.png) }}"
            manifest.tree.write(name, content.encode())
            text = told(manifest, caplog)
            assert "could not be found" in text
            check(text)
            manifest.tree.delete(name)

    def test_nor_does_a_file_that_can_not_be_sent(
        self, named_site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        named_site.refuse("PUT", "*.css", invalid)
        text = told(named_site, caplog)
        assert "not sent to" in text
        check(text)

    def test_what_can_be_printed_is_printed_as_django_prints_it(self, site: Site) -> None:
        for name in PRINTABLE:
            site.tree.write(name, b"x")
        run: dict[str, Any] = {"dry_run": True, "verbosity": 3}
        ours = site.deploy(**run).stdout.splitlines()
        djangos = site.deploy(disable_collectfasta=True, **run).stdout.splitlines()
        copied = [line for line in djangos if line.startswith("Pretending to copy '")]
        assert len(copied) == len(PRINTABLE) + len(FILES)
        assert [line for line in ours if line.startswith("Pretending to copy '")] == copied


def test_the_manifest_is_one_that_django_reads(named_site: Site) -> None:
    if named_site.is_staged:
        named_site.deploy()
        assert json.loads(named_site.bodies()[MANIFEST])["version"]
