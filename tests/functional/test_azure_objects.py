"""What a deploy to Azure Blob Storage leaves in the container: names, bytes and headers."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from azure.storage.blob import BlobBlock
from django.core.cache import cache
from django.core.files.base import ContentFile, File
from django.core.management.base import CommandError
from storages.backends.azure_storage import AzureStorage

from tests.conftest import CollectStatic, StaticTree
from tests.servers.azurite import AzureServer
from tests.servers.clouds.azure import AzureCloud

MEGABYTE = 1024 * 1024
TEXT = b"body { color: red }\n" * 50


class PerObject(AzureStorage):
    """Decides by the name."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        if name.endswith(".css"):
            return {"cache_control": "no-cache", "content_type": "text/x-css"}
        return {}


class Uppercase(AzureStorage):
    """Has a way of saving of its own."""

    def _save(self, name: str, content: File[bytes]) -> str:
        saved: str = super()._save(name, ContentFile(content.read().upper()))
        return saved


@pytest.fixture
def other(azurite: AzureServer) -> Iterator[AzureCloud]:
    """Another empty container."""
    with AzureCloud(azurite) as cloud:
        yield cloud


def stored_md5(cloud: AzureCloud, key: str) -> str | None:
    """Return the MD5 that the container keeps of a blob, in hexadecimal."""
    settings = cloud.client.get_blob_client(key).get_blob_properties().content_settings
    return bytes(settings.content_md5).hex() if settings.content_md5 else None


def put_without_md5(cloud: AzureCloud, key: str, body: bytes) -> None:
    """Store a blob as other tools do that send it in blocks."""
    blob = cloud.client.get_blob_client(key)
    blob.stage_block("1", body)
    blob.commit_block_list([BlobBlock("1")])


@pytest.mark.parametrize(
    ("options", "threads"),
    [
        pytest.param({}, 0, id="plain"),
        pytest.param({"location": "a/b"}, 8, id="location"),
        pytest.param({"cache_control": "max-age=60", "overwrite_files": True}, 8, id="cache"),
        pytest.param(
            {
                "cache_control": "max-age=60",
                "object_parameters": {
                    "cache_control": "no-cache",
                    "content_disposition": "inline",
                    "content_language": "en",
                },
            },
            0,
            id="parameters",
        ),
    ],
)
def test_bytes_and_headers_are_those_of_djangos_own_deploy(
    azure: AzureCloud,
    other: AzureCloud,
    collectstatic: CollectStatic,
    static_tree: StaticTree,
    options: dict[str, Any],
    threads: int,
) -> None:
    for name in ("a.css", "b c+d%2F~#\u00fc.js", "e.svg", "f.unknown", "g.css.gz", "h/i", "j."):
        static_tree.write(name, TEXT + name.encode())
    static_tree.write("empty.css", b"")
    static_tree.write("large.txt", TEXT * 6000)

    collectstatic(azure, threads=threads, options=options)
    collectstatic(other, options=options, disable_collectfasta=True)

    assert len(azure.keys()) == 9
    assert azure.objects() == other.objects()


