"""Progress: how far each transfer is, for a display that looks now and then. All counts are in bytes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


@dataclass(eq=False)
class Meter:
    """How far one transfer is; `total` is None while it is unknown.

    `resumed` is what was there when it was `begun` (seconds of the monotonic clock). One that `reads` counts what is
    read from disk instead.
    """

    name: str
    total: int | None = None
    done: int = 0
    resumed: int = 0
    begun: float = field(default_factory=time.monotonic)
    reads: bool = False

    def begin_at(self, here: int) -> None:
        """Begin, or begin over, with what is there already."""
        self.done = self.resumed = here
        self.begun = time.monotonic()


class Progress:
    """The transfers and readings under way.

    `received` is the number of bytes that have arrived in all, `was_read` that of those that were read from disk.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: list[Meter] = []
        self.received = self.was_read = 0

    def begin(self, name: str, total: int | None) -> Meter:
        """Add a transfer and return its meter."""
        meter = Meter(name, total)
        with self._lock:
            self._meters.append(meter)
        return meter

    def begin_reading(self, name: str, total: int) -> Meter:
        """Add the reading of files that are on disk and return its meter."""
        meter = self.begin(name, total)
        meter.reads = True
        return meter

    def read(self, meter: Meter, count: int) -> None:
        """Count bytes that have been read."""
        with self._lock:
            meter.done += count
            self.was_read += count

    def add(self, meter: Meter, count: int) -> None:
        """Count bytes that have arrived."""
        with self._lock:
            meter.done += count
            self.received += count

    def end(self, meter: Meter) -> None:
        """Remove a transfer."""
        with self._lock:
            self._meters.remove(meter)

    def active(self) -> list[Meter]:
        """Return the meters of the transfers under way, oldest first."""
        with self._lock:
            return list(self._meters)
