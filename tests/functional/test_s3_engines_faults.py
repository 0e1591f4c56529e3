"""What goes wrong on the way to S3: both engines come to the same end."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.config import Config
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import free_port
from tests.servers.recorder import Match, Request

NAMES = ["a.css", "b.css", "c.css", "d.css"]
ONCE: dict[str, Any] = {
    "client_config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
}


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in NAMES:
        static_tree.write(name, name.encode())
    return static_tree


def is_list(request: Request) -> bool:
    return "list-type=2" in request.query


def is_put(request: Request) -> bool:
    return request.method == "PUT"


def by_obstore(request: Request) -> bool:
    return request.headers["user-agent"].startswith("object_store/")


def both(*matches: Match) -> Match:
    return lambda request: all(match(request) for match in matches)


def refusal(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>Not &lt;so&gt;.</Message></Error>".encode()


def listing(*keys: str, is_truncated: bool = False) -> bytes:
    """Return what S3 answers to ListObjectsV2."""
    objects = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        '<ETag>"0cc175b9c0f1b6a831c399e269772661"</ETag><Size>1</Size></Contents>'
        for key in keys
    )
    more = "<NextContinuationToken>more</NextContinuationToken>" if is_truncated else ""
    return (
        f"<ListBucketResult><IsTruncated>{str(is_truncated).lower()}</IsTruncated>{more}{objects}"
        "</ListBucketResult>"
    ).encode()


def hang_up(cloud: S3Cloud, match: Match, times: int) -> None:
    """Close the connection of matching requests without an answer."""
    left = iter(range(times))

    def act(_: Request) -> None:
        if next(left, None) is not None:
            raise ConnectionError("hung up")

    cloud.recorder.before(match, act)


@pytest.fixture
def failing(collectstatic: CollectStatic) -> Callable[..., str]:
    """Runs the command and returns the message that it fails with."""

    def run(*arguments: Any, **keywords: Any) -> str:
        with pytest.raises(CommandError) as caught:
            collectstatic(*arguments, **keywords)
        return str(caught.value)

    return run


@pytest.mark.parametrize("match", [is_list, is_put], ids=["list", "put"])
class TestWhatPasses:
    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_busy_server_is_asked_again(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        match: Match,
        status: int,
    ) -> None:
        s3.recorder.fail(match, status, refusal("SlowDown"), times=2)

        collectstatic(s3, threads=0)

        assert s3.keys() == NAMES
        assert len(s3.requests) == 5 + 2

    def test_server_that_hangs_up_is_asked_again(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, match: Match
    ) -> None:
        hang_up(s3, match, times=1)

        collectstatic(s3, threads=0)

        assert s3.keys() == NAMES


FAULTS: dict[str, tuple[Match, int, bytes]] = {
    "no permission to write": (is_put, 403, refusal("AccessDenied")),
    "no permission at all": (lambda _: True, 403, refusal("AccessDenied")),
    "no permission, no words": (lambda _: True, 403, b""),
    "no bucket": (is_list, 404, refusal("NoSuchBucket")),
    "no bucket any more": (is_put, 404, refusal("NoSuchBucket")),
    "wrong key": (is_list, 403, refusal("SignatureDoesNotMatch")),
    "bad request": (is_put, 400, refusal("InvalidDigest")),
    "bad listing": (is_list, 400, refusal("InvalidArgument")),
    "server fails": (is_put, 500, refusal("InternalError")),
    "other region": (is_list, 400, refusal("AuthorizationHeaderMalformed")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_both_engines_say_the_same(
    s3_obstore: S3Cloud,
    s3_boto3: S3Cloud,
    tree: StaticTree,
    failing: Callable[..., str],
    fault: str,
) -> None:
    messages = []
    for cloud in (s3_obstore, s3_boto3):
        cloud.recorder.fail(*FAULTS[fault])
        message = failing(cloud, options=ONCE)
        message = message.replace(cloud.name, "BUCKET").replace(cloud.recorder.url, "URL")
        messages.append(re.sub(r" \(reached max retries: \d\)", "", message))

    assert messages[0] == messages[1]


class TestServerThatIsNoServer:
    def test_refused_connection_is_one_line(
        self, s3: S3Cloud, tree: StaticTree, failing: Callable[..., str]
    ) -> None:
        url = f"http://127.0.0.1:{free_port()}"

        message = failing(s3, options={**ONCE, "endpoint_url": url})

        assert message.startswith(f"S3 can't be used at {url}: Could not connect to the endpoint")
        assert "\n" not in message

    def test_hanging_up_for_good_is_one_line(
        self, s3: S3Cloud, tree: StaticTree, failing: Callable[..., str]
    ) -> None:
        hang_up(s3, is_list, times=99)

        message = failing(s3, options=ONCE)

        assert message.startswith(f"S3 can't be used at {s3.recorder.url}: Connection was closed")
        assert "\n" not in message

    @pytest.mark.parametrize("whole", [b"<ListBucketResult><IsTrunc", b"", b"<html></html>", b"{}"])
    def test_listing_that_is_cut_off_is_an_error_or_all_is_sent(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, whole: bytes
    ) -> None:
        s3.recorder.fail(is_list, 200, whole)

        with suppress(CommandError):
            collectstatic(s3, options=ONCE)

        assert s3.keys() in ([], NAMES)


ELSEWHERE: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "301": (301, refusal("PermanentRedirect"), {}),
    "301 without words": (301, b"", {}),
    "307": (307, refusal("TemporaryRedirect"), {"Location": "http://127.0.0.1:1/"}),
    "400": (400, refusal("AuthorizationHeaderMalformed"), {}),
    "constraint": (400, refusal("IllegalLocationConstraintException"), {}),
}


# obstore follows a redirect of a listing to where it is sent, without its credentials.
MOVED = {
    f"{name} {answer}": (match, ELSEWHERE[answer])
    for name, match in {"list": is_list, "put": is_put}.items()
    for answer in ELSEWHERE
    if (name, answer) != ("list", "307")
}


@pytest.mark.parametrize(("match", "answer"), MOVED.values(), ids=MOVED)
class TestOtherRegion:
    """boto3 finds its way there; obstore does not."""

    @pytest.fixture
    def moved(self, s3_obstore: S3Cloud, tree: StaticTree, match: Match, answer: Any) -> S3Cloud:
        s3_obstore.recorder.fail(both(by_obstore, match), *answer)
        return s3_obstore

    def test_boto3_takes_over(self, moved: S3Cloud, collectstatic: CollectStatic) -> None:
        run = collectstatic(moved, threads=0, verbosity=2)

        assert {key: moved.get(key).body for key in moved.keys()} == {n: n.encode() for n in NAMES}
        assert "by obstore and boto3 (the bucket is in another region)" in run.stdout

    def test_obstore_is_not_asked_again(
        self, moved: S3Cloud, collectstatic: CollectStatic, match: Match
    ) -> None:
        collectstatic(moved, threads=0)

        assert len([r for r in moved.requests if by_obstore(r) and match(r)]) == 1

    def test_every_request_is_counted(self, moved: S3Cloud, collectstatic: CollectStatic) -> None:
        run = collectstatic(moved, threads=0)

        assert f", {len(moved.requests)} requests," in run.stdout
