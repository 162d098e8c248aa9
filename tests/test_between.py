"""Outside of the hours nothing is asked for, and everything goes on in the next window."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from civitai_downloader.__main__ import main
from civitai_downloader.util.clock import DAY
from civitai_downloader.util.hours import Hours
from civitai_downloader.util.http import Call, Http
from civitai_downloader.util.rests import Rests
from tests import fake_civitai as fake
from tests.conftest import QuickClock, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import DOWNLOAD, ROOT, STORAGE, Captured, add_file, landed, link, ranges, read_json

EVENING = time.mktime((2026, 11, 26, 22, 0, 0, 0, 0, -1))  # a Thursday
Asked = list[tuple[float, str]]
Command = Callable[..., int]


class WallClock(QuickClock):
    """A quick clock that shows `shows` on the wall at first. Outside of the window waits take up to six hours."""

    def __init__(self, shows: float, window: str) -> None:
        super().__init__()
        self._hours = Hours.of([window])
        self.set_to(shows)

    def set_to(self, shows: float) -> None:
        self._offset = shows - self.now()

    def wall(self) -> float:
        return self.now() + self._offset

    def sleep(self, seconds: float) -> None:
        now = self.wall()
        closed = self._hours.opens_at(now) - now
        super().sleep(min(closed, 6 * 3600) or seconds)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return the list of when each request began, by the clock on the wall, and of what it asked for."""
    seen: Asked = []
    plain = Http.open_once, Http._send

    def send(http: Http, url: str, call: Call) -> requests.Response:
        if url == call.url:
            seen.append((http._clock.wall(), url))
        return plain[1](http, url, call)

    monkeypatch.setattr(Http, "_send", send)
    return seen


def begin(site: FakeCivitai, out: Path, clock: QuickClock, *words: str) -> int:
    """Run the command on a clock, and return its exit code."""
    base = ["--site", site.url, "-o", str(out), "--lang", "en", "--max-rate-model", "1000", "--max-rate-image", "1000"]
    return main([*base, "--only", "models", *words], clock)


def outside(asked: Asked, *windows: str) -> Asked:
    """Return what was asked outside of the windows."""
    found = Hours.of(windows)
    return [each for each in asked if not found.is_open(each[0])]


# --- Evenings ------------------------------------------------------------------------------------


@pytest.mark.timeout(900)
def test_a_night_of_3000_models_is_spread_over_three_evenings(site: FakeCivitai, out: Path, asked: Asked) -> None:
    count = int(os.environ.get("COUNT", "3000"))
    data = {}
    for number in range(count):
        version = site.world.add_model(f"Lantern {number}").add_version()
        file = version.add_file(f"lantern_{number}.safetensors", fake.safetensors_bytes(str(number), 100))
        data[file.name] = file.data
    total = sum(map(len, data.values()))
    rate, window = total // 3000, "22:00-22:20"  # fifty minutes of bytes, twenty each evening
    (out.parent / "models.txt").write_text("\n".join(map(str, site.world.models)), "utf-8")
    clock = WallClock(EVENING, window)
    assert begin(site, out, clock, "--between", window, "--limit-rate", str(rate), "models.txt") == 0
    assert {Path(path).name: found for path, found in files_under(out, "*.safetensors").items()} == data
    assert outside(asked, window) == []
    evenings = Counter(int((moment - EVENING) // DAY) for moment, url in asked if "/api/download/" in url)
    assert len(evenings) >= 3
    assert sum(evenings.values()) == len(data)
    assert len(site.seen("storage")) == len(data)
    assert read_json(out / "report.json")["counts"]["done"] == len(data)
