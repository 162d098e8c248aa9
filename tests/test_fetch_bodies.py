"""Bodies of the wrong size or form are refused, and a disk may take only a part of one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.util.files import open_making_folders
from tests import fake_civitai as fake
from tests.conftest import Runner, files_under, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import MANY, STORAGE, Err, add_file, landed, leave_part, link, ranges


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self._file.write(data))


def test_bytes_beyond_the_announced_length_are_not_stored(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Longer(5000))
    assert run(link(site)) == 0
    assert landed(out, file)


def test_a_body_longer_than_the_published_size_is_refused(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site)
    site.fail(STORAGE, fake.Longer(5000, chunked=True), times=MANY)
    assert run(link(site)) == 1
    assert "Wrong size" in err()
    assert not files_under(out, "*.safetensors")


def test_an_offer_beyond_the_published_size_is_refused_before_its_first_byte(
    site: FakeCivitai, run: Runner, out: Path, err: Err
) -> None:
    add_file(site, size_kb=100.0)
    assert run(link(site)) == 1
    assert "The server offers 300000 bytes instead of 102400" in err()
    assert len(site.seen("storage")) == 1
    assert not [path for path in out.rglob("*.part") if path.stat().st_size]


def test_a_compressed_body_is_never_stored_as_it_is(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.Gzip())
    assert run(link(site)) == 0
    assert landed(out, file)


def test_bodies_that_are_always_compressed_fail(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site)
    site.fail(STORAGE, fake.Gzip(), times=MANY)
    assert run(link(site)) == 1
    assert "compressed" in err()
    assert len(site.seen("storage")) == 3
    assert not files_under(out, "*.safetensors")


def test_a_gzip_bomb_in_place_of_a_file_is_refused(site: FakeCivitai, run: Runner, out: Path) -> None:
    add_file(site)
    site.fail(STORAGE, fake.GzipBomb(), times=MANY)
    assert run(link(site), "--no-page") == 1
    assert sum(map(len, files_under(out).values())) < 100_000


def test_an_empty_answer_where_a_size_is_known_is_tried_again(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.fail(STORAGE, fake.EMPTY)
    assert run(link(site)) == 0
    assert landed(out, file)


def test_answers_that_stay_empty_fail(site: FakeCivitai, run: Runner, out: Path, err: Err) -> None:
    add_file(site, hashed=False)
    site.fail(STORAGE, fake.EMPTY, times=MANY)
    assert run(link(site)) == 1
    assert "closed the connection after 0 bytes" in err()
    assert not files_under(out, "*.safetensors")


def test_an_empty_picture_fails_and_leaves_the_model_file_alone(site: FakeCivitai, run: Runner, out: Path) -> None:
    file = add_file(site)
    site.world.versions[20001].add_image()
    site.fail("blob:/", fake.EMPTY, times=MANY)
    assert run(link(site)) == 1
    assert landed(out, file)


def test_a_disk_that_fills_up_is_named_and_the_part_is_kept(
    site: FakeCivitai, run: Runner, out: Path, err: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = add_file(site, 3_000_000), open_making_folders

    def full(path: Path, flags: int) -> Any:
        return Full(opened(path, flags), 2_000_000 if path.suffix == ".part" else 1 << 40)

    with monkeypatch.context() as patch:
        patch.setattr("civitai_downloader.util.transfer.open_making_folders", full)
        assert run(link(site)) == 1
    assert "The disk is full" in err()
    assert len(site.seen("storage")) == 1
    assert 1_000_000 < one_file(out, "*.part").stat().st_size < 2_000_001
    assert run(link(site)) == 0
    assert landed(out, file)
    assert ranges(site)[1]


@pytest.mark.parametrize("left", [None, 1_500_000, 2_000_000])
def test_a_large_file_is_on_the_disk_before_it_has_its_name(
    site: FakeCivitai, run: Runner, out: Path, monkeypatch: pytest.MonkeyPatch, left: int | None
) -> None:
    file, forced = add_file(site, 2_000_000), set[int]()
    if left:
        leave_part(site, run, out).write_bytes(file.data[:left])
    monkeypatch.setattr(os, "fsync", lambda number: forced.add(os.fstat(number).st_ino))
    assert run(link(site)) == 0
    assert landed(out, file)
    assert one_file(out, file.name).stat().st_ino in forced
