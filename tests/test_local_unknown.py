"""Files that the site does not know: what is written beside them, when they are asked for again, what is wasted."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel, Status, safetensors_bytes
from tests.helpers import Err, add_model, read_json
from tests.library_disk import BY_HASH, asked, edit_log, last, lines, put, rows, what
from tests.model_folder_others import safetensors

HEADER = {
    "modelspec.title": "Night rain", "modelspec.author": "me", "ss_base_model_version": "sdxl_base_v1-0",
    "modelspec.trigger_phrase": "night rain",
}  # fmt: skip
MINE = safetensors(HEADER, b"weights " * 99)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def mine(models: Path) -> Path:
    """Put a file into the folder that the site does not know."""
    path = models / "mine.safetensors"
    path.write_bytes(MINE)
    return path


def test_what_its_header_tells_is_beside_an_unknown_file(run: Runner, models: Path, mine: Path) -> None:
    assert run(str(models)) == 0
    assert what(rows(models)[mine.name]) == ("unknown", None, None, None)
    told = read_json(mine.with_suffix(".metadata.json"))
    assert (told["from_civitai"], told["model_name"], told["base_model"]) == (False, "Night rain", "SDXL 1.0")
    assert told["civitai"] == {"trainedWords": ["night rain"]}
    assert told["sha256"] == last(models, mine.name)["sha256"]
    assert {path.name for path in models.glob("mine.*")} == {mine.name, "mine.metadata.json"}


def test_an_unknown_file_is_asked_for_again_after_seven_days(
    run: Runner, site: FakeCivitai, models: Path, mine: Path
) -> None:
    assert run(str(models)) == 0
    day = last(models, mine.name)["at"]
    for options, is_asked in ((), False), (("--refresh",), True), ((), False):
        site.forget()
        assert run(str(models), *options) == 0
        assert bool(asked(site)) == is_asked
    for days, is_asked in ((6.9, False), (7.1, True), (0, False)):
        edit_log(models, at=_days_before(day, days))
        site.forget()
        assert run(str(models)) == 0
        assert bool(asked(site)) == is_asked, days
    assert [line["status"] for line in lines(models)].count("hashed") == 2  # and weighed


def _days_before(text: str, days: float) -> str:
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ") - timedelta(days=days)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("has_autov3", [True, False])
def test_a_file_that_becomes_known_gets_everything_and_keeps_what_is_the_users(
    run: Runner, site: FakeCivitai, models: Path, mine: Path, has_autov3: bool
) -> None:
    assert run(str(models)) == 0
    place = mine.with_suffix(".metadata.json")
    place.write_text(json.dumps({**read_json(place), "favorite": True, "notes": "mine", "tags": ["rain"]}), "utf-8")
    model = site.world.add_model("Night Rain", creator="me")
    file = model.add_version("v1").add_file("rain.safetensors", MINE)
    if has_autov3:
        file.hashes = {"AutoV3": file.body.hashes["AutoV3"]}
    assert run(str(models), "--refresh") == 0
    assert what(rows(models)[mine.name]) == ("autov3" if has_autov3 else "sha256", model.id, 20001, file.id)
    told = read_json(place)
    assert (told["from_civitai"], told["model_name"], told["civitai"]["id"]) == (True, "Night Rain", 20001)
    assert (told["favorite"], told["notes"], told["tags"]) == (True, "mine", ["rain"])
    assert told["sha256"] == last(models, mine.name)["sha256"]
    assert read_json(mine.with_suffix(".civitai.info"))["modelId"] == model.id


def test_a_file_of_no_weights_is_never_looked_up(run: Runner, site: FakeCivitai, models: Path) -> None:
    (models / "empty.safetensors").write_bytes(safetensors({"modelspec.title": "x"}, b""))
    model = add_model(site.world, "Nothing")
    model.files[0].hashes = {"AutoV3": "E3B0C44298FC"}
    assert run(str(models)) == 0
    assert rows(models)["empty.safetensors"]["how"] == "unknown"
    assert not [path for path in asked(site) if path.upper().endswith("E3B0C44298FC")]


@pytest.mark.parametrize("fault", [Status(500), Status(503), Status(403)])
def test_an_outage_makes_nothing_unknown(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, mine: Path, fault: Status
) -> None:
    path = put(lora.versions[0], models)
    site.fail(f"site:{BY_HASH}", fault, times=None)
    assert run(str(models)) == 1
    assert {line["status"] for line in lines(models)} == {"hashed"}
    assert not list(models.glob("*.metadata.json"))
    site.heal()
    assert run(str(models)) == 0
    assert rows(models)[path.name]["how"] == "sha256"
    assert rows(models)[mine.name]["how"] == "unknown"


def test_a_model_that_has_gone_is_gone(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    path = put(lora.versions[0], models)
    path.with_suffix(".civitai.info").write_text(
        json.dumps({"id": 77, "modelId": 66, "files": [], "model": {"name": "x"}}), "utf-8"
    )
    path.write_bytes(safetensors_bytes("another"))
    assert run(str(models)) == 0
    assert last(models, path.name)["status"] == "gone"
    assert what(rows(models)[path.name])[:3] == ("sidecar", 66, 77)
    site.forget()
    assert run(str(models)) == 0
    assert not asked(site)


# --- Copies --------------------------------------------------------------------------------------


def test_copies_are_named_with_what_they_cost(run: Runner, lora: FakeModel, models: Path, err: Err) -> None:
    size = len(lora.versions[0].files[0].data)
    for folder in "abc":
        put(lora.versions[0], models / folder)
    put(lora.versions[1], models)
    (models / "links").mkdir()
    name = lora.versions[0].files[0].name
    os.link(models / "a" / name, models / "links" / "hard.safetensors")
    (models / "links" / "soft.safetensors").symlink_to(models / "b" / name)
    assert run(str(models)) == 0
    report = read_json(models / "report.json")["local"]
    assert report["wasted"] == 2 * size
    assert len(report["files"]) == 6
    said = err()
    (row,) = [line for line in said.splitlines() if f"a/{name}" in line]
    assert f"b/{name}" in row
    assert f"c/{name}" in row
    assert not {"soft", "hard"} & set(re.findall(r"\w+", said))


@pytest.mark.parametrize(("language", "words"), [("ja", "欠けています"), ("ko", "없습니다")])
def test_what_is_wrong_with_a_file_is_said_in_the_users_language_each_time(
    run: Runner, models: Path, err: Err, language: str, words: str
) -> None:
    (models / "cut.safetensors").write_bytes(safetensors_bytes("cut", 5000)[:-99])
    for _ in range(2):
        assert run(str(models), "--lang", language) == 0
        assert words in err()
    assert last(models, "cut.safetensors")["reason"].startswith("It is cut off: 99 B")


def test_a_file_that_was_taken_away_misses_nothing(run: Runner, lora: FakeModel, models: Path, err: Err) -> None:
    path = put(lora.versions[0], models)
    assert run(str(models)) == 0
    for each in models.glob(f"{path.stem}.*"):
        each.unlink()
    err()
    assert run("--verify", "-o", str(models)) == 0
    assert path.stem not in err()


def test_only_files_with_a_name_are_said_to_be_identified(
    run: Runner, lora: FakeModel, models: Path, mine: Path, err: Err
) -> None:
    put(lora.versions[0], models)
    assert run(str(models), "-v") == 0
    said = err()
    assert f"looked up: paper_xl.safetensors (Paper Lantern Style [{lora.id}] v2.0)" in said
    assert "looked up: mine.safetensors (unknown)" in said
    assert "1 of 2 model files identified, 1 unknown, 0 broken" in said
