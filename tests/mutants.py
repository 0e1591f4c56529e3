"""Change the package in small ways, and count how many of the changes `make test-fast` notices.

mutmut makes the mutants, each a change of one expression of a function. A sample of them is drawn
from a seed, and each runs the tests that call its function until one fails. ``make mutants`` calls
this in a virtual environment of its own, in a copy of the repository.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / ".venv-mutants" / "copy"
MUTMUT = ROOT / ".venv-mutants" / "bin" / "mutmut"

SEED = 20261201
SAMPLE = 400
MUTATED = (
    "collectfasta/deploy/*.py",
    "collectfasta/strategies/*.py",
    "collectfasta/stores/store.py",
    "collectfasta/checksum_cache.py",
    "collectfasta/checksums.py",
    "collectfasta/remote.py",
)
# Tests of texts, docs and tools: they read the source, where all mutants of a function stand.
LEFT_OUT = (
    *(f"tests/unit/test_{name}.py" for name in ("imports", "private_names", "public_names")),
    *(f"tests/unit/test_docs_{name}.py" for name in ("ci", "contributing", "messages")),
    *(f"tests/unit/test_{name}.py" for name in ("coverage_gate", "loop", "readme", "s3_servers")),
    *(f"tests/unit/test_benchmarks_{name}.py" for name in ("contents", "options", "process")),
    *(f"tests/unit/test_benchmarks_{name}.py" for name in ("targets", "tree")),
    "tests/unit/test_docs_reference.py",
    "tests/unit/test_reliability_table.py",
    "tests/unit/test_version.py",
    # It sends a signal to a pytest that it starts in the repository's root.
    "tests/flow/test_interrupts.py::test_sigterm_sent_to_the_tests_ends_them",
)
# https://mutmut.readthedocs.io/en/latest/: what a mutant's exit code stands for.
OUTCOMES = {0: "survived", 1: "killed", 3: "killed", 5: "no tests", 33: "no tests"}


def lines(*values: str) -> str:
    return "".join(f"\n    {value}" for value in values)


def configuration() -> str:
    """Return what mutmut reads."""
    deselected = [
        option
        for path in LEFT_OUT
        for option in ("--deselect" if "::" in path else "--ignore", path)
    ]
    settings = {
        "source_paths": lines("collectfasta"),
        "only_mutate": lines(*MUTATED),
        "also_copy": lines("benchmarks", "docs", "README.md", "SECURITY.md", "Makefile"),
        "pytest_add_cli_args": lines(
            *("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("-m", "not slow", "-W", "ignore", *deselected),
        ),
        "pytest_add_cli_args_test_selection": lines("tests/unit", "tests/flow"),
        "timeout_multiplier": "3",
        "timeout_constant": "5",
    }
    return "[mutmut]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def copy_repository() -> None:
    """Copy what git has, as it is now."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    (COPY / "setup.cfg").write_text(configuration())


def mutmut(*arguments: str) -> int:
    return subprocess.run([str(MUTMUT), *arguments], cwd=COPY, check=False).returncode


def outcomes() -> Iterator[tuple[str, int | None]]:
    """Yield each mutant's name and exit code, None for what was not run."""
    for path in sorted((COPY / "mutants").rglob("*.meta")):
        yield from json.loads(path.read_text())["exit_code_by_key"].items()


def draw(names: list[str], number: int, seed: int) -> list[str]:
    return sorted(random.Random(seed).sample(sorted(names), min(number, len(names))))


def outcome(code: int | None) -> str:
    return "not run" if code is None else OUTCOMES.get(code, "killed, by its time or a crash")


def main() -> int:
    """Draw, run and report; return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    copy_repository()
    # It makes the mutants, sees which test calls which function, and finds none of this name.
    mutmut("run", "--max-children", str(options.workers), "none")
    names = [name for name, _ in outcomes()]
    if not names or not (COPY / "mutants" / "mutmut-stats.json").is_file():
        print("The tests fail without a mutant.", file=sys.stderr)
        return 1
    drawn = draw(names, options.sample, options.seed)
    mutmut("run", "--max-children", str(options.workers), *drawn)
    found = {name: outcome(code) for name, code in outcomes() if name in set(drawn)}
    for name in drawn:
        if found[name] in ("survived", "no tests", "not run"):
            print(f"{found[name]}: {name}")
    counts = Counter(found.values())
    killed = sum(number for each, number in counts.items() if each.startswith("killed"))
    print(
        f"Of {len(names)} mutants {len(drawn)} were drawn (seed {options.seed}): "
        f"{killed} killed ({killed / len(drawn):.1%}). {dict(counts)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
