"""Disks that hold a folder of models and are full, taken away in the middle, or of a kind with coarse times."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util import hashes
from tests.conftest import Runner, files_under
from tests.disks import image_of, mounted, unmount
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err
from tests.shelves import GOOD, at_turn, build_on


@pytest.mark.parametrize("room", [0, 1000, 5000, 12_000, 40_000])
def test_a_full_disk_is_told_and_the_next_run_finishes(
    room: int, site: FakeCivitai, run: Runner, tmp_path: Path, err: Err
) -> None:
    with mounted(tmp_path / "disk", "tmpfs", options="size=800k") as disk:
        shelves = build_on(site, disk / "models")
        models = {name: data for name, data in files_under(disk / "models").items() if name.endswith(".safetensors")}
        filler = disk / "filler"
        with filler.open("wb") as file:
            while shutil.disk_usage(disk).free > room + 4096:
                file.write(b"x" * 4096)
                file.flush()
        code, said = run(str(shelves.root)), err()
        assert (code, "Traceback" in said) == (1, False), said
        assert not [*shelves.root.rglob("*.tmp")]
        assert models.items() <= files_under(shelves.root).items()
        filler.unlink()
        code, said = run(str(shelves.root)), err()
        assert (code, "Traceback" in said) == (0, False), said
        assert shelves.ends() == GOOD
        assert (shelves.root / "known.metadata.json").stat().st_size > 10


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_disk_that_is_taken_away_at_any_request_stays_as_it_was(
    turn: int, site: FakeCivitai, run: Runner, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "disk"
    with mounted(place, "tmpfs", options="size=50m"):
        shelves = build_on(site, place / "models")
        at_turn(monkeypatch, site, turn, lambda: unmount(place))
        code, said = run(str(shelves.root)), err()
        assert (code, "Traceback" in said, "bug in this program" in said) == (1, False, False), said
        assert not [*place.iterdir()]


def test_a_disk_that_is_taken_away_while_a_file_is_hashed_is_told(
    site: FakeCivitai, run: Runner, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, plain = tmp_path / "disk", hashes.blocks
    with mounted(place, "tmpfs", options="size=50m"):
        shelves = build_on(site, place / "models")

        def gone(file: Any, *words: Any) -> Any:
            unmount(place)
            return plain(file, *words)

        monkeypatch.setattr(hashes, "blocks", gone)
        code, said = run(str(shelves.root)), err()
        assert (code, "Traceback" in said, "bug in this program" in said) == (1, False, False), said
        assert not [*place.iterdir()]
        assert not [request for request in site.requests if "by-hash/" in request.path and request.method == "GET"]


def test_times_in_steps_of_two_seconds_and_summer_time_read_nothing_again(
    site: FakeCivitai, run: Runner, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_of(tmp_path / "fat.img", 40, "mkfs.vfat")
    place = tmp_path / "stick"
    with mounted(place, "vfat", str(image), "loop"):
        shelves = build_on(site, place / "models")
        assert run(str(shelves.root)) == 0
        assert shelves.ends() == GOOD
        before = {name: line["at"] for name, line in shelves.lines().items()}
    with mounted(place, "vfat", str(image), "loop,time_offset=60"):
        monkeypatch.setattr(hashes, "blocks", _never)
        site.forget()
        assert run(str(shelves.root)) == 0
        assert not [request for request in site.requests if "/api/" in request.path]
        assert {name: line["at"] for name, line in shelves.lines().items()} == before
        assert "Traceback" not in err()


def _never(*_: object) -> None:
    raise AssertionError("a file was read")


@pytest.mark.parametrize("shift", [2, -2, 1, 3600, -3600])
def test_even_times_that_shift_as_those_of_fat_do_read_nothing_again(
    shift: int, site: FakeCivitai, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelves, born = build_on(site, tmp_path / "models"), 1_700_000_000
    models = [*shelves.root.rglob("*.safetensors")]
    for path in models:
        os.utime(path, (born, born))
    assert run(str(shelves.root)) == 0
    for path in models:
        os.utime(path, (born + shift, born + shift))
    monkeypatch.setattr(hashes, "blocks", _never)
    site.forget()
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD
    assert not [request for request in site.requests if "/api/" in request.path]


@pytest.mark.parametrize("shift", [5, 3601, 86_400])
def test_other_times_have_a_file_read_again(
    shift: int, site: FakeCivitai, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelves, born = build_on(site, tmp_path / "models"), 1_700_000_000
    os.utime(shelves.root / "known.safetensors", (born, born))
    assert run(str(shelves.root)) == 0
    os.utime(shelves.root / "known.safetensors", (born + shift, born + shift))
    read, plain = list[Any](), hashes.blocks

    def counted(file: Any, *words: Any) -> Any:
        read.append(file)
        return plain(file, *words)

    monkeypatch.setattr(hashes, "blocks", counted)
    assert run(str(shelves.root)) == 0
    assert len(read) == 1
    assert shelves.ends() == GOOD


def test_a_clock_that_was_set_back_asks_nothing_twice(site: FakeCivitai, run: Runner, tmp_path: Path) -> None:
    shelves = build_on(site, tmp_path / "models")
    later = 4_000_000_000_000_000_000
    os.utime(shelves.root / "known.safetensors", ns=(later, later))
    assert run(str(shelves.root)) == 0
    site.forget()
    assert run(str(shelves.root)) == 0
    assert not [request for request in site.requests if "/api/" in request.path]
    assert shelves.ends() == GOOD
