"""All tests share these fixtures: a fake site, the command run against it without long waits, and stand-ins."""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from civitai_downloader.__main__ import TOKEN_VARIABLES, main
from civitai_downloader.core import prompts
from civitai_downloader.core.wordlists import parse_word_list
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.wire import _Response
from tests.fake_civitai import FakeCivitai, FakeFile, FakeModel, World, safetensors_bytes
from tests.stand_in import Meanwhile, Skip, StandIn

# What the helpers assert is explained like what a test asserts.
pytest.register_assert_rewrite("tests.helpers")

# Where no bytecode may be written beside the sources, it is kept apart until the end: tests start Python many times.
_bytecode = tempfile.TemporaryDirectory(prefix="bytecode-") if sys.dont_write_bytecode else None
if _bytecode is not None:
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = _bytecode.name
    del os.environ["PYTHONDONTWRITEBYTECODE"]
    sys.dont_write_bytecode = False

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
State = Callable[[], dict[tuple[str, str], dict[str, Any]]]

# Where CI is set, the same examples are tried in each run; elsewhere new ones are looked for.
settings.register_profile(
    "quick", deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), derandomize="CI" in os.environ
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=300)
settings.load_profile("quick")


def examples(times: int) -> int:
    """Return so many times the examples that a test is tried with by default; `--hypothesis-profile` decides that."""
    return times * settings().max_examples


def pytest_xdist_auto_num_workers() -> int:
    """Return three processes for two cores: a test often waits, for a disk, a process or a browser."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores + (cores + 1) // 2


def pytest_collection() -> None:
    """Let the garbage collector rest while the tests are collected."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives until the end, such as the tests themselves."""
    gc.enable()
    gc.collect()
    gc.freeze()


