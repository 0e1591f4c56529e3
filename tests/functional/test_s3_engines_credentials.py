"""Credentials from wherever boto3 finds them, and new ones when they expire: by both engines."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.s3 import S3Cloud

# The keys are made up here.
any_credentials = pytest.mark.needs_s3("any credentials")
# The storage's own keys out of the way.
ELSEWHERE = {"access_key": None, "secret_key": None, "security_token": None}
# Counts its runs in a file, and gives out another key each time.
PROCESS = """#!/bin/sh
echo >> {directory}/runs
number=$(wc -l < {directory}/runs)
test {fails_from} -gt $number || {{ echo "no token" >&2; exit 1; }}
cat <<END
{{"Version": 1, "AccessKeyId": "PROCESS$((number))", "SecretAccessKey": "s3cr3t",
 "SessionToken": "token$((number))", "Expiration": "{expires}"}}
END
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory for the AWS configuration; nothing of the machine's own counts."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "SECURITY_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
        monkeypatch.delenv(f"AWS_S3_{name}", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    home = tmp_path / "aws"
    home.mkdir()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
    return home


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in "abcd":
        static_tree.write(f"{name}.css", name.encode())
    return static_tree


def configure_process(home: Path, lifetime: timedelta, fails_from: int = 99) -> None:
    """Let a process give out credentials that live for some time."""
    script = home / "process.sh"
    expires = (datetime.now(timezone.utc) + lifetime).isoformat()
    script.write_text(PROCESS.format(directory=home, expires=expires, fails_from=fails_from))
    (home / "config").write_text(f"[default]\ncredential_process = /bin/sh {script}\n")


def keys(cloud: S3Cloud) -> list[str]:
    """Return the access key that each request was signed by."""
    found = (re.search(r"Credential=(\w+)/", r.headers["authorization"]) for r in cloud.requests)
    return [each[1] for each in found if each]


def tokens(cloud: S3Cloud) -> set[str | None]:
    return {request.headers.get("x-amz-security-token") for request in cloud.requests}


class TestSources:
    @any_credentials
    def test_storages_own_keys_come_first(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

        collectstatic(s3, options={"access_key": "OWN", "security_token": "own token"})

        assert keys(s3) == ["OWN"] * 5
        assert tokens(s3) == {"own token"}

    @any_credentials
    def test_environment_counts(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "token")

        collectstatic(s3, options=ELSEWHERE)

        assert keys(s3) == ["ENVIRONMENT"] * 5
        assert tokens(s3) == {"token"}

    @any_credentials
    @pytest.mark.parametrize(
        ("variables", "options", "key"),
        [
            ({}, {}, "DEFAULT"),
            ({"AWS_PROFILE": "deploy"}, {}, "DEPLOY"),
            ({}, {"session_profile": "deploy"}, "DEPLOY"),
            ({"AWS_PROFILE": "default"}, {"session_profile": "deploy"}, "DEPLOY"),
        ],
        ids=["default", "by the environment", "by the storage", "by both"],
    )
    def test_profile_counts(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
        home: Path,
        variables: dict[str, str],
        options: dict[str, Any],
        key: str,
    ) -> None:
        (home / "credentials").write_text(
            "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
            "[deploy]\naws_access_key_id = DEPLOY\naws_secret_access_key = s\n"
            "aws_session_token = profile token\n"
        )
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        collectstatic(s3, options={**ELSEWHERE, **options})

        assert keys(s3) == [key] * 5
        assert tokens(s3) == {"profile token" if key == "DEPLOY" else None}

    def test_none_at_all_is_said_by_name(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        with pytest.raises(CommandError, match=f"no credentials for s3://{s3.name}/: set access"):
            collectstatic(s3, options=ELSEWHERE)

        assert s3.requests == []


@any_credentials
class TestExpiry:
    def test_temporary_ones_are_used_for_as_long_as_they_live(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, home: Path
    ) -> None:
        configure_process(home, timedelta(hours=1))

        collectstatic(s3, options=ELSEWHERE, threads=8)

        assert {*keys(s3)} == {"PROCESS1"}
        assert tokens(s3) == {"token1"}

    def test_those_that_are_about_to_expire_are_fetched_anew(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, home: Path
    ) -> None:
        configure_process(home, timedelta(minutes=4))

        collectstatic(s3, options=ELSEWHERE, threads=0)

        used = keys(s3)
        assert len(set(used)) == len(used) == 5
        assert tokens(s3) == {key.replace("PROCESS", "token") for key in used}

    def test_objects_are_there_afterwards(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, home: Path
    ) -> None:
        configure_process(home, timedelta(minutes=4))

        collectstatic(s3, options=ELSEWHERE, threads=8)

        assert s3.keys() == tree.names()

    def test_failure_to_fetch_them_anew_is_named(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, home: Path
    ) -> None:
        configure_process(home, timedelta(minutes=4), fails_from=3)

        with pytest.raises(CommandError) as caught:
            collectstatic(s3, options=ELSEWHERE, threads=0)

        assert "Error when retrieving credentials from custom-process" in str(caught.value)
        assert "s3cr3t" not in str(caught.value)
