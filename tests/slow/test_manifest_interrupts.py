"""Deploys in processes of their own: interrupted, killed, and two at once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from collectfasta.strategies.boto3 import (
    Boto3ManifestFileSystemStrategy,
    Boto3ManifestMemoryStrategy,
    Boto3Strategy,
)
from tests.conftest import CollectStatic, StaticTree
from tests.project import (
    MANIFEST,
    WAIT_SECONDS,
    Ended,
    Project,
    after,
    end,
    is_in_one_line,
    once,
)
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Recorder, Request
from tests.servers.s3 import S3Server

BACKEND = "storages.backends.s3.S3ManifestStaticStorage"
FILES = 15
MEGABYTE = 1024 * 1024


def is_put(request: Request) -> bool:
    return request.method == "PUT" and "uploadId" not in request.query


def is_manifest(request: Request) -> bool:
    return is_put(request) and request.path.endswith(f"/{MANIFEST}")


def is_list(request: Request) -> bool:
    return "list-type=2" in request.query


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" in request.query


def is_stored(request: Request) -> bool:
    return is_put(request) and request.status == 200


def write_files(tree: StaticTree, text: str, number: int = FILES) -> None:
    for each in range(number):
        tree.write(f"{each}.js", f"let {text}{each};\n".encode())


def live(cloud: S3Cloud) -> dict[str, bytes]:
    """Return the published manifest and every file that it names."""
    manifest = cloud.get(MANIFEST).body
    return {MANIFEST: manifest} | {key: cloud.get(key).body for key in paths(cloud).values()}


def paths(cloud: S3Cloud) -> dict[str, str]:
    found: dict[str, str] = json.loads(cloud.get(MANIFEST).body)["paths"]
    return found


def settings_of(strategy: type, threads: int) -> dict[str, Any]:
    path = f"{strategy.__module__}.{strategy.__qualname__}"
    return {"COLLECTFASTA_STRATEGY": path, "COLLECTFASTA_THREADS": threads}


@dataclass(frozen=True)
class Broken:
    """A live site, what a deploy of all its changed files left that was broken off, and the next.

    Attributes:
        before: The live site before.
        ended: How the process ended.
        live: The live site after.
        requests: What it has sent.
        temporary: What it left in its directory for temporary files.
        next_puts: How many files the next deploy sent.
        next_paths: What the manifest of that one names.
        next_keys: The keys of all objects then.
    """

    before: Mapping[str, bytes]
    ended: Ended
    live: Mapping[str, bytes]
    requests: list[Request]
    temporary: list[str]
    next_puts: int
    next_paths: Mapping[str, str]
    next_keys: list[str]


Break = Callable[[S3Cloud, Project], Ended]


def break_off(s3_server: S3Server, root: Path, variant: dict[str, Any], break_: Break) -> Broken:
    tree = StaticTree(root / "source")
    with ExitStack() as stack:
        cloud = stack.enter_context(S3Cloud(s3_server))
        monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
        collectstatic = CollectStatic(tree, monkeypatch)
        stack.callback(collectstatic.close)
        write_files(tree, "first")
        collectstatic(cloud, backend=BACKEND, settings=variant)
        before = live(cloud)
        write_files(tree, "second")
        cloud.clear_requests()

        project = Project(root / "project", cloud, tree, backend=BACKEND, **variant)
        ended = break_(cloud, project)
        left = [path.name for path in project.temporary.iterdir()]
        requests, after = cloud.requests, live(cloud)

        cloud.recorder.reset()
        collectstatic(cloud, backend=BACKEND, settings=variant)
        puts = sum(map(is_put, cloud.requests))
        return Broken(before, ended, after, requests, left, puts, paths(cloud), cloud.keys())


VARIANTS = [
    (number, strategy, threads)
    for number in (signal.SIGINT, signal.SIGTERM)
    for strategy in (Boto3ManifestMemoryStrategy, Boto3ManifestFileSystemStrategy)
    for threads in (0, 8)
]


def variant_id(variant: tuple[signal.Signals, type, int]) -> str:
    number, strategy, threads = variant
    return f"{number.name}-{strategy.__name__}-{threads}"


class TestInterrupt:
    """SIGINT and SIGTERM, sent after the fifth of thirty files."""

    @pytest.fixture(scope="class", params=VARIANTS, ids=variant_id)
    @staticmethod
    def broken(
        request: pytest.FixtureRequest,
        s3_server: S3Server,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Broken:
        number, strategy, threads = request.param

        def interrupt(_: S3Cloud, project: Project) -> Ended:
            return project.interrupt(number, after(4, is_put))

        root = tmp_path_factory.mktemp("interrupted")
        return break_off(s3_server, root, settings_of(strategy, threads), interrupt)

    def test_status_says_so(self, broken: Broken) -> None:
        assert broken.ended.status == 130

    def test_one_line_says_so(self, broken: Broken) -> None:
        assert broken.ended.stderr.startswith("CommandError: Interrupted")
        assert len(broken.ended.stderr.splitlines()) == 1

    def test_no_manifest_is_sent(self, broken: Broken) -> None:
        assert not any(map(is_manifest, broken.requests))

    def test_live_site_stays_as_it_is(self, broken: Broken) -> None:
        assert broken.live == broken.before

    def test_pending_work_is_not_begun(self, broken: Broken) -> None:
        assert sum(map(is_put, broken.requests)) < 2 * FILES

    def test_what_is_under_way_ends(self, broken: Broken) -> None:
        assert {request.status for request in broken.requests} == {200}

    def test_nothing_is_left_in_the_temporary_directory(self, broken: Broken) -> None:
        assert broken.temporary == []

    def test_next_run_sends_only_the_rest(self, broken: Broken) -> None:
        assert broken.next_puts == 2 * FILES + 1 - sum(map(is_stored, broken.requests))

    def test_next_run_publishes(self, broken: Broken) -> None:
        assert len(broken.next_paths) == FILES
        assert set(broken.next_paths.values()) < set(broken.next_keys)
        assert not set(broken.next_paths.values()) & set(broken.before)


class TestKill:
    """SIGKILL, which lets nothing be tidied up."""

    @pytest.fixture(scope="class", params=VARIANTS[:4], ids=lambda variant: variant_id(variant)[7:])
    @staticmethod
    def broken(
        request: pytest.FixtureRequest,
        s3_server: S3Server,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Broken:
        _, strategy, threads = request.param

        def kill(_: S3Cloud, project: Project) -> Ended:
            return project.interrupt(signal.SIGKILL, after(4, is_put))

        root = tmp_path_factory.mktemp("killed")
        return break_off(s3_server, root, settings_of(strategy, threads), kill)

    def test_live_site_stays_as_it_is(self, broken: Broken) -> None:
        assert broken.ended.status == -signal.SIGKILL
        assert broken.live == broken.before

    def test_next_run_sends_only_the_rest(self, broken: Broken) -> None:
        assert broken.next_puts == 2 * FILES + 1 - sum(map(is_stored, broken.requests))

    def test_next_run_publishes(self, broken: Broken) -> None:
        assert len(broken.next_paths) == FILES
        assert set(broken.next_paths.values()) < set(broken.next_keys)


@pytest.fixture
def project(s3: S3Cloud, static_tree: StaticTree, tmp_path: Path) -> Project:
    """A project of fifteen files."""
    write_files(static_tree, "it")
    return Project(tmp_path / "project", s3, static_tree, backend=BACKEND)


@pytest.mark.parametrize("threads", [0, 8])
class TestOtherMoments:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_large_upload_is_aborted(
        self,
        s3: S3Cloud,
        static_tree: StaticTree,
        project: Project,
        threads: int,
        number: signal.Signals,
    ) -> None:
        static_tree.write("large.bin", os.urandom(32 * MEGABYTE))
        project.configure(backend=BACKEND, COLLECTFASTA_THREADS=threads)

        ended = project.interrupt(number, is_part)

        assert is_in_one_line(ended), ended.stderr
        assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=s3.name)
        assert not [key for key in s3.keys() if key.startswith("large")]

    def test_while_listing(self, s3: S3Cloud, project: Project, threads: int) -> None:
        project.configure(backend=BACKEND, COLLECTFASTA_THREADS=threads)

        ended = project.interrupt(signal.SIGINT, is_list)

        assert is_in_one_line(ended), ended.stderr
        assert s3.keys() == []

    def test_while_staging(self, s3: S3Cloud, project: Project, threads: int) -> None:
        backend = "tests.storages.s3.WhileStaging"
        project.configure(backend=backend, COLLECTFASTA_THREADS=threads)

        ended = project.run()

        assert is_in_one_line(ended), ended.stderr
        assert s3.keys() == []
        assert list(project.temporary.iterdir()) == []

    def test_while_comparing(
        self, s3: S3Cloud, static_tree: StaticTree, project: Project, threads: int
    ) -> None:
        assert project.run().status == 0
        before = s3.objects()
        static_tree.write("new.js", b"let it;\n")
        backend = "tests.storages.s3.WhileComparing"
        project.configure(backend=backend, COLLECTFASTA_THREADS=threads)

        ended = project.run()

        assert is_in_one_line(ended), ended.stderr
        assert s3.objects() == before
        assert list(project.temporary.iterdir()) == []

    def test_while_the_storage_is_made(self, s3: S3Cloud, project: Project, threads: int) -> None:
        """It looks for the last manifest then."""
        project.configure(backend=BACKEND, COLLECTFASTA_THREADS=threads)

        ended = project.interrupt(signal.SIGINT, lambda request: request.method == "HEAD")

        assert is_in_one_line(ended), ended.stderr
        assert s3.keys() == []

    def test_while_the_manifest_is_sent(self, s3: S3Cloud, project: Project, threads: int) -> None:
        """Whether it arrives or not, nothing else is said."""
        project.configure(backend=BACKEND, COLLECTFASTA_THREADS=threads)

        ended = project.interrupt(signal.SIGINT, is_manifest)

        assert is_in_one_line(ended), ended.stderr
        is_published = s3.exists(MANIFEST)
        assert ("the manifest was not published" in ended.stderr) is not is_published
        assert not is_published or set(paths(s3).values()) < set(s3.keys())

    def test_while_leftovers_are_deleted(
        self, s3: S3Cloud, static_tree: StaticTree, project: Project, threads: int
    ) -> None:
        s3.put("static/old.js", b"old")
        storages = s3.storages(BACKEND, location="static")
        project.configure(COLLECTFASTA_THREADS=threads, STORAGES=storages)

        def is_deletion(request: Request) -> bool:
            return s3.kind(request) == "DELETE_BATCH"

        ended = project.interrupt(signal.SIGINT, is_deletion, "--clear")

        assert is_in_one_line(ended), ended.stderr
        assert s3.exists(f"static/{MANIFEST}")
        assert "the manifest was not published" not in ended.stderr


class PostCopyHook(Boto3Strategy):
    def post_copy_hook(self, *args: Any) -> None:
        raise KeyboardInterrupt


class OnSkipHook(Boto3Strategy):
    def on_skip_hook(self, *args: Any) -> None:
        raise KeyboardInterrupt


class PreShouldCopyHook(Boto3Strategy):
    def pre_should_copy_hook(self) -> None:
        raise KeyboardInterrupt


class ShouldCopyFile(Boto3Strategy):
    def should_copy_file(self, *args: Any) -> bool:
        raise KeyboardInterrupt


class CopyArgsHook(Boto3Strategy):
    def copy_args_hook(self, *args: Any) -> Any:
        raise KeyboardInterrupt


class WrapStorage(Boto3Strategy):
    def wrap_storage(self, *args: Any) -> Any:
        raise KeyboardInterrupt


HOOKS = [PostCopyHook, OnSkipHook, PreShouldCopyHook, ShouldCopyFile, CopyArgsHook, WrapStorage]


def in_two_passes(second: type[Boto3Strategy]) -> type[Boto3ManifestMemoryStrategy]:
    return type("TwoPasses", (Boto3ManifestMemoryStrategy,), {"second_strategy": second})


@pytest.mark.parametrize("threads", [0, 8])
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("is_staged", [False, True], ids=["plain", "staged"])
def test_interrupt_raised_by_a_hook_ends_the_same_way(
    s3: S3Cloud,
    static_tree: StaticTree,
    collectstatic: CollectStatic,
    hook: type[Boto3Strategy],
    threads: int,
    is_staged: bool,
) -> None:
    write_files(static_tree, "first", 3)
    collectstatic(s3, backend=BACKEND)
    before = live(s3)
    static_tree.write("0.js", b"let second;")
    is_of_the_first = hook in (CopyArgsHook, WrapStorage)
    strategy: type = hook
    if is_staged:
        strategy = in_two_passes(hook)
    if is_staged and is_of_the_first:
        strategy = type("First", (hook, Boto3ManifestMemoryStrategy), {})

    # An interrupt that is let through would end the tests.
    with pytest.raises((CommandError, KeyboardInterrupt)) as caught:
        collectstatic(s3, backend=BACKEND, strategy=strategy, threads=threads)

    assert isinstance(caught.value, CommandError)
    assert caught.value.returncode == 130
    assert live(s3) == before
    assert not [each for each in threading.enumerate() if each.name.startswith("collectfasta")]


def own_handler(*_: object) -> None:
    """Stand for what the caller of the command does at SIGTERM."""


class TestSignalHandler:
    @pytest.fixture(autouse=True)
    def _handler(self, handler: Any) -> Iterator[None]:
        before = signal.signal(signal.SIGTERM, handler)
        yield
        signal.signal(signal.SIGTERM, before)

    @pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, own_handler])
    def test_it_is_the_callers_again_afterwards(
        self, s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, handler: Any
    ) -> None:
        static_tree.write("a.js", b"a")

        collectstatic(s3, backend=BACKEND)

        assert signal.getsignal(signal.SIGTERM) is handler

    @pytest.mark.parametrize("handler", [signal.SIG_IGN, own_handler])
    def test_signal_interrupts_unless_the_caller_ignores_it(
        self, s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, handler: Any
    ) -> None:
        static_tree.write("a.js", b"a")
        s3.recorder.before(once(is_put), lambda _: os.kill(os.getpid(), signal.SIGTERM))
        is_interrupted = handler is not signal.SIG_IGN

        with pytest.raises(CommandError) if is_interrupted else nullcontext():
            collectstatic(s3, backend=BACKEND)

        assert s3.exists(MANIFEST) is not is_interrupted


def test_command_runs_in_a_thread_that_can_set_no_handlers(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a.js", b"a")
    thread = threading.Thread(target=collectstatic, args=[s3], kwargs={"backend": BACKEND})

    thread.start()
    thread.join()

    assert s3.exists(MANIFEST)


class TestTwoAtOnce:
    """Two deploys of different trees into one bucket."""

    @pytest.fixture
    def other(
        self, s3: S3Cloud, s3_server: S3Server, tmp_path: Path
    ) -> Iterator[tuple[Project, Recorder]]:
        """A project with other files, some of the same names, behind a recorder of its own."""
        tree = StaticTree(tmp_path / "other-source")
        write_files(tree, "other", FILES + 2)
        with Recorder(s3_server.endpoint) as recorder:
            options = {"endpoint_url": recorder.url}
            yield Project(tmp_path / "other", s3, tree, backend=BACKEND, options=options), recorder

    def test_one_within_the_commit_of_the_other(
        self, s3: S3Cloud, project: Project, other: tuple[Project, Recorder]
    ) -> None:
        ended: list[Ended] = []
        s3.recorder.before(is_manifest, lambda _: ended.append(other[0].run()))

        ended.append(project.run())

        assert [each.status for each in ended] == [0, 0]
        assert len(paths(s3)) == FILES
        assert_complete(s3)

    def test_both_plan_before_either_sends(
        self, s3: S3Cloud, project: Project, other: tuple[Project, Recorder]
    ) -> None:
        barrier = threading.Barrier(2, timeout=WAIT_SECONDS)
        for recorder in (s3.recorder, other[1]):
            recorder.before(once(is_put), lambda _: barrier.wait())

        processes = [project.start(), other[0].start()]
        ended = [end(process) for process in processes]

        assert [each.status for each in ended] == [0, 0]
        assert len(paths(s3)) in (FILES, FILES + 2)
        assert_complete(s3)


def assert_complete(cloud: S3Cloud) -> None:
    """Assert that the manifest names files that exist, with the content that the names tell."""
    for name in paths(cloud).values():
        digest = hashlib.md5(cloud.get(name).body, usedforsecurity=False).hexdigest()
        assert digest[:12] in name
