"""What servers that speak S3's protocol refuse, ignore or answer in another way, by each engine."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
from storages.backends.s3 import S3Storage

from collectfasta.source import SourceFile
from collectfasta.stores.store import NoListingError, leapfrog
from tests.contract.answers import answer, listing, refuse
from tests.contract.conftest import PART, Sources, Target, in_parts, refusal, send

NAMES = ("app-theme/a.css", "app.js", "app/a.css", "zz.css")
HTML = b"<html><head/><body>Please log in</body></html>"


def fill(target: Target) -> None:
    """Store objects whose order is another one where folders are walked through."""
    for name in NAMES:
        target.cloud.put(name, b"x")


def found(store: Any) -> list[str]:
    """Return which of the names leapfrog finds, sorted."""
    return sorted(entry.key for entry in leapfrog(store, NAMES))


def query(request: Any) -> dict[str, list[str]]:
    """Return the query of a recorded request."""
    return parse_qs(request.query, keep_blank_values=True)


class TestListings:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(400, "InvalidRequest"), (400, "InvalidArgument"), (501, "NotImplemented")],
    )
    def test_start_after_that_is_refused_is_left_out(
        self, s3: Target, status: int, code: str
    ) -> None:
        fill(s3)
        refuse(s3, lambda request: "start-after" in query(request), status, code)
        store = s3.store()

        assert found(store) == sorted(NAMES)
        s3.cloud.clear_requests()
        assert found(store) == sorted(NAMES)
        assert not any("start-after" in query(each) for each in s3.cloud.requests)

    def test_what_else_is_refused_is_an_error(self, s3: Target) -> None:
        refuse(s3, s3.is_list, 400, "InvalidRequest", "Never.")

        assert "Never." in str(refusal(lambda: found(s3.store())))

    def test_listing_in_another_order_is_read_to_its_end(self, s3: Target) -> None:
        """The first page is out of order; the next are asked for by the token."""
        first = listing(s3, "app/a.css", "app-theme/a.css", marker="more")
        last = listing(s3, "app.js", "zz.css")
        answer(s3, lambda request: "continuation-token" not in query(request), first)
        answer(s3, lambda request: "continuation-token" in query(request), last)

        assert found(s3.store(location="a")) == sorted(NAMES)

    def test_first_version_of_listings_goes_on_after_the_last_key(self, s3: Target) -> None:
        """Its answers have no token, even where the second version is asked for."""
        cut = listing(s3, "static/a.css", "static/b.css").replace(b">false<", b">true<")
        answer(s3, lambda request: "marker" not in query(request), cut)
        answer(
            s3,
            lambda request: query(request).get("marker") == ["static/b.css"],
            listing(s3, "static/c.css"),
        )
        store = s3.store(location="static")

        keys = [entry.key for entry in store.list_all("static/")]

        assert keys == ["static/a.css", "static/b.css", "static/c.css"]
        assert not any("list-type" in query(each) for each in s3.cloud.requests[1:])

    def test_listing_that_does_not_say_where_it_goes_on_is_no_end(self, s3: Target) -> None:
        answer(s3, s3.is_list, listing(s3).replace(b">false<", b">true<"))

        with pytest.raises(NoListingError, match="does not say where it goes on"):
            list(s3.store().list_all(""))

    @pytest.mark.parametrize("body", [HTML, HTML.replace(b"<head/>", b"<br>"), b"", b"{}"])
    def test_page_of_a_proxy_is_not_an_empty_listing(self, s3: Target, body: bytes) -> None:
        answer(s3, s3.is_list, body)
        store = s3.store(location="static")

        for ask in (lambda: found(store), lambda: list(store.list_all("static/"))):
            with pytest.raises(NoListingError, match="is no listing"):
                ask()


@pytest.fixture
def source(sources: Sources) -> SourceFile:
    """A small file."""
    return sources.write("a.css", b"a{}")


class TestObjectLock:
    WORDS = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests"

    def lock(self, target: Target) -> None:
        """Refuse uploads without a checksum, as buckets with a default retention do."""

        def lacks(request: Any) -> bool:
            names = ("content-md5", "x-amz-checksum-", "x-amz-trailer")
            is_put = request.method == "PUT"
            return is_put and not any(each.lower().startswith(names) for each in request.headers)

        refuse(target, lacks, 400, "InvalidRequest", self.WORDS)

    def test_small_and_large_files_are_sent_with_checksums(
        self, s3: Target, source: SourceFile, sources: Sources
    ) -> None:
        self.lock(s3)
        large = sources.write("large.bin", b"x" * (2 * PART))
        store = s3.store(**in_parts(s3))

        for each in (source, large):
            send(store, each)

        assert {key: len(body) for key, body in s3.bodies().items()} == {
            "a.css": 3,
            "large.bin": 2 * PART,
        }

    def test_parts_are_too(self, s3: Target, sources: Sources) -> None:
        self.lock(s3)

        send(s3.store(**in_parts(s3)), sources.write("large.bin", b"x" * (2 * PART)))

        assert s3.cloud.keys() == ["large.bin"]
        assert s3.unfinished() == []


class TestDeletions:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "InvalidArgument")],
    )
    def test_without_batches_they_go_one_by_one(self, s3: Target, status: int, code: str) -> None:
        fill(s3)
        refuse(s3, s3.of_kind("DELETE_BATCH"), status, code)

        s3.store().delete([*NAMES[:2], "absent.css"])

        assert s3.cloud.keys() == sorted(NAMES[2:])

    def test_refusal_for_another_reason_is_an_error(self, s3: Target) -> None:
        fill(s3)
        refuse(s3, s3.of_kind("DELETE_BATCH"), 403, "AccessDenied")

        error = refusal(lambda: s3.store().delete([*NAMES]))

        assert "s3:DeleteObject" in (error.advice or "")
        assert s3.cloud.keys() == sorted(NAMES)

    def test_refusal_of_one_is_an_error_too(self, s3: Target) -> None:
        fill(s3)
        refuse(s3, s3.of_kind("DELETE_BATCH"), 501, "NotImplemented")
        refuse(s3, s3.of_kind("DELETE"), 403, "AccessDenied")

        assert "AccessDenied" in refusal(lambda: s3.store().delete([*NAMES])).kind


class Elsewhere(S3Storage):
    """Chooses the bucket itself, and adds to each request."""

    @property
    def bucket(self) -> Any:
        bucket = super().bucket.meta.client
        events = bucket.meta.events
        events.register("before-sign.s3", _sign_for_the_tenant, unique_id="tenant")
        return self.connection.Bucket(self.chosen)

    chosen = ""


def _sign_for_the_tenant(request: Any, **_: object) -> None:
    request.headers["x-tenant"] = "b"


class Listening(S3Storage):
    """Adds to each request of the client that it makes for itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        events = self.connection.meta.client.meta.events
        events.register("before-sign.s3", _sign_for_the_tenant)


