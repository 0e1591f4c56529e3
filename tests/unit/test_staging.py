"""What a stage holds, what it refers to, and what it leaves of the storage that it works for."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.storage import HashedFilesMixin, ManifestStaticFilesStorage
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage

from collectfasta.deploy.stage import LocalStage, PatchedStage, Stage, without_originals
from collectfasta.source import SourceFile
from collectfasta.stores.storage import walk
from collectfasta.strategies.hashing import (
    FileSystemManifestFilesStorage,
    InMemoryManifestFilesStorage,
)
from tests.unit.helpers import sources_of

PNG = b"\x89PNG" + bytes(100_000)
FILES = {
    "css/a.css": b"a { background: url(../img/a.png) }",
    "css/plain.css": b"a { color: red }",
    "js/plain.js": b"var a;",
    "img/a.png": PNG,
    "empty.css": b"",
}
REWRITTEN = {"css/a.css"}


class CountingStorage(FileSystemStorage):
    """A finder's storage that counts how often each file is opened."""

    opened: Counter[str]

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        self.opened[name] += 1
        return super().open(name, mode)


class PathlessStorage(Storage):
    """A finder's storage that is no file system: it makes each file anew."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.contents = files

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(self.contents[name], name)

    def size(self, name: str) -> int:
        return len(self.contents[name])


def in_directory(
    root: Path, files: Mapping[str, bytes], cls: type[FileSystemStorage] = FileSystemStorage
) -> list[SourceFile]:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    storage = cls(root)
    if isinstance(storage, CountingStorage):
        storage.opened = Counter()
    return [SourceFile(name, name, storage) for name in files]


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[ManifestStaticFilesStorage]:
    """The storage to deploy to; a stage must not write to it."""
    root = tmp_path / "remote"
    root.mkdir()
    yield ManifestStaticFilesStorage(str(root), "/static/")
    assert list(root.iterdir()) == []


Stager = Callable[[Any, list[SourceFile]], PatchedStage]


@pytest.fixture(params=["memory", "directory"])
def scratch(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return InMemoryStorage()
    return FileSystemStorage(tmp_path / "scratch")


def staged(stage: Stage, *, dry_run: bool = False) -> dict[str, SourceFile]:
    """Post-process, and return the files by their names."""
    for name, _, outcome in stage.post_process(dry_run=dry_run):
        assert not isinstance(outcome, Exception), name
    return {each.name: each for each in stage.files}


def content_of(source: SourceFile) -> bytes:
    with source.open() as content:
        body: bytes = content.read()
        return body


def paths_of(stage: Stage) -> dict[str, str]:
    assert stage.manifest is not None
    paths: dict[str, str] = json.loads(content_of(stage.manifest))["paths"]
    return paths


class TestWhatIsHeld:
    def test_unchanged_content_is_a_reference_to_its_source(
        self, remote: ManifestStaticFilesStorage, scratch: Storage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", FILES)

        files = staged(stage := PatchedStage(remote, sources, scratch))

        paths = paths_of(stage)
        for source in sources:
            if source.name not in REWRITTEN:
                assert files[paths[source.name]].storage is source.storage
                assert content_of(files[paths[source.name]]) == FILES[source.name]

    def test_only_rewritten_text_is_in_the_scratch_storage(
        self, remote: ManifestStaticFilesStorage, scratch: Storage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", FILES)

        staged(stage := PatchedStage(remote, sources, scratch))

        assert set(walk(scratch)) == {paths_of(stage)[name] for name in REWRITTEN}

    def test_content_of_a_storage_without_paths_is_a_reference_too(
        self, remote: ManifestStaticFilesStorage, scratch: Storage
    ) -> None:
        storage = PathlessStorage(FILES)

        files = staged(
            stage := PatchedStage(
                remote, [SourceFile(name, name, storage) for name in FILES], scratch
            )
        )

        assert files[paths_of(stage)["img/a.png"]].storage is storage
        assert files[paths_of(stage)["js/plain.js"]].storage is storage

    def test_the_name_of_a_copy_does_not_matter(
        self, remote: ManifestStaticFilesStorage, scratch: Storage, tmp_path: Path
    ) -> None:
        remote.__class__ = OtherNames
        sources = in_directory(tmp_path / "source", FILES)

        files = staged(stage := PatchedStage(remote, sources, scratch))

        assert paths_of(stage)["img/a.png"] == "hashed/a.png"
        assert files["hashed/a.png"].storage is sources[0].storage

    def test_a_file_is_not_read_once_for_each_other_of_its_size(
        self, remote: ManifestStaticFilesStorage, scratch: Storage, tmp_path: Path
    ) -> None:
        def most_often_opened(number: int) -> int:
            files = {f"{each:03}.js": b"%03d" % each for each in range(number)}
            sources = in_directory(tmp_path / str(number), files, CountingStorage)
            staged(PatchedStage(remote, sources, scratch))
            storage = sources[0].storage
            assert isinstance(storage, CountingStorage)
            return max(storage.opened.values())

        assert most_often_opened(2) == most_often_opened(60)

    def test_files_in_memory_are_not_read_under_two_names_by_two_threads(
        self, remote: ManifestStaticFilesStorage, scratch: Storage
    ) -> None:
        # InMemoryStorage opens one object for all, with one position.
        files = staged(stage := PatchedStage(remote, sources_of(FILES), scratch))

        hashed = files[paths_of(stage)["img/a.png"]]
        with files["img/a.png"].open() as one, hashed.open() as other:
            assert one.read(4) == b"\x89PNG"
            assert other.read() == PNG

    def test_what_reads_from_a_source_is_not_taken_for_it(
        self, remote: ManifestStaticFilesStorage, scratch: Storage, tmp_path: Path
    ) -> None:
        remote.__class__ = Unpacking
        sources = in_directory(tmp_path / "source", {"a.txt.gz": gzip.compress(b"unpacked")})

        files = staged(PatchedStage(remote, sources, scratch))

        assert content_of(files["a.txt"]) == b"unpacked"


class OtherNames(ManifestStaticFilesStorage):
    """Hashed names that don't begin as the original ones do."""

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        return f"hashed/{Path(name).name}"


