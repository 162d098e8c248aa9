"""Real answers of the site, recorded by others over four years: each is parsed, named, planned and fetched.

The folder of the recordings is named by CIVITAI_SAMPLES; without it these tests are skipped. The files' bytes are
small stand-ins whose sizes and hashes replace the recorded ones.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.answers import media_urls, read_image, read_model, read_version
from civitai_downloader.core.choice import best_file, is_weights
from civitai_downloader.core.pages import image_facts
from civitai_downloader.core.prompts import Filters
from civitai_downloader.core.sidecars import a1111_json
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, load_recorded

FOLDER = Path(os.environ.get("CIVITAI_SAMPLES", "no-samples"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="CIVITAI_SAMPLES names no folder of recorded answers")


def answers(value: Any) -> Iterator[dict[str, Any]]:
    """The models in a recording, be it one answer, a list or a page."""
    if isinstance(value, list):
        for each in value:
            yield from answers(each)
    elif isinstance(value, dict) and "items" in value:
        yield from answers(value["items"])
    elif isinstance(value, dict) and "modelVersions" in value:
        yield value


def recorded(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((FOLDER / folder).glob("*.json"))]


def name_of(path: Path) -> str:
    return path.stem


ILLEGAL = re.compile(r'[<>:"|?*\x00-\x1f\\]|[. ]$|^ |^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.I)


@pytest.mark.parametrize("path", recorded("model", "model-2023", "models-list"), ids=name_of)
def test_a_recorded_model_comes_home_under_legal_names(path: Path, run: Runner, site: FakeCivitai, out: Path) -> None:
    models = list(answers(json.loads(path.read_text("utf-8"))))
    assert models
    for answer in models:
        load_recorded(site.world, answer)
    code = run(*(str(answer["id"]) for answer in models))
    landed = files_under(out / "users")
    for name in landed:
        assert not [part for part in name.split("/") if ILLEGAL.search(part) or len(part.encode()) > 240]
    wanted = {file.id: file.data for model in models for file in files_of(site, model["id"])}
    gone = any(model.get("mode") in ("Archived", "TakenDown") for model in models)
    assert code == (1 if gone else 0)
    if not gone:
        assert set(wanted.values()) <= set(landed.values())
        assert sum(len(data) for data in wanted.values()) <= sum(len(data) for data in landed.values())
    files = [each for each in json.loads((out / "report.json").read_text("utf-8"))["files"] if each["kind"] == "model"]
    assert gone or len({each["path"] for each in files}) == len(wanted)


def files_of(site: FakeCivitai, model: int) -> list[Any]:
    return [file for version in site.world.models[model].versions for file in version.files]


@pytest.mark.parametrize("path", recorded("model-version"), ids=name_of)
def test_a_recorded_version_is_read_and_planned(path: Path) -> None:
    version = read_version(json.loads(path.read_text("utf-8")))
    assert version.id
    assert [file.sha256 for file in version.files if len(file.sha256) == 64] or not version.files
    assert best_file(version.files)
    assert a1111_json(read_model({"id": 1}), version, "url")
    for image in version.images:
        assert "original=true" in media_urls(image)[0]


@pytest.mark.parametrize("path", recorded("images"), ids=name_of)
def test_a_recorded_image_becomes_a_prompt_file(path: Path) -> None:
    value = json.loads(path.read_text("utf-8"))
    items = value.get("items", [value])
    for item in items:
        image = read_image(item)
        assert image is not None
        facts = image_facts(image, "page", Filters())
        meta = item["meta"]
        assert facts["raw_prompt"] == (meta or {}).get("prompt")
        assert "width=" not in facts["url"]
        json.dumps(facts)


def test_a_version_whose_only_file_is_training_data_has_no_primary_weights() -> None:
    (path,) = (FOLDER / "model").glob("1817671*")
    model = read_model(json.loads(path.read_text("utf-8")))
    best = [best_file(version.files) for version in model.versions]
    assert any(not chosen for chosen in best)
    assert all(is_weights(file) for chosen in best for file in chosen)


def test_every_recorded_prompt_is_kept_whole() -> None:
    (path,) = (FOLDER / "prompts").glob("*.json")
    prompts = json.loads(path.read_text("utf-8"))
    metas = [each for each in (prompts if isinstance(prompts, list) else next(iter(prompts.values()))) if each]
    assert len(metas) >= 500
    for meta in metas:
        raw = {"id": 5, "url": "https://image.civitai.com/a/u/original=true/5.jpeg", "meta": meta.get("meta", meta)}
        image = read_image(raw)
        assert image is not None
        assert image_facts(image, "page", Filters())["raw_prompt"] == raw["meta"].get("prompt")
