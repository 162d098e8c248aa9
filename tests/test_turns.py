"""A folder is written to by one run, or by the copies of one batch."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from civitai_downloader.core.libraries import Libraries
from civitai_downloader.core.ours import LOCK
from civitai_downloader.core.shares import Share, name_for
from civitai_downloader.core.turns import Turn
from civitai_downloader.util.errors import UsageError
from civitai_downloader.util.locks import is_held
from tests.conftest import QuickClock
from tests.helpers import ROOT
from tests.holding import held

THIRD = Share(3, 8)


def copy_lock(root: Path, share: Share) -> Path:
    """Return where the lock of a copy is."""
    return root / name_for(LOCK, share)


@pytest.mark.parametrize(
    ("holder", "name", "share", "told"),
    [
        (None, "", None, "Another run (process {pid}, started 2"),
        (None, "", THIRD, "Another run (process {pid}, started 2"),
        (Share(5, 8), "5/8", None, "Copy 5/8 (process {pid}, started 2"),
        (THIRD, "3/8", THIRD, "Copy 3/8 (process {pid}, started 2"),
        (Share(1, 4), "1/4", THIRD, "Copy 1/4 of another batch (process {pid}, started 2"),
    ],
)
def test_who_may_not_write_is_told_who_does(
    tmp_path: Path, holder: Share | None, name: str, share: Share | None, told: str
) -> None:
    path = copy_lock(tmp_path, holder) if holder else tmp_path / LOCK
    with held(path, copy=name) as other:
        with pytest.raises(UsageError) as refused:
            Turn(tmp_path, share, QuickClock()).take(None)
        assert str(refused.value).startswith(told.format(pid=other.pid))
        assert "--wait" in str(refused.value)
        assert not is_held(copy_lock(tmp_path, Share(3, 8))) or holder == THIRD
        said = list[str]()
        threading.Timer(2, other.kill).start()
        lock = Turn(tmp_path, share, QuickClock()).take(said.append)
        assert [words[:12] for words in said] == ["Waiting for "]
        lock.release()


def test_copies_of_one_batch_write_side_by_side(tmp_path: Path) -> None:
    with held(copy_lock(tmp_path, Share(1, 8)), copy="1/8"):
        lock = Turn(tmp_path, THIRD, QuickClock()).take(None)
        assert lock.path.name == "download_state.3-of-8.lock"
        lock.release()


def test_a_copy_waits_for_one_that_begins(tmp_path: Path) -> None:
    with held(tmp_path / LOCK, copy="5/8") as other:
        threading.Timer(0.5, other.kill).start()
        Turn(tmp_path, THIRD, QuickClock()).take(None).release()


def test_a_lock_whose_holder_is_dead_stops_nobody(tmp_path: Path) -> None:
    with held(tmp_path / LOCK, copy_lock(tmp_path, Share(1, 4))) as other:
        other.kill()
        other.wait()
        Turn(tmp_path, THIRD, QuickClock()).take(None).release()


_COPY = """
import pathlib, sys
from civitai_downloader.core.libraries import Libraries
from civitai_downloader.core.shares import Share
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import UsageError
root, index, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
try:
    share = Share(index, count) if count else None
    library = Libraries(Clock(), wait=None, read_only=False, share=share).open(root)
except UsageError as error:
    print("refused", error, flush=True)
else:
    print("writes", library.library_id, flush=True)
sys.stdin.read()
"""


@contextmanager
def copies(root: Path, *shares: tuple[int, int]) -> Iterator[list[list[str]]]:
    """Have processes open a library at the same time, and give what each of them says."""
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _COPY, str(root), str(index), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )
        for index, count in shares
    ]  # fmt: skip
    try:
        yield [other.stdout.readline().split(maxsplit=1) for other in others if other.stdout is not None]
    finally:
        for other in others:
            other.communicate(timeout=60)


def test_copies_that_begin_together_give_the_folder_one_id(tmp_path: Path) -> None:
    with copies(tmp_path / "out", *((index, 6) for index in range(1, 7))) as said:
        assert {words[0] for words in said} == {"writes"}
        assert len({words[1] for words in said}) == 1
    logs = [json.loads(line) for path in (tmp_path / "out").glob("*.jsonl") for line in path.open()]
    assert [each["type"] for each in logs] == ["library"]


@pytest.mark.parametrize("shares", [[(1, 2), (1, 3), (0, 0), (2, 2)], [(0, 0), (0, 0)], [(1, 2), (1, 2), (1, 2)]])
def test_who_may_not_work_side_by_side_never_does(tmp_path: Path, shares: list[tuple[int, int]]) -> None:
    with copies(tmp_path / "out", *shares) as said:
        writing = [share for share, words in zip(shares, said, strict=True) if words[0] == "writes"]
    assert writing
    assert len({count for _, count in writing}) == 1
    assert len(set(writing)) == len(writing)
    assert writing.count((0, 0)) <= 1


def test_one_folder_by_two_ways_is_one_library(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    libraries = Libraries(QuickClock(), wait=None, read_only=False)
    first = libraries.open(tmp_path / "out")
    assert libraries.open(tmp_path / "x" / ".." / "out") is first
    assert (len(libraries), list(libraries)) == (1, [first])
    first.close()
