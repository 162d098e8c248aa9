"""What apps and accidents do to model files on disk."""

from __future__ import annotations

import json
from pathlib import Path


def with_header(data: bytes, note: str, length: int = 0) -> bytes:
    """Return a safetensors with a note in its header, whose length is kept if the note fits, or is `length`."""
    old = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + old])
    new = json.dumps({"__metadata__": {"modelspec.title": note}, **header}, separators=(",", ":")).encode()
    new = new.ljust(length or old)
    return len(new).to_bytes(8, "little") + new + data[8 + old :]


def edit_in_place(path: Path, note: str = "x", length: int = 0) -> bytes:
    """Let an app write into the header of a file, through the same inode; return the new content."""
    data = with_header(path.read_bytes(), note, length)
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
    return data


def other_bytes(size: int) -> bytes:
    """Return as many bytes of nothing in particular."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]
