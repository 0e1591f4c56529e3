"""Decide for each source file whether it has to be sent, and why. Writes nothing."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files.utils import validate_file_name

from collectfasta.checksums import Pair
from collectfasta.errors import CollectfastaError, describe
from collectfasta.executor import Executor, Outcome
from collectfasta.remote import ListingDeniedError, RemoteIndex, RemoteObject, compare
from collectfasta.source import SourceFile
from collectfasta.strategies.contract import Strategy
from collectfasta.strategies.listing import ListingStrategy
from collectfasta.terminal.progress import Progress, Step

logger = logging.getLogger("collectfasta")

# Hashing waits for the disk and for the interpreter's lock: measured on 3,000 files, two threads
# were as fast as one with a warm page cache and 20 took twice as long.
_HASHING_THREADS = 2
_HASHING_BATCH = 16


class Reason(enum.Enum):
    """Why a file is sent, or not."""

    MISSING = "missing"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    FORCED = "forced"
    UNMODIFIED = "unmodified"


@dataclass(frozen=True)
class Decision:
    """What happens to a source file.

    Attributes:
        source: The file.
        reason: Why it is sent, or ``UNMODIFIED``.
        pair: What there is to remember of an unmodified object.
    """

    source: SourceFile
    reason: Reason
    pair: Pair | None = None


@dataclass(frozen=True)
class Plan:
    """What happens to all source files, in the order in which they were found."""

    decisions: tuple[Decision, ...]

    @property
    def uploads(self) -> list[Decision]:
        """Those to be sent."""
        return [each for each in self.decisions if each.reason is not Reason.UNMODIFIED]

    @property
    def pairs(self) -> dict[str, Pair]:
        """What there is to remember of the objects that stay."""
        return {each.source.name: each.pair for each in self.decisions if each.pair}


class PlanError(CollectfastaError):
    """Source files that can't be deployed; nothing was sent.

    Args:
        what: What they can't, as the end of a sentence.
        causes: Why, by the files' prefixed paths.
        advice: What to do, as a sentence.
    """

    def __init__(self, what: str, causes: Mapping[str, str], advice: str) -> None:
        head = f"Nothing was sent, because {len(causes)} of the files {what}:"
        lines = (f"  {name!r}: {cause}" for name, cause in causes.items())
        super().__init__("\n".join([head, *lines, advice]))
        self.causes = causes


def make_plan(
    sources: Sequence[SourceFile],
    strategy: Strategy[Any],
    pairs: Mapping[str, Pair],
    *,
    threads: int,
    forced: bool = False,
    full: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Decide for each file.

    Args:
        sources: The files, each with a name of its own.
        strategy: Knows the remote.
        pairs: What is remembered of the remote objects.
        threads: How many files are compared at a time where each takes a request.
        forced: Send everything.
        full: Name the traceback behind each file that can't be compared.
        progress: Shows how many files and bytes were compared.

    Raises:
        PlanError: Some files have names that the remote can't have, or can't be read.
        Exception: The remote can't be listed; whatever its SDK raises.
    """
    check_sources(sources, strategy)
    if forced:
        return Plan(tuple(Decision(source, Reason.FORCED) for source in sources))
    size = sum(source.size or 0 for source in sources)
    with (progress or Progress()).step("Comparing", total=len(sources), size=size) as step:
        return Plan(tuple(_Planner(sources, strategy, pairs, full, step).decide(threads)))


def check_sources(sources: Sequence[SourceFile], strategy: Strategy[Any]) -> None:
    """Refuse what can't be deployed, before anything is written.

    Args:
        sources: The files.
        strategy: Knows which names the remote can have.

    Raises:
        PlanError: Names every file that can't be stored under its name, or can't be read.
    """
    _check_names(sources, strategy)
    _check_contents(sources, strategy)


def _check_names(sources: Sequence[SourceFile], strategy: Strategy[Any]) -> None:
    """Refuse names that would be lost, before anything is written."""
    refused = {}
    keys: dict[str, SourceFile] = {}
    for source in sources:
        try:
            validate_file_name(source.name, allow_relative_path=True)
            first = keys.setdefault(strategy.object_key(source.name), source)
        except (SuspiciousOperation, ValueError) as error:
            refused[source.prefixed_path] = describe(error, strategy.secrets)
            continue
        if first is not source:
            refused[source.prefixed_path] = f"would overwrite {first.prefixed_path!r}"
    if refused:
        raise PlanError(
            "can't be stored under their names",
            refused,
            "Rename them, or leave them out by --ignore.",
        )


