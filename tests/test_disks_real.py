"""Disks that are full, taken away, read-only, or of a kind with limits: each ends in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.disks import at_request, image_of, mounted, unmount
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err

MODELS = 12


def add_models(site: FakeCivitai, count: int = MODELS, size: int = 100_000) -> list[str]:
    """Add models with one file each and return their ids."""
    for number in range(count):
        site.world.add_model(f"Model {number}").add_version().add_file(f"m{number}.safetensors", size=size)
    return [str(each) for each in site.world.models]


def check_stop(said: str, *words: str) -> None:
    """Check that one sentence says why the run stopped, in one of these wordings, and no more is told of the rest."""
    stops = [line for line in said.splitlines() if line.startswith("Stopped:")]
    assert len(stops) == 1
    assert any(each in stops[0] for each in words), stops[0]
    assert "Traceback" not in said
    assert "bug in this program" not in said
    assert said.count("  Model ") <= 2


def test_a_full_disk_stops_the_run_with_one_sentence(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    ids = add_models(site)
    with mounted(out, "tmpfs", options="size=600k"):
        assert run(*ids) == 1
        said = err()
        check_stop(said, "The disk is full", "The disk has no room for")  # whichever is seen first
        assert len(site.seen("storage")) < 8


def test_no_inodes_are_not_called_a_full_disk(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    ids = add_models(site, 20)
    with mounted(out, "tmpfs", options="size=50m,nr_inodes=40"):
        assert run(*ids) == 1
        check_stop(err(), "no room for more files (inodes)")


def test_a_disk_that_is_taken_away_stops_the_run_and_its_mount_point_stays_empty(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add_models(site)
    at_request(monkeypatch, 4, lambda: unmount(out))
    with mounted(out, "tmpfs", options="size=50m"):
        assert run(*ids, "--workers", "1") == 1
        said = err()
        check_stop(said, "is no longer the folder it was")
        assert "failed.txt, report.json couldn't be written" in said
        assert not list(out.iterdir())
        assert len(site.seen("storage")) <= 5


def test_a_disk_that_turns_read_only_stops_the_run(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add_models(site)
    with mounted(out, "tmpfs", options="size=50m"):

        def turn() -> None:
            """Turn read-only as a disk with faults does, though files are open for writing."""
            subprocess.run(["mount", "--bind", str(out), str(out)], check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(out)], check=True)

        at_request(monkeypatch, 4, turn)
        assert run(*ids, "--workers", "1") == 1
        unmount(out)
        said = err()
        check_stop(said, "read-only")


def test_only_the_folder_that_is_lost_stops(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add_models(site)
    other = tmp_path / "other"
    at_request(monkeypatch, 3, lambda: unmount(other))
    with mounted(other, "tmpfs", options="size=50m"):
        lines = [f"{each} -o {other}" if number % 2 else each for number, each in enumerate(ids)]
        assert run(lines=lines) == 1
        check_stop(err(), f"{other} is no longer")
        assert not list(other.iterdir())
        assert len(site.seen("storage")) <= MODELS // 2 + 5
        assert len(list(out.rglob("*.safetensors"))) == MODELS // 2


def test_a_folder_that_was_replaced_by_another_stops_the_run(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add_models(site)

    def replace() -> None:
        """Do what a user may do in another window."""
        out.rename(out.with_name("moved"))
        out.mkdir()

    at_request(monkeypatch, 4, replace)
    assert run(*ids, "--workers", "1") == 1
    check_stop(err(), "is no longer the folder it was")
    assert not list(out.iterdir())


@pytest.mark.parametrize(("kind", "command"), [("vfat", ("mkfs.vfat", "-F", "32")), ("exfat-fuse", ("mkfs.exfat",))])
def test_everything_arrives_on_the_disks_of_cameras(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, kind: str, command: tuple[str, ...]
) -> None:
    ids = add_models(site)
    image = image_of(tmp_path / "image", 64, *command)
    with mounted(out, kind, str(image), "loop"):
        assert run(*ids) == 0
        assert run(*ids) == 0
        assert run("--verify") == 0
        assert len(list(out.rglob("*.safetensors"))) == MODELS


def test_a_file_over_four_gigabytes_is_refused_on_fat_before_its_first_byte(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.world.add_model().add_version().add_file("big.safetensors", size=1000).size_kb = (5 << 30) / 1024
    monkeypatch.setattr("civitai_downloader.util.disks.file_system", lambda folder: "vfat")
    for _ in range(2):
        assert run("10001") == 1
        assert "This disk can't hold a file of 5.0 GB (FAT32?)" in err()
    assert not site.seen("storage")


def test_a_driver_that_dies_stops_the_run(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add_models(site)
    image = image_of(tmp_path / "image", 64, "mkfs.exfat")
    out.mkdir()
    device = subprocess.run(["losetup", "-f", "--show", str(image)], capture_output=True, text=True).stdout.strip()
    driver = None
    try:
        if not device or shutil.which("mount.exfat-fuse") is None:
            pytest.skip("this machine has no exFAT by FUSE")
        driver = subprocess.Popen(["mount.exfat-fuse", "-d", device, str(out)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not os.path.ismount(out):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        at_request(monkeypatch, 4, driver.kill)
        assert run(*ids, "--workers", "1") == 1
        check_stop(err(), str(out))
        assert len(site.seen("storage")) <= 5
    finally:
        if driver is not None:
            driver.kill()
            driver.wait()
        unmount(out)
        subprocess.run(["losetup", "-d", device], capture_output=True)
    assert not list(out.iterdir())


@pytest.mark.parametrize("cache", ["off", "writes"])
def test_a_mount_of_a_cloud_says_what_it_needs(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, err: Err, cache: str
) -> None:
    ids = add_models(site, 3)
    (tmp_path / "cloud").mkdir()
    (tmp_path / "mount").mkdir()
    words = ["rclone", "mount", f":local:{tmp_path / 'cloud'}", str(tmp_path / "mount"), "--vfs-cache-mode", cache]
    if shutil.which("rclone") is None or subprocess.run([*words, "--daemon"], capture_output=True).returncode:
        pytest.skip("this machine has no rclone that mounts")
    try:
        code = run(*ids, "-o", str(tmp_path / "mount" / "models"))
        said = err()
        assert code == (2 if cache == "off" else 0)
        assert ("needs --vfs-cache-mode writes" in said) == (cache == "off")
        assert bool(site.seen()) == (cache != "off")
        assert run(*ids, "-o", str(tmp_path / "mount" / "models")) == code
    finally:
        unmount(tmp_path / "mount")
