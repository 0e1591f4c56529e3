"""Plan: decide for each source file whether it has to be sent, and why. Writes nothing."""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files.utils import validate_file_name

from collectfasta.errors import CollectfastaError, StoreError, describe
from collectfasta.executor import Executor, Outcome
from collectfasta.remote import CachedChecksum, RemoteObject, compare
from collectfasta.source import SourceFile
from collectfasta.stores.store import Store
from collectfasta.strategies.contract import Strategy, warn_of_denial
from collectfasta.terminal.progress import Progress, Step

# Hashing waits for the disk and for the interpreter's lock: measured on 3,000 files, two threads
# were as fast as one with a warm page cache and 20 took twice as long.
_HASHING_THREADS = 2
_HASHING_BATCH = 16


class Reason(enum.Enum):
    """Why a file is sent, or not.

    ``ASKED`` is for strategies that decide file by file: they do not say which of the two.
    """

    MISSING = "missing"
    CHANGED = "changed"
    ASKED = "missing or changed"
    UNKNOWN = "unknown"
    FORCED = "forced"
    UNMODIFIED = "unmodified"


@dataclass(frozen=True)
class Decision:
    """What happens to a source file.

    Attributes:
        source: The file.
        reason: Why it is sent, or ``UNMODIFIED``.
        cached: What to cache about an unmodified object.
    """

    source: SourceFile
    reason: Reason
    cached: CachedChecksum | None = None


class PlanError(CollectfastaError):
    """Source files that can't be deployed; nothing was sent.

    Args:
        what: What can't be done with them, as the end of a sentence.
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
    cached: Mapping[str, CachedChecksum],
    *,
    threads: int,
    forced: bool = False,
    full: bool = False,
    progress: Progress | None = None,
) -> list[Decision]:
    """Decide for each file, in the order in which they were found.

    Args:
        sources: The files.
        strategy: Knows the remote.
        cached: What is cached about the remote objects.
        threads: How many files are compared at a time where each takes a request.
        forced: Send everything.
        full: Add the traceback behind each file that can't be compared.
        progress: Shows how many files and bytes were compared.

    Raises:
        PlanError: Some files have names that the remote can't have, or can't be read.
        StoreError: The remote can't be listed.
    """
    check_sources(sources, strategy)
    if forced:
        return [Decision(source, Reason.FORCED) for source in sources]
    size = sum(source.size or 0 for source in sources)
    with (progress or Progress()).step("Comparing", total=len(sources), size=size) as step:
        return _Planner(sources, strategy, cached, full, step).decide(threads)


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
            refused[source.prefixed_path] = describe(error, strategy.store.secrets)
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
    """Refuse files that aren't there, such as broken links, before anything is sent."""
    missing = {}
    for source in sources:
        try:
            # The source reads it here, and keeps it.
            _ = source.size
        except OSError as error:
            missing[source.prefixed_path] = describe(error, strategy.store.secrets)
    if missing:
        raise PlanError(
            "can't be read", missing, "Make them readable, or leave them out by --ignore."
        )


def requests_from_now(store: Store) -> Callable[[], int | None]:
    """Return a function that returns how many requests were made since; None: not counted."""
    before = store.requests
    return lambda: None if before is None else (store.requests or 0) - before


# A source file, and what is known to be in its place.
_Found = tuple[SourceFile, RemoteObject | None]


@dataclass(frozen=True)
class _Planner:
    sources: Sequence[SourceFile]
    strategy: Strategy[Any]
    cached: Mapping[str, CachedChecksum]
    full: bool
    step: Step

    def decide(self, threads: int) -> list[Decision]:
        """Decide for each file, as the remote's answers come."""
        names = [source.name for source in self.sources]
        found: list[_Found] = [(source, None) for source in self.sources]
        try:
            objects = self.strategy.list_remote(names)
            if objects is None:
                return self._gather(Executor(threads).run(self._ask, found))
            hashing = Executor(min(threads, _HASHING_THREADS), batch=_HASHING_BATCH)
            listed = self._listed(objects, at_once=threads < 1)
            return self._gather(hashing.run(self._compare, listed))
        except StoreError as error:
            if not error.denied:
                raise
            warn_of_denial(self.strategy, error)
        return self._gather(Executor(threads).run(self._look_up, found))

    def _listed(self, objects: Iterable[RemoteObject], *, at_once: bool) -> Iterator[_Found]:
        """Yield each file that the remote has when the listing has come to it.

        Args:
            objects: The listing.
            at_once: What is yielded is compared before the listing goes on.
        """
        sources = {source.name: source for source in self.sources}
        requests = requests_from_now(self.strategy.store)
        is_first = requests() is not None and not at_once
        with self.step.at_first("Listing", "request", requests) if is_first else nullcontext():
            for remote in objects:
                yield sources[remote.name], remote

    def _gather(self, outcomes: Generator[Outcome[_Found], None, None]) -> list[Decision]:
        # However it ends: otherwise threads wait forever for their outcomes to be read.
        with closing(outcomes):
            return self._read(outcomes)

    def _read(self, outcomes: Iterable[Outcome[_Found]]) -> list[Decision]:
        decisions, failed = {}, {}
        secrets = self.strategy.store.secrets
        for (source, _), decision, error in outcomes:
            if error is None:
                decisions[source.name] = decision
            elif isinstance(error, ImproperlyConfigured) or is_remote(error, self.strategy):
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
        remote = remote.with_cached(self.cached.get(source.name))
        with source.open() as content:
            payload = self.strategy.store.payload(self.strategy.object_key(source.name), content)
            outcome = compare(source, payload, remote)
        if outcome.same:
            return Decision(source, Reason.UNMODIFIED, outcome.cached)
        return Decision(source, Reason.UNKNOWN if outcome.same is None else Reason.CHANGED)

    def _ask(self, found: _Found) -> Decision:
        source, _ = found
        self.strategy.pre_should_copy_hook()
        is_sent = self.strategy.should_copy_file(source.path, source.prefixed_path, source.storage)
        self.step.advance(size=source.size or 0)
        return Decision(source, Reason.ASKED if is_sent else Reason.UNMODIFIED)


def is_remote(error: Exception, strategy: Strategy[Any]) -> bool:
    """Return whether an error comes from the remote, not from one local file."""
    if isinstance(error, StoreError) or strategy.is_passing(error):
        return True
    return not isinstance(error, OSError) and strategy.explain_error(error) is not None
