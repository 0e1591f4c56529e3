"""Which requests a deploy to Azure Blob Storage takes, counted at the server."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

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


def test_without_a_location_only_the_folders_in_use_are_listed(
    azure: AzureCloud, collectstatic: CollectStatic, static_tree: StaticTree
) -> None:
    azure.put("media/a.png", b"theirs")
    for name in ("admin/a.css", "admin/css/b.css", "site/c.css", "favicon.ico"):
        static_tree.write(name, b"1")
        azure.put(name, b"1")

    collectstatic(azure)

    assert listed_prefixes(azure) == ["admin/", "favicon.ico", "site/"]
    assert azure.counts() == {"LIST": 3}


@pytest.mark.parametrize(("folders", "listings"), [(50, 50), (51, 1)])
def test_more_than_50_folders_are_listed_at_once(
    azure: AzureCloud,
    collectstatic: CollectStatic,
    static_tree: StaticTree,
    folders: int,
    listings: int,
) -> None:
    for number in range(folders):
        static_tree.write(f"{number:02}/a.css", b"1")
    azure.put("00/a.css", b"1")
    azure.put("media/a.css", b"1")

    collectstatic(azure, dry_run=True)

    assert azure.counts() == {"LIST": listings}
    assert len(set(listed_prefixes(azure))) == listings


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
