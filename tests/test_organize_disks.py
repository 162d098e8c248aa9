"""A folder put in order where a disk, a link or another program stands in the way."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from civitai_downloader.core import organize
from civitai_downloader.util import moving
from tests.conftest import Runner
from tests.disks import image_of, mounted
from tests.fake_civitai import FakeCivitai, FakeModel, safetensors_bytes
from tests.helpers import Err
from tests.library_disk import put
from tests.organizing import build, left_overs, theirs, weights, words


@pytest.fixture
def models(run: Runner, lora: FakeModel, tmp_path: Path) -> Path:
    models = build(lora, tmp_path / "models")
    assert run(str(models)) == 0
    return models


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "tmpfs") as disk:
        yield disk


@pytest.fixture(params=["real", "stand-in"])
def fat(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if request.param == "real":
        image = image_of(tmp_path / "fat.img", 40, "mkfs.vfat")
        with mounted(tmp_path / "fat", "vfat", str(image), "loop,utf8") as disk:
            yield disk
        return
    pretend_fat(tmp_path / "fat", monkeypatch)
    yield tmp_path / "fat"


def pretend_fat(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a folder have no links, and times in steps of two seconds."""
    folder.mkdir()
    utime, link = os.utime, os.link

    def linked(source: Path, target: Path) -> None:
        is_on_it = [str(each).startswith(str(folder)) for each in (source, target)]
        if not any(is_on_it):
            link(source, target)
            return
        raise OSError(errno.EPERM if all(is_on_it) else errno.EXDEV, "refused")

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def rounded(path: Path, ns: tuple[int, int]) -> None:
        step = 2 * 10**9 if str(path).startswith(str(folder)) else 1
        utime(path, ns=(ns[0] // step * step, ns[1] // step * step))

    monkeypatch.setattr(os, "link", linked)
    monkeypatch.setattr(os, "symlink", refused)
    monkeypatch.setattr(os, "utime", rounded)


# --- Disks -----------------------------------------------------------------------------------------


def test_a_hard_link_to_another_disk_is_one_sentence(run: Runner, models: Path, other: Path, err: Err) -> None:
    before = theirs(models)
    assert run(*words(models, other / "to", "hardlink")) == 1
    assert err().count("A hard link can't lead to another disk") == 1
    assert (theirs(models), theirs(other / "to")) == (before, {})


@pytest.mark.parametrize("way", ["hardlink", "symlink"])
def test_fat_has_no_links(run: Runner, models: Path, fat: Path, err: Err, way: str) -> None:
    before = theirs(models)
    err()
    assert run(*words(models, fat / "to", way)) == 1
    assert len(re.findall(r"\(FAT\?\)|to another disk", err())) == 1
    assert (theirs(models), theirs(fat / "to")) == (before, {})


@pytest.mark.parametrize("way", ["copy", "move"])
def test_files_go_to_fat_and_come_back(run: Runner, models: Path, fat: Path, way: str) -> None:
    before = theirs(models)
    assert run(*words(models, fat / "to", way)) == 0
    assert weights(theirs(fat / "to")) == weights(before)
    assert run(*words(models, fat / "to", way)) == 0
    assert run(str(models), "--undo") == 0
    assert (theirs(models), theirs(fat / "to")) == (before, {})


@pytest.mark.parametrize("way", ["hardlink", "symlink", "move"])
def test_a_library_on_fat(run: Runner, lora: FakeModel, fat: Path, err: Err, way: str) -> None:
    models = build(lora, fat / "models")
    assert run(str(models)) == 0
    before = theirs(models)
    assert run(*words(models, fat / "to", way)) == (0 if way == "move" else 1)
    assert err().count("(FAT?)") == (0 if way == "move" else 1)
    assert weights(theirs(fat / "to")) == (weights(before) if way == "move" else set())
    assert run(str(models), "--undo") == (0 if way == "move" else 2)
    assert theirs(models) == before


def test_what_does_not_fit_is_not_begun(
    run: Runner, models: Path, other: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organize, "free_space", lambda _: 1000)
    before = theirs(models)
    assert run(*words(models, other / "to", "move")) == 1
    assert "which has 1000 B free; make room" in err()
    assert (theirs(models), theirs(other / "to")) == (before, {})


def test_a_disk_that_fills_up_loses_nothing(
    run: Runner, lora: FakeModel, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora.add_version("v3.0").add_file("big.safetensors", safetensors_bytes("big", 3_000_000))
    models = build(lora, tmp_path / "models")
    assert run(str(models)) == 0
    before = theirs(models)
    monkeypatch.setattr(organize, "free_space", lambda _: 1 << 40)  # somebody else fills it meanwhile
    with mounted(tmp_path / "disk", "tmpfs", options="size=2m") as disk:
        assert run(*words(models, disk / "to", "move")) == 1
        assert "full" in err()
        assert weights(before) == weights(theirs(models)) | weights(theirs(disk / "to"))
        assert not left_overs(models, disk)
        assert run(str(models), "--undo") in (0, 2)
        assert theirs(models) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the rights of a folder do not bind everybody")
def test_a_folder_without_rights_is_named_and_the_rest_goes_on(run: Runner, models: Path, tmp_path: Path) -> None:
    inner = next(models.rglob("새 폴더"))
    inner.chmod(0o555)
    try:
        assert run(*words(models, tmp_path / "to", "move")) == 1
    finally:
        inner.chmod(0o755)
    assert len(weights(theirs(tmp_path / "to"))) == 1
    assert len(weights(theirs(models))) == 1


# --- Errors of Windows ------------------------------------------------------------------------------


class WindowsError(OSError):
    """What Python raises on Windows: `winerror` tells more than `errno`."""

    def __init__(self, number: int, winerror: int) -> None:
        super().__init__(number, "as Windows says")
        self.winerror = winerror


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (WindowsError(errno.EINVAL, 1314), "no-links", "use --organize hardlink"),
        (WindowsError(errno.EXDEV, 17), "no-links", "another disk"),
        (WindowsError(errno.EINVAL, 1142), "no-links", "as many hard links as its disk allows"),
        (WindowsError(errno.EINVAL, 1), "no-links", "has no hard links (FAT?)"),
        (WindowsError(errno.EACCES, 32), "in-use", "is in use by another program"),
        (WindowsError(errno.EACCES, 33), "in-use", "is in use by another program"),
        (WindowsError(errno.EEXIST, 183), "collision", "is there already"),
        (WindowsError(errno.ENOSPC, 112), "disk-full", "full"),
        (OSError(errno.EPERM, "x"), "no-links", "has no hard links (FAT?)"),
        (OSError(errno.EMLINK, "x"), "no-links", "as many hard links as its disk allows"),
        (OSError(errno.EACCES, "denied"), "disk", "check the permissions"),
    ],
)
def test_why_no_link_was_made(tmp_path: Path, error: OSError, reason: str, said: str) -> None:
    failure = moving.link_failure(error, tmp_path / "a", tmp_path / "b", "hardlink")
    assert failure.reason == reason
    assert said in failure.sentence


def test_a_missing_right_is_told_once(
    run: Runner, models: Path, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise WindowsError(errno.EINVAL, 1314)

    monkeypatch.setattr(os, "symlink", refused)
    before = theirs(models)
    assert run(*words(models, tmp_path / "to", "symlink")) == 1
    assert err().count("use --organize hardlink") == 1
    assert (theirs(models), theirs(tmp_path / "to")) == (before, {})


def test_a_file_in_use_is_named_and_the_rest_goes_on(
    run: Runner, models: Path, other: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, unlink = theirs(models), os.unlink

    def in_use(path: str | os.PathLike[str], **more: int) -> None:
        if str(path).startswith(str(models)) and str(path).endswith("paper_xl.safetensors"):
            raise WindowsError(errno.EACCES, 32)
        unlink(path, **more)

    monkeypatch.setattr(os, "unlink", in_use)
    assert run(*words(models, other / "to", "move")) == 1
    assert err().count("is in use by another program") == 1
    assert weights(theirs(models)) | weights(theirs(other / "to")) == weights(before)
    assert len(weights(theirs(models))) == len(weights(theirs(other / "to"))) == 1
    monkeypatch.setattr(os, "unlink", unlink)
    assert run(*words(models, other / "to", "move")) == 0
    assert not weights(theirs(models))
    assert run(str(models), "--undo") == 0


# --- Links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["symlink", "hardlink", "copy", "move"])
def test_a_file_behind_a_link_is_never_moved(run: Runner, lora: FakeModel, tmp_path: Path, err: Err, way: str) -> None:
    models, into = tmp_path / "models", tmp_path / "to"
    real = put(lora.versions[0], tmp_path / "elsewhere")
    models.mkdir()
    (models / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (models / "alone.safetensors").symlink_to(real)
    assert run(*words(models, into, way)) == 0
    assert (real.is_file(), real.is_symlink()) == (True, False)
    assert all((models / name).is_symlink() for name in ("linked", "alone.safetensors"))
    assert bool(weights(theirs(into))) == (way != "move")
    assert ("what a link leads to isn't moved" in err()) == (way == "move")


def test_what_a_link_in_the_library_leads_to_is_not_moved(run: Runner, models: Path, tmp_path: Path, err: Err) -> None:
    path = next(models.rglob("paper_xl.safetensors"))
    (models / "favourite.safetensors").symlink_to(path)
    assert run(*words(models, tmp_path / "to", "move")) == 0
    assert "The link favourite.safetensors leads to it" in err()
    assert (models / "favourite.safetensors").read_bytes() == path.read_bytes()
    assert len(weights(theirs(tmp_path / "to"))) == 1


def test_symlinks_are_relative_within_one_tree_and_whole_between_two(run: Runner, models: Path, tmp_path: Path) -> None:
    assert run(*words(models, models / "in", "symlink")) == 0
    assert run(*words(models, tmp_path / "out", "symlink")) == 0
    inner = {os.readlink(path) for path in (models / "in").rglob("*.safetensors")}
    outer = {os.readlink(path) for path in (tmp_path / "out").rglob("*.safetensors")}
    assert all(text.startswith("..") for text in inner)
    assert all(os.path.isabs(text) for text in outer)


def test_hard_links_free_copies_whose_bytes_are_the_same(run: Runner, models: Path, tmp_path: Path) -> None:
    path = next(models.rglob("paper_xl.safetensors"))
    copy = models / "again" / "other name.safetensors"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(10**18 + 1, 10**18 + 1))
    assert run(str(models)) == 0
    assert run(*words(models, tmp_path / "to", "hardlink")) == 0
    assert path.samefile(copy)
    assert path.stat().st_nlink == 4
    assert run(*words(models, tmp_path / "to", "hardlink")) == 0
    assert run(str(models), "--undo") == 0
    assert not path.samefile(copy)
    assert (copy.stat().st_mtime_ns, copy.read_bytes()) == (10**18 + 1, path.read_bytes())


def test_a_copy_that_was_edited_under_its_old_time_is_not_freed(
    run: Runner, models: Path, tmp_path: Path, err: Err
) -> None:
    path = next(models.rglob("paper_xl.safetensors"))
    copy = models / "again.safetensors"
    copy.write_bytes(path.read_bytes())
    assert run(str(models)) == 0
    seen, edited = copy.stat(), bytearray(copy.read_bytes())
    edited[-1] ^= 1
    copy.write_bytes(edited)
    os.utime(copy, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert run(*words(models, tmp_path / "to", "hardlink")) == 1
    assert "is no copy of" in err()
    assert copy.read_bytes() == bytes(edited)


def test_a_fetched_library_is_put_in_order_and_nothing_is_fetched_again(
    run: Runner, site: FakeCivitai, lora: FakeModel, out: Path
) -> None:
    assert run("10001", "--latest") == 0
    assert run(str(out), "--layout", "by-type", "--organize", "move") == 0
    assert (out / "LORA" / "paper_xl.safetensors").exists()
    site.forget()
    assert run("10001", "--latest") == 0
    assert not [request for request in site.requests if "/api/download/" in request.path]
    assert run("--verify") == 0
    assert run(str(out), "--undo") == 0
    assert not (out / "LORA" / "paper_xl.safetensors").exists()
    assert run("10001", "--latest") == 0
    assert run("--verify") == 0
    assert not [request for request in site.requests if "/api/download/" in request.path]
