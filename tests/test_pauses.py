"""A pause that one process is asked for holds for all with the same file, whatever file and clocks say."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util import files
from civitai_downloader.util.clock import utc_text
from civitai_downloader.util.pauses import Pause, SharedPause, moment_in
from tests.conftest import FakeClock, files_under

NOON = 1_795_694_400.0  # 2026-11-26T12:00:00Z
LONGEST, SKEW = 300.0, SharedPause.SKEW


class Machine(FakeClock):
    """The clock of one machine, whose clock on the wall is so many seconds fast."""

    def __init__(self, fast: float = 0.0) -> None:
        super().__init__()
        self.fast = fast

    def wall(self) -> float:
        return NOON + self.time - 1000.0 + self.fast


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is, whose folder does not exist yet."""
    return tmp_path / "out" / ".cache" / "rest.json"


def copy_on(path: Path, fast: float = 0.0) -> tuple[Machine, SharedPause]:
    """A copy that has looked once, as each does before its first request, and its clock."""
    clock = Machine(fast)
    pause = SharedPause(clock, path, LONGEST)
    pause.wait()
    return clock, pause


def until_in(path: Path) -> float:
    """How many seconds after noon the pause in the file ends."""
    return moment_in(path.read_bytes()) - NOON


def write(path: Path, after_noon: float) -> None:
    """Let somebody else write a pause that ends so many seconds after noon."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"until": utc_text(NOON + after_noon)}))


# --- All rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [-SKEW, -1.5, 0.0, 1.5, SKEW])
def test_a_pause_of_one_holds_another_until_its_end_though_their_clocks_differ(path: Path, fast: float) -> None:
    (_, first), (clock, other) = copy_on(path), copy_on(path, fast)
    assert not other.wait()
    first.begin(30.2)
    assert other.wait()
    assert 30.2 <= sum(clock.slept) <= 31 + 2 * SKEW
    assert not other.wait()


def test_who_was_asked_to_wait_waits_no_longer_than_that(path: Path) -> None:
    clock, pause = copy_on(path)
    pause.begin(12.5)
    assert pause.wait()
    assert sum(clock.slept) == 12.5
    assert not pause.wait()


def test_a_copy_that_starts_in_a_pause_rests_too(path: Path) -> None:
    copy_on(path)[1].begin(20)
    clock, _ = copy_on(path)
    assert sum(clock.slept) == 20 + SKEW


@pytest.mark.parametrize(("first", "second"), [(30, 10), (10, 30), (30, 30)])
def test_a_longer_pause_extends_the_one_that_is_there_and_a_shorter_one_never_cuts_it(
    path: Path, first: float, second: float
) -> None:
    (_, one), (_, two), (clock, three) = copy_on(path), copy_on(path), copy_on(path)
    one.begin(first)
    two.begin(second)
    assert until_in(path) == 30
    three.wait()
    assert sum(clock.slept) == 30 + SKEW


def test_a_pause_that_grows_while_one_waits_is_waited_for(path: Path) -> None:
    class Growing(Machine):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 1:
                write(path, 60)

    clock = Growing()
    pause = SharedPause(clock, path, LONGEST)
    pause.begin(4)
    pause.wait()
    assert sum(clock.slept) == 60 + SKEW


def test_what_two_have_written_at_the_same_time_is_put_right_by_the_one_who_waits_longer(path: Path) -> None:
    clock, pause = copy_on(path)
    pause.begin(100)
    write(path, 2)
    assert until_in(path) == 2
    clock.time += 1
    assert pause._left() > 90
    assert until_in(path) == 100


def test_a_pause_of_no_length_is_told_to_nobody(path: Path) -> None:
    _, pause = copy_on(path)
    pause.begin(0)
    assert path.read_bytes() == b""


def test_nobody_reads_half_a_file(path: Path) -> None:
    _, reader = copy_on(path)
    seen, over = set[bytes](), threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(reader._read() or b"")
            over.wait(0.001)  # on Windows nothing replaces a file that is open

    def begin_all(pause: SharedPause) -> None:
        for seconds in range(1, 25):
            pause.begin(seconds)

    watching = threading.Thread(target=read)
    watching.start()
    copies = [copy_on(path)[1] for _ in range(4)]
    writing = [threading.Thread(target=begin_all, args=(each,)) for each in copies]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    over.set()
    watching.join()
    assert all(moment_in(each) > NOON for each in seen - {b""})
    assert until_in(path) == 24
    assert files_under(path.parent).keys() == {"rest.json"}


# --- The file --------------------------------------------------------------------------------------


def test_the_file_is_made_before_the_first_request_and_says_nothing(path: Path) -> None:
    copy_on(path)
    assert files_under(path.parent) == {"rest.json": b""}
    write(path, 5)
    copy_on(path)
    assert until_in(path) == 5


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "torn": b'{"until":"2026-11',
    "a list": b'["2026-11-26T12:01:00Z"]',
    "a number": b'{"until":1795694500}',
    "a list in it": b'{"until":["2026-11-26T12:01:00Z"]}',
    "null": b'{"until":null}',
    "no date": b'{"until":"tomorrow"}',
    "a month too many": b'{"until":"2026-13-26T12:01:00Z"}',
    "the year 9999": b'{"until":"9999-12-31T23:59:59Z"}',
    "an hour": b'{"until":"2026-11-26T13:00:00Z"}',
    "a moment ago": b'{"until":"2026-11-26T11:59:54Z"}',
    "the year 1": b'{"until":"0001-01-01T00:00:00Z"}',
    "another zone": b'{"until":"2026-11-26T12:01:00+09:00"}',
    "no text": b"\xff\xfe\x00\x80" * 20,
    "deep": b"[" * 90,
    "long": b'{"until":"2026-11-26T12:01:00Z","x":"' + b"x" * 10_000_000 + b'"}',
    "digits": b'{"until":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_the_file_can_not_mean_is_ignored_and_written_over(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(text)
    clock, pause = copy_on(path)
    assert not clock.slept
    assert path.read_bytes() == text
    pause.begin(20)
    assert until_in(path) == 20
    pause.wait()
    assert sum(clock.slept) == 20


@given(st.binary(max_size=SharedPause.MOST))
def test_any_bytes_are_read(text: bytes) -> None:
    assert isinstance(moment_in(text), int)


def test_the_same_words_are_believed_once_though_the_clock_is_set_back(path: Path) -> None:
    clock, pause = copy_on(path)
    write(path, 100)
    pause.wait()
    assert sum(clock.slept) == 100 + SKEW
    clock.fast -= 100
    assert not pause.wait()


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_that_was_replaced_meanwhile_is_read_once_more(
    path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pause = copy_on(path)
    write(path, 10)
    real, asked = files.open_to_read, list[Path]()

    def stale(path: Path) -> IO[bytes]:
        asked.append(path)
        if len(asked) <= times:
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path)

    monkeypatch.setattr(files, "open_to_read", stale)
    assert (pause._left() > 0) == (times == 1)
    assert len(asked) == 2
    assert pause._left() == 10 + SKEW


def lay(path: Path, what: str, elsewhere: Path) -> None:
    """Put something else in the place of the file, or of its folder."""
    path.parent.parent.mkdir(parents=True)
    if what == "a linked folder":
        path.parent.symlink_to(elsewhere)
    elif what == "a file for a folder":
        path.parent.write_text("mine")
    else:
        path.parent.mkdir()
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what == "a link":
        path.symlink_to(elsewhere / "rest.json")


PLACES = ["a linked folder", "a file for a folder", "a folder", "a pipe", "a link"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there, and there are no pipes")
@pytest.mark.parametrize("what", PLACES)
def test_what_lies_in_its_place_is_not_followed_and_stops_nobody(path: Path, tmp_path: Path, what: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(elsewhere / "rest.json", 60)
    before = files_under(elsewhere)
    lay(path, what, elsewhere)
    clock, pause = copy_on(path)
    assert not clock.slept
    pause.begin(15)
    pause.wait()
    assert sum(clock.slept) == 15
    assert files_under(elsewhere) == before


@pytest.mark.skipif(os.name == "nt", reason="an open file can't be deleted there")
def test_a_cache_that_is_deleted_in_mid_run_is_made_again_for_the_next_pause(path: Path) -> None:
    (_, one), (clock, two) = copy_on(path), copy_on(path)
    path.unlink()
    path.parent.rmdir()
    assert not one.wait()
    one.begin(10)
    two.wait()
    assert sum(clock.slept) == 10 + SKEW


def test_where_nothing_can_be_written_each_waits_for_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    clock, pause = copy_on(path)
    monkeypatch.setattr(files, "open_making_folders", refuse)
    pause.begin(7)
    assert pause.wait()
    assert sum(clock.slept) == 7
    assert files_under(path.parent) == {"rest.json": b""}


def test_a_pause_without_a_file_holds_in_its_process() -> None:
    clock = FakeClock()
    pause = Pause(clock)
    assert not pause.wait()
    pause.begin(9)
    pause.begin(3)
    assert pause.wait()
    assert clock.slept == [9]
