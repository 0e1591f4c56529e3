"""The bases of strategies, as the strategies of users extend them."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.cache import cache, caches
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.test import override_settings

from collectfasta.errors import StoreError
from collectfasta.source import SourceFile
from collectfasta.strategies.base import (
    CachingHashStrategy,
    DisabledStrategy,
    HashStrategy,
    Strategy,
    load_strategy,
)
from tests.unit.caches import CountingCache, caches_of
from tests.unit.helpers import each_storage, in_memory

CONTENT = b"body { color: red }" * 100
MD5 = hashlib.md5(CONTENT).hexdigest()


def md5_of_gzip_file(content: bytes) -> str:
    buffer = io.BytesIO()
    with gzip.GzipFile(mode="wb", fileobj=buffer, mtime=0.0) as compressor:
        compressor.write(content)
    return hashlib.md5(buffer.getvalue()).hexdigest()


class PlainStrategy(Strategy[Storage]):
    """A strategy that implements what it has to."""

    def should_copy_file(self, path: str, prefixed_path: str, local_storage: Storage) -> bool:
        return True


class DictStrategy(HashStrategy[Storage]):
    """A strategy whose remote checksums are in a dictionary.

    Attributes:
        remote: The checksums by prefixed path.
        asked: The prefixed paths that were asked for.
    """

    def __init__(self, remote: Mapping[str, str] | None = None) -> None:
        super().__init__(InMemoryStorage())
        self.remote = dict(remote or {})
        self.asked: list[str] = []

    def get_remote_file_hash(self, prefixed_path: str) -> str | None:
        self.asked.append(prefixed_path)
        return self.remote.get(prefixed_path)


class CachingDictStrategy(DictStrategy, CachingHashStrategy[Storage]):
    """The same with a cache."""


class TestHashStrategy:
    def test_a_file_is_sent_unless_the_remote_has_its_checksum(
        self, subtests: pytest.Subtests
    ) -> None:
        remote_rows: list[tuple[dict[str, str], bool]] = [
            ({}, True),
            ({"prefix/a.css": "other"}, True),
            ({"prefix/a.css": MD5}, False),
        ]
        each_strategy_class: list[type[DictStrategy]] = [DictStrategy, CachingDictStrategy]
        for remote, expected in remote_rows:
            for strategy_class in each_strategy_class:
                with subtests.test(remote=remote, expected=expected, strategy_class=strategy_class):
                    storage = in_memory({"a.css": CONTENT})
                    strategy = strategy_class(remote)
                    assert strategy.should_copy_file("a.css", "prefix/a.css", storage) is expected

    def test_the_local_checksum_is_the_md5_of_the_content(self) -> None:
        assert DictStrategy().get_local_file_hash("a.css", in_memory({"a.css": CONTENT})) == MD5

    def test_the_local_checksum_is_that_of_now(self) -> None:
        storage = in_memory({"a.css": b"before"})
        strategy = DictStrategy()
        strategy.get_local_file_hash("a.css", storage)
        storage.delete("a.css")
        storage.save("a.css", ContentFile(CONTENT))
        assert strategy.get_local_file_hash("a.css", storage) == MD5

    @pytest.mark.parametrize("strategy_class", [DictStrategy, CachingDictStrategy])
    def test_with_gzip_the_checksum_is_that_of_the_compressed_content(
        self, strategy_class: type[DictStrategy]
    ) -> None:
        strategy = strategy_class()
        strategy.use_gzip = True
        local = strategy.get_local_file_hash("a.css", in_memory({"a.css": CONTENT}))
        assert local == md5_of_gzip_file(CONTENT)

    @pytest.mark.parametrize("name", ["a.png", "a.unknown", "a"])
    def test_with_gzip_the_checksum_of_other_content_types_is_that_of_the_content(
        self, name: str
    ) -> None:
        strategy = DictStrategy()
        strategy.use_gzip = True
        assert strategy.get_local_file_hash(name, in_memory({name: CONTENT})) == MD5

    def test_the_content_types_to_compress_are_those_of_the_setting(self) -> None:
        strategy = DictStrategy()
        strategy.use_gzip = True
        with override_settings(GZIP_CONTENT_TYPES=("image/png",)):
            local = strategy.get_local_file_hash("a.png", in_memory({"a.png": CONTENT}))
        assert local == md5_of_gzip_file(CONTENT)

    def test_a_compression_of_ones_own_decides(self) -> None:
        class BrotliStrategy(DictStrategy):
            use_gzip = True

            def get_gzipped_local_file_hash(
                self, uncompressed_file_hash: str, path: str, contents: str | bytes
            ) -> str:
                return f"{uncompressed_file_hash} {path} {len(contents)}"

        local = BrotliStrategy().get_local_file_hash("a.css", in_memory({"a.css": CONTENT}))
        assert local == f"{MD5} a.css {len(CONTENT)}"

    @pytest.mark.parametrize("contents", [CONTENT, CONTENT.decode()])
    def test_text_and_bytes_have_the_same_compressed_checksum(self, contents: str | bytes) -> None:
        found = DictStrategy().get_gzipped_local_file_hash(MD5, "a.css", contents)
        assert found == md5_of_gzip_file(CONTENT)

    def test_a_missing_local_file_is_an_os_error(self) -> None:
        with pytest.raises(OSError, match=r"a\.css"):
            DictStrategy().should_copy_file("a.css", "a.css", in_memory({}))


def is_sent(
    strategy: Strategy[Any], name: str = "a.css", content: bytes = CONTENT, prefix: str = ""
) -> bool:
    """Ask a strategy whether a file with this content is to be sent."""
    return strategy.should_copy_file(name, prefix + name, in_memory({name: content}))


def after_sending(strategy: Strategy[Any], content: bytes = CONTENT, prefix: str = "") -> None:
    """Tell a strategy that a file with this content was sent."""
    strategy.post_copy_hook("a.css", f"{prefix}a.css", in_memory({"a.css": content}))


class TestCachingHashStrategy:
    def test_a_key_is_the_prefix_and_32_hexadecimal_digits(self) -> None:
        with override_settings(COLLECTFASTA_CACHE_KEY_PREFIX="mine_"):
            key = CachingDictStrategy().get_cache_key("a.css")
        assert key == f"mine_{hashlib.md5(b'a.css').hexdigest()}"

    def test_a_name_that_is_not_unicode_has_a_key(self) -> None:
        # As os.listdir() gives names of bytes that are not UTF-8.
        keys = {CachingDictStrategy().get_cache_key(f"{c}.css") for c in ("\udcff", "\udcfe")}
        assert len(keys) == 2

    def test_the_remote_is_asked_once(self) -> None:
        strategy = CachingDictStrategy({"a.css": MD5})
        assert [is_sent(strategy), is_sent(strategy)] == [False, False]
        assert strategy.asked == ["a.css"]

    def test_another_run_trusts_the_cache(self) -> None:
        is_sent(CachingDictStrategy({"a.css": MD5}))
        strategy = CachingDictStrategy({"a.css": "changed by somebody else"})
        assert not is_sent(strategy)
        assert strategy.asked == []

    def test_what_was_sent_is_remembered(self) -> None:
        after_sending(CachingDictStrategy())
        strategy = CachingDictStrategy()
        assert not is_sent(strategy)
        assert strategy.asked == []

    def test_a_change_of_the_source_is_sent(self) -> None:
        after_sending(CachingDictStrategy(), b"before")
        assert is_sent(CachingDictStrategy())

    def test_what_is_about_to_be_replaced_is_forgotten(self) -> None:
        after_sending(CachingDictStrategy(), b"before")
        is_sent(CachingDictStrategy())
        # The run ends before it is sent, and the next one finds the source as it was.
        strategy = CachingDictStrategy()
        is_sent(strategy, content=b"before")
        assert strategy.asked == ["a.css"]

    def test_what_the_remote_does_not_have_is_not_remembered(self) -> None:
        is_sent(CachingDictStrategy())
        assert not is_sent(CachingDictStrategy({"a.css": MD5}))

    def test_the_same_path_under_two_prefixes_has_two_checksums(self) -> None:
        strategy = CachingDictStrategy()
        after_sending(strategy, b"one", prefix="one/")
        after_sending(strategy, b"two", prefix="two/")
        assert not is_sent(strategy, content=b"one", prefix="one/")
        assert not is_sent(strategy, content=b"two", prefix="two/")
        assert strategy.asked == []

    def test_an_invalidated_checksum_is_asked_for_again(self) -> None:
        strategy = CachingDictStrategy({"a.css": MD5})
        strategy.get_cached_remote_file_hash("a.css", "a.css")
        strategy.invalidate_cached_hash("a.css")
        strategy.get_cached_remote_file_hash("a.css", "a.css")
        assert strategy.asked == ["a.css", "a.css"]

    def test_the_cached_checksum_of_nothing_is_none(self) -> None:
        assert CachingDictStrategy().get_cached_remote_file_hash("a.css", "a.css") is None

    def test_keys_of_ones_own_are_used(self) -> None:
        class ReleaseStrategy(CachingDictStrategy):
            def get_cache_key(self, path: str) -> str:
                return f"release-7-{path}"

        after_sending(ReleaseStrategy())
        assert cache.get("release-7-a.css") == MD5

    def test_the_cache_that_the_setting_names_is_used(self) -> None:
        locmem = "django.core.cache.backends.locmem.LocMemCache"
        both = {
            "default": {"BACKEND": locmem, "LOCATION": "default"},
            "static": {"BACKEND": locmem, "LOCATION": "static"},
        }
        with override_settings(CACHES=both, COLLECTFASTA_CACHE="static"):
            after_sending(CachingDictStrategy())
            caches["default"].clear()
            assert not is_sent(CachingDictStrategy())

    def test_a_value_of_somebody_else_is_a_miss(self) -> None:
        strategy = CachingDictStrategy({"a.css": MD5})
        cache.set(strategy.get_cache_key("a.css"), {"a": 1})
        assert not is_sent(strategy)
        assert strategy.asked == ["a.css"]

    def test_the_compressed_checksum_is_remembered_by_that_of_the_content(self) -> None:
        strategy = CachingDictStrategy()
        strategy.use_gzip = True
        cache.set(strategy.get_cache_key(f"gzip_hash_{MD5}"), "remembered")
        local = strategy.get_local_file_hash("a.css", in_memory({"a.css": CONTENT}))
        assert local == "remembered"

    def test_the_compressed_checksum_is_worked_out_once(self, counting: CountingCache) -> None:
        strategy = CachingDictStrategy()
        first = strategy.get_gzipped_local_file_hash(MD5, "a.css", CONTENT)
        assert strategy.get_gzipped_local_file_hash(MD5, "a.css", b"not read") == first
        assert counting.trips["set"] == 1


class TestDryRun:
    @pytest.mark.parametrize("is_gzipped", [False, True])
    @pytest.mark.parametrize("remote", [{}, {"a.css": "other"}, {"a.css": MD5}], ids=str)
    def test_no_question_writes_an_entry(
        self, counting: CountingCache, remote: dict[str, str], is_gzipped: bool
    ) -> None:
        strategy = CachingDictStrategy(remote)
        strategy.dry_run = True
        strategy.use_gzip = is_gzipped
        is_sent(strategy)
        assert set(counting.trips) == {"get"}

    def test_nothing_is_forgotten(self) -> None:
        after_sending(CachingDictStrategy(), b"before")
        strategy = CachingDictStrategy()
        strategy.dry_run = True
        assert is_sent(strategy)
        assert not is_sent(CachingDictStrategy(), content=b"before")

    @pytest.mark.parametrize("remote", [{}, {"a.css": "other"}, {"a.css": MD5}], ids=str)
    def test_the_answer_is_that_of_a_real_run(self, remote: dict[str, str]) -> None:
        strategy = CachingDictStrategy(remote)
        strategy.dry_run = True
        assert is_sent(strategy) == is_sent(CachingDictStrategy(remote))


class TestFailingCache:
    @pytest.fixture(autouse=True)
    def _down(self) -> Iterator[None]:
        with override_settings(CACHES=caches_of("DownCache")):
            yield

    @pytest.mark.parametrize("remote", [{}, {"a.css": "other"}, {"a.css": MD5}], ids=str)
    def test_the_remote_answers_instead(self, remote: dict[str, str]) -> None:
        assert is_sent(CachingDictStrategy(remote)) == is_sent(DictStrategy(remote))

    def test_the_compressed_checksum_is_worked_out(self) -> None:
        found = CachingDictStrategy().get_gzipped_local_file_hash(MD5, "a.css", CONTENT)
        assert found == md5_of_gzip_file(CONTENT)

    def test_it_is_one_warning_in_a_run(self, caplog: pytest.LogCaptureFixture) -> None:
        strategy = CachingDictStrategy()
        for name in ("a.css", "b.css"):
            is_sent(strategy, name)
        after_sending(strategy)
        strategy.invalidate_cached_hash("a.css")
        assert len(caplog.records) == 1
        assert "CacheDownError" in caplog.text

    def test_the_warning_does_not_tell_what_the_client_says(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        is_sent(CachingDictStrategy())
        assert "cache.internal" not in caplog.text


class RenamingStorage(InMemoryStorage):
    """A storage that takes a name of its own for whatever it saves."""

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        return super().save(f"my-{name}", content, max_length)


class MissingError(Exception):
    """What a storage raises for the deletion of what is not there."""


class StrictStorage(InMemoryStorage):
    """A storage that raises for the deletion of what is not there."""

    def delete(self, name: str) -> None:
        if not self.exists(name):
            raise MissingError(name)
        super().delete(name)


class StrictStrategy(PlainStrategy):
    """A strategy that knows what its storage raises."""

    delete_not_found_exception: ClassVar[tuple[type[Exception], ...]] = (MissingError,)


def content_of(storage: Storage, name: str) -> bytes:
    with storage.open(name) as opened:
        content: bytes = opened.read()
        return content


class TestUpload:
    @each_storage
    def test_a_file_is_saved_over_what_is_there(
        self, tmp_path: Path, make: Callable[[Path], Storage]
    ) -> None:
        storage = make(tmp_path)
        storage.save("a.css", ContentFile(b"before"))
        strategy = PlainStrategy(storage)
        with strategy.store.exact_names():
            strategy.upload(SourceFile("b.css", "a.css", in_memory({"b.css": CONTENT})))
        assert content_of(storage, "a.css") == CONTENT
        assert storage.listdir("") == ([], ["a.css"])

    @each_storage
    def test_afterwards_the_storage_takes_another_name_again(
        self, tmp_path: Path, make: Callable[[Path], Storage]
    ) -> None:
        storage = make(tmp_path)
        storage.save("a.css", ContentFile(b"before"))
        with PlainStrategy(storage).store.exact_names():
            pass
        assert storage.save("a.css", ContentFile(b"after")) != "a.css"

    @each_storage
    def test_so_it_does_after_an_error(
        self, tmp_path: Path, make: Callable[[Path], Storage]
    ) -> None:
        storage = make(tmp_path)
        storage.save("a.css", ContentFile(b"before"))
        with pytest.raises(MissingError), PlainStrategy(storage).store.exact_names():
            raise MissingError
        assert storage.save("a.css", ContentFile(b"after")) != "a.css"

    def test_a_storage_that_saves_under_another_name_is_an_error(self) -> None:
        strategy = PlainStrategy(RenamingStorage())
        source = SourceFile("a.css", "a.css", in_memory({"a.css": CONTENT}))
        with pytest.raises(ValueError, match=r"'my-a\.css'"), strategy.store.exact_names():
            strategy.upload(source)

    def test_the_target_storage_is_used_and_wrapped_once(self) -> None:
        wrapped = InMemoryStorage()
        calls = []

        class WrappingStrategy(PlainStrategy):
            def wrap_storage(self, remote_storage: Storage) -> Storage:
                calls.append(remote_storage)
                return wrapped

        original = InMemoryStorage()
        strategy = WrappingStrategy(original)
        strategy.upload(SourceFile("a.css", "a.css", in_memory({"a.css": CONTENT})))
        strategy.upload(SourceFile("a.css", "b.css", in_memory({"a.css": CONTENT})))
        assert wrapped.listdir("") == ([], ["a.css", "b.css"])
        assert calls == [original]


class TestDefaults:
    def test_a_storage_is_not_listed(self) -> None:
        assert PlainStrategy(InMemoryStorage()).list_remote(["a.css"]) is None

    def test_nothing_is_remembered(self) -> None:
        assert PlainStrategy(InMemoryStorage()).store.identity is None

    def test_the_target_is_called_by_its_class(self) -> None:
        assert PlainStrategy(InMemoryStorage()).store.url == "InMemoryStorage"

    def test_requests_are_not_counted(self) -> None:
        assert PlainStrategy(InMemoryStorage()).store.requests is None

    def test_files_are_sent_inline(self) -> None:
        assert PlainStrategy(InMemoryStorage()).store.default_threads == 0

    def test_arguments_are_not_changed(self) -> None:
        task = ("a.css", "prefix/a.css", InMemoryStorage())
        assert PlainStrategy(InMemoryStorage()).copy_args_hook(task) == task

    def test_there_is_no_second_pass(self) -> None:
        assert PlainStrategy(InMemoryStorage()).second_pass_strategy() is None

    def test_files_are_deleted(self) -> None:
        storage = in_memory({"a.css": b"x", "b.css": b"x", "css/c.css": b"x"})
        PlainStrategy(storage).delete_files(["a.css", "css/c.css"])
        assert storage.listdir("")[1] == ["b.css"]
        assert storage.listdir("css")[1] == []

    def test_the_deletion_of_nothing_is_no_error(self) -> None:
        storage = StrictStorage()
        storage.save("b.css", ContentFile(b"x"))
        StrictStrategy(storage).delete_files(["a.css", "b.css"])
        assert storage.listdir("") == ([], [])

    def test_another_error_of_a_deletion_is_raised(self) -> None:
        with pytest.raises(MissingError):
            PlainStrategy(StrictStorage()).delete_files(["a.css"])

    def test_all_files_under_the_location_are_stored_ones(self, tmp_path: Path) -> None:
        storage = FileSystemStorage(tmp_path)
        names = ["a.css", "css/a.css", "css/dark/a.css"]
        for name in names:
            storage.save(name, ContentFile(b"x"))
        stored = PlainStrategy(storage).list_stored()
        assert stored is not None
        assert sorted(each.name for each in stored) == names

    def test_a_location_that_does_not_exist_holds_nothing(self, tmp_path: Path) -> None:
        stored = PlainStrategy(FileSystemStorage(tmp_path / "missing")).list_stored()
        assert stored is not None
        assert list(stored) == []

    def test_without_a_location_it_can_not_be_told_what_is_stored(self) -> None:
        assert PlainStrategy(Storage()).list_stored() is None


class TestDisabledStrategy:
    def test_whoever_asks_it_has_made_a_mistake(self) -> None:
        strategy = DisabledStrategy(InMemoryStorage())
        with pytest.raises(NotImplementedError):
            strategy.should_copy_file("a.css", "a.css", InMemoryStorage())
        with pytest.raises(NotImplementedError):
            strategy.pre_should_copy_hook()


class Outer:
    class InnerStrategy(PlainStrategy):
        """A strategy within a class."""


class TestLoadStrategy:
    @pytest.mark.parametrize("name", ["PlainStrategy", "Outer.InnerStrategy"])
    def test_a_dotted_path_gives_the_class(self, name: str) -> None:
        assert load_strategy(f"{__name__}.{name}").__qualname__ == name

    def test_a_class_gives_itself(self) -> None:
        assert load_strategy(PlainStrategy) is PlainStrategy

    def test_a_path_to_nothing_is_named(self, subtests: pytest.Subtests) -> None:
        rows: list[str] = [
            "missing.Strategy",
            "nodots",
            "",
            f"{__name__}.Missing",
            "collectfasta.missing.X",
        ]
        for path in rows:
            with subtests.test(path=path):
                with pytest.raises(ImproperlyConfigured) as raised:
                    load_strategy(path)
                assert repr(path) in str(raised.value)

    def test_what_a_strategys_module_lacks_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "package_of_a_user"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "strategy.py").write_text("import an_sdk_that_is_missing")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ImproperlyConfigured, match="No module named 'an_sdk_that_is_missing'"):
            load_strategy("package_of_a_user.strategy.Strategy")

    def test_what_is_no_strategy_is_named(self, subtests: pytest.Subtests) -> None:
        rows: list[object] = [
            f"{__name__}.MissingError",
            f"{__name__}.CONTENT",
            __name__,
            int,
            None,
            1,
        ]
        for what in rows:
            with subtests.test(what=what):
                with pytest.raises(ImproperlyConfigured) as raised:
                    load_strategy(what)
                assert repr(what) in str(raised.value)
                assert "collectfasta.strategies.Strategy" in str(raised.value)

    def test_an_instance_is_no_strategy(self) -> None:
        with pytest.raises(ImproperlyConfigured):
            load_strategy(PlainStrategy(InMemoryStorage()))

    def test_a_module_that_fails_is_named_with_its_cause(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "strategy_that_lacks.py").write_text("import a_library_that_is_missing\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ImproperlyConfigured) as raised:
            load_strategy("strategy_that_lacks.Strategy")
        assert "'strategy_that_lacks.Strategy'" in str(raised.value)
        assert "a_library_that_is_missing" in str(raised.value)


def test_a_strategy_that_lacks_its_method_can_not_be_made() -> None:
    class Nothing(HashStrategy[Storage]):
        pass

    make: Any = Nothing
    with pytest.raises(TypeError, match="get_remote_file_hash"):
        make(InMemoryStorage())


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (PermissionError(), False),
        (StoreError("busy", kind="503", transient=True), True),
        (StoreError("no", kind="403"), False),
    ],
)
def test_errors_of_sockets_are_transient_for_a_custom_strategy(
    error: Exception, transient: bool
) -> None:
    class CustomStrategy(Strategy[Storage]):
        def should_copy_file(self, *_: object) -> bool:
            return True

    assert CustomStrategy(InMemoryStorage()).is_passing(error) is transient
