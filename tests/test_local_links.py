"""Files that were found in a folder, and links: what the one has found, the other doesn't fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import link, read_json
from tests.library_disk import asked, downloads, edit_log, lines, put, rows, touch, what

LAYOUTS = ("creator", "sharded", "comfyui", "a1111", "{type}/{creator}/{version_id}")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def weights(root: Path) -> set[str]:
    """Return the model files below a folder."""
    return {path for path in files_under(root) if path.endswith((".safetensors", ".ckpt"))}


def outcomes(root: Path) -> dict[str, str]:
    """Return how the model files of the last run ended, by path."""
    return {
        each["path"]: each["outcome"] for each in read_json(root / "report.json")["files"] if each["kind"] == "model"
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_link_finds_the_file_by_its_hash_whatever_it_is_called(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, layout: str
) -> None:
    put(lora.versions[0], models / "loras" / "my own", "xl (2).safetensors")
    put(lora.versions[1], models / "old", "paper_sd15.safetensors")
    assert run(str(models)) == 0
    before = weights(models)
    for _ in range(2):
        site.forget()
        assert run(link(site), "-o", str(models), "--layout", layout) == 0
        assert not downloads(site)
        assert weights(models) == before
        assert outcomes(models) == dict.fromkeys(before, "skipped")
        assert {path.parent for path in models.rglob("*.civitai.info")} >= {models / "old", models / "loras" / "my own"}
        assert not list(models.rglob("paper_xl.*"))
    site.forget()
    assert run(str(models)) == 0
    assert not asked(site)
    assert {what(row)[0] for row in rows(models).values()} == {"sha256"}


def test_only_what_is_not_there_is_fetched(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    mine = put(lora.versions[0], models, "xl.safetensors")
    assert run(str(models)) == 0
    assert run(link(site), "-o", str(models)) == 0
    assert len(downloads(site)) == 1
    assert sorted(outcomes(models).values()) == ["done", "skipped"]
    assert outcomes(models)[mine.name] == "skipped"


def test_a_file_that_was_changed_since_does_not_count(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    mine = put(lora.versions[0], models, "xl.safetensors")
    assert run(str(models)) == 0
    touch(mine)
    assert run(f"{link(site)}?modelVersionId={lora.versions[0].id}", "-o", str(models)) == 0
    assert len(downloads(site)) == 1
    assert len(weights(models)) == 2


def test_a_file_that_only_a_sidecar_has_named_does_not_count(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    put(lora.versions[0], models, "xl.safetensors")
    assert run(str(models)) == 0
    edit_log(models, sha256="", how="sidecar", done="")
    assert run(f"{link(site)}?modelVersionId={lora.versions[0].id}", "-o", str(models)) == 0
    assert len(downloads(site)) == 1


def test_of_several_copies_none_is_fetched_or_linked(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    for folder in "abc":
        put(lora.versions[0], models / folder, f"{folder}.safetensors")
    assert run(str(models)) == 0
    (models / "a" / "a.safetensors").unlink()
    for path in ("a", "b"):
        assert run(f"{link(site)}?modelVersionId={lora.versions[0].id}", "-o", str(models)) == 0, path
    assert not downloads(site)
    assert weights(models) == {"b/b.safetensors", "c/c.safetensors"}


def test_force_fetches_the_file_anew_in_its_place(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    mine = put(lora.versions[0], models, "xl.safetensors")
    assert run(str(models)) == 0
    assert run(f"{link(site)}?modelVersionId={lora.versions[0].id}", "-o", str(models), "--force") == 0
    assert len(downloads(site)) == 1
    assert mine.read_bytes() == lora.versions[0].files[0].data
    assert weights(models) == {mine.name}
    site.forget()
    assert run(str(models)) == 0
    assert what(rows(models)[mine.name]) == ("sha256", lora.id, lora.versions[0].id, lora.versions[0].files[0].id)
    assert not asked(site)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_that_was_filled_by_links_is_known(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, layout: str
) -> None:
    assert run(link(site), "--layout", layout) == 0
    before = files_under(out, "*.json") | files_under(out, "*.info")
    site.forget()
    assert run(str(out)) == 0
    assert not site.requests
    found = rows(out)
    assert found.keys() == weights(out)
    for version in lora.versions:
        (row,) = (row for path, row in found.items() if path.endswith(version.files[0].name))
        assert what(row) == ("sha256", lora.id, version.id, version.files[0].id)
        assert row["name"] == f"Paper Lantern Style [{lora.id}] {version.name}"
        assert row["sha256"] == version.files[0].body.sha256
    assert "hashed" not in {line["status"] for line in lines(out)}
    after = files_under(out, "*.json") | files_under(out, "*.info")
    assert {path for path, data in after.items() if before.get(path) != data} == {"report.json"}


def test_what_was_fetched_without_its_pictures_is_completed(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site), "--only", "models") == 0
    assert run(str(out), "--refresh") == 0
    assert len(list(out.rglob("*.civitai.info"))) == 2
    assert len(list(out.rglob("*.preview.png"))) == 1


@pytest.mark.parametrize("place", ["loras/linked.safetensors", "linked.safetensors"])
def test_a_file_behind_a_link_of_the_users_is_there_already(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, tmp_path: Path, place: str
) -> None:
    real = put(lora.versions[0], tmp_path / "elsewhere", "xl.safetensors")
    (models / "loras").mkdir(parents=True)
    (models / place).symlink_to(real)
    assert run(str(models)) == 0
    assert what(rows(models)[place])[0] == "sha256"
    assert sorted(path.name for path in real.parent.iterdir()) == [real.name]
    site.forget()
    assert run(f"{link(site)}?modelVersionId={lora.versions[0].id}", "-o", str(models)) == 0
    assert not downloads(site)


def test_more_options_bring_more_and_fewer_ask_nothing(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path
) -> None:
    put(lora.versions[0], models)
    expected = {
        ("--only", "metadata"): 0, ("--only", "models"): 2, (): 3, ("--max-images", "1"): 4, ("--max-images", "9"): 4,
    }  # fmt: skip
    for options, pictures in expected.items():
        assert run(str(models), *options) == 0
        found = [path for path in models.rglob("*") if path.suffix in (".png", ".jpg", ".jpeg")]
        assert len(found) == pictures, options
        assert site.requests, options
        site.forget()
        assert run(str(models), *options) == 0
        assert not site.requests, options
    for options in (
        (),
        ("--only", "models"),
        ("--only", "images"),
        ("--only", "metadata"),
        ("--sfw",),
        ("--no-gallery",),
    ):
        assert run(str(models), *options) == 0
        assert not site.requests, options
    assert run(str(models), "--refresh") == 0
    assert asked(site)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_folder_and_a_link_in_one_run_fetch_nothing_twice(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, turn: int
) -> None:
    put(lora.versions[0], models, "mine.safetensors")
    put(lora.versions[1], models, "old.safetensors")
    assert run(*[str(models), link(site)][::turn], "-o", str(models)) == 0
    assert not downloads(site)
    assert weights(models) == {"mine.safetensors", "old.safetensors"}


def test_models_that_are_asked_for_again_are_asked_for_together(run: Runner, site: FakeCivitai, models: Path) -> None:
    for number in range(105):
        version = site.world.add_model(f"Moss {number}").add_version()
        version.add_file(f"moss_{number}.safetensors")
        put(version, models)
    assert run(str(models)) == 0
    for options in (("--refresh",), ("--refresh", "--only", "metadata")):
        site.forget()
        assert run(str(models), *options) == 0
        assert sum(asked(site).values()) <= 3


def test_a_folder_below_a_library_belongs_to_it(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    put(lora.versions[0], models / "loras")
    put(lora.versions[1], models / "old" / "sd15")
    assert run(str(models)) == 0
    before = rows(models)
    site.forget()
    for folder in ("loras", "old", "old/sd15"):
        assert run(str(models / folder)) == 0
        assert rows(models) == {path: row for path, row in before.items() if path.startswith(f"{folder}/")}
    assert not site.requests
    assert len(list(models.rglob("download_state.jsonl"))) == 1
    (models / "old" / "sd15" / "paper_sd15.safetensors").rename(models / "loras" / "sd15.safetensors")
    assert run(str(models / "loras")) == 0
    assert rows(models)["loras/sd15.safetensors"]["version"] == lora.versions[1].id
    assert (models / "loras" / "sd15.civitai.info").is_file()
    assert not asked(site)
