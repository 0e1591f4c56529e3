"""What ``--check`` says: whether a storage differs from the files, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import InMemoryStorage

from collectfasta.deploy import named
from collectfasta.errors import CollectfastaError
from collectfasta.plan import Reason
from collectfasta.record import Record
from collectfasta.redirection import RedirectedStage
from collectfasta.source import SourceFile
from collectfasta.staging import Stage
from collectfasta.terminal.output import plural


class UncheckedError(CollectfastaError):
    """A storage that can't be checked without writing to it."""


class DifferenceError(CollectfastaError):
    """A storage that differs from the files."""


def stage_to_check(storage: Any, sources: Sequence[SourceFile]) -> AbstractContextManager[Stage]:
    """Make a stage for a storage that post-processes in place, which a check must not.

    Raises:
        UncheckedError: It can't be told what it would write.
    """
    if not isinstance(storage, ManifestFilesMixin):
        raise _unchecked(storage, "post_process()")
    return nullcontext(RedirectedStage(storage, sources, InMemoryStorage()))


def refuse_unchecked(stage: Stage) -> None:
    """Refuse to check what a dry run does not do.

    Raises:
        UncheckedError: The storage has a way of its own of post-processing or of saving a manifest.
    """
    if stage.skipped_in_dry_runs:
        raise _unchecked(stage.storage, stage.skipped_in_dry_runs)


def _unchecked(storage: Any, method: str) -> UncheckedError:
    name = storage.__class__.__name__
    return UncheckedError(
        f"--check can't tell what {method} of {name} would write, because it is none of Django's "
        "and may write anywhere: leave --check out, or add --no-post-process to compare the "
        "files as they were found."
    )


def verdict(record: Record) -> str:
    """Say in a line that a storage has what it should, and nothing that would be deleted.

    Raises:
        DifferenceError: It has not; says what differs, and why. The record notes it.
    """
    to_send: Counter[str] = Counter()
    for reason in (Reason.MISSING, Reason.CHANGED, Reason.UNKNOWN):
        for deploy in record.deploys:
            number = sum(each.reason is reason for each in deploy.decisions)
            to_send[named(reason, deploy.strategy)] += number
    number, total = to_send.total(), sum(len(deploy.decisions) for deploy in record.deploys)
    differences = []
    if number:
        why = ", ".join(f"{count:,} {reason}" for reason, count in to_send.items() if count)
        differences.append(f"{number:,} of {_objects(total)} would be sent ({why})")
    if record.deleted:
        differences.append(f"{_objects(len(record.deleted))} would be deleted")
    record.differs = bool(differences)
    if differences:
        raise DifferenceError(f"{record.target} differs from the files: {', '.join(differences)}.")
    return f"{record.target} does not differ from the files: {_objects(total)} compared."


def _objects(number: int) -> str:
    return f"{number:,} {plural(number, 'object')}"
