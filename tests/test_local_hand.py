"""What somebody says by hand that a file is wins over everything that is found out about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import Err, read_json
from tests.library_disk import BY_HASH, asked, edit_log, last, lines, put, rows, touch, what


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "새 폴더").mkdir(parents=True)
    return folder


@pytest.fixture
def other(site: FakeCivitai) -> FakeModel:
    """Add another model, which nobody's hash leads to."""
    model = site.world.add_model("Moss", creator="gardener")
    model.add_version("one").add_file("moss_one.safetensors")
    newer = model.add_version("two")
    newer.add_file("moss_two.safetensors")
    newer.add_file("moss_two.ckpt", primary=False)
    newer.add_image(meta={"prompt": "moss"})
    return model


def write_list(folder: Path, *found: str) -> str:
    """Write a list and return its path."""
    path = folder / "mine.txt"
    path.write_text("".join(f"{line}\n" for line in found), "utf-8")
    return str(path)


Spell = Callable[[FakeCivitai, FakeModel], str]
LINKS: dict[str, Spell] = {
    "model": lambda site, model: f"{site.url}/models/{model.id}",
    "id": lambda site, model: str(model.id),
    "version": lambda site, model: f"{site.url}/models/{model.id}?modelVersionId={model.versions[0].id}",
    "sha256": lambda site, model: model.versions[0].files[0].body.sha256,
    "hash": lambda site, model: model.versions[0].files[0].body.hashes["AutoV2"],
    "air": lambda site, model: f"urn:air:sdxl:lora:civitai:{model.id}@{model.versions[0].id}",
    "download": lambda site, model: f"{site.url}/api/download/models/{model.versions[0].id}",
    "options": lambda site, model: f"{site.url}/models/{model.id} --only metadata",
}


@pytest.mark.parametrize("kind", LINKS)
def test_a_line_says_what_a_file_is(run: Runner, site: FakeCivitai, other: FakeModel, models: Path, kind: str) -> None:
    path = models / "새 폴더" / "moss_two.safetensors"
    path.write_bytes(safetensors_bytes("mine"))
    words = write_list(models, f"새 폴더/moss_two.safetensors = {LINKS[kind](site, other)}")
    assert run(words) == 0
    ids = ("hand", other.id, other.versions[0].id, other.versions[0].files[0].id)
    assert what(rows(models / "새 폴더")["moss_two.safetensors"]) == ids
    told = read_json(path.with_suffix(".metadata.json"))
    assert (told["civitai"]["id"], told["sha256"]) == (ids[2], last(path.parent, path.name)["sha256"])
    assert path.with_suffix(".preview.png").exists() == (kind != "options")
    site.forget()
    assert run(words) == 0
    assert not site.requests
    assert run(str(path.parent)) == 0
    assert set(asked(site)) <= ({"/api/v1/models/10001", "prompts"} if kind == "options" else set())
    assert what(rows(path.parent)["moss_two.safetensors"]) == ids


@pytest.mark.parametrize(
    "spelled",
    ["새 폴더/a = b (1).safetensors", '"새 폴더/a = b (1).safetensors"', "'새 폴더/a = b (1).safetensors'",
     "./새 폴더/../새 폴더/a = b (1).safetensors", "{whole}", '"{whole}"'],
)  # fmt: skip
def test_a_file_is_named_as_it_is_spelled(
    run: Runner, site: FakeCivitai, other: FakeModel, models: Path, spelled: str
) -> None:
    path = models / "새 폴더" / "a = b (1).safetensors"
    path.write_bytes(safetensors_bytes("mine"))
    text = spelled.format(whole=path)
    assert run(write_list(models, f"{text} = {site.url}/models/{other.id}")) == 0
    assert what(rows(path.parent)[path.name])[:2] == ("hand", other.id)


def test_without_a_version_the_file_is_the_one_that_it_is_most_like(
    run: Runner, site: FakeCivitai, other: FakeModel, models: Path
) -> None:
    (models / "MOSS_one.safetensors").write_bytes(safetensors_bytes("mine"))
    assert run(write_list(models, f"MOSS_one.safetensors = {site.url}/models/{other.id}")) == 0
    assert what(rows(models)["MOSS_one.safetensors"])[2] == other.versions[1].id


