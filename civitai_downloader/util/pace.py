"""Politeness: how fast to ask, when to wait, and which hosts to leave alone."""

from __future__ import annotations

import email.utils
import math
import re
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from .clock import Clock, utc_now
from .errors import Busy, Failure
from .files import BLOCK, READ

OUTAGE = 600.0


class HostDown(Failure):
    """A host that failed many times in a row is left alone until `until` (of the clock), while others answer."""

    def __init__(self, host: str, until: float) -> None:
        words = f"{host} has failed {Health.PATIENCE} times in a row and is left alone for a while; run again later."
        super().__init__("unreachable", words)
        self.host, self.until = host, until


@dataclass
class _Line:
    """How one host does: failures in a row, since when, until when it is left alone, and its last good answer."""

    failures: int = 0
    since: float = 0.0
    until: float = 0.0
    good: float = -math.inf


class Health:
    """How the servers do, and what follows: how fast to go on (`factor`), and whom to leave alone for a while.

    More than a tenth of 429 and 5xx among the answers of the last minute halves the factor, at most to an eighth; a
    minute with fewer doubles it again. A host that failed twenty times in a row (no answer, 5xx) is left alone for 30
    seconds, then a single request tries it.
    """

    MINUTE, FEWEST, LEAST = 60.0, 10, 0.125
    PATIENCE, REST = 20, 30.0

    def __init__(self, clock: Clock, log: Callable[[str], None]) -> None:
        self._clock, self._log, self._lock = clock, log, threading.Lock()
        self._factor, self._changed = 1.0, clock.now()
        self._answers: deque[float] = deque()
        self._troubles: deque[float] = deque()
        self._lines: dict[str, _Line] = {}

    def factor(self) -> float:
        """The share of the full pace, from an eighth to 1."""
        with self._lock:
            self._review(self._clock.now())
            return self._factor

    def note(self, host: str, status: int) -> None:
        """An answer has come, or none (0)."""
        with self._lock:
            now, line = self._clock.now(), self._lines.setdefault(host, _Line())
            if status:
                self._answers.append(now)
            if status == 429 or status >= 500:
                self._troubles.append(now)
            self._review(now)
            if 0 < status < 500:
                if line.failures >= self.PATIENCE:
                    self._say(f"{host} answers again.")
                line.failures, line.good = 0, now
                return
            line.failures += 1
            if line.failures == 1:
                line.since = now
            if line.failures == self.PATIENCE:
                self._say(f"{host} has failed {line.failures} times in a row and is left alone for {self.REST:.0f} s.")
            line.until = now + self.REST

    def _review(self, now: float) -> None:
        for times in (self._answers, self._troubles):
            while times and times[0] <= now - self.MINUTE:
                times.popleft()
        answers, troubles = len(self._answers), len(self._troubles)
        factor = self._factor
        if 10 * troubles > answers:
            factor = max(self.LEAST, factor / 2) if answers >= self.FEWEST else factor
        elif now - self._changed >= self.MINUTE:
            factor = min(1.0, 2 * factor)
        if factor != self._factor:
            self._factor, self._changed = factor, now
            self._answers.clear()
            self._troubles.clear()
            self._say(f"Pace {factor:.1%}: {troubles} of the last {answers} answers were 429 or 5xx.")

    def _say(self, words: str) -> None:
        self._log(f"{utc_now()} {words}")

    def enter(self, host: str, *, patient: bool) -> None:
        """Before a request: wait while the host is left alone, for an hour in all; raises a Failure, Stopped.

        Without patience HostDown is raised at once if meanwhile other hosts answer, for these shall not wait for it;
        when none does, it is the network that is away, and everybody waits for it to come back.
        """
        while left := self._left(host, patient):
            self._clock.sleep(min(5.0, left))

    def _left(self, host: str, patient: bool) -> float:
        """Seconds until this request may go out, in steps; one of them becomes the trial when the time has come."""
        with self._lock:
            now, line = self._clock.now(), self._lines.get(host)
            if line is None or line.failures < self.PATIENCE:
                return 0.0
            if now >= line.until:
                line.until = now + self.REST
                return 0.0
            alone = not patient and any(each.good > line.since for each in self._lines.values() if each is not line)
            if now - line.since >= (OUTAGE if alone else 6 * OUTAGE):
                raise Failure("unreachable", f"{host} can't be reached for a long time; run again later.")
            if alone:
                raise HostDown(host, line.until)
            return line.until - now


