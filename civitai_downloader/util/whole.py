"""Whole or cut: whether a picture, video or sound ends as its form says, for want of a size or a hash.

What programs append behind the end of a picture does no harm and is accepted. What a form does not tell is not guessed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

MOST_IN_MEMORY = 64 << 20
_STREAMED = (0, 0xFFFFFFFF)  # sizes that a writer leaves behind that could not go back to its beginning
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_JPEG_AFTER_SCAN = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_JPEG_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))  # markers without a length
_JPEG_SEGMENTS = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xFF)))
_BOXES = frozenset(
    b"ftyp moov mdat free skip wide uuid meta moof mfra sidx ssix styp pdin emsg prft Exif jxlc jxlp jbrd brob".split()
)
_NEEDED = {
    **dict.fromkeys((".mp4", ".mov", ".m4a"), frozenset((b"moov", b"mdat"))),
    **dict.fromkeys((".avif", ".heic"), frozenset((b"meta",))),
}
_PADDING = b"\0\r\n\t "


def is_whole(path: Path, extension: str) -> bool:
    """Return whether a file of this form ends as it must; True where the form does not tell. Raises OSError."""
    check = _CHECKS.get(extension.lower())
    if check is None:
        return True
    size = path.stat().st_size
    with path.open("rb") as file:
        return check(file, size)


def has_index(path: Path, extension: str) -> bool:
    """Return whether a file of the MP4 family has the parts without which it shows nothing. Raises OSError."""
    needed = _NEEDED.get(extension.lower())
    if needed is None:
        return True
    size = path.stat().st_size
    with path.open("rb") as file:
        return needed <= {kind for kind, _ in _boxes(file, size)}


def _png(file: IO[bytes], size: int) -> bool:
    """Chunks, of which the last is IEND."""
    at = 8
    while at + 12 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        at += 12 + length
        if kind == b"IEND":
            return bool(at <= size)
    return False


def _jpeg(file: IO[bytes], size: int) -> bool:
    """Segments and scans up to the marker EOI. Where they can't be followed, EOI must be the last of the file.

    What does not even begin with a segment is not judged.
    """
    if size > MOST_IN_MEMORY:
        file.seek(size - 4096)
        return file.read().rstrip(_PADDING).endswith(b"\xff\xd9")
    data = file.read()
    at, is_scan = 2, False
    while found := _JPEG_AFTER_SCAN.search(data, at) if is_scan else _JPEG_MARKER.match(data, at):
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            return True
        if marker not in _JPEG_ALONE | _JPEG_SEGMENTS:
            if found.start() == 2:
                return True
            break
        if marker not in _JPEG_ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
        is_scan = marker == 0xDA or (is_scan and marker in _JPEG_ALONE)
    if at >= size or is_scan:
        return False
    return data.rstrip(_PADDING).endswith(b"\xff\xd9")


def _gif(file: IO[bytes], size: int) -> bool:
    """Blocks up to the trailer, which some programs leave out behind a whole picture.

    Where the blocks can't be followed, the trailer must be the last of the file.
    """
    data = file.read(min(size, MOST_IN_MEMORY))
    if size < 13 or size > MOST_IN_MEMORY:
        return size > MOST_IN_MEMORY
    at, is_picture = 13 + _colours(data[10]), False
    while at < size:
        kind = data[at]
        if kind == 0x3B:
            return True
        if kind not in (0x21, 0x2C):
            return data.rstrip(_PADDING).endswith(b";")
        is_picture = kind == 0x2C
        if is_picture:
            at += 11 + (_colours(data[at + 9]) if at + 9 < size else size)
        else:
            at += 2
        while at < size and data[at]:
            at += 1 + data[at]
        at += 1
    return is_picture and at == size


def _colours(flags: int) -> int:
    """Return the size of a GIF's table of colours."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _riff(file: IO[bytes], size: int) -> bool:
    """The size that stands at its beginning."""
    head = file.read(8)
    told = int.from_bytes(head[4:], "big" if head[:4] == b"RIFX" else "little")
    return len(head) == 8 and (told in _STREAMED or told + 8 <= size)


def _bmp(file: IO[bytes], size: int) -> bool:
    """The size that stands at its beginning, if one does."""
    file.seek(2)
    return int.from_bytes(file.read(4), "little") <= size and size >= 26


def _boxes(file: IO[bytes], size: int) -> Iterator[tuple[bytes, int]]:
    """Yield kind and end of the boxes of a file of the MP4 family."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
            length = length if length >= 16 and at + 16 <= size else size - at + 1
        elif length == 0 and kind in _BOXES:
            length = size - at
        if length < 8:
            return
        at += length
        yield kind, at


def _mp4(file: IO[bytes], size: int) -> bool:
    """Boxes that add up. Behind the last one there may be what is no box."""
    at = 0
    for kind, end in _boxes(file, size):
        if end > size:
            return at > 0 and kind not in _BOXES
        at = end
    file.seek(at)
    return at > 0 and (size - at >= 8 or not file.read().strip(b"\0"))


def _webm(file: IO[bytes], size: int) -> bool:
    """The sizes of its elements. A segment of unknown size, as recorders write it, is followed element by element."""
    head = _element(file, 0)
    if head is None or head[0] != _EBML or head[2] is None or head[2] >= size:
        return False
    at: int = head[2]
    while at < size:
        found = _element(file, at)
        if found is None:
            return False
        kind, start, end = found
        if at == head[2] and kind != _SEGMENT:
            return True  # what this is, is not known
        if end is not None and end > size:
            return False
        if kind == _SEGMENT and end is not None:
            return True
        at = start if end is None else end
    return True


def _element(file: IO[bytes], at: int) -> tuple[int, int, int | None] | None:
    """Return id, start and end of the EBML element at a place, None for an end that is unknown; None if it is cut."""
    file.seek(at)
    head = file.read(12)
    width = 9 - (head[:1] or b"\0")[0].bit_length()
    if width > 4 or len(head) <= width:
        return None
    length = 9 - head[width].bit_length()
    field = head[width : width + length]
    if length > 8 or len(field) < length:
        return None
    start, told = at + width + length, int.from_bytes(field, "big") & ((1 << 7 * length) - 1)
    return int.from_bytes(head[:width], "big"), start, None if told == (1 << 7 * length) - 1 else start + told


def _ogg(file: IO[bytes], size: int) -> bool:
    """Pages that add up."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(27 + 255)
        if head[:4] != b"OggS":
            return at > 0 and not b"OggS".startswith(head[:4])
        lengths = head[27 : 27 + head[26]] if len(head) > 26 else b""
        if len(head) < 27 or len(lengths) < head[26]:
            return False
        at += 27 + len(lengths) + sum(lengths)
    return at == size


def _jxl(file: IO[bytes], size: int) -> bool:
    """Boxes that add up; a bare code stream does not tell."""
    return file.read(2) == b"\xff\x0a" or _mp4(file, size)


_CHECKS: dict[str, Callable[[IO[bytes], int], bool]] = {
    ".png": _png, ".jpg": _jpeg, ".jpeg": _jpeg, ".gif": _gif, ".webp": _riff, ".wav": _riff, ".bmp": _bmp,
    ".mp4": _mp4, ".mov": _mp4, ".m4a": _mp4, ".avif": _mp4, ".heic": _mp4, ".jxl": _jxl, ".webm": _webm, ".ogg": _ogg,
}  # fmt: skip
