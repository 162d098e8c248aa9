"""Time: waiting that can be ended, and the time of day as it is written down."""

from __future__ import annotations

import threading
import time

from .errors import Stopped

DAY = 86400.0


class Clock:
    """Time and the wish to stop in one object: every wait ends at once when `stop` is called."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; raises Stopped as soon as the run is to end."""
        if self._stop.wait(max(0.0, seconds)):
            raise Stopped

    def check(self) -> None:
        """Raise Stopped if the run is to end."""
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """End every wait, now and later."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether the run is to end."""
        return self._stop.is_set()


def utc_now() -> str:
    """The time of day as the state log writes it: UTC, to the second."""
    return utc_text(time.time())


def utc_text(moment: float) -> str:
    """Return a Unix time as UTC text, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