class Pace:
    """Spaces calls: at most `rate` a second, whoever asks, and fewer where `factor` says so."""

    def __init__(self, rate: float, clock: Clock, factor: Callable[[], float] = lambda: 1.0) -> None:
        self._rate, self._clock, self._factor = rate, clock, factor
        self._lock, self._next = threading.Lock(), 0.0

    def wait(self, count: float = 1) -> None:
        """Wait for the turn of one call, or of `count` of them; raises Stopped."""
        with self._lock:
            now = self._clock.now()
            turn = max(now, self._next)
            self._next = turn + count / (self._rate * self._factor())
        self._clock.sleep(turn - now)


class Gate:
    """Lets in at most `width` holders at a time, fewer where `factor` says so, but always one.

    Who is in may ask for further connections as long as all together are at most `connections`.
    """

    def __init__(self, width: int, connections: int, clock: Clock, factor: Callable[[], float]) -> None:
        self._width, self._connections, self._clock, self._factor = width, connections, clock, factor
        self._lock, self._inside, self._more = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        while not self._enter():
            self._clock.sleep(0.2)

    def _enter(self) -> bool:
        with self._lock:
            free = self._inside < max(1, int(self._width * self._factor()))
            self._inside += free
            return free

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1

    def more(self) -> bool:
        """Take a further connection if there is one to spare."""
        with self._lock:
            free = self._inside + self._more < self._connections * self._factor()
            self._more += free
            return free

    def less(self) -> None:
        """Give a further connection back."""
        with self._lock:
            self._more -= 1

    @property
    def crowded(self) -> bool:
        """Whether somebody who holds a further connection should give it back."""
        return self._inside + self._more > self._connections * self._factor()


class Throttle(Pace):
    """Bounds the bytes per second of all transfers together; a rate of 0 is no bound."""

    def __init__(self, rate: int, clock: Clock) -> None:
        super().__init__(rate, clock)
        self.block = max(4096, min(READ, rate // 8)) if rate else BLOCK

    def take(self, count: int) -> None:
        """Account for `count` bytes that came and wait until the next may; raises Stopped."""
        if self._rate:
            self.wait(count)


class Pause:
    """One shared standstill: while it lasts nobody opens a request."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock, self._until = clock, threading.Lock(), 0.0

    def begin(self, seconds: float) -> None:
        """Hold everybody back from now on for at least `seconds`."""
        with self._lock:
            self._until = max(self._until, self._clock.now() + seconds)

    def wait(self) -> None:
        """Wait until the standstill is over; raises Stopped."""
        while (left := self._until - self._clock.now()) > 0:
            self._clock.sleep(left)


@dataclass
class Patience:
    """How long one item may still wait for a busy server: five minutes in all."""

    left: float = 300.0
    next_wait: float = 2.0

    def spend(self, busy: Busy) -> float | None:
        """Seconds to wait now (the server's word, else 2 doubling to 64), or None when it is too much."""
        wait = busy.retry_after
        if not wait:
            wait, self.next_wait = min(self.next_wait, self.left), min(64.0, 2 * self.next_wait)
        if wait > self.left or self.left <= 0:
            return None
        self.left -= wait
        return wait


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Seconds named by a `Retry-After` header (a number or a date; `now` is Unix time), None if neither."""
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        date = email.utils.parsedate_tz(text)
        return max(0.0, email.utils.mktime_tz((*date[:9], date[9] or 0)) - now) if date else None
    return None
