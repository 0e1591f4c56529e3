"""The transfer: every result is read, every failure told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage

from collectfasta.checksums import Pair
from collectfasta.observed import SourceChangedError
from collectfasta.plan import Decision, Plan, Reason
from collectfasta.remote import RemoteObject
from collectfasta.source import SourceFile
from collectfasta.strategies.base import Strategy
from collectfasta.strategies.filesystem import CachingFileSystemStrategy, FileSystemStrategy
from collectfasta.transfer import Report, describe_failures, transfer
from tests.unit.helpers import each_storage, sources_of, strategy_for_directory

each_number_of_threads = pytest.mark.parametrize("threads", [0, 8])


class BrokenError(Exception):
    """What happens to files with "broken" in their names."""


class FalsyError(Exception):
    """An error that looks like none."""

    def __len__(self) -> int:
        return 0


class BreakingStrategy(FileSystemStrategy):
    """A strategy that can't send some files, as no directory would behave."""

    error: Exception = BrokenError("it broke")

    def upload(self, source: SourceFile) -> RemoteObject | None:
        if "broken" in source.name:
            raise self.error
        return super().upload(source)


class RefusingStrategy(FileSystemStrategy):
    """A strategy whose remote refuses whatever is sent."""

    secret_attributes: ClassVar[tuple[str, ...]] = ("secret",)

    def upload(self, source: SourceFile) -> NoReturn:
        raise BrokenError("403 for the-secret")

    def explain_error(self, error: Exception) -> str | None:
        return "The credentials lack the permission to write."


class RefusedError(Exception):
    """What the SDK raises for a refusal."""


class PassingError(RefusedError):
    """What the SDK raises for a refusal that passes."""


class ChangingStrategy(FileSystemStrategy):
    """A strategy whose remote raises one after the other of a list, and nothing for None."""

    remote_errors: ClassVar[tuple[type[Exception], ...]] = (RefusedError,)

    def __init__(self, remote_storage: FileSystemStorage) -> None:
        super().__init__(remote_storage)
        self.script: list[Exception | None] = []

    def upload(self, source: SourceFile) -> RemoteObject | None:
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        return super().upload(source)

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, PassingError) or super().is_passing(error)


