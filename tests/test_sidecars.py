"""Sidecars hold what other programs read beside a file, and what these or the user wrote there is kept."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from civitai_downloader.core.sidecars import a1111_json, sidecar_owners
from tests.conftest import Runner, State, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, png_bytes
from tests.helpers import THING, Captured, file_of, model_of, newest, read_json, version_of


def info_site(out: Path) -> str:
    return str(read_json(one_file(out, "40001.txt"))["page"]).rpartition("/images/")[0]


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("SD 1.5", "SD1"),
        ("SD 2.1 768", "SD2"),
        ("SDXL 1.0", "SDXL"),
        ("Pony", "SDXL"),
        ("Illustrious", "SDXL"),
        ("SD 3.5", "SD3"),
        ("Flux.1 D", "Unknown"),
        ("Pony V7", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_a1111_is_told_the_sd_version(base: str, found: str) -> None:
    assert a1111_json(model_of(), version_of(baseModel=base), "u")["sd version"] == found


def test_activation_text_is_one_line_whatever_the_trained_words_hold() -> None:
    words = version_of(trainedWords=["paper lantern, ", "", None, "a\nb", 5, "<lora:x:1>"])
    assert a1111_json(model_of(), words, "u")["activation text"] == "paper lantern, a b, <lora:x:1>"


def test_of_two_weights_with_one_stem_the_safetensors_has_the_sidecars() -> None:
    pairs = [
        (file_of(1, "x.ckpt", primary=True), "x.ckpt"),
        (file_of(2, "x.safetensors"), "x.safetensors"),
        (file_of(3, "x.yaml", type="Config"), "x.yaml"),
        (file_of(4, "y.ckpt"), "y.ckpt"),
        (file_of(5, "y.pt", primary=True), "y.pt"),
    ]
    files = [(each, replace(THING, path=path)) for each, path in pairs]
    assert [each.id for each, _ in sidecar_owners(files, version_of(files=tuple(each for each, _ in pairs)))] == [2, 5]


# --- By the command ------------------------------------------------------------------------------


@pytest.mark.usefixtures("lora")
def test_sidecars_have_the_formats_of_their_readers(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001")
    weights = one_file(out, "paper_xl.safetensors")
    info = read_json(weights.with_suffix(".civitai.info"))
    assert (info["id"], info["modelId"], info["baseModel"]) == (20002, 10001, "SDXL 1.0")
    assert info["model"]["name"] == lora.name
    assert info["creator"]["username"] == "lantern_maker"
    user = read_json(weights.with_suffix(".json"))
    assert user["sd version"] == "SDXL"
    assert user["activation text"] == "paper lantern, night, rain"
    assert user["notes"] == f"{info_site(out)}/models/10001?modelVersionId=20002"
    manager = read_json(weights.with_suffix(".metadata.json"))
    assert manager["file_name"] == "paper_xl"
    assert manager["file_path"] == weights.as_posix()
    assert manager["sha256"] == newest(lora).files[0].body.hashes["SHA256"].lower()
    assert manager["preview_url"] == weights.with_suffix(".preview.png").as_posix()
    assert manager["usage_tips"] == "{}"


@pytest.mark.usefixtures("mix")
def test_weights_have_sidecars_and_other_files_have_none(run: Runner, out: Path) -> None:
    run("10001", "--latest")
    assert {path.name for path in out.rglob("*.civitai.info")} == {"mix.civitai.info", "mix.vae.civitai.info"}


@pytest.mark.usefixtures("mix")
def test_only_metadata_writes_sidecars_without_files(run: Runner, out: Path, site: FakeCivitai) -> None:
    run("10001", "--only", "metadata")
    assert one_file(out, "mix.metadata.json")
    assert not site.seen("storage") + site.seen("image")


def test_a_sidecar_follows_the_site_until_somebody_edits_it(
    run: Runner, out: Path, lora: FakeModel, state: State, capsys: Captured
) -> None:
    run("10001")
    edited, followed = one_file(out, "paper_xl.json"), one_file(out, "paper_xl.civitai.info")
    edited.write_text('{"preferred weight": 0.7}', "utf-8")
    newest(lora).trained_words = ["another word"]
    for _ in range(2):
        assert run("10001", "--refresh", "--force") == 0
        assert edited.read_text("utf-8") == '{"preferred weight": 0.7}'
        assert read_json(edited.with_name("paper_xl.json.new"))["activation text"] == "another word"
        assert read_json(followed)["trainedWords"] == ["another word"]
    assert {path.name for path in out.rglob("*.new")} == {"paper_xl.json.new"}
    assert ("sidecar", followed.relative_to(out).as_posix()) in state()
    assert {each["kind"] for each in json.loads((out / "report.json").read_text("utf-8"))["files"]} == {
        "model",
        "image",
    }
    capsys.readouterr()
    assert run("--verify") == 0
    assert "5 files are as they should be" in capsys.readouterr().err
    edited.unlink()
    run("10001")
    assert read_json(edited)["activation text"] == "another word"


@pytest.mark.parametrize("before", ["there before us", "unknown to the log"])
def test_a_sidecar_that_the_log_does_not_know_counts_as_edited_if_it_differs(
    run: Runner, out: Path, lora: FakeModel, before: str
) -> None:
    run("10001")
    strange, known = one_file(out, "paper_xl.json"), one_file(out, "paper_xl.civitai.info")
    if before == "there before us":
        shutil.rmtree(out)
        strange.parent.mkdir(parents=True)
    else:
        (out / "download_state.jsonl").unlink()
    strange.write_text("{}", "utf-8")
    run("10001")
    newest(lora).trained_words = ["another word"]
    run("10001", "--refresh")
    assert strange.read_text("utf-8") == "{}"
    assert read_json(strange.with_name("paper_xl.json.new"))["activation text"] == "another word"
    assert read_json(known)["trainedWords"] == ["another word"]
    assert {path.name for path in out.rglob("*.new")} == {"paper_xl.json.new"}


def test_a_sidecar_of_two_models_stays_that_of_the_first(run: Runner, site: FakeCivitai, out: Path) -> None:
    for ending in ("pt", "safetensors"):
        site.world.add_model(type="Checkpoint").add_version().add_file(f"style.{ending}")
    for model, owner in (("10001", 20001), ("10002", 20001), ("10001", 20001)):
        assert run(model, "--layout", "a1111", "--no-gallery", "--refresh") == 0
        assert read_json(one_file(out, "style.civitai.info"))["id"] == owner
    assert not list(out.rglob("*.new"))


@pytest.mark.usefixtures("lora")
def test_a_sidecar_that_was_made_a_link_is_not_written_through(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001")
    sidecar, elsewhere = one_file(out, "paper_xl.json"), out.parent / "mine.json"
    sidecar.rename(elsewhere)
    with suppress(OSError):
        sidecar.symlink_to(elsewhere)
    if not sidecar.is_symlink():
        pytest.skip("needs the right to make links")
    before = elsewhere.read_bytes()
    newest(lora).trained_words = ["another word"]
    assert run("10001", "--refresh") == 0
    assert sidecar.is_symlink()
    assert elsewhere.read_bytes() == before
    assert one_file(out, "paper_xl.json.new")


def test_a_copy_is_made_where_links_do_not_work(
    run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch, lora: FakeModel
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert run("10001") == 0
    preview = one_file(out, "paper_xl.preview.png")
    assert preview.read_bytes() == one_file(out, "40001.png").read_bytes() == png_bytes(40001)
    assert preview.stat().st_nlink == 1
    shutil.rmtree(out)
