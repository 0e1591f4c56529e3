"""A storage in memory, its strategies, and the command that deploys to it in this process."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.core.management import CommandError
from django.utils.encoding import force_bytes
from typing_extensions import override

from collectfasta.errors import StoreError
from collectfasta.patching import is_overridden
from collectfasta.strategies.hashing import TwoPassFileSystemStrategy, TwoPassInMemoryStrategy
from collectfasta.strategies.listing import CloudStrategy
from tests.command import CollectStatic, Run, StaticTree
from tests.memory_store import Bucket, Call, MemoryStore

MANIFEST = "staticfiles.json"
# What a site has unless its test writes more: a style sheet that imports another, which both refer
# to an image, and what refers to nothing.
FILES = {
    "css/a.css": b"@import 'b.css';\na { background: url('../img/a.png') }\n",
    "css/b.css": b"b { background: url('../img/a.png') }\n",
    "img/a.png": b"png",
    "js/app.js": b"let app;\n",
}


class MemoryStorage(Storage):
    """The objects of a Bucket under a location, as a cloud's storage would have them.

    Args:
        bucket: Holds them.
        location: What their keys begin with.
        headers: What goes with each object.
    """

    def __init__(
        self, bucket: Bucket, location: str = "", headers: Mapping[str, Any] | None = None
    ) -> None:
        self.bucket, self.location, self.headers = bucket, location, headers or {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _key(self, name: str) -> str:
        return posixpath.join(self.location.strip("/"), name)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        self.bucket.request("GET", self._key(name))
        if self._key(name) not in self.bucket.objects:
            raise FileNotFoundError(name)
        return ContentFile(self.bucket.objects[self._key(name)].body, name)

    def _save(self, name: str, content: Any) -> str:
        call = self.bucket.request("PUT", self._key(name))
        content.seek(0)
        self.bucket.put(self._key(name), force_bytes(content.read()), self.headers)
        self.bucket.lose(call)
        return name

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Overwrite, as cloud storages do by default."""
        return name

    def exists(self, name: str) -> bool:
        self.bucket.request("HEAD", self._key(name))
        return self._key(name) in self.bucket.objects

    def delete(self, name: str) -> None:
        self.bucket.request("DELETE", self._key(name))
        self.bucket.objects.pop(self._key(name), None)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        self.bucket.request("LIST", self._key(path))
        folder = posixpath.join(self._key(path), "").removeprefix("/")
        below = [key[len(folder) :] for key in self.bucket.objects if key.startswith(folder)]
        folders = {name.partition("/")[0] for name in below if "/" in name}
        return sorted(folders), sorted(name for name in below if "/" not in name)

    def size(self, name: str) -> int:
        return len(self.bucket.objects[self._key(name)].body)

    def get_modified_time(self, name: str) -> datetime:
        return self.bucket.objects[self._key(name)].last_modified

    def url(self, name: str | None) -> str:
        return f"/static/{name}"


class MemoryManifestStorage(ManifestFilesMixin, MemoryStorage):  # type: ignore[misc]
    """The same, with hashed names."""


class _Store(MemoryStore):
    """A store that takes the storage above for one of django-storages'."""

    @cached_property
    @override
    def saves_itself(self) -> bool:
        known = ("django.", "storages.", "tests.memory")
        names = ("save", "_save")
        return any(is_overridden(type(self.storage), name, outside=known) for name in names)


class MemoryStrategy(CloudStrategy[Any]):
    """Deploy to a Bucket."""

    @cached_property
    @override
    def store(self) -> MemoryStore:
        return _Store(self.target_storage)


class StagedInMemory(TwoPassInMemoryStrategy):
    """Post-process in memory, then deploy to a Bucket."""

    second_strategy = MemoryStrategy


class StagedInDirectory(TwoPassFileSystemStrategy):
    """Post-process in a temporary directory, then deploy to a Bucket."""

    second_strategy = MemoryStrategy


# The storage and the strategy of each kind of site.
KINDS: dict[str, tuple[type[Storage], type]] = {
    "plain": (MemoryStorage, MemoryStrategy),
    "memory": (MemoryManifestStorage, StagedInMemory),
    "directory": (MemoryManifestStorage, StagedInDirectory),
}


