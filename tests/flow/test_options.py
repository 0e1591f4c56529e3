"""``--check``, ``--clear``, ``--force``, ``--threads`` and what they refuse."""

from __future__ import annotations

import builtins
import threading
from typing import Any, ClassVar

import pytest
from django.core.cache import caches
from django.core.files.storage import Storage
from django.core.management import CommandError, call_command

from collectfasta.strategies import Strategy
from collectfasta.strategies.base import CachingHashStrategy
from tests.memory import (
    FILES,
    MANIFEST,
    MemoryManifestStorage,
    MemoryStorage,
    MemoryStrategy,
    Site,
)
from tests.summary import deleted

# Waited only by a test that fails.
WAIT_SECONDS = 20.0


class NeverCopies(Strategy[Storage]):
    """A user's strategy."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return False


class Trusting(CachingHashStrategy[Storage]):
    """A user's strategy that trusts its cache."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        if not self.remote_storage.exists(prefixed_path):
            return None
        return self.get_local_file_hash(prefixed_path, self.remote_storage)


class Minifying(MemoryStorage):
    """Post-processes in a way of its own, whatever that writes."""

    def post_process(self, paths: Any, **options: Any) -> Any:
        raise AssertionError("A check must not run it.")


class ProcessesItself(MemoryManifestStorage):
    def post_process(self, *args: Any, **options: Any) -> Any:
        yield from super().post_process(*args, **options)


class SavesItself(MemoryManifestStorage):
    def save_manifest(self) -> None:
        super().save_manifest()


