"""What a store puts it finds again, reads and describes, under the exact key."""

from __future__ import annotations

import hashlib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from django.core.exceptions import SuspiciousOperation

from collectfasta.errors import CollectfastaError
from collectfasta.remote import Listed, RemoteObject, compare
from tests.contract.conftest import REMOTE, Sources, Target, refusal, send

# Those of one file system and of all clouds.
NAMES = [
    unicodedata.normalize("NFC", "é.css"),
    unicodedata.normalize("NFD", "é.css"),
    "日本/語.js",
    "\U0001f600.png",
    "…/ü\u00a0.css",
    "with space/a b  c.css",
    " leading.css",
    "plus+plus.css",
    "percent%2Fencoded%20%00.css",
    "hash#hash.css",
    "tilde~tilde.css",
    "question?a=b&c.css",
    "quotes'\".css",
    "ampersand&<tag>.css",
    "brackets[](){}.css",
    "comma,semi;colon:at@=$.css",
    "!*^|`.css",
    "-rf",
    "a/.hidden",
    "a.b/..c/d...css",
    "x" * 200 + "/" + "y" * 200,
]
LOCATIONS = ["", "a b/+%2F~ü"]


def located(target: Target, location: str) -> dict[str, Any]:
    """Return options of a storage at a location, which a file system has anyway."""
    return {} if target.kind == "filesystem" or not location else {"location": location}


@pytest.mark.parametrize("location", LOCATIONS, ids=["root", "location"])
def test_every_character_reaches_the_key_and_is_found_again(
    target: Target, sources: Sources, location: str
) -> None:
    options = located(target, location)
    store = target.store(**options)

    put = {store.key(name): send(store, sources.write(name, name.encode())) for name in NAMES}

    prefix = f"{location}/" if options else ""
    bodies = {f"{prefix}{name}": name.encode() for name in NAMES}
    assert target.bodies() == bodies
    assert {entry.key for entry in store.list_all(store.prefix)} == bodies.keys()
    for key, listed in put.items():
        assert store.get(key) == bodies[key]
        assert store.head(key).version == listed.version
    store.delete([*put])
    assert target.bodies() == {}


def test_what_put_head_and_listing_say_is_the_same(target: Target, sources: Sources) -> None:
    store = target.store()
    source = sources.write("css/a.css", b"body")

    put = send(store, source)

    assert put.version
    assert put.size == 4
    listings = [
        dict(store.list_all(store.prefix)),
        dict(store.list(store.prefix, "css/a.css").entries),
    ]
    for listed in (*(each["css/a.css"] for each in listings), store.head("css/a.css")):
        assert (listed.version, listed.size) == (put.version, 4)
        checksum = listed.checksum or listed.read_checksum()
        assert checksum.algorithm == "md5"
        assert checksum.value == hashlib.md5(b"body").hexdigest()
        with source.open() as content:
            payload = store.payload("css/a.css", content)
            assert compare(source, payload, RemoteObject.of("css/a.css", listed)).same


def test_another_content_is_another_version(target: Target, sources: Sources) -> None:
    store = target.store()
    first = send(store, sources.write("a.css", b"1"))

    second = send(store, sources.write("a.css", b"2"))

    assert first.version != second.version == store.head("a.css").version
    assert target.bodies() == {"a.css": b"2"}


def test_object_changed_by_others_is_another_version(target: Target, sources: Sources) -> None:
    store = target.store()
    put = send(store, sources.write("a.css", b"ours"))

    target.cloud.put("a.css", b"else")

    assert store.head("a.css").version != put.version
    assert dict(store.list_all(store.prefix))["a.css"].version != put.version
    assert store.get("a.css") == b"else"


def test_missing_objects(target: Target) -> None:
    store = target.store()

    assert store.head("absent/a.css") is None
    error = refusal(lambda: store.get("absent/a.css"))

    assert error.missing
    assert not error.transient
    assert not error.denied
    assert [*store.list_all(store.prefix)] == []
    assert [*store.list_all("absent/")] == []


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024 + 1])
def test_sizes(target: Target, sources: Sources, size: int) -> None:
    store = target.store()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    for name in ("a.bin", "without-extension"):
        listed = send(store, sources.write(name, body))

        assert listed.size == size
        assert store.get(name) == body
        assert target.cloud.get(name).body == body
        assert store.head(name).size == size


