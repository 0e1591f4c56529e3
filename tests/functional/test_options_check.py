"""``--check``: nothing is written, and the exit status tells whether anything would be."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.cache import caches
from django.core.files.storage import InMemoryStorage, Storage, storages
from django.core.management import CommandError
from storages.backends.s3 import S3ManifestStaticStorage

from collectfasta.strategies import Strategy
from collectfasta.strategies.base import CachingHashStrategy
from tests.conftest import CollectStatic, Run, StaticTree
from tests.project import MANIFEST, MANIFEST_BACKENDS, Project
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

READS = {"LIST", "HEAD", "GET"}
STYLE = b"a { background: url('b.png') }"


class Trusting(CachingHashStrategy[Storage]):
    """A strategy of the user's own that trusts its cache."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        if not self.remote_storage.exists(prefixed_path):
            return None
        return self.get_local_file_hash(prefixed_path, self.remote_storage)


class NeverCopies(Strategy[Storage]):
    """A strategy of the user's own."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return False


class Unknown(InMemoryStorage):
    """A storage that Collectfasta has no strategy for."""


class Minifying(StaticFilesStorage):
    """A storage with a post-processing of its own, whatever that writes."""

    def post_process(self, paths: Any, **options: Any) -> Any:
        raise AssertionError("A check must not run it.")


class ProcessesItself(S3ManifestStaticStorage):
    """A manifest storage whose post-processing may do anything."""

    def post_process(self, *args: Any, **options: Any) -> Any:
        yield from super().post_process(*args, **options)


class SavesItself(S3ManifestStaticStorage):
    """A manifest storage that saves its manifest in a way of its own."""

    def save_manifest(self) -> None:
        super().save_manifest()


class ManifestElsewhere(S3ManifestStaticStorage):
    """A manifest storage whose manifest goes to the default storage."""

    def __init__(self, **options: Any) -> None:
        super().__init__(manifest_storage=storages["default"], **options)


class Changed:
    """What a check must leave as it is."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._before = self._state()

    def _state(self) -> tuple[object, ...]:
        cache: Any = caches["default"]
        versions = {key: self._cloud.version(key) for key in self._cloud.keys()}
        return versions, {**cache._cache}, {**cache._expire_info}

    def __bool__(self) -> bool:
        return self._state() != self._before


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    static_tree.write("a.css", STYLE)
    static_tree.write("b.png", b"png")


def refusal(run: Callable[..., Run], *args: Any, **options: Any) -> str:
    """Run the command, and return why it fails."""
    with pytest.raises(CommandError) as caught:
        run(*args, **options)
    assert caught.value.returncode == 1
    return str(caught.value)


def manifest_backend(cloud: Cloud) -> str:
    return MANIFEST_BACKENDS[cloud.backend]


