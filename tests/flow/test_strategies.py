"""Strategies of users, written for the Collectfasta 3 that this one replaces."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from collectfasta.management.commands.collectstatic import Command
from collectfasta.strategies import Strategy
from collectfasta.strategies.base import CachingHashStrategy, HashStrategy
from tests.memory import FILES, MemoryStorage, MemoryStrategy, Site, invalid


class OnlyShouldCopy(Strategy[Any]):
    """Copy what is not there, or is of another size."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        exists = self.remote_storage.exists(prefixed_path)
        return not exists or self.remote_storage.size(prefixed_path) != local_storage.size(path)


class OnlyRemoteHash(HashStrategy[Any]):
    """Compare MD5s."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        try:
            return self.get_local_file_hash(prefixed_path, self.remote_storage)
        except FileNotFoundError:
            return None


class CachedRemoteHash(CachingHashStrategy[Any], OnlyRemoteHash):
    """The same, with the checksums cached."""

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


class Loud(MemoryStorage):
    """Changes what it is given."""

    def _save(self, name: str, content: Any) -> str:
        return super()._save(name, ContentFile(content.read().upper()))


class Wrapped(OnlyShouldCopy):
    """Save to another storage than the one that is configured."""

    def wrap_storage(self, remote_storage: Any) -> Any:
        return Loud(remote_storage.bucket)


class Renaming(MemoryStorage):
    """Does not overwrite: it takes another name for what exists."""

    get_available_name = Storage.get_available_name


class ForcedStyles(MemoryStrategy):
    """Extend one of ours by a decision."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        if path.endswith("a.css"):
            return True
        return super().should_copy_file(path, prefixed_path, local_storage)


class FixedHash(MemoryStrategy):
    """Extend one of ours by a checksum."""

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        if prefixed_path.endswith("a.css"):
            return None
        return super().get_remote_file_hash(prefixed_path)


class NamedHash(MemoryStrategy):
    """Extend one of ours by a checksum of the source."""

    def get_local_file_hash(self, path: str, local_storage: Storage) -> str:
        if path.endswith("a.css"):
            return "another"
        return super().get_local_file_hash(path, local_storage)


@pytest.fixture(autouse=True)
def _forget() -> None:
    CachedRemoteHash.asked.clear()
    Hooked.calls.clear()


@pytest.mark.parametrize("strategy", [OnlyShouldCopy, OnlyRemoteHash, CachedRemoteHash])
class TestStrategyOfAUser:
    def test_sends_everything_then_nothing_then_what_changed(
        self, site: Site, strategy: type, threads: int
    ) -> None:
        run = site.deploy(strategy=strategy, threads=threads)
        assert "4 static files copied." in run.stdout
        assert site.bodies() == FILES

        run = site.deploy(strategy=strategy, threads=threads)
        assert "0 static files copied, 4 unmodified." in run.stdout

        site.tree.write("css/a.css", b"changed it")
        run = site.deploy(strategy=strategy, threads=threads)
        assert "1 static file copied, 3 unmodified." in run.stdout
        assert site.bodies() == {**FILES, "css/a.css": b"changed it"}

    def test_writes_nothing_in_a_dry_run(self, site: Site, strategy: type, threads: int) -> None:
        run = site.deploy(strategy=strategy, threads=threads, dry_run=True)
        assert site.keys() == []
        assert caches["default"]._cache == {}  # type: ignore[attr-defined]
        assert "4 static files copied." in run.stdout

    def test_overwrites_though_its_storage_does_not(self, site: Site, strategy: type) -> None:
        site.deploy(strategy=strategy, storage=Renaming)
        site.tree.write("css/a.css", b"changed it")
        site.deploy(strategy=strategy, storage=Renaming)
        assert site.bodies() == {**FILES, "css/a.css": b"changed it"}
        assert site.called("DELETE") == []

    def test_names_all_files_that_fail(self, site: Site, strategy: type) -> None:
        site.refuse("PUT", "css/*", lambda: OSError("no space"))
        message = site.fail(strategy=strategy)
        assert message.startswith("2 files were not sent to MemoryStorage:")
        assert set(site.keys()) == {"img/a.png", "js/app.js"}

    def test_a_manifest_is_post_processed_by_the_storage_itself(
        self, manifest: Site, strategy: type
    ) -> None:
        run = manifest.deploy(strategy=strategy)
        assert "4 static files copied, 4 post-processed." in run.stdout
        assert manifest.bodies().items() >= manifest.expected().items()


def test_a_caching_strategy_trusts_its_cache(site: Site) -> None:
    site.deploy(strategy=CachedRemoteHash)
    CachedRemoteHash.asked.clear()
    site.bucket.objects.clear()

    site.deploy(strategy=CachedRemoteHash)

    assert CachedRemoteHash.asked == []
    assert site.keys() == []