def test_parameters_of_a_subclass_go_by_the_name(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", TEXT)
    static_tree.write("a.js", TEXT)

    collectstatic(azure, backend=f"{__name__}.PerObject", options={"cache_control": "max-age=60"})

    assert azure.get("a.css").headers["cache-control"] == "no-cache"
    assert azure.get("a.css").headers["content-type"] == "text/x-css"
    assert azure.get("a.js").headers["cache-control"] == "max-age=60"
    assert azure.get("a.js").headers["content-type"] == "text/javascript"


def test_changed_parameters_are_a_change(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", TEXT)
    collectstatic(azure, options={"cache_control": "max-age=1"})

    collectstatic(azure, options={"cache_control": "max-age=2"})

    assert azure.get("a.css").headers["cache-control"] == "max-age=2"


# In one request, and in blocks of 4 MiB of which the last is full or is not.
@pytest.mark.parametrize("size", [0, 10, 4 * MEGABYTE, 8 * MEGABYTE, 9 * MEGABYTE + 1])
def test_every_blob_gets_its_md5_and_is_unmodified_afterwards(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, size: int
) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    static_tree.write("a.bin", content)

    collectstatic(azure)

    assert azure.get("a.bin").body == content
    assert stored_md5(azure, "a.bin") == hashlib.md5(content).hexdigest()
    cache.clear()
    azure.clear_requests()
    run = collectstatic(azure)
    assert "1 unmodified" in run.stdout
    assert azure.counts() == {"LIST": 1}


def test_a_large_file_is_never_held_in_memory(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("large.bin", bytes(48 * MEGABYTE))
    tracemalloc.start()
    try:
        collectstatic(azure, threads=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 24 * MEGABYTE
    properties = azure.client.get_blob_client("large.bin").get_blob_properties()
    assert properties.size == 48 * MEGABYTE


@pytest.mark.parametrize("threads", [0, 8])
def test_a_blob_without_md5_is_sent_once_and_then_known(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    for name in ("a.css", "b.css"):
        static_tree.write(name, TEXT)
        put_without_md5(azure, name, TEXT)
    assert stored_md5(azure, "a.css") is None

    first = collectstatic(azure, threads=threads)
    cache.clear()
    second = collectstatic(azure, threads=threads)

    assert "2 static files copied" in first.stdout
    assert "2 unmodified" in second.stdout


@pytest.mark.parametrize("threads", [0, 8])
@pytest.mark.parametrize("backend", [None, f"{__name__}.Uppercase"])
def test_changed_files_are_replaced_under_exact_names_where_the_storage_does_not_overwrite(
    azure: AzureCloud,
    collectstatic: CollectStatic,
    static_tree: StaticTree,
    threads: int,
    backend: str | None,
) -> None:
    for content in (b"1", b"2"):
        static_tree.write("a.css", content)
        static_tree.write("b/a.css", content)
        collectstatic(azure, threads=threads, backend=backend, options={"overwrite_files": False})

    assert {key: each.body for key, each in azure.objects().items()} == {
        "a.css": b"2",
        "b/a.css": b"2",
    }
    assert "DELETE" not in azure.counts()


@pytest.mark.parametrize("cold", [False, True])
def test_a_blob_replaced_by_others_is_replaced_again(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, cold: bool
) -> None:
    static_tree.write("a.css", b"ours")
    static_tree.write("b.css", b"ours")
    static_tree.write("c.css", b"ours")
    collectstatic(azure)
    azure.put("a.css", b"else")
    put_without_md5(azure, "b.css", b"else")
    azure.delete("c.css")
    if cold:
        cache.clear()

    collectstatic(azure)

    assert [each.body for each in azure.objects().values()] == [b"ours", b"ours", b"ours"]


def test_an_overridden_save_is_obeyed_and_what_it_has_stored_is_remembered(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", b"content")

    collectstatic(azure, backend=f"{__name__}.Uppercase")
    azure.clear_requests()
    collectstatic(azure, backend=f"{__name__}.Uppercase")

    assert azure.get("a.css").body == b"CONTENT"
    assert azure.counts() == {"LIST": 1}


class TestNamesThatAzureStrips:
    """The storage strips dots and slashes from both ends of a blob's name."""

    def test_are_found_again_where_they_were_put(
        self, azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        static_tree.write(".well-known/security.txt", TEXT)
        run: dict[str, Any] = {"use_default_ignore_patterns": False}
        collectstatic(azure, **run)
        cache.clear()
        azure.clear_requests()

        collectstatic(azure, **run)

        assert azure.keys() == ["well-known/security.txt"]
        assert azure.counts() == {"LIST": 1}

    def test_survive_clear(
        self, azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        static_tree.write("a.", TEXT)
        azure.put("static/left", b"left")

        collectstatic(azure, options={"location": "static"}, clear=True)

        assert azure.keys() == ["static/a"]

    def test_that_would_become_one_are_refused_before_anything_is_sent(
        self, azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        for name in (".well-known/a.txt", "well-known/a.txt", "c.css"):
            static_tree.write(name, name.encode())

        with pytest.raises(CommandError) as caught:
            collectstatic(azure, use_default_ignore_patterns=False)

        assert "'.well-known/a.txt'" in str(caught.value)
        assert "'well-known/a.txt'" in str(caught.value)
        assert azure.keys() == []
