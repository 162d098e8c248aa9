"""Media and model files, recognised by their first bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .tensors import LENGTH, read_header

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", 0, ".png", "image"), (b"\xff\xd8\xff", 0, ".jpg", "image"),
    (b"GIF8", 0, ".gif", "image"), (b"WEBP", 8, ".webp", "image"),
    (b"ftypavi", 4, ".avif", "image"), (b"ftyphei", 4, ".heic", "image"),
    (b"\xff\x0a", 0, ".jxl", "image"), (b"\0\0\0\x0cJXL ", 0, ".jxl", "image"), (b"BM", 0, ".bmp", "image"),
    (b"ftypM4A", 4, ".m4a", "audio"), (b"WAVE", 8, ".wav", "audio"), (b"OggS", 0, ".ogg", "audio"),
    (b"ID3", 0, ".mp3", "audio"), (b"\xff\xfb", 0, ".mp3", "audio"), (b"fLaC", 0, ".flac", "audio"),
    (b"ftypqt", 4, ".mov", "video"), (b"ftyp", 4, ".mp4", "video"), (b"\x1aE\xdf\xa3", 0, ".webm", "video"),
)  # fmt: skip
# What is dropped onto a program in place of a text file. These beginnings can't be those of a text.
_NOT_TEXT = (
    (b"GGUF", "a model file (GGUF)"), (b"PK\x03\x04", "a zip file (or a checkpoint)"), (b"PK\x05\x06", "a zip file"),
    (b"\x80\x02", "a pickle file"), (b"\x80\x03", "a pickle file"), (b"\x80\x04", "a pickle file"),
    (b"\x80\x05", "a pickle file"), (b"%PDF-", "a PDF file"), (b"\x1f\x8b", "a gzip file"), (b"BZh9", "a bzip2 file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file"), (b"Rar!\x1a\x07", "a rar file"), (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"), (b"\x89HDF", "an HDF5 file"), (b"SQLite format 3\0", "a database"),
    (b"MZ\x90\0", "a program"), (b"\x7fELF", "a program"), (b"\xd0\xcf\x11\xe0", "an Office file"),
    (b"{\\rtf", "an RTF file"),
)  # fmt: skip
_TEXT_LIKE = (".bmp", ".mp3")  # a text may begin like these
MEDIA_EXTENSIONS = frozenset(row[2] for row in _MAGIC)
_KINDS = {".jpeg": "image", **{row[2]: row[3] for row in _MAGIC}}


def sniff_media(head: bytes) -> tuple[str, str]:
    """Return extension and kind (`image`, `video`, `audio`) of a file by its first bytes, or two empty texts."""
    for magic, offset, extension, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return extension, kind
    return "", ""


def kind_of_media(extension: str) -> str:
    """Return `image`, `video` or `audio` by the extension of a file, or "" for one that is none of these."""
    return _KINDS.get(extension.lower(), "")


def not_text(head: bytes) -> str:
    """Return what a file is that begins with these bytes, as `a picture`, or "" if it may be a text.

    Zero bytes are text only in UTF-16, whose byte order mark comes first.
    """
    if head[8:9] == b"{" and head[4:8] == b"\0\0\0\0":
        return "a model file (safetensors)"
    for magic, kind in _NOT_TEXT:
        if head.startswith(magic):
            return kind
    extension, media = sniff_media(head)
    has_zeros = b"\0" in head
    if media and (has_zeros or extension not in _TEXT_LIKE):
        return {"image": "a picture", "video": "a video", "audio": "a sound file"}[media]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        has_zeros = "\0" in head.decode("utf-16", "replace")
    return "a binary file" if has_zeros else ""


def looks_like_page(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is an HTML or XML page."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error"))


def is_safetensors(path: Path) -> bool:
    """Return whether a file has a valid safetensors header whose tensors end where the file ends."""
    try:
        with path.open("rb") as file:
            data = read_header(file, 100 << 20)
            size = os.fstat(file.fileno()).st_size
        header = json.loads(data)
        ends = [int(each["data_offsets"][1]) for key, each in header.items() if key != "__metadata__"]
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError):
        return False
    return bool(max(ends, default=0) == size - LENGTH - len(data))
