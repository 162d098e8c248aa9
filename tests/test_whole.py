"""Whole or cut: what ends as its form says is accepted, and what breaks off is not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.media import sniff_media
from civitai_downloader.util.whole import has_index, is_whole
from tests import fake_civitai as fake
from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import MANY, newest

BLOB = "blob:/"


def box(kind: bytes, data: bytes = b"") -> bytes:
    """A box of the MP4 family."""
    return struct.pack(">I", len(data) + 8) + kind + data


def element(number: bytes, data: bytes, size: bytes | None = None) -> bytes:
    """An EBML element."""
    return number + (struct.pack(">I", len(data) | 0x10000000) if size is None else size) + data


def ogg_page(data: bytes) -> bytes:
    """A page of an Ogg file."""
    lengths = bytes([255] * (len(data) // 255) + [len(data) % 255])
    return b"OggS" + bytes(22) + bytes([len(lengths)]) + lengths + data


PROGRESSIVE = (
    b"\xff\xd8\xff\xe1\x00\x0aEx\xff\xd8\xff\xd9\0\0"  # a thumbnail in Exif data has an end of its own
    b"\xff\xff\xc2\x00\x04ab\xff\xda\x00\x04cd12\xff\x003\xff\xd04\xff\xc4\x00\x03e\xff\xda\x00\x04fg56\xff\xd9"
)
HEADER = element(b"\x1aE\xdf\xa3", b"\x42\x82\x84webm")
RECORDED = (
    HEADER
    + b"\x18S\x80g\x01\xff\xff\xff\xff\xff\xff\xff"
    + element(b"\x15I\xa9f", b"facts")
    + b"\x1fC\xb6u\x01\xff\xff\xff\xff\xff\xff\xff"
    + element(b"\xa3", b"a block of a cluster")
)
FTYP = box(b"ftyp", b"avifmif1")
GOOD = {
    "png": fake.png_bytes(1, text="a lantern"),
    "jpg": fake.jpeg_bytes(1),
    "jpg, progressive": PROGRESSIVE,
    "webp": fake.webp_bytes(1),
    "gif": fake.gif_bytes(1),
    "mp4": fake.mp4_bytes(1),
    "mov, index first": box(b"ftyp", b"qt  ") + box(b"moov", b"index") + box(b"mdat", b"films" * 9),
    "mp4, large": box(b"ftyp", b"isom") + box(b"moov") + struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(100),
    "avif": FTYP + box(b"meta", b"facts") + box(b"mdat", b"picture"),
    "webm": fake.webm_bytes(1),
    "ogg": ogg_page(b"a" * 600) + ogg_page(b"b"),
    "wav": b"RIFF" + struct.pack("<I", 50) + b"WAVE" + bytes(46),
    "bmp": b"BM" + struct.pack("<I", 90) + bytes(84),
}


def extension_of(name: str) -> str:
    """The extension of a sample, which its bytes confirm."""
    extension = "." + name.partition(",")[0]
    assert sniff_media(GOOD[name][:64])[0] == extension
    return extension


def judged(folder: Path, name: str, data: bytes) -> bool:
    """Whether these bytes count as whole where the server has told no length."""
    (folder / "file").write_bytes(data)
    extension = extension_of(name)
    return is_whole(folder / "file", extension) and has_index(folder / "file", extension)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("behind", [b"", b"\0" * 3, b"\0" * 5000, b"words that a program appended"])
def test_what_ends_as_it_must_is_accepted_with_whatever_stands_behind_it(
    tmp_path: Path, name: str, behind: bytes
) -> None:
    assert judged(tmp_path, name, GOOD[name] + behind)


@pytest.mark.parametrize("name", GOOD)
def test_what_breaks_off_is_refused_wherever_it_does(tmp_path: Path, name: str) -> None:
    boundary = {
        "gif": {len(GOOD["gif"]) - 1},  # some programs leave the last byte out
        "ogg": {len(ogg_page(b"a" * 600))},
        "avif": {*range(len(GOOD["avif"]) - 15, len(GOOD["avif"]) - 11)},  # small pictures lie in what comes before
    }.get(name, set())
    passed = {end for end in range(12, len(GOOD[name])) if judged(tmp_path, name, GOOD[name][:end])}
    assert passed == boundary


def test_a_recorded_film_may_end_behind_any_block(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(RECORDED)
    assert is_whole(tmp_path / "file", ".webm")
    for end in range(len(RECORDED) - 20, len(RECORDED)):
        (tmp_path / "file").write_bytes(RECORDED[:end])
        assert not is_whole(tmp_path / "file", ".webm")


@pytest.mark.parametrize(
    ("extension", "data"),
    [
        (".mp3", b"ID3\x04"),
        (".flac", b"fLaC"),
        (".jxl", b"\xff\x0a"),
        (".jpg", b"\xff\xd8\xffj"),
        (".webm", HEADER + b"something else"),
        (".gif", b"GIF89a" + bytes(7) + b"noise;"),
        (".wav", b"RIFF\xff\xff\xff\xffWAVE"),
        (".mp4", box(b"ftyp") + box(b"moov") + struct.pack(">I", 0) + b"mdat to the end"),
    ],
)
def test_what_a_form_does_not_tell_is_not_guessed(tmp_path: Path, extension: str, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert is_whole(tmp_path / "file", extension)


@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=300), st.integers(0, 400))
def test_anything_can_be_read(tmp_path: Path, name: str, noise: bytes, keep: int) -> None:
    judged(tmp_path, name, GOOD[name][:keep] + noise)


# --- By the command ------------------------------------------------------------------------------


def picture(lora: FakeModel, make: Callable[[int], bytes]) -> bytes:
    """Give the version one picture of this form and return its bytes."""
    version = newest(lora)
    version.images.clear()
    return version.add_image(data=make(7), meta={"prompt": "x"}).data


@pytest.mark.parametrize("make", [fake.png_bytes, fake.jpeg_bytes, fake.webp_bytes, fake.gif_bytes, fake.mp4_bytes])
def test_a_picture_that_broke_off_without_a_length_is_asked_for_again(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel, make: Callable[[int], bytes]
) -> None:
    data = picture(lora, make)
    site.fail(BLOB, fake.CutUnsized(100))
    assert run("10001@20002", "--only", "images") == 0
    assert data in files_under(out / "users").values()
    assert not list(out.rglob("*.part*"))
    assert not (out / "corrupted").exists()


def test_a_picture_that_is_broken_on_the_site_fails_and_is_put_aside(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel, state: State
) -> None:
    data = picture(lora, fake.png_bytes)
    site.fail(BLOB, fake.Status(200, data[:-20], content_type="image/png"), times=MANY)
    assert run("10001@20002", "--only", "images") == 1
    assert not list(out.rglob("users/**/*.png"))
    assert state()["image", "40004"]["status"] == "failed"
    assert data[:-20] in files_under(out / "corrupted").values()


def test_a_cut_picture_on_disk_is_not_taken_for_the_one_wanted(
    run: Runner, out: Path, site: FakeCivitai, lora: FakeModel
) -> None:
    data = picture(lora, fake.png_bytes)
    assert run("10001@20002") == 0
    (out / "download_state.jsonl").unlink()
    found = one_file(out, "40004.png")
    found.write_bytes(data[:-10])
    assert run("10001@20002") == 1  # without the log nobody knows whose it is
    assert found.read_bytes() == data[:-10]
    found.unlink()
    assert run("10001@20002") == 0
    assert found.read_bytes() == data
