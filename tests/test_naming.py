"""Which file of which version a file on disk is, and by what that is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from civitai_downloader.core.found import Found
from civitai_downloader.core.hints import Hint
from civitai_downloader.core.naming import likeliest
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai, FakeModel, FakeVersion, Status, World, safetensors_bytes
from tests.helpers import SHA, file_of, model_of, read_json, version_of
from tests.library_disk import BY_HASH, asked, last, lines, put, rows, what
from tests.model_folder_others import Subject, civitai_helper, lora_manager, stability_matrix, write_json
from tests.model_folders import _edited as edited

FOUND = Found("loras/lantern.safetensors", 1536, 0, sha256=SHA)
OTHER = {"sizeKB": 999}
HASHED = {"hashes": {"SHA256": SHA}}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({1: ("x", HASHED), 2: ("LANTERN.safetensors", {})}, 1),  # the hash before the name
        ({1: ("x", {}), 2: ("Lantern.safetensors", OTHER)}, 2),  # the name before the size
        ({1: ("x", OTHER), 2: ("y", {}), 7: ("z", OTHER)}, 2),  # the size before the sidecar
        ({1: ("x", {}), 7: ("y", {}), 3: ("z", {})}, 7),  # the sidecar before the date
        ({1: ("x", {}), 2: ("y", {}), 3: ("z", {})}, 3),  # the earliest
    ],
)
def test_of_several_files_the_likeliest_is_taken(files: dict[int, tuple[str, object]], expected: int) -> None:
    days = {1: "2026-03-01", 2: "2026-02-01", 3: "2026-01-01", 7: "2026-09-01"}
    offered = []
    for number, (name, more) in files.items():
        file = file_of(number, name, **{"sizeKB": 1.5, **dict(more)})  # type: ignore[call-overload]
        version = version_of(number, (file,), publishedAt=f"{days[number]}T00:00:00.000Z")
        offered.append((model_of(version), version, file))
    for order in (offered, offered[::-1]):
        assert likeliest(FOUND, order, [Hint(version=7)])[1].id == expected


def test_a_version_without_a_date_is_the_last_one() -> None:
    dated = version_of(9, (file_of(9),), publishedAt="2026-01-01T00:00:00.000Z")
    undated = version_of(1, (file_of(1),))
    offered = [(model_of(each), each, each.files[0]) for each in (undated, dated)]
    assert likeliest(FOUND, offered, ())[1].id == 9


# --- In a folder ---------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def subject(path: Path, version: FakeVersion) -> Subject:
    return Subject(path, version, version.files[0], path.stat().st_mtime_ns)


def shared(world: World, data: bytes, days: str) -> list[FakeVersion]:
    """Add models that have the same file, published in 2026 in these months."""
    made = []
    for number, month in enumerate(days):
        version = world.add_model(f"Copy {number}").add_version(published=f"2026-0{month}-01T00:00:00.000Z")
        version.add_file(f"copy_{number}.safetensors", data)
        made.append(version)
    return made


def test_of_several_versions_the_name_tells(run: Runner, site: FakeCivitai, models: Path) -> None:
    made = shared(site.world, safetensors_bytes("same"), "123")
    put(made[2], models, "COPY_2.safetensors")
    put(made[2], models / "sub", "renamed.safetensors")
    write_json(
        models / "sub" / "noted.civitai.info",
        civitai_helper(subject(put(made[1], models / "sub", "noted.safetensors"), made[1])),
    )
    assert run(str(models)) == 0
    found = {path: what(row)[:3] for path, row in rows(models).items()}
    ids = {path: ("sha256", made[at].model.id, made[at].id) for path, at in (
        ("COPY_2.safetensors", 2), ("sub/renamed.safetensors", 0), ("sub/noted.safetensors", 1),
    )}  # fmt: skip
    assert found == ids


@pytest.mark.parametrize("write", [lora_manager, civitai_helper])
def test_a_sidecar_with_the_right_hash_names_a_file_before_it_is_hashed(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, write: object
) -> None:
    path = put(lora.versions[0], models)
    ending = {lora_manager: ".metadata.json", civitai_helper: ".civitai.info"}[write]  # type: ignore[index]
    write_json(path.with_suffix(ending), write(subject(path, lora.versions[0])))  # type: ignore[operator]
    assert run(str(models)) == 0
    states = [(line["status"], line["how"], bool(line["sha256"])) for line in lines(models)]
    assert states[0] == ("success", "sidecar", False)
    assert set(states[1:]) == {("success", "sha256", True)}
    assert what(rows(models)[path.name])[0] == "sha256"
    assert sum(count for name, count in asked(site).items() if name.startswith(BY_HASH)) == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_a_sidecar_with_a_wrong_hash_is_found_out(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, is_known: bool
) -> None:
    """The file was replaced by one of the same size, and its time set back."""
    old, new = lora.versions
    size = len(old.files[0].data)
    new.files.clear()
    new.add_file("other.safetensors", safetensors_bytes("other", size - len(safetensors_bytes("other", 0))))
    path = put(new, models) if is_known else put(old, models)
    if not is_known:
        path.write_bytes(safetensors_bytes("mine", size - len(safetensors_bytes("mine", 0))))
    write_json(path.with_suffix(".metadata.json"), lora_manager(subject(path, old)))
    assert len(path.read_bytes()) == size
    assert run(str(models)) == 0
    expected = ("sha256", lora.id, new.id) if is_known else ("unknown", None, None)
    assert what(rows(models)[path.name])[:3] == expected
    assert lines(models)[0]["how"] == "sidecar"


def test_an_edited_header_is_told_by_the_weights(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    path = put(lora.versions[0], models)
    path.write_bytes(edited(path.read_bytes(), 300))
    assert run(str(models)) == 0
    version = lora.versions[0]
    assert what(rows(models)[path.name]) == ("autov3", lora.id, version.id, version.files[0].id)
    line = last(models, path.name)
    assert line["autov3"] == version.files[0].body.hashes["AutoV3"].lower()
    assert line["sha256"] != version.files[0].body.sha256
    for ending in (".metadata.json", ".json"):
        assert read_json(path.with_suffix(ending))["sha256"].lower() == line["sha256"]
    site.forget()
    assert run(str(models)) == 0
    assert not site.requests


@pytest.mark.parametrize("write", [civitai_helper, stability_matrix])
def test_an_archived_model_is_found_by_the_ids_in_a_sidecar(
    run: Runner, site: FakeCivitai, lora: FakeModel, models: Path, write: object
) -> None:
    version = lora.versions[0]
    path = put(version, models)
    ending = {civitai_helper: ".civitai.info", stability_matrix: ".cm-info.json"}[write]  # type: ignore[index]
    write_json(path.with_suffix(ending), write(subject(path, version)))  # type: ignore[operator]
    lora.mode = "Archived"
    assert run(str(models)) == 0
    assert what(rows(models)[path.name])[:3] == ("sidecar", lora.id, version.id)
    assert last(models, path.name)["sha256"] == version.files[0].body.sha256
    site.forget()
    assert run(str(models)) == 0
    assert not site.requests


def test_another_models_sidecar_names_nothing(run: Runner, site: FakeCivitai, lora: FakeModel, models: Path) -> None:
    path = put(lora.versions[0], models)
    path.write_bytes(safetensors_bytes("mine", 9000))
    write_json(path.with_suffix(".civitai.info"), civitai_helper(subject(path, lora.versions[0])))
    assert run(str(models)) == 0
    assert what(rows(models)[path.name]) == ("unknown", None, None, None)
    assert json.loads(path.with_suffix(".civitai.info").read_bytes())["id"] == lora.versions[0].id


def test_after_three_refusals_autov3_is_not_asked_any_more(run: Runner, site: FakeCivitai, models: Path) -> None:
    models.mkdir()
    for number in range(8):
        (models / f"{number}.safetensors").write_bytes(safetensors_bytes(f"mine {number}"))
    for digit in "0123456789ABCDEFabcdef":
        site.fail(f"site:{BY_HASH}{digit}", Status(500), times=None)
    assert run(str(models)) == 1
    assert len(set(asked(site)) - {f"{BY_HASH}ids"}) == 3
    assert "unknown" not in {line["status"] for line in lines(models)}
    site.heal()
    assert run(str(models)) == 0
    assert {row["how"] for row in rows(models).values()} == {"unknown"}
