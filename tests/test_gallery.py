"""The page of an output folder: what a run and `--page` write, and what is new in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from civitai_downloader.core.chunks import KINDS
from civitai_downloader.util.disks import Disk, DiskFailure
from civitai_downloader.util.files import write_file
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import LORA_PAGE, Err, read_json
from tests.shown import file_of, page_files, shown_in

FULL = ["--page"]


def link(site: FakeCivitai, model: FakeModel) -> str:
    return f"{site.url}/models/{model.id}"


def put_picture(
    folder: Path, image_id: int, text: dict[str, Any] | bytes | None = None, extension: str = ".png"
) -> Path:
    """Write a picture and its `.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image_id}{extension}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + str(image_id).encode())
    if text is not None:
        data = text if isinstance(text, bytes) else json.dumps({"id": image_id, **text}).encode()
        path.with_suffix(".txt").write_bytes(data)
    return path


INDEX = b'<meta name="generator" content="civitai-downloader"><script src="{{page}}/rooms.js" id="{{library}}">'


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Let the page have these scripts, which a test may change."""
    files = {"index.html": INDEX, "rooms.js": b"1;", "base.css": b"p{}"}
    monkeypatch.setattr("civitai_downloader.core.gallery.page_files", lambda: dict(files))
    return files


# --- After a run -----------------------------------------------------------------------------------


def test_a_run_leaves_a_page_of_all_that_it_brought(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, err: Err
) -> None:
    assert run(link(site, lora)) == 0
    page = shown_in(out)
    assert {file_of(out, row) for row in page.pictures.values()} == {
        path for path in out.rglob("images/*") if path.suffix != ".txt"
    }
    assert all(row["txt"] == 1 for row in page.pictures.values())
    assert "open" in err()
    model = page.models[lora.id]
    assert (model["name"], model["type"], model["complete"], model["update"]) == (lora.name, "LORA", 1, 0)
    assert [version[1] for version in model["versions"]] == ["v2.0", "v1.0"]
    assert model["words"] == ["paper lantern", "night, rain"]
    assert model["folder"] == quote(LORA_PAGE)
    paths = [out / file["path"].replace("%20", " ").replace("%5B", "[").replace("%5D", "]")
             for version in model["details"]["versions"] for file in version["files"]]  # fmt: skip
    assert len(paths) == 2
    assert all(path.is_file() for path in paths)
    assert "<strong>paper</strong>" in model["details"]["description"]


@pytest.mark.usefixtures("scripts")
def test_the_page_belongs_to_the_library(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora)) == 0
    (line,) = [line for line in map(json.loads, (out / "download_state.jsonl").open()) if line["type"] == "library"]
    assert shown_in(out).manifest["library"] == line["id"]
    index = (out / "index.html").read_text("utf-8")
    assert line["id"] in index
    assert "{{" not in index
    (folder,) = [path for path in (out / ".page").iterdir() if path.name != "data"]
    assert f'src=".page/{folder.name}/rooms.js"' in index
    assert {path.name for path in folder.iterdir()} == {"rooms.js", "base.css", "words.data.js"}


def test_a_run_without_news_changes_no_byte(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora)) == 0
    before = page_files(out)
    stamps = {path: (out / path).stat().st_mtime_ns for path in before}
    assert run(link(site, lora)) == 0
    assert run(link(site, lora)) == 0
    assert page_files(out) == before
    assert {path: (out / path).stat().st_mtime_ns for path in before} == stamps


def test_a_log_that_grows_without_news_is_not_read_again_for_ever(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(link(site, lora)) == 0
    before = page_files(out)
    monkeypatch.setattr("civitai_downloader.core.stock.LONG", 50)
    assert run(link(site, lora)) == 0
    after = page_files(out)
    assert {name for name in after if after[name] != before.get(name)} == {".page/data/state.json"}
    size = (out / "download_state.jsonl").stat().st_size
    assert json.loads(after[".page/data/state.json"])["log"]["download_state.jsonl"][0] == size


def test_a_later_run_adds_what_is_new(
    run: Runner, site: FakeCivitai, lora: FakeModel, mix: FakeModel, out: Path
) -> None:
    assert run(link(site, lora)) == 0
    known = shown_in(out)
    image = site.world.add_image([lora.versions[0].id], meta={"prompt": "later"})
    lora.add_version("v3.0").add_file("third.safetensors")
    assert run(link(site, lora), link(site, mix), "--refresh") == 0
    page = shown_in(out)
    assert page.pictures[image.id]["prompt"] == "later"
    assert set(page.models) == {lora.id, mix.id}
    assert len(page.models[lora.id]["versions"]) == 3
    assert {*known.pictures} < {*page.pictures}
    assert not any(chunk["dead"] for chunk in page.manifest["pictures"])
    run(*FULL)
    assert shown_in(out).pictures == page.pictures
    assert shown_in(out).models == page.models


def test_chunks_that_are_full_stay(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("civitai_downloader.core.stock.KINDS", tuple(replace(kind, most=2) for kind in KINDS))
    assert run(link(site, lora)) == 0
    before = {name for name in page_files(out) if "/p-" in name and "more" not in name}
    assert len(before) == 2  # of 2 pictures and of 1
    for number in range(3):
        site.world.add_image([lora.versions[0].id], meta={"prompt": f"later {number}"})
    assert run(link(site, lora), "--refresh") == 0
    now = [f".page/data/{chunk['name']}.js" for chunk in shown_in(out).manifest["pictures"]]
    assert len(now) == 3
    assert len(before & {*now}) == 1
    assert before < {*page_files(out)}  # a page that is open still finds what it knows of
    run(*FULL)
    assert len(shown_in(out).pictures) == 6


def test_scripts_of_another_version_take_the_place_of_the_old_ones(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, scripts: dict[str, bytes]
) -> None:
    assert run(link(site, lora)) == 0
    (old,) = [path for path in (out / ".page").iterdir() if path.name != "data"]
    data = {name: each for name, each in page_files(out).items() if "/data/" in name}
    scripts["rooms.js"] = b"2;"
    assert run(link(site, lora)) == 0
    (new,) = [path for path in (out / ".page").iterdir() if path.name != "data"]
    assert new != old
    assert new.name in (out / "index.html").read_text("utf-8")
    assert {name: each for name, each in page_files(out).items() if "/data/" in name} == data


def test_word_lists_that_change_change_the_page(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, tmp_path: Path
) -> None:
    lists = tmp_path / "words"
    lists.mkdir()
    for name in ("sex", "clothes", "etc"):
        (lists / f"Filter_{name}.txt").write_text("zebra\n")
    site.world.add_image([lora.versions[0].id], id=49001, meta={"prompt": "a cat, a lantern"})
    assert run(link(site, lora), "--filters", str(lists)) == 0
    assert shown_in(out).pictures[49001]["clean"] == 1
    (lists / "Filter_etc.txt").write_text("lantern\n")
    assert run("--refilter", "--filters", str(lists)) == 0
    assert shown_in(out).pictures[49001]["clean"] == [5]
    (lists / "Filter_etc.txt").write_text("zebra\n")
    assert run(link(site, lora), "--filters", str(lists)) == 0
    assert shown_in(out).pictures[49001]["clean"] == 1


def test_a_text_that_is_read_anew_changes_the_page(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    image = site.world.add_image([lora.versions[0].id], meta={"prompt": "before"})
    assert run(link(site, lora)) == 0
    image.meta = {"prompt": "after"}
    assert run(link(site, lora), "--refresh") == 0
    assert shown_in(out).pictures[image.id]["prompt"] == "after"


def test_files_that_come_later_make_a_model_complete(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site, lora), "--latest", "--max-images", "0") == 0
    assert [version[4:6] for version in shown_in(out).models[lora.id]["versions"]] == [[1, 1], [0, 1]]
    assert shown_in(out).models[lora.id]["complete"] == 0
    assert run(link(site, lora), "--max-images", "0") == 0
    assert shown_in(out).models[lora.id]["complete"] == 1


def test_a_newer_version_is_told(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    old = lora.versions[1]
    assert run(f"{link(site, lora)}?modelVersionId={old.id}", "--max-images", "0") == 0
    assert shown_in(out).models[lora.id]["update"] == lora.versions[0].id


def test_posts_and_collections_keep_their_order(run: Runner, site: FakeCivitai, post: int, out: Path) -> None:
    ids = [image.id for image in site.world.posts[post].images][::-1]
    found = site.world.add_collection("Best of", ids)
    assert run(f"{site.url}/posts/{post}", f"{site.url}/collections/{found.id}", "--token", "good-token") == 0
    page = shown_in(out)
    assert page.posts[post]["images"] == read_json(out / "posts" / str(post) / "post.json")["images"]
    assert page.posts[post]["title"] == "Five lanterns"
    assert page.collections[found.id]["name"] == "Best of"
    assert page.collections[found.id]["items"] == read_json(one_file(out, "collection.json"))["items"]
    for picture in ids:
        assert ("checkpoint" in {thing[0] for thing in page.things(picture)}) == (picture == ids[-2])


def test_a_killed_runs_pictures_are_on_the_page_of_the_next_run(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site, lora), "--latest") == 0
    site.world.add_image([lora.versions[0].id], id=49001, meta={"prompt": "x"})
    assert run(link(site, lora), "--latest", "--refresh", "--no-page") == 0
    assert 49001 not in shown_in(out).pictures
    assert run(link(site, lora), "--latest") == 0
    assert 49001 in shown_in(out).pictures


@pytest.mark.parametrize("name", ["manifest.js", "rows.z", "state.json", "p-", "index.html"])
def test_a_page_that_can_not_be_finished_is_the_old_one_or_the_new_one(
    name: str, run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(link(site, lora)) == 0
    before = shown_in(out)
    image = site.world.add_image([lora.versions[0].id], meta={"prompt": "x"})

    def full(path: Path, data: bytes, disk: Disk | None = None) -> bool:
        """Refuse a file, as a full disk does."""
        if path.name.startswith(name):
            raise DiskFailure("disk-full", "The disk is full.")
        return write_file(path, data, disk)

    with monkeypatch.context() as patch:
        for room in ("chunks", "stock", "gallery"):
            patch.setattr(f"civitai_downloader.core.{room}.write_file", full)
        assert run(link(site, lora), "--refresh") == 1
    page = shown_in(out)
    is_new = name in ("state.json", "index.html")
    assert {*page.pictures} == {*before.pictures, *([image.id] if is_new else [])}
    assert run(link(site, lora)) == 0
    assert image.id in shown_in(out).pictures


# --- --page ----------------------------------------------------------------------------------------


def test_an_empty_folder_gives_a_page_of_nothing(run: Runner, site: FakeCivitai, out: Path, err: Err) -> None:
    out.mkdir()
    assert run(*FULL) == 0
    assert shown_in(out).manifest["totals"] == {"pictures": 0, "models": 0, "collections": 0, "posts": 0}
    assert "shows 0 pictures and 0 models" in err()
    assert not site.requests


def test_a_folder_that_is_not_there_is_a_wrong_command(run: Runner, out: Path, err: Err) -> None:
    assert run(*FULL) == 2
    assert "There is no folder" in err()
    assert not out.exists()


def test_a_folder_as_input_has_its_page_made(run: Runner, tmp_path: Path, site: FakeCivitai) -> None:
    put_picture(tmp_path / "a", 5, {"raw_prompt": "x"})
    put_picture(tmp_path / "b" / "deeper", 6)
    (tmp_path / "models.txt").write_text(f"{site.url}/models/10001\n")
    assert run(str(tmp_path / "a"), *FULL, str(tmp_path / "b")) == 0
    assert shown_in(tmp_path / "a").pictures[5]["prompt"] == "x"
    assert shown_in(tmp_path / "b").pictures[6]["folder"] == "deeper"
    assert not site.requests


def test_a_folder_within_a_library_means_the_library(run: Runner, tmp_path: Path) -> None:
    put_picture(tmp_path / "a" / "inner", 5)
    assert run(str(tmp_path / "a"), *FULL) == 0
    put_picture(tmp_path / "a" / "inner", 6)
    assert run(str(tmp_path / "a" / "inner"), *FULL) == 0
    assert {*shown_in(tmp_path / "a").pictures} == {5, 6}
    assert not (tmp_path / "a" / "inner" / "index.html").exists()


def test_with_links_the_folder_is_looked_through_at_the_end(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run(link(site, lora)) == 0
    put_picture(out / "mine", 5)
    assert run(link(site, lora)) == 0
    assert 5 not in shown_in(out).pictures
    assert run(link(site, lora), *FULL) == 0
    assert 5 in shown_in(out).pictures


def test_what_was_deleted_is_gone_from_the_page(run: Runner, site: FakeCivitai, lora: FakeModel, out: Path) -> None:
    assert run(link(site, lora)) == 0
    image = min(shown_in(out).pictures)
    for path in out.rglob(f"{image}.*"):
        path.unlink()
    shutil.rmtree(one_file(out, "paper_sd15.safetensors").parent)
    assert run(*FULL) == 0
    page = shown_in(out)
    assert image not in page.pictures
    assert [version[4] for version in page.models[lora.id]["versions"]] == [1, 0]
    shutil.rmtree(out / "users")
    assert run(*FULL) == 0
    assert not any(shown_in(out).manifest["totals"].values())


def test_a_folder_that_moves_takes_its_page_along(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path, tmp_path: Path
) -> None:
    assert run(link(site, lora)) == 0
    new = tmp_path / "한글 100% #1 [x]"
    out.rename(new)
    assert all(file_of(new, row).is_file() for row in shown_in(new).pictures.values())
    before = page_files(new)
    assert run(*FULL, "-o", str(new)) == 0
    assert {*page_files(new)} == {*before}


def test_a_copy_in_another_folder_is_not_counted(run: Runner, tmp_path: Path) -> None:
    put_picture(tmp_path / "a" / "one", 5)
    put_picture(tmp_path / "a" / "two", 5, {"raw_prompt": "x"}, ".jpeg")
    put_picture(tmp_path / "a" / "zoo", 5)
    assert run(str(tmp_path / "a"), *FULL) == 0
    row = shown_in(tmp_path / "a").pictures[5]
    assert (row["folder"], row["ext"], row["also"], row["prompt"]) == ("two", ".jpeg", ["one", "zoo"], "x")
