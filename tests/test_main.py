"""The command as its users run it, against the fake site; then a look at the disk and the screen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from civitai_downloader import __version__
from civitai_downloader.__main__ import byte_rate, command_parser, count_or_all, main, option_words
from civitai_downloader.core.data import read_data
from civitai_downloader.core.words import clock_time, system_language
from civitai_downloader.util.errors import Failure
from civitai_downloader.util.logs import FolderLock, JsonLog
from tests.conftest import QuickClock, Runner, State, files_under, one_file
from tests.fake_civitai import (
    Cut,
    FakeCivitai,
    FakeModel,
    FakeVersion,
    FlipBit,
    Status,
    World,
    busy,
    from_now,
    png_bytes,
    safetensors_bytes,
)

Captured = pytest.CaptureFixture[str]
LORA_PAGE = "users/lantern_maker/models/Paper Lantern Style [10001]"


@pytest.fixture
def lora(site: FakeCivitai) -> FakeModel:
    """A LoRA with two versions, a file each, three pictures in the newer one's gallery."""
    model = site.world.add_model()
    model.add_version("v1.0").add_file("paper_sd15.safetensors")
    newer = model.add_version("v2.0", trained_words=["paper lantern", "night, rain"])
    newer.add_file("paper_xl.safetensors", safetensors_bytes("xl"))
    newer.add_image(meta={"prompt": "a lantern", "steps": 20})
    newer.add_image(level=4, data=b"\xff\xd8\xff" + b"j" * 500)
    site.world.add_image([newer.id], meta={"prompt": "from the gallery"})
    return model


def newest(model: FakeModel) -> FakeVersion:
    return model.versions[0]


def storage_requests(site: FakeCivitai) -> int:
    return len(site.seen("storage"))


def read_json(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text("utf-8"))
    assert isinstance(found, dict)
    return found


# --- The main job --------------------------------------------------------------------------------


@pytest.mark.usefixtures("lora")
def test_a_model_comes_home_whole(run: Runner, out: Path, site: FakeCivitai) -> None:
    assert run(lines=["10001"]) == 0
    new, old = f"{LORA_PAGE}/v2.0 [20002]", f"{LORA_PAGE}/v1.0 [20001]"
    sidecars = [".civitai.info", ".json", ".metadata.json", ".safetensors"]
    images = ["40001.png", "40001.txt", "40002.jpg", "40002.txt", "40003.png", "40003.txt"]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert set(files_under(out)) == {
        *(f"{LORA_PAGE}/{name}" for name in ("model.json", "model.txt", "description.html")),
        *(f"{new}/paper_xl{ending}" for ending in (*sidecars, ".preview.png")),
        *(f"{old}/paper_sd15{ending}" for ending in sidecars),
        *(f"{new}/images/{name}" for name in images),
        "download_state.jsonl",
        "download_state.lock",
        f"lists/answers-{day}.jsonl",
        "lists/filters.json",
        f"{new}/post-50001.json",
        "report.json",
    }
    assert (out / new / "paper_xl.safetensors").read_bytes() == safetensors_bytes("xl")
    assert (out / new / "images/40001.png").samefile(out / new / "paper_xl.preview.png")
    assert all("authorization" not in seen.headers for seen in site.seen("storage"))