def test_a_line_wins_over_the_hash_and_is_kept(
    run: Runner, site: FakeCivitai, lora: FakeModel, other: FakeModel, models: Path
) -> None:
    path = put(lora.versions[0], models)
    assert run(str(models)) == 0
    assert what(rows(models)[path.name])[:2] == ("sha256", lora.id)
    words = write_list(models, f"{path.name} = {site.url}/models/{other.id}?modelVersionId={other.versions[0].id}")
    for options in ([words], [str(models)], [str(models), words], [str(models), "--refresh"]):
        assert run(*options) == 0
        assert what(rows(models)[path.name])[:3] == ("hand", other.id, other.versions[0].id), options
        assert read_json(path.with_suffix(".metadata.json"))["civitai"]["id"] == other.versions[0].id
    path.write_bytes(safetensors_bytes("edited", 5000))
    site.forget()
    assert run(str(models)) == 0
    assert what(rows(models)[path.name])[:3] == ("hand", other.id, other.versions[0].id)
    assert not [each for each in asked(site) if each.startswith(BY_HASH)]


def test_none_says_that_a_file_is_nothing(
    run: Runner, site: FakeCivitai, lora: FakeModel, other: FakeModel, models: Path
) -> None:
    path = put(lora.versions[0], models)
    assert run(write_list(models, f"{path.name} = none")) == 0
    assert what(rows(models)[path.name]) == ("hand", None, None, None)
    assert not site.requests
    changes: list[Callable[[], None]] = [
        lambda: None, lambda: touch(path), lambda: edit_log(models, at="2020-01-01T00:00:00Z"),
    ]  # fmt: skip
    for change in changes:
        change()
        assert run(str(models)) == 0
        assert run(str(models), "--refresh") == 0
        assert what(rows(models)[path.name])[1:] == (None, None, None)
        assert not site.requests
    assert run(write_list(models, f"{path.name} = {site.url}/models/{other.id}")) == 0
    assert what(rows(models)[path.name])[:2] == ("hand", other.id)
    assert run(write_list(models, f"{path.name} = {site.url}/models/{lora.id}")) == 0
    assert what(rows(models)[path.name])[:2] == ("hand", lora.id)


def test_a_line_about_what_the_site_has_no_more_fails_and_changes_nothing(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, err: Err
) -> None:
    path = put(lora.versions[0], models)
    assert run(str(models)) == 0
    assert run(write_list(models, f"{path.name} = {site.url}/models/99999")) == 1
    assert "99999" in (models / "failed.txt").read_text("utf-8")
    assert f"{path.name}" in (models / "failed.txt").read_text("utf-8")
    assert what(rows(models)[path.name])[:2] == ("sha256", lora.id)
    assert last(models, path.name)["status"] == "success"


@pytest.mark.parametrize("line", ["a.safetensors = {site}/user/maker", "a.safetensors = hello", "a.safetensors = "])
def test_a_line_without_a_model_behind_the_sign_is_no_match(
    run: Runner, site: FakeCivitai, models: Path, line: str
) -> None:
    (models / "a.safetensors").write_bytes(safetensors_bytes("mine"))
    assert run(write_list(models, line.format(site=site.url))) == 2
    assert not (models / "download_state.jsonl").exists() or not lines(models)


def test_a_line_about_no_file_is_read_as_any_other(
    run: Runner, site: FakeCivitai, other: FakeModel, models: Path, out: Path
) -> None:
    assert run(write_list(models, f"my note = {site.url}/models/{other.id}")) == 0
    assert len(list(out.rglob("moss_*.safetensors"))) == 2


def test_a_file_that_is_none_must_be_there(run: Runner, models: Path, err: Err) -> None:
    assert run(write_list(models, "새 폴더/gone.safetensors = none")) == 2
    assert "There is no file 새 폴더/gone.safetensors; check its path." in err()


def test_a_list_and_a_folder_in_one_run(
    run: Runner, site: FakeCivitai, lora: FakeModel, other: FakeModel, models: Path
) -> None:
    mine, plain = put(lora.versions[0], models), put(lora.versions[1], models)
    words = write_list(models, f"{mine.name} = {site.url}/models/{other.id}", f"{site.url}/models/{lora.id}")
    assert run(words, str(models), "-o", str(models)) == 0
    assert what(rows(models)[mine.name])[:2] == ("hand", other.id)
    assert what(rows(models)[plain.name])[:2] == ("sha256", lora.id)
    assert not [request for request in site.requests if "/api/download/" in request.path]
