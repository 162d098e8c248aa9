"""What stands in front of the weights in safetensors and GGUF files: their own words, and names and shapes of tensors.

All of it is a stranger's: every length is checked before it is believed, and no more is read than `MOST_HEADER`.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .tensors import MOST_HEADER, read_header
from .text import utf8

MOST_VALUES = 200_000  # in a JSON text; each tensor has about ten
MOST_TENSORS = 20_000  # in a GGUF; as many fit into the values of a safetensors
LONGEST_NAME = 128  # of a tensor; those with longer ones are left out
_GGUF, _GGUF_VERSIONS = b"GGUF", (2, 3)
_TEXT, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # by kind of value in a GGUF


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its texts by key, and the shapes of its tensors by name, in the order of PyTorch.

    Lone surrogates in texts are question marks; everything else in them is as the file has it.
    """

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]


def read_header_of(path: Path) -> Header | None:
    """Return the header of a model file, or None if it has none that can be read and understood.

    At most `MOST_HEADER` bytes are read: a longer header of a safetensors is not read at all; of a GGUF only the texts
    in that part are, and no shapes if the last of them lies behind it.
    """
    with suppress(OSError, ValueError, LookupError, RecursionError, MemoryError, struct.error):
        with path.open("rb") as file:
            if file.read(len(_GGUF)) == _GGUF:
                return _GgufReader(_GGUF + file.read(MOST_HEADER - len(_GGUF))).read()
            file.seek(0)
            data = read_header(file, MOST_HEADER)
        return _of_safetensors(data)
    return None


def read_json(text: str) -> Any:
    """Return the value of a stranger's JSON text, in which a whole number of 20 or more digits is -1.

    Raises ValueError if it is none or holds more than `MOST_VALUES` values, which need far more room than their text,
    and RecursionError.
    """
    marks = re.sub(r'"[^"]*"?', "", text.replace(r"\\", "").replace(r"\"", ""))
    if sum(map(marks.count, ",[{")) >= MOST_VALUES:
        raise ValueError("too many values")
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 20 else -1)


# --- Safetensors ----------------------------------------------------------------------------------


def _of_safetensors(data: bytes) -> Header:
    """Return the header that these bytes of JSON are. Raises ValueError, RecursionError."""
    if not data.startswith(b"{"):
        raise ValueError("not the header of a safetensors")
    value = read_json(data.decode("utf-8", "replace"))
    words = value.pop("__metadata__", None)
    shapes = {_plain(name): _shape(each["shape"]) for name, each in value.items() if _is_tensor(name, each)}
    return Header(_texts(words) if isinstance(words, dict) else {}, shapes)


def _is_tensor(name: str, value: Any) -> bool:
    return len(name) <= LONGEST_NAME and isinstance(value, dict) and isinstance(value.get("shape"), list)


def _shape(value: list[Any]) -> tuple[int, ...]:
    """Return a shape, which is empty if it holds anything but lengths."""
    fits = all(type(each) is int and 0 <= each < 1 << 63 for each in value)
    return tuple(value) if fits else ()


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {_plain(key): _plain(value) for key, value in values.items() if isinstance(value, str)}


def _plain(text: str) -> str:
    """Return a text that UTF-8 has bytes for."""
    return utf8(text).decode()


# --- GGUF -----------------------------------------------------------------------------------------


class _GgufReader:
    """Reads the beginning of a GGUF file. What runs over its end raises struct.error or ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, len(_GGUF)

    def read(self) -> Header:
        """Return the header. Raises ValueError, RecursionError, struct.error if this is none."""
        version, tensors, pairs = self._numbers("<IQQ")
        if version not in _GGUF_VERSIONS:
            raise ValueError("not a known version")
        metadata, shapes = dict[str, str](), dict[str, tuple[int, ...]]()
        with suppress(ValueError, struct.error):  # the rest lies behind what is read
            for _ in range(pairs):
                self._read_pair(metadata)
            shapes = self._shapes(tensors)
        return Header(metadata, shapes)

    def _read_pair(self, metadata: dict[str, str]) -> None:
        """Read a key and its value, which is kept if it is a text about the model in general."""
        key, (kind,) = self._text(), self._numbers("<I")
        if kind == _TEXT and key.startswith("general."):
            metadata[key] = self._text()
        else:
            self._skip(kind)

    def _shapes(self, count: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all tensors, the innermost dimension last. Raises ValueError, struct.error."""
        if count > MOST_TENSORS:
            raise ValueError("too many tensors")
        shapes = dict[str, tuple[int, ...]]()
        for _ in range(count):
            name, (dimensions,) = self._text(), self._numbers("<I")
            if dimensions > 8:
                raise ValueError("too many dimensions")
            shape = self._numbers(f"<{dimensions}Q")[::-1]
            self._numbers("<IQ")  # its type, and where it lies
            if len(name) <= LONGEST_NAME:
                shapes[name] = shape
        return shapes

    def _numbers(self, form: str) -> tuple[int, ...]:
        """Return the next numbers. Raises struct.error."""
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def _text(self) -> str:
        """Return the next text. Raises ValueError, struct.error."""
        start = self._forward(self._numbers("<Q")[0])
        return self._data[start : self._at].decode("utf-8", "replace")

    def _skip(self, kind: int) -> None:
        """Go past a value of this kind. Raises ValueError, RecursionError, struct.error."""
        if kind == _ARRAY:
            inner, count = self._numbers("<IQ")
            if inner in _SIZES:
                self._forward(count * _SIZES[inner])
            else:
                for _ in range(count):
                    self._skip(inner)
        elif kind == _TEXT:
            self._forward(self._numbers("<Q")[0])
        elif kind in _SIZES:
            self._forward(_SIZES[kind])
        else:
            raise ValueError("not a known kind of value")

    def _forward(self, count: int) -> int:
        """Go past so many bytes, and return where they began. Raises ValueError if they are not all there."""
        start, end = self._at, self._at + count
        if end > len(self._data):
            raise ValueError("it ends before")
        self._at = end
        return start
