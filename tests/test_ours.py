"""Names of ours: what the site calls so gets another name, and templates stay clear of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from civitai_downloader.core.ours import harmless_file, harmless_folder, is_earlier_place
from civitai_downloader.core.settings import FIELDS, Settings
from civitai_downloader.util.errors import UsageError
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err, add_model, read_json


@pytest.mark.parametrize(
    "name",
    [
        *("lists", ".cache", ".page", ".civitai", "images", "posts", "users", "collections", "corrupted", "history"),
        *("download_state.jsonl", "download_state.lock", "download_state.3-of-8.jsonl", "report.json", "retry.bat"),
        *("report.3-of-8.json", "failed.txt", "failed.3-of-8.txt", "retry.sh", "index.html", "exclude.txt"),
        *("updates.txt", "user-data.js", "user-data.1.js", "model.json", "model.txt", "description.html", "post.json"),
        *("collection.json", "post-1.json", "post-1.safetensors", "40001.txt", "filters", "token.txt", "models.txt"),
        *(
            "LISTS",
            "Report.JSON",
            "ｌｉｓｔｓ",
            "li\u200csts",
            "lis\u00adts",
            "li\u017fts",
            "Images",
            ".git",
            ".ssh",
            "DOWNLO~1.JSO",
        ),
        *("__init__.py", "__main__.pyc", "desktop.ini"),
    ],
)
def test_a_name_that_some_disk_takes_for_one_of_ours_gets_another(name: str) -> None:
    assert harmless_file(name) != name
    assert harmless_folder(name) != name
    assert harmless_file(harmless_file(name)) == harmless_file(name)
    assert harmless_folder(harmless_folder(name)) == harmless_folder(name)


@pytest.mark.parametrize("name", ["x.part", "x.part.json", "x.PART.JSON", "x.json.1a2b3c4d.tmp"])
def test_a_file_of_the_site_is_never_taken_for_a_left_over(name: str) -> None:
    kept = harmless_file(name)
    assert kept.endswith("_" + name[2:].removeprefix("json.")) or kept.startswith("x_")
    assert harmless_file(kept) == kept


@pytest.mark.parametrize(
    "name",
    ["paper.safetensors", "lists of things", "post.safetensors", "40001.png", "x.tmp.zip", "image", "..x", "_", "부분"],
)
def test_any_other_name_stays(name: str) -> None:
    assert harmless_file(name) == harmless_folder(name) == name


def test_what_earlier_versions_did_with_our_names_is_known() -> None:
    assert is_earlier_place("lists/x.safetensors", "_lists/x.safetensors")
    assert is_earlier_place("x.safetensors", "_/x.safetensors")
    assert is_earlier_place("a/x.part.json", "a/x_part.json")
    assert not is_earlier_place("a/x.safetensors", "a/x.safetensors")
    assert not is_earlier_place("b/x.safetensors", "a/x.safetensors")


# --- Templates -----------------------------------------------------------------------------------

WRONG = (
    *("{creator:>3000000000}", "{creator:}", "{creator!z}", "{creator!r}", "{creator.__class__}", "{creator[0]}", "{}"),
    *(
        "{0}",
        "{{x}}",
        "{{creator}}",
        "{creator",
        "creator}",
        "{ creator }",
        "{Creator}",
        "{creator}}",
        "{creator:{type}}",
    ),
)


@pytest.mark.parametrize("layout", WRONG)
def test_a_field_is_a_name_and_nothing_else(layout: str) -> None:
    with pytest.raises(UsageError) as found:
        Settings(layout=layout)
    assert all(field in str(found.value) for field in FIELDS)
    assert len(str(found.value)) < 260


@pytest.mark.parametrize(
    "layout",
    [
        *("/{creator}", "\\{creator}", "C:\\{creator}", "c:{creator}", "~/{creator}", "../{creator}", "{creator}/../x"),
        *("{creator}\\..", "a/ .. /{creator}", "{creator}\0", "{creator}/\n", "//host/share/{creator}"),
    ],
)
def test_a_template_does_not_lead_out_of_the_output_folder(layout: str) -> None:
    with pytest.raises(UsageError, match="leads out of the output folder"):
        Settings(layout=layout)


@pytest.mark.parametrize(
    "layout", ["lists/{creator}", "{creator}/IMAGES", ".cache/{type}", "post-1/{tag}", "{tag}/model.json"]
)
def test_a_template_does_not_name_our_folders(layout: str) -> None:
    with pytest.raises(UsageError, match="which the program needs for itself"):
        Settings(layout=layout)


@pytest.mark.parametrize(
    "layout", ["users/{creator}", "./{creator}", "{creator}/", "a//{creator}", "{creator}s/{tag}", ".hidden/{tag}"]
)
def test_a_template_of_plain_folders_is_taken(layout: str) -> None:
    assert Settings(layout=layout).layout == layout


def test_a_template_with_a_format_ends_in_one_sentence_before_any_request(
    run: Runner, site: FakeCivitai, err: Err
) -> None:
    for layout in WRONG:
        assert run("10001", "--layout", layout) == 2
        said = err()
        assert "{creator}, {type}, {base_model}" in said
        assert "Traceback" not in said
    assert not site.requests


# --- By the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["lists", "Lists", ".cache", "filters", "__init__.py", "download_state.jsonl", "images", ".git"]
)
def test_a_model_called_like_one_of_our_folders_gets_another(
    run: Runner, site: FakeCivitai, out: Path, name: str
) -> None:
    add_model(site.world, name).add_file("answers-2026-11-25.jsonl", b"planted")
    assert run("10001", "--layout", "{model_name}", "--no-verify") == 0
    planted = one_file(out, "answers-2026-11-25.jsonl")
    assert planted.parent == out / f"_{name}"


def test_a_creator_who_is_an_underscore_has_a_folder(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = site.world.add_model("x", creator="_").add_version()
    version.add_file("failed.txt", b"https://civitai.com/models/666\n")
    version.add_file("fine.safetensors")
    run("10001", "--layout", "{creator}", "--no-verify")
    assert (out / "_" / "fine.safetensors").is_file()
    assert (out / "_" / "_failed.txt").is_file()
    assert not (out / "fine.safetensors").exists()
    assert not (out / "failed.txt").exists()


@pytest.mark.parametrize("layout", ["creator", "sharded", "comfyui", "a1111", "{type}"])
def test_files_called_like_ours_come_home_under_a_harmless_name(
    run: Runner, site: FakeCivitai, out: Path, layout: str
) -> None:
    model = site.world.add_model("x", creator="maker")
    version = model.add_version()
    names = ["images", "x.part.json", "post-1.json", "retry.sh", "report.json", "model.json", "40001.txt", "x"]
    for name in names:
        version.add_file(name, f"bytes of {name}".encode() * 100)
    image = version.add_image(meta={"prompt": "a lantern"})
    assert run("10001", "--layout", layout, "--no-verify") == 0
    found = {
        Path(each["path"]).name: each for each in read_json(out / "report.json")["files"] if each["kind"] == "model"
    }
    assert set(found) == {
        *("_images", "x_part.json", "_post-1.json", "_retry.sh", "_report.json", "_model.json", "_40001.txt", "x")
    }
    for name, each in found.items():
        assert (out / each["path"]).read_bytes().startswith(b"bytes of"), name
    assert one_file(out, f"{image.id}.png").parent.name == "images"
    assert run("10001", "--layout", layout, "--no-verify") == 0
    assert read_json(out / "report.json")["counts"].get("done", 0) == 0


def test_what_an_earlier_version_put_under_a_name_of_ours_stays_there(
    run: Runner, site: FakeCivitai, out: Path, state: State
) -> None:
    file = add_model(site.world, "lists").files[0]
    (out / "lists").mkdir(parents=True)
    (out / "lists" / file.name).write_bytes(file.data)
    line: dict[str, object] = {
        "at": "2026-01-01T00:00:00Z",
        "type": "model",
        "id": f"20001/{file.id}",
        "status": "success",
    }
    line |= {"path": f"lists/{file.name}", "size": len(file.data), "sha256": hashlib.sha256(file.data).hexdigest()}
    (out / "download_state.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    assert run("10001", "--layout", "{model_name}") == 0
    assert not site.seen("storage")
    assert not (out / "_lists" / file.name).exists()
    assert state()["model", f"20001/{file.id}"]["path"] == f"lists/{file.name}"


def test_no_fetched_file_steers_the_word_lists(run: Runner, site: FakeCivitai, out: Path) -> None:
    planted = b'{"id":123,"raw_prompt":"nude","prompt":"nude"}'
    site.world.add_model("x").add_version().add_file("123.txt", planted)
    assert run("10001", "--no-verify") == 0
    assert run("--refilter") == 0
    assert planted in files_under(out).values()
