"""``--clear``: everything is written first, then what is left over is deleted."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.summary import deleted

FILES = {"a.css": b"aaa", "b/b.js": b"bbb"}
STATIC = {"location": "static"}


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


def bodies(cloud: S3Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


def deployed(prefix: str) -> dict[str, bytes]:
    return {f"{prefix}{name}": content for name, content in FILES.items()}


@pytest.mark.parametrize("location", ["", "static"])
@pytest.mark.parametrize("threads", [0, 8])
def test_empty_bucket_is_filled(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int, location: str
) -> None:
    run = collectstatic(s3, options={"location": location}, clear=True, threads=threads)

    assert bodies(s3) == deployed(f"{location}/" if location else "")
    assert "\n2 static files copied." in run.stdout
    assert "DELETE_BATCH" not in s3.counts()


@pytest.mark.parametrize("threads", [0, 8])
def test_leftovers_under_the_location_are_deleted_in_one_batch(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    for key in ("static/old.css", "static/b/old.js", "static/never/ours.txt", "other/old.css"):
        s3.put(key, b"old")

    collectstatic(s3, options=STATIC, clear=True, threads=threads)

    assert bodies(s3) == {**deployed("static/"), "other/old.css": b"old"}
    assert s3.counts() == {"PUT": 2, "LIST": 1, "DELETE_BATCH": 1}


def test_leftovers_alone_are_counted_as_deleted(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    for key in ("static/old.css", "static/b/old.js", "static/a.css", "other/old.css"):
        s3.put(key, b"old")

    run = collectstatic(s3, options=STATIC, clear=True, verbosity=2)

    assert f"\n{deleted(2)}2 static files copied." in run.stdout
    told = [line for line in run.stdout.splitlines() if line.startswith("Deleting")]
    assert told == ["Deleting 'b/old.js'", "Deleting 'old.css'"]


@pytest.mark.parametrize("threads", [0, 8])
def test_everything_is_sent_again_with_a_warm_cache(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(s3, options=STATIC, threads=threads)
    s3.put("static/old.css", b"old")
    s3.clear_requests()

    collectstatic(s3, options=STATIC, clear=True, threads=threads)

    assert bodies(s3) == deployed("static/")
    assert s3.counts() == {"PUT": 2, "LIST": 1, "DELETE_BATCH": 1}


def test_next_deploy_after_it_sends_nothing(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    collectstatic(s3, options=STATIC, clear=True)
    s3.clear_requests()

    collectstatic(s3, options=STATIC)

    assert s3.counts() == {"LIST": 1}


def test_objects_with_double_slashes_and_dots_are_left_alone(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    odd = {"static//a.css": b"odd", "static/b//b.js": b"odd", "static/./a.css": b"odd"}
    for key, body in odd.items():
        s3.put(key, body)

    collectstatic(s3, options=STATIC, clear=True)

    assert bodies(s3) == {**odd, **deployed("static/")}


class TestWithoutLocation:
    def test_it_deletes_what_the_last_deploy_has_sent(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        tree.write("old.css", b"old")
        collectstatic(s3)
        tree.delete("old.css")

        run = collectstatic(s3, clear=True)

        assert bodies(s3) == deployed("")
        assert f"\n{deleted(1)}2 static files copied." in run.stdout

    def test_it_leaves_the_rest_and_says_so(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        s3.put("media/photo.jpg", b"not ours")
        s3.put("unknown.css", b"not ours")

        run = collectstatic(s3, clear=True)

        assert s3.keys() == ["a.css", "b/b.js", "media/photo.jpg", "unknown.css"]
        assert "has no location" in run.stdout

    def test_it_leaves_what_somebody_else_has_written_since(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        tree.write("old.css", b"old")
        collectstatic(s3)
        tree.delete("old.css")
        s3.put("old.css", b"not ours")

        collectstatic(s3, clear=True)

        assert s3.get("old.css").body == b"not ours"

    def test_it_deletes_nothing_with_a_cold_cache(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        tree.write("old.css", b"old")
        collectstatic(s3)
        tree.delete("old.css")
        caches["default"].clear()

        collectstatic(s3, clear=True)

        assert "old.css" in s3.keys()


@pytest.mark.parametrize("location", ["", "static"])
class TestDryRun:
    @pytest.fixture
    def stale(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        location: str,
    ) -> S3Cloud:
        """A bucket with a leftover that the cache remembers."""
        tree.write("old.css", b"old")
        collectstatic(s3, options={"location": location})
        tree.delete("old.css")
        s3.clear_requests()
        return s3

    def test_it_writes_nothing(
        self, stale: S3Cloud, collectstatic: CollectStatic, location: str
    ) -> None:
        before = stale.objects()
        options = {"location": location}

        collectstatic(stale, options=options, clear=True, dry_run=True)

        assert stale.objects() == before
        assert stale.counts() == {"LIST": 1}

    def test_it_reports_what_the_real_run_does(
        self, stale: S3Cloud, collectstatic: CollectStatic, location: str
    ) -> None:
        options = {"location": location}

        dry = collectstatic(stale, options=options, clear=True, dry_run=True)
        real = collectstatic(stale, options=options, clear=True)

        assert dry.returned == real.returned
        assert real.returned == f"\n{deleted(1)}2 static files copied."


@pytest.mark.parametrize("threads", [0, 8])
def test_nothing_is_deleted_where_a_file_could_not_be_sent(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    s3.put("static/old.css", b"old")
    s3.recorder.fail(lambda request: request.path.endswith("/b.js"), 403)

    with pytest.raises(CommandError, match=r"'b/b\.js'"):
        collectstatic(s3, options=STATIC, clear=True, threads=threads)

    assert s3.keys() == ["static/a.css", "static/old.css"]


def test_refusal_to_delete_names_the_permission(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    s3.put("static/old.css", b"old")
    refusal = b"""<DeleteResult><Error><Key>static/old.css</Key><Code>AccessDenied</Code>
        <Message>Access Denied</Message></Error></DeleteResult>"""
    s3.recorder.fail(lambda request: s3.kind(request) == "DELETE_BATCH", 200, refusal)

    with pytest.raises(CommandError, match=r"s3:DeleteObject on \S+/static/\*\.$"):
        collectstatic(s3, options=STATIC, clear=True)

    assert bodies(s3) == {**deployed("static/"), "static/old.css": b"old"}
