"""Time: waits that can be interrupted, and dates as text."""

from __future__ import annotations

import threading
import time

from .errors import Stopped

DAY = 86400.0


class Clock:
    """The time together with the wish to stop: every wait ends at once when `stop` is called."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def now(self) -> float:
        """Return the seconds on a clock that never goes back."""
        return time.monotonic()

    def wall(self) -> float:
        """Return the Unix time, as the clock on the wall shows it; it may be set back or forward."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds. Raises Stopped as soon as `stop` is called."""
        if self.stopped or (seconds > 0 and self._stop.wait(seconds)):
            raise Stopped

    def check(self) -> None:
        """Raise Stopped if `stop` has been called."""
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """End all waits, present and future."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` has been called."""
        return self._stop.is_set()


def utc_now() -> str:
    """Return the current time as UTC text, to the second: `2026-11-20T05:26:00Z`."""
    return utc_text(time.time())


def utc_text(moment: float) -> str:
    """Return a Unix time as UTC text, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
