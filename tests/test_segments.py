"""Big files by several connections: when they pay, when not, and what happens when one of them fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.pace import Gate
from civitai_downloader.util.ranges import ByteRange, Ranges
from civitai_downloader.util.transfer import FurtherConnections
from tests import fake_civitai as fake
from tests.conftest import Runner, State, one_file

SIZE = 4 << 20
RATE = 6e6


class Capped(fake.FakeCivitai):
    """Gives each connection so many bytes a second; `trouble` strikes further connections by their number."""

    def __init__(self, rate: float = RATE) -> None:
        super().__init__(fake.World())
        self.calm: fake.Action = fake.Trickle(rate)
        self.trouble: Callable[[int], fake.Action | None] = lambda number: None
        self.number = 0

    def strike(self, call: fake.Call) -> fake.Fault:
        if call.host != "storage":
            return fake.NO_FAULT
        with self._lock:
            further = "range" in call.headers
            self.number += further
            trouble = self.trouble(self.number) if further else None
        return fake.Fault("", (trouble, self.calm) if trouble else (self.calm,), None)


@pytest.fixture
def site() -> Iterator[Capped]:
    site = Capped()
    with site:
        yield site


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ranges, "PIECE", 1 << 19)
    monkeypatch.setattr(Ranges, "SMALL", 1 << 16)
    monkeypatch.setattr(FurtherConnections, "WORTH", 0.2)


def add_file(site: fake.FakeCivitai, size: int = SIZE, *, hashed: bool = True) -> fake.FakeFile:
    return site.world.add_model("Big").add_version().add_file("big.safetensors", size=size, hashed=hashed)


def bring(site: fake.FakeCivitai, run: Runner, *words: str) -> int:
    return run("--only", "models", *words, lines=[f"{site.url}/models/{next(iter(site.world.models))}"])


def is_whole(out: Path, file: fake.FakeFile) -> bool:
    parts = [*out.rglob("*.part*"), *(out / "corrupted").glob("*")]
    return one_file(out, file.name).read_bytes() == file.data and not parts


def further(site: fake.FakeCivitai) -> list[str]:
    return [seen.headers["range"] for seen in site.seen("storage") if "range" in seen.headers]


def test_a_capped_connection_gets_help(site: Capped, run: Runner, out: Path, state: State) -> None:
    file = add_file(site, 3 * SIZE)
    begun = time.monotonic()
    assert bring(site, run) == 0
    assert time.monotonic() - begun < 2 * len(file.data) / RATE
    assert is_whole(out, file)
    assert len(further(site)) >= 5
    assert {seen.headers["if-range"] for seen in site.seen("storage") if "range" in seen.headers} == {file.body.etag}
    assert [line["size"] for line in state().values() if line["type"] == "model"] == [len(file.data)]
    assert json.loads((out / "report.json").read_bytes())["bytes_received"] < 1.1 * len(file.data)


@pytest.mark.parametrize(
    "words", [("--connections", "1"), ("--limit-rate", "6M"), ("--no-verify",)], ids=lambda words: str(words[0])
)
def test_one_connection_it_is(site: Capped, run: Runner, out: Path, words: tuple[str, ...]) -> None:
    file = add_file(site)
    assert bring(site, run, *words) == 0
    assert is_whole(out, file)
    assert not further(site)


def test_without_a_published_hash_nothing_is_spliced(site: Capped, run: Runner, out: Path) -> None:
    file = add_file(site, hashed=False)
    assert bring(site, run) == 0
    assert is_whole(out, file)
    assert not further(site)


class StillClock(Clock):
    """Stands still but where the test moves it."""

    moment = 0.0

    def now(self) -> float:
        return self.moment


@pytest.mark.parametrize("trip", [0.0, 0.01, 0.3])
@pytest.mark.parametrize(
    ("alone", "together", "spare", "hired"),
    [(10 << 20, 20 << 20, 8, 7), (10 << 20, 20 << 20, 3, 2), (10 << 20, 11 << 20, 8, 1), (1200 << 20, 0, 8, 0),
     (0, 0, 8, 0), (10 << 20, 20 << 20, 1, 0)],
)  # fmt: skip
def test_help_is_tried_and_called_where_it_pays(alone: int, together: int, spare: int, hired: int, trip: float) -> None:
    """`alone` and `together` are bytes a second, `trip` the seconds until an answer comes; a body of 256 MiB."""
    clock, ranges, end = StillClock(), Ranges((), 256 << 20), threading.Event()
    gate, called = Gate(4, spare, clock, lambda: 1.0), list[ByteRange]()
    with gate:
        lead = ranges.take()
        assert lead is not None

        def bring(stretch: ByteRange) -> None:
            called.append(stretch)
            crew.answered(stretch, trip)
            end.wait()
            ranges.advance(stretch, 1 << 40)

        crew = FurtherConnections(ranges, gate, clock, bring)
        crew.answered(lead, trip)
        for speed in (alone, together):
            for seconds, part in ((2 * trip, 0.1), (max(0.06, trip), 1.0)):  # at first it gathers speed
                clock.moment += seconds
                ranges.advance(lead, int(part * seconds * speed))
                crew.review((256 << 20) - ranges.here, lambda: None)
            time.sleep(0.1)
        assert len(called) == hired
        assert ranges.shared == (hired > 1)
        end.set()
        crew.dismiss()


@pytest.mark.parametrize(
    "trouble",
    [
        fake.busy(429, 60),
        fake.busy(503),
        fake.Status(403),
        fake.Cut(1000),
        fake.Reset(70_000),
        fake.IgnoreRange(),
        fake.Changed(),
        fake.IgnoreIfRange(),
        fake.WrongStart(),
        fake.WrongTotal(),
        fake.NoContentRange(),
        fake.MultipartRanges(),
        fake.Always416(),
        fake.HTML_PAGE,
        fake.GARBAGE,
        fake.Gzip(),
        fake.EMPTY,
    ],
    ids=repr,
)
def test_a_trial_that_fails_leaves_no_hole(site: Capped, run: Runner, out: Path, trouble: fake.Action) -> None:
    site.trouble = lambda number: trouble if number == 1 else None
    file = add_file(site, SIZE // 2)
    assert bring(site, run) == 0
    assert is_whole(out, file)
    assert sum(run.clock.slept) < 60  # the file does not wait for the one that was told to


@pytest.mark.parametrize("trouble", [fake.busy(429, 60), fake.Cut(1000), fake.Changed(), fake.Stall(1000, 9)], ids=repr)
def test_a_further_connection_that_fails_leaves_no_hole(
    site: Capped, run: Runner, out: Path, trouble: fake.Action
) -> None:
    site.trouble = lambda number: trouble if number == 4 else None
    file = add_file(site)
    assert bring(site, run) == 0
    assert is_whole(out, file)


def test_wrong_bytes_by_a_further_connection_are_found_and_fetched_by_one(site: Capped, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.trouble = lambda number: fake.FlipBit(SIZE - 5)
    assert bring(site, run) == 0
    assert is_whole(out, file)
    assert [seen for seen in site.seen("storage") if "range" not in seen.headers][1:]


def test_an_object_that_changes_meanwhile_is_never_spliced(site: Capped, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.trouble = lambda number: fake.IgnoreIfRange() if number >= 2 else None
    assert bring(site, run) == 1
    assert not list(out.rglob(file.name))


@pytest.mark.skipif(os.name == "nt", reason="the size that a file takes on the disk is not told there")
def test_stops_in_the_middle_lose_at_most_a_mebibyte_a_connection(tmp_path: Path) -> None:
    """With the real sizes and the real command."""
    site = Capped(5e6)
    with site:
        file = add_file(site, 64 << 20)
        out = tmp_path / "out"
        words = ["--site", site.url, "-o", str(out), "--only", "models", f"{site.url}/models/10001"]
        lost = []
        for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
            process = subprocess.Popen(
                [sys.executable, "-m", "civitai_downloader", "-q", *words], cwd=Path(__file__).parents[1]
            )
            before = noted(out)
            while process.poll() is None and noted(out) < before + (9 << 20):
                time.sleep(0.05)
            process.send_signal(how)
            process.wait()
            part = one_file(out, "*.part")
            assert part.stat().st_size <= 64 << 20
            lost.append(part.stat().st_blocks * 512 - noted(out))
        kept = noted(out)
        site.calm = fake.Action()
        assert subprocess.run(
            [sys.executable, "-m", "civitai_downloader", "-q", *words], cwd=Path(__file__).parents[1], check=False
        ).returncode == 0  # fmt: skip
        assert max(lost) <= 9 << 20
        assert is_whole(out, file)
        assert json.loads((out / "report.json").read_bytes())["bytes_received"] == (64 << 20) - kept


def noted(out: Path) -> int:
    """How many bytes the side record speaks of."""
    records = list(out.rglob("*.part.json"))
    pairs = re.findall(rb"\n\[(\d+), (\d+)\]", records[0].read_bytes()) if records else []
    return sum(end - start for start, end in union([(int(start), int(end)) for start, end in pairs]))


def union(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(sorted).map(tuple)), st.integers(1, 1000))
def test_what_is_missing_is_the_rest_of_what_is_there(done: list[tuple[int, int]], total: int) -> None:
    done = [(start, min(end, total)) for start, end in done if start < total]
    ranges = Ranges(done, total)
    there = {byte for start, end in done for byte in range(start, end)}
    assert ranges.here == len(there)
    taken: set[int] = set()
    while stretch := ranges.take():
        assert ranges.frontier == min(set(range(total + 1)) - there - taken)
        taken |= set(range(stretch.at, stretch.end))
        ranges.advance(stretch, total)
        ranges.give_back(stretch)
    assert taken == set(range(total)) - there
    assert ranges.whole
    assert ranges.frontier == total
