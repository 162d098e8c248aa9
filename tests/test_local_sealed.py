"""A folder to which nothing can be written: what is in it is told, nothing is written anywhere, and the run says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.disks import mounted
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import ROOT, Err, add_model, newest
from tests.library_disk import asked, put, rows
from tests.test_local_plan import everything

SENTENCE = "Nothing can be written there, so the files were only looked at; make it writable and run again (1)"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of its own, which can be made read-only."""
    with mounted(tmp_path / "disk", "tmpfs") as folder:
        yield folder


@pytest.fixture
def seal(disk: Path) -> Callable[[], object]:
    return lambda: subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def test_a_folder_on_a_read_only_disk_is_told_and_left_alone(
    run: Runner, tmp_path: Path, disk: Path, seal: Callable[[], object], lora: FakeModel, out: Path, err: Err
) -> None:
    place = put(newest(lora), disk / "models" / "loras").parents[1]
    (place / "mine.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(100))
    (place / "page.ckpt").write_text("<!DOCTYPE html><html></html>")
    seal()
    before = everything(tmp_path)
    assert run(str(place)) == 1
    assert everything(tmp_path) == before
    assert not out.exists()
    told = err().splitlines()
    assert told.count(SENTENCE) == 1
    assert f"  {place}" in told
    assert "loras/paper_xl.safetensors: Paper Lantern Style [10001] v2.0" in told
    assert sum("page.ckpt" in line for line in told) == 1
    assert not any("Saved to" in line or "Traceback" in line for line in told)


def test_a_library_that_became_read_only_is_told_by_its_log(
    run: Runner, site: FakeCivitai, disk: Path, seal: Callable[[], object], lora: FakeModel, err: Err
) -> None:
    place = put(newest(lora), disk / "models").parent
    assert run(str(place)) == 0
    put(lora.versions[1], place)
    seal()
    before = everything(disk)
    site.forget()
    err()
    assert run(str(place)) == 1
    assert everything(disk) == before
    told = err()
    assert SENTENCE in told
    assert "paper_xl.safetensors: Paper Lantern Style [10001] v2.0" in told
    assert "paper_sd15.safetensors: Paper Lantern Style [10001] v1.0" in told
    assert "2 of 2 model files identified" in told


def test_links_and_other_folders_of_the_run_are_not_held_up(
    run: Runner, site: FakeCivitai, tmp_path: Path, disk: Path, seal: Callable[[], object], lora: FakeModel, out: Path
) -> None:
    place = put(newest(lora), disk / "models").parent
    other = put(lora.versions[1], tmp_path / "other").parent
    wanted = add_model(site.world, "wanted")
    seal()
    assert run(str(place), str(other), str(wanted.model.id)) == 1
    assert list(rows(other)) == ["paper_sd15.safetensors"]
    assert [*out.rglob("wanted.safetensors")]


def test_what_is_kept_of_the_site_goes_to_a_folder_that_can_be_written(
    run: Runner, site: FakeCivitai, tmp_path: Path, disk: Path, seal: Callable[[], object], lora: FakeModel
) -> None:
    place = put(newest(lora), disk / "models").parent
    other = put(lora.versions[1], tmp_path / "other").parent
    seal()
    assert run(str(place), str(other)) == 1
    assert [*other.glob(".cache/lists/*.jsonl")]
    assert asked(site)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are those of POSIX")
def test_a_folder_of_somebody_else_is_told_to_a_user_without_rights(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel
) -> None:
    place = put(newest(lora), tmp_path / "models").parent
    (tmp_path / "cwd").mkdir()
    shut = (place, tmp_path / "cwd", tmp_path)
    without_rights = ["setpriv", "--bounding-set", "-all"] if os.geteuid() == 0 else []
    if without_rights and shutil.which("setpriv") is None:
        pytest.skip("root can't give up its rights here")
    words = [sys.executable, "-m", "civitai_downloader", str(place), "--site", site.url, "--lang", "en"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    for folder in shut:
        folder.chmod(0o555)
    try:
        before = everything(tmp_path)
        ran = subprocess.run(
            [*without_rights, *words], cwd=tmp_path / "cwd", env=environment, capture_output=True, text=True
        )
        assert everything(tmp_path) == before
    finally:
        for folder in shut:
            folder.chmod(0o755)
    assert ran.returncode == 1, ran.stderr
    assert SENTENCE in ran.stderr
    assert "paper_xl.safetensors: Paper Lantern Style [10001] v2.0" in ran.stderr
