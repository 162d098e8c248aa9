"""Links, spellings, permissions, files that change: what is looked at, where nothing is written, what is said."""

from __future__ import annotations

import _thread
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util import hashes
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, safetensors_bytes
from tests.helpers import Err
from tests.holding import held
from tests.shelves import GOOD, Shelves, at_turn, build_on, put, sha256

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other links and permissions")


@pytest.fixture
def shelves(site: FakeCivitai, tmp_path: Path) -> Shelves:
    return build_on(site, tmp_path / "models")


# --- Nothing to do ---------------------------------------------------------------------------------


def test_a_folder_without_models_is_refused_and_stays_as_it_is(
    run: Runner, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    put(empty, "notes.txt", b"x")
    put(empty, ".hidden/model.safetensors", safetensors_bytes("hidden"))
    put(empty, "site-packages/x.pth", b"import os")
    before = files_under(empty)
    assert run(str(empty)) == 2
    assert files_under(empty) == before
    assert "no model files" in err()
    assert run(str(empty), str(shelves.root)) == 1
    assert files_under(empty) == before
    assert shelves.ends() == GOOD


STAND_INS: dict[str, tuple[str, ...]] = {
    "a left-over": ("a.safetensors.part",),
    "a download under way": ("a.safetensors.aria2", "a.safetensors"),
    "Diffusers": ("m/model_index.json", "m/unet/config.json", "m/unet/diffusion_pytorch_model.safetensors"),
}


@pytest.mark.parametrize("kind", STAND_INS)
def test_a_folder_with_nothing_but_stand_ins_is_refused_and_says_what_they_are(
    kind: str, run: Runner, tmp_path: Path, err: Err
) -> None:
    for name in STAND_INS[kind]:
        put(tmp_path / "empty", name, safetensors_bytes(name))
    before = files_under(tmp_path / "empty")
    assert run(str(tmp_path / "empty")) == 2
    assert files_under(tmp_path / "empty") == before
    said = err()
    assert "no model files" in said
    assert ("a.safetensors" if kind != "Diffusers" else "m: It is one model in many files") in said


@posix
def test_a_pipe_with_the_name_of_a_model_is_not_waited_for(run: Runner, tmp_path: Path, err: Err) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    for word in (str(tmp_path / "a.safetensors"), "a.safetensors"):
        assert run(word) == 2
        assert "instead of a file" in err()
    assert run(str(tmp_path)) == 2
    assert "a.safetensors: It is a pipe" in err()


# --- Not to be read --------------------------------------------------------------------------------


@contextmanager
def another_user() -> Iterator[None]:
    """Act as nobody, for whom permissions count, if this is root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@posix
def test_what_cannot_be_read_is_named_and_the_rest_is_done(
    run: Runner, shelves: Shelves, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, locked = shelves.root / "sub", put(shelves.root, "locked.safetensors", safetensors_bytes("locked"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    for path in (shelves.root, *shelves.root.rglob("*"), *shelves.root.parents[:-2]):
        path.chmod(0o777)
    secret.chmod(0)
    locked.chmod(0)
    try:
        with another_user():
            code = run(str(shelves.root))
            ends = shelves.ends()
    finally:
        secret.chmod(0o777)
    said = err()
    assert (code, "Traceback" in said) == (1, False), said
    assert "sub" in said
    assert "locked.safetensors" in said
    assert ends == {name: end for name, end in GOOD.items() if name != "edited"}


# --- Changing --------------------------------------------------------------------------------------


def _become_folder(path: Path) -> None:
    if path.is_file():
        path.unlink()
    path.mkdir(exist_ok=True)


Change = Callable[[Path], object]
CHANGES: dict[str, Change] = {
    "grows": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "shrinks": lambda path: os.truncate(path, 100),
    "is replaced": lambda path: os.replace(put(path.parent, "new.tmp", safetensors_bytes(os.urandom(4).hex())), path),
    "is deleted": lambda path: path.unlink(missing_ok=True),
    "becomes a folder": _become_folder,
    "is emptied": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("when", ["before", "while", "after"])
def test_a_file_that_changes_while_it_is_hashed_gets_no_wrong_line(
    kind: str, when: str, run: Runner, shelves: Shelves, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, known = hashes.hash_file, shelves.root / "known.safetensors"
    old, inode, plain_blocks = sha256(known.read_bytes()), known.stat().st_ino, hashes.blocks

    def changed(path: Path, *words: Any) -> Any:
        if path != known:
            return plain(path, *words)
        if when == "before":
            CHANGES[kind](path)
        found = plain(path, *words)
        if when == "after":
            CHANGES[kind](path)
        return found

    def meanwhile(file: Any, *words: Any) -> Iterator[memoryview]:
        for block in plain_blocks(file, *words):
            yield block
            if when == "while" and os.fstat(file.fileno()).st_ino == inode:
                CHANGES[kind](known)

    monkeypatch.setattr("civitai_downloader.core.local.hash_file", changed)
    monkeypatch.setattr(hashes, "blocks", meanwhile)
    code, said = run(str(shelves.root)), err()
    assert "Traceback" not in said, said
    assert code in (0, 1)
    line = shelves.lines().get("known.safetensors")
    if line is not None and line["sha256"]:
        is_there = known.is_file() and known.stat().st_size == line["size"]
        now = sha256(known.read_bytes()) if is_there and known.stat().st_mtime_ns == line["mtime"] else ""
        assert line["sha256"] in (old, now)
    monkeypatch.undo()
    again = run(str(shelves.root))
    assert "Traceback" not in err()
    assert again in (0, 1)
    if known.is_file() and known.stat().st_size > 0:
        line = shelves.lines()["known.safetensors"]
        assert line["status"] == "broken" or line["sha256"] == sha256(known.read_bytes())


# --- Links -----------------------------------------------------------------------------------------


@posix
def test_links_out_of_the_library_are_read_and_nothing_is_written_there(
    run: Runner, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    put(outside, "far.safetensors", shelves.known.files[0].data)
    put(outside, "lone.safetensors", safetensors_bytes("lone"))
    (shelves.root / "far").symlink_to(outside)
    (shelves.root / "one.safetensors").symlink_to(outside / "lone.safetensors")
    (shelves.root / "up").symlink_to("..")
    (shelves.root / "self").symlink_to(".")
    (shelves.root / "loop").symlink_to("loop")
    (shelves.root / "sub" / "round").symlink_to(shelves.root)
    (shelves.root / "gone.safetensors").symlink_to("nowhere")
    before = files_under(outside)
    code, said = run(str(shelves.root)), err()
    assert (code, "Traceback" in said) == (0, False), said
    assert files_under(outside) == before
    lines = shelves.lines()
    assert lines["far/far.safetensors"]["status"] == "success"
    assert lines["one.safetensors"]["status"] == "unknown"
    assert {name: end for name, end in shelves.ends().items() if name in GOOD} == GOOD
    assert run(str(shelves.root)) == 0
    assert files_under(outside) == before


@posix
def test_a_hard_link_to_a_file_outside_stays_one_and_the_file_as_it_is(
    run: Runner, shelves: Shelves, tmp_path: Path
) -> None:
    outside = put(tmp_path / "outside", "same.safetensors", b"")
    outside.unlink()
    os.link(shelves.root / "known.safetensors", outside)
    notes = put(tmp_path / "outside", "notes.json", b'{"mine": 1}')
    os.link(notes, shelves.root / "known.json")
    before = files_under(outside.parent)
    assert run(str(shelves.root)) == 0
    assert files_under(outside.parent) == before
    assert outside.samefile(shelves.root / "known.safetensors")


@posix
@pytest.mark.parametrize("kind", ["file", "folder", "nowhere", "device"])
def test_links_in_the_place_of_sidecars_are_not_written_through(
    kind: str, run: Runner, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    target = {
        "file": put(tmp_path / "mine", "diary.txt", b"private"), "folder": tmp_path / "mine",
        "nowhere": tmp_path / "mine" / "new", "device": Path("/dev/null"),
    }[kind]  # fmt: skip
    for ending in (".json", ".metadata.json", ".civitai.info", ".preview.png", ".preview.jpeg"):
        for stem in ("known", "mine"):
            (shelves.root / f"{stem}{ending}").symlink_to(target)
    before = files_under(tmp_path / "mine")
    run(str(shelves.root))
    assert "Traceback" not in err()
    assert files_under(tmp_path / "mine") == before
    assert (shelves.root / "known.json").is_symlink()


@posix
@pytest.mark.parametrize("kind", ["link", "file", "users link", "users file", "page link", "cache link"])
def test_our_folders_being_something_else_writes_nothing_elsewhere(
    kind: str, run: Runner, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    own = shelves.root / ".civitai"
    if kind == "link":
        own.symlink_to(outside)
    elif kind == "file":
        own.write_text("mine")
    elif kind == "cache link":
        (shelves.root / ".cache").symlink_to(outside)
    else:
        own.mkdir()
        place = own / ("users" if kind != "page link" else "users/maker")
        place.parent.mkdir(exist_ok=True)
        if kind == "users file":
            place.write_text("mine")
        else:
            place.symlink_to(outside)
            if os.geteuid():
                pytest.skip("only root can make a link of somebody else's")
            os.lchown(place, 12345, 12345)  # one's own link may lead to another disk
    code, said = run(str(shelves.root)), err()
    assert "Traceback" not in said, said
    assert not [*outside.iterdir()], [*outside.iterdir()]
    assert code in (0, 1, 2)
    if kind != "cache link":
        assert said.strip()
        assert code != 0


@posix
@pytest.mark.parametrize("name", ["download_state.jsonl", "report.json", "failed.txt", "download_state.lock"])
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_names_of_ours_that_are_taken_are_told(
    name: str, kind: str, run: Runner, shelves: Shelves, err: Err, tmp_path: Path
) -> None:
    victim = put(tmp_path / "outside", "victim", b"private")
    place = shelves.root / name
    if kind == "link":
        place.symlink_to(victim)
    else:
        os.mkfifo(place) if kind == "fifo" else place.mkdir()
    code, said = run(str(shelves.root)), err()
    assert "Traceback" not in said, said
    assert victim.read_bytes() == b"private"
    assert code in (0, 1, 2)
    if code:
        assert name in said


# --- Spellings -------------------------------------------------------------------------------------


def test_a_folder_in_several_spellings_is_looked_through_once(
    run: Runner, site: FakeCivitai, shelves: Shelves, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shelves.root
    monkeypatch.chdir(root)
    spellings = [str(root), f"{root}{os.sep}", ".", f"{root}{os.sep}.", str(root / "sub" / ".."), f".{os.sep}", "./sub"]
    assert run(*spellings, str(root / "mine.safetensors")) == 0
    assert shelves.ends() == GOOD
    assert len(shelves.rows()) == len(GOOD)
    posts = [request for request in site.requests if request.method == "POST"]
    assert len(posts) == 1
    assert "Traceback" not in err()
    assert not (root / "sub" / "download_state.jsonl").exists()


@posix
def test_a_link_to_a_folder_and_the_folder_are_one(run: Runner, site: FakeCivitai, shelves: Shelves, err: Err) -> None:
    other = shelves.root.with_name("other name")
    other.symlink_to(shelves.root)
    code, said = run(str(shelves.root), str(other)), err()
    assert (code, "Traceback" in said) == (0, False), said
    assert shelves.ends() == GOOD


def test_a_library_below_another_one_keeps_its_own_log(run: Runner, shelves: Shelves, err: Err) -> None:
    assert run(str(shelves.root / "sub")) == 0
    inner = (shelves.root / "sub" / "download_state.jsonl").read_bytes()
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD
    assert (shelves.root / "sub" / "download_state.jsonl").read_bytes() == inner
    assert run(str(shelves.root), str(shelves.root / "sub")) == 0
    assert "Traceback" not in err()


def test_a_folder_that_another_run_writes_to_is_left_alone(run: Runner, shelves: Shelves, err: Err) -> None:
    with held(shelves.root / "download_state.lock"):
        before = files_under(shelves.root)
        assert run(str(shelves.root)) == 2
        assert files_under(shelves.root) == before
    assert "Another run" in err()


# --- Ctrl-C ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", range(1, 12))
def test_a_run_that_is_stopped_at_any_request_is_finished_by_the_next(
    turn: int, run: Runner, site: FakeCivitai, shelves: Shelves, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:

    at_turn(monkeypatch, site, turn, lambda: _thread.interrupt_main())
    code = run(str(shelves.root))
    assert code in (0, 130)
    assert not {"unknown", "gone"} & {end for name, end in shelves.ends().items() if name in ("known", "edited")}
    monkeypatch.undo()
    assert "Traceback" not in err()
    assert run(str(shelves.root)) == 0
    assert shelves.ends() == GOOD


def test_a_huge_sparse_file_is_left_at_once_when_stopped(
    run: Runner, shelves: Shelves, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shelves.root, "huge.ckpt", b"PK")
    os.truncate(shelves.root / "huge.ckpt", 1 << 40)
    plain, began = hashes.blocks, list[float]()

    def watched(file: Any, *words: Any) -> Iterator[memoryview]:
        for number, block in enumerate(plain(file, *words)):
            if number == 50 and os.fstat(file.fileno()).st_size == 1 << 40:
                _thread.interrupt_main()
                began.append(time.monotonic())
            yield block

    monkeypatch.setattr(hashes, "blocks", watched)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of the tests may ignore it
    try:
        assert run(str(shelves.root)) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began[0] < 20
    assert "huge" not in shelves.ends()