def test_storage_that_does_not_overwrite_keeps_its_names_and_deletes_nothing(
    remote: Target, sources: Sources
) -> None:
    option = "overwrite_files" if remote.kind == "azure" else "file_overwrite"
    storage = remote.storage(**{option: False})
    for content in (b"1", b"2"):
        files = [sources.write(name, content) for name in ("a.css", "b/a.css")]
        remote.upload(storage, *files)

    assert remote.bodies() == {"a.css": b"2", "b/a.css": b"2"}
    assert not {"DELETE", "DELETE_BATCH", "BATCH", "HEAD"} & remote.cloud.counts().keys()


def test_many_threads_share_a_store(target: Target, sources: Sources) -> None:
    store = target.store()
    files = [sources.write(f"{number}.css", b"%d" % number) for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        listed = list(pool.map(lambda source: send(store, source), files))
        heads = list(pool.map(lambda source: store.head(source.name), files))

    assert target.bodies() == {each.name: each.name[:-4].encode() for each in files}
    assert [each.version for each in listed] == [each.version for each in heads]


class TestWhatItIs:
    URLS = {  # noqa: RUF012 - read only
        "memory": "memory://static/",
        "s3": "s3://{name}/static/",
        "boto3": "s3://{name}/static/",
        "gcs": "gs://{name}/static/",
        "azure": "azure://{name}/static/",
    }

    def test_url_names_bucket_and_location(self, target: Target) -> None:
        options = located(target, "static/")
        name = getattr(target.cloud, "name", "")
        root = str(getattr(target.cloud, "root", ""))

        assert target.store(**options).url == (root or self.URLS[target.kind].format(name=name))

    def test_identity_tells_targets_apart_and_holds_no_secret(self, remote: Target) -> None:
        other = {"azure": "azure_container"}.get(remote.kind, "bucket_name")
        stores = [
            remote.store(),
            remote.store(location="static"),
            remote.store(location="static/css"),
            remote.store(**{other: "another"}),
            remote.store(**{other: "another"}, location="static"),
        ]

        identities = [store.identity for store in stores]

        assert len({*identities}) == len(stores)
        assert remote.store().identity == identities[0]
        assert [
            secret
            for store in stores
            for secret in store.secrets
            if secret != "testing" and secret in store.identity
        ] == []

    def test_constructor_and_questions_about_it_make_no_request(self, remote: Target) -> None:
        store = remote.store(location="static")

        assert store.key("a.css") == "static/a.css"
        assert store.prefix == "static/"
        assert store.requests == 0
        store.abort()
        assert store.identity.endswith(store.url.partition("://")[2][-len("static/") :])
        assert store.secrets is not None
        assert remote.cloud.requests == []

    def test_requests_are_counted(self, remote: Target, sources: Sources) -> None:
        store = remote.store()
        for name in ("a.css", "b.css"):
            send(store, sources.write(name, b"1"))
        assert store.head("a.css")
        store.head("absent.css")
        [*store.list_all("")]
        store.get("a.css")
        store.delete(["b.css"])

        assert store.requests == len(remote.cloud.requests) == 7

    def test_sender_is_named_where_there_is_more_than_one(
        self, target: Target, sources: Sources
    ) -> None:
        store = target.store()
        send(store, sources.write("a.css", b"1"))

        assert store.sender == {"s3": "obstore", "boto3": "boto3"}.get(target.kind)


class TestKeys:
    @staticmethod
    def long_name(size: int) -> str:
        """Return a name of so many bytes, in parts that a file system takes."""
        return "/".join("x" * 99 for _ in range(20))[: size - 4] + ".css"

    def test_longest_key_is_stored(self, remote: Target, sources: Sources) -> None:
        name = self.long_name(1024 - len("static/"))
        store = remote.store(location="static")

        send(store, sources.write(name, b"x"))

        assert remote.cloud.keys() == [f"static/{name}"]

    def test_longer_key_is_refused_without_a_request(self, remote: Target) -> None:
        for location in ("", "static"):
            name = self.long_name(1025 - (len(location) + 1 if location else 0))
            # AzureStorage refuses it before.
            with pytest.raises(ValueError, match=r"longer than 1024 bytes|max len is 1024"):
                remote.store(location=location).key(name)
        in_bytes = "/".join("ü" * 99 for _ in range(6))
        with pytest.raises(ValueError, match="longer than 1024 bytes"):
            remote.store().key(in_bytes)
        assert remote.cloud.requests == []

    @pytest.mark.parametrize("target", ["filesystem", *REMOTE], indirect=True)
    def test_key_outside_of_the_location_is_refused(self, target: Target) -> None:
        store = target.store(**located(target, "static"))
        for name in ("../a.css", "a/../../b.css"):
            with pytest.raises(SuspiciousOperation):
                store.key(name)

    def test_key_that_is_not_text_is_refused(self, remote: Target) -> None:
        with pytest.raises(ValueError, match="surrogates not allowed"):
            remote.store().key("a\udcff.css")

    @pytest.mark.parametrize("target", ["memory", "filesystem"], indirect=True)
    def test_null_character_is_refused(self, target: Target) -> None:
        with pytest.raises(ValueError, match=r"null character|no object can have"):
            target.store().key("a\0.css")

    @pytest.mark.parametrize("target", ["filesystem"], indirect=True)
    def test_part_that_no_file_system_takes_is_refused(self, target: Target) -> None:
        with pytest.raises(ValueError, match="longer than 255 bytes"):
            target.store().key("a/" + "ü" * 128)

    def test_names_that_the_service_can_not_have(self, google: Target, azure: Target) -> None:
        for name in ("a\nb.css", "a\rb.css", ".well-known/acme-challenge/x"):
            with pytest.raises(ValueError, match="acme-challenge"):
                google.store().key(name)
        with pytest.raises(ValueError, match="control"):
            azure.store().key("a\x07.css")

    def test_dots_that_azure_strips_off_both_ends(self, azure: Target, sources: Sources) -> None:
        store = azure.store(location="static")

        for name in (".well-known/a.txt", "b."):
            send(store, sources.write(name, b"x"))

        assert azure.cloud.keys() == ["static/.well-known/a.txt", "static/b"]
        assert azure.store().key(".well-known/a.txt") == "well-known/a.txt"

    @pytest.mark.parametrize("location", ["static", "static/", "a/b"])
    def test_location_is_a_folder(self, remote: Target, sources: Sources, location: str) -> None:
        store = remote.store(location=location)

        send(store, sources.write("vendor/static/app.js", b"1"))

        assert store.prefix == f"{location.rstrip('/')}/"
        assert remote.cloud.keys() == [f"{location.rstrip('/')}/vendor/static/app.js"]

    def test_location_that_is_no_plain_path_is_explained(self, remote: Target) -> None:
        with pytest.raises(CollectfastaError, match="write it without empty and dotted segments"):
            assert remote.store(location="a/../../b").prefix


class TestRequestsOfAzure:
    def test_ids_are_random(self, azure: Target, sources: Sources) -> None:
        """What the SDK makes of time and place, libuuid opens a file for in each thread."""
        store = azure.store()
        for number in range(5):
            send(store, sources.write(f"{number}.css", b"1"))

        ids = [UUID(each.headers["x-ms-client-request-id"]) for each in azure.cloud.requests]
        assert {each.version for each in ids} == {4}
        assert len({*ids}) == len(ids) == 5

    def test_every_one_carries_the_timeout(
        self, azure: Target, sources: Sources, small_pieces: None
    ) -> None:
        store = azure.store(timeout=7)
        send(store, sources.write("a.css", b"1"))
        send(store, sources.write("large.bin", bytes(3 * azure.piece)))
        [*store.list_all("")]
        store.head("a.css")
        store.get("a.css")
        store.delete(["a.css"])

        assert azure.cloud.counts().keys() == {
            *("PUT", "PUT_BLOCK", "BLOCK_LIST", "LIST", "HEAD", "GET", "BATCH")
        }
        # Bodies get it for each of the threads that share the line.
        shared = str(7 * store.threads)
        for each in azure.cloud.requests:
            assert parse_qs(each.query)["timeout"][0] in {"7", shared}, each
            assert shared == "7" or each.method == "PUT" or "timeout=7" in each.query


@pytest.mark.needs_s3("null characters in keys")
def test_key_with_a_null_character_is_deleted(s3: Target) -> None:
    """Others can have stored it; it has no place in the document that names what to delete."""
    for key in ("a\0.css", "b.css"):
        s3.cloud.put(key, b"x")

    s3.store().delete(["a\0.css", "b.css"])

    assert s3.cloud.keys() == []


def test_head_of_an_object_that_may_not_be_read_is_unknown(remote: Target) -> None:
    remote.cloud.put("a.css", b"x")
    remote.recorded.recorder.fail(
        remote.is_head, 403, headers={"x-ms-error-code": "AuthorizationPermissionMismatch"}
    )

    assert remote.store().head("a.css") == Listed()
