"""Random order, to find tests that lean on each other: set COLLECTFASTA_TEST_ORDER to a seed."""

from __future__ import annotations

import os
import random
from typing import Any


def shuffle(items: list[Any]) -> None:
    """Shuffle the tests of a run where the environment names a seed: alike in each worker."""
    seed = os.environ.get("COLLECTFASTA_TEST_ORDER")
    if seed:
        random.Random(seed).shuffle(items)
