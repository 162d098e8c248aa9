"""All copies together ask the site no faster than one run would, and a pause that one is asked for holds for all."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.manners import http_for, paces_for, throttle_for
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.shares import Share
from civitai_downloader.core.site import Site
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.hours import Hours
from civitai_downloader.util.http import Call, Http, HttpRules
from civitai_downloader.util.pace import Pace, Patience
from civitai_downloader.util.pauses import SharedPause
from civitai_downloader.util.rests import Rests
from tests import fake_civitai as fake
from tests.conftest import FakeClock, files_under
from tests.fake_civitai import FakeCivitai
from tests.fake_civitai.server import Seen
from tests.helpers import ROOT, add_model

RULES = HttpRules("test", lambda request: request)
EVENING = time.mktime((2026, 11, 26, 22, 0, 0, 0, 0, -1))
BY_HASH = "/api/v1/model-versions/by-hash"


def settings_of(share: Share | None, **more: object) -> Settings:
    return Settings(share=share, **more)  # type: ignore[arg-type]


def paces_of(share: Share | None, clock: Clock, **more: object) -> dict[str, Pace]:
    settings = settings_of(share, **more)
    return paces_for(settings, http_for(settings, RULES, clock), clock)


# --- What falls to one copy --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "rates", "first"),
    [
        (None, (0.5, 2.0), (0, 0)),
        (Share(1, 1), (0.5, 2.0), (0, 0)),
        (Share(1, 4), (0.125, 0.5), (0, 0)),
        (Share(4, 4), (0.125, 0.5), (6, 1.5)),
        (Share(64, 64), (0.5 / 64, 2 / 64), (126, 31.5)),
    ],
)
def test_each_copy_has_its_part_of_the_pace_and_its_turn(
    share: Share | None, rates: tuple[float, float], first: tuple[float, float]
) -> None:
    clock = FakeClock()
    paces = paces_of(share, clock)
    for kind, rate, wait in zip(("models", "images"), rates, first, strict=True):
        assert paces[kind].rate == rate
        paces[kind].wait()
        paces[kind].wait()
        assert clock.slept[-2:] == [wait, pytest.approx(1 / rate, abs=1e-5)]


@pytest.mark.parametrize(
    ("limit", "share", "rate"),
    [
        (0, None, math.inf), (0, Share(2, 8), math.inf), (8000, None, 8000), (8000, Share(2, 8), 1000),
        (10, Share(3, 4), 2.5), (10, Share(3, 64), 1), (1, None, 1),
    ],
)  # fmt: skip
def test_the_bytes_a_second_are_divided_but_for_the_last_one(limit: int, share: Share | None, rate: float) -> None:
    assert throttle_for(settings_of(share, limit_rate=limit), FakeClock()).rate == rate


@given(st.integers(1, 40), st.floats(0.05, 1000), st.integers(1, 6))
def test_copies_that_begin_together_take_turns_like_one_run(count: int, rate: float, turns: int) -> None:
    taken = list[float]()
    for index in range(1, count + 1):
        clock = FakeClock()
        pace = paces_of(Share(index, count), clock, max_rate_model=rate)["models"]
        for _ in range(turns):
            pace.wait()
            taken.append(clock.time)
    taken.sort()
    gaps = [later - earlier for earlier, later in pairwise(taken)]
    assert min(gaps, default=math.inf) >= 1 / rate - 1e-5
    assert len(taken) == count * turns


# --- What ends for all at once -----------------------------------------------------------------------


class Wrist(FakeClock):
    """A clock whose clock on the wall shows `shows` at first."""

    def __init__(self, shows: float) -> None:
        super().__init__()
        self._ahead = shows - self.time

    def wall(self) -> float:
        return self.time + self._ahead


Asked = list[float]


def asked_by(site: FakeCivitai, http: Http, clock: Clock, pace: Pace | None, count: int) -> Asked:
    """Ask so often; return when each request was sent, by the clock on the wall."""
    asked = Asked()
    for _ in range(count):
        call = Call(f"{site.url}/api/v1/enums", pace=pace, sent=lambda: asked.append(clock.wall()))
        http.json(call, Patience())
    return asked


@pytest.mark.parametrize("early", [300.0, 3.0])
def test_when_the_hours_open_the_copies_begin_one_after_the_other(site: FakeCivitai, early: float) -> None:
    first = Asked()
    for index in range(1, 5):
        clock = Wrist(EVENING - early)
        http = Http(RULES, clock, Rests(clock, Hours.of(["22:00-6:00"])), timeout=2, retries=0, log=lambda _: None)
        pace = Pace(0.5 / 4, clock, first=(index - 1) / 0.5)
        first += asked_by(site, http, clock, pace, 2)
    assert sorted(first) == pytest.approx([EVENING + 2 * turn for turn in range(8)], abs=0.1)


def test_who_waits_for_a_turn_when_the_hours_close_asks_in_the_next_ones(site: FakeCivitai) -> None:
    clock = Wrist(EVENING - 1)
    http = Http(RULES, clock, Rests(clock, Hours.of(["12:00-22:00"])), timeout=2, retries=0, log=lambda _: None)
    asked = asked_by(site, http, clock, Pace(0.5 / 4, clock, first=6), 1)
    assert asked == [pytest.approx(EVENING + 14 * 3600 + 6, abs=0.1)]


def test_a_pause_that_begins_while_a_turn_is_waited_for_is_kept(site: FakeCivitai, tmp_path: Path) -> None:
    class Busy(Wrist):
        """During the first wait another copy is told to wait for a minute."""

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                other.begin(60)

    clock = Busy(EVENING)
    other, pause = (SharedPause(clock, tmp_path / "rest.json", 300) for _ in range(2))
    http = Http(RULES, clock, pause=pause, timeout=2, retries=0, log=lambda _: None)
    asked = asked_by(site, http, clock, Pace(0.125, clock, first=6), 1)
    assert asked == [EVENING + 6 + 60 + SharedPause.SKEW + 6]


def test_a_file_and_a_picture_wait_for_the_end_of_a_pause_too(site: FakeCivitai, tmp_path: Path) -> None:
    clock = Wrist(EVENING)
    other, pause = (SharedPause(clock, tmp_path / "rest.json", 300) for _ in range(2))
    http = Http(RULES, clock, pause=pause, timeout=2, retries=0, log=lambda _: None)
    other.begin(60)
    assert asked_by(site, http, clock, None, 2) == [EVENING + 60 + SharedPause.SKEW] * 2


def test_what_another_copy_waits_for_uses_up_nobodys_patience(site: FakeCivitai, tmp_path: Path) -> None:
    clock = Wrist(EVENING)
    other, pause = (SharedPause(clock, tmp_path / "rest.json", 300) for _ in range(2))
    http = Http(RULES, clock, pause=pause, timeout=2, retries=0, log=lambda _: None)
    patience = Patience()
    for _ in range(3):
        other.begin(290)
        http.json(Call(f"{site.url}/api/v1/enums"), patience)
    assert patience == Patience()
    assert sum(clock.slept) > 3 * 290


@pytest.mark.parametrize(
    ("share", "dry", "made"), [(None, False, False), (Share(2, 4), False, True), (Share(2, 4), True, False)]
)
def test_only_a_copy_makes_the_file(site: FakeCivitai, out: Path, share: Share | None, dry: bool, made: bool) -> None:
    out.mkdir()
    api = Site(settings_of(share, output=out, site=site.url, dry_run=dry, max_rate_model=1000.0), Clock())
    assert files_under(out) == {}
    api.usage_of(["AB" * 32])
    assert api.api_requests == 1
    assert files_under(out) == ({".cache/rest.json": b""} if made else {})


# --- Real processes ----------------------------------------------------------------------------------

COPY = """
import sys
from pathlib import Path
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.shares import Share
from civitai_downloader.core.site import Site
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.pauses import SharedPause
url, out, index, count, rate, times, skew = sys.argv[1:]
SharedPause.SKEW = float(skew)
print("ready", flush=True)
sys.stdin.readline()
share = Share(int(index), int(count)) if int(count) else None
site = Site(Settings(output=Path(out), site=url, share=share, max_rate_model=float(rate)), Clock())
for _ in range(int(times)):
    site.usage_of(["AB" * 32])
