"""A terminal for a process to write to, and what is to be seen on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from types import TracebackType
from typing import Any

import pyte

from tests.project import WAIT_SECONDS, Ended, Project, end

# No line of any test's output is longer.
COLUMNS = 250
# More than any test's output has: nothing is lost by scrolling.
LINES = 200

# A bar, or a state without one, as tqdm draws it: from the line's beginning, over what was there.
_FRAME = re.compile(r"\r([\w-]+: [^\r\n\x1b]*\])")


class Terminal:
    """A pseudo-terminal: a context manager.

    Attributes:
        stream: The end that processes write to.
    """

    def __init__(self, columns: int = COLUMNS) -> None:
        self._columns = columns
        self._master, self.stream = pty.openpty()
        size = struct.pack("HHHH", LINES, columns, 0, 0)
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, size)
        self._received: list[bytes] = []
        self._is_open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        os.close(self.stream)

    def _read(self) -> None:
        try:
            while received := os.read(self._master, 65536):
                self._received.append(received)
        except OSError:
            # Nobody has it open any more.
            return

    def close(self) -> None:
        """Close it, as if its window were closed, for whoever writes to it."""
        if self._is_open:
            self._is_open = False
            os.close(self._master)

    def run(self, project: Project, *options: str, **others: Any) -> Ended:
        """Deploy with both streams on this terminal, unless others are given."""
        return self.wait(self.start(project, *options, **others))

    def start(self, project: Project, *options: str, **others: Any) -> subprocess.Popen[str]:
        """Start a deploy with both streams on this terminal, unless others are given."""
        streams = {"stdout": self.stream, "stderr": self.stream, **others}
        return project.start(*options, **streams)

    def wait(self, process: subprocess.Popen[str]) -> Ended:
        """Wait until a process has ended and all that it wrote is here."""
        ended = end(process)
        if self._is_open:
            marker = b"<the end>"
            os.write(self.stream, marker)
            deadline = time.monotonic() + WAIT_SECONDS
            while not self._bytes().endswith(marker):
                assert time.monotonic() < deadline, self.text
                time.sleep(0.01)
            self._received = [self._bytes().removesuffix(marker)]
        return ended

    def _bytes(self) -> bytes:
        return b"".join(self._received)

    @property
    def text(self) -> str:
        """All that was written."""
        return self._bytes().decode()

    @property
    def frames(self) -> list[str]:
        """Every state of every bar, in the order in which they were drawn."""
        return _FRAME.findall(self.text)

    @property
    def screen(self) -> list[str]:
        """The lines that are to be seen at the end, but for empty ones."""
        screen = pyte.Screen(self._columns, LINES)
        pyte.ByteStream(screen).feed(self._bytes())
        return [line.rstrip() for line in screen.display if line.strip()]
