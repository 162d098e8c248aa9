"""Hashes of files: all at once, or while a file is still growing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from .clock import Clock
from .errors import Failure
from .files import open_regular, read_errors
from .names import shown_path
from .tensors import WeightsHash

BUFFER = 256 << 10  # bytes; what is read at a time, which stays in the cache of a processor
_FORGET = 32 << 20  # bytes; after so many the system is told that they aren't read again


class _Digest(Protocol):
    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far, in lower case."""


@dataclass(frozen=True)
class Hashed:
    """The SHA256 of a file in lower case, and the size in bytes and time in nanoseconds that it had meanwhile."""

    size: int
    mtime: int
    sha256: str


def hash_file(path: Path, clock: Clock, buffer: bytearray, told: Callable[[int], object]) -> Hashed:
    """Return the SHA256 of a file that stays as it is while it is read.

    The `buffer` (`BUFFER` bytes) is the calling thread's own. `told` is given the number of bytes that have been read
    since the last call, and a negative one where they are read again. What has been read does not stay in the memory
    of the system. Raises Failure, also if the file is being changed, and Stopped.
    """
    digest, found = _read_twice(path, clock, buffer, told, hashlib.sha256)
    return Hashed(found.st_size, found.st_mtime_ns, digest)


def autov3_of(path: Path, known: Hashed, clock: Clock, buffer: bytearray, told: Callable[[int], object]) -> str:
    """Return the AutoV3 of a file that has been hashed before, as `hash_file` does; "" if it has no weights.

    Raises Failure if it has another size or time than is `known`.
    """
    digest, found = _read_twice(path, clock, buffer, told, WeightsHash)
    if (found.st_size, found.st_mtime_ns) != (known.size, known.mtime):
        raise _changing(path)
    return digest


def _read_twice(
    path: Path, clock: Clock, buffer: bytearray, told: Callable[[int], object], begin: Callable[[], _Digest]
) -> tuple[str, os.stat_result]:
    """Read a file, and once more if it has changed meanwhile; return the digest and what the system says of the file.

    Raises Failure and Stopped.
    """
    for _ in range(2):
        digest, count = begin(), 0
        with read_errors(path), open_regular(path, buffering=0) as file:
            before = os.fstat(file.fileno())
            for block in blocks(file, buffer, before.st_size):
                clock.check()
                digest.update(block)
                told(len(block))
                count += len(block)
                if count % _FORGET < len(block):
                    _forget(file, count)
            _forget(file, count)
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) == (count, after.st_mtime_ns) and after.st_size == count:
            return digest.hexdigest(), after
        told(-count)
    raise _changing(path)


def _changing(path: Path) -> Failure:
    sentence = "{path} is being changed while it is read; wait until that has ended, then run again."
    return Failure("disk", sentence, path=shown_path(path))


def _forget(file: IO[bytes], count: int) -> None:
    """Let the system forget the first bytes of a file, so that other programs' files stay in its memory."""
    with suppress(OSError, AttributeError):  # not every system and disk can do that
        os.posix_fadvise(file.fileno(), 0, count, os.POSIX_FADV_DONTNEED)


def blocks(file: IO[bytes], buffer: bytearray, most: int) -> Iterator[memoryview]:
    """Yield the next bytes of a file, at most so many, in pieces that hold until the next one. Raises OSError."""
    view = memoryview(buffer)
    while most > 0 and (count := file.readinto(view[:most])):  # type: ignore[attr-defined]
        yield view[:count]
        most -= count


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
        with open_regular(self._path, buffering=0) as file:
            file.seek(self._end)
            for block in blocks(file, bytearray(BUFFER), end - self._end):
                self._clock.check()
                self._take(block)

    def _take(self, data: bytes | memoryview) -> None:
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
