"""What the strategies that list have in common, asked without any server."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import FileSystemStorage, Storage
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3Storage

from collectfasta.checksums import Checksum
from collectfasta.plan import make_plan
from collectfasta.remote import RemoteIndex, RemoteObject
from collectfasta.strategies.azure import AzureBlobStrategy
from collectfasta.strategies.boto3 import Boto3Strategy
from collectfasta.strategies.filesystem import CachingFileSystemStrategy, FileSystemStrategy
from collectfasta.strategies.gcloud import GoogleCloudStrategy
from collectfasta.strategies.listing import CloudStrategy
from tests.unit.helpers import in_memory, sources_of, strategy_for_directory

CONTENT = b"body { color: red }"
MD5 = hashlib.md5(CONTENT).hexdigest()

# What a user's strategy may override to decide file by file, with what sends a file.
HOOKS = {
    "should_copy_file": lambda self, path, prefixed_path, local_storage: True,
    "get_remote_file_hash": lambda self, prefixed_path: "other",
}


def s3(location: str = "") -> CloudStrategy[Any]:
    return Boto3Strategy(S3Storage(bucket_name="bucket", location=location))


def google(location: str = "") -> CloudStrategy[Any]:
    return GoogleCloudStrategy(GoogleCloudStorage(bucket_name="bucket", location=location))


def azure(location: str = "") -> CloudStrategy[Any]:
    return AzureBlobStrategy(AzureStorage(azure_container="container", location=location))


each_cloud = pytest.mark.parametrize("strategy_of", [s3, google, azure])
each_directory_strategy = pytest.mark.parametrize(
    "strategy_class", [FileSystemStrategy, CachingFileSystemStrategy]
)


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
        assert not strategy_for_directory(tmp_path, {}, child).is_asked_per_file

    @each_directory_strategy
    @pytest.mark.parametrize("hook", HOOKS)
    def test_a_hook_that_is_overridden_decides(
        self, tmp_path: Path, strategy_class: type[FileSystemStrategy], hook: str
    ) -> None:
        child: type[FileSystemStrategy] = type("Child", (strategy_class,), {hook: HOOKS[hook]})
        strategy = strategy_for_directory(tmp_path, {"a.css": CONTENT}, child)
        made = make_plan(sources_of({"a.css": CONTENT}), strategy, {}, threads=0)
        assert [each.source.name for each in made.uploads] == ["a.css"]

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
        assert made.uploads == []

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
        assert [each.source.name for each in made.uploads] == ["changed.css", "missing.css"]

    @pytest.mark.parametrize("strategy_of", [s3, google])
    def test_a_local_checksum_of_ones_own_is_compared_with_that_of_the_bucket(
        self, strategy_of: Any
    ) -> None:
        parent = type(strategy_of())
        child = type("Child", (parent,), {"get_local_file_hash": lambda self, path, storage: MD5})
        strategy = child(strategy_of().remote_storage)
        remote = RemoteObject("a.css", "v", 1, Checksum("md5", MD5))
        strategy.index = RemoteIndex([remote], strategy.look_up)
        assert not strategy.should_copy_file("a.css", "a.css", in_memory({"a.css": b"x"}))


class TestKeys:
    @each_cloud
    @pytest.mark.parametrize(
        ("location", "key"),
        [
            ("", "css/a.css"),
            ("static", "static/css/a.css"),
            ("static/", "static/css/a.css"),
            ("a/b", "a/b/css/a.css"),
        ],
    )
    def test_a_key_is_the_location_and_the_name(
        self, strategy_of: Any, location: str, key: str
    ) -> None:
        assert strategy_of(location).object_key("css/a.css") == key

    @each_cloud
    @pytest.mark.parametrize(
        ("location", "prefix"),
        [("", ""), ("static", "static/"), ("static/", "static/"), ("a/b", "a/b/")],
    )
    def test_the_prefix_ends_in_a_slash_or_is_empty(
        self, strategy_of: Any, location: str, prefix: str
    ) -> None:
        assert strategy_of(location).prefix == prefix

    @each_cloud
    def test_a_name_that_contains_the_location_keeps_it(self, strategy_of: Any) -> None:
        assert strategy_of("static").object_key("static/a.css") == "static/static/a.css"

    @each_cloud
    @pytest.mark.parametrize("name", ["é.css", "e\u0301.css", "a b+c%2F#~.css", "\U0001f600.css"])
    def test_a_name_is_not_normalised(self, strategy_of: Any, name: str) -> None:
        assert strategy_of("static").object_key(name) == f"static/{name}"

    @each_cloud
    @pytest.mark.parametrize("name", ["../a.css", "css/../../a.css"])
    def test_a_name_outside_of_the_location_has_no_key(self, strategy_of: Any, name: str) -> None:
        with pytest.raises((SuspiciousOperation, ValueError)):
            strategy_of("static").object_key(name)

    @each_cloud
    def test_a_key_may_have_1024_bytes_with_its_location(self, strategy_of: Any) -> None:
        strategy = strategy_of("static")
        name = "é" * ((1024 - len("static/")) // 2)
        assert len(strategy.object_key(f"{name}x").encode()) == 1024
        with pytest.raises(ValueError, match="1024"):
            strategy.object_key(f"{name}xx")


def test_two_locations_are_two_targets() -> None:
    assert s3("static").target_id != s3("static-old").target_id


def test_two_buckets_are_two_targets() -> None:
    other = Boto3Strategy(S3Storage(bucket_name="other", location="static"))
    assert s3("static").target_id != other.target_id


def test_two_endpoints_are_two_targets() -> None:
    other = Boto3Strategy(
        S3Storage(bucket_name="bucket", location="static", endpoint_url="http://127.0.0.1:9")
    )
    assert s3("static").target_id != other.target_id


def test_a_target_is_the_same_in_every_run() -> None:
    assert s3("static").target_id == s3("static/").target_id


class TestFileSystem:
    """What a file system does that the tests' own user, who may do all, does not meet."""

    @pytest.fixture
    def strategy(self, tmp_path: Path) -> FileSystemStrategy:
        return strategy_for_directory(tmp_path / "root", {"a.css": CONTENT}, FileSystemStrategy)

    def test_a_file_that_may_not_be_looked_at_is_there_and_unknown(
        self, strategy: FileSystemStrategy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("os.lstat", refuse)
        found = strategy.look_up("a.css")
        assert found == RemoteObject("a.css")

    def test_a_file_that_may_not_be_read_has_no_checksum(
        self, strategy: FileSystemStrategy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = strategy.look_up("a.css")
        assert found
        monkeypatch.setattr("builtins.open", refuse)
        assert found.read_checksum() is None

    def test_a_file_that_is_gone_has_no_age(self, strategy: FileSystemStrategy) -> None:
        assert strategy.read_age("gone.css") is None

    def test_a_location_that_is_a_file_is_not_taken_for_an_empty_one(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        strategy = FileSystemStrategy(FileSystemStorage(tmp_path / "file"))
        with pytest.raises(NotADirectoryError):
            list(strategy.list_stored())


def refuse(*_: object, **__: object) -> None:
    raise PermissionError
