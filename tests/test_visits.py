"""A visit to a model brings home its files, pages, pictures and galleries."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, World, safetensors_bytes
from tests.helpers import LORA_PAGE, newest, read_json


def gallery_of(world: World, version: int) -> list[int]:
    return [image.id for image in world.images.values() if version in image.version_ids]


@pytest.mark.usefixtures("lora")
def test_a_model_comes_home_whole(run: Runner, out: Path, site: FakeCivitai) -> None:
    assert run(lines=["10001"]) == 0
    new, old = f"{LORA_PAGE}/v2.0 [20002]", f"{LORA_PAGE}/v1.0 [20001]"
    sidecars = [".civitai.info", ".json", ".metadata.json", ".safetensors"]
    images = ["40001.png", "40001.txt", "40002.jpg", "40002.txt", "40003.png", "40003.txt"]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert {name for name in files_under(out) if not name.startswith((".page/", "index.html"))} == {
        *(f"{LORA_PAGE}/{name}" for name in ("model.json", "model.txt", "description.html")),
        *(f"{new}/paper_xl{ending}" for ending in (*sidecars, ".preview.png")),
        *(f"{old}/paper_sd15{ending}" for ending in sidecars),
        *(f"{new}/images/{name}" for name in images),
        "download_state.jsonl",
        "download_state.lock",
        f".cache/lists/answers-{day}.jsonl",
        ".cache/lists/filters.json",
        f"{new}/post-50001.json",
        "report.json",
    }
    assert (out / new / "paper_xl.safetensors").read_bytes() == safetensors_bytes("xl")
    assert (out / new / "images/40001.png").samefile(out / new / "paper_xl.preview.png")
    assert all("authorization" not in seen.headers for seen in site.seen("storage"))


@pytest.mark.parametrize("size", [(12, 28, 48, 350), pytest.param((50, 120, 200, 1500), marks=pytest.mark.long)])
def test_a_library_of_many_models_completes_and_is_not_asked_for_again(
    run: Runner, site: FakeCivitai, out: Path, size: tuple[int, int, int, int]
) -> None:
    site.world.build_library(*size)
    ids = list(site.world.models)
    assert run("-q", lines=[f"{site.url}/models/{number}" for number in ids]) == 0
    versions = len(site.world.versions)
    pages = sum(-(-min(200, len(gallery_of(site.world, number))) // 200) or 1 for number in site.world.versions)
    assert len(site.seen("site", "/api/v1/")) <= len(ids) + pages
    assert (len(ids), versions, len(site.world.files), len(site.world.images)) == size
    on_disk = {path.stem for path in out.rglob("images/*") if path.suffix != ".txt"}
    assert on_disk == {str(number) for number in site.world.images}
    report = read_json(out / "report.json")
    assert report["counts"] == {"done": len(report["files"])}
    site.forget()
    assert run("-q", lines=[f"{site.url}/models/{number}" for number in ids]) == 0
    assert not site.requests


def test_max_images_bounds_a_gallery(run: Runner, out: Path, site: FakeCivitai, lora: FakeModel) -> None:
    for _ in range(450):
        site.world.add_image([newest(lora).id])
    run("10001@20002", "--max-images", "5", "--only", "metadata")
    assert len(list(out.rglob("images/*.txt"))) <= 7
    site.forget()
    assert run("10001@20002", "--max-images", "all", "--only", "metadata") == 0
    assert len(list(out.rglob("images/*.txt"))) == 453
    assert len(site.seen("site", "/api/v1/images")) == 3


@pytest.mark.usefixtures("lora")
def test_galleries_are_asked_for_again_when_told_or_when_a_prompt_is_missing(
    run: Runner, site: FakeCivitai, out: Path
) -> None:
    site.world.add_image([20001])  # an empty gallery would be asked for again
    run("10001")
    site.forget()
    run("10001", "--refresh")
    assert len(site.seen("site", "/api/v1/images")) == 2
    one_file(out, "40003.txt").unlink()
    site.forget()
    run("10001")
    assert not site.requests
    assert read_json(one_file(out, "40003.txt"))["raw_prompt"] == "from the gallery"