class QuickClock(Clock):
    """A clock on which every wait ends after 5 ms at most. `slept` lists how long each should have been."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def wall(self) -> float:
        return time.time() + self._ahead

    def sleep(self, seconds: float) -> None:
        awake = time.monotonic() + self._ahead + max(0.0, seconds)
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
    """Runs the command and returns its exit code. `clock` is that of the last run."""

    def __init__(self, site: FakeCivitai, folder: Path) -> None:
        self._site, self._folder = site, folder
        self.clock = QuickClock()

    def __call__(self, *words: str, lines: list[str] | None = None) -> int:
        """Write `lines` to models.txt, which is the input if there are no words, and run. Later options win."""
        if lines is not None:
            (self._folder / "models.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        base = ["--site", self._site.url, "-o", str(self._folder / "downloads"), "--lang", "en"]
        pace = ["--max-rate-model", "1000", "--max-rate-image", "1000", "--retries", "2", "--timeout", "2"]
        self.clock = QuickClock()
        return main([*base, *pace, *words], self.clock)


@pytest.fixture(autouse=True)
def plain_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the keys, proxies, lists and configuration of whoever runs the tests out of them."""
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(tmp_path / ".config"))
    for name in (*TOKEN_VARIABLES, *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test's messages go through the handlers of an earlier one, which may speak another language."""
    log = logging.getLogger("civitai_downloader")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", True)


_parsed_once = lru_cache(maxsize=16)(parse_word_list)


@pytest.fixture(autouse=True)
def cheap_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run begin without what takes many milliseconds each time: a slow hash, and word lists read before."""
    monkeypatch.setattr("civitai_downloader.util.kept._Day.ROUNDS", 1)
    monkeypatch.setattr(prompts, "parse_word_list", _parsed_once)


@pytest.fixture
def site() -> Iterator[FakeCivitai]:
    """Start a fake site whose `world` is empty."""
    with FakeCivitai(World()) as started:
        yield started


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return the downloads folder, which does not exist yet."""
    return tmp_path / "downloads"


@pytest.fixture
def run(site: FakeCivitai, tmp_path: Path) -> Runner:
    """Return `run(*words, lines=None)`, which runs the command against `site` into `out`."""
    return Runner(site, tmp_path)


@pytest.fixture
def state(out: Path) -> State:
    """Return `state()`, which gives the last line of the state log for each type and id."""

    def read() -> dict[tuple[str, str], dict[str, Any]]:
        log = out / "download_state.jsonl"
        lines = log.read_text("utf-8").splitlines() if log.exists() else []
        return {(line["type"], line["id"]): line for line in map(json.loads, lines)}

    return read


@pytest.fixture
def share(tmp_path: Path) -> Path:
    r"""Return the folder of the test as a share of the network names it, such as `\\localhost\c$\...`."""
    shared = Path(rf"\\localhost\{tmp_path.drive[:1].lower()}$", *tmp_path.parts[1:])
    if not shared.is_dir():
        pytest.skip("only Windows has shares, and this machine may not share its disks")
    return shared


def files_under(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Return the bytes of every file whose name matches, by its path in the folder."""
    found = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def one_file(folder: Path, pattern: str) -> Path:
    """Return the only file whose name matches."""
    (found,) = (path for path in folder.rglob(pattern) if path.is_file())
    return found


# --- Models of the site --------------------------------------------------------------------------


@pytest.fixture
def lora(site: FakeCivitai) -> FakeModel:
    """Add a LoRA with two versions, a file each, and three pictures in the newer one's gallery."""
    model = site.world.add_model()
    model.add_version("v1.0").add_file("paper_sd15.safetensors")
    newer = model.add_version("v2.0", trained_words=["paper lantern", "night, rain"])
    newer.add_file("paper_xl.safetensors", safetensors_bytes("xl"))
    newer.add_image(meta={"prompt": "a lantern", "steps": 20})
    newer.add_image(level=4, data=b"\xff\xd8\xff" + b"j" * 500)
    site.world.add_image([newer.id], meta={"prompt": "from the gallery"})
    return model


@pytest.fixture
def mix(site: FakeCivitai) -> FakeModel:
    """Add a checkpoint with every kind of file, an older base model, and pictures of all levels."""
    model = site.world.add_model("Mix", "Checkpoint", creator="painter")
    model.add_version("old", base_model="SD 1.5").add_file("old.ckpt")
    version = model.add_version("new", base_model="SDXL 1.0")
    version.add_file("mix.zip", type="Training Data", primary=True)
    version.add_file("mix.ckpt", primary=False)
    version.add_file("mix.safetensors", primary=False)
    version.add_file("mix.yaml", type="Config", primary=False)
    version.add_file("mix.vae.pt", type="VAE", primary=False)
    for level in (1, 2, 4, 8, 16):
        version.add_image(level, meta={"prompt": f"level {level}"})
    return model


@pytest.fixture
def post(site: FakeCivitai) -> int:
    """Add a post made with a LoRA. Of its five pictures one is R, one is not indexed and one has no prompt."""
    world = site.world
    tool = world.add_model("tool", "LORA", creator="smith").add_version()
    tool.add_file("tool.safetensors")
    base = world.add_model("base", "Checkpoint", creator="smith").add_version()
    base.add_file("base.safetensors")
    number = world.add_post(
        username="maker", title="Five lanterns", detail="<p>Made at <b>night</b>.</p>", version_id=tool.id
    ).id
    for place in range(5):
        meta: dict[str, Any] | None = {"prompt": f"lantern {place}"}
        if place == 1:
            meta = {"prompt": "x", "civitaiResources": [{"type": "checkpoint", "modelVersionId": base.id}]}
        image = world.add_image(
            username="maker", post_id=number, meta=meta if place != 2 else None, level=4 if place == 3 else 1
        )
        image.indexed = place != 4
    return number


@pytest.fixture
def odd_file(site: FakeCivitai) -> FakeFile:
    """Add a LoRA whose file name has everything that a command line could stumble over."""
    version = site.world.add_model("한글 모델 100% & more!", creator="maker").add_version()
    version.add_image(meta={"prompt": "x"})
    return version.add_file("빨강 100% & (x)!.safetensors")


# --- Other programs and time ---------------------------------------------------------------------


@pytest.fixture
def err(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return a function that gives what was said on stderr since its last call."""
    return lambda: capsys.readouterr().err


@pytest.fixture
def idm(tmp_path: Path) -> StandIn:
    """Make a stand-in for Internet Download Manager in a folder with a Korean name."""
    folder = tmp_path / "idm 폴더"
    folder.mkdir()
    return StandIn(folder)


@pytest.fixture
def skip_time(monkeypatch: pytest.MonkeyPatch) -> Skip:
    """Return `skip_time(seconds)`, after which the clock on the wall shows so much more than it should."""
    real = time.time
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: real() + seconds)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let headers be waited for twice the timeout, and no longer because that is short."""
    monkeypatch.setattr(_Response, "LEAST_PATIENCE", 0.4)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Return `meanwhile(act)`: act(1), act(2)... are called each time that --idm-wait has looked and begins to wait."""
    turns = iter(range(1, 100))

    def begin(act: Callable[[int], None]) -> None:
        def sleep(clock: QuickClock, seconds: float) -> None:
            if seconds == 2:
                act(next(turns))
            plain(clock, seconds)

        plain = QuickClock.sleep
        monkeypatch.setattr(QuickClock, "sleep", sleep)

    return begin
