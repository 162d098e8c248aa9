"""Byte ranges: what a server says of them, which bytes of a body are there, and the record of them on disk."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import requests

from .files import open_making_folders, write_whole
from .text import utf8

# --- Answers ---------------------------------------------------------------------------------------


class Restart(Exception):
    """The answer does not continue what is in `.part`; begin again at byte 0."""


def parse_content_range(header: str | None) -> tuple[int | None, int | None] | None:
    """Return first byte and total size of a `Content-Range` header, None if it is not valid.

    It is `bytes 5-9/10`, `bytes 5-9/*` (total size None) or, in a 416, `bytes */10` (first byte None).
    """
    found = re.fullmatch(r"\s*bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*", header or "")
    if not found:
        return None
    start, end, total = (int(each) if (each or "*") != "*" else None for each in found.groups())
    if start is not None and end is not None and (end < start or (total is not None and end >= total)):
        return None
    return start, total


@dataclass(frozen=True)
class Stamp:
    """Whose bytes a `.part` file has (`identity`), and what the server said of them: strong ETag, date and size."""

    identity: str
    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """The value for `If-Range`: the ETag, else the date, else an empty text."""
        return self.etag or self.modified

    def contradicts(self, other: Stamp) -> bool:
        """Return whether another answer must be about different bytes."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.total, other.total))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


def stamp_of(response: requests.Response, identity: str, total: int | None) -> Stamp:
    """Return what a response says of its bytes, without a weak ETag and without values that can't be sent back."""
    etag = re.fullmatch(r"(?!W/)[!-~]+", response.headers.get("ETag", ""))
    date = re.fullmatch(r"[ -~]+", response.headers.get("Last-Modified", ""))
    return Stamp(identity, etag[0] if etag else "", date[0] if date else "", total)


# --- The record on disk ----------------------------------------------------------------------------


def record_path(part: Path) -> Path:
    """Return the path of the side record of a `.part` file."""
    return part.with_name(part.name + ".json")


@dataclass(eq=False)
class ByteRange:
    """A stretch of a body for one connection: its next byte is `at`, it ends before `end`.

    What it has brought is on record up to `noted`. It is `taken` while a connection brings it.
    """

    at: int
    end: int
    noted: int
    taken: bool = False


class SideRecord:
    """The file `.part.json` beside a `.part` file, so that another run can continue it.

    Its first line is the stamp. Lines `[start, end]` follow as soon as several connections bring the body (`ranged`);
    without them all bytes of the `.part` are there.
    """

    def __init__(self, part: Path, stamp: Stamp) -> None:
        """The file stays as it is until `begin`."""
        self._path, self._lock = record_path(part), threading.Lock()
        self.stamp, self.ranged = stamp, False

    def read(self) -> tuple[Stamp | None, list[tuple[int, int]]]:
        """Return the stamp in the file, None if it is about other bytes, and the ranges. Torn lines are skipped."""
        try:
            first, *lines = self._path.read_bytes().split(b"\n")
            stamp = Stamp(**json.loads(first))
        except (OSError, ValueError, TypeError):
            return None, []
        valid = isinstance(stamp.total, (int, type(None))) and stamp.identity == self.stamp.identity
        valid = valid and isinstance(stamp.etag, str) and isinstance(stamp.modified, str)
        found = (re.fullmatch(rb"\[(\d{1,18}), (\d{1,18})\]", line) for line in lines)
        return stamp if valid else None, [(int(each[1]), int(each[2])) for each in found if each]

    def begin(self) -> None:
        """Write a new file with the stamp only. Raises OSError."""
        self._path.unlink(missing_ok=True)
        with open_making_folders(self._path, os.O_EXCL) as file:
            write_whole(file, utf8(json.dumps(vars(self.stamp))))

    def note(self, stretch: ByteRange) -> None:
        """Record what a stretch has brought since it was noted last. Raises OSError."""
        with self._lock, open_making_folders(self._path, os.O_APPEND) as file:
            write_whole(file, b"\n[%d, %d]" % (stretch.noted, stretch.at))
        stretch.noted, self.ranged = stretch.at, True


# --- The plan in memory ----------------------------------------------------------------------------


class Ranges:
    """Which bytes of a body are there (`here` of them), which are on their way, and which nobody brings yet.

    Once it is `shared`, it hands out pieces in order, so that a hash of the beginning can keep up.
    """

    PIECE, SMALL, BOUNDLESS = 16 << 20, 512 << 10, 1 << 62

    def __init__(self, done: Iterable[tuple[int, int]] = (), total: int | None = None) -> None:
        """`done` are the ranges that are there already, `total` is the size of the body, None if unknown."""
        self._lock, self.shared, top = threading.Lock(), False, 0
        self._left: list[ByteRange] = []  # in order
        for start, end in (*sorted(done), (total or self.BOUNDLESS,) * 2):
            if start > top:
                self._left.append(ByteRange(top, start, top))
            top = max(top, end)
        self.here = top - sum(each.end - each.at for each in self._left)

    @property
    def whole(self) -> bool:
        """Whether everything is there."""
        return not self._left

    @property
    def frontier(self) -> int:
        """The first byte that is not there yet."""
        with self._lock:
            return self._left[0].at if self._left else self.here

    def share(self) -> None:
        """Hand out pieces from now on. Those who have more keep one piece."""
        with self._lock:
            self.shared = True
            for stretch in tuple(self._left):
                self._cut(stretch, stretch.at + self.PIECE)

    def take(self) -> ByteRange | None:
        """Return the first stretch that nobody brings, else the second half of the longest that is on its way.

        None if nothing is missing, or only halves too small to be worth a request.
        """
        with self._lock:
            if self._left and all(each.taken for each in self._left):
                longest = max(self._left, key=lambda each: each.end - each.at)
                self._cut(longest, (longest.at + longest.end) // 2)
            stretch = next((each for each in self._left if not each.taken), None)
            if stretch is not None:
                stretch.taken = True
                if self.shared:
                    self._cut(stretch, stretch.at + self.PIECE)
            return stretch

    def advance(self, stretch: ByteRange, count: int) -> int:
        """Count bytes that have come for a stretch; return how many of them still belonged to it."""
        with self._lock:
            count = min(count, stretch.end - stretch.at)
            stretch.at += count
            self.here += count
            return count

    def give_back(self, stretch: ByteRange) -> None:
        """End the work on a stretch. What it has not brought is missing again."""
        with self._lock:
            stretch.taken = False
            if stretch.at >= stretch.end:
                self._left.remove(stretch)

    def _cut(self, stretch: ByteRange, end: int) -> None:
        """End a stretch earlier; the rest becomes another one. A small rest stays with it."""
        if stretch.end - end >= self.SMALL:
            self._left.insert(self._left.index(stretch) + 1, ByteRange(end, stretch.end, end))
            stretch.end = end
