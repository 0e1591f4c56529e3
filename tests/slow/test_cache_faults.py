"""Redis and memcached servers that fail: what is deployed is the same, and one warning tells."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from hashlib import md5
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.memcached import PyMemcacheCache
from django.core.cache.backends.redis import RedisCache

from collectfasta import checksum_cache, settings
from tests.conftest import CollectStatic, StaticTree
from tests.loop import for_each
from tests.servers import memcached, redis
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.memcached import MemcachedServer
from tests.servers.process import HOST, free_port
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server
from tests.slow.cache_faults import ALIAS, Deploys, opaque_server, paused

CacheServer = RedisServer | MemcachedServer
MODULES = {"redis": redis, "memcached": memcached}
# What the clients raise for a port that nothing listens on, and for a connection that was closed.
REFUSED = {"redis": "ConnectionError", "memcached": "ConnectionRefusedError"}
CLOSED = {"redis": "ConnectionError", "memcached": "MemcacheUnexpectedCloseError"}
PASSWORD = "correct-horse-battery-staple"
# A client that waits for ever: the default of pymemcache, and of redis-py before 8.
FOR_EVER: dict[str, dict[str, Any]] = {"redis": {"socket_timeout": None}, "memcached": {}}
# A client that does not.
NOT_LONG: dict[str, dict[str, Any]] = {
    "redis": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    "memcached": {"connect_timeout": 0.5, "timeout": 0.5},
}


pickled = pickle.dumps
GARBAGE = {
    "nothing": b"",
    "bytes": b"\x80\x81\xff",
    "half a pickle": pickled("a" * 100)[:50],
    "a pickle of a class that is not here": b"cno_such_module\nNoSuchClass\n.",
    "a pickle of a name that is not here": b"cjson\nNoSuchClass\n.",
    "a pickle of another class": pickled(Decimal(1)),
    "a pickle that makes an error": b"cbuiltins\nint\n(Va\ntR.",
    "a pickled list": pickled(["a.css"]),
    "pickled bytes": pickled(b"{}"),
    "None": pickled(None),
    "a number": b"42",
    "a text": pickled("hello"),
    "deep JSON": pickled("[" * 500_000),
    "large JSON": pickled(json.dumps({"pairs": {str(n): ["v", "c", ""] for n in range(30_000)}})),
    "JSON of wrong types": pickled('{"format": 1, "shards": 1, "pairs": {"a.css": [1, 2, 3]}}'),
    "an older version": pickled('{"format": 0, "shards": 1, "pairs": {"a.css": ["v", "c"]}}'),
    "no version": pickled('{"a.css": "c"}'),
}


class RedisOfSmallEntries(RedisCache):
    """So that a few files need several entries."""

    entry_size = 500


class MemcachedOfSmallEntries(PyMemcacheCache):
    """So that a few files need several entries."""

    entry_size = 500


OF_SMALL_ENTRIES = {"redis": RedisOfSmallEntries, "memcached": MemcachedOfSmallEntries}


@pytest.fixture(scope="module")
def opaque() -> Iterator[S3Server]:
    """A server whose ETags say nothing of the content."""
    with opaque_server() as server:
        yield server


@pytest.fixture
def cloud(opaque: S3Server) -> Iterator[S3Cloud]:
    """An empty bucket on it."""
    with S3Cloud(opaque) as cloud:
        yield cloud


@pytest.fixture
def deploy(
    cloud: S3Cloud,
    static_tree: StaticTree,
    collectstatic: CollectStatic,
    caplog: pytest.LogCaptureFixture,
) -> Deploys:
    """Deploys of three files."""
    for name in ("a.css", "b.js", "c.txt"):
        static_tree.write(name, name.encode())
    return Deploys(cloud, static_tree, collectstatic, caplog)


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Start a server of a module with options, until the test ends."""
    with ExitStack() as stack:
        yield lambda module, *args, **kwargs: stack.enter_context(module.serve(*args, **kwargs))


