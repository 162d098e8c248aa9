"""Who has to wait, by a clock that is set, by a computer that sleeps, and by the room on several disks."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from civitai_downloader.__main__ import main
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import Stopped
from civitai_downloader.util.hours import ALWAYS, Hours
from civitai_downloader.util.pace import OUTAGE, Health
from civitai_downloader.util.rests import Rest, Rests
from tests.conftest import FakeClock, QuickClock, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured, add_file, landed, link, ranges

NIGHT = Hours.of(["22:00-6:00"])
EVENING = time.mktime((2026, 11, 26, 22, 0, 0, 0, 0, -1))
HERE = Path.cwd()


class SetClock(FakeClock):
    """A clock that moves when somebody sleeps; `ahead` is what the clock on the wall shows besides.

    `sleeping(seconds)` is called in each sleep and returns how long the computer sleeps as well, which the clock that
    never goes back does not count.
    """

    def __init__(self, shows: float) -> None:
        super().__init__()
        self.ahead = shows - self.time
        self.sleeping: Callable[[float], float] = lambda seconds: 0.0

    def wall(self) -> float:
        return self.time + self.ahead

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.ahead += self.sleeping(seconds)


def night(shows: float, grace: float = 30.0) -> tuple[SetClock, Rests]:
    clock = SetClock(shows)
    return clock, Rests(clock, NIGHT, grace=grace)


# --- Hours ---------------------------------------------------------------------------------------


def test_who_waits_goes_on_to_the_second() -> None:
    clock, rests = night(EVENING - 95.5)
    rests.wait()
    assert clock.wall() == pytest.approx(EVENING)
    assert max(clock.slept) == Rests.LOOK


def test_a_clock_that_is_set_forward_opens_at_once() -> None:
    clock, rests = night(EVENING - 4 * 3600)
    clock.sleeping = lambda seconds: 4 * 3600 if len(clock.slept) == 3 else 0
    rests.wait()
    assert sum(clock.slept) <= 3 * Rests.LOOK


def test_a_clock_that_is_set_back_closes_again() -> None:
    clock, rests = night(EVENING)
    assert not rests.until(HERE)
    clock.ahead -= 600
    assert rests.until(HERE) == clock.now() + Rests.LOOK
    rests.wait()
    assert clock.wall() == pytest.approx(EVENING)


def test_a_computer_that_slept_looks_again_when_it_wakes() -> None:
    clock, rests = night(EVENING - 7 * 3600)
    clock.sleeping = lambda seconds: 9 * 3600 if len(clock.slept) == 5 else 0
    rests.wait()
    assert clock.wall() == pytest.approx(EVENING + 2 * 3600, abs=60)


def test_a_transfer_has_the_timeout_after_the_end_also_on_a_computer_that_slept() -> None:
    clock, rests = night(EVENING)
    assert not rests.overdue(HERE)
    clock.ahead += 12 * 3600
    assert not rests.overdue(HERE)
    assert rests.until(HERE)
    clock.sleep(29)
    assert not rests.overdue(HERE)
    clock.sleep(1)
    assert rests.overdue(HERE) == clock.now() + Rests.LOOK
    clock.ahead -= 12 * 3600
    assert not rests.overdue(HERE)


def test_only_what_somebody_waits_for_is_told() -> None:
    clock, rests = night(EVENING - 3600)
    assert rests.current() is None
    assert rests.until(HERE)
    assert rests.current() == Rest("between", moment=EVENING)
    clock.ahead += 3600
    assert rests.current() is None


def test_whoever_stops_does_not_wait_any_longer() -> None:
    class Noon(Clock):
        def wall(self) -> float:
            return EVENING - 10 * 3600

    clock, ended = Noon(), list[float]()

    def wait() -> None:
        try:
            Rests(clock, NIGHT).wait()
        except Stopped:
            ended.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.05)
    clock.stop()
    waiting.join(20)
    assert ended


def test_a_host_that_failed_before_the_rest_gets_all_of_its_tries_after_it() -> None:
    clock = FakeClock()
    health = Health(clock, lambda sentence: None)
    health.note("other", 200)
    for _ in range(Health.PATIENCE):
        health.note("host", 500)
    clock.time += 16 * 3600
    health.enter("host", patient=False)
    health.note("host", 500)
    health.enter("host", patient=False)
    clock.time += OUTAGE / 2
    for _ in range(Health.PATIENCE - 2):
        health.note("host", 500)
        health.enter("host", patient=False)


# --- Room ----------------------------------------------------------------------------------------


@dataclass
class Room:
    """Stands in for the disk: so much is free in each folder, `elsewhere` in all others; `looks` has when it is asked.

    `changing` is called at each look.
    """

    clock: Clock
    elsewhere: int
    free: dict[Path, int] = field(default_factory=dict)
    looks: list[float] = field(default_factory=list)
    changing: Callable[[int], object] = lambda number: None

    def usage(self, path: Path) -> shutil._ntuple_diskusage:
        self.looks.append(self.clock.now())
        self.changing(len(self.looks))
        free = next((free for folder, free in self.free.items() if Path(path).is_relative_to(folder)), self.elsewhere)
        return shutil._ntuple_diskusage(1 << 40, (1 << 40) - free, free)


@pytest.fixture
def disk_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Clock, int], Room]:
    """Return `disk_of(clock, free)`, which puts a stand-in in the place of all disks."""

    def stand_in(clock: Clock, free: int) -> Room:
        room = Room(clock, free)
        monkeypatch.setattr(shutil, "disk_usage", room.usage)
        return room

    return stand_in


Disks = Callable[[Clock, int], Room]


def test_a_disk_is_looked_at_once_a_second_at_most(disk_of: Disks) -> None:
    clock = FakeClock()
    room, rests = disk_of(clock, 5 << 30), Rests(clock, ALWAYS, least=1 << 30)
    for _ in range(100):
        assert not rests.overdue(HERE)
        clock.time += 0.1
    assert len(room.looks) == pytest.approx(10, abs=1)


def test_below_the_size_nothing_begins_and_what_is_under_way_is_put_off(disk_of: Disks) -> None:
    clock = FakeClock()
    room, rests = disk_of(clock, (1 << 30) - 1), Rests(clock, ALWAYS, grace=30, least=1 << 30)
    assert rests.until(HERE) == rests.overdue(HERE) == clock.now() + Rests.LOOK
    assert rests.current() == Rest("rest-below", size=1 << 30)
    room.elsewhere += 1
    clock.time += Rests.LOOK
    assert not rests.until(HERE)
    assert rests.current() is None


def test_a_disk_without_a_size_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 0))
    assert not Rests(FakeClock(), ALWAYS, least=1).until(HERE)


def brought(site: FakeCivitai, out: Path, clock: QuickClock, *words: str) -> int:
    base = ["--site", site.url, "-o", str(out), "--lang", "en", "--max-rate-model", "1000", "--only", "models"]
    return main([*base, *words], clock)


def test_files_wait_for_room_and_pages_do_not(site: FakeCivitai, out: Path, disk_of: Disks, capsys: Captured) -> None:
    file, clock = add_file(site), QuickClock()
    room = disk_of(clock, 5_000_000)
    began = clock.now()

    def free_some(number: int) -> None:
        """Look what is there, and empty the disk after a minute."""
        assert not ranges(site) or room.elsewhere > 10_000_000
        if clock.now() - began > 60:
            assert one_file(out, "model.json")
            room.elsewhere = 20_000_000

    room.changing = free_some
    assert brought(site, out, clock, "--rest-below", "10MB", link(site)) == 0
    assert landed(out, file)
    assert max(after - before for before, after in zip(room.looks, room.looks[1:], strict=False)) <= 10
    said = capsys.readouterr().err
    assert "Waiting until the disk has 9.5 MB free (--rest-below)." in said
    assert "Going on." in said


def test_a_disk_that_fills_and_empties_gets_each_byte_once(site: FakeCivitai, out: Path, disk_of: Disks) -> None:
    file, clock = add_file(site, size=600_000), QuickClock()
    room = disk_of(clock, 20_000_000)
    held: list[int] = []

    def change(number: int) -> None:
        """Let the disk fill up at the fifth look, and empty it three looks later."""
        if number == 5:
            room.elsewhere = 5_000_000
        if number == 8:
            held.append(one_file(out, "*.part").stat().st_size)
            room.elsewhere = 20_000_000

    room.changing = change
    words = ("--rest-below", "10MB", "--limit-rate", "10000", "--retries", "0")
    assert brought(site, out, clock, *words, link(site)) == 0
    assert landed(out, file)
    first, second = ranges(site)
    assert (first, second) == ("", f"bytes={held[0]}-")
    assert 0 < held[0] < 600_000


def test_a_full_disk_holds_up_no_other(site: FakeCivitai, out: Path, disk_of: Disks, tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second disk")
    with tempfile.TemporaryDirectory(dir=shared) as other:
        for number in range(12):
            site.world.add_model(f"Lantern {number}").add_version().add_file(f"lantern_{number}.safetensors")
        clock = QuickClock()
        room = disk_of(clock, 5_000_000)
        room.free[Path(other)] = 20_000_000

        def free_some(number: int) -> None:
            """Empty the full disk once everything has come to the other one."""
            if len(files_under(Path(other), "*.safetensors")) == 6:
                assert not files_under(out, "*.safetensors") or room.elsewhere > 10_000_000
                room.elsewhere = 20_000_000

        room.changing = free_some
        numbers = list(site.world.models)
        lines = [*map(str, numbers[:6]), *(f'{number} -o "{other}"' for number in numbers[6:])]
        (tmp_path / "models.txt").write_text("\n".join(lines), "utf-8")
        assert brought(site, out, clock, "--rest-below", "10MB", "models.txt") == 0
        assert len(files_under(out, "*.safetensors")) == len(files_under(Path(other), "*.safetensors")) == 6
