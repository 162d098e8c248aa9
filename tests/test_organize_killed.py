"""A run that puts files in order is killed at each of its steps: nothing is lost, and the next run ends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.disks import mounted
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.organizing import build, killed_at, left_overs, theirs, weights, words

WAYS = ("symlink", "hardlink", "copy", "move")
EVERY = int(os.environ.get("ORGANIZE_EVERY", "0"))  # 1 tries each step; a whole run does without some


@pytest.fixture(params=["one disk", "two disks"])
def into(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    if request.param == "one disk":
        yield tmp_path / "sorted"
    else:
        with mounted(tmp_path / "disk", "tmpfs") as disk:
            yield disk / "sorted"


def stride(way: str) -> int:
    return EVERY or (4 if way == "move" else 9)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_killed_run_loses_nothing_and_the_next_one_ends_it(
    run: Runner, site: FakeCivitai, lora: FakeModel, tmp_path: Path, into: Path, way: str
) -> None:
    if way == "hardlink" and into.parent.name == "disk":
        pytest.skip("hard links need one disk")
    models = build(lora, tmp_path / "models")
    assert run(str(models)) == 0
    before, number = theirs(models), 1
    while killed_at(number, run, words(models, into, way)):
        assert weights(before) <= weights(theirs(models)) | weights(theirs(into)), number
        if number % 2:
            assert run(*words(models, into, way)) == 0, number
            assert weights(theirs(into)) == weights(before)
            assert len(theirs(into)) == len(before) - 3
            assert len(theirs(models)) == (3 if way == "move" else len(before)), number
            assert not left_overs(models, into)
            assert run(*words(models, into, way)) == 0
        assert run(str(models), "--undo") in (0, 2), number
        assert (theirs(models), theirs(into)) == (before, {}), number
        assert not left_overs(models, into), number
        number += stride(way)
    assert number > 10


@pytest.mark.long
@pytest.mark.parametrize("way", ["copy", "move"])
def test_a_killed_undo_loses_nothing_and_the_next_one_ends_it(
    run: Runner, site: FakeCivitai, lora: FakeModel, tmp_path: Path, into: Path, way: str
) -> None:
    models = build(lora, tmp_path / "models")
    assert run(str(models)) == 0
    before, number = theirs(models), 1
    while True:
        assert run(*words(models, into, way)) == 0
        if not killed_at(number, run, [str(models), "--undo"]):
            break
        assert weights(before) <= weights(theirs(models)) | weights(theirs(into)), number
        assert run(str(models), "--undo") in (0, 2), number
        assert (theirs(models), theirs(into)) == (before, {}), number
        assert not left_overs(models, into), number
        number += stride(way)
    assert number > 10


@pytest.mark.parametrize("number", [3, 11, 23])
def test_a_killed_job_and_the_run_that_ends_it_are_taken_back_together(
    run: Runner, site: FakeCivitai, lora: FakeModel, tmp_path: Path, number: int
) -> None:
    models, into = build(lora, tmp_path / "models"), tmp_path / "sorted"
    assert run(str(models)) == 0
    before = theirs(models)
    assert killed_at(number, run, words(models, into, "move"))
    assert run(*words(models, into, "move")) == 0
    assert len(theirs(models)) == 3
    assert run(str(models), "--undo") == 0
    assert (theirs(models), theirs(into)) == (before, {})


def test_what_another_program_put_in_a_place_meanwhile_is_its_own(
    run: Runner, site: FakeCivitai, lora: FakeModel, tmp_path: Path
) -> None:
    models, into = build(lora, tmp_path / "models"), tmp_path / "sorted"
    assert run(str(models)) == 0
    before = theirs(models)
    assert killed_at(4, run, words(models, into, "move"))
    (into / "LORA").mkdir(parents=True, exist_ok=True)
    for path in (models / "loras").rglob("*.safetensors"):
        (into / "LORA" / path.name).unlink(missing_ok=True)
        (into / "LORA" / path.name).write_bytes(b"somebody's")
    assert run(*words(models, into, "move")) == 0
    assert theirs(models) == before
    assert {*theirs(into).values()} == {b"somebody's"}


@pytest.mark.long
@pytest.mark.parametrize("way", ["copy", "move"])
def test_what_is_replaced_is_not_lost_either(
    run: Runner, site: FakeCivitai, lora: FakeModel, tmp_path: Path, way: str
) -> None:
    models, into = build(lora, tmp_path / "models"), tmp_path / "sorted"
    (into / "LORA").mkdir(parents=True)
    for name in ("paper_xl.safetensors", "paper_xl.yaml"):
        (into / "LORA" / name).write_bytes(f"somebody's {name}".encode())
    assert run(str(models)) == 0
    before, taken, number = theirs(models), theirs(into), 1
    command = words(models, into, way, "--on-collision", "overwrite")
    while killed_at(number, run, command):
        there = {*theirs(models).values(), *theirs(into).values()}
        assert {data for name, data in before.items() if not name.endswith(".metadata.json")} <= there, number
        assert {*taken.values()} <= there, number
        if number % 2:
            assert run(*command) == 0, number
            assert {*taken.values()} <= {*theirs(into).values()}, number
        assert run(str(models), "--undo") in (0, 2), number
        assert (theirs(models), theirs(into)) == (before, taken), number
        number += stride(way)
    assert number > 10


def test_copies_that_are_freed_are_not_lost_either(
    run: Runner, site: FakeCivitai, lora: FakeModel, tmp_path: Path
) -> None:
    models, into = build(lora, tmp_path / "models"), tmp_path / "sorted"
    path = next(models.rglob("paper_xl.safetensors"))
    (models / "again.safetensors").write_bytes(path.read_bytes())
    assert run(str(models)) == 0
    before, number = theirs(models), 1
    while killed_at(number, run, words(models, into, "hardlink")):
        assert theirs(models).items() >= before.items(), number
        assert run(*words(models, into, "hardlink")) == 0
        assert path.samefile(models / "again.safetensors")
        assert run(str(models), "--undo") in (0, 2), number
        assert not path.samefile(models / "again.safetensors")
        assert (theirs(models), theirs(into)) == (before, {}), number
        number += stride("hardlink")
    assert number > 10
