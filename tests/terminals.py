"""Terminals for tests: a stream that says it is one, what its window shows, and a real one to start a command at."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import pyte

from tests.helpers import ROOT


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(terminal: Terminal, columns: int = 80, rows: int = 24) -> list[str]:
    """Return the rows of a window in which everything was written, those that scrolled out of it too."""
    screen = pyte.HistoryScreen(columns, rows, history=10_000)
    stream = pyte.Stream(screen)
    stream.feed(terminal.getvalue().replace("\n", "\r\n"))
    above = ["".join(cell.data for _, cell in sorted(row.items())) for row in screen.history.top]
    return [row.rstrip() for row in (*above, *screen.display) if row.strip()]


def begin_at_terminal(words: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command at a pseudo terminal of 70 columns and 12 rows; return it and the terminal's other side."""
    import fcntl  # these four exist on POSIX alone
    import pty
    import struct
    import termios

    def sit_down() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 70, 0, 0))
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=sit_down, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def press_ctrl_c(
    process: subprocess.Popen[bytes], ours: int, is_time: Callable[[bytes], bool], within: float = 50
) -> Terminal:
    """Press Ctrl-C at a terminal once it shows what `is_time` waits for, and return all that was written to it.

    The command ends with 130, within so many seconds.
    """
    said, deadline = b"", time.monotonic() + 60
    while not is_time(said) and time.monotonic() < deadline:
        said += os.read(ours, 4096)
    begun = time.monotonic()
    os.write(ours, b"\x03")
    with suppress(OSError):  # the other side has closed
        while more := os.read(ours, 4096):
            said += more
    assert process.wait(within) == 130
    assert time.monotonic() - begun < within
    os.close(ours)
    terminal = Terminal()
    terminal.write(said.decode())
    return terminal
