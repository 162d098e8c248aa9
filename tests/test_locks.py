"""A lock is held by one process at a time, and says by whom."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.locks import FolderLock, Holder, holder_of, is_held
from tests.conftest import QuickClock
from tests.holding import held


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Where a lock is to be."""
    return tmp_path / "out" / "x.lock"


def test_a_lock_that_another_process_holds_is_not_given(lock: Path) -> None:
    with held(lock, copy="3/8") as other:
        assert is_held(lock)
        assert not FolderLock(lock).acquire(QuickClock())
        holder = holder_of(lock)
        assert (holder.process, holder.copy) == (str(other.pid), "3/8")
        assert holder.started.endswith("Z")
    assert not is_held(lock)
    mine = FolderLock(lock)
    assert mine.acquire(QuickClock())
    assert holder_of(lock).process == str(os.getpid())
    mine.release()
    mine.release()
    assert [each.name for each in lock.parent.iterdir()] == [lock.name]


def test_a_lock_of_a_process_that_was_killed_is_free_at_once(lock: Path) -> None:
    with held(lock) as other:
        other.kill()
        other.wait()
        assert not is_held(lock)
        assert FolderLock(lock).acquire(QuickClock())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")
def test_a_look_at_a_lock_asks_the_server_of_a_shared_folder(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An NFS client with a read delegation locks by itself what was opened for reading alone."""
    import fcntl

    modes: list[int] = []
    take = fcntl.lockf

    def spy(file: IO[bytes], how: int) -> None:
        modes.append(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE)
        take(file, how)

    with held(lock):
        monkeypatch.setattr(fcntl, "lockf", spy)
        assert is_held(lock)
    assert modes == [os.O_RDWR]


def test_a_look_at_a_lock_is_not_taken_for_a_holder(lock: Path) -> None:
    """Whoever sees whether it is held locks it for a moment, which is waited for."""
    with held(lock) as other:
        threading.Timer(0.2, other.kill).start()
        begun = time.monotonic()
        mine = FolderLock(lock)
        assert mine.acquire(Clock())
        assert time.monotonic() - begun < 10
        mine.release()


def test_a_lock_that_is_not_there_is_not_held_and_not_made(lock: Path) -> None:
    assert not is_held(lock)
    assert not lock.parent.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_what_is_no_lock_is_never_held(lock: Path) -> None:
    lock.parent.mkdir()
    lock.symlink_to(lock.parent / "other")
    (lock.parent / "other").touch()
    os.mkfifo(lock.parent / "y.lock")
    assert not is_held(lock)
    assert not is_held(lock.parent / "y.lock")


@pytest.mark.parametrize(
    ("content", "holder"),
    [
        (None, Holder()),
        (b"", Holder()),
        (b"\0" * 100, Holder()),
        (b"[1]", Holder()),
        (b'{"pid": "5", "started": "now", "host": 7, "copy": "all"}', Holder()),
        (b'{"pid": true, "started": "2026-01-02T03:04:05Z\\u001b[2J", "copy": "3/8\\n"}', Holder()),
        (b'{"pid": 5, "started": "2026-01-02T03:04:05Z", "copy": "3/8"}', Holder("5", "2026-01-02T03:04:05Z", "3/8")),
        (b'{"pid": 5, "host": "node-7"}', Holder("node-7:5")),
        (b'{"pid": 5, "host": "\\u001b[31m"}', Holder("5")),
        (b'{"pid": 5, "x": "' + b"y" * 10_000 + b'"}', Holder()),
    ],
)
def test_of_a_holder_only_what_makes_sense_is_believed(tmp_path: Path, content: bytes | None, holder: Holder) -> None:
    if content is not None:
        (tmp_path / "x.holder.json").write_bytes(content)
    assert holder_of(tmp_path / "x.lock") == holder


def test_what_stands_in_a_lock_of_an_earlier_version_goes(lock: Path) -> None:
    lock.parent.mkdir()
    lock.write_text('{"pid": 5}\n')
    mine = FolderLock(lock)
    assert mine.acquire(QuickClock())
    assert json.loads((lock.parent / "x.holder.json").read_text())["pid"] == os.getpid()
    mine.release()
    assert lock.read_bytes() == b""


def test_a_disk_without_locks_holds_nobody_back(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    for _ in range(2):
        assert FolderLock(lock).acquire(QuickClock())
    assert not is_held(lock)
