"""Locks: a file that one process at a time holds, also over a network, and who that is."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .clock import Clock, utc_now
from .disks import NO_FOLLOW
from .files import disk_errors, open_making_folders, open_regular, open_to_read, read_beginning, write_file
from .logs import json_line
from .text import utf8

_MOST = 4096  # bytes that the file about a holder has
_FAR = 1 << 30  # Windows does not let others read a locked byte, so one beyond the end is locked


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, as far as is known: process, when it started, and which of several copies it is ("": none)."""

    process: str = "?"
    started: str = "?"
    copy: str = ""


def holder_of(lock: Path) -> Holder:
    """Return who holds a lock, or held it last, by the file beside it. Nothing in there is believed unchecked."""
    told = json_line(read_beginning(holder_file(lock), _MOST) or b"") or {}
    pid, host = told.get("pid"), _text(told, "host", r"[\w.-]{1,255}")
    process = str(pid) if type(pid) is int and 0 < pid < 1 << 64 else "?"
    if host and host != socket.gethostname():
        process = f"{host}:{process}"
    started = _text(told, "started", r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z") or "?"
    return Holder(process, started, _text(told, "copy", r"[0-9]{1,6}/[0-9]{1,6}"))


def is_held(lock: Path) -> bool:
    """Return whether a process holds a lock: another one, as a look at an own lock would give that up."""
    with suppress(OSError), _open_for_a_look(lock) as file:
        return not _take(file, for_a_look=True)
    return False


def _open_for_a_look(lock: Path) -> IO[bytes]:
    """Open a lock for writing too, if possible: of what is open for reading alone, NFS may not ask the server."""
    try:
        return open_regular(lock, os.O_RDWR | NO_FOLLOW)
    except OSError:
        return open_to_read(lock)


class FolderLock:
    """A file that only one process at a time holds locked. The system unlocks it when that process ends, in any way.

    A process gives it up as soon as it closes the file, however often it had opened it: nothing else may open it. So
    its holder is named in a file beside it. On a disk without locks every process gets it.
    """

    PATIENCE, STEP = 1.0, 0.05  # seconds; another process may take it for a moment, to see whether it is held

    def __init__(self, path: Path, copy: str = "") -> None:
        """`copy` says which of several copies this process is, as `3/8`."""
        self.path, self._copy = path, copy
        self._file: IO[bytes] | None = None

    def acquire(self, clock: Clock) -> bool:
        """Take the lock; return False if another process holds it for more than a moment.

        Raises Failure for a folder that can't be written, and Stopped when the clock is stopped.
        """
        with disk_errors(self.path):
            file = open_making_folders(self.path, os.O_APPEND)
            try:
                if not self._wait_for(file, clock):
                    file.close()
                    return False
                file.truncate(0)  # of earlier versions of the program, which wrote into it
            except BaseException:
                file.close()
                raise
        self._file = file
        who = {"pid": os.getpid(), "started": utc_now(), "host": socket.gethostname(), "copy": self._copy}
        try:
            write_file(holder_file(self.path), utf8(json.dumps(who) + "\n"))
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Give up the lock. The file stays, and so does the name of a copy, which others may be about to read."""
        if self._file is None:
            return
        with suppress(OSError):  # the disk may be gone
            if not self._copy:
                holder_file(self.path).unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()
        self._file = None

    def _wait_for(self, file: IO[bytes], clock: Clock) -> bool:
        """Try to lock an open file, for a moment if need be."""
        for _ in range(round(self.PATIENCE / self.STEP)):
            if _take(file):
                return True
            clock.sleep(self.STEP)
        return _take(file)


def _take(file: IO[bytes], *, for_a_look: bool = False) -> bool:
    """Try to lock an open file; return False if another process holds it. Two that only look are both let in."""
    try:
        if sys.platform == "win32":
            import msvcrt  # exists only on Windows

            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # does not exist on Windows

            fcntl.lockf(file, (fcntl.LOCK_SH if for_a_look else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (0, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


def holder_file(lock: Path) -> Path:
    """Return the path of the file that names the holder of a lock."""
    return lock.with_name(f"{lock.name.removesuffix('.lock')}.holder.json")


def _text(told: dict[str, Any], name: str, pattern: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) and re.fullmatch(pattern, value, re.A) else ""
