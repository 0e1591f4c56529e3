"""A proxy that records every request and can interfere with it.

It stands between a storage and its server, so that a test can assert what went over the wire, make
chosen requests fail, or act at an exact moment.
"""

from __future__ import annotations

import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import TracebackType

from .faults import Faults, identity
from .messages import Answer, Fault, Interference, Match, Request
from .proxy import Proxy
from .upstream import Server

__all__ = ["ERRORS", "Answer", "Fault", "Faults", "Match", "Recorder", "Request"]

# What the faults are that a server answers; a cloud has bodies for them.
ERRORS: Mapping[Fault, Answer] = {
    Fault.INTERNAL_ERROR: Answer(500),
    Fault.SLOW_DOWN: Answer(503),
    Fault.TOO_MANY_REQUESTS: Answer(429),
    Fault.FORBIDDEN: Answer(403),
}


class _Rule(ABC):
    """Something to do with the requests that match."""

    def __init__(self, match: Match, times: int | None = None) -> None:
        self._match = match
        self._left = times
        self._lock = threading.Lock()

    def apply(self, request: Request) -> Interference:
        """Do it if the request matches and the rule is not used up."""
        return self._act(request) if self._match(request) and self._take() else None

    def _take(self) -> bool:
        with self._lock:
            if self._left == 0:
                return False
            if self._left is not None:
                self._left -= 1
            return True

    @abstractmethod
    def _act(self, request: Request) -> Interference:
        """Return what to do instead of forwarding it, or None to go on."""


class _Fail(_Rule):
    def __init__(self, match: Match, times: int | None, answer: Answer) -> None:
        super().__init__(match, times)
        self._answer = answer

    def _act(self, request: Request) -> Answer:
        return self._answer


class _Before(_Rule):
    def __init__(self, match: Match, callback: Callable[[Request], object]) -> None:
        super().__init__(match)
        self._callback = callback

    def _act(self, request: Request) -> None:
        self._callback(request)


class _Disturb(_Rule):
    def __init__(self, match: Match, faults: Faults) -> None:
        super().__init__(match)
        self._faults = faults
        self._asked: Counter[str] = Counter()

    def _act(self, request: Request) -> Fault | None:
        target = identity(request)
        with self._lock:
            asked = self._asked[target]
            self._asked[target] += 1
        fault = self._faults.choose(request, asked)
        if fault is Fault.DELAY:
            time.sleep(self._faults.delay)
        return fault


class _Record:
    """The requests so far, and the rules for those to come."""

    def __init__(self, errors: Mapping[Fault, Answer]) -> None:
        self._errors = {**ERRORS, **errors}
        self._lock = threading.Lock()
        self._next_number = 0
        self._requests: dict[int, Request] = {}
        self._rules: list[_Rule] = []

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests.values())

    def clear(self, *, rules: bool) -> None:
        with self._lock:
            self._requests.clear()
            if rules:
                self._rules.clear()

    def add_rule(self, rule: _Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def arrived(self, request: Request) -> int:
        with self._lock:
            number = self._next_number
            self._next_number += 1
            self._requests[number] = request
            return number

    def interfere(self, number: int, request: Request) -> Interference:
        with self._lock:
            rules = list(self._rules)
        for rule in rules:
            outcome = rule.apply(request)
            if isinstance(outcome, Fault):
                self._note(number, fault=outcome)
                return self._errors.get(outcome, outcome)
            if outcome is not None:
                return outcome
        return None

    def answered(self, number: int, body_size: int, status: int) -> None:
        self._note(number, body_size=body_size, status=status)

    def _note(self, number: int, **changes: object) -> None:
        with self._lock:
            request = self._requests.get(number)
            # None: cleared in the meantime.
            if request is not None:
                self._requests[number] = replace(request, **changes)  # type: ignore[arg-type]


class Recorder:
    """A recording proxy on a free loopback port.

    It runs from its construction until `close`, and is a context manager.

    Args:
        upstream: The URL of the server, without a path. The certificate of an https one has to be
            one that OpenSSL trusts; the variable ``SSL_CERT_FILE`` can name others.
        rewrites_host: Whether the server gets its own name in the ``Host`` header, not the one that
            the client called. Signatures of S3 cover the header, those of Azure do not.
        tls: What to talk TLS to the client with, to stand for a live server.
        errors: How the server would answer with the errors among the faults.
    """

    def __init__(
        self,
        upstream: str,
        *,
        rewrites_host: bool = False,
        tls: ssl.SSLContext | None = None,
        errors: Mapping[Fault, Answer] | None = None,
    ) -> None:
        self._record = _Record(errors or {})
        self._proxy = Proxy(Server(upstream), self._record, rewrites_host=rewrites_host, tls=tls)
        self._thread = threading.Thread(
            target=self._proxy.serve_forever, args=(0.05,), name="recorder", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL to use in place of the server's."""
        return self._proxy.url

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order of their arrival."""
        return self._record.requests

    def clear(self) -> None:
        """Forget the requests so far. Rules stay."""
        self._record.clear(rules=False)

    def reset(self) -> None:
        """Forget the requests so far and drop all rules."""
        self._record.clear(rules=True)

    def fail(
        self,
        match: Match,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
    ) -> None:
        """Answer matching requests instead of forwarding them; their bodies are read first.

        Args:
            match: Says whether a request is meant. Its status is 0 at that time.
            status: The status to answer with.
            body: The body to answer with.
            headers: More headers to answer with.
            times: How many requests to answer; None means all.
        """
        answer = Answer(status, body, dict(headers or {}))
        self._record.add_rule(_Fail(match, times, answer))

    def before(self, match: Match, callback: Callable[[Request], object]) -> None:
        """Call back before a matching request is forwarded.

        Args:
            match: Says whether a request is meant. Its status is 0 at that time.
            callback: Runs in the thread that serves the request; the request waits for it.
        """
        self._record.add_rule(_Before(match, callback))

    def disturb(self, faults: Faults, match: Match = lambda _: True) -> None:
        """Let requests go wrong.

        Args:
            faults: Which of them, and how.
            match: Says whether a request is meant. Its status is 0 at that time.
        """
        self._record.add_rule(_Disturb(match, faults))

    def set_clock(self, *, ahead: timedelta) -> None:
        """Let answers tell a later time of day: all that the server has becomes that much older."""
        self._proxy.ahead = ahead

    def close(self) -> None:
        """Stop listening and cut the connections that are open."""
        self._proxy.shutdown()
        self._proxy.server_close()
        self._thread.join()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
