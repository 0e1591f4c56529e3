"""Google Cloud Storage as a store, as far as that can be seen without a server."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.exceptions import SuspiciousOperation
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, MalformedError, TransportError
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Bucket, Client
from google.oauth2.credentials import Credentials
from google.resumable_media import InvalidResponse
from storages.backends.gcloud import GoogleCloudStorage

from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.source import Body
from collectfasta.stores.gcloud import RETRY, GoogleStore, translate
from collectfasta.stores.store import NoListingError, Page

CUT_OFF = google.from_http_status(200, "cut off")


def translated(error: Exception) -> StoreError:
    found = translate(error, "bucket")
    assert found is not None
    return found


class TestErrors:
    def test_transient(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[Exception, str]] = [
            (google.TooManyRequests("No."), "429"),
            (google.InternalServerError("No."), "500"),
            (google.ServiceUnavailable("No."), "503"),
            (google.from_http_status(408, "No."), "408"),
            (CUT_OFF, "200"),
            (google.RetryError("No.", None), "RetryError"),
            (requests.ConnectionError("No."), "ConnectionError"),
            (requests.Timeout("No."), "Timeout"),
            (TransportError("No."), "TransportError"),
        ]
        for error, kind in rows:
            with subtests.test(error=error, kind=kind):
                found = translated(error)

                assert (found.transient, found.kind, found.advice) == (True, kind, None)

    def test_permanent(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[Exception, str, str | None]] = [
            (DefaultCredentialsError("No."), "DefaultCredentialsError", "GS_CREDENTIALS"),
            (MalformedError("No."), "MalformedError", "GS_CREDENTIALS"),
            (google.Unauthorized("No."), "401", "GS_CREDENTIALS"),
            (google.NotFound("No."), "404", "'bucket' does not exist"),
            (google.Forbidden("No."), "403", "'bucket': a deploy needs storage.objects.create"),
            (google.BadRequest("uniform bucket-level access"), "400", "GS_DEFAULT_ACL"),
            (google.BadRequest("No."), "400", None),
            (google.from_http_status(501, "No."), "501", None),
        ]
        for error, kind, advice in rows:
            with subtests.test(error=error, kind=kind, advice=advice):
                found = translated(error)

                assert (found.transient, found.kind) == (False, kind)
                assert found.advice is None if advice is None else advice in str(found.advice)

    @pytest.mark.parametrize(
        ("error", "missing", "denied"),
        [
            (google.NotFound("No."), True, False),
            (google.Forbidden("No."), False, True),
            (google.Unauthorized("No."), False, False),
        ],
    )
    def test_missing_and_denied(self, error: Exception, missing: bool, denied: bool) -> None:
        found = translated(error)

        assert (found.missing, found.denied) == (missing, denied)

    def test_what_was_repeated_in_vain_is_what_counts(self) -> None:
        found = translated(google.RetryError("Timeout", google.ServiceUnavailable("busy")))

        assert (found.kind, str(found)) == ("503", "ServiceUnavailable: 503 busy")

    def test_an_upload_that_was_repeated_in_vain_is_told_by_its_answer(self) -> None:
        answer = requests.Response()
        answer.status_code, answer._content = 503, b"busy"
        answer.request = requests.Request("POST", "https://storage/upload").prepare()

        found = translated(google.RetryError("Timeout", InvalidResponse(answer)))

        assert (found.kind, found.transient) == ("503", True)
        assert str(found) == "ServiceUnavailable: 503 POST https://storage/upload: busy"

    def test_googles_own_reason_is_kept(self) -> None:
        advice = translated(DefaultCredentialsError("File a.json was not found.")).advice

        assert "have expired (DefaultCredentialsError: File a.json was not found.): " in str(advice)

    def test_a_refusal_of_an_object_names_none(self) -> None:
        """All that are refused for one reason are one."""
        assert "https" not in str(translated(google.Unauthorized("PUT https://x/a.css")).advice)

    @pytest.mark.parametrize("error", [FileNotFoundError(), InterruptedError(), ValueError()])
    def test_others_are_left_alone(self, error: Exception) -> None:
        assert translate(error, "bucket") is None


class TestRetries:
    def test_the_first_wait_is_short_and_the_last_attempt_is_within_a_minute(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr("random.uniform", lambda _, longest: longest)
        monkeypatch.setattr("time.sleep", waits.append)
        monkeypatch.setattr("time.monotonic", lambda: sum(waits))

        with pytest.raises(google.RetryError):
            RETRY(self.fail)()

        assert waits == [0.5, 1.5, 4.5, 13.5, 20, 20]

    def fail(self) -> None:
        raise google.ServiceUnavailable("busy")

    @pytest.mark.parametrize(
        ("error", "attempts"),
        [
            (google.TooManyRequests("No."), 2),
            (requests.ReadTimeout("No."), 2),
            (google.Forbidden("No."), 1),
        ],
    )
    def test_only_what_is_transient_is_repeated(
        self, error: Exception, attempts: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)
        answers: list[Any] = [error, "answer"]
        made: list[int] = []

        def request() -> Any:
            made.append(1)
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        if attempts == 1:
            with pytest.raises(type(error)):
                RETRY(request)()
        else:
            assert RETRY(request)() == "answer"
        assert len(made) == attempts


def store_of(**options: Any) -> GoogleStore:
    return GoogleStore(GoogleCloudStorage(bucket_name="bucket", **options))


class TestNames:
    """By ``GoogleCloudStorage._normalize_name``: without it, keys are not the storage's."""

    @pytest.mark.parametrize(
        ("location", "prefix"), [("", ""), ("static", "static/"), ("a/b/", "a/b/")]
    )
    def test_keys_begin_with_the_location(self, location: str, prefix: str) -> None:
        store = store_of(location=location)

        assert store.prefix == prefix
        assert store.key("css/ä b+%2F.css") == f"{prefix}css/ä b+%2F.css"
        assert store.url == f"gs://bucket/{prefix}"

    def test_a_name_that_the_service_refuses(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[str, str]] = [
            ("a\nb", "line breaks"),
            ("a\rb", "line breaks"),
            (".well-known/acme-challenge/x", "begin with"),
            ("x" * 1025, "longer than 1024"),
            ("ü" * 513, "longer than 1024"),
            ("\udcff", "surrogates"),
        ]
        for name, reason in rows:
            with (
                subtests.test(name=name, reason=reason),
                pytest.raises(ValueError, match=reason),
            ):
                store_of().key(name)

    def test_a_name_outside_of_the_location(self) -> None:
        with pytest.raises(SuspiciousOperation):
            store_of(location="static").key("../a.css")


