"""Logs of JSON lines, and the lock of a folder."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.errors import Failure
from civitai_downloader.util.files import write_file
from civitai_downloader.util.logs import KeyedLog, json_line

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


# --- A log of JSON lines ---------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a log is to be."""
    return tmp_path / "sub" / "log.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    """The objects of a log."""
    with path.open("rb") as file:
        return [value for value in map(json_line, file) if value is not None]


@pytest.mark.parametrize(
    ("data", "objects"),
    [
        (b"", []),
        (b'{"a":1}\n{"a":2}\n', [1, 2]),
        (b'{"a":1}\r\n\r\n\n{"a":2}', [1, 2]),
        (b'{"a":1}\n{"a":2', [1]),
        (b'{"a":1}\n{"a":2}{"a":3}\n{"a":4}\n', [1, 4]),
        (b'{"a":1}\n[1]\n5\nnull\n"x"\n{"a":2}\n', [1, 2]),
        (b'{"a":1}\n' + bytes(4096) + b'\n{"a":2}\n', [1, 2]),
        (b'{"a":1}\n' + bytes(4096) + b'{"a":2}\n', [1, 2]),
        (b'{"a":1}\n{"a"' + bytes(4096), [1]),
        (b"\xff\xfe{\n" + b"[" * 100_000 + b"\n" + b"9" * 5000 + b"\n", []),
    ],
)
def test_a_log_is_read_as_far_as_it_makes_sense(path: Path, data: bytes, objects: list[int]) -> None:
    write_file(path, data)
    assert [each["a"] for each in read(path)] == objects


def test_a_log_that_is_not_there_is_empty_and_not_made(path: Path) -> None:
    log = KeyedLog(path)
    assert list(log.live("image")) == []
    log.close()
    assert not path.parent.exists()


@pytest.mark.parametrize("torn", [b'{"a":1', b'{"a":1}', b"\0\0\0", b"\xf0\x9f"])
def test_a_line_is_never_appended_to_a_torn_one(path: Path, torn: bytes) -> None:
    write_file(path, b'{"a":0}\n' + torn)
    log = KeyedLog(path)
    log.append({"a": 2})
    log.append({"a": 3})
    log.close()
    assert [each["a"] for each in read(path) if each["a"] != 1] == [0, 2, 3]
    log.append({"a": 4})
    log.close()
    assert path.read_bytes().endswith(b'{"a":3}\n{"a":4}\n')


def test_a_line_that_did_not_fit_on_the_disk_is_ended_before_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = KeyedLog(path)
    log.append({"a": 1})

    def cut_short(file: Any, data: bytes) -> None:
        file.write(data[:4])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.util.logs.write_whole", cut_short)
        with pytest.raises(Failure, match="disk is full"):
            log.append({"a": 2})
    log.append({"a": 3})
    log.close()
    assert read(path) == [{"a": 1}, {"a": 3}]


def test_appends_of_many_threads_do_not_mix(path: Path) -> None:
    logs = [KeyedLog(path), KeyedLog(path)] if os.name != "nt" else [KeyedLog(path)] * 2
    threads = [
        threading.Thread(target=lambda n=n: [logs[n % 2].append({"t": n, "i": i, "x": "y" * 500}) for i in range(50)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(path)
    assert len(found) == len(path.read_bytes().splitlines())
    for n in range(8):
        assert [each["i"] for each in found if each["t"] == n] == list(range(50))


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5), st.binary(max_size=60))
def test_what_was_appended_is_read_back(tmp_path: Path, values: list[dict[str, Any]], before: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(before)
    log = KeyedLog(path)
    for value in values:
        log.append(value)
    log.close()
    found = read(path)
    plain = json.loads(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace"))
    assert not values or found[-len(values) :] == plain


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b'{"a":1}', b"\n", b"\r\n", b"\0" * 9, b'{"a":']), max_size=9)
)
def test_a_log_of_any_bytes_is_read(tmp_path: Path, pieces: list[bytes]) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(pieces))
    assert all(isinstance(each, dict) for each in read(tmp_path / "log.jsonl"))


# --- A log of which the last record of a key counts ------------------------------------------------


def keyed(name: str, number: int = 0, kind: str = "image") -> dict[str, Any]:
    """A record as the program writes it."""
    return {"at": "2026-11-20T05:26:00Z", "type": kind, "id": name, "status": "success", "size": number}


def test_a_keyed_log_gives_the_last_record_of_a_key(path: Path) -> None:
    log = KeyedLog(path)
    assert log.get("image", "1") is None
    assert not path.parent.exists()
    records = [keyed("1"), keyed("1/한국", 2, "model"), keyed("1", 3), keyed("2", 4)]
    for each in records:
        log.append(each)
    for known in (log, KeyedLog(path)):
        assert known.get("image", "1") == records[2]
        assert known.get("model", "1/한국") == records[1]
        assert known.get("model", "1") is None
        assert list(known.live("image", "model", "page")) == [records[1], records[2], records[3]]
    log.close()
    assert log.get("image", "2") == records[3]


@pytest.mark.parametrize(
    ("data", "numbers", "problems"),
    [
        (b"", [], []),
        (b"\r\n\n" + json.dumps(keyed("1", 5)).encode(), [5], []),
        (b"\xef\xbb\xbf" + json.dumps(keyed("1", 5)).encode() + b"\r\n", [5], []),
        (json.dumps(keyed("1", 5)).encode() + b'\n{"at":"2026","type":"image","id"', [5], ["line 2 is incomplete and"]),
        (json.dumps(keyed("1", 5)).encode() + b"\n" + bytes(4096), [5], ["line 2 is incomplete"]),
        (bytes(4096) + json.dumps(keyed("1", 5)).encode() + b"\n", [5], []),
        (b'{"id":"1","size":5,"type":"image"}\n[]\n{"type":"image"}\n', [5], ["line 2 is not", "line 3 is not"]),
        (b'{"at":"","type":"image","id":"1","size":01}\n', [], ["line 1 is not a record"]),
        (b'{"at":"","type":"image","id":"1","x":"\\q"}\n', [], ["line 1 is not a record"]),
        (b'{"at":"","type":"image","id":"1","x":"\xff","size":5}\n', [5], []),
        (b'{"at":"","type":"image","id":"\\u0031","size":5}\n', [5], []),
        (b"[" * 100_000 + b"\n" + b"9" * 5000 + b"\n", [], ["line 1 is not", "line 2 is not"]),
    ],
)
def test_a_keyed_log_is_read_as_far_as_it_makes_sense(
    path: Path, data: bytes, numbers: list[int], problems: list[str]
) -> None:
    write_file(path, data)
    log = KeyedLog(path)
    assert [record["size"] for record in log.live("image")] == numbers
    assert [log.get("image", "1") is not None] == [bool(numbers)]
    said = [problem.partition(", ")[2] for problem in log.problems]
    assert [words[: len(begin)] for words, begin in zip(said, problems, strict=True)] == problems


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"\n", b"\0" * 9, b'{"type":"a","id":"b"}', b'{"at":'])))
def test_a_keyed_log_of_any_bytes_is_read_and_written(tmp_path: Path, pieces: list[bytes]) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"".join(pieces))
    log = KeyedLog(tmp_path / "log.jsonl")
    log.append(keyed("new"))
    log.close()
    assert KeyedLog(tmp_path / "log.jsonl").get("image", "new") == keyed("new")


def test_records_of_many_kinds_are_told_apart(path: Path) -> None:
    log = KeyedLog(path)
    for number in range(50):
        log.append(keyed("1", number, f"kind{number}"))
    for known in (log, KeyedLog(path)):
        for number in range(50):
            assert known.get(f"kind{number}", "1") == keyed("1", number, f"kind{number}")
            assert [each["size"] for each in known.live(f"kind{number}", "never")] == [number]
        assert [each["size"] for each in known.live("kind7", "kind3", "kind7")] == [3, 7]
    log.close()


def test_a_file_that_was_replaced_meanwhile_gives_no_wrong_record(path: Path) -> None:
    log = KeyedLog(path)
    log.append(keyed("1", 1))
    log.append(keyed("2", 2))
    log.close()
    path.write_text(json.dumps(keyed("2", 2)) + "\n")
    assert (log.get("image", "1"), log.get("image", "2")) == (None, None)
    log.close()


@pytest.mark.parametrize("alone", [True, False])
def test_superseded_lines_are_left_out_by_the_only_writer(path: Path, alone: bool) -> None:
    log = KeyedLog(path)
    for number in range(1001):
        log.append(keyed(str(number % 10), number))
    log.close()
    before = path.read_bytes()
    log = KeyedLog(path, alone=alone)
    assert path.read_bytes() == before
    log.append(keyed("3", 5000))
    assert len(path.read_bytes().splitlines()) == (11 if alone else 1002)
    sizes = [each for each in range(991, 1001) if each != 993]
    assert [record["size"] for record in log.live("image")] == [*sizes, 5000]
    log.append(keyed("4", 6000))
    log.close()
    assert [record["size"] for record in KeyedLog(path).live("image")][-2:] == [5000, 6000]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_log_that_can_not_be_rewritten_stays_as_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(keyed("1", number)) + "\n" for number in range(1500)))
    log = KeyedLog(path, alone=True)

    def held(*_: object) -> None:
        raise PermissionError(errno.EACCES, "held open")

    monkeypatch.setattr("civitai_downloader.util.logs.replace_file", held)
    log.append(keyed("2"))
    assert len(path.read_bytes().splitlines()) == 1501
    assert [record["id"] for record in log.live("image")] == ["1", "2"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    log.close()


def test_a_line_reaches_the_disk_after_some_seconds_and_at_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    log = KeyedLog(path)
    for number in range(10):
        log.append(keyed(str(number)))
    assert len(synced) == 1
    monkeypatch.setattr(KeyedLog, "SYNC", 0.0)
    log.append(keyed("x"))
    log.close()
    assert len(synced) == 3