@pytest.fixture(params=["redis", "memcached"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of server in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def server(kind: str, serve: Callable[..., CacheServer]) -> CacheServer:
    """An empty server of each kind."""
    return serve(MODULES[kind])


def before_listing(cloud: S3Cloud, callback: Callable[[], object]) -> None:
    """Call back when the cache was read and before it is written."""
    cloud.recorder.before(lambda request: cloud.kind(request) == "LIST", lambda _: callback())


class TestUnreachable:
    def test_nothing_listens(self, kind: str, deploy: Deploys) -> None:
        place = f"{HOST}:{free_port()}"
        location = f"redis://{place}" if kind == "redis" else place

        deploy({"BACKEND": MODULES[kind].BACKEND, "LOCATION": location})

        deploy.take_warning("read", REFUSED[kind])

    def test_stopped_between_reading_and_writing(
        self, kind: str, server: CacheServer, deploy: Deploys
    ) -> None:
        before_listing(deploy.cloud, server.process.stop)

        deploy(server.cache())

        deploy.take_warning("written", CLOSED[kind])

    def test_a_server_that_was_started_again_is_used(
        self, kind: str, server: CacheServer, deploy: Deploys, serve: Callable[..., CacheServer]
    ) -> None:
        deploy(server.cache())
        server.process.stop()
        assert "3 static files copied" in deploy(server.cache())
        deploy.take_warning("read", REFUSED[kind])
        again = serve(MODULES[kind])

        deploy.see_that_the_next_work(again.cache())


class TestPaused:
    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checksum_cache, "_SECONDS", 1)

    def test_a_client_that_waits_for_ever_is_left_behind(
        self, kind: str, server: CacheServer, deploy: Deploys
    ) -> None:
        with paused(server.process):
            deploy(server.cache(**FOR_EVER[kind]))
        deploy.take_warning("read", "no answer in 2 s")

        deploy.see_that_the_next_work(server.cache())

    def test_a_server_paused_between_reading_and_writing(
        self, kind: str, server: CacheServer, deploy: Deploys
    ) -> None:
        deploy(server.cache())
        deploy.tree.write("a.css", b"new")
        with ExitStack() as stack:
            before_listing(deploy.cloud, lambda: stack.enter_context(paused(server.process)))
            assert "1 static file copied" in deploy(server.cache(**FOR_EVER[kind]))
        deploy.take_warning("written", "no answer in 2 s")
        deploy.cloud.recorder.reset()

        # What was sent before the client gave up may be read when the server goes on.
        deploy(server.cache())
        assert "0 static files copied" in deploy(server.cache())
        assert deploy.take_warnings() == []

    def test_a_time_out_of_the_client_comes_first(
        self, kind: str, server: CacheServer, deploy: Deploys
    ) -> None:
        with paused(server.process):
            deploy(server.cache(**NOT_LONG[kind]))

        deploy.take_warning("read", "TimeoutError")


class TestRefused:
    def test_redis_is_full(self, deploy: Deploys, serve: Callable[..., RedisServer]) -> None:
        # Less than it needs for itself; without a policy it evicts nothing.
        server = serve(redis, "--maxmemory", "100kb")
        deploy(server.cache())
        deploy.take_warning("written", "OutOfMemoryError")

    def test_redis_is_a_replica(self, deploy: Deploys, serve: Callable[..., RedisServer]) -> None:
        server = serve(redis, "--replicaof", HOST, str(free_port()))
        deploy(server.cache())
        deploy.take_warning("written", "ReadOnlyError")

    def test_redis_lacks_its_replicas(
        self, deploy: Deploys, serve: Callable[..., RedisServer]
    ) -> None:
        server = serve(redis, "--min-replicas-to-write", "1")
        deploy(server.cache())
        deploy.take_warning("written", "ResponseError")

    def test_memcached_takes_no_entry_as_large(
        self, deploy: Deploys, serve: Callable[..., MemcachedServer]
    ) -> None:
        server = serve(memcached, "-I", "1k", "-o", "slab_chunk_max=1")
        for number in range(30):
            deploy.tree.write(f"{number}.txt", b"%d" % number)

        deploy(server.cache())

        deploy.take_warning("written", "MemcacheServerError")
        assert server.keys() == []

    @pytest.mark.parametrize("given", [PASSWORD, ""])
    def test_redis_wants_another_password(
        self, deploy: Deploys, serve: Callable[..., RedisServer], given: str
    ) -> None:
        server = serve(redis, password="another")
        location = RedisServer(server.process, given).url

        deploy({"BACKEND": redis.BACKEND, "LOCATION": location}, verbosity=3, traceback=True)

        deploy.take_warning("read", "AuthenticationError")
        assert PASSWORD not in deploy.output
        assert "Traceback" not in deploy.output

    def test_a_password_is_not_shown_where_nothing_listens(self, deploy: Deploys) -> None:
        location = f"redis://user:{PASSWORD}@{HOST}:{free_port()}"
        deploy({"BACKEND": redis.BACKEND, "LOCATION": location}, verbosity=3, traceback=True)
        deploy.take_warning("read", "ConnectionError")
        assert PASSWORD not in deploy.output

    def test_a_location_that_makes_no_sense_is_one_warning(self, deploy: Deploys) -> None:
        deploy({"BACKEND": redis.BACKEND, "LOCATION": f"http://user:{PASSWORD}@cache"})
        deploy.take_warning("written", "ValueError")
        assert PASSWORD not in deploy.output


class TestGarbage:
    @for_each("value", GARBAGE)
    def test_an_entry_that_makes_no_sense_is_a_miss_and_replaced(
        self, server: CacheServer, deploy: Deploys, value: str
    ) -> None:
        deploy(server.cache())
        (key,) = server.keys()
        server.put(key, GARBAGE[value])

        assert "3 static files copied" in deploy(server.cache())

        assert "0 static files copied" in deploy(server.cache())
        assert deploy.take_warnings() == []

    def test_what_collectfasta_3_left_under_the_same_prefix_is_not_looked_at(
        self, server: CacheServer, deploy: Deploys
    ) -> None:
        deploy(server.cache())
        deploy.tree.write("a.css", b"new")
        # get_cache_key() of 3.3.5, of names and of whole keys, and the MD5 of what is to be sent.
        left = {
            settings.cache_key_prefix + md5(name.encode()).hexdigest(): md5(b"new").hexdigest()
            for name in ("a.css", "static/a.css", f"{deploy.cloud.name}/a.css")
        }
        caches[ALIAS].set_many(left, timeout=None)

        assert "1 static file copied" in deploy(server.cache())

        assert caches[ALIAS].get_many(left) == left
        assert deploy.take_warnings() == []

    def test_an_entry_of_collectfasta_3_in_the_very_place_is_a_miss(
        self, server: CacheServer, deploy: Deploys
    ) -> None:
        deploy(server.cache())
        (key,) = server.keys()
        server.put(key, pickled(md5(b"a.css").hexdigest()))
        assert "3 static files copied" in deploy(server.cache())
        assert deploy.take_warnings() == []

    @for_each("version", [0, 2])
    def test_an_entry_of_another_version_is_not_trusted(
        self, server: CacheServer, deploy: Deploys, version: int
    ) -> None:
        deploy(server.cache())
        (key,) = server.keys()
        entry = json.loads(caches[ALIAS].get(key.removeprefix(":1:")))
        server.put(key, pickled(json.dumps({**entry, "format": version})))

        deploy.see_that_the_next_work(server.cache())

    def test_an_entry_that_speaks_of_more_entries_than_there_are(
        self, server: CacheServer, deploy: Deploys
    ) -> None:
        deploy(server.cache())
        (key,) = server.keys()
        entry = json.loads(caches[ALIAS].get(key.removeprefix(":1:")))
        server.put(key, pickled(json.dumps({**entry, "shards": 1024})))

        assert "0 static files copied" in deploy(server.cache())

        assert json.loads(caches[ALIAS].get(key.removeprefix(":1:"))) == entry
        assert deploy.take_warnings() == []


class TestSeveralEntries:
    FILES = 30

    @pytest.fixture
    def cache(self, kind: str, server: CacheServer, deploy: Deploys) -> dict[str, Any]:
        """A cache that needs several entries, and has them."""
        backend = OF_SMALL_ENTRIES[kind]
        for name in deploy.tree.names():
            deploy.tree.delete(name)
        for number in range(self.FILES):
            deploy.tree.write(f"{number}.txt", b"%d" % number)
        cache = {**server.cache(), "BACKEND": f"{backend.__module__}.{backend.__name__}"}
        deploy(cache)
        assert len(server.keys()) >= 8
        return cache

    @for_each("place", [0, 3, -1])
    def test_one_that_is_lost_costs_what_it_held(
        self, server: CacheServer, deploy: Deploys, cache: dict[str, Any], place: int
    ) -> None:
        keys = server.keys()
        entry = json.loads(caches[ALIAS].get(keys[place].removeprefix(":1:")))
        # The first one tells how many there are: without it none is found.
        lost = self.FILES if keys[place].endswith(".0") else len(entry["pairs"])
        server.delete(keys[place])

        assert f"\n{lost} static file" in deploy(cache)

        assert server.keys() == keys
        assert "0 static files copied" in deploy(cache)
        assert deploy.take_warnings() == []

    def test_one_that_makes_no_sense_is_replaced(
        self, server: CacheServer, deploy: Deploys, cache: dict[str, Any]
    ) -> None:
        server.put(server.keys()[3], b"cno_such_module\nNoSuchClass\n.")

        deploy(cache)

        assert "0 static files copied" in deploy(cache)
        assert deploy.take_warnings() == []
