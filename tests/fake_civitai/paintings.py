"""Small landscapes for the demo, painted row by row: lanterns over water, harbours, hills, gardens."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Colour = tuple[int, int, int]
Motif = Literal["lanterns", "harbour", "hills", "garden"]

# Sky above, sky at the horizon, the far and the near land, light.
_PALETTES: dict[Motif, list[tuple[Colour, Colour, Colour, Colour, Colour]]] = {
    "lanterns": [
        ((18, 24, 58), (92, 62, 96), (40, 38, 70), (14, 16, 34), (255, 186, 96)),
        ((10, 30, 44), (38, 84, 96), (24, 50, 62), (8, 20, 28), (255, 150, 84)),
    ],
    "harbour": [
        ((120, 164, 196), (250, 214, 178), (128, 138, 158), (58, 70, 90), (255, 240, 210)),
        ((70, 90, 130), (244, 170, 140), (110, 100, 130), (44, 44, 70), (255, 222, 180)),
    ],
    "hills": [
        ((134, 186, 214), (232, 238, 226), (150, 178, 160), (54, 92, 70), (255, 252, 232)),
        ((226, 190, 166), (250, 232, 206), (186, 150, 138), (92, 70, 74), (255, 246, 224)),
    ],
    "garden": [
        ((240, 222, 214), (250, 240, 232), (206, 168, 170), (120, 84, 96), (226, 110, 128)),
        ((206, 224, 214), (240, 244, 232), (150, 184, 162), (70, 104, 84), (244, 196, 92)),
    ],
}
_COMPONENTS = (4, 3)
_BASE83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"


@dataclass(frozen=True)
class Painting:
    """Rows of pixels, three bytes each."""

    width: int
    height: int
    rows: Sequence[bytes]

    def png(self, text: str = "") -> bytes:
        """Return it as a PNG with `text` as its `parameters`."""
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        note = b"parameters\0" + text.encode("latin-1", "replace")
        pixels = zlib.compress(b"".join(b"\0" + row for row in self.rows), 9)
        parts = [(b"IHDR", head), *([(b"tEXt", note)] if text else []), (b"IDAT", pixels), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)

    def blurhash(self) -> str:
        """Return its BlurHash of 4 x 3 components."""
        wide, high = _COMPONENTS
        points = [(x, y) for x in range(8) for y in range(8)]
        light = {
            (x, y): self._linear((2 * x + 1) * self.width // 16, (2 * y + 1) * self.height // 16) for x, y in points
        }
        factors = []
        for j in range(high):
            for i in range(wide):
                waves = {(x, y): _wave(i, x) * _wave(j, y) * (2 if i or j else 1) / 64 for x, y in points}
                factors.append([sum(waves[at] * light[at][part] for at in points) for part in range(3)])
        return _hash_of(factors)

    def _linear(self, x: int, y: int) -> list[float]:
        return [(value / 255) ** 2.2 for value in self.rows[y][3 * x : 3 * x + 3]]


def _wave(index: int, place: int) -> float:
    return math.cos(math.pi * index * (place + 0.5) / 8)


def _hash_of(factors: Sequence[Sequence[float]]) -> str:
    mean, *rest = factors
    most = max(abs(value) for factor in rest for value in factor)
    step = max(0, min(82, int(most * 166 - 0.5)))
    bound = (step + 1) / 166
    red, green, blue = (round(max(0.0, value) ** (1 / 2.2) * 255) for value in mean)
    text = _digits(_COMPONENTS[0] - 1 + (_COMPONENTS[1] - 1) * 9, 1) + _digits(step, 1)
    text += _digits((red << 16) + (green << 8) + blue, 4)
    for factor in rest:
        parts = [max(0, min(18, int(_root(value / bound) * 9 + 9.5))) for value in factor]
        text += _digits(parts[0] * 361 + parts[1] * 19 + parts[2], 2)
    return text


def _root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)


def _digits(number: int, count: int) -> str:
    return "".join(_BASE83[number // 83**place % 83] for place in reversed(range(count)))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def paint(motif: Motif, seed: int, width: int, height: int) -> Painting:
    """Return a landscape; the same seed gives the same one."""
    rnd = random.Random(f"{motif} {seed}")
    above, horizon, far, near, light = _PALETTES[motif][seed % len(_PALETTES[motif])]
    rows = [bytearray(bytes(_mix(above, horizon, y / height)) * width) for y in range(height)]
    sun = (rnd.uniform(0.2, 0.8) * width, rnd.uniform(0.15, 0.4) * height)
    _glow(rows, sun, 0.3 * width, light, 0.55)
    _glow(rows, sun, 0.07 * width, light, 1.0)
    for layer in range(4):
        ridge = _ridge(rnd, width, height * (0.45 + 0.13 * layer), height * (0.1 - 0.015 * layer))
        _land(rows, ridge, _mix(far, near, layer / 3))
    if motif in ("lanterns", "harbour"):
        _water(rows, int(height * 0.72))
    for number in range({"lanterns": 9, "harbour": 2, "hills": 0, "garden": 24}[motif]):
        size = rnd.uniform(0.02, 0.05) * width * (1.3 if motif == "lanterns" else 0.5)
        spot = (rnd.uniform(0.05, 0.95) * width, rnd.uniform(0.3, 0.95) * height)
        _glow(rows, spot, 3 * size if motif == "lanterns" else size, light, 0.35)
        _glow(rows, spot, size, light, 0.9 - 0.01 * number)
    return Painting(width, height, [bytes(row) for row in rows])


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _ridge(rnd: random.Random, width: int, base: float, height: float) -> list[int]:
    waves = [(rnd.uniform(0.5, 1) / (k + 1), rnd.uniform(0.6, 1.4) * (k + 1), rnd.uniform(0, 7)) for k in range(5)]

    def line(x: float) -> float:
        return sum(size * math.sin(often * x * 6.3 + at) for size, often, at in waves)

    return [int(base - height * line(x / width)) for x in range(width)]


def _land(rows: list[bytearray], ridge: list[int], colour: Colour) -> None:
    """Paint everything below a line, a little lighter downwards, as in mist."""
    for y in range(max(0, min(ridge)), len(rows)):
        pixel = bytes(_mix(colour, (255, 255, 255), 0.12 * (y / len(rows))))
        for start, stop in _runs(ridge, y):
            rows[y][3 * start : 3 * stop] = pixel * (stop - start)


def _runs(ridge: list[int], y: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches of a row that lie below the line."""
    start = None
    for x, top in enumerate(ridge):
        if top <= y and start is None:
            start = x
        elif top > y and start is not None:
            yield start, x
            start = None
    if start is not None:
        yield start, len(ridge)


