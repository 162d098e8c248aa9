"""Logs of records that survive being cut anywhere."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .disks import Disk, NoRegularFile, existing_folder, failure_of
from .errors import Sentence, UsageError
from .files import (
    disk_errors,
    on_one_line,
    open_making_folders,
    open_to_read,
    replace_file,
    temporary_name,
    unshare,
    write_whole,
)
from .names import shown_path
from .text import utf8

log = logging.getLogger(__name__)

# --- Records ---------------------------------------------------------------------------------------


def json_line(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object on a line, or None. NUL bytes, which a power cut leaves behind, are ignored."""
    with suppress(ValueError, RecursionError):
        value = json.loads(line.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
        return value if isinstance(value, dict) else None
    return None


def as_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line. A name that is no text, as some disks have them, is the same when it is read again."""
    text = on_one_line(record)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record).encode() + b"\n"


NO_RECORD = "{file}, line {line} is not a record and was skipped; the file it was about will be checked again."
TORN = "{file}, line {line} is incomplete and was skipped; the file it was about will be checked again."
_PATH, _CHECKSUM = 32, (1 << 32) - 1  # how many bits the checksum of a path has, and which


class _Offsets:
    """Where the records of a log stand, by type and id. Of two offsets the larger one is that of the later record.

    `last` has the offset of the last record with a checksum of its path behind it, `older` the offsets of older records
    that may be the last one of another path, `count` is the number of all records.
    """

    def __init__(self) -> None:
        self.last: dict[str, dict[str, int]] = {}
        self.older: dict[str, dict[str, list[int]]] = {}
        self.count = 0

    def add(self, record: Mapping[str, Any], offset: int) -> bool:
        """Remember where a record stands; return False if it is none."""
        kind, name = record.get("type"), record.get("id")
        if not (isinstance(kind, str) and isinstance(name, str)):
            return False
        names, path = self.last.setdefault(kind, {}), zlib.crc32(utf8(str(record.get("path"))))
        before = names.get(name)
        new = offset << _PATH | path
        if before is not None and before & _CHECKSUM != path:
            self.older.setdefault(kind, {}).setdefault(name, []).append(min(before, new) >> _PATH)
        names[name] = new if before is None or before < new else before
        self.count += 1
        return True

    def of_kinds(self, kinds: Iterable[str]) -> list[tuple[int, str, str]]:
        """Return offset, type and id of the last record of every key of these types, oldest first."""
        found = ((last >> _PATH, kind, name) for kind in {*kinds} for name, last in self.last.get(kind, {}).items())
        return sorted(found)

    def of(self, kind: str, name: str) -> int | None:
        """Return the offset of the last record of a key, or None."""
        last = self.last.get(kind, {}).get(name)
        return None if last is None else last >> _PATH

    def keys(self) -> int:
        """Return how many keys there are."""
        return sum(map(len, self.last.values()))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an OSError in the `with` block, which reads a log, into a UsageError; no file is an empty one."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        return
    except NoRegularFile as error:
        raise UsageError(failure_of(error, path).sentence) from None
    except OSError as error:
        sentence = "{path} can't be read ({reason}); check its permissions."
        raise UsageError(sentence, path=shown_path(path), reason=error.strerror or error) from None


class KeyedLog:
    """A file of records, JSON objects one a line, of which the last one with the same `type` and `id` counts.

    A thing may lie at several places: of each `path` the last record is kept as well, see `places`.

    It survives being cut anywhere. When `append` returns, the system has the line, so a killed process loses none. It
    is on the disk at most `SYNC` seconds and one further line later, or after `close`: syncing every line would take
    milliseconds each, and what a power cut takes is found again by the files themselves.

    Only the offsets of records are held in memory; the record itself is read from the file when it is asked for.
    When more than half of the lines are superseded, the first `append` of the only writer (`alone`) copies the others
    into a new file, which replaces the old one once it is complete on the disk.
    """

    SYNC, COMPACT_FROM = 5.0, 1000

    def __init__(self, path: Path, *, alone: bool = False, disk: Disk | None = None) -> None:
        """Read the file, if there is one; the first `append` creates it. `problems` names torn and broken lines.

        `disk` is that of its folder. Raises Failure.
        """
        self._path, self._alone, self._lock = path, alone, threading.Lock()
        self._disk = disk or Disk(existing_folder(path.parent))
        self._file: IO[bytes] | None = None
        self._synced = 0.0
        with disk_errors(path):
            self._load()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line by a single write. Raises Failure if the disk does not take it."""
        line = as_line(record)
        with self._lock, disk_errors(self._path):
            file, self._file = self._file or self._open(), None
            write_whole(file, line)
            if time.monotonic() - self._synced >= self.SYNC:
                self._disk.confirm(file.fileno())
                self._synced = time.monotonic()
            self._file = file  # after an error it is opened anew, which completes a torn line
            self._offsets.add(record, self._place(record, file.tell() - len(line)))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return the last record with this `type` and `id`, or None."""
        with self._lock, disk_errors(self._path):
            offset = self._offsets.of(kind, name)
            record = None if offset is None else json_line(self._line(offset))
        return record if record and (record.get("type"), record.get("id")) == (kind, name) else None

    def places(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the last record of each `path` with this `type` and `id`, oldest first: the last of all counts."""
        with self._lock:
            return [record for _, record in self._last_of_each_path(kind, name)]

    def each(self, *kinds: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the id and the places of every key of these types, in the order of their last records."""
        with self._lock:
            keys = self._offsets.of_kinds(kinds)
        for _, kind, name in keys:
            yield name, self.places(kind, name)

    def live(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """Yield the last record of every key of these types, oldest first."""
        with self._lock:
            keys = self._offsets.of_kinds(kinds)
        for _, kind, name in keys:
            if record := self.get(kind, name):
                yield record

    def refresh(self) -> list[dict[str, Any]]:
        """Read what other processes have appended since, and return these records: none, as no other one may."""
        return []

    def compact(self) -> tuple[int, int]:
        """Let the file consist of the records that count, oldest first; it is used no more by this object then.

        Return how many records there were and how many are left. Raises Failure.
        """
        with self._lock, disk_errors(self._path):
            lines = self._last_lines()
            self._write_anew(map(self._kept_line, lines))
        return self._offsets.count, len(lines)

    def close(self) -> None:
        """Close the file. What was appended is on the disk then. It may be used again. Raises Failure."""
        with self._lock, disk_errors(self._path):
            self._close_reader()
            file, self._file = self._file, None
            if file is not None:
                with file:
                    self._disk.confirm(file.fileno())

    def _load(self) -> None:
        self._offsets = _Offsets()
        self.problems: list[str] = []
        self._reader: IO[bytes] | None = None
        with reading(self._path):
            self._read_all()

    def _read_all(self) -> None:
        offset = 0
        self._reader = open_to_read(self._path)
        for number, line in enumerate(self._reader, 1):
            record = json_line(line) or {}
            if not self._offsets.add(record, self._place(record, offset)) and line.strip():
                template = NO_RECORD if line.endswith(b"\n") else TORN
                self.problems.append(Sentence(template, file=self._path.name, line=number))
            offset += len(line)

    def _last_of_each_path(self, kind: str, name: str) -> list[tuple[int, dict[str, Any]]]:
        """Return offset and record of the last word on each path, oldest first, and forget where older ones stand."""
        last, older = self._offsets.of(kind, name), self._offsets.older.get(kind, {}).get(name, [])
        found: dict[object, tuple[int, dict[str, Any]]] = {}
        for offset in [] if last is None else [last, *sorted(older, reverse=True)]:
            record = json_line(self._line(offset))
            if record and (record.get("type"), record.get("id")) == (kind, name):
                found.setdefault(str(record.get("path")), (offset, record))
        older[:] = sorted(offset for offset, _ in found.values() if offset != last)
        return sorted(found.values(), key=lambda each: each[0])

    def _last_lines(self) -> list[int]:
        """Return the offsets of all records that count for a key or a path."""
        lines = [offset for offset, _, _ in self._offsets.of_kinds(self._offsets.last)]
        for kind, names in self._offsets.older.items():
            for name, older in names.items():
                self._last_of_each_path(kind, name)
                lines += older
        return sorted(lines)

    def _place(self, record: Mapping[str, Any], offset: int) -> int:
        """Return what is remembered as the offset of a record that stands at an offset of the file."""
        return offset

    def _line(self, offset: int) -> bytes:
        """Return the line at what is remembered as its offset. Raises OSError."""
        return self._line_at(offset)

    def _line_at(self, offset: int) -> bytes:
        reader = self._reader = self._reader or open_to_read(self._path)
        reader.seek(offset)
        return reader.readline()

    def _open(self) -> IO[bytes]:
        count = self._offsets.count
        if self._alone and count > max(self.COMPACT_FROM, 2 * self._offsets.keys()):
            lines = self._last_lines()
            if count > 2 * len(lines):
                self._compact(lines)
        unshare(self._path)
        file = open_making_folders(self._path, os.O_APPEND, self._disk)
        end = file.seek(0, os.SEEK_END)
        if end and not self._line_at(end - 1).endswith(b"\n"):
            file.write(b"\n")
        return file

    def _compact(self, lines: Iterable[int]) -> None:
        """Keep these lines only. If that fails (full disk, a reader on Windows), the file stays as it is."""
        with suppress(OSError):
            self._write_anew(map(self._kept_line, lines))
        self._load()

    def _kept_line(self, offset: int) -> bytes:
        """Return a line as it is kept. Raises OSError."""
        return self._line(offset).rstrip(b"\n") + b"\n"

    def _write_anew(self, lines: Iterable[bytes]) -> None:
        """Let the file consist of these lines, at once and as soon as they are on the disk. Raises OSError."""
        beside = temporary_name(self._path)
        try:
            beside.unlink(missing_ok=True)  # a link in its place, a hard one as well, is not written through
            with open_making_folders(beside, os.O_EXCL) as new:
                for line in lines:
                    write_whole(new, line)
                self._disk.confirm(new.fileno())
            self._close_reader()
            replace_file(beside, self._path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            self._close_reader()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None
