"""Let a deploy end cleanly when a signal asks it to stop, and end it when it doesn't."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

# As a shell says of a process that Ctrl-C has ended.
STATUS = 130

# "docker stop" kills after 10 seconds.
_GRACE_SECONDS = 8.0
# Signals that come together (systemd's SendSIGHUP, for one) are one request to stop, not two.
_AT_ONCE_SECONDS = 0.25


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