def _water(rows: list[bytearray], shore: int) -> None:
    """Mirror what lies above the shore, darker and with waves."""
    width = len(rows[0]) // 3
    darker = bytes.maketrans(bytes(range(256)), bytes(int(value * 0.72) + 12 for value in range(256)))
    for y in range(shore, len(rows)):
        source = rows[max(0, 2 * shore - y - 1)]
        shift = 3 * (round(3 * math.sin(y * 0.9) + 2 * math.sin(y * 0.23)) % width)
        rows[y][:] = (source[shift:] + source[:shift]).translate(darker)


def _glow(rows: list[bytearray], centre: tuple[float, float], radius: float, colour: Colour, strength: float) -> None:
    """Add a round light that fades towards its edge."""
    width = len(rows[0]) // 3
    left, right = max(0, int(centre[0] - radius)), min(width, int(centre[0] + radius) + 1)
    for y in range(max(0, int(centre[1] - radius)), min(len(rows), int(centre[1] + radius) + 1)):
        row = rows[y]
        for x in range(left, right):
            away = 1 - math.hypot(x - centre[0], y - centre[1]) / radius
            if away > 0:
                share = strength * min(1.0, away * (4 if strength > 0.8 else 1))
                for part in range(3):
                    row[3 * x + part] += int((colour[part] - row[3 * x + part]) * share)
