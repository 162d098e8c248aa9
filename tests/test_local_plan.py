"""A dry run of a folder: a row for each file, identified as in a real run, and nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.plan import Row, shown_row
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel, Stall, Status, World
from tests.helpers import MANY, Captured, add_model, newest
from tests.library_disk import put, rows
from tests.model_folders import Expected, build_library
from tests.shelves import build_on

Seen = dict[str, tuple[Any, ...]]


def everything(folder: Path) -> Seen:
    """Return kind, size, times and bytes of all that is below a folder."""
    found: Seen = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        facts = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, data)
    return found


def table(shown: str) -> dict[str, list[str]]:
    """Return the other columns of each row by its first."""
    return {row[0]: row[1:] for row in (line.split("\t") for line in shown.splitlines())}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def expected(world: World, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    return build_library(
        tmp_path_factory.mktemp("library") / "models", world, files=41, models=28, unknown=5, copies=3, broken=3
    )


@pytest.fixture
def whole(world: World, tmp_path: Path) -> Iterator[Runner]:
    """Return what runs the command against the site that knows the big folder."""
    with FakeCivitai(world) as started:
        yield Runner(started, tmp_path)


def test_a_folder_is_identified_as_by_a_real_run_and_nothing_is_written(
    whole: Runner, expected: Expected, tmp_path: Path, capsys: Captured
) -> None:
    before = everything(tmp_path), everything(expected.root)
    assert whole(str(expected.root), "--dry-run", "--json-logs") == 0
    assert (everything(tmp_path), everything(expected.root)) == before
    planned = {row["target"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(planned) == sorted(planned)
    assert whole(str(expected.root)) == 0
    told = rows(expected.root)
    assert planned.keys() == told.keys()
    for path, row in told.items():
        assert {key: planned[path][key] for key in row if key != "name"} == {
            k: v for k, v in row.items() if k != "name"
        }
        assert planned[path]["name"] == (row["name"] or path)
    assert all(row["files"] == row["bytes"] == 0 for row in planned.values())

    before = everything(expected.root), everything(tmp_path)
    assert whole(str(expected.root), "--dry-run") == 0
    assert (everything(expected.root), everything(tmp_path)) == before
    again = table(capsys.readouterr().out)
    assert {row[2] for row in again.values()} == {"0"}
    assert {again[path][3] for path, row in told.items() if row["version"] and row["how"] != "sidecar"} == {"complete"}


def test_rows_say_what_is_known_and_what_is_to_come(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    shelves = build_on(site, tmp_path / "here")
    (shelves.root / "page.safetensors").write_text("<!DOCTYPE html><html>")
    assert run("here", "--dry-run") == 0
    shown = capsys.readouterr()
    assert table(shown.out) == {
        "archived.safetensors": ["0", "0", "0", "no longer on the site", "archived.safetensors"],
        "known.safetensors": ["0", "0", "?", "", f"Known [{shelves.known.model.id}] v1.0"],
        "mine.safetensors": ["0", "0", "0", "unknown", "mine.safetensors"],
        "page.safetensors": [
            "0",
            "0",
            "0",
            "It is a web page instead of a model; download it again.",
            "page.safetensors",
        ],
        "sub/edited.safetensors": ["0", "0", "?", "", f"Edited [{shelves.edited.model.id}] v1.0"],
    }
    assert "3 of 5 model files identified, 1 unknown, 1 broken" in shown.err
    assert "to fetch" not in shown.err  # nothing is said of a folder that is not part of the run


def test_a_table_names_the_files_and_a_hostile_name_stays_in_its_row() -> None:
    row = Row("a/b.safetensors", "Known [1] v1.0", pictures=None, obstacle="x", local={})
    assert shown_row(row, "table") == "a/b.safetensors: Known [1] v1.0  (x)"
    unknown = Row("a/b.safetensors", "a/b.safetensors", obstacle="unknown", local={})
    assert shown_row(unknown, "table") == "a/b.safetensors  (unknown)"
    hostile = Row("a\tb\n.ckpt", "n", local={})
    assert shown_row(hostile, "tabs").count("\t") == 5
    assert len(shown_row(hostile, "tabs").splitlines()) == len(shown_row(hostile, "table").splitlines()) == 1


def test_a_folder_and_links_are_planned_together(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel, capsys: Captured
) -> None:
    put(newest(lora), tmp_path / "here")
    other = add_model(site.world, "other")
    assert run("here", str(other.model.id), "--dry-run", "--no-gallery") == 0
    shown = capsys.readouterr()
    assert set(table(shown.out)) == {"paper_xl.safetensors", f"{other.model.id}@{other.id}"}
    assert "1.2 KB to fetch" in shown.err


def test_two_folders_of_the_same_names_have_their_rows(
    run: Runner, tmp_path: Path, lora: FakeModel, capsys: Captured
) -> None:
    for name in ("one", "two"):
        put(newest(lora), tmp_path / name)
    assert run("one", "two", "--dry-run") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_folder_without_model_files_is_nothing_to_do(
    run: Runner, tmp_path: Path, lora: FakeModel, capsys: Captured
) -> None:
    (tmp_path / "empty").mkdir()
    assert run("empty", "--dry-run") == 2
    assert "no model files" in capsys.readouterr().err
    put(newest(lora), tmp_path / "here")
    assert run("here", "empty", "--dry-run") == 1


def test_an_outage_is_a_failure_and_the_file_still_has_its_row(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel, capsys: Captured
) -> None:
    put(newest(lora), tmp_path / "here")
    site.fail("/by-hash", Status(500), times=MANY)
    assert run("here", "--dry-run") == 1
    shown = capsys.readouterr()
    assert table(shown.out)["paper_xl.safetensors"][3] == "not looked up"
    assert not (tmp_path / "here" / "download_state.jsonl").exists()


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid"), reason="permissions are those of POSIX")
def test_what_can_not_be_read_is_named(run: Runner, tmp_path: Path, lora: FakeModel, capsys: Captured) -> None:
    put(newest(lora), tmp_path / "here")
    shut = put(newest(lora), tmp_path / "here" / "shut").parent
    shut.chmod(0)
    try:
        if os.access(shut, os.R_OK):
            pytest.skip("root may read everything")
        assert run("here", "--dry-run") == 1
    finally:
        shut.chmod(0o755)
    shown = capsys.readouterr()
    assert list(table(shown.out)) == ["paper_xl.safetensors"]
    assert "shut: It can't be read" in shown.err


def test_ctrl_c_ends_a_dry_run_at_once_without_a_row(
    run: Runner, site: FakeCivitai, tmp_path: Path, lora: FakeModel, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(newest(lora), tmp_path / "here")
    site.fail("/by-hash", Stall(5))

    def interrupted(*_words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("civitai_downloader.core.display.progress_line", interrupted)
    assert run("here", "10001", "--dry-run") == 130
    shown = capsys.readouterr()
    assert not shown.out
    assert "Interrupted" in shown.err


def test_json_logs_draw_no_bars_on_a_terminal(
    run: Runner, tmp_path: Path, lora: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    put(newest(lora), tmp_path / "here")
    monkeypatch.setattr("civitai_downloader.util.screen._understands_escapes", lambda _stream: True)
    assert run("here", "--dry-run", "--json-logs") == 0
    assert all(isinstance(json.loads(line), dict) for line in capsys.readouterr().err.splitlines())