class TestPayload:
    def payload(self, key: str, **options: Any) -> tuple[bytes, bool, Any]:
        found = store_of(**options).payload(key, io.BytesIO(b"body"))
        return found.content.read(), found.encoded, found.headers

    def test_plain(self) -> None:
        assert self.payload("a.css", default_acl="publicRead") == (
            b"body",
            False,
            {"content_type": "text/css", "predefined_acl": "publicRead"},
        )

    def test_parameters_come_first(self) -> None:
        parameters = {"acl": "private", "content_type": "x/y", "cache_control": "max-age=1"}

        assert self.payload("a.css", object_parameters=parameters)[2] == {
            "predefined_acl": "private",
            "content_type": "x/y",
            "cache_control": "max-age=1",
        }

    def test_compressed_once(self) -> None:
        """By ``GoogleCloudStorage._compress_content``: without it, the bytes are others."""
        content, encoded, headers = self.payload("a.css", gzip=True)

        assert (gzip.decompress(content), encoded) == (b"body", True)
        assert headers["content_encoding"] == "gzip"

    @pytest.mark.parametrize(
        ("key", "parameters"),
        [("a.png", {}), ("a.css.gz", {}), ("a.css", {"content_encoding": "br"})],
    )
    def test_not_compressed(self, key: str, parameters: dict[str, str]) -> None:
        content, encoded, headers = self.payload(key, gzip=True, object_parameters=parameters)

        assert (content, encoded) == (b"body", False)
        expected = "gzip" if key.endswith(".gz") else parameters.get("content_encoding")
        assert headers.get("content_encoding") == expected


