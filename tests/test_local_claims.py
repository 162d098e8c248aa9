"""What stands in the state log of a folder that somebody else has made is not believed where it can't be true."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err
from tests.shelves import GOOD, Shelves, build_on, put, sha256

LOG = "download_state.jsonl"
ABOUT: dict[str, Any] = {"at": "2026-11-01T00:00:00Z", "type": "local", "status": "success", "how": "sha256"}


@pytest.fixture
def shelves(site: FakeCivitai, tmp_path: Path) -> Shelves:
    return build_on(site, tmp_path / "here" / "models")


def line_about(place: Path, root: Path, **more: Any) -> dict[str, Any]:
    """Return a line that knows a file by its true size and time."""
    name, seen = place.relative_to(root).as_posix(), place.stat()
    own = {"id": name, "path": name, "size": seen.st_size, "mtime": seen.st_mtime_ns, "sha256": "ab" * 32}
    return {**ABOUT, **own, "model": 10001, "version": 20001, "file": 1, "name": "x", "source": "", **more}


def write_log(root: Path, *lines: Any) -> None:
    texts = (each if isinstance(each, str) else json.dumps(each) for each in lines)
    put(root, LOG, "".join(f"{text}\n" for text in texts).encode())


ODD: dict[str, dict[str, Any]] = {
    "another path": {"path": "mine.safetensors"},
    "out": {"path": "../known.safetensors"},
    "absolute": {"path": "/etc/passwd"},
    "no path": {"path": None},
    "status": {"status": "fine"},
    "no status": {"status": None},
    "how": {"how": "guess"},
    "hash of words": {"sha256": "../../x"},
    "hash in capitals": {"sha256": "AB" * 32},
    "hash as a number": {"sha256": 5, "status": "hashed", "size": -1},
    "negative size": {"size": -5},
    "huge size": {"size": 10**40},
    "a text as size": {"size": "many"},
    "NaN": {"size": float("nan"), "mtime": float("inf")},
    "huge time": {"mtime": 10**40},
    "a list as time": {"mtime": [1]},
    "no version": {"version": 0},
    "version in words": {"version": "x", "file": {}},
    "moved": {"status": "moved"},
    "moved to itself": {"status": "moved", "path": "known.safetensors", "sha256": ""},
    "AutoV3": {"autov3": "E3B0C44298FC"},
    "a null": {"size": None, "mtime": None, "status": None, "how": None},
}


@pytest.mark.parametrize("kind", ODD)
def test_a_line_that_nobody_wrote_is_not_believed(kind: str, run: Runner, shelves: Shelves, err: Err) -> None:
    known = shelves.root / "known.safetensors"
    write_log(shelves.root, line_about(known, shelves.root, **ODD[kind]))
    code, said = run(str(shelves.root)), err()
    assert (code, "Traceback" in said) == (0, False), said
    assert shelves.ends() == GOOD
    assert shelves.lines()["known.safetensors"]["sha256"] == sha256(known.read_bytes())


def test_no_line_moves_a_file_from_outside_into_the_folder(run: Runner, shelves: Shelves, err: Err) -> None:
    victim = put(shelves.root.parent, "private.json", b'{"secret": 1}')
    picture = put(shelves.root.parent, "private.png", b"\x89PNG\r\n\x1a\nmine")
    known = shelves.root / "known.safetensors"
    for up in ("../private", "sub/../../private", str(victim.with_suffix("")), "./../private", "sub//../../private"):
        gone = line_about(known, shelves.root, id=f"{up}.safetensors", path=f"{up}.safetensors")
        beside = {"at": ABOUT["at"], "type": "sidecar", "id": f"{up}.json", "path": f"{up}.json", "model": "20001/1"}
        write_log(shelves.root, gone, {**beside, "status": "success", "keys": {}})
        assert run(str(shelves.root), "--refresh") == 0
        assert picture.is_file()
        assert victim.read_bytes() == b'{"secret": 1}'
        assert set(files_under(shelves.root.parent)) - {f"models/{each}" for each in files_under(shelves.root)} == {
            "private.json",
            "private.png",
        }
        assert shelves.ends()["known"] == "success"
    assert "Traceback" not in err()


@pytest.mark.parametrize("key", ["x/y", "1/2/3", "1", "/", "9" * 30 + "/1", "-1/2", "１/２"])
def test_an_odd_id_of_a_fetched_file_stops_nothing(key: str, run: Runner, shelves: Shelves, err: Err) -> None:
    size = (shelves.root / "known.safetensors").stat().st_size
    line = {"at": ABOUT["at"], "type": "model", "id": key, "status": "success", "path": "known.safetensors"}
    write_log(shelves.root, {**line, "size": size, "sha256": "ab" * 32})
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD
    assert "Traceback" not in err()


@pytest.mark.parametrize(
    "lines",
    [
        ["[" * 100_000], ["{" + '"a":{' * 50_000], ["null", "[]", '""', "7", "{}"], ['{"type":"local","id":[]}'],
        ['{"type":"local","id":"\\ud800.safetensors","path":"\\ud800.safetensors","status":"success"}'],
        ['{"type":"local","id":"a\\u0000.pt","path":"a\\u0000.pt","status":"hashed","size":3}'],
        ["\0" * 5000], ["x" * 3_000_000], ['{"type":"library","id":"../../x"}'],
        ['{"type":"page","id":"model/10001","path":"../../x","status":"success"}'],
        ['{"type":"meta","id":"40001","path":"../../x","status":"success"}'],
        ['{"type":"sidecar","id":"known.json","path":"../x.json","model":"20001/1","keys":7,"status":"success"}'],
        ['{"type":"image","id":"40001","path":"../../x.png","status":"success","size":5}'],
    ],
)  # fmt: skip
def test_an_odd_log_stops_nothing(lines: list[str], run: Runner, shelves: Shelves, err: Err) -> None:
    write_log(shelves.root, *lines)
    before = files_under(shelves.root.parent)
    assert run(str(shelves.root)) == 0
    assert {name: end for name, end in shelves.ends().items() if name in GOOD} == GOOD
    assert "Traceback" not in err()
    outside = {name for name in files_under(shelves.root.parent) if not name.startswith("models/")}
    assert not outside - set(before)


def test_words_of_a_log_reach_the_screen_without_control_characters(
    run: Runner, shelves: Shelves, err: Err, capsys: pytest.CaptureFixture[str]
) -> None:
    known = shelves.root / "known.safetensors"
    evil = "\x1b]0;owned\x07\r\x1b[2K"
    broken = put(shelves.root, "broken.safetensors", b"")
    write_log(
        shelves.root,
        line_about(known, shelves.root, name=evil, at="2999-01-01", status="unknown", how="unknown"),
        line_about(broken, shelves.root, status="broken", reason=evil, sha256="", how=""),
    )
    run(str(shelves.root), "--verbose")
    told = capsys.readouterr()
    assert not {"\x1b", "\x07"} & {*told.out, *told.err}


def test_a_clock_that_was_ahead_does_not_keep_a_file_unknown(run: Runner, shelves: Shelves) -> None:
    mine = shelves.root / "known.safetensors"
    late = line_about(mine, shelves.root, status="unknown", how="unknown", at="2999-01-01T00:00:00Z")
    write_log(shelves.root, {**late, "sha256": sha256(mine.read_bytes())})
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD


def test_many_moves_in_a_log_lead_nowhere(run: Runner, shelves: Shelves) -> None:
    known = shelves.root / "known.safetensors"
    names = [f"n{number % 3}.safetensors" for number in range(300)]
    lines = [line_about(known, shelves.root, id=name, path=name, status="moved") for name in names]
    write_log(shelves.root, *lines, line_about(known, shelves.root, status="moved"))
    assert run(str(shelves.root)) == 0
    assert shelves.ends()["known"] == "success"
    assert os.path.isfile(known)