def state() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all that is in the cache."""
    cache: Any = caches["default"]
    return {**cache._cache}, {**cache._expire_info}


class TestCheck:
    def test_a_storage_that_has_everything_passes(self, each_site: Site) -> None:
        each_site.deploy()
        number = len(each_site.keys())
        run = each_site.deploy(check=True)
        assert run.stdout.endswith(
            f"memory:// does not differ from the files: {number} objects compared.\n"
        )

    def test_an_empty_one_differs_and_stays_empty(self, each_site: Site) -> None:
        message = each_site.fail(check=True)
        number = 9 if each_site.is_staged else 4
        assert message == (
            f"memory:// differs from the files: {number} of {number} objects would be sent "
            f"({number} missing)."
        )
        assert each_site.keys() == []

    def test_one_line_says_how_many_differ_and_why(self, each_site: Site) -> None:
        each_site.deploy()
        each_site.tree.write("js/app.js", b"changed")
        each_site.tree.write("new.txt", b"new")

        message = each_site.fail(check=True)

        expected = (
            "5 of 11 objects would be sent (3 missing, 2 changed)."
            if each_site.is_staged
            else "2 of 5 objects would be sent (1 missing, 1 changed)."
        )
        assert message == f"memory:// differs from the files: {expected}"

    def test_what_would_change_is_listed_as_by_a_dry_run(self, each_site: Site) -> None:
        each_site.deploy()
        each_site.tree.write("new.txt", b"new")
        dry = each_site.deploy(dry_run=True)

        each_site.fail(check=True)

        listed = [line for line in dry.stdout.splitlines() if line.startswith("Pretending")]
        said = each_site.last.stdout.splitlines()
        assert [line for line in said if line.startswith("Pretending")] == listed
        assert len(listed) == (3 if each_site.is_staged else 1)

    @pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
    def test_nothing_is_written(self, each_site: Site, is_warm: bool) -> None:
        each_site.deploy()
        each_site.tree.write("js/app.js", b"changed")
        if not is_warm:
            caches["default"].clear()
        before = each_site.state(), state()
        each_site.forget()

        each_site.fail(check=True)

        assert (each_site.state(), state()) == before
        assert each_site.counts() == {"LIST": 1}

    def test_a_manifest_alone_that_differs_is_a_difference(self, each_manifest: Site) -> None:
        each_manifest.deploy()
        each_manifest.put(MANIFEST, each_manifest.bodies()[MANIFEST].replace(b"a.css", b"A.css", 1))
        assert each_manifest.fail(check=True).endswith("1 of 9 objects would be sent (1 changed).")

    def test_what_the_storage_can_not_tell_differs(self, site: Site) -> None:
        site.deploy()
        site.bucket.has_checksums = False
        caches["default"].clear()
        assert site.fail(check=True).endswith("4 of 4 objects would be sent (4 unknown).")

    def test_the_target_is_named(self, each_site: Site) -> None:
        each_site.location = "static"
        assert each_site.fail(check=True).startswith("memory://static/ differs from the files: ")

    def test_no_question_is_asked(self, each_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        each_site.deploy()
        monkeypatch.setattr(builtins, "input", lambda _: pytest.fail("A question was asked."))
        each_site.deploy(check=True, interactive=True)

    def test_thousands_are_separated(self, site: Site) -> None:
        for number in range(996):
            site.tree.write(f"many/{number}.txt", b"x")
        assert "1,000 of 1,000 objects" in site.fail(check=True)

    def test_stale_objects_alone_are_no_difference(self, each_site: Site) -> None:
        each_site.location = "static"
        each_site.deploy()
        each_site.put("static/old.css")
        assert "does not differ" in each_site.deploy(check=True).stdout

    def test_what_would_be_pruned_is_one(self, each_site: Site) -> None:
        each_site.location = "static"
        each_site.deploy()
        each_site.put("static/old.css")
        before = each_site.state()

        message = each_site.fail(check=True, prune=True)

        assert message == "memory://static/ differs from the files: 1 object would be deleted."
        assert "Pretending to delete 'old.css'" in each_site.last.stdout
        assert each_site.state() == before
        each_site.tree.write("new.txt", b"new")
        assert each_site.fail(check=True, prune=True).endswith(", 1 object would be deleted.")
        run = each_site.deploy
        each_site.tree.delete("new.txt")
        assert "does not differ" in run(check=True, prune=True, prune_older_than=1).stdout

    def test_without_post_processing_the_files_are_compared_as_they_were_found(
        self, each_manifest: Site
    ) -> None:
        each_manifest.deploy(post_process=False)
        run = each_manifest.deploy(check=True, post_process=False)
        assert run.stdout.endswith(": 4 objects compared.\n")

    def test_a_manifest_without_a_stage_is_checked_too(self, manifest: Site) -> None:
        manifest.deploy(strategy=MemoryStrategy)
        before = manifest.state()
        run = manifest.deploy(strategy=MemoryStrategy, check=True)
        assert run.stdout.endswith(": 9 objects compared.\n")
        manifest.tree.write("js/app.js", b"changed")
        message = manifest.fail(strategy=MemoryStrategy, check=True)
        assert message.endswith("3 of 9 objects would be sent (1 missing, 2 changed).")
        assert manifest.state() == before

    def test_users_strategies_are_asked(self, site: Site) -> None:
        run = site.deploy(strategy=NeverCopies, check=True)
        assert "4 objects compared" in run.stdout
        before = state()
        assert site.fail(strategy=Trusting, check=True).endswith("(4 missing or changed).")
        assert state() == before

    def test_what_can_not_be_known_without_writing_is_refused(self, manifest: Site) -> None:
        for storage in (ProcessesItself, SavesItself):
            message = manifest.fail(storage=storage, check=True)
            assert message.startswith("--check can't tell what ")
            assert f" of {storage.__name__} would write" in message
            assert manifest.called("LIST") == []

    def test_so_is_post_processing_in_place(self, site: Site) -> None:
        assert "post_process() of Minifying" in site.fail(storage=Minifying, check=True)
        site.deploy()
        run = site.deploy(storage=Minifying, check=True, post_process=False)
        assert "4 objects compared" in run.stdout


class TestForce:
    def test_everything_is_sent_again_and_nothing_asked(self, each_site: Site) -> None:
        each_site.deploy()
        keys = each_site.keys()
        each_site.forget()

        run = each_site.deploy(force=True)

        assert sorted(each_site.called("PUT")) == keys
        assert set(each_site.counts()) == {"PUT"}
        assert "\n4 static files copied" in run.stdout

    def test_a_users_strategy_is_not_asked(self, site: Site) -> None:
        site.deploy(strategy=NeverCopies, force=True)
        assert site.bodies() == FILES

    def test_nothing_is_deleted(self, each_site: Site) -> None:
        each_site.location = "static"
        each_site.put("static/old.css")
        each_site.deploy(force=True)
        assert "static/old.css" in each_site.keys()


class TestClear:
    @pytest.mark.parametrize("location", ["", "static"])
    def test_an_empty_bucket_is_filled(self, each_site: Site, location: str) -> None:
        each_site.location = location
        run = each_site.deploy(clear=True)
        assert each_site.bodies() == each_site.expected()
        assert each_site.called("DELETE") == []
        assert "4 static files copied" in run.stdout

    def test_stale_objects_are_deleted_in_one_batch(self, each_site: Site) -> None:
        each_site.location = "static"
        for key in ("static/old.css", "static/b/old.js", "static/never/ours.txt", "other/old.css"):
            each_site.put(key)

        run = each_site.deploy(clear=True, verbosity=2)

        assert each_site.bodies() == {**each_site.expected(), "other/old.css": b"old"}
        assert {**each_site.counts(), "PUT": 0} == {"PUT": 0, "LIST": 1, "DELETE": 1}
        assert f"\n{deleted(3)}4 static files copied" in run.stdout
        told = [line for line in run.stdout.splitlines() if line.startswith("Deleting")]
        assert told == [f"Deleting '{name}'" for name in ("b/old.js", "never/ours.txt", "old.css")]

    def test_thousands_are_deleted_in_batches(self, site: Site) -> None:
        site.location = "static"
        for number in range(2100):
            site.put(f"static/old/{number}.css")
        site.deploy(clear=True)
        assert site.bodies() == site.expected()
        assert len(site.called("DELETE")) == 3

    def test_everything_is_sent_again_with_a_warm_cache(self, each_site: Site) -> None:
        each_site.location = "static"
        each_site.deploy()
        keys = each_site.keys()
        each_site.forget()
        each_site.deploy(clear=True)
        assert sorted(each_site.called("PUT")) == keys
        each_site.forget()
        each_site.deploy()
        assert each_site.counts() == {"LIST": 1}

    def test_keys_that_no_file_can_have_led_to_are_left_alone(self, site: Site) -> None:
        site.location = "static"
        odd = ["static//a.css", "static/b//b.js", "static/./a.css", "static/folder/"]
        for key in odd:
            site.put(key)
        for option in ("clear", "prune"):
            site.deploy(**{option: True})
            assert site.bodies() == {**site.expected(), **dict.fromkeys(odd, b"old")}

    def test_without_a_location_what_the_last_deploy_sent_is_deleted(self, each_site: Site) -> None:
        each_site.tree.write("old.css", b"old")
        each_site.deploy()
        each_site.tree.delete("old.css")

        run = each_site.deploy(clear=True)

        assert each_site.bodies() == each_site.expected()
        assert "memory:// has no location" in run.stdout

    def test_without_a_location_nothing_else_is(self, each_site: Site) -> None:
        each_site.tree.write("old.css", b"old")
        each_site.tree.write("theirs.css", b"old")
        each_site.deploy()
        each_site.put("media/photo.jpg")
        each_site.put("theirs.css", b"written since")
        for name in ("old.css", "theirs.css"):
            each_site.tree.delete(name)

        each_site.deploy(clear=True)

        assert each_site.bodies()["theirs.css"] == b"written since"
        assert "media/photo.jpg" in each_site.keys()
        assert "old.css" not in each_site.keys()

    def test_without_a_location_and_a_cache_nothing_is_deleted(self, each_site: Site) -> None:
        each_site.tree.write("old.css", b"old")
        each_site.deploy()
        each_site.tree.delete("old.css")
        caches["default"].clear()
        each_site.deploy(clear=True)
        assert "old.css" in each_site.keys()
        assert each_site.called("DELETE") == []

    def test_what_another_deploy_sends_at_the_same_time_stays(self, each_site: Site) -> None:
        each_site.location = "static"
        each_site.before("PUT", lambda _: each_site.put("static/new.css", b"new"), times=1)
        for option in ("clear", "prune"):
            each_site.before("PUT", lambda _: each_site.put("static/new.css", b"new"), times=1)
            each_site.bucket.objects.clear()
            each_site.deploy(**{option: True})
            assert "static/new.css" in each_site.keys(), option


class Sending(Strategy[Storage]):
    """A strategy that goes on only when a number of files is sent at a time."""

    gate: ClassVar[threading.Barrier]
    used: ClassVar[set[threading.Thread]]

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True

    def upload(self, source: Any) -> Any:
        self.used.add(threading.current_thread())
        self.gate.wait(WAIT_SECONDS)
        return super().upload(source)


def sending(at_a_time: int) -> type[Sending]:
    attributes = {"gate": threading.Barrier(at_a_time), "used": set()}
    return type("SendingThese", (Sending,), attributes)


class TestThreads:
    @pytest.mark.parametrize("setting", [None, 0, 1, 12])
    def test_the_option_wins_over_the_setting(self, site: Site, setting: int | None) -> None:
        strategy = sending(2)
        site.deploy("--threads", "2", threads=setting, strategy=strategy)
        assert len(strategy.used) == 2
        assert site.bodies() == FILES

    def test_none_sends_in_the_thread_of_the_command(self, site: Site) -> None:
        for setting in (None, 8):
            strategy = sending(1)
            site.deploy("--threads=0", threads=setting, strategy=strategy)
            assert strategy.used == {threading.current_thread()}

    def test_without_it_the_setting_counts(self, site: Site) -> None:
        strategy = sending(4)
        site.deploy(threads=4, strategy=strategy)
        assert len(strategy.used) == 4

    def test_without_either_the_strategys_store_decides(self, site: Site) -> None:
        names = set()
        site.before("PUT", lambda _: names.add(threading.current_thread().name))
        site.deploy(threads=None)
        assert all(name.startswith("collectfasta") for name in names)
        strategy = sending(1)
        site.deploy(threads=None, strategy=strategy)
        assert strategy.used == {threading.current_thread()}

    def test_what_is_no_number_of_them_is_refused(self, site: Site) -> None:
        for text in ("-1", "1.5", "many", "", "²"):
            message = site.fail(f"--threads={text}")
            assert message == f"Error: argument --threads: {text!r} is not a number of 0 or more"
        site.deploy(dry_run=True)
        for number in (-1, 1.5, "8", True):
            with pytest.raises(CommandError) as caught:
                call_command("collectstatic", interactive=False, threads=number)
            assert str(caught.value) == (
                f"--threads must be a number of 0 or more, found {number!r}."
            )
        assert site.keys() == []


class TestRefused:
    def test_contradictions(self, site: Site) -> None:
        compares = "which sends everything and compares nothing."
        cases: list[tuple[dict[str, Any], str]] = [
            ({"check": True, "force": True}, f"--check can't go with --force, {compares}"),
            ({"check": True, "clear": True}, f"--check can't go with --clear, {compares}"),
            (
                {"prune": True, "clear": True},
                "--clear deletes all that --prune would: use one of them.",
            ),
            (
                {"prune_older_than": 0},
                "--prune-older-than only says what --prune deletes: add --prune.",
            ),
        ]
        for options, message in cases:
            assert site.fail(**options) == message
        assert site.bucket.calls == []

    WAYS: ClassVar[dict[str, dict[str, Any]]] = {
        "with --disable-collectfasta": {"disable_collectfasta": True},
        "with --link": {"link": True},
        "while COLLECTFASTA_ENABLED is False": {"settings": {"COLLECTFASTA_ENABLED": False}},
        "for MemoryStorage, which it has no strategy for": {"strategy": None},
    }

    @pytest.mark.parametrize("way", WAYS)
    def test_what_django_does_by_itself(
        self, site: Site, way: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Options of ours must not be passed over in silence."""
        monkeypatch.chdir(tmp_path)
        options: list[tuple[str, Any]] = [
            ("check", True),
            ("prune", True),
            ("prune_older_than", 0),
            ("report", "report.json"),
            ("force", True),
        ]
        for name, value in options:
            # It is refused for itself where it stands alone.
            others = {"prune": True} if name == "prune_older_than" and "Memory" in way else {}
            message = site.fail(**{**self.WAYS[way], name: value, **others})
            expected = "prune" if others else name.replace("_", "-")
            assert message == f"--{expected} is Collectfasta's, which does nothing {way}."
        assert site.keys() == []
        assert not (tmp_path / "report.json").exists()

    def test_threads_change_nothing_but_speed_there(self, site: Site) -> None:
        for options in self.WAYS.values():
            if "link" not in options:
                site.deploy("--threads=4", **options)
                assert site.bodies() == FILES
