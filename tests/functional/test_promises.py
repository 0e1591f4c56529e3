"""The promises of docs/how-it-works.md, for every strategy, inline and with threads."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError

from collectfasta.source import SourceFile
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud

pytestmark = pytest.mark.parametrize("threads", [0, 8])

WRITES = {"PUT", "UPLOAD", "DELETE", "POST", "BATCH", "DELETE_BATCH", "PUT_BLOCK", "BLOCK_LIST"}
UPLOADS = {"PUT", "UPLOAD"}
NAMES = [f"css/{letter}.css" for letter in "abcdefgh"]


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in NAMES:
        static_tree.write(name, f"/* {name} */".encode())
    return static_tree


@pytest.fixture
def located(cloud: Cloud) -> dict[str, Any]:
    """The storage's options for a location that is not the root of a bucket."""
    return {} if isinstance(cloud, FileSystemCloud) else {"location": "static"}


def key(cloud: Cloud, name: str) -> str:
    """Return the key of a name under the location of `located`."""
    return name if isinstance(cloud, FileSystemCloud) else f"static/{name}"


def refuse_uploads(cloud: Cloud, times: int) -> None:
    """Let that many uploads fail for good, whichever come first."""
    if isinstance(cloud, RecordedCloud):
        cloud.recorder.fail(lambda request: cloud.kind(request) in UPLOADS, 403, times=times)
    elif isinstance(cloud, FileSystemCloud):
        for name in NAMES[:times]:
            (cloud.root / name).mkdir(parents=True)