class Unpacking(ManifestStaticFilesStorage):
    """Saves what is in a compressed source file."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        storage, path = paths["a.txt.gz"]
        unpacked: Any
        with gzip.open(storage.path(path)) as unpacked:
            self.save("a.txt", File(unpacked))
        yield from super().post_process(paths, dry_run, **options)


class TestTheStoragesOwnMethods:
    @pytest.fixture
    def seen(self, remote: ManifestStaticFilesStorage, tmp_path: Path) -> dict[str, Any]:
        """What a class that overrides ``post_process()`` sees of the storage."""
        remote.__class__ = Looking
        sources = in_directory(tmp_path / "source", FILES)
        staged(PatchedStage(remote, sources, InMemoryStorage()))
        seen: dict[str, Any] = remote.seen  # type: ignore[attr-defined]
        return seen

    def test_exists_tells_of_the_stage(self, seen: dict[str, Any]) -> None:
        assert seen["exists"] == (True, False)

    def test_open_reads_from_the_stage(self, seen: dict[str, Any]) -> None:
        assert seen["open"] == FILES["js/plain.js"]

    def test_what_is_not_staged_is_not_found(self, seen: dict[str, Any]) -> None:
        assert "gone.css" in str(seen["missing"])

    def test_listdir_lists_the_stage(self, seen: dict[str, Any]) -> None:
        assert seen["listdir"] == (["css", "img", "js"], ["empty.css"])
        assert seen["listdir css"] == ([], ["a.css", "plain.css"])
        assert seen["listdir cs"] == ([], [])

    def test_size_and_time_are_those_of_the_stage(self, seen: dict[str, Any]) -> None:
        assert seen["size"] == len(PNG)
        assert seen["time"] is not None

    def test_what_is_saved_is_seen_at_once(self, seen: dict[str, Any]) -> None:
        assert seen["saved"] == ("new/a.txt", b"text")

    def test_what_is_saved_over_is_replaced(self, seen: dict[str, Any]) -> None:
        assert seen["replaced"] == b"other"

    def test_what_is_deleted_is_gone(self, seen: dict[str, Any]) -> None:
        assert seen["deleted"] is False

    def test_a_name_is_the_same_in_any_spelling(self, seen: dict[str, Any]) -> None:
        assert seen["spelled"] == (True, True)

    def test_they_are_back_afterwards(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        # It is remembered by the storage when it is asked for.
        assert remote.base_url == "/static/"
        before = {*vars(remote)}

        staged(PatchedStage(remote, in_directory(tmp_path / "s", FILES), InMemoryStorage()))

        assert {*vars(remote)} == before
        assert remote.manifest_storage is remote
        assert not remote.exists("img/a.png")

    def test_they_are_back_after_post_processing_that_is_given_up(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        stage = PatchedStage(remote, in_directory(tmp_path / "s", FILES), InMemoryStorage())
        steps = iter(stage.post_process(dry_run=False))
        next(steps)
        assert remote.exists("img/a.png")

        steps.close()  # type: ignore[attr-defined]

        assert not remote.exists("img/a.png")


class Looking(ManifestStaticFilesStorage):
    """Looks at itself while it post-processes."""

    seen: dict[str, Any]

    def read(self, name: str) -> bytes:
        with self.open(name) as content:
            body: bytes = content.read()
            return body

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        self.seen = {
            "exists": (self.exists("img/a.png"), self.exists("gone.png")),
            "open": self.read("js/plain.js"),
            "listdir": self.listdir(""),
            "listdir css": self.listdir("css/"),
            "listdir cs": self.listdir("cs"),
            "size": self.size("img/a.png"),
            "time": self.get_modified_time("img/a.png"),
            "spelled": (self.exists("css/../img/a.png"), self.exists("img\\a.png")),
        }
        try:
            self.open("gone.css")
        except FileNotFoundError as error:
            self.seen["missing"] = error
        name = self.save("new/a.txt", ContentFile(b"text"))
        self.seen["saved"] = name, self.read(name)
        self.save("new/a.txt", ContentFile(b"other"))
        self.seen["replaced"] = self.read("new/a.txt")
        self.delete("new/a.txt")
        self.seen["deleted"] = self.exists("new/a.txt")
        yield from super().post_process(paths, dry_run, **options)


class TestDryRun:
    def test_it_post_processes_as_the_real_run(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", FILES)

        dry = staged(PatchedStage(remote, sources, InMemoryStorage()), dry_run=True)
        real = staged(PatchedStage(remote, sources, InMemoryStorage()))

        assert set(dry) == set(real)
        assert len(dry) == 2 * len(FILES)

    def test_a_class_that_post_processes_in_its_own_way_is_told_of_it(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        remote.__class__ = Looking
        sources = in_directory(tmp_path / "source", FILES)

        dry = staged(PatchedStage(remote, sources, InMemoryStorage()), dry_run=True)

        # Django's part of it does nothing then.
        assert set(dry) == set(FILES)


class Twice(ManifestStaticFilesStorage):
    """Has a hash of its own, which tells how often it was asked for."""

    def file_hash(self, name: str, content: Any = None) -> str:
        self.asked = getattr(self, "asked", 0) + 1
        return "own"


def save_all(storage: Storage, sources: list[SourceFile]) -> None:
    for source in sources:
        with source.open() as content:
            storage.save(source.name, content)


class TestShortcuts:
    REFERENCES: ClassVar = {
        "css/a.css": b"a { background: url(../img/a.png) }",
        "css/b.css": b"b { background: url(../img/a.png) }",
        "img/a.png": PNG,
    }

    def test_a_file_is_hashed_once_however_many_refer_to_it(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed: Counter[int] = Counter()
        file_hash = HashedFilesMixin.file_hash

        def count(self: Any, name: str, content: Any = None) -> Any:
            hashed[content.size] += 1
            return file_hash(self, name, content)

        monkeypatch.setattr(HashedFilesMixin, "file_hash", count)
        sources = in_directory(tmp_path / "source", self.REFERENCES)

        staged(PatchedStage(remote, sources, InMemoryStorage()))

        assert hashed[len(PNG)] == 1

    def test_a_hash_of_the_classs_own_is_asked_for_as_often_as_django_asks(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", self.REFERENCES)
        remote.__class__ = Twice
        local = Twice(str(tmp_path / "local"), "/static/")
        found = {each.name: (each.storage, each.path) for each in sources}
        save_all(local, sources)
        list(local.post_process(found))

        staged(PatchedStage(remote, sources, InMemoryStorage()))

        assert remote.asked == local.asked  # type: ignore[attr-defined]

    def test_the_outcomes_are_those_that_django_yields(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", FILES)
        local = ManifestStaticFilesStorage(str(tmp_path / "local"), "/static/")
        found = {each.name: (each.storage, each.path) for each in sources}
        save_all(local, sources)

        stage = PatchedStage(remote, sources, InMemoryStorage())

        assert list(stage.post_process(dry_run=False)) == list(local.post_process(found))


class TestManifest:
    def test_it_is_in_the_order_of_its_names(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", FILES)

        staged(stage := PatchedStage(remote, sources[::-1], InMemoryStorage()))

        assert list(paths_of(stage)) == sorted(FILES)

    def test_it_is_not_among_the_files(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", FILES)

        files = staged(stage := PatchedStage(remote, sources, InMemoryStorage()))

        assert stage.manifest is not None
        assert stage.manifest.name == "staticfiles.json"
        assert "staticfiles.json" not in files

    def test_one_that_a_class_saves_in_its_own_way_is_saved_when_it_is_published(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        remote.__class__ = OwnManifest
        sources = in_directory(tmp_path / "source", FILES)

        staged(stage := PatchedStage(remote, sources, InMemoryStorage()))
        assert stage.manifest is None
        published = {each.name: content_of(each) for each in stage.publish()}

        assert set(published) == {"staticfiles.json", "more.json"}
        assert published["more.json"] == b"5"

    def test_one_that_is_saved_as_any_file_is_the_manifest(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        remote.__class__ = AsFile
        sources = in_directory(tmp_path / "source", FILES)

        files = staged(stage := PatchedStage(remote, sources, InMemoryStorage()))

        assert paths_of(stage) == {}
        assert "staticfiles.json" not in files

    def test_nothing_else_is_published(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        sources = in_directory(tmp_path / "source", FILES)

        staged(stage := PatchedStage(remote, sources, InMemoryStorage()))

        assert stage.publish() == []

    def test_a_restored_storage_has_forgotten_it(
        self, remote: ManifestStaticFilesStorage, tmp_path: Path
    ) -> None:
        remote.hashed_files, remote.manifest_hash = {"old.css": "old.1.css"}, "1"
        staged(
            stage := PatchedStage(remote, in_directory(tmp_path / "s", FILES), InMemoryStorage())
        )
        assert set(remote.hashed_files) == set(FILES)

        stage.restore()

        assert remote.hashed_files == {"old.css": "old.1.css"}
        assert remote.manifest_hash == "1"


class AsFile(ManifestStaticFilesStorage):
    """Saves the manifest as it saves any file."""

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Any:
        self.save(self.manifest_name, ContentFile(b'{"paths": {}}'))
        return iter(())


class OwnManifest(ManifestStaticFilesStorage):
    """Saves more than a manifest."""

    def save_manifest(self) -> None:
        super().save_manifest()
        self.save("more.json", ContentFile(str(len(self.hashed_files)).encode()))


def test_hashed_files_alone_are_those_that_the_manifest_names(
    remote: ManifestStaticFilesStorage, tmp_path: Path
) -> None:
    sources = in_directory(tmp_path / "source", FILES)
    staged(stage := PatchedStage(remote, sources, InMemoryStorage()))

    names = {each.name for each in without_originals(stage)}

    assert names == set(paths_of(stage).values())


class Unlisted(InMemoryManifestFilesStorage):
    """Can't list what it holds."""

    def listdir(self, path: str) -> Any:
        raise NotImplementedError


