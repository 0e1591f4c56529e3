"""Credentials of S3 from wherever boto3 finds them, and new ones when they expire."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Sources, Target, refusal, send

# The keys are made up here.
pytestmark = pytest.mark.needs_s3("any credentials")

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


def configure_process(home: Path, lifetime: timedelta, fails_from: int = 99) -> None:
    """Let a process give out credentials that live for some time."""
    script = home / "process.sh"
    expires = (datetime.now(timezone.utc) + lifetime).isoformat()
    script.write_text(PROCESS.format(directory=home, expires=expires, fails_from=fails_from))
    (home / "config").write_text(f"[default]\ncredential_process = /bin/sh {script}\n")


def keys(target: Target) -> list[str]:
    """Return the access key that each request was signed by."""
    signatures = (each.headers["authorization"] for each in target.cloud.requests)
    found = (re.search(r"Credential=(\w+)/", each) for each in signatures)
    return [each[1] for each in found if each]


def tokens(target: Target) -> list[str | None]:
    """Return the session token that came with each request."""
    return [each.headers.get("x-amz-security-token") for each in target.cloud.requests]


def use(target: Target, sources: Sources, **options: Any) -> None:
    """Put two files, and list."""
    store = target.store(**options)
    for name in ("a.css", "b.css"):
        send(store, sources.write(name, b"x"))
    assert [entry.key for entry in store.list("", "a.css").entries] == ["a.css", "b.css"]


def test_storages_own_keys_come_first(
    s3: Target, sources: Sources, no_aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    use(s3, sources, access_key="OWN", security_token="own token")

    assert keys(s3) == ["OWN"] * 3
    assert {*tokens(s3)} == {"own token"}


def test_environment_counts(
    s3: Target, sources: Sources, no_aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ACCESS_KEY_ID": "KEY",
        "SECRET_ACCESS_KEY": "s",
        "SESSION_TOKEN": "t",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)

    use(s3, sources, **ELSEWHERE)

    assert keys(s3) == ["KEY"] * 3
    assert {*tokens(s3)} == {"t"}


def test_profile_counts(
    s3: Target, sources: Sources, no_aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_aws / "credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
        "[deploy]\naws_access_key_id = DEPLOY\naws_secret_access_key = s\n"
        "aws_session_token = profile token\n"
    )
    cases: list[tuple[str | None, dict[str, Any], str]] = [
        (None, {}, "DEFAULT"),
        ("deploy", {}, "DEPLOY"),
        (None, {"session_profile": "deploy"}, "DEPLOY"),
        ("default", {"session_profile": "deploy"}, "DEPLOY"),
    ]
    for variable, options, key in cases:
        s3.cloud.clear_requests()
        with monkeypatch.context() as patched:
            if variable:
                patched.setenv("AWS_PROFILE", variable)
            use(s3, sources, **{**ELSEWHERE, **options})

        assert keys(s3) == [key] * 3
        assert {*tokens(s3)} == {"profile token" if key == "DEPLOY" else None}


def test_temporary_ones_are_used_for_as_long_as_they_live(
    s3: Target, sources: Sources, no_aws: Path
) -> None:
    configure_process(no_aws, timedelta(hours=1))

    use(s3, sources, **ELSEWHERE)

    assert {*keys(s3)} == {"PROCESS1"}
    assert {*tokens(s3)} == {"token1"}


def test_those_that_are_about_to_expire_are_fetched_again(
    s3: Target, sources: Sources, no_aws: Path
) -> None:
    configure_process(no_aws, timedelta(minutes=4))

    use(s3, sources, **ELSEWHERE)

    used = keys(s3)
    assert len({*used}) == len(used) == 3
    assert tokens(s3) == [key.replace("PROCESS", "token") for key in used]


def test_failure_to_fetch_them_again_is_named(s3: Target, sources: Sources, no_aws: Path) -> None:
    configure_process(no_aws, timedelta(minutes=4), fails_from=3)
    store = s3.store(**ELSEWHERE)
    source = sources.write("a.css", b"x")

    def send_again_and_again() -> None:
        for _ in range(4):
            send(store, source)

    error = refusal(send_again_and_again)

    told = f"{error} {error.advice}"
    assert "Error when retrieving credentials from custom-process" in told
    assert "s3cr3t" not in told
