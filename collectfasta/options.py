"""What a run was asked for."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from collectfasta import settings

# A hundred years. What is far longer has no date to be compared with.
_MOST_DAYS = 36_525

_FLAGS = {
    "-c --clear": "Send every file, then delete what is under the storage's location and no part "
    "of the deploy.",
    "--disable-collectfasta": "Run Django's own collectstatic command.",
    "--force": "Send every file, also those that the storage has already.",
    "--check": "Write nothing; exit with status 1 if the storage differs from the files.",
    "--prune": "After the deploy, delete what is under the storage's location and no part of it.",
}


@dataclass(frozen=True)
class Options:
    """What a run was asked for, by options of the command and by settings.

    Attributes:
        dry_run: Write nothing.
        forced: Send everything.
        full: Show the traceback behind each failure.
        threads: Files sent at a time; 0 sends inline, None leaves the number to the strategy.
        check: Fail if anything would be sent or deleted; goes with ``dry_run``.
        prune: Delete what this deploy does not contain, after it.
        grace: How long ago an object must have been written to be pruned; None prunes any.
        report: Path of the file for the report, None for none.
    """

    dry_run: bool = False
    forced: bool = False
    full: bool = False
    threads: int | None = None
    check: bool = False
    prune: bool = False
    grace: timedelta | None = None
    report: str | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add to Django's options of ``collectstatic`` those of Collectfasta."""
    # Django's --clear, which deletes first, says so in its help.
    group = parser.add_argument_group("Collectfasta", conflict_handler="resolve")
    for names, text in _FLAGS.items():
        group.add_argument(*names.split(), action="store_true", help=text)
    group.add_argument(
        "--prune-older-than",
        type=_days,
        metavar="DAYS",
        help="Prune only what was written more than DAYS days ago, 0.5 for instance.",
    )
    group.add_argument(
        "--report",
        metavar="FILE",
        help="Write what the run has done, or would do, to FILE as JSON.",
    )
    group.add_argument(
        "--threads",
        type=_at_least_0,
        metavar="N",
        help="Send N files at a time; 0 sends them one by one (default: COLLECTFASTA_THREADS).",
    )


def _at_least_0(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return number


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not _is_number_of_days(days):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 0 to {_MOST_DAYS}")
    return days


def _is_number_of_days(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= _MOST_DAYS  # type: ignore[operator]


def read_options(options: Mapping[str, Any]) -> Options:
    """Return what a run was asked for, by options and, where they are absent, by settings.

    Args:
        options: Those of the command by their names, Django's included.

    Raises:
        ValueError: A setting or an option has a value that can't be used, or two options
            contradict each other.
    """
    _refuse_contradictions(options)
    threads, days = options.get("threads"), options.get("prune_older_than")
    if threads is not None and (type(threads) is not int or threads < 0):
        raise ValueError(f"--threads must be a number of 0 or more, found {threads!r}.")
    if days is not None and not _is_number_of_days(days):
        raise ValueError(
            f"--prune-older-than must be a number of days from 0 to {_MOST_DAYS}, found {days!r}."
        )
    check, report = options.get("check", False), options.get("report")
    return Options(
        dry_run=options["dry_run"] or check,
        forced=options["clear"] or options.get("force", False),
        full=options.get("traceback", False) or settings.debug,
        threads=settings.threads if threads is None else threads,
        check=check,
        prune=options.get("prune", False),
        grace=None if days is None else timedelta(days=days),
        report=None if report is None else os.fspath(report),
    )


def _refuse_contradictions(options: Mapping[str, Any]) -> None:
    for name in ("force", "clear"):
        if options.get("check") and options.get(name):
            raise ValueError(
                f"--check can't go with --{name}, which sends everything and compares nothing."
            )
    if options.get("clear") and options.get("prune"):
        raise ValueError("--clear deletes all that --prune would: use one of them.")
    # What deletes has to be asked for by its name.
    if options.get("prune_older_than") is not None and not options.get("prune"):
        raise ValueError("--prune-older-than only says what --prune deletes: add --prune.")


def refuse_ours(options: Mapping[str, Any], where: str) -> None:
    """Refuse what was asked of Collectfasta where Django's own way is taken.

    A script must not believe that anything was checked, sent, deleted or reported that was not.
    ``--threads`` changes the speed only, so it is left alone.

    Args:
        options: Those of the command by their names.
        where: What makes it Django's own way, as the end of a sentence.

    Raises:
        ValueError: One of them is among the options.
    """
    for name in ("check", "prune", "prune_older_than", "report", "force"):
        # By identity: 0 is a number of days.
        if all(options.get(name) is not left_out for left_out in (None, False)):
            raise ValueError(
                f"--{name.replace('_', '-')} is Collectfasta's, which does nothing {where}."
            )
