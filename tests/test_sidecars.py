"""Sidecars hold what other programs read beside a file, and what these or the user wrote there is kept."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from civitai_downloader.core.answers import File
from civitai_downloader.core.sidecars import a1111_json, sidecar_owners
from tests.conftest import Runner, State, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, png_bytes
from tests.helpers import SHA, THING, Captured, file_of, model_of, newest, read_json, version_of


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
        ("Flux.1 D", "Flux"),
        ("Flux.2 D", None),
        ("Pony V7", None),
        ("Chroma", None),
        ("", None),
    ],
)
def test_a1111_is_told_the_sd_version_where_there_is_a_name_for_it(base: str, found: str | None) -> None:
    assert a1111_json(model_of(), version_of(baseModel=base), "u").get("sd version") == found


def test_the_hash_is_spelled_as_browser_plus_compares_it() -> None:
    facts = a1111_json(model_of(), version_of(), "u", SHA)
    assert (facts["modelId"], facts["modelVersionId"], facts["sha256"]) == (10001, 20001, SHA.upper())
    assert "sha256" not in a1111_json(model_of(), version_of(), "u")


def test_activation_text_is_one_line_whatever_the_trained_words_hold() -> None:
    words = version_of(trainedWords=["paper lantern, ", "", None, "a\nb", 5, "<lora:x:1>"])
    assert a1111_json(model_of(), words, "u")["activation text"] == "paper lantern, a b, <lora:x:1>"


def owners(*files: File) -> list[int]:
    """Return the ids of the files of a version that have sidecars."""
    pairs = [(file, replace(THING, path=file.name)) for file in files]
    return [each.id for each, _ in sidecar_owners(pairs, version_of(files=files))]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            [
                file_of(1, "x.ckpt", primary=True),
                file_of(2, "x.safetensors"),
                file_of(3, "x.yaml", type="Config"),
                file_of(4, "y.ckpt"),
                file_of(5, "y.pt", primary=True),
            ],
            [2, 5],
        ),
        ([file_of(1, "x.CKPT", primary=True), file_of(2, "X.SafeTensors")], [2]),
        ([file_of(1, "x.ckpt", primary=True), file_of(2, "x.SFT")], [2]),
        ([file_of(1, "x.ckpt", primary=True), file_of(2, "x.bin", metadata={"format": "SafeTensor"})], [2]),
    ],
)
def test_of_two_weights_with_one_stem_the_safetensors_has_the_sidecars(files: list[File], found: list[int]) -> None:
    assert owners(*files) == found


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([file_of(1, "x.zip", metadata={"format": "Diffusers"})], [1]),
        ([file_of(1, "X.ZIP")], [1]),
        ([file_of(1, "x", metadata={"format": "Diffusers"})], [1]),
        ([file_of(1, "x.zip", type="Archive")], []),
        ([file_of(1, "x.zip", type="Training Data")], []),
        ([file_of(1, "x.zip"), file_of(2, "y.zip")], []),
        ([file_of(1, "x.zip"), file_of(2, "x.safetensors")], [2]),
    ],
)
def test_an_archive_that_is_the_whole_version_has_sidecars(files: list[File], found: list[int]) -> None:
    assert owners(*files) == found


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


def test_an_edited_value_stays_and_all_others_follow_the_site(
    run: Runner, out: Path, lora: FakeModel, state: State, capsys: Captured
) -> None:
    run("10001")
    edited = one_file(out, "paper_xl.json")
    edited.write_text(json.dumps({**read_json(edited), "preferred weight": 0.7, "mine": [1]}), "utf-8")
    for word in ("first", "second"):
        newest(lora).trained_words = [word]
        assert run("10001", "--refresh", "--force") == 0
        facts = read_json(edited)
        first = facts["activation text"].partition(",")[0]
        assert (facts["preferred weight"], facts["mine"], first) == (0.7, [1], word)
        assert read_json(one_file(out, "paper_xl.civitai.info"))["trainedWords"][0] == word
    assert not list(out.rglob("*.new"))
    place = edited.relative_to(out).as_posix()
    line = state()["sidecar", place]
    assert (line["path"], line["model"]) == (place, "20002/30002")
    assert set(line["keys"]) == set(read_json(edited)) - {"preferred weight", "mine"}
    assert all(re.fullmatch("[0-9a-f]{8}", each) for each in line["keys"].values())
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert {each["kind"] for each in report["files"]} == {"model", "image"}
    capsys.readouterr()
    assert run("--verify") == 0
    assert "5 files OK, 0 damaged or missing" in capsys.readouterr().err
    edited.unlink()
    run("10001")
    assert read_json(edited)["preferred weight"] == 0


@pytest.mark.parametrize("before", ["there before us", "unknown to the log"])
def test_a_sidecar_that_the_log_does_not_know_gains_what_it_lacks(
    run: Runner, out: Path, lora: FakeModel, before: str
) -> None:
    run("10001")
    strange, known = one_file(out, "paper_xl.json"), one_file(out, "paper_xl.civitai.info")
    if before == "there before us":
        shutil.rmtree(out)
        strange.parent.mkdir(parents=True)
    else:
        (out / "download_state.jsonl").unlink()
    strange.write_text('{"activation text": "mine", "other": null}', "utf-8")
    run("10001")
    newest(lora).trained_words = ["another word"]
    lora.description = "<p>New</p>"
    run("10001", "--refresh")
    facts = read_json(strange)
    assert (facts["activation text"], facts["other"], facts["description"]) == ("mine", None, "New")
    assert read_json(known)["trainedWords"] == ["another word", "paper lantern", "night, rain"]


@pytest.mark.parametrize("content", [b"[1, 2]", b"not json", b"", b'{"cut": ', b'{"a": "\xff"}', b"[" * 5000, b"5"])
def test_a_sidecar_that_is_no_object_stays_byte_for_byte(
    run: Runner, out: Path, lora: FakeModel, content: bytes
) -> None:
    run("10001")
    for ending in (".json", ".metadata.json", ".civitai.info"):
        one_file(out, f"paper_xl{ending}").write_bytes(content)
    newest(lora).trained_words = ["another word"]
    for _ in range(2):
        assert run("10001", "--refresh", "--force") == 0
        assert one_file(out, "paper_xl.json").read_bytes() == content


def as_earlier_versions_wrote_it(out: Path, *edited: str) -> None:
    """Turn the log's lines of sidecars into those without keys, and put a `.new` beside edited ones."""
    log = out / "download_state.jsonl"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for line in lines:
        if line["type"] == "sidecar":
            stem = re.sub(r"(\.civitai\.info|\.metadata\.json|\.json)$", "", line["id"])
            line.update(path=f"{stem}.safetensors", size=0)
            del line["keys"], line["model"]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    for name in edited:
        path = one_file(out, name)
        path.with_name(f"{name}.new").write_bytes(path.read_bytes())