class TestClient:
    """Private names of google-cloud-storage: without one of them, a test here fails."""

    def storage(self) -> Any:
        storage = GoogleCloudStorage(bucket_name="bucket", location="static")
        session: Any = AuthorizedSession(AnonymousCredentials())
        storage._client = Client(project="p", credentials=AnonymousCredentials(), _http=session)
        return storage

    def test_there_is_a_connection_for_each_thread(self) -> None:
        """By ``Client._http``: without it the pool keeps 10."""
        storage = self.storage()
        store = GoogleStore(storage)
        sizes = []
        for threads in (4, 32):
            store.prepare(threads)
            _ = store.identity
            sizes.append(storage.client._http.get_adapter("https://storage")._pool_maxsize)

        assert sizes == [10, 32]

    def test_an_identity_names_endpoint_bucket_and_location(self) -> None:
        """By ``Client._connection``: without it targets can't be told apart."""
        expected = "gs https://storage.googleapis.com gs://bucket/static/"
        assert GoogleStore(self.storage()).identity == expected

    def test_nothing_asks_for_the_buckets_metadata(self) -> None:
        """By ``Client._bucket_metadata_cache``: without it a deploy makes a request more."""
        storage = self.storage()

        _ = GoogleStore(storage).identity

        assert storage.client._bucket_metadata_cache is None

    def test_secrets_of_the_storages_and_of_the_clients_login(self) -> None:
        """By ``Client._credentials``: without it a default login's token may be printed."""
        storage = self.storage()
        storage.credentials = Credentials("a token", client_secret="a secret")
        storage.client._credentials = Credentials("another token", refresh_token="a third token")

        secrets = {"a token", "a secret", "another token", "a third token"}
        assert {*GoogleStore(storage).secrets} == secrets

    def test_secrets_make_no_client(self) -> None:
        """By ``GoogleCloudStorage._client``: without it, hiding secrets looks for credentials."""
        storage = GoogleCloudStorage(bucket_name="bucket")

        assert GoogleStore(storage).secrets == []
        assert storage._client is None

    def test_a_storage_without_a_bucket_is_told_what_to_set(self) -> None:
        with pytest.raises(CollectfastaError, match="bucket_name"):
            GoogleStore(GoogleCloudStorage()).list("")

    def test_credentials_that_are_not_an_object(self, subtests: pytest.Subtests) -> None:
        rows: list[Any] = ["/etc/key.json", '{"private_key": "secret"}', "", {}]
        for credentials in rows:
            with subtests.test(credentials=credentials):
                kind = type(credentials).__name__
                with pytest.raises(
                    CollectfastaError, match=f"GS_CREDENTIALS.*not a {kind}: "
                ) as caught:
                    store_of(credentials=credentials).list("")

                assert "secret" not in str(caught.value)

    def test_a_bucket_with_white_space_around_its_name(self) -> None:
        storage = self.storage()
        storage.bucket_name = " bucket\n"

        with pytest.raises(CollectfastaError, match=r"ValueError: Bucket names.*GS_BUCKET_NAME"):
            GoogleStore(storage).list("")

    @pytest.mark.parametrize("content", ["[]", None])
    def test_a_key_file_of_another_kind(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
    ) -> None:
        path = tmp_path / "key.json"
        path.write_text(content) if content else path.mkdir()
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

        with pytest.raises(CollectfastaError, match="GOOGLE_APPLICATION_CREDENTIALS"):
            store_of().list("")

    def test_missing_credentials_are_translated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def default(*_: object, **__: object) -> None:
            raise DefaultCredentialsError("none")

        monkeypatch.setattr("google.auth.default", default)
        monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)

        with pytest.raises(StoreError, match="DefaultCredentialsError"):
            store_of().list("")


class Session(AuthorizedSession):
    """Keeps what is asked, and answers it."""

    def __init__(self, *answers: Any, status: int = 200) -> None:
        credentials: Any = AnonymousCredentials()
        super().__init__(credentials)  # type: ignore[no-untyped-call]
        self.asked: list[str] = []
        self.answers, self.status = [*answers], status

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(f"{method} {url}")
        answer = requests.Response()
        answer.status_code = self.status
        answer.request = requests.Request(method, url).prepare()
        content = self.answers.pop(0) if self.answers else b""
        answer._content = content if isinstance(content, bytes) else json.dumps(content).encode()
        answer.headers["Content-Type"] = "multipart/mixed; boundary=b"
        return answer


def client_of(session: Session) -> Client:
    credentials: Any = AnonymousCredentials()
    return Client(project="p", credentials=credentials, _http=session)


