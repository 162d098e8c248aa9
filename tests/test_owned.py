"""What we did not write is never written over: at the top of an output folder, and below it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from civitai_downloader.core.ours import FAILED_MARK
from civitai_downloader.core.pages import UNSIGNED, hand_of, sign
from civitai_downloader.util.logs import KeyedLog
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import LORA_PAGE, TOKEN, Err, add_file, link, read_json

WORDS = b"#!/bin/sh\n# my own words\ncivitai-downloader models.txt --retry-failed\n"
WRITTEN = ("report.json", "failed.txt", "retry.sh", "retry.bat")
OLDER_LOG = '{"at":"2026-01-01T00:00:00Z","type":"page","id":"model/10001","status":"success","path":"%s"}\n'


def older_log(out: Path) -> None:
    """Let an earlier version of the program have written the log."""
    out.mkdir(exist_ok=True)
    (out / "download_state.jsonl").write_text(OLDER_LOG % LORA_PAGE, "utf-8")


# --- At the top ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("after_a_run", [False, True])
def test_a_file_of_the_users_under_a_name_of_ours_ends_the_run_before_it_begins(
    run: Runner, site: FakeCivitai, out: Path, err: Err, name: str, after_a_run: bool
) -> None:
    add_file(site)
    if after_a_run:
        assert run(link(site)) == 0
    else:
        out.mkdir()
    (out / name).write_bytes(WORDS)
    before = files_under(out, "[!d]*")
    site.forget()
    assert run(link(site)) == 2
    said = err()
    assert f"{name} wasn't written by this program; move it away, or choose another folder with -o." in said
    assert not site.requests
    assert files_under(out, "[!d]*") == before
    (out / name).unlink()
    assert run(link(site)) == 0


@pytest.mark.parametrize("name", ["index.html", "exclude.txt", "updates.txt", "user-data.js", ".writable", "model.txt"])
def test_a_file_of_the_users_that_no_run_writes_stays(run: Runner, site: FakeCivitai, out: Path, name: str) -> None:
    add_file(site)
    out.mkdir()
    (out / name).write_bytes(b"# my own words\n")
    assert run(link(site)) == 0
    assert (out / name).read_bytes() == b"# my own words\n"


def test_a_run_knows_its_own_files_again(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_file(site)
    assert run("404404") == 1
    assert all((out / name).is_file() for name in WRITTEN)
    assert run(link(site)) == 0
    assert run("404404", "--retry-failed") == 1
    (out / "download_state.jsonl").unlink()
    assert run("--retry-failed") == 1
    site.world.add_model(id=404404).add_version().add_file("late.safetensors")
    assert run("--retry-failed", "--refresh") == 0
    assert {name for name in WRITTEN if (out / name).exists()} == {"report.json"}


def test_a_log_without_a_record_makes_nothing_ours(run: Runner, out: Path) -> None:
    out.mkdir()
    (out / "download_state.jsonl").write_bytes(b"of another program\n")
    (out / "retry.sh").write_bytes(WORDS)
    assert run("404404") == 2
    assert (out / "retry.sh").read_bytes() == WORDS
    assert (out / "download_state.jsonl").read_bytes() == b"of another program\n"


@pytest.mark.parametrize(
    "change", [lambda text: text.encode("utf-16"), lambda text: text.replace("\n", "\r\n").encode()]
)
def test_a_failed_list_that_was_saved_by_an_editor_is_still_ours(run: Runner, out: Path, change: object) -> None:
    assert run("404404") == 1
    text = (out / "failed.txt").read_text("utf-8")
    assert callable(change)
    (out / "failed.txt").write_bytes(change(text))
    assert run("--retry-failed") == 1


def test_the_files_of_an_earlier_version_are_ours(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_file(site)
    older_log(out)
    (out / "failed.txt").write_text("# 404404: gone\n404404\n", "utf-8")
    (out / "retry.sh").write_text("#!/bin/sh\n# Runs the lines of failed.txt again. The token, if one …\n", "utf-8")
    (out / "retry.bat").write_text("@echo off\r\nrem of long ago\r\n", "utf-8")
    (out / "report.json").write_text('{"program": "civitai-downloader 0.0.1"}', "utf-8")
    assert run(link(site)) == 0
    lines = (out / "failed.txt").read_text("utf-8").splitlines()
    assert lines == [FAILED_MARK.strip(), "", "# 404404: gone", "404404"]
    assert run("--retry-failed") == 1
    assert (out / "failed.txt").read_text("utf-8").count(FAILED_MARK) == 1


def test_a_file_of_the_site_that_an_earlier_version_put_at_the_top_is_not_ours(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    out.mkdir()
    line = {"at": "2026-01-01T00:00:00Z", "type": "model", "id": "1/2", "status": "success", "path": "failed.txt"}
    (out / "download_state.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    (out / "failed.txt").write_text("https://civitai.com/models/666\n", "utf-8")
    assert run("10001") == 2
    assert "failed.txt is a file that an earlier version fetched from the site" in err()
    assert not site.requests


def test_an_earlier_version_s_failed_list_is_ours_after_a_kill_too(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    older_log(out)
    (out / "failed.txt").write_text("404404\n", "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.core.write_outcome", lambda *_: True)  # as if it had been killed before
        assert run(link(site)) == 0
    assert run(link(site)) == 0
    assert "404404" in (out / "failed.txt").read_text("utf-8").splitlines()


# --- Pages ---------------------------------------------------------------------------------------


def test_a_signed_page_shows_whether_somebody_has_edited_it() -> None:
    page = sign(f"words with Written by civitai-downloader, deadbeef in them\n\ud800{UNSIGNED}\n")
    assert hand_of(page.encode("utf-8", "replace")) == "ours"
    assert hand_of(page.encode("utf-8", "replace") + b"mine") == "edited"
    assert hand_of(sign(f"{UNSIGNED} by its author\n{UNSIGNED}\n").encode()) == "ours"
    assert hand_of(b"words") == "nobody's"
    assert hand_of(b"Written by civitai-downloader, deadbeef") == "edited"


@pytest.mark.parametrize("name", ["model.txt", "description.html"])
def test_a_page_that_the_user_edited_stays_and_is_named(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel, err: Err, name: str
) -> None:
    assert run("10001") == 0
    page = out / LORA_PAGE / name
    page.write_bytes(page.read_bytes() + b"my own words\n")
    mine = page.read_bytes()
    lora.description = "<p>New words</p>"
    for _ in range(2):
        assert run("10001", "--refresh") == 0
        assert f"{name} was edited and is left as it is" in err()
        assert page.read_bytes() == mine
    page.unlink()
    (out / "download_state.jsonl").unlink()
    assert run("10001", "--refresh") == 0
    assert b"New words" in page.read_bytes()


@pytest.mark.usefixtures("lora")
@pytest.mark.parametrize("name", ["model.txt", "description.html", "model.json"])
def test_a_page_of_somebody_else_stays_and_fails_by_name_alone(run: Runner, out: Path, err: Err, name: str) -> None:
    page = out / LORA_PAGE / name
    page.parent.mkdir(parents=True)
    page.write_bytes(b'{"my": "own words"}')
    assert run("10001") == 1
    assert page.read_bytes() == b'{"my": "own words"}'
    assert f"{name} wasn't written by this program" in err()
    (failed,) = [each for each in read_json(out / "report.json")["files"] if each["outcome"] == "failed"]
    assert failed["reason"] == "taken"
    assert one_file(out, "paper_xl.safetensors")
    page.unlink()
    assert run("10001") == 0


@pytest.mark.usefixtures("lora")
def test_pages_that_an_earlier_version_logs_are_ours(run: Runner, out: Path) -> None:
    older_log(out)
    for name in ("model.txt", "description.html"):
        page = out / LORA_PAGE / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(b"written long ago")
    assert run("10001") == 0
    for name in ("model.txt", "description.html"):
        assert hand_of((out / LORA_PAGE / name).read_bytes()) == "ours"
    (out / LORA_PAGE / "model.txt").write_bytes(b"mine, without a signature")
    assert run("10001") == 1
    assert (out / LORA_PAGE / "model.txt").read_bytes() == b"mine, without a signature"


@pytest.mark.usefixtures("lora")
def test_pages_are_known_again_when_the_log_is_lost_or_a_run_was_killed(
    run: Runner, out: Path, site: FakeCivitai
) -> None:
    assert run("10001") == 0
    (out / "download_state.jsonl").unlink()
    assert run("10001") == 0


# --- Posts, collections and prompts --------------------------------------------------------------


def test_a_post_s_page_of_somebody_else_stays(run: Runner, site: FakeCivitai, out: Path, post: int, err: Err) -> None:
    page = out / "posts" / str(post) / "post.json"
    page.parent.mkdir(parents=True)
    page.write_bytes(b"my own words")
    assert run(f"{site.url}/posts/{post}", *TOKEN) == 1
    assert page.read_bytes() == b"my own words"
    assert "post.json wasn't written by this program" in err()
    assert len(list(page.parent.glob("*.png"))) > 1


@pytest.mark.parametrize("words", [(), ("--refresh",), ("--force",), ("--full-metadata",)])
def test_a_prompt_file_of_somebody_else_stays_and_fails_by_name(
    run: Runner, site: FakeCivitai, out: Path, err: Err, words: tuple[str, ...]
) -> None:
    image = site.world.add_image(username="maker", meta={"prompt": "x"})
    mine = out / "images" / f"{image.id}.txt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"my notes on it")
    assert run(f"{site.url}/images/{image.id}", *TOKEN, *words) == 1
    assert mine.read_bytes() == b"my notes on it"
    assert f"{image.id}.txt wasn't written by this program" in err()
    assert one_file(out, f"{image.id}.png")


def test_a_picture_file_of_somebody_else_stays_and_fails_by_name(
    run: Runner, site: FakeCivitai, out: Path, err: Err
) -> None:
    image = site.world.add_image(username="maker", meta={"prompt": "x"})
    mine = out / "images" / f"{image.id}.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"no picture of theirs")
    assert run(f"{site.url}/images/{image.id}", *TOKEN) == 1
    assert mine.read_bytes() == b"no picture of theirs"
    assert f"{image.id}.png wasn't written by this program" in err()


def test_an_empty_prompt_file_is_nobody_s(run: Runner, site: FakeCivitai, out: Path) -> None:
    image = site.world.add_image(username="maker", meta={"prompt": "x"})
    torn = out / "images" / f"{image.id}.txt"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(bytes(100))
    assert run(f"{site.url}/images/{image.id}", *TOKEN, "--refresh") == 0
    assert json.loads(torn.read_bytes())["id"] == image.id


# --- The id of the folder ------------------------------------------------------------------------


def test_the_first_line_of_a_log_names_the_folder_for_good(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_file(site)
    assert run(link(site), "--dry-run") == 0
    assert not (out / "download_state.jsonl").exists()
    assert run(link(site)) == 0
    first, *rest = map(json.loads, (out / "download_state.jsonl").read_text("utf-8").splitlines())
    assert first["type"] == "library"
    assert len(first["id"]) == 32
    assert int(first["id"], 16)
    assert run(link(site), "--force") == 0
    lines = [json.loads(line) for line in (out / "download_state.jsonl").read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines if line["type"] == "library"] == [first["id"]]
    assert rest


def test_an_older_log_gets_its_id_once_and_keeps_it_when_it_is_made_short(
    run: Runner, site: FakeCivitai, out: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    assert run(link(site)) == 0
    log = out / "download_state.jsonl"
    old = b"".join(line for line in log.read_bytes().splitlines(keepends=True) if b'"library"' not in line)
    log.write_bytes(old)
    assert run(link(site)) == 0
    (name,) = (key for key in state() if key[0] == "library")
    monkeypatch.setattr(KeyedLog, "COMPACT_FROM", 1)
    log.write_bytes(3 * log.read_bytes())
    assert run(link(site), "--force") == 0
    assert name in state()
    assert log.read_bytes().count(b'"library"') == 1


def test_a_run_that_brings_nothing_home_names_the_folder_too(run: Runner, out: Path, state: State) -> None:
    assert run("404404") == 1
    assert [key[0] for key in state()] == ["library"]
    assert read_json(out / "report.json")["program"].startswith("civitai-downloader")


def test_a_probe_touches_no_file_of_the_users(run: Runner, site: FakeCivitai, out: Path) -> None:
    add_file(site)
    out.mkdir()
    (out / ".writable").write_bytes(WORDS)
    assert run(link(site), *TOKEN) == 0
    assert (out / ".writable").read_bytes() == WORDS
    assert not list(out.glob(".writable-*"))
