"""A thing is verified on its way to disk, and what stops it on that way is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.fetch import decide
from civitai_downloader.core.places import Wanted
from civitai_downloader.core.records import Facts
from tests import fake_civitai as fake
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import Cut, FakeCivitai, FakeModel, FlipBit, Status, busy, from_now
from tests.helpers import (
    MANY,
    STORAGE,
    THING,
    Captured,
    Err,
    add_file,
    landed,
    link,
    newest,
    ranges,
    read_json,
    record_of,
    storage_requests,
)

ELSEWHERE = Path("elsewhere")
PICTURE = Wanted("image", "5", "picture", "a/images/5", (), "")
BINARY = "application/octet-stream"
REFUSALS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "needs a token": ({}, {"needs_token": True}, "needs-token", "https://civitai.com/user/account"),
    "early access": ({}, {"early_access": from_now(9e5)}, "early-access", f"early access until {from_now(9e5)[:10]}"),
    "disabled": ({}, {"usage_control": "Generation"}, "disabled", "Downloads disabled by the creator"),
    "archived": ({"mode": "Archived"}, {}, "archived", "Archived by the creator"),
    "taken down": ({"mode": "TakenDown"}, {}, "taken-down", "took the model down"),
}


# --- The decision --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "facts", "action"),
    [
        (THING, Facts(), "fetch"),
        (THING, Facts(path=THING.path, size=1000), "adopt"),
        (THING, Facts(path=THING.path, size=5000), "adopt"),
        (THING, Facts(path=THING.path, size=1000, is_old=True), "fetch"),
        (THING, Facts(path=THING.path, size=1000, is_old=True, twin=ELSEWHERE), "link"),
        (THING, Facts(in_place=True), "keep"),
        (THING, Facts(in_place=True, is_unproven=True), "prove"),
        (THING, Facts(path=THING.path, size=900), "adopt"),
        (THING, Facts(source=ELSEWHERE), "link"),
        (THING, Facts(path=THING.path, size=1000, source=ELSEWHERE), "adopt"),
        (THING, Facts(path=THING.path, size=1000, source=ELSEWHERE, is_copy=True), "keep"),
        (THING, Facts(twin=ELSEWHERE), "link"),
        (THING, Facts(path=THING.path, size=5000, twin=ELSEWHERE), "adopt"),
        (replace(THING, size=0), Facts(path=THING.path, size=1000), "adopt"),
        (replace(THING, size=0), Facts(path=THING.path, size=1000, twin=ELSEWHERE), "adopt"),
        (PICTURE, Facts(in_place=True), "keep"),
        (PICTURE, Facts(source=ELSEWHERE), "link"),
        (PICTURE, Facts(path="a/images/5.png", size=10, source=ELSEWHERE), "link"),
        (PICTURE, Facts(path="a/images/5.png", size=10, source=ELSEWHERE, is_copy=True), "keep"),
        (PICTURE, Facts(path="a/images/5.png", size=10), "adopt"),
        (PICTURE, Facts(path="a/images/5.png", size=10, twin=ELSEWHERE), "adopt"),
        (PICTURE, Facts(path="a/images/5.png", size=0), "fetch"),
    ],
)
def test_what_to_do_is_decided_before_anything_is_touched(wanted: Wanted, facts: Facts, action: str) -> None:
    assert decide(wanted, facts, force=False) == action
    assert decide(wanted, facts, force=True) == "fetch"


# --- What the site does not give -----------------------------------------------------------------


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_named_in_words(
    run: Runner, site: FakeCivitai, capsys: Captured, out: Path, state: State, case: str
) -> None:
    of_model, of_version, reason, words = REFUSALS[case]
    version = site.world.add_model(**of_model).add_version(**of_version)
    version.add_file("a.safetensors")
    assert run("10001") == 1
    assert words in capsys.readouterr().err
    (failed,) = [each for each in read_json(out / "report.json")["files"] if each["outcome"] == "failed"]
    assert failed["reason"] == reason
    lines = (out / "failed.txt").read_text("utf-8").splitlines()
    assert lines[-1] == "10001"
    assert lines[2].startswith("# Paper Lantern Style [10001] v1.0")
    assert not list(out.rglob("*.safetensors"))
    assert ("page", "model/10001") not in state()


def test_three_used_up_waits_for_downloads_mean_the_quota(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    for number in range(6):
        site.world.add_model(f"M{number}").add_version().add_file(f"{number}.safetensors")
    site.world.quota = 1
    assert run(*map(str, site.world.models), "--workers", "1", "--no-gallery") == 1
    asked = [seen for seen in site.seen("site", "/api/download/") if seen.status == 429]
    assert len({seen.path for seen in asked}) == 3
    assert "download quota" in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_five_minutes_of_waiting_fail_one_item_and_not_the_run(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    site.fail("site:/api/v1/images.*modelVersionId=20001", busy(503), times=None)
    assert run("10001") == 1
    assert 290 < read_json(out / "report.json")["seconds"] < 590  # the others wait along, not one after the other
    assert "busy" in capsys.readouterr().err
    assert storage_requests(site) == 2


def test_a_video_answered_by_a_still_is_asked_for_again(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel
) -> None:
    video = newest(lora).add_image(kind="video", still_for_original=True)
    stubborn = newest(lora).add_image(kind="video", still_always=True)
    assert run("10001") == 1
    assert one_file(out, f"{video.id}.mp4").read_bytes() == video.data
    failed = read_json(out / "report.json")["files"]
    assert [each["reason"] for each in failed if each["id"] == str(stubborn.id)] == ["still"]
    assert not list(out.rglob("*.part"))


# --- Wrong bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "place"), [(1200, 500), (300_000, 150_000)], ids=["small", "large"])
def test_the_same_wrong_bytes_twice_are_an_answer_and_kept_aside(
    run: Runner, site: FakeCivitai, out: Path, err: Err, state: State, size: int, place: int
) -> None:
    file = add_file(site, size)
    site.fail(STORAGE, FlipBit(place), times=MANY)
    assert run(link(site)) == 1
    assert storage_requests(site) == 2
    assert "Wrong SHA256 on the site" in err()
    ((name, data),) = files_under(out / "corrupted").items()
    assert name == "lantern [20001-30001].safetensors"
    assert len(data) == size
    assert [at for at in range(size) if data[at] != file.data[at]] == [place]
    assert not list((out / "users").rglob(f"{file.name}*"))
    assert record_of(state, site)["status"] == "failed"
    assert "SHA256" in record_of(state, site)["reason"]


@pytest.mark.parametrize(("size", "place"), [(1200, 500), (300_000, 150_000)], ids=["small", "large"])
def test_one_wrong_transfer_is_repaired(run: Runner, site: FakeCivitai, out: Path, size: int, place: int) -> None:
    file = add_file(site, size)
    site.fail(STORAGE, FlipBit(place))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site) == ["", ""]


def test_without_a_published_hash_size_and_header_decide_and_the_report_says_so(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    version = site.world.add_model().add_version()
    version.add_file("good.safetensors", hashed=False)
    version.add_file("broken.safetensors", b"no header at all" * 90, hashed=False)
    version.add_file("short.ckpt", b"x" * 5000, hashed=False, size_kb=50.0)
    assert run("10001") == 1
    assert [path.name for path in out.rglob("users/**/*.safetensors")] == ["good.safetensors"]
    assert len(list((out / "corrupted").iterdir())) == 2
    assert "since the site publishes no hash" in capsys.readouterr().err
    files: list[dict[str, object]] = read_json(out / "report.json")["files"]
    verified = {str(each["name"])[-16:]: each["verified"] for each in files if each["outcome"] == "done"}
    assert verified == {"good.safetensors": False}


@pytest.mark.parametrize(
    ("page", "file", "words"),
    [
        (fake.HTML_PAGE, {}, "a page instead of the file"),
        (fake.JSON_PAGE, {}, "a page instead of the file"),
        (fake.MAINTENANCE, {}, "a page instead of the file"),
        (
            Status(200, "<!DOCTYPE html><html>Log in</html>", content_type="text/html"),
            {"size": 1200},
            "a page instead of the file",
        ),
        (Status(200, "<html>" + "x" * 3000, content_type=BINARY), {}, "SHA256 mismatch"),
        (Status(200, "<html>" + "x" * 3000, content_type=BINARY), {"size": 1200}, "The server offers 3006 bytes"),
        (
            Status(200, "\ufeff\n <!DOCTYPE html><title>Log in</title>", content_type=BINARY),
            {"name": "notes.zip", "hashed": False, "size_kb": 0.0},
            "a page instead of the file",
        ),
    ],
    ids=["html", "json", "maintenance", "login", "said to be a file", "and too long", "and of unknown size"],
)
def test_a_page_is_never_saved_as_a_model(
    run: Runner, site: FakeCivitai, out: Path, err: Err, page: Status, file: dict[str, Any], words: str
) -> None:
    added = add_file(site, **file)
    site.fail(STORAGE, page, times=MANY)
    assert run(link(site)) == 1
    assert words in err()
    assert not list((out / "users").rglob(f"{added.name}*"))


# --- A full disk ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "free", "words"),
    [(1200, 100, "1.2 KB needed, 100 B free"), (300_000, 1000, "293.0 KB needed, 1000 B free")],
)
def test_a_full_disk_is_told_before_a_file_starts(
    run: Runner, site: FakeCivitai, err: Err, monkeypatch: pytest.MonkeyPatch, size: int, free: int, words: str
) -> None:
    add_file(site, size)
    monkeypatch.setattr("civitai_downloader.core.fetch.free_space", lambda path: free)
    assert run(link(site)) == 1
    said = err()
    assert "has no room for" in said
    assert words in said
    assert not site.seen("storage")


# --- Going on ------------------------------------------------------------------------------------


def test_a_cut_file_is_resumed_by_the_next_run(run: Runner, site: FakeCivitai, out: Path) -> None:
    file = site.world.add_model().add_version().add_file("big.safetensors", size=3_000_000)
    site.fail("storage:/", Cut(2_000_000))
    site.fail("storage:/", Status(500), times=None)
    assert run("10001", "--retries", "0") == 1
    site.heal()
    part = one_file(out, "big.safetensors.part")
    assert part.stat().st_size >= 1_900_000
    site.forget()
    assert run("10001") == 0
    (again,) = site.seen("storage")
    assert again.headers["range"].startswith("bytes=")
    assert again.headers["if-range"]
    assert int(again.headers["range"][6:-1]) >= 1_900_000
    assert one_file(out, "big.safetensors").read_bytes() == file.data
    assert not list(out.rglob("*.part*"))


def test_no_resume_begins_anew(run: Runner, site: FakeCivitai) -> None:
    site.world.add_model().add_version().add_file("big.safetensors", size=3_000_000)
    site.fail("storage:/", Cut(2_000_000))
    site.fail("storage:/", Status(500), times=None)
    run("10001", "--retries", "0")
    site.heal()
    site.forget()
    assert run("10001", "--no-resume") == 0
    assert "range" not in site.seen("storage")[0].headers
