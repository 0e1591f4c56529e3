"""What the tests of failing caches have in common.

They deploy to a server whose ETags say nothing of the content: without a cache that works, every
object is sent again, so that what was printed tells whether the cache was of use.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Timer
from typing import Any

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import Server, running
from tests.servers.s3 import S3Server

# Each write gets an ETag at random, as under SSE-KMS, of which moto gives MD5s.
SERVER = """
import sys, uuid
from moto.s3.models import FakeKey
from moto.server import main

etag_of_content = FakeKey.etag.fget

def etag(self):
    if "opaque" not in vars(self):
        _, _, parts = etag_of_content(self).strip('"').partition("-")
        self.opaque = uuid.uuid4().hex + ("-" + parts if parts else "")
    return f'"{self.opaque}"'

FakeKey.etag = property(etag)
main(sys.argv[1:])
"""

ALIAS = "deploys"
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
# Longer than any test waits, shorter than a CI job does.
_STUCK_SECONDS = 40.0


@contextmanager
def opaque_server() -> Iterator[S3Server]:
    """Run a server whose ETags say nothing of the content."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-c", SERVER, "-p", str(port)]

    with running("moto", command) as url:
        yield S3Server(url)


def settings_for(cache: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that have checksums remembered in a cache."""
    return {"CACHES": {"default": LOCMEM, ALIAS: dict(cache)}, "COLLECTFASTA_CACHE": ALIAS}


class Deploys:
    """Deploys to one bucket with whatever cache, each of which has to end with the exact bucket.

    Attributes:
        output: All that was printed and logged so far.
    """

    def __init__(
        self,
        cloud: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        self.cloud = cloud
        self.tree = tree
        self.output = ""
        self._collectstatic = collectstatic
        self._caplog = caplog

    def __call__(self, cache: Mapping[str, Any], **options: Any) -> str:
        """Deploy, look at the bucket, and return what was printed."""
        settings = {**settings_for(cache), **options.pop("settings", {})}
        run = self._collectstatic(self.cloud, settings=settings, **options)
        self.output += run.stdout + run.stderr + self._caplog.text
        self.look()
        return run.stdout

    def look(self) -> None:
        """See that the bucket holds the files exactly."""
        stored = {key: each.body for key, each in self.cloud.objects().items()}
        assert stored == {name: self.tree.path(name).read_bytes() for name in self.tree.names()}

    def take_warnings(self) -> list[str]:
        """Return the warnings since the last time."""
        records = [each for each in self._caplog.records if each.levelno >= logging.WARNING]
        self._caplog.clear()
        return [each.getMessage() for each in records]

    def take_warning(self, action: str, cause: str) -> None:
        """See that there was one warning since the last time, in one line, and what it says."""
        (warning,) = self.take_warnings()
        check_warning(warning, action, cause)

    def see_that_the_next_work(self, cache: Mapping[str, Any]) -> None:
        """Deploy twice with a cache that works again: first it learns, then it is of use."""
        assert f"{len(self.tree.names())} static files copied" in self(cache)
        assert "0 static files copied" in self(cache)
        assert self.take_warnings() == []


def check_warning(warning: str, action: str, cause: str) -> None:
    """See that a warning says in one line what happened, what it means and what to do."""
    assert warning == (
        f"The cache '{ALIAS}' could not be {action} ({cause}). Deploying without it is slower, "
        "not different. Fix it, or name another cache in COLLECTFASTA_CACHE."
    )


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """Let a server answer nothing within the block; what waits without an end fails."""
    timer = Timer(_STUCK_SECONDS, server.stop)
    server.pause()
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        server.resume()
