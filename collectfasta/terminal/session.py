"""What surrounds a command, attended or not: signals, streams, warnings and progress."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from types import TracebackType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.core.management.color import color_style

from collectfasta.terminal.output import Output, telling_warnings
from collectfasta.terminal.progress import Display, Lines, Progress

# As a shell says of a process that Ctrl-C has ended.
STATUS = 130

# "docker stop" kills after 10 seconds.
_GRACE_SECONDS = 8.0
# Signals that come together (systemd's SendSIGHUP, for one) are one request to stop, not two.
_AT_ONCE_SECONDS = 0.25


class Session:
    """What surrounds a command while it is executed: a context manager.

    SIGTERM and SIGHUP end the command as Ctrl-C does, which becomes a CommandError with status 130.
    Warnings of the logger ``collectfasta`` are written to the command's stderr, where LOGGING has
    no handler for them. Colors are Django's, but not without a terminal or under ``NO_COLOR``
    (https://no-color.org).

    Args:
        command: Its streams are replaced until it has ended.
        options: Those that it is executed with: ``stdout`` and ``stderr`` are taken out of them.
        interrupted: Returns what the user has to know when the command was interrupted.
        is_process: Whether this process is there for the command, and ends with it: then wrong
            settings are a line instead of a traceback, and a command that does not end within 8
            seconds of a signal, or by the second one, is ended with its process.

    Attributes:
        progress: Shows on stderr how far the command has come, where someone may look at it.
    """

    def __init__(
        self,
        command: BaseCommand,
        options: dict[str, Any],
        interrupted: Callable[[], str],
        *,
        is_process: bool = False,
    ) -> None:
        self._command = command
        self._options = options
        self._interrupted = interrupted
        self._is_process = is_process
        self._has_ended = False
        self._exit = ExitStack()
        self.progress = Progress()

    def __enter__(self) -> Session:
        command, options = self._command, self._options
        is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        if is_plain and not options.get("force_color"):
            options["no_color"] = True
        self._replace("stdout")
        stderr = self._replace("stderr")
        if not options.get("no_color"):
            # Django's collectstatic has none, because it writes none.
            self._exit.callback(setattr, command, "style", command.style)
            command.style = color_style()
            command.stderr.style_func = command.style.ERROR
        self.progress = Progress(
            lambda: display_on(stderr, options.get("verbosity", 1), os.environ)
        )
        self._exit.enter_context(
            telling_warnings(
                lambda text: command.stderr.write(text, command.style.WARNING), self.progress.aside
            )
        )
        self._exit.enter_context(Watch(self._last_words if self._is_process else None))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the command as it was before.

        Raises:
            CommandError: It was interrupted, or a process can't use the settings.
        """
        self._exit.__exit__(kind, error, traceback)
        # What is said of it is written right away.
        self._has_ended = True
        if isinstance(error, KeyboardInterrupt):
            raise CommandError(self._interrupted(), returncode=STATUS) from None
        # Whoever calls the command from code gets what Django's own would raise.
        is_line = self._is_process and not self._options.get("traceback")
        if is_line and isinstance(error, ImproperlyConfigured):
            raise CommandError(str(error)) from None

    def _replace(self, name: str) -> OutputWrapper:
        """Let the command write to one of its streams through an Output; return the stream."""
        given, own = self._options.pop(name, None), getattr(self._command, name)
        stream = OutputWrapper(given) if given else own
        output: Output = Output(
            stream,
            lambda: self.progress.aside() if output.isatty() else nullcontext(),
            is_colored=self._options.get("force_color", False),
        )
        setattr(self._command, name, output)
        self._exit.callback(setattr, self._command, name, own)
        return stream

    def _last_words(self) -> str:
        """Return what a process that has to be ended has not said yet."""
        if self._has_ended:
            return ""
        ending = "\n" if self.progress.is_amid_a_line else ""
        words = f"{CommandError.__name__}: {self._interrupted()} Temporary files may be left."
        return f"{ending}{words}\n"


def display_on(
    stream: OutputWrapper, verbosity: int, environment: Mapping[str, str]
) -> Display | None:
    """Return what shows progress on a stream, None for nothing.

    A terminal gets bars. The log of a CI gets lines, also where the CI makes its jobs believe in
    a terminal, and so does a terminal without a cursor to be moved. Everything else gets nothing.

    The variable ``CI`` is set by GitHub Actions, GitLab, CircleCI, Travis, Bitbucket, Jenkins and
    Heroku CI, and ``TF_BUILD`` by Azure Pipelines.

    Args:
        stream: The command's stderr.
        verbosity: The command's.
        environment: The environment's variables.
    """
    if verbosity < 1:
        return None
    output = Output(stream, ending="")
    is_terminal = output.isatty()
    is_dumb = is_terminal and environment.get("TERM") == "dumb"
    if is_dumb or _is_ci(environment):
        return Lines(output.write)
    # As tqdm itself has it: set to whatever.
    if not is_terminal or environment.get("TQDM_DISABLE"):
        return None
    # Not before it is needed: tqdm takes 30 ms of CPU time to be imported.
    from collectfasta.terminal.bars import Bars

    return Bars(output)


def _is_ci(environment: Mapping[str, str]) -> bool:
    values = (environment.get(name, "") for name in ("CI", "TF_BUILD"))
    return any(value.lower() not in ("", "0", "false") for value in values)


class Watch:
    """Watch for signals that ask to stop, while a context lasts.

    SIGTERM, as containers and CI runners send it, and SIGHUP, which a terminal sends when it is
    closed, raise KeyboardInterrupt in the main thread as Ctrl-C does, for all to be ended cleanly.
    Only the main thread can set handlers; in others this does nothing. Nor does it where a signal
    is ignored on purpose, as under ``nohup``, or handled by what is not Python, which could not be
    set again.

    Args:
        last_words: Given where the process ends with the context. It ends at once then when another
            signal comes, or when it has not ended by itself 8 seconds after the first: a client may
            be waiting for a server in code that no signal reaches. Returns what the user has to
            know then; empty if that has been said.
    """

    def __init__(self, last_words: Callable[[], str] | None = None) -> None:
        self._last_words = last_words
        self._first: float | None = None
        self._is_raised = False
        self._ending = threading.Lock()
        self._before: dict[signal.Signals, Any] = {}
        self._clean_up = ExitStack()

    def __enter__(self) -> Watch:
        if threading.current_thread() is not threading.main_thread():
            return self
        # Who calls the command from code may do with Ctrl-C what they like.
        names = (
            ["SIGTERM", "SIGHUP"] if self._last_words is None else ["SIGTERM", "SIGHUP", "SIGINT"]
        )
        for number in (signal.Signals[each] for each in names if hasattr(signal, each)):
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):
                self._before[number] = before
                signal.signal(number, self._handle)
        if self._before and self._last_words is not None:
            # Without a thread or a file left for it, the signals do what they do without it.
            with suppress(OSError, RuntimeError):
                self._start()
        return self

    def _start(self) -> None:
        """Let a thread hear every signal, whatever the main thread is doing."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        threading.Thread(target=self._watch, args=[reader], name="interrupts", daemon=True).start()
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._clean_up.callback(writer.close)
        self._clean_up.callback(signal.set_wakeup_fd, before)

    def __exit__(self, *_: object) -> None:
        # Interrupted, it goes on until the process has ended, which may wait for threads.
        if self._last_words is None or (self._first is None and not self._is_raised):
            for number, before in self._before.items():
                signal.signal(number, before)
            self._clean_up.close()

    def _handle(self, number: int, frame: Any) -> None:
        """Raise in the main thread; where the process ends, the others are the watch's."""
        if self._last_words is None or not self._is_raised:
            self._is_raised = True
            raise KeyboardInterrupt

    def _watch(self, reader: socket.socket) -> None:
        with reader:
            while received := reader.recv(1):
                if signal.Signals(received[0]) in self._before:
                    self._note()

    def _note(self) -> None:
        if self._first is None:
            self._first = time.monotonic()
            timer = threading.Timer(_GRACE_SECONDS, self._end)
            timer.daemon = True
            timer.start()
        elif time.monotonic() - self._first > _AT_ONCE_SECONDS:
            self._end()

    def _end(self) -> None:
        """End the process as it is: no thread is waited for, nothing is tidied up."""
        if self._last_words and self._ending.acquire(blocking=False):
            with suppress(OSError):
                os.write(2, self._last_words().encode())
            os._exit(STATUS)