class TestOwnClients:
    @staticmethod
    def use(store: Any, source: SourceFile) -> None:
        """Make a request of each kind."""
        send(store, source)
        assert [entry.key for entry in leapfrog(store, ["a.css"])] == ["a.css"]
        assert store.head("a.css") is not None
        assert store.get("a.css") == b"a{}"
        store.delete(["a.css"])
        assert store.head("a.css") is None

    def test_bucket_of_a_class_is_the_one(self, s3: Target, source: SourceFile) -> None:
        chosen = s3.storage().bucket_name
        storage = s3.storage(Elsewhere, bucket_name="nowhere")
        storage.chosen = chosen
        s3.cloud.clear_requests()
        store = s3.store_of(storage)

        self.use(store, source)

        assert all(f"/{chosen}" in each.path for each in s3.cloud.requests)
        assert all(each.headers["x-tenant"] == "b" for each in s3.cloud.requests)
        assert store.url == f"s3://{chosen}/"
        assert chosen in store.identity

    def test_events_of_the_client_that_the_storage_has_are_heard(
        self, s3: Target, source: SourceFile
    ) -> None:
        store = s3.store_of(s3.storage(Listening))

        self.use(store, source)

        assert all(each.headers.get("x-tenant") == "b" for each in s3.cloud.requests)


class TestRefusalsWithoutABody:
    def test_reason_is_asked_for(self, combined: Target) -> None:
        answer(combined, combined.of_kind("HEAD"), b"", 400)
        refuse(combined, combined.is_list, 400, "ExpiredToken")

        error = refusal(lambda: combined.store().head("a.css"))

        assert "have expired (ExpiredToken)" in (error.advice or "")

    def test_without_one_it_stays_what_it_is(self, combined: Target) -> None:
        answer(combined, combined.of_kind("HEAD"), b"", 400)

        assert refusal(lambda: combined.store().head("a.css")).kind == "400"
