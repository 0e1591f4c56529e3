"""``--prune``: what a deploy does not contain is deleted after it, if it is old enough."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management import CommandError

from collectfasta.strategies.base import HashStrategy
from tests.memory import FILES, MANIFEST, MemoryStorage, Site, invalid
from tests.summary import deleted

DAY = timedelta(days=1)


class ReadsToCompare(HashStrategy[Storage]):
    """A user's strategy for any storage."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        if not self.remote_storage.exists(prefixed_path):
            return None
        return self.get_local_file_hash(prefixed_path, self.remote_storage)


class Timeless(MemoryStorage):
    """Does not know when its files were written."""

    get_modified_time = Storage.get_modified_time


def make_old(site: Site, days: float) -> None:
    """Let everything that is stored be that much older."""
    for each in site.bucket.objects.values():
        each.last_modified = datetime.now(timezone.utc) - days * DAY


def names(site: Site) -> set[str]:
    return {key.removeprefix("static/") for key in site.keys() if key.startswith("static/")}


@pytest.fixture
def stale(each_site: Site) -> Site:
    """A deployed site with two stale objects, and what is somebody else's."""
    each_site.location = "static"
    each_site.deploy()
    for key in ("static/old.css", "static/css/old.js", "static-old/a.css", "media/a.png"):
        each_site.put(key)
    each_site.forget()
    return each_site


def test_stale_objects_are_deleted_and_nothing_beside_the_location(stale: Site) -> None:
    run = stale.deploy(prune=True, verbosity=2)

    theirs = {"media/a.png": b"old", "static-old/a.css": b"old"}
    assert stale.bodies() == {**stale.expected(), **theirs}
    told = [line for line in run.stdout.splitlines() if line.startswith("Deleting")]
    assert told == ["Deleting 'css/old.js'", "Deleting 'old.css'"]
    assert f"{deleted(2)}0 static files copied, 4 unmodified" in run.stdout
    assert stale.counts() == {"LIST": 2, "DELETE": 1}


def test_a_dry_run_lists_them_once_and_deletes_none(stale: Site) -> None:
    before = stale.state()
    for verbosity in (1, 2):
        run = stale.deploy(prune=True, dry_run=True, verbosity=verbosity)
        told = [line for line in run.stdout.splitlines() if line.startswith("Pretending")]
        assert told == ["Pretending to delete 'css/old.js'", "Pretending to delete 'old.css'"]
        assert f"{deleted(2)}0 static files copied" in run.stdout
    assert stale.state() == before


def test_nothing_is_said_where_there_are_none(each_site: Site) -> None:
    each_site.location = "static"
    run = each_site.deploy(prune=True, verbosity=2)
    assert "delet" not in run.stdout.lower()


def test_without_a_location_it_is_refused_before_the_first_write(each_site: Site) -> None:
    each_site.put("old.css")
    for options in ({"location": ""}, {"location": "/"}):
        for dry_run in (True, False):
            message = each_site.fail(prune=True, dry_run=dry_run, options=options)
            assert message == (
                "Nothing was sent: memory:// has no location, which would tell what belongs to "
                "this project and may be pruned. Set the storage's location, or leave --prune out."
            )
    assert each_site.keys() == ["old.css"]
    assert each_site.counts() == {}


def test_so_is_a_users_strategy_for_a_storage_without_one(site: Site) -> None:
    message = site.fail(strategy=ReadsToCompare, prune=True)
    assert message.startswith("Nothing was sent: MemoryStorage has no location, ")
    assert site.called("PUT") == []


def test_a_users_strategy_prunes_by_the_storages_own_methods(site: Site) -> None:
    site.location = "static"
    site.put("static/b/old.css")
    site.put("other/old.css")

    site.deploy(strategy=ReadsToCompare, prune=True)

    assert site.bodies() == {**site.expected(), "other/old.css": b"old"}


