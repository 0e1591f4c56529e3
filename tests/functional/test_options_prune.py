"""``--prune``: what a deploy does not contain is deleted after it, if it is old enough."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import django
import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.core.management import CommandError

from collectfasta.strategies import Strategy
from collectfasta.strategies.base import HashStrategy
from collectfasta.strategies.clock import age_of
from tests.conftest import CollectStatic, Run, StaticTree
from tests.project import MANIFEST, MANIFEST_BACKENDS
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Request

DAY = timedelta(days=1)
# Everything that deletes, by the names that the clouds give to their requests.
DELETIONS = {"DELETE_BATCH", "BATCH", "DELETE"}
STYLE = b"a { background: url('b.png') }"

# Django counts what was deleted from 6.0 on.
COUNTED = "2 static files deleted, " if django.VERSION >= (6,) else ""


class RemoteLooksUp(HashStrategy[Storage]):
    """A strategy of the user's own for any storage, which it reads to compare."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        if not self.remote_storage.exists(prefixed_path):
            return None
        return self.get_local_file_hash(prefixed_path, self.remote_storage)


class TimelessStorage(FileSystemStorage):
    """A storage that doesn't know when its files were written."""

    get_modified_time = Storage.get_modified_time


class Unlocated(InMemoryStorage):
    """A storage without a location."""

    location: ClassVar[str] = ""


class CopiesAll(Strategy[Storage]):
    """A strategy of the user's own."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("a.css", STYLE)
    static_tree.write("b.png", b"png")


def located(cloud: Cloud) -> dict[str, Any]:
    """Return the options of a storage whose location is a part of the cloud."""
    if isinstance(cloud, FileSystemCloud):
        return {"location": str(cloud.root / "static")}
    return {"location": "static"}


@pytest.fixture
def prune(cloud: Cloud, collectstatic: CollectStatic) -> Callable[..., Run]:
    """Deploy to the location "static", and prune."""

    def run(**options: Any) -> Run:
        return collectstatic(cloud, options=located(cloud), **{"prune": True, **options})

    return run


def names(cloud: Cloud) -> list[str]:
    return [key.removeprefix("static/") for key in cloud.keys() if key.startswith("static/")]


@pytest.fixture
def stale(cloud: Cloud, collectstatic: CollectStatic) -> Cloud:
    """A deployed cloud with two leftovers, and what is somebody else's."""
    collectstatic(cloud, options=located(cloud))
    for key in ("static/old.css", "static/css/old.js", "static-old/a.css", "media/a.png"):
        cloud.put(key, b"old")
    cloud.clear_requests()
    return cloud


class TestLeftovers:
    @pytest.mark.parametrize("threads", [0, 8])
    def test_are_deleted_and_nothing_beside_the_location(
        self, stale: Cloud, prune: Callable[..., Run], threads: int
    ) -> None:
        prune(threads=threads)

        assert stale.keys() == ["media/a.png", "static-old/a.css", "static/a.css", "static/b.png"]

    def test_are_told_in_djangos_words(self, stale: Cloud, prune: Callable[..., Run]) -> None:
        run = prune(verbosity=2)

        told = [line for line in run.stdout.splitlines() if line.startswith("Deleting")]
        assert told == ["Deleting 'css/old.js'", "Deleting 'old.css'"]
        assert f"{COUNTED}0 static files copied" in run.stdout

    def test_only_what_differs_is_sent(self, stale: Cloud, prune: Callable[..., Run]) -> None:
        run = prune()

        assert ", 2 unmodified" in run.stdout

    def test_a_dry_run_lists_them_and_deletes_none(
        self, stale: Cloud, prune: Callable[..., Run]
    ) -> None:
        before = stale.keys()

        run = prune(dry_run=True)

        told = [line for line in run.stdout.splitlines() if line.startswith("Pretending")]
        assert told == ["Pretending to delete 'css/old.js'", "Pretending to delete 'old.css'"]
        assert f"{COUNTED}0 static files copied" in run.stdout
        assert stale.keys() == before

    def test_a_dry_run_tells_each_once_at_verbosity_2(
        self, stale: Cloud, prune: Callable[..., Run]
    ) -> None:
        run = prune(dry_run=True, verbosity=2)

        assert run.stdout.count("Pretending to delete 'old.css'") == 1

    def test_nothing_is_said_of_them_without_any(
        self, cloud: Cloud, prune: Callable[..., Run]
    ) -> None:
        run = prune(verbosity=2)

        assert names(cloud) == ["a.css", "b.png"]
        assert "delet" not in run.stdout.lower()


