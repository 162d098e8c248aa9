"""What headers of all trainers and converters say, in the words of the site."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.headers import Told, told_by
from civitai_downloader.util.headers import Header

Shapes = dict[str, tuple[int, ...]]
SPEC = "modelspec."


def told(metadata: dict[str, str] | None = None, shapes: Shapes | None = None) -> Told:
    return told_by(Header(metadata or {}, shapes or {}))


# --- Base models that texts name --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "base_model"),
    [
        ("stable-diffusion-v1/lora", "SD 1.5"),
        ("stable-diffusion-v2-512", "SD 2.1"),
        ("stable-diffusion-v2-768-v/lora", "SD 2.1 768"),
        ("stable-diffusion-xl-v1-base", "SDXL 1.0"),
        ("stable-diffusion-xl-v1-base/lora", "SDXL 1.0"),
        ("stable-diffusion-3-medium/lora", "SD 3"),
        ("stable-diffusion-3-5-large", "SD 3.5 Large"),
        ("stable-diffusion-v3.5-medium", "SD 3.5 Medium"),
        ("flux-1-dev/lora", "Flux.1 D"),
        ("Flux.1-dev/lora", "Flux.1 D"),
        ("Flux.1-fill-dev/lora", "Flux.1 D"),
        ("flux-1-schnell", "Flux.1 S"),
        ("Flux.1-dev/kontext", "Flux.1 Kontext"),
        ("Flux.2/lora", "Flux.2 D"),
        ("flux.2-klein-9b/lora", "Flux.2 Klein 9B"),
        ("Chroma1/lora", "Chroma"),
        ("lumina-2", "Lumina"),
        ("Z-Image/lora", "ZImageTurbo"),
        ("hidream-i1/lora", "HiDream"),
        ("Qwen-Image/lora", "Qwen"),
        ("anima-preview/lora", "Anima"),
        ("wan-2_1-text2video-14b/lora", "Wan Video 14B t2v"),
        ("pixart-sigma/embedding", "PixArt E"),
        ("hunyuan-image-2.1", ""),
        ("flux-2-klein", ""),
        ("fluxury", ""),
        ("v2", ""),
        ("", ""),
    ],
)
def test_the_architecture_names_the_base_model(text: str, base_model: str) -> None:
    assert told({"modelspec.architecture": text}).base_model == base_model


@pytest.mark.parametrize(
    ("text", "base_model"),
    [
        ("sd_v1", "SD 1.5"),
        ("sd_1.5", "SD 1.5"),
        ("sd_v2", "SD 2.1"),
        ("sd_v2_v", "SD 2.1 768"),
        ("sdxl_base_v1-0", "SDXL 1.0"),
        ("sdxl_base_v0-9", "SDXL 0.9"),
        ("sdxl_1.0", "SDXL 1.0"),
        ("sdxl_", "SDXL 1.0"),
        ("sd_3", "SD 3"),
        ("5-large", "SD 3.5 Large"),
        ("flux1", "Flux.1 D"),
        ("flux.1", "Flux.1 D"),
        ("flux.1_kontext", "Flux.1 Kontext"),
        ("flux2", "Flux.2 D"),
        ("flux2_klein_4b", "Flux.2 Klein 4B"),
        ("flux2_klein_9b", "Flux.2 Klein 9B"),
        ("qwen_image", "Qwen"),
        ("wan_2.1", "Wan Video"),
        ("wan_2.2_14b", "Wan Video"),
        ("wan_2.2_5b", "Wan Video 2.2 TI2V-5B"),
        ("zimage", "ZImageTurbo"),
        ("chroma", "Chroma"),
        ("lumina2", "Lumina"),
        ("anima", "Anima"),
        ("krea2", "Krea 2"),
        ("ltx2", "LTXV2"),
        ("hidream_i1", "HiDream"),
        ("illustrious", "Illustrious"),
        ("zeta_chroma", ""),
        ("unknown", ""),
    ],
)
def test_the_version_names_the_base_model_by_its_beginning(text: str, base_model: str) -> None:
    assert told({"ss_base_model_version": text}).base_model == base_model


@pytest.mark.parametrize(
    ("text", "base_model"),
    [
        ("flux", "Flux.1 D"), ("sd1", "SD 1.5"), ("sdxl", "SDXL 1.0"), ("sd3", "SD 3"), ("aura", "AuraFlow"),
        ("hidream", "HiDream"), ("ltxv", "LTXV"), ("hyvid", "Hunyuan Video"), ("wan", "Wan Video"),
        ("lumina2", "Lumina"), ("qwen_image", "Qwen"), ("cosmos", ""), ("pig", ""), ("llama", ""), ("t5encoder", ""),
    ],
)  # fmt: skip
def test_a_gguf_names_the_base_model(text: str, base_model: str) -> None:
    assert told({"general.architecture": text}).base_model == base_model


def test_tensors_tell_more_than_the_architecture_of_a_gguf() -> None:
    schnell: Shapes = {"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}
    assert told({"general.architecture": "flux"}, schnell).base_model == "Flux.1 S"
    chroma = schnell | {"distilled_guidance_layer.in_proj.bias": (5120,)}
    assert told({"general.architecture": "flux"}, chroma).base_model == "Chroma"


def test_only_the_second_version_of_stable_diffusion_is_marked_by_onetrainer() -> None:
    assert told({"ss_v2": "True"}).base_model == "SD 2.1"
    assert told({"ss_v2": "False"}).base_model == ""


def test_no_name_of_a_file_decides_the_base_model() -> None:
    found = told({"ss_sd_model_name": "ponyDiffusionV6XL.safetensors", "ss_output_name": "sdxl_v2_pony"})
    assert found.base_model == ""
    assert found.trained_on == "ponyDiffusionV6XL.safetensors"


@pytest.mark.parametrize(
    ("version", "part"), [("sdxl_base_v1-0", "Pony, Illustrious, NoobAI"), ("flux1", "Flux.1 Krea"), ("anima", "")]
)
def test_a_base_model_that_stands_for_a_family_names_its_members(version: str, part: str) -> None:
    family = told({"ss_base_model_version": version}).family
    assert part in family
    assert bool(part) == bool(family)


# --- Base models that tensors show ------------------------------------------------------------------

UNET1 = "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
UNET2 = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
JOINT = "joint_blocks.0.context_block.attn.proj.bias"
KEY_NORM, GUIDANCE = "double_blocks.0.img_attn.norm.key_norm.scale", "guidance_in.in_layer.bias"
DISTILLED, STREAM = "distilled_guidance_layer.in_proj.bias", "double_stream_modulation_img.lin.weight"
WAN, CAP = "blocks.0.cross_attn.k.bias", "cap_embedder.0.weight"
REFINER, ADALN = "context_refiner.0.attention.k_norm.weight", "layers.0.adaLN_modulation.0.bias"
ATTN2 = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
PEFT2 = "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v.lora_A.weight"
DOUBLE = "lora_unet_double_blocks_3_img_attn_proj.lora_down.weight"
SINGLE = "transformer.single_transformer_blocks.{}.attn.to_k.lora_A.weight"
LINEAR2, MLP_UP = (
    "lora_unet_single_blocks_3_linear2.lora_down.weight",
    "lora_unet_double_blocks_3_img_mlp_0.lora_up.weight",
)
FUSED = "transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj.lora_A.weight"
QWEN = ("time_text_embed.timestep_embedder.linear_1.bias", "img_in.bias", "transformer_blocks.0.attn.add_k_proj.bias")
ANIMA = ("net.llm_adapter.blocks.0.self_attn.v_proj.weight", "net.blocks.27.adaln_modulation_cross_attn.2.weight")
CONTEXT = "transformer.context_embedder.lora_A.weight"

SHOWN: list[tuple[str, Shapes]] = [
    ("SD 1.5", {UNET1: (320, 768)}),
    ("SD 2.1", {UNET1: (320, 1024)}),
    ("SDXL 1.0", {UNET2: (640, 2048)}),
    ("SDXL 1.0", {UNET2: (768, 1280)}),  # the refiner
    ("SD 3.5 Large", {JOINT: (2432,)}),
    ("SD 3", {JOINT: (1536,)}),
    ("Flux.1 D", {KEY_NORM: (128,), GUIDANCE: (3072,)}),
    ("Flux.1 S", {KEY_NORM: (128,)}),
    ("Chroma", {KEY_NORM: (128,), DISTILLED: (5120,)}),
    ("Flux.2 D", {KEY_NORM: (128,), STREAM: (36864, 6144)}),
    ("Flux.2 Klein 9B", {KEY_NORM: (128,), STREAM: (24576, 4096)}),
    ("Flux.2 Klein 4B", {KEY_NORM: (128,), STREAM: (18432, 3072)}),
    ("Wan Video 1.3B t2v", {WAN: (1536,)}),
    ("Wan Video", {WAN: (1536,), "blocks.0.cross_attn.k_img.bias": (1536,)}),
    ("Wan Video", {WAN: (5120,)}),
    ("Wan Video 2.2 TI2V-5B", {WAN: (3072,)}),
    ("Lumina", {CAP: (2304,), REFINER: (96,)}),
    ("ZImageTurbo", {CAP: (2560,), REFINER: (128,), ADALN: (15360,)}),
    ("SD 1.5", {ATTN2: (16, 768)}),
    ("SD 2.1", {ATTN2: (16, 1024)}),
    ("SDXL 1.0", {ATTN2: (16, 2048)}),
    ("SDXL 1.0", {PEFT2: (16, 2048)}),
    ("SDXL 1.0", {"lora_unet_down_blocks_2_attentions_1_transformer_blocks_9_attn1_to_q.lora_down.weight": (16, 1280)}),
    ("SD 1.5", {"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_v.hada_w1_b": (8, 768)}),
    ("Flux.1 D", {DOUBLE: (16, 3072)}),
    ("Flux.1 D", {SINGLE.format(37): (16, 3072)}),
    ("Flux.1 D", {SINGLE.format(3): (16, 3072), CONTEXT: (16, 4096)}),
    ("Flux.2 D", {"lora_unet_single_blocks_38_linear1.lora_down.weight": (16, 6144)}),
    ("Flux.2 D", {SINGLE.format(47): (16, 6144)}),
    ("Flux.2 D", {"lora_unet_single_blocks_47_linear2.lora_down.weight": (16, 24576)}),
    ("Flux.2 D", {DOUBLE: (16, 6144)}),
    ("Flux.2 Klein 9B", {LINEAR2: (16, 16384), "lora_unet_txt_in.lora_down.weight": (16, 12288)}),
    ("Flux.2 Klein 4B", {FUSED: (16, 3072)}),
    ("Flux.1 D", {DOUBLE: (16, 3072), MLP_UP: (12288, 16)}),
    ("Flux.2 Klein 4B", {DOUBLE: (16, 3072), MLP_UP: (18432, 16)}),
    ("ZImageTurbo", {"diffusion_model.layers.0.adaLN_modulation.0.lora_A.weight": (16, 256),
                     "diffusion_model.layers.9.feed_forward.w3.lora_A.weight": (16, 3840)}),
    ("Qwen", dict.fromkeys(QWEN, (3072,))),
    ("Anima", dict.fromkeys(ANIMA, (2048, 256))),
    ("SD 2.1", {"emb_params": (8, 1024)}),
    ("Flux.2 Klein 4B", {SINGLE.format(3): (16, 3072), CONTEXT: (16, 7680)}),
    ("Flux.2 Klein 9B", {SINGLE.format(3): (16, 4096), CONTEXT: (16, 12288)}),
    ("Flux.2 Klein 9B", {DOUBLE: (16, 4096)}),
    ("Anima", {"diffusion_model.blocks.0.cross_attn.k_proj.lora_A.weight": (16, 1024),
               "diffusion_model.llm_adapter.blocks.5.self_attn.v_proj.lora_A.weight": (16, 1024)}),
    ("Wan Video", {"diffusion_model.blocks.0.cross_attn.k.lora_A.weight": (16, 5120)}),
    ("Wan Video", {"lora_unet_blocks_0_cross_attn_k.lora_down.weight": (16, 5120)}),
    ("Qwen", {"transformer_blocks.0.attn.add_k_proj.lora_A.weight": (16, 3072),
              "transformer_blocks.0.img_mlp.net.2.lora_A.weight": (16, 12288)}),
    ("SD 1.5", {"emb_params": (8, 768)}),
    ("SDXL 1.0", {"clip_l": (8, 768), "clip_g": (8, 1280)}),
]  # fmt: skip


@pytest.mark.parametrize(("base_model", "shapes"), SHOWN)
def test_tensors_show_the_base_model(base_model: str, shapes: Shapes) -> None:
    assert told({}, shapes).base_model == base_model


PREFIXES = ("", "model.diffusion_model.", "diffusion_model.", "transformer.", "net.")


@pytest.mark.parametrize(("base_model", "shapes"), SHOWN[:18])
def test_the_beginning_of_the_names_does_not_matter(base_model: str, shapes: Shapes) -> None:
    plain = {name.removeprefix("model.diffusion_model."): shape for name, shape in shapes.items()}
    for prefix in PREFIXES:
        assert told({}, {prefix + name: shape for name, shape in plain.items()}).base_model == base_model


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {UNET1: (320, 640)},
        {UNET1: ()},
        {UNET2: (640, 768)},
        {UNET2.replace("attn2", "attn1"): (640, 2048)},
        {GUIDANCE: (3072,)},
        {DISTILLED: (5120,)},
        {STREAM: (4096, 4096)},
        {KEY_NORM: (128,), STREAM: (4096, 4096)},
        {KEY_NORM: (128,), "double_blocks.0.img_mlp.down_proj.weight": (1, 1)},
        {WAN: (2048,)},
        {WAN: ()},
        {REFINER: (128,), ADALN: (15360,)},
        {CAP: (2560,), ADALN: (15360,)},
        {ATTN2: (16, 640)},
        {ATTN2: (16,)},
        {ATTN2.replace("lora_down", "lora_up"): (768, 16)},
        {ATTN2.replace("attn2", "attn1"): (16, 768)},
        {ATTN2: (16, 1024), "llm_adapter.embed.weight": (16, 1024)},
        {"transformer.transformer_blocks.0.attn2.to_k.lora_A.weight": (16, 2048)},  # a video model
        {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (16, 768)},
        {CONTEXT: (16, 12288)},
        {CONTEXT: (16, 7680)},
        {FUSED: (16, 5000)},
        {KEY_NORM: (128,), GUIDANCE: (3072,), STREAM: (4096, 4096)},
        dict.fromkeys(QWEN[:2], (3072,)),
        dict.fromkeys(QWEN[1:], (3072,)),
        dict.fromkeys((QWEN[0], QWEN[2]), (3072,)),
        dict.fromkeys((*QWEN, "controlnet_x_embedder.weight"), (3072,)),
        {ANIMA[0]: (2048, 256)},
        {ANIMA[1]: (2048, 256)},
        {"diffusion_model.blocks.0.cross_attn.k.lora_A.weight": (16, 3072)},
        {
            "lora_unet_single_blocks_39_linear1.lora_down.weight": (16, 3072),
            "lora_unet_single_blocks_39_modulation_linear.lora_down.weight": (16, 3072),
        },  # Hunyuan Video
        {"layers.0.adaLN_modulation.0.lora_A.weight": (16, 256)},
        {"layers.9.feed_forward.w3.lora_A.weight": (16, 3840)},
        {"transformer_blocks.0.img_mlp.net.2.lora_A.weight": (16, 12288)},
        {"clip_g": (8, 1280)},
        {"clip_l": (8, 1280), "clip_g": (8, 1280)},
        {"clip_l": (8, 768), "clip_g": (8, 768)},
        {ATTN2: (16, 768), "llm_adapter.embed.weight": (16, 1024)},
        {ATTN2: (16, 2048), "llm_adapter.embed.weight": (16, 1024)},
        {SINGLE.format(3): (16, 3072), "transformer.single_transformer_blocks.3.ff.linear_1.lora_A.weight": (1, 1)},
        {"lora_unet_double_blocks_0_img_mlp_fc1.lora_down.weight": (16, 3072)},  # Hunyuan Video
        {"diffusion_model.blocks.0.cross_attn.k_proj.lora_A.weight": (16, 1024)},
        {"transformer_blocks.0.attn.add_k_proj.lora_A.weight": (16, 3072)},
        {"emb_params": (8, 4096)},
        {"clip_l": (8, 768)},
        {"format": (1,)},
    ],
)
def test_with_a_sign_missing_the_base_model_is_not_known(shapes: Shapes) -> None:
    assert told({}, shapes).base_model == ""


# --- What it is -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("LORA", [ATTN2]),
        ("LORA", [PEFT2]),
        ("LORA", [DOUBLE]),
        ("LORA", ["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"]),
        ("DoRA", [ATTN2, ATTN2.replace("lora_down.weight", "dora_scale")]),
        ("LoCon", ["lora_unet_x.hada_w1_a", "lora_unet_x.hada_w1_b"]),
        ("LoCon", ["lora_unet_x.lokr_w1", "lora_unet_x.lokr_w2_a"]),
        ("Checkpoint", [UNET1, "first_stage_model.decoder.conv_in.weight", "first_stage_model.encoder.conv_in.weight"]),
        ("Checkpoint", ["model.diffusion_model.joint_blocks.0.x", "text_encoders.clip_l.x"]),
        ("UNet", [KEY_NORM, GUIDANCE]),
        ("UNet", ["model.diffusion_model.input_blocks.1.0.in_layers.0.weight"]),
        ("VAE", ["decoder.conv_in.weight", "encoder.conv_in.weight"]),
        ("Controlnet", ["control_model.input_blocks.1.0.in_layers.0.weight"]),
        ("Controlnet", ["controlnet_cond_embedding.conv_in.weight"]),
        ("TextualInversion", ["emb_params"]),
        ("TextualInversion", ["<token>"]),
        ("TextualInversion", ["clip_l", "clip_g"]),
        ("TextEncoder", ["encoder.block.0.layer.0.SelfAttention.q.weight"]),
        ("MotionModule", ["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"]),
        ("Upscaler", ["conv_first.weight", "body.0.rdb1.conv1.weight"]),
        ("CLIPVision", ["vision_model.embeddings.class_embedding"]),
        ("", ["vision_model.embeddings.class_embedding", "text_model.embeddings.x"]),
        ("", ["clip_l"]),
        ("", ["clip_g"]),
        ("", ["decoder.conv_in.weight"]),
        ("", ["encoder.conv_in.weight"]),
        ("", ["cond_stage_model.x"]),
        ("", ["conv_first.weight"]),
        ("", ["body.0.rdb1.conv1.weight"]),
        ("", ["weight"]),
        ("", []),
    ],
)
def test_tensors_show_what_a_file_is(kind: str, names: list[str]) -> None:
    assert told({}, dict.fromkeys(names, (1, 1))).kind == kind


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"modelspec.architecture": "flux-1-dev/lora"}, "LORA"),
        ({"modelspec.architecture": "stable-diffusion-v1/textual-inversion"}, "TextualInversion"),
        ({"modelspec.architecture": "flux-1-dev"}, ""),
        ({"general.architecture": "t5encoder"}, "TextEncoder"),
    ],
)
def test_where_no_tensor_shows_what_a_file_is_its_texts_do(metadata: dict[str, str], kind: str) -> None:
    assert told(metadata).kind == kind


# --- Hostile ----------------------------------------------------------------------------------------

KEYS = ["ss_datasets", "ss_tag_frequency", "ss_dataset_dirs", "ss_network_dim", "ss_resolution", "modelspec.date",
        "ss_training_finished_at", "modelspec.trigger_phrase", "modelspec.title", "modelspec.tags"]  # fmt: skip
VALUES = st.text(max_size=20) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
).map(json.dumps)


@given(
    st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=9), VALUES, max_size=6),
    st.dictionaries(st.sampled_from([UNET1, ATTN2, JOINT, STREAM, WAN]), st.lists(st.integers(0, 9)).map(tuple)),
)
def test_any_header_says_something_or_nothing(metadata: dict[str, str], shapes: Any) -> None:
    found = told(metadata, shapes)
    assert all(isinstance(word, str) and word == word.strip() and len(word) <= 200 for word in found.words)
    assert "\0" not in repr(found)
    assert found.is_guess <= bool(found.words)


def test_a_header_of_nothing_says_nothing() -> None:
    assert told() == Told()
    assert not told(
        {"format": "pt", "sshs_model_hash": "ab" * 32, SPEC + "hash_sha256": "0x" + "ab" * 32}
    ).says_something
