"""What surrounds a command, attended or not: signals, streams, warnings and progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from types import TracebackType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.core.management.color import color_style

from collectfasta.terminal.interrupts import STATUS, Watch
from collectfasta.terminal.output import Output, telling_warnings
from collectfasta.terminal.progress import Display, Lines, Progress


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
