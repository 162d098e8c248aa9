"""A log of records in several files, each of which one process writes, on whichever machine."""

from __future__ import annotations

import calendar
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from .clock import utc_text
from .disks import Disk
from .errors import Sentence
from .files import open_to_read, read_again
from .logs import NO_RECORD, TORN, KeyedLog, as_line, json_line, reading

_AT = re.compile(
    "([12][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])Z"
)
_OFFSET, _RANK = 40, 34  # bits


@dataclass
class _Part:
    """One file of the log: up to where and which line it has been read, and the latest moment in it so far.

    `is_torn` says that the beginning of a line comes then.
    """

    path: Path
    end: int = 0
    lines: int = 0
    latest: int = 0
    is_torn: bool = False

    def find_end(self, file: IO[bytes]) -> bool:
        """Go to where reading ended and return True, but in a file that has become another one to its beginning."""
        if 0 < self.end <= os.fstat(file.fileno()).st_size:
            file.seek(self.end - 1)
            if file.read(1) == b"\n":
                return True
        self.end = self.lines = self.latest = 0
        file.seek(0)
        return False


class _Parts:
    """The files of the log by their ranks, of which one is our own."""

    OPEN = 64  # files at a time

    def __init__(self, own: Path, rank: int, others: Callable[[], Mapping[int, Path]]) -> None:
        self.rank, self._others = rank, others
        self.known = {rank: _Part(own)}
        self._readers: dict[int, IO[bytes]] = {}

    def others(self) -> list[tuple[int, _Part]]:
        """Return the files of others that are there now."""
        found = {rank: path for rank, path in self._others().items() if rank != self.rank}
        return [(rank, self.known.setdefault(rank, _Part(path))) for rank, path in found.items()]

    def place(self, rank: int, record: Mapping[str, Any], offset: int) -> int:
        """Return a number by which records of all files are in order, and that says where this one stands."""
        part = self.known[rank]
        part.latest = max(part.latest, _moment(record))  # the order within a file counts, even if its clock goes back
        return (part.latest << _RANK | rank) << _OFFSET | offset

    def line(self, rank: int, offset: int) -> bytes:
        """Return a line of one of the other files, b"" if that is gone. Raises OSError."""
        with suppress(FileNotFoundError):
            return read_again(partial(self._read, rank, offset))
        return b""

    def _read(self, rank: int, offset: int) -> bytes:
        reader = self._readers.pop(rank, None) or open_to_read(self.known[rank].path)
        try:
            reader.seek(offset)
            line = reader.readline()
        except OSError:
            reader.close()
            raise
        self._readers[rank] = reader
        if len(self._readers) > self.OPEN:
            self._readers.pop(next(iter(self._readers))).close()
        return line

    def close(self, *ranks: int) -> None:
        """Close what is open of other files, of all if none is named."""
        for rank in ranks or [*self._readers]:
            if reader := self._readers.pop(rank, None):
                reader.close()


class JoinedLog(KeyedLog):
    """A log as `KeyedLog` is one, in its own file, which it alone writes, and in others, which it only reads.

    Of two records of a key the later one counts, by `at`, of those of one second that of the higher rank. Machines have
    clocks of their own: within one file the order of its lines counts, and a record is never written with an `at`
    before that of the one which it supersedes.
    """

    def __init__(
        self,
        path: Path,
        others: Callable[[], Mapping[int, Path]],
        *,
        rank: int = 0,
        alone: bool = False,
        disk: Disk | None = None,
    ) -> None:
        """Read all files; `others` lists those of other processes by their ranks (below 2**34).

        `alone` says that none of these is at work, so that a torn line will never be whole. Raises Failure.
        """
        self._parts = _Parts(path, rank, others)
        super().__init__(path, disk=disk)
        for number, part in self._parts.others():
            with reading(part.path):
                deque(self._catch_up(number, part), maxlen=0)
            if alone and part.is_torn:
                self.problems.append(Sentence(TORN, file=part.path.name, line=part.lines + 1))

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line to the own file by a single write. Raises Failure if the disk does not take it."""
        super().append(self._after_the_last(record))

    def refresh(self) -> list[dict[str, Any]]:
        """Read what other processes have appended since, and return these records.

        What can't be read now, as a line of which only the beginning is there yet, is read next time.
        """
        found: list[dict[str, Any]] = []
        with self._lock:
            for number, part in self._parts.others():
                with suppress(OSError):
                    found.extend(self._catch_up(number, part))
        return found

    def close(self) -> None:
        """Close the files. What was appended is on the disk then. It may be used again. Raises Failure."""
        with self._lock:
            self._parts.close()
        super().close()

    def _catch_up(self, number: int, part: _Part) -> Iterator[dict[str, Any]]:
        """Yield what was appended to the file of another process. Its last line may still be under way."""
        with read_again(partial(open_to_read, part.path)) as file:
            if not part.find_end(file):
                self._parts.close(number)
            for line in file:
                record, is_whole = json_line(line) or {}, line.endswith(b"\n")
                if self._offsets.add(record, self._parts.place(number, record, part.end)):
                    yield record
                elif is_whole and line.strip():
                    self.problems.append(Sentence(NO_RECORD, file=part.path.name, line=part.lines + 1))
                part.is_torn = not is_whole and not record
                if not is_whole:  # the rest of it may come now, and would be read as a line
                    break
                part.end, part.lines = part.end + len(line), part.lines + 1

    def _after_the_last(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record that is not earlier than the last one of its key, and later if that is of another process."""
        last = self._offsets.of(str(record.get("type")), str(record.get("id")))
        if last is None:
            return record
        moment, rank, _ = _split(last)
        least = moment if rank == self._parts.rank else _next(moment)
        return {**record, "at": _text(least)} if 0 < _moment(record) < least else record

    def _place(self, record: Mapping[str, Any], offset: int) -> int:
        return self._parts.place(self._parts.rank, record, offset)

    def _line(self, offset: int) -> bytes:
        _, rank, within = _split(offset)
        return self._line_at(within) if rank == self._parts.rank else self._parts.line(rank, within)

    def _kept_line(self, offset: int) -> bytes:
        """Return a line as it is kept, with an `at` that says what its place among the others has said."""
        line, moment = super()._kept_line(offset), _split(offset)[0]
        record = json_line(line) or {}
        return as_line({**record, "at": _text(moment)}) if _moment(record) < moment else line


def _split(place: int) -> tuple[int, int, int]:
    """Return moment, rank and offset of what `_Parts.place` gives."""
    return place >> _RANK + _OFFSET, place >> _OFFSET & (1 << _RANK) - 1, place & (1 << _OFFSET) - 1


def _moment(record: Mapping[str, Any]) -> int:
    """Return when a record was written, as the digits of its `at`; 0 if it does not say."""
    found = _AT.fullmatch(str(record.get("at")))
    return int("".join(found.groups())) if found else 0


def _text(moment: int) -> str:
    """Return the `at` that has these digits."""
    digits = f"{moment:014}"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:]}Z"


def _next(moment: int) -> int:
    """Return the moment a second later."""
    digits = f"{max(moment, 10000101000000):014}"
    parts = (digits[:4], *(digits[at : at + 2] for at in range(4, 14, 2)))
    return _moment({"at": utc_text(calendar.timegm((*map(int, parts), 0, 0, 0)) + 1)})  # also of a 30th of February
