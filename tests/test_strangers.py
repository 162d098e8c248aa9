"""Strangers on the same disk: nothing planted at the top of an output folder is followed, read through or emptied."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from civitai_downloader.core.arrivals import place_aside
from civitai_downloader.core.library import Library
from civitai_downloader.util.errors import Failure
from civitai_downloader.util.files import is_link, planted_link, temporary_name, unshare, write_file
from civitai_downloader.util.logs import KeyedLog
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err, add_file, leave_part, link, ranges

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")

FILES = (
    *("download_state.lock", "download_state.jsonl", "report.json", "failed.txt", "retry.sh", "retry.bat"),
    *("index.html", "exclude.txt", "updates.txt", "user-data.js"),
)
FOLDERS = ("posts", "users", "images", "collections", "corrupted", ".page", ".civitai")
WORDS = b"words of somebody else\n"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a folder with a file that nobody may touch."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "answers-2020-01-01.jsonl").write_bytes(WORDS)
    return folder


def untouched(folder: Path) -> bool:
    return files_under(folder) == {"answers-2020-01-01.jsonl": WORDS}


# --- At the top ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("10001",), ("--verify",), ("--refilter",), ("10001", "--dry-run"), ("--retry-failed",)]
)
@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_link_at_the_top_ends_the_run_before_it_begins(
    run: Runner, site: FakeCivitai, out: Path, elsewhere: Path, err: Err, name: str, words: tuple[str, ...]
) -> None:
    add_file(site)
    out.mkdir()
    target = elsewhere if name in FOLDERS else elsewhere / "answers-2020-01-01.jsonl"
    (out / name).symlink_to(target)
    assert run(*words) == 2
    said = err()
    assert f"{name} is a link, but the program needs a" in said
    assert "choose another folder with -o" in said
    assert not site.requests
    assert untouched(elsewhere)
    assert os.listdir(out) == [name]


@pytest.mark.parametrize("name", ["download_state.jsonl", "posts", "report.json"])
def test_a_link_that_leads_nowhere_is_not_followed_either(run: Runner, out: Path, tmp_path: Path, name: str) -> None:
    out.mkdir()
    (out / name).symlink_to(tmp_path / "nothing")
    assert run("10001") == 2
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("make", [os.mkfifo if sys.platform != "win32" else None, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_under_a_name_of_ours_ends_the_run(
    run: Runner, site: FakeCivitai, out: Path, err: Err, name: str, make: Callable[[Path], None]
) -> None:
    out.mkdir()
    make(out / name)
    for words in (("10001",), ("--verify",), ("--retry-failed",)):
        assert run(*words) == 2
        assert f"{name} is a " in err()
    assert not site.requests


@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_no_folder_under_a_name_of_ours_ends_the_run(run: Runner, out: Path, err: Err, name: str) -> None:
    out.mkdir()
    (out / name).write_bytes(WORDS)
    assert run("10001") == 2
    assert f"{name} is a file, but the program needs a folder there" in err()
    assert (out / name).read_bytes() == WORDS


@pytest.mark.parametrize("name", ["download_state.jsonl", "download_state.lock"])
def test_a_hard_link_to_a_file_of_somebody_else_is_not_written(
    run: Runner, out: Path, elsewhere: Path, err: Err, name: str
) -> None:
    out.mkdir()
    (out / name).hardlink_to(elsewhere / "answers-2020-01-01.jsonl")
    assert run("10001") == 2
    assert "hard link" in err()
    assert untouched(elsewhere)


def test_a_copy_of_the_folder_by_hard_links_does_not_change_with_it(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path
) -> None:
    add_file(site)
    assert run(link(site)) == 0
    snapshot = tmp_path / "snapshot.jsonl"
    snapshot.hardlink_to(out / "download_state.jsonl")
    before = snapshot.read_bytes()
    assert run(link(site), "--force") == 0
    assert snapshot.read_bytes() == before
    assert (out / "download_state.jsonl").read_bytes().startswith(before)


def test_a_hard_link_at_a_temporary_name_is_not_written_through(tmp_path: Path) -> None:
    victim, page = tmp_path / "victim", tmp_path / "page"
    victim.write_bytes(WORDS)
    temporary_name(page).hardlink_to(victim)
    write_file(page, b"ours")
    assert (victim.read_bytes(), page.read_bytes()) == (WORDS, b"ours")


def test_a_file_with_several_names_gets_bytes_of_its_own(tmp_path: Path) -> None:
    victim, log = tmp_path / "victim", tmp_path / "log"
    victim.write_bytes(WORDS)
    log.hardlink_to(victim)
    unshare(log)
    assert log.read_bytes() == WORDS
    KeyedLog(log).append({"type": "a", "id": "b"})
    assert victim.read_bytes() == WORDS


def test_wrong_bytes_are_not_put_aside_behind_a_link(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "corrupted").symlink_to(elsewhere)
    with pytest.raises(Failure, match="links at the top of the output folder aren't followed"):
        place_aside(Library(tmp_path / "root"), "x")


def test_a_part_that_is_a_hard_link_is_not_written_in_place(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path
) -> None:
    file = add_file(site, size=3_000_000)
    part = leave_part(site, run, out)
    (tmp_path / "victim").hardlink_to(part)
    before = part.read_bytes()
    assert run(link(site)) == 0
    assert one_file(out, file.name).read_bytes() == file.data
    assert (tmp_path / "victim").read_bytes() == before
    assert ranges(site)[-1].startswith("bytes=")


def test_the_output_folder_itself_may_be_a_link_that_the_user_named(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path
) -> None:
    add_file(site)
    (tmp_path / "disk").mkdir()
    out.symlink_to(tmp_path / "disk")
    assert run(link(site)) == 0
    assert one_file(tmp_path / "disk", "lantern.safetensors")


def test_another_line_s_output_folder_is_looked_at_as_well(
    run: Runner, site: FakeCivitai, tmp_path: Path, err: Err
) -> None:
    add_file(site)
    other = tmp_path / "other"
    other.mkdir()
    (other / "posts").symlink_to(tmp_path)
    assert run(lines=[link(site), f"{link(site)} -o {other}"]) == 2
    assert "posts is a link" in err()
    assert not site.requests
    (other / "posts").unlink()
    (other / "retry.sh").write_bytes(WORDS)
    assert run(lines=[f"{link(site)} -o {other}"]) == 2
    assert os.listdir(other) == ["retry.sh"]


# --- Below it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "place"),
    [("creator", "users/lantern_maker"), ("comfyui", "models"), ("comfyui", "models/loras"), ("a1111", "models")],
)
def test_links_that_the_user_made_are_followed_where_libraries_are_spread(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, layout: str, place: str
) -> None:
    add_file(site)
    disk = tmp_path / "disk"
    disk.mkdir()
    (out / place).parent.mkdir(parents=True)
    (out / place).symlink_to(disk)
    assert run(link(site), "--layout", layout) == 0
    assert one_file(disk, "lantern.safetensors")


@pytest.mark.parametrize(("layout", "place"), [("sharded", "model_10"), ("{creator}", "lantern_maker")])
def test_other_links_at_the_top_are_not_followed(
    run: Runner, site: FakeCivitai, out: Path, elsewhere: Path, err: Err, layout: str, place: str
) -> None:
    add_file(site)
    out.mkdir()
    (out / place).symlink_to(elsewhere)
    assert run(link(site), "--layout", layout) == 1
    assert "links at the top of the output folder aren't followed" in err()
    assert untouched(elsewhere)


def as_stranger(path: Path) -> None:
    """Let a link be somebody else's."""
    try:
        os.chown(path, 4711, -1, follow_symlinks=False)
    except OSError:
        pytest.skip("only the administrator can play a stranger")


