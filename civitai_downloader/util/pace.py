"""Politeness: how fast to ask, when to wait, and which hosts to leave alone. Times are in seconds."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .clock import Clock, utc_now
from .errors import Busy, Failure, Sentence, Unreachable
from .pauses import Pause

OUTAGE = 600.0


# --- The state of the servers ----------------------------------------------------------------------


class HostDown(Failure):
    """A host has failed many times in a row and is left alone until the clock says `until`, while others answer."""

    def __init__(self, host: str, until: float) -> None:
        words = "{host} has failed {count} times in a row and is not asked again for a while; run again later."
        super().__init__("unreachable", words, host=host, count=Health.PATIENCE)
        self.host, self.until = host, until


@dataclass
class _HostState:
    """The failures of one host in a row, since when, until when it is left alone, and when it last answered well.

    `answers` counts everything that came from it, `unconnected` has a sentence for each connection that failed.
    """

    failures: int = 0
    since: float = 0.0
    until: float = 0.0
    good: float = -math.inf
    answers: int = 0
    unconnected: list[str] = field(default_factory=list)


class Health:
    """How well the servers answer, and what follows: the share of the full pace, and when a host may be asked.

    If more than a tenth of the answers within a minute are 429 or 5xx, the share is halved, down to an eighth; a
    minute with fewer doubles it again. While a pause lasts nobody sends a request. A host that fails twenty times in a
    row (no answer, 5xx) is left alone for 30 seconds, then a single request tries it. While no host at all has answered
    since the beginning, there is no network, and one to which two connections failed is not asked again.
    """

    MINUTE, FEWEST, LEAST = 60.0, 10, 0.125
    PATIENCE, REST = 20, 30.0
    ROUNDS = 2

    def __init__(self, clock: Clock, log: Callable[[str], None], pause: Pause | None = None) -> None:
        """Without `pause` one of this process alone is kept."""
        self._clock, self._log, self._lock = clock, log, threading.Lock()
        self._factor, self._minute = 1.0, clock.now()
        self._answers = self._troubles = 0  # since the minute began
        self._pause = pause or Pause(clock)
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
            self._review(now)
            self._answers += status > 0
            state.answers += status > 0
            self._troubles += status == 429 or status >= 500
            if 0 < status < 500:
                if state.failures >= self.PATIENCE:
                    self._say(Sentence("{host} answers again.", host=host))
                state.failures, state.good = 0, now
                return
            state.failures += 1
            if state.failures == 1:
                state.since = now
            if state.failures == self.PATIENCE:
                self._say(
                    Sentence(
                        "{host} has failed {count} times in a row and is left alone for {seconds:.0f} s.",
                        host=host, count=state.failures, seconds=self.REST,
                    )
                )  # fmt: skip
            state.until = now + self.REST

    def note_unconnected(self, host: str, sentence: str) -> None:
        """Count a connection that could not be made; the sentence says so."""
        with self._lock:
            self._hosts.setdefault(host, _HostState()).unconnected.append(sentence)

    def check_network(self, host: str) -> None:
        """Raise Failure if no host has answered so far, and two connections to this one have failed."""
        with self._lock:
            troubles = self._hosts.setdefault(host, _HostState()).unconnected
            if len(troubles) < self.ROUNDS or any(each.answers for each in self._hosts.values()):
                return
        raise Failure("offline", troubles[-1])

    def pause(self, seconds: float) -> None:
        """Begin a pause of so many seconds for everybody, or extend the present one."""
        self._pause.begin(seconds)

    def enter(self, host: str, *, patient: bool) -> bool:
        """Wait, before a request, until the host may be asked and the pause is over. Raises Failure and Stopped.

        It waits up to an hour for a host that is left alone. Without `patient` it raises HostDown at once if other
        hosts answer in the meantime, so that these need not wait. If none does, the network is down, and everybody
        waits until it is back. It returns whether there was a pause.
        """
        self.check_network(host)
        while left := self._left(host, patient=patient):
            self._clock.sleep(min(5.0, left))
        return self.rest()

    def rest(self) -> bool:
        """Wait until the pause is over, and return whether there was one. Raises Stopped."""
        return self._pause.wait()

    def _left(self, host: str, *, patient: bool) -> float:
        """Return how long a host is left alone, 0 if it may be asked: when the time has come, one request tries."""
        with self._lock:
            now, state = self._clock.now(), self._hosts.get(host)
            if state is not None and now - state.until > OUTAGE:  # nobody has asked it for so long
                state.failures = 0
            if state is None or state.failures < self.PATIENCE:
                return 0.0
            if now >= state.until:
                state.until = now + self.REST
                return 0.0
            alone = not patient and any(each.good > state.since for each in self._hosts.values() if each is not state)
            if now - state.since >= (OUTAGE if alone else 6 * OUTAGE):
                raise Failure(
                    "unreachable", "{host} has not been reachable for a long time; run again later.", host=host
                )
            if alone:
                raise HostDown(host, state.until)
            return state.until - now

    def _review(self, now: float) -> None:
        """Change the share if the answers call for it, and begin a new minute then, or when one is over."""
        bad, factor = 10 * self._troubles > self._answers, self._factor
        if bad and self._answers >= self.FEWEST:
            factor = max(self.LEAST, factor / 2)
        elif now - self._minute < self.MINUTE:
            return
        elif not bad:
            factor = min(1.0, 2 * factor)
        if factor != self._factor:
            words = "Pace {share:.1%}: {bad} of the last {count} answers were 429 or 5xx."
            self._say(Sentence(words, share=factor, bad=self._troubles, count=self._answers))
        self._factor, self._minute, self._answers, self._troubles = factor, now, 0, 0

    def _say(self, sentence: Sentence) -> None:
        self._log(Sentence("{time} {what}", time=utc_now(), what=sentence))


# --- Our own limits --------------------------------------------------------------------------------


class Pace:
    """Spaces the calls, or the bytes, of all threads: at most `rate` a second, fewer where `factor` says so.

    The first turn comes after `first` seconds, by which several processes that begin together keep out of step.
    """

    def __init__(
        self, rate: float, clock: Clock, factor: Callable[[], float] = lambda: 1.0, *, first: float = 0.0
    ) -> None:
        self.rate, self._clock, self._factor, self._first = rate, clock, factor, first
        self._lock, self._next, self._begins = threading.Lock(), 0.0, True

    def wait(self, count: float = 1) -> None:
        """Wait for the turn of one call, or of `count` calls or bytes at once. Raises Stopped."""
        with self._lock:
            now = self._clock.now()
            turn = max(now + self._first if self._begins else now, self._next)
            self._begins = False
            self._next = turn + count / (self.rate * self._factor())
        self._clock.sleep(turn - now)

    def begin_anew(self) -> None:
        """Let the next turn be a first one again, as when something that held up all processes is over."""
        self._begins = True


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


# --- A busy server ---------------------------------------------------------------------------------


@dataclass
class Patience:
    """How many seconds one item may still wait for a busy server (`left`), and how many the next time."""

    left: float = 300.0
    next_wait: float = 2.0

    def spend(self, busy: Busy) -> float:
        """Return the seconds to wait: those the server named, else 2, doubling up to 64. 0 if too many."""
        wait = busy.retry_after
        if not wait:
            wait, self.next_wait = min(self.next_wait, self.left), min(64.0, 2 * self.next_wait)
        if wait > self.left:
            return 0.0
        self.left -= wait
        return wait


class Surrender:
    """Gives up on what stays busy: after three items in a row that waited in vain, the next ones fail at once."""

    TRIES = 3

    def __init__(self) -> None:
        self._in_vain = Counter[str]()

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        """Watch one item's request; `what` is asked: an interface or a host, "" for what is watched elsewhere."""
        if what and self._in_vain[what] >= self.TRIES:
            raise Failure(
                "busy", "{host} stayed busy for {count} items in a row; run again later.", host=what, count=self.TRIES
            )
        try:
            yield
        except Busy:
            self._in_vain[what] += 1
            raise
        except Unreachable:
            raise
        except Failure:
            self._in_vain[what] = 0
            raise
        self._in_vain[what] = 0
