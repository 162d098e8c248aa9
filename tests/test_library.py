"""The library knows what is on disk already, and never writes over what is not its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from civitai_downloader.core.library import Library
from civitai_downloader.core.records import Facts, Record
from tests.conftest import Runner, State, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import SHA, THING, newest, read_json, storage_requests


def test_the_facts_of_a_thing_are_those_of_log_and_disk(tmp_path: Path) -> None:
    library, key = Library(tmp_path), ("model", "1/2")
    there, other = tmp_path / "a" / "b.safetensors", tmp_path / "other" / "b.safetensors"
    assert library.facts(THING) == Facts(path=THING.path)
    there.parent.mkdir()
    there.write_bytes(b"x" * 1000)
    assert library.facts(THING) == Facts(path=THING.path, size=1000)
    good = Record("success", THING.path, 1000, SHA)
    library.record(key, good, source="")
    assert library.facts(THING) == Facts(in_place=True, path=THING.path, size=1000)
    there.write_bytes(b"x" * 900)
    assert library.facts(THING) == Facts(path=THING.path, size=900)
    moved = Record("success", "other/b.safetensors", 1000, SHA)
    library.record(key, moved, source="")
    other.parent.mkdir()
    other.write_bytes(b"x" * 1000)
    assert library.facts(THING) == Facts(path=THING.path, size=900, source=other)
    there.write_bytes(b"x" * 1000)
    assert library.facts(THING) == Facts(in_place=True, path=THING.path, size=1000)
    third, copy = replace(THING, path="third/b.safetensors"), tmp_path / "third" / "b.safetensors"
    copy.parent.mkdir()
    copy.write_bytes(b"x" * 1000)
    assert library.facts(third) == Facts(path=third.path, size=1000, source=other)
    copy.unlink()
    copy.hardlink_to(other)
    assert library.facts(third) == Facts(path=third.path, size=1000, source=other, is_copy=True)
    library.close()


# --- By the command ------------------------------------------------------------------------------


@pytest.mark.usefixtures("lora")
def test_the_state_log_names_everything_that_landed(run: Runner, out: Path, state: State) -> None:
    run("10001")
    records = state()
    assert len([kind for kind, _ in records if kind == "sidecar"]) == 6
    assert {key for key in records if key[0] not in ("sidecar", "library")} == {
        *(("model", key) for key in ("20001/30001", "20002/30002")),
        *(("image", key) for key in ("40001", "40002", "40003")),
        ("meta", "40002"),
        ("page", "model/10001"),
    }
    record = records["model", "20002/30002"]
    assert record["status"] == "success"
    assert (out / record["path"]).stat().st_size == record["size"]
    assert len(record["sha256"]) == 64
    assert record["source"] == "10001"


@pytest.mark.usefixtures("lora")
def test_files_are_adopted_when_the_log_is_lost(run: Runner, out: Path, site: FakeCivitai, state: State) -> None:
    run("10001")
    before = {key: line["path"] for key, line in state().items() if key[0] != "library"}
    (out / "download_state.jsonl").unlink()
    picture = one_file(out, "40002.jpg")
    picture.with_name("40002.part.json").write_text("{}")  # as a kill between the last two steps leaves it
    site.forget()
    assert run("10001") == 0
    assert not site.seen("storage") + site.seen("image")
    assert {key: line["path"] for key, line in state().items() if key[0] != "library"} == before
    assert {line["status"] for line in state().values()} == {"success"}
    assert not list(out.rglob("*.part.json"))


@pytest.mark.usefixtures("lora")
def test_a_file_that_is_gone_or_cut_is_fetched_again(run: Runner, out: Path, site: FakeCivitai) -> None:
    run("10001")
    one_file(out, "paper_xl.safetensors").unlink()
    one_file(out, "paper_sd15.safetensors").write_bytes(b"cut")
    one_file(out, "40002.jpg").unlink()
    site.forget()
    assert run("10001") == 0
    assert storage_requests(site) == 2
    assert one_file(out, "paper_xl.safetensors").read_bytes() == safetensors_bytes("xl")
    assert one_file(out, "paper_sd15.safetensors").stat().st_size > 3
    assert len(site.seen("image")) == 1


@pytest.mark.usefixtures("lora")
def test_force_fetches_again(run: Runner, site: FakeCivitai, out: Path) -> None:
    run("10001")
    site.forget()
    assert run("10001", "--force") == 0
    assert storage_requests(site) == 2
    assert not list(out.rglob("* [[]3*].safetensors"))


def test_a_file_of_the_user_is_not_written_over(run: Runner, out: Path, lora: FakeModel) -> None:
    mine = out / "models/loras/paper_xl.safetensors"
    mine.parent.mkdir(parents=True)
    same_size = b"u" * newest(lora).files[0].body.size
    for content in (b"my own", same_size):
        mine.write_bytes(content)
        assert run("10001@20002", "--layout", "comfyui", "--force") == 0
        assert mine.read_bytes() == content
        assert (mine.parent / "paper_xl-30002.safetensors").read_bytes() == safetensors_bytes("xl")


@pytest.mark.usefixtures("lora")
def test_a_second_layout_links_what_is_there(run: Runner, out: Path, site: FakeCivitai) -> None:
    run("10001")
    site.forget()
    assert run("10001", "--layout", "comfyui") == 0
    assert not site.seen("storage") + site.seen("image")
    assert (out / "models/loras/paper_xl.safetensors").samefile(one_file(out / "users", "paper_xl.safetensors"))
    log = (out / "download_state.jsonl").read_bytes()
    for layout in ("creator", "comfyui"):
        assert run("10001", "--layout", layout) == 0
    assert not site.seen("storage")
    assert (out / "download_state.jsonl").read_bytes().count(b'"model"') == log.count(b'"model"')
    counts = read_json(out / "report.json")["counts"]
    assert set(counts) == {"skipped"}


def test_a_second_place_must_be_the_same_file_and_not_only_of_the_same_size(
    run: Runner, out: Path, lora: FakeModel
) -> None:
    assert run("10001@20002") == 0
    mine = out / "models/loras/paper_xl.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"u" * newest(lora).files[0].body.size)
    assert run("10001@20002", "--layout", "comfyui") == 0
    assert set(mine.read_bytes()) == {ord("u")}
    assert (mine.parent / "paper_xl-30002.safetensors").read_bytes() == safetensors_bytes("xl")


def test_a_line_of_the_log_has_every_field_also_an_empty_one(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.record(("image", "1"), Record("failed", "1.png"), source="")
    library.record(("image", "2"), Record("queued", "2.png", until="2026-01-01T00:00:00Z"), source="")
    library.close()
    lines = (tmp_path / "download_state.jsonl").read_text("utf-8").splitlines()
    names = ["at", "type", "id", "status", "path", "size", "sha256", "reason", "source"]
    assert [sorted(json.loads(line)) for line in lines] == [sorted(names), sorted([*names, "until"])]
