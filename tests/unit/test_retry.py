"""How often the SDKs of Google and Azure try a request here, and how long they wait."""

from __future__ import annotations

import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.storage.blob import LinearRetry
from google.api_core.exceptions import Forbidden, ServiceUnavailable, TooManyRequests

from collectfasta.strategies import gcloud_retry, patience
from collectfasta.strategies.azure_retry import retry_options
from collectfasta.strategies.gcloud_retry import RETRY
from collectfasta.strategies.patience import seconds_to_wait


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "7"}, 7),
        ({"Retry-After": "86400"}, 30),
        ({"Retry-After": "Fri, 27 Nov 2026 06:00:00 GMT"}, 0),
        ({"Retry-After": "-1"}, 0),
        ({"Retry-After": "\u00b2"}, 0),
    ],
)
def test_seconds_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert seconds_to_wait(headers) == seconds


class Answers:
    """A request that fails by these errors, one after the other, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts = 0

    def __call__(self) -> str:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


class TestGoogle:
    @pytest.fixture(autouse=True)
    def slept(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What was waited, instead of waiting."""
        slept: list[float] = []
        for module in ("google.api_core.retry.retry_unary", "collectfasta.strategies.gcloud_retry"):
            monkeypatch.setattr(f"{module}.time", Clock(slept))
        return slept

    def test_who_wants_to_hear_of_failures_hears_of_each(self) -> None:
        heard: list[Exception] = []
        errors = ServiceUnavailable("busy"), ServiceUnavailable("still busy")

        assert RETRY(Answers(*errors), heard.append)() == "answer"
        assert heard == [*errors]

    def test_a_request_is_tried_five_times_and_fails_by_its_own_error(
        self, slept: list[float]
    ) -> None:
        request = Answers(*(ServiceUnavailable(str(number)) for number in range(9)))

        with pytest.raises(ServiceUnavailable, match="4"):
            RETRY(request)()

        assert request.attempts == 5

    def test_it_is_tried_within_a_minute_and_the_first_wait_is_short(
        self, slept: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("random.uniform", lambda _, longest: longest)
        with pytest.raises(ServiceUnavailable):
            RETRY(Answers(*[ServiceUnavailable("busy")] * 9))()

        waits = [each for each in slept if each]
        assert waits == [0.5, 1.5, 4.5, 13.5]

    @pytest.mark.parametrize(
        "error",
        [
            TooManyRequests("busy"),
            requests.ConnectionError("reset"),
            requests.ReadTimeout("late"),
            requests.exceptions.ChunkedEncodingError("cut"),
        ],
        ids=lambda each: type(each).__name__,
    )
    def test_what_passes_is_tried_again(self, error: Exception) -> None:
        assert RETRY(Answers(error))() == "answer"

    def test_a_refusal_is_not_tried_again(self) -> None:
        request = Answers(Forbidden("no"))

        with pytest.raises(Forbidden):
            RETRY(request)()

        assert request.attempts == 1

    def test_what_the_server_asks_for_is_waited(self, slept: list[float]) -> None:
        error = TooManyRequests("busy", response=SimpleNamespace(headers={"Retry-After": "9"}))

        RETRY(Answers(error))()

        assert 9 in slept

    def test_attempts_of_one_request_are_not_those_of_another(self) -> None:
        call = RETRY(lambda answers: answers())

        for _ in range(3):
            request = Answers(*[ServiceUnavailable("busy")] * 4)
            assert call(request) == "answer"
            assert request.attempts == 5

    def test_timeouts_are_set(self) -> None:
        connect, read = gcloud_retry.TIMEOUT
        assert 0 < connect <= read <= 60


class Clock:
    """The time module, which notes the waits."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, slept: list[float]) -> None:
        self.sleep = slept.append


class Answering:
    """What comes after the retries in the SDK: answers by statuses, or errors."""

    def __init__(self, *answers: int | Exception, headers: dict[str, str] | None = None) -> None:
        self.answers = list(answers)
        self.attempts = 0
        self.headers = headers or {}

    def send(self, request: Any) -> Any:
        self.attempts += 1
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        response = SimpleNamespace(
            status_code=answer, headers=self.headers, reason="", text=lambda *_: ""
        )
        return SimpleNamespace(http_response=response, context={})


class TestAzure:
    @pytest.fixture
    def slept(self) -> list[float]:
        """What was waited."""
        return []

    def send(self, slept: list[float], following: Answering, **client_options: Any) -> Any:
        policy = retry_options(client_options)["retry_policy"]
        policy.next = following
        transport = SimpleNamespace(sleep=slept.append)
        request = SimpleNamespace(
            http_request=SimpleNamespace(method="PUT", body=b"", url="http://x"),
            context=SimpleNamespace(options={"hosts": {}}, transport=transport),
        )
        return policy.send(request)

    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_a_request_is_tried_five_times(self, slept: list[float], status: int) -> None:
        following = Answering(*[status] * 9)

        try:
            answered = self.send(slept, following).http_response.status_code
        except HttpResponseError as error:
            answered = error.status_code

        assert answered == status
        assert following.attempts == 5

    @pytest.mark.parametrize("error", [ServiceRequestError("no"), ServiceResponseError("no")])
    def test_a_connection_is_tried_five_times(self, slept: list[float], error: Exception) -> None:
        following = Answering(*[error] * 9)

        with pytest.raises(type(error)):
            self.send(slept, following)

        assert following.attempts == 5

    def test_the_waits_are_within_a_minute_and_the_first_is_short(
        self, slept: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("random.uniform", lambda _, longest: longest)

        self.send(slept, Answering(*[503] * 9))

        assert slept == [0.5, 1.5, 4.5, 13.5]

    @pytest.mark.parametrize("status", [429, 503])
    def test_what_the_server_asks_for_is_waited(self, slept: list[float], status: int) -> None:
        self.send(slept, Answering(status, headers={"Retry-After": "9"}))

        assert slept == [9]

    @pytest.mark.parametrize("status", [403, 404, 501])
    def test_a_refusal_is_not_tried_again(self, slept: list[float], status: int) -> None:
        following = Answering(status)

        self.send(slept, following)

        assert following.attempts == 1

    @pytest.mark.parametrize("total", [0, 1, 7])
    @pytest.mark.parametrize("fault", [503, ServiceResponseError("no")], ids=["status", "reset"])
    def test_the_storages_own_number_of_retries_is_kept(
        self, slept: list[float], total: int, fault: int | Exception
    ) -> None:
        following = Answering(*[fault] * 9)

        with suppress(ServiceResponseError):
            self.send(slept, following, retry_total=total)

        assert following.attempts == total + 1

    def test_limits_of_each_kind_are_kept(self, slept: list[float]) -> None:
        following = Answering(*[503] * 9)

        self.send(slept, following, retry_status=1, retry_total=9)

        assert following.attempts < 5

    @pytest.mark.parametrize(
        "client_options",
        [{"retry_policy": LinearRetry()}, {"initial_backoff": 1}, {"increment_base": 2}],
        ids=lambda each: next(iter(each)),
    )
    def test_a_way_of_waiting_of_the_storages_own_is_left_to_the_sdk(
        self, client_options: dict[str, Any]
    ) -> None:
        assert retry_options(client_options) == {}

    def test_requests_do_not_share_their_attempts(self, slept: list[float]) -> None:
        policy = retry_options({})["retry_policy"]
        first = patience.ATTEMPTS
        for _ in range(2):
            following = Answering(*[503] * (first - 1))
            policy.next = following
            request = SimpleNamespace(
                http_request=SimpleNamespace(method="PUT", body=b"", url="http://x"),
                context=SimpleNamespace(
                    options={"hosts": {}}, transport=SimpleNamespace(sleep=slept.append)
                ),
            )
            assert policy.send(request).http_response.status_code == 200
