"""When further connections start, and that they end together, on a clock that stands still."""

from __future__ import annotations

import itertools
import threading

import pytest

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.connections import FurtherConnections
from civitai_downloader.util.errors import Unreachable
from civitai_downloader.util.pace import Gate
from civitai_downloader.util.ranges import ByteRange, Ranges


class StillClock(Clock):
    """Stands still but where the test moves it."""

    moment = 0.0

    def now(self) -> float:
        return self.moment


class Crowd:
    """The further connections of a body of 256 MiB; `held` are the stretches they were given and hold until the end.

    `factor` is the share of 8 connections that the gate allows; the first connection has one of them.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self.clock, self.factor, self.end = StillClock(), factor, threading.Event()
        self.ranges, self.held = Ranges((), 256 << 20), list[ByteRange]()
        self.prepared = 0
        self.gate = Gate(4, 8, self.clock, lambda: self.factor)
        self.further = FurtherConnections(self.ranges, self.gate, self.clock, self.receive)
        self.first = self.ranges.take()

    def receive(self, stretch: ByteRange) -> None:
        self.held.append(stretch)
        self.end.wait()
        if self.further.dismissed:
            raise Unreachable("dismissed")

    def prepare(self) -> None:
        assert not self.held or self.ranges.shared
        self.prepared += 1

    def go_on(self, seconds: float, speed: int, left: int | None = None) -> int:
        """Let the first connection bring bytes; the further connections there are then."""
        assert self.first is not None
        self.clock.moment += seconds
        self.ranges.advance(self.first, int(seconds * speed))
        self.further.review((256 << 20) - self.ranges.here if left is None else left, self.prepare)
        return len(self.further._threads)

    def __enter__(self) -> Crowd:
        self.gate.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.further.dismissed = True
        self.end.set()
        self.further.dismiss()
        self.gate.__exit__()


@pytest.mark.parametrize(
    ("speed", "factor", "left", "hired"),
    [
        (10 << 20, 1.0, None, 7),
        (10 << 20, 3 / 8, None, 2),
        (10 << 20, 1 / 8, None, 0),
        (39 << 20, 1.0, None, 7),
        (41 << 20, 1.0, None, 0),
        (10 << 20, 1.0, 29 << 20, 0),
        (10 << 20, 1.0, 31 << 20, 7),
        (1000, 1.0, 1 << 20, 7),
    ],
)
def test_further_connections_start_where_they_pay(speed: int, factor: float, left: int | None, hired: int) -> None:
    with Crowd(factor) as crowd:
        crowd.clock.moment += 5  # until the answer came
        crowd.further.answered()
        assert crowd.go_on(0.4, speed, left) == 0
        assert crowd.go_on(0.2, speed, left) == hired
        assert crowd.ranges.shared == bool(hired)
        assert crowd.prepared == bool(hired)


def test_a_connection_that_becomes_free_is_used_later() -> None:
    with Crowd(3 / 8) as crowd:
        assert crowd.go_on(0.6, 1 << 20) == 2
        assert crowd.go_on(0.1, 1 << 20) == 2
        crowd.factor = 1.0
        assert crowd.go_on(0.1, 1 << 20) == 2
        assert crowd.go_on(0.5, 1 << 20) == 7
    starts = sorted(each.at for each in crowd.held)
    assert [after - before for before, after in itertools.pairwise(starts)] == [16 << 20] * 6


def test_while_there_are_further_connections_an_answer_does_not_put_off_the_next_look() -> None:
    with Crowd(3 / 8) as crowd:
        assert crowd.go_on(0.6, 1 << 20) == 2
        crowd.factor = 1.0
        assert crowd.go_on(0.4, 1 << 20) == 2
        crowd.further.answered()
        assert crowd.go_on(0.2, 1 << 20) == 7


def test_dismissing_waits_until_the_gate_has_every_connection_back() -> None:
    with Crowd() as crowd:
        assert crowd.go_on(0.6, 1 << 20) == 7
        assert not crowd.gate.take_further()
        threading.Timer(0.05, crowd.end.set).start()
        crowd.further.dismiss()
        assert not any(thread.is_alive() for thread in crowd.further._threads)
        assert [crowd.gate.take_further() for _ in range(8)] == [True] * 7 + [False]
        assert crowd.go_on(0.6, 1 << 20) <= 7
        assert not crowd.ranges.shared


def test_trouble_ends_sharing_for_good() -> None:
    with Crowd() as crowd:
        crowd.further.dismissed = True  # so that each of them meets trouble
        assert crowd.go_on(0.6, 1 << 20) == 7
        crowd.end.set()
        for thread in crowd.further._threads:
            thread.join()
        assert crowd.further.trouble is None
        assert not crowd.ranges.shared
        assert crowd.go_on(5, 1 << 10) == 7
        assert crowd.prepared == 1
