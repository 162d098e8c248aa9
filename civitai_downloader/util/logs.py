"""Logs of JSON lines that survive being cut anywhere, and the lock that gives a folder one writer."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from .clock import Clock, utc_now, utc_text
from .errors import UsageError
from .files import (
    BLOCK,
    disk_errors,
    on_one_line,
    open_making_folders,
    replace_file,
    size_of,
    temporary_name,
    write_whole,
)
from .names import shown_path
from .text import scrub_json, utf8

_STRING = rb'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_KEYED = re.compile(
    rb'\{"at":%b,"type":"(\w+)","id":"([\w/.:-]+)"(?:,"\w+":(?:%b|0|[1-9][0-9]{0,17}))*\}\n' % (_STRING, _STRING)
)


def json_line(line: bytes) -> dict[str, Any] | None:
    """The object on one line, without the NUL blocks of a power cut; None if there is none."""
    with suppress(ValueError, RecursionError):
        value = json.loads(line.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
        return value if isinstance(value, dict) else None
    return None


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, none if it is not there; what is broken is left out."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        yield from (value for value in map(json_line, file) if value is not None)


class JsonLog:
    """A file to which JSON objects are appended, one a line, and which survives being cut anywhere.

    A line is with the system when `append` returns, so that a killed process loses none; it is on the disk `SYNC`
    seconds later or after `close`. To sync every line would cost milliseconds each, and what a power cut takes is only
    the memory of files that are known again by their bytes. Nothing is opened before the first append.
    """

    SYNC = 5.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._file: IO[bytes] | None = None
        self._synced = 0.0

    def append(self, value: Mapping[str, Any]) -> None:
        """Add one line, whole, in a single write; raises Failure when the disk won't take it."""
        line = utf8(on_one_line(value)) + b"\n"
        with self._lock, disk_errors(self._path):
            file, self._file = self._file or self._open(), None
            write_whole(file, line)
            self._sync(file, self.SYNC)
            self._file = file  # after a failure it is opened anew, which ends a torn line
            self._appended(value, file, line)

    def _appended(self, value: Mapping[str, Any], file: IO[bytes], line: bytes) -> None:
        """A line stands at the end of the file."""

    def _sync(self, file: IO[bytes], every: float) -> None:
        if time.monotonic() - self._synced >= every:
            os.fsync(file.fileno())
            self._synced = time.monotonic()

    def _open(self) -> IO[bytes]:
        file = open_making_folders(self._path, os.O_APPEND)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return file

    def lines(self) -> Iterator[bytes]:
        """The whole lines of the file, if there is one."""
        with self._lock:
            if self._file is not None:
                self._file.flush()
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))

    def close(self) -> None:
        """Let go of the file; what was appended is on the disk then."""
        with self._lock, disk_errors(self._path):
            file, self._file = self._file, None
            if file is not None:
                with file:
                    self._sync(file, 0)


class HastyLog(JsonLog):
    """A log that need not outlive the process: its lines reach the system in large pieces."""

    SYNC = math.inf

    def _open(self) -> IO[bytes]:
        return io.BufferedWriter(cast(io.RawIOBase, super()._open()), BLOCK)


