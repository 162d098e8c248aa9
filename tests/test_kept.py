"""What the site said is kept for a day, for the host and the asker it was said to, and for nobody else."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from civitai_downloader.util.errors import Failure
from civitai_downloader.util.kept import KeptAnswers, cache_folder, move_old_answers
from civitai_downloader.util.logs import KeyedLog
from tests import fake_civitai as fake
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai, World
from tests.helpers import IMAGES, TOKEN, add_file, add_model, link, read_json
from tests.stand_in import Skip

DAY = 86400.0


def lists(root: Path) -> Path:
    """Return the folder of the kept answers."""
    return root / ".cache" / "lists"


def test_answers_are_kept_for_a_day_without_secrets(tmp_path: Path) -> None:
    folder = lists(tmp_path)
    kept = KeptAnswers(tmp_path, "me")
    kept.put("v1/models/5?x=1", {"nextPage": "https://x.example/?token=HUSH&cursor=5"})
    (path,) = folder.iterdir()
    words = path.read_text("utf-8")
    assert "HUSH" not in words
    (mark,) = re.findall(r"([0-9a-f]{32}) v1/models", words)
    old = f'{{"at":"2020-01-01T00:00:00Z","type":"answer","id":"{mark} old","status":"success","answer":1}}'
    path.write_text(words + "\n".join([old, '{"at":"torn', "no json"]), "utf-8")
    ancient = folder / "answers-2020-01-01.jsonl"
    ancient.write_text("{}\n")
    again = KeptAnswers(tmp_path, "me", read_only=True)
    assert again.get("v1/models/5?x=1") == {"nextPage": "https://x.example/?cursor=5"}
    assert again.get("old") is None
    again.put("new", 1)
    assert again.get("new") is None
    assert ancient.exists()
    KeptAnswers(tmp_path, "me").get("new")
    assert not ancient.exists()


def test_answers_that_are_minutes_old_are_used_after_50_hours_of_one_run(tmp_path: Path, skip_time: Skip) -> None:
    kept = KeptAnswers(tmp_path, "me")
    kept.put("old", 1)
    skip_time(50 * 3600)
    kept.put("new", 2)
    assert (kept.get("old"), kept.get("new")) == (None, 2)
    assert len(list(lists(tmp_path).iterdir())) == 1
    skip_time(70 * 3600)
    assert kept.get("new") == 2
    skip_time(75 * 3600)
    assert kept.get("new") is None
    kept.close()
    assert KeptAnswers(tmp_path, "me").get("old") is None


@pytest.mark.parametrize("error", [OSError(5, "gone"), Failure("disk-full", "full")])
def test_what_can_not_be_read_or_kept_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    kept = KeptAnswers(tmp_path, "me")
    kept.put("x", 1)
    monkeypatch.setattr(KeyedLog, "append", fail)
    kept.put("y", 2)
    monkeypatch.setattr(KeyedLog, "get", fail)
    monkeypatch.setattr(KeyedLog, "close", fail)
    assert kept.get("x") is None
    kept.close()


def test_what_one_asker_was_told_no_other_reads(tmp_path: Path) -> None:
    KeptAnswers(tmp_path, "civitai.com\nBearer one").put("x", 1)
    assert KeptAnswers(tmp_path, "civitai.com\nBearer two").get("x") is None
    assert KeptAnswers(tmp_path, "civitai.red\nBearer one").get("x") is None
    assert KeptAnswers(tmp_path, "civitai.com\nBearer one").get("x") == 1


def test_an_asker_can_not_be_told_from_what_is_kept(tmp_path: Path) -> None:
    marks = set()
    for name in ("a", "b"):
        KeptAnswers(tmp_path / name, "civitai.com\nBearer 0123456789abcdef").put("x", 1)
        (data,) = files_under(tmp_path / name).values()
        assert b"0123456789abcdef" not in data
        marks |= {json.loads(line)["id"] for line in data.splitlines() if json.loads(line)["type"] == "answer"}
    assert len(marks) == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [(("--token", "bad-token-0"), TOKEN), (TOKEN, ("--token", "other-token")), (TOKEN, ()), ((), TOKEN)],
    ids=["corrected", "another", "taken away", "given"],
)
def test_another_token_asks_anew(
    site: FakeCivitai, run: Runner, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    add_file(site)
    assert run("--only", "metadata", *before, link(site)) == 0
    site.forget()
    assert run("--only", "metadata", *before, link(site)) == 0
    assert not site.seen("site", "/api/v1/models")
    assert run("--only", "metadata", *after, link(site)) == 0
    assert site.seen("site", "/api/v1/models")


def test_other_cookies_ask_anew(site: FakeCivitai, run: Runner, tmp_path: Path) -> None:
    add_file(site)
    for number, content in enumerate(("a=1", "a=2")):
        (tmp_path / "cookies.txt").write_text(content)
        assert run("--only", "metadata", "--cookies", "cookies.txt", link(site)) == 0
        assert len(site.seen("site", "/api/v1/models")) == number + 1


def test_another_site_is_asked_itself(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_model(site.world, "first")
    assert run("--only", "metadata", "10001") == 0
    with FakeCivitai(World()) as second:
        add_model(second.world, "second")
        assert run("--only", "metadata", "--site", second.url, "10001") == 0
        assert second.seen("site", "/api/v1/models")
    assert '"name": "second"' in one_file(out, "model.json").read_text("utf-8")


# --- The folder ------------------------------------------------------------------------------------


def old_lists(root: Path) -> Path:
    """Make a `lists/` as earlier versions of the program left it."""
    old = root / "lists"
    old.mkdir(parents=True)
    (old / "answers-2026-01-01.jsonl").write_text("{}\n")
    (old / "filters.json").write_text('{"fingerprint": "x"}')
    return old


def test_the_folder_of_earlier_versions_is_moved_once(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_file(site)
    old = old_lists(out)
    assert run(link(site)) == 0
    assert not old.exists()
    assert (lists(out) / "filters.json").is_file()
    old_lists(out)
    assert run(link(site)) == 0
    assert (old / "filters.json").is_file()


@pytest.mark.parametrize("stranger", ["mine.txt", "answers-2026-01-01.jsonl.bak", "more/answers-2026-01-01.jsonl", ""])
def test_a_folder_that_holds_anything_else_is_left_alone(tmp_path: Path, stranger: str) -> None:
    old = old_lists(tmp_path)
    if stranger:
        (old / stranger).parent.mkdir(exist_ok=True)
        (old / stranger).write_text("mine")
    else:
        shutil.rmtree(old)
        old.mkdir()
    before = files_under(tmp_path)
    move_old_answers(tmp_path)
    assert files_under(tmp_path) == before
    assert old.is_dir()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("where", [".cache", ".cache/lists", "lists", "file"])
def test_a_planted_link_is_not_followed(site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, where: str) -> None:
    add_file(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    victim = elsewhere / "filters.json"
    victim.write_text("mine")
    if where == "file":
        assert run(link(site)) == 0
        (answers,) = lists(out).glob("answers-*")
        answers.unlink()
        answers.symlink_to(victim)
    else:
        (out / where).parent.mkdir(parents=True)
        (out / where).symlink_to(elsewhere)
    assert run(link(site)) == 0
    assert files_under(elsewhere) == {"filters.json": b"mine"}
    assert read_json(out / "report.json")["counts"].get("failed", 0) == 0


@pytest.mark.parametrize("where", [".cache", ".cache/lists", "lists"])
def test_a_file_in_the_way_is_no_trouble(site: FakeCivitai, run: Runner, out: Path, where: str) -> None:
    add_file(site)
    (out / where).parent.mkdir(parents=True)
    (out / where).write_text("mine")
    assert run(link(site)) == 0
    assert run(link(site)) == 0
    assert (out / where).read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="an open file can't be deleted there")
@pytest.mark.parametrize("what", [".cache", ".cache/lists", "replaced", "link"])
def test_the_cache_may_vanish_in_mid_run(site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, what: str) -> None:
    for name in ("one", "two", "three"):
        add_model(site.world, name).add_image(meta={"prompt": name})

    def meddle(answer: object) -> object:
        shutil.rmtree(out / what if what.startswith(".") else lists(out), ignore_errors=True)
        if what == "replaced":
            lists(out).write_text("a file")
        if what == "link":
            lists(out).symlink_to(tmp_path)
        return answer

    fault = site.fail(f"{IMAGES}?modelVersionId=20001", fake.Rewrite(meddle))
    before = set(tmp_path.iterdir()) | {out, tmp_path / "models.txt"}
    assert run(lines=["10001", "10002", "10003", "10001 --layout sharded"]) == 0
    assert fault.hits == 1
    report = read_json(out / "report.json")
    assert [target["outcome"] for target in report["targets"]].count("failed") == 0
    assert len(report["files"]) >= 6
    assert set(tmp_path.iterdir()) == before


def test_the_folder_is_known_by_its_root(tmp_path: Path) -> None:
    assert cache_folder(tmp_path) == lists(tmp_path)
