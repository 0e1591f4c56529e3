"""Azure Blob Storage as a store, as far as that can be seen without Azurite."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import (
    HttpResponseError,
    IncompleteReadError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient, ContainerClient, ExponentialRetry, LinearRetry
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from requests import Session
from storages.backends.azure_storage import AzureStorage

from collectfasta.checksums import Checksum
from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.source import Body
from collectfasta.stores.azure import AzureStore, retry_options, translate
from collectfasta.stores.store import NoListingError, Page


def http_error(
    status: int, code: str = "", kind: type[HttpResponseError] = HttpResponseError
) -> HttpResponseError:
    error = kind("No.")
    error.status_code = status
    error.error_code = code  # type: ignore[attr-defined]
    return error


def translated(error: Exception) -> StoreError:
    found = translate(error, "container")
    assert found is not None
    return found


class TestErrors:
    def test_transient(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[Exception, str]] = [
            (http_error(503, "ServerBusy"), "503 ServerBusy"),
            (http_error(500, "OperationTimedOut"), "500 OperationTimedOut"),
            (http_error(429), "429"),
            (http_error(408), "408"),
            (ServiceRequestError("No."), "ServiceRequestError"),
            (ServiceResponseTimeoutError("No."), "ServiceResponseTimeoutError"),
            (IncompleteReadError("No."), "IncompleteReadError"),
        ]
        for error, kind in rows:
            with subtests.test(error=error, kind=kind):
                found = translated(error)

                assert (found.transient, found.kind, found.advice) == (True, kind, None)

    def test_permanent(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[int, str, str | None, bool]] = [
            (404, "ContainerNotFound", "'container' does not exist", False),
            (401, "", "are refused, or have expired", False),
            (403, "AuthenticationFailed", "are refused, or have expired", False),
            (403, "AuthorizationFailure", "network rules", False),
            (403, "AuthorizationPermissionMismatch", "lack a permission", True),
            (400, "InvalidHeaderValue", None, False),
            (404, "ResourceNotFound", None, False),
            (501, "", None, False),
        ]
        for status, code, advice, denied in rows:
            with subtests.test(status=status, code=code, advice=advice, denied=denied):
                found = translated(http_error(status, code))

                assert (found.transient, found.kind) == (False, f"{status} {code}".strip())
                assert found.advice is None if advice is None else advice in str(found.advice)
                assert (found.missing, found.denied) == (False, denied)

    def test_missing(self) -> None:
        error = http_error(404, "BlobNotFound", ResourceNotFoundError)

        assert translated(error).missing
        assert str(translated(error)) == "ResourceNotFoundError: No."

    def test_a_container_whose_name_is_refused(self, subtests: pytest.Subtests) -> None:
        name_rows: list[tuple[str, bool]] = [
            *(("My-Assets", False), ("ab", False), ("a--b", False), ("-abc", False)),
            *((" assets", False), ("a/b", False), ("a.b", False), ("a" * 64, False)),
            *(("assets", True), ("a-1", True), ("$web", True), ("a" * 63, True)),
        ]
        each_code: list[str] = ["InvalidResourceName", "OutOfRangeInput", ""]
        for name, is_right in name_rows:
            for code in each_code:
                with subtests.test(name=name, is_right=is_right, code=code):
                    found = translate(http_error(400, code), name)

                    assert found is not None
                    assert (found.advice is None) == is_right
                    assert is_right or "(AZURE_CONTAINER), which has 3 to 63" in str(found.advice)

    @pytest.mark.parametrize(
        ("content", "shown"),
        [
            (b'<?xml version="1.0"?><Error><Message>No.</Message></Error>', ""),
            (b"<html><p>No.</p></html>", ""),
            (b"No access by this proxy.", " Content: No access by this proxy."),
        ],
    )
    def test_an_error_is_without_the_markup_of_the_answer(self, content: bytes, shown: str) -> None:
        class Answer:
            status_code, reason, request = 400, "Bad Request", None

            def text(self) -> str:
                return content.decode()

        error = HttpResponseError("No.", response=Answer())

        assert str(translated(error)) == f"HttpResponseError: No.{shown}"

    @pytest.mark.parametrize("error", [FileNotFoundError(), InterruptedError(), ValueError()])
    def test_others_are_left_alone(self, error: Exception) -> None:
        assert translate(error, "container") is None


class TestRetries:
    def waits(self, **options: Any) -> list[float]:
        """The waits of the SDK's own policy with the options, each as long as it may be."""
        policy = ExponentialRetry(**retry_options(options))
        numbers = range(1, policy.total_retries + 1)
        return [policy.get_backoff_time({"count": number}) for number in numbers]

    def test_a_request_is_tried_five_times_within_a_minute(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("random.Random.uniform", lambda _, shortest, longest: longest)

        assert self.waits() == [4, 6, 10, 18]

    def test_failures_of_each_kind_are_repeated(self, subtests: pytest.Subtests) -> None:
        rows: list[str] = ["retry_total", "retry_connect", "retry_read", "retry_status"]
        for kind in rows:
            with subtests.test(kind=kind):
                assert retry_options({})[kind] == 4

    def test_the_storages_own_number_is_kept(self) -> None:
        options = retry_options({"retry_total": 7, "retry_read": 1})

        assert (options["retry_total"], options["retry_status"], options["retry_read"]) == (7, 7, 1)

    def test_the_storages_own_policy_is_kept(self) -> None:
        policy = LinearRetry()

        assert retry_options({"retry_policy": policy})["retry_policy"] is policy


ACCOUNT = {"account_name": "account", "account_key": "a2V5"}


def store_of(**options: Any) -> AzureStore:
    return AzureStore(AzureStorage(azure_container="container", **options))


class TestNames:
    """By ``AzureStorage._get_valid_path``: without it, keys are not the storage's."""

    @pytest.mark.parametrize(
        ("location", "prefix"), [("", ""), ("static", "static/"), ("a/b/", "a/b/")]
    )
    def test_keys_begin_with_the_location(self, location: str, prefix: str) -> None:
        store = store_of(location=location)

        assert store.prefix == prefix
        assert store.key("css/ä b+%2F.css") == f"{prefix}css/ä b+%2F.css"
        assert store.url == f"azure://container/{prefix}"

    def test_a_name_that_the_service_refuses(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[str, str]] = [
            ("a\nb", "control"),
            ("a\x7fb", "control"),
            ("x" * 1025, "max len"),
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

    def test_names_are_exact_and_overwritten_while_files_are_sent(self) -> None:
        store = store_of(overwrite_files=False)

        with store.exact_names():
            assert store.storage.get_available_name("a.css") == "a.css"
            assert store.storage.overwrite_files
        assert not store.storage.overwrite_files


class TestPayload:
    """By ``AzureStorage._get_content_settings_parameters``: without it, headers are lost."""

    def test_headers_are_those_of_the_storage(self) -> None:
        store = store_of(cache_control="max-age=1", object_parameters={"content_language": "de"})
        body = io.BytesIO(b"body")

        payload = store.payload("a.css.gz", body)

        assert payload.content is body
        assert not payload.encoded
        assert payload.headers == {
            "cache_control": "max-age=1",
            "content_type": "text/css",
            "content_encoding": "gzip",
            "content_language": "de",
        }

    @pytest.mark.parametrize("own", [None, "text/x-own"])
    def test_a_type_that_the_file_has_itself_is_the_storages_too(self, own: str | None) -> None:
        store, file = store_of(), ContentFile(b"body")
        if own:
            file.content_type = own  # type: ignore[attr-defined]

        for content in (file, Body(file, 4)):
            headers = store.payload("a.css", content).headers
            assert headers["content_type"] == (own or "text/css")


class TestClient:
    """By ``AzureStorage._get_service_client``: without it, accounts and logins are not obeyed."""

    def test_an_identity_names_account_container_and_location(self) -> None:
        store = store_of(location="static", **ACCOUNT)

        assert store.identity == "azure account.blob.core.windows.net container static/"

    def test_the_storages_own_client_options_come_first(self) -> None:
        policy = LinearRetry()
        options = {"retry_policy": policy, "api_version": "2021-12-02"}
        store = store_of(client_options=options, **ACCOUNT)

        assert store._container.api_version == "2021-12-02"
        assert store._container._config.retry_policy is policy
        assert store.storage.client_options == options

    @pytest.mark.parametrize(
        ("options", "used"),
        [({}, "bundle"), ({"connection_verify": "own"}, "own"), ({"connection_verify": False}, 0)],
    )
    def test_certificates_of_the_environment_are_used_unless_others_are_given(
        self, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], used: Any
    ) -> None:
        made: list[RequestsTransport] = []

        class Transport(RequestsTransport):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                made.append(self)

        monkeypatch.setattr("collectfasta.stores.azure.RequestsTransport", Transport)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "bundle")

        _ = store_of(client_options=options, **ACCOUNT).identity

        assert [each.connection_config.verify for each in made] == [used]

    def test_the_storage_keeps_its_own_client(self) -> None:
        store = store_of(**ACCOUNT)

        _ = store.identity

        assert store.storage._service_client is None

    @pytest.mark.parametrize("threads", [1, 4])
    def test_a_session_of_the_users_is_obeyed(self, service: Service, threads: int) -> None:
        """With its certificates and headers; and it is counted as any other."""
        session = Session()
        session.headers["X-Theirs"] = "1"
        adapter = session.get_adapter("http://")
        transport = RequestsTransport(session=session, session_owner=False)
        made: list[dict[str, Any]] = [{"session": session}, {"transport": transport}]
        for options in made:
            service.answers = [LISTING.encode()]
            store = store_of(client_options={**options, "api_version": "2021-12-02"}, **ACCOUNT)
            store.storage.endpoint_suffix = "localhost"
            store.storage.azure_ssl = False
            session.proxies = {"http": f"http://127.0.0.1:{service.server_port}"}
            store.prepare(threads)
            assert len(store.list("").entries) == 2
            assert store.requests == 1

        assert session.get_adapter("http://") is adapter
        assert [each["X-Theirs"] for each in service.headers] == ["1", "1"]

    @pytest.mark.parametrize(
        ("container", "named"), [(None, "azure_container"), ("container", "account_name")]
    )
    def test_what_to_set(self, container: str | None, named: str) -> None:
        store = AzureStore(AzureStorage(azure_container=container))

        with pytest.raises(CollectfastaError, match=named):
            store.list("")

    def test_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "client secret")
        login = "AccountName=account;AccountKey=key==;SharedAccessSignature=sv=1&sig=one"

        secrets = store_of(connection_string=login, sas_token="sv=1&sig=two").secrets

        known = {"key==", login, "sv=1&sig=one", "one", "sv=1&sig=two", "two", "client secret"}
        assert {*secrets} == known