class TestAccessors:
    """What a class overrides is what every request goes by."""

    def requests_of(self, store: GoogleStore, session: Session) -> list[str]:
        empty: dict[str, str] = {}
        described = {"name": "a.css", "size": "1", "generation": "1"}
        session.answers = [empty, described, described, b"", b""]
        store.list("static/")
        store.head("static/a.css")
        store.put(
            "static/a.css",
            Body(io.BytesIO(b"x"), 1),
            {"content_type": "text/css", "predefined_acl": None},
        )
        store.delete(["static/a.css"])
        return session.asked

    def test_a_bucket_of_the_class(self) -> None:
        session = Session()

        class Pays(GoogleCloudStorage):
            @property
            def bucket(self) -> Bucket:
                return client_of(session).bucket("theirs", user_project="billing")

        store = GoogleStore(Pays())

        assert store.identity == "gs https://storage.googleapis.com gs://theirs/"
        asked = self.requests_of(store, session)
        batch = [each for each in asked if "/batch/" in each]
        assert len(batch) == 1
        others = [each for each in asked if "/batch/" not in each]
        assert len(others) == 4
        assert all("/b/theirs/o" in each and "userProject=billing" in each for each in others)

    def test_a_client_of_the_class(self) -> None:
        session = Session()

        class Elsewhere(GoogleCloudStorage):
            @property
            def client(self) -> Client:
                return client_of(session)

        asked = self.requests_of(GoogleStore(Elsewhere(bucket_name="bucket")), session)

        assert len(asked) == 5

    def test_a_bucket_is_asked_for_once(self) -> None:
        """A class may make a client each time, which would have to log in each time."""
        made: list[Session] = []

        class Anew(GoogleCloudStorage):
            @property
            def client(self) -> Client:
                made.append(Session({}, {}))
                return client_of(made[-1])

            @property
            def bucket(self) -> Bucket:
                return self.client.bucket("bucket")

        store = GoogleStore(Anew())
        store.list("")
        store.list("")

        assert [len(each.asked) for each in made] == [2]

    def test_an_error_of_the_class_itself_stays(self) -> None:
        class Broken(GoogleCloudStorage):
            @property
            def client(self) -> Client:
                raise ValueError("theirs")

        with pytest.raises(ValueError, match="theirs"):
            GoogleStore(Broken(bucket_name="bucket")).list("")


def store_with(session: Session) -> GoogleStore:
    storage = GoogleCloudStorage(bucket_name="bucket")
    storage._client = client_of(session)
    return GoogleStore(storage)


class TestListing:
    def test_an_answer_that_is_not_a_listing(self, subtests: pytest.Subtests) -> None:
        rows: list[Any] = [
            b"<html>Log in.</html>",
            b"",
            [],
            {"login": "/portal"},
            {"error": {"code": 403}},
            {"kind": "storage#buckets", "items": []},
            {"items": ["a"]},
            {"items": {"name": "a"}},
        ]
        for answer in rows:
            with subtests.test(answer=answer), pytest.raises(NoListingError):
                store_with(Session(answer)).list("")

    def test_of_an_empty_bucket(self, subtests: pytest.Subtests) -> None:
        rows: list[Any] = [{}, {"kind": "storage#objects"}, {"items": []}, {"prefixes": []}]
        for answer in rows:
            with subtests.test(answer=answer):
                assert store_with(Session(answer)).list("") == Page([], None)


BATCH = b"""--b
Content-Type: application/http

HTTP/1.1 204 No Content

--b--
"""


class TestDeleting:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(b"--b--", id="no part"),
            pytest.param(b"--b\n\n\n--b--", id="no status"),
            pytest.param(b"\xff", id="no text"),
            pytest.param(b"<html></html>", id="a page"),
            pytest.param(BATCH, id="of fewer"),
            pytest.param(b"", id="empty"),
        ],
    )
    def test_a_batch_whose_answer_cannot_be_read_is_deleted_one_by_one(self, answer: bytes) -> None:
        session = Session(answer)

        store_with(session).delete(["a.css", "b.css"])

        assert [each.partition("?")[0].rpartition("/")[2] for each in session.asked] == [
            "v1",
            "a.css",
            "b.css",
        ]

    def test_a_batch_that_can_be_read_is_one_request(self) -> None:
        session = Session(BATCH)

        store_with(session).delete(["a.css"])

        assert len(session.asked) == 1
