"""Strategies of users, written for the Collectfasta 3 that this one replaces."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.cache import caches
from django.core.files.storage import InMemoryStorage, Storage

from collectfasta import settings
from collectfasta.strategies import Strategy
from collectfasta.strategies.base import CachingHashStrategy, HashStrategy
from collectfasta.strategies.boto3 import Boto3Strategy
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.s3 import S3Cloud

BACKEND = "tests.functional.test_custom_strategies.PlainStorage"


class PlainStorage(InMemoryStorage):
    """A storage that Collectfasta does not know; what it holds outlives its instances."""

    contents: ClassVar[dict[str, bytes]] = {}

    def _save(self, name: str, content: Any) -> str:
        self.contents[name] = content.read()
        return name

    def exists(self, name: str) -> bool:
        return name in self.contents

    def delete(self, name: str) -> None:
        del self.contents[name]


class OnlyShouldCopy(Strategy[PlainStorage]):
    """Copy what is not there, or is of another size."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        stored = self.remote_storage.contents.get(prefixed_path)
        return stored is None or len(stored) != local_storage.size(path)


class OnlyRemoteHash(HashStrategy[PlainStorage]):
    """Compare MD5s, as a user would for a storage that keeps them."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        try:
            return self.get_local_file_hash(prefixed_path, Reader(self.remote_storage.contents))
        except KeyError:
            return None


class CachedRemoteHash(CachingHashStrategy[PlainStorage], OnlyRemoteHash):
    """The same, with the checksums remembered."""

    asked: ClassVar[list[str]] = []

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        self.asked.append(prefixed_path)
        return super().get_remote_file_hash(prefixed_path)


class Hooked(OnlyShouldCopy):
    """Write down which hooks are called."""

    calls: ClassVar[list[tuple[str, ...]]] = []

    def pre_should_copy_hook(self) -> None:
        self.calls.append(("pre",))

    def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        self.calls.append(("post", path, prefixed_path))

    def on_skip_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
        self.calls.append(("skip", path, prefixed_path))

    def copy_args_hook(self, args: tuple[str, str, Storage]) -> tuple[str, str, Storage]:
        path, prefixed_path, storage = args
        return path, prefixed_path.replace("css/", "styles/"), storage


class Wrapped(OnlyShouldCopy):
    """Save to another storage than the one that is configured."""

    def wrap_storage(self, remote_storage: PlainStorage) -> PlainStorage:
        return LoudStorage()


class LoudStorage(PlainStorage):
    """A storage that changes what it is given."""

    def _save(self, name: str, content: Any) -> str:
        self.contents[name] = content.read().upper()
        return name


class ForcedStyles(Boto3Strategy):
    """Extend a strategy that comes with Collectfasta by a decision of one's own."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        if path.endswith("a.css"):
            return True
        return super().should_copy_file(path, prefixed_path, local_storage)


class FixedHash(Boto3Strategy):
    """Extend a strategy that comes with Collectfasta by a checksum of one's own."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        return (
            None if prefixed_path.endswith("a.css") else super().get_remote_file_hash(prefixed_path)
        )


class Reader(Storage):
    """Read what `PlainStorage` holds."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.memory = InMemoryStorage()
        self.contents = contents

    def _open(self, name: str, mode: str = "rb") -> Any:
        from django.core.files.base import ContentFile

        return ContentFile(self.contents[name])


CUSTOM = [OnlyShouldCopy, OnlyRemoteHash, CachedRemoteHash]


@pytest.fixture(autouse=True)
def _forget() -> None:
    PlainStorage.contents.clear()
    CachedRemoteHash.asked.clear()
    Hooked.calls.clear()


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in ("css/a.css", "css/b.css", "css/c.css"):
        static_tree.write(name, name.encode())
    return static_tree


class Nowhere(FileSystemCloud):
    """A target without options, for `PlainStorage`."""

    backend = BACKEND

    def options(self, **more: Any) -> dict[str, Any]:
        return more


