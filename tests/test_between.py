"""Outside of the hours nothing is asked for, and everything goes on in the next window."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import requests

from civitai_downloader.__main__ import main
from civitai_downloader.core.display import ProgressDisplay
from civitai_downloader.core.run import Run
from civitai_downloader.util.clock import DAY, utc_text
from civitai_downloader.util.hours import Hours
from civitai_downloader.util.http import Call, Http
from tests import fake_civitai as fake
from tests.conftest import QuickClock, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import MODELS, ROOT, Captured, add_file, landed, link, ranges, read_json
from tests.stand_in import Meanwhile, StandIn, deliver

EVENING = time.mktime((2026, 11, 26, 22, 0, 0, 0, 0, -1))  # a Thursday
WINDOW = "22:00-22:20"
Asked = list[tuple[float, str]]


class WallClock(QuickClock):
    """A quick clock that shows `shows` on the wall at first. Outside of the window waits take up to six hours."""

    def __init__(self, shows: float, window: str = WINDOW) -> None:
        super().__init__()
        self._hours = Hours.of([window] if window else [])
        self.set_to(shows)

    def set_to(self, shows: float) -> None:
        self._offset = shows - self.now()

    def wall(self) -> float:
        return self.now() + self._offset

    def sleep(self, seconds: float) -> None:
        now = self.wall()
        closed = self._hours.opens_at(now) - now
        super().sleep(min(closed, 6 * 3600) if closed and seconds >= 0.1 else seconds)


class SeenClock(WallClock):
    """Lets the display look before the time of a wait has passed; `looks` counts how often it did."""

    looks = 0

    def sleep(self, seconds: float) -> None:
        enough = self.looks + 2
        while (
            seconds
            and threading.current_thread() is not threading.main_thread()
            and self.looks < enough
            and not self.stopped
        ):
            time.sleep(0.005)
        super().sleep(seconds)


Clocks = Callable[[float], SeenClock]


@pytest.fixture
def seen_clock(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Return `seen_clock(shows)`, which makes a clock that waits for the display of the run."""

    def make(shows: float) -> SeenClock:
        clock, plain = SeenClock(shows), ProgressDisplay.watch

        def watch(display: ProgressDisplay, run: Run) -> None:
            plain(display, run)
            clock.looks += 1

        monkeypatch.setattr(ProgressDisplay, "watch", watch)
        return clock

    return make


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return the list of when each request began, by the clock on the wall, and of what it asked for."""
    seen: Asked = []
    plain = Http._send

    def send(http: Http, url: str, call: Call) -> requests.Response:
        if url == call.url:
            seen.append((http._clock.wall(), url))
        return plain(http, url, call)

    monkeypatch.setattr(Http, "_send", send)
    return seen


def begin(site: FakeCivitai, out: Path, clock: QuickClock, *words: str) -> int:
    """Run the command on a clock, and return its exit code."""
    base = ["--site", site.url, "-o", str(out), "--lang", "en", "--max-rate-model", "1000", "--max-rate-image", "1000"]
    return main([*base, "--only", "models", *words], clock)


def outside(asked: Asked) -> Asked:
    """Return what was asked outside of the window."""
    return [each for each in asked if not Hours.of([WINDOW]).is_open(each[0])]


# --- Evenings ------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_night_of_3000_models_is_spread_over_three_evenings(site: FakeCivitai, out: Path, asked: Asked) -> None:
    data = {}
    for number in range(3000):
        version = site.world.add_model(f"Lantern {number}").add_version()
        file = version.add_file(f"lantern_{number}.safetensors", fake.safetensors_bytes(str(number), 100))
        data[file.name] = file.data
    total = sum(map(len, data.values()))
    rate = str(total // 3000)  # fifty minutes of bytes, twenty each evening
    (out.parent / "models.txt").write_text("\n".join(map(str, site.world.models)), "utf-8")
    clock = WallClock(EVENING)
    assert begin(site, out, clock, "--between", WINDOW, "--limit-rate", rate, "models.txt") == 0
    assert {Path(path).name: found for path, found in files_under(out, "*.safetensors").items()} == data
    assert outside(asked) == []
    evenings = Counter(int((moment - EVENING) // DAY) for moment, url in asked if "/api/download/" in url)
    assert len(evenings) >= 3
    assert sum(evenings.values()) == len(data)
    assert len(site.seen("storage")) == len(data)
    assert read_json(out / "report.json")["counts"]["done"] == len(data)


def test_requests_for_lists_wait_as_well(site: FakeCivitai, out: Path, asked: Asked) -> None:
    for number in range(205):
        site.world.add_model(f"Lantern {number}", creator="maker").add_version().add_file(f"lantern_{number}.ckpt")
    clock = WallClock(EVENING - 3600)
    words = ("--between", WINDOW, "--max-rate-model", "0.002", "--only", "metadata")
    assert begin(site, out, clock, *words, f"{site.url}/user/maker/models") == 0
    assert outside(asked) == []
    assert len({int((moment - EVENING) // DAY) for moment, _ in asked}) > 1
    assert len(files_under(out, "model.json")) == 205


def test_a_busy_site_is_asked_again_in_the_next_window(site: FakeCivitai, out: Path, asked: Asked) -> None:
    file = add_file(site)
    site.fail(MODELS, fake.busy(429, 120))
    assert begin(site, out, WallClock(EVENING + 1140), "--between", WINDOW, "--retries", "0", link(site)) == 0
    assert landed(out, file)
    assert outside(asked) == []
    assert asked[1][0] >= EVENING + DAY


# --- What is under way ---------------------------------------------------------------------------

SLOW = ("--limit-rate", "1000", "--retries", "0", "--timeout", "30")


def test_a_file_under_way_may_end_within_the_timeout(site: FakeCivitai, out: Path, asked: Asked) -> None:
    file = add_file(site, size=100_000)
    clock = WallClock(EVENING + 1110, "")  # ninety seconds are left, a hundred are needed
    assert begin(site, out, clock, "--between", WINDOW, *SLOW, link(site)) == 0
    assert landed(out, file)
    assert len(ranges(site)) == 1
    assert outside(asked) == []


def test_a_file_under_way_is_kept_after_the_timeout_and_goes_on_in_the_next_window(
    site: FakeCivitai, out: Path, asked: Asked
) -> None:
    file = add_file(site, size=300_000)
    clock = WallClock(EVENING + 1110)
    assert begin(site, out, clock, "--between", WINDOW, *SLOW, link(site)) == 0
    assert landed(out, file)
    first, second = ranges(site)
    assert first == ""
    begun = int(second.removeprefix("bytes=").rstrip("-"))
    assert 80_000 < begun < 130_000
    assert outside(asked) == []
    assert asked[-1][0] >= EVENING + DAY


# --- What is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Waiting until 22:00 (--between).", "0/1 models, 0 B, waiting until 22:00 (--between)", "Going on.")),
        ("ja", ("22:00 まで待機します (--between)。", "22:00 まで待機 (--between)", "再開します。")),
        ("ko", ("22:00까지 기다려요 (--between).", "22:00까지 대기 (--between)", "다시 시작해요.")),
    ],
)
def test_the_progress_says_when_it_goes_on(
    site: FakeCivitai, out: Path, capsys: Captured, seen_clock: Clocks, language: str, words: tuple[str, ...]
) -> None:
    add_file(site)
    clock = seen_clock(EVENING - 8 * 3600)
    assert begin(site, out, clock, "--between", WINDOW, "--lang", language, link(site)) == 0
    said = capsys.readouterr().err
    assert [each for each in words if each not in said] == []


def test_a_window_that_is_days_away_is_told_with_its_date(site: FakeCivitai, out: Path, capsys: Captured) -> None:
    add_file(site)
    clock = WallClock(EVENING, "mon 9:30-10:00")
    assert begin(site, out, clock, "--between", "mon 9:30-10:00", link(site)) == 0
    assert "Waiting until 2026-11-30 09:30 (--between)." in capsys.readouterr().err


def test_scripts_are_told_of_both_ends(site: FakeCivitai, out: Path, capsys: Captured, seen_clock: Clocks) -> None:
    add_file(site)
    clock = seen_clock(EVENING - 3600)
    assert begin(site, out, clock, "--between", WINDOW, "--json-logs", link(site)) == 0
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    begun, ended = (each for each in events if each.get("event") in ("waiting", "goes-on"))
    assert (begun["event"], begun["reason"], begun["until"]) == ("waiting", "between", utc_text(EVENING))
    assert ended["event"] == "goes-on"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
def test_ctrl_c_ends_the_waiting_at_once(site: FakeCivitai, out: Path) -> None:
    add_file(site)
    begins = time.localtime(time.time() + 4 * 3600)
    window = f"{begins.tm_hour}:{begins.tm_min:02}-{begins.tm_hour}:{begins.tm_min + 1:02}"
    window = window if begins.tm_min < 59 else f"{begins.tm_hour}:58-{begins.tm_hour}:59"
    words = ["-m", "civitai_downloader", link(site), "--site", site.url, "-o", str(out), "--between", window]
    # A test run in the background ignores Ctrl-C, and its children would, too.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [sys.executable, *words, "--lang", "en"], cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    )
    assert process.stderr is not None
    while not re.match(r"Waiting until [0-9]{2}:[0-9]{2} \(--between\)\.", process.stderr.readline()):
        assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=50)[1]
    assert process.returncode == 130
    assert time.monotonic() - begun < 5  # half a second, on a machine that is not busy
    assert "Traceback" not in said
    assert site.seen() == []
    assert "# interrupted" in (out / "failed.txt").read_text("utf-8")


# --- What does not wait --------------------------------------------------------------------------


def test_a_dry_run_and_a_check_of_the_disk_do_not_wait(site: FakeCivitai, out: Path, capsys: Captured) -> None:
    add_file(site)
    assert begin(site, out, WallClock(EVENING), link(site)) == 0
    noon = WallClock(EVENING - 10 * 3600, "")
    assert begin(site, out, noon, "--between", WINDOW, "--dry-run", link(site)) == 0
    assert begin(site, out, noon, "--between", WINDOW, "--verify") == 0
    assert "Waiting" not in capsys.readouterr().err


def test_what_idm_has_in_its_hands_comes_at_any_hour(
    site: FakeCivitai, out: Path, idm: StandIn, asked: Asked, meanwhile: Meanwhile
) -> None:
    file = add_file(site)
    clock = WallClock(EVENING, "")

    def bring(turn: int) -> None:
        """Bring the file once the window is closed and the link has expired."""
        if turn == 1:
            clock.set_to(EVENING + 2 * DAY - 3600)
        if turn == 3:
            deliver(idm.target(), file.data)

    meanwhile(bring)
    assert begin(site, out, clock, "--between", WINDOW, f"--idm={idm.path}", "--idm-wait", link(site)) == 0
    assert landed(out, file)
    assert outside(asked) == []
    assert len(idm.queued()) == 1
