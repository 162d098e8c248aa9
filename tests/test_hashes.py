"""Files are hashed in one piece of memory, can be given up at once, and may not change meanwhile."""

from __future__ import annotations

import hashlib
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import Failure, Stopped
from civitai_downloader.util.hashes import BUFFER, Hashed, autov3_of, blocks, hash_file, hashes_of
from tests.fake_civitai import safetensors_bytes


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def hashed(path: Path, told: list[int] | None = None) -> Hashed:
    return hash_file(path, Clock(), bytearray(BUFFER), (told if told is not None else []).append)


@pytest.mark.parametrize("size", [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER + 7])
def test_a_hash_comes_with_the_size_and_time_of_what_was_read(tmp_path: Path, size: int) -> None:
    data, told = os.urandom(size), list[int]()
    path = put(tmp_path / "file", data)
    assert hashed(path, told) == Hashed(size, path.stat().st_mtime_ns, hashlib.sha256(data).hexdigest())
    assert sum(told) == size
    assert max(told, default=0) <= BUFFER


def test_one_buffer_serves_many_files(tmp_path: Path) -> None:
    buffer = bytearray(1000)
    for size in (5000, 10, 0, 999):
        data = os.urandom(size)
        path = put(tmp_path / "file", data)
        assert hash_file(path, Clock(), buffer, len_of).sha256 == hashlib.sha256(data).hexdigest()


def len_of(count: int) -> None:
    assert count


def test_no_more_memory_is_held_than_the_buffer(tmp_path: Path) -> None:
    path, buffer = put(tmp_path / "file", bytes(40 << 20)), bytearray(BUFFER)
    tracemalloc.start()
    hash_file(path, Clock(), buffer, len_of)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


@given(st.binary(max_size=50), st.integers(1, 9), st.integers(0, 60))
def test_blocks_are_what_is_in_the_file(data: bytes, size: int, most: int) -> None:
    path = put(Path("blocks"), data)
    with path.open("rb", buffering=0) as file:
        assert b"".join(map(bytes, blocks(file, bytearray(size), most))) == data[:most]
        assert file.tell() == len(data[:most])


# --- AutoV3 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [safetensors_bytes(1, 3 * BUFFER), safetensors_bytes(1)[:128], b"", b"short", bytes(99)]
)
def test_autov3_is_the_same_as_in_one_go(tmp_path: Path, data: bytes) -> None:
    path, buffer, told = put(tmp_path / "file", data), bytearray(1000), list[int]()
    known = hash_file(path, Clock(), buffer, len_of)
    assert (known.sha256, autov3_of(path, known, Clock(), buffer, told.append)) == hashes_of(
        path, Clock(), weights=True
    )
    assert sum(told) == len(data)


def test_autov3_of_a_file_that_has_changed_since_is_none(tmp_path: Path) -> None:
    path = put(tmp_path / "file", safetensors_bytes(1))
    known = hashed(path)
    os.utime(path, ns=(0, known.mtime + 100))
    with pytest.raises(Failure, match="is being changed"):
        autov3_of(path, known, Clock(), bytearray(BUFFER), len_of)


# --- Changes -------------------------------------------------------------------------------------


def test_a_file_that_changes_once_is_read_again(tmp_path: Path) -> None:
    path, told = put(tmp_path / "file", b"old" * BUFFER), list[int]()

    def change(count: int) -> None:
        if not told:
            with path.open("r+b") as file:
                file.write(b"new")
            os.utime(path, ns=(0, 10**18))
        told.append(count)

    seen = hash_file(path, Clock(), bytearray(BUFFER), change)
    assert seen == Hashed(3 * BUFFER, 10**18, hashlib.sha256(path.read_bytes()).hexdigest())
    assert sum(told) == 3 * BUFFER
    assert [count for count in told if count < 0] == [-3 * BUFFER]


@pytest.mark.parametrize("size", [1, BUFFER, 9 * BUFFER])
def test_a_file_that_goes_on_changing_is_a_failure(tmp_path: Path, size: int) -> None:
    path, calls = put(tmp_path / "a.safetensors", bytes(3 * BUFFER)), 0

    def change(count: int) -> None:
        nonlocal calls
        calls += 1
        os.truncate(path, size)
        os.utime(path, ns=(0, calls * 10**9))

    with pytest.raises(Failure, match=r"a\.safetensors is being changed while it is read") as caught:
        hash_file(path, Clock(), bytearray(BUFFER), change)
    assert caught.value.reason == "disk"


def test_a_file_that_grows_as_fast_as_it_is_read_is_given_up(tmp_path: Path) -> None:
    path, told = put(tmp_path / "a.pt", bytes(2 * BUFFER)), list[int]()
    time = path.stat().st_mtime_ns

    def grow(count: int) -> None:
        told.append(count)
        assert len(told) < 20
        with path.open("ab") as file:
            file.write(bytes(BUFFER))
        os.utime(path, ns=(0, time))  # some disks write it down late

    with pytest.raises(Failure, match="is being changed"):
        hash_file(path, Clock(), bytearray(BUFFER), grow)


def test_a_file_that_is_not_there_is_a_failure_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"a\.pt can't be read \("):
        hashed(tmp_path / "a.pt")


# --- Stopping ------------------------------------------------------------------------------------


def test_a_hash_is_given_up_at_once(tmp_path: Path) -> None:
    path, clock, told = put(tmp_path / "file", bytes(9 * BUFFER)), Clock(), list[int]()

    def stop(count: int) -> None:
        told.append(count)
        clock.stop()

    with pytest.raises(Stopped):
        hash_file(path, clock, bytearray(BUFFER), stop)
    assert told == [BUFFER]


def test_two_threads_hash_side_by_side(tmp_path: Path) -> None:
    paths = [put(tmp_path / str(number), bytes([number]) * (2 << 20)) for number in range(2)]
    both, seen = threading.Barrier(2, timeout=60), dict[Path, Hashed]()

    def work(path: Path) -> None:
        met = False

        def meet(count: int) -> None:
            nonlocal met
            if not met:
                met = True
                both.wait()  # neither waits for the other to end

        seen[path] = hash_file(path, Clock(), bytearray(BUFFER), meet)

    threads = [threading.Thread(target=work, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {path: each.sha256 for path, each in seen.items()} == {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }
