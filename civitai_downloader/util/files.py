"""Files: written whole or not at all, linked, measured and hashed. All sizes are in bytes."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from .clock import Clock
from .errors import Failure
from .names import shown_path
from .tensors import WeightsHash
from .text import utf8

BLOCK = 1 << 20
READ = 1 << 16
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # opening a symlink, which a stranger may have planted, is an error


# --- Writing ---------------------------------------------------------------------------------------


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError in the `with` block into a Failure that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        shown = shown_path(path)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failure("disk-full", f"The disk is full at {shown}; free some space and run again.") from error
        if error.errno == errno.ELOOP:
            raise Failure("link", f"{shown} is a link, and it is not followed; move it away.") from error
        words = error.strerror or error
        raise Failure("disk", f"{shown} can't be written ({words}); check the folder's permissions.") from error


def write_file(path: Path, data: bytes) -> bool:
    """Write `data` to `path`, whole or not at all. Raises Failure.

    Return False if the file had this content already, else True.
    """
    with suppress(OSError):
        if size_of(path) == len(data) and path.read_bytes() == data:
            return False
    with disk_errors(path):
        beside = temporary_name(path)
        beside.unlink(missing_ok=True)  # a link in its place, a hard one as well, is not written through
        with open_making_folders(beside, os.O_EXCL) as file:
            write_whole(file, data)
        replace_file(beside, path)
    return True


def temporary_name(path: Path) -> Path:
    """Return the path in the same folder under which the new content of `path` is prepared."""
    return path.with_name(f"{path.name[:60]}.{zlib.crc32(path.name.encode('utf-8', 'replace')):08x}.tmp")


def open_making_folders(path: Path, flags: int) -> IO[bytes]:
    """Open an unbuffered file for reading and writing; create it and its folders if needed. Raises OSError.

    A symlink in its place is an error.
    """
    flags |= os.O_RDWR | os.O_CREAT | NO_FOLLOW | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, flags, 0o666)
    return os.fdopen(number, "r+b", buffering=0)


def open_to_read(path: Path) -> IO[bytes]:
    """Open a file for reading, unless it is a symlink. Raises OSError."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_FOLLOW))


def write_whole(file: IO[bytes], data: bytes) -> None:
    """Write all of `data` or raise OSError: on a disk that is nearly full an unbuffered file takes less."""
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_on_one_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_indented = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2).encode


def on_one_line(value: Any) -> str:
    """Return a value as JSON on one line. Numbers that JSON does not have become null."""
    try:
        return _on_one_line(value)
    except ValueError:
        return _on_one_line(_finite(value))


def _finite(value: Any) -> Any:
    """Return a JSON value with null in place of NaN and the infinities, which Python reads and no JSON may have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def write_json(path: Path, value: Any) -> bool:
    """Write a value to `path` as indented UTF-8 JSON. Returns and raises what `write_file` does."""
    return write_file(path, indented(value))


def indented(value: Any) -> bytes:
    """Return a value as indented UTF-8 JSON. A lone surrogate becomes a question mark, NaN becomes null."""
    try:
        text = _indented(value)
    except ValueError:
        text = _indented(_finite(value))
    return utf8(text + "\n")


def replace_file(source: Path, target: Path) -> None:
    """Move `source` to `target`, which it replaces. Raises OSError.

    On Windows it is tried again for 1.5 seconds, as a virus scanner may hold either file open.
    """
    for wait in (0.05, 0.1, 0.2, 0.4, 0.8):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(wait)
    os.replace(source, target)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy where the disk has no hard links. Raises Failure."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = temporary_name(target)
        beside.unlink(missing_ok=True)
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)
        replace_file(beside, target)
        # If both names were the same file already, the rename has done nothing.
        beside.unlink(missing_ok=True)


def move_unless_taken(source: Path, target: Path) -> bool:
    """Move a file, also to another disk, unless it is none or something has the name. Raises Failure."""
    if size_of(source) is None or source.is_symlink() or os.path.lexists(target):
        return False
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            link_or_copy(source, target)
            source.unlink()
    return True


# --- Reading ---------------------------------------------------------------------------------------


def size_of(path: Path | str) -> int | None:
    """Return the size of the regular file at `path`, or None if there is none."""
    with suppress(OSError, ValueError):
        found = os.stat(path)
        return found.st_size if stat.S_ISREG(found.st_mode) else None
    return None


def free_space(path: Path) -> int:
    """Return the free bytes on the disk of `path`, which need not exist yet. Raises OSError."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def sha256_of(path: Path, clock: Clock) -> str:
    """Return the SHA256 of a file in lower case. Raises OSError and Stopped."""
    return hashes_of(path, clock, weights=False)[0]


