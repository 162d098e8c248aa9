"""The layout decides where a thing goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.core.answers import read_model
from civitai_downloader.core.places import file_folder
from tests.conftest import Runner
from tests.helpers import LORA_PAGE, file_of, version_of

LORA = {"type": "LORA", "creator": {"username": "maker"}, "tags": ["style"], "nsfwLevel": 5}


@pytest.mark.parametrize(
    ("layout", "kind", "extra", "folder"),
    [
        ("creator", "LORA", {}, "users/maker/models/Paper [10001]/v1 [20001]"),
        ("sharded", "LORA", {}, "model_10/10001/20001"),
        ("comfyui", "LORA", {}, "models/loras"),
        ("comfyui", "Checkpoint", {}, "models/checkpoints"),
        ("comfyui", "Checkpoint", {"type": "VAE"}, "models/vae"),
        ("comfyui", "Checkpoint", {"type": "Diffusion Model"}, "models/diffusion_models"),
        ("comfyui", "Checkpoint", {"name": "a.gguf"}, "models/diffusion_models"),
        ("comfyui", "Checkpoint", {"base": "Flux.1 D"}, "models/diffusion_models"),
        ("comfyui", "Workflows", {}, "user/default/workflows"),
        ("comfyui", "Poses", {}, "models/other"),
        ("comfyui", "Checkpoint", {"type": "Training Data"}, ".civitai/users/maker/models/Paper [10001]/v1 [20001]"),
        ("a1111", "LORA", {}, "models/Lora"),
        ("a1111", "TextualInversion", {}, "embeddings"),
        ("a1111", "Checkpoint", {}, "models/Stable-diffusion"),
        ("a1111", "Unheard", {}, "models/Other"),
        ("{type}/{base_model}/{creator}", "LORA", {}, "LORA/SDXL 1.0/maker"),
        ("{year}-{month}/{nsfw}/{tag}", "LORA", {}, "2026-03/nsfw/style"),
        ("x/{model_name} {model_id}/{version_name}_{version_id}", "LORA", {}, "x/Paper 10001/v1_20001"),
    ],
)
def test_a_layout_decides_the_folder(layout: str, kind: str, extra: dict[str, str], folder: str) -> None:
    paper = read_model({"id": 10001, "name": "Paper", **LORA, "type": kind})
    first = version_of(name="v1", baseModel=extra.get("base", "SDXL 1.0"), publishedAt="2026-03-01T12:00:00Z")
    weights = file_of(1, extra.get("name", "a.safetensors"), type=extra.get("type", "Model"))
    assert "/".join(file_folder(layout, paper, first, weights)) == folder


def test_a_template_value_can_not_leave_its_folder_and_an_unknown_one_is_named_so() -> None:
    paper = read_model({"id": 1, "name": "../../etc", "creator": {"username": "a/b"}})
    folder = file_folder("{creator}/{model_name}/{year}/{tag}/{nsfw}", paper, version_of(), file_of(1))
    assert folder == ("a_b", ".._.._etc", "unknown", "unknown", "unknown")


# --- By the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "weights", "beside", "page"),
    [
        (
            "sharded",
            "model_10/10001/20002/paper_xl",
            {".civitai.info", ".json", ".metadata.json", ".preview.png"},
            "model_10/10001",
        ),
        ("comfyui", "models/loras/paper_xl", {".metadata.json", ".preview.png"}, f".civitai/{LORA_PAGE}"),
        ("a1111", "models/Lora/paper_xl", {".civitai.info", ".json", ".preview.png"}, f".civitai/{LORA_PAGE}"),
        (
            "{type}/{base_model}",
            "LORA/SDXL 1.0/paper_xl",
            {".civitai.info", ".json", ".metadata.json", ".preview.png"},
            f".civitai/{LORA_PAGE}",
        ),
    ],
)
@pytest.mark.usefixtures("lora")
def test_a_layout_puts_files_where_their_reader_looks(
    run: Runner, out: Path, layout: str, weights: str, beside: set[str], page: str
) -> None:
    assert run("10001", "--layout", layout) == 0
    assert (out / f"{weights}.safetensors").is_file()
    folder, _, stem = weights.rpartition("/")
    found = {path.name.removeprefix(stem) for path in (out / folder).glob(f"{stem}.*")}
    assert found == {*beside, ".safetensors"}
    assert (out / page / "model.json").is_file()
    for ending in {".civitai.info", ".json", ".metadata.json"} - beside:
        assert (out / page / "v2.0 [20002]" / f"paper_xl{ending}").is_file()
