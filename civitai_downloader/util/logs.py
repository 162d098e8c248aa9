"""Logs of records that survive being cut anywhere, and the lock that gives a folder a single writer."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from .clock import Clock, utc_now
from .errors import UsageError
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

# --- Records ---------------------------------------------------------------------------------------


def json_line(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object on a line, or None. NUL bytes, which a power cut leaves behind, are ignored."""
    with suppress(ValueError, RecursionError):
        value = json.loads(line.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
        return value if isinstance(value, dict) else None
    return None


_PATH, _CHECKSUM = 32, (1 << 32) - 1  # how many bits the checksum of a path has, and which


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

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        """Read the file, if there is one; the first `append` creates it. `problems` names torn and broken lines."""
        self._path, self._alone, self._lock = path, alone, threading.Lock()
        self._file: IO[bytes] | None = None
        self._synced = 0.0
        self._load()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line by a single write. Raises Failure if the disk does not take it."""
        line = utf8(on_one_line(record)) + b"\n"
        with self._lock, disk_errors(self._path):
            file, self._file = self._file or self._open(), None
            write_whole(file, line)
            if time.monotonic() - self._synced >= self.SYNC:
                os.fsync(file.fileno())
                self._synced = time.monotonic()
            self._file = file  # after an error it is opened anew, which completes a torn line
            self._index(record, file.tell() - len(line))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return the last record with this `type` and `id`, or None."""
        with self._lock:
            last = self._last.get(kind, {}).get(name)
            record = None if last is None else json_line(self._line(last >> _PATH))
        return record if record and (record.get("type"), record.get("id")) == (kind, name) else None

    def places(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the last record of each `path` with this `type` and `id`, oldest first: the last of all counts."""
        with self._lock:
            return [record for _, record in self._last_of_each_path(kind, name)]

    def each(self, *kinds: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the id and the places of every key of these types, in the order of their last records."""
        with self._lock:
            keys = sorted((last, kind, name) for kind in {*kinds} for name, last in self._last.get(kind, {}).items())
        for _, kind, name in keys:
            yield name, self.places(kind, name)

    def live(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """Yield the last record of every key of these types, oldest first.

        Must not be running when the only writer appends for the first time.
        """
        with self._lock:
            lines = sorted(last for kind in {*kinds} for last in self._last.get(kind, {}).values())
        for last in lines:
            with self._lock:
                record = json_line(self._line(last >> _PATH))
            if record and record.get("type") in kinds:
                yield record

    def close(self) -> None:
        """Close the file. What was appended is on the disk then. It may be used again. Raises Failure."""
        with self._lock, disk_errors(self._path):
            self._close_reader()
            file, self._file = self._file, None
            if file is not None:
                with file:
                    os.fsync(file.fileno())

    def _load(self) -> None:
        # By type and id: the offset of the last record with a checksum of its path behind it, and the offsets of older
        # records that may be the last one of another path.
        self._last: dict[str, dict[str, int]] = {}
        self._older: dict[str, dict[str, list[int]]] = {}
        self._count = 0
        self.problems: list[str] = []
        self._reader: IO[bytes] | None = None
        try:
            self._read_all()
        except FileNotFoundError:
            return
        except OSError as error:
            words = f"{shown_path(self._path)} can't be read ({error.strerror or error}); check its permissions."
            raise UsageError(words) from None

    def _read_all(self) -> None:
        offset = 0
        self._reader = open_to_read(self._path)
        for number, line in enumerate(self._reader, 1):
            if not self._index(json_line(line) or {}, offset) and line.strip():
                what = "is not a record and was skipped" if line.endswith(b"\n") else "was cut short and was dropped"
                where = f"{self._path.name}, line {number}"
                self.problems.append(f"{where} {what}; what it said will be checked again.")
            offset += len(line)

    def _index(self, record: Mapping[str, Any], offset: int) -> bool:
        """Remember where a record stands; return False if it is none."""
        kind, name = record.get("type"), record.get("id")
        if not (isinstance(kind, str) and isinstance(name, str)):
            return False
        names, path = self._last.setdefault(kind, {}), zlib.crc32(utf8(str(record.get("path"))))
        before = names.get(name)
        if before is not None and before & _CHECKSUM != path:
            self._older.setdefault(kind, {}).setdefault(name, []).append(before >> _PATH)
        names[name] = offset << _PATH | path
        self._count += 1
        return True

    def _last_of_each_path(self, kind: str, name: str) -> list[tuple[int, dict[str, Any]]]:
        """Return offset and record of the last word on each path, oldest first, and forget where older ones stand."""
        last, older = self._last.get(kind, {}).get(name), self._older.get(kind, {}).get(name, [])
        found: dict[object, tuple[int, dict[str, Any]]] = {}
        for offset in [] if last is None else [last >> _PATH, *reversed(older)]:
            record = json_line(self._line(offset))
            if record and (record.get("type"), record.get("id")) == (kind, name):
                found.setdefault(str(record.get("path")), (offset, record))
        older[:] = sorted(offset for offset, _ in found.values() if offset != (last or 0) >> _PATH)
        return sorted(found.values(), key=lambda each: each[0])

    def _last_lines(self) -> list[int]:
        """Return the offsets of all records that count for a key or a path."""
        lines = [last >> _PATH for each in self._last.values() for last in each.values()]
        for kind, names in self._older.items():
            for name, older in names.items():
                self._last_of_each_path(kind, name)
                lines += older
        return sorted(lines)

    def _line(self, offset: int) -> bytes:
        reader = self._reader = self._reader or open_to_read(self._path)
        reader.seek(offset)
        return reader.readline()

    def _open(self) -> IO[bytes]:
        if self._alone and self._count > max(self.COMPACT_FROM, 2 * sum(map(len, self._last.values()))):
            lines = self._last_lines()
            if self._count > 2 * len(lines):
                self._compact(lines)
        unshare(self._path)
        file = open_making_folders(self._path, os.O_APPEND)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return file

    def _compact(self, lines: Iterable[int]) -> None:
        """Keep these lines only. If that fails (full disk, a reader on Windows), the file stays as it is."""
        beside = temporary_name(self._path)
        with suppress(OSError):
            beside.unlink(missing_ok=True)  # a link in its place, a hard one as well, is not written through
            with open_making_folders(beside, os.O_EXCL) as new:
                for offset in lines:
                    write_whole(new, self._line(offset).rstrip(b"\n") + b"\n")
                os.fsync(new.fileno())
            self._close_reader()
            replace_file(beside, self._path)
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        self._close_reader()
        self._load()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None


# --- A single writer in a folder -------------------------------------------------------------------


class FolderLock:
    """A file that only one process at a time holds locked. The system unlocks it when that process ends, in any way.

    It names its holder for a second process. On a disk without locks every process gets it.
    """

    _FAR = 1 << 30  # Windows does not let others read a locked byte, so one beyond the end is locked

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self, clock: Clock, wait: Callable[[str], object] | None = None) -> None:
        """Take the lock. Raises UsageError if another process holds it, Failure for a folder that can't be written.

        With `wait` it waits for the other process instead, after calling `wait` once with a sentence that says so;
        then it raises Stopped when the clock is stopped.
        """
        with disk_errors(self._path):
            file = open_making_folders(self._path, os.O_APPEND)
            if not self._lock(file):
                holder = json_line(self._path.read_bytes()) or {}
                who = f"process {holder.get('pid', '?')}, started {holder.get('started', '?')}"
                words = f"{who}, is writing to {shown_path(self._path.parent)}"
                if wait is None:
                    file.close()
                    raise UsageError(f"Another run, {words}; let it finish, or add --wait.")
                wait(f"Waiting for another run: {words}.")
                while not self._lock(file):
                    clock.sleep(1)
            file.truncate(0)
            file.write(utf8(json.dumps({"pid": os.getpid(), "started": utc_now()}) + "\n"))
        self._file = file

    def release(self) -> None:
        """Give up the lock. The file stays."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _lock(self, file: IO[bytes]) -> bool:
        """Try to lock the file; return False if another process holds it."""
        try:
            if sys.platform == "win32":
                import msvcrt  # exists only on Windows

                file.seek(self._FAR)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl  # does not exist on Windows

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (0, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
        return True
