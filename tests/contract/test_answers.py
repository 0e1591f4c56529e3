"""Answers that are not to be trusted: hostile listings, and redirects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.oauth2.credentials import Credentials

from collectfasta.errors import StoreError, describe
from collectfasta.remote import RemoteObject, compare
from collectfasta.stores.store import NoListingError, leapfrog
from collectfasta.strategies.selection import sending_strategy
from tests.contract.answers import answer, listing
from tests.contract.conftest import Sources, Target, attempt, refusal, send

LAUGHS = "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">'
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
BOMB = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]>'

NO_LISTINGS: dict[str, Callable[[Target], bytes]] = {
    "nothing": lambda _: b"",
    "not text": lambda _: b"\xff\xfe\x1b[2J",
    "not a number": lambda target: listing(target, "a.css", size="-7x"),
    "a number of 5,000 digits": lambda target: listing(target, "a.css", size="9" * 5000),
    "of another shape": lambda target: (
        b'{"items": 7}'
        if target.kind == "gcs"
        else listing(target, "a.css").replace(b"Size>", b"Sighs>").replace(b"Length>", b"Depth>")
    ),
    "entities of entities": lambda target: (
        b"[" * 100_000 if target.kind == "gcs" else listing(target, "&j;", doctype=BOMB)
    ),
    "cut off": lambda target: listing(target, "a.css")[:60],
}


@pytest.mark.parametrize("body", NO_LISTINGS.values(), ids=NO_LISTINGS)
def test_answer_that_is_not_a_listing_is_told_in_words(
    remote: Target, body: Callable[[Target], bytes]
) -> None:
    answer(remote, remote.is_list, body(remote))
    store = remote.store()

    for request in (lambda: [*leapfrog(store, ["a.css"])], lambda: [*store.list_all("")]):
        error = refusal(request)

        told = error.advice or describe(error, store.secrets)
        assert told
        assert told.isprintable()
        assert len(told) < 1500


def test_page_for_people_is_an_error_or_empty(remote: Target) -> None:
    """So that what is expected is sent again, and nothing is deleted."""
    answer(remote, remote.is_list, b"<html><body>Welcome</body></html>")

    for request in (
        lambda: [*leapfrog(remote.store(), ["a.css"])],
        lambda: [*remote.store().list_all("")],
    ):
        result = attempt(request)

        assert result == [] or isinstance(result, NoListingError)


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
    """A server that nobody is to call."""
    elsewhere = Elsewhere()
    with elsewhere.server as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield elsewhere
        server.shutdown()
        thread.join()


def test_entities_of_a_listing_are_fetched_from_nowhere(
    remote: Target, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("c4n4ry")
    for url in (secret.as_uri(), f"{elsewhere.url}/there"):
        doctype = f'<!DOCTYPE x [<!ENTITY j SYSTEM "{url}">]>'
        answer(remote, remote.is_list, listing(remote, "&j;", doctype=doctype))

        result = attempt(lambda: [*remote.store().list_all("")])

        assert "c4n4ry" not in f"{result} {getattr(result, 'advice', '')}"
        assert elsewhere.requests == []
        remote.recorded.recorder.reset()


def test_what_a_listing_says_wrongly_is_not_taken_for_the_file(
    remote: Target, sources: Sources
) -> None:
    names = ["a.css", "a.css", "../a.css", "/a.css", "a.css/", "\u202ea.css"]
    etag = "7" if remote.kind == "gcs" else "'&#x202e;%s{0}"
    source = sources.write("a.css", b"a")
    for size in ("-7", "0", "999999999999999999999"):
        answer(remote, remote.is_list, listing(remote, *names, size=size, etag=etag))
        store = remote.store()

        for entry in leapfrog(store, ["a.css"]):
            assert entry.key == "a.css"
            with source.open() as content:
                remote_object = RemoteObject.of("a.css", entry.listed)
                assert not compare(source, store.payload("a.css", content), remote_object).same
        remote.recorded.recorder.reset()


def test_what_is_listed_outside_of_the_location_is_not_ours(remote: Target) -> None:
    foreign = ["precious", "other/precious", "static-old/precious", "xxxxxxxprecious"]
    tricky = ["static/../precious", "/static/precious", "static//precious", "static/./precious"]
    keys = sorted([*foreign, *tricky, "static/a.css", "static/"])
    answer(remote, remote.is_list, listing(remote, *keys))
    strategy: Any = sending_strategy(remote.storage(location="static"))
    vars(strategy)["store"] = remote.store_of(strategy.target_storage)

    assert [stored.name for stored in strategy.list_stored()] == ["a.css"]


def credentials(target: Target) -> dict[str, Any]:
    """Return options with a token that has to stay here."""
    if target.is_s3:
        return {"security_token": "t0kenOfTheSession"}
    return {"credentials": Credentials("t0kenOfTheSession")} if target.kind == "gcs" else {}


@pytest.mark.needs_s3("any credentials")
@pytest.mark.parametrize("verb", ["list", "head", "get", "put", "delete"])
def test_no_redirect_takes_credentials_or_content_to_another_host(
    remote: Target, sources: Sources, elsewhere: Elsewhere, verb: str
) -> None:
    source = sources.write("a.css", b"c0ntent")
    requests: dict[str, Callable[[Any], object]] = {
        "list": lambda store: store.list("", "a.css"),
        "head": lambda store: store.head("a.css"),
        "get": lambda store: store.get("a.css"),
        "put": lambda store: send(store, source),
        "delete": lambda store: store.delete(["a.css"]),
    }
    for status in (301, 302, 307, 308):
        remote.recorded.recorder.fail(
            lambda _: True, status, headers={"Location": f"{elsewhere.url}/there"}, times=3
        )

        result = attempt(lambda: requests[verb](remote.store(**credentials(remote))))

        assert "t0ken" not in f"{result} {getattr(result, 'advice', '')}"
        sent = "\n".join(elsewhere.requests).lower()
        assert "authorization" not in sent
        assert "security-token" not in sent
        assert "t0ken" not in sent
        assert "c0ntent" not in sent
        remote.recorded.recorder.reset()


def test_obstore_calls_no_other_host_at_all(
    combined: Target, sources: Sources, elsewhere: Elsewhere
) -> None:
    combined.recorded.recorder.fail(
        lambda request: "boto3" not in request.headers.get("user-agent", "").lower(),
        307,
        headers={"Location": f"{elsewhere.url}/there"},
    )
    store = combined.store()

    [*leapfrog(store, ["a.css"])]
    send(store, sources.write("a.css", b"x"))

    assert elsewhere.requests == []
    assert combined.cloud.keys() == ["a.css"]
    assert store.sender == "obstore and boto3 (the bucket is in another region)"


def test_answer_to_a_put_that_is_garbage(s3: Target, sources: Sources) -> None:
    s3.recorded.recorder.fail(s3.is_put, 200, b"<not xml", {"ETag": "garbage"})

    result = attempt(lambda: send(s3.store(), sources.write("a.css", b"x")))

    if isinstance(result, StoreError):
        assert "\n" not in str(result)
    else:
        # No checksum is made of it.
        assert (result.version, result.checksum) == ("garbage", None)
