"""Planning: why each file is sent or not, and what is refused before anything is sent."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from storages.backends.s3 import S3Storage

from collectfasta.checksums import Pair, md5
from collectfasta.plan import Plan, PlanError, Reason, make_plan
from collectfasta.remote import ListingDeniedError, RemoteObject
from collectfasta.source import Payload, SourceFile
from collectfasta.strategies.base import HashStrategy, Strategy
from collectfasta.strategies.boto3 import Boto3Strategy
from collectfasta.strategies.filesystem import CachingFileSystemStrategy, FileSystemStrategy
from tests.unit.helpers import in_memory, sources_of, strategy_for_directory

each_number_of_threads = pytest.mark.parametrize("threads", [0, 8])


def plan(
    sources: Sequence[SourceFile],
    strategy: Strategy[Any],
    pairs: Mapping[str, Pair] | None = None,
    *,
    threads: int = 0,
    forced: bool = False,
) -> Plan:
    return make_plan(sources, strategy, pairs or {}, threads=threads, forced=forced)


def reasons(made: Plan) -> dict[str, Reason]:
    return {each.source.name: each.reason for each in made.decisions}


class SilentStrategy(FileSystemStrategy):
    """A strategy whose remote must not be asked anything."""

    def list_remote(self, names: Sequence[str]) -> NoReturn:
        raise AssertionError("The remote was listed.")

    def look_up(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was looked up.")


class DeniedError(Exception):
    """What an SDK raises for a request that is refused."""


class UnlistedStrategy(FileSystemStrategy):
    """A strategy whose remote may not be listed."""

    def list_remote(self, names: Sequence[str]) -> NoReturn:
        raise ListingDeniedError("no permission to list")

    def explain_error(self, error: Exception) -> str | None:
        return "The credentials may not list."


class TestReasons:
    @each_number_of_threads
    def test_each_file_has_its_reason(self, tmp_path: Path, threads: int) -> None:
        remote = {"same.css": b"same", "other.css": b"old!", "longer.css": b"longer than before"}
        strategy = strategy_for_directory(tmp_path, remote, FileSystemStrategy)
        os.symlink("same.css", tmp_path / "link.css")
        names = ["missing.css", "same.css", "other.css", "longer.css", "link.css"]
        contents = {"same.css": b"same", "other.css": b"new!"}
        sources = sources_of({name: contents.get(name, b"x") for name in names})
        assert reasons(plan(sources, strategy, threads=threads)) == {
            "missing.css": Reason.MISSING,
            "same.css": Reason.UNMODIFIED,
            "other.css": Reason.CHANGED,
            "longer.css": Reason.CHANGED,
            # A link says nothing about what should be in its place.
            "link.css": Reason.UNKNOWN,
        }

    @each_number_of_threads
    def test_decisions_are_in_the_order_in_which_the_files_were_found(
        self, tmp_path: Path, threads: int
    ) -> None:
        files = {f"{n * 37 % 100}.css": b"x" for n in range(100)}
        some = dict(list(files.items())[::2])
        strategy = strategy_for_directory(tmp_path, some, FileSystemStrategy)
        made = plan(sources_of(files), strategy, threads=threads)
        assert [each.source.name for each in made.decisions] == list(files)

    def test_all_but_the_unmodified_are_uploads(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {"same.css": b"x"}, FileSystemStrategy)
        made = plan(sources_of({"missing.css": b"x", "same.css": b"x"}), strategy)
        assert [each.source.name for each in made.uploads] == ["missing.css"]

    def test_nothing_found_is_an_empty_plan(self, tmp_path: Path) -> None:
        assert plan([], FileSystemStrategy(FileSystemStorage(tmp_path))).decisions == ()

    @each_number_of_threads
    def test_a_forced_plan_sends_everything_and_asks_nothing(
        self, tmp_path: Path, threads: int
    ) -> None:
        strategy = strategy_for_directory(tmp_path, {"a.css": b"x"}, SilentStrategy)
        sources = sources_of({"a.css": b"x", "b.css": b"x"})
        made = plan(sources, strategy, threads=threads, forced=True)
        assert reasons(made) == {"a.css": Reason.FORCED, "b.css": Reason.FORCED}

    def test_planning_writes_nothing(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {"a.css": b"old"}, FileSystemStrategy)
        plan(sources_of({"a.css": b"new", "b.css": b"x"}), strategy)
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a.css": b"old"}


class TestPairs:
    def test_a_pair_of_this_version_decides_instead_of_the_content(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {"a.css": b"1234"}, CachingFileSystemStrategy)
        remote = strategy.look_up("a.css")
        assert remote
        (source,) = sources_of({"a.css": b"5678"})
        with source.open() as content:
            pair = Pair(remote.version, md5(content))
        assert reasons(plan([source], strategy, {"a.css": pair})) == {"a.css": Reason.UNMODIFIED}

    def test_a_pair_of_another_version_does_not(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {"a.css": b"1234"}, CachingFileSystemStrategy)
        (source,) = sources_of({"a.css": b"5678"})
        with source.open() as content:
            pair = Pair("earlier", md5(content))
        assert reasons(plan([source], strategy, {"a.css": pair})) == {"a.css": Reason.CHANGED}

    def test_what_is_remembered_is_what_stays_as_it_is(self, tmp_path: Path) -> None:
        remote = {"same.css": b"same", "changed.css": b"old!"}
        strategy = strategy_for_directory(tmp_path, remote, CachingFileSystemStrategy)
        sources = sources_of({"same.css": b"same", "changed.css": b"new!", "missing.css": b"x"})
        assert plan(sources, strategy, {"gone.css": Pair("1", "c")}).pairs.keys() == {"same.css"}


class TestRefusedNames:
    @each_number_of_threads
    @pytest.mark.parametrize("forced", [False, True])
    @pytest.mark.parametrize("name", ["../secret.css", "css/../../secret.css", "css/..", ""])
    def test_a_name_outside_of_the_location_is_refused_before_anything_is_asked(
        self, tmp_path: Path, threads: int, forced: bool, name: str
    ) -> None:
        sources = [*sources_of({"a.css": b"x"}), SourceFile("a.css", name, in_memory({}))]
        strategy = strategy_for_directory(tmp_path, {}, SilentStrategy)
        with pytest.raises(PlanError) as raised:
            plan(sources, strategy, threads=threads, forced=forced)
        assert repr(name) in str(raised.value)

    @pytest.mark.parametrize(
        "name",
        ["n" * 1025, "é" * 513, "\udcff.css", "../x.css"],
        ids=["long", "long in UTF-8", "not Unicode", "outside"],
    )
    def test_a_name_that_is_no_key_is_refused_before_anything_is_asked(self, name: str) -> None:
        # It is not connected, so it can't ask.
        strategy = Boto3Strategy(S3Storage(bucket_name="bucket", location="static"))
        source = SourceFile("a.css", name, in_memory({"a.css": b"x"}))
        with pytest.raises(PlanError) as raised:
            plan([source], strategy)
        assert repr(name) in str(raised.value)

    def test_all_refused_names_are_told_at_once(self, tmp_path: Path) -> None:
        storage = in_memory({"a.css": b"x"})
        names = ["../one.css", "a.css", "../two.css"]
        sources = [SourceFile("a.css", name, storage) for name in names]
        with pytest.raises(PlanError) as raised:
            plan(sources, strategy_for_directory(tmp_path, {}, SilentStrategy))
        head, *lines = str(raised.value).splitlines()
        assert "2 of the files" in head
        assert "../one.css" in lines[0]
        assert "../two.css" in lines[1]
        assert len(lines) == 2

    def test_two_files_with_one_name_are_refused_and_both_told(self, tmp_path: Path) -> None:
        storage = in_memory({"a.css": b"x"})
        sources = [SourceFile("a.css", name, storage) for name in ("css/a.css", "css\\a.css")]
        with pytest.raises(PlanError) as raised:
            plan(sources, strategy_for_directory(tmp_path, {}, SilentStrategy))
        assert repr("css/a.css") in str(raised.value)
        assert repr("css\\a.css") in str(raised.value)

    def test_two_names_with_one_key_are_refused(self) -> None:
        strategy = Boto3Strategy(S3Storage(bucket_name="bucket"))
        storage = in_memory({"a.css": b"x"})
        sources = [SourceFile("a.css", name, storage) for name in ("css/a.css", "css//a.css")]
        with pytest.raises(PlanError, match=r"'css//a\.css'.*'css/a\.css'"):
            plan(sources, strategy)

    def test_the_reason_of_a_refusal_holds_no_secret(self) -> None:
        strategy = Boto3Strategy(
            S3Storage(bucket_name="bucket", access_key="AKIA", secret_key="the-secret-key")
        )
        source = SourceFile("a.css", "../the-secret-key", in_memory({"a.css": b"x"}))
        with pytest.raises(PlanError) as raised:
            plan([source], strategy)
        assert str(raised.value).count("the-secret-key") == 1  # the name itself


class UnreadableStorage(InMemoryStorage):
    """A storage with files that can't be read, which ``root`` would always be allowed to."""

    unreadable: Iterable[str] = ()

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        if name in self.unreadable:
            raise PermissionError(13, "Permission denied", name)
        opened: File[Any] = super()._open(name, mode)  # type: ignore[misc]
        return opened


