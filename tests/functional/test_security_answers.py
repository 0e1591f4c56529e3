"""Answers that are not to be trusted: hostile listings, manifests, errors and redirects."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.core.pipeline.transport import HttpTransport
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.management import CommandError
from google.oauth2.credentials import Credentials
from storages.backends.azure_storage import AzureStorage
from storages.backends.gcloud import GoogleCloudStorage

from collectfasta.stores.s3 import obstore as s3_obstore
from tests.conftest import CollectStatic, StaticTree
from tests.servers.clouds import RecordedCloud
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.summary import deleted

UPLOADS = {"PUT", "UPLOAD", "MULTIPART", "PUT_BLOCK"}


class GoogleManifestStorage(ManifestFilesMixin, GoogleCloudStorage):
    pass


class AzureManifestStorage(ManifestFilesMixin, AzureStorage):
    def read_manifest(self) -> Any:
        # Without this, the first deploy of all can't begin.
        return super().read_manifest() if self.exists(self.manifest_name) else None


def manifest_backend(cloud: RecordedCloud) -> str:
    if isinstance(cloud, S3Cloud):
        return "storages.backends.s3.S3ManifestStaticStorage"
    name = "GoogleManifestStorage" if isinstance(cloud, GoogleCloud) else "AzureManifestStorage"
    return f"{__name__}.{name}"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's SDK waits for seconds before it tries again."""
    monkeypatch.setattr(HttpTransport, "sleep", lambda *_: None)


@pytest.fixture(autouse=True)
def tree(static_tree: StaticTree) -> StaticTree:
    static_tree.write("a.css", b"a")
    return static_tree


def listing(
    cloud: RecordedCloud,
    *keys: str,
    size: str = "1",
    etag: str = "0x1",
    marker: str = "",
    doctype: str = "",
) -> bytes:
    """Return an answer of a cloud's form to a listing; sizes and ETags are as given."""
    if isinstance(cloud, GoogleCloud):
        items = [{"name": key, "size": size, "generation": etag} for key in keys]
        return json.dumps({"items": items, "nextPageToken": marker or None}).encode()
    names = [key if key.startswith("&") else escape(key) for key in keys]
    if isinstance(cloud, AzureCloud):
        properties = f"<Etag>{etag}</Etag><Content-Length>{size}</Content-Length>"
        blobs = "".join(
            f"<Blob><Name>{key}</Name><Properties>{properties}</Properties></Blob>" for key in names
        )
        text = (
            f"<EnumerationResults><Blobs>{blobs}</Blobs>"
            f"<NextMarker>{marker}</NextMarker></EnumerationResults>"
        )
    else:
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
            for key in names
        )
        following = f"<NextContinuationToken>{marker}</NextContinuationToken>" if marker else ""
        text = (
            f"<ListBucketResult><IsTruncated>{str(bool(marker)).lower()}</IsTruncated>"
            f"{following}{contents}</ListBucketResult>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>{doctype}{text}'.encode()


def answer_listings(cloud: RecordedCloud, body: bytes, status: int = 200) -> None:
    kind = "application/json" if isinstance(cloud, GoogleCloud) else "application/xml"
    cloud.recorder.fail(
        lambda request: cloud.kind(request) == "LIST", status, body, {"Content-Type": kind}
    )


def outcome(collectstatic: CollectStatic, cloud: RecordedCloud, **run: Any) -> str | None:
    """Run the command and return what it failed by, None if it did not."""
    try:
        collectstatic(cloud, **run)
    except CommandError as error:
        return str(error)
    return None


def refusal(collectstatic: CollectStatic, cloud: RecordedCloud, **run: Any) -> str:
    told = outcome(collectstatic, cloud, **run)
    assert told is not None
    return told


# Listings that are none.

LAUGHS = "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">'
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
BOMB = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]>'

NO_LISTINGS: dict[str, Callable[[RecordedCloud], bytes]] = {
    "nothing": lambda _: b"",
    "no text": lambda _: b"\xff\xfe\x1b[2J",
    "no number": lambda cloud: listing(cloud, "a.css", size="-7x"),
    "a number of 5,000 digits": lambda cloud: listing(cloud, "a.css", size="9" * 5000),
    "of another shape": lambda cloud: (
        b'{"items": 7}'
        if isinstance(cloud, GoogleCloud)
        else listing(cloud, "a.css").replace(b"Size>", b"Sighs>").replace(b"Length>", b"Depth>")
    ),
    "entities of entities": lambda cloud: (
        b"[" * 100_000 if isinstance(cloud, GoogleCloud) else listing(cloud, "&j;", doctype=BOMB)
    ),
}


