"""What one copy has asked is known to all: each keeps answers in a log of its own and reads those of all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from civitai_downloader.util.clock import utc_text
from civitai_downloader.util.joined import JoinedLog
from civitai_downloader.util.kept import KeptAnswers, move_old_answers
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import ROOT, add_file
from tests.helpers import link as link_to
from tests.stand_in import Skip

Open = Callable[..., KeptAnswers]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Return `kept(index, asker="me")`, which opens the answers as copy `index` of 8 does; 0 is a run alone."""
    monkeypatch.setattr(KeptAnswers, "LOOK", 0.0)

    def open_as(index: int, asker: str = "me", *, write_only: bool = False) -> KeptAnswers:
        return KeptAnswers(tmp_path, asker, copy=f"{index}-of-8" if index else "", write_only=write_only)

    return open_as


def names(root: Path) -> list[str]:
    """Return what the logs of the answers are called, without their day."""
    return sorted(path.name[len("answers-2026-11-26") :] for path in (root / ".cache" / "lists").iterdir())


def test_what_one_copy_keeps_every_other_one_finds(kept: Open, tmp_path: Path) -> None:
    copies = [kept(index) for index in (1, 2, 3)]
    assert [each.get("x") for each in copies] == [None] * 3
    copies[1].put("x", {"n": 2})
    assert [each.get("x") for each in copies] == [{"n": 2}] * 3
    copies[0].put("y", 1)
    assert [each.get("y") for each in copies] == [1] * 3
    assert names(tmp_path) == [".1-of-8.jsonl", ".2-of-8.jsonl"]
    assert kept(0).get("x") == {"n": 2}
    assert kept(0, "another").get("x") is None


_ANOTHER = """
import pathlib, sys
from civitai_downloader.util.kept import KeptAnswers, _Day
_Day.ROUNDS = 1  # as in the process that reads it
kept = KeptAnswers(pathlib.Path(sys.argv[1]), "me", copy="2-of-8")
for line in sys.stdin:
    kept.put(line.strip(), {"told": line.strip()})
    print(flush=True)
"""


def test_an_answer_of_another_process_is_found_at_once(
    kept: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeptAnswers, "LOOK", 0.0)
    mine = kept(1)
    words = [sys.executable, "-c", _ANOTHER, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for number in range(20):
            assert mine.get(f"{number}") is None
            print(number, file=other.stdin, flush=True)
            other.stdout.readline()
            assert mine.get(f"{number}") == {"told": f"{number}"}


def test_a_bulk_of_questions_looks_once(kept: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = list[None]()
    monkeypatch.setattr(KeptAnswers, "LOOK", 60.0)
    monkeypatch.setattr(JoinedLog, "refresh", lambda _: looks.append(None))
    mine = kept(1)
    assert [mine.get(f"{number}") for number in range(100)] == [None] * 100
    assert len(looks) == 2  # today's and yesterday's


def test_the_last_word_on_an_answer_counts_whoever_says_it(kept: Open, skip_time: Skip) -> None:
    first, second = kept(1), kept(2)
    first.put("x", 1)
    assert second.get("x") == 1
    second.put("x", False)  # in the same second
    assert (second.get("x"), kept(2).get("x")) == (False, False)
    skip_time(2)
    second.put("y", 1)
    assert first.get("y") == 1
    skip_time(0)  # the clock of the first one is behind
    first.put("y", None)
    assert first.get("y") is None


def test_answers_of_yesterday_count_for_a_day(kept: Open, skip_time: Skip, tmp_path: Path) -> None:
    kept(2).put("x", 1)
    skip_time(23 * 3600)
    assert kept(1).get("x") == 1
    skip_time(25 * 3600)
    assert kept(1).get("x") is None
    skip_time(49 * 3600)
    assert kept(1).get("x") is None
    assert names(tmp_path) == []


def test_asking_anew_takes_only_what_others_have_asked_since(kept: Open, skip_time: Skip) -> None:
    for index in (1, 2):
        kept(index).put("x", "old")
    skip_time(5)
    mine, other = kept(1, write_only=True), kept(2, write_only=True)
    assert (mine.get("x"), other.get("x")) == (None, None)
    skip_time(7)
    other.put("x", "new")
    assert (mine.get("x"), other.get("x")) == ("new", "new")
    mine.put("y", 1)
    assert (mine.get("y"), other.get("y")) == (1, 1)


def test_an_answer_of_the_far_future_is_not_believed(kept: Open, skip_time: Skip) -> None:
    skip_time(3600)
    kept(2).put("x", 1)
    skip_time(30)
    kept(2).put("y", 1)
    skip_time(0)
    assert (kept(1).get("x"), kept(1).get("y")) == (None, 1)


def test_the_answers_of_copies_are_moved_with_the_others(tmp_path: Path) -> None:
    old = tmp_path / "lists"
    old.mkdir()
    for name in ("answers-2026-01-01.jsonl", "answers-2026-01-01.3-of-8.jsonl"):
        (old / name).write_text("{}\n")
    move_old_answers(tmp_path)
    assert not old.exists()
    assert len(names(tmp_path)) == 2


@pytest.mark.skipif(os.name == "nt", reason="neither pipes nor links without a privilege there")
def test_what_a_stranger_puts_beside_the_answers_is_not_read(kept: Open, tmp_path: Path) -> None:
    kept(2).put("x", 1)
    folder, day = tmp_path / ".cache" / "lists", utc_text(time.time())[:10]
    (tmp_path / "far").write_bytes((folder / f"answers-{day}.2-of-8.jsonl").read_bytes())
    (folder / f"answers-{day}.2-of-8.jsonl").unlink()
    (folder / f"answers-{day}.2-of-8.jsonl").symlink_to(tmp_path / "far")
    os.mkfifo(folder / f"answers-{day}.3-of-8.jsonl")
    (folder / f"answers-{day}.4-of-8.jsonl").mkdir()
    (folder / f"answers-{day}.5-of-8.jsonl").write_bytes(b"\xff\n[[[\n" + b'{"type":"salt","id":"5-of-8","salt":7}\n')
    (folder / f"answers-{day}.6-of-8.jsonl").write_text('{"type":"salt","id":"6-of-8","salt":"\\ud800"}\n')
    mine = kept(1)
    assert mine.get("x") is None
    mine.put("x", 2)
    assert mine.get("x") == 2


def test_a_copy_asks_for_nothing_that_another_one_has_asked(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_file(site)
    assert run("--only", "metadata", "--shard", "1/1", link_to(site)) == 0
    assert ".1-of-1.jsonl" in names(out)
    site.forget()
    assert run("--only", "metadata", link_to(site)) == 0
    assert not site.seen("site", "/api/v1/models")