class TestUnreadableSources:
    @each_number_of_threads
    @pytest.mark.parametrize("forced", [False, True])
    def test_missing_files_are_all_told_at_once_before_anything_is_asked(
        self, tmp_path: Path, threads: int, forced: bool
    ) -> None:
        storage = in_memory({"there.css": b"x"})
        names = ["gone-1.css", "there.css", "gone-2.css"]
        sources = [SourceFile(name, name, storage) for name in names]
        strategy = strategy_for_directory(tmp_path, {}, SilentStrategy)
        with pytest.raises(PlanError) as raised:
            plan(sources, strategy, threads=threads, forced=forced)
        told = str(raised.value)
        assert "gone-1.css" in told
        assert "gone-2.css" in told
        assert "there.css" not in told

    def test_a_link_that_leads_nowhere_is_told(self, tmp_path: Path) -> None:
        os.symlink("nowhere", tmp_path / "link.css")
        source = SourceFile("link.css", "link.css", FileSystemStorage(tmp_path))
        with pytest.raises(PlanError, match=r"link\.css"):
            plan([source], strategy_for_directory(tmp_path / "target", {}, SilentStrategy))

    @each_number_of_threads
    def test_files_that_may_not_be_read_are_all_told_at_once(
        self, tmp_path: Path, threads: int
    ) -> None:
        names = ["denied-1.css", "readable.css", "denied-2.css"]
        storage = UnreadableStorage()
        for name in names:
            storage.save(name, ContentFile(b"x"))
        storage.unreadable = ["denied-1.css", "denied-2.css"]
        sources = [SourceFile(name, name, storage) for name in names]
        strategy = strategy_for_directory(tmp_path, dict.fromkeys(names, b"y"), FileSystemStrategy)
        with pytest.raises(PlanError) as raised:
            plan(sources, strategy, threads=threads)
        told = str(raised.value)
        assert "denied-1.css" in told
        assert "denied-2.css" in told
        assert "readable.css" not in told


