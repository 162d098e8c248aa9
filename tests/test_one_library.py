"""The logs of copies are one library: for a copy that works beside others, and for every run after them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.library import Library
from civitai_downloader.core.ours import check_names, check_output
from civitai_downloader.core.places import Wanted
from civitai_downloader.core.records import Record
from civitai_downloader.core.shares import Share
from civitai_downloader.util.errors import UsageError
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import SHA, Captured, Err
from tests.shown import shown_in


def give_to_copies(out: Path, *, keep: int = 0) -> None:
    """Deal the lines of the state log behind the first ones out to two copies, as if these had written them."""
    log = out / "download_state.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    ids = dict.fromkeys(json.loads(line)["id"] for line in lines[keep:])
    for index in (1, 2):
        mine = {*list(ids)[index - 1 :: 2]}
        dealt = (line for line in lines[keep:] if json.loads(line)["id"] in mine)
        (out / f"download_state.{index}-of-2.jsonl").write_bytes(b"".join(dealt))
    log.write_bytes(b"".join(lines[:keep])) if keep else log.unlink()


@pytest.mark.usefixtures("lora")
def test_a_later_run_sees_the_logs_of_copies_as_one(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    assert run("10001") == 0
    give_to_copies(out)
    asked = len(site.seen("site", "/api/download"))
    assert run("10001") == 0
    assert len(site.seen("site", "/api/download")) == asked
    for words in (["--verify"], ["--updates"], ["--page"], ["--refilter"]):
        assert run(*words) == 0, words
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("lora")
def test_a_folder_with_logs_of_copies_alone_is_a_library(run: Runner, out: Path) -> None:
    assert run("10001") == 0
    give_to_copies(out)
    (out / "download_state.lock").unlink()
    below = next(out.glob("users/*/models/*"))
    assert run(str(below)) == 0
    assert not (below / "download_state.jsonl").exists()
    assert (out / "download_state.jsonl").exists()


@pytest.mark.usefixtures("lora", "mix")
def test_the_page_gains_what_copies_have_brought(
    run: Runner, out: Path, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("10001") == 0
    shutil.copytree(out / ".page", tmp_path / "page")
    count = len((out / "download_state.jsonl").read_bytes().splitlines())
    assert run("10002") == 0
    whole = shown_in(out)
    give_to_copies(out, keep=count)
    shutil.rmtree(out / ".page")
    shutil.copytree(tmp_path / "page", out / ".page")

    def walk(_: Path) -> None:
        raise AssertionError("the folder was walked")

    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.core.gallery.walk", walk)
        assert run("10001") == 0
    assert shown_in(out) == whole
    (out / "download_state.2-of-2.jsonl").unlink()
    assert run("10001") == 0
    assert shown_in(out) == whole
    assert "Traceback" not in err()


def libraries(root: Path) -> tuple[Library, Library]:
    """Return a library as two copies see it that work at the same time."""
    first, second = (Library(root, share=Share(index, 2)) for index in (1, 2))
    return first, second


def test_a_copy_follows_what_another_one_puts_on_record(tmp_path: Path) -> None:
    mine, other = libraries(tmp_path)
    key, path = ("model", "1/2"), "a/thing.safetensors"
    (tmp_path / "a").mkdir()
    (tmp_path / path).write_bytes(b"x" * 7)
    other.record(key, Record("success", path, 7, SHA), source="")
    same = Wanted("model", "3/4", "thing", "b/thing.safetensors", (), "", size=7, sha256=SHA)
    assert mine.find(same) is None
    assert not mine.is_claimed(path)
    mine.refresh()
    assert mine.recorded(key) == Record("success", path, 7, SHA)
    assert mine.is_claimed(path)
    found = mine.find(same)
    assert found is not None
    assert found.path == path
    mine.record(key, Record("failed", path), source="")
    other.refresh()
    assert not other.succeeded(key)
    for library in (mine, other):
        library.close()


def test_a_picture_that_another_copy_has_brought_is_seen(tmp_path: Path) -> None:
    mine, other = libraries(tmp_path)
    wanted = Wanted("image", "5", "5", "images/5", (), "")
    assert mine.facts(wanted).size is None
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "5.png").write_bytes(b"x" * 7)
    mine.refresh()
    assert mine.facts(wanted).path == "images/5.png"
    for library in (mine, other):
        library.close()


# --- What somebody else has put there --------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        {"type": "model", "id": "1/2", "status": "success", "path": "../../secret", "size": 6},
        {"type": "model", "id": "1/2", "status": "success", "path": "/etc/passwd", "size": 6},
        {"type": "model", "id": "1/2", "status": [1], "path": {"a": 1}, "size": "6"},
        {"type": "local", "id": "../x", "path": "../x", "size": 1, "sha256": SHA},
        {"type": "local", "id": "x", "path": 7},
        {"type": "image", "id": "1", "at": {"a": 1}, "path": None},
    ],
)
def test_hostile_lines_in_the_log_of_a_copy_lead_nowhere(tmp_path: Path, line: dict[str, Any]) -> None:
    root = tmp_path / "out"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    mine = Library(root, share=Share(1, 2))
    with (root / "download_state.2-of-2.jsonl").open("ab") as file:
        file.write(b"\xff\0 no json\n" + json.dumps(line).encode() + b"\n" + b"[" * 5000 + b"\n")
    mine.refresh()
    wanted = Wanted("model", "1/2", "thing", "a/b.safetensors", (), "", size=6, sha256=SHA)
    for library in (mine, Library(root)):
        assert library.facts(wanted).source is None
        assert not library.is_claimed("../../secret")
        assert library.found_as(wanted) is None
        library.close()


@pytest.mark.parametrize("ending", ["jsonl", "lock", "holder.json"])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "hard link"])
@pytest.mark.skipif(os.name == "nt", reason="neither pipes nor links without a privilege there")
def test_a_name_of_a_copy_that_somebody_else_has_taken_is_refused(tmp_path: Path, ending: str, kind: str) -> None:
    root = tmp_path / "out"
    root.mkdir()
    (tmp_path / "victim").write_text("{}\n")
    path = root / f"download_state.2-of-3.{ending}"
    make = {"folder": path.mkdir, "link": lambda: path.symlink_to(tmp_path / "victim")}
    make |= {"pipe": lambda: os.mkfifo(path), "hard link": lambda: path.hardlink_to(tmp_path / "victim")}
    make[kind]()
    if (kind, ending) == ("hard link", "holder.json"):  # it is replaced, never written to
        return check_names(root)
    with pytest.raises(UsageError, match=r"download_state\.2-of-3"):
        check_names(root)
    with pytest.raises(UsageError):
        check_output(root)