@pytest.fixture
def nowhere(tmp_path: Any) -> Any:
    with Nowhere(tmp_path / "nowhere") as cloud:
        yield cloud


@pytest.mark.parametrize("threads", [0, 8])
@pytest.mark.parametrize("strategy", CUSTOM)
class TestStrategyOfAUser:
    def test_sends_everything_to_an_empty_storage(
        self,
        nowhere: Nowhere,
        tree: StaticTree,
        collectstatic: CollectStatic,
        strategy: type,
        threads: int,
    ) -> None:
        collectstatic(nowhere, strategy=strategy, threads=threads)

        assert PlainStorage.contents == {name: name.encode() for name in tree.names()}

    def test_sends_nothing_that_is_there(
        self,
        nowhere: Nowhere,
        tree: StaticTree,
        collectstatic: CollectStatic,
        strategy: type,
        threads: int,
    ) -> None:
        collectstatic(nowhere, strategy=strategy, threads=threads)

        run = collectstatic(nowhere, strategy=strategy, threads=threads)

        assert "0 static files copied, 3 unmodified." in run.stdout

    def test_replaces_a_changed_file_under_its_own_name(
        self,
        nowhere: Nowhere,
        tree: StaticTree,
        collectstatic: CollectStatic,
        strategy: type,
        threads: int,
    ) -> None:
        collectstatic(nowhere, strategy=strategy, threads=threads)
        tree.write("css/a.css", b"changed it")

        run = collectstatic(nowhere, strategy=strategy, threads=threads)

        assert PlainStorage.contents["css/a.css"] == b"changed it"
        assert len(PlainStorage.contents) == 3
        assert "1 static file copied, 2 unmodified." in run.stdout

    def test_writes_nothing_in_a_dry_run(
        self,
        nowhere: Nowhere,
        tree: StaticTree,
        collectstatic: CollectStatic,
        strategy: type,
        threads: int,
    ) -> None:
        run = collectstatic(nowhere, strategy=strategy, threads=threads, dry_run=True)

        assert PlainStorage.contents == {}
        assert caches["default"]._cache == {}  # type: ignore[attr-defined]
        assert "3 static files copied." in run.stdout


def test_a_caching_strategy_trusts_its_cache(
    nowhere: Nowhere, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(nowhere, strategy=CachedRemoteHash)
    CachedRemoteHash.asked.clear()
    PlainStorage.contents.clear()

    collectstatic(nowhere, strategy=CachedRemoteHash)

    assert CachedRemoteHash.asked == []
    assert PlainStorage.contents == {}


@pytest.mark.parametrize("threads", [0, 8])
def test_hooks_are_called_for_each_file(
    nowhere: Nowhere, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    PlainStorage.contents["styles/a.css"] = b"css/a.css"

    collectstatic(nowhere, strategy=Hooked, threads=threads)

    assert sorted(Hooked.calls) == [
        ("post", "css/b.css", "styles/b.css"),
        ("post", "css/c.css", "styles/c.css"),
        ("pre",),
        ("pre",),
        ("pre",),
        ("skip", "css/a.css", "styles/a.css"),
    ]


def test_the_target_storage_is_saved_to(
    nowhere: Nowhere, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(nowhere, strategy=Wrapped)

    assert PlainStorage.contents["css/a.css"] == b"CSS/A.CSS"


@pytest.mark.parametrize("strategy", [ForcedStyles, FixedHash])
@pytest.mark.parametrize("threads", [0, 8])
def test_a_strategy_that_extends_ours_decides(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int, strategy: type
) -> None:
    collectstatic(s3, strategy=strategy, threads=threads)
    caches["default"].clear()
    s3.clear_requests()

    run = collectstatic(s3, strategy=strategy, threads=threads)

    assert "1 static file copied, 2 unmodified." in run.stdout
    assert s3.counts() == {"LIST": 1, "PUT": 1}


def test_a_strategy_without_a_number_of_threads_works_inline(
    nowhere: Nowhere, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    assert settings.threads is None
    assert OnlyShouldCopy.default_threads == 0
