"""Which requests a deploy to Azure Blob Storage takes, counted at the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from django.core.cache import cache

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.azure import AzureCloud

MEGABYTE = 1024 * 1024


def listed_prefixes(cloud: AzureCloud) -> list[str]:
    """Return the prefix of each listing, "" where there is none."""
    queries = (parse_qs(each.query) for each in cloud.requests if cloud.kind(each) == "LIST")
    return [query.get("prefix", [""])[0] for query in queries]


def deploy(collectstatic: CollectStatic, cloud: AzureCloud, **options: Any) -> dict[str, int]:
    """Run the command and return the requests that it took."""
    cloud.clear_requests()
    collectstatic(cloud, **options)
    return dict(cloud.counts())


@pytest.mark.parametrize("threads", [0, 8])
def test_200_files_take_a_put_each_and_then_one_listing_a_deploy(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    for number in range(200):
        static_tree.write(f"{number % 7}/{number}.css", b"%d" % number)
    run: dict[str, Any] = {"threads": threads, "options": {"location": "static"}}

    first = deploy(collectstatic, azure, **run)
    warm = deploy(collectstatic, azure, **run)
    cache.clear()
    cold = deploy(collectstatic, azure, **run)
    static_tree.write("0/0.css", b"X")
    changed = deploy(collectstatic, azure, **run)

    assert first == {"LIST": 1, "PUT": 200}
    assert warm == cold == {"LIST": 1}
    assert changed == {"LIST": 1, "PUT": 1}
    assert azure.get("static/0/0.css").body == b"X"


def test_the_command_tells_the_number_of_requests(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("css/a.css", b"a")
    static_tree.write("css/b.css", b"b")

    run = collectstatic(azure)

    assert len(azure.requests) == 3
    assert "2 objects (2 bytes) sent to azure://" in run.stdout
    assert ", 3 requests," in run.stdout


def test_ids_of_requests_are_random(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    """What the SDK makes of time and place, libuuid opens a file for in each thread."""
    for number in range(20):
        static_tree.write(f"{number}.css", b"%d" % number)

    collectstatic(azure, threads=4)

    ids = [UUID(each.headers["x-ms-client-request-id"]) for each in azure.requests]
    assert {each.version for each in ids} == {4}
    assert len({*ids}) == len(ids) == 21


@pytest.mark.parametrize("location", ["static", "static/", "a/b"])
def test_only_what_is_under_the_location_is_listed(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, location: str
) -> None:
    static_tree.write("vendor/static/app.js", b"1")
    azure.put("static-old/vendor/static/app.js", b"1")

    collectstatic(azure, options={"location": location})

    folder = location.rstrip("/")
    assert listed_prefixes(azure) == [f"{folder}/"]
    assert azure.keys() == sorted(
        [f"{folder}/vendor/static/app.js", "static-old/vendor/static/app.js"]
    )
    assert deploy(collectstatic, azure, options={"location": location}) == {"LIST": 1}


class TestWithoutALocation:
    """The container may hold much that is not the deploy's."""

    @pytest.mark.parametrize(
        ("there", "copied"), [((), 4), (("admin/a.css", "favicon.ico", "media/a.png"), 2)]
    )
    def test_what_one_answer_holds_takes_one_listing(
        self,
        azure: AzureCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        there: tuple[str, ...],
        copied: int,
    ) -> None:
        for name in there:
            azure.put(name, b"1")
        for name in ("admin/a.css", "admin/css/b.css", "favicon.ico", "site/c.css"):
            static_tree.write(name, b"1")

        run = collectstatic(azure, dry_run=True)

        assert azure.counts() == {"LIST": 1}
        assert f"{copied} static files copied" in run.stdout

    @pytest.fixture
    def full(self, azure: AzureCloud, monkeypatch: pytest.MonkeyPatch) -> AzureCloud:
        """A container whose first page, of four blobs, ends with the first of two in "css"."""
        monkeypatch.setattr("collectfasta.strategies.azure_listing._PAGE", 4)
        names = ("a.css", "archive/1", "archive/2", "css/1.css", "css/2.css", "favicon.ico")
        for name in (*names, *(f"media/{number}" for number in range(9)), "site/a.css"):
            azure.put(name, b"1")
        return azure

    @pytest.mark.parametrize("threads", [0, 8])
    def test_beyond_one_answer_only_the_folders_with_the_rest_are_listed(
        self, full: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
    ) -> None:
        for name in ("a.css", "css/1.css", "css/2.css", "favicon.ico", "new/a.css", "site/a.css"):
            static_tree.write(name, b"1")

        run = collectstatic(full, threads=threads, dry_run=True)

        assert "1 static file copied" in run.stdout
        assert "5 unmodified" in run.stdout
        first, *others = listed_prefixes(full)
        assert first == ""
        assert sorted(others) == ["css/", "favicon.ico", "new/", "site/"]

    def test_beyond_one_answer_nothing_is_listed_where_it_has_all(
        self, full: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
    ) -> None:
        for name in ("a.css", "css/1.css"):
            static_tree.write(name, b"1")

        run = collectstatic(full)

        assert "2 unmodified" in run.stdout
        assert full.counts() == {"LIST": 1}

    @pytest.mark.parametrize(("folders", "prefixes"), [(50, 51), (51, 1)])
    def test_more_than_50_folders_are_listed_at_once(
        self,
        full: AzureCloud,
        collectstatic: CollectStatic,
        static_tree: StaticTree,
        folders: int,
        prefixes: int,
    ) -> None:
        for number in range(folders - 1):
            static_tree.write(f"new-{number}/a.css", b"1")
        static_tree.write("site/a.css", b"1")

        run = collectstatic(full, dry_run=True)

        assert "1 unmodified" in run.stdout
        assert len(set(listed_prefixes(full))) == prefixes

    @pytest.mark.parametrize("threads", [0, 8])
    def test_a_folder_that_may_not_be_listed_has_each_blob_asked_for(
        self, full: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
    ) -> None:
        for name in ("a.css", "css/2.css", "site/a.css"):
            static_tree.write(name, b"1")
        full.recorder.fail(
            lambda request: "prefix=site" in request.query,
            403,
            headers={"x-ms-error-code": "AuthorizationPermissionMismatch"},
        )

        run = collectstatic(full, threads=threads, dry_run=True)

        assert "3 unmodified" in run.stdout
        assert full.counts()["HEAD"] == 3


