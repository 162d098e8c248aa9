"""What tests share: a fake site, the command run against it on a clock without long waits, a look at the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from civitai_downloader.__main__ import TOKEN_VARIABLES, main
from civitai_downloader.util.clock import Clock
from tests.fake_civitai import FakeCivitai, World

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
State = Callable[[], dict[tuple[str, str], dict[str, Any]]]

settings.register_profile("steady", deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
settings.load_profile("steady")


class QuickClock(Clock):
    """Tells that the time asked for has passed after 5 ms at most; `slept` lists what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        awake = self.now() + max(0.0, seconds)
        self.slept.append(seconds)
        super().sleep(min(seconds, 0.005))
        self._ahead = max(self._ahead, awake - time.monotonic())


class FakeClock(Clock):
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.check()
        self.slept.append(round(seconds, 6))
        self.time += max(0.0, seconds)


class Runner:
    """Runs the command and gives its exit code; `clock` is that of the last run."""

    def __init__(self, site: FakeCivitai, folder: Path) -> None:
        self._site, self._folder = site, folder
        self.clock = QuickClock()

    def __call__(self, *words: str, lines: list[str] | None = None) -> int:
        """`lines` are written to models.txt first; without words, they are the input. Later options win."""
        if lines is not None:
            (self._folder / "models.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        base = ["--site", self._site.url, "-o", str(self._folder / "downloads"), "--lang", "en"]
        pace = ["--max-rate-model", "1000", "--max-rate-image", "1000", "--retries", "2", "--timeout", "2"]
        self.clock = QuickClock()
        return main([*base, *pace, *words], self.clock)


@pytest.fixture(autouse=True)
def plain_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, proxy or list of whoever runs the tests plays a part."""
    for name in (*TOKEN_VARIABLES, *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def site() -> Iterator[FakeCivitai]:
    """A fake site that runs; `site.world` is empty."""
    with FakeCivitai(World()) as started:
        yield started


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The downloads folder, which does not exist yet."""
    return tmp_path / "downloads"


@pytest.fixture
def run(site: FakeCivitai, tmp_path: Path) -> Runner:
    """`run(*words, lines=None)` runs the command against `site` into `out`."""
    return Runner(site, tmp_path)


@pytest.fixture
def state(out: Path) -> State:
    """`state()` gives the last line of the state log for each type and id."""

    def read() -> dict[tuple[str, str], dict[str, Any]]:
        log = out / "download_state.jsonl"
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        return {(line["type"], line["id"]): line for line in map(json.loads, lines)}

    return read


@pytest.fixture
def share(tmp_path: Path) -> Path:
    r"""The folder of the test as a share of the network gives it, such as `\\localhost\c$\...`."""
    shared = Path(rf"\\localhost\{tmp_path.drive[:1].lower()}$", *tmp_path.parts[1:])
    if not shared.is_dir():
        pytest.skip("only Windows has shares, and this machine may not share its disks")
    return shared


def files_under(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Every file whose name matches, by its path in the folder."""
    found = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def one_file(folder: Path, pattern: str) -> Path:
    """The only file whose name matches."""
    (found,) = (path for path in folder.rglob(pattern) if path.is_file())
    return found
