"""The promises of docs/how-it-works.md that hold for every kind of site."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches

from collectfasta.source import SourceFile
from tests.memory import FILES, MANIFEST, Site, denied, invalid, make_folder, slow_down
from tests.memory_store import MemoryStore


def cached() -> dict[str, Any]:
    """Return all that is in the cache."""
    cache: Any = caches["default"]
    return {**cache._cache, "expiry": {**cache._expire_info}}


def named(message: str) -> list[str]:
    """Return the names that the lines below the first begin with."""
    return [line.split("'")[1] for line in message.splitlines()[1:] if line.startswith("  '")]


# 1. Exit 0 means deployed.


def test_every_file_is_stored_with_its_content(every_site: Site) -> None:
    every_site.deploy()

    assert every_site.bodies() == every_site.expected()
    assert len(every_site.keys()) == (2 * len(FILES) + 1 if every_site.is_staged else len(FILES))


def test_everything_that_the_manifest_names_exists(each_manifest: Site) -> None:
    each_manifest.deploy()

    assert set(each_manifest.paths) == set(FILES)
    assert set(each_manifest.paths.values()) < set(each_manifest.keys())


def test_each_file_that_is_refused_is_named_and_no_other(every_site: Site) -> None:
    for name in ("css/b.css", "js/app.js"):
        every_site.refuse("PUT", name, invalid)

    message = every_site.fail()

    assert message.startswith("2 files were not sent to memory://:\n")
    assert named(message) == ["css/b.css", "js/app.js"]
    assert "400: not so" in message
    missing = set(FILES) - set(every_site.keys())
    assert missing == {"css/b.css", "js/app.js"}


def test_the_run_after_a_failed_one_sends_only_the_rest(every_site: Site) -> None:
    every_site.refuse("PUT", "js/*", invalid)
    failed = len(named(every_site.fail()))
    every_site.recover()

    every_site.deploy()

    assert failed == (2 if every_site.is_staged else 1)
    assert len(every_site.called("PUT")) == (3 if every_site.is_staged else 1)
    assert every_site.bodies() == every_site.expected()


def test_a_file_that_vanishes_before_it_is_sent_is_named(
    every_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = SourceFile.stamp
    path = every_site.tree.path("js/app.js")

    def vanish_and_stamp(self: SourceFile) -> Any:
        if self.name == "js/app.js" and "first_stamp" in vars(self) and path.exists():
            path.unlink()
        return stamp(self)

    monkeypatch.setattr(SourceFile, "stamp", vanish_and_stamp)

    message = every_site.fail()

    assert "js/app.js" in named(message)
    assert "js/app.js" not in every_site.keys()
    assert MANIFEST not in every_site.keys()


def test_a_link_that_leads_nowhere_is_refused_before_any_request(every_site: Site) -> None:
    every_site.tree.path("broken.css").symlink_to("nowhere")
    every_site.tree.path("css/gone.css").symlink_to("nowhere")

    message = every_site.fail()

    assert message.startswith("Nothing was sent, because 2 of the files can't be read:")
    assert named(message) == ["broken.css", "css/gone.css"]
    assert every_site.counts() == {}


def test_a_directory_in_the_place_of_a_file_is_one_failure(site: Site) -> None:
    """What a storage raises that is not a store's is the file's own failure."""
    site.refuse("PUT", "js/app.js", lambda: IsADirectoryError(21, "Is a directory", "js/app.js"))

    assert named(site.fail()) == ["js/app.js"]


def test_an_error_that_is_falsy_is_a_failure(every_site: Site) -> None:
    class FalsyError(Exception):
        def __len__(self) -> int:
            return 0

    every_site.refuse("PUT", "img/a.png", FalsyError)

    assert named(every_site.fail()) == ["img/a.png"]


def test_no_file_at_all_is_deployed_too(site: Site) -> None:
    for name in FILES:
        site.tree.delete(name)

    run = site.deploy()

    assert run.stdout.startswith("\n0 static files copied.\n")
    assert site.keys() == []


# 3. Nothing live is ever missing.


def test_a_changed_file_is_written_over_and_never_deleted(every_site: Site) -> None:
    every_site.deploy()
    every_site.tree.write("js/app.js", b"changed")
    every_site.forget()

    every_site.deploy()

    assert every_site.bodies()["js/app.js"] == b"changed"
    assert every_site.called("DELETE") == []


def test_no_run_deletes_before_the_last_file_is_written(every_site: Site) -> None:
    every_site.location = "static"
    every_site.put("static/old.css")
    for option in ("clear", "prune"):
        every_site.forget()
        every_site.put("static/old.css")
        every_site.tree.write("js/app.js", option.encode())

        every_site.deploy(**{option: True})

        verbs = [call.verb for call in every_site.bucket.calls]
        assert verbs.count("DELETE") == 1, option
        assert "PUT" in verbs
        assert "PUT" not in verbs[verbs.index("DELETE") :], option
        assert "static/old.css" not in every_site.keys()


def test_what_is_live_exists_at_every_moment_of_a_deploy(every_site: Site) -> None:
    every_site.location = "static"
    every_site.deploy()
    before = set(every_site.keys())
    every_site.tree.write("img/a.png", b"another")
    gone: list[set[str]] = []
    every_site.before("PUT", lambda _: gone.append(before - set(every_site.keys())))

    every_site.deploy(clear=True)

    assert len(gone) == len(every_site.keys())
    assert not any(gone)


def test_a_failure_keeps_everything_from_being_deleted(every_site: Site) -> None:
    every_site.location = "static"
    for option in ("clear", "prune"):
        every_site.recover()
        every_site.put("static/old.css")
        every_site.refuse("PUT", "static/js/*", invalid)

        every_site.fail(**{option: True})

        assert every_site.called("DELETE") == [], option
        assert "static/old.css" in every_site.keys()


# 5. The remote is the truth.


def test_an_emptied_bucket_is_filled_again(every_site: Site) -> None:
    every_site.deploy()
    every_site.bucket.objects.clear()

    every_site.deploy()

    assert every_site.bodies() == every_site.expected()


def test_an_object_that_somebody_has_replaced_is_sent_again(every_site: Site) -> None:
    every_site.deploy()
    for key in ("js/app.js", "img/a.png"):
        every_site.put(key, b"x" * len(FILES[key]))
        every_site.forget()

        every_site.deploy()

        assert every_site.called("PUT") == [key]
        assert every_site.bodies() == every_site.expected()


def test_one_that_was_deleted_by_hand_is_sent_again(each_manifest: Site) -> None:
    each_manifest.deploy()
    hashed = each_manifest.paths["img/a.png"]
    del each_manifest.bucket.objects[hashed]
    each_manifest.forget()

    each_manifest.deploy()

    assert each_manifest.called("PUT") == [hashed]


def test_a_second_bucket_on_the_same_cache_is_filled(every_site: Site) -> None:
    every_site.deploy()
    other = Site(every_site.tree, every_site.command, every_site.kind)

    other.deploy()

    assert other.bodies() == every_site.bodies()


def test_two_locations_on_one_cache_are_two_targets(every_site: Site) -> None:
    for location in ("one", "two"):
        every_site.location = location
        every_site.deploy()
        every_site.forget()
        every_site.deploy()
        assert every_site.called("PUT") == []

    names = {key.partition("/")[2] for key in every_site.keys()}
    assert set(every_site.keys()) == {f"{top}/{name}" for top in ("one", "two") for name in names}


@pytest.mark.parametrize("has_checksums", [True, False], ids=["md5s", "opaque"])
def test_an_unchanged_site_takes_one_listing(every_site: Site, has_checksums: bool) -> None:
    every_site.bucket.has_checksums = has_checksums
    every_site.deploy()
    every_site.forget()

    run = every_site.deploy()

    assert every_site.counts() == {"LIST": 1}
    assert "\n0 static files copied, 4 unmodified" in run.stdout


def test_a_cold_cache_is_only_slower(every_site: Site) -> None:
    every_site.deploy()
    caches["default"].clear()
    every_site.forget()

    every_site.deploy()

    assert every_site.counts() == {"LIST": 1}


def test_without_checksums_and_cache_everything_is_sent_again(every_site: Site) -> None:
    every_site.bucket.has_checksums = False
    every_site.deploy()
    number = len(every_site.keys())
    caches["default"].clear()
    every_site.forget()

    every_site.deploy()

    assert len(every_site.called("PUT")) == number
    every_site.forget()
    every_site.deploy()
    assert every_site.called("PUT") == []


def test_a_changed_header_sends_everything_once(every_site: Site) -> None:
    every_site.deploy(options={"headers": {"CacheControl": "no-cache"}})
    every_site.forget()
    every_site.deploy(options={"headers": {"CacheControl": "no-cache"}})
    assert every_site.called("PUT") == []

    every_site.deploy(options={"headers": {"CacheControl": "immutable"}})

    assert len(every_site.called("PUT")) == len(every_site.keys())
    stored = every_site.bucket.objects.values()
    assert {each.headers["CacheControl"] for each in stored} == {"immutable"}


# 7. Only under the location.


FOREIGN = ["static-old/a.css", "staticx", "css/a.css", "other/static/css/a.css", "static"]


def test_nothing_outside_of_the_location_is_changed_or_deleted(every_site: Site) -> None:
    every_site.location = "static"
    for key in FOREIGN:
        every_site.put(key, b"foreign")
    for options in ({}, {"clear": True}, {"prune": True}, {"force": True}):
        every_site.deploy(**options)

        stored = every_site.bodies()
        assert {key: stored.pop(key, None) for key in FOREIGN} == dict.fromkeys(FOREIGN, b"foreign")
        assert stored == every_site.expected()


def test_nothing_outside_of_the_location_is_listed(
    every_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes: list[str] = []
    list_page = MemoryStore.list

    def note(self: MemoryStore, prefix: str, *args: Any, **kwargs: Any) -> Any:
        prefixes.append(prefix)
        return list_page(self, prefix, *args, **kwargs)

    monkeypatch.setattr(MemoryStore, "list", note)
    every_site.location = "static/"

    every_site.deploy(clear=True)
    every_site.deploy(prune=True)

    assert set(prefixes) == {"static/"}


def test_files_are_under_any_location(every_site: Site) -> None:
    for location in ("", "static", "static/", "a/b", "css"):
        every_site.bucket.objects.clear()
        every_site.deploy(options={"location": location})
        every_site.forget()

        every_site.deploy(options={"location": location})

        prefix = f"{location.strip('/')}/" if location else ""
        assert all(key.startswith(prefix) for key in every_site.keys())
        assert {key.removeprefix(prefix) for key in every_site.keys()} >= set(FILES)
        assert every_site.counts() == {"LIST": 1}


# 9. A dry run writes nothing, and reports exactly what the real run does.


def test_a_dry_run_writes_nothing_and_says_what_the_real_run_does(
    every_site: Site, temporary: Path
) -> None:
    every_site.location = "static"
    for option in ("verbosity", "clear", "prune", "force"):
        every_site.tree.write("css/a.css", FILES["css/a.css"])
        every_site.deploy()
        every_site.put("static/old.css")
        every_site.tree.write("js/app.js", option.encode())
        every_site.tree.write(f"{option}.css", b"new")
        every_site.tree.delete("css/a.css")
        before, remembered = every_site.state(), cached()
        every_site.forget()
        options: dict[str, Any] = {option: True}

        dry = every_site.deploy(**{"dry_run": True, **options})

        assert every_site.state() == before, option
        assert cached() == remembered
        assert set(every_site.counts()) <= {"LIST"}
        assert list(temporary.iterdir()) == []
        real = every_site.deploy(**options)
        assert dry.returned == real.returned, option
        assert objects_of(dry.stdout) == objects_of(real.stdout)


def objects_of(stdout: str) -> list[str]:
    """Return how many objects and bytes the last line names."""
    return stdout.splitlines()[-1].replace(" to be sent", " sent").split(" sent")[:1]


def test_a_dry_run_of_a_site_that_was_never_deployed_writes_nothing(every_site: Site) -> None:
    dry = every_site.deploy(dry_run=True)

    assert every_site.keys() == []
    assert cached() == {"expiry": {}}
    assert dry.returned == every_site.deploy().returned


def test_a_dry_run_names_the_files_that_the_real_run_names(every_site: Site) -> None:
    every_site.deploy()
    every_site.tree.write("js/app.js", b"changed")

    dry = every_site.deploy(dry_run=True, verbosity=2).stdout.splitlines()
    real = every_site.deploy(verbosity=2).stdout.splitlines()

    for ours, djangos in (("Pretending to copy ", "Copying "), ("Skipping ", "Skipping ")):
        said = [line.removeprefix(ours) for line in dry if line.startswith(ours)]
        assert said
        assert sorted(said) == sorted(
            line.removeprefix(djangos) for line in real if line.startswith(djangos)
        )


def test_a_dry_run_without_permission_to_list_asks_for_each_object(every_site: Site) -> None:
    every_site.deploy()
    before, number = every_site.state(), len(every_site.keys())
    every_site.refuse("LIST")
    every_site.forget()

    run = every_site.deploy(dry_run=True)

    assert every_site.counts() == {"LIST": 1, "HEAD": number}
    assert every_site.state() == before
    assert "0 static files copied, 4 unmodified" in run.stdout


@pytest.mark.parametrize("error", [denied, invalid, slow_down])
def test_a_refusal_is_that_of_the_real_run(every_site: Site, error: Any) -> None:
    every_site.refuse("LIST", error=error)
    every_site.refuse("HEAD", error=error)

    assert every_site.fail(dry_run=True) == every_site.fail()
    assert every_site.keys() == []


# What goes for all of them.


def test_threads_are_used_where_they_are_asked_for(every_site: Site) -> None:
    names: dict[str, str] = {}
    every_site.before("PUT", lambda call: names.update({call.key: threading.current_thread().name}))

    every_site.deploy()

    # The manifest is alone.
    names.pop(MANIFEST, None)
    here = threading.current_thread().name
    assert all(name.startswith("collectfasta") or not every_site.threads for name in names.values())
    assert every_site.threads or set(names.values()) == {here}


def test_no_thread_and_no_open_file_is_left(every_site: Site) -> None:
    every_site.deploy(threads=4)
    before = set(os.listdir("/proc/self/fd"))
    every_site.tree.write("js/app.js", b"changed")
    every_site.refuse("PUT", "js/app.js", invalid)

    every_site.fail(threads=4)
    every_site.recover()
    every_site.deploy(threads=4, force=True)

    assert not [each for each in threading.enumerate() if each.name.startswith("collectfasta")]
    assert len(set(os.listdir("/proc/self/fd")) - before) == 0


def test_nothing_is_left_on_this_machine_and_nothing_of_it_is_sent(
    every_site: Site,
    temporary: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = make_folder(tmp_path / "work")
    locations = ("", "static", "static/", "a/b")
    # One at each place that a location could lead to.
    for location in locations:
        folder = work / location.strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".env").write_text("SECRET=1")
    monkeypatch.chdir(work)
    before = sorted(work.rglob("*"))

    for location in locations:
        every_site.deploy(options={"location": location})

    assert not [key for key in every_site.keys() if "env" in key]
    assert sorted(work.rglob("*")) == before
    assert list(temporary.iterdir()) == []
