"""Figures as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from statistics import median


def markdown_table(rows: Sequence[Sequence[str]], words: Set[int] = frozenset()) -> str:
    """Return an aligned table in Markdown.

    Args:
        rows: The cells, the head first.
        words: The numbers of the columns that are words, aligned to the left.
    """
    # A rule has two characters at least.
    widths = [max(2, *map(len, column)) for column in zip(*rows, strict=True)]
    rules = [
        f":{'-' * (width - 1)}" if number in words else f"{'-' * (width - 1)}:"
        for number, width in enumerate(widths)
    ]
    lines = [rows[0], rules, *rows[1:]]
    return "\n".join(f"| {' | '.join(_aligned(line, widths, words))} |" for line in lines)


def spread(values: Sequence[float]) -> str:
    """Return the median with the least and the most; of one value only that."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def kinds(repeats: Sequence[Mapping[str, int]]) -> str:
    """Return numbers of requests by kind, from the least to the most of repeated deploys."""
    names = sorted({name for requests in repeats for name in requests})
    return ", ".join(
        f"{_range([requests.get(name, 0) for requests in repeats])} {name}" for name in names
    )


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least}-{most}"


def _aligned(row: Sequence[str], widths: Sequence[int], words: Set[int]) -> list[str]:
    return [
        cell.ljust(width) if number in words else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
