"""What a run was asked for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectfasta import settings


@dataclass(frozen=True)
class Options:
    """What a run was asked for, by options of the command and by settings.

    Attributes:
        dry_run: Write nothing.
        forced: Send everything.
        full: Tell the traceback behind each failure.
        threads: Files sent at a time; 0 sends inline, None leaves the number to the strategy.
    """

    dry_run: bool = False
    forced: bool = False
    full: bool = False
    threads: int | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add to Django's options of ``collectstatic`` those of Collectfasta."""
    parser.add_argument(
        "--disable-collectfasta",
        action="store_true",
        help="Run Django's own collectstatic command.",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="Send every file, also those that the storage has already.",
    )
    parser.add_argument(
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


def read_options(options: Mapping[str, Any]) -> Options:
    """Return what a run was asked for; what the command leaves open is for the settings to say.

    Args:
        options: Those of the command by their names, Django's included.

    Raises:
        ValueError: A setting or an option has a value that can't be used.
    """
    threads = options.get("threads")
    if threads is None:
        threads = settings.threads
    elif threads < 0:
        raise ValueError(f"--threads must be 0 or more, found {threads}.")
    return Options(
        dry_run=options["dry_run"],
        forced=options["clear"] or options.get("force", False),
        full=options.get("traceback", False) or settings.debug,
        threads=threads,
    )