"""


@dataclass(frozen=True)
class Copies:
    """Copies that ask the site `times` times each, all of them from the same moment on."""

    count: int
    rate: float
    times: int
    skew: float = 0.3

    def run(self, site: FakeCivitai, out: Path, meanwhile: Callable[[], object] = lambda: None) -> list[Seen]:
        """Run them all, and return what they asked for, the earliest first."""
        out.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [str(each) for each in (self.count, self.rate, self.times, self.skew)]
        running = [
            subprocess.Popen(
                [sys.executable, "-c", COPY, site.url, str(out), str(index), *words],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for index in range(1, self.count + 1)
        ]  # fmt: skip
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        meanwhile()
        assert [process.communicate(timeout=60)[0] for process in running] == [""] * self.count
        assert [process.returncode for process in running] == [0] * self.count
        return sorted(site.seen("site", BY_HASH), key=lambda seen: seen.at)


def most_within(times: Sequence[float], seconds: float) -> int:
    """Return how many of the times, in order, lie in the fullest window of so many seconds."""
    return max(sum(begin <= each < begin + seconds for each in times) for begin in times)


def is_within_pace(seen: Sequence[Seen], rate: float) -> bool:
    """Return whether no window has more requests than its length allows and one, with a tenth of a second for us."""
    times = [each.at for each in seen]
    return all(most_within(times, window - 0.1) <= window * rate + 1 for window in (0.25, 0.5, 1.0, 2.0))


def busy_for(site: FakeCivitai, seconds: int, after: int) -> Callable[[], None]:
    """Return what waits until so many requests have arrived, and lets the site be busy once then."""

    def begin() -> None:
        while len(site.seen("site", BY_HASH)) < after:
            time.sleep(0.005)
        site.fail(BY_HASH, fake.busy(429, seconds))

    return begin


def test_copies_begin_in_turn_and_all_rest_while_one_waits_for_a_busy_site(site: FakeCivitai, out: Path) -> None:
    seen = Copies(4, 8.0, 4).run(site, out, busy_for(site, 1, after=6))
    (told,) = (each.at for each in seen if each.status == 429)
    later = [each for each in seen if each.at > told]
    assert len(seen) == 17
    assert later[0].at - told >= 1.0
    assert later[-1].at - later[0].at <= 4.0
    assert is_within_pace([each for each in seen if each.at <= told], 8.0)
    assert is_within_pace(later, 8.0)


@pytest.mark.long
def test_four_copies_that_begin_in_the_same_moment_keep_the_pace_together(site: FakeCivitai, out: Path) -> None:
    seen = Copies(4, 8.0, 4).run(site, out)
    assert len(seen) == 16
    assert is_within_pace(seen, 8.0)


@pytest.mark.long
def test_copies_with_the_programs_own_allowance_for_clocks_rest_together(site: FakeCivitai, out: Path) -> None:
    seen = Copies(3, 6.0, 6, skew=SharedPause.SKEW).run(site, out, busy_for(site, 4, after=5))
    (told,) = (each.at for each in seen if each.status == 429)
    later = [each.at - told for each in seen if each.at > told]
    assert len(seen) == 19
    assert min(later) >= 4.0
    assert is_within_pace(seen, 6.0)


@pytest.mark.long
def test_the_whole_program_keeps_the_pace_in_four_copies(site: FakeCivitai, out: Path, tmp_path: Path) -> None:
    for number in range(24):
        add_model(site.world, f"model-{number}")
    links = tmp_path / "links.txt"
    links.write_text("".join(f"{site.url}/models/{model}\n" for model in site.world.models))
    site.fail("site:/api/v1/models", fake.busy(429, 2))
    words = [sys.executable, "-m", "civitai_downloader", str(links), "-o", str(out), "--site", site.url]
    running = [
        subprocess.Popen(
            [*words, "--max-rate-model", "4", "--max-rate-image", "4", "--shard", f"{index}/4"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
        )
        for index in range(1, 5)
    ]  # fmt: skip
    assert [process.wait(120) for process in running] == [0] * 4
    models, pictures = site.seen("site", "/api/v1/models"), site.seen("site", "/api/v1/images")
    (told,) = (each.at for each in models if each.status == 429)
    assert not [each for each in site.seen() if told + 0.2 < each.at < told + 2.0]
    assert len(files_under(out, "model-*.safetensors")) == len(pictures) == 24
    for seen in (models, pictures):  # a copy that is late loses its place in the order, but not its part of the pace
        times = sorted(each.at for each in seen)
        assert all(most_within(times, window - 0.1) <= window * 4 + 4 for window in (0.25, 1.0, 2.0, 4.0))
