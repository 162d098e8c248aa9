"""What other programs read is there in their form, and two rounds of "they rewrite, we run" hurt neither side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import newest, read_json
from tests.other_programs import BrowserPlus, CivitaiHelper, Forge, LoraManager

MANAGER, FORGE, BROWSER, HELPER = LoraManager(), Forge(), BrowserPlus(), CivitaiHelper()


@pytest.fixture
def weights(lora: FakeModel, run: Runner, out: Path) -> Path:
    """Bring home the LoRA and return the newer version's file."""
    lora.description = "<p>종이 등불 — “paper”, 紙</p>"
    assert run("10001") == 0
    return one_file(out, "paper_xl.safetensors")


def change_the_site(lora: FakeModel, turn: int) -> None:
    lora.description = f"<p>Description {turn}</p>"
    lora.tags = ["style", f"tag {turn}"]
    newest(lora).trained_words = [f"word {turn}"]


def test_rewriting_by_lora_manager_changes_nothing_of_theirs_and_freezes_nothing_of_ours(
    run: Runner, weights: Path, lora: FakeModel
) -> None:
    MANAGER.scan(weights)
    MANAGER.edit(weights, favorite=True, notes="mine", usage_tips='{"strength": 0.7}')
    theirs = MANAGER.scan(weights)
    theirs["civitai"]["customImages"] = [{"id": "a"}]
    theirs["civitai"]["model"]["of a later version"] = {"a": 1}
    MANAGER.write(weights, theirs)
    for turn in (1, 2):
        change_the_site(lora, turn)
        assert run("10001", "--refresh") == 0
        known = read_json(MANAGER.path(weights))
        assert known["modelDescription"] == known["civitai"]["model"]["description"] == f"<p>Description {turn}</p>"
        assert known["tags"] == known["civitai"]["model"]["tags"]
        assert known["tags"][:2] == ["style", f"tag {turn}"]
        assert known["civitai"]["trainedWords"][0] == f"word {turn}"
        assert (known["favorite"], known["notes"], known["usage_tips"]) == (True, "mine", '{"strength": 0.7}')
        assert known["civitai"]["customImages"] == [{"id": "a"}]
        assert known["civitai"]["model"]["of a later version"] == {"a": 1}
        assert known["trainedWords"] == []
        MANAGER.scan(weights)
    assert not list(weights.parent.glob("*.new"))


@pytest.mark.parametrize("kind", ["LORA", "Checkpoint", "TextualInversion"])
def test_a_scan_of_lora_manager_is_not_answered_by_a_write(
    run: Runner, site: FakeCivitai, out: Path, kind: str
) -> None:
    version = site.world.add_model(type=kind).add_version()
    version.add_file("x.safetensors", hashed=["SHA256"])
    version.add_image()
    assert run("10001") == 0
    weights = one_file(out, "x.safetensors")
    scanned = MANAGER.scan(weights, kind)
    assert scanned["autov3"] is None
    before = files_under(out / "users")
    log = (out / "download_state.jsonl").read_bytes()
    for _ in range(2):
        assert run("10001", "--refresh") == 0
        assert files_under(out / "users") == before
    lines = (out / "download_state.jsonl").read_bytes().removeprefix(log).splitlines()
    assert not [line for line in lines if b'"sidecar"' in line]


def test_trained_words_edited_in_lora_manager_stay_and_the_rest_follows(
    run: Runner, weights: Path, lora: FakeModel
) -> None:
    known = MANAGER.scan(weights)
    MANAGER.edit(weights, civitai={**known["civitai"], "trainedWords": ["my word"]}, tags=["my tag"])
    change_the_site(lora, 1)
    assert run("10001", "--refresh") == 0
    known = read_json(MANAGER.path(weights))
    assert (known["civitai"]["trainedWords"], known["tags"]) == (["my word"], ["my tag"])
    assert known["modelDescription"] == "<p>Description 1</p>"


def test_saving_in_forge_changes_nothing_of_theirs_and_freezes_nothing_of_ours(
    run: Runner, weights: Path, lora: FakeModel
) -> None:
    assert FORGE.card(weights)["sd version"] == "SDXL"
    FORGE.save(weights, notes="mine", **{"preferred weight": 0.7})
    for turn in (1, 2):
        change_the_site(lora, turn)
        assert run("10001", "--refresh") == 0
        card = FORGE.card(weights)
        assert (card["notes"], card["preferred weight"]) == ("mine", 0.7)
        words = card["activation text"].split(", ")
        assert (card["description"], words[0]) == (f"Description {turn}", f"word {turn}")
        FORGE.save(weights)


def test_a_number_that_an_app_spells_in_its_own_way_is_no_edit(run: Runner, weights: Path, lora: FakeModel) -> None:
    FORGE.save(weights)
    before = weights.with_suffix(".json").read_bytes()
    assert b'"preferred weight": 0.0' in before
    assert run("10001", "--refresh") == 0
    assert weights.with_suffix(".json").read_bytes() == before