class TestRemoteErrors:
    @each_number_of_threads
    def test_a_failed_request_is_not_taken_for_an_unreadable_file(
        self, tmp_path: Path, threads: int
    ) -> None:
        class UnreachableStrategy(UnlistedStrategy):
            # As the exceptions of requests are, which the Google SDK lets through.
            remote_errors: ClassVar[tuple[type[Exception], ...]] = (ConnectionError,)

            def look_up(self, name: str) -> NoReturn:
                raise ConnectionError("no answer")

        strategy = strategy_for_directory(tmp_path, {}, UnreachableStrategy)
        with pytest.raises(ConnectionError, match="no answer"):
            plan(sources_of({"a.css": b"x", "b.css": b"x"}), strategy, threads=threads)

    @each_number_of_threads
    def test_a_configuration_that_can_not_work_is_not_told_for_each_file(
        self, tmp_path: Path, threads: int
    ) -> None:
        class UnconfiguredStrategy(UnlistedStrategy):
            def look_up(self, name: str) -> NoReturn:
                raise ImproperlyConfigured("no credentials")

        strategy = strategy_for_directory(tmp_path, {}, UnconfiguredStrategy)
        with pytest.raises(ImproperlyConfigured, match="no credentials"):
            plan(sources_of({"a.css": b"x", "b.css": b"x"}), strategy, threads=threads)

    def test_an_error_of_the_listing_is_raised(self, tmp_path: Path) -> None:
        class BrokenStrategy(FileSystemStrategy):
            def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject]:
                yield RemoteObject("a.css")
                raise DeniedError

        strategy = strategy_for_directory(tmp_path, {}, BrokenStrategy)
        with pytest.raises(DeniedError):
            plan(sources_of({"a.css": b"x"}), strategy)

    def test_no_thread_is_left_behind_when_the_remote_refuses_to_be_asked(
        self, tmp_path: Path
    ) -> None:
        class RefusingStrategy(UnlistedStrategy):
            remote_errors = (DeniedError,)

            def look_up(self, name: str) -> NoReturn:
                raise DeniedError

        sources = sources_of({f"{number}.css": b"x" for number in range(100)})
        with pytest.raises(DeniedError):
            plan(sources, strategy_for_directory(tmp_path, {}, RefusingStrategy), threads=8)
        assert not [each for each in threading.enumerate() if each.name.startswith("collectfasta_")]

    @each_number_of_threads
    def test_without_permission_to_list_each_object_is_looked_up_after_one_warning(
        self, tmp_path: Path, threads: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        files = {"same.css": b"x", "changed.css": b"old"}
        strategy = strategy_for_directory(tmp_path, files, UnlistedStrategy)
        sources = sources_of({"same.css": b"x", "changed.css": b"new", "missing.css": b"x"})
        assert reasons(plan(sources, strategy, threads=threads)) == {
            "same.css": Reason.UNMODIFIED,
            "changed.css": Reason.CHANGED,
            "missing.css": Reason.MISSING,
        }
        assert len(caplog.records) == 1
        assert "The credentials may not list." in caplog.text

    @each_number_of_threads
    def test_permission_that_ends_in_the_middle_of_a_listing_is_the_same(
        self, tmp_path: Path, threads: int
    ) -> None:
        class Interrupted(FileSystemStrategy):
            explain_error = UnlistedStrategy.explain_error

            def list_remote(self, names: Sequence[str]) -> Iterator[RemoteObject]:
                yield from [each for each in [self.look_up("a.css")] if each]
                raise ListingDeniedError("no permission to list")

        strategy = strategy_for_directory(tmp_path, {"a.css": b"x", "b.css": b"x"}, Interrupted)
        sources = sources_of({"a.css": b"x", "b.css": b"x", "c.css": b"x"})
        assert reasons(plan(sources, strategy, threads=threads)) == {
            "a.css": Reason.UNMODIFIED,
            "b.css": Reason.UNMODIFIED,
            "c.css": Reason.MISSING,
        }

    def test_files_are_compared_while_the_listing_goes_on(self, tmp_path: Path) -> None:
        class Paged(FileSystemStrategy):
            compared = threading.Event()

            def list_remote(self, names: Sequence[str]) -> Iterator[RemoteObject]:
                found = [each for each in map(self.look_up, names) if each]
                yield from found[:-1]
                assert self.compared.wait(10)
                yield found[-1]

            def open_payload(self, source: SourceFile) -> AbstractContextManager[Payload]:
                self.compared.set()
                return super().open_payload(source)

        files = {f"{n}.css": b"x" for n in range(100)}
        strategy = strategy_for_directory(tmp_path, files, Paged)
        assert plan(sources_of(files), strategy, threads=8).uploads == []

    def test_a_listing_is_asked_for_once_and_by_names(self, tmp_path: Path) -> None:
        asked: list[list[str]] = []

        class ListedStrategy(FileSystemStrategy):
            def list_remote(self, names: Sequence[str]) -> Iterable[RemoteObject]:
                asked.append(list(names))
                return []

            def look_up(self, name: str) -> NoReturn:
                raise AssertionError(f"{name} was looked up.")

        strategy = strategy_for_directory(tmp_path, {}, ListedStrategy)
        plan(sources_of({"a.css": b"x", "b.css": b"x"}), strategy)
        assert asked == [["a.css", "b.css"]]


class NewestStrategy(Strategy[Storage]):
    """A strategy of a user's own: files with "new" in their names are sent."""

    def __init__(self, remote_storage: Storage) -> None:
        super().__init__(remote_storage)
        self.calls: list[tuple[object, ...]] = []

    def pre_should_copy_hook(self) -> None:
        self.calls.append((threading.get_ident(), "pre"))

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        self.calls.append((threading.get_ident(), path, prefixed_path, local_storage))
        return "new" in path


class TestStrategiesOfOnesOwn:
    @each_number_of_threads
    def test_the_strategy_is_asked_for_each_file(self, threads: int) -> None:
        sources = sources_of({"new.css": b"x", "old.css": b"x"})
        made = plan(sources, NewestStrategy(InMemoryStorage()), threads=threads)
        assert reasons(made) == {"new.css": Reason.CHANGED, "old.css": Reason.UNMODIFIED}

    def test_it_gets_path_prefixed_path_and_storage_of_a_file(self) -> None:
        storage = in_memory({"a.css": b"x"})
        strategy = NewestStrategy(InMemoryStorage())
        plan([SourceFile("a.css", "prefix/a.css", storage)], strategy)
        assert strategy.calls[1][1:] == ("a.css", "prefix/a.css", storage)

    @each_number_of_threads
    def test_its_hook_is_called_before_each_question_in_the_same_thread(self, threads: int) -> None:
        strategy = NewestStrategy(InMemoryStorage())
        plan(sources_of({f"{n}.css": b"x" for n in range(20)}), strategy, threads=threads)
        by_thread: dict[object, list[bool]] = {}
        for thread, *arguments in strategy.calls:
            by_thread.setdefault(thread, []).append(arguments == ["pre"])
        assert all(each == [True, False] * (len(each) // 2) for each in by_thread.values())
        assert sum(map(len, by_thread.values())) == 40

    @each_number_of_threads
    @pytest.mark.parametrize("full", [False, True])
    def test_its_errors_are_all_told_by_their_files_with_tracebacks_where_wanted(
        self, threads: int, full: bool
    ) -> None:
        class BrokenStrategy(HashStrategy[Storage]):
            def get_remote_file_hash(self, prefixed_path: str) -> str | None:
                if "broken" in prefixed_path:
                    raise DeniedError("it broke")
                return None

        sources = sources_of({"broken-1.css": b"x", "a.css": b"x", "broken-2.css": b"x"})
        strategy = BrokenStrategy(InMemoryStorage())
        with pytest.raises(PlanError) as raised:
            make_plan(sources, strategy, {}, threads=threads, full=full)
        told = str(raised.value)
        assert told.startswith("Nothing was sent, because 2 of the files")
        assert told.count("DeniedError: it broke") == 2
        assert [name for name in ("broken-1.css", "broken-2.css", "'a.css'") if name in told] == [
            "broken-1.css",
            "broken-2.css",
        ]
        assert told.count("in get_remote_file_hash") == (2 if full else 0)

    @each_number_of_threads
    def test_no_secret_is_told_of_its_errors(self, threads: int) -> None:
        class SecretiveStorage(InMemoryStorage):
            password = "the-password"

        class SecretiveStrategy(HashStrategy[Storage]):
            secret_attributes: ClassVar[tuple[str, ...]] = ("password",)

            def get_remote_file_hash(self, prefixed_path: str) -> NoReturn:
                raise DeniedError("the-password is refused")

        strategy = SecretiveStrategy(SecretiveStorage())
        with pytest.raises(PlanError) as raised:
            make_plan(sources_of({"a.css": b"x"}), strategy, {}, threads=threads)
        assert "the-password" not in str(raised.value)

    def test_an_upload_of_it_is_not_compared(self) -> None:
        class UncomparedStrategy(NewestStrategy):
            def open_payload(self, source: SourceFile) -> AbstractContextManager[Payload]:
                raise AssertionError("It was compared.")

        plan(sources_of({"new.css": b"x"}), UncomparedStrategy(InMemoryStorage()))