def bodies(cloud: Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


# 1. Exit 0 means deployed.


def test_every_collected_file_is_stored_with_its_content(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(cloud, threads=threads)

    assert bodies(cloud) == {name: tree.path(name).read_bytes() for name in NAMES}


def test_a_failed_upload_fails_the_command_and_names_every_file_that_is_not_there(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    refuse_uploads(cloud, times=2)

    with pytest.raises(CommandError) as caught:
        collectstatic(cloud, threads=threads)

    missing = set(NAMES) - set(cloud.keys())
    assert len(missing) == 2
    assert {name for name in NAMES if repr(name) in str(caught.value)} == missing


def test_the_run_after_a_failed_one_sends_only_the_rest(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    refuse_uploads(cloud, times=2)
    with pytest.raises(CommandError):
        collectstatic(cloud, threads=threads)
    if isinstance(cloud, FileSystemCloud):
        for name in NAMES[:2]:
            (cloud.root / name).rmdir()

    run = collectstatic(cloud, threads=threads)

    assert "2 static files copied" in run.stdout
    assert "6 unmodified" in run.stdout


def test_a_file_that_vanishes_before_it_is_sent_fails_the_command(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vanish_when_sent(monkeypatch, NAMES[3])

    with pytest.raises(CommandError, match=NAMES[3]):
        collectstatic(cloud, threads=threads)

    assert cloud.keys() == [name for name in NAMES if name != NAMES[3]]


def vanish_when_sent(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Remove a source file at the moment when its transfer begins."""
    stamp = SourceFile.stamp

    def remove_and_stamp(self: SourceFile) -> Any:
        if self.name == name and os.path.exists(self.label):
            os.unlink(self.label)
        return stamp(self)

    monkeypatch.setattr(SourceFile, "stamp", remove_and_stamp)


def test_a_link_that_leads_nowhere_is_refused_before_anything_is_sent(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    tree.path("css/broken.css").symlink_to("nowhere")

    with pytest.raises(CommandError, match=r"css/broken\.css"):
        collectstatic(cloud, threads=threads)

    assert cloud.keys() == []


# 3. Nothing live is ever missing.


def test_a_changed_file_is_written_over_and_never_deleted(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(cloud, threads=threads)
    tree.write(NAMES[0], b"changed")
    cloud.clear_requests()

    collectstatic(cloud, threads=threads)

    assert cloud.get(NAMES[0]).body == b"changed"
    assert not cloud.counts().keys() & {"DELETE", "DELETE_BATCH", "BATCH"}


def test_clear_deletes_only_after_everything_was_written(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    located: dict[str, Any],
    threads: int,
) -> None:
    cloud.put(key(cloud, "old.css"), b"old")

    collectstatic(cloud, threads=threads, options=located, clear=True)

    assert cloud.keys() == [key(cloud, name) for name in NAMES]
    kinds = [cloud.kind(request) for request in cloud.requests]
    deletions = [n for n, kind in enumerate(kinds) if kind not in UPLOADS | {"LIST"}]
    uploads = [n for n, kind in enumerate(kinds) if kind in UPLOADS]
    assert len(deletions) == (0 if isinstance(cloud, FileSystemCloud) else 1)
    assert not deletions or deletions[0] > max(uploads)


def test_clear_counts_what_it_deleted_and_nothing_else(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    located: dict[str, Any],
    threads: int,
) -> None:
    collectstatic(cloud, threads=threads, options=located)
    cloud.put(key(cloud, "old.css"), b"old")

    run = collectstatic(cloud, threads=threads, options=located, clear=True, verbosity=2)

    assert run.stdout.count("Deleting '") == 1
    assert "8 static files copied" in run.stdout


def test_a_failed_upload_keeps_clear_from_deleting(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    located: dict[str, Any],
    threads: int,
) -> None:
    cloud.put(key(cloud, "old.css"), b"old")
    refuse_uploads(cloud, times=1)

    with pytest.raises(CommandError):
        collectstatic(cloud, threads=threads, options=located, clear=True)

    assert cloud.exists(key(cloud, "old.css"))


# 4. The remote is the truth; the cache is a hint.


def test_an_emptied_bucket_is_filled_again_whatever_the_cache_remembers(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(cloud, threads=threads)
    cloud.empty()

    collectstatic(cloud, threads=threads)

    assert cloud.keys() == NAMES


def test_an_object_of_the_same_size_that_someone_replaced_is_sent_again(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(cloud, threads=threads)
    content = cloud.get(NAMES[0]).body
    cloud.put(NAMES[0], b"x" * len(content), content_type="text/css")

    run = collectstatic(cloud, threads=threads)

    assert cloud.get(NAMES[0]).body == content
    assert "1 static file copied" in run.stdout


@pytest.mark.parametrize("state", ["warm", "cold", "garbage", "down"])
def test_an_unmodified_tree_sends_nothing_whatever_the_state_of_the_cache(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    threads: int,
    state: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    collectstatic(cloud, threads=threads)
    cloud.clear_requests()
    settings = disturb_cache(state)

    with caplog.at_level(logging.WARNING, "collectfasta"):
        run = collectstatic(cloud, threads=threads, settings=settings)

    assert "0 static files copied" in run.stdout
    assert "8 unmodified" in run.stdout
    assert not cloud.counts().keys() & WRITES
    is_remembering = not isinstance(cloud, FileSystemCloud)
    assert len(caplog.records) == (1 if state == "down" and is_remembering else 0)


def disturb_cache(state: str) -> dict[str, Any]:
    """Bring the cache into a state and return the settings for it."""
    cache: Any = caches["default"]
    if state == "cold":
        cache.clear()
    if state == "garbage":
        for entry in list(cache._cache):
            cache.set(entry.split(":", 2)[2], {"not": "ours"})
    if state == "down":
        return {"CACHES": {"default": {"BACKEND": "tests.caches.BrokenCache"}}}
    return {}


# 5. The user's storage class is obeyed.


def test_the_bucket_is_as_django_leaves_it(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    tree.write("js/app.js", b"let x;")
    tree.write("img/logo.svg", b"<svg/>")
    tree.write("data.bin", bytes(range(256)))
    tree.write("empty.txt", b"")
    tree.write("archive.tar.gz", b"gzip")
    collectstatic(cloud, disable_collectfasta=True)
    expected = cloud.objects()
    cloud.empty()

    collectstatic(cloud, threads=threads)

    assert cloud.objects() == expected


# 6. Only under `location`.


def test_nothing_outside_of_the_location_is_changed_or_deleted(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    located: dict[str, Any],
    threads: int,
) -> None:
    if isinstance(cloud, FileSystemCloud):
        located = {"location": str(cloud.root / "static")}
    outside = ["static-old/a.css", "staticx", "css/a.css", "other/static/css/a.css"]
    for name in outside:
        cloud.put(name, b"foreign")

    collectstatic(cloud, threads=threads, options=located, clear=True)

    stored = cloud.objects()
    assert {name: stored.pop(name).body for name in outside} == dict.fromkeys(outside, b"foreign")
    assert sorted(stored) == [f"static/{name}" for name in NAMES]


def test_nothing_outside_of_the_location_is_listed(
    recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(recorded_cloud, threads=threads, options={"location": "static"}, clear=True)

    requests = recorded_cloud.requests
    listings = [each.query for each in requests if recorded_cloud.kind(each) == "LIST"]
    assert listings
    assert all("prefix=static%2F" in query for query in listings)


# 8. A dry run writes nothing.


@pytest.mark.parametrize("clear", [False, True])
def test_a_dry_run_writes_nothing_and_says_what_the_real_run_does(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    located: dict[str, Any],
    threads: int,
    clear: bool,
) -> None:
    collectstatic(cloud, threads=threads, options=located)
    tree.write(NAMES[0], b"changed")
    tree.write("new.css", b"new")
    tree.delete(NAMES[1])
    before, remembered = cloud.objects(), dict(caches["default"]._cache)  # type: ignore[attr-defined]
    cloud.clear_requests()

    dry = collectstatic(cloud, threads=threads, options=located, dry_run=True, clear=clear)

    assert cloud.objects() == before
    assert caches["default"]._cache == remembered  # type: ignore[attr-defined]
    assert not cloud.counts().keys() & WRITES
    real = collectstatic(cloud, threads=threads, options=located, clear=clear)
    assert dry.returned == real.returned


# 10. Bounded memory: see test_memory.py. 11. No secret in output.


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("status", [403, 404, 400])
def test_no_secret_is_printed_when_requests_are_refused(
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    threads: int,
    status: int,
    debug: bool,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cloud = recorded_cloud
    cloud.recorder.fail(lambda request: cloud.kind(request) in UPLOADS, status, times=8)

    with pytest.raises(CommandError) as caught:
        collectstatic(cloud, threads=threads, verbosity=3, settings={"COLLECTFASTA_DEBUG": debug})

    assert collectstatic.last is not None
    output = [str(caught.value), collectstatic.last.stdout, collectstatic.last.stderr]
    output += [caplog.text, *capfd.readouterr(), str(caches["default"]._cache)]  # type: ignore[attr-defined]
    text = "\n".join(output)
    assert [secret for secret in secrets(cloud) if secret in text] == []
    assert ("Traceback" in str(caught.value)) is debug


def secrets(cloud: Cloud) -> list[str]:
    names = ("secret_key", "security_token", "account_key", "connection_string", "sas_token")
    values = [value for name, value in cloud.options().items() if name in names and value]
    values += [value.partition("AccountKey=")[2].partition(";")[0] for value in values]
    return [value for value in values if value]


def test_threads_are_really_used(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: set[str] = set()
    stamp = SourceFile.stamp

    def note_thread(self: SourceFile) -> Any:
        names.add(threading.current_thread().name.partition("_")[0])
        return stamp(self)

    monkeypatch.setattr(SourceFile, "stamp", note_thread)

    collectstatic(cloud, threads=threads)

    assert names == {"collectfasta" if threads else "MainThread"}


def test_nothing_is_left_in_the_working_directory(
    cloud: Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    collectstatic(cloud, threads=threads)

    assert list(work.iterdir()) == []