@pytest.mark.parametrize(
    ("layout", "place"),
    [
        ("creator", "users/lantern_maker"),
        ("comfyui", "models"),
        ("comfyui", "models/loras"),
        ("sharded", "model_10/10001"),
    ],
)
def test_a_link_that_somebody_else_made_is_never_followed(
    run: Runner, site: FakeCivitai, out: Path, elsewhere: Path, layout: str, place: str
) -> None:
    add_file(site)
    (out / place).parent.mkdir(parents=True)
    (out / place).symlink_to(elsewhere)
    as_stranger(out / place)
    assert run(link(site), "--layout", layout) == 1
    assert untouched(elsewhere)


def test_a_file_behind_a_stranger_s_link_is_not_taken_for_ours(
    run: Runner, site: FakeCivitai, out: Path, elsewhere: Path, err: Err
) -> None:
    file = add_file(site)
    assert run(link(site)) == 0
    path = one_file(out, file.name)
    path.unlink()
    (elsewhere / "same").write_bytes(file.data)
    path.symlink_to(elsewhere / "same")
    as_stranger(path)
    assert run(link(site)) == 1
    assert "is a link that somebody else made" in err()


def test_a_link_planted_during_the_run_is_seen(tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    assert planted_link(tmp_path / "root", tmp_path / "root" / "a" / "b") is None
    (tmp_path / "root" / "a").rmdir()
    (tmp_path / "root" / "a").symlink_to(tmp_path)
    as_stranger(tmp_path / "root" / "a")
    assert planted_link(tmp_path / "root", tmp_path / "root" / "a" / "b") == tmp_path / "root" / "a"
    assert is_link(tmp_path / "root" / "a")


def test_a_stranger_s_link_is_seen_below_the_current_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("users").mkdir()
    Path("users/maker").symlink_to(tmp_path)
    as_stranger(Path("users/maker"))
    assert planted_link(Path("."), Path("users/maker/x")) == Path("users/maker")
    assert planted_link(Path("users"), Path("users/maker/x")) == Path("users/maker")
    assert planted_link(Path("users"), Path("posts/maker")) is None


def test_a_junction_of_windows_is_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Junction:
        st_mode, st_reparse_tag = 0o040755, 0xA0000003

    monkeypatch.setattr(os, "lstat", lambda _: Junction)
    assert is_link(tmp_path)
