"""The store for S3 without a server: names, ETags, where listings begin, and what is made when."""

from __future__ import annotations

import gzip
import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.core.exceptions import SuspiciousOperation
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from storages.backends.s3 import S3Storage

from collectfasta.checksums import Checksum
from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.source import Body
from collectfasta.stores.s3.base import is_plain, just_before
from collectfasta.stores.s3.boto3 import Boto3Store
from collectfasta.stores.s3.connection import SLOW_LINE, UnsupportedError
from collectfasta.stores.s3.store import S3Store
from collectfasta.strategies.boto3 import Boto3ManifestMemoryStrategy

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
MEGABYTE = 1024 * 1024

keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def store_of(**options: Any) -> S3Store:
    return S3Store(S3Storage(**{"bucket_name": "bucket", **options}))


def test_url_identity_and_prefix_are_those_of_bucket_and_location() -> None:
    for location in ("static", "static/"):
        store = store_of(location=location)
        assert (store.url, store.prefix) == ("s3://bucket/static/", "static/")
        assert store.identity == "s3 aws bucket static/"
        assert store.key("a\\b//c.css") == "static/a/b/c.css"
    assert (store_of().url, store_of().prefix) == ("s3://bucket/", "")
    others = [{"bucket_name": "other"}, {"location": "static-old"}, {"endpoint_url": "http://a"}]
    assert (
        len({store_of(location="static").identity, *(store_of(**o).identity for o in others)}) == 4
    )


def test_names_that_can_not_be_keys_are_refused() -> None:
    store = store_of(location="static")
    with pytest.raises(SuspiciousOperation):
        store.key("../a.css")
    with pytest.raises(ValueError, match="longer than 1024 bytes"):
        store.key("a" * 1024)
    with pytest.raises(CollectfastaError, match="is no plain path, so S3Storage stores"):
        _ = store_of(location="a/../../b").prefix


def test_etag_is_a_checksum_where_the_storages_configuration_would_make_it() -> None:
    store = store_of(transfer_config=TransferConfig(multipart_chunksize=8 * MEGABYTE))
    cases = [
        (f'"{MD5}"', 0, Checksum("md5", MD5)),
        (f"{MD5}-2", 9 * MEGABYTE, Checksum("md5-parts", f"{MD5}-2", 8 * MEGABYTE)),
        (f"{MD5}-3", 9 * MEGABYTE, None),
        ("opaque", 1, None),
        (None, 1, None),
    ]
    for etag, size, checksum in cases:
        listed = store.listed(etag, size)
        assert (listed.size, listed.checksum) == (size, checksum)
        assert listed.version == (etag or "").strip('"')


def test_secrets_are_the_storages_and_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "from the environment")
    store = store_of(access_key="a", secret_key="s3cr3t", security_token="token")
    assert {"s3cr3t", "token", "from the environment"} <= {*store.secrets}


def test_secrets_of_a_profile_are_known_once_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = s3cr3t\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    once = Config(retries={"total_max_attempts": 1})
    for more in ({}, {"verify": False}):
        store = store_of(endpoint_url="http://127.0.0.1:1", client_config=once, **more)
        with pytest.raises(StoreError, match="Could not connect"):
            store.head("a")
        assert "s3cr3t" in store.secrets


def test_constructor_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(_: object) -> Any:
        raise AssertionError

    monkeypatch.setattr(S3Storage, "_create_session", made)
    store = store_of()
    store.prepare(8)
    assert (store.requests, store.sender) == (0, "")


def test_client_has_a_connection_for_each_thread_and_repeats_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    monkeypatch.delenv("AWS_RETRY_MODE", raising=False)

    def config_of(threads: int, **options: Any) -> Any:
        keys = {"access_key": "a", "secret_key": "b", "region_name": "eu-west-1"}
        store = Boto3Store(S3Storage(bucket_name="bucket", **keys, **options))
        store.prepare(threads)
        return store._client.meta.config

    assert config_of(64).max_pool_connections == 64
    assert config_of(4, client_config=Config(max_pool_connections=20)).max_pool_connections == 20
    assert config_of(4).retries["mode"] == "standard"
    own = config_of(4, client_config=Config(retries={"mode": "adaptive", "max_attempts": 2}))
    assert own.retries["mode"] == "adaptive"
    monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
    assert config_of(4).retries["mode"] == "legacy"


def test_storage_with_its_own_connection_is_asked_for_its_client() -> None:
    class OwnConnection(S3Storage):
        @property
        def connection(self) -> Any:
            return super().connection

    storage = OwnConnection(bucket_name="bucket", region_name="eu-west-1")
    assert Boto3Store(storage)._client is storage.connection.meta.client


@given(keys)
def test_what_a_listing_begins_behind_sorts_before_the_key_and_is_a_plain_path(key: str) -> None:
    before = just_before(key)
    assert before.encode() < key.encode()
    assert not before or is_plain(before)
    # It is the key's beginning, and at most two characters more.
    lengths = range(len(before), -1, -1)
    added = next(before[size:] for size in lengths if key[:size] == before[:size])
    assert len(added) <= 2
    assert all(" " <= character <= "~" for character in added)