class TestPlain:
    @pytest.mark.parametrize("threads", [0, 8])
    def test_a_storage_that_has_everything_passes(
        self, cloud: Cloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        collectstatic(cloud)

        run = collectstatic(cloud, check=True, threads=threads)

        assert run.stdout.endswith(" does not differ from the files: 2 objects compared.\n")

    @pytest.mark.parametrize("threads", [0, 8])
    def test_one_line_says_how_many_differ_and_why(
        self, cloud: Cloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
    ) -> None:
        collectstatic(cloud)
        static_tree.write("b.png", b"PNG!")
        static_tree.write("c.txt", b"new")
        static_tree.write("d.txt", b"new")

        message = refusal(collectstatic, cloud, check=True, threads=threads)

        assert message.endswith(
            "differs from the files: 3 of 4 objects would be sent (2 missing, 1 changed)."
        )
        assert "\n" not in message

    def test_what_would_change_is_listed_as_by_a_dry_run(
        self, cloud: Cloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        collectstatic(cloud)
        static_tree.write("c.txt", b"new")
        dry = collectstatic(cloud, dry_run=True)

        refusal(collectstatic, cloud, check=True)

        assert collectstatic.last is not None
        listed = [line for line in dry.stdout.splitlines() if line.startswith("Pretending")]
        assert listed == collectstatic.last.stdout.splitlines()
        assert listed == [f"Pretending to copy '{static_tree.path('c.txt')}'"]

    def test_an_empty_storage_differs(self, cloud: Cloud, collectstatic: CollectStatic) -> None:
        message = refusal(collectstatic, cloud, check=True)

        assert message.endswith(": 2 of 2 objects would be sent (2 missing).")
        assert cloud.keys() == []

    @pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
    def test_nothing_is_written(
        self,
        cloud: Cloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        is_warm: bool,
    ) -> None:
        collectstatic(cloud)
        static_tree.write("b.png", b"PNG!")
        if not is_warm:
            caches["default"].clear()
        changed = Changed(cloud)
        cloud.clear_requests()

        refusal(collectstatic, cloud, check=True)

        assert not changed
        assert {*cloud.counts()} <= {"LIST"}

    def test_what_the_storage_can_not_tell_differs(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        collectstatic(filesystem)
        (filesystem.root / "b.png").unlink()
        (filesystem.root / "b.png").symlink_to("a.css")

        message = refusal(collectstatic, filesystem, check=True)

        assert message.endswith(": 1 of 2 objects would be sent (1 unknown).")

    def test_no_question_is_asked(
        self,
        cloud: Cloud,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        collectstatic(cloud)
        monkeypatch.setattr(builtins, "input", lambda _: pytest.fail("A question was asked."))

        collectstatic(cloud, check=True, interactive=True)

    @pytest.mark.parametrize("staged", [False, True], ids=["plain", "manifest"])
    def test_the_target_is_named(
        self, s3: S3Cloud, collectstatic: CollectStatic, staged: bool
    ) -> None:
        backend = manifest_backend(s3) if staged else None
        options = {"location": "static"}
        message = refusal(collectstatic, s3, check=True, backend=backend, options=options)

        assert message.startswith(f"s3://{s3.name}/static/ differs from the files: ")

    def test_thousands_are_separated(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        for number in range(998):
            static_tree.write(f"many/{number}.txt", b"x")

        assert "1,000 of 1,000 objects" in refusal(collectstatic, filesystem, check=True)

    def test_the_same_command_deploys_afterwards(
        self, cloud: Cloud, collectstatic: CollectStatic
    ) -> None:
        refusal(collectstatic, cloud, check=True)
        collectstatic(cloud)

        assert cloud.keys() == ["a.css", "b.png"]


@pytest.mark.parametrize("cloud", ["s3_obstore", "gcs", "azure", "filesystem"], indirect=True)
class TestManifest:
    def test_a_storage_that_has_everything_passes(
        self, cloud: Cloud, collectstatic: CollectStatic
    ) -> None:
        collectstatic(cloud, backend=manifest_backend(cloud))

        run = collectstatic(cloud, backend=manifest_backend(cloud), check=True)

        # Both files under two names, and the manifest.
        assert run.stdout.endswith(": 5 objects compared.\n")

    def test_a_changed_file_changes_the_manifest_and_adds_hashed_ones(
        self, cloud: Cloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        collectstatic(cloud, backend=manifest_backend(cloud))
        static_tree.write("b.png", b"PNG!")

        message = refusal(collectstatic, cloud, backend=manifest_backend(cloud), check=True)

        assert message.endswith(": 4 of 5 objects would be sent (2 missing, 2 changed).")

    def test_a_manifest_alone_that_differs_is_a_difference(
        self, cloud: Cloud, collectstatic: CollectStatic
    ) -> None:
        collectstatic(cloud, backend=manifest_backend(cloud))
        published = cloud.get(MANIFEST).body
        cloud.put(MANIFEST, published.replace(b"a.css", b"A.css", 1))

        message = refusal(collectstatic, cloud, backend=manifest_backend(cloud), check=True)

        assert message.endswith(": 1 of 5 objects would be sent (1 changed).")

    def test_nothing_is_written(
        self, cloud: Cloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        collectstatic(cloud, backend=manifest_backend(cloud))
        static_tree.write("b.png", b"PNG!")
        changed = Changed(cloud)
        cloud.clear_requests()

        refusal(collectstatic, cloud, backend=manifest_backend(cloud), check=True)

        assert not changed
        assert {*cloud.counts()} <= READS

    def test_without_post_processing_the_files_are_compared_as_they_were_found(
        self, cloud: Cloud, collectstatic: CollectStatic
    ) -> None:
        collectstatic(cloud)

        run = collectstatic(cloud, backend=manifest_backend(cloud), check=True, post_process=False)

        assert run.stdout.endswith(": 2 objects compared.\n")


class TestManifestElsewhere:
    @pytest.fixture
    def settings(self, s3_obstore: S3Cloud, tmp_path: Path) -> dict[str, Any]:
        backend = f"{__name__}.ManifestElsewhere"
        default = {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "manifests")},
        }
        return {"STORAGES": {**s3_obstore.storages(backend), "default": default}}

    def test_a_manifest_that_is_there_passes(
        self, s3_obstore: S3Cloud, collectstatic: CollectStatic, settings: dict[str, Any]
    ) -> None:
        collectstatic(s3_obstore, settings=settings)

        run = collectstatic(s3_obstore, settings=settings, check=True)

        assert run.stdout.endswith(": 5 objects compared.\n")

    def test_a_manifest_that_is_missing_is_a_difference(
        self,
        s3_obstore: S3Cloud,
        collectstatic: CollectStatic,
        settings: dict[str, Any],
        tmp_path: Path,
    ) -> None:
        collectstatic(s3_obstore, settings=settings)
        (tmp_path / "manifests" / MANIFEST).unlink()

        message = refusal(collectstatic, s3_obstore, settings=settings, check=True)

        assert message.endswith(": 1 of 5 objects would be sent (1 missing).")
        assert not (tmp_path / "manifests" / MANIFEST).exists()


class TestLeftovers:
    @pytest.fixture
    def located(self, cloud: Cloud, collectstatic: CollectStatic) -> dict[str, Any]:
        """The options of a storage that has all files, and a leftover."""
        is_bucket = isinstance(cloud, RecordedCloud)
        options = {"location": "static"} if is_bucket else {}
        collectstatic(cloud, options=options)
        cloud.put("static/old.css" if is_bucket else "old.css", b"old")
        return options

    def test_alone_are_no_difference(
        self, cloud: Cloud, collectstatic: CollectStatic, located: dict[str, Any]
    ) -> None:
        assert "does not differ" in collectstatic(cloud, options=located, check=True).stdout

    def test_that_would_be_pruned_are_one(
        self, cloud: Cloud, collectstatic: CollectStatic, located: dict[str, Any]
    ) -> None:
        before = cloud.keys()

        message = refusal(collectstatic, cloud, options=located, check=True, prune=True)

        assert message.endswith(" differs from the files: 1 object would be deleted.")
        assert collectstatic.last is not None
        assert "Pretending to delete 'old.css'" in collectstatic.last.stdout
        assert cloud.keys() == before

    def test_are_told_behind_what_would_be_sent(
        self,
        cloud: Cloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        located: dict[str, Any],
    ) -> None:
        static_tree.write("c.txt", b"new")

        message = refusal(collectstatic, cloud, options=located, check=True, prune=True)

        assert message.endswith(
            ": 1 of 3 objects would be sent (1 missing), 1 object would be deleted."
        )

    def test_that_are_too_young_are_none(
        self, cloud: Cloud, collectstatic: CollectStatic, located: dict[str, Any]
    ) -> None:
        run = collectstatic(cloud, options=located, check=True, prune=True, prune_older_than=1)

        assert "does not differ" in run.stdout


class TestStrategiesOfOnesOwn:
    def test_a_cache_that_is_trusted_is_not_written(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        changed = Changed(filesystem)

        message = refusal(collectstatic, filesystem, strategy=Trusting, check=True)

        # Such a strategy does not tell these from each other.
        assert message.endswith(": 2 of 2 objects would be sent (2 missing or changed).")
        assert not changed

    def test_what_it_decides_passes(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        run = collectstatic(filesystem, strategy=NeverCopies, check=True)

        assert "2 objects compared" in run.stdout


class TestRefused:
    @pytest.mark.parametrize("name", ["force", "clear"])
    def test_beside_what_compares_nothing(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic, name: str
    ) -> None:
        message = refusal(collectstatic, filesystem, check=True, **{name: True})

        assert message == (
            f"--check can't go with --{name}, which sends everything and compares nothing."
        )
        assert filesystem.keys() == []

    @pytest.mark.parametrize("backend", ["ProcessesItself", "SavesItself"])
    def test_a_manifest_storage_with_a_way_of_its_own(
        self, s3_obstore: S3Cloud, collectstatic: CollectStatic, backend: str
    ) -> None:
        message = refusal(collectstatic, s3_obstore, backend=f"{__name__}.{backend}", check=True)

        assert message.startswith("--check can't tell what ")
        assert f" of {backend} would write" in message
        assert s3_obstore.keys() == []

    def test_a_storage_that_post_processes_in_place_in_a_way_of_its_own(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        backend = f"{__name__}.Minifying"

        message = refusal(collectstatic, filesystem, backend=backend, check=True)

        assert "post_process() of Minifying" in message

    def test_what_it_says_instead_works(
        self, filesystem: FileSystemCloud, collectstatic: CollectStatic
    ) -> None:
        collectstatic(filesystem)
        backend = f"{__name__}.Minifying"

        run = collectstatic(filesystem, backend=backend, check=True, post_process=False)

        assert "2 objects compared" in run.stdout


OURS: list[dict[str, Any]] = [
    {"check": True},
    {"prune": True},
    {"prune_older_than": 0},
    {"report": "report.json"},
    {"force": True},
]


@pytest.mark.parametrize("option", OURS, ids=lambda option: next(iter(option)))
class TestOnDjangosOwnWay:
    """What is asked of Collectfasta there must not be passed over in silence."""

    ways: ClassVar[dict[str, dict[str, Any]]] = {
        "with --disable-collectfasta": {"disable_collectfasta": True},
        "with --link": {"link": True},
        "while COLLECTFASTA_ENABLED is False": {"settings": {"COLLECTFASTA_ENABLED": False}},
        "for Unknown, which it has no strategy for": {"backend": f"{__name__}.Unknown"},
    }

    @pytest.mark.parametrize("way", ways)
    def test_it_is_refused_by_name(
        self,
        filesystem: FileSystemCloud,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        option: dict[str, Any],
        way: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (name,) = option
        # It is refused for itself where it stands alone.
        others = {"prune": True} if name == "prune_older_than" and "Unknown" in way else {}

        message = refusal(collectstatic, filesystem, **{**self.ways[way], **option, **others})

        expected = "prune" if others else name.replace("_", "-")
        assert message == f"--{expected} is Collectfasta's, which does nothing {way}."
        assert filesystem.keys() == []
        assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("way", list(TestOnDjangosOwnWay.ways))
def test_threads_change_nothing_but_speed_there(
    filesystem: FileSystemCloud, collectstatic: CollectStatic, way: str
) -> None:
    collectstatic(filesystem, **{**TestOnDjangosOwnWay.ways[way], "threads": 4})


def test_the_status_of_the_process_tells(
    tmp_path: Path, filesystem: FileSystemCloud, static_tree: StaticTree
) -> None:
    project = Project(tmp_path / "project", filesystem, static_tree)

    before = project.run("--check")
    deployed = project.run()
    after = project.run("--check")

    assert deployed.status == 0, deployed.stderr
    assert (before.status, after.status) == (1, 0)
    assert before.stderr == (
        f"CommandError: {filesystem.root} differs from the files: "
        "2 of 2 objects would be sent (2 missing).\n"
    )
