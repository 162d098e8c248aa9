"""What is on the screen while a folder is looked through: how much has been read, how fast, and how long it takes."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from civitai_downloader.core import local
from civitai_downloader.core.display import Speed
from civitai_downloader.core.words import Words
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.hashes import Hashed, hash_file
from civitai_downloader.util.progress import Meter, Progress
from civitai_downloader.util.screen import Screen, columns_of
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import Err, newest
from tests.library_disk import put
from tests.terminals import Terminal, begin_at_terminal, press_ctrl_c, shown

Drawn = list[tuple[list[tuple[str, int, int | None]], str]]
GIB = 1 << 30


class Reading:
    """Stands in for the hashing of a file: it stops half-way until `told` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, later: float = 0) -> None:
        self.told, self._later, self._plain = threading.Event(), later, hash_file
        monkeypatch.setattr(local, "hash_file", self.hash)

    def hash(self, path: Path, clock: Clock, buffer: bytearray, told: Callable[[int], object]) -> Hashed:
        half = path.stat().st_size // 2
        told(half)
        clock.sleep(self._later)
        assert self.told.wait(30), "nobody has said how much was read"
        told(-half)
        return self._plain(path, clock, buffer, told)


@pytest.fixture
def place(tmp_path: Path, lora: FakeModel) -> Path:
    put(newest(lora), tmp_path / "내 모델 提灯")
    return tmp_path / "내 모델 提灯"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Return what has been drawn on a terminal: name, bytes and total of each bar, and the line below them."""
    found: Drawn = []

    def draw(_screen: Screen, meters: Sequence[Meter], line: str) -> None:
        found.append(([(each.name, each.done, each.total) for each in meters], line))

    monkeypatch.setattr(Screen, "draw", draw)
    monkeypatch.setattr("civitai_downloader.util.screen._understands_escapes", lambda _stream: True)
    return found


def until(told: Callable[[], object], reading: Reading) -> None:
    """Let the reading go on as soon as something is told, in a thread of its own."""

    def look() -> None:
        end = time.monotonic() + 30
        while not told() and time.monotonic() < end:
            time.sleep(0.01)
        reading.told.set()

    threading.Thread(target=look, daemon=True).start()


def gathered(lines: list[str], err: Err) -> str:
    """Return all that has been said so far."""
    lines.append(err())
    return "".join(lines)


def test_one_bar_shows_how_much_of_a_folder_has_been_read(
    run: Runner, place: Path, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, size = Reading(monkeypatch), newest_size(place)
    until(lambda: any(meters for meters, _ in drawn), reading)
    assert run(str(place)) == 0
    meters, line = next(each for each in drawn if each[0])
    assert meters == [(str(place), size // 2, size)]
    assert line == f"0/1 folders, {size // 2} B of 1.1 KB read"


def newest_size(place: Path) -> int:
    return next(place.glob("*.safetensors")).stat().st_size


def test_elsewhere_a_line_now_and_then_says_how_much_has_been_read(
    run: Runner, place: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading(monkeypatch, later=60)
    lines: list[str] = []
    until(lambda: " read, " in gathered(lines, err), reading)
    assert run(str(place)) == 0
    said = "".join([*lines, err()])
    assert re.search(r"^0/1 folders, \d+ B of 1\.1 KB read, \d+ B/s, \d:\d\d left$", said, re.M), said
    assert "0 B\n" not in said


def test_the_facts_of_a_reading_are_numbers(
    run: Runner, place: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, size = Reading(monkeypatch, later=60), newest_size(place)
    lines: list[str] = []
    until(lambda: '"to_read"' in gathered(lines, err), reading)
    assert run(str(place), "--json-logs", "--dry-run") == 0
    facts = [json.loads(line) for line in "".join(lines).splitlines() if "to_read" in line]
    assert facts
    assert {(each["read"], each["to_read"], each["models"], each["total"], each["bytes"]) for each in facts} == {
        (size // 2, size, 0, 1, 0)
    }


@pytest.mark.parametrize(
    ("lang", "words"),
    [("en", "1.0 GB of 9.0 GB read"), ("ja", "9.0 GB 中 1.0 GB を読み取り済み"), ("ko", "9.0 GB 중 1.0 GB 읽음")],
)
def test_every_language_says_how_much_was_read(lang: str, words: str) -> None:
    assert Words(lang)("reading", done="1.0 GB", total="9.0 GB") == words


def test_quiet_says_only_the_end_and_verbose_names_each_file(run: Runner, place: Path, err: Err) -> None:
    assert run(str(place), "-q") == 0
    assert err() == ""
    assert run(str(place), "-v", "--refresh") == 0
    told = err()
    assert "looked up: paper_xl.safetensors (Paper Lantern Style [10001] v2.0)" in told
    assert "fetched: paper_xl.safetensors" not in told


def test_the_summary_counts_files_of_the_folder_once(run: Runner, place: Path, err: Err) -> None:
    (place / "mine.gguf").write_bytes(b"GGUF\x03" + bytes(100))
    (place / "page.ckpt").write_text("<!DOCTYPE html><html></html>")
    assert run(str(place), "--no-page") == 0
    *_, found, total, saved = err().splitlines()
    assert found.startswith(f"{place}: 1 of ")
    assert re.fullmatch(r"Fetched 2 pictures \(899 B\) from \S+ in \d+ s; 0 failed\.", total)
    assert saved == f"Saved to {place}"
    assert run(str(place), "--no-page") == 0
    assert re.search(r"Fetched nothing new \(0 B\) from \S+ in \d+ s; 0 failed\.", err())


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize(
    "name", ["D:\\ComfyUI\\models", "/mnt/日本語モデル/提灯の夜のとても長い名前のフォルダー", "/home/나/등불 축제 모델"]
)
def test_the_bar_of_a_folder_fits_its_window(monkeypatch: pytest.MonkeyPatch, name: str, columns: int) -> None:
    monkeypatch.setattr("civitai_downloader.util.screen._understands_escapes", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "24")
    progress, terminal = Progress(), Terminal()
    meter = progress.begin_reading(name, 900 * GIB)
    meter.begun -= 100
    progress.read(meter, 90 * GIB)
    Screen(terminal).draw(progress.active(), "0/1 folders, 90.0 GB of 900.0 GB read, 921.6 MB/s, 15:00 left")
    bar, line = shown(terminal, columns)
    assert "10%" in bar
    assert "90.0G/900G" in bar
    assert columns_of(bar) < columns
    assert line.endswith("15:00 left")


def test_a_speed_follows_what_happens_now() -> None:
    speed = Speed()
    assert speed.measure(0.5, 100) == 0  # nothing can be said yet
    assert speed.measure(2, 200) == 100
    assert speed.measure(2.5, 10_000) == 100  # not yet a second
    assert speed.measure(4, 2200) == pytest.approx(0.7 * 100 + 0.3 * 1000)


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are POSIX here")
def test_ctrl_c_while_a_file_is_hashed_leaves_a_clean_terminal(site: FakeCivitai, tmp_path: Path) -> None:
    place = tmp_path / "提灯"
    place.mkdir()
    with (place / "big.safetensors").open("wb") as file:  # of zeros, which take no room
        size = 40 * GIB
        header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    words = [sys.executable, "-m", "civitai_downloader", str(place), "--site", site.url, "--lang", "en"]
    process, ours = begin_at_terminal(words)
    terminal = press_ctrl_c(process, ours, lambda said: b"GB read" in said, within=20)
    seen = shown(terminal, 70, 12)
    assert any(row.startswith("Interrupted;") for row in seen)
    assert not any("GB read" in row or "^C" in row or "%|" in row for row in seen)
    logged = [json.loads(line) for line in (place / "download_state.jsonl").read_text().splitlines()]
    assert [each["type"] for each in logged] == ["library"]
