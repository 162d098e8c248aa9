"""An archive only grows: runs of the command against a site that has less each time."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import LORA_PAGE, TOKEN, Captured, newest, read_json
from tests.stand_in import Skip

LAYOUTS = ("creator", "sharded", "comfyui", "{type}/{creator}")
REFRESH = ("--refresh", *TOKEN)


def today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def kept(out: Path) -> dict[str, Any]:
    return read_json(one_file(out, "model.json"))


def version_in(out: Path, number: int) -> dict[str, Any]:
    (found,) = (each for each in kept(out)["modelVersions"] if each["id"] == number)
    return dict(found)


def words_in(files: dict[str, bytes]) -> set[tuple[str, str]]:
    """Return the words in every page, prompt and sidecar; numbers aside, which are counters and dates."""
    endings = (".txt", ".info", ".json", ".html")
    own = [name for name in files if name.endswith(endings) and not name.startswith(("lists/", "report"))]
    signed = re.compile(rb"Written by civitai-downloader, \w+")
    return {(name, word) for name in own for word in re.findall(r"[^\W\d_]{2,}", signed.sub(b"", files[name]).decode())}


def test_a_version_that_is_removed_stays_in_every_page(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel, skip_time: Skip
) -> None:
    old = lora.versions[1]
    old.description, old.trained_words = "<p>The first one.</p>", ["first word"]
    run("10001")
    before = files_under(out)
    lora.versions.remove(old)
    del site.world.versions[old.id]
    assert run("10001", "--refresh") == 0
    assert version_in(out, old.id)["gone_since"] == (day := today())
    sha256 = old.files[0].body.hashes["SHA256"].lower()
    text = one_file(out, "model.txt").read_text("utf-8")
    assert sha256 in text
    assert "The first one." in text
    assert f"(gone from the site since {day})" in text
    assert "The first one." in one_file(out, "description.html").read_text("utf-8")
    sidecars = [name for name in before if "paper_sd15" in name]
    assert {name: files_under(out)[name] for name in sidecars} == {name: before[name] for name in sidecars}
    skip_time(3 * 86400)
    assert run("10001", "--refresh") == 0
    assert version_in(out, old.id)["gone_since"] == day
    lora.versions.append(old)
    site.world.versions[old.id] = old
    assert run("10001", "--refresh") == 0
    assert "gone_since" not in version_in(out, old.id)
    assert not list(out.rglob("history"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_blanked_stays_in_pages_and_sidecars(
    run: Runner, out: Path, lora: FakeModel, layout: str, state: State
) -> None:
    newest(lora).description = "<p>Of its own.</p>"
    run("10001", "--layout", layout)
    before = files_under(out)
    lora.description, lora.tags, lora.creator = "<p></p>", [], ""
    newest(lora).description, newest(lora).trained_words = None, []
    newest(lora).files[0].hashes = {}
    newest(lora).images.clear()
    assert run("10001", "--layout", layout, "--refresh") == 0
    day = today()
    assert kept(out)["lost"] == {"description": day, "tags": day, "creator": day}
    version = version_in(out, 20002)
    assert version["lost"] == {"description": day, "trainedWords": day}
    assert version["files"][0]["lost"] == {"hashes": day}
    assert [image["gone_since"] for image in version["images"]] == [day, day]
    assert not words_in(before) - words_in(files_under(out))
    assert not list(out.rglob("history"))
    assert not [key for key in state() if "unknown" in state()[key].get("path", "")]


@pytest.mark.parametrize("mode", ["Archived", "TakenDown"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_that_is_archived_or_taken_down_leaves_nothing_poorer(
    run: Runner, out: Path, lora: FakeModel, layout: str, mode: str
) -> None:
    run("10001", "--layout", layout)
    before = files_under(out)
    lora.mode = mode
    assert run("10001", "--layout", layout, "--refresh") == 1
    assert not words_in(before) - words_in(files_under(out))
    version = version_in(out, 20002)
    things = version["files"] if mode == "Archived" else version["images"]
    assert {each["gone_since"] for each in things} == {today()}
    lora.mode = None
    assert run("10001", "--layout", layout, "--refresh") == 0
    assert b"gone_since" not in one_file(out, "model.json").read_bytes()
    assert "mode" not in kept(out)


def test_a_model_that_is_gone_altogether_changes_nothing(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel
) -> None:
    run("10001")
    before = files_under(out)
    del site.world.models[lora.id]
    assert run("10001", "--refresh") == 1
    after = files_under(out)
    assert {name: after[name] for name in before if LORA_PAGE in name} == {
        name: before[name] for name in before if LORA_PAGE in name
    }


def test_earlier_words_lie_in_history_and_nothing_else_makes_a_copy(
    run: Runner, out: Path, lora: FakeModel, skip_time: Skip
) -> None:
    run("10001")
    first = one_file(out, "model.json").read_bytes()
    lora.downloads += 1000
    lora.add_version("v3.0").add_file("new.safetensors")
    lora.tags = ["style"]
    run("10001", "--refresh")
    assert not list(out.rglob("history"))
    second = one_file(out, "model.json").read_bytes()
    assert second != first
    for description in ("<p>Other.</p>", "<p>Another.</p>", "<p>Another.</p>"):
        lora.description = description
        run("10001", "--refresh")
    day = today()
    copies = {path.name: path.read_bytes() for path in (out / LORA_PAGE / "history").iterdir()}
    assert set(copies) == {f"model.{day}.json", f"model.{day}-2.json"}
    assert copies[f"model.{day}.json"] == second
    assert "Other." in copies[f"model.{day}-2.json"].decode()
    skip_time(2 * 86400)
    lora.versions[0].trained_words = ["word"]
    run("10001", "--refresh")
    lora.versions[0].trained_words = ["another"]
    run("10001", "--refresh")
    assert (out / LORA_PAGE / "history" / f"model.{today()}.json").is_file()


TORN = (b"", b"{", b'{"id": 10001, "na', b"[1]", b"null", b"\0" * 300, b'{"id": 4, "name": "of another"}')


@pytest.mark.parametrize("data", [*TORN, b'{"id": 10001, "a": ' + b"[" * 600 + b"]" * 600 + b"}", b"\xff\xfe{" * 9])
def test_a_model_json_that_can_not_be_read_is_set_aside_once(
    run: Runner, out: Path, lora: FakeModel, data: bytes
) -> None:
    run("10001")
    page = one_file(out, "model.json")
    whole = page.read_bytes()
    page.write_bytes(data)
    for _ in range(2):
        assert run("10001", "--refresh") == 0
        assert page.read_bytes() == whole
        assert [path.read_bytes() for path in (out / LORA_PAGE / "history").iterdir()] == [data]


@pytest.mark.parametrize("versions", ["text", {"id": 1}, [5], [{"id": 20001, "name": "a"}, {"id": 20001, "mine": "b"}]])
def test_what_can_not_be_united_is_kept_in_history(run: Runner, out: Path, lora: FakeModel, versions: object) -> None:
    run("10001")
    page = one_file(out, "model.json")
    page.write_text(json.dumps({**read_json(page), "modelVersions": versions}), "utf-8")
    edited = page.read_bytes()
    for _ in range(2):
        assert run("10001", "--refresh") == 0
        assert [path.read_bytes() for path in (out / LORA_PAGE / "history").iterdir()] == [edited]
    assert {each["id"] for each in kept(out)["modelVersions"]} == {version.id for version in lora.versions}


def test_what_was_added_by_hand_stays(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001")
    page = one_file(out, "model.json")
    page.write_text(json.dumps({**read_json(page), "my note": {"stars": 5}}), "utf-8-sig")
    run("10001", "--refresh")
    assert kept(out)["my note"] == {"stars": 5}


def test_a_link_in_place_of_a_model_json_is_not_read(run: Runner, out: Path, lora: FakeModel, tmp_path: Path) -> None:
    run("10001")
    secret, page = tmp_path / "secret", one_file(out, "model.json")
    secret.write_text("a secret", "utf-8")
    page.unlink()
    try:
        page.symlink_to(secret)
    except OSError:
        pytest.skip("needs the right to make links")
    assert run("10001", "--refresh") == 0
    assert not list(out.rglob("history"))
    assert kept(out)["id"] == 10001


@pytest.mark.parametrize("text", ["a \ud800 b", "\x00", "line\u2028"])
def test_odd_letters_make_no_copy_at_each_run(run: Runner, out: Path, lora: FakeModel, text: str) -> None:
    lora.description = f"<p>{text}</p>"
    for _ in range(3):
        assert run("10001", "--refresh") == 0
    assert not list(out.rglob("history"))


# --- What the interfaces differ in -----------------------------------------------------------------


def test_lists_and_single_answers_by_turns_mark_nothing(run: Runner, out: Path, site: FakeCivitai) -> None:
    model = site.world.add_model(creator="maker")
    version = model.add_version(trained_words=["word"])
    version.add_file("a.safetensors")
    for level in (1, 4, 16):
        version.add_image(level, meta={"prompt": "x"})
    lines = ("10001", f"{site.url}/user/maker/models", f"{site.url}/tag/style", "10001@20001")
    for words in (*lines, *reversed(lines)):
        for sfw in ((), ("--sfw",)):
            assert run(words, *sfw, "--refresh", "--no-gallery") == 0
            data = one_file(out, "model.json").read_bytes()
            assert b"gone_since" not in data
            assert b'"lost"' not in data
    assert len(kept(out)["modelVersions"][0]["images"]) == 3
    assert not list(out.rglob("history"))


def test_a_version_that_its_model_hides_is_kept_and_not_missed(run: Runner, out: Path, lora: FakeModel) -> None:
    hidden = lora.add_version("hidden", status="Unpublished", description="<p>Hidden words.</p>")
    hidden.add_file("hidden.safetensors")
    for words in ("10001", f"10001@{hidden.id}", "10001", f"10001@{hidden.id}", "10001"):
        run(words, "--refresh")
        assert b"gone_since" not in one_file(out, "model.json").read_bytes()
    assert version_in(out, hidden.id)["description"] == "<p>Hidden words.</p>"
    assert "Hidden words." in one_file(out, "model.txt").read_text("utf-8")


def test_a_version_that_only_the_archive_knows_fails_no_line_unless_it_is_named(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel, capsys: Captured
) -> None:
    run("10001")
    old = lora.versions.pop()
    del site.world.versions[old.id]
    one_file(out, "paper_sd15.safetensors").unlink()
    site.forget()
    assert run("10001", "--refresh") == 0
    assert not site.seen("storage")
    capsys.readouterr()
    assert run(f"10001@{old.id}", "--refresh") == 1


# --- Posts and collections -------------------------------------------------------------------------


def test_a_post_keeps_the_pictures_and_the_text_that_it_lost(
    run: Runner, out: Path, site: FakeCivitai, post: int
) -> None:
    link = f"{site.url}/posts/{post}"
    run(link, *TOKEN)
    page = out / "posts" / str(post) / "post.json"
    before = read_json(page)
    record = site.world.posts[post]
    removed = record.images[1]
    record.images.remove(removed)
    removed.post_id = 0
    record.detail = record.title = None
    assert run(link, "--sfw", "--refresh", *TOKEN) == 0
    assert "gone_since" not in read_json(page)
    assert run(link, *REFRESH) == 0
    after = read_json(page)
    assert set(after["images"]) == set(before["images"])
    assert after["gone_since"] == {str(removed.id): today()}
    assert (after["text"], after["title"]) == ("Made at night.", "Five lanterns")
    assert set(after["lost"]) == {"text", "title", "detail"}


def test_a_collection_keeps_the_pictures_that_left_it(run: Runner, out: Path, site: FakeCivitai) -> None:
    images = [site.world.add_image().id for _ in range(3)]
    box = site.world.add_collection("Lanterns", images, description="Light")
    link = f"{site.url}/collections/{box.id}"
    run(link, *TOKEN)
    box.items.remove(images[1])
    assert run(link, "--refresh") in (0, 1)
    page = one_file(out, "collection.json")
    assert "gone_since" not in read_json(page)
    assert run(link, *REFRESH) == 0
    assert set(read_json(page)["items"]) == set(images)
    assert read_json(page)["gone_since"] == {str(images[1]): today()}


def test_a_collection_that_is_called_otherwise_stays_in_its_folder(run: Runner, out: Path, site: FakeCivitai) -> None:
    box = site.world.add_collection("Lanterns", [site.world.add_image().id])
    link = f"{site.url}/collections/{box.id}"
    run(link, *TOKEN)
    box.name = "Lamps"
    for _ in range(2):
        assert run(link, *REFRESH) == 0
        assert [path.name for path in (out / "collections").iterdir()] == [f"Lanterns [{box.id}]"]
        (out / "download_state.jsonl").unlink()


def test_a_prompt_file_keeps_who_made_the_picture_and_when(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001")
    path = one_file(out, "40003.txt")
    before = read_json(path)
    (image,) = (each for each in lora.world.images.values() if each.id == 40003)
    image.username, image.created, image.version_ids = "", "", [*image.version_ids]
    assert run("10001", "--refresh") == 0
    assert read_json(path) == before
    assert before["username"]


def test_nothing_is_written_when_nothing_changed(run: Runner, out: Path, lora: FakeModel) -> None:
    run("10001")
    lora.versions.pop()
    run("10001", "--refresh")
    page = one_file(out, "model.json")
    os.utime(page, (1, 1))
    assert run("10001", "--refresh") == 0
    assert page.stat().st_mtime == 1
