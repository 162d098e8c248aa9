"""Politeness: how fast to ask, when to wait, and which hosts to leave alone. Times are in seconds."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .clock import Clock, utc_now
from .errors import Busy, Failure
from .files import READ

OUTAGE = 600.0


# --- The state of the servers ----------------------------------------------------------------------


class HostDown(Failure):
    """A host has failed many times in a row and is left alone until the clock says `until`, while others answer."""

    def __init__(self, host: str, until: float) -> None:
        words = f"{host} has failed {Health.PATIENCE} times in a row and is left alone for a while; run again later."
        super().__init__("unreachable", words)
        self.host, self.until = host, until


@dataclass
class _HostState:
    """The failures of one host in a row, since when, until when it is left alone, and when it last answered well."""

    failures: int = 0
    since: float = 0.0
    until: float = 0.0
    good: float = -math.inf


class Health:
    """How well the servers answer, and what follows: the share of the full pace, and which hosts get a rest.

    If more than a tenth of the answers of the last minute are 429 or 5xx, the share is halved, down to an eighth; a
    minute with fewer doubles it again. A host that fails twenty times in a row (no answer, 5xx) is left alone for 30
    seconds, then a single request tries it.
    """

    MINUTE, FEWEST, LEAST = 60.0, 10, 0.125
    PATIENCE, REST = 20, 30.0

    def __init__(self, clock: Clock, log: Callable[[str], None]) -> None:
        self._clock, self._log, self._lock = clock, log, threading.Lock()
        self._factor, self._changed = 1.0, clock.now()
        self._answers: deque[float] = deque()
        self._troubles: deque[float] = deque()
        self._hosts: dict[str, _HostState] = {}

    def factor(self) -> float:
        """Return the share of the full pace, from an eighth to 1."""
        with self._lock:
            self._review(self._clock.now())
            return self._factor

    def note(self, host: str, status: int) -> None:
        """Count an answer of a host by its status, 0 if none came."""
        with self._lock:
            now, state = self._clock.now(), self._hosts.setdefault(host, _HostState())
            if status:
                self._answers.append(now)
            if status == 429 or status >= 500:
                self._troubles.append(now)
            self._review(now)
            if 0 < status < 500:
                if state.failures >= self.PATIENCE:
                    self._say(f"{host} answers again.")
                state.failures, state.good = 0, now
                return
            state.failures += 1
            if state.failures == 1:
                state.since = now
            if state.failures == self.PATIENCE:
                self._say(f"{host} has failed {state.failures} times in a row and is left alone for {self.REST:.0f} s.")
            state.until = now + self.REST

    def enter(self, host: str, *, patient: bool) -> None:
        """Wait, before a request, while the host is left alone: for an hour in all. Raises Failure and Stopped.

        Without `patient` it raises HostDown at once if other hosts answer in the meantime, so that these need not wait.
        If none does, the network is down, and everybody waits until it is back.
        """
        while left := self._left(host, patient=patient):
            self._clock.sleep(min(5.0, left))

    def _left(self, host: str, *, patient: bool) -> float:
        """Return how long this request has to wait, 0 if it may go out: when the time has come, one request tries."""
        with self._lock:
            now, state = self._clock.now(), self._hosts.get(host)
            if state is None or state.failures < self.PATIENCE:
                return 0.0
            if now >= state.until:
                state.until = now + self.REST
                return 0.0
            alone = not patient and any(each.good > state.since for each in self._hosts.values() if each is not state)
            if now - state.since >= (OUTAGE if alone else 6 * OUTAGE):
                raise Failure("unreachable", f"{host} has not been reachable for a long time; run again later.")
            if alone:
                raise HostDown(host, state.until)
            return state.until - now

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


# --- Our own limits --------------------------------------------------------------------------------


class Pace:
    """Spaces calls of all threads: at most `rate` a second, fewer where `factor` says so."""

    def __init__(self, rate: float, clock: Clock, factor: Callable[[], float] = lambda: 1.0) -> None:
        self._rate, self._clock, self._factor = rate, clock, factor
        self._lock, self._next = threading.Lock(), 0.0

    def wait(self, count: float = 1) -> None:
        """Wait for the turn of one call, or of `count` calls at once. Raises Stopped."""
        with self._lock:
            now = self._clock.now()
            turn = max(now, self._next)
            self._next = turn + count / (self._rate * self._factor())
        self._clock.sleep(turn - now)


class Gate:
    """Lets in at most `width` transfers at a time, fewer where `factor` says so, but always one.

    A transfer that is in may take further connections as long as all together have at most `connections`.
    """

    def __init__(self, width: int, connections: int, clock: Clock, factor: Callable[[], float]) -> None:
        self._width, self._connections, self._clock, self._factor = width, connections, clock, factor
        self._lock, self._inside, self._further = threading.Lock(), 0, 0

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

    def take_further(self) -> bool:
        """Take a further connection if there is one to spare; return whether there was."""
        with self._lock:
            free = self._inside + self._further < self._connections * self._factor()
            self._further += free
            return free

    def give_back_further(self) -> None:
        """Give back a further connection."""
        with self._lock:
            self._further -= 1

    @property
    def crowded(self) -> bool:
        """Whether there are too many connections, so that a further one should be given back."""
        return self._inside + self._further > self._connections * self._factor()


class Throttle(Pace):
    """Limits the bytes per second of all transfers together; 0 means no limit. `block` is how much to read."""

    def __init__(self, rate: int, clock: Clock) -> None:
        super().__init__(rate, clock)
        self.block = max(4096, min(READ, rate // 8)) if rate else READ

    def take(self, count: int) -> None:
        """Count bytes that have come, and wait until the next may come. Raises Stopped."""
        if self._rate:
            self.wait(count)


# --- A busy server ---------------------------------------------------------------------------------


class Pause:
    """A pause for all threads: while it lasts nobody sends a request."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock, self._until = clock, threading.Lock(), 0.0

    def begin(self, seconds: float) -> None:
        """Begin a pause of so many seconds, or extend the present one."""
        with self._lock:
            self._until = max(self._until, self._clock.now() + seconds)

    def wait(self) -> None:
        """Wait until the pause is over. Raises Stopped."""
        while (left := self._until - self._clock.now()) > 0:
            self._clock.sleep(left)


@dataclass
class Patience:
    """How many seconds one item may still wait for a busy server (`left`), and how many the next time."""

    left: float = 300.0
    next_wait: float = 2.0

    def spend(self, busy: Busy) -> float | None:
        """Return the seconds to wait: those the server named, else 2, doubling up to 64. None if too many."""
        wait = busy.retry_after
        if not wait:
            wait, self.next_wait = min(self.next_wait, self.left), min(64.0, 2 * self.next_wait)
        if wait > self.left or self.left <= 0:
            return None
        self.left -= wait
        return wait
