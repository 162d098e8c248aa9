"""Undo: what was put in order is taken back, as far as it is there and is what it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.library import Library
from civitai_downloader.util.errors import Failure
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import Err
from tests.library_disk import last, lines
from tests.organizing import build, killed_at, left_overs, theirs, words

WAYS = ("symlink", "hardlink", "copy", "move")
EVERY = int(os.environ.get("ORGANIZE_EVERY", "5"))  # 1 tries each step


@pytest.fixture
def models(run: Runner, site: FakeCivitai, lora: FakeModel, tmp_path: Path) -> Path:
    models = build(lora, tmp_path / "models")
    assert run(str(models)) == 0
    return models


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "sorted"


def test_an_undo_names_what_is_gone_and_does_not_call_it_found(run: Runner, models: Path, into: Path, err: Err) -> None:
    place = next(models.rglob("paper_xl.safetensors")).relative_to(models).as_posix()
    assert run(*words(models, into, "move")) == 0
    (into / "mine").mkdir()
    gone = into / "LORA" / "paper_xl.safetensors"
    gone.rename(into / "mine" / gone.name)
    assert run(str(models), "--undo") == 1
    said = err()
    assert f"{gone} is gone, so it can't be moved back." in said
    assert "1 files are back where they were, 1 are not." in said
    assert last(models, place)["status"] == "moved"
    assert (into / "mine" / gone.name).exists()


@pytest.mark.parametrize("way", ["symlink", "hardlink", "copy"])
def test_nothing_is_missing_where_a_copy_or_link_was_removed(run: Runner, models: Path, into: Path, way: str) -> None:
    before = theirs(models)
    assert run(*words(models, into, way)) == 0
    for path in (into / "LORA").glob("paper_xl*"):
        path.unlink()
    assert run(str(models), "--undo") == 0
    assert (theirs(models), theirs(into)) == (before, {})


@pytest.mark.parametrize("way", WAYS)
def test_the_log_follows_where_what_was_replaced_comes_back(
    run: Runner, site: FakeCivitai, models: Path, into: Path, way: str
) -> None:
    (into / "LORA").mkdir(parents=True)
    (into / "LORA" / "paper_xl.safetensors").write_bytes(b"somebody's")
    place = next(models.rglob("paper_xl.safetensors")).relative_to(models).as_posix()
    assert run(*words(models, into, way, "--on-collision", "overwrite")) == 0
    assert run(str(models), "--undo") == 0
    assert last(models, place)["status"] == "success"
    assert last(into, "LORA/paper_xl.safetensors")["status"] == "moved"
    site.forget()
    count = len(lines(models))
    assert run(str(models)) == 0
    assert (site.requests, len(lines(models))) == ([], count)


def test_a_dry_undo_touches_nothing_that_a_killed_run_has_left(run: Runner, models: Path, into: Path) -> None:
    number = next(
        each for each in range(1, 60) if killed_at(each, run, words(models, into, "copy")) and left_overs(into)
    )
    before = left_overs(models, into)
    assert run(str(models), "--undo", "--dry-run") in (0, 2), number
    assert left_overs(models, into) == before
    assert run(str(models), "--undo") in (0, 2), number
    assert not left_overs(models, into)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_killed_undo_that_gives_back_what_was_replaced_is_ended(
    run: Runner, models: Path, into: Path, way: str
) -> None:
    (into / "LORA").mkdir(parents=True)
    for name in ("paper_xl.safetensors", "paper_xl.yaml"):
        (into / "LORA" / name).write_bytes(f"somebody's {name}".encode())
    before, taken, number = theirs(models), theirs(into), 1
    while True:
        assert run(*words(models, into, way, "--on-collision", "overwrite")) == 0
        if not killed_at(number, run, [str(models), "--undo"]):
            break
        assert run(str(models), "--undo") in (0, 2), number
        assert (theirs(models), theirs(into)) == (before, taken), number
        assert not left_overs(models, into), number
        number += EVERY
    assert number > 10


@pytest.mark.parametrize("way", WAYS)
def test_what_can_not_be_put_on_record_is_taken_back(
    run: Runner, models: Path, into: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, append = theirs(models), Library.append

    def refused(library: Library, line: dict[str, Any]) -> None:
        if line.get("status") == "placed":
            raise Failure("disk-full", "The disk is full.")
        append(library, line)

    monkeypatch.setattr(Library, "append", refused)
    assert run(*words(models, into, way)) == 1
    assert (theirs(models), theirs(into)) == (before, {})
    monkeypatch.setattr(Library, "append", append)
    assert run(*words(models, into, way)) == 0
    assert run(str(models), "--undo") == 0
    assert (theirs(models), theirs(into)) == (before, {})