class TestAccessors:
    """What a class overrides is what every request goes by, whatever its settings say."""

    def requests_of(self, store: AzureStore, service: Service) -> None:
        service.answers = [LISTING.encode(), 200, 201, 202, 202]
        store.list("")
        store.head("a.css")
        store.put("a.css", Body(io.BytesIO(b"x"), 1), {})
        store.delete(["a.css"])
        assert service.answers == []
        assert all("/theirs/container" in line for line in service.lines)

    def test_client(self, service: Service) -> None:
        class Storage(AzureStorage):
            @property
            def client(self) -> ContainerClient:
                return ContainerClient(service.url("theirs"), "container", credential="sig=x")

        store = AzureStore(Storage(**ACCOUNT))

        self.requests_of(store, service)
        assert store.url == "azure://container/"
        assert store.identity == f"azure 127.0.0.1:{service.server_port}/theirs container "
        assert store.requests is None

    @pytest.mark.parametrize("name", ["service_client", "_get_service_client"])
    @pytest.mark.parametrize("login", [ACCOUNT, {}, {"connection_string": "malformed"}])
    def test_service_client(self, service: Service, name: str, login: dict[str, str]) -> None:
        def make(_: Any) -> BlobServiceClient:
            return BlobServiceClient(service.url("theirs"), credential="sig=x")

        method: Any = property(make) if name == "service_client" else make
        cls = type("Storage", (AzureStorage,), {name: method, "__module__": "own"})
        storage = cls(azure_container="container", **ACCOUNT)
        vars(storage).update(login)

        self.requests_of(AzureStore(storage), service)

    def test_an_error_of_the_class_itself_stays(self) -> None:
        class Broken(AzureStorage):
            @property
            def client(self) -> ContainerClient:
                raise ValueError("theirs")

        with pytest.raises(ValueError, match="theirs"):
            AzureStore(Broken()).list("")