@pytest.mark.parametrize("answer", NO_LISTINGS.values(), ids=NO_LISTINGS)
def test_an_answer_that_is_no_listing_is_told_in_words_and_nothing_is_sent(
    recorded_cloud: RecordedCloud,
    collectstatic: CollectStatic,
    answer: Callable[[RecordedCloud], bytes],
) -> None:
    answer_listings(recorded_cloud, answer(recorded_cloud))

    told = refusal(collectstatic, recorded_cloud)

    assert len(told) < 1500
    assert len(told.splitlines()) <= 3
    assert told.isprintable()
    assert recorded_cloud.keys() == []


class Elsewhere:
    """A server that nobody is to call, and what it was sent."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _note(self) -> None:
                outer.requests.append(f"{self.requestline}\n{self.headers}")
                self.send_error(404)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _note

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Another host than that of the recorders.
        self.url = f"http://localhost:{self.server.server_port}"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    elsewhere = Elsewhere()
    with elsewhere.server as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield elsewhere
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_entities_of_a_listing_are_fetched_from_nowhere(
    scheme: str,
    recorded_cloud: RecordedCloud,
    collectstatic: CollectStatic,
    elsewhere: Elsewhere,
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("c4n4ry")
    url = secret.as_uri() if scheme == "file" else f"{elsewhere.url}/c4n4ry"
    doctype = f'<!DOCTYPE x [<!ENTITY j SYSTEM "{url}">]>'
    answer_listings(recorded_cloud, listing(recorded_cloud, "&j;", doctype=doctype))

    told = outcome(collectstatic, recorded_cloud, verbosity=3)

    # Azure's SDK repeats the answer, which has the URL in it.
    assert "c4n4ry" not in (told or "").replace(url, "")
    assert collectstatic.last is not None
    assert "c4n4ry" not in collectstatic.last.stdout
    assert elsewhere.requests == []


# Listings that say what is not so.


@pytest.mark.parametrize("size", ["-7", "0", "999999999999999999999"])
def test_what_a_listing_says_wrongly_is_sent_anew(
    size: str, recorded_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    names = ["a.css", "a.css", "../a.css", "/a.css", "a.css/", "\u202ea.css"]
    etag = "7" if isinstance(recorded_cloud, GoogleCloud) else "'&#x202e;%s{0}"
    answer_listings(recorded_cloud, listing(recorded_cloud, *names, size=size, etag=etag))

    collectstatic(recorded_cloud)

    assert {k: o.body for k, o in recorded_cloud.objects().items()} == {"a.css": b"a"}


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_is_listed_outside_of_the_location_is_not_deleted(
    dry_run: bool, recorded_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    options = {"location": "static"}
    collectstatic(recorded_cloud, options=options)
    foreign = ["precious", "other/precious", "static-old/precious", "xxxxxxxprecious"]
    for key in [*foreign, "static/old.css"]:
        recorded_cloud.put(key, b"x")
    tricky = ["static/../precious", "/static/precious", "static//precious", "static/./precious"]
    keys = sorted([*foreign, *tricky, "static/a.css", "static/old.css", "static/"])
    answer_listings(recorded_cloud, listing(recorded_cloud, *keys))

    run = collectstatic(recorded_cloud, options=options, clear=True, dry_run=dry_run, verbosity=2)

    gone = set() if dry_run else {"static/old.css"}
    kept = {*foreign, "static/a.css", "static/old.css"} - gone
    assert recorded_cloud.keys() == sorted(kept)
    verb = "Pretending to delete" if dry_run else "Deleting"
    told = [line for line in run.stdout.splitlines() if line.startswith(verb)]
    assert told == [f"{verb} 'old.css'"]
    assert str(run.returned).startswith(f"\n{deleted(1)}")


@pytest.mark.parametrize("keys", [[], ["static/b.css"]], ids=["empty", "full"])
@pytest.mark.parametrize("clear", [False, True])
def test_a_listing_that_leads_to_itself_ends(
    clear: bool,
    keys: list[str],
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3_obstore, "_LISTING_SECONDS", 0.5)
    tree.write("z.css", b"z")
    answer_listings(recorded_cloud, listing(recorded_cloud, *keys, marker="bWFya2Vy"))

    told = outcome(collectstatic, recorded_cloud, options={"location": "static"}, clear=clear)
    # What may still be listing, does so no longer.
    recorded_cloud.recorder.reset()

    # Or what the listing did not come to was sent.
    is_deployed = {"static/a.css", "static/z.css"} <= {*recorded_cloud.keys()}
    assert is_deployed if told is None else "The listing does not" in told


# Manifests that are none.

NO_MANIFESTS = {
    "no text": b"\xff\xfe\x1b[2J",
    "no JSON": b"{",
    "of another version": b'{"version": "9"}',
    "of another shape": b"[1]",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("manifest", NO_MANIFESTS.values(), ids=NO_MANIFESTS)
def test_a_published_manifest_that_is_none_is_told_in_words(
    manifest: bytes, recorded_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    recorded_cloud.put("staticfiles.json", manifest)

    told = refusal(collectstatic, recorded_cloud, backend=manifest_backend(recorded_cloud))

    assert told.startswith("The storage of the static files can't be made: ")
    assert "delete" in told
    assert len(told.splitlines()) == 2


def test_a_published_manifest_names_nothing_that_is_touched(
    recorded_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    names = ["../precious", "/precious", "static/../../precious", "a\x1b[2J", "\ud800", ""]
    manifest = {"version": "1.1", "paths": {name: name for name in names}, "hash": 7}
    recorded_cloud.put("static/staticfiles.json", json.dumps(manifest).encode())
    recorded_cloud.put("precious", b"x")
    run: dict[str, Any] = {
        "backend": manifest_backend(recorded_cloud),
        "options": {"location": "static"},
    }

    collectstatic(recorded_cloud, clear=True, dry_run=True, **run)
    collectstatic(recorded_cloud, clear=True, **run)

    hashed = "static/a.0cc175b9c0f1.css"
    assert recorded_cloud.keys() == sorted(
        ["precious", "static/a.css", hashed, "static/staticfiles.json"]
    )


def test_a_published_manifest_keeps_nothing_by_names_that_are_none(
    s3: S3Cloud, collectstatic: CollectStatic
) -> None:
    """Where the storage post-processes in the bucket, a dry run keeps what the manifest names."""
    manifest = {"version": "1.1", "paths": {"x": "../precious", "y": "\ud800"}, "hash": ""}
    s3.put("static/staticfiles.json", json.dumps(manifest).encode())
    s3.put("static/old.css", b"x")

    run = collectstatic(
        s3,
        backend=manifest_backend(s3),
        strategy="collectfasta.strategies.boto3.Boto3Strategy",
        options={"location": "static"},
        clear=True,
        dry_run=True,
    )

    assert str(run.returned).startswith(f"\n{deleted(1)}")


# Refusals.


def test_a_refusal_is_told_in_bounds_and_can_not_steer_a_terminal(
    recorded_cloud: RecordedCloud, collectstatic: CollectStatic
) -> None:
    cloud = recorded_cloud
    forged = (
        "bad\x1b[2J\r\nforged line\x07\u202e\u2028"
        if isinstance(cloud, GoogleCloud)
        else ("bad\r\nforged line\x85\u202e\u2028")
    )
    text = forged + "x" * 5_000_000
    body = (
        json.dumps({"error": {"message": text}})
        if isinstance(cloud, GoogleCloud)
        else f"<Error><Code>Odd{forged}</Code><Message>{text}</Message></Error>"
    )
    cloud.recorder.fail(
        lambda request: cloud.kind(request) in UPLOADS,
        400,
        body.encode(),
        {"Content-Type": "application/xml; charset=utf-8"},
    )

    told = refusal(collectstatic, cloud)

    head, *lines = told.split("\n")
    assert head.startswith("1 file was not sent to ")
    assert [line[:11] for line in lines] == ["  'a.css': "]
    assert told.replace("\n", "").isprintable()
    assert len(told) < 1500


# Redirects.


def credentials_of(cloud: RecordedCloud) -> dict[str, Any]:
    if isinstance(cloud, S3Cloud):
        return {"security_token": "t0kenOfTheSession"}
    return (
        {"credentials": Credentials("t0kenOfTheSession")} if isinstance(cloud, GoogleCloud) else {}
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kinds", [{"LIST"}, UPLOADS], ids=["list", "put"])
def test_no_redirect_takes_credentials_or_content_to_another_host(
    kinds: set[str],
    status: int,
    recorded_cloud: RecordedCloud,
    tree: StaticTree,
    collectstatic: CollectStatic,
    elsewhere: Elsewhere,
) -> None:
    tree.write("a.css", b"c0ntent")
    cloud = recorded_cloud
    cloud.recorder.fail(
        lambda request: cloud.kind(request) in kinds,
        status,
        headers={"Location": f"{elsewhere.url}/there"},
        times=3,
    )

    told = outcome(collectstatic, cloud, options=credentials_of(cloud), threads=0)

    assert "t0ken" not in (told or "")
    sent = "\n".join(elsewhere.requests).lower()
    assert "authorization" not in sent
    assert "security-token" not in sent
    assert "t0ken" not in sent


def test_obstore_calls_no_other_host_at_all(
    s3_obstore: S3Cloud, collectstatic: CollectStatic, elsewhere: Elsewhere
) -> None:
    s3_obstore.recorder.fail(
        lambda request: "boto3" not in request.headers.get("user-agent", "").lower(),
        307,
        headers={"Location": f"{elsewhere.url}/there"},
    )

    run = collectstatic(s3_obstore, verbosity=2)

    assert elsewhere.requests == []
    assert s3_obstore.keys() == ["a.css"]
    assert "by obstore and boto3" in run.stdout