@pytest.mark.parametrize("location", ["", "css"])
def test_all_pages_of_a_folder_are_read(
    azure: AzureCloud,
    collectstatic: CollectStatic,
    static_tree: StaticTree,
    location: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("collectfasta.strategies.azure_listing._PAGE", 2)
    azure.put("a/1", b"theirs")
    azure.put("a/2", b"theirs")
    for number in range(5):
        azure.put(f"css/{number}.css", b"1")
        static_tree.write(f"{number}.css" if location else f"css/{number}.css", b"1")

    run = collectstatic(azure, options={"location": location})

    assert "5 unmodified" in run.stdout
    assert azure.counts() == {"LIST": 3 if location else 4}


def test_requests_are_those_of_the_sdk(
    azure: AzureCloud,
    collectstatic: CollectStatic,
    static_tree: StaticTree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def requests() -> list[tuple[str, str, str, list[tuple[str, str]]]]:
        azure.clear_requests()
        collectstatic(azure, force=True, options={"cache_control": "no-cache"})
        return sorted(
            (each.method, each.path, each.query, _lasting(each.headers)) for each in azure.requests
        )

    for name in ("a.css", "b c+d%2F~#\u00fc.js", "empty"):
        static_tree.write(name, name.encode() * (name != "empty"))
    static_tree.write("large.bin", bytes(5 * MEGABYTE))

    shorter = requests()
    monkeypatch.setattr("collectfasta.strategies.azure_client.shorten_way", lambda session: None)

    assert shorter == requests()


def _lasting(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that do not change from request to request."""
    changing = {"authorization", "x-ms-client-request-id", "x-ms-date"}
    return sorted(each for each in headers.items() if each[0] not in changing)


def test_every_request_carries_the_timeout(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    static_tree.write("a.css", b"1")
    static_tree.write("large.bin", bytes(5 * MEGABYTE))
    azure.put("static/old.css", b"1")

    collectstatic(azure, options={"timeout": 7, "location": "static"})
    collectstatic(azure, options={"timeout": 7, "location": "static"}, clear=True)
    azure.recorder.fail(
        lambda request: azure.kind(request) == "LIST",
        403,
        headers={"x-ms-error-code": "AuthorizationPermissionMismatch"},
    )
    collectstatic(azure, options={"timeout": 7, "location": "static"})

    kinds = {"LIST", "PUT", "PUT_BLOCK", "BLOCK_LIST", "BATCH", "HEAD"}
    assert azure.counts().keys() == kinds
    assert {each.query for each in azure.requests if "timeout=7" not in each.query} == set()


@pytest.mark.parametrize("threads", [0, 8])
def test_a_dry_run_lists_and_does_nothing_else(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
) -> None:
    azure.put("static/left.css", b"left")
    static_tree.write("a.css", b"a")

    run = collectstatic(
        azure,
        threads=threads,
        options={"location": "static"},
        dry_run=True,
        clear=True,
        verbosity=2,
    )

    assert azure.counts().keys() == {"LIST"}
    assert azure.keys() == ["static/left.css"]
    assert "Pretending to delete 'left.css'" in run.stdout
    assert "1 static file copied" in run.stdout