KEY = "DefaultEndpointsProtocol=https;AccountName=account;AccountKey=a2V5"


class TestLogins:
    """What is malformed is said before anything is asked."""

    def test_malformed(self, subtests: pytest.Subtests) -> None:
        rows: list[tuple[dict[str, str], str]] = [
            ({"connection_string": ""}, "AZURE_CONNECTION_STRING"),
            ({"connection_string": "a=b;c=d"}, "AZURE_CONNECTION_STRING"),
            ({"connection_string": "garbage", **ACCOUNT}, "AZURE_CONNECTION_STRING"),
            ({"connection_string": "AccountName=account;"}, "no credentials"),
            ({"connection_string": "AccountName=a b;AccountKey=a2V5"}, "no address"),
            ({"connection_string": "AccountName=account;AccountKey=abcde"}, "not Base64"),
            ({"account_name": "account"}, "no credentials"),
            ({"account_name": "account", "account_key": ""}, "AZURE_ACCOUNT_KEY"),
            ({"account_name": "account", "sas_token": ""}, "AZURE_SAS_TOKEN"),
            ({"account_name": "account", "account_key": " "}, "AZURE_ACCOUNT_KEY"),
            ({"account_name": "account", "account_key": "abcde"}, "AZURE_ACCOUNT_KEY"),
            ({"account_name": " account", "account_key": "a2V5"}, "AZURE_ACCOUNT_NAME"),
            ({"account_name": "account\n", "account_key": "a2V5"}, "AZURE_ACCOUNT_NAME"),
            ({"account_name": "https://account", "account_key": "a2V5"}, "AZURE_ACCOUNT_NAME"),
            ({"endpoint_suffix": "a net", **ACCOUNT}, "endpoint_suffix"),
        ]
        for options, named in rows:
            with subtests.test(options=options, named=named):
                with pytest.raises(CollectfastaError, match=named) as caught:
                    _ = store_of(**options).identity

                assert not isinstance(caught.value, StoreError)
                assert "abcde" not in str(caught.value)

    def test_what_the_sdk_takes(self, subtests: pytest.Subtests) -> None:
        rows: list[dict[str, Any]] = [
            {"account_name": "account", "account_key": "a2V5\n"},
            {"account_name": "account", "account_key": "", "sas_token": "sv=1&sig=x"},
            {"account_name": "account", "token_credential": object()},
            {"connection_string": f"{KEY}\n"},
            {"connection_string": "UseDevelopmentStorage=true;AccountName=x;AccountKey=a2V5"},
            {"connection_string": "BlobEndpoint=https://[::1]:1/a;SharedAccessSignature=sig=x"},
        ]
        for options in rows:
            with subtests.test(options=options):
                if "token_credential" in options:
                    options = {**options, "token_credential": AzureSasCredential("sig=x")}

                assert store_of(**options).identity