class TestManifest:
    @pytest.fixture
    def site(self, each_manifest: Site) -> Site:
        each_manifest.location = "static"
        each_manifest.deploy(prune=True)
        return each_manifest

    def test_what_no_manifest_names_any_more_is_deleted(self, site: Site) -> None:
        first = names(site)
        site.tree.write("js/app.js", b"changed")

        site.deploy(prune=True)

        assert site.bodies() == site.expected()
        assert len(first) == len(names(site)) == 2 * len(FILES) + 1
        assert len(first - names(site)) == 1
        assert MANIFEST in names(site)

    def test_a_dry_run_names_what_the_real_run_deletes(self, site: Site) -> None:
        site.tree.write("js/app.js", b"changed")
        before = names(site)

        dry = site.deploy(prune=True, dry_run=True)
        site.deploy(prune=True)

        (gone,) = before - names(site)
        assert f"Pretending to delete '{gone}'" in dry.stdout.splitlines()

    def test_without_post_processing_what_is_published_stays(self, site: Site) -> None:
        published = names(site)
        site.put("static/old.css")

        site.deploy(prune=True, post_process=False)

        assert names(site) == published

    def test_the_last_manifests_files_outlive_a_grace_period_that_is_over(self, site: Site) -> None:
        published = names(site)
        site.put("static/old.css")
        make_old(site, days=400)
        site.tree.write("js/app.js", b"changed")

        site.deploy(prune=True, prune_older_than=30)

        assert names(site) > published
        assert "old.css" not in names(site)
        make_old(site, days=400)
        site.deploy(prune=True, prune_older_than=30)
        assert site.bodies() == site.expected()

    def test_a_published_name_that_can_not_be_keeps_nothing_and_stops_nothing(
        self, site: Site
    ) -> None:
        manifest = site.bodies()[f"static/{MANIFEST}"]
        site.put(f"static/{MANIFEST}", manifest.replace(b'"css/a.css"', b'"../a.css"', 1))

        site.deploy(prune=True, prune_older_than=0)

        assert site.bodies() == site.expected()


class TestOlderThan:
    def test_only_what_is_older_is_deleted(self, stale: Site) -> None:
        for days, limit, is_kept in [(29.9, 30, True), (30.1, 30, False)]:
            make_old(stale, days)
            stale.deploy(prune=True, prune_older_than=limit)
            assert ("old.css" in names(stale)) is is_kept

    def test_a_fraction_of_a_day_counts(self, stale: Site) -> None:
        for days, is_kept in [(0.2, True), (0.3, False)]:
            make_old(stale, days)
            stale.deploy("--prune", "--prune-older-than=0.25")
            assert ("old.css" in names(stale)) is is_kept

    def test_it_takes_no_more_requests(self, stale: Site) -> None:
        stale.deploy(prune=True, prune_older_than=30)
        assert stale.counts() == {"LIST": 2}

    def test_days_that_are_no_number_of_them_are_refused(self, site: Site) -> None:
        for text in ("-1", "nan", "inf", "a week", "40000", ""):
            with pytest.raises(CommandError, match="is not a number of days from 0 to"):
                site.deploy("--prune", f"--prune-older-than={text}")
        values: list[Any] = [-1, float("nan"), "7", True, DAY, 40_000]
        for value in values:
            message = site.fail(prune=True, prune_older_than=value)
            assert message.startswith("--prune-older-than must be a number of days")
        assert site.bucket.calls == []

    def test_a_storage_that_tells_no_times_is_refused_before_the_first_write(
        self, site: Site
    ) -> None:
        site.location = "static"
        message = site.fail(
            storage=Timeless, strategy=ReadsToCompare, prune=True, prune_older_than=1
        )
        assert message.startswith("Nothing was sent: Timeless does not tell when objects were")
        assert site.called("PUT") == []

    @pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
    @pytest.mark.parametrize("use_tz", [False, True])
    def test_storages_are_asked_in_whatever_time_zone(
        self, site: Site, zone: str, use_tz: bool, tmp_path: Any
    ) -> None:
        root = tmp_path / "deployed"
        root.mkdir()
        for name, hours in (("young.css", 1), ("old.css", 3)):
            (root / name).write_text("x")
            written = time.time() - hours * 3600
            os.utime(root / name, (written, written))
        storage = {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(root)},
        }

        site.deploy(
            strategy=ReadsToCompare,
            settings={"USE_TZ": use_tz, "TIME_ZONE": zone, "STORAGES": {"staticfiles": storage}},
            prune=True,
            prune_older_than=2 / 24,
        )

        left = FileSystemStorage(root).listdir("")[1]
        assert left == ["young.css"]


def test_nothing_is_deleted_where_a_file_could_not_be_sent(stale: Site) -> None:
    stale.tree.write("js/app.js", b"changed")
    stale.refuse("PUT", "static/js/*", invalid)
    stale.fail(prune=True)
    assert stale.called("DELETE") == []


def test_entries_of_a_storage_cache_are_kept(each_site: Site) -> None:
    each_site.location = "static"
    entry = f"static/collectfasta-cache/{'0' * 64}.json"
    each_site.put(entry, b"{}")
    for option in ("prune", "clear"):
        each_site.deploy(**{option: True})
        assert entry in each_site.keys()