class TestPayload:
    """What ``S3Storage._save()`` would send, by the private methods that it is made of."""

    def payload(self, name: str, content: bytes, **options: Any) -> Any:
        body = Body(io.BytesIO(content), len(content))
        return body, store_of(**options).payload(name, body)

    def test_headers_are_the_storages(self) -> None:
        parameters = {"CacheControl": "no-store"}
        body, payload = self.payload(
            "a.css", b"a", default_acl="public-read", object_parameters=parameters
        )
        expected = {"ACL": "public-read", "CacheControl": "no-store", "ContentType": "text/css"}
        assert dict(payload.headers) == expected
        assert payload.content is body
        assert not payload.encoded

    def test_bytes_are_compressed_by_the_storages_own_compressor(self) -> None:
        content = b"a{}" * 1000
        body, payload = self.payload("a.css", content, gzip=True)
        assert payload.encoded
        assert payload.headers["ContentEncoding"] == "gzip"
        compressed = body.encoded(payload.content).sized()
        assert gzip.decompress(compressed.whole()) == content
        assert compressed.size < len(content)

    def test_what_is_compressed_already_or_of_another_type_is_not_compressed(self) -> None:
        parameters = {"ContentEncoding": "br"}
        for name, options in [("a.css", {"object_parameters": parameters}), ("a.png", {})]:
            body, payload = self.payload(name, b"a", gzip=True, **options)
            assert payload.content is body

    def test_class_with_its_own_way_of_saving_may_encode_anything(self) -> None:
        class OwnSave(S3Storage):
            def _save(self, name: str, content: Any) -> str:
                raise NotImplementedError

        body = Body(io.BytesIO(b"a"), 1)
        assert S3Store(OwnSave(bucket_name="bucket")).payload("a.css", body).encoded


def test_only_what_reads_an_object_is_asked_for_with_it() -> None:
    encryption = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k"}
    store = store_of(object_parameters={**encryption, "CacheControl": "no-store"})
    assert store.read_arguments("a.css") == encryption


def test_request_that_obstore_can_not_make_goes_by_boto3_and_says_why() -> None:
    once = Config(retries={"total_max_attempts": 1})
    keys = {"access_key": "a", "secret_key": "b", "endpoint_url": "http://127.0.0.1:1"}
    store = store_of(client_config=once, **keys)
    for _ in range(2):
        with pytest.raises(StoreError, match="Could not connect"):
            store.put("a.css", Body(io.BytesIO(b"a"), 1), {"ACL": "private"})
    assert store.sender == "boto3 (ACL)"
    with pytest.raises(StoreError, match="Could not connect"):
        store.put("a.css", Body(io.BytesIO(b"a"), 1), {})
    assert (store.sender, store.requests) == ("obstore and boto3 (ACL)", 3)


def test_setting_leaves_everything_to_boto3() -> None:
    once = Config(retries={"total_max_attempts": 1})
    keys = {"access_key": "a", "secret_key": "b", "endpoint_url": "http://127.0.0.1:1"}
    store = store_of(client_config=once, **keys)
    with override_settings(COLLECTFASTA_S3_ENGINE="boto3"), pytest.raises(StoreError):
        store.head("a.css")
    assert store.sender == "boto3 (COLLECTFASTA_S3_ENGINE)"


def test_staged_storage_has_a_domain_unless_its_urls_depend_on_more_than_the_key() -> None:
    class OwnUrl(S3Storage):
        def url(self, *_: Any, **__: Any) -> str:
            return "/"

    def attributes(cls: type[Any] = S3Storage, **options: Any) -> object:
        storage = cls(bucket_name="bucket", **options)
        return Boto3ManifestMemoryStrategy(storage).staged_attributes()

    assert attributes(querystring_auth=False) == {"custom_domain": "staged"}
    assert attributes(querystring_auth=True) == {}
    assert attributes(querystring_auth=False, custom_domain="cdn.example.com") == {}
    assert attributes(OwnUrl, querystring_auth=False) == {}


def test_credentials_are_worked_out_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """By boto3, obstore and the storage itself, whatever is first."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    keys = '{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"}'
    (tmp_path / "ask").write_text(f"echo x >> {tmp_path}/asked; echo '{keys}'")
    (tmp_path / "config").write_text(f"[profile asks]\ncredential_process = sh {tmp_path}/ask\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "asks")
    for number, asks_first in enumerate((True, False), 1):
        store = store_of(endpoint_url="http://127.0.0.1:1", region_name="eu-west-1")
        if asks_first:
            _ = store.storage.connection
            store = S3Store(store.storage)
        assert store._made_fast is not None
        _ = store._exact._client
        for _ in range(2):
            session = store.storage._create_session()
            assert session.get_credentials().access_key == "A"
        assert (tmp_path / "asked").read_text().count("x") == number


def test_large_bodies_go_one_at_a_time_over_a_slow_line(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(access_key="a", secret_key="b", endpoint_url="http://127.0.0.1:1")
    under_way: list[int] = []
    most: list[int] = []

    def put(key: str, body: Any, size: int, headers: Any) -> str:
        under_way.append(size)
        most.append(len(under_way))
        time.sleep(0.02)
        under_way.remove(size)
        return MD5

    def give_up(*_: Any) -> str:
        raise UnsupportedError(SLOW_LINE, permanent=True)

    monkeypatch.setattr(store._made_fast, "put_whole", give_up)
    monkeypatch.setattr(store._exact, "put_whole", put)
    for size, expected in ((64 * 1024 + 1, 1), (1, 4)):
        most.clear()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key, size=size: store.put_whole(key, b"", size, {}), "abcd"))
        assert max(most) <= expected
        assert expected == 1 or max(most) > 1
