"""A log in several files, each of which another process writes, is as good as one."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.clock import utc_text
from civitai_downloader.util.errors import UsageError
from civitai_downloader.util.files import open_to_read
from civitai_downloader.util.joined import JoinedLog
from civitai_downloader.util.logs import KeyedLog
from tests.helpers import ROOT

BEGUN = 1_800_000_000


def at_second(second: float) -> str:
    """Return the `at` of a record so many seconds after the first one."""
    return utc_text(BEGUN + second)


def keyed(name: str, second: float, path: str = "", kind: str = "image", **more: Any) -> dict[str, Any]:
    """A record as the program writes it."""
    return {"at": at_second(second), "type": kind, "id": name, "status": "success", "path": path, **more}


def open_part(folder: Path, rank: int) -> JoinedLog:
    """Return the log as the process that writes one file sees it."""
    return JoinedLog(folder / f"{rank}.jsonl", lambda: parts_in(folder), rank=rank)


def parts_in(folder: Path) -> dict[int, Path]:
    return {int(path.stem): path for path in folder.glob("*.jsonl")}


def everything(log: KeyedLog, *, with_order: bool = True) -> Any:
    """Return all that a log says of the keys that the tests use."""
    kinds, names = ("image", "model"), "abc"
    live = [(each["type"], each["id"], each["n"]) for each in log.live(*kinds)]
    each_key = [(name, [line["n"] for line in lines]) for kind in kinds for name, lines in log.each(kind)]
    last = [(log.get(kind, name) or {}).get("n") for kind in kinds for name in names]
    places = [[line["n"] for line in log.places(kind, name)] for kind in kinds for name in names]
    return (live if with_order else sorted(live), each_key if with_order else sorted(each_key), last, places)


STEPS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from("abc"), st.sampled_from("pqr"), st.sampled_from(["image", "model"])),
    max_size=25,
)


@given(STEPS)
def test_any_split_of_a_log_over_files_says_the_same(tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    folder = tmp_path_factory.mktemp("log")
    parts: dict[int, JoinedLog] = {}
    whole = KeyedLog(folder / "whole")
    for number, (rank, name, path, kind) in enumerate(steps):
        record = keyed(name, number, path, kind, n=number)
        whole.append(record)
        part = parts.get(rank) or parts.setdefault(rank, open_part(folder, rank))
        part.append(record)
    assert everything(open_part(folder, 9)) == everything(whole)
    for part in parts.values():
        part.refresh()
        assert everything(part) == everything(whole)
        part.close()


@given(STEPS, st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_what_is_written_last_counts_whatever_the_clocks_say(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, skews: list[int]
) -> None:
    """Each file is of a machine whose clock goes wrong, and everybody has read what the others wrote."""
    folder = tmp_path_factory.mktemp("log")
    whole, parts = KeyedLog(folder / "whole"), {rank: open_part(folder, rank) for rank in range(1, 5)}
    for number, (rank, name, path, kind) in enumerate(steps):
        record = keyed(name, number // 4 + rank * skews[number], path, kind, n=number)
        whole.append(record)
        parts[rank].refresh()
        parts[rank].append(record)
    for log in (open_part(folder, 9), *parts.values()):
        log.refresh()
        assert everything(log, with_order=False) == everything(whole, with_order=False)
        log.close()


@given(STEPS, st.lists(st.integers(0, 3), min_size=25, max_size=25), st.integers(1, 4))
def test_whoever_reads_the_files_in_whatever_order_sees_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, skews: list[int], reader: int
) -> None:
    """Nobody knows what the others wrote, and the clocks go back and forth."""
    folder = tmp_path_factory.mktemp("log")
    watching = open_part(folder, 0)
    logs = {rank: KeyedLog(folder / f"{rank}.jsonl") for rank in range(1, 5)}
    for number, (rank, name, path, kind) in enumerate(steps):
        logs[rank].append(keyed(name, skews[number], path, kind, n=number))
        if number % reader == 0:
            watching.refresh()
    watching.refresh()
    assert everything(watching) == everything(open_part(folder, 0)) == everything(open_part(folder, reader))


def test_what_another_process_appends_is_read_as_soon_as_it_is_whole(tmp_path: Path) -> None:
    log = open_part(tmp_path, 1)
    assert log.refresh() == []
    line = json.dumps(keyed("a", 1)).encode() + b"\n"
    with (tmp_path / "2.jsonl").open("ab", buffering=0) as other:
        other.write(line + line[:20])
        assert [each["id"] for each in log.refresh()] == ["a"]
        assert log.refresh() == []
        other.write(line[20:])
        assert [each["id"] for each in log.refresh()] == ["a"]
        other.write(b"nonsense\n\n" + json.dumps(keyed("b", 2)).encode())
        assert [each["id"] for each in log.refresh()] == ["b"]
    assert log.get("image", "b") == keyed("b", 2)
    assert log.problems == [
        "2.jsonl, line 3 is not a record and was skipped; the file it was about will be checked again."
    ]
    log.close()


_WRITER = """
import pathlib, sys
from civitai_downloader.util.logs import KeyedLog
log = KeyedLog(pathlib.Path(sys.argv[1]))
for n in range(500):
    log.append({"at": "2026-11-26T10:00:00Z", "type": "image", "id": str(n), "status": "success", "x": "y" * 500})
