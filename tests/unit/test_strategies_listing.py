"""What the strategies that list have in common, asked without any server."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import Storage

from collectfasta.deploy.plan import Decision, Reason, make_plan
from collectfasta.strategies.filesystem import CachingFileSystemStrategy, FileSystemStrategy
from tests.unit.helpers import in_memory, sources_of, strategy_for_directory

CONTENT = b"body { color: red }"
MD5 = hashlib.md5(CONTENT).hexdigest()

# What a user's strategy may override to decide file by file, with what sends a file.
HOOKS = {
    "should_copy_file": lambda self, path, prefixed_path, local_storage: True,
    "get_remote_file_hash": lambda self, prefixed_path: "other",
}


each_directory_strategy = pytest.mark.parametrize(
    "strategy_class", [FileSystemStrategy, CachingFileSystemStrategy]
)


def sent(decisions: list[Decision]) -> list[str]:
    """Return the names of the files that are to be sent."""
    return [each.source.name for each in decisions if each.reason is not Reason.UNMODIFIED]


class TestHooks:
    @each_directory_strategy
    @pytest.mark.parametrize(
        ("remote", "expected"),
        [({}, True), ({"a.css": b"other"}, True), ({"a.css": CONTENT}, False)],
        ids=["missing", "changed", "unchanged"],
    )
    def test_should_copy_file_answers_those_who_call_it(
        self,
        tmp_path: Path,
        strategy_class: type[FileSystemStrategy],
        remote: dict[str, bytes],
        expected: bool,
    ) -> None:
        strategy = strategy_for_directory(tmp_path, remote, strategy_class)
        assert strategy.should_copy_file("x", "a.css", in_memory({"x": CONTENT})) is expected

    def test_the_remote_checksum_answers_those_who_call_it(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {"css/a.css": CONTENT}, FileSystemStrategy)
        assert strategy.get_remote_file_hash("css/a.css") == MD5
        assert strategy.get_remote_file_hash("css\\a.css") == MD5
        assert strategy.get_remote_file_hash("missing.css") is None

    def test_the_local_checksum_answers_those_who_call_it(self, tmp_path: Path) -> None:
        strategy = strategy_for_directory(tmp_path, {}, FileSystemStrategy)
        assert strategy.get_local_file_hash("a.css", in_memory({"a.css": CONTENT})) == MD5

    @each_directory_strategy
    def test_a_subclass_that_overrides_nothing_is_not_asked_per_file(
        self, tmp_path: Path, strategy_class: type[FileSystemStrategy]
    ) -> None:
        child: type[FileSystemStrategy] = type("Child", (strategy_class,), {})
        assert strategy_for_directory(tmp_path, {}, child).list_remote([]) is not None

    @each_directory_strategy
    @pytest.mark.parametrize("hook", HOOKS)
    def test_a_hook_that_is_overridden_decides(
        self, tmp_path: Path, strategy_class: type[FileSystemStrategy], hook: str
    ) -> None:
        child: type[FileSystemStrategy] = type("Child", (strategy_class,), {hook: HOOKS[hook]})
        strategy = strategy_for_directory(tmp_path, {"a.css": CONTENT}, child)
        made = make_plan(sources_of({"a.css": CONTENT}), strategy, {}, threads=0)
        assert sent(made) == ["a.css"]

    @each_directory_strategy
    def test_a_hook_that_asks_its_parent_gets_its_answer(
        self, tmp_path: Path, strategy_class: type[Any]
    ) -> None:
        class Verbose(strategy_class):
            def get_remote_file_hash(self, prefixed_path: str) -> str | None:
                found: str | None = super().get_remote_file_hash(prefixed_path)
                return found

        strategy = strategy_for_directory(tmp_path, {"a.css": CONTENT}, Verbose)
        made = make_plan(sources_of({"a.css": CONTENT}), strategy, {}, threads=0)
        assert sent(made) == []

    @each_directory_strategy
    def test_a_local_checksum_of_ones_own_is_that_of_both_sides_of_a_directory(
        self, tmp_path: Path, strategy_class: type[Any]
    ) -> None:
        class LineStrategy(strategy_class):
            """Do not tell line ends apart."""

            def get_local_file_hash(self, path: str, local_storage: Storage) -> str:
                with local_storage.open(path) as content:
                    return hashlib.sha256(content.read().replace(b"\r", b"")).hexdigest()

        remote = {"same.css": b"a\n", "changed.css": b"a\n"}
        strategy = strategy_for_directory(tmp_path, remote, LineStrategy)
        files = {"same.css": b"a\r\n", "changed.css": b"b\r\n", "missing.css": b"a\n"}
        made = make_plan(sources_of(files), strategy, {}, threads=0)
        assert sent(made) == ["changed.css", "missing.css"]
