"""A run through a folder may be killed at any time: the next ones end what it began, and repeat nothing."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import files_under
from tests.fake_civitai import FakeCivitai, World
from tests.library_disk import lines, rows
from tests.model_folders import Expected, build_library

KILLS = 20
OF_A_RUN = ("download_state.", "report.json", ".cache/", "failed")


def begin(site: FakeCivitai, root: Path) -> subprocess.Popen[bytes]:
    """Start the command on a folder, as a process of its own."""
    words = [sys.executable, "-m", "civitai_downloader", str(root), "--site", site.url, "--lang", "en", "--no-page"]
    pace = ["--max-rate-model", "1000", "--max-rate-image", "1000", "--log", str(root.parent / "log.txt")]
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*words, *pace], env=there, cwd=root.parent, stdin=quiet, stdout=quiet, stderr=quiet)


def build(root: Path, world: World) -> Expected:
    return build_library(root, world, files=90, models=50, unknown=8, copies=6, broken=4)


def left_in(root: Path) -> dict[str, bytes]:
    """Return all files of a folder but those about single runs, with paths as if they lay in one place."""
    found = files_under(root)
    plain = {path: data for path, data in found.items() if not path.startswith(OF_A_RUN)}
    return {path: data.replace(os.fsencode(root), b"ROOT") for path, data in plain.items()}


def hashed(root: Path) -> Counter[str]:
    """Return how often the log says of each file that it was hashed whole."""
    return Counter(line["path"] for line in lines(root) if line["status"] == "hashed" and not line.get("autov3"))


@pytest.mark.long
def test_a_run_that_is_killed_again_and_again_leaves_what_one_run_leaves(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    plain, killed = tmp_path / "plain", tmp_path / "killed"
    with FakeCivitai(World()) as site:
        build(plain, site.world)
        expected = build(killed, World())  # the same once more
        assert begin(site, plain).wait(60) == 0
        for kill in range(KILLS):
            process = begin(site, killed)
            try:
                process.wait(chance.uniform(0.2, 0.7 + kill / 15))
            except subprocess.TimeoutExpired:
                process.kill()
            process.wait()
        for _ in range(2):
            site.forget()
            assert begin(site, killed).wait(60) == 0, seed
    assert not site.requests, seed
    there, here = left_in(plain), left_in(killed)
    assert here.keys() == there.keys(), seed
    stems = Counter(path.rpartition(".")[0] for path in expected.files)
    unlike = [
        path
        for path in there
        if here[path] != there[path] and stems[path.rpartition(".preview.")[0]] < 2  # of two, the first has a preview
    ]
    assert not unlike, (seed, here[unlike[0]], there[unlike[0]])
    found = rows(killed)
    for path, entry in expected.files.items():
        assert (found[path]["how"], found[path]["version"] or 0) == (entry.how, entry.version), (path, seed)
    assert found == rows(plain)
    assert max(hashed(killed).values()) == 1, (seed, hashed(killed).most_common(3))
    assert all(json.dumps(line) for line in lines(killed))
