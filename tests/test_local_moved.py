"""A file that somebody has moved or renamed keeps what is known of it, and what stands beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import Err
from tests.library_disk import BY_HASH, SIDECARS, asked, last, lines, put, rows, touch, what
from tests.test_local import opening


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def everything(stem: str) -> set[str]:
    return {f"{stem}{ending}" for ending in (".safetensors", ".preview.png", *SIDECARS)}


@pytest.mark.parametrize("place", ["sorted/style/lantern.safetensors", "loras/renamed.v2.safetensors", "x.safetensors"])
def test_a_moved_file_keeps_its_name_and_its_sidecars_go_along(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, err: Err, place: str
) -> None:
    path = put(lora.versions[0], models / "loras")
    assert run(str(models)) == 0
    before = rows(models)[f"loras/{path.name}"]
    (models / place).parent.mkdir(parents=True, exist_ok=True)
    path.rename(models / place)
    site.forget()
    err()
    opened: list[str] = []
    with opening(opened):
        assert run(str(models)) == 0
    assert str(models / place) not in opened
    assert err().count("was moved to") == 1
    assert not site.requests
    assert rows(models) == {place: {**before, "path": place}}
    assert last(models, f"loras/{path.name}")["status"] == "moved"
    assert last(models, place)["status"] == "success"
    assert everything((models / place).stem) <= names((models / place).parent)
    assert "paper_xl" not in " ".join(names(models / "loras"))
    assert run(str(models)) == 0
    assert "was moved to" not in err()


def test_sidecars_that_have_gone_along_already_stay_as_they_are(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    put(lora.versions[0], models / "loras")
    assert run(str(models)) == 0
    (models / "loras").rename(models / "sorted")
    assert run(str(models)) == 0
    assert names(models / "sorted") == everything("paper_xl")
    assert not (models / "loras").exists()
    assert lines(models, "sidecar")[-1]["id"].startswith("sorted/")


def test_files_with_one_time_and_size_are_hashed_again(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    for name, seed in (("a", "first"), ("b", "other")):
        models.mkdir(exist_ok=True)
        (models / f"{name}.safetensors").write_bytes(safetensors_bytes(seed))
        os.utime(models / f"{name}.safetensors", ns=(10**18, 10**18))
    assert run(str(models)) == 0
    before = {row["sha256"] for row in rows(models).values()}
    (models / "c").mkdir()
    for name in "ab":
        (models / f"{name}.safetensors").rename(models / "c" / f"{name}{name}.safetensors")
    count = len(lines(models))
    assert run(str(models)) == 0
    assert {row["sha256"] for row in rows(models).values()} == before
    assert {line["id"] for line in lines(models)[count:] if line["status"] == "hashed"} == rows(models).keys()
    assert "moved" not in {line["status"] for line in lines(models)}


def test_a_copy_is_no_move(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    path = put(lora.versions[0], models)
    assert run(str(models)) == 0
    (models / "copy").mkdir()
    shutil.copy2(path, models / "copy" / "copy.safetensors")
    assert run(str(models)) == 0
    assert {row["how"] for row in rows(models).values()} == {"sha256"}
    assert last(models, path.name)["status"] == "success"
    assert names(models / "copy") == everything("copy")
    assert names(models) > everything("paper_xl")


def test_a_file_that_was_moved_and_changed_is_hashed_again(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    path = put(lora.versions[0], models)
    assert run(str(models)) == 0
    path.rename(models / "new.safetensors")
    touch(models / "new.safetensors")
    assert run(str(models)) == 0
    assert what(rows(models)["new.safetensors"])[:2] == ("sha256", lora.id)
    assert "new.safetensors" in [line["id"] for line in lines(models) if line["status"] == "hashed"]


def test_a_match_by_hand_moves_along(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    models.mkdir()
    (models / "mine.safetensors").write_bytes(safetensors_bytes("mine"))
    (models / "list.txt").write_text(f"mine.safetensors = {site.url}/models/{lora.id}", "utf-8")
    assert run(str(models / "list.txt")) == 0
    (models / "loras").mkdir()
    (models / "mine.safetensors").rename(models / "loras" / "mine 2.safetensors")
    site.forget()
    assert run(str(models)) == 0
    assert what(rows(models)["loras/mine 2.safetensors"])[:2] == ("hand", lora.id)
    assert not site.requests


def test_a_file_that_was_moved_back_is_known(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    path = put(lora.versions[0], models)
    assert run(str(models)) == 0
    site.forget()
    for place in (models / "there.safetensors", path, models / "there.safetensors"):
        next(models.glob("*.safetensors")).rename(place)
        assert run(str(models)) == 0
        assert rows(models).keys() == {place.name}
        assert not site.requests
    assert everything("there") <= names(models)
    assert not names(models) & everything("paper_xl")


def test_two_that_change_places_are_told_apart(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    first, second = put(lora.versions[0], models), put(lora.versions[1], models)
    touch(first)
    assert run(str(models)) == 0
    first.rename(models / "spare")
    second.rename(first)
    (models / "spare").rename(second)
    assert run(str(models)) == 0
    assert what(rows(models)[first.name])[2] == lora.versions[1].id
    assert what(rows(models)[second.name])[2] == lora.versions[0].id


def test_a_moved_file_that_came_by_a_link_is_known(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(f"{site.url}/models/{lora.id}") == 0
    assert run(str(out)) == 0
    path = next(out.rglob("paper_xl.safetensors"))
    (out / "loras").mkdir()
    path.rename(out / "loras" / "xl.safetensors")
    site.forget()
    assert run(str(out)) == 0
    assert what(rows(out)["loras/xl.safetensors"])[:2] == ("sha256", lora.id)
    assert not asked(site)
    assert names(out / "loras") >= everything("xl")
    assert run(f"{site.url}/models/{lora.id}") == 0
    assert not [request for request in site.requests if "/api/download/" in request.path]
    assert BY_HASH not in " ".join(asked(site))
