"""Source files that change at the same time: named, and never stored as a mixture."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import CollectStatic, StaticTree
from tests.memory import MANIFEST, Site

LARGE = "large.bin"
BEFORE = b"before" * 1000


def vanish(path: Path) -> None:
    path.unlink()


def shrink(path: Path) -> None:
    os.truncate(path, 100)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def write_over(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"other")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"o" * path.stat().st_size)
    other.replace(path)


CHANGES = [vanish, shrink, grow, write_over, replace]


@pytest.fixture(params=CHANGES, ids=lambda change: change.__name__)
def change(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    found: Callable[[Path], None] = request.param
    return found


@pytest.fixture
def changing(each_site: Site, change: Callable[[Path], None]) -> Site:
    """A site, the largest of whose files changes when it is being sent for the first time."""
    path = each_site.tree.write(LARGE, BEFORE)
    each_site.before("PUT", lambda _: change(path), "large.*", times=1)
    return each_site


def test_it_is_named_and_stored_whole_or_not_at_all(changing: Site) -> None:
    message = changing.fail()

    assert "  'large." in message
    assert "run the command again" in message or "No such file" in message or "shorter" in message
    assert {"css/a.css", "img/a.png", "js/app.js"} <= set(changing.keys())
    path = changing.tree.path(LARGE)
    now = path.read_bytes() if path.exists() else BEFORE
    # Its turn may have come when it was another one already.
    assert changing.bodies().get(LARGE, BEFORE) in (BEFORE, now)
    for key, body in changing.bodies().items():
        _, *middle, _ = key.rsplit(".", 2)
        if middle and middle[0] != "css/a":
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()[:12]
            assert digest == middle[0], key


def test_nothing_is_published(changing: Site) -> None:
    changing.fail()
    assert MANIFEST not in changing.keys()


def test_the_next_run_sends_what_it_is_then(changing: Site) -> None:
    changing.fail()
    changing.recover()

    changing.deploy()

    expected = changing.expected()
    assert {key: changing.bodies()[key] for key in expected} == expected


def test_one_that_changes_behind_its_end_is_a_failure_too(each_site: Site) -> None:
    path = each_site.tree.write(LARGE, BEFORE)

    def change(call: object) -> None:
        if str(getattr(call, "key", "")).startswith("large."):
            path.write_bytes(b"another")

    each_site.bucket.lose = change

    assert "changed" in each_site.fail()
    each_site.recover()
    each_site.deploy()
    assert each_site.bodies()[LARGE] == b"another"


def test_one_that_has_grown_since_the_plan_is_sent_as_large_as_it_is(site: Site) -> None:
    site.tree.write(LARGE, b"x")
    site.before("LIST", lambda _: site.tree.write(LARGE, BEFORE))
    site.deploy()
    assert site.bodies()[LARGE] == BEFORE


def test_one_that_is_hashed_is_not_sent_under_that_name_with_other_content(
    each_manifest: Site,
) -> None:
    each_manifest.tree.write(LARGE, b"x")
    each_manifest.before("LIST", lambda _: each_manifest.tree.write(LARGE, BEFORE))

    message = each_manifest.fail()

    assert "it changed after it was hashed: run the command again" in message
    assert not [key for key in each_manifest.keys() if key.startswith("large.") and key != LARGE]
    assert MANIFEST not in each_manifest.keys()


@pytest.mark.skipif(os.geteuid() == 0, reason="Root may read everything.")
def test_one_that_may_not_be_read_any_more_is_named(site: Site) -> None:
    site.tree.write(LARGE, b"x")
    site.before("LIST", lambda _: site.tree.path(LARGE).chmod(0))
    assert f"'{LARGE}': PermissionError" in site.fail()


# Two deploys at once.


def other_site(site: Site, name: str) -> Site:
    """Return a site with another tree and the same bucket, whose command is another object."""
    tree = StaticTree(site.tree.root.with_name(name))
    command = CollectStatic(tree, pytest.MonkeyPatch())
    other = Site(tree, command, site.kind, site.location, site.threads)
    other.bucket = site.bucket
    site.bucket.fail = site._on_call
    return other


def test_another_deploy_within_this_one_leaves_a_whole_site(each_site: Site) -> None:
    """The other runs before the last file is sent; whichever manifest is last is whole."""
    other = other_site(each_site, "other")
    for number in range(3):
        other.tree.write(f"{number}.js", b"let other = %d;" % number)
        each_site.tree.write(f"{number}.js", b"let this = %d;" % number)
    last = MANIFEST if each_site.is_staged else "img/a.png"
    each_site.before("PUT", lambda _: other.deploy(), last, times=1)

    each_site.deploy()

    bodies = each_site.bodies()
    if each_site.is_staged:
        assert {"0.js", "js/app.js"} <= set(each_site.paths)
        assert all(bodies[name] for name in each_site.paths.values())
    other.command.close()
    each_site.deploy()
    assert each_site.bodies().items() >= each_site.expected().items()
