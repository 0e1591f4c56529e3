"""What goes with an object: what the storage's own ``save()`` sends, on the wire and stored."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.core.files.base import ContentFile
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage
from storages.backends.s3 import S3StaticStorage

from collectfasta.remote import RemoteObject, compare
from collectfasta.source import SourceFile
from tests.contract.conftest import PART, S3, Sources, Target, refusal, send
from tests.servers.recorder import Request

TEXT = b"body { color: red }\n" * 50
# Files that differ in what a storage does with them.
FILES = {
    **{
        name: TEXT + name.encode()
        for name in (
            *("a.css", "b c+d%2F~#\u00fc.js", "e.svg", "f.unknown", "g.css.gz"),
            *("h/i", "j.png", "k.html"),
        )
    },
    "empty.css": b"",
    "large.txt": TEXT * 2500,
}
GOOGLE = {
    "acl": "publicRead",
    "cache_control": "max-age=60",
    "content_disposition": "inline",
    "content_language": "en",
    "metadata": {"owner": "me"},
}
AZURE = {
    "cache_control": "no-cache",
    "content_disposition": "inline",
    "content_language": "en",
}
# Options of each kind's storage.
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *(
        (kind, options)
        for kind in ("s3", "boto3")
        for options in (
            {},
            {"gzip": True, "location": "a/b"},
            {"default_acl": "public-read"},
            {"client_config": Config(request_checksum_calculation="when_required")},
        )
    ),
    ("gcs", {}),
    ("gcs", {"gzip": True, "location": "a/b"}),
    ("gcs", {"gzip": True, "object_parameters": GOOGLE}),
    ("gcs", {"default_acl": "publicRead", "blob_chunk_size": 256 * 1024}),
    ("gcs", {"gzip": True, "object_parameters": {"content_encoding": "identity"}}),
    ("azure", {}),
    ("azure", {"location": "a/b", "cache_control": "max-age=60", "overwrite_files": True}),
    ("azure", {"cache_control": "max-age=60", "object_parameters": AZURE}),
]

# What S3 can be told of an object: what obstore can say, then what it can't, or not as botocore.
PARAMETERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "cache": {"CacheControl": "public, max-age=31536000, immutable"},
    "type": {"ContentType": "text/x-own; charset=utf-8"},
    "disposition": {"ContentDisposition": 'attachment; filename="a b.css"'},
    "language": {"ContentLanguage": "de, en"},
    "encoding": {"ContentEncoding": "br"},
    "class": {"StorageClass": "STANDARD_IA"},
    "metadata": {"Metadata": {"Owner": "me", "build-id": "a b/c", "under_score": "1"}},
    "all": {
        "CacheControl": "no-cache",
        "ContentDisposition": "inline",
        "ContentEncoding": "identity",
        "ContentLanguage": "de",
        "ContentType": "text/plain",
        "Metadata": {"a": "b"},
        "StorageClass": "REDUCED_REDUNDANCY",
    },
    "acl": {"ACL": "public-read"},
    "grant": {"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"},
    "tags": {"Tagging": "project=static&stage=live"},
    "checksum": {"ChecksumAlgorithm": "SHA256"},
    "sse": {"ServerSideEncryption": "AES256"},
    "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/static"},
    "sse-c": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    "expires": {"Expires": datetime(2030, 1, 1, tzinfo=timezone.utc)},
    "redirect": {"WebsiteRedirectLocation": "/elsewhere"},
    "spaces": {"CacheControl": "max-age=1,  public"},
    "space-around": {"Metadata": {"a": " b "}},
    "no-value": {"CacheControl": "", "Metadata": {"a": ""}},
    "umlaut": {"ContentDisposition": 'attachment; filename="ü.css"'},
    "like-a-header": {"Metadata": {"Storage-Class": "1"}},
    "nearly-a-header": {"Metadata": {"cachecontrol": "1", "contenttype": "2"}},
    "like-another": {"Metadata": {"content-length": "4", "acl": "5", "expires": "6"}},
    "odd-names": {"Metadata": {"a.b": "1", "_c": "2"}},
    "many": {"Metadata": {f"name-{n}": str(n) for n in range(20)}},
}
# Headers that are about the attempt and the way to the server, not the object.
VOLATILE = {
    "accept",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "host",
    "user-agent",
    "x-amz-content-sha256",
    "x-amz-date",
}
# How botocore sends a body, and the checksum of the way there that it adds of its own accord.
OF_BOTOCORE = {
    "accept-encoding",
    "content-encoding",
    "expect",
    "x-amz-checksum-crc32",
    "x-amz-sdk-checksum-algorithm",
}


class PerObjectS3(S3StaticStorage):
    """Writes each object with the parameters that its name says."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        # A copy: the storage adds its own to what it gets.
        return {**PARAMETERS[name.partition(".")[0]]}


