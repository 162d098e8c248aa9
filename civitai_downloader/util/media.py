"""Media and model files, recognised by their first bytes."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", 0, ".png", "image"), (b"\xff\xd8\xff", 0, ".jpg", "image"),
    (b"GIF8", 0, ".gif", "image"), (b"WEBP", 8, ".webp", "image"),
    (b"ftypavi", 4, ".avif", "image"), (b"ftyphei", 4, ".heic", "image"),
    (b"\xff\x0a", 0, ".jxl", "image"), (b"\0\0\0\x0cJXL ", 0, ".jxl", "image"), (b"BM", 0, ".bmp", "image"),
    (b"ftypM4A", 4, ".m4a", "audio"), (b"WAVE", 8, ".wav", "audio"), (b"OggS", 0, ".ogg", "audio"),
    (b"ID3", 0, ".mp3", "audio"), (b"\xff\xfb", 0, ".mp3", "audio"), (b"fLaC", 0, ".flac", "audio"),
    (b"ftypqt", 4, ".mov", "video"), (b"ftyp", 4, ".mp4", "video"), (b"\x1aE\xdf\xa3", 0, ".webm", "video"),
)  # fmt: skip
MEDIA_EXTENSIONS = frozenset(row[2] for row in _MAGIC)


def sniff_media(head: bytes) -> tuple[str, str]:
    """Return extension and kind (`image`, `video`, `audio`) of a file by its first bytes, or two empty texts."""
    for magic, offset, extension, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return extension, kind
    return "", ""


def looks_like_page(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is an HTML or XML page."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error"))


def is_safetensors(path: Path) -> bool:
    """Return whether a file has a valid safetensors header whose tensors end where the file ends."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= min(size - 8, 100 << 20):
                return False
            header = json.loads(file.read(length))
        ends = [int(each["data_offsets"][1]) for key, each in header.items() if key != "__metadata__"]
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, struct.error, RecursionError):
        return False
    return bool(max(ends, default=0) == size - 8 - length)
