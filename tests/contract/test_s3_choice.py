"""Which engine sends to S3: obstore only where it does exactly what the storage's client would."""

from __future__ import annotations

import sys
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from django.test import override_settings
from storages.backends.s3 import S3StaticStorage

from tests.contract.conftest import PART, Sources, Target, in_parts, send
from tests.servers.recorder import Recorder


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
                config=self.client_config.merge(Config(user_agent_extra="own-way")),
            )
        return self._own


class OwnSession(S3StaticStorage):
    """Connects by its own session."""

    def _create_session(self) -> boto3.Session:
        session = botocore.session.Session()
        session.user_agent_extra = "own-way"
        return boto3.Session(
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.security_token,
            botocore_session=session,
        )


class OwnAttributes(S3StaticStorage):
    """Has its place and what it sends as attributes of the class."""

    location = "assets"
    object_parameters = {"CacheControl": "max-age=31536000"}  # noqa: RUF012 - the storage's own


def use(store: Any, sources: Sources) -> None:
    """Make a request of each kind."""
    for name in ("a.css", "b.css"):
        send(store, sources.write(name, b"x"))
    assert [entry.key for entry in store.list("", "a.css").entries] == ["a.css", "b.css"]
    assert store.get("a.css") == b"x"
    assert store.head("a.css").size == 1
    store.delete(["b.css"])


def agents(target: Target) -> set[str]:
    """Return what has sent requests."""
    names = (each.headers["user-agent"].partition("/")[0] for each in target.cloud.requests)
    return {name.lower() for name in names}


def test_obstore_makes_all_requests_and_no_boto3_client_is_made(
    combined: Target, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = combined.store(**in_parts(combined))
    made: list[object] = []
    monkeypatch.setattr("boto3.Session.client", lambda *_, **__: made.append(1))

    use(store, sources)
    send(store, sources.write("large.bin", bytes(PART)))

    assert made == []
    # Listings are asked for by botocore's connections.
    assert agents(combined) == {"object_store", "python-urllib3"}
    assert store.sender == "obstore"


def test_only_what_obstore_can_not_send_goes_by_boto3_and_each_reason_is_named_once(
    combined: Target, sources: Sources
) -> None:
    store = combined.store(default_acl="public-read")

    use(store, sources)

    by_boto3 = [each for each in combined.cloud.requests if "Boto3" in each.headers["user-agent"]]
    assert [each.method for each in by_boto3] == ["PUT", "PUT"]
    assert store.sender == "obstore and boto3 (ACL)"
    assert store.requests == len(combined.cloud.requests)


def test_setting_chooses_boto3(combined: Target, sources: Sources) -> None:
    with override_settings(COLLECTFASTA_S3_ENGINE="boto3"):
        store = combined.store()
        use(store, sources)

    assert agents(combined) == {"boto3"}
    assert store.sender == "boto3 (COLLECTFASTA_S3_ENGINE)"


def test_without_obstore_boto3_makes_all_requests(
    combined: Target, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "collectfasta.stores.s3.obstore", None)
    store = combined.store()

    use(store, sources)

    assert agents(combined) == {"boto3"}
    assert store.sender == "boto3 (obstore is not installed)"


@pytest.mark.parametrize("backend", [OwnConnection, OwnSession])
def test_own_way_to_connect_does_every_request(s3: Target, sources: Sources, backend: type) -> None:
    store = s3.store(backend)

    use(store, sources)

    assert agents(s3) == {"boto3"}
    assert all("own-way" in each.headers["user-agent"] for each in s3.cloud.requests)


def test_attributes_of_the_class_say_where_and_how(s3: Target, sources: Sources) -> None:
    store = s3.store(OwnAttributes)

    send(store, sources.write("a.css", b"x"))

    assert store.prefix == "assets/"
    assert s3.cloud.get("assets/a.css").headers["cache-control"] == "max-age=31536000"


def test_client_that_is_configured_otherwise_makes_all_requests(
    combined: Target, sources: Sources
) -> None:
    for options in (
        {"client_config": Config(s3={"addressing_style": "path"}, proxies={})},
        {"client_config": Config(s3={"payload_signing_enabled": True})},
        {"verify": False},
    ):
        combined.cloud.empty()
        combined.cloud.clear_requests()
        store = combined.store(**options)

        use(store, sources)

        assert agents(combined) == {"boto3"}
        assert store.sender is not None
        assert store.sender.startswith("boto3 (")


def test_proxy_of_the_environment(
    s3: Target, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not meant for the server is passed by."""
    with Recorder(s3.recorded.recorder.url) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        for exceptions, through in (("", True), ("127.0.0.1", False)):
            monkeypatch.setenv("no_proxy", exceptions)
            s3.cloud.empty()
            proxy.clear()

            use(s3.store(), sources)

            assert bool(proxy.requests) is through
