"""Two copies on two mounts of one folder, and over a mount of a cloud."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import crowd
from tests.engines.conftest import need_root
from tests.engines.copies import LIMIT, Desk, holding
from tests.engines.slurm import wait_for
from tests.engines.test_crowd import QUICK, prepare
from tests.fake_civitai import FakeCivitai

pytestmark = pytest.mark.long


@pytest.fixture
def mounts(desk: Desk) -> Iterator[tuple[Path, Path]]:
    """Mount the shared folder at two places."""
    need_root()
    desk.shared.mkdir()
    places = desk.folder / "one", desk.folder / "two"
    done = []
    try:
        for place in places:
            place.mkdir()
            if subprocess.run(["mount", "--bind", desk.shared, place], capture_output=True).returncode:
                pytest.skip("this machine can't mount a folder at another place")
            done.append(place)
        yield places
    finally:
        for place in done:
            subprocess.run(["umount", "-l", place], check=True)


def test_locks_hold_on_another_mount_of_the_same_folder(
    desk: Desk, site: FakeCivitai, mounts: tuple[Path, Path]
) -> None:
    alone, (here, there) = prepare(desk, site, 100), mounts
    desk.configure(*QUICK, "--timeout", "300")
    with holding(site, 3):
        first = desk.start("civitai-downloader", "models.txt", "-o", str(here), "--shard", "1/2")
        wait_for(lambda: len(site.seen("storage")) > 3, "that files are asked for")
        for words in ("models.txt --shard 1/2", "models.txt --shard 2/3", "models.txt", "--compact"):
            code, said = desk.run("civitai-downloader", *words.split(), "-o", str(there))
            assert (code, "is writing to" in said) == (2, True), (words, said[-1000:])
        second = desk.start("civitai-downloader", "models.txt", "-o", str(there), "--shard", "2/2")
        wait_for(lambda: len([*desk.shared.glob("download_state.*-of-2.jsonl")]) == 2, "that both copies work")
    ends = [process.communicate(timeout=LIMIT)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], ends
    assert set(crowd.fetched(site).values()) == {1}
    assert set(crowd.logged(desk.shared)) == set(crowd.logged(alone))
    assert crowd.tree(desk.shared) == crowd.tree(alone)


@pytest.fixture
def cloud(desk: Desk) -> Iterator[Path]:
    """Mount a folder by rclone, with a cache for what is written, as a bucket would be."""
    if shutil.which("rclone") is None or sys.platform != "linux":
        pytest.skip("this machine has no rclone")
    place = desk.folder / "mount"
    for folder in (desk.folder / "cloud", place):
        folder.mkdir()
    words = ["rclone", "mount", f":local:{desk.folder / 'cloud'}", str(place), "--daemon"]
    words += ["--vfs-cache-mode", "writes", "--cache-dir", str(desk.folder / "cache"), "--vfs-write-back", "1s"]
    if subprocess.run(words, capture_output=True, env=desk.environment).returncode:
        pytest.skip("this machine's rclone can't mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_two_copies_share_a_mount_of_a_cloud_on_one_machine(desk: Desk, site: FakeCivitai, cloud: Path) -> None:
    alone, shared = prepare(desk, site, 100), cloud / "archive"
    desk.configure(*QUICK)
    shares = ("1/2", "2/2")
    copies = [desk.start("civitai-downloader", "models.txt", "-o", str(shared), "--shard", each) for each in shares]
    ends = [copy.communicate(timeout=LIMIT)[0] for copy in copies]
    assert [copy.returncode for copy in copies] == [0, 0], ends
    assert set(crowd.fetched(site).values()) == {1}
    assert crowd.tree(shared) == crowd.tree(alone)
    site.forget()
    code, words = desk.copy(output=shared)
    assert code == 0, words
    assert crowd.fetched(site) == {}
    assert (shared / "index.html").exists()
    final = desk.folder / "cloud" / "archive"
    wait_for(lambda: final.exists() and crowd.tree(final) == crowd.tree(alone), "that everything is in the cloud")