class PerObjectGoogle(GoogleCloudStorage):
    """Decides by the name."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        if name.endswith(".css"):
            return {"cache_control": "no-cache", "content_type": "text/x-css", "acl": "private"}
        return {}


class PerObjectAzure(AzureStorage):
    """Decides by the name."""

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        if name.endswith(".css"):
            return {"cache_control": "no-cache", "content_type": "text/x-css"}
        return {}


class UppercaseMixin:
    """Has its own way of saving."""

    def _save(self, name: str, content: Any) -> Any:
        return super()._save(name, ContentFile(content.read().upper()))  # type: ignore[misc]


UPPERCASE: dict[str, type] = {
    kind: type("Uppercase", (UppercaseMixin, backend), {"__module__": __name__})
    for kind, backend in {
        "s3": S3StaticStorage,
        "boto3": S3StaticStorage,
        "gcs": GoogleCloudStorage,
        "azure": AzureStorage,
    }.items()
}


def write(sources: Sources, files: Mapping[str, bytes] = FILES) -> list[SourceFile]:
    """Write files, and return them."""
    return [sources.write(name, content) for name, content in files.items()]


def save(storage: Any, files: list[SourceFile]) -> None:
    """Save files as Django's own command would."""
    for source in files:
        with source.open() as content:
            storage.save(source.name, content)


def is_same(store: Any, source: SourceFile, listed: Any) -> bool | None:
    """Compare a file with what is said of an object."""
    with source.open() as content:
        payload = store.payload(store.key(source.name), content)
        return compare(source, payload, RemoteObject.of(source.name, listed)).same


def acls(target: Target) -> list[str]:
    """Return the predefined ACLs that uploads to Google were begun with, sorted."""
    queries = (parse_qs(each.query) for each in target.cloud.requests if each.method == "POST")
    return sorted(query.get("predefinedAcl", [""])[0] for query in queries)


@pytest.mark.parametrize(
    ("remote", "options"),
    [
        pytest.param(kind, options, marks=[pytest.mark.s3] if kind in ("s3", "boto3") else [])
        for kind, options in OPTIONS
    ],
    indirect=["remote"],
)
def test_bytes_and_headers_are_those_of_the_storage_itself(
    remote: Target, sources: Sources, options: dict[str, Any]
) -> None:
    files = write(sources)
    storage = remote.storage(**options)
    store = remote.store_of(storage)
    for source in files:
        send(store, source)
    ours = remote.cloud.objects(), acls(remote)
    heads = {source: store.head(store.key(source.name)) for source in files}
    assert len(ours[0]) == len(FILES)
    changed = [each.name for each, listed in heads.items() if not is_same(store, each, listed)]
    assert changed == []
    remote.cloud.empty()
    remote.cloud.clear_requests()

    save(storage, files)

    assert ours == (remote.cloud.objects(), acls(remote))


@pytest.mark.parametrize("remote", [*S3, "gcs"], indirect=True)
def test_compressed_files_are_readable_and_not_larger(remote: Target, sources: Sources) -> None:
    store = remote.store(gzip=True)
    for source in write(sources, {"a.css": TEXT, "b.png": TEXT}):
        send(store, source)

    css, png = remote.cloud.get("a.css"), remote.cloud.get("b.png")
    assert gzip.decompress(css.body) == TEXT
    assert len(css.body) < len(TEXT)
    assert css.headers["content-encoding"] == "gzip"
    assert png.body == TEXT
    assert "content-encoding" not in png.headers