# With a byte order mark, percent-encoded names where XML can't have a character
# (https://learn.microsoft.com/rest/api/storageservices/list-blobs), and more than is read. Azurite
# writes it in another way.
LISTING = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="http://x/" ContainerName="c"><Prefix>css/</Prefix><Blobs>
<Blob><Name Encoded="true">css/%EF%BF%BE%20.css</Name><Properties><Etag>0x8D1</Etag>
<Last-Modified>Fri, 27 Nov 2026 06:00:00 GMT</Last-Modified>
<Content-Length>3</Content-Length><Content-MD5>rL0Y20zC+Fzt72VPzMSk2A==</Content-MD5>
</Properties><OrMetadata /></Blob>
<Blob><Name>css/a%20&amp;\u00fc.css</Name><Properties><Etag>"0x8D2"</Etag>
<Content-Length>0</Content-Length><Content-MD5 /></Properties><OrMetadata /></Blob>
</Blobs><NextMarker>next</NextMarker></EnumerationResults>"""


class Service(ThreadingHTTPServer):
    """Gives these answers, one after the other; None closes the connection."""

    daemon_threads = True

    def __init__(self, *answers: bytes | int | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = [*answers]
        self.ids: list[UUID] = []
        self.lines: list[str] = []
        self.headers: list[Any] = []
        self.kind = "application/xml"
        self.more: dict[str, str] = {}
        self.accepted = 200

    def url(self, account: str) -> str:
        """Return the address of an account."""
        return f"http://127.0.0.1:{self.server_port}/{account}"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.ids.append(UUID(self.headers["x-ms-client-request-id"]))
        self.server.lines.append(self.requestline)
        self.server.headers.append(self.headers)
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        accepted = self.server.accepted
        self.send_response_only(accepted if isinstance(answer, bytes) else answer)
        for name, value in self.server.more.items():
            self.send_header(name, value)
        self.send_header("Date", "Fri, 27 Nov 2026 06:00:10 GMT")
        self.send_header("Content-Type", self.server.kind)
        self.send_header("ETag", '"0x8D1"')
        self.end_headers()
        if isinstance(answer, bytes):
            self.wfile.write(answer)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(ExponentialRetry, "get_backoff_time", lambda *_: 0)
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def store_at(service: Service) -> AzureStore:
    login = f"AccountName=account;AccountKey=a2V5;BlobEndpoint={service.url('account')}"
    return store_of(connection_string=login)


class TestListing:
    def page(self, service: Service, start: str = "") -> tuple[AzureStore, Page]:
        store = store_at(service)
        return store, store.list("css/", start)

    def test_blobs_are_read_as_the_service_writes_them(self, service: Service) -> None:
        service.answers = [LISTING.encode()]

        store, page = self.page(service)

        one, two = page.entries
        assert (one.key, two.key) == ("css/\ufffe .css", "css/a%20&\u00fc.css")
        assert (one.listed.version, two.listed.version) == ("0x8D1", "0x8D2")
        assert (one.listed.size, two.listed.size) == (3, 0)
        assert one.listed.checksum == Checksum("md5", "acbd18db4cc2f85cedef654fccc4a4d8")
        assert two.listed.checksum is None
        assert page.token == "next"
        assert store.requests == 1

    def test_the_time_is_by_this_machines_clock(self, service: Service) -> None:
        service.answers = [LISTING.encode()]

        one, two = self.page(service)[1].entries

        assert one.listed.last_modified is not None
        age = datetime.now(timezone.utc) - one.listed.last_modified
        assert abs(age - timedelta(seconds=10)) < timedelta(seconds=5)
        assert two.listed.last_modified is None

    def test_where_keys_are_looked_for_the_time_is_not_read(self, service: Service) -> None:
        service.answers = [LISTING.encode()]

        one, _ = self.page(service, "css/a")[1].entries

        assert one.listed.last_modified is None

    @pytest.mark.parametrize("before", [503, None])
    def test_an_answer_after_a_failure_is_read(self, service: Service, before: int | None) -> None:
        """The SDK forgets its hook with an attempt that brings no answer."""
        service.answers = [before, *[LISTING.encode()] * 2]

        assert len(self.page(service)[1].entries) == 2

    def test_an_answer_that_is_not_a_listing(
        self, subtests: pytest.Subtests, service: Service
    ) -> None:
        each_kind: list[str] = ["application/xml", "text/html", "application/json", "a/b"]
        each_answer: list[bytes] = [
            b"<html><Blobs><Blob/></Blobs></html>",
            b"<html><body><p>Log in.</p></body></html>",
            b"<!DOCTYPE html><p>Log in.<br>",
            b"<EnumerationResults><NextMarker/></EnumerationResults>",
            b"<ListBucketResult><Blobs/></ListBucketResult>",
            b'{"login": "/portal"}',
            b"[]",
            b"",
        ]
        for kind in each_kind:
            for answer in each_answer:
                with subtests.test(kind=kind, answer=answer):
                    service.answers, service.kind = [answer] * 5, kind

                    with pytest.raises(NoListingError):
                        self.page(service)

    def test_the_first_ids_of_requests_are_random(self, service: Service) -> None:
        service.answers = [LISTING.encode()]

        self.page(service)

        assert [each.version for each in service.ids] == [4]

    def test_a_refusal_names_what_is_lacking(self, service: Service) -> None:
        service.answers = [403]

        with pytest.raises(StoreError) as caught:
            self.page(service)

        assert caught.value.denied
        assert "may not list the container 'container'" in str(caught.value.advice)

    def test_directories_are_not_blobs(self, service: Service) -> None:
        """Accounts with a hierarchical namespace list them."""
        blob = LISTING[LISTING.index("<Blob>") : LISTING.index("</Blob>") + 7]
        kinds = ("file", "directory")
        blobs = [
            blob.replace(".css", kind).replace(
                "<Etag>", f"<ResourceType>{kind}</ResourceType><Etag>"
            )
            for kind in kinds
        ]
        made = "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>"
        blobs.append(blob.replace("</Blob>", made))
        service.answers = [LISTING.replace(blob, "".join(blobs)).encode()]

        page = self.page(service)[1]

        assert [each.key for each in page.entries] == ["css/\ufffe file", "css/a%20&\u00fc.css"]


class TestDirectories:
    @pytest.mark.parametrize(
        ("metadata", "is_there"),
        [({"x-ms-meta-hdi_isfolder": "true"}, False), ({"x-ms-meta-a": "b"}, True)],
    )
    def test_head(self, service: Service, metadata: dict[str, str], is_there: bool) -> None:
        service.answers, service.more = [200], metadata

        assert (store_at(service).head("css") is not None) == is_there


PART = b"""--b
Content-Type: application/http
Content-ID: 0

