"""What goes wrong on the way: repeated by the SDKs, bounded, and transient if it lasts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.config import Config

from collectfasta.errors import StoreError
from collectfasta.stores.store import NoListingError
from tests import backoff
from tests.contract.conftest import PART, Sources, Target, attempt, in_parts, refusal, send
from tests.servers.recorder import Fault, Faults, Request

NOISE = random.Random(2).randbytes(2 * PART + 1)
# With the first. What obstore gives up over, a listing for instance, boto3 asks for again.
ATTEMPTS = 5
MOST = 1 + 2 * ATTEMPTS

TRANSIENT = [fault for fault in Fault if fault is not Fault.FORBIDDEN]
# Those that no SDK takes for an answer.
LASTING = [fault for fault in TRANSIENT if fault not in (Fault.DELAY, Fault.TRUNCATE)]
# Of what is sent in pieces; waiting for the end of time-outs would take minutes.
PIECEWISE = [
    Fault.INTERNAL_ERROR,
    Fault.SLOW_DOWN,
    Fault.RESET_BEFORE,
    Fault.RESET_DURING,
    Fault.RESET_AFTER,
]
VERBS = ["LIST", "HEAD", "GET", "PUT", "DELETE"]

# What is read by its caller, the SDKs of Google and Azure leave open where it is cut off.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# How many requests a large file of two pieces and a byte takes.
PIECES = {"s3": 5, "boto3": 5, "gcs": 4, "azure": 4}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff.shorten(monkeypatch)
    backoff.shorten_timeouts(monkeypatch)


def soon(target: Target, **options: Any) -> Any:
    """Return a store that waits for an answer only for a moment."""
    if target.is_s3:
        config = Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=0.4)
        options["client_config"] = config
    return target.store(**options)


def once(target: Target, **options: Any) -> dict[str, Any]:
    """Return options by which S3's clients try everything once."""
    if not target.is_s3:
        return options
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return {"client_config": config, **options}


def of_verb(target: Target, verb: str) -> Callable[[Request], bool]:
    """Match the requests that a verb of a store makes."""
    kind = target.cloud.kind
    if verb == "LIST":
        return target.is_list
    if verb == "PUT":
        return target.is_put
    if verb == "DELETE":
        return target.of_kind("BATCH", "DELETE_BATCH", "DELETE")
    if verb == "HEAD":
        return target.is_head
    return lambda request: kind(request) == "GET" and not target.is_head(request)


def do(target: Target, store: Any, verb: str, sources: Sources) -> object:
    """Make a request by a verb of a store, about an object that is there."""
    if verb == "LIST":
        return [entry.key for entry in store.list("", "a.css").entries]
    if verb == "PUT":
        return send(store, sources.write("b.css", b"new"))
    if verb == "DELETE":
        return store.delete(["a.css"])
    return store.head("a.css").size if verb == "HEAD" else store.get("a.css")


DONE: dict[str, object] = {"LIST": ["a.css"], "HEAD": 4, "GET": b"body", "DELETE": None}


def faults_of(target: Target, verb: str, faults: Sequence[Fault]) -> list[Fault]:
    """Return which faults can be tried: for a batch Google's client waits for a minute."""
    waits = target.kind == "gcs" and verb == "DELETE"
    return [fault for fault in faults if not (waits and fault is Fault.TIMEOUT)]


def is_left_to_the_deploy(target: Target, verb: str, fault: Fault) -> bool:
    """Return whether an SDK repeats no request that fails so: the deploy sends the file again."""
    if fault is Fault.TRUNCATE:
        # Of a content that is read by its caller.
        return verb == "GET"
    return fault is Fault.TOO_MANY_REQUESTS and target.kind == "azure"


@pytest.mark.parametrize("verb", VERBS)
def test_what_passes_is_not_seen(remote: Target, sources: Sources, verb: str) -> None:
    for fault in faults_of(remote, verb, TRANSIENT):
        remote.cloud.put("a.css", b"body")
        store = soon(remote)
        remote.recorded.recorder.disturb(Faults.each(fault, times=2), of_verb(remote, verb))

        result = attempt(lambda: do(remote, store, verb, sources))  # noqa: B023 - at once

        if isinstance(result, StoreError):
            assert result.transient, fault
            assert is_left_to_the_deploy(remote, verb, fault), fault
        elif verb == "PUT":
            assert remote.cloud.get("b.css").body == b"new", fault
            assert result.version in (remote.store().head("b.css").version, "")
        elif verb == "DELETE":
            assert not remote.cloud.exists("a.css"), fault
        else:
            # Of an answer without its head nothing is known but that there is one.
            is_cut = verb == "HEAD" and fault is Fault.TRUNCATE
            assert result == DONE[verb] or (is_cut and result is None), fault
        faults = [request.fault for request in remote.cloud.requests]
        assert fault in faults
        assert len(faults) <= MOST + 3
        remote.recorded.recorder.reset()


@pytest.mark.parametrize("verb", VERBS)
def test_what_lasts_is_a_transient_error_after_a_bounded_number_of_requests(
    remote: Target, sources: Sources, verb: str
) -> None:
    for fault in faults_of(remote, verb, LASTING):
        remote.cloud.put("a.css", b"body")
        store = soon(remote)
        remote.recorded.recorder.disturb(Faults.each(fault), of_verb(remote, verb))

        error = refusal(lambda: do(remote, store, verb, sources))  # noqa: B023 - at once

        assert error.transient, (fault, error)
        assert not error.denied
        assert not error.missing
        assert "\n" not in (error.advice or "")
        assert "Traceback" not in str(error)
        assert len(remote.cloud.requests) <= MOST
        remote.recorded.recorder.reset()


