"""What stands beside a file that was found in a folder is what stands beside a fetched one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, FakeModel, gif_bytes, jpeg_bytes, mp4_bytes, png_bytes, webp_bytes
from tests.helpers import link, read_json
from tests.library_disk import SIDECARS, last, put, rows, touch

PAGES = re.compile(r".*/images/.*|.*/(model|description|post-[0-9]+)\.[a-z]+")


def told_beside(folder: Path, stem: str) -> dict[str, Any]:
    """Return what stands beside a file, but for the folder that it names and for times."""
    return {path.name: _content(path) for path in folder.iterdir() if re.match(rf"{stem}\.(?!safe|ckpt)", path.name)}


def _content(path: Path) -> Any:
    if not path.name.endswith(SIDECARS):
        return path.read_bytes()
    told = read_json(path)
    places = {key: Path(told[key]).name for key in ("file_path", "preview_url") if key in told}
    return {**told, **places, "modified": 0}


def pages(root: Path) -> dict[str, bytes]:
    """Return the pages and pictures of a library, by their paths below `users`."""
    found = {path.partition("users/")[2]: data for path, data in files_under(root).items() if "users/" in path}
    return {path: data for path, data in found.items() if PAGES.fullmatch(path)}


def fetched(out: Path, version: int) -> Path:
    """Return the folder into which the files of a version were fetched."""
    return next(path for path in out.rglob(f"* [[]{version}[]]") if path.is_dir())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.mark.parametrize("pictures", ["5", "0"])
def test_a_found_file_gets_what_a_fetched_one_gets(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, models: Path, pictures: str
) -> None:
    newest, older = lora.versions
    newest.add_file("paper_xl.ckpt", primary=False)
    newest.images.insert(0, newest.add_image(kind="video", meta={"prompt": "it moves"}))
    older.add_image(kind="video")
    assert run(link(site), "--max-images", "5") == 0
    for version in lora.versions:
        for at in range(len(version.files)):
            put(version, models / f"loras {version.id}", at=at)
            put(version, models / f"again {version.id}", at=at)
    assert run(str(models), "--max-images", pictures) == 0
    for version in lora.versions:
        stem = Path(version.files[0].name).stem
        expected = told_beside(fetched(out, version.id), stem)
        assert len(expected) == 4
        assert told_beside(models / f"loras {version.id}", stem) == expected
        assert told_beside(models / f"again {version.id}", stem) == expected
    there, here = pages(out), pages(models)
    of_gallery = {path for path in there if "40003" in path or "/post-" in path}
    assert here.keys() == (there.keys() if pictures == "5" else there.keys() - of_gallery)
    for path, data in here.items():  # the prompts of a showcase are asked for where no gallery tells them
        assert data == there[path] or (path.endswith(".txt") and pictures == "0"), path


def test_a_file_keeps_its_name_and_its_sidecars_are_called_like_it(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    put(lora.versions[0], models / "샘플", "내 스타일 (1).v2.safetensors")
    assert run(str(models)) == 0
    names = {path.name for path in (models / "샘플").iterdir()}
    endings = ("safetensors", "civitai.info", "json", "metadata.json", "preview.png")
    assert names == {f"내 스타일 (1).v2.{ending}" for ending in endings}
    told = read_json(models / "샘플" / "내 스타일 (1).v2.metadata.json")
    assert told["file_name"] == "내 스타일 (1).v2"
    assert Path(told["file_path"]) == models / "샘플" / "내 스타일 (1).v2.safetensors"
    assert told["from_civitai"] is True


@pytest.mark.parametrize(
    ("ending", "made"),
    [
        *((f"{dot}{ending}", made) for dot in (".preview.", ".") for ending, made in (
            ("png", png_bytes), ("jpg", jpeg_bytes), ("jpeg", jpeg_bytes), ("webp", webp_bytes), ("gif", gif_bytes),
            ("mp4", mp4_bytes))),
        (".webm", mp4_bytes), (".avif", png_bytes), (".jxl", png_bytes), (".thumb.jpg", jpeg_bytes),
        (".PNG", png_bytes), (".preview.PNG", png_bytes),
    ],
)  # fmt: skip
def test_any_preview_counts_as_present(run: Runner, lora: FakeModel, models: Path, ending: str, made: Any) -> None:
    path = put(lora.versions[0], models)
    mine = path.with_name(path.stem + ending)
    mine.write_bytes(made(3))
    assert run(str(models)) == 0
    assert mine.read_bytes() == made(3)
    others = {each.name for each in models.iterdir() if each.is_file() and each.name.startswith(path.stem)}
    assert others == {path.name, mine.name, *(path.stem + each for each in SIDECARS)}
    assert Path(read_json(path.with_suffix(".metadata.json"))["preview_url"]) == mine


def test_what_somebody_has_written_into_sidecars_stays(run: Runner, lora: FakeModel, models: Path) -> None:
    path = put(lora.versions[0], models)
    mine: dict[str, dict[str, Any]] = {
        ".json": {"activation text": "my words", "preferred weight": 0.7, "notes": "mine", "colour": "red"},
        ".metadata.json": {"favorite": True, "notes": "good at night", "tags": ["mine"], "usage_tips": '{"a":1}'},
        ".civitai.info": {"extensions": {"helper": {"version": 1}}, "trainedWords": ["my word"]},
    }
    for ending, told in mine.items():
        path.with_suffix(ending).write_text(json.dumps(told), "utf-8")
    for options in ((), ("--refresh",)):
        assert run(str(models), *options) == 0
        for ending, told in mine.items():
            found = read_json(path.with_suffix(ending))
            assert {key: found[key] for key in told} == told
        assert read_json(path.with_suffix(".json"))["modelVersionId"] == lora.versions[0].id
        assert read_json(path.with_suffix(".metadata.json"))["civitai"]["id"] == lora.versions[0].id
        assert read_json(path.with_suffix(".civitai.info"))["modelId"] == lora.id


def test_what_is_no_json_beside_a_file_stays(run: Runner, lora: FakeModel, models: Path) -> None:
    path = put(lora.versions[0], models)
    for ending in SIDECARS:
        path.with_suffix(ending).write_bytes(b"{ not json")
    assert run(str(models)) == 0
    assert {path.with_suffix(ending).read_bytes() for ending in SIDECARS} == {b"{ not json"}
    assert last(models, path.name)["status"] == "success"


def test_a_model_file_as_input_leaves_its_neighbours_alone(run: Runner, lora: FakeModel, models: Path) -> None:
    path, other = put(lora.versions[0], models), put(lora.versions[1], models)
    assert run(str(path)) == 0
    assert set(rows(models)) == {path.name}
    assert {each.name for each in models.iterdir() if each.name.startswith("paper_sd15")} == {other.name}
    touch(other)
    assert run(str(other)) == 0
    assert set(rows(models)) == {other.name}
