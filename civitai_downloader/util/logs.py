"""Logs of records that survive being cut anywhere, and the lock that gives a folder a single writer."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from .clock import DAY, Clock, utc_now, utc_text
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
from .text import scrub_json, utf8

# --- Records ---------------------------------------------------------------------------------------


def json_line(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object on a line, or None. NUL bytes, which a power cut leaves behind, are ignored."""
    with suppress(ValueError, RecursionError):
        value = json.loads(line.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
        return value if isinstance(value, dict) else None
    return None


class KeyedLog:
    """A file of records, JSON objects one a line, of which the last one with the same `type` and `id` counts.

    It survives being cut anywhere. When `append` returns, the system has the line, so a killed process loses none. It
    is on the disk at most `SYNC` seconds and one further line later, or after `close`: syncing every line would take
    milliseconds each, and what a power cut takes is found again by the files themselves.

    Only the offset of each such record is held in memory; the record itself is read from the file when it is asked for.
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
            offset = self._offsets.get(kind, {}).get(name)
            record = None if offset is None else json_line(self._line(offset))
        return record if record and (record.get("type"), record.get("id")) == (kind, name) else None

    def live(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """Yield the last record of every key of these types, oldest first.

        Must not be running when the only writer appends for the first time.
        """
        with self._lock:
            offsets = sorted(offset for kind in {*kinds} for offset in self._offsets.get(kind, {}).values())
        for offset in offsets:
            with self._lock:
                record = json_line(self._line(offset))
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
        self._offsets: dict[str, dict[str, int]] = {}  # by type and id
        self._count = offset = 0
        self.problems: list[str] = []
        self._reader: IO[bytes] | None = None
        if os.path.lexists(self._path):
            with disk_errors(self._path):
                self._reader = open_to_read(self._path)
        for number, line in enumerate(self._reader or (), 1):
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
        self._offsets.setdefault(kind, {})[name] = offset
        self._count += 1
        return True

    def _line(self, offset: int) -> bytes:
        reader = self._reader = self._reader or open_to_read(self._path)
        reader.seek(offset)
        return reader.readline()

    def _open(self) -> IO[bytes]:
        if self._alone and self._count > max(self.COMPACT_FROM, 2 * sum(map(len, self._offsets.values()))):
            self._compact()
        unshare(self._path)
        file = open_making_folders(self._path, os.O_APPEND)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return file

    def _compact(self) -> None:
        """Keep the last records only. If that fails (full disk, a reader on Windows), the file stays as it is."""
        beside = temporary_name(self._path)
        with suppress(OSError):
            beside.unlink(missing_ok=True)  # a link in its place, a hard one as well, is not written through
            with open_making_folders(beside, os.O_EXCL) as new:
                for offset in sorted(offset for each in self._offsets.values() for offset in each.values()):
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


class KeptAnswers:
    """JSON answers of the last 24 hours in a folder, in one log a day (UTC), without secrets.

    What was asked is not asked again when a run is started anew, even in the middle of a long list.
    """

    def __init__(self, folder: Path, listener: str = "", *, read_only: bool = False, write_only: bool = False) -> None:
        """Read the logs of yesterday and today and delete older ones.

        Answers for different values of `listener` are kept apart. With `read_only` nothing is written or deleted, with
        `write_only` no earlier answer is used.
        """
        self._listener, self._read_only, self._write_only = listener, read_only, write_only
        paths = [folder / f"answers-{utc_text(time.time() - ago)[:10]}.jsonl" for ago in (DAY, 0)]
        self._logs = [KeyedLog(path) for path in paths]
        for path in [] if read_only else folder.glob("answers-????-??-??.jsonl"):
            if path not in paths:
                with suppress(OSError):  # another run may be reading it
                    path.unlink()

    def get(self, key: str) -> Any:
        """Return the answer kept for a key, or None."""
        records = filter(None, (log.get("answer", self._listener + key) for log in reversed(self._logs)))
        record = next(records, {})
        fresh = utc_text(time.time() - DAY) <= str(record.get("at")) <= utc_now()
        return record.get("answer") if fresh and not self._write_only else None

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer. Raises Failure if the disk does not take it."""
        if not self._read_only:
            record = {"at": utc_now(), "type": "answer", "id": self._listener + key, "status": "success"}
            self._logs[-1].append({**record, "answer": scrub_json(answer)})

    def close(self) -> None:
        """Close the logs. Raises Failure."""
        for log in self._logs:
            log.close()


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
