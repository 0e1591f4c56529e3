"""A site: a tree of files, the place that it is deployed to, and the command between them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.cache import caches
from django.core.management import CommandError

from tests.command import CollectStatic, Run, StaticTree
from tests.project import MANIFEST_BACKENDS
from tests.servers.clouds import Cloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.recorder import Request

MANIFEST = "staticfiles.json"
# Of one object each.
UPLOADS = frozenset({"PUT", "UPLOAD"})
DELETIONS = frozenset({"DELETE", "DELETE_BATCH", "BATCH", "POST"})
WRITES = UPLOADS | DELETIONS | {"MULTIPART", "PUT_BLOCK", "BLOCK_LIST", "PATCH"}


@dataclass(frozen=True)
class Deploy:
    """One run of the command.

    Attributes:
        run: What it returned and printed.
        error: What it failed with; "" if it did not.
        kinds: The kinds of its requests, in the order of their arrival.
        requests: The requests.
    """

    run: Run
    error: str
    kinds: list[str]
    requests: list[Request]

    @property
    def counts(self) -> Counter[str]:
        """The number of its requests, by their kinds."""
        return Counter(self.kinds)

    @property
    def uploads(self) -> int:
        """How many objects it has sent in one request each."""
        return sum(kind in UPLOADS for kind in self.kinds)

    @property
    def writes(self) -> set[str]:
        """The kinds of those of its requests that write."""
        return {*self.kinds} & WRITES

    @property
    def summary(self) -> str:
        """Django's summary line."""
        return str(self.run.returned).strip()


class Site:
    """A tree of files, the place that it is deployed to, and the command between them.

    Deploys use threads and go without them in turn, beginning with threads, unless the defaults
    say how many there are.

    Args:
        cloud: The place.
        tree: The files.
        monkeypatch: Of the same scope.
        defaults: What every deploy is called with, as of `CollectStatic`; each `deploy` adds to it.
    """

    # Settings can only be taken back in the reverse order: one site at a time has its own.
    _last: ClassVar[Site | None] = None

    def __init__(
        self, cloud: Cloud, tree: StaticTree, monkeypatch: pytest.MonkeyPatch, **defaults: Any
    ) -> None:
        self.cloud, self.tree = cloud, tree
        self._command = CollectStatic(tree, monkeypatch)
        self._defaults = defaults
        self._threads = itertools.cycle((8, 0))
        for name in ("CI", "TF_BUILD"):
            monkeypatch.delenv(name, raising=False)

    def deploy(self, **more: Any) -> Deploy:
        """Run the command, which has to succeed."""
        return self._deploy(**more)

    def refused(self, **more: Any) -> Deploy:
        """Run the command, which has to fail."""
        with pytest.raises(CommandError) as caught:
            self._deploy(**more)
        return self._ended(str(caught.value))

    def _deploy(self, **more: Any) -> Deploy:
        arguments = {"threads": next(self._threads), **self._defaults, **more}
        for name in ("options", "settings"):
            arguments[name] = {**self._defaults.get(name, {}), **more.get(name, {})}
        if Site._last is not None:
            Site._last.close()
        Site._last = self
        self.cloud.clear_requests()
        self._command(self.cloud, **arguments)
        return self._ended("")

    def _ended(self, error: str) -> Deploy:
        run = self._command.last
        assert run is not None
        requests = self.cloud.requests
        return Deploy(run, error, [self.cloud.kind(each) for each in requests], requests)

    def close(self) -> None:
        """Take back the settings of the last deploy."""
        self._command.close()

    def bodies(self) -> dict[str, bytes]:
        """Return the contents of all objects by their full keys."""
        return {key: stored.body for key, stored in self.cloud.objects().items()}


# Makes an empty place by its name.
MakeCloud = Callable[[str], Cloud]
# Makes a site for the tests of a class: the name of a place, the files, the site's defaults.
MakeSite = Callable[..., Site]


def published(name: str) -> str:
    """Return the URL that this process gives a file after the last deploy."""
    url: str = staticfiles_storage.url(name)
    return url


def remembered() -> dict[str, Any]:
    """Return all that is in Django's default cache."""
    cache: Any = caches["default"]
    return {**cache._cache}


def scramble_cache() -> None:
    """Replace every entry of Django's default cache by something that is not ours."""
    cache: Any = caches["default"]
    for entry in list(cache._cache):
        cache.set(entry.split(":", 2)[2], {"not": "ours"})


def under_static(cloud: Cloud) -> dict[str, Any]:
    """Return the storage's options for a location "static" within a place."""
    if isinstance(cloud, FileSystemCloud):
        return {"location": str(cloud.root / "static")}
    return {"location": "static"}


def manifest_backend(cloud: Cloud) -> str:
    """Return the manifest storage of a place."""
    return MANIFEST_BACKENDS[cloud.backend]


def without(files: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return a mapping without some keys."""
    return {key: value for key, value in files.items() if key not in names}