class TestLocalStage:
    @pytest.fixture
    def local(self, tmp_path: Path) -> FileSystemManifestFilesStorage:
        """A user's own folder, with something in it."""
        root = tmp_path / "local"
        (root / "img").mkdir(parents=True)
        (root / ".env").write_text("SECRET=1")
        (root / "img" / "old.png").write_text("old")
        return FileSystemManifestFilesStorage(str(root))

    @pytest.fixture
    def sources(self, tmp_path: Path) -> list[SourceFile]:
        return in_directory(tmp_path / "source", FILES)

    def test_all_of_a_fresh_storage_is_deployed(
        self,
        remote: ManifestStaticFilesStorage,
        local: FileSystemManifestFilesStorage,
        sources: list[SourceFile],
    ) -> None:
        files = staged(stage := LocalStage(remote, sources, local, is_fresh=True))

        paths = paths_of(stage)
        assert set(files) == {*paths, *paths.values(), ".env", "img/old.png"}

    def test_of_a_users_storage_only_what_was_saved_is_deployed(
        self,
        remote: ManifestStaticFilesStorage,
        local: FileSystemManifestFilesStorage,
        sources: list[SourceFile],
    ) -> None:
        files = staged(stage := LocalStage(remote, sources, local, is_fresh=False))

        paths = paths_of(stage)
        assert set(files) == {*paths, *paths.values()}

    def test_what_a_users_storage_has_from_the_last_run_is_deployed_again(
        self,
        remote: ManifestStaticFilesStorage,
        local: FileSystemManifestFilesStorage,
        sources: list[SourceFile],
    ) -> None:
        first = staged(LocalStage(remote, sources, local, is_fresh=False))

        second = staged(LocalStage(remote, sources, local, is_fresh=False))

        assert set(second) == set(first)

    def test_a_reference_to_a_folder_is_no_file(
        self,
        remote: ManifestStaticFilesStorage,
        local: FileSystemManifestFilesStorage,
        tmp_path: Path,
    ) -> None:
        sources = in_directory(tmp_path / "folder", {"a.css": b"a { background: url(img) }"})

        files = staged(stage := LocalStage(remote, sources, local, is_fresh=False))

        assert set(files) == {"a.css", paths_of(stage)["a.css"]}

    def test_a_dry_run_leaves_a_users_storage_alone(
        self,
        remote: ManifestStaticFilesStorage,
        local: FileSystemManifestFilesStorage,
        sources: list[SourceFile],
    ) -> None:
        before = set(walk(local))

        files = staged(LocalStage(remote, sources, local, is_fresh=False), dry_run=True)

        assert set(files) == set(FILES)
        assert set(walk(local)) == before

    @pytest.mark.parametrize("is_fresh", [True, False])
    def test_a_storage_that_lists_nothing_tells_by_what_was_saved(
        self, remote: ManifestStaticFilesStorage, sources: list[SourceFile], is_fresh: bool
    ) -> None:
        files = staged(stage := LocalStage(remote, sources, Unlisted(), is_fresh=is_fresh))

        paths = paths_of(stage)
        assert set(files) == {*paths, *paths.values()}

    def test_the_manifest_is_in_the_order_of_its_names(
        self, remote: ManifestStaticFilesStorage, sources: list[SourceFile]
    ) -> None:
        local = InMemoryManifestFilesStorage()

        staged(stage := LocalStage(remote, sources[::-1], local, is_fresh=True))

        assert list(paths_of(stage)) == sorted(FILES)

    def test_the_storage_knows_the_names_until_it_is_restored(
        self, remote: ManifestStaticFilesStorage, sources: list[SourceFile]
    ) -> None:
        stage = LocalStage(remote, sources, InMemoryManifestFilesStorage(), is_fresh=True)
        staged(stage)
        assert remote.hashed_files == paths_of(stage)
        assert stage.hashed_files == paths_of(stage)

        stage.restore()

        assert remote.hashed_files == {}

    def test_a_storage_that_does_not_post_process_is_deployed_as_it_is(
        self, sources: list[SourceFile]
    ) -> None:
        stage = LocalStage(InMemoryStorage(), sources, InMemoryStorage(), is_fresh=True)

        files = staged(stage)
        stage.restore()

        assert set(files) == set(FILES)
        assert stage.manifest is None
