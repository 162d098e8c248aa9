"""Byte ranges: what a server says of them, which bytes of a body are there, and the record of them on disk."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import requests

from .files import NO_FOLLOW, open_making_folders, write_whole
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


class SideRecord:
    """The file `.part.json` beside a `.part` file, so that another run can continue it.

    Its first line is the stamp. Lines `[start, end]` follow as soon as several connections bring the body (`ranged`);
    without them all bytes of the `.part` are there.
    """

    def __init__(self, part: Path, identity: str) -> None:
        self._path, self._lock = record_path(part), threading.Lock()
        self.reset(identity)

    def reset(self, identity: str) -> None:
        """Know nothing of the bytes any more. The file stays until `begin`."""
        self.stamp, self.ranged = Stamp(identity), False

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
        with open_making_folders(self._path, NO_FOLLOW) as file:
            write_whole(file, utf8(json.dumps(vars(self.stamp))))

    def note(self, start: int, end: int) -> None:
        """Record that the bytes `start` to `end` - 1 are there. Raises OSError."""
        with self._lock, self._path.open("ab") as file:
            file.write(b"\n[%d, %d]" % (start, end))
        self.ranged = True


# --- The plan in memory ----------------------------------------------------------------------------


@dataclass(eq=False)
class ByteRange:
    """A stretch of a body for one connection: its next byte is `at`, it ends before `end`.

    What it has brought is on record up to `noted`.
    """

    at: int
    end: int
    noted: int


class Ranges:
    """Which bytes of a body are there (`here` of them), which are on their way, and which nobody brings yet.

    Once it is `shared`, it hands out pieces in order, so that a hash of the beginning can keep up.
    """

    PIECE, SMALL, BOUNDLESS = 16 << 20, 512 << 10, 1 << 62

    def __init__(self, done: Iterable[tuple[int, int]] = (), total: int | None = None) -> None:
        """`done` are the ranges that are there already, `total` is the size of the body, None if unknown."""
        self._lock = threading.Lock()
        self._missing: list[ByteRange] = []
        self._active: list[ByteRange] = []
        self.here, self.shared, self._top = 0, False, 0
        for start, end in (*sorted(done), (total or self.BOUNDLESS,) * 2):
            if start > self._top:
                self._missing.append(ByteRange(self._top, start, self._top))
            self.here += max(0, end - max(start, self._top))
            self._top = max(self._top, end)

    @property
    def whole(self) -> bool:
        """Whether everything is there."""
        with self._lock:
            return not self._missing and not self._active

    @property
    def frontier(self) -> int:
        """The first byte that is not there yet."""
        with self._lock:
            return min((each.at for each in (*self._missing, *self._active)), default=self._top)

    def share(self) -> None:
        """Hand out pieces from now on. Those who have more keep one piece."""
        with self._lock:
            self.shared = True
            for stretch in self._active:
                self._cut(stretch, stretch.at + self.PIECE)

    def take(self) -> ByteRange | None:
        """Return the first stretch that nobody brings, else the second half of the longest that is on its way.

        None if nothing is missing, or only halves too small to be worth a request.
        """
        with self._lock:
            if not self._missing and self._active:
                longest = max(self._active, key=lambda each: each.end - each.at)
                if longest.end - longest.at >= 2 * self.SMALL:
                    self._cut(longest, (longest.at + longest.end) // 2)
            if not self._missing:
                return None
            stretch = self._missing.pop(0)
            self._active.append(stretch)
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
            self._active.remove(stretch)
            if stretch.at < stretch.end:
                self._add_missing(stretch)
            elif self._top >= self.BOUNDLESS:
                self._top = stretch.at

    def _cut(self, stretch: ByteRange, end: int) -> None:
        """End a stretch earlier; the rest is missing again. A small rest stays with it."""
        if stretch.end - end >= self.SMALL:
            self._add_missing(ByteRange(end, stretch.end, end))
            stretch.end = end

    def _add_missing(self, stretch: ByteRange) -> None:
        self._missing.append(stretch)
        self._missing.sort(key=lambda each: each.at)
