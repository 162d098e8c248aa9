"""Writing, linking, measuring and hashing files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import threading
from pathlib import Path

import pytest

from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import Failure, Stopped
from civitai_downloader.util.files import (
    PrefixHash,
    disk_errors,
    free_space,
    link_or_copy,
    planted_link,
    sha256_of,
    size_of,
    temporary_name,
    write_file,
    write_json,
    write_whole,
)


def test_write_file_makes_folders_and_tells_whether_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "name.txt"
    assert write_file(path, b"one")
    assert not write_file(path, b"one")
    assert write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_files_with_long_names_do_not_meet_in_their_temporary_names(tmp_path: Path) -> None:
    paths = [tmp_path / f"{'x' * 100}{number}" for number in range(8)]
    threads = [
        threading.Thread(target=lambda path=path: [write_file(path, b"%d" % n) for n in range(60)]) for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in paths] == [b"59"] * 8
    assert sorted(tmp_path.iterdir()) == paths


def test_write_json_survives_lone_surrogates(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"한": "\ud800"})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "한": "?"\n}\n'.encode()


@pytest.mark.parametrize("links", [True, False])
def test_link_or_copy_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "source", tmp_path / "sub" / "target"
    source.write_bytes(b"bytes")
    for _ in range(2):
        link_or_copy(source, target)
        assert target.read_bytes() == b"bytes"
        assert list(target.parent.iterdir()) == [target]
    assert target.samefile(source) == links


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "disk-full"), (errno.EDQUOT, "disk-full"), (errno.EACCES, "disk")]
)
def test_disk_errors_name_path_and_remedy(code: int, reason: str) -> None:
    with (
        pytest.raises(Failure, match=r"[/\\]some[/\\]file.*(free some space|permissions)") as caught,
        disk_errors(Path("/some/file")),
    ):
        raise OSError(code, os.strerror(code))
    assert caught.value.reason == reason


def test_disk_errors_let_everything_else_pass() -> None:
    for error in (ValueError("x"), Stopped(), Failure("reason", "message")):
        with pytest.raises(type(error)), disk_errors(Path("x")):
            raise error
    with disk_errors(Path("x")):
        pass


def test_a_folder_in_the_way_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Failure, match="can't be written"):
        write_file(tmp_path / "file" / "below", b"x")
    with pytest.raises(Failure, match="can't be written"):
        link_or_copy(tmp_path / "nothing", tmp_path / "target")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_link_planted_where_a_file_is_put_together_is_not_written_through(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "out" / "file"
    victim.write_bytes(b"of somebody else")
    write_file(target, b"first")
    temporary_name(target).symlink_to(victim)
    write_file(target, b"second")
    assert (victim.read_bytes(), target.read_bytes()) == (b"of somebody else", b"second")


def test_size_of_counts_only_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert size_of(tmp_path / "file") == 5
    assert size_of(tmp_path) is None
    assert size_of(tmp_path / "nothing") is None
    assert size_of(Path("nul\0byte")) is None


def test_free_space_of_a_folder_to_come(tmp_path: Path) -> None:
    assert free_space(tmp_path / "not" / "yet") > 0


def test_a_hash_goes_on_from_where_it_was(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(data)
    assert sha256_of(tmp_path / "file", Clock()) == hashlib.sha256(data).hexdigest()
    prefix = PrefixHash(tmp_path / "file", Clock(), wanted=True)
    for end in (0, 1, 1 << 20, (2 << 20) + 5, 9 << 20):
        prefix.catch_up(end)
        assert prefix.hexdigest() == hashlib.sha256(data[:end]).hexdigest()


@pytest.mark.parametrize("wanted", [True, False])
def test_the_hash_of_a_growing_file_takes_what_is_there_without_a_gap(tmp_path: Path, wanted: bool) -> None:
    data, path = os.urandom(50_000), tmp_path / "file"
    path.write_bytes(data[:20_000])
    prefix = PrefixHash(path, Clock(), wanted=wanted)

    def hashed(end: int) -> bool:
        return prefix.hexdigest() == (hashlib.sha256(data[:end]).hexdigest() if wanted else "")

    prefix.add(data[:5000], 0, 5000)
    assert hashed(5000)
    prefix.add(data[40_000:], 40_000, 5000)
    assert hashed(5000)
    prefix.catch_up(20_000, 1000)
    assert hashed(6000)
    prefix.add(b"", 50_000, 20_000)
    assert hashed(20_000)
    path.write_bytes(data)
    prefix.catch_up(50_000)
    prefix.catch_up(50_000)
    assert hashed(50_000)


def test_a_short_write_means_a_full_disk() -> None:
    class Narrow:
        def write(self, data: bytes) -> int:
            return len(data) - 1

    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENOSPC))):
        write_whole(Narrow(), b"bytes")  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root makes links of others")
@pytest.mark.parametrize(("owner", "planted"), [(0, False), (4711, False), (4712, True)])
def test_a_link_that_a_stranger_made_is_told(tmp_path: Path, owner: int, planted: bool) -> None:
    root, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (root / "models").mkdir(parents=True)
    elsewhere.mkdir()
    os.chown(root, 4711, -1)
    (root / "models" / "loras").symlink_to(elsewhere)
    os.chown(root / "models" / "loras", owner, -1, follow_symlinks=False)
    assert planted_link(root, root / "models") is None
    found = planted_link(root, root / "models" / "loras" / "deep" / "er")
    assert found == (root / "models" / "loras" if planted else None)
    assert planted_link(root, elsewhere) is None