def test_parameters_go_by_the_name(remote: Target, sources: Sources) -> None:
    if remote.is_s3:
        backend: type = type(
            "PerName",
            (S3StaticStorage,),
            {
                "get_object_parameters": lambda _, name: (
                    {"CacheControl": "no-cache", "ContentType": "text/x-css"}
                    if name.endswith(".css")
                    else {}
                )
            },
        )
    else:
        backend = PerObjectGoogle if remote.kind == "gcs" else PerObjectAzure
    options = {"default_acl": "publicRead"} if remote.kind == "gcs" else {}
    store = remote.store(backend, **options)

    for source in write(sources, {"a.css": TEXT, "a.js": TEXT}):
        send(store, source)

    css, js = (remote.cloud.get(name).headers for name in ("a.css", "a.js"))
    assert (css["cache-control"], css["content-type"]) == ("no-cache", "text/x-css")
    assert "cache-control" not in js
    assert js["content-type"] == "text/javascript"
    if remote.kind == "gcs":
        assert acls(remote) == ["private", "publicRead"]


def test_own_way_of_saving_is_obeyed(remote: Target, sources: Sources) -> None:
    backend = UPPERCASE[remote.kind]
    option = "overwrite_files" if remote.kind == "azure" else "file_overwrite"
    for content in (b"old", b"new"):
        storage = remote.storage(backend, location="static", **{option: False})
        (uploaded,) = remote.upload(storage, sources.write("a.css", content))

        assert remote.bodies() == {"static/a.css": content.upper()}
        assert uploaded is not None
        assert uploaded.version == remote.store_of(storage).head("static/a.css").version
        # What was stored can't be told from the file: only the cached checksum can.
        assert remote.store_of(storage).payload("static/a.css", ContentFile(content)).encoded


class TestHashOfTheHeaders:
    """What changes it is sent again although the bytes are the same."""

    @staticmethod
    def hash_of(target: Target, **options: Any) -> str:
        """Return the hash of the headers of a style sheet."""
        payload = target.store(**options).payload("a.css", ContentFile(TEXT))
        headers_hash: str = payload.headers_hash
        return headers_hash

    def test_changes_with_them(self, remote: Target) -> None:
        changes: list[dict[str, Any]]
        if remote.is_s3:
            changes = [
                {"object_parameters": {"CacheControl": "a"}},
                {"object_parameters": {"CacheControl": "b"}},
                {"object_parameters": {"ContentType": "text/x-own"}},
                {"object_parameters": {"Metadata": {"a": "b"}}},
                {"object_parameters": {"Metadata": {"a": "c"}}},
                {"default_acl": "public-read"},
            ]
        elif remote.kind == "gcs":
            changes = [
                {"object_parameters": {"cache_control": "a"}},
                {"object_parameters": {"cache_control": "b"}},
                {"default_acl": "publicRead"},
                {"gzip": True},
            ]
        else:
            changes = [{"cache_control": "a"}, {"cache_control": "b"}, {"object_parameters": AZURE}]

        hashes = [self.hash_of(remote, **options) for options in ({}, *changes)]

        assert len({*hashes}) == len(hashes)
        assert hashes == [self.hash_of(remote, **options) for options in ({}, *changes)]

    def test_does_not_change_with_the_time_of_day(self, s3: Target) -> None:
        hours = [
            {"object_parameters": {"Expires": datetime(2030, 1, 1, hour, tzinfo=timezone.utc)}}
            for hour in (1, 2)
        ]

        assert len({self.hash_of(s3, **options) for options in hours}) == 1


