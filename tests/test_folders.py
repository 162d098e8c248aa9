"""What a walk through a folder of models finds, what it names only, and what it doesn't enter."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.folders import (
    IN_PARTS,
    IN_THE_CLOUD,
    LEFT_OVER,
    SHARDS,
    Survey,
    _followed,
    _why_aside,
    skips,
    survey,
)
from civitai_downloader.util.errors import Stopped


def make(root: Path, *paths: str) -> None:
    """Make files whose content is their path."""
    for path in paths:
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.encode())


def look(root: Path, start: str = "", skip: Sequence[str] = ()) -> Survey:
    return survey(root, start, skip, lambda: None)


def found(seen: Survey) -> list[str]:
    return [each.path for each in seen.files]


def aside(seen: Survey) -> dict[str, str]:
    return {each.path: each.reason for each in seen.aside}


# --- Files ---------------------------------------------------------------------------------------


def test_model_files_are_found_at_any_depth_by_their_endings(tmp_path: Path) -> None:
    models = ["a.safetensors", "b.SFT", "c/d/e.ckpt", "f.Pt", "g.pth", "h.bin", "i.gguf", "j.ONNX", "k.v2.safetensors"]
    make(tmp_path, *models, "l.txt", "m.safetensors.json", "n.civitai.info", "safetensors", "p.png", "o.safetensors2")
    seen = look(tmp_path)
    assert sorted(found(seen)) == models
    assert (seen.aside, seen.unreadable, seen.others) == ((), (), 0)


def test_a_file_is_seen_with_its_size_time_and_inode(tmp_path: Path) -> None:
    make(tmp_path, "sub/a.pt")
    os.utime(tmp_path / "sub/a.pt", ns=(1, 1_700_000_000_123_456_700))
    (file,) = look(tmp_path).files
    known = (tmp_path / "sub/a.pt").stat()
    assert (file.size, file.mtime, file.inode) == (8, known.st_mtime_ns, (known.st_dev, known.st_ino))
    assert file.beside


def test_other_kinds_of_models_are_only_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.zip", "b/c.PKL", "d.pt2", "e.txt", ".hidden.zip", "f.ckpt")
    assert look(tmp_path).others == 3
    assert look(tmp_path, "a.zip").others == 1


def test_the_order_is_that_of_the_names_with_a_folder_before_those_in_it(tmp_path: Path) -> None:
    make(tmp_path, "b.pt", "a/z.pt", "a/b/y.pt", "c/x.pt", "C.pt", "a.pt/w.pt")
    assert found(look(tmp_path)) == ["C.pt", "b.pt", "a/z.pt", "a/b/y.pt", "a.pt/w.pt", "c/x.pt"]


def test_a_single_file_is_seen_alone(tmp_path: Path) -> None:
    make(tmp_path, "output/a.safetensors", "output/b.safetensors", "output/.h.ckpt", "output/x.txt")
    assert found(look(tmp_path, "output/a.safetensors", ["*.safetensors"])) == ["output/a.safetensors"]
    assert found(look(tmp_path, "output/.h.ckpt")) == ["output/.h.ckpt"]
    assert look(tmp_path, "output/x.txt") == look(tmp_path, "output/none.ckpt") == Survey((), (), (), 0)


def test_a_folder_of_a_hundred_thousand_files_costs_one_look_at_each_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, *(f"{number % 10}/{number}.{kind}" for number in range(100) for kind in ("pt", "png", "json")))
    looked = list[object]()
    real = os.stat

    def counted(path: str, **options: bool) -> os.stat_result:
        looked.append(path)
        return real(path, **options)

    monkeypatch.setattr(os, "stat", counted)
    assert len(found(look(tmp_path))) == 100
    assert len(looked) <= 2 * 11 + (100 if os.name == "nt" else 0)  # folders, and on Windows the models


def test_the_user_can_stop_the_walk(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number}.pt" for number in range(9)))
    left = 5

    def check() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Stopped

    with pytest.raises(Stopped):
        survey(tmp_path, "", (), check)


# --- What is not entered -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    ".git .cache .venv site-packages venv python_embeded node_modules __pycache__ custom_nodes extensions repositories "
    "output outputs ui_outputs temp tmp cache input user corrupted .civitai .page models--org--name Output "
    "$RECYCLE.BIN lost+found".split(),
)
def test_a_folder_of_the_table_is_entered_only_if_it_is_given(tmp_path: Path, folder: str) -> None:
    path = f"x/{folder}/y/a.pth"
    make(tmp_path, path, "x/b.pth")
    assert found(look(tmp_path)) == found(look(tmp_path, "x")) == ["x/b.pth"]
    assert found(look(tmp_path, f"x/{folder}")) == found(look(tmp_path, f"x/{folder}/y")) == [path]
    assert found(look(tmp_path / "x" / folder)) == ["y/a.pth"]


def test_similar_names_are_entered_and_hidden_files_are_not_seen(tmp_path: Path) -> None:
    paths = ["users/a.pt", "outputs2/a.pt", "models/a.pt", "models-x/a.pt", "environment/a.pt", "cached/a.pt"]
    make(tmp_path, *paths, "users/._a.pt", ".a.safetensors")
    assert sorted(found(look(tmp_path))) == sorted(paths)


def test_a_cache_of_hugging_face_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, "hf/models--org--name/snapshots/abc/model.safetensors", "hf/models--org--name/blobs/0123.bin")
    assert look(tmp_path) == Survey((), (), (), 0)


# --- skip ----------------------------------------------------------------------------------------

TREE = ["a.pt", "loras/a.pt", "loras/b.ckpt", "loras/old/c.pt", "loras/old/deep/d.pt", "old/e.pt", "Test 1/f.pt"]


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        ([], TREE),
        (["nothing"], TREE),
        (["old"], "a.pt|loras/a.pt|loras/b.ckpt|Test 1/f.pt"),
        (["OLD/"], "a.pt|loras/a.pt|loras/b.ckpt|Test 1/f.pt"),
        (["/old", "test*"], "a.pt|loras/a.pt|loras/b.ckpt|loras/old/c.pt|loras/old/deep/d.pt"),
        (["./old"], "a.pt|loras/a.pt|loras/b.ckpt|loras/old/c.pt|loras/old/deep/d.pt|Test 1/f.pt"),
        (["loras/old"], "a.pt|loras/a.pt|loras/b.ckpt|old/e.pt|Test 1/f.pt"),
        (["loras\\old\\"], "a.pt|loras/a.pt|loras/b.ckpt|old/e.pt|Test 1/f.pt"),
        (["*.ckpt", "?.PT"], ""),
        (["a.pt"], "loras/b.ckpt|loras/old/c.pt|loras/old/deep/d.pt|old/e.pt|Test 1/f.pt"),
        (["loras/*.pt"], "a.pt|loras/b.ckpt|loras/old/c.pt|loras/old/deep/d.pt|old/e.pt|Test 1/f.pt"),
        (["loras/**.pt"], "a.pt|loras/b.ckpt|old/e.pt|Test 1/f.pt"),
        (["loras/**/d.pt"], "a.pt|loras/a.pt|loras/b.ckpt|loras/old/c.pt|old/e.pt|Test 1/f.pt"),
        (["**/old/*"], "a.pt|loras/a.pt|loras/b.ckpt|Test 1/f.pt"),
        (["loras/*"], "a.pt|old/e.pt|Test 1/f.pt"),
        (["[a-c].pt"], "loras/b.ckpt|loras/old/deep/d.pt|old/e.pt|Test 1/f.pt"),
        (["[!a].pt", "/a.pt"], "loras/a.pt|loras/b.ckpt"),
        (["**"], ""),
        (["", "/"], TREE),
    ],
)
def test_skip_names_what_is_not_looked_at(tmp_path: Path, globs: list[str], left: str | list[str]) -> None:
    make(tmp_path, *TREE)
    wanted = left if isinstance(left, list) else [path for path in left.split("|") if path]
    assert sorted(found(look(tmp_path, skip=globs))) == sorted(wanted)


def test_skip_is_meant_from_the_folder_that_was_given(tmp_path: Path) -> None:
    make(tmp_path, *TREE)
    assert found(look(tmp_path, "loras", ["loras/old"])) == [path for path in TREE if path.startswith("loras/")]
    assert found(look(tmp_path, "loras", ["/old"])) == ["loras/a.pt", "loras/b.ckpt"]
    assert found(look(tmp_path, "loras/old", ["old"])) == ["loras/old/c.pt", "loras/old/deep/d.pt"]


def test_skip_does_not_depend_on_the_unicode_form() -> None:
    assert skips(["Mod\u00e8le*"])("x/mode\u0300le 2.pt")
    assert skips(["mode\u0300le"])("MOD\u00c8LE")


@given(st.lists(st.text("ab/*?[]!-^\\.&|~(+$\udc80", max_size=9), max_size=3), st.text("ab/.^-\udc80", max_size=9))
def test_any_glob_can_be_given(globs: list[str], path: str) -> None:
    assert isinstance(skips(globs)(path), bool)


@given(st.lists(st.text("abc[]!^-.*", min_size=1, max_size=4), min_size=1, max_size=4))
def test_every_path_skips_itself_as_far_as_it_has_no_signs(parts: list[str]) -> None:
    path = "/".join(parts)
    if not set(path) & set("[]*"):
        assert skips(["/" + path])(path)


# --- Models in parts -----------------------------------------------------------------------------

PIPELINE = [
    "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors", "vae/config.json",
    "vae/diffusion_pytorch_model.bin", "text_encoder/model.safetensors", "onnx/model.onnx", "tokenizer/vocab.json",
    "text_encoder_2/model-00001-of-00002.safetensors", "text_encoder_2/model.safetensors.index.json",
]  # fmt: skip


def below(folder: str, paths: Iterable[str]) -> list[str]:
    return [f"{folder}/{path}" for path in paths]


def test_a_diffusers_folder_is_one_model_that_is_named_once(tmp_path: Path) -> None:
    make(tmp_path, *below("d/sdxl", PIPELINE), "d/a.safetensors")
    seen = look(tmp_path)
    assert (found(seen), aside(seen)) == (["d/a.safetensors"], {"d/sdxl": IN_PARTS})
    assert aside(look(tmp_path, "d/sdxl")) == {"d/sdxl": IN_PARTS}
    assert aside(look(tmp_path / "d/sdxl")) == {".": IN_PARTS}
    assert aside(look(tmp_path, "d/sdxl/vae")) == {"d/sdxl/vae": IN_PARTS}


def test_a_part_that_is_given_by_name_is_seen(tmp_path: Path) -> None:
    make(tmp_path, *PIPELINE)
    for part in (path for path in PIPELINE if path.endswith((".bin", ".safetensors"))):
        assert found(look(tmp_path, part)) == [part]


def test_single_files_in_a_diffusers_folder_are_seen(tmp_path: Path) -> None:
    make(tmp_path, *below("flux", PIPELINE), "flux/flux1-dev.safetensors", "flux/extra/my lora.safetensors")
    seen = look(tmp_path)
    assert sorted(found(seen)) == ["flux/extra/my lora.safetensors", "flux/flux1-dev.safetensors"]
    assert aside(seen) == {"flux": IN_PARTS}


@pytest.mark.parametrize(
    ("names", "is_one_model"),
    [
        (["config.json", "diffusion_pytorch_model.safetensors"], True),
        (["config.json", "model.safetensors"], True),
        (["config.json", "MODEL.fp16.safetensors", "pytorch_model.bin"], True),
        (["config.json", "._model.safetensors", "model.safetensors"], True),
        (["config.json", "model.safetensors", "style.safetensors"], False),
        (["config.json", "style.safetensors"], False),
        (["config.json", "model.ckpt"], False),
        (["model.safetensors"], False),
        (["diffusion_pytorch_model.safetensors"], False),
        (["my config.json", "model.safetensors"], False),
        (["pytorch_lora_weights.safetensors"], False),
    ],
)
def test_a_stray_config_makes_no_diffusers_folder(tmp_path: Path, names: list[str], is_one_model: bool) -> None:
    make(tmp_path, *below("m", names), "m/below/x.pt")
    seen = look(tmp_path)
    models = [path for path in below("m", names) if not path.endswith(".json") and "._" not in path]
    assert found(seen) == ([] if is_one_model else models) + ["m/below/x.pt"]
    assert aside(seen) == ({"m": IN_PARTS} if is_one_model else {})


def test_a_stray_model_index_hides_no_models(tmp_path: Path) -> None:
    paths = ["a.safetensors", "loras/b.safetensors", "checkpoints/c.ckpt"]
    make(tmp_path, "model_index.json", *paths)
    assert sorted(found(look(tmp_path))) == sorted(paths)


def test_shards_are_named_by_their_index(tmp_path: Path) -> None:
    shards = [f"t5-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    make(tmp_path, *below("t", shards), "t/T5.safetensors.index.json", "t/whole.safetensors", *below("u", shards))
    seen = look(tmp_path)
    assert found(seen) == ["t/whole.safetensors", *below("u", shards)]  # without an index nothing says that they are
    assert aside(seen) == {"t/T5.safetensors.index.json": SHARDS}


# --- Left-overs and clouds -----------------------------------------------------------------------


def test_left_overs_of_downloads_are_named(tmp_path: Path) -> None:
    endings = "part tmp tmp2 crdownload partial download incomplete !ut PART".split()
    names = [f"{number}.safetensors.{ending}" for number, ending in enumerate(endings)]
    make(tmp_path, *names, "x.txt.part", "y.tmp", "z.safetensors.part.json", "ok.ckpt")
    seen = look(tmp_path)
    assert found(seen) == ["ok.ckpt"]
    assert aside(seen) == dict.fromkeys(names, LEFT_OVER)


def test_a_file_that_aria2_has_not_finished_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.safetensors", "a.safetensors.aria2", "b.safetensors", "c.gguf.aria2", "d.zip", "d.zip.aria2")
    seen = look(tmp_path)
    assert (found(seen), aside(seen)) == (["b.safetensors"], {"a.safetensors": LEFT_OVER})
    assert aside(look(tmp_path, "a.safetensors")) == {"a.safetensors": LEFT_OVER}


@pytest.mark.parametrize("attributes", [0x1000, 0x40000, 0x400000, 0x401020])
def test_a_file_in_a_cloud_is_not_opened(attributes: int) -> None:
    class Listed:
        st_mode, st_ino, st_file_attributes = 0o100644, 0, attributes

    listed: Any = Listed()
    assert _why_aside(_followed("not even looked at", listed)) == IN_THE_CLOUD
    Listed.st_file_attributes = 0x20
    assert _why_aside(listed) is None
    with pytest.raises(FileNotFoundError):
        _followed("looked at, as the list lacks its number", listed)


def test_a_file_that_vanishes_is_not_seen(tmp_path: Path) -> None:
    make(tmp_path, "a.pt", "b.pt", "sub/c.pt", "sub/in/d.pt")
    steps = 0

    def check() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:  # the folder has been listed
            (tmp_path / "b.pt").unlink()
            shutil.rmtree(tmp_path / "sub")

    assert survey(tmp_path, "", (), check) == Survey(look(tmp_path, "a.pt").files, (), (), 0)
