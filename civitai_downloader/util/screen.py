"""The screen: messages on a stream, above one block of lines that show what is under way."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO, cast

from .clock import utc_text
from .logfile import LogFile
from .process import Steady
from .progress import Meter

FILES = 15  # the level of a line about one finished file: below INFO, above DEBUG
_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m"}
_PLAIN = "\x1b[0m"


Speak = Callable[[logging.LogRecord], bool]


class Screen:
    """Messages on a stream and, where it is a terminal that understands escape sequences, a block of bars below them.

    The block is cleared and drawn anew as a whole, so that nothing of it is left when the window changes its size or a
    message comes. Its lines never reach the last columns, where the `^C` of the terminal has room.
    """

    SPARE = 3

    def __init__(self, stream: TextIO) -> None:
        """`is_live` says that bars can be drawn."""
        self._stream, self._lock = cast(TextIO, Steady(stream)), threading.RLock()
        self.is_live = _understands_escapes(stream)
        self._block: list[str] = []

    def write(self, text: str) -> None:
        """Write a message above the block."""
        with self._lock:
            block = self._block
            self._show(text, block)

    def flush(self) -> None:
        """Hand over what was written."""
        self._stream.flush()

    def show_log(self, log: logging.Logger, level: str, speak: Speak, *, as_json: bool) -> None:
        """Show the messages of a logger from this level on, as text or as one JSON object on each line.

        `speak` says each message in the user's language.
        The JSON form of the usual level names each finished file as well.
        """
        handler = logging.StreamHandler(self)
        handler.addFilter(speak)
        if as_json:
            handler.addFilter(_as_json)
        elif self.is_live and not os.environ.get("NO_COLOR"):
            handler.setFormatter(_Coloured())
        log.handlers, log.propagate = [handler], False
        log.setLevel(FILES if as_json and level == "INFO" else level)

    def write_log(self, log: logging.Logger, file: LogFile, secrets: Iterable[str | None]) -> None:
        """Write the messages of a logger to a file, too, with every detail; the texts that are `secrets` are cut."""
        file.hide(filter(None, secrets))
        for shown in log.handlers:
            shown.setLevel(log.level)
        log.handlers.insert(0, file)
        log.setLevel("DEBUG")

    def draw(self, meters: Sequence[Meter], line: str) -> None:
        """Show a bar for each transfer, as many as the window has room for, and a line below them."""
        columns, rows = self._size()
        width, most = max(10, columns - self.SPARE), max(1, rows - 2)
        shown = list(meters) if len(meters) < most else list(meters[: max(0, most - 2)])
        block = [_bar(meter, width) for meter in shown]
        if len(shown) < len(meters):
            block.append(cut_to_columns(f"… +{len(meters) - len(shown)}", width))
        with self._lock:
            self._show("", [*block, cut_to_columns(line, width)])

    def finish(self) -> None:
        """Take the block away."""
        with self._lock:
            if self._block:
                self._show("", [])

    def _show(self, message: str, block: list[str]) -> None:
        """Write a message in place of the block, and the new block below it."""
        if not message and block == self._block:
            return
        try:
            self._stream.write(self._clear() + message + "\n".join(block))
            if block or not message:
                self._stream.flush()
        finally:
            self._block = block

    def _clear(self) -> str:
        """Return what clears the rows of the block and leads back to its first one.

        A terminal that has become narrower shows a line of the block on several rows. Each row is cleared by itself,
        because some terminals keep what is cleared at once for scrolling back.
        """
        if not self._block:
            return ""
        columns = self._size()[0]
        rows = sum(max(1, -(-columns_of(line) // columns)) for line in self._block)
        return "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (rows - 1)

    def _size(self) -> tuple[int, int]:
        """Return the columns and rows of the terminal."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = shutil.get_terminal_size()
        return max(1, size.columns or 80), max(1, size.lines or 24)


def _understands_escapes(stream: TextIO) -> bool:
    """Return whether the stream is a terminal that understands escape sequences; the console of Windows is told to."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    if sys.platform != "win32":
        return True
    import ctypes
    import msvcrt

    kernel, mode = ctypes.windll.kernel32, ctypes.c_ulong()
    handle = msvcrt.get_osfhandle(stream.fileno())
    enabled = kernel.GetConsoleMode(handle, ctypes.byref(mode)) and kernel.SetConsoleMode(handle, mode.value | 4)
    return bool(enabled)


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian letters two, marks upon letters none."""
    return sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut_to_columns(text: str, most: int) -> str:
    """Return a text that takes at most so many columns. `…` stands for what was cut out: its middle, for names differ
    at the beginning and at the end."""
    if columns_of(text) <= most:
        return text
    head, tail = (most - 1) // 2, most - 1 - (most - 1) // 2
    return _fitting(text, head) + "…" + _fitting(text[::-1], tail)[::-1]


def _fitting(text: str, most: int) -> str:
    """Return the beginning of a text that takes at most so many columns."""
    taken = 0
    for at, letter in enumerate(text):
        taken += _columns(letter)
        if taken > most:
            return text[:at]
    return text


def _bar(meter: Meter, width: int) -> str:
    """Return a transfer as a line: its name, a bar, bytes, rate and time left."""
    from tqdm import tqdm  # not needed where nothing is drawn

    name = cut_to_columns(meter.name, max(8, width * 2 // 5))
    seconds, fresh = time.monotonic() - meter.begun, max(0, meter.done - meter.resumed)
    rate = fresh / seconds if seconds > 0 and fresh else None
    text = tqdm.format_meter(
        meter.done, meter.total or 0, seconds, ncols=width, prefix=name, unit="B", unit_scale=True, unit_divisor=1024,
        rate=rate, initial=meter.resumed,
    )  # fmt: skip
    return cut_to_columns(str(text), width)


class _Coloured(logging.Formatter):
    """Gives warnings and errors a colour."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, between the escape sequences of its colour if its level has one."""
        text, colour = super().format(record), _COLOURS.get(record.levelno)
        return f"{colour}{text}{_PLAIN}" if colour else text


def _as_json(record: logging.LogRecord) -> bool:
    """Make one JSON object of a message and its facts."""
    facts = getattr(record, "facts", {})
    level, message = record.levelname.lower(), record.getMessage()
    whole = {"at": utc_text(record.created), "level": level, "message": message, **facts}
    record.msg, record.args, record.exc_info = json.dumps(whole, ensure_ascii=False), (), None
    return True