class TestS3:
    @staticmethod
    def sent(target: Target) -> dict[str, dict[str, str]]:
        """Return what was sent with each object, by its key."""

        def lasting(request: Request) -> dict[str, str]:
            return {name: v for name, v in request.headers.items() if name not in VOLATILE}

        puts = [request for request in target.cloud.requests if request.method == "PUT"]
        return {unquote(request.path.split("/", 2)[2]): lasting(request) for request in puts}

    @staticmethod
    def stored(target: Target) -> dict[str, Any]:
        """Return all that can be seen of the objects."""
        cloud: Any = target.cloud
        seen = {}
        for key in cloud.keys():
            where = {"Bucket": cloud.name, "Key": key}
            reading = PARAMETERS["sse-c"] if key == "sse-c.css" else {}
            tags = cloud.client.get_object_tagging(**where)["TagSet"]
            grants = cloud.client.get_object_acl(**where)["Grants"]
            seen[key] = cloud.get(key, **reading), tags, grants
        return seen

    @pytest.mark.needs_s3("encryption by keys of KMS")
    @pytest.mark.parametrize("gzip", [False, True], ids=["", "gzip"])
    def test_objects_and_requests_equal_those_of_the_storage_itself(
        self, s3: Target, sources: Sources, gzip: bool
    ) -> None:
        files = write(sources, {f"{case}.css": b"a { color: red }" * 9 for case in PARAMETERS})
        storage = s3.storage(PerObjectS3, gzip=gzip)
        store = s3.store_of(storage)
        for source in files:
            send(store, source)
        sent, stored = self.sent(s3), self.stored(s3)
        s3.cloud.empty()
        s3.cloud.clear_requests()

        save(storage, files)

        by_django = self.sent(s3)
        assert sent.keys() == by_django.keys()
        for key, headers in sent.items():
            assert headers.items() <= by_django[key].items()
            assert by_django[key].keys() - headers.keys() <= OF_BOTOCORE
        assert stored == self.stored(s3)
        assert stored["tags.css"][1] != []

    @pytest.mark.needs_s3("tabs in headers")
    def test_tab_in_a_parameter(self, s3: Target, sources: Sources) -> None:
        store = s3.store(object_parameters={"CacheControl": "a\tb"})

        send(store, sources.write("a.css", b"x"))

        assert s3.cloud.get("a.css").headers["cache-control"] == "a\tb"

    def test_file_in_parts(self, s3: Target, sources: Sources) -> None:
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
        source = sources.write("large.bin", bytes(PART + 1))
        for case in ("all", "acl", "metadata", "like-a-header", "spaces"):
            parameters = {**PARAMETERS[case]}
            storage = s3.storage(transfer_config=config, object_parameters=parameters)
            send(s3.store_of(storage), source)
            ours = s3.cloud.get("large.bin"), s3.cloud.version("large.bin")

            save(storage, [source])

            assert ours == (s3.cloud.get("large.bin"), s3.cloud.version("large.bin"))

    @pytest.mark.needs_s3("ACLs")
    def test_acl_of_a_file_in_parts(self, s3: Target, sources: Sources) -> None:
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
        store = s3.store(transfer_config=config, default_acl="public-read")

        send(store, sources.write("large.bin", bytes(PART)))

        cloud: Any = s3.cloud
        grants = cloud.client.get_object_acl(Bucket=cloud.name, Key="large.bin")["Grants"]
        assert "READ" in {each["Permission"] for each in grants}

    def test_reading_takes_the_keys_of_sse_c(self, s3: Target, sources: Sources) -> None:
        store = s3.store(object_parameters={**PARAMETERS["sse-c"], "CacheControl": "no-store"})
        send(store, sources.write("a.css", b"x"))

        assert store.head("a.css").size == 1
        assert store.get("a.css") == b"x"
        reads = [each for each in s3.cloud.requests if each.method in ("HEAD", "GET")]
        assert len(reads) == 2
        name = "x-amz-server-side-encryption-customer-key"
        assert all(name in each.headers for each in reads)

    def test_parameter_that_does_not_exist_is_explained(self, s3: Target, sources: Sources) -> None:
        store = s3.store(object_parameters={"CacheContrl": "no-store"})

        error = refusal(lambda: send(store, sources.write("a.css", b"x")))

        advice = error.advice or ""
        assert 'Unknown parameter in input: "CacheContrl"' in advice
        assert "\n" not in advice
        assert s3.cloud.requests == []


@pytest.mark.parametrize("remote", ["gcs", "azure"], indirect=True)
def test_request_is_that_of_the_storage_itself(remote: Target, sources: Sources) -> None:
    option = "overwrite_files" if remote.kind == "azure" else "file_overwrite"
    storage = remote.storage(**{option: True})
    (source,) = write(sources, {"a.css": TEXT})
    send(remote.store_of(storage), source)
    (ours,) = (each for each in remote.cloud.requests if remote.is_put(each))
    remote.cloud.clear_requests()

    save(storage, [source])

    (theirs,) = (each for each in remote.cloud.requests if remote.is_put(each))
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    names = {each for each in theirs.headers if each.startswith("x-ms-blob")}
    assert {name: ours.headers[name] for name in names} == {
        name: theirs.headers[name] for name in names
    }
    more = {each for each in ours.headers if each.startswith("x-ms-blob")} - names
    # So that the blob can be compared.
    assert more == ({"x-ms-blob-content-md5"} if remote.kind == "azure" else set())
