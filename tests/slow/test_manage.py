"""What a deploy needs of the servers around it: none for help, one connection of a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.conftest import CollectStatic, StaticTree
from tests.project import MANIFEST, MANIFEST_BACKENDS
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import free_port

S3_BACKEND = "storages.backends.s3.S3ManifestStaticStorage"


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("a.css", b"a")
    static_tree.write("js/b.js", b"b")
    return static_tree


def test_help_asks_no_server() -> None:
    for argument in ("--help", "--version"):
        code = (
            "import sys; from django.core.management import execute_from_command_line as run;"
            "from django.conf import settings; settings.configure("
            "INSTALLED_APPS=['collectfasta','django.contrib.staticfiles'], STATIC_URL='/s/',"
            "CACHES={'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache',"
            "'LOCATION': 'redis://127.0.0.1:1'}}, STORAGES={'staticfiles': {'BACKEND': "
            f"'{S3_BACKEND}', 'OPTIONS': {{'bucket_name': 'b',"
            "'endpoint_url': 'http://127.0.0.1:1', 'access_key': 'a', 'secret_key': 's'}}});"
            f"run(['manage.py', 'collectstatic', '{argument}'])"
        )

        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )

        assert (done.returncode, done.stderr) == (0, ""), argument


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


def open_files() -> Counter[str]:
    """Count the files that this process has open; sockets and pipes have no path."""
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


class TestStorageThatReadsItsManifest:
    def test_server_that_is_down_is_one_line_that_says_what_to_do(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        url = f"http://127.0.0.1:{free_port()}"

        with pytest.raises(CommandError) as caught:
            collectstatic(s3, backend=S3_BACKEND, options={"endpoint_url": url})

        message = str(caught.value)
        assert message.startswith(f"S3 can't be used at {url}: Could not connect")
        assert message.endswith(
            "Run the command again when the service answers: it sends only what is missing."
        )
        assert len(message.splitlines()) == 1

    def test_bucket_that_is_missing_is_one_line_that_names_it(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        missing = r"\AThe bucket 'missing-bucket' does not exist at .*\Z"
        with pytest.raises(CommandError, match=missing):
            collectstatic(s3, backend=S3_BACKEND, options={"bucket_name": "missing-bucket"})

    def test_one_that_is_damaged_is_told_in_words(
        self, recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        backend = MANIFEST_BACKENDS[recorded_cloud.backend]
        for manifest in b"\xff\xfe\x1b[2J", b"{", b'{"version": "9"}', b"[1]", b"[" * 100_000:
            recorded_cloud.put(MANIFEST, manifest)

            with pytest.raises(CommandError) as caught:
                collectstatic(recorded_cloud, backend=backend)

            message = str(caught.value)
            assert "delete it" in message, manifest[:20]
            assert "\x1b" not in message
            assert len(message.splitlines()) <= 2, message
            assert recorded_cloud.keys() == [MANIFEST]

    def test_what_it_names_elsewhere_is_not_touched(
        self, recorded_cloud: RecordedCloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        names = ["../precious", "/precious", "static/../../precious", "a\x1b[2J", "\ud800", ""]
        manifest = {"version": "1.1", "paths": {name: name for name in names}, "hash": 7}
        recorded_cloud.put(f"static/{MANIFEST}", json.dumps(manifest).encode())
        recorded_cloud.put("precious", b"x")
        run: dict[str, Any] = {
            "backend": MANIFEST_BACKENDS[recorded_cloud.backend],
            "options": {"location": "static"},
        }

        collectstatic(recorded_cloud, clear=True, dry_run=True, **run)
        collectstatic(recorded_cloud, clear=True, **run)

        keys = recorded_cloud.keys()
        published = json.loads(recorded_cloud.get(f"static/{MANIFEST}").body)["paths"]
        deployed = {*published.values(), MANIFEST, *tree.names()}
        assert {*keys} == {"precious", *(f"static/{name}" for name in deployed)}
