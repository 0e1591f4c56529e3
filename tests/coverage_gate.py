"""Fail if the tests cover less of a module than they have to; `coverage json` is on stdin.

Coverage's own ``fail_under`` is about the sum of all modules, in which one without tests drowns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

# In per cent of a module's statements and branches.
LEAST = 95


def failing(files: Mapping[str, Any]) -> Iterator[str]:
    """Say in a line of each module below the limit what its tests leave out."""
    for name, file in files.items():
        percent = file["summary"]["percent_covered"]
        if percent < LEAST:
            lines = ", ".join(map(str, file["missing_lines"]))
            branches = ", ".join(f"{start}->{end}" for start, end in file["missing_branches"])
            yield f"{name}: {percent:.1f} %; lines {lines or 'none'}; branches {branches or 'none'}"


def main() -> str | int:
    """Return the status, or what is wrong."""
    files = json.load(sys.stdin)["files"]
    if not files:
        return "No module was measured."
    found = [*failing(files)]
    if found:
        return "\n".join([f"The tests cover less than {LEAST} % of:", *found])
    print(f"Of each module ({len(files)}) the tests cover {LEAST} % or more.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
