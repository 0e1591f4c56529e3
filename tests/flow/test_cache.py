"""The cache: whatever is wrong with it, what is deployed is the same."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.core.cache import caches

from tests.memory import Site
from tests.unit.caches import caches_of

GARBAGE: list[object] = [
    b"\x80\x81\xff",
    ["a.css"],
    {"not": "ours"},
    None,
    42,
    "hello",
    "[" * 50_000,
    '{"format": 1, "shards": 1, "pairs": {"js/app.js": [1, 2, 3]}}',
    '{"format": 0, "shards": 1, "pairs": {"js/app.js": ["v", "c"]}}',
    '{"js/app.js": "c"}',
]


@pytest.fixture
def opaque(each_site: Site) -> Site:
    """A deployed site whose service has no checksums, so that the cache alone knows anything."""
    each_site.bucket.has_checksums = False
    each_site.deploy()
    each_site.forget()
    return each_site


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def keys() -> list[str]:
    cache: Any = caches["default"]
    return [key.split(":", 2)[2] for key in cache._cache]


def test_what_makes_no_sense_is_a_miss_and_replaced(
    opaque: Site, caplog: pytest.LogCaptureFixture
) -> None:
    number = len(opaque.keys())
    (key,) = keys()
    good = caches["default"].get(key)
    for value in GARBAGE:
        caches["default"].set(key, value)
        opaque.forget()

        opaque.deploy()

        assert len(opaque.called("PUT")) == number, value
        assert opaque.bodies() == opaque.expected()
        opaque.forget()
        opaque.deploy()
        assert opaque.counts() == {"LIST": 1}, value
    assert json.loads(good).keys() == json.loads(caches["default"].get(key)).keys()
    assert warnings(caplog) == []


def test_an_entry_of_another_version_is_not_trusted(opaque: Site) -> None:
    (key,) = keys()
    entry = json.loads(caches["default"].get(key))
    for version in (0, entry["format"] + 1):
        caches["default"].set(key, json.dumps({**entry, "format": version}))
        opaque.forget()
        opaque.deploy()
        assert opaque.called("PUT")


@pytest.mark.parametrize("name", ["DownCache", "ReadOnlyCache", "FullCache"])
def test_one_that_fails_is_one_warning_and_a_miss(
    opaque: Site, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    number = len(opaque.keys())

    settings = {"CACHES": caches_of(name, LOCATION=name)}
    run = opaque.deploy(settings=settings, verbosity=3, traceback=True)

    assert len(opaque.called("PUT")) == number
    assert opaque.bodies() == opaque.expected()
    (warning,) = warnings(caplog)
    verb = "read" if name == "DownCache" else "written"
    assert warning.startswith(f"The cache 'default' could not be {verb} (")
    assert "Deploying without it is slower, not different." in warning
    assert "cache.internal" not in warning + run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_with_checksums_one_that_is_down_sends_nothing(
    each_site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    each_site.deploy()
    each_site.forget()
    each_site.deploy(settings={"CACHES": caches_of("DownCache")})
    assert each_site.counts() == {"LIST": 1}
    assert len(warnings(caplog)) == 1


def test_it_costs_a_constant_number_of_round_trips(each_site: Site) -> None:
    settings = {"CACHES": caches_of("CountingCache")}
    for number in range(300):
        each_site.tree.write(f"many/{number}.js", b"%d" % number)
    each_site.deploy(settings=settings)
    trips = caches["default"].trips  # type: ignore[attr-defined]
    assert sum(trips.values()) <= 4
    assert set(trips) <= {"get", "get_many", "set_many"}


def test_a_dry_run_only_reads(each_site: Site) -> None:
    each_site.deploy(settings={"CACHES": caches_of("CountingCache")}, dry_run=True)
    trips = caches["default"].trips  # type: ignore[attr-defined]
    assert set(trips) <= {"get", "get_many"}


def test_a_run_that_failed_has_cached_what_it_sent(opaque: Site) -> None:
    opaque.tree.write("js/app.js", b"changed")
    opaque.tree.write("js/more.js", b"new")
    opaque.refuse("PUT", "js/more.js")
    opaque.fail()
    opaque.recover()

    opaque.deploy()

    assert "js/app.js" not in opaque.called("PUT")
    assert "js/more.js" in opaque.called("PUT")


def test_what_somebody_else_writes_is_not_taken_for_what_was_sent(opaque: Site) -> None:
    opaque.put("js/app.js", opaque.bodies()["js/app.js"])
    opaque.deploy()
    # Its version is another one, of which nothing is known.
    assert opaque.called("PUT") == ["js/app.js"]


def test_the_cache_that_the_setting_names_is_used(each_site: Site) -> None:
    locmem = "django.core.cache.backends.locmem.LocMemCache"
    both = {name: {"BACKEND": locmem, "LOCATION": name} for name in ("default", "static")}
    settings = {"CACHES": both, "COLLECTFASTA_CACHE": "static"}
    each_site.deploy(settings=settings)
    assert caches["default"]._cache == {}  # type: ignore[attr-defined]
    assert caches["static"]._cache  # type: ignore[attr-defined]
    caches["static"].clear()


def test_what_collectfasta_3_left_is_not_looked_at(opaque: Site) -> None:
    left = {f"collectfasta06_asset_{number:032x}": "0" * 32 for number in range(3)}
    caches["default"].set_many(left, timeout=None)
    opaque.deploy()
    assert opaque.counts() == {"LIST": 1}
    assert caches["default"].get_many(left) == left