def test_a_cache_that_is_down_changes_nothing_but_is_one_warning(
    site: Site, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    site.put("js/app.js", FILES["js/app.js"])
    settings = {"CACHES": {"default": {"BACKEND": "tests.unit.caches.DownCache"}}}

    run = site.deploy(strategy=CachedRemoteHash, threads=threads, settings=settings)

    assert "3 static files copied, 1 unmodified." in run.stdout
    assert len([each for each in caplog.records if each.name == "collectfasta"]) == 1


def test_hooks_are_called_for_each_file(site: Site, threads: int) -> None:
    site.put("styles/a.css", FILES["css/a.css"])

    site.deploy(strategy=Hooked, threads=threads)

    assert sorted(Hooked.calls) == [
        ("post", "css/b.css", "styles/b.css"),
        ("post", "img/a.png", "img/a.png"),
        ("post", "js/app.js", "js/app.js"),
        *[("pre",)] * 4,
        ("skip", "css/a.css", "styles/a.css"),
    ]


def test_hooks_of_ours_are_called_too(site: Site, threads: int) -> None:
    """By a mixin before one of our classes, and by one behind."""
    calls: list[str] = []

    class Before:
        def post_copy_hook(self, *args: Any) -> None:
            calls.append("before")
            super().post_copy_hook(*args)  # type: ignore[misc]

    class Behind(Strategy[Any]):
        def post_copy_hook(self, *args: Any) -> None:
            calls.append("behind")

    strategy = type("Mixed", (Before, MemoryStrategy, Behind), {})

    site.deploy(strategy=strategy, threads=threads)

    assert calls.count("before") == calls.count("behind") == 4


def test_a_hook_that_fails_is_the_failure_of_its_file(site: Site, threads: int) -> None:
    class Failing(MemoryStrategy):
        def post_copy_hook(self, path: str, prefixed_path: str, local_storage: Storage) -> None:
            if path == "js/app.js":
                raise ArithmeticError("in the hook")

    message = site.fail(strategy=Failing, threads=threads)

    assert message == (
        "1 file was not sent to memory://:\n  'js/app.js': ArithmeticError: in the hook"
    )


def test_an_error_of_a_question_is_told_by_its_file_before_anything_is_sent(
    site: Site, threads: int
) -> None:
    class Failing(OnlyShouldCopy):
        def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
            if path.startswith("css"):
                raise ArithmeticError("of its own")
            return True

    for full in (False, True):
        message = site.fail(strategy=Failing, threads=threads, traceback=full)
        assert message.startswith("Nothing was sent, because 2 of the files can't be compared:")
        assert message.count("ArithmeticError: of its own") == 2
        assert message.count("in should_copy_file") == (2 if full else 0)
    assert site.keys() == []


def test_the_target_storage_is_saved_to(site: Site) -> None:
    site.deploy(strategy=Wrapped)
    assert site.bodies()["js/app.js"] == b"LET APP;\n"


@pytest.mark.parametrize("strategy", [ForcedStyles, FixedHash, NamedHash])
def test_one_that_extends_ours_decides_by_one_listing(
    site: Site, threads: int, strategy: type
) -> None:
    site.deploy(strategy=strategy, threads=threads)
    caches["default"].clear()
    site.forget()

    run = site.deploy(strategy=strategy, threads=threads)

    assert "1 static file copied, 3 unmodified." in run.stdout
    assert site.counts() == {"LIST": 1, "PUT": 1}


def test_one_that_may_not_list_asks_for_each(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.deploy()
    site.refuse("LIST")
    site.forget()

    run = site.deploy(strategy=ForcedStyles)

    assert "1 static file copied, 3 unmodified." in run.stdout
    assert site.counts() == {"LIST": 1, "HEAD": 3, "PUT": 1}
    assert len(caplog.records) == 1


def test_a_storage_that_saves_under_another_name_is_a_failure(site: Site) -> None:
    message = site.fail(storage=Prefixing, strategy=OnlyShouldCopy)
    assert message.count("its save() has to keep names") == 4


class Prefixing(MemoryStorage):
    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        return super().save(f"my-{name}", content, max_length)


class Strict(MemoryStorage):
    """Raises for the deletion of what is not there."""

    def delete(self, name: str) -> None:
        super().delete(name)
        raise LookupError(name)


def test_what_a_storage_raises_for_missing_files_is_the_strategys_to_know(site: Site) -> None:
    class Knowing(OnlyShouldCopy):
        delete_not_found_exception = (LookupError,)

    site.location = "static"
    for strategy, is_known in ((Knowing, True), (OnlyShouldCopy, False)):
        site.put("static/old.css")
        options: dict[str, Any] = {"storage": Strict, "strategy": strategy, "prune": True}
        if is_known:
            site.deploy(**options)
        else:
            with pytest.raises(LookupError):
                site.deploy(**options)


def test_load_strategy_can_be_replaced(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(MemoryStrategy):
        pass

    monkeypatch.setattr(Command, "_load_strategy", staticmethod(lambda: Mine))
    assert "Mine: 4 objects" in site.deploy(strategy=None).stdout


def test_a_storage_without_a_strategy_is_left_to_django(site: Site) -> None:
    settings = {
        "STORAGES": {"staticfiles": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    }
    run = site.deploy(strategy=None, settings=settings, verbosity=2)
    assert "no strategy for InMemoryStorage: Django's own way is taken." in run.stdout
    run = site.deploy(strategy=None, settings=settings)
    assert run.stdout == "\n4 static files copied.\n"


def test_failures_of_a_users_strategy_are_in_one_list_with_ours(site: Site) -> None:
    class Mixed(MemoryStrategy):
        def upload(self, source: Any) -> Any:
            if source.name == "img/a.png":
                raise ArithmeticError("of its own")
            return super().upload(source)

    site.refuse("PUT", "js/*", invalid)

    assert site.fail(strategy=Mixed).splitlines()[1:] == [
        "  'img/a.png': ArithmeticError: of its own",
        "  'js/app.js': 400: not so",
    ]
