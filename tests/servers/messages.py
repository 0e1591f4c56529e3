"""What passes through a proxy, and what may happen to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Fault(Enum):
    """What can go wrong with a request."""

    INTERNAL_ERROR = "answered by status 500"
    SLOW_DOWN = "answered by status 503"
    TOO_MANY_REQUESTS = "answered by status 429"
    FORBIDDEN = "answered by status 403"
    TIMEOUT = "read, and never answered"
    RESET_BEFORE = "reset before its body was read"
    RESET_DURING = "reset when half of its body was read"
    RESET_AFTER = "done by the server, and reset instead of answered"
    TRUNCATE = "done by the server, and half of the answer given"
    DELAY = "done and answered late"


@dataclass(frozen=True)
class Request:
    """One request as the client sent it, and the status of its answer.

    Attributes:
        path: The path of the request target, not decoded.
        query: The query of the request target, not decoded, without the question mark.
        headers: With lower-case names.
        body_size: Bytes of the body, without the framing of a chunked one. While a rule looks at
            the request: its declared length.
        status: The status of the answer; 0 as long as there is none.
        subject: The name of the object that an upload to Google's JSON API is of, which its target
            does not tell.
        fault: What went wrong with it on purpose.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(hash=False)
    body_size: int
    status: int = 0
    subject: str = ""
    fault: Fault | None = None


@dataclass(frozen=True)
class Answer:
    """What is answered in the place of the server."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Match = Callable[[Request], bool]

# What to do with a request other than to forward it; a fault that is an answer is given as such.
Interference = Answer | Fault | None
