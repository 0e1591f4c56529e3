"""Fixtures: a bucket of each kind behind a recorder, the store that reaches it, and files to send.

The only place that crosses clouds and engines. Each worker keeps one bucket of a kind, which is
emptied after each test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.files.storage import FileSystemStorage
from django.utils.module_loading import import_string

from collectfasta.errors import CollectfastaError, StoreError
from collectfasta.remote import Listed, RemoteObject
from collectfasta.source import SourceFile
from collectfasta.stores.s3.boto3 import Boto3Store
from collectfasta.stores.store import Store
from collectfasta.strategies.listing import ListingStrategy
from collectfasta.strategies.selection import sending_strategy
from tests import backoff
from tests.memory_store import MemoryStore
from tests.servers.azurite import AzureServer
from tests.servers.clouds import Cloud, RecordedCloud
from tests.servers.clouds.azure import AzureCloud
from tests.servers.clouds.filesystem import FileSystemCloud
from tests.servers.clouds.google import GoogleCloud
from tests.servers.clouds.memory import MemoryCloud
from tests.servers.clouds.s3 import S3Cloud
from tests.servers.gcs import GoogleServer
from tests.servers.s3 import S3Server

S3 = [pytest.param(kind, marks=pytest.mark.s3) for kind in ("s3", "boto3")]
REMOTE = [*S3, "gcs", "azure"]
KINDS = ["memory", "filesystem", *REMOTE]

# The smallest parts that S3 takes, and pieces of the others': Google's are multiples of it.
PART = 5 * 1024 * 1024
PIECE = 256 * 1024


class Target:
    """A bucket, and how to reach it.

    Attributes:
        kind: One of the names above: "s3" goes by obstore where it can, "boto3" by boto3 alone.
        cloud: The bucket.
    """

    def __init__(self, kind: str, cloud: Cloud) -> None:
        self.kind, self.cloud = kind, cloud

    @property
    def is_s3(self) -> bool:
        """Whether it is on an S3 server."""
        return self.kind in ("s3", "boto3")

    @property
    def recorded(self) -> RecordedCloud:
        """The bucket as one behind a recorder."""
        return cast("RecordedCloud", self.cloud)

    @property
    def piece(self) -> int:
        """The size of what a large file is sent in, as `small_pieces` leaves it."""
        return PART if self.is_s3 else PIECE

    def storage(self, backend: Any = None, **options: Any) -> Any:
        """Return a storage of the plain class or another one."""
        cls: Any = backend or import_string(self.cloud.backend)
        return cls(**self.cloud.options(**options))

    def store(self, backend: Any = None, **options: Any) -> Any:
        """Return the store that a strategy has for such a storage."""
        return self.store_of(self.storage(backend, **options))

    def store_of(self, storage: Any) -> Any:
        """Return the store of a storage that exists."""
        store: Store
        if self.kind == "memory":
            store = MemoryStore(storage)
        elif self.kind == "boto3":
            store = Boto3Store(storage)
        else:
            store = sending_strategy(storage).store
        store.prepare(8)
        return store

    def upload(self, storage: Any, *sources: SourceFile) -> list[RemoteObject | None]:
        """Upload files as the strategy does, which obeys the storage's own way of saving."""
        strategy: Any = sending_strategy(storage)
        assert isinstance(strategy, ListingStrategy)
        vars(strategy)["store"] = self.store_of(storage)
        with strategy.store.exact_names():
            return [strategy.upload(source) for source in sources]

    def bodies(self) -> dict[str, bytes]:
        """Return what is stored, by keys."""
        return {key: stored.body for key, stored in self.cloud.objects().items()}

    def of_kind(self, *kinds: str) -> Callable[[Any], bool]:
        """Match requests of these kinds."""
        return lambda request: self.cloud.kind(request) in kinds

    def is_put(self, request: Any) -> bool:
        """Match whatever sends a part of an object."""
        return self.cloud.kind(request) in {"PUT", "UPLOAD", "MULTIPART", "PUT_BLOCK", "BLOCK_LIST"}

    def is_list(self, request: Any) -> bool:
        """Match a listing."""
        return self.cloud.kind(request) == "LIST"

    def is_head(self, request: Any) -> bool:
        """Match what asks for one object alone."""
        is_google = self.kind == "gcs" and "alt=media" not in request.query
        return self.cloud.kind(request) == ("GET" if is_google else "HEAD")

    def unfinished(self) -> list[Any]:
        """Return the uploads in parts that were neither completed nor aborted."""
        return self.cloud.uploads() if isinstance(self.cloud, S3Cloud) else []


