"""Disks that refuse: what each error means to the user, and what it does to the run."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.library import Library
from civitai_downloader.util.disks import Disk, DiskFailure, DiskLost, failure_of, file_system, longest_name
from civitai_downloader.util.files import open_regular, write_whole
from tests.conftest import Runner
from tests.disks import at_request
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err, add_file, link, names_on_disk

on_posix = pytest.mark.skipif(os.name == "nt", reason="these errors are those of POSIX")

# --- Words -----------------------------------------------------------------------------------------


@on_posix
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ENOSPC", "disk is full"),
        ("EDQUOT", "quota on the disk"),
        ("EFBIG", "can't hold a file of 5.0 GB (FAT32?)"),
        ("EROFS", "the disk is read-only"),
        ("EACCES", "check the permissions of its folder"),
        ("EPERM", "check the permissions of its folder"),
        ("ENAMETOOLONG", "the name is too long for this disk"),
        ("ENOTDIR", "is in the place of a folder"),
        ("EEXIST", "is in the place of a folder"),
        ("EISDIR", "a folder has this name"),
        ("ELOOP", "is a symlink, which is not followed"),
        *((name, "the disk does not respond") for name in ("EIO", "ENOTCONN", "ESTALE", "ENODEV", "ENXIO")),
        ("EMFILE", "Too many files are open"),
        ("ENOMEM", "no memory left"),
    ],
)
def test_every_error_of_a_disk_is_told_in_plain_words(name: str, words: str) -> None:
    code = getattr(errno, name)
    failure = failure_of(OSError(code, os.strerror(code)), Path("/some/file"), 5 << 30)
    assert words in str(failure)
    assert len(str(failure)) < 180
    assert str(failure).endswith(".")
    assert isinstance(failure, DiskFailure) == (name not in ("EMFILE", "ENOMEM"))


# --- fsync -----------------------------------------------------------------------------------------


def refuse_fsync(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(number: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)


@pytest.mark.parametrize("name", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EIO", "EROFS", "EPERM"])
def test_a_disk_that_does_not_confirm_is_named_once_and_takes_everything(
    site: FakeCivitai, run: Runner, out: Path, tmp_path: Path, err: Err, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for number in range(4):
        add_file(site, 2_000_000, f"{number}.safetensors")
    ids = [str(each) for each in site.world.models]
    refuse_fsync(monkeypatch, getattr(errno, name))
    assert run(lines=[*ids[:2], *(f"{each} -o other" for each in ids[2:])]) == 0
    said = err()
    assert said.count("does not confirm") == 2
    assert f"The disk of {out} does not confirm" in said
    assert names_on_disk(out) == {"0", "1"}
    assert names_on_disk(tmp_path / "other") == {"2", "3"}


def test_a_disk_that_loses_what_it_took_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_fsync(monkeypatch, errno.ENOSPC)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        Disk(tmp_path).confirm(0)


def test_kept_answers_are_not_synced(site: FakeCivitai, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    add_file(site)
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.readlink(f"/proc/self/fd/{number}")))
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells which file a number is")
    assert run("10001") == 0
    assert synced
    assert {Path(each).name for each in synced} == {"download_state.jsonl"}


# --- A folder that is lost -------------------------------------------------------------------------


def die(
    monkeypatch: pytest.MonkeyPatch, folder: Path, code: int, but: Callable[[str], bool] = lambda path: False
) -> None:
    """Let everything below a folder fail from now on, but for some paths."""

    def mortal(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *words: Any, **more: Any) -> Any:
            if not isinstance(path, int) and str(path).startswith(str(folder)) and not but(str(path)):
                raise OSError(code, os.strerror(code), str(path))
            return plain(path, *words, **more)

        return call

    for name in ("open", "stat", "mkdir", "replace", "unlink", "listdir", "lstat", "scandir", "link"):
        monkeypatch.setattr(os, name, mortal(getattr(os, name)))


@on_posix
@pytest.mark.parametrize("name", ["ENOTCONN", "EIO", "ESTALE", "ENODEV", "ENXIO"])
def test_a_drive_that_dies_ends_the_run_in_one_sentence(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for number in range(33):
        add_file(site, name=f"{number}.safetensors")
    with monkeypatch.context() as patch:
        at_request(patch, 4, lambda: die(patch, out, getattr(errno, name)))
        assert run(*map(str, site.world.models), "--workers", "1") == 1
    said = err()
    assert said.count("Stopped:") == 1
    assert "Traceback" not in said
    assert " 0 failed" in said
    assert "couldn't be written" in said
    assert len(site.seen("storage")) <= 5
    assert run(*map(str, site.world.models)) == 0
    assert len(names_on_disk(out)) == 33


@on_posix
def test_after_three_refusals_in_a_row_the_run_stops_and_saves_what_it_can(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(33):
        add_file(site, name=f"{number}.safetensors")
    with monkeypatch.context() as patch:
        at_request(patch, 4, lambda: die(patch, out / "users", errno.EIO))
        assert run(*map(str, site.world.models), "--workers", "1") == 1
    said = err()
    assert said.count("Stopped:") == 1
    assert "Traceback" not in said
    assert " 2 failed" in said
    assert "# Stopped: " in (out / "failed.txt").read_text("utf-8")
    assert (out / "report.json").is_file()
    site.forget()
    assert run("--retry-failed") == 0
    assert len(names_on_disk(out)) == 33
    assert not (out / "failed.txt").exists()


def test_a_lost_folder_stays_lost_and_another_one_is_not_taken_for_it(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    library = Library(root)
    assert library.at("a").name == "a"
    root.rename(tmp_path / "moved")
    for _ in range(2):
        with pytest.raises(DiskLost, match="is no longer the folder"):
            library.at("a")
    (tmp_path / "moved").rename(root)
    with pytest.raises(DiskLost, match="Stopped: "):
        library.at("a")


def test_what_is_refused_alone_does_not_count(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    for _ in range(5):
        disk.refused(DiskFailure("disk", "too long", alone=True))
    for _ in range(3):
        disk.refused(DiskFailure("disk", "The disk is odd."))
        disk.refused(DiskFailure("disk", "The disk is odd."))
        disk.took()
    disk.check()
    for _ in range(3):
        disk.refused(DiskFailure("disk", "The disk is odd."))
    with pytest.raises(DiskLost, match="Stopped: The disk is odd"):
        disk.check()
    assert not list(tmp_path.iterdir())


@on_posix
@pytest.mark.parametrize("name", ["EPERM", "EACCES", "EINVAL", "ENOTSUP"])
def test_a_mount_that_opens_no_file_for_reading_and_writing_at_once_is_enough(
    site: FakeCivitai, run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    add_file(site, 2_000_000)
    code, plain = getattr(errno, name), os.open

    def narrow(path: Any, flags: int, *words: Any, **more: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY) == os.O_RDWR:
            raise OSError(code, os.strerror(code), str(path))
        return plain(path, flags, *words, **more)

    monkeypatch.setattr(os, "open", narrow)
    for _ in range(2):
        assert run("10001", "--connections", "1") == 0
    assert len(site.seen("storage")) == 1
    with (out / "download_state.jsonl").open("ab") as log:
        log.write(b'{"torn')
    add_file(site, name="second.safetensors")
    assert run("10002") == 0
    assert names_on_disk(out) == {"lantern", "second"}


def test_a_driver_that_makes_up_numbers_of_files_is_no_other_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1, 1000))
    monkeypatch.setattr(Disk, "_look", lambda disk: (5, next(numbers)))
    disk = Disk(tmp_path)
    disk.check()
    monkeypatch.setattr(Disk, "_look", lambda disk: (6, next(numbers)))
    with pytest.raises(DiskLost):
        disk.check()


# --- Names and sizes -------------------------------------------------------------------------------


@on_posix
def test_the_longest_name_is_asked_for_and_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert longest_name(tmp_path / "not" / "there") == 240
    with monkeypatch.context() as patch:
        patch.setattr(os, "pathconf", lambda folder, name: 143)
        assert longest_name(tmp_path) == 143
    plain = os.lstat

    def lstat(path: Any, **more: Any) -> os.stat_result:
        if len(os.path.basename(path)) > 143:
            raise OSError(errno.ENAMETOOLONG, "too long")
        return plain(path, **more)

    monkeypatch.setattr(Path, "lstat", lambda path: lstat(path))
    assert longest_name(tmp_path) == 143


def test_the_system_tells_the_type_of_a_disk_or_nothing(tmp_path: Path) -> None:
    found = file_system(tmp_path)
    assert found.isprintable()
    if sys.platform.startswith("linux"):
        assert found
    if sys.platform != "win32":
        assert file_system(tmp_path / "nothing") == ""


def test_the_rest_of_a_short_write_is_written() -> None:
    class Narrow:
        written = b""

        def write(self, data: memoryview) -> int:
            self.written += bytes(data[:3])
            return min(3, len(data))

    narrow = Narrow()
    write_whole(narrow, b"some bytes")  # type: ignore[arg-type]
    assert narrow.written == b"some bytes"


@on_posix
def test_a_file_that_is_too_large_for_its_disk_is_asked_for_once(
    site: FakeCivitai, run: Runner, out: Path, err: Err
) -> None:
    import resource

    add_file(site, 3_000_000)
    add_file(site, 300_000, "small.safetensors")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        for _ in range(2):
            assert run("10001", "10002") == 1
            said = err()
            assert "This disk can't hold a file of 2.9 MB (FAT32?)" in said
            assert "Traceback" not in said
            assert "Stopped" not in said
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(site.seen("storage")) == 2
    assert names_on_disk(out) == {"small"}
    assert run("10001") == 0
    assert names_on_disk(out) == {"small", "lantern"}


def test_what_does_not_fit_stops_the_run_only_where_nothing_would_fit(
    site: FakeCivitai, run: Runner, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        add_file(site, 300_000, name=f"{number}.safetensors").size_kb = (40 << 20) / 1024
    monkeypatch.setattr("civitai_downloader.core.fetch.free_space", lambda path: 20 << 20)
    assert run(*map(str, site.world.models)) == 1
    said = err()
    assert " 8 failed" in said
    assert "Stopped" not in said
    monkeypatch.setattr("civitai_downloader.core.fetch.free_space", lambda path: 20)
    assert run(*map(str, site.world.models)) == 1
    said = err()
    assert " 2 failed" in said
    assert said.count("Stopped: The disk has no room for") == 1


def test_a_disk_without_a_size_is_not_full(site: FakeCivitai, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    add_file(site)
    monkeypatch.setattr("civitai_downloader.core.fetch.free_space", lambda path: 0)
    monkeypatch.setattr(Disk, "tells_room", lambda disk: False)
    assert run(link(site)) == 0


# --- What lies at our names ------------------------------------------------------------------------


@on_posix
def test_a_pipe_in_place_of_a_file_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file") as caught:
        open_regular(tmp_path / "pipe")
    assert "is a pipe, a socket or a device" in str(failure_of(caught.value, tmp_path / "pipe"))


@on_posix
@pytest.mark.parametrize("kind", ["pipe", "folder"])
@pytest.mark.parametrize(
    "name", ["download_state.jsonl", "download_state.lock", "failed.txt", "retry.sh", "report.json", "lists"]
)
def test_what_is_no_file_at_our_names_never_hangs_and_leaves_no_traceback(
    site: FakeCivitai, run: Runner, out: Path, err: Err, name: str, kind: str
) -> None:
    add_file(site)
    out.mkdir()
    (os.mkfifo if kind == "pipe" else os.mkdir)(out / name)
    code = run("10001", "404404")
    said = err()
    assert code in (1, 2)
    assert "Traceback" not in said
    assert "bug in this program" not in said
    assert run("--retry-failed") in (0, 1, 2)
    assert "Traceback" not in err()


@on_posix
@pytest.mark.parametrize("suffix", [".part", ".part.json", "", ".json"])
def test_a_pipe_at_the_name_of_a_file_never_hangs(
    site: FakeCivitai, run: Runner, out: Path, err: Err, suffix: str
) -> None:
    add_file(site)
    assert run("10001", "--only", "metadata") == 0
    folder = next(out.rglob("lantern.json"), None) or next(out.rglob("*.civitai.info"))
    place = folder.parent / f"lantern.safetensors{suffix}"
    if suffix == ".json":
        place = folder.parent / "lantern.json"
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    assert run("10001") in (0, 1)
    assert "Traceback" not in err()


def test_a_file_in_place_of_the_kept_answers_costs_only_those(
    site: FakeCivitai, run: Runner, out: Path, err: Err
) -> None:
    add_file(site)
    out.mkdir()
    (out / "lists").write_text("of somebody")
    assert run("10001") in (0, 1)
    assert "Traceback" not in err()
