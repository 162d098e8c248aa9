"""The further connections of a big transfer: when they start, and what becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .clock import Clock
from .errors import Failure, Stopped
from .pace import Gate
from .ranges import ByteRange, Ranges, Restart
from .rests import Resting


class FurtherConnections:
    """The further connections of one transfer, each in a thread of its own.

    `WINDOW` seconds after the first answer, and as often again, the speed of all together is looked at. If what is left
    would take more than `WORTH` seconds, and one connection of this program can do better (`ENOUGH` bytes a second),
    the rest is shared in pieces among as many connections as the gate spares. Where one of them meets trouble, all end
    with the piece they have and the first goes on alone.
    """

    WINDOW, WORTH, ENOUGH = 0.5, 3.0, 40 << 20

    def __init__(self, ranges: Ranges, gate: Gate, clock: Clock, receive: Callable[[ByteRange], None]) -> None:
        """`receive` brings a stretch in the calling thread."""
        self._ranges, self._gate, self._clock, self._receive = ranges, gate, clock, receive
        self._threads: list[threading.Thread] = []
        self._over = self.dismissed = False
        self.trouble: BaseException | None = None
        self._measure()

    def answered(self) -> None:
        """Measure the speed from now on, unless there are further connections already."""
        if not self._threads:
            self._measure()

    def review(self, left: int, prepare: Callable[[], None]) -> None:
        """Start further connections if that pays for the bytes `left`; call this after each chunk.

        `prepare` is called before bytes come out of order.
        """
        seconds = self._clock.now() - self._since
        if self._over or seconds < self.WINDOW:
            return
        speed = (self._ranges.here - self._mark) / seconds
        self._measure()
        if speed < self.ENOUGH and left > self.WORTH * speed:
            self._start(prepare)

    def dismiss(self) -> None:
        """Stop all of them and wait until they have ended."""
        self.dismissed = self._over = True
        for thread in self._threads:
            thread.join()

    def _measure(self) -> None:
        self._since, self._mark = self._clock.now(), self._ranges.here

    def _start(self, prepare: Callable[[], None]) -> None:
        """Start as many as the gate spares and the rest is worth."""
        while self._gate.take_further():
            if not self._ranges.shared:
                prepare()
                self._ranges.share()
            stretch = self._ranges.take()
            if stretch is None:
                self._gate.give_back_further()
                return
            thread = threading.Thread(target=self._work, args=(stretch,), name="lora-more", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system lets us have no further thread; the first connection goes on alone
                self._over, self._ranges.shared = True, False
                self._ranges.give_back(stretch)
                self._gate.give_back_further()
                return
            self._threads.append(thread)

    def _work(self, stretch: ByteRange | None) -> None:
        """Bring one stretch after the other, as long as the gate spares the connection."""
        try:
            while stretch is not None:
                try:
                    self._receive(stretch)
                finally:
                    self._ranges.give_back(stretch)
                stays = self._ranges.shared and not self._gate.crowded
                stretch = self._ranges.take() if stays else None
        except (OSError, Failure, Restart, Resting, Stopped):
            self._over, self._ranges.shared = True, False
        except BaseException as error:
            self.trouble = error
        finally:
            self._gate.give_back_further()
