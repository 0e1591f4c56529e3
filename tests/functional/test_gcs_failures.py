"""A deploy to Google Cloud Storage that is refused, throttled or interfered with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.management.base import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.google import GoogleCloud
from tests.servers.recorder import Match
from tests.summary import deleted

UNIFORM = (
    "Cannot insert legacy ACL for an object when uniform bucket-level access is enabled. Read more "
    "at https://cloud.google.com/storage/docs/uniform-bucket-level-access"
)


@pytest.fixture(autouse=True)
def _files(static_tree: StaticTree) -> None:
    for name in ("a", "b", "c", "d", "e"):
        static_tree.write(f"{name}.css", name.encode())


def of_kind(cloud: GoogleCloud, *kinds: str) -> Match:
    """Match requests of these kinds."""
    return lambda request: cloud.kind(request) in kinds


def answer(code: int, message: str) -> bytes:
    """Return the body of an error as the API gives it."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def batch_answer(*statuses: str) -> bytes:
    """Return the answer to a batch with a part for each of its calls."""
    part = "--batch\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {}\r\n"
    part += "Content-Type: application/json\r\n\r\n{{}}\r\n"
    return ("".join(map(part.format, statuses)) + "--batch--").encode()


def failure(
    collectstatic: CollectStatic, cloud: GoogleCloud, threads: int, **options: object
) -> str:
    """Run the command, which must fail, and return its message."""
    with pytest.raises(CommandError) as caught:
        collectstatic(cloud, threads=threads, options=options)
    return str(caught.value)


