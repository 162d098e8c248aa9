"""A model and a version stay in the folder that bears their id, whatever they and their creator are called later."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import Cut, FakeCivitai, FakeModel, HangUp, Status
from tests.helpers import LORA_PAGE, STORAGE, Captured, newest, paired, read_json

TEMPLATES = ("{type}/{creator}/{model_name}", "{creator}/{model_name} [{model_id}]/{version_name} [{version_id}]")
LAYOUTS = ("creator", "sharded", "comfyui", "a1111", *TEMPLATES)
CHANGES = ("a new name", "a new creator", "no creator", "new files' names", "everything")


@pytest.fixture(params=["links", "no links"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the disk have hard links, or none, as exFAT and SMB."""

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)
    return str(request.param)


def change(model: FakeModel, what: str) -> None:
    """Let a model be called otherwise."""
    if what in ("a new name", "everything"):
        model.name, newest(model).name = "Silk Lantern", "final"
    if what in ("a new creator", "everything"):
        model.creator = "silk_maker"
    if what == "no creator":
        model.creator = ""
    if what in ("new files' names", "everything"):
        newest(model).files[0].name = "silk.safetensors"


def things(out: Path) -> dict[str, int]:
    """Return the files and pictures, with what stands beside them, and their inodes."""
    own = ("lists/", "download_state", "report", "failed", "retry", "index.html", ".page/")
    return {name: (out / name).stat().st_ino for name in files_under(out) if not name.startswith(own)}


@pytest.mark.parametrize(("layout", "what", "disk"), paired(LAYOUTS, CHANGES, ("links", "no links")), indirect=["disk"])
def test_nothing_moves_and_nothing_is_copied_when_names_change(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel, layout: str, what: str, disk: str
) -> None:
    run("10001", "--layout", layout)
    before = things(out)
    heavy = {name: inode for name, inode in before.items() if name.endswith((".safetensors", ".png", ".jpg"))}
    change(lora, what)
    for _ in range(2):
        site.forget()
        assert run("10001", "--layout", layout, "--refresh") == 0
        assert not site.seen("storage") + site.seen("image")
        after = things(out)
        assert {name for name in after if "/history/" not in name} == set(before)
        assert {name: after[name] for name in heavy} == heavy
    assert read_json(one_file(out, "model.json"))["name"] == lora.name
    assert run("--verify") == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_new_versions_and_files_go_to_the_old_folder(run: Runner, out: Path, lora: FakeModel, layout: str) -> None:
    run("10001", "--layout", layout)
    folders = {path for path in out.rglob("*") if path.is_dir()}
    change(lora, "everything")
    newest(lora).add_file("more.ckpt", primary=False)
    version = lora.add_version("v3.0")
    version.add_file("third.safetensors")
    version.add_image()
    assert run("10001", "--layout", layout, "--refresh") == 0
    new = {path.name for path in out.rglob("*") if path.is_dir()} - {path.name for path in folders}
    own = {"creator": {"v3.0 [20003]", "history"}, "sharded": {"20003", "history"}}
    of_template = {TEMPLATES[0]: {"silk_maker", "Silk Lantern"}}
    assert new <= own.get(layout, {"v3.0 [20003]", "history", *of_template.get(layout, set())})
    pages = [path.parent.name for path in out.rglob("model.json")]
    assert pages == ["10001" if layout == "sharded" else "Paper Lantern Style [10001]"]
    assert len(list(out.rglob("*.safetensors"))) == 3


@pytest.mark.parametrize("layout", ["creator", "comfyui", TEMPLATES[0]])
def test_a_library_without_lines_of_pages_is_found_on_disk(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel, layout: str
) -> None:
    run("10001", "--layout", layout)
    log = out / "download_state.jsonl"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    old = [{key: each[key] for key in each if key != "layout"} for each in lines if each["type"] in ("model", "image")]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in old), "utf-8")
    before = set(things(out))
    change(lora, "everything")
    for _ in range(3):
        site.forget()
        assert run("10001", "--layout", layout, "--refresh") == 0
        assert {name for name in things(out) if "/history/" not in name} == before
        assert not site.seen("storage")


