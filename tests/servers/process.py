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
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"

_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_TAIL_CHARACTERS = 4000
# Reads until whoever holds the other end of the pipe is gone, however it ended.
_WATCHDOG = 'read -r _; kill -s KILL -- "-$1"'


class ServerError(RuntimeError):
    """A server did not start."""


@dataclass(frozen=True)
class Server:
    """A server that runs in a process group of its own.

    Attributes:
        port: The loopback port that it listens on.
    """

    port: int
    _process: subprocess.Popen[bytes] = field(repr=False)

    def stop(self) -> None:
        """End it: from now on connections are refused."""
        _stop(self._process)

    def pause(self) -> None:
        """Let it answer nothing until it is resumed; the system still accepts connections."""
        _signal(self._process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        _signal(self._process, signal.SIGCONT)


@contextmanager
def running(
    name: str,
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run an HTTP server until the block ends, as `started` does, and yield its URL."""
    with started(name, command, environment) as server:
        yield f"http://{HOST}:{server.port}"


@contextmanager
def started(
    name: str,
    command: Callable[[int], Sequence[str]],
    environment: Mapping[str, str] | None = None,
    probe: Callable[[int], bool] | None = None,
) -> Iterator[Server]:
    """Run a server until the block ends.

    The server works in an empty temporary directory, where its output goes to a log file. It runs
    in a process group of its own, and the whole group is ended, also when this process is killed.

    Args:
        name: What messages call it.
        command: Makes the command line from the port to listen on.
        environment: Environment variables to add.
        probe: Tells whether it answers on a port; None asks by HTTP.

    Raises:
        ServerError: The server can't be run, ended by itself, or does not answer in time. The
            message shows the end of its log.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory:
        log = Path(directory, "server.log")
        process = _start(name, command(port), {**os.environ, **(environment or {})}, log)
        try:
            with _watched(process):
                _wait_until_it_answers(name, process, port, log, probe or _answers_http)
                yield Server(port, process)
        finally:
            _stop(process)


def answers_line(port: int, question: bytes, answers: tuple[bytes, ...]) -> bool:
    """Tell whether a server answers a line by one that begins in one of these ways."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(question + b"\r\n")
            return connection.recv(100).startswith(answers)
    except OSError:
        return False


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


def _wait_until_it_answers(
    name: str,
    process: subprocess.Popen[bytes],
    port: int,
    log: Path,
    probe: Callable[[int], bool],
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        answers = probe(port)
        # Asked after the look at the port: another process may have taken the port first.
        if process.poll() is not None:
            raise ServerError(f"{name} ended with status {process.returncode}:\n{_tail(log)}")
        if answers:
            return
        time.sleep(0.05)
    raise ServerError(f"{name} does not answer after {_START_SECONDS:.0f} s:\n{_tail(log)}")


def _answers_http(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)
    # A paused one ends when it goes on.
    _signal(process, signal.SIGCONT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    # Also when the server itself has ended: a child of it may be left in the group.
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
