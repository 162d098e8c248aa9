"""Short soaks and a short fuzz; `python -m tests.soak` and `python -m tests.fuzz` take longer."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from civitai_downloader.__main__ import main
from civitai_downloader.util.clock import Clock
from tests import fake_civitai as fake
from tests.conftest import Runner, files_under
from tests.fuzz import fuzz
from tests.soak.__main__ import soak


class Overloaded(fake.FakeCivitai):
    """Answers a fifth of the requests by 429 or 5xx."""

    share = 0.2

    def strike(self, call: fake.Call) -> fake.Fault:
        dice = self.world.__dict__.setdefault("dice", random.Random(7))
        with self._lock:
            status = dice.choice((429, 500, 502, 503)) if dice.random() < self.share else 0
        return fake.Fault("", (fake.Status(status),), 1) if status else fake.NO_FAULT


class HastyClock(Clock):
    """Fifty seconds pass in one."""

    def now(self) -> float:
        return 50 * time.monotonic()

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 50)


def gallery(world: fake.World, models: int, pictures: int) -> None:
    """Models with a gallery of so many pictures each."""
    for number in range(models):
        version = world.add_model(f"Model {number}").add_version()
        version.add_file(f"lantern_{number}.safetensors")
        for _ in range(pictures):
            world.add_image([version.id], meta={"prompt": "lantern"})


@pytest.mark.long
def test_kills_and_faults_at_random_moments_do_no_harm(tmp_path: Path) -> None:
    run = soak(12, sys.maxsize, 7, tmp_path)
    assert run.faults == []
    assert run.kills > 3
    assert run.site.struck


@pytest.mark.parametrize("pictures", [30, pytest.param(100, marks=pytest.mark.long)])
def test_a_fifth_of_429_and_5xx_costs_hardly_a_picture(tmp_path: Path, out: Path, pictures: int) -> None:
    site = Overloaded()
    with site:
        gallery(site.world, 8, pictures)
        run, lines = Runner(site, tmp_path), [f"{site.url}/models/{number}" for number in site.world.models]
        run("-q", "--retries", "5", lines=lines)
        assert len(site.seen()) > 8 * 2.5 * pictures
        assert len(files_under(out, "*.png")) >= 0.995 * 8 * pictures
        site.share = 0.0
        if (out / "failed.txt").exists():
            assert run("-q", "--retry-failed") == 0
        assert len(files_under(out, "*.png")) == 8 * pictures


def test_the_rate_of_the_api_is_never_exceeded(tmp_path: Path, out: Path) -> None:
    with Overloaded() as site:
        gallery(site.world, 60, 1)
        links = [f"{site.url}/models/{number}" for number in site.world.models]
        main(
            ["--site", site.url, "-o", str(out), "-q", "--max-rate-image", "4", "--timeout", "100", *links],
            HastyClock(),
        )
        times = [50 * seen.at for seen in site.seen("site", "/api/v1/images")]
    assert len(times) >= 60
    for count in (
        30,
        50,
    ):  # over shorter stretches the noise of this machine's clock would be seen, fifty times as large
        spans = [later - sooner for sooner, later in zip(times, times[count:], strict=False)]
        assert min(spans) > 0.85 * count / 4


def test_odd_input_does_no_harm() -> None:
    assert fuzz(600, float("inf"), 7) >= 600
