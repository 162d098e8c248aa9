"""A run is alone in its folder and keeps to its pace."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured
from tests.holding import held


@pytest.mark.usefixtures("lora")
def test_a_second_run_in_the_same_folder_stops_or_waits(run: Runner, out: Path, capsys: Captured) -> None:
    with held(out / "download_state.lock") as other:
        assert run("10001") == 2
        assert f"process {other.pid}" in capsys.readouterr().err
        assert run("10001", "--dry-run") == 0
        assert run("--verify") == 2
        threading.Timer(0.3, other.kill).start()
        assert run("10001", "--wait") == 0


@pytest.mark.parametrize(
    ("option", "path"), [("--max-rate-model", "/api/v1/model"), ("--max-rate-image", "/api/v1/images")]
)
@pytest.mark.usefixtures("lora")
def test_requests_are_paced(run: Runner, site: FakeCivitai, option: str, path: str) -> None:
    site.world.add_model().add_version().add_file()
    versions = [f"{site.url}/model-versions/{number}" for number in site.world.versions]
    begun = time.monotonic()
    assert run(*versions, "--only", "metadata", option, "0.5") == 0
    asked = len(site.seen("site", path))
    assert asked > 2
    assert run.clock.now() - begun >= 2 * (asked - 1)


def test_bytes_are_limited(run: Runner, site: FakeCivitai) -> None:
    site.world.add_model().add_version().add_file(size=600_000)
    begun = time.monotonic()
    assert run("10001", "--limit-rate", "100K") == 0
    assert run.clock.now() - begun > 5
