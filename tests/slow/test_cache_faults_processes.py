"""Failing caches of deploys in processes of their own: what is printed, and how they end."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StaticTree
from tests.project import Ended, Project, end
from tests.servers import memcached, redis
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import HOST
from tests.servers.s3 import S3Server
from tests.slow.cache_faults import check_warning, opaque_server, settings_for

TABLE = "remembered"
DATABASE_CACHE = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": TABLE}
CACHES = """
from django.core.cache.backends.db import DatabaseCache

class SmallEntries(DatabaseCache):
    entry_size = 100
"""
MANAGE = """
import signal, sys
from collectfasta import checksum_cache
from django.core.management import execute_from_command_line

# Whoever runs the tests in the background lets them, and what they start, ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
checksum_cache._SECONDS = {seconds}
execute_from_command_line(sys.argv)
"""
# What Django's createcachetable makes in SQLite.
CREATE_TABLE = (
    f"CREATE TABLE {TABLE} (cache_key varchar(255) NOT NULL PRIMARY KEY, "
    "value text NOT NULL, expires datetime NOT NULL)"
)


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


class Deploys:
    """A project of three files that deploys with whatever cache.

    Attributes:
        database: The file of its database, which waits for no lock.
    """

    def __init__(self, root: Path, cloud: S3Cloud, tree: StaticTree) -> None:
        self.database = root / "project.sqlite3"
        self._root, self._cloud, self._tree = root, cloud, tree
        self._project = Project(root, cloud, tree)
        (root / "project_caches.py").write_text(CACHES)

    def start(self, cache: Mapping[str, Any], seconds: int = 1) -> subprocess.Popen[str]:
        """Start a deploy that waits so long for its cache."""
        database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self.database),
            "OPTIONS": {"timeout": 0},
        }
        self._project.configure(
            "storages.backends.s3.S3StaticStorage",
            DATABASES={"default": database},
            **settings_for(cache),
        )
        (self._root / "manage.py").write_text(MANAGE.format(seconds=seconds))
        return self._project.start()

    def __call__(self, cache: Mapping[str, Any]) -> Ended:
        """Deploy, and see that it succeeds and that the bucket holds the files exactly."""
        ended = end(self.start(cache))
        assert ended.status == 0, ended.stderr
        stored = {key: each.body for key, each in self._cloud.objects().items()}
        assert stored == {name: self._tree.path(name).read_bytes() for name in self._tree.names()}
        return ended

    def see_that_the_next_work(self, cache: Mapping[str, Any]) -> None:
        """Deploy twice with a cache that works again: first it learns, then it is of use."""
        assert "3 static files copied" in self(cache).stdout
        ended = self(cache)
        assert "0 static files copied" in ended.stdout
        assert ended.stderr == ""


@pytest.fixture
def deploy(tmp_path: Path, cloud: S3Cloud, static_tree: StaticTree) -> Deploys:
    """Deploys of three files."""
    for name in ("a.css", "b.js", "c.txt"):
        static_tree.write(name, name.encode())
    return Deploys(tmp_path / "project", cloud, static_tree)


def check_stderr(ended: Ended, action: str, cause: str) -> None:
    """See that nothing was printed but one warning."""
    check_warning(ended.stderr.removesuffix("\n"), action, cause)


@pytest.mark.parametrize("module", [redis, memcached], ids=["redis", "memcached"])
def test_a_process_ends_whose_cache_does_not_answer(module: Any, deploy: Deploys) -> None:
    options = {"socket_timeout": None} if module is redis else {}
    with module.serve() as server:
        # For longer than a process is waited for.
        server.process.pause()
        ended = deploy(server.cache(**options))
    check_stderr(ended, "read", "no answer in 2 s")


def test_ctrl_c_ends_the_wait_for_a_cache(deploy: Deploys) -> None:
    # A real server can't say that it is waited for: the system accepts for one that is paused.
    with socket.create_server((HOST, 0)) as listener:
        place = f"{HOST}:{listener.getsockname()[1]}"
        process = deploy.start({"BACKEND": memcached.BACKEND, "LOCATION": place}, seconds=10_000)
        listener.settimeout(60)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            ended = end(process)

    assert ended.status == 130
    assert "Interrupted" in ended.stderr
    assert "Traceback" not in ended.stderr


class TestDatabase:
    NO_ANSWER = "OperationalError; manage.py createcachetable makes its table"

    @pytest.fixture
    def table(self, deploy: Deploys) -> Iterator[sqlite3.Connection]:
        """A connection to the database, with the cache's table made."""
        with closing(sqlite3.connect(deploy.database, isolation_level=None)) as connection:
            connection.execute(CREATE_TABLE)
            yield connection

    def test_the_table_is_missing(self, deploy: Deploys) -> None:
        check_stderr(deploy(DATABASE_CACHE), "read", self.NO_ANSWER)

        with closing(sqlite3.connect(deploy.database)) as connection:
            connection.execute(CREATE_TABLE)
        deploy.see_that_the_next_work(DATABASE_CACHE)

    def test_the_database_is_locked(self, deploy: Deploys, table: sqlite3.Connection) -> None:
        with locked(table, "EXCLUSIVE"):
            check_stderr(deploy(DATABASE_CACHE), "read", self.NO_ANSWER)

        deploy.see_that_the_next_work(DATABASE_CACHE)

    def test_the_database_is_locked_for_writers(
        self, deploy: Deploys, table: sqlite3.Connection
    ) -> None:
        with locked(table, "IMMEDIATE"):
            check_stderr(deploy(DATABASE_CACHE), "written", "it refused an entry")

        deploy.see_that_the_next_work(DATABASE_CACHE)

    @pytest.mark.parametrize("value", ["", "?", "gASV", "Y25vX3N1Y2gKTm9TdWNoCi4="])
    def test_an_entry_that_makes_no_sense_is_replaced(
        self, deploy: Deploys, table: sqlite3.Connection, value: str
    ) -> None:
        deploy(DATABASE_CACHE)
        table.execute(f"UPDATE {TABLE} SET value = ?", [value])

        deploy.see_that_the_next_work(DATABASE_CACHE)

    def test_entries_that_are_culled_cost_what_they_held(
        self, deploy: Deploys, table: sqlite3.Connection
    ) -> None:
        small = {**DATABASE_CACHE, "BACKEND": "project_caches.SmallEntries"}
        culling = {**small, "OPTIONS": {"MAX_ENTRIES": 1, "CULL_FREQUENCY": 2}}

        for _ in range(2):
            assert deploy(culling).stderr == ""

        deploy(small)
        assert "0 static files copied" in deploy(small).stdout


@contextmanager
def locked(connection: sqlite3.Connection, how: str) -> Iterator[None]:
    """Hold a lock of the database within the block."""
    connection.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
