"""A command that nobody sits in front of: it can be stopped, and its output can be lost."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from collectfasta.displays import progress_on
from collectfasta.interrupts import STATUS, Watch, terminable
from collectfasta.output import SteadyStream, style_for, telling_warnings
from collectfasta.progress import Progress


class UnattendedCommand(BaseCommand):
    """End cleanly when told to stop, and go on when nobody reads the messages.

    Attributes:
        progress: Shows how far the command has come; all that it says is written beside that.
    """

    progress = Progress()
    _is_process = False
    _has_said_so = False

    def __init__(self, stdout: Any = None, stderr: Any = None, *args: Any, **kwargs: Any) -> None:
        self._streams: list[SteadyStream] = []
        super().__init__(
            self._stream(stdout or sys.stdout, "stdout"),
            self._stream(stderr or sys.stderr, "stderr"),
            *args,
            **kwargs,
        )

    def is_attended(self, options: dict[str, Any]) -> bool:
        """Return whether Django's own ways are to be taken, with these options."""
        return False

    def interrupted(self) -> str:
        """Return what the user has to know when the command was interrupted."""
        return "Interrupted."

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command as what this process is for, whose end depends on it too."""
        self._is_process = True
        try:
            super().run_from_argv(argv)
        finally:
            # Not before: the watch may end the process at any moment.
            self._has_said_so = True
            for stream in self._streams:
                stream.end()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command.

        Raises:
            CommandError: It was interrupted, or failed.
        """
        if self.is_attended(options):
            return self._execute(*args, **options)
        for name in ("stdout", "stderr"):
            if options.get(name):
                options[name] = self._stream(options[name], name)
        for stream in self._streams:
            stream.is_steady = True
        colors = {name: options.get(name, False) for name in ("no_color", "force_color")}
        warnings = telling_warnings(
            lambda text: self.stderr.write(text, style_for(self.stderr, **colors).WARNING),
            lambda: self.progress.aside(),
        )
        try:
            with warnings, Watch(self._last_words) if self._is_process else terminable():
                return self._execute(*args, **options)
        except KeyboardInterrupt:
            raise CommandError(self.interrupted(), returncode=STATUS) from None

    def show_progress(self, verbosity: int) -> None:
        """Show from now on how far the command has come, where someone may look at it."""
        self.progress = progress_on(self.stderr, verbosity)
        for stream in self._streams:
            if stream.isatty():
                stream.aside = self.progress.aside

    def _execute(self, *args: Any, **options: Any) -> str | None:
        output: str | None = super().execute(*args, **options)
        return output

    def _stream(self, stream: Any, name: str) -> Any:
        steady = SteadyStream(stream, self._say_lost if name == "stdout" else lambda _: None)
        self._streams.append(steady)
        return steady

    def _say_lost(self, why: str) -> None:
        self.stderr.write(f"stdout can't be written ({why}): the deploy goes on without messages.")

    def _last_words(self) -> str:
        """Return what a process that has to be ended has not said yet."""
        if self._has_said_so:
            return ""
        ending = "\n" if self.progress.is_amid_a_line else ""
        return (
            f"{ending}{CommandError.__name__}: {self.interrupted()} Temporary files may be left.\n"
        )