@pytest.mark.parametrize("only", ["metadata", "models"])
def test_one_look_at_the_disk_finds_folders_that_the_log_does_not_know(
    run: Runner, out: Path, site: FakeCivitai, monkeypatch: pytest.MonkeyPatch, only: str
) -> None:
    models = [site.world.add_model(f"Model {number}", creator="maker") for number in range(6)]
    for model in models:
        model.add_version().add_file(f"{model.id}.safetensors")
    ids = [str(model.id) for model in models]
    run(*ids, "--only", only)
    (out / "download_state.jsonl").unlink()
    for model in models:
        model.name, model.creator = f"Renamed {model.id}", "other"
    pages = {path.parent for path in out.rglob("model.json")}
    looks: list[str] = []
    plain = os.scandir

    def scandir(path: str | Path) -> object:
        looks.append(str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for times in (1, 0):
        looks.clear()
        assert run(*ids, "--only", only, "--refresh", "--no-page") == 0
        assert looks.count(str(out / "users")) == times
    assert {path.parent for path in out.rglob("model.json")} == pages


def test_a_folder_that_was_renamed_by_hand_is_found(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001", "--only", "metadata")
    mine = out / "users" / "me" / "models" / "My best [10001]"
    mine.parent.mkdir(parents=True)
    (out / LORA_PAGE).rename(mine)
    lora.description = "<p>New.</p>"
    assert run("10001", "--only", "metadata", "--refresh") == 0
    assert not (out / LORA_PAGE).exists()
    assert "New." in (mine / "model.txt").read_text("utf-8")


@pytest.mark.parametrize("named", ["first", "second"])
def test_of_two_folders_with_one_id_the_log_names_the_right_one(
    run: Runner, out: Path, lora: FakeModel, named: str
) -> None:
    run("10001")
    first, second = out / LORA_PAGE, out / "users/silk_maker/models/Silk [10001]"
    shutil.copytree(first, second)
    if named == "second":
        log = out / "download_state.jsonl"
        text = log.read_text("utf-8").replace(LORA_PAGE, second.relative_to(out).as_posix())
        log.write_text(text, "utf-8")
    lora.name, lora.creator, lora.description = "Silk", "silk_maker", "<p>New.</p>"
    assert run("10001", "--refresh") == 0
    right, other = (first, second) if named == "first" else (second, first)
    assert "New." in (right / "model.txt").read_text("utf-8")
    assert "New." not in (other / "model.txt").read_text("utf-8")


def test_another_layout_still_puts_the_same_bytes_where_it_wants_them(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel
) -> None:
    places = {
        "creator": "users/lantern_maker/models/Paper Lantern Style [10001]/v2.0 [20002]",
        "{type}/{base_model}": "LORA/SDXL 1.0",
        "{creator}/{type}": "lantern_maker/LORA",
        "comfyui": "models/loras",
        "a1111": "models/Lora",
    }
    for layout in (*places, *reversed(places)):
        site.forget()
        assert run("10001", "--layout", layout) == 0
        assert (out / places[layout] / "paper_xl.safetensors").is_file()
    assert not site.seen("storage")
    assert lora.name


def test_a_dry_run_names_the_folder_that_is_there(run: Runner, out: Path, lora: FakeModel, capsys: Captured) -> None:
    run("10001")
    change(lora, "everything")
    capsys.readouterr()
    assert run("10001", "--refresh", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert shown.count("there already") == 2
    assert not list(out.rglob("history"))


def test_a_creator_who_comes_back_stays_where_the_model_was_put(run: Runner, out: Path, lora: FakeModel) -> None:
    lora.creator = ""
    run("10001")
    lora.creator = "lantern_maker"
    assert run("10001", "--refresh") == 0
    assert [path.parent.parent.parent.name for path in out.rglob("model.json")] == ["unknown"]


def test_a_model_that_failed_in_part_is_found_by_its_files(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel
) -> None:
    newest(lora).early_access = "permanent"
    assert run("10001") == 1
    change(lora, "a new creator")
    assert run("10001", "--refresh") == 1
    assert len(list(out.rglob("model.json"))) == 1


def test_a_config_is_called_like_the_weights_that_kept_their_name(run: Runner, out: Path, mix: FakeModel) -> None:
    newest(mix).files = [file for file in newest(mix).files if file.name == "mix.safetensors"]
    run("10001", "--latest", "--layout", "a1111")
    newest(mix).files[0].name = "renamed.safetensors"
    newest(mix).add_file("other.yaml", type="Config", primary=False)
    assert run("10001", "--latest", "--layout", "a1111", "--refresh") == 0
    assert one_file(out, "*.yaml").name == "mix.yaml"
    assert one_file(out, "*.safetensors").name == "mix.safetensors"


def test_a_version_that_is_a_config_alone_comes_home(run: Runner, out: Path, site: FakeCivitai) -> None:
    site.world.add_model().add_version().add_file("alone.yaml", type="Config")
    assert run("10001", "--layout", "a1111") == 0
    assert one_file(out, "alone.yaml")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_interrupted_file_goes_on_after_a_new_name(run: Runner, out: Path, site: FakeCivitai, layout: str) -> None:
    model = site.world.add_model()
    model.add_version().add_file("big.safetensors", size=3_000_000)
    site.fail(STORAGE, Cut(1_500_000))
    site.fail(STORAGE, HangUp(), times=0)
    site.fail(STORAGE, Status(404))
    assert run("10001", "--layout", layout) == 1
    site.heal()
    model.creator, model.name, model.versions[0].files[0].name = "silk_maker", "Silk", "silk.safetensors"
    assert run("10001", "--layout", layout, "--refresh") == 0
    assert not list(out.rglob("*.part"))
    assert len(list(out.rglob("*.safetensors"))) == 1


def test_a_renamed_creators_models_stay_and_new_pictures_of_the_user_get_a_folder(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel
) -> None:
    assert run(f"{site.url}/user/lantern_maker") == 0
    before = {path for path in out.rglob("*") if path.parent.name == "models"}
    site.world.users["silk_maker"] = site.world.users.pop("lantern_maker")
    lora.creator = "silk_maker"
    for image in newest(lora).images:
        image.username = "silk_maker"
    site.forget()
    assert run(f"{site.url}/user/silk_maker", "--refresh") == 0
    assert {path for path in out.rglob("*") if path.parent.name == "models"} == before
    assert not site.seen("storage") + site.seen("image")
    old = {path.name for path in (out / "users/lantern_maker/images").iterdir()}
    assert old == {path.name for path in (out / "users/silk_maker/images").iterdir()}
