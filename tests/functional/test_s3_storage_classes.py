"""Storages of the user's own class, and storages that do not overwrite."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from storages.backends.s3 import S3StaticStorage

from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds.base import DEFAULT_STORAGE
from tests.servers.clouds.s3 import S3Cloud

FILES = {"a.css": b"aaa", "b/b.js": b"bbb"}


class OwnAttributes(S3StaticStorage):
    """Has its place as attributes of the class; the test sets the rest."""

    location = "assets"
    object_parameters = {"CacheControl": "max-age=31536000"}  # noqa: RUF012 - the storage's own


class OwnConnection(S3StaticStorage):
    """Connects in its own way."""

    @property
    def connection(self) -> Any:
        if not hasattr(self, "_own"):
            self._own = boto3.resource(
                "s3",
                endpoint_url=self.endpoint_url,
                region_name=self.region_name,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                aws_session_token=self.security_token,
                config=self.client_config.merge(Config(user_agent_extra="own-connection")),
            )
        return self._own


class OwnSession(S3StaticStorage):
    """Connects by its own session."""

    def _create_session(self) -> boto3.Session:
        session = botocore.session.Session()
        session.user_agent_extra = "own-session"
        return boto3.Session(
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.security_token,
            botocore_session=session,
        )


class OwnNames(S3StaticStorage):
    """Never overwrites, by other names."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return f"other-{name}"


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, content in FILES.items():
        static_tree.write(name, content)
    return static_tree


def bodies(cloud: S3Cloud) -> dict[str, bytes]:
    return {key: stored.body for key, stored in cloud.objects().items()}


@pytest.mark.parametrize("threads", [0, 8])
def test_attributes_of_the_class_say_where_and_how(
    s3: S3Cloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
) -> None:
    for name, value in s3.options().items():
        monkeypatch.setattr(OwnAttributes, name, value, raising=False)
    storages = {
        "default": {"BACKEND": DEFAULT_STORAGE},
        "staticfiles": {"BACKEND": f"{__name__}.OwnAttributes"},
    }

    collectstatic(s3, settings={"STORAGES": storages}, threads=threads)
    assert bodies(s3) == {f"assets/{name}": content for name, content in FILES.items()}
    assert s3.get("assets/a.css").headers["cache-control"] == "max-age=31536000"
    s3.clear_requests()
    collectstatic(s3, settings={"STORAGES": storages}, threads=threads)

    assert s3.counts() == {"LIST": 1}


@pytest.mark.parametrize("threads", [0, 8])
def test_connection_of_the_class_does_every_request(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    run = collectstatic(s3, backend=f"{__name__}.OwnConnection", threads=threads)

    assert s3.counts() == {"LIST": 1, "PUT": 2}
    assert all("own-connection" in request.headers["user-agent"] for request in s3.requests)
    assert "3 requests" in run.stdout


@pytest.mark.parametrize("threads", [0, 8])
def test_session_of_the_class_does_every_request(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    collectstatic(s3, backend=f"{__name__}.OwnSession", threads=threads)

    assert s3.counts() == {"LIST": 1, "PUT": 2}
    assert all("own-session" in request.headers["user-agent"] for request in s3.requests)


WAYS_NOT_TO_OVERWRITE: dict[str, dict[str, Any]] = {
    "file_overwrite": {"options": {"file_overwrite": False}},
    "own names": {"backend": f"{__name__}.OwnNames"},
    "own _save": {
        "backend": "tests.functional.test_s3_gzip.OwnSave",
        "options": {"file_overwrite": False},
    },
}


@pytest.mark.parametrize("way", WAYS_NOT_TO_OVERWRITE.values(), ids=WAYS_NOT_TO_OVERWRITE)
@pytest.mark.parametrize("clear", [False, True], ids=["deploy", "clear"])
def test_stale_object_is_written_over_under_its_own_name(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, way: dict[str, Any], clear: bool
) -> None:
    way = {**way, "options": {**way.get("options", {}), "location": "static"}}
    for name in FILES:
        s3.put(f"static/{name}", b"stale")

    collectstatic(s3, **way, clear=clear)

    assert s3.keys() == [f"static/{name}" for name in FILES]
    assert b"stale" not in bodies(s3).values()
    assert not s3.counts().keys() & {"DELETE", "DELETE_BATCH"}


@pytest.mark.parametrize("threads", [0, 8])
def test_nothing_is_deleted_before_everything_is_written(
    s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, threads: int
) -> None:
    options = {"file_overwrite": False, "location": "static"}
    for name in (*FILES, "leftover.js"):
        s3.put(f"static/{name}", b"stale")

    collectstatic(s3, options=options, clear=True, threads=threads)

    kinds = [s3.kind(request) for request in s3.requests]
    assert kinds == ["LIST", "PUT", "PUT", "DELETE_BATCH"]
