"""The bytes of files and pictures are generated here."""

from __future__ import annotations

import hashlib
import json
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

PAGE = 64 * 1024
HASHES = ("AutoV1", "AutoV2", "SHA256", "CRC32", "BLAKE3", "AutoV3")


ZIP_END = b"PK\x05\x06" + bytes(18)  # the directory of a zip, at its end


@dataclass(frozen=True)
class Body:
    """An object of `size` bytes. After `head`, the rest is generated from `seed` when read, so 4 GB cost no memory.

    It ends with `tail`, and the byte at `flipped` has its last bit turned.
    """

    head: bytes = b""
    size: int = 0
    seed: str = ""
    flipped: int = -1
    tail: bytes = b""

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Return an object that holds these bytes."""
        return cls(data, len(data))

    @classmethod
    def generated(cls, name: str, size: int, seed: int | str) -> Body:
        """Return an object of `size` bytes that begins as a file of that name should."""
        ending = PurePosixPath(name).suffix.lower()
        starts = {".zip": b"PK\x03\x04", ".ckpt": b"PK\x03\x04", ".pt": b"PK\x03\x04", ".gguf": b"GGUF"}
        head = starts.get(ending, b"")
        if ending == ".safetensors" and size > 128:
            head = _safetensors_head(size - 128)
        if ending in (".yaml", ".txt", ".json"):
            head = f"# {seed}\n".encode().ljust(size, b"#")
        tail = ZIP_END if head.startswith(b"PK") and size > 64 else b""
        return cls(head[:size], size, str(seed), tail=tail)

    @cached_property
    def _pattern(self) -> bytes:
        return _noise(self.seed, 2 * PAGE)

    def _page(self, index: int) -> bytes:
        turn = index * 7919 % PAGE
        return index.to_bytes(8, "big") + self._pattern[turn : turn + PAGE - 8]

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`. No two places hold the same 64 KiB."""
        stop = min(stop, self.size)
        pieces = [self.head[start:stop]]
        position = max(start, len(self.head))
        while position < stop:
            index, inside = divmod(position, PAGE)
            piece = self._page(index)[inside : inside + stop - position]
            pieces.append(piece)
            position += len(piece)
        data = b"".join(pieces)
        begin = self.size - len(self.tail)
        if self.tail and stop > begin:
            data = data[: max(0, begin - start)] + self.tail[max(0, start - begin) : stop - begin]
        if start <= self.flipped < start + len(data):
            at = self.flipped - start
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        return data

    def chunks(self, start: int, stop: int, step: int = 4 * PAGE) -> Iterator[bytes]:
        """Yield the same bytes in pieces of at most `step` bytes."""
        for position in range(start, min(stop, self.size), step):
            yield self.read(position, min(position + step, stop))

    @cached_property
    def data(self) -> bytes:
        """The whole object, for comparing small files."""
        return self.read(0, self.size)

    @cached_property
    def sha256(self) -> str:
        """The SHA256 in lower case, computed piece by piece."""
        digest = hashlib.sha256()
        for chunk in self.chunks(0, self.size):
            digest.update(chunk)
        return digest.hexdigest()

    @cached_property
    def etag(self) -> str:
        """A strong ETag that is cheap even for a large object."""
        return f'"{hashlib.md5(self.head + f"{self.seed} {self.size}".encode()).hexdigest()}"'

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Every kind of hash that the site has of such a file, in upper case. BLAKE3 only looks like one.

        A file without weights has no AutoV3.
        """
        checksum = 0
        for chunk in self.chunks(0, self.size):
            checksum = zlib.crc32(chunk, checksum)
        header = int.from_bytes(self.read(0, 8), "little")
        skip = 8 + header if header < 16 << 20 else 8
        tensors = self.read(skip, self.size) if skip < self.size < 64 * 1024 * 1024 else b""
        values = {
            "AutoV1": hashlib.sha256(self.read(0x100000, 0x110000)).hexdigest()[:8],
            "AutoV2": self.sha256[:10],
            "SHA256": self.sha256,
            "CRC32": f"{checksum:08x}",
            "BLAKE3": hashlib.blake2s(self.sha256.encode()).hexdigest(),
            "AutoV3": hashlib.sha256(tensors).hexdigest()[:12],
        }
        return {kind: value.upper() for kind, value in values.items() if tensors or kind != "AutoV3"}


def safetensors_bytes(seed: int | str, payload: int = 1000) -> bytes:
    """Return a valid safetensors file with one tensor of `payload` bytes."""
    return _safetensors_head(payload) + _noise(seed, payload)


def _safetensors_head(payload: int) -> bytes:
    tensor = {"dtype": "U8", "shape": [payload], "data_offsets": [0, payload]}
    header = json.dumps({"weight": tensor}).ljust(120).encode()
    return len(header).to_bytes(8, "little") + header


def png_bytes(seed: int | str, width: int = 8, height: int = 8, text: str = "") -> bytes:
    """Return a PNG that any viewer opens: a gradient that depends on the seed, with `text` as its `parameters`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    red, green, blue, *_ = _noise(seed, 6)
    rows = bytearray()
    for y in range(height):
        line = ((red + 90 * x // width, green + 90 * y // height, blue) for x in range(width))
        rows += b"\0" + bytes(value % 256 for pixel in line for value in pixel)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    note = b"parameters\0" + text.encode("latin-1", "replace")
    extra = chunk(b"tEXt", note) if text else b""
    unique = chunk(b"raNd", _noise(seed, 200))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + unique
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def jpeg_bytes(seed: int | str, size: int = 300) -> bytes:
    """Return the parts of a JPEG: a header, a scan of noise, and the end."""
    head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + _noise(seed, size).replace(b"\xff", b"\xfe")
    return head + scan + b"\xff\xd9"


def webp_bytes(seed: int | str, size: int = 300) -> bytes:
    """Return bytes that begin like a WebP and state the right length."""
    return b"RIFF" + struct.pack("<I", size + 12) + b"WEBPVP8 " + struct.pack("<I", size) + _noise(seed, size)


def gif_bytes(seed: int | str, size: int = 300) -> bytes:
    """Return the blocks of a GIF: a picture of noise, and the trailer."""
    noise = _noise(seed, size)
    blocks = [noise[at : at + 255] for at in range(0, size, 255)]
    picture = b"".join(bytes([len(block)]) + block for block in blocks)
    return b"GIF89a\x01\x00\x01\x00\x00\x00\x00" + b"," + bytes(9) + b"\x02" + picture + b"\0;"


def mp4_bytes(seed: int | str, size: int = 600) -> bytes:
    """Return the boxes of an MP4: ftyp, mdat with noise, and the index, which is empty."""
    start = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42"
    return start + struct.pack(">I", size + 8) + b"mdat" + _noise(seed, size) + b"\x00\x00\x00\x08moov"


def webm_bytes(seed: int | str, size: int = 600) -> bytes:
    """Return the elements of a WebM: its header, and a segment of noise."""
    head = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm\xec\x86" + bytes(6)
    segment = b"\x18S\x80g\x01" + size.to_bytes(7, "big")
    return head + segment + _noise(seed, size)


def _noise(seed: int | str, size: int) -> bytes:
    return random.Random(str(seed)).randbytes(size)


def media_type(data: bytes) -> str:
    """Return the media type of these bytes, whatever the ending of their link says."""
    magic = {
        b"\x89PNG": "image/png",
        b"\xff\xd8\xff": "image/jpeg",
        b"GIF8": "image/gif",
        b"\x1aE\xdf\xa3": "video/webm",
    }
    if data[4:8] == b"ftyp":
        return "video/mp4"
    if data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in magic.items() if data.startswith(start)), "application/octet-stream")
