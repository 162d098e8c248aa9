"""A run from first to last: alone in its folder, and at its pace."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from civitai_downloader.util.logs import FolderLock
from tests.conftest import QuickClock, Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import Captured


@pytest.mark.usefixtures("lora")
def test_a_second_run_in_the_same_folder_stops_or_waits(run: Runner, out: Path, capsys: Captured) -> None:
    lock = FolderLock(out / "download_state.lock")
    lock.acquire(QuickClock())
    assert run("10001") == 2
    assert f"process {os.getpid()}" in capsys.readouterr().err
    assert run("10001", "--dry-run") == 0
    assert run("--verify") == 2
    threading.Timer(0.3, lock.release).start()
    assert run("10001", "--wait") == 0


@pytest.mark.usefixtures("lora")
def test_requests_are_paced_and_bytes_limited(run: Runner, site: FakeCivitai) -> None:
    site.world.add_model().add_version().add_file("b.safetensors", size=600_000)
    versions = [f"{site.url}/model-versions/{number}" for number in site.world.versions]
    assert run(*versions, "--max-rate-model", "0.5", "--max-rate-image", "2", "--limit-rate", "100K") == 0
    assert sum(run.clock.slept) > 2 + 0.5 + 5
    assert max(run.clock.slept) > 1
