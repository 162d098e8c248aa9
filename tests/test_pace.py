"""Limits of speed, waits for busy servers, and hosts that are left alone."""

from __future__ import annotations

import math
import re

import pytest

from civitai_downloader.util.errors import Busy, Failure, Stopped
from civitai_downloader.util.pace import Gate, Health, HostDown, Pace, Patience
from tests.conftest import FakeClock


def test_pace_spaces_calls_and_saves_no_turns_up() -> None:
    clock = FakeClock()
    pace = Pace(0.5, clock)
    for _ in range(3):
        pace.wait()
    assert clock.slept == [0, 2, 2]
    clock.time += 60
    pace.wait()
    pace.wait()
    assert clock.slept[3:] == [0, 2]


def answer(health: Health, good: int, bad: int, host: str = "host") -> None:
    """Note so many good and bad answers."""
    for status in [200] * good + [429] * bad:
        health.note(host, status)


def test_trouble_halves_the_pace_and_quiet_minutes_bring_it_back() -> None:
    clock, said = FakeClock(), list[str]()
    health = Health(clock, said.append)
    answer(health, 0, 9)
    clock.time += 60
    answer(health, 81, 9)
    assert health.factor() == 1
    answer(health, 0, 1)
    assert health.factor() == 0.5
    answer(health, 8, 1)
    assert health.factor() == 0.5
    for _ in range(5):
        answer(health, 8, 2)
    assert health.factor() == 0.125
    factors = []
    for _ in range(8):
        clock.time += 30
        answer(health, 20, 2)
        factors.append(health.factor())
    assert factors == [0.125, 0.125, 0.25, 0.25, 0.5, 0.5, 1, 1]
    assert [re.sub(r"^\S+Z ", "", each) for each in said][:2] == [
        "Pace 50.0%: 10 of the last 91 answers were 429 or 5xx.",
        "Pace 25.0%: 2 of the last 18 answers were 429 or 5xx.",
    ]
    assert len(said) == 6


def test_pace_and_gate_follow_the_factor() -> None:
    clock, factor = FakeClock(), 1.0
    pace = Pace(2, clock, lambda: factor)
    gate = Gate(4, 8, clock, lambda: factor)
    pace.wait()
    factor = 0.125
    pace.wait()
    pace.wait()
    assert clock.slept == [0, 0.5, 4]
    with gate:
        assert not gate._enter()
        assert not gate.take_further()
        factor = 0.5
        assert [gate.take_further() for _ in range(4)] == [True, True, True, False]
        assert not gate.crowded
        factor = 0.25
        assert gate.crowded
        for _ in range(3):
            gate.give_back_further()
        factor = 0.5
        with gate:
            assert not gate._enter()
    factor = 0.01
    with gate:
        assert not gate._enter()
        clock.stop()
        with pytest.raises(Stopped), gate:
            pass
    assert gate._enter()


def dead(health: Health, times: int = 20) -> None:
    """A host that gives no answer."""
    for _ in range(times):
        health.enter("dead", patient=False)
        health.note("dead", 0)


def test_a_dead_host_is_left_alone_while_others_answer() -> None:
    clock, said = FakeClock(), list[str]()
    health = Health(clock, said.append)
    dead(health, 19)
    health.note("dead", 404)
    dead(health)
    clock.time += 1
    health.note("alive", 200)
    health.enter("alive", patient=False)
    with pytest.raises(HostDown, match="dead has failed 20 times in a row") as caught:
        health.enter("dead", patient=False)
    assert caught.value.until == clock.time + 29
    clock.time += 29
    health.enter("dead", patient=False)
    with pytest.raises(HostDown):
        health.enter("dead", patient=False)
    health.note("dead", 503)
    clock.time += 29
    with pytest.raises(HostDown):
        health.enter("dead", patient=False)
    health.enter("dead", patient=True)
    health.note("dead", 200)
    health.enter("dead", patient=False)
    assert sum(clock.slept) == 1
    assert [re.sub(r"^\S+Z ", "", each) for each in said] == [
        "dead has failed 20 times in a row and is left alone for 30 s.", "dead answers again.",
    ]  # fmt: skip


def test_a_host_that_is_dead_for_ten_minutes_is_not_waited_for_any_longer() -> None:
    clock = FakeClock()
    health = Health(clock, lambda _: None)
    dead(health)
    clock.time += 599
    health.enter("dead", patient=False)
    health.note("alive", 200)
    with pytest.raises(HostDown):
        health.enter("dead", patient=False)
    clock.time += 1
    with pytest.raises(Failure, match="long time") as caught:
        health.enter("dead", patient=False)
    assert not isinstance(caught.value, HostDown)


def test_when_nobody_answers_everybody_waits_but_for_one_at_a_time() -> None:
    clock = FakeClock()
    health = Health(clock, lambda _: None)
    dead(health)
    health.enter("dead", patient=False)
    assert sum(clock.slept) == 30
    health.enter("dead", patient=True)
    assert sum(clock.slept) == 60
    health._hosts["dead"].until = math.inf
    with pytest.raises(Failure, match="long time"):
        health.enter("dead", patient=False)
    assert sum(clock.slept) == 3600


def test_throttle_bounds_bytes_per_second() -> None:
    clock = FakeClock()
    throttle = Pace(100_000, clock)
    for _ in range(81):
        throttle.wait(12_500)
    assert sum(clock.slept) == pytest.approx(10.0)


def test_an_infinite_rate_never_waits_but_stops() -> None:
    clock = FakeClock()
    throttle = Pace(math.inf, clock)
    throttle.wait(1 << 40)
    throttle.wait(1 << 40)
    assert sum(clock.slept) == 0
    clock.stop()
    with pytest.raises(Stopped):
        throttle.wait(1)


def test_pause_holds_everybody_for_the_longest_wait_asked_for() -> None:
    clock = FakeClock()
    health = Health(clock, lambda _: None)
    health.enter("host", patient=False)
    assert clock.slept == []
    health.pause(10)
    health.pause(3)
    health.enter("host", patient=False)
    assert sum(clock.slept) == 10
    health.enter("other", patient=True)
    assert sum(clock.slept) == 10


def test_a_pause_that_grows_while_one_waits_is_waited_for() -> None:
    class Growing(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                health.pause(7)

    clock = Growing()
    health = Health(clock, lambda _: None)
    health.pause(5)
    health.enter("host", patient=False)
    assert clock.slept == [5, 7]


def spend(patience: Patience, retry_after: float | None) -> float:
    """What patience says to a busy server that named these seconds."""
    return patience.spend(Busy("busy", retry_after))


def test_patience_doubles_its_waits_up_to_64_seconds_and_ends_after_five_minutes() -> None:
    patience = Patience()
    waits = [spend(patience, None) for _ in range(10)]
    assert waits == [2, 4, 8, 16, 32, 64, 64, 64, 46, 0]


@pytest.mark.parametrize(
    ("named", "waits"),
    [(100.0, [100, 100, 100, 0]), (300.0, [300, 0]), (301.0, [0]), (float("inf"), [0]),
     (0.0, [2, 4, 8, 16])],
)  # fmt: skip
def test_patience_follows_the_server(named: float, waits: list[float]) -> None:
    patience = Patience()
    assert [spend(patience, named) for _ in waits] == waits
