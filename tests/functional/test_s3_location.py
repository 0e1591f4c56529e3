"""Keys: each file under the storage's location, nothing touched outside of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.s3 import S3Server

LOCATIONS = {"": "", "static": "static/", "static/": "static/", "a/b": "a/b/"}
NAMES = ["app.js", "css/site.css", "static/app.js", "vendor/a/b/app.js", "vendor/static/app.js"]
NEIGHBOURS = [
    "other/app.js",
    "static-old/app.js",
    "static.txt",
    "static",
    "staticx",
    "staticx/a.js",
]


@pytest.fixture
def other_s3(s3_server: S3Server) -> Iterator[S3Cloud]:
    """Another empty bucket."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in NAMES:
        static_tree.write(name, name.encode())
    return static_tree


def deployed(prefix: str) -> dict[str, bytes]:
    """Return what a deploy of `tree` under a prefix puts into a bucket."""
    return {f"{prefix}{name}": name.encode() for name in NAMES}


def bodies(cloud: S3Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


@pytest.mark.parametrize(("location", "prefix"), LOCATIONS.items())
def test_files_go_under_the_location_whatever_their_paths_contain(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, location: str, prefix: str
) -> None:
    collectstatic(s3, options={"location": location})

    assert bodies(s3) == deployed(prefix)


@pytest.mark.parametrize("location", LOCATIONS)
def test_files_are_found_under_the_location(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, location: str
) -> None:
    options = {"location": location}
    collectstatic(s3, options=options, disable_collectfasta=True)
    s3.clear_requests()

    collectstatic(s3, options=options)

    assert s3.counts() == {"LIST": 1}


@pytest.fixture
def neighbours(s3: S3Cloud) -> dict[str, bytes]:
    """Objects of somebody else, next to the location "static"."""
    for key in NEIGHBOURS:
        s3.put(key, b"somebody else's")
    return bodies(s3)


@pytest.mark.parametrize("clear", [False, True], ids=["deploy", "clear"])
def test_objects_beside_the_location_stay(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    neighbours: dict[str, bytes],
    clear: bool,
) -> None:
    collectstatic(s3, options={"location": "static"}, clear=clear)

    assert bodies(s3) == {**neighbours, **deployed("static/")}


@pytest.mark.parametrize("clear", [False, True], ids=["deploy", "clear"])
def test_nothing_beside_the_location_is_asked_for_or_written(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    neighbours: dict[str, bytes],
    clear: bool,
) -> None:
    s3.put("static/leftover.js", b"ours")
    s3.clear_requests()

    collectstatic(s3, options={"location": "static"}, clear=clear)

    lists = [request for request in s3.requests if s3.kind(request) == "LIST"]
    assert {parse_qs(request.query)["prefix"][0] for request in lists} == {"static/"}
    puts = [request for request in s3.requests if s3.kind(request) == "PUT"]
    assert all(request.path.startswith(f"/{s3.name}/static/") for request in puts)
    assert s3.counts().keys() == {"LIST", "PUT"} | ({"DELETE_BATCH"} if clear else set())


class TestSameNameUnderTwoPrefixes:
    @pytest.fixture
    def two_prefixes(self, tmp_path: Path) -> dict[str, Any]:
        """Settings with the same relative path under two prefixes, with different content."""
        for prefix in ("one", "two"):
            StaticTree(tmp_path / prefix).write("app.js", prefix.encode())
        directories = [(prefix, str(tmp_path / prefix)) for prefix in ("one", "two")]
        return {"STATICFILES_DIRS": directories}

    def test_both_are_deployed(
        self, s3: S3Cloud, collectstatic: CollectStatic, two_prefixes: dict[str, Any]
    ) -> None:
        collectstatic(s3, settings=two_prefixes)

        assert bodies(s3) == {"one/app.js": b"one", "two/app.js": b"two"}

    def test_each_is_compared_with_its_own_object(
        self,
        s3: S3Cloud,
        collectstatic: CollectStatic,
        two_prefixes: dict[str, Any],
        tmp_path: Path,
    ) -> None:
        collectstatic(s3, settings=two_prefixes)
        s3.clear_requests()
        (tmp_path / "two" / "app.js").write_bytes(b"one")

        collectstatic(s3, settings=two_prefixes)

        assert s3.counts() == {"LIST": 1, "PUT": 1}
        assert bodies(s3) == {"one/app.js": b"one", "two/app.js": b"one"}


class TestTwoTargetsOnOneCache:
    def test_second_bucket_gets_every_file(
        self, s3: S3Cloud, other_s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3)
        collectstatic(other_s3)

        assert bodies(other_s3) == bodies(s3) == deployed("")

    def test_second_location_gets_every_file(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3, options={"location": "one"})
        collectstatic(s3, options={"location": "two"})

        assert bodies(s3) == {**deployed("one/"), **deployed("two/")}

    def test_what_is_remembered_of_one_bucket_says_nothing_of_another(
        self, s3: S3Cloud, other_s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        short = {"object_parameters": {"CacheControl": "max-age=1"}}
        long = {"object_parameters": {"CacheControl": "max-age=2"}}
        collectstatic(s3, options=short)
        # The same content, thus the same ETags, sent with other parameters.
        collectstatic(other_s3, options=long)
        s3.clear_requests()

        collectstatic(s3, options=short)

        assert s3.counts() == {"LIST": 1}

    def test_what_is_remembered_of_one_location_says_nothing_of_another(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        short = {"location": "one", "object_parameters": {"CacheControl": "max-age=1"}}
        long = {"location": "two", "object_parameters": {"CacheControl": "max-age=2"}}
        collectstatic(s3, options=short)
        collectstatic(s3, options=long)
        s3.clear_requests()

        collectstatic(s3, options=short)

        assert s3.counts() == {"LIST": 1}
