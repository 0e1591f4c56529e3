"""What a run has planned and done so far, for what is said of it at its end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from collectfasta.deploy import Deploy
from collectfasta.errors import CollectfastaError
from collectfasta.options import Options
from collectfasta.plan import PlanError, Reason
from collectfasta.strategies.base import Strategy
from collectfasta.transfer import cause_of


@dataclass(frozen=True)
class Entry:
    """An object that was sent, or would be.

    Attributes:
        name: Its name, relative to the storage's location.
        reason: Why it is sent.
        size: Bytes that were sent; None where the storage sends by itself and doesn't tell.
    """

    name: str
    reason: Reason
    size: int | None


@dataclass
class Record:
    """What a run has planned and done so far.

    Attributes:
        options: What it was asked for.
        strategy: What knows the storage; None where none was made.
        deploy: The deploy of the files, once it is made ready.
        elsewhere: The deploy of a manifest that goes to a storage of its own, in a dry run.
        saved: What post-processing in the storage has saved there: sizes in bytes by name.
        deleted: The names of what was deleted, or would be in a dry run.
        refused: The causes why nothing was sent, by name.
        differs: A check has found a difference.
        started: When it has begun, by the monotonic clock.
    """

    options: Options = field(default_factory=Options)
    strategy: Strategy[Any] | None = None
    deploy: Deploy | None = None
    elsewhere: Deploy | None = None
    saved: dict[str, int | None] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    differs: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def target(self) -> str | None:
        """How messages call the target, None where there is none that could be called so."""
        with suppress(CollectfastaError):
            return self.strategy.target_name if self.strategy else None
        return None

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.started

    @property
    def requests(self) -> int | None:
        """How many requests were made, None if they are not counted."""
        return self.deploy.strategy.requests_made if self.deploy else None

    @property
    def copied(self) -> Iterator[Entry]:
        """What was sent, or would be in a dry run."""
        if self.deploy is None:
            return
        if self.options.dry_run:
            for each in self.deploy.decisions:
                if each.reason is not Reason.UNMODIFIED:
                    yield Entry(each.source.name, each.reason, each.source.size)
        for sent in self.deploy.report.sent:
            yield Entry(sent.decision.source.name, sent.decision.reason, sent.size)
        for name, size in self.saved.items():
            yield Entry(name, Reason.UNKNOWN, size)

    @property
    def unmodified(self) -> Iterator[str]:
        """The names of what the storage has as it would be sent."""
        for each in self.deploy.decisions if self.deploy else ():
            if each.reason is Reason.UNMODIFIED:
                yield each.source.name

    @property
    def failed(self) -> Iterator[tuple[str, str]]:
        """The names of what could not be sent, with the causes."""
        yield from self.refused.items()
        if self.deploy:
            for name, error in self.deploy.report.failures.items():
                yield name, cause_of(error, self.deploy.strategy)

    @property
    def pending(self) -> Iterator[Entry]:
        """What was to be sent and is not known to be: untried, or under way at an interrupt."""
        if self.deploy is None or self.options.dry_run:
            return
        report = self.deploy.report
        known = {*report.failures, *(each.decision.source.name for each in report.sent)}
        for each in self.deploy.decisions:
            if each.reason is not Reason.UNMODIFIED and each.source.name not in known:
                yield Entry(each.source.name, each.reason, each.source.size)

    def key(self, name: str) -> str:
        """Return what the remote calls the object of a name; the name where it can't have it."""
        with suppress(Exception):
            return self.deploy.strategy.object_key(name) if self.deploy else name
        return name

    def note_refusal(self, error: PlanError) -> None:
        """Take note of the causes why nothing was sent."""
        self.refused = dict(error.causes)

    @property
    def deploys(self) -> Iterable[Deploy]:
        """All that is compared with a storage."""
        return [each for each in (self.deploy, self.elsewhere) if each]