HTTP/1.1 202 Accepted
x-ms-request-id: r

--b--
""".replace(b"\n", b"\r\n")


class TestDeleting:
    def test_a_batch_whose_answer_cannot_be_read_is_deleted_one_by_one(
        self, subtests: pytest.Subtests, service: Service
    ) -> None:
        each_kind: list[str] = ["multipart/mixed; boundary=b", "text/html"]
        each_answer: list[bytes | int] = [
            b"",
            b"--b--\r\n",
            PART,
            b"<html></html>",
            b"\xff",
            b"--b\r\n\r\n\r\n--b--",
            405,
        ]
        for kind in each_kind:
            for answer in each_answer:
                with subtests.test(kind=kind, answer=answer):
                    service.lines.clear()
                    service.answers, service.kind = [answer, 202, 202], kind
                    service.accepted = 202

                    store_at(service).delete(["a.css", "b.css"])

                    assert [line.partition(" ")[0] for line in service.lines] == [
                        "POST",
                        "DELETE",
                        "DELETE",
                    ]

    def test_a_batch_that_can_be_read_is_one_request(self, service: Service) -> None:
        service.answers, service.kind = [PART], "multipart/mixed; boundary=b"
        service.accepted = 202

        store_at(service).delete(["a.css"])

        assert len(service.lines) == 1


class TestSlowLines:
    @pytest.mark.parametrize(("threads", "expected"), [(1, "7"), (8, "56")])
    def test_what_threads_send_at_a_time_has_more_time(
        self, service: Service, threads: int, expected: str
    ) -> None:
        store = store_at(service)
        store.storage.timeout = 7
        store.prepare(threads)
        service.answers = [LISTING.encode(), 201]
        store.list("")
        store.put("a.css", Body(io.BytesIO(b"x"), 1), {})

        timeouts = [parse_qs(urlsplit(line.split()[1]).query)["timeout"] for line in service.lines]
        assert timeouts == [["7"], [expected]]

    def test_no_timeout_stays_none(self, service: Service) -> None:
        store = store_at(service)
        store.storage.timeout = None
        service.answers = [201]
        store.put("a.css", Body(io.BytesIO(b"x"), 1), {})

        assert "timeout" not in service.lines[0]
