"""What is tried again, what is not, and when a deploy gives up."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from botocore.config import Config
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Match, Request

FILES = 80
SENT = 15
NAMES = sorted(f"{number}.css" for number in range(FILES))
# One attempt for each request, so that what fails once fails the file.
ONCE: dict[str, Any] = {
    "client_config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
}


def s3_error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()


def is_put(request: Request) -> bool:
    """Match what sends a small file, to any of the clouds."""
    is_upload = request.method == "POST" and request.path.startswith("/upload/")
    return request.method == "PUT" or is_upload


def is_list(request: Request) -> bool:
    return request.method == "GET" and "/0.css" not in request.path


def put_of(name: str) -> Match:
    return lambda request: request.method == "PUT" and request.path.endswith(f"/{name}")


def after(number: int, match: Match) -> Match:
    """Match what another matches, but for the first so many."""
    left = iter(range(number))
    return lambda request: match(request) and next(left, None) is None


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in NAMES:
        static_tree.write(name, name.encode())
    return static_tree


@pytest.mark.parametrize("threads", [0, 8])
class TestSecondRound:
    def test_a_file_that_failed_by_chance_is_sent_after_all_others(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
    ) -> None:
        s3.recorder.fail(put_of("7.css"), 503, s3_error("SlowDown"), times=1)

        collectstatic(s3, options=ONCE, threads=threads)

        assert s3.keys() == NAMES
        assert [r.path.rpartition("/")[2] for r in s3.requests if is_put(r)][-1] == "7.css"

    def test_one_warning_tells_of_it(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
        threads: int,
    ) -> None:
        s3.recorder.fail(put_of("7.css"), 503, s3_error("SlowDown"), times=1)

        collectstatic(s3, options=ONCE, threads=threads)

        (warning,) = [r.getMessage() for r in caplog.records if r.name == "collectfasta"]
        assert warning.startswith(f"1 of {FILES} files were not sent for a reason that may pass")
        assert "503 SlowDown" in warning

    def test_a_file_that_fails_in_both_rounds_is_named(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
    ) -> None:
        s3.recorder.fail(put_of("7.css"), 503, s3_error("SlowDown"))

        with pytest.raises(CommandError, match=r"(?s)\A1 file was not sent .*'7\.css': .*SlowDown"):
            collectstatic(s3, options=ONCE, threads=threads)

        assert s3.keys() == [name for name in NAMES if name != "7.css"]
        assert len([r for r in s3.requests if put_of("7.css")(r)]) == 2

    def test_a_file_that_is_refused_for_good_is_sent_once(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
    ) -> None:
        s3.recorder.fail(put_of("7.css"), 400, s3_error("InvalidArgument"))

        with pytest.raises(CommandError, match=r"'7\.css': .*InvalidArgument"):
            collectstatic(s3, options=ONCE, threads=threads)

        assert len([r for r in s3.requests if put_of("7.css")(r)]) == 1

    def test_a_server_that_is_down_for_a_while_costs_no_request_for_each_file(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
        threads: int,
    ) -> None:
        # As many failures as end the first round, and what is under way then.
        outage = 3 + threads
        s3.recorder.fail(is_put, 503, s3_error("ServiceUnavailable"), times=outage)

        with caplog.at_level(logging.WARNING):
            collectstatic(s3, options=ONCE, threads=threads)

        assert s3.keys() == NAMES
        assert s3.counts()["PUT"] <= FILES + outage


class TestListing:
    def test_a_listing_that_failed_by_chance_is_asked_for_again(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        s3.recorder.fail(is_list, 503, s3_error("SlowDown"), times=1)

        collectstatic(s3, options=ONCE)

        assert s3.keys() == NAMES
        assert s3.counts()["LIST"] == 2

    def test_a_listing_that_goes_on_failing_ends_the_run(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        s3.recorder.fail(is_list, 503, s3_error("SlowDown"))

        with pytest.raises(CommandError) as caught:
            collectstatic(s3, options=ONCE)

        assert "SlowDown" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert s3.counts() == {"LIST": 2}

    def test_a_listing_that_is_refused_for_good_is_asked_for_once(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        s3.recorder.fail(is_list, 404, s3_error("NoSuchBucket"))

        with pytest.raises(CommandError, match="does not exist"):
            collectstatic(s3, options=ONCE)

        assert s3.counts() == {"LIST": 1}


# What each service says when it refuses for good: status, body, headers, and what the user reads.
Refusal = tuple[int, bytes, dict[str, str], str]
REFUSALS: dict[str, dict[str, Refusal]] = {
    "no permission": {
        "s3": (403, s3_error("AccessDenied"), {}, "lack the permission s3:PutObject"),
        "gcs": (403, b'{"error": {"message": "No."}}', {}, "storage.objects.create"),
        "azure": (
            403,
            b"",
            {"x-ms-error-code": "AuthorizationPermissionMismatch"},
            "Storage Blob Data Contributor",
        ),
    },
    "no bucket any more": {
        "s3": (404, s3_error("NoSuchBucket"), {}, "does not exist"),
        "gcs": (404, b'{"error": {"message": "No."}}', {}, "does not exist"),
        "azure": (404, b"", {"x-ms-error-code": "ContainerNotFound"}, "does not exist"),
    },
    "invalid request": {
        "s3": (400, s3_error("InvalidStorageClass"), {}, "InvalidStorageClass"),
        "gcs": (400, b'{"error": {"message": "Not so."}}', {}, "Not so."),
        "azure": (400, b"", {"x-ms-error-code": "InvalidHeaderValue"}, "InvalidHeaderValue"),
    },
}


@pytest.fixture
def refused(
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    reason: str,
    threads: int,
) -> str:
    """Deploy to a remote that refuses all but the first files for good; return the message."""
    status, body, headers, _ = refusal_of(recorded_cloud, reason)
    recorded_cloud.recorder.fail(after(SENT, is_put), status, body, headers)
    with pytest.raises(CommandError) as caught:
        collectstatic(recorded_cloud, threads=threads)
    return str(caught.value)


def refusal_of(cloud: RecordedCloud, reason: str) -> Refusal:
    kind = {"S3Cloud": "s3", "GoogleCloud": "gcs", "AzureCloud": "azure"}
    return REFUSALS[reason][kind[type(cloud).__name__]]


class TestRefusalMidway:
    @pytest.mark.parametrize("threads", [0, 8])
    @pytest.mark.parametrize("reason", REFUSALS)
    def test_it_ends_the_run_early(
        self, recorded_cloud: RecordedCloud, refused: str, threads: int
    ) -> None:
        # As many as end it, what is under way when the refusals begin, and what is begun before
        # they are read.
        assert sum(map(is_put, recorded_cloud.requests)) <= SENT + 20 + 3 * threads

    @pytest.mark.parametrize("threads", [8])
    @pytest.mark.parametrize("reason", REFUSALS)
    def test_one_line_tells_the_cause_and_how_many_files_were_not_sent(
        self, recorded_cloud: RecordedCloud, refused: str, reason: str, threads: int
    ) -> None:
        assert refused.startswith(f"{FILES - SENT} files were not sent to ")
        assert refusal_of(recorded_cloud, reason)[3] in refused
        assert len(refused.splitlines()) == 1

    @pytest.mark.parametrize(("reason", "threads"), [("no permission", 8)])
    def test_the_next_run_sends_only_the_rest(
        self,
        recorded_cloud: RecordedCloud,
        refused: str,
        collectstatic: CollectStatic,
        threads: int,
    ) -> None:
        recorded_cloud.recorder.reset()

        collectstatic(recorded_cloud, threads=threads)

        assert recorded_cloud.keys() == NAMES
        assert sum(map(is_put, recorded_cloud.requests)) == FILES - SENT


def test_files_that_failed_by_themselves_are_named_beside_the_refusal(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    tree.write("large.css", b"sent first, so that it vanishes before the others are refused")
    s3.recorder.before(put_of("large.css"), lambda _: tree.delete("79.css"))
    s3.recorder.fail(after(50, is_put), 403, s3_error("AccessDenied"))

    with pytest.raises(CommandError) as caught:
        collectstatic(s3, threads=0)

    head, *lines = str(caught.value).splitlines()
    assert "s3:PutObject" in head
    assert [line.partition(":")[0].strip() for line in lines] == ["'79.css'"]