@pytest.mark.parametrize("threads", [0, 8])
class TestRetry:
    @pytest.mark.parametrize("status", [429, 503])
    def test_an_upload_that_is_throttled_once_is_made_again(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, threads: int, status: int
    ) -> None:
        gcs.recorder.fail(of_kind(gcs, "UPLOAD"), status, answer(status, "slow down"), times=1)

        collectstatic(gcs, threads=threads)

        assert len(gcs.keys()) == 5
        assert gcs.counts() == {"LIST": 1, "UPLOAD": 6}

    def test_a_listing_that_is_throttled_once_is_made_again(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        collectstatic(gcs, threads=threads)
        gcs.clear_requests()
        gcs.recorder.fail(of_kind(gcs, "LIST"), 429, answer(429, "slow down"), times=1)

        collectstatic(gcs, threads=threads)

        assert gcs.counts() == {"LIST": 2}


@pytest.mark.parametrize("threads", [0, 8])
class TestNoPermissionToList:
    @pytest.fixture(autouse=True)
    def _refused(self, gcs: GoogleCloud) -> None:
        gcs.recorder.fail(of_kind(gcs, "LIST"), 403, answer(403, "no storage.objects.list access"))

    def test_each_object_is_asked_for(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
    ) -> None:
        collectstatic(gcs, threads=threads)
        cache.clear()
        static_tree.write("a.css", b"A")
        gcs.clear_requests()

        run = collectstatic(gcs, threads=threads)

        assert "1 static file copied" in run.stdout
        assert "4 unmodified" in run.stdout
        assert gcs.counts() == {"LIST": 1, "GET": 5, "UPLOAD": 1}
        assert gcs.get("a.css").body == b"A"

    def test_one_warning_names_the_permission(
        self,
        gcs: GoogleCloud,
        collectstatic: CollectStatic,
        threads: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        collectstatic(gcs, threads=threads)

        (warning,) = [each for each in caplog.records if each.name.startswith("collectfasta")]
        assert "storage.objects.list" in warning.getMessage()
        assert gcs.name in warning.getMessage()

    def test_an_object_that_may_not_be_read_either_is_sent(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        gcs.recorder.fail(of_kind(gcs, "GET"), 403, answer(403, "no storage.objects.get access"))

        collectstatic(gcs, threads=threads)

        assert len(gcs.keys()) == 5


@pytest.mark.parametrize("threads", [0, 8])
class TestRefused:
    def test_a_bucket_that_does_not_exist_is_named_in_one_line(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        message = failure(collectstatic, gcs, threads, bucket_name=f"{gcs.name}-absent")

        assert message.startswith(f"The bucket '{gcs.name}-absent' does not exist")
        assert "\n" not in message
        assert gcs.counts() == {"LIST": 1}

    def test_a_bucket_that_is_not_set_is_named_and_nobody_is_asked(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        message = failure(collectstatic, gcs, threads, bucket_name=None)

        assert "names no bucket: set bucket_name" in message
        assert "\n" not in message
        assert gcs.counts() == {}

    def test_credentials_are_named_in_one_line(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        gcs.recorder.fail(lambda _: True, 401, answer(401, "Invalid Credentials"))

        message = failure(collectstatic, gcs, threads)

        assert message.startswith(f"The credentials for the bucket {gcs.name!r} are refused")
        assert "\n" not in message

    def test_a_missing_permission_to_write_is_one_line(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
    ) -> None:
        for number in range(195):
            static_tree.write(f"{number}.js", b"1")
        gcs.recorder.fail(of_kind(gcs, "UPLOAD"), 403, answer(403, "no storage.objects.create"))

        message = failure(collectstatic, gcs, threads)

        assert message.startswith(f"200 files were not sent to gs://{gcs.name}/")
        assert "storage.objects.create" in message
        assert "\n" not in message
        assert gcs.counts()["UPLOAD"] < 100

    def test_an_acl_where_access_is_uniform_is_explained(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        gcs.recorder.fail(
            lambda request: "predefinedAcl=" in request.query, 400, answer(400, UNIFORM)
        )

        message = failure(collectstatic, gcs, threads, default_acl="publicRead")

        assert message.startswith(f"5 files were not sent to gs://{gcs.name}/")
        assert "uniform bucket-level access" in message
        assert "GS_DEFAULT_ACL" in message
        assert "\n" not in message
        assert gcs.keys() == []

    def test_files_that_are_refused_are_all_named_and_the_others_sent(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, static_tree: StaticTree, threads: int
    ) -> None:
        static_tree.write("large.bin", bytes(1000))
        sizes = {name: len(static_tree.path(name).read_bytes()) for name in static_tree.names()}
        assert sizes["large.bin"] == 1000
        gcs.recorder.fail(
            lambda request: gcs.kind(request) == "UPLOAD" and request.body_size > 1000,
            400,
            answer(400, "too large"),
        )

        message = failure(collectstatic, gcs, threads)

        assert message.splitlines()[0] == f"1 file was not sent to gs://{gcs.name}/:"
        assert message.splitlines()[1].startswith("  'large.bin': BadRequest: 400 POST")
        assert "too large" in message
        assert gcs.keys() == ["a.css", "b.css", "c.css", "d.css", "e.css"]


def test_missing_default_credentials_are_one_line(
    gcs: GoogleCloud,
    collectstatic: CollectStatic,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    monkeypatch.setattr(GoogleCloud, "environment", {"STORAGE_EMULATOR_HOST": ""})

    message = failure(collectstatic, gcs, 0, credentials=None, project_id=None)

    assert "GOOGLE_APPLICATION_CREDENTIALS" in message
    assert "\n" not in message


class TestClear:
    @pytest.fixture
    def leftovers(self, gcs: GoogleCloud) -> list[str]:
        """More of them than one batch takes, and objects of others."""
        keys = [f"static/old/{number:03}.css" for number in range(130)]
        for key in keys:
            gcs.put(key, b"left")
        gcs.put("static-old/a.css", b"theirs")
        gcs.put("media/a.png", b"theirs")
        return keys

    def test_deletes_what_is_left_under_the_location_in_batches(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, leftovers: list[str]
    ) -> None:
        run = collectstatic(gcs, options={"location": "static"}, clear=True)

        assert gcs.keys() == [
            "media/a.png",
            "static-old/a.css",
            *(f"static/{name}.css" for name in "abcde"),
        ]
        assert f"\n{deleted(130)}5 static files copied" in run.stdout
        assert gcs.counts() == {"UPLOAD": 5, "LIST": 1, "BATCH": 2}
        kinds = [gcs.kind(each) for each in gcs.requests]
        assert kinds == ["LIST", *["UPLOAD"] * 5, "BATCH", "BATCH"]

    def test_an_object_that_is_gone_already_keeps_no_other_one(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, leftovers: list[str]
    ) -> None:
        gone = iter([leftovers[0], leftovers[-1]])
        gcs.recorder.before(of_kind(gcs, "BATCH"), lambda _: gcs.delete(next(gone)))

        collectstatic(gcs, options={"location": "static"}, clear=True)

        assert not set(gcs.keys()) & set(leftovers)

    @pytest.mark.parametrize(
        "statuses",
        [
            ("503 Service Unavailable", "404 Not Found"),
            ("404 Not Found", "503 Service Unavailable"),
        ],
    )
    def test_an_object_whose_deletion_fails_within_a_batch_is_deleted_by_itself(
        self, gcs: GoogleCloud, collectstatic: CollectStatic, statuses: tuple[str, str]
    ) -> None:
        for key in ("static/gone.css", "static/old.css"):
            gcs.put(key, b"left")
        gcs.recorder.fail(
            of_kind(gcs, "BATCH"),
            200,
            batch_answer(*statuses),
            {"Content-Type": 'multipart/mixed; boundary="batch"'},
        )

        collectstatic(gcs, options={"location": "static"}, clear=True)

        assert gcs.keys() == [f"static/{name}.css" for name in "abcde"]

    def test_a_missing_permission_to_delete_is_one_line(
        self, gcs: GoogleCloud, collectstatic: CollectStatic
    ) -> None:
        gcs.put("static/old.css", b"left")
        gcs.recorder.fail(
            of_kind(gcs, "BATCH", "DELETE"), 403, answer(403, "no storage.objects.delete")
        )

        with pytest.raises(CommandError) as caught:
            collectstatic(gcs, options={"location": "static"}, clear=True)

        assert "storage.objects.delete" in str(caught.value)
        assert "\n" not in str(caught.value)
