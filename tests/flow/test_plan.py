"""How files are compared and sent, beside what becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage
from typing_extensions import override

from collectfasta.remote import RemoteObject
from tests.memory import (
    FILES,
    MemoryManifestStorage,
    MemoryStorage,
    MemoryStrategy,
    Site,
    denied,
    invalid,
)
from tests.memory_store import MemoryStore

# Waited only by a test that fails.
WAIT_SECONDS = 20.0


def test_files_are_compared_while_the_listing_goes_on(site: Site) -> None:
    for number in range(100):
        site.tree.write(f"{number}.css", b"x")
    site.deploy()
    compared = threading.Event()

    class Paged(MemoryStrategy):
        def list_remote(self, names: Any) -> Iterator[RemoteObject]:
            found = [*(super().list_remote(names) or ())]
            yield from found[:-1]
            assert compared.wait(WAIT_SECONDS)
            yield found[-1]

        def pre_should_copy_hook(self) -> None:
            compared.set()

    run = site.deploy(strategy=Paged, threads=4)

    assert ", 104 unmodified" in run.stdout


def test_a_listing_is_asked_for_once_and_by_names(each_site: Site) -> None:
    asked: list[list[str]] = []

    class Noting(MemoryStrategy):
        def list_remote(self, names: Any) -> Any:
            asked.append(list(names))
            return super().list_remote(names)

    each_site.deploy(strategy=Noting, post_process=False)

    assert [sorted(names) for names in asked] == [sorted(FILES)]


def test_a_configuration_that_can_not_work_is_not_told_for_each_file(
    site: Site, threads: int
) -> None:
    def fail() -> Exception:
        return ImproperlyConfigured("no credentials")

    site.refuse("LIST", error=denied)
    site.refuse("HEAD", error=fail)

    with pytest.raises(ImproperlyConfigured, match="no credentials"):
        site.deploy(threads=threads)


def test_a_connection_that_is_lost_is_no_unreadable_file(site: Site, threads: int) -> None:
    site.refuse("LIST", error=denied)
    site.refuse("HEAD", error=lambda: ConnectionError("no answer"))

    message = site.fail(threads=threads)

    assert message.startswith("memory:// can't be used: ConnectionError: no answer")
    assert "Run the command again" in message


def test_the_hook_is_called_before_each_question_in_the_same_thread(
    site: Site, threads: int
) -> None:
    calls: dict[int, list[str]] = {}

    class Asked(MemoryStrategy):
        def pre_should_copy_hook(self) -> None:
            calls.setdefault(threading.get_ident(), []).append("pre")

        def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
            calls[threading.get_ident()].append("asked")
            return True

    for number in range(20):
        site.tree.write(f"{number}.css", b"x")

    site.deploy(strategy=Asked, threads=threads)

    for each in calls.values():
        assert each == ["pre", "asked"] * (len(each) // 2)
    assert sum(map(len, calls.values())) == 2 * 24


def test_hooks_after_a_file_are_called_by_the_commands_own_thread(site: Site, threads: int) -> None:
    calls: list[tuple[str, int]] = []

    class Noting(MemoryStrategy):
        def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
            calls.append((path, threading.get_ident()))

    site.refuse("PUT", "css/*", invalid)
    site.fail(strategy=Noting, threads=threads)

    here = threading.get_ident()
    assert sorted(calls) == [("img/a.png", here), ("js/app.js", here)]


def test_a_dry_run_calls_no_hook_that_follows_a_file(each_site: Site) -> None:
    each_site.deploy(post_process=False)
    each_site.tree.write("js/app.js", b"changed")

    class Failing(MemoryStrategy):
        def post_copy_hook(self, *_: Any) -> None:
            raise AssertionError("Nothing was sent.")

        def on_skip_hook(self, *_: Any) -> None:
            raise AssertionError("Nothing is done.")

    each_site.deploy(strategy=Failing, dry_run=True, post_process=False)


def test_unmodified_files_are_skipped_in_the_order_in_which_they_were_found(site: Site) -> None:
    for number in range(40):
        site.tree.write(f"{number * 37 % 100}.css", b"x")
    site.deploy()
    found = site.deploy(verbosity=2, disable_collectfasta=True).stdout.splitlines()
    order = [line.split("'")[1].rpartition("source/")[2] for line in found if "'" in line]
    site.deploy()

    run = site.deploy(verbosity=2, threads=4)

    skipped = [line.split("'")[1] for line in run.stdout.splitlines() if "Skipping" in line]
    assert skipped == [name for name in order if name in site.tree.names()]


class Renaming(MemoryStorage):
    """Does not overwrite."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return super(MemoryStorage, self).get_available_name(name, max_length)


def test_the_storage_takes_other_names_again_afterwards(site: Site, threads: int) -> None:
    for verb in ("success", "failure"):
        site.recover()
        if verb == "failure":
            site.refuse("PUT", "js/*", invalid)
            site.fail(storage=Renaming, threads=threads, force=True)
        else:
            site.deploy(storage=Renaming, threads=threads)
        storage: Any = staticfiles_storage
        assert storage.get_available_name("css/a.css") != "css/a.css"
        assert "get_available_name" not in vars(storage._wrapped)


class Ending(MemoryManifestStorage):
    """Notes when its post-processing has ended."""

    ended: list[bool] = []  # noqa: RUF012

    def post_process(self, *args: Any, **options: Any) -> Any:
        try:
            yield "css/a.css", "css/a.1.css", ArithmeticError("of one file")
            raise AssertionError("Nobody asks for more.")
        finally:
            self.ended.append(True)


def test_post_processing_ends_with_the_loop_over_it(each_manifest: Site) -> None:
    """Though something holds on to it: the traceback of an error does, until Django 6.1."""
    Ending.ended.clear()
    with pytest.raises(Exception, match="of one file") as caught:
        each_manifest.deploy(storage=Ending)
    assert Ending.ended == [True]
    assert "_save" not in vars(staticfiles_storage._wrapped)  # type: ignore[attr-defined]
    assert caught.value is not None
    assert each_manifest.keys() == []


class Aborted(MemoryStore):
    """Notes when it is to abort."""

    aborted: list[bool] = []  # noqa: RUF012

    @override
    def abort(self) -> None:
        self.aborted.append(True)
        super().abort()

    @cached_property
    @override
    def saves_itself(self) -> bool:
        return False


def test_an_interrupt_aborts_what_is_under_way_once(site: Site, threads: int) -> None:
    Aborted.aborted.clear()

    class Aborting(MemoryStrategy):
        @cached_property
        @override
        def store(self) -> MemoryStore:
            return Aborted(self.target_storage)

        def post_copy_hook(self, *_: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(Exception, match="Interrupted"):
        site.deploy(strategy=Aborting, threads=threads)

    assert Aborted.aborted == [True]
    site.deploy(threads=threads)
    assert Aborted.aborted == [True]