@pytest.mark.parametrize("verb", ["LIST", "PUT", "DELETE"])
def test_refusal_is_not_asked_for_again(remote: Target, sources: Sources, verb: str) -> None:
    remote.cloud.put("a.css", b"body")
    remote.recorded.recorder.disturb(Faults.each(Fault.FORBIDDEN), of_verb(remote, verb))

    error = refusal(lambda: do(remote, remote.store(), verb, sources))

    assert not error.transient
    # The deletions of a batch are tried one by one.
    most = 2 if verb == "DELETE" and remote.kind in ("gcs", "azure") else 1
    assert len(remote.cloud.requests) <= most
    assert remote.cloud.keys() == ["a.css"]


@pytest.mark.parametrize("verb", ["LIST", "HEAD", "GET"])
def test_half_an_answer_is_never_taken_for_a_whole_one(
    remote: Target, sources: Sources, verb: str
) -> None:
    remote.cloud.put("a.css", b"body" * 1000)
    store = soon(remote)
    remote.recorded.recorder.disturb(Faults.each(Fault.TRUNCATE), of_verb(remote, verb))

    result = attempt(lambda: do(remote, store, verb, sources))

    if isinstance(result, StoreError):
        assert result.transient or isinstance(result, NoListingError)
    else:
        # The answer to a HEAD has no body.
        assert verb == "HEAD"
        assert result in (4000, None)


def test_number_of_attempts_is_the_storages_own(s3: Target, sources: Sources) -> None:
    for attempts in (1, 3):
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": attempts})
        store = s3.store(client_config=config)
        s3.recorded.recorder.disturb(Faults.each(Fault.SLOW_DOWN), s3.is_put)

        error = refusal(lambda: send(store, sources.write("a.css", b"x")))  # noqa: B023 - at once

        assert error.transient
        assert error.kind == "503 SlowDown"
        assert len(s3.cloud.requests) == attempts
        s3.recorded.recorder.reset()


def test_file_stored_without_a_word_is_there(remote: Target, sources: Sources) -> None:
    """Its answers never come: what was stored is what was to be."""
    remote.recorded.recorder.disturb(Faults.each(Fault.RESET_AFTER), remote.is_put)

    error = refusal(lambda: send(remote.store(), sources.write("a.css", b"body")))

    assert error.transient
    assert remote.bodies() == {"a.css": b"body"}


@pytest.mark.usefixtures("small_pieces")
class TestLargeFile:
    @staticmethod
    def is_last_chunk(request: Request) -> bool:
        """Match the end of a resumable upload.

        The emulator has forgotten the upload by the time that it is complete, so that it can't
        answer its last chunk twice, as the service does.
        """
        return not request.headers.get("content-range", "*").endswith("*")

    @pytest.mark.needs_s3("lost answers to uploads in parts")
    @pytest.mark.parametrize("fault", PIECEWISE, ids=lambda fault: fault.name)
    def test_arrives_whole_though_each_request_goes_wrong_once(
        self, remote: Target, sources: Sources, fault: Fault
    ) -> None:
        body = NOISE[: 2 * remote.piece + 1]
        remote.recorded.recorder.disturb(
            Faults.each(fault, times=1),
            lambda request: (
                remote.is_put(request)
                and not (fault is Fault.RESET_AFTER and self.is_last_chunk(request))
            ),
        )

        send(remote.store(**in_parts(remote)), sources.write("large.bin", body))

        assert remote.bodies() == {"large.bin": body}
        # What was begun by a request whose answer was lost, nobody knows the name of.
        assert fault is Fault.RESET_AFTER or remote.unfinished() == []
        faults = [request.fault for request in remote.cloud.requests]
        assert faults.count(fault) >= 3
        assert len(faults) <= 6 * PIECES[remote.kind]

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_arrives_whole_or_fails_where_an_answer_is_cut_off(
        self, remote: Target, sources: Sources, position: int
    ) -> None:
        """It may be known only by sending the file again, which is the deploy's to do."""
        body = NOISE[: 2 * remote.piece + 1]
        numbers = itertools.count()
        remote.recorded.recorder.disturb(
            Faults.each(Fault.TRUNCATE),
            lambda request: remote.is_put(request) and next(numbers) == position,
        )
        source = sources.write("large.bin", body)

        result = attempt(lambda: send(remote.store(**in_parts(remote)), source))
        if isinstance(result, StoreError):
            assert result.transient
            send(remote.store(**in_parts(remote)), source)

        assert remote.bodies() == {"large.bin": body}
        assert [each.fault for each in remote.cloud.requests].count(Fault.TRUNCATE) == 1

    @pytest.mark.parametrize(
        "fault", [Fault.SLOW_DOWN, Fault.RESET_DURING], ids=lambda fault: fault.name
    )
    def test_that_can_not_be_sent_is_a_transient_error(
        self, remote: Target, sources: Sources, fault: Fault
    ) -> None:
        remote.recorded.recorder.disturb(Faults.each(fault), remote.is_put)
        source = sources.write("large.bin", NOISE[: 2 * remote.piece + 1])

        error = refusal(lambda: send(remote.store(**in_parts(remote)), source))

        assert error.transient
        assert remote.bodies() == {}
        assert len(remote.cloud.requests) <= 5 * PIECES[remote.kind]
