"""Hostile names of files: each reaches its place as it is, or is refused by name."""

from __future__ import annotations

import ast
import os
import re

import pytest
from django.core.cache import caches

from .site import MakeSite

FORGERY = "Deleting 'everything'"
CONTROLS = (
    f"newline\n{FORGERY}\n.css",
    "return\r.css",
    "escape\x1b[2J\x1b]0;title\x07.css",
    "delete\x7f.css",
    "c1\x9b31m.css",
    "next\x85line.css",
    "tab\t.css",
)
MARKS = ("override\u202efdp.css", "line\u2028separator.css", "paragraph\u2029.css")
DOTS = ("dot..css.", "dots...", "fol.der./in.css")
ODD = ("space .css ", "-rf", "a~b", "a..b.css", "CON", "x" * 240)
UNDECODABLE = os.fsdecode(b"latin-\xe9.css")
# What steers a terminal or makes a line.
FORGING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What each place can't have.
REFUSED = {
    "s3": {UNDECODABLE},
    "gcs": {*CONTROLS[:2], UNDECODABLE},
    "azure": {*CONTROLS, UNDECODABLE},
    "filesystem": set[str](),
}
# moto has no line break in a path; Azure's storage itself takes dots off the end of a name.
LEFT_OUT = {"s3": {CONTROLS[0]}, "azure": {*DOTS[:2]}}


@pytest.mark.parametrize(
    "place", [pytest.param("s3", marks=pytest.mark.s3), "gcs", "azure", "filesystem"]
)
def test_names_are_kept_or_refused_and_forge_no_output(make_site: MakeSite, place: str) -> None:
    names = {*CONTROLS, *MARKS, *DOTS, *ODD, UNDECODABLE} - LEFT_OUT.get(place, set())
    files = {name: ascii(name).encode() for name in names}
    site = make_site(place, files, verbosity=3)
    outputs: list[str] = []

    if REFUSED[place]:
        refused = site.refused()
        outputs.append(f"{refused.error}\n{refused.run.stdout}")
        named = re.findall(r"""^  ('[^']*'|"[^"]*"): """, refused.error, re.MULTILINE)
        assert {ast.literal_eval(each) for each in named} == REFUSED[place]
        assert not refused.writes
        assert site.cloud.keys() == []
    for name in REFUSED[place]:
        site.tree.delete(name)
    first = site.deploy()
    stored = site.bodies()
    caches["default"].clear()
    again = site.deploy()
    outputs += [first.run.stdout, again.run.stdout]

    assert stored == {name: files[name] for name in names - REFUSED[place]}
    assert f"{len(stored)} unmodified" in again.summary
    assert FORGING.findall("".join(outputs)) == []
    assert [line for each in outputs for line in each.splitlines() if line == FORGERY] == []
    for key in stored:
        # moto can't name some of them where many are deleted at once.
        site.cloud.delete(key)
