"""The end of a deploy: refuse it if anything failed, and remember what is in the storage now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectfasta.checksums import ChecksumCache, Pair
from collectfasta.plan import Plan
from collectfasta.strategies.base import Strategy
from collectfasta.transfer import Report, TransferError, describe_failures


def load_pairs(strategy: Strategy[Any]) -> tuple[ChecksumCache | None, dict[str, Pair]]:
    """Return the cache of a strategy's target and what it holds; None if nothing is remembered."""
    if strategy.target_id is None:
        return None, {}
    cache = ChecksumCache(strategy.target_id)
    return cache, cache.load()


def commit(report: Report, strategy: Strategy[Any], *, full: bool) -> None:
    """Refuse a deploy of which any file failed.

    Args:
        report: What became of the plan.
        strategy: Explains refusals.
        full: Add the traceback behind each failure.

    Raises:
        TransferError: Names all files that failed, with their causes.
    """
    if report.failures:
        raise TransferError(describe_failures(report, strategy, full=full))


def remember(cache: ChecksumCache, plan: Plan, report: Report) -> None:
    """Remember every object that is known to be in the storage, also of a run that failed.

    What is remembered speaks for one version of one object, so nothing of it can become wrong,
    and the next run need not send again what this one has sent.
    """
    pairs: Mapping[str, Pair] = {**plan.pairs, **report.pairs}
    cache.save(pairs)
