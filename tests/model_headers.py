"""Model files as trainers and converters write them, byte by byte, without their weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

Shapes = Mapping[str, Sequence[int]]


def framed(header: bytes, length: int | None = None, weights: bytes = b"") -> bytes:
    """Return a safetensors file with this header, which may lie about its length."""
    return struct.pack("<Q", len(header) if length is None else length) + header + weights


def safetensors(metadata: Mapping[str, Any] | None = None, shapes: Shapes | None = None) -> bytes:
    """Return a safetensors file with empty tensors of these shapes."""
    tensors = {
        name: {"dtype": "F16", "shape": list(shape), "data_offsets": [0, 0]} for name, shape in (shapes or {}).items()
    }
    words = {} if metadata is None else {"__metadata__": metadata}
    return framed(json.dumps({**words, **tensors}).encode())


def text(value: str) -> bytes:
    """Return a text of a GGUF file."""
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    """Return a key and value of a GGUF file."""
    return text(key) + struct.pack("<I", kind) + value


def texts(metadata: Mapping[str, str]) -> list[bytes]:
    """Return keys and values of a GGUF file that are texts."""
    return [pair(key, 8, text(value)) for key, value in metadata.items()]


def gguf(pairs: Sequence[bytes], shapes: Shapes | None = None, version: int = 3, count: int | None = None) -> bytes:
    """Return a GGUF file, whose shapes are written from the innermost dimension on; it may lie about its pairs."""
    tensors = [
        text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 0, 0)
        for name, shape in (shapes or {}).items()
    ]
    begin = struct.pack("<IQQ", version, len(tensors), len(pairs) if count is None else count)
    return b"GGUF" + begin + b"".join([*pairs, *tensors])
