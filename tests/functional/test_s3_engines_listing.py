"""Keys that obstore can't show as they are: what is listed is exact all the same."""

from __future__ import annotations

import pytest

from tests.conftest import CollectStatic, StaticTree
from tests.functional.test_s3_engines_faults import by_obstore, is_list, listing
from tests.servers.clouds.s3 import S3Cloud

NAMES = ["a.css", "b/c.css", "dir/d.css"]


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in NAMES:
        static_tree.write(name, name.encode())
    return static_tree


def bodies(cloud: S3Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


@pytest.mark.parametrize("location", ["", "static"])
@pytest.mark.parametrize("foreign", ["b//c.css", "b/../a.css", "b/./c.css", "b/\x7f.css", "b/\t"])
def test_foreign_keys_that_are_no_paths_change_nothing(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, foreign: str, location: str
) -> None:
    prefix = f"{location}/" if location else ""
    s3.put(f"{prefix}{foreign}", b"foreign")
    s3.put(f"{prefix}a.css", b"stale")
    options = {"location": location}

    collectstatic(s3, options=options)
    run = collectstatic(s3, options=options)

    ours = {f"{prefix}{name}": name.encode() for name in NAMES}
    assert bodies(s3) == {f"{prefix}{foreign}": b"foreign", **ours}
    assert "0 static files copied, 3 unmodified" in run.stdout


def test_only_the_listing_goes_by_boto3(
    s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    s3_obstore.put("b//c.css", b"foreign")

    run = collectstatic(s3_obstore, verbosity=2)

    assert all(by_obstore(r) for r in s3_obstore.requests if r.method == "PUT")
    assert "by obstore and boto3 (keys that are no plain paths)," in run.stdout


def test_listing_goes_on_behind_a_key_that_is_no_path(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    # Between the next name and where its listing would begin.
    first = listing("a.css", "b/c.csr~//x", is_truncated=True)
    s3.recorder.fail(lambda r: is_list(r) and "%2F%2Fx" not in r.query, 200, first)
    s3.put("b/c.css", b"b/c.css")

    run = collectstatic(s3, threads=0)

    assert "2 static files copied, 1 unmodified" in run.stdout
    assert [r.query for r in s3.requests if is_list(r)][-1].count("b%2Fc.csr~%2F%2Fx") == 1


def test_empty_file_is_sent_where_only_a_folders_marker_is(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a/dir", b"")
    s3.put("a/dir/", b"")

    run = collectstatic(s3)

    assert s3.keys() == ["a/dir", "a/dir/"]
    assert "1 static file copied" in run.stdout


def test_marker_does_not_hide_the_object_of_its_name(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic
) -> None:
    static_tree.write("a/dir", b"content")
    s3.put("a/dir", b"content")
    s3.put("a/dir/", b"")

    run = collectstatic(s3)

    assert "0 static files copied, 1 unmodified" in run.stdout


@pytest.mark.parametrize("name", ["x.css", "+.css", "0.css", "-/x.css"])
def test_foreign_key_with_a_slash_before_a_name_is_not_taken_for_it(
    s3: S3Cloud, static_tree: StaticTree, collectstatic: CollectStatic, name: str
) -> None:
    static_tree.write(name, b"x")
    s3.put(f"/{name}", b"x")

    run = collectstatic(s3)

    assert s3.keys() == sorted([f"/{name}", name])
    assert "1 static file copied" in run.stdout
