"""Google Cloud Storage as a store, as far as that can be seen without a server."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest
import requests
from django.core.exceptions import SuspiciousOperation
from google.api_core import exceptions as google
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, MalformedError, TransportError
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Client
from google.oauth2.credentials import Credentials
from google.resumable_media import InvalidResponse
from storages.backends.gcloud import GoogleCloudStorage

from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.stores.gcloud import RETRY, GoogleStore, translate

CUT_OFF = google.from_http_status(200, "cut off")


def translated(error: Exception) -> StoreError:
    found = translate(error, "bucket")
    assert found is not None
    return found


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (google.TooManyRequests("No."), "429"),
            (google.InternalServerError("No."), "500"),
            (google.ServiceUnavailable("No."), "503"),
            (google.from_http_status(408, "No."), "408"),
            (CUT_OFF, "200"),
            (google.RetryError("No.", None), "RetryError"),
            (requests.ConnectionError("No."), "ConnectionError"),
            (requests.Timeout("No."), "Timeout"),
            (TransportError("No."), "TransportError"),
        ],
    )
    def test_transient(self, error: Exception, kind: str) -> None:
        found = translated(error)

        assert (found.transient, found.kind, found.advice) == (True, kind, None)

    @pytest.mark.parametrize(
        ("error", "kind", "advice"),
        [
            (DefaultCredentialsError("No."), "DefaultCredentialsError", "GS_CREDENTIALS"),
            (MalformedError("No."), "MalformedError", "GS_CREDENTIALS"),
            (google.Unauthorized("No."), "401", "GS_CREDENTIALS"),
            (google.NotFound("No."), "404", "'bucket' does not exist"),
            (google.Forbidden("No."), "403", "'bucket': a deploy needs storage.objects.create"),
            (google.BadRequest("uniform bucket-level access"), "400", "GS_DEFAULT_ACL"),
            (google.BadRequest("No."), "400", None),
            (google.from_http_status(501, "No."), "501", None),
        ],
    )
    def test_permanent(self, error: Exception, kind: str, advice: str | None) -> None:
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

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("a\nb", "line breaks"),
            ("a\rb", "line breaks"),
            (".well-known/acme-challenge/x", "begin with"),
            ("x" * 1025, "longer than 1024"),
            ("ü" * 513, "longer than 1024"),
            ("\udcff", "surrogates"),
        ],
    )
    def test_a_name_that_the_service_refuses(self, name: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
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

    def test_missing_credentials_are_translated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def default(*_: object, **__: object) -> None:
            raise DefaultCredentialsError("none")

        monkeypatch.setattr("google.auth.default", default)
        monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)

        with pytest.raises(StoreError, match="DefaultCredentialsError"):
            store_of().list("")
