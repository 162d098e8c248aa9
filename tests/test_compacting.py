"""`--compact` makes one state log of those of all copies, and may be killed anywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.compacting import compact_logs
from civitai_downloader.core.library import Library
from civitai_downloader.core.records import Record
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.shares import Share
from civitai_downloader.util.errors import Failure
from civitai_downloader.util.logs import KeyedLog
from tests.conftest import QuickClock, Runner, files_under
from tests.helpers import ROOT, Err
from tests.holding import held
from tests.test_joined import keyed


def logs(root: Path) -> list[str]:
    """Return the names of ours that tell of copies, and the log."""
    return sorted(path.name for path in root.glob("download_state*"))


def lines(root: Path) -> list[dict[str, Any]]:
    """Return the lines of the only log."""
    return [json.loads(line) for line in (root / "download_state.jsonl").open()]


def known(root: Path) -> Any:
    """Return all that a library knows."""
    library = Library(root)
    kinds = ("library", "model", "image", "page", "local")
    found = [(kind, name, each) for kind in kinds for name, each in library._log.each(kind)]
    library.close()
    return found


def work(root: Path, *, rounds: int = 3) -> None:
    """Let a run and three copies put models on record, each of which the next one supersedes."""
    root.mkdir(exist_ok=True)
    for share in (None, Share(1, 3), Share(2, 3), Share(3, 3)):
        library = Library(root, share=share)
        if not library.library_id:
            library.begin()
        for number in range(rounds):
            for path in ("a", "b"):
                library.record(("model", f"1/{number}"), Record("success", f"{path}/{share}"), source=str(share))
        library.close()
        for name in ("lock", "holder.json") if share else ():
            (root / f"download_state.{share.name if share else ''}.{name}").touch()


def compact(root: Path) -> None:
    compact_logs([root], Settings(output=root), QuickClock())


def test_one_log_is_made_of_all(tmp_path: Path, run: Runner, out: Path, err: Err) -> None:
    work(out)
    before, page = known(out), out / ".page" / "user-data.js"
    for path in (out / "report.1-of-3.json", out / "failed.1-of-3.txt", page, out / ".cache" / "claims" / "x" / "y"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert run("--compact") == 0
    assert logs(out) == ["download_state.jsonl", "download_state.lock"]
    assert known(out) == before
    counted = [(each["type"], each["id"], each.get("path")) for each in lines(out)]
    assert len(set(counted)) == len(counted) == 1 + 3 * 2 * 4
    assert [each["at"] for each in lines(out)] == sorted(each["at"] for each in lines(out))
    assert re.search(r"logs before: 4, lines before: 25, lines now: 25\.", err())
    assert {"report.1-of-3.json", "failed.1-of-3.txt", ".page/user-data.js"} <= {*files_under(out)}
    assert not (out / ".cache" / "claims").exists()
    again = (out / "download_state.jsonl").read_bytes()
    assert run("--compact") == 0
    assert (out / "download_state.jsonl").read_bytes() == again
    assert "logs before: 1, lines before: 25, lines now: 25." in err()


def test_superseded_lines_go_and_torn_ones_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = KeyedLog(tmp_path / "download_state.2-of-3.jsonl")
    for number in range(10):
        log.append(keyed("1", number, n=number))
    log.close()
    with (tmp_path / "download_state.1-of-3.jsonl").open("wb") as file:
        file.write(b"nonsense\n" + json.dumps(keyed("1", 20, "x", n=20)).encode() + b'\n{"at":"20')
    compact(tmp_path)
    assert [each["n"] for each in lines(tmp_path)] == [9, 20]
    assert "1-of-3.jsonl, line 1 is not a record" in caplog.text
    assert "1-of-3.jsonl, line 3 is incomplete" in caplog.text


@pytest.mark.parametrize("turn", range(12))
def test_a_compaction_that_is_cut_off_is_finished_by_the_next(
    tmp_path: Path, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that changes the disk is the last one that the process makes."""
    work(tmp_path)
    before, left = known(tmp_path), [turn]

    def cutting(plain: Any) -> Any:
        def act(*words: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return plain(*words, **more)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cutting(os.replace))
        patch.setattr(Path, "unlink", cutting(Path.unlink))
        patch.setattr("civitai_downloader.util.logs.write_whole", cutting(lambda file, data: file.write(data)))
        try:
            compact(tmp_path)
        except KeyboardInterrupt:
            assert known(tmp_path) == before
    compact(tmp_path)
    assert known(tmp_path) == before
    assert logs(tmp_path) == ["download_state.jsonl", "download_state.lock"]


