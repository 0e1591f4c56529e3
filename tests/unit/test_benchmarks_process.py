"""What a measured process took."""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks.measured_process import ProcessError, measure

MEGABYTE = 1_000_000
WORK = "import time\nwhile time.process_time() < 0.3: pass"


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def test_the_work_of_child_processes_counts() -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK!r}])"
    assert measure([python(code)], os.environ).cpu_seconds >= 0.3


def test_the_work_of_all_commands_counts() -> None:
    assert measure([python(WORK), python(WORK)], os.environ).cpu_seconds >= 0.6


def test_the_peak_is_that_of_the_largest_process() -> None:
    large = python(f"b'.' * 100 * {MEGABYTE}")
    assert 100 * MEGABYTE <= measure([large, python("")], os.environ).peak_bytes < 150 * MEGABYTE


def test_the_memory_of_the_benchmark_itself_does_not_count() -> None:
    own = b"." * 200 * MEGABYTE
    assert measure([python("")], os.environ).peak_bytes < len(own)


def test_a_failed_command_is_told_with_its_output() -> None:
    with pytest.raises(ProcessError, match="went wrong"):
        measure([python("raise SystemExit('it went wrong')")], os.environ)


def test_nothing_runs_after_a_failed_command() -> None:
    with pytest.raises(ProcessError, match="first"):
        measure([python("raise SystemExit('first')"), python("raise SystemExit(2)")], os.environ)
