"""One kind of fault at a time, of listings and of uploads: what passes, and what lasts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from botocore.config import Config
from django.core.management import CommandError

from tests import backoff
from tests.conftest import CollectStatic, StaticTree
from tests.functional.test_faults import IN_MANIFEST
from tests.servers.clouds import RecordedCloud
from tests.servers.recorder import Fault, Faults

NAMES = ["a.css", "b.css", "c.css"]
BODIES = {name: name.encode() * 10 for name in NAMES}

# What each cloud lists and uploads by.
METHODS = {
    "S3Cloud": {"LIST": "GET", "PUT": "PUT"},
    "GoogleCloud": {"LIST": "GET", "PUT": "POST"},
    "AzureCloud": {"LIST": "GET", "PUT": "PUT"},
}
# Each request is tried 5 times in each of two rounds. A listing that obstore gives up over is
# boto3's to ask for.
ATTEMPTS = 10
MOST_LISTINGS = 2 * (1 + 5)

PASSING = [
    (kind, fault) for kind in ("LIST", "PUT") for fault in Fault if fault.value[-3:] != "403"
]
# To some SDKs an answer is whole that was cut off after its status: the file is in the bucket.
LASTING = [
    each for each in PASSING if each[1] is not Fault.DELAY and each != ("PUT", Fault.TRUNCATE)
]
AFTERWARDS = [("LIST", Fault.SLOW_DOWN), ("PUT", Fault.SLOW_DOWN), ("PUT", Fault.RESET_DURING)]
STORED = [("PUT", Fault.RESET_AFTER), ("PUT", Fault.TRUNCATE)]


def each_of(faults: list[tuple[str, Fault]]) -> pytest.MarkDecorator:
    ids = [f"{kind}-{fault.name}" for kind, fault in faults]
    return pytest.mark.parametrize(("kind", "fault"), faults, ids=ids)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff.shorten(monkeypatch)
    _shorten_timeouts(monkeypatch)


def _shorten_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten those that the storages have no options for."""
    monkeypatch.setattr("collectfasta.strategies.patience._LONGEST", backoff.SECONDS)
    monkeypatch.setattr("collectfasta.strategies.gcloud_retry.TIMEOUT", (5, 0.3))
    azure = {"connection_timeout": 5, "read_timeout": 0.3}
    monkeypatch.setattr("collectfasta.strategies.azure_client._TIMEOUTS", azure)
    half_a_second = timedelta(seconds=0.5)
    monkeypatch.setattr("collectfasta.stores.s3.obstore_setup._TIMEOUT", half_a_second)


def options(cloud: RecordedCloud) -> dict[str, Any]:
    """Return the storage's options that say how long to wait for a server."""
    if type(cloud).__name__ != "S3Cloud":
        return {}
    config = Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=0.3)
    return {"client_config": config}


@dataclass(frozen=True)
class Faulty:
    """A cloud, and a fault of all its requests of a kind."""

    cloud: RecordedCloud
    kind: str
    fault: Fault

    def disturb(self, times: int | None = None) -> None:
        method = METHODS[type(self.cloud).__name__][self.kind]
        self.cloud.recorder.disturb(Faults.each(self.fault, method, times=times))

    @property
    def disturbed(self) -> int:
        return sum(request.fault is self.fault for request in self.cloud.requests)

    def bodies(self) -> dict[str, bytes]:
        return {key: each.body for key, each in self.cloud.objects().items()}


@pytest.fixture
def faulty(recorded_cloud: RecordedCloud, kind: str, fault: Fault) -> Faulty:
    return Faulty(recorded_cloud, kind, fault)


@pytest.fixture
def tree(static_tree: StaticTree) -> StaticTree:
    for name, body in BODIES.items():
        static_tree.write(name, body)
    return static_tree


def failure(collectstatic: CollectStatic, cloud: RecordedCloud, **keywords: Any) -> str:
    """Run the command, which must fail, and return its message."""
    with pytest.raises(CommandError) as caught:
        collectstatic(cloud, options=options(cloud), threads=3, **keywords)
    return str(caught.value)


@each_of(PASSING)
def test_what_passes_is_not_seen_in_the_bucket(
    faulty: Faulty,
    tree: StaticTree,
    collectstatic: CollectStatic,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nor does it take a second round, of which a warning would tell."""
    faulty.disturb(times=2)

    collectstatic(faulty.cloud, options=options(faulty.cloud), threads=3)

    assert faulty.bodies() == BODIES
    assert faulty.disturbed >= (1 if faulty.kind == "LIST" else len(NAMES))
    assert [each.getMessage() for each in caplog.records if each.name == "collectfasta"] == []


@each_of(LASTING)
def test_what_lasts_ends_the_deploy_within_a_bounded_number_of_requests(
    faulty: Faulty, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    faulty.disturb()

    message = failure(collectstatic, faulty.cloud)

    if faulty.kind == "LIST":
        assert ATTEMPTS <= faulty.disturbed <= MOST_LISTINGS
    else:
        assert faulty.disturbed == ATTEMPTS * len(NAMES)
    assert len(message.splitlines()) <= 1 + len(NAMES) + 1
    assert "Traceback" not in message
    assert faulty.cloud.name in message or faulty.cloud.recorder.url in message
    assert "run the command again" in message.lower()
    if faulty.kind == "LIST":
        assert faulty.cloud.keys() == []


@each_of(AFTERWARDS)
def test_the_run_after_what_lasted_ends_with_the_exact_bucket(
    faulty: Faulty, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    faulty.disturb()
    with suppress(CommandError):
        collectstatic(faulty.cloud, options=options(faulty.cloud), threads=3)
    faulty.cloud.recorder.reset()

    collectstatic(faulty.cloud, options=options(faulty.cloud), threads=3)

    assert faulty.bodies() == BODIES


@each_of(STORED)
def test_a_file_that_was_stored_without_a_word_is_not_sent_by_the_next_run(
    faulty: Faulty, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    faulty.disturb()
    with suppress(CommandError):
        collectstatic(faulty.cloud, options=options(faulty.cloud), threads=3)
    assert faulty.bodies() == BODIES
    faulty.cloud.recorder.reset()

    collectstatic(faulty.cloud, options=options(faulty.cloud), threads=3)

    assert faulty.cloud.counts() == {"LIST": 1}
    assert faulty.bodies() == BODIES


@each_of([("PUT", Fault.SLOW_DOWN), ("PUT", Fault.RESET_AFTER)])
def test_no_manifest_is_published_while_uploads_fail(
    faulty: Faulty, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    faulty.disturb()

    failure(collectstatic, faulty.cloud, backend=IN_MANIFEST[type(faulty.cloud).__name__])

    assert "staticfiles.json" not in faulty.cloud.keys()


@each_of([("PUT", Fault.FORBIDDEN)])
def test_a_refusal_is_not_asked_for_again(
    faulty: Faulty, tree: StaticTree, collectstatic: CollectStatic
) -> None:
    faulty.disturb()

    message = failure(collectstatic, faulty.cloud)

    assert faulty.disturbed == len(NAMES)
    assert message.startswith("3 files were not sent")
    assert len(message.splitlines()) == 1
    assert faulty.cloud.keys() == []
