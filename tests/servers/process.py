"""Run a server as a subprocess on a free loopback port."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"

_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_TAIL_CHARACTERS = 4000
# Reads until whoever holds the other end of the pipe is gone, however it ended.
_WATCHDOG = 'read -r _; kill -s KILL -- "-$1"'


class ServerError(RuntimeError):
    """A server did not start."""


@contextmanager
def running(
    name: str,
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run a server until the block ends.

    The server works in an empty temporary directory, where its output goes to a log file. It runs
    in a process group of its own, and the whole group is ended, also when this process is killed.

    Args:
        name: What messages call it.
        command: Makes the command line from the port to listen on.
        environment: Environment variables to add.

    Yields:
        The server's URL, without a path.

    Raises:
        ServerError: The server can't be run, ended by itself, or does not answer in time. The
            message shows the end of its log.
    """
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix=f"{name}-") as directory,
        daemon(name, command(port), Path(directory), environment) as server,
    ):
        server.wait_until(lambda: _answers(port))
        yield f"http://{HOST}:{port}"


class Daemon:
    """A process that serves until it is stopped, or has ended by itself.

    Args:
        name: What messages call it.
        process: The process.
        log: Where its output goes.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until it serves.

        Args:
            is_ready: Asks it.

        Raises:
            ServerError: It ended by itself, or is not ready in time. The message shows the end of
                its log.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            ready = is_ready()
            # Asked after the look at it: another process may have taken the port first.
            if self._process.poll() is not None:
                raise ServerError(
                    f"{self._name} ended with status {self._process.returncode}:\n{self._tail()}"
                )
            if ready:
                return
            time.sleep(0.05)
        raise ServerError(
            f"{self._name} does not answer after {_START_SECONDS:.0f} s:\n{self._tail()}"
        )

    def _tail(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]


@contextmanager
def daemon(
    name: str,
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """Run a process until the block ends, in a process group of its own.

    The whole group is ended, also when this process is killed.

    Args:
        name: What messages call it.
        command: Its command line.
        directory: Where it works, and where its output goes to a log file.
        environment: Environment variables to add.

    Raises:
        ServerError: It can't be run.
    """
    log = directory / "server.log"
    process = _start(name, command, {**os.environ, **(environment or {})}, log)
    try:
        with _watched(process):
            yield Daemon(name, process, log)
    finally:
        _stop(process)


def free_port() -> int:
    """Return a loopback port that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _start(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        try:
            return subprocess.Popen(
                command,
                cwd=log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"{name} can't be run: {error}") from error


@contextmanager
def _watched(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Have the server's process group killed if this process ends within the block."""
    with subprocess.Popen(
        ["sh", "-c", _WATCHDOG, "watchdog", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as watchdog:
        try:
            yield
        finally:
            watchdog.kill()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    # Also when the server itself has ended: a child of it may be left in the group.
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