class Sources:
    """Files to be sent.

    Attributes:
        root: The directory that they are in.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._storage = FileSystemStorage(location=root)

    def write(self, name: str, content: bytes) -> SourceFile:
        """Write a file, and return it as the finders' storage has it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return SourceFile(name, name, self._storage)


def send(
    store: Store, source: SourceFile, on_read: Callable[[int], object] = lambda _: None
) -> Listed:
    """Put a file as the strategies do."""
    key = store.key(source.name)
    with source.open_body(is_hashed=True, on_read=on_read) as body:
        payload = store.payload(key, body)
        content: Any = payload.content
        sent = body if content is body else body.encoded(content)
        return store.put(key, sent, payload.headers)


def refusal(request: Callable[[], object]) -> StoreError:
    """Make a request that has to fail, and return why."""
    with pytest.raises(StoreError) as caught:
        request()
    error: StoreError = caught.value
    return error


def attempt(request: Callable[[], Any]) -> Any:
    """Make a request that may fail, and return its result or the error that it failed by."""
    try:
        return request()
    except CollectfastaError as error:
        return error


# The buckets of a worker: each is made, with its server, when it is first asked for.


@pytest.fixture(scope="session")
def memory_bucket() -> MemoryCloud:
    """A bucket in memory."""
    return MemoryCloud()


@pytest.fixture(scope="session")
def filesystem_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileSystemCloud]:
    """A directory."""
    with FileSystemCloud(tmp_path_factory.mktemp("contract") / "deployed") as cloud:
        yield cloud


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Server) -> Iterator[S3Cloud]:
    """A bucket on the S3 server that the environment chooses."""
    with S3Cloud(s3_server) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def gcs_bucket(gcs_emulator: GoogleServer) -> Iterator[GoogleCloud]:
    """A bucket on Google Cloud Storage."""
    with GoogleCloud(gcs_emulator) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def azure_bucket(azurite: AzureServer) -> Iterator[AzureCloud]:
    """A container on Azure."""
    with AzureCloud(azurite) as cloud:
        yield cloud


def _lend(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str = ""
) -> Iterator[Target]:
    kind = kind or request.param
    fixture = {"boto3": "s3_bucket"}.get(kind, f"{kind}_bucket")
    target = Target(kind, request.getfixturevalue(fixture))
    for name, value in target.cloud.environment.items():
        monkeypatch.setenv(name, value)
    yield target
    if isinstance(target.cloud, RecordedCloud):
        target.cloud.recorder.reset()
        target.cloud.recorder.set_clock(ahead=timedelta())
    if isinstance(target.cloud, MemoryCloud):
        target.cloud.bucket.fail = lambda _: None
    target.cloud.empty()
    if isinstance(target.cloud, S3Cloud):
        target.cloud.abort_uploads()


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An empty bucket of each kind in turn."""
    yield from _lend(request, monkeypatch)


@pytest.fixture(params=REMOTE)
def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An empty bucket behind a recorder, of each kind in turn."""
    yield from _lend(request, monkeypatch)


@pytest.fixture(params=S3)
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An empty S3 bucket, reached by each engine in turn."""
    yield from _lend(request, monkeypatch)


@pytest.fixture(params=S3[:1])
def combined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An empty S3 bucket, reached by obstore where it can, by boto3 for the rest."""
    yield from _lend(request, monkeypatch)


@pytest.fixture
def google(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An empty bucket on Google Cloud Storage."""
    yield from _lend(request, monkeypatch, "gcs")


@pytest.fixture
def azure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """An empty container on Azure."""
    yield from _lend(request, monkeypatch, "azure")


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Files to be sent."""
    return Sources(tmp_path / "sources")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat requests at once."""
    backoff.shorten(monkeypatch)


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let nothing of the machine's own AWS configuration count; return a place for another."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call files large that are not, where the storages have no option for that."""
    for name in ("gcloud._ONE_REQUEST", "gcloud._CHUNK", "azure._ONE_REQUEST"):
        monkeypatch.setattr(f"collectfasta.stores.{name}", PIECE)


def in_parts(target: Target, **config: Any) -> dict[str, Any]:
    """Return options that send a file in parts from two of them on."""
    if not target.is_s3:
        return {}
    from boto3.s3.transfer import TransferConfig

    config = {"multipart_threshold": PART, "multipart_chunksize": PART, **config}
    return {"transfer_config": TransferConfig(**config)}
