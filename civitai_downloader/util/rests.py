"""Rests: when nothing new is asked for, because of the hour or because a disk has too little room."""

from __future__ import annotations

import math
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .clock import Clock
from .disks import existing_folder
from .files import has_room
from .hours import ALWAYS, Hours


class Resting(Exception):
    """What is wanted has to wait; it is looked at again when the clock says `until`. What has come of it is kept."""

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.until = until


@dataclass(frozen=True)
class Rest:
    """Why something waits, as seen `now`: until a `moment` (Unix times), or until so many bytes are free (`size`)."""

    why: Literal["between", "rest-below"]
    moment: float = 0.0
    size: int = 0
    now: float = field(default=0.0, compare=False)


class Rests:
    """Says who has to wait. Outside of the hours nothing new begins, and what is under way has `grace` seconds to end.

    A disk with less than `least` free bytes gets none. Both are looked at again after `LOOK` seconds at most, by the
    clock on the wall: it may be set, and a computer may sleep.
    """

    LOOK, FRESH = 8.0, 1.0

    def __init__(self, clock: Clock, hours: Hours = ALWAYS, *, grace: float = 0.0, least: int = 0) -> None:
        self._clock, self._hours, self._grace, self._least = clock, hours, grace, least
        self._lock = threading.Lock()
        self._closed = math.inf  # since when, on the clock that never goes back
        self._opening = (0.0, 0.0)  # the minute in which it was worked out, and the moment
        self._is_held = False  # whether anybody has had to wait since it closed
        self._low: dict[int, tuple[float, bool]] = {}  # by disk: when it was looked at, and what was seen

    def wait(self) -> bool:
        """Wait until the hours are open, and return whether they were not. Raises Stopped."""
        waited = False
        while left := self._left():
            self._clock.sleep(left)
            waited = True
        return waited

    def until(self, folder: Path) -> float:
        """Return until when nothing new may begin in a folder, on the clock that never goes back; 0 if it may."""
        left = self._left() or (self.LOOK if self._is_low(folder) else 0.0)
        return self._clock.now() + left if left else 0.0

    def overdue(self, folder: Path) -> float:
        """Return until when a transfer into a folder has to be put off; 0 if it may go on."""
        over = not self._is_open() and self._clock.now() - self._closed >= self._grace
        return self.until(folder) if over or self._is_low(folder) else 0.0

    def current(self) -> Rest | None:
        """Return why something waits at present, None if nothing does."""
        if not self._is_open() and self._is_held:
            return Rest("between", moment=self._opens_at(), now=self._clock.wall())
        low = any(low for _, low in self._low.copy().values())
        return Rest("rest-below", size=self._least) if low else None

    def _is_open(self) -> bool:
        """Return whether the hours are open, and remember since when they are not."""
        is_open = self._hours.is_open(self._clock.wall())
        with self._lock:
            self._closed = math.inf if is_open else min(self._closed, self._clock.now())
            self._is_held = self._is_held and not is_open
        return is_open

    def _left(self) -> float:
        """Return how long to wait before the hours are looked at again, 0 if they are open."""
        if self._is_open():
            return 0.0
        self._is_held = True
        return min(self.LOOK, max(0.01, self._opens_at() - self._clock.wall()))

    def _opens_at(self) -> float:
        """Return when the hours open next; it is worked out once a minute."""
        now = self._clock.wall()
        if self._opening[0] != now // 60:
            self._opening = (now // 60, self._hours.opens_at(now))
        return self._opening[1]

    def _is_low(self, folder: Path) -> bool:
        """Return whether the disk of a folder, which need not exist yet, has too little room; look once a second."""
        if not self._least:
            return False
        with suppress(OSError):  # what is wrong with a disk is said by whoever writes there
            place, now = existing_folder(folder), self._clock.now()
            disk = os.stat(place).st_dev
            seen, low = self._low.get(disk, (-math.inf, False))
            if now - seen >= self.FRESH:
                low = not has_room(place, self._least)
                self._low[disk] = now, low
            return low
        return False
