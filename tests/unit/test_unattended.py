"""A command that nobody sits in front of, as a process runs it."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from collectfasta.interrupts import STATUS
from collectfasta.management.unattended import UnattendedCommand
from collectfasta.progress import Progress


class Command(UnattendedCommand):
    """Do what a test wants."""

    requires_system_checks: Any = ()

    def __init__(self, action: Callable[[Command], object], **streams: Any) -> None:
        self.action = action
        super().__init__(**streams)

    def handle(self, *args: Any, **options: Any) -> None:
        self.action(self)


class Attended(Command):
    def is_attended(self, options: dict[str, Any]) -> bool:
        return True


class AmidALine(Progress):
    @property
    def is_amid_a_line(self) -> bool:
        return True


class Full(io.StringIO):
    """A stream that nothing can be written to."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def run(
    action: Callable[[Command], object], cls: type[Command] = Command, **streams: Any
) -> tuple[Command, str, str]:
    """Run a command as a process does; return it and what is on its streams."""
    out, error = streams.setdefault("stdout", io.StringIO()), io.StringIO()
    command = cls(action, stderr=error, **streams)
    command.run_from_argv(["manage.py", "command"])
    return command, out.getvalue(), error.getvalue()


def interrupt(_: Command) -> None:
    raise KeyboardInterrupt


def greet(command: Command) -> None:
    command.stdout.write("hello")


def test_what_is_said_is_on_the_streams() -> None:
    assert run(greet)[1:] == ("hello\n", "")


def test_signals_do_afterwards_what_they_did_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(greet)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_is_a_status_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = io.StringIO()
    command = Command(interrupt, stderr=error)

    with pytest.raises(SystemExit) as caught:
        command.run_from_argv(["manage.py", "command"])

    assert caught.value.code == STATUS
    assert error.getvalue() == "CommandError: Interrupted.\n"


def test_an_interrupt_of_an_attended_command_is_its_own() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(interrupt, Attended)


def test_what_an_attended_command_can_not_write_is_its_own() -> None:
    with pytest.raises(OSError, match="No space left"):
        run(greet, Attended, stdout=Full())


def test_what_can_not_be_written_is_said_once() -> None:
    _, _, error = run(greet, stdout=Full())
    assert error == (
        "stdout can't be written (No space left on device): the deploy goes on without messages.\n"
    )


def test_a_failure_is_a_status_and_a_line() -> None:
    def fail(_: Command) -> None:
        raise CommandError("No.")

    error = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        Command(fail, stderr=error).run_from_argv(["manage.py", "command"])

    assert (caught.value.code, error.getvalue()) == (1, "CommandError: No.\n")


class TestWrongSettings:
    @staticmethod
    def complain(_: Command) -> None:
        raise ImproperlyConfigured("Set it.")

    @pytest.fixture
    def error(self) -> io.StringIO:
        return io.StringIO()

    def test_of_a_process_are_a_status_and_a_line(self, error: io.StringIO) -> None:
        with pytest.raises(SystemExit) as caught:
            Command(self.complain, stderr=error).run_from_argv(["manage.py", "command"])

        assert (caught.value.code, error.getvalue()) == (1, "CommandError: Set it.\n")

    def test_of_a_process_are_raised_where_tracebacks_are_wanted(self, error: io.StringIO) -> None:
        argv = ["manage.py", "command", "--traceback"]
        with pytest.raises(ImproperlyConfigured):
            Command(self.complain, stderr=error).run_from_argv(argv)

    def test_are_raised_to_who_calls_the_command(self, error: io.StringIO) -> None:
        with pytest.raises(ImproperlyConfigured):
            call_command(Command(self.complain, stderr=error))


class TestLastWords:
    def test_are_what_was_not_said(self) -> None:
        words = Command(greet)._last_words()
        assert words == "CommandError: Interrupted. Temporary files may be left.\n"

    def test_are_none_where_all_was_said(self) -> None:
        command, _, _ = run(greet)
        assert command._last_words() == ""

    def test_begin_a_line_where_a_bar_is_to_be_seen(self) -> None:
        command = Command(greet)
        command.progress = AmidALine()
        assert command._last_words().startswith("\nCommandError: ")
