"""What surrounds a command: signals, streams, warnings, colours and progress."""

from __future__ import annotations

import io
import logging
import signal
from collections.abc import Callable
from types import NoneType
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand, OutputWrapper

from collectfasta.terminal.bars import Bars
from collectfasta.terminal.progress import Lines
from collectfasta.terminal.session import STATUS, Session, display_on


class Command(BaseCommand):
    """Do what a test wants, in a session."""

    requires_system_checks: Any = ()
    is_process = False
    session: Session

    def __init__(self, action: Callable[[Command], object], **streams: Any) -> None:
        self.action = action
        super().__init__(**streams)

    def run_from_argv(self, argv: list[str]) -> None:
        self.is_process = True
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> Any:
        session = Session(self, options, lambda: "Interrupted.", is_process=self.is_process)
        with session as self.session:
            return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        self.action(self)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def error() -> io.StringIO:
    return io.StringIO()


def run(action: Callable[[Command], object], *argv: str, **streams: Any) -> int:
    """Run a command as a process does, and return its status."""
    try:
        Command(action, **streams).run_from_argv(["manage.py", "command", *argv])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def greet(command: Command) -> None:
    command.stdout.write("hello")


def interrupt(_: Command) -> None:
    raise KeyboardInterrupt


def complain(_: Command) -> None:
    raise ImproperlyConfigured("Set it.")


class TestStreams:
    def test_of_the_command_are_written_to(self, out: io.StringIO, error: io.StringIO) -> None:
        run(greet, stdout=out, stderr=error)
        assert (out.getvalue(), error.getvalue()) == ("hello\n", "")

    def test_of_the_caller_come_before_those(self, out: io.StringIO) -> None:
        other = io.StringIO()
        call_command(Command(greet, stdout=other), stdout=out)
        assert (out.getvalue(), other.getvalue()) == ("hello\n", "")

    def test_are_afterwards_what_they_were(self, out: io.StringIO) -> None:
        command = Command(greet, stdout=out)
        before = command.stdout, command.stderr, command.style
        call_command(command, stdout=io.StringIO())
        assert (command.stdout, command.stderr, command.style) == before


class TestInterrupt:
    def test_is_a_status_and_a_line(self, error: io.StringIO) -> None:
        assert run(interrupt, stderr=error) == STATUS
        assert error.getvalue() == "CommandError: Interrupted.\n"

    def test_is_an_error_to_who_calls_the_command(self) -> None:
        with pytest.raises(CommandError, match="Interrupted") as caught:
            call_command(Command(interrupt))
        assert caught.value.returncode == STATUS

    @pytest.mark.signals
    @pytest.mark.parametrize("is_process", [True, False])
    def test_by_sigterm_is_one_and_afterwards_as_before(
        self, error: io.StringIO, is_process: bool
    ) -> None:
        before = signal.getsignal(signal.SIGTERM)
        handlers = []

        def note(_: Command) -> None:
            handlers.append(signal.getsignal(signal.SIGTERM))

        if is_process:
            run(note, stderr=error)
        else:
            call_command(Command(note))

        assert handlers != [before]
        assert signal.getsignal(signal.SIGTERM) is before


class TestFailure:
    def test_is_a_status_and_a_line(self, error: io.StringIO) -> None:
        def fail(_: Command) -> None:
            raise CommandError("No.")

        assert (run(fail, stderr=error), error.getvalue()) == (1, "CommandError: No.\n")

    def test_of_settings_is_a_status_and_a_line(self, error: io.StringIO) -> None:
        assert (run(complain, stderr=error), error.getvalue()) == (1, "CommandError: Set it.\n")

    def test_of_settings_is_raised_where_tracebacks_are_wanted(self) -> None:
        with pytest.raises(ImproperlyConfigured):
            run(complain, "--traceback")

    def test_of_settings_is_raised_to_who_calls_the_command(self) -> None:
        with pytest.raises(ImproperlyConfigured):
            call_command(Command(complain))


