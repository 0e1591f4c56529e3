"""Signals to a process that is told to stop, and its end when it does not end by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from collectfasta.terminal.session import STATUS, Watch
from tests.conftest import MEASURING

# Waited only by a test that fails.
WAIT_SECONDS = 60

by_signal = pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)


class Noted(Exception):
    """The handler that was there before got the signal."""


def note(*_: object) -> None:
    raise Noted


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Handlers of the test's own: a signal that is not taken must not end the tests."""
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.signal(number, note) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def in_a_thread(action: Callable[[], None]) -> None:
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


class TestWatchOfACall:
    @by_signal
    def test_does_what_ctrl_c_does(self, number: signal.Signals) -> None:
        with pytest.raises(KeyboardInterrupt), Watch():
            signal.raise_signal(number)

    @by_signal
    def test_leaves_the_handlers_as_they_were(self, number: signal.Signals) -> None:
        with Watch():
            pass

        with pytest.raises(Noted):
            signal.raise_signal(number)

    @by_signal
    def test_lets_a_signal_be_ignored(self, number: signal.Signals) -> None:
        signal.signal(number, signal.SIG_IGN)

        with Watch():
            signal.raise_signal(number)

        assert signal.getsignal(number) is signal.SIG_IGN

    def test_handles_nothing_in_another_thread(self) -> None:
        handlers = []

        def run() -> None:
            with Watch():
                handlers.append(signal.getsignal(signal.SIGTERM))

        in_a_thread(run)

        assert handlers == [note]


class TestWatch:
    def test_that_saw_nothing_leaves_all_as_it_was(self) -> None:
        with Watch(lambda: ""):
            assert signal.getsignal(signal.SIGTERM) is not note
            watching = [each for each in threading.enumerate() if each.name == "interrupts"]
        watching[0].join(WAIT_SECONDS)

        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == [note, note]
        assert signal.set_wakeup_fd(-1) == -1
        assert not watching[0].is_alive()

    def test_does_nothing_in_another_thread(self) -> None:
        handlers = []

        def run() -> None:
            with Watch(lambda: ""):
                handlers.append(signal.getsignal(signal.SIGTERM))

        in_a_thread(run)

        assert handlers == [note]
        assert signal.set_wakeup_fd(-1) == -1


_SCRIPT = """
import signal, sys, threading, time
from contextlib import suppress
from collectfasta.terminal import session as interrupts
from collectfasta.terminal.session import Watch

interrupts._AT_ONCE_SECONDS = {at_once}
interrupts._GRACE_SECONDS = {patience}

def send(number):
    with suppress(KeyboardInterrupt):
        signal.raise_signal(number)

{script}
"""
# As long as any test takes.
NEVER = 1000


def run(script: str, *, at_once: float, patience: float) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, which a watch may end."""
    code = _SCRIPT.format(script=script, at_once=at_once, patience=patience)
    environment = {**os.environ, "COVERAGE_PROCESS_CONFIG": MEASURING}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


class TestEnd:
    def test_second_signal_ends_the_process_at_once(self) -> None:
        ended = run(
            """
with Watch(lambda: "last words"):
    send(signal.SIGTERM)
    time.sleep(0.1)
    send(signal.SIGINT)
    time.sleep(1000)
""",
            at_once=0,
            patience=NEVER,
        )

        assert (ended.returncode, ended.stderr) == (STATUS, "last words")

    def test_patience_ends_a_process_that_does_not_end(self) -> None:
        ended = run(
            """
with Watch(lambda: "last words"):
    send(signal.SIGTERM)
    time.sleep(1000)
""",
            at_once=NEVER,
            patience=0.1,
        )

        assert (ended.returncode, ended.stderr) == (STATUS, "last words")

    def test_signals_that_come_together_are_one(self) -> None:
        ended = run(
            """
with Watch(lambda: "last words"):
    send(signal.SIGTERM)
    send(signal.SIGHUP)
    print("raised once", flush=True)
    signal.raise_signal(signal.SIGINT)
    print("not again", flush=True)
    time.sleep(1000)
""",
            at_once=NEVER,
            patience=1,
        )

        assert ended.stdout == "raised once\nnot again\n"
        assert (ended.returncode, ended.stderr) == (STATUS, "last words")

    def test_process_that_ends_by_itself_in_time_says_nothing(self) -> None:
        ended = run(
            """
with Watch(lambda: "last words"):
    send(signal.SIGTERM)
print("done")
""",
            at_once=0,
            patience=NEVER,
        )

        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")

    def test_two_reasons_to_end_it_are_told_once(self) -> None:
        """Its patience ends while the second signal ends it."""
        ended = run(
            """
def last_words():
    for each in threading.enumerate():
        if isinstance(each, threading.Timer):
            each.join()
    return "last words"

with Watch(last_words):
    send(signal.SIGTERM)
    time.sleep(0.1)
    send(signal.SIGINT)
    time.sleep(1000)
""",
            at_once=0,
            patience=1,
        )

        assert (ended.returncode, ended.stderr) == (STATUS, "last words")

    def test_without_a_file_left_for_it_signals_still_interrupt(self) -> None:
        ended = run(
            """
import resource

limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
try:
    with Watch(lambda: "last words"):
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    print("interrupted")
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
""",
            at_once=0,
            patience=NEVER,
        )

        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


_COMMAND = """
from django.conf import settings

settings.configure()

from django.core.management.base import BaseCommand
from collectfasta.terminal.session import Session

class Command(BaseCommand):
    requires_system_checks = []

    def execute(self, *args, **options):
        with Session(self, options, lambda: "Interrupted.", is_process=True):
            return super().execute(*args, **options)

    def handle(self, **options):
        {handle}

try:
    Command().run_from_argv(["manage.py", "it"])
except SystemExit as error:
    print(error.code, flush=True)
"""


INTERRUPTED = _COMMAND.format(handle="signal.raise_signal(signal.SIGTERM)")
HANGING = _COMMAND.format(handle="send(signal.SIGTERM); time.sleep(1000)")


class TestCommand:
    def test_it_says_so_and_ends_with_the_status_of_ctrl_c(self) -> None:
        ended = run(INTERRUPTED, at_once=0, patience=NEVER)

        assert (ended.stdout, ended.stderr) == (f"{STATUS}\n", "CommandError: Interrupted.\n")

    def test_what_was_said_is_not_said_again_when_the_process_has_to_be_ended(self) -> None:
        hanging = f"{INTERRUPTED}\ntime.sleep(0.1)\nsend(signal.SIGINT)\ntime.sleep(1000)"

        ended = run(hanging, at_once=0, patience=NEVER)

        assert ended.returncode == STATUS
        assert ended.stderr == "CommandError: Interrupted.\n"

    def test_command_that_has_to_be_ended_says_so(self) -> None:
        ended = run(HANGING, at_once=NEVER, patience=0.1)

        assert ended.returncode == STATUS
        assert ended.stderr == "CommandError: Interrupted. Temporary files may be left.\n"
