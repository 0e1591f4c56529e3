"""Failing caches of a strategy of one's own that trusts its cache, and asks it for each file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from hashlib import md5
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.cache.backends.memcached import PyMemcacheCache
from django.core.files.storage import InMemoryStorage

from collectfasta import checksum_cache
from collectfasta.strategies.base import CachingHashStrategy
from tests.conftest import CollectStatic, StaticTree
from tests.servers import memcached, redis
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.memcached import MemcachedServer
from tests.servers.process import HOST, free_port
from tests.slow.cache_faults import ALIAS, paused, settings_for

FILES = 20


class PlainStorage(InMemoryStorage):
    """A storage that Collectfasta does not know; what it holds outlives its instances."""

    contents: ClassVar[dict[str, bytes]] = {}

    def _save(self, name: str, content: Any) -> str:
        self.contents[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in self.contents


class Nowhere(FileSystemCloud):
    """A target without options, for `PlainStorage`."""

    backend = f"{__name__}.{PlainStorage.__name__}"

    def options(self, **more: Any) -> dict[str, Any]:
        return more


class CachedRemoteHash(CachingHashStrategy[PlainStorage]):
    """Compare MD5s, which are cached."""

    asked: ClassVar[list[str]] = []

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        self.asked.append(prefixed_path)
        stored = self.remote_storage.contents.get(prefixed_path)
        return None if stored is None else md5(stored, usedforsecurity=False).hexdigest()


class CountedMemcached(PyMemcacheCache):
    """Note what is asked of the server."""

    calls: ClassVar[list[str]] = []

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("get")
        return super().get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append("set")
        super().set(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        self.calls.append("delete")
        return super().delete(*args, **kwargs)


class Midway(CachedRemoteHash):
    """Do something when the remote is asked for the fifth file."""

    callback: ClassVar[Callable[[], object]]
    numbers: ClassVar[Iterator[int]]

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        if next(self.numbers) == 5:
            type(self).callback()
        return super().get_remote_file_hash(prefixed_path)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum_cache, "_SECONDS", 1)


@pytest.fixture
def server() -> Iterator[MemcachedServer]:
    """An empty memcached."""
    with memcached.serve() as server:
        yield server


class Deploys:
    """Deploys to a storage in memory, each of which has to end with the exact content.

    Attributes:
        tree: The files.
    """

    def __init__(
        self, root: Path, tree: StaticTree, command: CollectStatic, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.tree = tree
        self._target = Nowhere(root)
        self._command = command
        self._caplog = caplog

    def __call__(
        self, cache: dict[str, Any], strategy: type = CachedRemoteHash, threads: int = 0
    ) -> str:
        """Deploy, look at the content, and return what was printed."""
        CountedMemcached.calls.clear()
        CachedRemoteHash.asked.clear()
        run = self._command(
            self._target, strategy=strategy, threads=threads, settings=settings_for(cache)
        )
        names = self.tree.names()
        assert PlainStorage.contents == {name: self.tree.path(name).read_bytes() for name in names}
        return run.stdout

    def take_warning(self, action: str, cause: str) -> None:
        """See that there was one warning since the last time, in one line, and what it says."""
        (warning,) = self.take_warnings()
        assert warning == (
            f"The cache '{ALIAS}' could not be {action} ({cause}). Deploying without it is slower, "
            "and leaves in it what is out of date: clear it before the next deploy. Fix it, or "
            "name another cache in COLLECTFASTA_CACHE."
        )

    def take_warnings(self) -> list[str]:
        """Return the warnings since the last time."""
        records = [each for each in self._caplog.records if each.levelno >= logging.WARNING]
        self._caplog.clear()
        return [each.getMessage() for each in records]


@pytest.fixture
def deploy(
    tmp_path: Path,
    static_tree: StaticTree,
    collectstatic: CollectStatic,
    caplog: pytest.LogCaptureFixture,
) -> Deploys:
    """Deploys of some files."""
    PlainStorage.contents.clear()
    for number in range(FILES):
        static_tree.write(f"{number}.txt", b"%d" % number)
    return Deploys(tmp_path / "nowhere", static_tree, collectstatic, caplog)


@pytest.fixture
def counted(server: MemcachedServer) -> dict[str, Any]:
    """The cache on the server, counted, by a client that waits for ever."""
    return {**server.cache(), "BACKEND": f"{__name__}.{CountedMemcached.__name__}"}


@pytest.mark.parametrize("threads", [0, 8])
def test_a_server_that_does_not_answer_is_asked_once_by_each_thread(
    deploy: Deploys, server: MemcachedServer, counted: dict[str, Any], threads: int
) -> None:
    with paused(server.process):
        deploy(counted, threads=threads)

    assert len(CountedMemcached.calls) <= max(1, threads)
    deploy.take_warning("read", "no answer in 2 s")


@pytest.mark.parametrize("threads", [0, 8])
def test_a_server_that_stops_midway_is_left_alone(
    deploy: Deploys, server: MemcachedServer, counted: dict[str, Any], threads: int
) -> None:

    def stop() -> None:
        server.process.stop()
        CountedMemcached.calls.clear()

    Midway.callback, Midway.numbers = stop, count(1)

    deploy(counted, strategy=Midway, threads=threads)

    assert len(CountedMemcached.calls) <= max(1, threads)
    (warning,) = deploy.take_warnings()
    assert "clear it before the next deploy" in warning


def test_a_server_that_is_never_there_is_one_warning(deploy: Deploys) -> None:
    deploy({"BACKEND": redis.BACKEND, "LOCATION": f"redis://{HOST}:{free_port()}"}, threads=8)
    deploy.take_warning("read", "ConnectionError")


def test_a_file_that_changed_while_the_server_was_down_is_there_after_the_next_deploy(
    deploy: Deploys, server: MemcachedServer
) -> None:
    deploy(server.cache())
    deploy.tree.write("0.txt", b"new")
    with paused(server.process):
        deploy(server.cache())
    deploy.take_warning("read", "no answer in 2 s")

    deploy(server.cache())

    assert f"0 static files copied, {FILES} unmodified" in deploy(server.cache())
    assert CachedRemoteHash.asked == []
    assert deploy.take_warnings() == []


# memcached's client takes such a value for none by itself.
@pytest.mark.parametrize("value", [b"", b"\x80\x81", b"cno_such_module\nNoSuchClass\n.", b"42"])
def test_an_entry_that_makes_no_sense_is_a_miss_for_one_file(deploy: Deploys, value: bytes) -> None:
    with redis.serve() as server:
        deploy(server.cache())
        server.put(server.keys()[0], value)

        assert f"0 static files copied, {FILES} unmodified" in deploy(server.cache())

        assert len(CachedRemoteHash.asked) == 1
        deploy(server.cache())
        assert CachedRemoteHash.asked == []
    assert deploy.take_warnings() == []