class TestWarnings:
    @pytest.fixture(autouse=True)
    def on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Django find colours: it looks at sys.stdout, whatever is written to."""
        monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.delenv("DJANGO_COLORS", raising=False)
        monkeypatch.setenv("TERM", "xterm")

    @staticmethod
    def warn(_: Command) -> None:
        # The handlers are pytest's own.
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(logging.root, "handlers", [])
            logging.getLogger("collectfasta").warning("%d files", 3)

    def test_are_on_the_commands_stderr(self, error: io.StringIO) -> None:
        call_command(Command(self.warn, stderr=error))
        assert error.getvalue() == "3 files\n"

    def test_have_a_colour_of_their_own_on_a_terminal(self) -> None:
        terminal = Terminal()
        call_command(Command(self.warn, stderr=terminal))
        assert terminal.getvalue() == "\x1b[33;1m3 files\n\x1b[0m"

    def test_have_none_where_none_is_wanted(self) -> None:
        terminal = Terminal()
        call_command(Command(self.warn, stderr=terminal), no_color=True)
        assert terminal.getvalue() == "3 files\n"

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_have_none_where_the_environment_wants_none(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        terminal, forced = Terminal(), io.StringIO()
        call_command(Command(self.warn, stderr=terminal))
        call_command(Command(self.warn, stderr=forced), force_color=True)
        assert terminal.getvalue() == "3 files\n"
        assert forced.getvalue() == "\x1b[33;1m3 files\n\x1b[0m"


class TestProgress:
    @staticmethod
    def work(command: Command) -> None:
        with command.session.progress.step("Sending", total=3) as step:
            step.advance(3)
            command.stdout.write("hello")

    @pytest.fixture(autouse=True)
    def outside_of_a_ci(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("CI", "TF_BUILD", "TQDM_DISABLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")

    def test_is_on_stderr_where_that_is_a_terminal(self, out: io.StringIO) -> None:
        terminal = Terminal()
        call_command(Command(self.work, stdout=out, stderr=terminal))
        assert "| 3/3 files" in terminal.getvalue()
        assert out.getvalue() == "hello\n"

    def test_is_nowhere_at_verbosity_0(self) -> None:
        terminal = Terminal()
        call_command(Command(self.work, stderr=terminal), verbosity=0)
        assert terminal.getvalue() == ""

    def test_ends_its_line_before_the_last_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of a process that has to be ended."""
        words: list[str] = []
        monkeypatch.setenv("COLUMNS", "80")

        def hang(command: Command) -> None:
            with command.session.progress.step("Sending", total=3):
                words.append(command.session._last_words())
            words.append(command.session._last_words())

        command = Command(hang, stderr=Terminal())
        call_command(command)
        words.append(command.session._last_words())

        last = "CommandError: Interrupted. Temporary files may be left.\n"
        assert words == [f"\n{last}", last, ""]


def kind_on(stream: io.StringIO, *, verbosity: int = 1, **environment: str) -> type:
    """Return the kind of display that a stream gets."""
    return type(display_on(OutputWrapper(stream), verbosity, environment))


class TestDisplayOn:
    def test_a_terminal_is_bars(self) -> None:
        assert kind_on(Terminal()) is Bars

    def test_a_pipe_is_nothing(self) -> None:
        assert kind_on(io.StringIO()) is NoneType

    def test_a_ci_is_lines(self, subtests: pytest.Subtests) -> None:
        each_value: list[str] = ["true", "True", "1"]
        each_stream: list[io.StringIO] = [Terminal(), io.StringIO()]
        for value in each_value:
            for stream in each_stream:
                with subtests.test(value=value, stream=stream):
                    assert kind_on(stream, CI=value) is Lines
                    assert kind_on(stream, TF_BUILD=value) is Lines

    def test_what_says_that_it_is_not_a_ci_is_nothing(self, subtests: pytest.Subtests) -> None:
        rows: list[str] = ["", "false", "False", "0"]
        for value in rows:
            with subtests.test(value=value):
                assert kind_on(io.StringIO(), CI=value) is NoneType

    def test_a_terminal_without_a_cursor_is_lines(self) -> None:
        assert kind_on(Terminal(), TERM="dumb") is Lines

    def test_a_pipe_of_such_a_terminal_is_nothing(self) -> None:
        assert kind_on(io.StringIO(), TERM="dumb") is NoneType

    def test_a_terminal_is_nothing_where_tqdm_is_switched_off(self) -> None:
        assert kind_on(Terminal(), TQDM_DISABLE="1") is NoneType

    @pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
    def test_verbosity_0_is_nothing(self, stream: io.StringIO) -> None:
        assert kind_on(stream, verbosity=0, CI="true") is NoneType
