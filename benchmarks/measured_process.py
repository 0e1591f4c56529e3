"""Run a process to its end and measure what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# ru_maxrss counts bytes on macOS and units of 1,024 bytes on Linux: getrusage(2).
_UNIT_OF_MEMORY = 1 if sys.platform == "darwin" else 1024


class ProcessError(Exception):
    """A process ended with another status than 0."""


class Usage(NamedTuple):
    """What a process took.

    Attributes:
        seconds: From its start to its end.
        cpu_seconds: User and system time of all its threads.
        peak_bytes: The most memory that it had at a time.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a command and return what its process took.

    The process that calls this should be small: on Linux a child's peak is at least what its
    parent had when it started it.

    Args:
        command: The command line.
        environment: All environment variables.

    Raises:
        ProcessError: It ended with another status than 0. The message has its output.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            # Not Popen.wait(): only this tells the usage of this one process.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise ProcessError(f"{command} ended with {process.returncode}:\n{text}")
    peak = usage.ru_maxrss * _UNIT_OF_MEMORY
    return Usage(seconds, usage.ru_utime + usage.ru_stime, peak)
