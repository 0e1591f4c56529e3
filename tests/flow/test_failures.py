"""What fails: named, sent again where that may help, and given up where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import CommandError

from tests.memory import FILES, MANIFEST, Site, denied, invalid, slow_down

NUMBER = 80
NAMES = sorted(f"{number}.css" for number in range(NUMBER))


@pytest.fixture
def many(site: Site) -> Site:
    """A plain site of 80 small files."""
    for name in FILES:
        site.tree.delete(name)
    for name in NAMES:
        site.tree.write(name, name.encode())
    return site


def named(message: str) -> list[str]:
    return [line.split("'")[1] for line in message.splitlines()[1:] if line.startswith("  '")]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "collectfasta"]


def after(number: int, error: Callable[[], Exception]) -> Callable[[object], None]:
    """Return what raises at all calls but the first."""
    left = iter(range(number))

    def act(_: object) -> None:
        if next(left, None) is None:
            raise error()

    return act


def only(numbers: range, error: Callable[[], Exception]) -> Callable[[object], None]:
    """Return what raises at the calls with these numbers."""
    calls = iter(range(10_000))

    def act(_: object) -> None:
        if next(calls) in numbers:
            raise error()

    return act


class TestPermanent:
    def test_every_file_that_fails_is_named_and_all_others_are_sent(
        self, many: Site, threads: int
    ) -> None:
        # Some are sent before the first that fails: the order of those of one size is the tree's.
        bad = [name for name in NAMES if name.startswith("7")]
        many.refuse("PUT", "7*", invalid)

        message = many.fail(threads=threads)

        assert message.startswith(f"{len(bad)} files were not sent to memory://:\n")
        assert named(message) == bad
        assert many.keys() == [name for name in NAMES if name not in bad]

    def test_it_is_sent_once(self, many: Site, threads: int) -> None:
        many.refuse("PUT", "7.css", invalid)
        many.fail(threads=threads)
        assert many.called("PUT").count("7.css") == 1

    def test_the_next_run_sends_only_what_failed(self, many: Site, threads: int) -> None:
        many.refuse("PUT", "7*", invalid)
        failed = named(many.fail(threads=threads))
        many.recover()

        many.deploy(threads=threads)

        assert sorted(many.called("PUT")) == failed
        assert many.keys() == NAMES

    def test_one_failure_is_one_file(self, site: Site) -> None:
        site.refuse("PUT", "js/*", invalid)
        assert site.fail() == ("1 file was not sent to memory://:\n  'js/app.js': 400: not so")

    def test_a_cause_that_is_known_is_put_into_words(self, site: Site) -> None:
        site.refuse("PUT", "js/*", denied)
        assert "'js/app.js': The credentials lack the permission to PUT." in site.fail()

    def test_a_traceback_is_shown_where_it_is_asked_for(self, site: Site) -> None:
        site.refuse("PUT", "js/*", invalid)
        site.refuse("PUT", "css/*", lambda: ZeroDivisionError("of its own"))
        for options in ({"traceback": True}, {"settings": {"COLLECTFASTA_DEBUG": True}}):
            message = site.fail(**options)
            assert message.count("Traceback (most recent call last)") == 3
            assert named(message) == ["css/a.css", "css/b.css", "js/app.js"]
        assert "Traceback" not in site.fail()

    def test_what_ends_with_the_loss_of_an_answer_is_in_the_bucket(self, site: Site) -> None:
        """The next run finds it, and sends nothing."""

        def lose(call: Any) -> None:
            if call.key.startswith("css/"):
                raise slow_down()

        site.bucket.lose = lose
        site.fail()
        assert site.bodies() == FILES
        site.recover()

        site.deploy()

        assert site.counts() == {"LIST": 1}


class TestSecondRound:
    def test_what_failed_by_chance_is_sent_after_all_others(self, many: Site, threads: int) -> None:
        many.refuse("PUT", "7.css", slow_down, times=1)

        many.deploy(threads=threads)

        assert many.keys() == NAMES
        assert many.called("PUT")[-1] == "7.css"
        assert len(many.called("PUT")) == NUMBER + 1

    @pytest.mark.parametrize("error", [slow_down, ConnectionResetError, TimeoutError])
    def test_one_warning_tells_of_it(
        self, many: Site, caplog: pytest.LogCaptureFixture, error: Any
    ) -> None:
        many.refuse("PUT", "7.css", error, times=1)

        many.deploy()

        (warning,) = warnings(caplog)
        assert warning.startswith(f"1 of {NUMBER} files were not sent for a reason that may pass (")
        kind = "503 SlowDown" if error is slow_down else error.__name__
        assert warning.endswith(f"({kind}). Sending them again.")

    def test_what_fails_twice_is_named_with_what_to_do(self, many: Site, threads: int) -> None:
        many.refuse("PUT", "7.css", slow_down)

        first, cause, advice = many.fail(threads=threads).splitlines()

        assert first.startswith("1 file was not sent")
        assert cause == "  '7.css': 503: slow down"
        assert advice.startswith("Run the command again when the service answers")
        assert many.called("PUT").count("7.css") == 2

    def test_an_outage_costs_no_request_for_each_file(self, many: Site, threads: int) -> None:
        many.refuse("PUT", "*", slow_down, times=3)

        many.deploy(threads=threads)

        assert many.keys() == NAMES
        assert len(many.called("PUT")) == NUMBER + 3

    def test_an_outage_that_does_not_end_is_a_refusal(self, many: Site) -> None:
        many.refuse("PUT", error=slow_down)

        message = many.fail()

        assert len(many.called("PUT")) == 3 + 3
        assert message.startswith(f"{NUMBER} files were not sent to memory://: 503: slow down")
        assert len(message.splitlines()) == 2
        assert "Run the command again" in message

    def test_the_remote_is_given_time(self, many: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        paused: list[float] = []
        monkeypatch.setattr("collectfasta.deploy.transfer.PAUSE_SECONDS", 2)
        monkeypatch.setattr(time, "sleep", paused.append)
        many.deploy()
        assert paused == []
        many.refuse("PUT", "7.css", slow_down, times=1)

        many.deploy(force=True)

        assert paused == [2]

    def test_what_failed_for_good_beside_it_is_named(self, many: Site, threads: int) -> None:
        many.refuse("PUT", "7.css", slow_down, times=1)
        many.refuse("PUT", "8.css", invalid)

        assert named(many.fail(threads=threads)) == ["8.css"]
        assert "7.css" in many.keys()


class TestListing:
    def test_one_that_failed_by_chance_is_asked_for_again(
        self, each_site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        each_site.refuse("LIST", error=slow_down, times=1)

        each_site.deploy()

        assert each_site.bodies() == each_site.expected()
        assert each_site.counts()["LIST"] == 2
        assert warnings(caplog) == [
            "memory:// failed for a reason that may pass (503 SlowDown). Trying again."
        ]

    def test_one_that_fails_twice_ends_the_run_in_a_line(self, each_site: Site) -> None:
        each_site.refuse("LIST", error=slow_down)

        message = each_site.fail()

        assert message == (
            "memory:// can't be used: 503: slow down. Run the command again when the service "
            "answers: it sends only what is missing."
        )
        assert each_site.counts() == {"LIST": 2}

    def test_one_that_is_refused_for_good_is_asked_for_once(self, each_site: Site) -> None:
        each_site.refuse("LIST", error=invalid)
        assert each_site.fail() == "memory:// can't be used: 400: not so"
        assert each_site.counts() == {"LIST": 1}

    def test_one_that_breaks_off_midway_is_begun_again(self, many: Site, threads: int) -> None:
        many.bucket.page_size = 7
        many.deploy(threads=threads)
        many.forget()
        many.before("LIST", only(range(2, 3), slow_down))

        run = many.deploy(threads=threads)

        assert ", 80 unmodified" in run.stdout
        assert set(many.counts()) == {"LIST"}

    def test_what_may_not_be_listed_is_asked_for_one_by_one_after_a_warning(
        self, each_site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        each_site.deploy()
        each_site.tree.write("js/app.js", b"changed")
        each_site.refuse("LIST", error=lambda: denied("LIST"))
        each_site.forget()

        run = each_site.deploy()

        assert "\n1 static file copied, 3 unmodified" in run.stdout
        assert each_site.bodies().items() >= each_site.expected().items()
        (warning,) = warnings(caplog)
        assert warning == (
            "The credentials lack the permission to LIST. "
            "Asking for each object instead, which is slower."
        )

    def test_permission_that_ends_midway_is_the_same(self, many: Site, threads: int) -> None:
        many.bucket.page_size = 7
        many.deploy(threads=threads)
        many.forget()
        many.before("LIST", after(1, denied))

        run = many.deploy(threads=threads)

        assert ", 80 unmodified" in run.stdout
        assert many.counts()["HEAD"] == NUMBER

    def test_what_may_not_be_asked_for_either_is_a_refusal(self, site: Site, threads: int) -> None:
        site.refuse("LIST", error=denied)
        site.refuse("HEAD", error=denied)
        message = site.fail(threads=threads)
        assert message == "The credentials lack the permission to PUT."
        assert site.called("PUT") == []


class TestRefusal:
    def test_where_nothing_was_sent_three_of_a_kind_end_it(self, many: Site) -> None:
        for error in (denied, invalid):
            many.recover()
            many.refuse("PUT", error=error)

            message = many.fail()

            assert len(many.called("PUT")) == 3
            assert message.startswith(f"{NUMBER} files were not sent to memory://: ")
            assert len(message.splitlines()) == 1

    def test_in_threads_all_that_was_not_sent_is_counted(self, many: Site) -> None:
        many.refuse("PUT")

        message = many.fail(threads=4)

        assert message.startswith(f"{NUMBER} files were not sent to memory://: The credentials")
        assert len(many.called("PUT")) <= 3 + 3 * 4

    def test_midway_twenty_in_a_row_end_it(self, many: Site) -> None:
        many.before("PUT", after(5, denied))

        message = many.fail()

        assert len(many.called("PUT")) == 5 + 20
        assert len(many.keys()) == 5
        assert message.startswith(f"{NUMBER - 5} files were not sent")

    def test_midway_in_threads_it_ends_early_too(self, many: Site) -> None:
        many.before("PUT", after(15, invalid))

        message = many.fail(threads=4)

        # A success that comes late begins the count again.
        assert len(many.called("PUT")) <= 15 + 20 + 3 * 4
        assert message.startswith(f"{NUMBER - 15} files were not sent")
        assert len(message.splitlines()) == 1

    def test_a_success_ends_the_row(self, many: Site) -> None:
        calls = iter(range(10_000))

        def refuse_most(_: object) -> None:
            if next(calls) % 20:
                raise denied()

        many.before("PUT", refuse_most)

        message = many.fail()

        assert len(many.called("PUT")) == NUMBER
        assert len(named(message)) == NUMBER - 4

    def test_where_one_was_sent_a_few_others_are_all_tried(self, site: Site) -> None:
        site.refuse("PUT", "[!c]*", denied)
        assert named(site.fail()) == ["img/a.png", "js/app.js"]
        assert len(site.called("PUT")) == 4

    def test_where_the_reasons_differ_every_file_is_tried(self, many: Site) -> None:
        def refuse(call: Any) -> None:
            error = invalid()
            error.kind = f"400 {call.key}"
            raise error

        many.before("PUT", refuse)

        assert len(named(many.fail())) == NUMBER

    def test_files_that_failed_by_themselves_are_named_beside_it(self, many: Site) -> None:
        many.tree.write("large.css", b"sent first, so that it vanishes before others are refused")
        many.before("PUT", lambda _: many.tree.delete("79.css"), "large.css")
        many.before("PUT", after(50, denied))

        head, *lines = many.fail().splitlines()

        assert "The credentials lack the permission to PUT." in head
        assert [line.partition(":")[0].strip() for line in lines] == ["'79.css'"]

    def test_the_next_run_sends_only_the_rest(self, many: Site, threads: int) -> None:
        many.before("PUT", after(15, denied))
        many.fail(threads=threads)
        stored = set(many.keys())
        many.recover()

        many.deploy(threads=threads)

        assert set(many.called("PUT")) == set(NAMES) - stored


class TestDeletion:
    @pytest.fixture
    def stale(self, each_site: Site) -> Site:
        each_site.location = "static"
        each_site.put("static/old.css")
        each_site.put("static/older.css")
        return each_site

    @pytest.mark.parametrize("option", ["clear", "prune"])
    def test_one_that_failed_by_chance_is_tried_again(self, stale: Site, option: str) -> None:
        stale.refuse("DELETE", error=slow_down, times=1)

        stale.deploy(**{option: True})

        assert stale.bodies() == stale.expected()
        assert len(stale.called("DELETE")) == 2

    @pytest.mark.parametrize("error", [denied, slow_down, invalid])
    def test_one_that_fails_for_good_costs_no_file(self, stale: Site, error: Any) -> None:
        stale.refuse("DELETE", error=error)

        message = stale.fail(prune=True)

        kept = {"static/old.css": b"old", "static/older.css": b"old"}
        assert stale.bodies() == {**stale.expected(), **kept}
        assert len(message.splitlines()) == 1
        assert ("Run the command again" in message) is (error is slow_down)

    def test_a_listing_of_what_is_stale_that_fails_ends_it_before_it_sends(
        self, stale: Site
    ) -> None:
        stale.refuse("LIST", error=slow_down)
        for option in ("clear", "prune"):
            stale.fail(**{option: True})
            assert stale.keys() == ["static/old.css", "static/older.css"]


def test_a_fifth_of_all_requests_may_fail(each_site: Site) -> None:
    """By a pattern, so that each run meets the same."""
    for number in range(60):
        each_site.tree.write(f"many/{number}.js", b"%d" % number)
    calls = iter(range(10_000))
    failed: list[object] = []

    def fail_some(call: object) -> None:
        if next(calls) % 5 == 1:
            failed.append(call)
            raise slow_down()

    each_site.before("*", fail_some)

    # What fails in both rounds is left to the next run, which sends only that.
    for _ in range(9):
        with suppress(CommandError):
            each_site.deploy()
            break

    assert len(failed) >= 12
    each_site.recover()
    each_site.deploy()
    assert each_site.bodies() == each_site.expected()


def test_the_largest_files_go_first(each_site: Site) -> None:
    each_site.tree.write("large.js", b"x" * 500)
    each_site.threads = 0

    each_site.deploy()

    sizes = [len(each_site.bodies()[key]) for key in each_site.called("PUT") if key != MANIFEST]
    assert sizes == sorted(sizes, reverse=True)
