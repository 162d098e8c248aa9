"""Recognising media and model files by their first bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.util.media import MEDIA_EXTENSIONS, is_safetensors, looks_like_page, sniff_media
from tests import fake_civitai as fake


@pytest.mark.parametrize(
    ("head", "extension", "kind"),
    [
        (fake.png_bytes(1), ".png", "image"),
        (fake.jpeg_bytes(1), ".jpg", "image"),
        (fake.webp_bytes(1), ".webp", "image"),
        (fake.gif_bytes(1), ".gif", "image"),
        (fake.mp4_bytes(1), ".mp4", "video"),
        (fake.webm_bytes(1), ".webm", "video"),
        (b"\0\0\0\x1cftypavif", ".avif", "image"),
        (b"\0\0\0\x1cftypheic", ".heic", "image"),
        (b"\0\0\0\x14ftypqt  ", ".mov", "video"),
        (b"\0\0\0\x1cftypM4A ", ".m4a", "audio"),
        (b"RIFF\0\0\0\0WAVEfmt ", ".wav", "audio"),
        (b"OggS\0", ".ogg", "audio"),
        (b"ID3\x04", ".mp3", "audio"),
        (b"<!DOCTYPE html>", "", ""),
        (b"", "", ""),
        (b"\x89PN", "", ""),
    ],
)
def test_sniff_media(head: bytes, extension: str, kind: str) -> None:
    assert sniff_media(head[:64]) == (extension, kind)
    assert not extension or extension in MEDIA_EXTENSIONS


@pytest.mark.parametrize(
    ("head", "page"),
    [
        (b"<!DOCTYPE html><title>", True),
        (b"\xef\xbb\xbf\r\n <HTML>", True),
        (b"<?xml version='1.0'?><Error>", True),
        (b"<Error><Code>", True),
        (b"<head>", True),
        (b"<lora:x:1>", False),
        (b"\x08\0\0\0\0\0\0\0{}", False),
        (b"", False),
    ],
)
def test_looks_like_page(head: bytes, page: bool) -> None:
    assert looks_like_page(head) == page


def tensors(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of these parts."""
    return struct.pack("<Q", len(header) if length is None else length) + header + body


@pytest.mark.parametrize(
    ("data", "good"),
    [
        (fake.safetensors_bytes(1), True),
        (fake.safetensors_bytes(1)[:-1], False),
        (fake.safetensors_bytes(1) + b"x", False),
        (tensors(b"{}"), True),
        (tensors(b"{}", b"x"), False),
        (tensors(b'{"__metadata__":{}}'), True),
        (tensors(b'{"a":{"data_offsets":[0,4]}}', b"1234"), True),
        (tensors(b"{}", length=1 << 62), False),
        (tensors(b"{}", length=1), False),
        (tensors(b"[]"), False),
        (tensors(b'{"a":5}'), False),
        (tensors(b'{"a":{"data_offsets":[0]}}'), False),
        (tensors(b'{"a":{"data_offsets":[0,null]}}'), False),
        (tensors(b'{"a":{"data_offsets":[0,1e999]}}'), False),
        (tensors(b'{"a":{"data_offsets":{"1":2}}}'), False),
        (tensors(b"[" * 100_000), False),
        (tensors(b"\xff\xff"), False),
        (b"", False),
        (b"1234567", False),
    ],
)
def test_is_safetensors(tmp_path: Path, data: bytes, good: bool) -> None:
    (tmp_path / "file").write_bytes(data)
    assert is_safetensors(tmp_path / "file") == good
    assert not is_safetensors(tmp_path / "nothing")
    assert not is_safetensors(tmp_path)


@given(st.binary(max_size=200), st.booleans())
def test_is_safetensors_reads_anything(tmp_path: Path, data: bytes, framed: bool) -> None:
    (tmp_path / "file").write_bytes(tensors(data) if framed else data)
    is_safetensors(tmp_path / "file")
