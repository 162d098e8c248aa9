"""What we did not write is never written over: at the top of an output folder, and below it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from civitai_downloader.core.ours import FAILED_MARK
from civitai_downloader.core.pages import UNSIGNED, hand_of, sign
from tests.conftest import Runner, files_under, one_file
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
    assert f"{name} was not written by this program; move it away, or choose another folder with -o." in said
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


def test_an_earlier_version_s_failed_list_is_ours_after_a_kill_too(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file(site)
    older_log(out)
    (out / "failed.txt").write_text("404404\n", "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.core.write_outcome", lambda *_: None)  # as if it had been killed before
        assert run(link(site)) == 0
    assert run(link(site)) == 0
    assert "404404" in (out / "failed.txt").read_text("utf-8").splitlines()


# --- Pages ---------------------------------------------------------------------------------------


def test_a_signed_page_shows_whether_somebody_has_edited_it() -> None:
    page = sign(f"words with Written by civitai-downloader, deadbeef in them\n\ud800{UNSIGNED}\n")
    assert hand_of(page.encode("utf-8", "replace")) == "ours"
    assert hand_of(page.encode("utf-8", "replace") + b"mine") == "edited"
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
        assert f"{name} has been edited and stays as it is" in err()
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
    assert f"{name} was not written by this program" in err()
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
    assert "post.json was not written by this program" in err()
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
    assert f"{image.id}.txt was not written by this program" in err()
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
    assert f"{image.id}.png was not written by this program" in err()


def test_an_empty_prompt_file_is_nobody_s(run: Runner, site: FakeCivitai, out: Path) -> None:
    image = site.world.add_image(username="maker", meta={"prompt": "x"})
    torn = out / "images" / f"{image.id}.txt"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(bytes(100))
    assert run(f"{site.url}/images/{image.id}", *TOKEN, "--refresh") == 0
    assert json.loads(torn.read_bytes())["id"] == image.id
