"""The command as a drop-in for Django's own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.management.commands import collectstatic as django_collectstatic
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, Storage
from django.core.management import CommandError, call_command
from django.db import connection
from storages.backends.s3 import S3StaticStorage

from collectfasta.management.commands.collectstatic import Command
from collectfasta.strategies.filesystem import FileSystemStrategy
from tests.conftest import CollectStatic, StaticTree
from tests.functional.test_manifest_classes import parsed
from tests.servers.clouds import Cloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

HERE = "tests.functional.test_command"


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in ("a.css", "b.css", "c.css"):
        static_tree.write(name, name.encode())
    return static_tree


class UnknownStorage(InMemoryStorage):
    """A storage that no strategy is made for."""


class MemoryFinder(BaseFinder):
    """Find files that have no path."""

    class Source(Storage):
        def _open(self, name: str, mode: str = "rb") -> Any:
            return ContentFile(b"from memory")

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, Storage]]:
        yield "made.css", self.Source()


class PipelineStorage(S3StaticStorage):
    """A storage that makes more files of those that were collected, as django-pipeline does."""

    def post_process(
        self, paths: dict[str, tuple[Storage, str]], dry_run: bool = False, **options: Any
    ) -> Iterator[tuple[str, str, bool]]:
        if dry_run:
            return
        packed = b""
        for _, (storage, path) in sorted(paths.items()):
            with storage.open(path) as content:
                packed += content.read()
        self.save("packed.css", ContentFile(packed))
        yield "packed.css", "packed.css", True


# Django's own command, exactly


@pytest.mark.parametrize("verbosity", [0, 1, 2, 3])
@pytest.mark.parametrize("switch", ["option", "setting"])
def test_switched_off_it_prints_what_django_prints_byte_for_byte(
    filesystem: FileSystemCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    verbosity: int,
    switch: str,
) -> None:
    options: dict[str, Any] = {"disable_collectfasta": True} if switch == "option" else {}
    settings = {"COLLECTFASTA_ENABLED": False} if switch == "setting" else {}

    ours = collectstatic(filesystem, verbosity=verbosity, settings=settings, **options)

    filesystem.empty()
    out = io.StringIO()
    returned = call_command(
        django_collectstatic.Command(), interactive=False, verbosity=verbosity, stdout=out
    )
    assert (ours.stdout, ours.returned, ours.stderr) == (out.getvalue(), returned, "")


def test_switched_off_it_takes_no_notice_of_its_other_settings(
    filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = {"COLLECTFASTA_STRATEGY": "no.such.Strategy", "COLLECTFASTA_CACHE": "missing"}

    collectstatic(filesystem, settings=settings, disable_collectfasta=True, skip_checks=False)

    assert filesystem.keys() == tree.names()


def test_an_unknown_storage_is_left_to_django_with_a_line_at_verbosity_2(
    filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = {
        "STORAGES": {
            "default": {"BACKEND": f"{HERE}.UnknownStorage"},
            "staticfiles": {"BACKEND": f"{HERE}.UnknownStorage"},
        }
    }

    run = collectstatic(filesystem, settings=settings, verbosity=2)

    assert "no strategy for UnknownStorage: Django's own way is taken." in run.stdout
    assert "3 static files copied." in run.stdout


def test_an_unknown_storage_gets_no_other_line_at_verbosity_1(
    filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = {"STORAGES": {"staticfiles": {"BACKEND": f"{HERE}.UnknownStorage"}}}

    run = collectstatic(filesystem, settings=settings)

    assert run.stdout == "\n3 static files copied.\n"


def test_link_is_left_to_django(
    filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    run = collectstatic(filesystem, link=True)

    assert (filesystem.root / "a.css").is_symlink()
    assert run.stdout == f"\n3 static files symlinked to '{filesystem.root}'.\n"


def test_link_to_a_bucket_is_refused_as_django_refuses_it(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    with pytest.raises(CommandError, match="Can't symlink to a remote destination"):
        collectstatic(s3, link=True)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_asks_no_server(arguments: list[str]) -> None:
    code = (
        "import sys; from django.core.management import execute_from_command_line as run;"
        "from django.conf import settings; settings.configure("
        "INSTALLED_APPS=['collectfasta','django.contrib.staticfiles'], STATIC_URL='/s/',"
        "CACHES={'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache',"
        "'LOCATION': 'redis://127.0.0.1:1'}}, STORAGES={'staticfiles': {'BACKEND': "
        "'storages.backends.s3.S3ManifestStaticStorage', 'OPTIONS': {'bucket_name': 'b',"
        "'endpoint_url': 'http://127.0.0.1:1', 'access_key': 'a', 'secret_key': 's'}}});"
        f"run(['manage.py', 'collectstatic', *{arguments!r}])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


# The output of a deploy


def test_the_summary_is_djangos_with_a_line_of_facts_behind_it(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3)
    tree.write("a.css", b"changed")

    run = collectstatic(s3)

    assert run.returned == "\n1 static file copied, 2 unmodified."
    summary, facts = run.stdout.lstrip("\n").splitlines()
    assert summary == "1 static file copied, 2 unmodified."
    assert facts.startswith(
        f"S3: 1 object (7 bytes) sent to s3://{s3.name}/, 2 requests, "
    )


def test_verbosity_0_prints_nothing(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    run = collectstatic(cloud, verbosity=0)

    assert (run.stdout, run.stderr) == ("", "")


def test_verbosity_2_names_each_file_as_django_does(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3)
    tree.write("a.css", b"changed")

    lines = collectstatic(s3, verbosity=2).stdout.splitlines()

    assert f"Copying '{tree.path('a.css')}'" in lines
    assert "Skipping 'b.css' (not modified)" in lines


def test_a_dry_run_names_each_file_at_verbosity_1(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    lines = collectstatic(s3, dry_run=True).stdout.splitlines()

    assert f"Pretending to copy '{tree.path('a.css')}'" in lines


def test_the_question_is_asked_and_no_cancels(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def answer(question: str) -> str:
        questions.append(question)
        return "no"

    monkeypatch.setattr("builtins.input", answer)

    with pytest.raises(CommandError, match="cancelled"):
        collectstatic(s3, interactive=True)

    assert "This will overwrite existing files!" in questions[0]
    assert s3.keys() == []


def test_ignored_patterns_are_ignored(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, ignore_patterns=["b.*"])

    assert s3.keys() == ["a.css", "c.css"]


# What a project may do


def test_a_source_storage_without_paths_is_deployed(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(
        cloud, threads=4, settings={"STATICFILES_FINDERS": [f"{HERE}.MemoryFinder"]}, verbosity=2
    )

    assert cloud.get("made.css").body == b"from memory"


def test_a_source_storage_without_paths_is_unmodified_the_second_time(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    settings = {"STATICFILES_FINDERS": [f"{HERE}.MemoryFinder"]}
    collectstatic(cloud, settings=settings)

    run = collectstatic(cloud, settings=settings)

    assert "0 static files copied" in run.stdout


def test_post_process_runs_when_everything_is_stored(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    run = collectstatic(s3, backend=f"{HERE}.PipelineStorage", threads=4)

    assert s3.get("packed.css").body == b"a.cssb.cssc.css"
    assert "1 post-processed" in run.stdout
    last = [request.path for request in s3.requests if request.method == "PUT"][-1]
    assert last.endswith("/packed.css")


def test_no_post_process_is_obeyed(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, backend=f"{HERE}.PipelineStorage", post_process=False)

    assert not s3.exists("packed.css")


def test_clear_keeps_what_post_processing_has_made(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    options = {"location": "static"}
    collectstatic(s3, backend=f"{HERE}.PipelineStorage", options=options)
    s3.put("static/old.css", b"old")

    collectstatic(s3, backend=f"{HERE}.PipelineStorage", options=options, clear=True)

    assert s3.keys() == ["static/a.css", "static/b.css", "static/c.css", "static/packed.css"]


def test_a_manifest_storage_is_deployed_in_one_pass(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    tree.write("d.css", b"@import url('a.css');")
    backend = "storages.backends.s3.S3ManifestStaticStorage"
    collectstatic(s3, backend=backend, disable_collectfasta=True)
    expected = parsed(s3.objects())
    s3.empty()

    collectstatic(s3, backend=backend)

    assert parsed(s3.objects()) == expected


def test_the_command_runs_twice_in_one_process(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(cloud)
    cloud.empty()

    collectstatic(cloud)

    assert cloud.keys() == tree.names()


def open_files() -> Counter[str]:
    """Return how often each file is open in this process."""
    paths = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            paths.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return Counter(path for path in paths if path.startswith("/"))


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="No list of open files here.")
def test_it_leaves_no_file_open(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    """Or else a process that deploys again and again is out of descriptors some day."""
    collectstatic(cloud, threads=0)
    cloud.empty()
    before = open_files()

    collectstatic(cloud, threads=8)

    assert open_files() - before == {}


def test_one_command_object_can_run_twice(
    filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(filesystem)
    command = Command()
    for _ in range(2):
        out = io.StringIO()
        call_command(command, interactive=False, stdout=out)

    assert "File system: 0 objects" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_database_cache_works_with_threads(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    backend = "django.core.cache.backends.db.DatabaseCache"
    settings = {"CACHES": {"default": {"BACKEND": backend, "LOCATION": "cache"}}}
    collectstatic(s3_obstore, settings=settings, dry_run=True)
    call_command("createcachetable", verbosity=0)

    collectstatic(s3_obstore, settings=settings, threads=8)

    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM cache")
        assert cursor.fetchone() == (1,)


def test_it_works_without_time_zones(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(cloud, settings={"USE_TZ": False})

    assert cloud.keys() == tree.names()


def test_the_same_path_under_two_prefixes_is_two_files(
    cloud: Cloud, tree: StaticTree, collectstatic: CollectStatic, tmp_path: Path
) -> None:
    for prefix in ("one", "two"):
        (tmp_path / prefix).mkdir()
        (tmp_path / prefix / "a.css").write_text(prefix)
    directories = [(prefix, str(tmp_path / prefix)) for prefix in ("one", "two")]
    settings = {"STATICFILES_DIRS": directories}

    collectstatic(cloud, settings=settings)
    run = collectstatic(cloud, settings=settings)

    assert {key: stored.body for key, stored in cloud.objects().items()} == {
        "one/a.css": b"one",
        "two/a.css": b"two",
    }
    assert "2 unmodified" in run.stdout


def test_two_targets_share_a_cache(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, options={"location": "one"})
    collectstatic(s3, options={"location": "two"})

    assert len(caches["default"]._cache) == 2  # type: ignore[attr-defined]
    assert len(s3.keys()) == 6


def test_an_explicit_strategy_wins(
    filesystem: FileSystemCloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    strategy = "collectfasta.strategies.filesystem.CachingFileSystemStrategy"

    run = collectstatic(filesystem, strategy=strategy)

    assert "File system: 3 objects" in run.stdout


def test_load_strategy_can_be_replaced(
    filesystem: FileSystemCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mine(FileSystemStrategy):
        pass

    monkeypatch.setattr(Command, "_load_strategy", staticmethod(lambda: Mine))

    assert "Mine: 3 objects" in collectstatic(filesystem).stdout
