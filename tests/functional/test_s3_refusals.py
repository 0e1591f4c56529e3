"""What S3 refuses for good: one line that says what to do, and no secret in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.project import Project
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.process import free_port
from tests.servers.recorder import Match, Request

SECRETS = {"secret_key": "wJalrXUtnFEMI/K7MDENG", "security_token": "FwoGZXIvYXdzEBYaD+token=="}
# Whoever waits for retries waits in vain here.
ONCE: dict[str, Any] = {
    "client_config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
}
WRITES = {"PUT", "DELETE", "DELETE_BATCH", "MULTIPART"}
NAMES = [f"{letter}.css" for letter in "abcdef"]


def answer(code: str) -> bytes:
    """Return the body of an error as S3 sends it; hostile: with all that must not be shown."""
    return (
        f"<Error><Code>{code}</Code><Message>Refused: {' '.join(SECRETS.values())} "
        f"https://bucket.s3.test/a.css?X-Amz-Signature=51gn4tur3&amp;X-Amz-Date=1</Message>"
        f"<RequestId>1</RequestId></Error>"
    ).encode()


def of_kind(cloud: S3Cloud, *kinds: str) -> Match:
    """Match the requests of some kinds."""
    return lambda request: cloud.kind(request) in kinds


def refuse(cloud: S3Cloud, match: Match, code: str = "AccessDenied", status: int = 403) -> None:
    """Refuse requests for good."""
    cloud.recorder.fail(match, status, answer(code))


def is_of_file(name: str) -> Match:
    """Match the writing of one file."""

    def match(request: Request) -> bool:
        return request.method == "PUT" and request.path.endswith(f"/{name}")

    return match


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in NAMES:
        static_tree.write(name, name.encode())
    return static_tree


@pytest.fixture
def refused(collectstatic: CollectStatic) -> Callable[..., str]:
    """Runs the command and returns the message that it fails with."""

    def run(*arguments: Any, **keywords: Any) -> str:
        with pytest.raises(CommandError) as caught:
            collectstatic(*arguments, **keywords)
        return str(caught.value)

    return run


class TestNothingIsWritten:
    def test_bucket_that_does_not_exist_is_named(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str]
    ) -> None:
        message = refused(s3, options={"bucket_name": f"{s3.name}-absent"})

        assert message.startswith(f"The bucket '{s3.name}-absent' does not exist at http://")
        assert "\n" not in message
        assert s3.counts() == {"LIST": 1}

    @pytest.mark.parametrize(
        "code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken"]
    )
    def test_credentials_that_are_refused_are_to_be_corrected(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str], code: str
    ) -> None:
        refuse(s3, of_kind(s3, "LIST"), code)

        message = refused(s3)

        assert message.startswith(f"The credentials for the bucket '{s3.name}' at http://")
        assert f"({code})" in message
        assert "\n" not in message
        assert s3.counts() == {"LIST": 1}

    def test_no_credentials_at_all(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        refused: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")

        message = refused(s3, options={"access_key": None, "secret_key": None})

        assert message.startswith(f"There are no credentials for s3://{s3.name}/: set access_key")
        assert "\n" not in message
        assert s3.counts() == {}

    @pytest.mark.parametrize(
        ("code", "status"), [("AuthorizationHeaderMalformed", 400), ("PermanentRedirect", 301)]
    )
    def test_other_region_is_named(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str], code: str, status: int
    ) -> None:
        refuse(s3, of_kind(s3, "LIST"), code, status)

        message = refused(s3)

        assert f"in another region ({code})" in message
        assert "\n" not in message

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"bucket_name": None}, "names no bucket: set bucket_name"),
            ({"bucket_name": ""}, "names no bucket: set bucket_name"),
            ({"bucket_name": "my bucket"}, "Invalid bucket name"),
            ({"endpoint_url": "localhost:9000"}, "'localhost:9000' is no URL"),
            ({"region_name": "no region"}, "region_name 'no region'"),
            (
                {"access_key": None, "secret_key": None, "session_profile": "absent"},
                "profile (absent)",
            ),
        ],
    )
    def test_option_that_can_not_work_is_named(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        refused: Callable[..., str],
        options: dict[str, Any],
        words: str,
    ) -> None:
        message = refused(s3, options=options)

        assert words in message
        assert "\n" not in message
        assert s3.counts() == {}

    def test_parameter_that_does_not_exist_is_named(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str]
    ) -> None:
        message = refused(s3, options={"object_parameters": {"CacheContrl": "no-store"}})

        assert 'Unknown parameter in input: "CacheContrl"' in message
        assert "\n" not in message
        assert s3.counts() == {"LIST": 1}

    def test_server_that_is_not_there_is_named(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str]
    ) -> None:
        url = f"http://127.0.0.1:{free_port()}"

        message = refused(s3, options={**ONCE, "endpoint_url": url})

        assert message.startswith(f"S3 can't be used at {url}: ")
        assert "\n" not in message


def test_process_ends_whose_look_ups_are_refused(
    s3: S3Cloud, tree: StaticTree, tmp_path: Path
) -> None:
    project = Project(tmp_path / "project", s3, tree, COLLECTFASTA_THREADS=2)
    refuse(s3, of_kind(s3, "LIST"))
    refuse(s3, of_kind(s3, "HEAD"), "InvalidRequest", 400)

    ended = project.run()

    assert ended.status == 1
    assert "(400) when calling the HeadObject operation" in ended.stderr


def test_bucket_that_takes_no_acls_is_one_line_that_names_the_setting(
    s3: S3Cloud, tree: StaticTree, refused: Callable[..., str]
) -> None:
    refuse(s3, of_kind(s3, "PUT"), "AccessControlListNotSupported", 400)

    message = refused(s3, options={"default_acl": "public-read"})

    assert f"The bucket '{s3.name}' takes no ACLs" in message
    assert "set the storage's default_acl (AWS_DEFAULT_ACL) to None" in message
    assert "\n" not in message


@pytest.mark.parametrize("threads", [0, 8])
class TestNoPermissionToList:
    @pytest.fixture
    def unlisted(self, s3: S3Cloud, tree: StaticTree) -> S3Cloud:
        """A bucket with one file as it should be, one stale, and the rest missing."""
        s3.put("a.css", b"a.css")
        s3.put("b.css", b"stale")
        refuse(s3, of_kind(s3, "LIST"))
        return s3

    def test_objects_are_asked_for_one_by_one(
        self, unlisted: S3Cloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        collectstatic(unlisted, threads=threads)

        assert {key: unlisted.get(key).body for key in NAMES} == {n: n.encode() for n in NAMES}
        assert unlisted.counts() == {"LIST": 1, "HEAD": len(NAMES), "PUT": len(NAMES) - 1}

    def test_one_warning_names_the_permission(
        self,
        unlisted: S3Cloud,
        collectstatic: CollectStatic,
        caplog: pytest.LogCaptureFixture,
        threads: int,
    ) -> None:
        collectstatic(unlisted, threads=threads)

        (warning,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert f"s3:ListBucket on arn:aws:s3:::{unlisted.name}." in warning.getMessage()

    def test_object_that_may_not_be_looked_at_is_sent(
        self, unlisted: S3Cloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        refuse(unlisted, of_kind(unlisted, "HEAD"))

        collectstatic(unlisted, threads=threads)

        assert {key: unlisted.get(key).body for key in NAMES} == {n: n.encode() for n in NAMES}
        assert unlisted.counts()["PUT"] == len(NAMES)

    def test_look_carries_the_parameters_that_it_takes(
        self, unlisted: S3Cloud, collectstatic: CollectStatic, threads: int
    ) -> None:
        encryption = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
        parameters = {**encryption, "CacheControl": "no-store"}

        collectstatic(unlisted, options={"object_parameters": parameters}, threads=threads)

        looks = [each for each in unlisted.requests if unlisted.kind(each) == "HEAD"]
        assert all("x-amz-server-side-encryption-customer-key" in each.headers for each in looks)

    def test_clear_names_it_before_anything_is_written(
        self, unlisted: S3Cloud, refused: Callable[..., str], threads: int
    ) -> None:
        message = refused(unlisted, options={"location": "static"}, clear=True, threads=threads)

        assert f"s3:ListBucket on arn:aws:s3:::{unlisted.name}." in message
        assert not unlisted.counts().keys() & WRITES

    def test_look_that_fails_otherwise_ends_the_deploy(
        self, unlisted: S3Cloud, refused: Callable[..., str], threads: int
    ) -> None:
        refuse(unlisted, of_kind(unlisted, "HEAD"), "BadRequest", 400)

        message = refused(unlisted, threads=threads)

        assert "HeadObject" in message
        assert not unlisted.counts().keys() & WRITES


@pytest.mark.parametrize("threads", [0, 8])
class TestNoPermissionToWrite:
    def test_one_line_names_the_permission(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str], threads: int
    ) -> None:
        refuse(s3, of_kind(s3, "PUT"))

        message = refused(s3, options={"location": "static"}, threads=threads)

        assert message == (
            f"6 files were not sent to s3://{s3.name}/static/: The credentials lack the "
            f"permission s3:PutObject on arn:aws:s3:::{s3.name}/static/*."
        )

    def test_permission_to_set_an_acl_is_named_where_one_is_set(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str], threads: int
    ) -> None:
        refuse(s3, of_kind(s3, "PUT"))

        message = refused(s3, options={"default_acl": "public-read"}, threads=threads)

        assert "s3:PutObject and s3:PutObjectAcl" in message

    def test_rest_is_not_tried(
        self, s3: S3Cloud, static_tree: StaticTree, refused: Callable[..., str], threads: int
    ) -> None:
        for number in range(50):
            static_tree.write(f"{number}.css", b"x")
        refuse(s3, of_kind(s3, "PUT"))

        message = refused(s3, threads=threads)

        assert message.startswith("50 files were not sent")
        # Three that were refused, and one that each thread had begun by then.
        assert s3.counts()["PUT"] <= 3 + 2 * threads


@pytest.mark.parametrize("threads", [0, 8])
class TestOneObjectIsRefused:
    @pytest.fixture
    def message(
        self, s3: S3Cloud, tree: StaticTree, refused: Callable[..., str], threads: int
    ) -> str:
        refuse(s3, is_of_file("c.css"))
        message = refused(s3, threads=threads)
        s3.recorder.reset()
        return message

    def test_it_alone_is_named(self, s3: S3Cloud, message: str) -> None:
        first, *others = message.splitlines()
        assert first == f"1 file was not sent to s3://{s3.name}/:"
        assert len(others) == 1
        assert others[0].startswith("  'c.css': ")
        assert "s3:PutObject" in others[0]

    def test_all_others_are_sent(self, s3: S3Cloud, message: str) -> None:
        assert s3.keys() == [name for name in NAMES if name != "c.css"]

    def test_next_run_sends_only_the_rest(
        self, s3: S3Cloud, message: str, collectstatic: CollectStatic, threads: int
    ) -> None:
        run = collectstatic(s3, threads=threads)

        assert s3.keys() == NAMES
        assert s3.counts() == {"LIST": 1, "PUT": 1}
        assert "1 static file copied, 5 unmodified" in run.stdout


def unreachable(_: S3Cloud) -> dict[str, Any]:
    return {"endpoint_url": f"http://user:{SECRETS['secret_key']}@127.0.0.1:{free_port()}"}


def refusing(*kinds: str, code: str = "AccessDenied", status: int = 403) -> Any:
    def fault(cloud: S3Cloud) -> dict[str, Any]:
        refuse(cloud, of_kind(cloud, *kinds), code, status)
        return {}

    return fault


def one_refused(cloud: S3Cloud) -> dict[str, Any]:
    refuse(cloud, is_of_file("c.css"))
    return {}


def garbage(cloud: S3Cloud) -> dict[str, Any]:
    cloud.recorder.fail(of_kind(cloud, "PUT"), 200, answer("garbage"), {"ETag": "garbage"})
    cloud.recorder.fail(of_kind(cloud, "LIST"), 200, b"<not xml " + answer("garbage"))
    return {}


# Each makes the next run fail and returns options for it.
FAULTS: dict[str, Callable[[S3Cloud], dict[str, Any]]] = {
    "no bucket": lambda cloud: {"bucket_name": f"{cloud.name}-absent"},
    "wrong credentials": refusing("LIST", code="SignatureDoesNotMatch"),
    "expired token": refusing("LIST", code="ExpiredToken"),
    "no server": unreachable,
    "listing fails": refusing("LIST", code="InternalError", status=500),
    "listing is no XML": garbage,
    "no permission to look": refusing("LIST", "PUT"),
    "looking fails": refusing("LIST", "HEAD", status=400),
    "no permission to write": refusing("PUT"),
    "one object refused": one_refused,
    "writing fails": refusing("PUT", code="InternalError", status=500),
    "writing fails otherwise": refusing("PUT", code="InvalidRequest", status=400),
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_secret_is_in_any_output(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[S3Cloud], dict[str, Any]],
    debug: bool,
) -> None:
    options = {**ONCE, **SECRETS, **fault(s3)}

    with pytest.raises(CommandError) as caught:
        collectstatic(
            s3, options=options, settings={"COLLECTFASTA_DEBUG": debug}, verbosity=3, threads=8
        )

    assert collectstatic.last is not None
    output = "\n".join(
        [collectstatic.last.stdout, collectstatic.last.stderr, str(caught.value), caplog.text]
    )
    assert ("Traceback" in output) is debug
    for secret in (*SECRETS.values(), "51gn4tur3"):
        assert secret not in output