def test_one_listing_more_and_batches_are_all_the_requests(
    recorded_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    options = located(recorded_cloud)
    collectstatic(recorded_cloud, options=options)
    for number in range(8):
        recorded_cloud.put(f"static/old/{number}.css", b"old")
    recorded_cloud.clear_requests()

    collectstatic(recorded_cloud, options=options, prune=True)

    counts = recorded_cloud.counts()
    # That which the files are compared with, and that of --clear.
    assert counts.pop("LIST") == 2
    assert [*counts.values()] == [1]
    assert {*counts} <= DELETIONS


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("location", ["", "/"])
def test_without_a_location_it_is_refused_before_the_first_write(
    azure: RecordedCloud, collectstatic: CollectStatic, location: str, dry_run: bool
) -> None:
    with pytest.raises(CommandError) as caught:
        collectstatic(azure, options={"location": location}, prune=True, dry_run=dry_run)

    assert str(caught.value) == (
        f"Nothing was sent: azure://{azure.name}/ has no location, which would tell what belongs "
        "to this project and may be pruned. Set the storage's location, or leave --prune out."
    )
    assert azure.requests == []


def test_without_a_location_every_cloud_is_left_alone(
    recorded_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    recorded_cloud.put("old.css", b"old")

    with pytest.raises(CommandError, match="has no location"):
        collectstatic(recorded_cloud, prune=True)

    assert recorded_cloud.keys() == ["old.css"]


def test_a_storage_of_ones_own_without_a_location_is_refused(
    filesystem: FileSystemCloud, collectstatic: CollectStatic
) -> None:
    storages = {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": f"{__name__}.Unlocated"},
    }

    with pytest.raises(CommandError, match=r"Unlocated has no location, .* leave --prune out\.$"):
        collectstatic(filesystem, strategy=CopiesAll, settings={"STORAGES": storages}, prune=True)


class TestManifest:
    @pytest.fixture
    def backend(self, cloud: Cloud) -> str:
        return MANIFEST_BACKENDS[cloud.backend]

    def test_what_no_manifest_names_any_more_is_deleted(
        self,
        cloud: Cloud,
        static_tree: StaticTree,
        prune: Callable[..., Run],
        backend: str,
    ) -> None:
        prune(backend=backend)
        first = names(cloud)
        static_tree.write("b.png", b"PNG")

        prune(backend=backend)

        assert len(first) == len(names(cloud)) == 5
        # Both files have another name: the one refers to the other.
        assert len({*names(cloud)} - {*first}) == 2

    def test_the_manifest_itself_stays(
        self, cloud: Cloud, prune: Callable[..., Run], backend: str
    ) -> None:
        prune(backend=backend)
        prune(backend=backend)

        assert MANIFEST in names(cloud)

    def test_a_dry_run_names_what_the_real_run_deletes(
        self, cloud: Cloud, prune: Callable[..., Run], backend: str
    ) -> None:
        prune(backend=backend)
        cloud.put("static/old.css", b"old")

        dry = prune(backend=backend, dry_run=True)
        prune(backend=backend)

        told = [line for line in dry.stdout.splitlines() if "to delete" in line]
        assert told == ["Pretending to delete 'old.css'"]
        assert "old.css" not in names(cloud)

    def test_without_post_processing_what_is_published_stays(
        self, cloud: Cloud, prune: Callable[..., Run], backend: str
    ) -> None:
        prune(backend=backend)
        published = names(cloud)
        cloud.put("static/old.css", b"old")

        prune(backend=backend, post_process=False)

        assert names(cloud) == published

    def test_the_last_manifests_files_outlive_a_grace_period_that_is_over(
        self,
        cloud: Cloud,
        static_tree: StaticTree,
        prune: Callable[..., Run],
        backend: str,
    ) -> None:
        prune(backend=backend)
        published = names(cloud)
        cloud.put("static/old.css", b"old")
        make_old(cloud, days=400)
        static_tree.write("b.png", b"PNG")

        prune(backend=backend, prune_older_than=30)

        assert {*names(cloud)} > {*published}
        assert "old.css" not in names(cloud)

    def test_they_are_deleted_when_the_next_manifest_is_the_last(
        self,
        cloud: Cloud,
        static_tree: StaticTree,
        prune: Callable[..., Run],
        backend: str,
    ) -> None:
        prune(backend=backend)
        static_tree.write("b.png", b"PNG")
        prune(backend=backend, prune_older_than=30)
        make_old(cloud, days=400)

        prune(backend=backend, prune_older_than=30)

        assert len(names(cloud)) == 5


def make_old(cloud: Cloud, days: float) -> None:
    """Let everything that a cloud has be that much older."""
    if isinstance(cloud, RecordedCloud):
        cloud.recorder.set_clock(ahead=timedelta(days=days))
    elif isinstance(cloud, FileSystemCloud):
        for path in (each for each in cloud.root.rglob("*") if each.is_file()):
            written = time.time() - days * DAY.total_seconds()
            os.utime(path, (written, written))


class TestOlderThan:
    def test_what_is_younger_stays(self, stale: Cloud, prune: Callable[..., Run]) -> None:
        make_old(stale, days=29.9)

        prune(prune_older_than=30)

        assert names(stale) == ["a.css", "b.png", "css/old.js", "old.css"]

    def test_what_is_older_is_deleted(self, stale: Cloud, prune: Callable[..., Run]) -> None:
        make_old(stale, days=30.1)

        prune(prune_older_than=30)

        assert names(stale) == ["a.css", "b.png"]

    def test_a_fraction_of_a_day_counts(self, stale: Cloud, prune: Callable[..., Run]) -> None:
        make_old(stale, days=0.3)

        prune(prune_older_than=0.25)

        assert names(stale) == ["a.css", "b.png"]

    def test_a_machine_that_is_years_ahead_deletes_nothing_young(
        self,
        recorded_cloud: RecordedCloud,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        recorded_cloud.put("static/old.css", b"old")

        class Ahead(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) + 3650 * DAY

        monkeypatch.setattr("collectfasta.strategies.clock.datetime", Ahead)

        collectstatic(
            recorded_cloud, options=located(recorded_cloud), prune=True, prune_older_than=30
        )

        assert "static/old.css" in recorded_cloud.keys()

    def test_it_takes_no_more_requests(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic
    ) -> None:
        options = located(recorded_cloud)
        collectstatic(recorded_cloud, options=options)
        recorded_cloud.put("static/old.css", b"old")
        recorded_cloud.clear_requests()

        collectstatic(recorded_cloud, options=options, prune=True, prune_older_than=30)

        assert recorded_cloud.counts() == {"LIST": 2}

    @pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
    @pytest.mark.parametrize("use_tz", [False, True])
    @pytest.mark.parametrize(("hours", "is_kept"), [(1, True), (3, False)])
    def test_strategies_of_ones_own_ask_the_storage_in_whatever_time_zone(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        zone: str,
        use_tz: bool,
        hours: int,
        is_kept: bool,
    ) -> None:
        filesystem.put("old.css", b"old")
        make_old(filesystem, days=hours / 24)

        collectstatic(
            filesystem,
            strategy=RemoteLooksUp,
            settings={"USE_TZ": use_tz, "TIME_ZONE": zone},
            prune=True,
            prune_older_than=2 / 24,
        )

        assert ("old.css" in filesystem.keys()) == is_kept

    def test_a_storage_that_tells_no_times_is_refused_before_the_first_write(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        with pytest.raises(CommandError, match=r"TimelessStorage does not tell when .* written"):
            collectstatic(
                filesystem,
                backend=f"{__name__}.TimelessStorage",
                strategy=RemoteLooksUp,
                prune=True,
                prune_older_than=1,
            )

        assert filesystem.keys() == []

    def test_of_a_link_its_own_time_counts(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        (filesystem.root / "old.css").symlink_to("nowhere.css")

        collectstatic(filesystem, prune=True, prune_older_than=1)
        assert (filesystem.root / "old.css").is_symlink()

        collectstatic(filesystem, prune=True, prune_older_than=0)
        assert not (filesystem.root / "old.css").is_symlink()


class TestRefused:
    @pytest.mark.parametrize("days", ["-1", "nan", "inf", "a week", "40000", ""])
    def test_days_that_are_no_number_of_them(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, days: str
    ) -> None:
        with pytest.raises(CommandError, match="is not a number of days from 0 to"):
            collectstatic(filesystem, "--prune", f"--prune-older-than={days}")

    @pytest.mark.parametrize("days", [-1, float("nan"), "7", True, timedelta(days=1), 40_000])
    def test_the_same_from_call_command(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, days: Any
    ) -> None:
        with pytest.raises(CommandError, match=r"^--prune-older-than must be .*found .*\.$"):
            collectstatic(filesystem, prune=True, prune_older_than=days)

        assert filesystem.keys() == []

    def test_a_grace_period_without_the_option_that_deletes(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        with pytest.raises(CommandError, match="add --prune"):
            collectstatic(filesystem, prune_older_than=0)

        assert filesystem.keys() == []

    def test_beside_clear(self, filesystem: FileSystemCloud, collectstatic: CollectStatic) -> None:
        with pytest.raises(CommandError, match="use one of them"):
            collectstatic(filesystem, prune=True, clear=True)

        assert filesystem.keys() == []


class TestFailures:
    def test_nothing_is_deleted_where_a_file_could_not_be_sent(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic
    ) -> None:
        recorded_cloud.put("static/old.css", b"old")
        recorded_cloud.recorder.fail(is_sending("b.png"), 403)

        with pytest.raises(CommandError):
            collectstatic(recorded_cloud, options=located(recorded_cloud), prune=True)

        assert "static/old.css" in recorded_cloud.keys()
        assert not {*recorded_cloud.counts()} & DELETIONS

    def test_nothing_is_deleted_where_the_manifest_could_not_be_published(
        self, s3: S3Cloud, collectstatic: CollectStatic
    ) -> None:
        s3.put("static/old.css", b"old")
        s3.recorder.fail(is_sending(MANIFEST), 403)

        with pytest.raises(CommandError, match=MANIFEST):
            collectstatic(
                s3, backend=MANIFEST_BACKENDS[s3.backend], options=located(s3), prune=True
            )

        assert "static/old.css" in s3.keys()
        assert "DELETE_BATCH" not in s3.counts()

    def test_a_refusal_to_delete_names_the_permission(
        self, s3: S3Cloud, collectstatic: CollectStatic
    ) -> None:
        s3.put("static/old.css", b"old")
        refusal = b"""<DeleteResult><Error><Key>static/old.css</Key><Code>AccessDenied</Code>
            <Message>Access Denied</Message></Error></DeleteResult>"""
        s3.recorder.fail(lambda request: s3.kind(request) == "DELETE_BATCH", 200, refusal)

        with pytest.raises(CommandError, match=r"s3:DeleteObject on \S+/static/\*\.$"):
            collectstatic(s3, options=located(s3), prune=True)

        assert s3.keys() == ["static/a.css", "static/b.png", "static/old.css"]

    def test_what_another_deploy_has_put_there_meanwhile_stays(
        self, recorded_cloud: RecordedCloud, collectstatic: CollectStatic
    ) -> None:
        cloud = recorded_cloud
        cloud.recorder.before(is_sending("b.png"), lambda _: cloud.put("static/new.css", b"new"))

        collectstatic(cloud, options=located(cloud), prune=True)

        assert "static/new.css" in cloud.keys()


def is_sending(name: str) -> Callable[[Request], bool]:
    """Match the requests that send a file to a location."""
    return lambda request: (
        request.method in ("PUT", "POST")
        and (request.path.endswith(f"/static/{name}") or request.subject == f"static/{name}")
    )


def test_entries_of_a_storage_cache_are_kept(
    filesystem: FileSystemCloud, collectstatic: CollectStatic
) -> None:
    entry = f"collectfasta-cache/{'0' * 64}.json"
    filesystem.put(entry, b"{}")

    collectstatic(filesystem, prune=True)

    assert filesystem.keys() == ["a.css", "b.png", entry]


def test_the_age_is_what_the_clock_says_without_a_header() -> None:
    written = datetime.now(timezone.utc) - DAY
    for date in (None, "", "yesterday"):
        assert DAY <= age_of(written, date) < DAY + timedelta(minutes=1)