def test_browser_plus_knows_every_file_without_a_request_and_freezes_nothing(
    run: Runner, weights: Path, lora: FakeModel
) -> None:
    assert not BROWSER.needs_request(weights, newest(lora).files[0].body.sha256)
    BROWSER.save_info(weights)
    for turn in (1, 2):
        before = weights.with_suffix(".json").read_bytes()
        assert run("10001", "--refresh") == 0
        assert weights.with_suffix(".json").read_bytes() == before
        change_the_site(lora, turn)
        assert run("10001", "--refresh") == 0
        known = read_json(weights.with_suffix(".json"))
        words = known["activation text"].split(", ")
        assert (known["description"], words[0]) == (f"Description {turn}", f"word {turn}")
        assert known["unpackList"] == ["a"]
        BROWSER.save_info(weights)


@pytest.mark.parametrize("encoding", ["cp1252", "cp949", "cp932", "utf-8", "latin-1"])
def test_a_helper_reads_civitai_info_in_every_system_encoding(weights: Path, lora: FakeModel, encoding: str) -> None:
    assert HELPER.read(weights, encoding)["model"]["description"] == lora.description
    assert weights.with_suffix(".civitai.info").read_bytes().isascii()


def test_refreshing_by_a_helper_changes_nothing_of_theirs_and_freezes_nothing_of_ours(
    run: Runner, weights: Path, lora: FakeModel
) -> None:
    for turn in (1, 2):
        HELPER.refresh(weights)
        theirs = HELPER.read(weights, "cp1252")
        change_the_site(lora, turn)
        assert run("10001", "--refresh") == 0
        info = HELPER.read(weights, "cp1252")
        assert info["model"]["description"] == f"<p>Description {turn}</p>"
        assert info["trainedWords"][0] == f"word {turn}"
        for mine in ("extensions", "images"):
            assert info[mine] == theirs[mine]
        assert info["model"]["note of the helper"] == "mine"
        assert weights.with_suffix(".civitai.info").read_bytes().isascii()


@pytest.mark.parametrize("shape", ["list", "postgres", "word", "empty"])
def test_the_licence_reaches_lora_manager_in_every_shape_of_the_answer(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel, shape: str
) -> None:
    site.world.commercial_use_shape = shape
    lora.commercial_use = ["Image", "Rent"]
    assert run("10001") == 0
    weights = one_file(out, "paper_xl.safetensors")
    expected = {"list": {"Image", "Rent"}, "postgres": {"Image", "Rent"}, "word": {"Image"}, "empty": set()}
    assert MANAGER.licence(weights) == (True, expected[shape])
    model = read_json(weights.with_suffix(".civitai.info"))["model"]
    assert (model["allowDerivatives"], model["allowDifferentLicense"]) == (True, False)
    assert isinstance(model["allowCommercialUse"], list)


@pytest.mark.parametrize(
    ("base", "shown"),
    [("Flux.1 D", "Flux"), ("Illustrious", "SDXL"), ("Pony V7", "by the file itself"), ("", "by the file itself")],
)
def test_forge_looks_into_the_file_where_we_know_no_version(
    run: Runner, site: FakeCivitai, out: Path, base: str, shown: str
) -> None:
    site.world.add_model().add_version(base_model=base).add_file("x.safetensors")
    assert run("10001") == 0
    assert FORGE.card(one_file(out, "x.safetensors"))["sd version"] == shown


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (None, "x.preview.png"),
        (b"GIF89a" + bytes(90) + b";", "x.gif"),
        (b"\0\0\0\x1cftypavif" + bytes(90), "x.avif"),
        (b"\xff\x0a" + bytes(90), "x.jxl"),
    ],
    ids=["png", "gif", "avif", "jxl"],
)
def test_lora_manager_finds_the_preview_whatever_its_form(
    run: Runner, site: FakeCivitai, out: Path, data: bytes | None, name: str
) -> None:
    version = site.world.add_model().add_version()
    version.add_file("x.safetensors", safetensors_bytes("x"))
    version.add_image(data=data)
    assert run("10001") == 0
    weights = one_file(out, "x.safetensors")
    assert MANAGER.preview(weights) == weights.with_name(name)
    assert read_json(MANAGER.path(weights))["preview_url"] == weights.with_name(name).as_posix()


def test_the_level_of_a_preview_is_that_of_the_picture_chosen(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = site.world.add_model().add_version()
    version.add_file("x.safetensors")
    version.add_image(1, "video")
    version.add_image(16)
    assert run("10001") == 0
    assert read_json(one_file(out, "x.metadata.json"))["preview_nsfw_level"] == 16
