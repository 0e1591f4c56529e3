"""One test for many values, which lists all that fail."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

Test = Callable[..., None]


def for_each(
    names: str, values: Iterable[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test for each value, and let it fail with the list of those that it fails for.

    Where a case of its own (``parametrize``) would take longer than what it looks at.

    Args:
        names: The test's arguments that get a value, separated by ", ".
        values: The values; tuples if there are several names.
    """
    split = names.split(", ")

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def loop(*args: Any, **fixtures: Any) -> None:
            failed = []
            for value in values:
                given = dict(zip(split, (value,) if len(split) == 1 else value, strict=True))
                try:
                    test(*args, **fixtures, **given)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - of any test
                    failed.append(f"{value}: {error!r}" if not str(error) else f"{value}: {error}")
            if failed:
                pytest.fail("\n".join(failed), pytrace=False)

        signature = inspect.signature(test)
        kept = [each for name, each in signature.parameters.items() if name not in split]
        loop.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return loop

    return decorate
