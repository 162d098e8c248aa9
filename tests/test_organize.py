"""A folder put in order: its identified files go where a layout says, with their companions, in four ways."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import Captured, Err, read_json
from tests.library_disk import last, put
from tests.organizing import build, steps, theirs, weights, words

WAYS = ("symlink", "hardlink", "copy", "move")
WHAT = ("skip", "rename", "overwrite", "fail")


@pytest.fixture
def models(lora: FakeModel, tmp_path: Path) -> Path:
    return build(lora, tmp_path / "models")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "sorted"


def links(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_symlink()}


@pytest.mark.parametrize("way", WAYS)
def test_files_go_where_the_layout_says_and_a_second_run_does_nothing(
    run: Runner, site: FakeCivitai, models: Path, into: Path, way: str
) -> None:
    assert run(str(models)) == 0
    before = theirs(models)
    site.forget()
    assert run(*words(models, into, way)) == 0
    assert not site.requests
    assert weights(theirs(into)) == weights(before)
    assert {name.partition("/")[0] for name in theirs(into)} == {"LORA"}
    assert sorted(path.suffix for path in (into / "LORA").iterdir()).count(".yaml") == 2
    assert theirs(models) == ({"loras/mine.txt": b"nobody's\n", **notes(before)} if way == "move" else before)
    assert links(into) == (
        {name for name in names(into) if not name.endswith(".metadata.json")} if way == "symlink" else set()
    )
    done = [line["status"] for line in steps(models)]
    assert run(*words(models, into, way)) == 0
    assert [line["status"] for line in steps(models)] == done == ["done", "done"]


def names(into: Path) -> set[str]:
    return {path.name for path in (into / "LORA").iterdir()}


def notes(before: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in before.items() if name.endswith("_v2.txt")}


@pytest.mark.parametrize("way", WAYS)
def test_the_output_folder_knows_its_files(run: Runner, site: FakeCivitai, models: Path, into: Path, way: str) -> None:
    assert run(*words(models, into, way)) == 0
    site.forget()
    for path in (into / "LORA").glob("*.safetensors"):
        line = last(into, f"LORA/{path.name}")
        assert (line["status"], line["layout"], line["size"]) == ("success", "{type}", path.stat().st_size)
        assert read_json(path.with_suffix(".metadata.json"))["file_path"] == path.as_posix()
        preview = path.with_suffix(".preview.png")
        assert read_json(path.with_suffix(".metadata.json"))["preview_url"] in ("", preview.as_posix())
    assert run(str(into)) == 0
    assert not site.requests
    assert len(read_json(into / "report.json")["local"]["files"]) == 2
    assert list(into.rglob(".civitai/users/*/models/*/model.json"))
    gone = {line["status"] for line in map(json.loads, (models / "download_state.jsonl").read_text().splitlines())
            if line["type"] == "local" and line["status"] == "moved"}  # fmt: skip
    assert gone == ({"moved"} if way == "move" else set())


@pytest.mark.parametrize("way", WAYS)
def test_undo_takes_the_last_job_back(run: Runner, site: FakeCivitai, models: Path, into: Path, way: str) -> None:
    assert run(str(models)) == 0
    before = theirs(models)
    assert run(*words(models, into, way)) == 0
    assert run(str(models), "--undo") == 0
    assert (theirs(models), theirs(into)) == (before, {})
    site.forget()
    assert run(str(models)) == 0
    assert not site.requests
    assert run(str(models), "--undo") == 2
    assert run(*words(models, into, way)) == 0
    assert weights(theirs(into)) == weights(before)


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("way", WAYS)
def test_a_taken_name(run: Runner, site: FakeCivitai, models: Path, into: Path, way: str, what: str, err: Err) -> None:
    assert run(str(models)) == 0
    before = theirs(models)
    (into / "LORA").mkdir(parents=True)
    taken = into / "LORA" / "PAPER_xl.safetensors"
    taken.write_bytes(b"somebody's")
    command = words(models, into, way, "--on-collision", what)
    assert run(*command) == (1 if what == "fail" else 0)
    said = err()
    there = theirs(into)
    if what == "overwrite":
        (waiting,) = (into / ".civitai" / "replaced").rglob("*.safetensors")
        assert (waiting.read_bytes(), taken.read_bytes() in weights(before)) == (b"somebody's", True)
    else:
        assert there["LORA/PAPER_xl.safetensors"] == b"somebody's"
        assert ("is taken by another file" in said) == (what != "rename")
    placed = {name: data for name, data in there.items() if data in weights(before)}
    assert len(placed) == (1 if what in ("skip", "fail") else 2)
    if what == "rename":
        (new,) = (name for name in placed if "xl-" in name)
        assert new.removesuffix(".safetensors") + ".yaml" in there
    assert run(*command) == (1 if what == "fail" else 0)
    assert theirs(into) == there
    assert run(str(models), "--undo") == 0
    assert theirs(models) == before
    assert theirs(into) == {"LORA/PAPER_xl.safetensors": b"somebody's"}


@pytest.mark.parametrize("is_taken", [True, False])
def test_only_what_is_in_its_place_is_said_to_be_there(
    run: Runner, site: FakeCivitai, models: Path, into: Path, is_taken: bool, err: Err
) -> None:
    (into / "LORA").mkdir(parents=True)
    for name in ("paper_xl.safetensors", "paper_sd15.safetensors") if is_taken else ():
        (into / "LORA" / name).write_bytes(b"somebody's")
    for _ in range(2):
        err()
        assert run(*words(models, into, "copy")) == 0
    assert ("Everything that was identified is in its place" in err()) is not is_taken


def test_what_was_replaced_waits_until_the_next_job(run: Runner, site: FakeCivitai, models: Path, into: Path) -> None:
    (into / "LORA").mkdir(parents=True)
    (into / "LORA" / "paper_xl.safetensors").write_bytes(b"somebody's")
    assert run(*words(models, into, "copy", "--on-collision", "overwrite")) == 0
    assert run(*words(models, into, "copy")) == 0
    assert list((into / ".civitai" / "replaced").rglob("*.safetensors"))
    assert run(str(models), "-o", str(into), "--layout", "by-creator", "--organize", "copy") == 0
    assert not list((into / ".civitai").rglob("replaced/*"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["models/sorted", "models", "."])
def test_a_target_in_the_source_or_around_it_does_not_nest(
    run: Runner, site: FakeCivitai, models: Path, tmp_path: Path, way: str, place: str
) -> None:
    assert run(str(models)) == 0
    into = tmp_path / place
    before = weights(theirs(models))
    for _ in range(2):
        assert run(*words(models, into, way)) == 0
        there = sorted(path.relative_to(tmp_path).as_posix() for path in into.rglob("LORA/**/*.safetensors"))
        assert len(there) == 2
        assert {path.parent for path in into.rglob("LORA/*.safetensors")} == {into / "LORA"}
        assert weights(theirs(models)) | weights(theirs(into)) == before
    site.forget()
    assert run(str(models)) == (2 if (way, place) == ("move", ".") else 0)  # nothing is left in it
    assert not site.requests
    assert run(str(models), "--undo") == 0
    assert not list(into.rglob("LORA/*.safetensors"))
    assert weights(theirs(models)) == before


def test_an_undo_leaves_what_has_changed(run: Runner, site: FakeCivitai, models: Path, into: Path, err: Err) -> None:
    assert run(*words(models, into, "move")) == 0
    changed = into / "LORA" / "paper_xl.safetensors"
    changed.write_bytes(safetensors_bytes("edited"))
    assert run(str(models), "--undo") == 1
    assert f"{changed} has changed since" in err()
    assert changed.exists()
    assert list(models.rglob("paper_sd15.safetensors"))
    assert not list(models.rglob("paper_xl.safetensors"))


def test_an_undo_never_removes_the_last_copy(
    run: Runner, site: FakeCivitai, models: Path, into: Path, err: Err
) -> None:
    assert run(*words(models, into, "copy")) == 0
    (original,) = models.rglob("paper_xl.safetensors")
    original.unlink()
    assert run(str(models), "--undo") == 1
    assert "so its copy" in err()
    assert (into / "LORA" / "paper_xl.safetensors").exists()
    assert not (into / "LORA" / "paper_sd15.safetensors").exists()


def test_an_undo_does_not_overwrite_what_came_to_the_old_place(
    run: Runner, site: FakeCivitai, models: Path, into: Path, err: Err
) -> None:
    assert run(str(models)) == 0
    (place,) = models.rglob("paper_xl.safetensors")
    assert run(*words(models, into, "move")) == 0
    place.write_bytes(b"somebody's")
    assert run(str(models), "--undo") == 1
    assert "is taken, so nothing was moved back" in err()
    assert place.read_bytes() == b"somebody's"
    assert (into / "LORA" / "paper_xl.safetensors").exists()


def test_a_dry_run_prints_from_where_to_where(
    run: Runner, site: FakeCivitai, models: Path, into: Path, capsys: Captured
) -> None:
    (models / "unknown.safetensors").write_bytes(safetensors_bytes("unknown to the site"))
    before = theirs(models)
    assert run(*words(models, into, "move"), "--dry-run") == 0
    out, said = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    (xl,) = (row for row in rows if "paper_xl" in row[0])
    (stays,) = (row for row in rows if "unknown" in row[0])
    assert xl[:2] == [str(next(models.rglob("paper_xl.safetensors"))), str(into / "LORA" / "paper_xl.safetensors")]
    assert int(xl[2]) >= len(safetensors_bytes("xl"))
    assert stays[1:4] == ["", "0", "unknown"]
    assert "Workflows and prompts that name a file by its path" in said
    assert (theirs(models), into.exists()) == (before, False)
    assert run(*words(models, into, "copy"), "--dry-run", "--json-logs") == 0
    found: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {Path(row["to"]).parent for row in found if row["to"]} == {into / "LORA"}
    assert {"from", "to", "bytes", "obstacle", "sha256", "how"} <= set(found[0])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--organize", "copy", "--layout", "by-type"], "add -o DIR"),
        (["--organize", "copy"], "add -o DIR --layout NAME"),
        (["--on-collision", "skip"], "add --organize"),
        (["--undo", "--organize", "copy"], "pass one of them"),
        (["--organize", "steal"], "--organize"),
    ],
)
def test_bad_options_end_the_command(models: Path, more: list[str], said: str, err: Err) -> None:
    from civitai_downloader.__main__ import main

    assert main([str(models), "--lang", "en", *more]) == 2
    assert said in err()
    assert not (models / "download_state.jsonl").exists()


def test_a_link_as_input_is_no_folder(run: Runner, site: FakeCivitai, into: Path, err: Err) -> None:
    assert run("10001", "-o", str(into), "--layout", "by-type", "--organize", "copy") == 2
    assert "name that folder" in err()
    assert run("10001", "--undo") == 2
    assert not site.requests


def test_an_emptied_folder_is_no_error(
    run: Runner, site: FakeCivitai, lora: FakeModel, into: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    put(lora.versions[0], models)
    for _ in range(2):
        assert run(*words(models, into, "move")) == 0
    assert not list(models.glob("*.safetensors"))
    (tmp_path / "empty").mkdir()
    assert run(*words(tmp_path / "empty", into, "move")) == 2
    assert os.path.exists(into / "LORA")


@pytest.mark.parametrize(
    ("layout", "folder"),
    [
        ("creator", "users/lantern_maker/models/Paper Lantern Style [10001]/v2.0 [20002]"),
        ("sharded", "model_10/10001/20002"),
        ("comfyui", "models/loras"),
        ("a1111", "models/Lora"),
        ("by-creator", "lantern_maker"),
        ("by-date", "2026/01"),
        ("{base_model}/{rating}/{weighted_rating}", "SDXL 1.0/loved/4.5"),
    ],
)
def test_each_layout_gives_the_folder(
    run: Runner, site: FakeCivitai, models: Path, into: Path, layout: str, folder: str
) -> None:
    command = [str(models), "-o", str(into), "--layout", layout, "--organize", "copy"]
    for _ in range(2):
        assert run(*command) == 0
        places = [path.relative_to(into).as_posix() for path in into.rglob("paper_xl.safetensors")]
        assert places == [f"{folder}/paper_xl.safetensors"]


def test_a_file_stays_where_a_rating_has_put_it(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, into: Path
) -> None:
    command = [str(models), "-o", str(into), "--layout", "by-rating", "--organize", "symlink"]
    assert run(*command) == 0
    before = theirs(into)
    lora.thumbs = 1
    assert run(*command, "--refresh") == 0
    assert {name.partition("/")[0] for name in before} == {"loved"}
    assert theirs(into).keys() == before.keys()


def test_the_report_says_where_files_were_put(run: Runner, site: FakeCivitai, models: Path, into: Path) -> None:
    assert run(*words(models, into, "copy")) == 0
    rows = read_json(models / "report.json")["local"]["files"]
    assert {Path(row["to"]).parent for row in rows} == {into / "LORA"}
    assert run(str(models), "-o", str(models), "--layout", "by-creator", "--organize", "move") == 0
    rows = read_json(models / "report.json")["local"]["files"]
    assert {row["path"] for row in rows} == {
        "lantern_maker/paper_xl.safetensors",
        "lantern_maker/paper_sd15.safetensors",
    }
