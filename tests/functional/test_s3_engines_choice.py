"""Which engine makes the requests to S3: once per run, and for each object."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import botocore.client
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.core.management import CommandError
from storages.backends.s3 import S3StaticStorage

from tests.conftest import CollectStatic, Run, StaticTree
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.recorder import Recorder, Request

OBSTORE, BOTO3 = "object_store/", "Boto3/"


class OneWithAcl(S3StaticStorage):
    """Gives one object an ACL."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_object_parameters(name)
        return {**parameters, "ACL": "public-read"} if name == "public.css" else parameters


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name in ("a.css", "b.js", "public.css", "z/deep/c.png"):
        static_tree.write(name, name.encode())
    return static_tree


@pytest.fixture
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it impossible to make a client of botocore."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("A boto3 client was made.")

    monkeypatch.setattr(botocore.client.ClientCreator, "create_client", refuse)


@pytest.fixture
def proxy(s3_server: Any) -> Iterator[Recorder]:
    """An HTTP proxy before the S3 server."""
    with Recorder(s3_server.endpoint) as recorder:
        yield recorder


def agents(cloud: S3Cloud) -> set[str]:
    """Return which engines the requests name as their agents."""
    return {agent_of(request) for request in cloud.requests}


def agent_of(request: Request) -> str:
    agent = request.headers["user-agent"]
    return next(each for each in (OBSTORE, BOTO3) if each in agent)


def facts(run: Run) -> str:
    """Return the line of facts below the summary."""
    return run.stdout.splitlines()[-1]


class TestByDefault:
    def test_obstore_makes_all_requests(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        run = collectstatic(s3_obstore, verbosity=2)

        assert s3_obstore.counts() == {"LIST": 1, "PUT": 4}
        assert agents(s3_obstore) == {OBSTORE}
        assert "5 requests by obstore," in facts(run)

    def test_low_verbosity_names_no_engine(
        self, s3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        run = collectstatic(s3, verbosity=1)

        assert "5 requests," in facts(run)
        assert "obstore" not in run.stdout
        assert "by boto3" not in run.stdout

    @pytest.mark.parametrize("threads", [0, 8])
    def test_no_boto3_client_is_made(
        self,
        s3_obstore: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        no_client: None,
        threads: int,
    ) -> None:
        first = collectstatic(s3_obstore, threads=threads)
        unchanged = collectstatic(s3_obstore, threads=threads)
        tree.write("a.css", b"changed")
        changed = collectstatic(s3_obstore, threads=threads)

        assert "4 static files copied" in first.stdout
        assert "0 static files copied, 4 unmodified" in unchanged.stdout
        assert "1 static file copied, 3 unmodified" in changed.stdout

    def test_no_boto3_client_is_made_for_a_large_file(
        self,
        s3_obstore: S3Cloud,
        static_tree: StaticTree,
        collectstatic: CollectStatic,
        no_client: None,
    ) -> None:
        static_tree.write("large.bin", bytes(9 * 1024 * 1024))

        collectstatic(s3_obstore)

        assert s3_obstore.counts() == {"LIST": 1, "MULTIPART": 4}


class TestSetting:
    def test_boto3_makes_all_requests(
        self, s3_boto3: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        run = collectstatic(s3_boto3, verbosity=2)

        assert agents(s3_boto3) == {BOTO3}
        assert "5 requests by boto3 (COLLECTFASTA_S3_ENGINE)," in facts(run)

    @pytest.mark.parametrize("value", ["obstore", "", 1])
    def test_other_values_are_one_clear_error(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic, value: object
    ) -> None:
        with pytest.raises(CommandError) as caught:
            collectstatic(s3_obstore, settings={"COLLECTFASTA_S3_ENGINE": value})

        assert "COLLECTFASTA_S3_ENGINE" in str(caught.value)
        assert str(caught.value).count("COLLECTFASTA_S3_ENGINE") == 1
        assert s3_obstore.requests == []


class TestPerObject:
    def test_only_what_obstore_can_not_send_goes_by_boto3(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        run = collectstatic(s3_obstore, backend=f"{__name__}.OneWithAcl", verbosity=2)

        by_boto3 = {r.path.split("/")[-1] for r in s3_obstore.requests if agent_of(r) == BOTO3}
        assert by_boto3 == {"public.css"}
        assert "5 requests by obstore and boto3 (ACL)," in facts(run)

    def test_everything_is_sent_with_an_acl(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        collectstatic(s3_obstore, options={"default_acl": "public-read"}, threads=8)

        writers = {agent_of(r) for r in s3_obstore.requests if r.method == "PUT"}
        assert writers == {BOTO3}
        assert s3_obstore.keys() == tree.names()

    def test_each_reason_is_named_once(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        parameters = {"Tagging": "a=b"}

        run = collectstatic(s3_obstore, options={"object_parameters": parameters}, verbosity=2)

        assert "by obstore and boto3 (Tagging)," in facts(run)

    @pytest.mark.parametrize(
        "config",
        [
            TransferConfig(multipart_threshold=1, max_bandwidth=10**8),
            TransferConfig(multipart_threshold=1, multipart_chunksize=17 * 1024 * 1024),
        ],
        ids=["bandwidth", "large parts"],
    )
    def test_transfer_configuration_that_obstore_has_not_is_obeyed(
        self,
        s3_obstore: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        config: TransferConfig,
    ) -> None:
        run = collectstatic(s3_obstore, options={"transfer_config": config}, verbosity=2)

        assert "by obstore and boto3 (the transfer configuration)," in facts(run)
        assert s3_obstore.keys() == tree.names()


class TestPerRun:
    def test_without_obstore_boto3_makes_all_requests(
        self,
        s3_obstore: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(sys.modules, "obstore", None)
        monkeypatch.delitem(sys.modules, "collectfasta.stores.s3.obstore", raising=False)

        run = collectstatic(s3_obstore, verbosity=2)

        assert agents(s3_obstore) == {BOTO3}
        assert "by boto3 (obstore is not installed)," in facts(run)
        assert s3_obstore.keys() == tree.names()

    @pytest.mark.needs_s3("signature version 2")
    def test_client_that_is_configured_otherwise_makes_all_requests(
        self, s3_obstore: S3Cloud, tree: StaticTree, collectstatic: CollectStatic
    ) -> None:
        config = Config(signature_version="s3", s3={"addressing_style": "path"})

        run = collectstatic(s3_obstore, options={"client_config": config}, verbosity=2)

        assert agents(s3_obstore) == {BOTO3}
        assert "by boto3 (signature_version in the client's configuration)," in facts(run)


class TestProxy:
    @pytest.fixture(autouse=True)
    def _only_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    def test_both_engines_go_through_that_of_the_environment(
        self,
        s3: S3Cloud,
        proxy: Recorder,
        tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("http_proxy", proxy.url)

        collectstatic(s3)

        assert s3.requests == []
        assert len(proxy.requests) == 5
        assert s3.keys() == tree.names()

    @pytest.mark.parametrize(
        "variables",
        [
            {"all_proxy": "http://127.0.0.1:1"},
            {"ALL_PROXY": "http://127.0.0.1:1"},
            {"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"},
            {"http_proxy": "http://127.0.0.1:1", "no_proxy": "*"},
            {"https_proxy": "http://127.0.0.1:1"},
        ],
    )
    def test_both_engines_pass_by_what_is_not_meant_for_the_server(
        self,
        s3: S3Cloud,
        tree: StaticTree,
        collectstatic: CollectStatic,
        monkeypatch: pytest.MonkeyPatch,
        variables: dict[str, str],
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        collectstatic(s3)

        assert len(s3.requests) == 5
