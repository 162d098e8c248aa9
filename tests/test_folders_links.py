"""Walks through folders with links, loops, odd names and what can't be read."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from civitai_downloader.core.folders import BROKEN_LINK, NO_FILE, Survey, _number_of
from civitai_downloader.util.files import is_link
from civitai_downloader.util.trees import Tree
from tests.test_folders import aside, found, look, make

on_posix = pytest.mark.skipif(os.name == "nt", reason="needs what only POSIX has")
as_user = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is refused to the administrator")


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on what might be another disk."""
    return tmp_path_factory.mktemp("outside")


def link(place: Path, target: Path | str) -> None:
    """Make a symlink, or skip the test where that needs a right, or where none is made, as under Wine."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        place.symlink_to(target, target_is_directory=(place.parent / target).is_dir())
    if not is_link(place):
        pytest.skip("needs the right to make links")


def besides(seen: Survey) -> dict[str, bool]:
    return {each.path: each.beside for each in seen.files}


# --- Folders -------------------------------------------------------------------------------------


def test_loops_of_links_end(tmp_path: Path) -> None:
    make(tmp_path, "a/b/x.pt")
    link(tmp_path / "a/up", "..")
    link(tmp_path / "a/b/self", ".")
    link(tmp_path / "a/b/top", tmp_path)
    link(tmp_path / "turns", "turns")
    link(tmp_path / "one", "other")
    link(tmp_path / "other", "one")
    assert found(look(tmp_path)) == found(look(tmp_path, "a")) == ["a/b/x.pt"]
    assert look(tmp_path).unreadable == ()


def test_a_folder_is_visited_by_its_real_name_and_once(tmp_path: Path, outside: Path) -> None:
    make(tmp_path, "z/real/x.pt")
    make(outside, "y.pt")
    link(tmp_path / "0 first", "z/real")
    link(tmp_path / "1 away", outside)
    link(tmp_path / "2 away again", outside)
    assert besides(look(tmp_path)) == {"z/real/x.pt": True, "1 away/y.pt": False}


def test_nothing_may_be_written_behind_a_link_that_leads_out(tmp_path: Path, outside: Path) -> None:
    make(outside, "x.pt", "deep/y.pt")
    make(tmp_path, ".kept/z.pt")
    link(tmp_path / "models/away", outside)
    link(outside / "back", tmp_path / ".kept")
    expected = {"models/away/x.pt": False, "models/away/deep/y.pt": False, "models/away/back/z.pt": True}
    assert besides(look(tmp_path)) == expected
    assert besides(look(tmp_path, "models/away/deep")) == {"models/away/deep/y.pt": False}
    assert besides(look(tmp_path, "models/away/x.pt")) == {"models/away/x.pt": False}


def test_a_library_may_be_reached_by_a_link_itself(tmp_path: Path, outside: Path) -> None:
    make(outside, "sub/x.pt")
    link(tmp_path / "library", outside)
    assert besides(look(tmp_path / "library")) == {"sub/x.pt": True}
    assert besides(look(tmp_path / "library", "sub")) == {"sub/x.pt": True}


def test_a_folder_beside_with_a_similar_name_is_outside(tmp_path: Path) -> None:
    make(tmp_path, "models/x.pt", "models 2/y.pt")
    link(tmp_path / "models/more", tmp_path / "models 2")
    assert besides(look(tmp_path / "models")) == {"x.pt": True, "more/y.pt": False}


def test_a_link_to_a_folder_of_the_table_is_entered_by_the_name_of_the_link(tmp_path: Path) -> None:
    make(tmp_path, "output/x.pt", "models/y.pt")
    link(tmp_path / "mine", "output")
    link(tmp_path / "temp", "models")
    assert found(look(tmp_path)) == ["models/y.pt", "mine/x.pt"]


@pytest.mark.skipif(sys.platform != "win32", reason="junctions are of Windows")
def test_junctions_are_followed_once_and_end(tmp_path: Path, outside: Path) -> None:
    make(tmp_path, "a/x.pt")
    make(outside, "y.pt")
    for name, target in (("a/up", tmp_path), ("0 away", outside), ("1 away", outside)):
        subprocess.run(["cmd", "/c", "mklink", "/J", str(tmp_path / name), str(target)], check=True)
        if not is_link(tmp_path / name):
            pytest.skip("needs junctions, which Wine does not make")
    assert besides(look(tmp_path)) == {"a/x.pt": True, "0 away/y.pt": False}


@on_posix
def test_folders_without_numbers_are_told_apart_by_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/x.pt", "b/y.pt", "b/z.pt")
    link(tmp_path / "loop", ".")
    real = os.stat

    def without(path: str, **options: bool) -> os.stat_result:
        found = real(path, **options)
        return os.stat_result((found.st_mode, 0, found.st_dev, *found[3:]))

    monkeypatch.setattr(os, "stat", without)
    assert [branch.path for branch, _ in Tree(tmp_path, lambda _: True).walk()] == ["", "a", "b"]
    assert found(look(tmp_path)) == ["a/x.pt", "b/y.pt", "b/z.pt"]


def test_files_without_numbers_are_no_copies_of_each_other(tmp_path: Path) -> None:
    class Listed:
        st_mode, st_ino, st_dev, st_size, st_mtime_ns = 0o100644, 0, 5, 1, 1

    assert len({_number_of(Listed(), number) for number in range(3)}) == 3  # type: ignore[arg-type]


# --- Files ---------------------------------------------------------------------------------------


def test_every_name_of_a_file_is_seen_with_the_same_inode(tmp_path: Path, outside: Path) -> None:
    make(tmp_path, "a.pt", "b.pt")
    make(outside, "away.pt")
    os.link(tmp_path / "a.pt", tmp_path / "hard.pt")
    link(tmp_path / "sub/soft.pt", "../a.pt")
    link(tmp_path / "away.pt", outside / "away.pt")
    seen = look(tmp_path)
    inodes = {each.path: each.inode for each in seen.files}
    assert list(inodes) == ["a.pt", "away.pt", "b.pt", "hard.pt", "sub/soft.pt"]
    assert inodes["a.pt"] == inodes["hard.pt"] == inodes["sub/soft.pt"]
    assert len(set(inodes.values())) == 3
    assert all(besides(seen).values())  # what stands beside a link to a file is in the library


def test_a_broken_link_is_named_and_no_failure(tmp_path: Path) -> None:
    link(tmp_path / "gone.safetensors", "nowhere/x.safetensors")
    link(tmp_path / "self.safetensors", "self.safetensors")
    link(tmp_path / "gone folder", "nowhere")
    seen = look(tmp_path)
    assert aside(seen) == {"gone.safetensors": BROKEN_LINK, "self.safetensors": BROKEN_LINK}
    assert (seen.files, seen.unreadable) == ((), ())


@on_posix
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    link(tmp_path / "device.safetensors", "/dev/zero")
    make(tmp_path, "folder.safetensors/x.safetensors")
    seen = look(tmp_path)
    assert aside(seen) == {"pipe.safetensors": NO_FILE, "device.safetensors": NO_FILE}
    assert found(seen) == ["folder.safetensors/x.safetensors"]
    assert found(look(tmp_path, "folder.safetensors")) == ["folder.safetensors/x.safetensors"]
    assert aside(look(tmp_path, "pipe.safetensors")) == {"pipe.safetensors": NO_FILE}


# --- Names and rights ----------------------------------------------------------------------------


def test_names_keep_their_form(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "modèle 한국어.safetensors")
    make(tmp_path, name)
    (path,) = found(look(tmp_path))
    assert (tmp_path / path).is_file()
    assert unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", name)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8_keep_their_bytes(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(folder)
    with open(folder + b"/caf\xe9.safetensors", "wb"):
        pass
    (path,) = found(look(tmp_path))
    assert os.fsencode(path) == b"\xff\xfe/caf\xe9.safetensors"
    assert found(look(tmp_path, path)) == found(look(tmp_path, path.rpartition("/")[0])) == [path]


@contextmanager
def closed(folder: Path, mode: int = 0) -> Iterator[None]:
    """Take the rights to a folder away for a while."""
    folder.chmod(mode)
    try:
        yield
    finally:
        folder.chmod(0o755)


@as_user
def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_found(tmp_path: Path) -> None:
    make(tmp_path, "a/x.pt", "b/y.pt", "c/z.pt")
    with closed(tmp_path / "b"):
        seen = look(tmp_path)
        (only,) = look(tmp_path, "b").unreadable
        assert [each.path for each in look(tmp_path / "b").unreadable] == ["."]
        assert [each.path for each in look(tmp_path, "b/y.pt").unreadable] == ["b/y.pt"]
    assert found(seen) == ["a/x.pt", "c/z.pt"]
    assert [each.path for each in seen.unreadable] == ["b"]
    assert "can't be read (Permission denied)" in only.reason


@as_user
def test_files_that_can_be_listed_and_not_looked_at_are_named(tmp_path: Path) -> None:
    make(tmp_path, "a/x.pt", "a/sub/y.pt", "z.pt")
    with closed(tmp_path / "a", 0o400):
        seen = look(tmp_path)
    assert found(seen) == ["z.pt"]
    assert {each.path for each in seen.unreadable} == {"a/x.pt", "a/sub"}


def test_an_error_in_the_middle_of_a_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "bad/x.pt", "good/y.pt")
    real = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if path.endswith("bad"):
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    seen = look(tmp_path)
    assert found(seen) == ["good/y.pt"]
    assert [each.path for each in seen.unreadable] == ["bad"]


@on_posix
@pytest.mark.parametrize("name", ["d", "a longer name"])
def test_folders_may_be_nested_deeper_than_a_path_can_be_long(tmp_path: Path, name: str) -> None:
    make(tmp_path, "x.pt")
    numbers = [os.open(tmp_path, os.O_RDONLY)]
    try:
        for _ in range(500):
            os.mkdir(name, dir_fd=numbers[-1])
            numbers.append(os.open(name, os.O_RDONLY, dir_fd=numbers[-1]))
        os.close(os.open("deep.pt", os.O_CREAT | os.O_WRONLY, dir_fd=numbers[-1]))
        seen = look(tmp_path)
        assert len(found(seen)) + len(seen.unreadable) == 2
        if seen.unreadable:
            assert "too long" in seen.unreadable[0].reason
        os.unlink("deep.pt", dir_fd=numbers[-1])
    finally:
        os.close(numbers.pop())
        while numbers:
            os.rmdir(name, dir_fd=numbers[-1])
            os.close(numbers.pop())
