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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from civitai_downloader.util.connections import FurtherConnections
from civitai_downloader.util.hours import Hours
from civitai_downloader.util.ranges import Ranges
from civitai_downloader.util.rests import Rests
from tests import fake_civitai as fake
from tests.conftest import Runner, State, one_file
from tests.fake_civitai.faults import Wire
from tests.fake_civitai.replies import Reply

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
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capped]:
    """With small pieces and little patience, so that small files do."""
    monkeypatch.setattr(Ranges, "PIECE", 1 << 19)
    monkeypatch.setattr(Ranges, "SMALL", 1 << 16)
    monkeypatch.setattr(FurtherConnections, "WORTH", 0.2)
    monkeypatch.setattr(FurtherConnections, "WINDOW", 0.05)
    capped = Capped()
    with capped:
        yield capped


def add_file(site: fake.FakeCivitai, size: int = SIZE, *, hashed: bool = True) -> fake.FakeFile:
    return site.world.add_model("Big").add_version().add_file("big.safetensors", size=size, hashed=hashed)


def bring(site: fake.FakeCivitai, run: Runner, *words: str) -> int:
    return run("--only", "models", *words, lines=[f"{site.url}/models/{next(iter(site.world.models))}"])


def is_whole(out: Path, file: fake.FakeFile) -> bool:
    parts = [*out.rglob("*.part*"), *(out / "corrupted").glob("*")]
    return one_file(out, file.name).read_bytes() == file.data and not parts


def received(out: Path) -> int:
    return int(json.loads((out / "report.json").read_bytes())["bytes_received"])


def further(site: fake.FakeCivitai) -> list[str]:
    return [seen.headers["range"] for seen in site.seen("storage") if "range" in seen.headers]


def test_a_capped_connection_gets_help(site: Capped, run: Runner, out: Path, state: State) -> None:
    file = add_file(site, 3 * SIZE)
    assert bring(site, run) == 0
    assert is_whole(out, file)
    assert len(further(site)) >= 5
    pieces = {tuple(map(int, each.removeprefix("bytes=").split("-"))) for each in further(site) if each[-1] != "-"}
    assert sum(end - start + 1 for start, end in pieces) > len(file.data) / 2
    assert {seen.headers["if-range"] for seen in site.seen("storage") if "range" in seen.headers} == {file.body.etag}
    assert [line["size"] for line in state().values() if line["type"] == "model"] == [len(file.data)]
    assert received(out) < 1.1 * len(file.data)


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
def test_the_first_further_connection_that_fails_leaves_no_hole(
    site: Capped, run: Runner, out: Path, trouble: fake.Action
) -> None:
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


@dataclass(frozen=True)
class Dammed(fake.Trickle):
    """Sends no more than `most[0]` bytes in all, by whichever connections; then it waits until that is raised."""

    most: list[int] = field(default_factory=lambda: [0])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, wire: Wire, reply: Reply) -> None:
        wire.head(reply)
        for chunk in reply.body.chunks(reply.start, reply.end, 1 << 16):
            wire.pause(len(chunk) / self.rate)
            while not self._may_send(len(chunk)):
                wire.pause(0.05)
            wire.write(chunk)

    def _may_send(self, count: int) -> bool:
        with self.lock:
            if self.most[0] >= count:
                self.most[0] -= count
                return True
        return False


@pytest.mark.skipif(os.name == "nt", reason="the size that a file takes on the disk is not told there")
def test_stops_in_the_middle_lose_at_most_a_mebibyte_a_connection(tmp_path: Path) -> None:
    """With the real sizes and the real command, and no matter how busy the machine is: the bytes wait for the stop."""
    site, dam = Capped(), Dammed(5e6)
    site.calm = dam
    with site:
        file = add_file(site, 64 << 20)
        out = tmp_path / "out"
        words = ["--site", site.url, "-o", str(out), "--only", "models", f"{site.url}/models/10001"]
        lost = []
        # Tests that run in the background ignore Ctrl-C, and so would what they start.
        heed_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        for how in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
            process = subprocess.Popen(
                [sys.executable, "-m", "civitai_downloader", "-q", *words],
                cwd=Path(__file__).parents[1],
                preexec_fn=heed_ctrl_c,
            )
            before, dam.most[0] = noted(out), 18 << 20
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
        assert received(out) == (64 << 20) - kept


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


def test_at_the_end_of_a_window_all_connections_end_and_go_on_in_the_next_one(
    site: Capped, run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = add_file(site, 3 * SIZE)
    closed: list[float] = []

    def is_open(*_: object) -> bool:
        """Close once several connections bring the file, and open again half a second later."""
        if not closed and len(further(site)) >= 3:
            closed.append(time.monotonic())
        return not closed or time.monotonic() - closed[0] > 0.5

    monkeypatch.setattr(Hours, "is_open", is_open)
    assert bring(site, run, "--retries", "0") == 0
    assert is_whole(out, file)
    assert closed
    assert received(out) == len(file.data)


def test_what_a_connection_brought_is_kept_when_another_one_ends_them_all(
    site: Capped, run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = add_file(site, 3 * SIZE)
    told: list[float] = []

    def overdue(*_: object) -> float:
        """Put off the first connection, and that one only."""
        if not told and len(further(site)) >= 4 and threading.current_thread().name != "lora-more":
            told.append(time.monotonic())
            return told[0]
        return 0.0

    monkeypatch.setattr(Rests, "overdue", overdue)
    assert bring(site, run, "--retries", "0") == 0
    assert is_whole(out, file)
    assert told
    assert received(out) == len(file.data)
