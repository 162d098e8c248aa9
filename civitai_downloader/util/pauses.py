"""Pauses: while one lasts nobody asks a busy server, in this process or in all that share a file. Times are seconds."""

from __future__ import annotations

import calendar
import logging
import math
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from .clock import Clock, utc_text
from .disks import Disk, existing_folder
from .errors import Failure
from .files import is_link, on_one_line, open_making_folders, read_beginning, write_file
from .logs import json_line
from .text import utf8

log = logging.getLogger(__name__)


class Pause:
    """Until when nobody in this process asks. Who waits looks again after `LOOK` seconds."""

    LOOK = math.inf

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._until = 0.0  # on the clock that never goes back

    def begin(self, seconds: float) -> None:
        """Begin a pause of so many seconds, or extend the present one."""
        with self._lock:
            self._until = max(self._until, self._clock.now() + seconds)

    def wait(self) -> bool:
        """Wait until the pause is over, and return whether there was one. Raises Stopped."""
        waited = False
        while (left := self._left()) > 0:
            self._clock.sleep(min(left, self.LOOK))
            waited = True
        return waited

    def _left(self) -> float:
        return self._until - self._clock.now()


class SharedPause(Pause):
    """A pause that holds for all processes with the same file, on whichever machines, which names its end in UTC.

    The clocks of two machines may differ by `SKEW`, so others wait that much longer. No file is believed beyond the
    longest pause there is, and each of its contents is believed once. It is made before the first look and replaced by
    a rename, and it is opened at each look: a network drive may take half a minute to say that a file is there, and
    three seconds that it is another one. Where it can't be written or read, each process waits for itself.
    """

    LOOK, SKEW, MOST = 5.0, 5.0, 100

    def __init__(self, clock: Clock, path: Path, longest: float) -> None:
        """`longest` is how long a pause may be. A link in the place of the file or of its folder is not followed."""
        super().__init__(clock)
        self._path, self._longest = path, longest
        self._disk = Disk(existing_folder(path.parent), durable=False, writer=token_hex(4))
        self._is_made, self._seen = False, b""  # what the file said when it was last read
        self._moment = 0  # until when, as a Unix time: the last one that was written or believed

    def begin(self, seconds: float) -> None:
        """Begin a pause of so many seconds for all, or extend the present one; a shorter one changes nothing."""
        super().begin(seconds)
        with self._lock:
            self._look()
            if seconds > 0:
                self._moment = max(self._moment, math.ceil(self._clock.wall() + seconds))
                self._put_right()

    def _left(self) -> float:
        with self._lock:
            self._look()
            self._put_right()
        return super()._left()

    def _look(self) -> None:
        """Read the file, and believe what it says if that is new and possible."""
        if not self._is_made:
            self._make()
        text = self._read()
        if text is None or text == self._seen:
            return
        self._seen, moment = text, moment_in(text)
        left = moment - self._clock.wall() + self.SKEW
        if 0 < left <= self._longest + 2 * self.SKEW:
            self._moment = max(self._moment, moment)
            self._until = max(self._until, self._clock.now() + left)

    def _put_right(self) -> None:
        """Write the file if it names an earlier end than the one known, as when two have written at the same time."""
        believed = self._clock.wall() < self._moment
        if believed and not self._moment <= moment_in(self._seen) <= self._clock.wall() + self._longest + self.SKEW:
            self._write()

    def _make(self) -> None:
        """Make the file if there is none. An empty one names no pause."""
        self._is_made = True
        with suppress(OSError, Failure):
            if not is_link(self._path.parent):
                open_making_folders(self._path, os.O_EXCL, self._disk).close()

    def _read(self) -> bytes | None:
        """Return what the file says, None if it can't be read."""
        return None if is_link(self._path.parent) else read_beginning(self._path, self.MOST)

    def _write(self) -> None:
        """Replace the file."""
        text = utf8(on_one_line({"until": utc_text(self._moment)}) + "\n")
        if is_link(self._path.parent):
            return
        try:
            write_file(self._path, text, self._disk)
            self._seen = text
        except Failure as trouble:
            log.debug("A pause could not be shared: %s", trouble)


def moment_in(text: bytes) -> int:
    """Return the Unix time at which the pause in a file ends, 0 if it names none."""
    until = (json_line(text) or {}).get("until")
    with suppress(ValueError, TypeError):
        return calendar.timegm(time.strptime(until or "", "%Y-%m-%dT%H:%M:%SZ"))
    return 0
