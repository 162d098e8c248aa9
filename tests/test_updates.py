"""--updates: what is newer on the site than on disk is told, listed, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import LORA_PAGE, MANY, Captured, names_on_disk, read_json
from tests.updates_library import add_models, newer, put


def api(site: FakeCivitai) -> list[str]:
    return [seen.path for seen in site.requests if "/api/" in seen.path and "download" not in seen.path]


def rows(capsys: Captured) -> list[list[str]]:
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def listed(root: Path) -> set[int]:
    """Return the ids of the versions in `updates.txt`."""
    path = root / "updates.txt"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {int(line.partition("modelVersionId=")[2].split()[0]) for line in lines if line.startswith("http")}


@pytest.fixture
def had(run: Runner, site: FakeCivitai, capsys: Captured) -> FakeModel:
    """Download a model of one version, which then gets a newer one."""
    model = site.world.add_model()
    version = model.add_version("v1")
    version.add_file("old.safetensors")
    version.add_image()
    assert run(f"{site.url}/models/{model.id}", "--max-images", "0") == 0
    capsys.readouterr()
    site.forget()
    return model


@pytest.mark.parametrize(
    ("way", "count"), [("its log", 200), ("a folder", 200), ("a folder that no run has seen", 1000)]
)
def test_many_models_cost_few_requests(
    way: str, count: int, run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    root = tmp_path / "models"
    models = add_models(site.world, count)
    put(root, models, logged=way != "a folder that no run has seen")
    fresh = {newer(model).id for model in models[::50]}
    words = ("-o", str(root)) if way == "its log" else (str(root),)
    assert run(*words, "--updates") == 0
    assert len(api(site)) <= 2 + count // 100, api(site)
    assert listed(root) == fresh
    assert [row[0] for row in rows(capsys)] == [str(model.id) for model in models[::50]]
    assert not list(root.rglob("*v2*"))


def test_the_list_brings_exactly_what_is_newer(run: Runner, site: FakeCivitai, out: Path, had: FakeModel) -> None:
    newer(had, "v2")
    newer(had, "v3")
    newer(had, "pony", "Pony")
    assert run("--updates") == 0
    assert run(str(out / "updates.txt"), "--only", "models") == 0
    assert names_on_disk(out) == {"old", "Paper_Lantern_Style_v2", "Paper_Lantern_Style_v3"}
    assert run("--updates") == 0
    assert not (out / "updates.txt").exists()


def test_a_row_says_what_is_there_and_what_is_newer(
    run: Runner, site: FakeCivitai, had: FakeModel, capsys: Captured
) -> None:
    newer(had, "v2", published="2026-02-03T00:00:00.000Z")
    for number in range(3):
        newer(had, f"pony {number}", "Pony", published="2026-02-04T00:00:00.000Z")
    assert run("--updates") == 0
    ((model, standing, have, fresh, more, name),) = rows(capsys)
    assert (model, standing, name) == (str(had.id), "newer", had.name)
    assert (have, fresh) == ("v1 (SDXL 1.0, 2026-01-14)", "v2 (SDXL 1.0, 2026-02-03)")
    assert more == "3 more for other base models"


def test_rows_for_programs_are_the_same_in_every_language(
    run: Runner, site: FakeCivitai, had: FakeModel, capsys: Captured
) -> None:
    version = newer(had)
    told = []
    for language in ("en", "ko"):
        assert run("--updates", "--json-logs", "--lang", language) == 0
        told.append(capsys.readouterr().out)
    (row,) = map(json.loads, told[0].splitlines())
    assert told[0] == told[1]
    assert (row["model"], row["status"], row["others"]) == (had.id, "newer", 0)
    assert [each["version"] for each in row["have"]] == [had.versions[-1].id]
    (fresh,) = row["newer"]
    assert (fresh["version"], fresh["base_model"]) == (version.id, "SDXL 1.0")
    assert fresh["link"] == f"{site.url}/models/{had.id}?modelVersionId={version.id}"


@pytest.mark.parametrize(
    ("words", "bases"), [((), {"SDXL 1.0"}), (("all",), {"SDXL 1.0", "Pony", "SD 1.5"}), (("pony",), {"Pony"})]
)
def test_base_models_can_be_chosen(
    words: tuple[str, ...], bases: set[str], run: Runner, site: FakeCivitai, out: Path, had: FakeModel
) -> None:
    versions = {base: newer(had, base, base).id for base in ("SDXL 1.0", "Pony", "SD 1.5")}
    assert run("--updates", *(each for word in words for each in ("--base-models", word))) == 0
    assert listed(out) == {versions[base] for base in bases}
    told = {each["name"] for each in read_json(out / LORA_PAGE / "model.json")["modelVersions"]}
    assert told == {"v1", "SDXL 1.0", "Pony", "SD 1.5"}


def test_a_model_with_nothing_but_other_base_models_has_a_row_and_no_line(
    run: Runner, out: Path, had: FakeModel, capsys: Captured
) -> None:
    newer(had, "pony", "Pony")
    assert run("--updates") == 0
    assert [row[1:5:3] for row in rows(capsys)] == [["other base models", "1 more for other base models"]]
    assert not (out / "updates.txt").exists()


def test_each_base_model_has_its_own_newest(run: Runner, site: FakeCivitai, tmp_path: Path) -> None:
    (model,) = models = add_models(site.world, 1)
    put(tmp_path / "m", models)
    middle = newer(model, "v2", published="2026-02-01T00:00:00Z")
    pony = newer(model, "pony", "Pony", published="2026-03-01T00:00:00Z")
    link = f"{site.url}/models/{model.id}?modelVersionId={pony.id}"
    assert run(link, "-o", str(tmp_path / "m"), "--only", "models") == 0
    older = newer(model, "older pony", "Pony", published="2026-02-15T00:00:00Z")
    assert run("--updates", "-o", str(tmp_path / "m")) == 0
    assert listed(tmp_path / "m") == {middle.id}
    assert older.id not in listed(tmp_path / "m")


def test_what_is_older_than_the_version_on_disk_is_no_update(run: Runner, site: FakeCivitai, out: Path) -> None:
    model = site.world.add_model()
    model.add_version("v1").add_file("one.safetensors")
    last = model.add_version("v2")
    last.add_file("two.safetensors")
    assert run(f"{site.url}/models/{model.id}", "--latest", "--only", "models") == 0
    assert run("--updates") == 0
    assert not listed(out)


def test_early_access_and_what_is_sold_have_rows_of_their_own(
    run: Runner, out: Path, had: FakeModel, capsys: Captured
) -> None:
    newer(had, "soon", early_access="2099-01-02T00:00:00.000Z")
    newer(had, "never", early_access="permanent")
    free = newer(had, "free")
    assert run("--updates") == 0
    told = {row[3].split(" (")[0]: row[1] for row in rows(capsys)}
    assert told == {
        "free": "newer", "soon": "early access until 2099-01-02", "never": "early access, to be bought",
    }  # fmt: skip
    assert listed(out) == {free.id}


def test_a_version_that_lies_there_under_another_id_is_owned(
    run: Runner, site: FakeCivitai, out: Path, had: FakeModel
) -> None:
    other = site.world.add_model("Elsewhere").add_version("v1")
    other.add_file("elsewhere.safetensors")
    assert run(f"{site.url}/models/{other.model.id}", "--only", "models") == 0
    again = had.add_version("v2")
    again.add_file("again.safetensors", other.files[0].data)
    assert run("--updates") == 0
    assert not listed(out)


@pytest.mark.parametrize("what", ["model", "version", "creator"])
def test_what_is_excluded_is_never_told(
    what: str, run: Runner, site: FakeCivitai, out: Path, had: FakeModel, capsys: Captured
) -> None:
    version = newer(had)
    lines = {
        "model": f"{site.url}/models/{had.id}",
        "version": f"{site.url}/models/{had.id}?modelVersionId={version.id}",
        "creator": f"{site.url}/user/{had.creator}",
    }
    (out / "exclude.txt").write_text(lines[what], "utf-8")
    assert run("--updates") == 0
    assert not rows(capsys)
    assert not listed(out)


@pytest.mark.parametrize(("mode", "standing"), [("Archived", "archived"), ("TakenDown", "taken down")])
def test_what_the_site_no_longer_gives_is_told(
    mode: str, standing: str, run: Runner, out: Path, had: FakeModel, capsys: Captured
) -> None:
    newer(had)
    had.mode = mode
    assert run("--updates") == 0
    assert [row[1] for row in rows(capsys)] == [standing]
    assert not listed(out)


def test_a_model_that_is_gone_is_marked_in_its_folder_and_nothing_is_deleted(
    run: Runner, site: FakeCivitai, out: Path, had: FakeModel, capsys: Captured
) -> None:
    before = files_under(out, "*.safetensors")
    had.status = "Deleted"
    assert run("--updates") == 0
    assert [row[:2] for row in rows(capsys)] == [[str(had.id), "no longer on the site"]]
    page = read_json(out / LORA_PAGE / "model.json")
    assert page["gone_since"]
    assert [each["name"] for each in page["modelVersions"]] == ["v1"]
    assert "gone from the site since" in (out / LORA_PAGE / "model.txt").read_text("utf-8")
    assert "gone from the site since" in (out / LORA_PAGE / "description.html").read_text("utf-8")
    assert files_under(out, "*.safetensors") == before
    site.forget()
    assert run("--updates") == 0
    assert len(api(site)) == 1
    assert read_json(out / LORA_PAGE / "model.json") == page
    had.status = "Published"
    newer(had)
    assert run("--updates") == 0
    assert "gone_since" not in read_json(out / LORA_PAGE / "model.json")
    assert len(listed(out)) == 1


def test_a_version_that_is_gone_is_told_and_marked(run: Runner, out: Path, had: FakeModel, capsys: Captured) -> None:
    fresh = newer(had)
    had.versions[-1].status = "Unpublished"
    assert run("--updates") == 0
    assert sorted(row[1] for row in rows(capsys)) == ["newer", "no longer on the site"]
    page = read_json(out / LORA_PAGE / "model.json")
    assert {each["name"]: "gone_since" in each for each in page["modelVersions"]} == {"v1": True, "v2": False}
    assert listed(out) == {fresh.id}


def test_a_dry_run_writes_nothing(run: Runner, out: Path, had: FakeModel, capsys: Captured) -> None:
    newer(had)
    before = files_under(out)
    for option in ("--updates", "--update"):
        assert run(option, "--dry-run") == 0
        assert [row[1] for row in rows(capsys)] == ["newer"]
    assert files_under(out) == before


def test_answers_of_an_hour_ago_are_not_believed(run: Runner, out: Path, had: FakeModel) -> None:
    assert run("--updates") == 0
    fresh = newer(had)
    assert run("--updates") == 0
    assert listed(out) == {fresh.id}


def test_a_list_of_the_users_stays(run: Runner, out: Path, had: FakeModel, capsys: Captured) -> None:
    newer(had)
    (out / "updates.txt").write_text("my own notes\n", "utf-8")
    assert run("--updates") == 1
    told: Any = capsys.readouterr()
    assert "updates.txt wasn't written by this program" in told.err
    assert "newer" in told.out
    assert (out / "updates.txt").read_text("utf-8") == "my own notes\n"


def test_links_and_folders_without_models_are_refused(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    assert run("--updates", f"{site.url}/models/1") == 2
    assert "not links" in capsys.readouterr().err
    assert run("--updates") == 2
    assert "nothing to compare" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run("--updates", str(tmp_path / "empty")) == 2
    assert not site.requests


def test_what_is_only_for_the_generator_is_not_listed(run: Runner, out: Path, had: FakeModel, capsys: Captured) -> None:
    newer(had, "v2", usage_control="InternalGeneration")
    assert run("--updates") == 0
    assert [row[1] for row in rows(capsys)] == ["generator only"]
    free = newer(had, "v3")
    assert run("--updates") == 0
    assert sorted(row[1] for row in rows(capsys)) == ["generator only", "newer"]
    assert listed(out) == {free.id}


def test_a_gone_version_that_only_the_log_knows_is_told_by_its_name(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    (model,) = add_models(site.world, 1)
    put(tmp_path / "models", [model])
    fresh = newer(model)
    model.versions.remove(model.versions[-1])
    assert run(str(tmp_path / "models"), "--updates") == 0
    gone, row = rows(capsys)
    assert (gone[2:4], row[2]) == (["v1", "v1"], "v1")
    assert listed(tmp_path / "models") == {fresh.id}


def test_models_that_are_gone_are_asked_for_together(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    models = add_models(site.world, 1000)
    put(tmp_path, models)
    for number, model in enumerate(models[:40:2]):
        model.status = "Unpublished"
        if number % 2:
            del site.world.models[model.id]
    models[1].minor = True  # not in the list that shows everything, but there
    fresh = newer(models[1])
    assert run("--updates", "-o", str(tmp_path)) == 0
    assert len(api(site)) <= 14, api(site)
    told = rows(capsys)
    assert {row[0] for row in told if row[1] == "no longer on the site"} == {str(each.id) for each in models[:40:2]}
    assert listed(tmp_path) == {fresh.id}


def test_an_interface_that_calls_everything_unknown_is_not_believed(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    models = add_models(site.world, 5)
    put(tmp_path, models)
    for model in models[:3]:
        model.minor = True
    error = '{"error":{"json":{"message":"No procedure","code":-32004,"data":{"httpStatus":404}}}}'
    site.fail(r"site:/api/trpc/model\.getById", fake.Status(404, f"[{','.join([error] * 4)}]"), MANY)
    assert run("--updates", "-o", str(tmp_path)) == 0
    assert not rows(capsys)


@pytest.mark.parametrize(("language", "word"), [("ja", "更新あり"), ("ko", "새 버전")])
def test_rows_speak_the_users_language_and_a_quiet_run_prints_them_too(
    language: str, word: str, run: Runner, had: FakeModel, capsys: Captured
) -> None:
    newer(had)
    assert run("--updates", "-q", "--lang", language) == 0
    told = capsys.readouterr()
    assert told.out.split("\t")[1] == word
    assert not told.err


def test_a_table_is_printed_on_a_terminal(
    run: Runner, had: FakeModel, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer(had)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run("--updates") == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["Model", "Status", "On", "disk", "Newer", "More", "Name"]
    assert row.index("newer") == heading.index("Status")
