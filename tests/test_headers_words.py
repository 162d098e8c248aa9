"""Titles, trigger words and training in the headers of kohya, OneTrainer, ai-toolkit, Diffusers and ModelSpec files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from civitai_downloader.core.headers import Told, told_by
from civitai_downloader.util.headers import Header


def told(metadata: dict[str, Any]) -> Told:
    """Return what a header with these texts says; what is no text is JSON in one."""
    texts = {key: each if isinstance(each, str) else json.dumps(each) for key, each in metadata.items()}
    return told_by(Header(texts, {}))


def test_a_header_of_kohya_is_understood() -> None:
    found = told(
        {
            "ss_output_name": "lantern-v2",
            "ss_sd_model_name": "noobaiXLNAIXL_vPred10Version.safetensors",
            "ss_base_model_version": "sdxl_base_v1-0",
            "ss_network_module": "networks.lora",
            "ss_network_dim": "32",
            "ss_network_alpha": "16.0",
            "ss_resolution": "(1024, 768)",
            "ss_training_comment": "for Lisa",
            "ss_training_finished_at": "1769817600.5",
            "ss_dataset_dirs": {"10_paperlantern style": {"n_repeats": 10, "img_count": 20}},
            "ss_tag_frequency": {"10_paperlantern style": {"1girl": 20, "lantern": 19}},
            "ss_datasets": [{"subsets": [{"class_tokens": None, "image_dir": "10_paperlantern style"}]}],
            "modelspec.title": "LoRA@1769817600.123",
            "sshs_model_hash": "ab" * 32,
        }
    )
    assert found == Told(
        base_model="SDXL 1.0",
        family=found.family,
        title="lantern-v2",
        date="2026-01-31",
        words=("paperlantern style",),
        dim="32",
        alpha="16.0",
        resolution="1024x768",
        trained_on="noobaiXLNAIXL_vPred10Version.safetensors",
        comment="for Lisa",
    )


def test_a_header_of_onetrainer_is_understood_and_its_configuration_not_told() -> None:
    found = told(
        {
            "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
            "modelspec.title": "Stable Diffusion XL 1.0 Base LoRA",
            "modelspec.date": "2026-01-31",
            "modelspec.hash_sha256": "0x" + "cd" * 32,
            "ss_base_model_version": "sdxl_",
            "ot_branch": "master",
            "ot_config": {"workspace_dir": "C:/Users/me/lantern", "concepts": []},
        }
    )
    assert found == Told(kind="LORA", base_model="SDXL 1.0", family=found.family, date="2026-01-31")
    assert "lantern" not in repr(found)


def test_a_header_of_ai_toolkit_is_understood() -> None:
    found = told(
        {
            "name": "lantern",
            "version": "1.0",
            "software": {"name": "ai-toolkit"},
            "training_info": {"step": 2000},
            "ss_output_name": "lantern",
            "ss_base_model_version": "flux.1",
            "ss_tag_frequency": {"1_p4per lantern": {"p4per lantern": 1}},
            "format": "pt",
        }
    )
    assert found == Told(base_model="Flux.1 D", family=found.family, title="lantern", words=("p4per lantern",))


def test_a_header_of_modelspec_is_understood() -> None:
    found = told(
        {
            "modelspec.sai_model_spec": "1.0.1",
            "modelspec.architecture": "flux-1-schnell/lora",
            "modelspec.title": "Paper Lantern\x1b[31m",
            "modelspec.author": "lanternmaker",
            "modelspec.description": "Warm light.\n\nFor evenings.\x07",
            "modelspec.date": "2026-01-31T10:00:00Z",
            "modelspec.license": "CC-BY-4.0",
            "modelspec.tags": "style, light,, light",
            "modelspec.trigger_phrase": "paper lantern, glowing; by night",
            "modelspec.usage_hint": "weight 0.8",
            "modelspec.resolution": "1024x1024",
            "ss_output_name": "other",
        }
    )
    assert found == Told(
        kind="LORA",
        base_model="Flux.1 S",
        title="Paper Lantern [31m",
        author="lanternmaker",
        description="Warm light.\n\nFor evenings.",
        date="2026-01-31",
        license="CC-BY-4.0",
        tags=("style", "light"),
        words=("paper lantern, glowing", "by night"),
        usage="weight 0.8",
        resolution="1024x1024",
    )


def test_a_header_of_diffusers_says_nothing() -> None:
    assert told({"format": "pt"}) == Told()


def test_a_gguf_is_understood() -> None:
    found = told(
        {
            "general.architecture": "flux",
            "general.name": "Lantern Dev",
            "general.author": "lanternmaker",
            "general.license": "other",
            "general.description": "Warm light.",
        }
    )
    assert (found.title, found.author, found.license) == ("Lantern Dev", "lanternmaker", "other")
    assert (found.base_model, found.description) == ("Flux.1 D", "Warm light.")


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ({"modelspec.title": "A", "ss_output_name": "B"}, "A"),
        ({"modelspec.title": "LoRA@1769817600", "ss_output_name": "B"}, "B"),
        ({"modelspec.title": "Checkpoint@1769817600.5", "ss_output_name": "B"}, "B"),
        ({"modelspec.title": "Z-Image LoRA"}, ""),
        ({"modelspec.title": "None", "ss_output_name": " ", "name": "C"}, "C"),
        ({"modelspec.title": "x" * 5000}, "x" * 200),
        ({"ss_output_name": "C:\\Users\\John Smith\\out\\lantern"}, "lantern"),
        ({"ss_output_name": "/home/me/out/lantern"}, "lantern"),
    ],
)
def test_the_title_is_one_that_somebody_gave(metadata: dict[str, str], title: str) -> None:
    assert told(metadata).title == title


# --- Trigger words ----------------------------------------------------------------------------------

CLASSES = [{"subsets": [{"class_tokens": "ohwx woman", "is_reg": False}, {"class_tokens": "woman", "is_reg": True}]}]
DIRS = {"10_lantern girl": {"n_repeats": 10, "img_count": 10}}
COMMON = {"img": {"p4per": 10, "1girl": 10, "solo": 10, "lantern": 9, "night": 8}}
COUNT = {"img": {"n_repeats": 1, "img_count": 10}}


@pytest.mark.parametrize(
    ("metadata", "words", "is_guess"),
    [
        ({"modelspec.trigger_phrase": "glow", "ss_datasets": CLASSES}, ("glow",), False),
        ({"modelspec.trigger_phrase": "None", "ss_datasets": CLASSES}, ("ohwx woman",), False),
        ({"ss_datasets": CLASSES, "ss_dataset_dirs": DIRS}, ("ohwx woman",), False),
        ({"ss_dataset_dirs": DIRS, "ss_tag_frequency": {"10_lantern girl": {"x": 10}}}, ("lantern girl",), False),
        ({"ss_tag_frequency": {"3_a": {"x": 1}, "5_b c": {"x": 1}, "2_a": {"x": 1}}}, ("a", "b c"), False),
        ({"ss_tag_frequency": {"10_ganyu \\(genshin impact\\)": {"x": 1}}}, ("ganyu \\(genshin impact\\)",), False),
        ({"ss_tag_frequency": {"D:\\my sets\\10_lantern girl": {"x": 1}}}, ("lantern girl",), False),
        ({"ss_tag_frequency": COMMON, "ss_dataset_dirs": COUNT}, ("p4per", "lantern"), True),
        ({"ss_tag_frequency": COMMON, "ss_datasets": [{"subsets": [{"img_count": 10}]}]}, ("p4per", "lantern"), True),
        ({"ss_tag_frequency": {"10_1girl": {"p4per": 10}}, "ss_dataset_dirs": COUNT}, ("p4per",), True),
        ({"ss_tag_frequency": COMMON}, (), False),  # in how many captions of how many?
        ({"ss_tag_frequency": COMMON, "ss_dataset_dirs": {"img": {"img_count": 30}}}, (), False),
        ({"ss_tag_frequency": {"img": {"1girl": 10, "solo": 9}}, "ss_dataset_dirs": COUNT}, (), False),
        ({"ss_tag_frequency": {"img": {"p4per": 2}}, "ss_dataset_dirs": {"img": {"img_count": 2}}}, (), False),
        ({"ss_tag_frequency": {"img": {"p4per": 99}}, "ss_dataset_dirs": COUNT}, (), False),
        ({"ss_tag_frequency": [1], "ss_dataset_dirs": "{", "ss_datasets": {"a": []}}, (), False),
        (
            {"ss_tag_frequency": {"img": [1]}, "ss_dataset_dirs": {"img": 5}, "ss_datasets": [{"subsets": {}}]},
            (),
            False,
        ),
        ({"ss_tag_frequency": "[" * 100_000, "ss_datasets": "[[" + "0," * 600_000 + "0]]"}, (), False),
    ],
)
def test_trigger_words_are_looked_for_where_they_mean_most(
    metadata: dict[str, Any], words: tuple[str, ...], is_guess: bool
) -> None:
    found = told(metadata)
    assert (found.words, found.is_guess) == (words, is_guess)


def test_few_of_very_many_words_are_told() -> None:
    tags = {f"tag {number}": 10 for number in range(3000)}
    assert len(told({"ss_tag_frequency": {"img": tags}, "ss_dataset_dirs": COUNT}).words) == 5
    assert len(told({"modelspec.trigger_phrase": ";".join(tags)}).words) == 20


# --- Values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "resolution"),
    [("(1024, 768)", "1024x768"), ("1024x1024", "1024x1024"), ("512", "512x512"), ("None", ""), ("1,2,3", "")],
)
def test_a_resolution_is_spelled_in_one_way(said: str, resolution: str) -> None:
    assert told({"ss_resolution": said}).resolution == resolution


@pytest.mark.parametrize("said", ["nan", "inf", "-5", "0", "1e300", "soon", "None", ""])
def test_a_date_that_is_none_is_left_out(said: str) -> None:
    assert told({"ss_training_finished_at": said, "modelspec.date": said}).date == ""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (r"config C:\Users\John Smith\train\x.toml used", "config x.toml used"),
        ("sets in /home/john/sets/, E:/sets/a and \\\\nas\\john\\b", "sets in b"),
        ("sets in /workspace/john/sets", "sets in sets"),
        ("see ~/john/notes.txt", "see notes.txt"),
        (
            "see https://example.com/home/john?token=abc and a/b, 50/50",
            "see https://example.com/home/john and a/b, 50/50",
        ),
        (r"1girl, ganyu \(genshin impact\)", r"1girl, ganyu \(genshin impact\)"),
    ],
)
def test_no_path_of_somebodys_machine_is_told(text: str, left: str) -> None:
    found = told({"ss_training_comment": text, "modelspec.description": text})
    assert (found.comment, found.description) == (left, left)
