"""Hashes of files: all at once, or while a file is still growing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .clock import Clock
from .files import BLOCK, open_regular
from .tensors import WeightsHash


def sha256_of(path: Path, clock: Clock) -> str:
    """Return the SHA256 of a file in lower case. Raises OSError and Stopped."""
    return hashes_of(path, clock, weights=False)[0]


def hashes_of(path: Path, clock: Clock, *, weights: bool) -> tuple[str, str]:
    """Return the SHA256 of a file and, if `weights` are asked for, its AutoV3, else "". Raises OSError and Stopped."""
    prefix = PrefixHash(path, clock, wanted=True, weights=weights)
    prefix.catch_up(path.stat().st_size)
    return prefix.hexdigest(), prefix.autov3()


class PrefixHash:
    """The SHA256 of the beginning of a file that is still growing; without `wanted` nothing is done.

    With `weights` the AutoV3 is computed from the same bytes, so that the file is read once.
    """

    STEP = 16 << 20

    def __init__(self, path: Path, clock: Clock, *, wanted: bool, weights: bool = False) -> None:
        self._path, self._clock = path, clock
        self._weights = WeightsHash() if wanted and weights else None
        self._digest = hashlib.sha256() if wanted else None
        self._end = 0

    def add(self, chunk: bytes, start: int, frontier: int) -> None:
        """Hash a chunk that stands at `start`. If that is not its turn, read some of the bytes before `frontier`."""
        if self._digest is not None and start == self._end:
            self._take(chunk)
        else:
            self.catch_up(frontier, self.STEP)

    def catch_up(self, frontier: int, most: int | None = None) -> None:
        """Read the file up to `frontier`, or `most` bytes of it. Raises OSError and Stopped."""
        end = frontier if most is None else min(frontier, self._end + most)
        if self._digest is None or end <= self._end:
            return
        with open_regular(self._path) as file:
            file.seek(self._end)
            while block := file.read(min(BLOCK, end - self._end)):
                self._clock.check()
                self._take(block)

    def _take(self, data: bytes) -> None:
        for digest in (self._digest, self._weights):
            if digest is not None:
                digest.update(data)
        self._end += len(data)

    def hexdigest(self) -> str:
        """Return the hash of what has been read, an empty text if it is not wanted."""
        return self._digest.hexdigest() if self._digest is not None else ""

    def autov3(self) -> str:
        """Return the AutoV3 of what has been read, an empty text if it is not wanted or there are no weights."""
        return self._weights.hexdigest() if self._weights is not None else ""