class NumberMap:
    """Natural numbers by the hash of what they belong to: 24 to 48 bytes each, where a dict takes 150.

    The hashes are 64 bits wide; two things with the same one are taken for one another.
    """

    def __init__(self, room: int = 0) -> None:
        """`room` is for how many numbers there shall be room from the start."""
        self._count = 0
        self._clear(max(16, 1 << (3 * room // 2).bit_length()))

    def _clear(self, slots: int) -> None:
        self._keys, self._numbers = array("q", bytes(8 * slots)), array("q", bytes(8 * slots))
        self._mask = slots - 1

    def __len__(self) -> int:
        return self._count

    def _slot(self, key: int) -> int:
        """Where a key stands, or the free place where it belongs; a free place has the number 0, others one more."""
        keys, numbers, mask = self._keys, self._numbers, self._mask
        at = key & mask
        while numbers[at] and keys[at] != key:
            at = (at + 1) & mask
        return at

    def get(self, key: int) -> int | None:
        """The number of a key, or None."""
        number = self._numbers[self._slot(key)]
        return number - 1 if number else None

    def put(self, key: int, number: int = 0) -> bool:
        """Give a key a number; whether it had none."""
        at = self._slot(key)
        fresh = not self._numbers[at]
        self._keys[at], self._numbers[at] = key, number + 1
        self._count += fresh
        if 3 * self._count > 2 * len(self._keys):
            self._grow()
        return fresh

    def _grow(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._clear(2 * len(keys))
        for key, number in zip(keys, numbers, strict=True):
            if number:
                at = self._slot(key)
                self._keys[at], self._numbers[at] = key, number

    def values(self) -> Iterator[int]:
        """The numbers, in no order."""
        return (number - 1 for number in self._numbers if number)


class KeyedLog(JsonLog):
    """A log of records of which the last one with the same `type` and `id` counts.

    Memory holds where each of them stands; records are read when they are asked for. When most lines are superseded,
    the first `append` of the only writer (`alone`) puts the others into a new file, which takes the old one's place
    once it is whole on the disk.
    """

    COMPACT_FROM, LINE, KINDS = 1000, 200, 16

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        """Read the file, if there is one; nothing is written. `problems` tells of torn and broken lines."""
        super().__init__(path)
        self._alone = alone
        self._reader: IO[bytes] | None = None
        self._load()

    def _load(self) -> None:
        self._at = NumberMap((size_of(self._path) or 0) // self.LINE)  # key -> KINDS * offset + number of the kind
        self._kinds: dict[bytes, int] = {}
        self._count = offset = 0
        self.problems: list[str] = []
        with suppress(FileNotFoundError):
            self._reader = self._path.open("rb")
        for number, line in enumerate(self._reader or (), 1):
            if key := _key_of(line):
                self._place(key, offset)
            elif line.strip():
                what = "is no record and was skipped" if line.endswith(b"\n") else "was cut short and was dropped"
                where = f"{self._path.name}, line {number}"
                self.problems.append(f"{where} {what}; what it said will be checked again.")
            offset += len(line)

    def _place(self, key: bytes, offset: int) -> None:
        """Take note of where the last record of a key stands."""
        kind = self._kinds.setdefault(key.partition(b"\0")[0], min(len(self._kinds), self.KINDS - 1))
        self._at.put(hash(key), self.KINDS * offset + kind)
        self._count += 1

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The last record of a key, or None."""
        with self._lock:
            place = self._at.get(hash(_key(kind, name)))
            record = None if place is None else json_line(self._line(place))
        return record if record and (record.get("type"), record.get("id")) == (kind, name) else None

    def live(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """The last record of every key of these types, oldest first; the first append of a lone writer ends this."""
        with self._lock:
            wanted = {self._kinds.get(utf8(kind)) for kind in kinds}
            places = sorted(place for place in self._at.values() if place % self.KINDS in wanted)
        for place in places:
            with self._lock:
                record = json_line(self._line(place))
            if record and record.get("type") in kinds:
                yield record

    def _line(self, place: int) -> bytes:
        reader = self._reader = self._reader or self._path.open("rb")
        reader.seek(place // self.KINDS)
        return reader.readline()

    def _appended(self, value: Mapping[str, Any], file: IO[bytes], line: bytes) -> None:
        self._place(_key(value["type"], value["id"]), file.tell() - len(line))

    def _open(self) -> IO[bytes]:
        if self._alone and self._count > max(self.COMPACT_FROM, 2 * len(self._at)):
            self._compact()
        return super()._open()

    def _compact(self) -> None:
        """Keep the live lines; where it can't be done now (a full disk, a reader on Windows) it is left for later."""
        beside = temporary_name(self._path)
        with suppress(OSError):
            beside.unlink(missing_ok=True)
            with beside.open("xb") as new:
                new.writelines(self._line(place).rstrip(b"\n") + b"\n" for place in sorted(self._at.values()))
                new.flush()
                os.fsync(new.fileno())
            self._let_go()
            replace_file(beside, self._path)
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        self._let_go()
        self._load()

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def close(self) -> None:
        """Let go of the file; what was appended is on the disk then. It may be used again."""
        with self._lock:
            self._let_go()
            super().close()


def _key_of(line: bytes) -> bytes | None:
    """Type and id of a record; at once for a line as `append` writes it, else by reading it as JSON."""
    if found := _KEYED.match(line):
        return b"%b\0%b" % found.groups()
    value = json_line(line) or {}
    kind, name = value.get("type"), value.get("id")
    return _key(kind, name) if isinstance(kind, str) and isinstance(name, str) else None


def _key(kind: str, name: str) -> bytes:
    return utf8(f"{kind}\0{name}")


class KeptAnswers:
    """JSON answers of the last 24 hours in a folder, a log for each day (UTC), without secrets.

    What was asked is not asked again when a run is begun anew, be it in the middle of a long list.
    """

    def __init__(self, folder: Path, listener: str = "", *, read_only: bool = False, write_only: bool = False) -> None:
        """Read the logs of yesterday and today; older ones go, unless nothing may be written.

        What different listeners are told is kept apart; with `write_only` nothing is known from earlier.
        """
        self._listener, self._read_only, self._write_only = listener, read_only, write_only
        paths = [folder / f"answers-{utc_text(time.time() - ago)[:10]}.jsonl" for ago in (86400, 0)]
        self._logs = [KeyedLog(path) for path in paths]
        for path in [] if read_only else folder.glob("answers-????-??-??.jsonl"):
            if path not in paths:
                with suppress(OSError):  # another run may read it
                    path.unlink()

    def get(self, key: str) -> Any:
        """The answer kept for a key, or None."""
        records = filter(None, (log.get("answer", self._listener + key) for log in reversed(self._logs)))
        record = next(records, {})
        fresh = utc_text(time.time() - 86400) <= str(record.get("at")) <= utc_now()
        return record.get("answer") if fresh and not self._write_only else None

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer; raises Failure when the disk won't take it."""
        if not self._read_only:
            record = {"at": utc_now(), "type": "answer", "id": self._listener + key, "status": "success"}
            self._logs[-1].append({**record, "answer": scrub_json(answer)})

    def close(self) -> None:
        """Let go of the logs."""
        for log in self._logs:
            log.close()


class FolderLock:
    """A file that one process at a time holds locked; the system lets go of it when that process ends, however it does.

    It names the holder for whoever comes second. Where a disk knows no locks, nobody is held back.
    """

    _FAR = 1 << 30  # Windows keeps a locked byte from being read, so it is one that is not there

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self, clock: Clock, wait: Callable[[str], object] | None = None) -> None:
        """Take the lock; raises UsageError when another process has it, Stopped.

        With `wait` the other one's end is awaited instead; `wait` is told once what for.
        """
        with disk_errors(self._path):
            file = open_making_folders(self._path, os.O_APPEND)
        while not self._locked(file):
            holder = next(json_lines(self._path), {})
            who = f"process {holder.get('pid', '?')}, started {holder.get('started', '?')}"
            words = f"{who}, writes to {shown_path(self._path.parent)}"
            if wait is None:
                file.close()
                raise UsageError(f"Another run, {words}; let it end, or add --wait.")
            wait(f"Waiting for another run: {words}.")
            wait = _ignore
            clock.sleep(1)
        with disk_errors(self._path):
            file.truncate(0)
            file.write(utf8(json.dumps({"pid": os.getpid(), "started": utc_now()}) + "\n"))
        self._file = file

    def _locked(self, file: IO[bytes]) -> bool:
        try:
            if sys.platform == "win32":
                import msvcrt  # only there on Windows

                file.seek(self._FAR)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl  # only there elsewhere

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (0, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
        return True

    def release(self) -> None:
        """Let go of the lock; the file stays."""
        if self._file is not None:
            self._file.close()
        self._file = None


def _ignore(_: object) -> None:
    """Do nothing."""