class OwnStrategy(Strategy[Storage]):
    """A strategy of a user's own."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True


def ignore(_: SourceFile) -> None:
    pass


def send(
    sources: Sequence[SourceFile],
    strategy: Strategy[Any],
    *,
    threads: int = 0,
    on_sent: Callable[[SourceFile], None] = ignore,
) -> Report:
    """Transfer a plan that sends all sources, and return its report."""
    report = Report()
    plan = Plan(tuple(Decision(source, Reason.MISSING) for source in sources))
    transfer(plan, strategy, report, threads=threads, on_sent=on_sent)
    return report


def names_sent(report: Report) -> list[str]:
    return sorted(each.decision.source.name for each in report.sent)


class TestSending:
    @each_number_of_threads
    def test_every_file_is_sent(self, tmp_path: Path, threads: int) -> None:
        files = {f"{n}.css": b"%d" % n for n in range(20)}
        strategy = FileSystemStrategy(FileSystemStorage(tmp_path))
        report = send(sources_of(files), strategy, threads=threads)
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == files
        assert names_sent(report) == sorted(files)

    @each_number_of_threads
    def test_nothing_is_left_of_a_transfer_that_was_not_given_up(
        self, tmp_path: Path, threads: int
    ) -> None:
        sources = sources_of({"a.css": b"x", "broken.css": b"x", "b.css": b"x"})
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        assert send(sources, strategy, threads=threads).left == 0

    def test_files_are_sent_at_the_same_time(self, tmp_path: Path) -> None:
        # Each waits for seven others.
        barrier = threading.Barrier(8)

        class MeetingStrategy(FileSystemStrategy):
            def upload(self, source: SourceFile) -> RemoteObject | None:
                barrier.wait(10)
                return super().upload(source)

        strategy = strategy_for_directory(tmp_path, {}, MeetingStrategy)
        report = send(sources_of({f"{n}.css": b"x" for n in range(8)}), strategy, threads=8)
        assert report.failures == {}

    @each_storage
    @each_number_of_threads
    def test_a_storage_that_does_not_overwrite_does_so(
        self, tmp_path: Path, make: Callable[[Path], Storage], threads: int
    ) -> None:
        files = {f"{n}.css": b"%d" % n for n in range(10)}
        storage = make(tmp_path)
        for name in files:
            storage.save(name, ContentFile(b"longer than after"))
        send(sources_of(files), OwnStrategy(storage), threads=threads)
        stored = {}
        for name in storage.listdir("")[1]:
            with storage.open(name) as opened:
                stored[name] = opened.read()
        assert stored == files

    def test_what_the_plan_does_not_send_is_not_sent(self, tmp_path: Path) -> None:
        (source,) = sources_of({"a.css": b"x"})
        plan = Plan((Decision(source, Reason.UNMODIFIED),))
        strategy = FileSystemStrategy(FileSystemStorage(tmp_path))
        transfer(plan, strategy, Report(), threads=0, on_sent=ignore)
        assert list(tmp_path.iterdir()) == []

    def test_the_largest_file_is_sent_first(self, tmp_path: Path) -> None:
        sent: list[str] = []
        send(
            sources_of({"small.css": b"1", "large.css": b"333", "middle.css": b"22"}),
            FileSystemStrategy(FileSystemStorage(tmp_path)),
            on_sent=lambda source: sent.append(source.name),
        )
        assert sent == ["large.css", "middle.css", "small.css"]

    @each_number_of_threads
    def test_the_hook_is_called_once_for_each_file_that_was_sent_in_the_calling_thread(
        self, tmp_path: Path, threads: int
    ) -> None:
        calls: list[tuple[str, int]] = []
        send(
            sources_of({"a.css": b"x", "broken.css": b"x", "b.css": b"x"}),
            strategy_for_directory(tmp_path, {}, BreakingStrategy),
            threads=threads,
            on_sent=lambda source: calls.append((source.name, threading.get_ident())),
        )
        assert sorted(calls) == [(name, threading.get_ident()) for name in ("a.css", "b.css")]

    def test_bytes_are_counted(self, tmp_path: Path) -> None:
        sources = sources_of({"a.css": b"12345", "b.css": b"123"})
        assert send(sources, FileSystemStrategy(FileSystemStorage(tmp_path))).size == 8

    def test_bytes_of_a_storage_that_says_nothing_are_those_of_the_file(self) -> None:
        assert send(sources_of({"a.css": b"12345"}), OwnStrategy(InMemoryStorage())).size == 5

    def test_the_version_and_checksum_of_what_was_sent_are_remembered(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, CachingFileSystemStrategy)
        report = send(sources_of({"a.css": b"x"}), strategy)
        remote = strategy.look_up("a.css")
        assert remote
        # The MD5 of "x".
        assert report.pairs == {"a.css": Pair(remote.version, "9dd4e461268c8034f5c8564e155c67a6")}

    def test_nothing_is_remembered_of_a_target_without_an_identity(self, tmp_path: Path) -> None:
        report = send(
            sources_of({"a.css": b"x"}), strategy_for_directory(tmp_path, {}, FileSystemStrategy)
        )
        assert report.pairs == {}

    @each_number_of_threads
    def test_an_interrupt_aborts_what_is_under_way(self, tmp_path: Path, threads: int) -> None:
        aborted: list[bool] = []

        class AbortableStrategy(FileSystemStrategy):
            def abort(self) -> None:
                aborted.append(True)

        def interrupt(_: SourceFile) -> NoReturn:
            raise KeyboardInterrupt

        strategy = strategy_for_directory(tmp_path, {}, AbortableStrategy)
        sources = sources_of({f"{n}.css": b"x" for n in range(20)})
        with pytest.raises(KeyboardInterrupt):
            send(sources, strategy, threads=threads, on_sent=interrupt)
        assert aborted == [True]

    def test_an_interrupted_transfer_has_reported_what_was_sent(self, tmp_path: Path) -> None:
        def interrupt(source: SourceFile) -> None:
            if source.name == "small.css":
                raise KeyboardInterrupt

        report = Report()
        sources = sources_of({"small.css": b"1", "large.css": b"333"})
        plan = Plan(tuple(Decision(source, Reason.MISSING) for source in sources))
        strategy = FileSystemStrategy(FileSystemStorage(tmp_path))
        with pytest.raises(KeyboardInterrupt):
            transfer(plan, strategy, report, threads=0, on_sent=interrupt)
        assert names_sent(report) == ["large.css"]


class TestFailures:
    @each_number_of_threads
    def test_every_failure_is_reported_and_the_others_are_sent(
        self, tmp_path: Path, threads: int
    ) -> None:
        files = {f"{'broken' if n % 3 else 'whole'}-{n}.css": b"x" for n in range(30)}
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        report = send(sources_of(files), strategy, threads=threads)
        assert sorted(report.failures) == sorted(name for name in files if "broken" in name)
        assert names_sent(report) == sorted(name for name in files if "whole" in name)

    @each_number_of_threads
    def test_an_error_that_looks_like_none_is_a_failure(self, tmp_path: Path, threads: int) -> None:
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        strategy.error = FalsyError()
        report = send(sources_of({"broken.css": b"x"}), strategy, threads=threads)
        assert report.failures == {"broken.css": strategy.error}
        assert report.sent == []

    @each_number_of_threads
    def test_a_source_that_vanished_is_its_own_failure(self, tmp_path: Path, threads: int) -> None:
        sources = sources_of({"gone.css": b"x", "b.css": b"x"})
        _ = [source.size for source in sources]  # as the plan has asked
        sources[0].storage.delete("gone.css")
        strategy = FileSystemStrategy(FileSystemStorage(tmp_path))
        report = send(sources, strategy, threads=threads)
        assert list(report.failures) == ["gone.css"]
        assert names_sent(report) == ["b.css"]

    @each_number_of_threads
    def test_a_failed_hook_is_the_failure_of_its_file(self, tmp_path: Path, threads: int) -> None:
        def fail(source: SourceFile) -> None:
            if source.name == "a.css":
                raise BrokenError("in the hook")

        report = send(
            sources_of({"a.css": b"x", "b.css": b"x"}),
            FileSystemStrategy(FileSystemStorage(tmp_path)),
            threads=threads,
            on_sent=fail,
        )
        assert str(report.failures["a.css"]) == "in the hook"
        assert names_sent(report) == ["b.css"]

    @each_number_of_threads
    @pytest.mark.parametrize("content", [b"longer than it was", b"NEW"])
    def test_a_source_that_changes_while_it_is_sent_is_a_failure(
        self, tmp_path: Path, threads: int, content: bytes
    ) -> None:
        path = tmp_path / "a.css"
        path.write_bytes(b"old")

        class SlowStrategy(FileSystemStrategy):
            def upload(self, source: SourceFile) -> RemoteObject | None:
                sent = super().upload(source)
                path.write_bytes(content)
                return sent

        strategy = strategy_for_directory(tmp_path / "target", {}, SlowStrategy)
        source = SourceFile("a.css", "a.css", FileSystemStorage(tmp_path))
        report = send([source], strategy, threads=threads)
        assert isinstance(report.failures["a.css"], SourceChangedError)
        assert report.sent == []

    def test_a_source_that_changed_after_it_was_hashed_is_not_sent(self, tmp_path: Path) -> None:
        path = tmp_path / "a.css"
        path.write_bytes(b"hashed")
        source = SourceFile("a.css", "a.css", FileSystemStorage(tmp_path))
        hashed = source.hashed_as("a.123.css")
        path.write_bytes(b"changed")
        strategy = strategy_for_directory(tmp_path / "target", {}, FileSystemStrategy)
        report = send([hashed], strategy)
        assert isinstance(report.failures["a.123.css"], SourceChangedError)
        assert not (tmp_path / "target").exists()

    @each_number_of_threads
    def test_what_is_no_exception_is_raised(self, tmp_path: Path, threads: int) -> None:
        class InterruptedStrategy(FileSystemStrategy):
            def upload(self, source: SourceFile) -> NoReturn:
                raise KeyboardInterrupt

        strategy = strategy_for_directory(tmp_path, {}, InterruptedStrategy)
        with pytest.raises(KeyboardInterrupt):
            send(sources_of({"a.css": b"x", "b.css": b"x"}), strategy, threads=threads)

    @each_number_of_threads
    def test_the_storage_overwrites_no_longer_after_a_failure(
        self, tmp_path: Path, threads: int
    ) -> None:
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        send(sources_of({"broken.css": b"x", "b.css": b"x"}), strategy, threads=threads)
        assert strategy.target_storage.get_available_name("b.css") != "b.css"


class TestSourceThatChanges:
    def test_its_change_is_told_and_not_what_it_made_the_remote_refuse(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "source.css"
        path.write_bytes(b"before")

        class VerifyingStrategy(FileSystemStrategy):
            def upload(self, source: SourceFile) -> NoReturn:
                path.write_bytes(b"and after")
                raise BrokenError("its checksum is another one")

        strategy = VerifyingStrategy(FileSystemStorage(tmp_path / "deployed"))
        source = SourceFile("source.css", "source.css", FileSystemStorage(tmp_path))
        report = send([source], strategy)
        assert isinstance(report.failures["source.css"], SourceChangedError)


class TestRefusal:
    def test_a_remote_that_refuses_everything_is_not_asked_for_each_file(
        self, tmp_path: Path
    ) -> None:
        strategy = strategy_for_directory(tmp_path, {}, RefusingStrategy)
        report = send(sources_of({f"{n}.css": b"x" for n in range(100)}), strategy)
        assert len(report.failures) == 3
        assert report.left == 97
        assert isinstance(report.refusal, BrokenError)

    def test_in_threads_all_that_was_not_sent_is_counted(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, RefusingStrategy)
        report = send(sources_of({f"{n}.css": b"x" for n in range(100)}), strategy, threads=8)
        assert len(report.failures) + report.left == 100
        assert isinstance(report.refusal, BrokenError)

    def test_where_one_file_was_sent_every_other_one_is_tried(self, tmp_path: Path) -> None:
        class MostlyRefusingStrategy(RefusingStrategy):
            def upload(self, source: SourceFile) -> Any:
                if source.name == "first.css":
                    return FileSystemStrategy.upload(self, source)
                return super().upload(source)

        strategy = strategy_for_directory(tmp_path, {}, MostlyRefusingStrategy)
        files = {"first.css": b"largest", **{f"{n}.css": b"x" for n in range(10)}}
        report = send(sources_of(files), strategy)
        assert len(report.failures) == 10
        assert report.refusal is None

    def test_where_the_reasons_differ_every_file_is_tried(self, tmp_path: Path) -> None:
        class MoodyStrategy(FileSystemStrategy):
            def upload(self, source: SourceFile) -> NoReturn:
                raise BrokenError(source.name)

            def explain_error(self, error: Exception) -> str | None:
                return f"no {error}"

        strategy = strategy_for_directory(tmp_path, {}, MoodyStrategy)
        report = send(sources_of({f"{n}.css": b"x" for n in range(10)}), strategy)
        assert len(report.failures) == 10

    def test_where_the_remote_does_not_refuse_for_good_every_file_is_tried(
        self, tmp_path: Path
    ) -> None:
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        report = send(sources_of({f"broken-{n}.css": b"x" for n in range(10)}), strategy)
        assert len(report.failures) == 10

    def test_a_remote_that_refuses_from_some_file_on_is_not_asked_for_each_one(
        self, tmp_path: Path
    ) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [None] * 5 + [RefusedError()] * 95
        report = send(sources_of({f"{n}.css": b"x" for n in range(100)}), strategy)
        assert len(report.sent) == 5
        assert len(report.failures) == 20
        assert report.left == 75

    def test_a_success_ends_the_row(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [None, *[RefusedError()] * 19] * 5
        report = send(sources_of({f"{n}.css": b"x" for n in range(100)}), strategy)
        assert len(report.failures) == 95
        assert report.refusal is None

    def test_a_success_that_began_before_does_not(self, tmp_path: Path) -> None:
        is_refused = threading.Event()

        class SlowStrategy(FileSystemStrategy):
            remote_errors: ClassVar[tuple[type[Exception], ...]] = (RefusedError,)
            begun = 0

            def upload(self, source: SourceFile) -> RemoteObject | None:
                if source.name == "slow.css":
                    # Ends when half of the refusals that end the transfer are told.
                    is_refused.wait(10)
                    return super().upload(source)
                self.begun += 1
                if self.begun == 10:
                    is_refused.set()
                raise RefusedError

        strategy = strategy_for_directory(tmp_path, {}, SlowStrategy)
        files = {"slow.css": b"the largest", **{f"{n}.css": b"x" for n in range(200)}}
        report = send(sources_of(files), strategy, threads=2)
        assert report.refusal is not None
        assert len(report.failures) < 40

    def test_refusals_of_one_kind_need_no_words_of_the_strategy(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [RefusedError(f"request {n}") for n in range(100)]
        report = send(sources_of({f"{n}.css": b"x" for n in range(100)}), strategy)
        assert len(report.failures) == 3


class TestSecondRound:
    @each_number_of_threads
    def test_what_failed_by_chance_is_sent_again(self, tmp_path: Path, threads: int) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [ConnectionResetError()] + [None] * 10
        files = {f"{n}.css": b"%d" % n for n in range(10)}
        report = send(sources_of(files), strategy, threads=threads)
        assert report.failures == {}
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == files

    def test_what_fails_again_is_not_sent_a_third_time(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [ConnectionResetError()] * 3
        report = send(sources_of({"a.css": b"x"}), strategy)
        assert isinstance(report.failures["a.css"], ConnectionResetError)
        assert len(strategy.script) == 1

    def test_what_was_refused_for_good_is_not_sent_again(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [RefusedError(), None]
        report = send(sources_of({"a.css": b"x", "b.css": b"y"}), strategy)
        assert [*report.failures] == ["a.css"]

    def test_what_was_not_tried_during_an_outage_is_sent(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [PassingError()] * 3 + [None] * 10
        report = send(sources_of({f"{n}.css": b"x" for n in range(10)}), strategy)
        assert len(report.sent) == 10
        assert report.left == 0

    def test_an_outage_that_does_not_end_is_a_refusal(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [PassingError()] * 20
        report = send(sources_of({f"{n}.css": b"x" for n in range(10)}), strategy)
        assert isinstance(report.refusal, PassingError)
        assert len(strategy.script) == 14

    def test_the_remote_is_given_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paused: list[float] = []
        monkeypatch.setattr("collectfasta.transfer.PAUSE_SECONDS", 2)
        monkeypatch.setattr("time.sleep", paused.append)
        strategy = strategy_for_directory(tmp_path, {}, ChangingStrategy)
        strategy.script = [ConnectionResetError(), None]
        send(sources_of({"a.css": b"x"}), strategy)
        assert paused == [2]

    def test_nobody_waits_where_all_is_sent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paused: list[float] = []
        monkeypatch.setattr("time.sleep", paused.append)
        send(sources_of({"a.css": b"x"}), strategy_for_directory(tmp_path, {}, ChangingStrategy))
        assert paused == []


class SecretiveStorage(FileSystemStorage):
    """A storage with credentials."""

    secret = "the-secret"


class TestDescription:
    def test_every_failure_is_a_line_with_name_and_cause(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        report = send(sources_of({f"broken-{n}.css": b"x" for n in range(30)}), strategy)
        head, *lines = describe_failures(report, strategy, full=False).splitlines()
        assert head.startswith(f"30 files were not sent to {tmp_path}")
        names = sorted(f"broken-{n}.css" for n in range(30))
        assert [line.strip() for line in lines] == [
            f"{name!r}: BrokenError: it broke" for name in names
        ]

    def test_one_failure_is_one_file(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        report = send(sources_of({"broken.css": b"x"}), strategy)
        assert describe_failures(report, strategy, full=False).startswith("1 file was not sent")

    def test_a_cause_that_the_strategy_explains_is_explained(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, RefusingStrategy)
        told = describe_failures(send(sources_of({"a.css": b"x"}), strategy), strategy, full=False)
        assert "'a.css': The credentials lack the permission to write." in told

    def test_a_common_refusal_is_told_once_with_the_number_of_all_files(
        self, tmp_path: Path
    ) -> None:
        strategy = strategy_for_directory(tmp_path, {}, RefusingStrategy)
        report = send(sources_of({f"{n}.css": b"x" for n in range(100)}), strategy)
        told = describe_failures(report, strategy, full=False)
        assert told.startswith("100 files were not sent")
        assert told.count("The credentials lack the permission to write.") == 1
        assert len(told.splitlines()) == 1

    def test_a_full_description_has_the_traceback_behind_each_failure(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, BreakingStrategy)
        report = send(sources_of({"broken-1.css": b"x", "broken-2.css": b"x"}), strategy)
        told = describe_failures(report, strategy, full=True)
        assert told.count("Traceback (most recent call last)") == 2
        assert "in upload" in told

    def test_a_full_description_of_a_common_refusal_has_one_traceback(self, tmp_path: Path) -> None:
        strategy = RefusingStrategy(FileSystemStorage(tmp_path))
        report = send(sources_of({f"{n}.css": b"x" for n in range(100)}), strategy)
        told = describe_failures(report, strategy, full=True)
        assert told.count("Traceback (most recent call last)") == 1

    @pytest.mark.parametrize("full", [False, True])
    @pytest.mark.parametrize("number", [1, 100])
    def test_no_secret_of_the_storage_is_told(
        self, tmp_path: Path, full: bool, number: int
    ) -> None:
        strategy = RefusingStrategy(SecretiveStorage(tmp_path))
        report = send(sources_of({f"{n}.css": b"x" for n in range(number)}), strategy)
        assert "the-secret" not in describe_failures(report, strategy, full=full)

    def test_no_secret_of_the_storage_is_told_in_an_explanation(self, tmp_path: Path) -> None:
        class TalkativeStrategy(RefusingStrategy):
            def explain_error(self, error: Exception) -> str | None:
                return f"no permission: {error}"

        strategy = TalkativeStrategy(SecretiveStorage(tmp_path))
        report = send(sources_of({"a.css": b"x"}), strategy)
        assert "'a.css': no permission: 403 for ***" in describe_failures(
            report, strategy, full=False
        )
