"""Run processes to their end and measure what they took.

Run as a program it is the small process that starts the measured ones: on Linux the peak memory of
a process is at least what its parent had when it started it, and a benchmark is large.
"""

from __future__ import annotations

import json
import os
import signal
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
    """What processes took that ran one after the other.

    Attributes:
        seconds: From the start of each to its end, together.
        cpu_seconds: User and system time of all their threads and of the processes they started.
        peak_bytes: The most memory that one of them had at a time.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Usage:
    """Run command lines one after the other and return what their processes took.

    Args:
        commands: The command lines.
        environment: All environment variables.

    Raises:
        ProcessError: One ended with another status than 0. The message has its output.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        request = json.dumps([commands, dict(environment)]).encode()
        answer, _ = process.communicate(request)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise ProcessError(answer.decode())
    return Usage(*json.loads(answer))


def _run_all(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Usage:
    usages = [_run(command, environment) for command in commands]
    return Usage(
        sum(each.seconds for each in usages),
        sum(each.cpu_seconds for each in usages),
        max(each.peak_bytes for each in usages),
    )


def _run(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # Not Popen.wait(): only this tells the usage of this one process.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise ProcessError(f"{command} ended with {process.returncode}:\n{text}")
    peak = usage.ru_maxrss * _UNIT_OF_MEMORY
    return Usage(seconds, usage.ru_utime + usage.ru_stime, peak)


def _main() -> int:
    try:
        print(json.dumps(_run_all(*json.load(sys.stdin))))
    except ProcessError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
