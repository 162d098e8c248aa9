"""The target and the options decide which versions, files and pictures are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from civitai_downloader.core.answers import File
from civitai_downloader.core.choice import best_file, choose_files, choose_versions
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.targets import Target
from tests.conftest import Runner, State
from tests.helpers import file_of, model_of, version_of

MODEL = Target("model", 10001)


@pytest.mark.parametrize(
    ("files", "best"),
    [
        ([file_of(1), file_of(2, primary=True)], [2]),
        ([file_of(1, "a_trainingData.zip", type="Training Data", primary=True), file_of(2)], [2]),
        ([file_of(1, "a.zip", type="Training Data", primary=True)], []),
        ([file_of(1, "a.yaml", type="Config", primary=True), file_of(2, "a.ckpt"), file_of(3)], [3]),
        ([file_of(1, "poses.zip", type="Archive", primary=True)], [1]),
        ([file_of(1, "a.ckpt"), file_of(2, metadata={"format": "SafeTensor", "size": "pruned"}), file_of(3)], [2]),
        ([file_of(1, type="VAE"), file_of(2, type="Pruned Model")], [2]),
        ([], []),
    ],
)
def test_the_primary_file_is_weights(files: list[File], best: list[int]) -> None:
    assert [each.id for each in best_file(files)] == best


def test_versions_are_chosen_by_target_base_model_and_date() -> None:
    old = version_of(1, baseModel="SD 1.5", publishedAt="2024-01-01T00:00:00Z")
    new = version_of(2, baseModel="SDXL 1.0", publishedAt="2026-01-01T00:00:00Z")
    middle = version_of(3, baseModel="SD 1.5", publishedAt="2025-01-01T00:00:00Z")
    paper = model_of(old, new, middle)
    assert choose_versions(paper, MODEL, Settings()) == [old, new, middle]
    assert choose_versions(paper, MODEL, Settings(latest=True)) == [new]
    assert choose_versions(paper, MODEL, Settings(latest=True, base_models=("sd 1.5",))) == [middle]
    assert choose_versions(paper, Target("model", 1, 1), Settings(latest=True)) == [old]


def test_a_download_link_names_one_file() -> None:
    files = (file_of(1), file_of(2, "b.ckpt", metadata={"format": "PickleTensor"}), file_of(3, "v.pt", type="VAE"))
    paper = version_of(files=files)
    assert choose_files(paper, Target("version", version=1, file=3), Settings()) == [files[2]]
    traits = (("type", "model"), ("format", "pickletensor"))
    assert choose_files(paper, Target("version", version=1, traits=traits), Settings()) == [files[1]]
    assert choose_files(paper, MODEL, Settings(primary=True)) == [files[0]]


# --- By the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (["--latest"], {"mix.zip", "mix.ckpt", "mix.safetensors", "mix.yaml", "mix.vae.pt"}),
        (["--primary"], {"old.ckpt", "mix.safetensors"}),
        (["--latest", "--primary"], {"mix.safetensors"}),
        (["--base-models", "sd 1.5"], {"old.ckpt"}),
        (["--base-models", "Pony"], set()),
        (["--types", "lora"], set()),
        (["--types", "LORA,checkpoint", "--primary", "--latest"], {"mix.safetensors"}),
        (["--only", "images"], set()),
        (["--only", "metadata"], set()),
    ],
)
@pytest.mark.usefixtures("mix")
def test_options_choose_versions_and_files(run: Runner, state: State, options: list[str], files: set[str]) -> None:
    assert run("10001", *options) == 0
    assert {record["path"].rpartition("/")[2] for (kind, _), record in state().items() if kind == "model"} == files


@pytest.mark.parametrize(
    ("options", "images", "prompts"),
    [
        ([], 5, 5),
        (["--sfw"], 2, 2),
        (["--max-images", "0"], 5, 5),
        (["--no-gallery"], 5, 5),
        (["--max-images", "all"], 5, 5),
        (["--only", "images"], 5, 5),
        (["--only", "metadata"], 0, 5),
        (["--only", "models"], 1, 0),
    ],
)
@pytest.mark.usefixtures("mix")
def test_options_choose_pictures(run: Runner, out: Path, options: list[str], images: int, prompts: int) -> None:
    assert run("10001", *options) == 0
    assert len(list(out.rglob("images/*.png"))) == images
    assert len(list(out.rglob("images/*.txt"))) == prompts