@pytest.mark.usefixtures("lora")
def test_the_state_log_names_everything_that_landed(run: Runner, out: Path, state: State) -> None:
    run("10001")
    records = state()
    assert len([kind for kind, _ in records if kind == "sidecar"]) == 6
    assert {key for key in records if key[0] != "sidecar"} == {
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
def test_a_second_run_asks_for_nothing_that_was_asked_this_day(run: Runner, site: FakeCivitai, out: Path) -> None:
    run("10001")
    before = files_under(out / "users")
    site.forget()
    assert run("10001") == 0
    assert not site.requests
    assert files_under(out / "users") == before
    assert run("10001", "--refresh") == 0
    assert {seen.path for seen in site.requests} >= {"/api/v1/models/10001", "/api/v1/images"}


def test_a_library_of_fifty_models_completes_and_is_not_asked_for_again(
    run: Runner, site: FakeCivitai, out: Path
) -> None:
    site.world.build_library()
    ids = list(site.world.models)
    assert run("-q", lines=[f"{site.url}/models/{number}" for number in ids]) == 0
    versions = len(site.world.versions)
    pages = sum(-(-min(200, len(gallery_of(site.world, number))) // 200) or 1 for number in site.world.versions)
    assert len(site.seen("site", "/api/v1/")) <= len(ids) + pages
    assert (len(ids), versions, len(site.world.files), len(site.world.images)) == (50, 120, 200, 3000)
    on_disk = {path.stem for path in out.rglob("images/*") if path.suffix != ".txt"}
    assert on_disk == {str(number) for number in site.world.images}
    report = read_json(out / "report.json")
    assert report["counts"] == {"done": len(report["files"])}  # type: ignore[arg-type]
    site.forget()
    assert run("-q", lines=[f"{site.url}/models/{number}" for number in ids]) == 0
    assert not site.requests


def test_a_list_of_models_is_asked_for_in_hundreds(run: Runner, site: FakeCivitai, out: Path) -> None:
    site.world.build_library(models=180, versions=180, files=180, images=0)
    site.world.models[10005].minor = True  # one that the list leaves out
    assert run("--only", "metadata", "--no-gallery", lines=[*map(str, site.world.models)]) == 0
    assert len(site.requests) == 3
    assert len(list(out.rglob("model.json"))) == 180
    site.forget()
    assert run("--only", "metadata", "--no-gallery", lines=[*map(str, site.world.models)]) == 0
    assert not site.requests


def gallery_of(world: World, version: int) -> list[int]:
    return [image.id for image in world.images.values() if version in image.version_ids]


@pytest.mark.parametrize(
    ("word", "files"),
    [
        ("{site}/models/10001", {"30001", "30002"}),
        ("https://civitai.red/models/10001/slug", {"30001", "30002"}),
        ("10001", {"30001", "30002"}),
        ("20002", {"30002"}),
        ("https://civitai.com/models/10001?modelVersionId=20001", {"30001"}),
        ("https://civitai.com/model-versions/20001", {"30001"}),
        ("https://civitai.com/api/download/models/20002?fileId=30002&token=abc", {"30002"}),
        ("https://civitai.com/api/download/models/20002?type=Model&format=SafeTensor", {"30002"}),
        ("urn:air:sdxl:lora:civitai:10001@20001", {"30001"}),
        ("10001@20002", {"30002"}),
        ("99@20002", {"30002"}),
    ],
)
@pytest.mark.usefixtures("lora")
def test_every_form_of_target_brings_its_files(
    run: Runner, site: FakeCivitai, state: State, word: str, files: set[str]
) -> None:
    assert run(word.format(site=site.url), "--no-gallery") == (0 if not word.startswith("99@") else 1)
    if word.startswith("99@"):
        return
    assert {key.split("/")[1] for kind, key in state() if kind == "model"} == files


@pytest.mark.usefixtures("lora")
def test_a_bare_id_says_what_it_is(run: Runner, capsys: Captured) -> None:
    run("20002")
    assert "20002 is Paper Lantern Style [10001]" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_the_same_target_in_many_forms_is_fetched_once(run: Runner, site: FakeCivitai, out: Path) -> None:
    assert run(lines=["10001", "https://civitai.com/models/10001", "10001", "air:sdxl:lora:civitai:10001"]) == 0
    assert len(site.seen("site", "/api/v1/models/10001")) == 1
    assert storage_requests(site) == 2
    targets = read_json(out / "report.json")["targets"]
    assert [target["note"] for target in targets] == ["", "the same as an earlier line"]  # type: ignore[attr-defined]


# --- Sidecars and prompts ------------------------------------------------------------------------


@pytest.mark.usefixtures("lora")
def test_sidecars_have_the_formats_of_their_readers(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001")
    weights = one_file(out, "paper_xl.safetensors")
    info = read_json(weights.with_suffix(".civitai.info"))
    assert (info["id"], info["modelId"], info["baseModel"]) == (20002, 10001, "SDXL 1.0")
    assert info["model"]["name"] == lora.name  # type: ignore[index]
    assert info["creator"]["username"] == "lantern_maker"  # type: ignore[index]
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


def info_site(out: Path) -> str:
    return str(read_json(one_file(out, "40001.txt"))["page"]).rpartition("/images/")[0]


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


@pytest.mark.usefixtures("lora")
def test_a_prompt_file_holds_what_the_site_told(run: Runner, out: Path) -> None:
    run("10001")
    facts = read_json(one_file(out, "40001.txt"))
    assert facts["raw_prompt"] == "a lantern"
    assert facts["meta"] == {"prompt": "a lantern", "steps": 20}
    assert facts["model_versions"] == [20002]
    assert read_json(one_file(out, "40002.txt"))["raw_prompt"] is None


def test_a_prompt_that_is_hidden_later_stays_on_disk(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel
) -> None:
    run("10001")
    for image in newest(lora).images:
        image.hidden_meta = True
    run("10001", "--refresh")
    assert read_json(one_file(out, "40001.txt"))["raw_prompt"] == "a lantern"


def test_a_signed_link_in_a_prompt_is_cut(run: Runner, out: Path, lora: FakeModel) -> None:
    link = "https://x.example/a.png?w=1&sig=HUSH&token=HUSH"
    newest(lora).add_image(meta={"prompt": "p", "sourceImage": {"url": link}})
    run("10001")
    assert not [name for name, data in files_under(out).items() if b"HUSH" in data]
    assert read_json(one_file(out, "40004.txt"))["meta"] == {
        "prompt": "p",
        "sourceImage": {"url": "https://x.example/a.png?w=1"},
    }


def test_a_video_answered_by_a_still_is_asked_for_again(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel
) -> None:
    video = newest(lora).add_image(kind="video", still_for_original=True)
    stubborn = newest(lora).add_image(kind="video", still_always=True)
    assert run("10001") == 1
    assert one_file(out, f"{video.id}.mp4").read_bytes() == video.data
    failed = read_json(out / "report.json")["files"]
    assert [each["reason"] for each in failed if each["id"] == str(stubborn.id)] == ["still"]  # type: ignore[attr-defined]
    assert not list(out.rglob("*.part"))


def test_descriptions_are_saved_and_their_scripts_are_shut_off(run: Runner, out: Path, lora: FakeModel) -> None:
    lora.description = "<p>Hello</p><script>alert(1)</script>"
    run("10001")
    page = one_file(out, "description.html").read_text("utf-8")
    assert "default-src 'none'" in page.partition("<script>")[0]
    assert "Hello" in one_file(out, "model.txt").read_text("utf-8")


# --- What to take --------------------------------------------------------------------------------


@pytest.fixture
def mix(site: FakeCivitai) -> FakeModel:
    """A checkpoint with every kind of file, an older base model, and pictures of all levels."""
    model = site.world.add_model("Mix", "Checkpoint", creator="painter")
    model.add_version("old", base_model="SD 1.5").add_file("old.ckpt")
    version = model.add_version("new", base_model="SDXL 1.0")
    version.add_file("mix.zip", type="Training Data", primary=True)
    version.add_file("mix.ckpt", primary=False)
    version.add_file("mix.safetensors", primary=False)
    version.add_file("mix.yaml", type="Config", primary=False)
    version.add_file("mix.vae.pt", type="VAE", primary=False)
    for level in (1, 2, 4, 8, 16):
        version.add_image(level, meta={"prompt": f"level {level}"})
    return model


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


def test_max_images_bounds_a_gallery(run: Runner, out: Path, site: FakeCivitai, lora: FakeModel) -> None:
    for _ in range(450):
        site.world.add_image([newest(lora).id])
    run("10001@20002", "--max-images", "5", "--only", "metadata")
    assert len(list(out.rglob("images/*.txt"))) <= 7
    site.forget()
    assert run("10001@20002", "--max-images", "all", "--only", "metadata") == 0
    assert len(list(out.rglob("images/*.txt"))) == 453
    assert len(site.seen("site", "/api/v1/images")) == 3


@pytest.mark.usefixtures("mix")
def test_weights_have_sidecars_and_other_files_have_none(run: Runner, out: Path) -> None:
    run("10001", "--latest")
    assert {path.name for path in out.rglob("*.civitai.info")} == {"mix.civitai.info", "mix.vae.civitai.info"}


@pytest.mark.usefixtures("mix")
def test_pickle_files_are_named_with_the_sites_scan(run: Runner, capsys: Captured) -> None:
    run("10001")
    shown = capsys.readouterr().err
    assert "Pickle files can run code" in shown
    assert "mix.ckpt: Success" in shown
    assert "mix.safetensors: " not in shown


def test_listings_are_held_back_while_thousands_wait(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("civitai_downloader.core.schedule.AHEAD", 20)
    site.world.build_library(models=6, versions=12, files=12, images=240)
    assert run(*map(str, site.world.models)) == 0
    assert len(list(out.rglob("images/*.png"))) == 240


@pytest.mark.usefixtures("mix")
def test_only_metadata_writes_sidecars_without_files(run: Runner, out: Path, site: FakeCivitai) -> None:
    run("10001", "--only", "metadata")
    assert one_file(out, "mix.metadata.json")
    assert not site.seen("storage") + site.seen("image")


# --- Layouts -------------------------------------------------------------------------------------


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
    assert set(counts) == {"skipped"}  # type: ignore[call-overload]


def test_config_files_in_app_layouts_bear_the_checkpoints_name(run: Runner, out: Path, mix: FakeModel) -> None:
    newest(mix).files[3].name = "other.yaml"
    run("10001", "--layout", "a1111", "--latest", "--no-gallery")
    names = {path.name for path in (out / "models/Stable-diffusion").iterdir()}
    assert {"mix.yaml", "mix.ckpt", "mix.safetensors"} <= names
    assert one_file(out / ".civitai", "mix.zip")


# --- Names ---------------------------------------------------------------------------------------


def test_hostile_names_stay_inside_and_two_files_of_one_name_are_both_kept(
    run: Runner, out: Path, site: FakeCivitai, tmp_path: Path
) -> None:
    model = site.world.add_model("../../aux", creator="..")
    version = model.add_version("con.")
    bodies = {}
    for name in ("../../../etc/x.safetensors", "x.safetensors", "*.pt", "C:\\y.pt", "nul.safetensors", "", "a.part"):
        file = version.add_file(name)
        bodies[file.id] = file.data
    assert run("10001") == 0
    assert set(tmp_path.iterdir()) == {out}
    folder = one_file(out, "model.json").parent
    landed = {path.name: path.read_bytes() for path in (folder / "_con [20001]").iterdir() if path.is_file()}
    assert {name for name in landed if name.startswith("x") and name.endswith(".safetensors")} == {
        "x.safetensors",
        "x [30002].safetensors",
    }
    assert set(bodies.values()) <= set(landed.values())


def test_a_file_of_the_user_is_not_written_over(run: Runner, out: Path, lora: FakeModel) -> None:
    mine = out / "models/loras/paper_xl.safetensors"
    mine.parent.mkdir(parents=True)
    same_size = b"u" * newest(lora).files[0].body.size
    for content in (b"my own", same_size):
        mine.write_bytes(content)
        assert run("10001@20002", "--layout", "comfyui", "--force") == 0
        assert mine.read_bytes() == content
        assert (mine.parent / "paper_xl [30002].safetensors").read_bytes() == safetensors_bytes("xl")


# --- Twice and already there ---------------------------------------------------------------------


def test_the_same_bytes_wanted_twice_are_fetched_once(run: Runner, site: FakeCivitai, out: Path) -> None:
    for number in range(3):
        model = site.world.add_model(f"Copy {number}")
        model.add_version().add_file(f"copy{number}.safetensors", safetensors_bytes("same", 50_000))
    assert run(lines=[*map(str, site.world.models)]) == 0
    assert storage_requests(site) == 1
    assert {path.read_bytes() for path in out.rglob("copy*.safetensors")} == {safetensors_bytes("same", 50_000)}
    assert len(list(out.rglob("copy*.safetensors"))) == 3


def test_when_the_first_of_twins_fails_the_second_is_tried(run: Runner, site: FakeCivitai, out: Path) -> None:
    for name in ("first", "second"):
        version = site.world.add_model(name).add_version(usage_control="Generation" if name == "first" else "Download")
        version.add_file("same.safetensors", safetensors_bytes("same"))
    assert run("10001", "10002") == 1
    assert len(list(out.rglob("same.safetensors"))) == 1


@pytest.mark.usefixtures("lora")
def test_two_output_folders_share_one_transfer(run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    assert run(lines=["10001", f'10001 -o "{tmp_path}/other place"']) == 0
    assert storage_requests(site) == 2
    assert one_file(tmp_path / "other place", "paper_xl.safetensors").read_bytes() == safetensors_bytes("xl")
    for folder in ("downloads", "other place"):
        assert len(read_json(tmp_path / folder / "report.json")["targets"]) == 1  # type: ignore[arg-type]


@pytest.mark.usefixtures("lora")
def test_files_are_adopted_when_the_log_is_lost(run: Runner, out: Path, site: FakeCivitai, state: State) -> None:
    run("10001")
    before = {key: line["path"] for key, line in state().items()}
    (out / "download_state.jsonl").unlink()
    picture = one_file(out, "40002.jpg")
    picture.with_name("40002.part.json").write_text("{}")  # as a kill between the last two steps leaves it
    site.forget()
    assert run("10001") == 0
    assert not site.seen("storage") + site.seen("image")
    assert {key: line["path"] for key, line in state().items()} == before
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


@pytest.mark.usefixtures("lora")
def test_galleries_are_asked_for_again_when_told_or_when_a_prompt_is_missing(
    run: Runner, site: FakeCivitai, out: Path
) -> None:
    run("10001")
    site.forget()
    run("10001", "--refresh")
    assert len(site.seen("site", "/api/v1/images")) == 2
    one_file(out, "40003.txt").unlink()
    site.forget()
    run("10001")
    assert not site.requests
    assert read_json(one_file(out, "40003.txt"))["raw_prompt"] == "from the gallery"


# --- Refusals ------------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[dict[str, object], dict[str, object], str, str]] = {
    "needs a token": ({}, {"needs_token": True}, "needs-token", "https://civitai.com/user/account"),
    "early access": ({}, {"early_access": from_now(9e5)}, "early-access", f"Early access until {from_now(9e5)[:10]}"),
    "disabled": ({}, {"usage_control": "Generation"}, "disabled", "creator disabled downloads"),
    "archived": ({"mode": "Archived"}, {}, "archived", "archived by its creator"),
    "taken down": ({"mode": "TakenDown"}, {}, "taken-down", "took the model down"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_named_in_words(
    run: Runner, site: FakeCivitai, capsys: Captured, out: Path, state: State, case: str
) -> None:
    of_model, of_version, reason, words = REFUSALS[case]
    version = site.world.add_model(**of_model).add_version(**of_version)  # type: ignore[arg-type]
    version.add_file("a.safetensors")
    assert run("10001") == 1
    assert words in capsys.readouterr().err
    (failed,) = [each for each in read_json(out / "report.json")["files"] if each["outcome"] == "failed"]  # type: ignore[attr-defined]
    assert failed["reason"] == reason
    lines = (out / "failed.txt").read_text("utf-8").splitlines()
    assert lines[-1] == "10001"
    assert lines[0].startswith("# Paper Lantern Style [10001] v1.0")
    assert not list(out.rglob("*.safetensors"))
    assert ("page", "model/10001") not in state()


def test_a_token_opens_what_needs_one_and_is_written_nowhere(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.world.add_model().add_version(needs_token=True).add_file("a.safetensors")
    assert run("10001", "--token", "wrong-token") == 1
    assert "did not accept the token" in capsys.readouterr().err
    monkeypatch.setenv("CIVITAI_TOKEN", " good-token\n")
    assert run("--retry-failed", "-v") == 0
    assert not {"failed.txt", "retry.sh", "retry.bat"} & set(files_under(out))
    shown = capsys.readouterr()
    assert "GET 127.0.0.1/api/download/models/20001 307" in shown.err
    for secret in ("good-token", "wrong-token", "X-Amz", "Bearer"):
        assert secret not in shown.err + shown.out
        assert not [name for name, data in files_under(out).items() if secret.encode() in data]
    assert {seen.headers.get("authorization") for seen in site.seen("storage")} == {None}


def test_the_region_and_the_gate_keeper_are_named(
    run: Runner, site: FakeCivitai, capsys: Captured, lora: FakeModel
) -> None:
    site.fail("site:/api/v1/models", Status(451, '{"error":"law","code":"REGION_BLOCKED"}'), times=None)
    assert run("10001") == 1
    assert "region" in capsys.readouterr().err
    site.heal()
    page = Status(403, "<html>Just a moment...</html>", {"cf-mitigated": "challenge"}, "text/html")
    site.fail("site:/api/v1/models", page, times=None)
    assert run("10001") == 1
    assert "gate keeper" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_a_busy_site_is_waited_for_as_long_as_it_says(run: Runner, site: FakeCivitai) -> None:
    site.fail("site:/api/v1/models", busy(429, 7))
    site.fail("site:/api/v1/images", busy(503), times=2)
    assert run("10001", "--retries", "0") == 0
    waits = [round(wait) for wait in run.clock.slept if wait > 1.5]
    assert waits[0] == 7
    assert {2, 4} <= {*waits[1:]}
    assert max(waits) == 7


@pytest.mark.usefixtures("lora")
def test_five_minutes_of_waiting_fail_one_item_and_not_the_run(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    site.fail("site:/api/v1/images.*modelVersionId=20001", busy(503), times=None)
    assert run("10001") == 1
    assert read_json(out / "report.json")["seconds"] == pytest.approx(300, rel=0.1)  # others wait along
    assert "busy" in capsys.readouterr().err
    assert storage_requests(site) == 2


def test_three_used_up_waits_for_downloads_mean_the_quota(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    for number in range(6):
        site.world.add_model(f"M{number}").add_version().add_file(f"{number}.safetensors")
    site.world.quota = 1
    assert run(*map(str, site.world.models), "--workers", "1", "--no-gallery") == 1
    asked = [seen for seen in site.seen("site", "/api/download/") if seen.status == 429]
    assert len({seen.path for seen in asked}) == 3
    assert "download quota" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_the_paging_cap_is_never_asked_again(run: Runner, site: FakeCivitai) -> None:
    site.fail(
        "site:/api/v1/images", Status(429, '{"error":"You have asked too much, use cursors instead"}'), times=None
    )
    assert run("10001@20002") == 1
    assert len(site.seen("site", "/api/v1/images")) == 1


# --- Wrong bytes ---------------------------------------------------------------------------------


def test_wrong_bytes_are_fetched_three_times_and_kept_aside(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured, state: State
) -> None:
    site.world.add_model().add_version().add_file("a.safetensors")
    site.fail("storage:/", FlipBit(500), times=None)
    assert run("10001") == 1
    assert storage_requests(site) == 3
    assert [path.name for path in (out / "corrupted").iterdir()] == ["a [20001-30001].safetensors"]
    assert not list((out / "users").rglob("a.safetensors*"))
    assert state()["model", "20001/30001"]["status"] == "failed"
    assert "SHA256" in capsys.readouterr().err
    site.heal()
    assert run("10001") == 0


def test_one_wrong_transfer_is_repaired(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = site.world.add_model().add_version().add_file("a.safetensors")
    site.fail("storage:/", FlipBit(500))
    assert run("10001") == 0
    assert one_file(out, "a.safetensors").read_bytes() == file.data


def test_without_a_published_hash_size_and_header_decide_and_the_report_says_so(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    version = site.world.add_model().add_version()
    version.add_file("good.safetensors", hashed=False)
    version.add_file("broken.safetensors", b"no header at all" * 90, hashed=False)
    version.add_file("short.ckpt", b"x" * 5000, hashed=False, size_kb=50.0)
    assert run("10001") == 1
    assert [path.name for path in out.rglob("users/**/*.safetensors")] == ["good.safetensors"]
    assert len(list((out / "corrupted").iterdir())) == 2
    assert "Without a published hash" in capsys.readouterr().err
    files: list[dict[str, object]] = read_json(out / "report.json")["files"]  # type: ignore[assignment]
    verified = {str(each["name"])[-16:]: each["verified"] for each in files if each["outcome"] == "done"}
    assert verified == {"good.safetensors": False}


def test_a_page_is_never_saved_as_a_model(run: Runner, site: FakeCivitai, out: Path, lora: FakeModel) -> None:
    site.fail("storage:/", Status(200, "<!DOCTYPE html><html>Log in</html>", {}, "text/html"), times=1)
    site.fail("storage:/", Status(200, "<html>" + "x" * 3000, {}, "application/octet-stream"), times=None)
    assert run("10001", "--no-gallery") == 1
    assert not list((out / "users").rglob("*.safetensors*"))


def test_a_full_disk_is_told_before_a_file_starts(
    run: Runner, site: FakeCivitai, capsys: Captured, monkeypatch: pytest.MonkeyPatch, lora: FakeModel
) -> None:
    monkeypatch.setattr("civitai_downloader.core.fetch.free_space", lambda path: 100)
    assert run("10001", "--no-gallery") == 1
    assert "has no room for" in capsys.readouterr().err
    assert not site.seen("storage")


# --- Going on ------------------------------------------------------------------------------------


def test_a_cut_file_is_resumed_by_the_next_run(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = site.world.add_model().add_version().add_file("big.safetensors", size=3_000_000)
    site.fail("storage:/", Cut(2_000_000))
    site.fail("storage:/", Status(500), times=None)
    assert run("10001", "--retries", "0") == 1
    site.heal()
    part = one_file(out, "big.safetensors.part")
    assert part.stat().st_size >= 1_900_000
    site.forget()
    assert run("10001") == 0
    (again,) = site.seen("storage")
    assert again.headers["range"].startswith("bytes=")
    assert again.headers["if-range"]
    assert int(again.headers["range"][6:-1]) >= 1_900_000
    assert one_file(out, "big.safetensors").read_bytes() == file.data
    assert not list(out.rglob("*.part*"))


def test_no_resume_begins_anew(run: Runner, site: FakeCivitai) -> None:
    site.world.add_model().add_version().add_file("big.safetensors", size=3_000_000)
    site.fail("storage:/", Cut(2_000_000))
    site.fail("storage:/", Status(500), times=None)
    run("10001", "--retries", "0")
    site.heal()
    site.forget()
    assert run("10001", "--no-resume") == 0
    assert "range" not in site.seen("storage")[0].headers


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_under_way_and_the_next_run_goes_on(
    site: FakeCivitai, out: Path, run: Runner, number: signal.Signals
) -> None:
    file = site.world.add_model().add_version().add_file("big.safetensors", size=5_000_000)
    site.rate_per_connection = 1_000_000
    words = [sys.executable, "-m", "civitai_downloader", "10001", "--site", site.url, "-o", str(out)]
    root = Path(__file__).parent.parent
    # A test run in the background ignores Ctrl-C, and its children would, too.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(words, cwd=root, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 20
    while not [path for path in out.rglob("*.part") if path.stat().st_size > 500_000]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    begun = time.monotonic()
    _, shown = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - begun < 3
    assert "Interrupted" in shown
    assert "Traceback" not in shown
    assert "# interrupted\n10001\n" in (out / "failed.txt").read_text("utf-8")
    assert one_file(out, "big.safetensors.part").stat().st_size >= 500_000
    site.rate_per_connection = None
    site.forget()
    assert run("--retry-failed") == 0
    assert "range" in site.seen("storage")[0].headers
    assert one_file(out, "big.safetensors").read_bytes() == file.data
    assert not (out / "failed.txt").exists()


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell is needed")
def test_the_retry_script_runs_the_failed_lines(run: Runner, site: FakeCivitai, out: Path, lora: FakeModel) -> None:
    newest(lora).needs_token = True
    assert run("10001", "--latest", "--primary") == 1
    assert (out / "failed.txt").read_text("utf-8").splitlines()[-1] == "10001 --latest --primary"
    script = (out / "retry.bat").read_bytes()
    assert b"--retry-failed" in script
    assert b"\r\n" in script
    environment = {**os.environ, "CIVITAI_API_KEY": "good-token", "PYTHONPATH": str(Path(__file__).parent.parent)}
    assert subprocess.run(["sh", str(out / "retry.sh")], env=environment, check=False).returncode == 0
    assert one_file(out, "paper_xl.safetensors")
    assert not (out / "retry.sh").exists()


def test_lines_of_an_earlier_run_stay_in_failed_txt(run: Runner, site: FakeCivitai, out: Path, lora: FakeModel) -> None:
    assert run("777") == 1
    assert run("10001") == 0
    assert (out / "failed.txt").read_text("utf-8").splitlines()[-1] == "777"
    assert run("--retry-failed") == 1


@pytest.mark.usefixtures("lora")
def test_a_second_run_in_the_same_folder_stops_or_waits(run: Runner, out: Path, capsys: Captured) -> None:
    lock = FolderLock(out / "download_state.lock")
    lock.acquire(QuickClock())
    assert run("10001") == 2
    assert f"process {os.getpid()}" in capsys.readouterr().err
    assert run("10001", "--dry-run") == 0
    assert run("--verify") == 2
    threading.Timer(0.3, lock.release).start()
    assert run("10001", "--wait") == 0


# --- Dry run and verify --------------------------------------------------------------------------


def test_a_dry_run_says_everything_and_writes_nothing(
    run: Runner, site: FakeCivitai, capsys: Captured, out: Path, lora: FakeModel
) -> None:
    early = lora.add_version("soon", early_access=from_now(9e5))
    early.add_file("soon.safetensors")
    locked = site.world.add_model("Locked").add_version(needs_token=True)
    locked.add_file("locked.safetensors")
    archived = site.world.add_model("Old", mode="Archived").add_version()
    archived.add_file("old.safetensors")
    assert run("--dry-run", "10001", "10002", "10003") == 0
    shown = capsys.readouterr().out
    assert not out.exists()
    assert not site.seen("storage") + site.seen("image")
    for words in (
        f"{LORA_PAGE}/v2.0 [20002]/paper_xl.safetensors\n",
        f"(early access until {from_now(9e5)[:10]})",
        "locked.safetensors  (needs a token)",
        "archived",
        "to fetch,",
        " free.",
    ):
        assert words in shown
    run("10001@20002")
    capsys.readouterr()
    run("--dry-run", "10001@20002", "404404")
    shown = capsys.readouterr().out
    assert "paper_xl.safetensors  (already there)" in shown
    assert "0 B to fetch" in shown


@pytest.mark.usefixtures("lora")
def test_verify_finds_what_changed_and_the_next_run_repairs_it(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    assert run("--verify") == 2
    run("10001")
    site.forget()
    assert run("--verify") == 0
    weights = one_file(out, "paper_xl.safetensors")
    weights.write_bytes(b"\0\0" + weights.read_bytes()[2:])
    one_file(out, "40001.png").write_bytes(b"short")
    one_file(out, "paper_sd15.safetensors").unlink()
    capsys.readouterr()
    assert run("--verify") == 1
    shown = capsys.readouterr().err
    for words in ("have changed", "instead of", "not on disk"):
        assert words in shown
    assert not site.requests
    assert run("10001") == 0
    assert run("--verify") == 0
    assert weights.read_bytes() == safetensors_bytes("xl")


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing.txt"], "missing.txt can't be read"),
        (["folder"], "folder can't be read"),
        (["empty.txt"], "empty.txt contains no links"),
        (["bad.txt"], "bad.txt, line 1: 'nonsense' is not a link"),
        (["options.txt"], "options.txt, line 2: the options are wrong"),
        (["https://civitai.com/articles/5"], "is not a link to a model"),
        (["10001", "--layout", "{nothing}"], "The layout has no field {nothing}"),
        (["10001", "--token", "bad token"], "The token is malformed"),
        (["10001", "--site", "nowhere"], "is no web address"),
        (["10001", "-o", "file.txt/below"], "Nothing can be written to"),
        (["--retry-failed"], "failed.txt can't be read"),
        ([], "There is nothing to do"),
        (["10001", "--workers", "0"], "is no number between 1 and 64"),
        (["10001", "--limit-rate", "fast"], "is no number between 0.001"),
        (["10001", "--max-images", "some"], "is no number between 0"),
        (["10001", "--bogus"], "unrecognized arguments"),
    ],
)
@pytest.mark.usefixtures("lora")
def test_bad_input_ends_in_one_sentence_before_any_request(
    run: Runner, site: FakeCivitai, capsys: Captured, tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    (tmp_path / "bad.txt").write_text("nonsense\n")
    (tmp_path / "options.txt").write_text("# a\n10001 --no-such-option\n")
    (tmp_path / "file.txt").write_text("10001")
    before = files_under(tmp_path)
    assert run(*words) == 2
    assert sentence in capsys.readouterr().err
    assert not site.requests
    assert files_under(tmp_path) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_list_is_told(run: Runner, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "secret.txt").write_text("10001")
    (tmp_path / "secret.txt").chmod(0)
    assert run("secret.txt") == 2
    assert "can't be read" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_a_bad_line_is_told_and_the_others_run(run: Runner, out: Path, capsys: Captured) -> None:
    lines = [
        "nonsense",
        "10001 --latest --max-images 0",
        "10001 --layout {x}",
        "10001 -o models.txt/x",
        "10001 --token abcdefgh",
    ]
    assert run(lines=lines) == 0 + 1
    shown = capsys.readouterr().err
    for words in (
        "line 1: 'nonsense'",
        "line 3: the options are wrong",
        "Nothing can be written",
        "line 5: the options",
    ):
        assert words in shown
    assert one_file(out, "paper_xl.safetensors")
    assert not list(out.rglob("paper_sd15.safetensors"))


@pytest.mark.usefixtures("lora")
def test_an_unknown_fault_ends_its_item_with_a_traceback_and_not_the_run(
    run: Runner, out: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("https://x.example/?token=HUSH")

    monkeypatch.setattr("civitai_downloader.core.shelf.a1111_json", broken)
    assert run("10001") == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "ZeroDivisionError" in shown
    assert "HUSH" not in shown
    assert one_file(out, "paper_xl.safetensors")


def test_a_disk_that_refuses_the_log_at_the_end_does_not_hang_the_run(
    run: Runner, monkeypatch: pytest.MonkeyPatch, lora: FakeModel
) -> None:
    append = JsonLog.append

    def full(self: JsonLog, value: dict[str, object]) -> None:
        if value.get("type") == "page":
            raise Failure("disk-full", "The disk is full.")
        append(self, value)

    monkeypatch.setattr(JsonLog, "append", full)
    assert run("10001") == 0


# --- Hosts, proxies, pace ------------------------------------------------------------------------


def test_the_other_front_door_is_asked_once(
    site: FakeCivitai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    file = site.world.add_model("Only red", level=16).add_version().add_file("red.safetensors")
    with FakeCivitai(World()) as green:
        monkeypatch.setattr("civitai_downloader.core.site.SITE", green.url)
        monkeypatch.setattr("civitai_downloader.core.site.MATURE_SITE", site.url)
        words = ["10001", "10404", "-o", "there", "--max-rate-model", "999", "--token", "good-token"]
        assert main(words, QuickClock()) == 1
        assert len(green.seen("site", "/api/v1/models/10404")) == len(site.seen("site", "/api/v1/models/10404")) == 1
        assert all("authorization" not in seen.headers for seen in site.requests)
    assert one_file(tmp_path / "there", "red.safetensors").read_bytes() == file.data
    assert f"{site.url}/models/10001" in one_file(tmp_path / "there", "red.json").read_text("utf-8")


def test_proxies_of_the_environment_are_used_and_netrc_is_not(
    site: FakeCivitai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora: FakeModel
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine civitai.invalid login someone password HUSH\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    words = ["10001", "--site", "http://civitai.invalid", "--token", "good-token", "--only", "metadata", "--no-gallery"]
    assert main(words, QuickClock()) == 0
    assert {seen.headers["authorization"] for seen in site.requests} == {"Bearer good-token"}


@pytest.mark.usefixtures("lora")
def test_requests_are_paced_and_bytes_limited(run: Runner, site: FakeCivitai) -> None:
    site.world.add_model().add_version().add_file("b.safetensors", size=600_000)
    versions = [f"{site.url}/model-versions/{number}" for number in site.world.versions]
    assert run(*versions, "--max-rate-model", "0.5", "--max-rate-image", "2", "--limit-rate", "100K") == 0
    assert sum(run.clock.slept) > 2 + 0.5 + 5
    assert max(run.clock.slept) > 1


# --- What the user sees --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "progress", "summary"),
    [("en", "1/1 models", "already there"), ("ja", "現在 1/1 モデル", "既存"), ("ko", "현재 1/1 모델", "이미 있음")],
)
@pytest.mark.usefixtures("lora")
def test_progress_and_summary_speak_the_users_language(
    run: Runner, capsys: Captured, language: str, progress: str, summary: str
) -> None:
    run("10001")
    capsys.readouterr()
    run("10001", "--lang", language, "--force")
    run("10001", "--lang", language)
    shown = capsys.readouterr().err
    assert progress in shown
    assert summary in shown


def test_every_language_has_every_sentence() -> None:
    catalogue = json.loads(read_data("messages.json"))
    assert set(catalogue["en"]) == set(catalogue["ja"]) == set(catalogue["ko"])
    for key, sentence in catalogue["en"].items():
        for language in ("ja", "ko"):
            assert sorted(set(sentence.split("{")[1:])) == [] or sentence.count("{") == catalogue[language][key].count(
                "{"
            )


@pytest.mark.parametrize(
    ("name", "language"),
    [("ja_JP.UTF-8", "ja"), ("Japanese_Japan", "ja"), ("ko_KR", "ko"), ("Korean_Korea", "ko"), ("C", "en"), ("", "en")],
)
def test_the_systems_language_is_understood(monkeypatch: pytest.MonkeyPatch, name: str, language: str) -> None:
    monkeypatch.setenv("LC_ALL", name)
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    for unset in ("LC_MESSAGES", "LANG"):
        monkeypatch.delenv(unset, raising=False)
    assert system_language() == language


@pytest.mark.usefixtures("lora")
def test_json_logs_are_one_object_a_line(run: Runner, capsys: Captured) -> None:
    run("10001", "404404", "--json-logs", "-v")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    events = {line.get("event") for line in lines}
    assert {"failure", "summary", "progress"} <= events
    assert all({"at", "level", "message"} <= set(line) for line in lines)


@pytest.mark.usefixtures("lora")
def test_quiet_says_failures_and_the_summary_only(run: Runner, capsys: Captured) -> None:
    assert run("-q", "10001") == 0
    assert capsys.readouterr().err == ""
    assert run("-q", "404404") == 1
    assert "404404" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_a_terminal_sees_bars(
    run: Runner, site: FakeCivitai, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    site.world.add_model().add_version().add_file("slow.safetensors", size=600_000)
    site.rate_per_connection = 400_000
    site.fail("storage:/", Status(500), times=1)
    assert run("10002", "404404") == 1
    shown = capsys.readouterr().err
    assert "slow.safetensors" in shown
    assert "1/2 models" in shown
    assert "left" in shown
    assert "retrying" in shown or run.clock.slept


def test_help_and_version_come_without_the_network_stack() -> None:
    code = (
        "import sys; from civitai_downloader.__main__ import main\n"
        "codes = main(['--help']), main(['--version']), main(['--bogus'])\n"
        "assert codes == (0, 0, 2), codes\n"
        "assert not {'requests', 'tqdm', 'backoff'} & set(sys.modules)"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


@pytest.mark.parametrize(("text", "rate"), [("10M", 10 << 20), ("500k", 500 << 10), ("1.5G", 3 << 29), ("100", 100)])
def test_a_rate_is_read(text: str, rate: int) -> None:
    assert byte_rate(text) == rate


def test_options_are_spelled_again_as_they_were_given() -> None:
    parser = command_parser()
    words = ["--layout", "comfyui", "--types", "A,B", "--no-gallery", "--max-images", "all", "--token", "hush-hush"]
    given = vars(parser.parse_args(words))
    assert vars(parser.parse_args(option_words(parser, given))) == {**given}
    assert "hush-hush" not in option_words(parser, given, skip=("token",))
    assert count_or_all("all") is None
    assert clock_time(3723) == "1:02:03"


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
