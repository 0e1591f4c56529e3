"""A tree of small static files, the same on every machine."""

from __future__ import annotations

import hashlib
import random
from itertools import cycle
from pathlib import Path

# 32 kB on average: 300 files are 10 MB and 3,000 are 98 MB.
_SIZES = tuple(1024 << exponent for exponent in range(8))
# As many as have no divisor in common with the sizes, so that each type comes in each size.
_SUFFIXES = ("css", "js", "png", "svg", "woff2")
_FILES_IN_A_DIRECTORY = 50


def write_tree(root: Path, files: int) -> dict[str, str]:
    """Write a tree of files with incompressible content.

    Args:
        root: An existing directory.
        files: How many files.

    Returns:
        The MD5 of each file in hexadecimal, by its path relative to the root.
    """
    checksums = {}
    numbers = zip(range(files), cycle(_SIZES), cycle(_SUFFIXES), strict=False)
    for number, size, suffix in numbers:
        name = f"app-{number // _FILES_IN_A_DIRECTORY}/file-{number}.{suffix}"
        content = random.Random(number).randbytes(size)
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        checksums[name] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return checksums