def path_of(cls: type) -> str:
    """Return the dotted path of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def denied(verb: str = "PUT") -> StoreError:
    """Return a permanent refusal that the store has words for."""
    return StoreError(
        "403 Forbidden",
        kind="403 AccessDenied",
        advice=f"The credentials lack the permission to {verb}.",
        denied=True,
    )


def invalid() -> StoreError:
    """Return a permanent refusal that nobody has words for."""
    return StoreError("400: not so", kind="400 InvalidArgument")


def slow_down() -> StoreError:
    """Return a transient failure."""
    return StoreError("503: slow down", kind="503 SlowDown", transient=True)


@dataclass
class Rule:
    """What happens at requests of a kind.

    Attributes:
        verb: The requests', a pattern.
        key: The pattern of their keys.
        act: Is called with each, and may raise.
        times: How many it happens at; None for all.
    """

    verb: str
    key: str
    act: Callable[[Call], object]
    times: int | None = None

    def __call__(self, call: Call) -> None:
        """Act, if this is such a request."""
        is_one = fnmatchcase(call.verb, self.verb) and fnmatchcase(call.key, self.key)
        if not is_one or self.times == 0:
            return
        if self.times is not None:
            self.times -= 1
        self.act(call)


class _MemoryCloud:
    """What CollectStatic deploys to."""

    environment: ClassVar[dict[str, str]] = {}
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def storages(self, backend: str | None, **options: Any) -> dict[str, Any]:
        options = {"bucket": self._bucket, **options}
        return {
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": backend, "OPTIONS": options},
        }


@dataclass
class Site:
    """A tree of files, the bucket that it is deployed to, and the command between them.

    Attributes:
        tree: The files, ``FILES`` to begin with.
        command: Runs the command.
        kind: One of ``KINDS``.
        location: The storage's.
        threads: How many files are sent at a time, where a run does not say.
        bucket: Where they go.
    """

    tree: StaticTree
    command: CollectStatic
    kind: str = "plain"
    location: str = ""
    threads: int = 0
    bucket: Bucket = field(default_factory=Bucket)
    _rules: list[Rule] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bucket.fail = self._on_call

    def _on_call(self, call: Call) -> None:
        for rule in list(self._rules):
            rule(call)

    @property
    def is_staged(self) -> bool:
        """Whether it has a manifest."""
        return self.kind != "plain"

    # The files

    def write(self, **files: bytes) -> None:
        """Write files by their names, with two underscores for each slash and one for the dot."""
        for name, content in files.items():
            self.tree.write(name.replace("__", "/").replace("_", "."), content)

    def contents(self) -> dict[str, bytes]:
        """Return the files of the tree with their contents."""
        return {name: self.tree.path(name).read_bytes() for name in self.tree.names()}

    # The command

    def deploy(
        self,
        *arguments: str,
        storage: Any = None,
        options: Any = None,
        **more: Any,
    ) -> Run:
        """Run the command.

        Args:
            arguments: As a shell gives them.
            storage: Another storage class than the kind's own.
            options: More options for the storage.
            more: As CollectStatic takes it.
        """
        own, strategy = KINDS[self.kind]
        return self.command(
            _MemoryCloud(self.bucket),  # type: ignore[arg-type]
            *arguments,
            backend=path_of(storage or own),
            options={"location": self.location, **(options or {})},
            **{"strategy": strategy, "threads": self.threads, **more},
        )

    def fail(self, *arguments: str, **options: Any) -> str:
        """Run the command, which must fail, and return its message."""
        with pytest.raises(CommandError) as caught:
            self.deploy(*arguments, **options)
        assert caught.value.returncode == 1
        return str(caught.value)

    @property
    def last(self) -> Run:
        """The last run, also if it failed."""
        assert self.command.last is not None
        return self.command.last

    # The bucket

    def keys(self) -> list[str]:
        """Return the keys of all objects, sorted."""
        return sorted(self.bucket.objects)

    def bodies(self) -> dict[str, bytes]:
        """Return the contents of all objects."""
        return {key: self.bucket.objects[key].body for key in self.keys()}

    def state(self) -> dict[str, str]:
        """Return the versions of all objects: another one for each write."""
        return {key: each.version for key, each in self.bucket.objects.items()}

    def put(self, key: str, body: bytes = b"old") -> None:
        """Store an object, as somebody else would."""
        self.bucket.put(key, body)

    @property
    def paths(self) -> dict[str, str]:
        """What the published manifest says."""
        key = posixpath.join(self.location, MANIFEST)
        paths: dict[str, str] = json.loads(self.bucket.objects[key].body)["paths"]
        return paths

    def live(self) -> dict[str, bytes]:
        """Return the published manifest and every file that it names."""
        bodies = self.bodies()
        return {key: bodies[key] for key in (MANIFEST, *self.paths.values())}

    def expected(self) -> dict[str, bytes]:
        """Return what the bucket has to hold, as the tree is now, whatever is published.

        Of rewritten files it is what there is: that their names are right is Django's.
        """
        prefix = f"{self.location}/" if self.location else ""
        expected = {prefix + name: content for name, content in self.contents().items()}
        if self.is_staged:
            bodies, made = self.bodies(), [*self.paths.values(), MANIFEST]
            expected |= {prefix + name: bodies.get(prefix + name, b"") for name in made}
        return expected

    # The requests

    def forget(self) -> None:
        """Forget the requests made so far."""
        self.bucket.calls.clear()

    def called(self, verb: str) -> list[str]:
        """Return the keys of the requests of a kind, in their order."""
        return [call.key for call in self.bucket.calls if call.verb == verb]

    def counts(self) -> dict[str, int]:
        """Return how many requests of each kind there were; without the constructor's own."""
        counts = Counter(call.verb for call in self.bucket.calls)
        counts.pop("GET", None)
        return dict(counts)

    def before(
        self, verb: str, act: Callable[[Call], object], key: str = "*", times: int | None = None
    ) -> None:
        """Act before requests are carried out; what is raised is their answer."""
        self._rules.append(Rule(verb, key, act, times))

    def refuse(
        self,
        verb: str,
        key: str = "*",
        error: Callable[[], Exception] = denied,
        times: int | None = None,
    ) -> None:
        """Answer requests with an error."""

        def act(call: Call) -> None:
            raise error()

        self.before(verb, act, key, times)

    def recover(self) -> None:
        """Answer all requests from now on, and forget those made so far."""
        self._rules.clear()
        self.bucket.lose = lambda call: None
        self.forget()


def name_in_this_process(name: str) -> str:
    """Return what this process takes for the published name of a file."""
    storage: Any = staticfiles_storage
    stored: str = storage.stored_name(name)
    return stored


def write_site(tree: StaticTree) -> None:
    """Write ``FILES``."""
    for name, content in FILES.items():
        tree.write(name, content)


def make_folder(path: Path) -> Path:
    """Make a folder and return it."""
    path.mkdir(parents=True)
    return path
