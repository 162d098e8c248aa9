"""--update fetches what is newer: into the output folder by its layout, into a folder beside what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import Action, FakeCivitai, FakeModel
from tests.helpers import DOWNLOAD, LORA_PAGE, MANY, Captured, Err, names_on_disk, read_json
from tests.test_updates import api, had, listed, rows
from tests.updates_library import add_models, newer, put

__all__ = ["had"]  # a fixture


def test_what_is_newer_comes_into_the_output_folder(
    run: Runner, out: Path, had: FakeModel, capsys: Captured, site: FakeCivitai
) -> None:
    version = newer(had)
    newer(had, "pony", "Pony")
    newer(had, "soon", early_access="2099-01-02T00:00:00.000Z")
    assert run("--update") == 0
    assert names_on_disk(out) == {"old", "Paper_Lantern_Style_v2"}
    assert (out / LORA_PAGE / f"v2 [{version.id}]" / "Paper_Lantern_Style_v2.safetensors").is_file()
    assert not (out / "updates.txt").exists()
    assert not rows(capsys)
    site.forget()
    assert run("--update") == 0
    assert len(api(site)) == 1


@pytest.fixture
def folder(site: FakeCivitai, tmp_path: Path) -> Path:
    """Return a folder with two models, each in a folder of its own, which an earlier run has looked through."""
    root = tmp_path / "models"
    models = add_models(site.world, 2)
    put(root, models[:1], "SDXL/mine")
    lines = (root / "download_state.jsonl").read_text("utf-8")
    put(root, models[1:], "other")
    more = (root / "download_state.jsonl").read_text("utf-8").splitlines()[1]
    (root / "download_state.jsonl").write_text(f"{lines}{more}\n", "utf-8")
    return root


def first(site: FakeCivitai) -> FakeModel:
    return next(iter(site.world.models.values()))


def test_in_a_folder_it_comes_beside_the_newest_file_of_its_model(run: Runner, site: FakeCivitai, folder: Path) -> None:
    version = newer(first(site))
    version.add_image()
    assert run(str(folder), "--update") == 0
    (path,) = folder.rglob("*_v2.safetensors")
    assert path.parent == folder / "SDXL" / "mine"
    assert path.read_bytes() == version.files[0].data
    assert path.with_name("Lantern_0_v2.metadata.json").is_file()
    assert path.with_name("Lantern_0_v2.preview.png").is_file()
    assert (folder / ".civitai/users/maker_0/models/Lantern 0 [10001]/model.json").is_file()
    site.forget()
    assert run(str(folder), "--update") == 0
    assert len(api(site)) == 1
    assert not site.seen("storage")


def test_a_file_of_the_same_base_model_counts_more_than_a_newer_one(
    run: Runner, site: FakeCivitai, folder: Path
) -> None:
    model = first(site)
    pony = newer(model, "pony", "Pony", published="2026-05-01T00:00:00Z")
    (folder / "Pony").mkdir()
    (folder / "Pony" / pony.files[0].name).write_bytes(pony.files[0].data)
    newer(model, "v2", published="2026-06-01T00:00:00Z")
    newer(model, "pony2", "Pony", published="2026-06-01T00:00:00Z")
    assert run(str(folder), "--update") == 0
    assert one_file(folder, "*_v2.safetensors").parent.name == "mine"
    assert one_file(folder, "*_pony2.safetensors").parent.name == "Pony"


def test_in_a_folder_a_layout_decides_if_one_is_given(run: Runner, site: FakeCivitai, folder: Path) -> None:
    newer(first(site))
    assert run(str(folder), "--update", "--layout", "{type}/{base_model}") == 0
    assert (folder / "LORA" / "SDXL 1.0" / "Lantern_0_v2.safetensors").is_file()


def test_a_file_with_the_name_of_the_old_one_comes_beside_it(run: Runner, site: FakeCivitai, folder: Path) -> None:
    model = first(site)
    name = model.versions[0].files[0].name
    version = model.add_version("v2")
    version.add_file(name, size=5000)
    before = (folder / "SDXL" / "mine" / name).read_bytes()
    assert run(str(folder), "--update") == 0
    assert (folder / "SDXL" / "mine" / name).read_bytes() == before
    spare = folder / "SDXL" / "mine" / f"{name[:-12]}-{version.files[0].id}.safetensors"
    assert spare.read_bytes() == version.files[0].data


def test_training_data_does_not_come_beside_models(run: Runner, site: FakeCivitai, folder: Path) -> None:
    version = newer(first(site))
    version.add_file("data.zip", type="Training Data", primary=False)
    assert run(str(folder), "--update") == 0
    assert ".civitai" in one_file(folder, "data.zip").parts


def test_updates_alone_completes_nothing(run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    root = tmp_path / "m"
    put(root, add_models(site.world, 3), logged=False)
    assert run(str(root), "--updates") == 0
    assert {path.rpartition(".")[2] for path in files_under(root / "loras")} == {"safetensors"}
    assert not (root / ".civitai").exists()
    assert run(str(root)) == 0
    assert len([*(root / "loras").glob("*.metadata.json")]) == 3


def test_what_failed_to_come_stays_listed_and_can_be_retried(
    run: Runner, site: FakeCivitai, folder: Path, out: Path
) -> None:
    version = newer(first(site))
    site.fail(DOWNLOAD, fake.Status(500), MANY)
    assert run(str(folder), "--update") == 1
    assert listed(folder) == {version.id}
    site.heal()
    assert run("-o", str(folder), "--retry-failed", "--update") == 0
    assert one_file(folder, "*_v2.safetensors").parent.name == "mine"
    assert not (folder / "failed.txt").exists()


# --- Outages --------------------------------------------------------------------------------------

MODELS = "site:/api/v1/models"
BROKEN: dict[str, Action] = {
    "500": fake.Status(500),
    "busy": fake.busy(429, 3600),
    "page": fake.HTML_PAGE,
    "no such page": fake.Status(404, "<!DOCTYPE html><title>404</title>", content_type="text/html"),
    "half": fake.BrokenJson(),
    "object": fake.Status(200, "{}"),
    "null": fake.Status(200, "null"),
    "reset": fake.Reset(0),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_nothing_is_gone_after_an_outage_and_the_list_keeps_what_it_had(
    kind: str, run: Runner, site: FakeCivitai, out: Path, had: FakeModel, capsys: Captured
) -> None:
    version = newer(had)
    assert run("--updates") == 0
    capsys.readouterr()
    site.fail(MODELS, BROKEN[kind], MANY)
    assert run("--updates") == 1
    told = capsys.readouterr()
    assert not told.out
    assert "Traceback" not in told.err
    assert listed(out) == {version.id}
    assert "gone_since" not in read_json(out / LORA_PAGE / "model.json")
    site.heal()
    assert run("--updates") == 0


def test_an_outage_is_not_asked_a_thousand_times(run: Runner, site: FakeCivitai, tmp_path: Path, err: Err) -> None:
    put(tmp_path, add_models(site.world, 1000))
    site.fail(MODELS, fake.Status(500), MANY)
    assert run("--updates", "-o", str(tmp_path)) == 1
    assert len(api(site)) <= 12
    assert "Traceback" not in err()