def hashes_of(path: Path, clock: Clock, *, weights: bool) -> tuple[str, str]:
    """Return the SHA256 of a file and, if `weights` are asked for, its AutoV3, else "". Raises OSError and Stopped."""
    prefix = PrefixHash(path, clock, wanted=True, weights=weights)
    prefix.catch_up(path.stat().st_size)
    return prefix.hexdigest(), prefix.autov3()


class PrefixHash:
    """The SHA256 of the beginning of a file that is still growing; without `wanted` nothing is done.

    With `weights` the AutoV3 is computed from the same bytes, so that the file is read once.
    """

    STEP = 16 << 20

    def __init__(self, path: Path, clock: Clock, *, wanted: bool, weights: bool = False) -> None:
        self._path, self._clock = path, clock
        self._weights = WeightsHash() if wanted and weights else None
        self._digest = hashlib.sha256() if wanted else None
        self._end = 0

    def add(self, chunk: bytes, start: int, frontier: int) -> None:
        """Hash a chunk that stands at `start`. If that is not its turn, read some of the bytes before `frontier`."""
        if self._digest is not None and start == self._end:
            self._take(chunk)
        else:
            self.catch_up(frontier, self.STEP)

    def catch_up(self, frontier: int, most: int | None = None) -> None:
        """Read the file up to `frontier`, or `most` bytes of it. Raises OSError and Stopped."""
        end = frontier if most is None else min(frontier, self._end + most)
        if self._digest is None or end <= self._end:
            return
        with self._path.open("rb") as file:
            file.seek(self._end)
            while block := file.read(min(BLOCK, end - self._end)):
                self._clock.check()
                self._take(block)

    def _take(self, data: bytes) -> None:
        for digest in (self._digest, self._weights):
            if digest is not None:
                digest.update(data)
        self._end += len(data)

    def hexdigest(self) -> str:
        """Return the hash of what has been read, an empty text if it is not wanted."""
        return self._digest.hexdigest() if self._digest is not None else ""

    def autov3(self) -> str:
        """Return the AutoV3 of what has been read, an empty text if it is not wanted or there are no weights."""
        return self._weights.hexdigest() if self._weights is not None else ""


# --- Links -----------------------------------------------------------------------------------------


_JUNCTIONS = (0xA0000003, 0xA000000C)  # what Windows calls mount points and symlinks


def is_link(path: Path) -> bool:
    """Return whether a symlink, or on Windows a junction, is at `path`."""
    with suppress(OSError, ValueError):
        found = os.lstat(path)
        return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) in _JUNCTIONS
    return False


def kind_of(path: Path) -> Literal["", "file", "folder", "pipe", "socket", "device"]:
    """Return what is at `path`, "" for nothing. A link counts as what it leads to."""
    with suppress(OSError, ValueError):
        mode = path.stat().st_mode
        kinds: dict[int, Literal["file", "folder", "pipe", "socket"]] = {
            stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket",
        }  # fmt: skip
        return kinds.get(stat.S_IFMT(mode), "device")
    return ""


def planted_link(root: Path, path: Path) -> Path | None:
    """Return the first symlink on the way from `root` to `path` that a stranger made, None if there is none.

    Symlinks made by this user, the administrator or the owner of `root` may lead out of it, for example to another
    disk; the owner of `root` could do worse anyway. On Windows symlinks need a privilege, so none counts as a
    stranger's.
    """
    above = len(root.parts)
    if path.parts[:above] != root.parts or sys.platform == "win32":
        return None
    with suppress(OSError):
        place, trusted = os.fspath(root), (0, os.geteuid(), os.stat(root).st_uid)
        for part in path.parts[above:]:
            place = f"{place}{os.sep}{part}"
            found = os.lstat(place)
            if stat.S_ISLNK(found.st_mode) and found.st_uid not in trusted:
                return Path(place)
    return None


def unshare(path: Path) -> None:
    """Give a file that has further names (hard links) bytes of its own under this one. Raises OSError."""
    with suppress(FileNotFoundError):
        if path.lstat().st_nlink > 1:
            beside = temporary_name(path)
            beside.unlink(missing_ok=True)
            with path.open("rb") as old, beside.open("xb") as new:
                shutil.copyfileobj(old, new, BLOCK)
            replace_file(beside, path)
