"""When the page is made and when it is left alone, and what odd folders and damaged data make of it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, FakeModel, Status
from tests.helpers import Err, read_json
from tests.shown import file_of, page_files, shown_in
from tests.test_gallery import link, put_picture

HOSTILE = "</script><script>alert(1)</script>\u2028\u2029'\"\\ <!-- ]]> {{page}} &amp;"


# --- When ------------------------------------------------------------------------------------------


def test_no_page_leaves_none(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora), "--no-page") == 0
    assert not (out / "index.html").exists()
    assert not (out / ".page").exists()


def test_a_later_option_takes_an_earlier_one_back(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora), "--no-page", "--page") == 0
    assert (out / "index.html").exists()
    assert run(link(site, lora), "--page", "--no-page") == 0


def test_a_dry_run_makes_no_page(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora), "--dry-run", "--page") == 0
    assert not out.exists()


def test_the_retry_scripts_make_the_page_as_the_command_did(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    site.world.models[lora.id].versions[0].needs_token = True
    assert run(link(site, lora), "--no-page") == 1
    script = (out / "retry.sh").read_text("utf-8")
    assert "--no-page" in script
    assert not re.search(r"[^-]--page", script)


def test_verification_and_a_folder_of_another_run_leave_the_page(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site, lora)) == 0
    before = page_files(out)
    assert run("--verify") == 0
    assert page_files(out) == before


# --- Whose index.html it is -------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["<h1>My own page</h1>", "generator civitai-downloader", "x" * 600])
def test_an_index_of_somebody_else_stays_and_the_page_is_left_out(
    words: str, run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, err: Err
) -> None:
    out.mkdir()
    (out / "index.html").write_text(words)
    assert run(link(site, lora)) == 0
    assert (out / "index.html").read_text() == words
    assert not (out / ".page").exists()
    assert "index.html wasn't written by this program, so it stays" in err()
    assert run("--page") == 1
    assert (out / "index.html").read_text() == words


@pytest.mark.skipif(os.name == "nt", reason="a symlink needs a privilege on Windows")
@pytest.mark.parametrize("name", ["index.html", ".page"])
def test_a_link_in_the_place_of_the_page_is_not_followed(
    name: str, run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, tmp_path: Path
) -> None:
    assert run(link(site, lora)) == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / name).rename(tmp_path / "old")
    (out / name).symlink_to(elsewhere)
    assert run("--page") == 2
    assert not [*elsewhere.iterdir()]


# --- Damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gone", "cut", "other"])
@pytest.mark.parametrize("pattern", ["manifest.js", "state.json", "rows.z", "p-*.more.js", "p-??????????.js", "m-*.js"])
def test_damaged_data_is_made_anew(
    how: str, pattern: str, run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site, lora)) == 0
    good = page_files(out)
    path = min((out / ".page" / "data").glob(pattern))
    words = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(words[: len(words) // 2] if how == "cut" else b"x" * len(words))
    site.world.add_image([lora.versions[0].id], id=49001, meta={"prompt": "x"})
    assert run(link(site, lora), "--refresh") == 0
    if how != "other":  # a file of the same size is looked at where it is needed
        assert 49001 in shown_in(out).pictures
    one_file(out, "49001.png").unlink()
    one_file(out, "49001.txt").unlink()
    assert run("--page") == 0
    assert set(page_files(out).items()) >= {item for item in good.items() if "/p-" in item[0]}
    shown_in(out)


def test_data_that_somebody_has_edited_is_made_anew(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora)) == 0
    path = out / ".page" / "data" / "manifest.js"
    text = path.read_text("utf-8")
    found = re.search(r'"created":\{"d":\[(\d+)', text) or re.search(r'"created":\[(\d+)', text)
    assert found
    path.write_text(text.replace(found[1], '"' + found[1][2:] + '"'), "utf-8")
    image = site.world.add_image([lora.versions[0].id], meta={"prompt": "x"})
    assert run(link(site, lora), "--refresh") == 0
    assert image.id in shown_in(out).pictures


def test_files_that_were_there_before_the_program_are_known_by_the_log(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "a" / ".civitai" / "users" / "x" / "models" / "m [1]"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(model_of()))
    assert run("--page", str(tmp_path / "a")) == 0
    (tmp_path / "a" / "loras").mkdir()
    (tmp_path / "a" / "loras" / "mine #1.safetensors").write_bytes(b"weights")
    place = {"id": "loras/mine #1.safetensors", "path": "loras/mine #1.safetensors", "size": 7, "version": 2, "file": 3}
    with (tmp_path / "a" / "download_state.jsonl").open("a") as log:
        log.write(json.dumps({"at": "2026-01-01T00:00:00Z", "type": "local", "status": "success", **place}) + "\n")
    for words in (["--refilter", "-o", str(tmp_path / "a")], ["--page", str(tmp_path / "a")]):
        assert run(*words) == 0
        (file,) = shown_in(tmp_path / "a").models[1]["details"]["versions"][0]["files"]
        assert (file["path"], file["size"]) == ("loras/mine%20%231.safetensors", 7)


def test_a_state_log_that_was_rewritten_is_no_trouble(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site, lora)) == 0
    log = out / "download_state.jsonl"
    log.write_text("".join(sorted(log.open(), reverse=True)))
    image = site.world.add_image([lora.versions[0].id], meta={"prompt": "x"})
    assert run(link(site, lora), "--refresh") == 0
    assert image.id in shown_in(out).pictures


def test_left_overs_of_a_killed_run_are_removed(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora)) == 0
    data = out / ".page" / "data"
    (data / "p-0123456789.js").write_text("old")
    (data / "p-0123456789.js.01234567.tmp").write_text("torn")
    (data / "notes.txt").write_text("mine")
    assert run("--page") == 0
    assert {path.name for path in data.glob("*0123456789*")} == set()
    assert (data / "notes.txt").exists()


# --- Odd folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a#b%20?c" if os.name != "nt" else "a#b%20c",
        "[x] 'y' & z",
        "提灯 日本語",
        "ελληνικά",
        "한글",
        "עברית",
        "dots...x",
        "😀",
    ],
)
def test_a_folder_of_any_name_is_addressed(name: str, run: Runner, tmp_path: Path) -> None:
    put_picture(tmp_path / "a" / name, 5, {"raw_prompt": HOSTILE})
    assert run("--page", str(tmp_path / "a")) == 0
    row = shown_in(tmp_path / "a").pictures[5]
    assert re.fullmatch(r"[\w.~%/-]*", row["folder"], re.ASCII)
    assert file_of(tmp_path / "a", row).is_file()
    assert row["prompt"] == HOSTILE


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("5.png", True), ("5.JPG", True), ("5.webm", True), ("5.txt", False), ("05.png", False), ("x5.png", False),
        ("5.png.part", False), ("5.safetensors", False), ("5", False), ("0.png", False), ("5" * 20 + ".png", False),
    ],
)  # fmt: skip
def test_a_picture_is_a_file_named_by_its_id(name: str, is_one: bool, run: Runner, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_bytes(b"x")
    assert run("--page", str(tmp_path / "a")) == 0
    assert bool(shown_in(tmp_path / "a").pictures) == is_one


@pytest.mark.parametrize("folder", [".git", ".page/thumbs/05", "corrupted", ".civitai/replaced", ".cache"])
def test_some_folders_are_not_looked_into(folder: str, run: Runner, tmp_path: Path) -> None:
    put_picture(tmp_path / "a" / folder, 5)
    put_picture(tmp_path / "a" / ".civitai" / "users" / "...x" / ".hack [3]", 6)
    put_picture(tmp_path / "a" / "users" / ".x" / "corrupted", 7)
    assert run("--page", str(tmp_path / "a")) == 0
    assert {*shown_in(tmp_path / "a").pictures} == {6, 7}


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"id": 6, "raw_prompt": "of another"}',
        b"\xff\xfe\x00",
        b'{"id": 5' + b"[" * 5000,
        b"5",
    ],
)
def test_a_text_that_is_broken_leaves_its_picture(words: bytes, run: Runner, tmp_path: Path) -> None:
    put_picture(tmp_path / "a", 5, words)
    assert run("--page", str(tmp_path / "a")) == 0
    row = shown_in(tmp_path / "a").pictures[5]
    assert (row["prompt"], row["level"], row["txt"]) == (None, "unrated", 1)


def model_of(**more: Any) -> dict[str, Any]:
    """Return a model as `model.json` has it."""
    file = {"id": 3, "name": "x.safetensors", "sizeKB": 1, "type": "Model", "primary": True}
    version = {
        "id": 2,
        "name": HOSTILE,
        "baseModel": "Pony",
        "files": [file],
        "publishedAt": "2026-01-01T00:00:00.000Z",
    }
    return {"id": 1, "name": HOSTILE, "type": "LORA", "tags": [HOSTILE], "modelVersions": [{**version, **more}]}


def test_a_hostile_description_is_shown_as_words(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "m [1]"
    folder.mkdir(parents=True)
    words = '<p onclick="x()">A<script>alert(1)</script><img src="https://x/y.png" onerror="z()"></p>'
    (folder / "model.json").write_text(json.dumps({**model_of(description=words), "description": words}))
    assert run("--page", str(tmp_path / "a")) == 0
    model = shown_in(tmp_path / "a").models[1]
    assert model["name"] == HOSTILE.strip()
    for text in (model["details"]["description"], model["details"]["versions"][0]["description"]):
        assert not re.search("script|onclick|onerror|<img", text)
        assert text.startswith("<p>A")
    assert all(
        "<" not in data.decode()[8:]
        for name, data in page_files(tmp_path / "a").items()
        if "/data/" in name and ".js" in name
    )


@pytest.mark.parametrize(
    "words", ["{}", "[]", '{"id": 1}', '{"id": 0, "modelVersions": []}', '{"modelVersions": 5, "id": 1}', "x"]
)
def test_a_model_json_of_another_program_is_no_model(words: str, run: Runner, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.json").write_text(words)
    assert run("--page", str(tmp_path / "a")) == 0
    assert not shown_in(tmp_path / "a").models


def test_of_two_pages_of_a_model_the_later_one_counts(run: Runner, tmp_path: Path) -> None:
    for number, name in enumerate(["new", "old"]):
        folder = tmp_path / "a" / f"{name} [1]"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({**model_of(), "name": name}))
        os.utime(folder / "model.json", (1000 - number, 1000 - number))
    assert run("--page", str(tmp_path / "a")) == 0
    assert shown_in(tmp_path / "a").models[1]["name"] == "new"


def test_files_of_a_folder_without_a_log_are_known_by_their_names(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "m [1]"
    (folder / "v [2]").mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(model_of()))
    (folder / "v [2]" / "x.safetensors").write_bytes(b"weights")
    (folder / "v [2]" / "x.preview.png").write_bytes(b"picture")
    assert run("--page", str(tmp_path / "a")) == 0
    model = shown_in(tmp_path / "a").models[1]
    assert (model["complete"], model["bytes"]) == (1, 7)
    assert model["preview"]["path"] == "m%20%5B1%5D/v%20%5B2%5D/x.preview.png"
    assert model["details"]["versions"][0]["files"][0]["path"] == "m%20%5B1%5D/v%20%5B2%5D/x.safetensors"


# --- What the .txt keeps ---------------------------------------------------------------------------


def test_the_text_of_a_picture_keeps_hash_and_likes(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora)) == 0
    facts = read_json(one_file(out, "40003.txt"))
    assert facts["hash"]
    assert facts["likes"] is not None
    assert [*facts][9:13] == ["nsfw_level", "hash", "likes", "model_versions"]


def test_an_older_text_gains_hash_and_likes_when_its_list_is_read_again(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site, lora)) == 0
    path = one_file(out, "40003.txt")
    new = path.read_bytes()
    old = {key: value for key, value in read_json(path).items() if key not in ("hash", "likes")}
    path.write_text(json.dumps({**old, "tools": ["ComfyUI"], "note": "mine"}))
    site.forget()
    assert run(link(site, lora)) == 0
    facts = read_json(path)
    assert (facts["tools"], facts["note"]) == (["ComfyUI"], "mine")
    assert facts["hash"] == json.loads(new)["hash"]
    assert shown_in(out).pictures[40003]["likes"] == facts["likes"]
    assert not site.seen("site", "/api/v1/images?imageId")
    before = path.stat().st_mtime_ns
    assert run(link(site, lora)) == 0
    assert path.stat().st_mtime_ns == before


# --- --thumbnails ----------------------------------------------------------------------------------


def test_small_forms_are_fetched_for_the_page(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora)) == 0
    assert {row["thumb"] for row in shown_in(out).pictures.values()} == {""}
    site.forget()
    assert run(link(site, lora), "--thumbnails") == 0
    page = shown_in(out)
    for row in page.pictures.values():
        small = out / ".page" / "thumbs" / f"{row['id'] % 100:02}" / f"{row['id']}{row['thumb']}"
        assert row["thumb"]
        assert small.is_file()
    assert len(page.pictures) == 3
    assert all("width=450" in seen.path for seen in site.seen("image"))
    before = page_files(out)
    site.forget()
    assert run(link(site, lora), "--thumbnails") == 0
    assert not site.seen("image")
    assert page_files(out) == before
    assert run("--page") == 0
    assert shown_in(out).pictures == page.pictures


def test_a_small_form_that_can_not_be_had_is_no_failure(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    site.fail(re.compile("image:.*width=450"), Status(404), times=None)
    assert run(link(site, lora), "--thumbnails", "--max-images", "0") == 0
    assert {row["thumb"] for row in shown_in(out).pictures.values()} == {""}
    assert read_json(out / "report.json")["counts"].get("failed", 0) == 0


@pytest.mark.parametrize("path", ["../5.png", "/tmp/5.png", "C:/5.png", "5.txt", "6.png", "sub/../../5.png"])
def test_a_line_of_the_log_that_names_another_place_shows_nothing(path: str, run: Runner, tmp_path: Path) -> None:
    put_picture(tmp_path / "a", 7)
    put_picture(tmp_path, 5, {"raw_prompt": "outside"})
    put_picture(tmp_path / "a", 6)
    (tmp_path / "a" / "5.txt").write_text('{"id": 5}')
    assert run("--page", str(tmp_path / "a")) == 0
    line = {"at": "2026-01-01T00:00:00Z", "type": "image", "id": "5", "status": "success", "path": path, "size": 9}
    with (tmp_path / "a" / "download_state.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n" + json.dumps({**line, "type": "page", "id": "post/1", "path": ".."}) + "\n")
    assert run("--refilter", "-o", str(tmp_path / "a")) == 0
    assert {*shown_in(tmp_path / "a").pictures} == {6, 7}
