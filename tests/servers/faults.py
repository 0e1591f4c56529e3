"""Faults by seed: the same for the same request of every run, whatever else goes on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from random import Random

from .messages import Fault, Request

# What is another in each run: the names of buckets, and what servers call an upload or a page.
_VOLATILE = re.compile(
    r"(?<=collectfasta-)[0-9a-f]{32}"
    r"|(?<=uploadId=)[^&]*|(?<=upload_id=)[^&]*"
    r"|(?<=continuation-token=)[^&]*|(?<=pageToken=)[^&]*"
)


@dataclass(frozen=True)
class Faults:
    """Which requests go wrong, and how.

    What happens to a request follows from the seed, its method, its target and how often that has
    been asked for before, so neither threads nor the order of requests make a difference.

    Attributes:
        seed: Another one lets other requests go wrong.
        rates: The share of the requests that each fault befalls, from 0 to 1.
        methods: Leave requests of other methods alone; None: there are none.
        times: How often each target can go wrong; None means always.
        delay: Seconds that ``Fault.DELAY`` takes.
    """

    seed: int
    rates: Mapping[Fault, float]
    methods: AbstractSet[str] | None = None
    times: int | None = None
    delay: float = 0.2

    def __post_init__(self) -> None:
        if sum(self.rates.values()) > 1.000001:
            raise ValueError("More faults than requests.")

    @classmethod
    def each(cls, fault: Fault, *methods: str, times: int | None = None) -> Faults:
        """Return those by which every request of some methods goes wrong, or the first ones."""
        return cls(0, {fault: 1.0}, frozenset(methods) or None, times)

    def choose(self, request: Request, asked: int) -> Fault | None:
        """Return what happens to a request.

        Args:
            request: The request.
            asked: How often its target has been asked for before.
        """
        if self.methods is not None and request.method not in self.methods:
            return None
        if self.times is not None and asked >= self.times:
            return None
        draw = Random(f"{self.seed} {identity(request)} {asked}").random()
        for fault, rate in self.rates.items():
            draw -= rate
            if draw < 0:
                return fault
        return None


def identity(request: Request) -> str:
    """Return what a request has in common with its repetitions, in this run or another."""
    target = _VOLATILE.sub("", f"{request.path}?{request.query}")
    # An upload in pieces to Google's JSON API, whose pieces have the same target.
    piece = request.headers.get("content-range", "")
    return f"{request.method} {target} {request.subject} {piece}"