def _check_contents(sources: Sequence[SourceFile], strategy: Strategy[Any]) -> None:
    """Refuse files that aren't there, such as links that lead nowhere, before anything is sent."""
    missing = {}
    for source in sources:
        try:
            # It is looked up here and remembered by the source.
            _ = source.size
        except OSError as error:
            missing[source.prefixed_path] = describe(error, strategy.secrets)
    if missing:
        raise PlanError(
            "can't be read", missing, "Make them readable, or leave them out by --ignore."
        )


def requests_from_now(strategy: Strategy[Any]) -> Callable[[], int | None]:
    """Return a function that tells how many requests were made since; None: nobody counts."""
    before = strategy.requests_made
    return lambda: None if before is None else (strategy.requests_made or 0) - before


# A source file, and what is known to be in its place.
_Found = tuple[SourceFile, RemoteObject | None]


@dataclass(frozen=True)
class _Planner:
    sources: Sequence[SourceFile]
    strategy: Strategy[Any]
    pairs: Mapping[str, Pair]
    full: bool
    step: Step

    def decide(self, threads: int) -> list[Decision]:
        """Decide for each file, as the remote's answers come."""
        try:
            objects = self.strategy.list_remote([source.name for source in self.sources])
            if objects is not None and not self.strategy.is_asked_per_file:
                hashing = Executor(min(threads, _HASHING_THREADS), batch=_HASHING_BATCH)
                listed = self._listed(objects, at_once=threads < 1)
                return self._gather(hashing.run(self._compare, listed))
            self._index(objects)
        except ListingDeniedError as error:
            logger.warning(
                "%s Asking for each object instead, which is slower.",
                self.strategy.explain_error(error),
            )
            self._index(None)
        decide = self._ask if self.strategy.is_asked_per_file else self._look_up
        found: list[_Found] = [(source, None) for source in self.sources]
        return self._gather(Executor(threads).run(decide, found))

    def _index(self, objects: Iterable[RemoteObject] | None) -> None:
        """Let the hooks of a strategy know what the remote has."""
        index = RemoteIndex(objects, self.strategy.look_up)
        if isinstance(self.strategy, ListingStrategy):
            self.strategy.index = index

    def _listed(self, objects: Iterable[RemoteObject], *, at_once: bool) -> Iterator[_Found]:
        """Yield each file that the remote has when the listing has come to it.

        Args:
            objects: The listing.
            at_once: What is yielded is compared before the listing goes on.
        """
        sources = {source.name: source for source in self.sources}
        requests = requests_from_now(self.strategy)
        is_first = requests() is not None and not at_once
        listed = []
        with self.step.at_first("Listing", "request", requests) if is_first else nullcontext():
            for remote in objects:
                listed.append(remote)
                yield sources[remote.name], remote
        self._index(listed)

    def _gather(self, outcomes: Generator[Outcome[_Found], None, None]) -> list[Decision]:
        # However it ends: else threads wait for ever for their outcomes to be read.
        with closing(outcomes):
            return self._read(outcomes)

    def _read(self, outcomes: Iterable[Outcome[_Found]]) -> list[Decision]:
        decisions, failed = {}, {}
        secrets, remote_errors = self.strategy.secrets, self.strategy.remote_errors
        for (source, _), decision, error in outcomes:
            if error is None:
                decisions[source.name] = decision
            elif isinstance(error, (*remote_errors, ImproperlyConfigured)):
                raise error
            else:
                failed[source.prefixed_path] = describe(error, secrets, full=self.full)
        if failed:
            raise PlanError(
                "can't be compared",
                dict(sorted(failed.items())),
                "--traceback adds where it failed.",
            )
        return [decisions.get(each.name) or self._compare((each, None)) for each in self.sources]

    def _look_up(self, found: _Found) -> Decision:
        source, _ = found
        return self._compare((source, self.strategy.look_up(source.name)))

    def _compare(self, found: _Found) -> Decision:
        decision = self._compare_with(*found)
        self.step.advance(size=decision.source.size or 0)
        return decision

    def _compare_with(self, source: SourceFile, remote: RemoteObject | None) -> Decision:
        self.strategy.pre_should_copy_hook()
        if remote is None:
            return Decision(source, Reason.MISSING)
        remote = remote.with_pair(self.pairs.get(source.name))
        with self.strategy.open_payload(source) as payload:
            outcome = compare(source, payload, remote)
        if outcome.same:
            return Decision(source, Reason.UNMODIFIED, outcome.pair)
        return Decision(source, Reason.UNKNOWN if outcome.same is None else Reason.CHANGED)

    def _ask(self, found: _Found) -> Decision:
        source, _ = found
        self.strategy.pre_should_copy_hook()
        is_sent = self.strategy.should_copy_file(source.path, source.prefixed_path, source.storage)
        self.step.advance(size=source.size or 0)
        return Decision(source, Reason.CHANGED if is_sent else Reason.UNMODIFIED)
