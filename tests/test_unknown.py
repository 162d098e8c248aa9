"""What is written beside a model file that the site does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.headers import Told, told_by
from civitai_downloader.core.sidecars import renew
from civitai_downloader.core.unknown import header_json
from civitai_downloader.util.headers import read_header_of
from tests.model_headers import gguf, safetensors, texts
from tests.other_programs import LoraManager

SHA256 = "ab" * 32
TOLD = Told(
    kind="LORA",
    base_model="SDXL 1.0",
    family="Pony, Illustrious, NoobAI",
    title="Paper Lantern",
    author="lanternmaker",
    description="Warm <b>light</b> & more.\nFor 1 < 2 evenings.<script>alert(1)</script>",
    license="CC-BY-4.0",
    date="2026-01-31",
    usage="weight 0.8",
    words=("paper lantern", "glow"),
    tags=("style",),
    dim="32",
    alpha="16",
    resolution="1024x1024",
    trained_on="noobai.safetensors",
    comment="for Lisa",
)


def written(told: Told, folder: Path, sha256: str = SHA256, preview: Path | None = None) -> dict[str, Any]:
    return header_json(
        told, "lantern", folder / "lantern.safetensors", 1234, 1_769_817_600_500_000_000, sha256, preview
    )


def test_all_that_a_header_says_is_written_and_marked_as_such(tmp_path: Path) -> None:
    found = written(TOLD, tmp_path, preview=tmp_path / "lantern.preview.png")
    assert found["from_civitai"] is False
    assert found["metadata_source"] is None
    assert found["civitai"] == {"trainedWords": ["paper lantern", "glow"]}
    assert found["model_name"] == "Paper Lantern"
    assert found["base_model"] == "SDXL 1.0"
    assert found["tags"] == ["style"]
    assert found["modelDescription"] == "Warm light &amp; more.<br>For 1 &lt; 2 evenings.alert(1)"
    assert (found["file_name"], found["size"], found["modified"]) == ("lantern", 1234, 1_769_817_600.5)
    assert found["file_path"].endswith("/lantern.safetensors")
    assert found["preview_url"].endswith("/lantern.preview.png")
    assert (found["sha256"], found["hash_status"]) == (SHA256, "completed")
    assert found["notes"].splitlines() == [
        "Civitai does not know this file. What is written here was read from the header of the file itself.",
        "Type: LORA",
        "Base model: SDXL 1.0, or another one that a header does not tell from it: Pony, Illustrious, NoobAI",
        "Trigger words: paper lantern, glow",
        "Usage: weight 0.8",
        "Author: lanternmaker",
        "License: CC-BY-4.0",
        "Date: 2026-01-31",
        "Trained on: noobai.safetensors",
        "Network: dim 32, alpha 16",
        "Resolution: 1024x1024",
        "Training comment: for Lisa",
    ]


def test_a_guess_is_marked_as_a_guess(tmp_path: Path) -> None:
    found = written(Told(words=("glow",), is_guess=True), tmp_path)
    assert found["civitai"] == {"trainedWords": ["glow"]}
    assert "Trigger words (a guess: the tags in nearly every caption): glow" in found["notes"].splitlines()


@pytest.mark.parametrize(
    "told", [Told(), Told(kind="LORA", dim="32", alpha="16", resolution="1024x1024", date="2026-01-31")]
)
def test_nothing_is_written_where_a_header_says_nothing(told: Told, tmp_path: Path) -> None:
    assert written(told, tmp_path) == {}


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("LORA", {"usage_tips": "{}"}),
        ("DoRA", {"usage_tips": "{}"}),
        ("Checkpoint", {"model_type": "checkpoint", "sub_type": "checkpoint"}),
        ("UNet", {"model_type": "diffusion_model", "sub_type": "diffusion_model"}),
        ("TextualInversion", {"model_type": "embedding", "sub_type": "embedding"}),
        ("VAE", {}),
        ("", {}),
    ],
)
def test_a_kind_has_the_keys_of_its_page_in_lora_manager(kind: str, keys: dict[str, str], tmp_path: Path) -> None:
    found = written(Told(kind=kind, title="Lantern"), tmp_path)
    assert {key: found[key] for key in ("usage_tips", "model_type", "sub_type") if key in found} == keys


def test_without_a_hash_one_is_to_be_made(tmp_path: Path) -> None:
    found = written(Told(title="Lantern"), tmp_path, sha256="")
    assert (found["sha256"], found["hash_status"], found["base_model"]) == ("", "pending", "Unknown")


def test_lora_manager_reads_it_and_what_its_user_edits_stays(tmp_path: Path) -> None:
    manager, weights = LoraManager(), tmp_path / "lantern.safetensors"
    place, ours = manager.path(weights), written(TOLD, tmp_path)
    first = renew(None, ours, {}, place.name)
    place.write_bytes(first.data)
    read = manager.scan(weights)
    assert read["civitai"]["trainedWords"] == ["paper lantern", "glow"]
    manager.edit(weights, notes="mine", civitai={"trainedWords": ["glowing"]}, base_model="Illustrious")
    later = written(Told(kind="LORA", base_model="SDXL 1.0", title="Lantern II", words=("x",)), tmp_path)
    place.write_bytes(renew(place.read_bytes(), later, {"keys": first.keys}, place.name).data)
    read = manager.scan(weights)
    assert (read["notes"], read["base_model"]) == ("mine", "Illustrious")
    assert read["civitai"] == {"trainedWords": ["glowing"]}
    assert read["model_name"] == "Lantern II"


def test_from_the_bytes_of_a_file_to_its_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "lantern.safetensors"
    name = "lora_unet_output_blocks_5_1_transformer_blocks_0_attn2_to_k.lora_down.weight"
    path.write_bytes(safetensors({"ss_tag_frequency": '{"10_glow":{"glow":10}}'}, {name: (16, 2048)}))
    header = read_header_of(path)
    assert header is not None
    found = written(told_by(header), tmp_path)
    assert (found["base_model"], found["civitai"], found["model_name"]) == (
        "SDXL 1.0",
        {"trainedWords": ["glow"]},
        "lantern",
    )
    path.write_bytes(
        gguf(texts({"general.architecture": "flux"}), {"double_blocks.0.img_attn.proj.weight": (3072, 3072)})
    )
    header = read_header_of(path)
    assert header is not None
    found = written(told_by(header), tmp_path)
    assert (found["base_model"], found["sub_type"], found["civitai"]) == ("Flux.1 D", "diffusion_model", {})


@given(st.text(), st.text(), st.lists(st.text(), min_size=1))
def test_any_words_make_json(tmp_path: Path, title: str, description: str, words: list[str]) -> None:
    header = safetensors(
        {"modelspec.title": title, "modelspec.description": description, "modelspec.trigger_phrase": ";".join(words)}
    )
    (tmp_path / "x").write_bytes(header)
    read = read_header_of(tmp_path / "x")
    assert read is not None
    found = written(told_by(read), tmp_path)
    assert json.loads(json.dumps(found, ensure_ascii=False).encode()) == found
    assert "<" not in found.get("modelDescription", "").replace("<br>", "")


BLANK = {"notes": "", "from_civitai": True, "base_model": "Unknown", "tags": [], "modelDescription": "", "civitai": {}}


def scanned(weights: Path, **fields: Any) -> None:
    """Let LoRA Manager find a file of which it knows nothing, and its user change some fields."""
    required = {"file_name": "lantern", "model_name": "lantern", "file_path": weights.as_posix(), "size": 1234}
    required |= {"modified": 5.0, "sha256": SHA256, "preview_url": ""}
    LoraManager().write(weights, {**required, **BLANK, "my_own": 1, **fields})


def test_what_lora_manager_filled_in_without_knowing_anything_is_replaced(tmp_path: Path) -> None:
    manager, weights = LoraManager(), tmp_path / "lantern.safetensors"
    scanned(weights)
    place = manager.path(weights)
    place.write_bytes(renew(place.read_bytes(), written(TOLD, tmp_path), {}, place.name).data)
    read = manager.scan(weights)
    assert (read["base_model"], read["model_name"], read["from_civitai"]) == ("SDXL 1.0", "Paper Lantern", False)
    assert (read["tags"], read["notes"][:8]) == (["style"], "Civitai ")
    assert (read["modified"], read["my_own"]) == (5.0, 1)


def test_what_its_user_wrote_before_stays(tmp_path: Path) -> None:
    manager, weights = LoraManager(), tmp_path / "lantern.safetensors"
    scanned(weights, notes="mine", base_model="Pony", model_name="My lantern", civitai={"trainedWords": ["x"]})
    place = manager.path(weights)
    place.write_bytes(renew(place.read_bytes(), written(TOLD, tmp_path), {}, place.name).data)
    read = manager.scan(weights)
    assert (read["base_model"], read["model_name"], read["notes"]) == ("Pony", "My lantern", "mine")
    assert (read["civitai"], read["tags"]) == ({"trainedWords": ["x"]}, ["style"])


def test_what_was_emptied_after_we_wrote_it_stays_empty(tmp_path: Path) -> None:
    ours = written(TOLD, tmp_path)
    first = renew(None, ours, {}, "lantern.metadata.json")
    emptied = json.dumps({**ours, "notes": "", "tags": []}).encode()
    assert json.loads(renew(emptied, ours, {"keys": first.keys}, "lantern.metadata.json").data)["notes"] == ""
