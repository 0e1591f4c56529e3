"""Deletions: in batches, exactly what is named, and what is gone already is not an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.answers import answer, refuse
from tests.contract.conftest import Target, refusal

BATCHES = {"s3": "DELETE_BATCH", "boto3": "DELETE_BATCH", "gcs": "BATCH", "azure": "BATCH"}


def fill(target: Target, *keys: str) -> None:
    """Store objects."""
    for key in keys:
        target.cloud.put(key, b"x")


def is_deletion(target: Target) -> Any:
    """Match what deletes, in batches and by itself."""
    return target.of_kind("BATCH", "DELETE_BATCH", "DELETE")


def batch_answer(target: Target, *statuses: str) -> tuple[int, bytes, str]:
    """Return the answer to a batch with a part for each of its requests, and its content type."""
    if target.kind == "gcs":
        part = "--batch\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {}\r\n"
        part += "Content-Type: application/json\r\n\r\n{{}}\r\n"
        body = "".join(map(part.format, statuses)) + "--batch--"
        return 200, body.encode(), 'multipart/mixed; boundary="batch"'
    part = "--batch\r\nContent-Type: application/http\r\nContent-ID: {}\r\n\r\n"
    part += "HTTP/1.1 {}\r\nContent-Length: 0\r\n\r\n\r\n"
    body = "".join(part.format(*each) for each in enumerate(statuses)) + "--batch--"
    return 202, body.encode(), "multipart/mixed; boundary=batch"


def test_only_what_is_named_is_gone(target: Target) -> None:
    kept = ["a", "static-old/a.css", "static.txt", "static/a.css.map", "static/a", "ü.css"]
    gone = ["static/a.css", "static/b c+%2F.css", "static/ü.css", "static/e\u0301.css"]
    if target.kind == "filesystem":
        kept.remove("a")
    fill(target, *kept, *gone)

    target.store().delete(gone)

    assert target.cloud.keys() == sorted(kept)


def test_what_is_missing_is_not_an_error(target: Target) -> None:
    fill(target, "a.css", "b.css")
    store = target.store()

    store.delete(["absent/1.css", "a.css", "absent/2.css"])
    store.delete(["a.css"])

    assert target.cloud.keys() == ["b.css"]


def test_nothing_takes_no_request(target: Target) -> None:
    store = target.store()

    store.delete([])

    assert target.cloud.requests == []


@pytest.mark.parametrize(
    ("remote", "number"),
    [
        pytest.param("s3", 1001, marks=pytest.mark.s3),
        pytest.param("boto3", 1001, marks=pytest.mark.s3),
        ("azure", 257),
    ],
    indirect=["remote"],
)
def test_batches_are_as_large_as_the_service_takes(remote: Target, number: int) -> None:
    fill(remote, "old/0000.css", f"old/{number - 1:04}.css", "kept.css")
    store = remote.store()

    store.delete([f"old/{each:04}.css" for each in range(number)])

    assert remote.cloud.keys() == ["kept.css"]
    assert remote.cloud.counts() == {BATCHES[remote.kind]: 2}
    assert store.requests == 2


def test_batches_of_google_are_as_large_as_the_service_takes(google: Target) -> None:
    keys = [f"old/{each:03}.css" for each in range(101)]
    fill(google, *keys, "kept.css")
    store = google.store()

    store.delete(keys)

    assert google.cloud.keys() == ["kept.css"]
    assert google.cloud.counts() == {"BATCH": 2}


def test_what_others_delete_at_the_same_time_keeps_nothing(remote: Target) -> None:
    keys = [f"{number}.css" for number in range(5)]
    fill(remote, *keys)
    remote.recorded.recorder.before(
        remote.of_kind(BATCHES[remote.kind]), lambda _: remote.cloud.delete("2.css")
    )

    remote.store().delete(keys)

    assert remote.cloud.keys() == []


@pytest.mark.parametrize("remote", ["gcs", "azure"], indirect=True)
@pytest.mark.parametrize("order", [1, -1], ids=["gone first", "failed first"])
def test_what_fails_within_a_batch_is_deleted_by_itself(remote: Target, order: int) -> None:
    fill(remote, "failed.css")
    status, body, content_type = batch_answer(
        remote, *("404 Not Found", "503 Service Unavailable")[::order]
    )
    remote.recorded.recorder.fail(
        remote.of_kind("BATCH"), status, body, {"Content-Type": content_type}
    )

    remote.store().delete(["gone.css", "failed.css"][::order])

    assert remote.cloud.keys() == []


def test_what_fails_within_a_batch_of_s3_is_an_error(s3: Target) -> None:
    for code, is_transient in (("InternalError", True), ("AccessDenied", False)):
        body = (
            f"<DeleteResult><Error><Key>b.css</Key><Code>{code}</Code>"
            "<Message>No.</Message></Error></DeleteResult>"
        )
        answer(s3, s3.of_kind("DELETE_BATCH"), body.encode())

        error = refusal(lambda: s3.store().delete(["a.css", "b.css"]))

        assert error.transient is is_transient
        if not is_transient:
            assert error.kind == f"200 {code}"
            assert f"s3:DeleteObject on arn:aws:s3:::{s3.recorded.name}/*." in (error.advice or "")
        s3.recorded.recorder.reset()


def test_refusal_is_an_error_with_advice(remote: Target) -> None:
    fill(remote, "a.css")
    code = "AuthorizationPermissionMismatch" if remote.kind == "azure" else "AccessDenied"
    refuse(remote, is_deletion(remote), 403, code)

    error = refusal(lambda: remote.store().delete(["a.css"]))

    words = {"gcs": "storage.objects.delete", "azure": "delete"}
    assert words.get(remote.kind, "s3:DeleteObject") in (error.advice or "")
    assert "\n" not in (error.advice or "")
    assert not error.transient
    assert remote.cloud.keys() == ["a.css"]


@pytest.mark.parametrize("target", ["filesystem"], indirect=True)
def test_directory_that_may_not_be_written_is_an_error(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(target, "a.css")

    def unlink(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr("os.unlink", unlink)
        error = refusal(lambda: target.store().delete(["a.css"]))

    assert error.denied
    assert "Permission denied" in str(error)
    assert "a.css" in str(error)