_COMPACT = """
import os, pathlib, signal, sys
from civitai_downloader.core.compacting import compact_logs
from civitai_downloader.core.settings import Settings
from civitai_downloader.util.clock import Clock
left = int(sys.argv[2])
def look(event, _):
    global left
    if event in ("os.rename", "os.remove", "os.truncate", "shutil.rmtree"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(look)
compact_logs([pathlib.Path(sys.argv[1])], Settings(), Clock())
"""


@pytest.mark.skipif(os.name == "nt", reason="a process is killed by a signal")
@pytest.mark.long
def test_a_compaction_that_is_killed_anywhere_loses_nothing(tmp_path: Path) -> None:
    for turn in range(20):
        root = tmp_path / str(turn)
        work(root)
        before = known(root)
        code = subprocess.run([sys.executable, "-c", _COMPACT, str(root), str(turn)], cwd=ROOT).returncode
        assert known(root) == before
        compact(root)
        assert known(root) == before
        assert logs(root) == ["download_state.jsonl", "download_state.lock"]
        if code == 0:
            break
    assert 5 < turn < 19


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.sampled_from("pq"), st.integers(0, 5)), max_size=20
)


@given(STEPS, st.booleans())
def test_whatever_the_clocks_said_the_same_records_count_afterwards(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, is_killed: bool
) -> None:
    root = tmp_path_factory.mktemp("out")
    names = ["download_state.jsonl", *(f"download_state.{index}-of-3.jsonl" for index in (1, 2, 3))]
    files = [KeyedLog(root / name) for name in names]
    files[1].append(keyed("z", 0, n=-1))
    for number, (rank, name, path, second) in enumerate(steps):
        files[rank].append(keyed(name, second, path, n=number))
    for each in files:
        each.close()
    before = counting(root)
    others = {path: path.read_bytes() for path in root.glob("download_state.*-of-*.jsonl")}
    compact(root)
    if is_killed:  # before the other logs were removed
        for path, data in others.items():
            path.write_bytes(data)
    assert counting(root) == before
    compact(root)
    assert counting(root) == before


def counting(root: Path) -> Any:
    """Return the numbers of the records that count."""
    library = Library(root)
    found = sorted((name, [line["n"] for line in each]) for name, each in library._log.each("image"))
    library.close()
    return found


@pytest.mark.parametrize("name", ["download_state.lock", "download_state.2-of-3.lock"])
def test_nothing_is_compacted_while_somebody_writes(run: Runner, out: Path, err: Err, name: str) -> None:
    work(out)
    with held(out / name, copy="2/3" if "-of-" in name else ""):
        assert run("--compact") == 2
        assert "is writing to" in err()
    assert len([each for each in logs(out) if each.endswith(".jsonl")]) == 4
    assert run("--compact", "--wait") == 0


def test_a_folder_without_a_log_is_told(run: Runner, out: Path, err: Err) -> None:
    assert run("--compact") == 2
    assert "There is no state log in" in err()
    assert not out.exists()
    assert run("--compact", "--dry-run") == 2
    assert "--compact can't be combined with --dry-run" in err()


def test_a_disk_that_is_full_leaves_all_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work(tmp_path)
    before = known(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.util.logs.write_whole", full)
        with pytest.raises(Failure, match="full"):
            compact(tmp_path)
    assert known(tmp_path) == before
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("where", [".cache", ".cache/claims"])
def test_claims_behind_a_link_stay(tmp_path: Path, where: str) -> None:
    root, far = tmp_path / "out", tmp_path / "far"
    work(root)
    (far / "claims").mkdir(parents=True)
    (far / "x").touch()
    (root / where).parent.mkdir(exist_ok=True)
    (root / where).symlink_to(far)
    compact(root)
    assert (far / "claims").is_dir()
    assert (far / "x").exists()
