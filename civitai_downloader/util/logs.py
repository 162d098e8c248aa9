"""Logs of records that survive being cut anywhere, and the lock that gives a folder a single writer."""

from __future__ import annotations

import errno
import json
import logging
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
from .disks import Disk, NoRegularFile, existing_folder, failure_of
from .errors import Sentence, UsageError
from .files import (
    disk_errors,
    on_one_line,
    open_making_folders,
    open_to_read,
    read_regular,
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


def _as_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line. A name that is no text, as some disks have them, is the same when it is read again."""
    text = on_one_line(record)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record).encode() + b"\n"


_NO_RECORD = "{file}, line {line} is not a record and was skipped; the file it was about will be checked again."
_TORN = "{file}, line {line} is incomplete and was skipped; the file it was about will be checked again."
_PATH, _CHECKSUM = 32, (1 << 32) - 1  # how many bits the checksum of a path has, and which


class _Offsets:
    """Where the records of a log stand, by type and id.

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
        if before is not None and before & _CHECKSUM != path:
            self.older.setdefault(kind, {}).setdefault(name, []).append(before >> _PATH)
        names[name] = offset << _PATH | path
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
        line = _as_line(record)
        with self._lock, disk_errors(self._path):
            file, self._file = self._file or self._open(), None
            write_whole(file, line)
            if time.monotonic() - self._synced >= self.SYNC:
                self._disk.confirm(file.fileno())
                self._synced = time.monotonic()
            self._file = file  # after an error it is opened anew, which completes a torn line
            self._offsets.add(record, file.tell() - len(line))

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
        try:
            self._read_all()
        except (FileNotFoundError, NotADirectoryError):
            return
        except NoRegularFile as error:
            raise UsageError(failure_of(error, self._path).sentence) from None
        except OSError as error:
            raise UsageError(
                "{path} can't be read ({reason}); check its permissions.",
                path=shown_path(self._path), reason=error.strerror or error,
            ) from None  # fmt: skip

    def _read_all(self) -> None:
        offset = 0
        self._reader = open_to_read(self._path)
        for number, line in enumerate(self._reader, 1):
            if not self._offsets.add(json_line(line) or {}, offset) and line.strip():
                template = _NO_RECORD if line.endswith(b"\n") else _TORN
                self.problems.append(Sentence(template, file=self._path.name, line=number))
            offset += len(line)

    def _last_of_each_path(self, kind: str, name: str) -> list[tuple[int, dict[str, Any]]]:
        """Return offset and record of the last word on each path, oldest first, and forget where older ones stand."""
        last, older = self._offsets.of(kind, name), self._offsets.older.get(kind, {}).get(name, [])
        found: dict[object, tuple[int, dict[str, Any]]] = {}
        for offset in [] if last is None else [last, *reversed(older)]:
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

    def _line(self, offset: int) -> bytes:
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
        if end and not self._line(end - 1).endswith(b"\n"):
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
                self._disk.confirm(new.fileno())
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


_OTHER_RUN = "Another run (process {process}, started {time}) is writing to {folder}; let it finish, or add --wait."


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
                holder = json_line(read_regular(self._path)) or {}
                facts = {"process": holder.get("pid", "?"), "time": holder.get("started", "?")}
                facts["folder"] = shown_path(self._path.parent)
                if wait is None:
                    file.close()
                    raise UsageError(_OTHER_RUN, **facts)
                wait(
                    Sentence("Waiting for another run to end (process {process}, started {time}) in {folder}.", **facts)
                )
                while not self._lock(file):
                    clock.sleep(1)
            file.truncate(0)
            file.write(utf8(json.dumps({"pid": os.getpid(), "started": utc_now()}) + "\n"))
        self._file = file

    def release(self) -> None:
        """Give up the lock. The file stays."""
        with suppress(OSError):  # the disk may be gone
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
