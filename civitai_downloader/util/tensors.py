"""The weights in a safetensors file: where they begin, and their SHA256, which does not depend on the header."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

LENGTH = 8  # bytes at the beginning of the file, which hold the length of the header
MOST_HEADER = 16 << 20  # one as long as this counts as a part of the weights, as the site has it
DIGITS = 12


def weights_begin(head: bytes) -> int:
    """Return at which byte the weights of a file begin that itself begins with these 8 bytes."""
    length = int.from_bytes(head[:LENGTH], "little")
    return LENGTH + length if length < MOST_HEADER else LENGTH


def read_header(file: BinaryIO, most: int) -> bytes:
    """Return the header of a safetensors file that is open at its beginning, of at most so many bytes.

    Raises ValueError if there is none of that size, and OSError.
    """
    length, size = int.from_bytes(file.read(LENGTH), "little"), os.fstat(file.fileno()).st_size
    if not 2 <= length <= min(size - LENGTH, most):
        raise ValueError("there is no header of this size")
    return file.read(length)


class WeightsHash:
    """The AutoV3 of a file whose bytes are given in order: the first digits of the SHA256 behind the header.

    It is empty for a file that ends with its header or before.
    """

    def __init__(self) -> None:
        self._digest, self._head, self._skip, self._any = hashlib.sha256(), b"", 0, False

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        if len(self._head) < LENGTH:
            room = LENGTH - len(self._head)
            self._head, data = self._head + data[:room], data[room:]
            if len(self._head) < LENGTH:
                return
            self._skip = weights_begin(self._head) - LENGTH
        if self._skip < len(data):
            self._digest.update(data[self._skip :] if self._skip else data)
            self._any = True
        self._skip = max(0, self._skip - len(data))

    def hexdigest(self) -> str:
        """Return the AutoV3 in lower case, or "" if there are no weights."""
        return self._digest.hexdigest()[:DIGITS] if self._any else ""
