"""Byte ranges: which bytes of a body are there, and the record of them beside a partial file."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import requests

from .files import NO_FOLLOW, open_making_folders, write_whole
from .text import utf8


def parse_content_range(text: str | None) -> tuple[int | None, int | None] | None:
    """First byte (None in an answer 416) and total size (None if unknown) of a `Content-Range`.

    These are `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`; None if it is anything else.
    """
    found = re.fullmatch(r"\s*bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*", text or "")
    if not found:
        return None
    start, end, total = (int(each) if (each or "*") != "*" else None for each in found.groups())
    if start is not None and end is not None and (end < start or (total is not None and end >= total)):
        return None
    return start, total


@dataclass
class Stamp:
    """The side record of a `.part` file: whose bytes they are and what the server said of them."""

    identity: str
    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """The value for `If-Range`: a strong ETag, else the date, else nothing."""
        return self.etag or self.modified

    def contradicts(self, other: Stamp) -> bool:
        """Whether the other answer speaks of different bytes."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.total, other.total))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


def stamp_of(response: requests.Response, identity: str, total: int | None) -> Stamp:
    """What an answer says of its bytes; a weak ETag says nothing, nor does what can't be sent back."""
    etag = re.fullmatch(r"(?!W/)[!-~]+", response.headers.get("ETag", ""))
    date = re.fullmatch(r"[ -~]+", response.headers.get("Last-Modified", ""))
    return Stamp(identity, etag[0] if etag else "", date[0] if date else "", total)


class SideRecord:
    """The file `.part.json` beside a `.part`: its stamp and, where several connections bring it, what is there.

    Such ranges are lines `[start, end]` after the first; without any, all bytes of the `.part` are there.
    """

    def __init__(self, part: Path) -> None:
        self._path, self._lock = part.with_name(part.name + ".json"), threading.Lock()

    def begin(self, stamp: Stamp) -> None:
        """Speak of other bytes from now on."""
        self.discard()
        with open_making_folders(self._path, os.O_TRUNC | NO_FOLLOW) as file:
            write_whole(file, utf8(json.dumps(vars(stamp))))

    def note(self, start: int, end: int) -> None:
        """These bytes are there."""
        with self._lock, self._path.open("ab") as file:
            file.write(b"\n[%d, %d]" % (start, end))

    def read(self, identity: str) -> tuple[Stamp | None, list[tuple[int, int]]]:
        """The stamp (None if there is none for these bytes) and the ranges; a torn line says nothing."""
        try:
            first, *lines = self._path.read_bytes().split(b"\n")
            stamp = Stamp(**json.loads(first))
        except (OSError, ValueError, TypeError):
            return None, []
        known = isinstance(stamp.total, (int, type(None))) and stamp.identity == identity
        known = known and isinstance(stamp.etag, str) and isinstance(stamp.modified, str)
        found = (re.fullmatch(rb"\[(\d{1,18}), (\d{1,18})\]", line) for line in lines)
        return stamp if known else None, [(int(each[1]), int(each[2])) for each in found if each]

    def discard(self) -> None:
        """Remove it, if it is there."""
        self._path.unlink(missing_ok=True)


@dataclass(eq=False)
class ByteRange:
    """A part of a body that one connection brings: it is at byte `at` and goes on to before `end`.

    What it brought is on record up to `noted`.
    """

    at: int
    end: int
    noted: int


class Ranges:
    """Which bytes of a body are there (`here` in number), which are on their way, and which nobody brings yet.

    Once it is `shared`, stretches are handed out in pieces and in order, so that a hash of the beginning keeps up.
    """

    PIECE, SMALL, BOUNDLESS = 16 << 20, 512 << 10, 1 << 62

    def __init__(self, done: Iterable[tuple[int, int]] = (), total: int | None = None) -> None:
        """`done` are the ranges that are there, `total` the size of the body, None if unknown."""
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
        """All bytes before this one are there."""
        with self._lock:
            return min((each.at for each in (*self._missing, *self._active)), default=self._top)

    def take(self) -> ByteRange | None:
        """A stretch for a connection: the next that is missing, else half of the longest that is on its way."""
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

    def tail(self, size: int) -> ByteRange | None:
        """The last gap, or else so many last bytes of a stretch, whose connection needs not be broken for it."""
        with self._lock:
            longest = max(self._active, key=lambda each: each.end - each.at)
            if not self._missing and longest.end - longest.at >= 2 * size:
                self._cut(longest, longest.end - size)
            if not self._missing:
                return None
            self._active.append(self._missing.pop())
            return self._active[-1]

    def share(self) -> None:
        """From now on hand out pieces; nobody keeps more than one."""
        with self._lock:
            self.shared = True
            for stretch in self._active:
                self._cut(stretch, stretch.at + self.PIECE)

    def _cut(self, stretch: ByteRange, end: int) -> None:
        """End a stretch there; its rest is missing again."""
        if stretch.end - end >= self.SMALL:
            self._missing.append(ByteRange(end, stretch.end, end))
            self._missing.sort(key=lambda each: each.at)
            stretch.end = end

    def advance(self, stretch: ByteRange, count: int) -> int:
        """So many bytes of a stretch have come; how many of them belonged to it still."""
        with self._lock:
            count = min(count, stretch.end - stretch.at)
            stretch.at += count
            self.here += count
            return count

    def give_back(self, stretch: ByteRange) -> None:
        """A connection is done with a stretch, whole or not."""
        with self._lock:
            self._active.remove(stretch)
            if stretch.at < stretch.end:
                self._missing.append(stretch)
                self._missing.sort(key=lambda each: each.at)
            elif self._top >= self.BOUNDLESS:
                self._top = stretch.at


class Restart(Exception):
    """What lies in `.part` does not go on with this answer; begin again at byte 0."""
