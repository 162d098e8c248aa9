"""Showcase pictures of found files: their texts come at once, their prompts last, and nothing is asked twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeVersion, Status
from tests.helpers import read_json
from tests.library_disk import asked, lines, put

PICTURES = 9


@pytest.fixture
def models(tmp_path: Path, site: FakeCivitai) -> Path:
    """Return a folder with five models, each with nine pictures in its showcase and one in its gallery besides."""
    for number in range(5):
        version = site.world.add_model(f"Moss {number}", creator="gardener").add_version()
        version.add_file(f"moss_{number}.safetensors")
        for place in range(PICTURES):
            version.add_image(meta={"prompt": f"moss {number} {place}", "seed": place})
        site.world.add_image([version.id], meta={"prompt": "of a guest"})
        put(version, tmp_path / "models")
    return tmp_path / "models"


def texts(root: Path) -> dict[str, Path]:
    return {path.name: path for path in root.rglob("*.txt") if path.stem.isdigit()}


def names_of(version: FakeVersion) -> set[str]:
    return {f"{image.id}.txt" for image in version.images}


def test_prompts_come_last_twenty_a_request(run: Runner, site: FakeCivitai, models: Path) -> None:
    assert run(str(models)) == 0
    of_showcases = set().union(*map(names_of, site.world.versions.values()))
    assert texts(models).keys() == of_showcases
    for name, path in texts(models).items():
        assert read_json(path)["raw_prompt"] == (site.world.images[int(name[:-4])].meta or {})["prompt"]
    assert asked(site)["prompts"] == 3  # 45 pictures
    api = [request.path for request in site.requests if "/api/" in request.path]
    assert all("getGenerationData" in path for path in api[-3:])
    assert {line["id"] for line in lines(models, "meta")} == {name[:-4] for name in of_showcases}
    assert {line["status"] for line in lines(models, "meta")} == {"success"}


def test_texts_are_there_before_prompts_are_asked_for(run: Runner, site: FakeCivitai, models: Path) -> None:
    assert run(str(models), "--no-gallery") == 0
    assert len(texts(models)) == 5 * PICTURES
    assert not asked(site)["prompts"]
    assert not lines(models, "meta")
    assert "prompt" not in {key for path in texts(models).values() for key, value in read_json(path).items() if value}
    site.forget()
    assert run(str(models), "--no-gallery") == 0
    assert not site.requests
    assert run(str(models)) == 0
    assert asked(site)["prompts"] == 3
    assert all(read_json(path)["raw_prompt"] for path in texts(models).values())


def test_prompts_that_are_known_are_not_asked_for_again(run: Runner, site: FakeCivitai, models: Path) -> None:
    assert run(str(models)) == 0
    site.forget()
    assert run(str(models)) == 0
    assert not site.requests
    assert run(str(models), "--refresh") == 0
    assert asked(site)["prompts"] == 0


def test_a_refusal_of_prompts_is_asked_again_by_the_next_run(run: Runner, site: FakeCivitai, models: Path) -> None:
    site.fail("site:/api/trpc/image.getGenerationData", Status(500), times=None)
    assert run(str(models)) == 1
    site.heal()
    site.forget()
    assert run(str(models)) == 0
    assert asked(site)["prompts"] == 3
    assert all(read_json(path)["raw_prompt"] for path in texts(models).values())
    site.forget()
    assert run(str(models)) == 0
    assert not site.requests


@pytest.mark.parametrize(("most", "per_model"), [("1", PICTURES), ("5", PICTURES), ("all", PICTURES + 1)])
def test_galleries_come_when_a_number_is_given(
    run: Runner, site: FakeCivitai, models: Path, most: str, per_model: int
) -> None:
    assert run(str(models), "--max-images", most) == 0
    assert len(texts(models)) >= 5 * per_model
    assert asked(site)["/api/v1/images"] >= 5
    site.forget()
    assert run(str(models), "--max-images", most) == 0
    assert not site.requests


@pytest.mark.parametrize(
    ("what", "sidecars", "previews", "pictures", "prompts"),
    [("metadata", 5, 0, 0, 45), ("models", 5, 5, 5, 0), ("images", 0, 0, 45, 45)],
)
def test_only_brings_one_kind(
    run: Runner, site: FakeCivitai, models: Path, what: str, sidecars: int, previews: int, pictures: int, prompts: int
) -> None:
    assert run(str(models), "--only", what) == 0
    assert len(list(models.rglob("*.civitai.info"))) == sidecars
    assert len(list(models.rglob("*.preview.png"))) == previews
    assert len(list(models.rglob("images/*.png"))) == pictures
    assert len(texts(models)) == prompts
    site.forget()
    assert run(str(models), "--only", what) == 0
    assert not site.requests
    assert run(str(models)) == 0
    assert len(list(models.rglob("images/*.png"))) == len(texts(models)) == 45
    assert len(list(models.rglob("*.civitai.info"))) == len(list(models.rglob("*.preview.png"))) == 5