def test_a_log_of_an_earlier_version_says_which_sidecars_are_ours(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001")
    as_earlier_versions_wrote_it(out)
    untouched, edited = one_file(out, "paper_xl.json"), one_file(out, "paper_xl.metadata.json")
    edited.write_text(json.dumps({**read_json(edited), "favorite": True, "modelDescription": "older"}), "utf-8")
    lora.description = "<p>New</p>"
    assert run("10001", "--refresh") == 0
    assert read_json(untouched)["description"] == "New"
    facts = read_json(edited)
    assert (facts["favorite"], facts["modelDescription"]) == (True, "older")
    lora.tags = ["new"]
    assert run("10001", "--refresh") == 0
    assert read_json(edited)["tags"] == ["new", "style", "lighting"]


def test_what_is_left_of_new_files_stays_and_is_named_once(
    run: Runner, out: Path, lora: FakeModel, capsys: Captured
) -> None:
    run("10001")
    as_earlier_versions_wrote_it(out, "paper_xl.json", "paper_xl.metadata.json")
    before = {path: path.read_bytes() for path in out.rglob("*.new")}
    newest(lora).trained_words = ["another word"]
    capsys.readouterr()
    assert run("10001", "--refresh") == 0
    shown = capsys.readouterr().err
    assert [shown.count(f"{path.name}") for path in before] == [1, 1]
    assert run("10001", "--refresh", "--force") == 0
    assert ".new" not in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*.new")} == before


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