log.close()
"""


class Growing(io.BytesIO):
    """A file of which the rest is written when its end has been read once."""

    def __init__(self, data: bytes, rest: bytes) -> None:
        super().__init__(data)
        self._rest = rest

    def __next__(self) -> bytes:
        line = super().__next__()
        if not line.endswith(b"\n"):
            at = self.tell()
            self.write(self._rest)
            self.seek(at)
        return line


def test_a_line_whose_rest_comes_while_it_is_read_is_read_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_part(tmp_path, 1)
    path = tmp_path / "2.jsonl"
    lines = b"".join(json.dumps(keyed(name, 1)).encode() + b"\n" for name in "abc")
    path.write_bytes(lines[:-30])
    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.util.joined.open_to_read", lambda _: Growing(lines[:-30], lines[-30:]))
        patch.setattr("civitai_downloader.util.joined._Part.find_end", lambda *_: True)
        assert [each["id"] for each in log.refresh()] == ["a", "b"]
    path.write_bytes(lines)
    assert [each["id"] for each in log.refresh()] == ["c"]
    assert log.problems == []
    log.close()


def test_a_log_is_read_while_other_processes_write(tmp_path: Path) -> None:
    log = open_part(tmp_path, 1)
    others = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path / f"{rank}.jsonl")], cwd=ROOT) for rank in (2, 3)
    ]
    found = list[str]()
    while any(other.poll() is None for other in others):
        found += (each["id"] for each in log.refresh())
    found += (each["id"] for each in log.refresh())
    assert sorted(found) == sorted(2 * [str(n) for n in range(500)])
    assert log.problems == []
    log.close()


def test_a_record_is_later_than_the_one_it_supersedes(tmp_path: Path) -> None:
    KeyedLog(tmp_path / "2.jsonl").append(keyed("a", 100, n=1))
    KeyedLog(tmp_path / "3.jsonl").append({**keyed("b", 0, n=2), "at": "2027-12-31T23:59:59Z"})
    log = open_part(tmp_path, 1)
    log.append(keyed("a", 5, n=3))
    log.append(keyed("b", 5, n=4))
    log.append(keyed("c", 5, n=5))
    log.close()
    for known in (log, open_part(tmp_path, 2), open_part(tmp_path, 9)):
        assert [(known.get("image", name) or {})["n"] for name in "abc"] == [3, 4, 5]
    times = [json.loads(line)["at"] for line in (tmp_path / "1.jsonl").open()]
    assert times == [at_second(101), "2028-01-01T00:00:00Z", at_second(5)]


@pytest.mark.parametrize(
    "at", [None, 5, "", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "zzzz", "٢٠٢٦-11-20T05:26:00Z"]
)
def test_a_time_that_makes_no_sense_does_not_count_for_ever(tmp_path: Path, at: object) -> None:
    KeyedLog(tmp_path / "2.jsonl").append({**keyed("a", 0, n=1), "at": at})
    log = open_part(tmp_path, 1)
    log.append(keyed("a", 1, n=2))
    log.close()
    assert (open_part(tmp_path, 9).get("image", "a") or {})["n"] == 2


def test_a_file_that_has_become_another_one_is_read_anew(tmp_path: Path) -> None:
    other = tmp_path / "2.jsonl"
    KeyedLog(other).append(keyed("a", 1, n=1))
    log = open_part(tmp_path, 1)
    for name in ("longer " * 20, "b"):
        other.unlink()
        KeyedLog(other).append(keyed(name, 2, n=2))
        log.refresh()
        assert log.get("image", name) == keyed(name, 2, n=2)
        assert log.get("image", "a") is None
    log.close()


@pytest.mark.skipif(os.name == "nt", reason="an open file can't be deleted there")
def test_a_file_that_is_gone_says_nothing(tmp_path: Path) -> None:
    KeyedLog(tmp_path / "2.jsonl").append(keyed("a", 1))
    KeyedLog(tmp_path / "1.jsonl").append(keyed("b", 2))
    log = open_part(tmp_path, 1)
    (tmp_path / "2.jsonl").unlink()
    assert log.refresh() == []
    assert [each["id"] for each in log.live("image")] == ["b"]
    assert log.get("image", "a") is None
    log.close()


def test_a_stale_file_is_read_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is over NFS, where another machine has replaced a file."""
    KeyedLog(tmp_path / "2.jsonl").append(keyed("a", 1))
    stale = [True, False]

    def opened(path: Path) -> IO[bytes]:
        if path.name == "2.jsonl" and stale.pop(0):
            raise OSError(errno.ESTALE, "Stale file handle")
        return open_to_read(path)

    monkeypatch.setattr("civitai_downloader.util.joined.open_to_read", opened)
    log = open_part(tmp_path, 1)
    stale += [True, False]
    assert log.get("image", "a") == keyed("a", 1)
    assert not stale
    log.close()


@pytest.mark.skipif(os.name == "nt", reason="neither pipes nor links without a privilege there")
def test_what_is_no_file_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "far").write_text(json.dumps(keyed("a", 1)) + "\n")
    log = open_part(tmp_path, 1)
    (tmp_path / "2.jsonl").symlink_to(tmp_path / "far")
    os.mkfifo(tmp_path / "3.jsonl")
    assert log.refresh() == []
    with pytest.raises(UsageError):
        open_part(tmp_path, 1)


def test_many_files_need_few_open_ones(tmp_path: Path) -> None:
    for rank in range(2, 102):
        KeyedLog(tmp_path / f"{rank}.jsonl").append(keyed(f"{rank}", rank))
    log = open_part(tmp_path, 1)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert [each["id"] for each in log.live("image")] == [f"{rank}" for rank in range(2, 102)]
    assert not before or len(os.listdir("/proc/self/fd")) - before <= 65
    log.close()
