"""Files: written whole or not at all, linked, measured and hashed. All sizes are in bytes."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from .disks import (
    NO_FOLLOW,
    NO_WAIT,
    TAKES_NO_CHANGES,
    Disk,
    DiskFailure,
    NoRegularFile,
    existing_folder,
    failure_of,
    is_special,
)
from .errors import Failure, Sentence
from .names import shown_path
from .text import utf8

Read = TypeVar("Read")

BLOCK = 1 << 20
READ = 1 << 16
PATIENCE = 1.5  # seconds; how long a small file that another program holds is waited for


# --- Writing ---------------------------------------------------------------------------------------


@contextmanager
def disk_errors(path: Path, size: int = 0) -> Iterator[None]:
    """Turn an OSError in the `with` block into a Failure that names the path and the remedy.

    `size` is how many bytes the file was to have, 0 if that is not known.
    """
    try:
        yield
    except OSError as error:
        raise failure_of(error, path, size) from error


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn an OSError in the `with` block, in which `path` is only read, into a Failure that names it."""
    try:
        yield
    except OSError as error:
        sentence = "{path} can't be read ({reason}); check its permissions and its disk."
        raise Failure("disk", sentence, path=shown_path(path), reason=error.strerror or error) from error


def write_file(path: Path, data: bytes, disk: Disk | None = None) -> bool:
    """Write `data` to `path`, whole or not at all. Raises Failure, and DiskLost if it is no longer on the `disk` given.

    Return False if the file had this content already, else True; the disk notes what was written over.
    """
    size = size_of(path)
    with suppress(OSError):
        if size == len(data) and path.read_bytes() == data:
            return False
    with disk_errors(path, len(data)):
        beside = temporary_name(path, disk)
        beside.unlink(missing_ok=True)  # a link in its place, a hard one as well, is not written through
        with open_making_folders(beside, os.O_EXCL, disk) as file:
            try:
                write_whole(file, data)
            except OSError:
                with suppress(OSError):  # it takes up what little room there is
                    beside.unlink()
                raise
        replace_file(beside, path)
    if disk is not None and size is not None:
        disk.changed.add(str(path))
    return True


def temporary_name(path: Path, disk: Disk | None = None) -> Path:
    """Return the path in the same folder under which the new content of `path` is prepared by the writer of a disk."""
    name, writer = utf8(path.name), disk.writer.encode() if disk is not None else b""
    return path.with_name(f"{name[:60].decode('utf-8', 'ignore')}.{zlib.crc32(name + writer):08x}.tmp")


def open_making_folders(path: Path, flags: int, disk: Disk | None = None) -> IO[bytes]:
    """Open a file as `open_to_write` does; create its folders if needed. Raises OSError.

    Raises DiskLost if the `disk` was taken away: nothing is made on the empty mount point that is left of it.
    """
    if disk is not None:
        disk.check()
    try:
        return open_to_write(path, flags)
    except FileNotFoundError:
        make_folders(path.parent, disk)
        return open_to_write(path, flags)


def open_to_write(path: Path, flags: int) -> IO[bytes]:
    """Open an unbuffered regular file for writing; create it if needed. Raises OSError.

    A symlink in its place is an error. The file can't be read by that: some mounts open no file for both at once.
    """
    flags |= os.O_WRONLY | os.O_CREAT | NO_WAIT | NO_FOLLOW | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags, 0o666)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise (NoRegularFile(error.errno, error.strerror) if is_special(path) else error) from None
    return _regular(number, path, "wb", 0)


def make_folders(folder: Path, disk: Disk | None = None) -> None:
    """Make a folder and those above it, if needed. Raises OSError, and DiskLost if the `disk` was taken away.

    The folder of the disk itself is never made anew: it was there.
    """
    if disk is None or not disk.is_watched:
        folder.mkdir(parents=True, exist_ok=True)
        return
    disk.check()
    place = disk.folder
    for name in folder.relative_to(place).parts:
        place /= name
        place.mkdir(exist_ok=True)


def can_be_continued(path: Path) -> bool:
    """Return whether a file that is there can be opened to write to its end, which some mounts don't do."""
    try:
        with open_making_folders(path, os.O_APPEND) as file:
            write_whole(file, b"?")
    except OSError as error:
        if error.errno in TAKES_NO_CHANGES:
            return False
        raise
    return True


def open_regular(path: Path, flags: int = 0, buffering: int = -1) -> IO[bytes]:
    """Open a regular file for reading; a pipe or device in its place does not make it wait. Raises OSError."""
    return _regular(os.open(path, flags | os.O_RDONLY | NO_WAIT | getattr(os, "O_BINARY", 0)), path, "rb", buffering)


def open_to_read(path: Path) -> IO[bytes]:
    """Open a regular file for reading, unless it is a symlink. Raises OSError."""
    return open_regular(path, NO_FOLLOW)


def _regular(number: int, path: Path, mode: Literal["rb", "wb"], buffering: int) -> IO[bytes]:
    try:
        if is_special(number):
            raise NoRegularFile(errno.EINVAL, "no regular file", str(path))
        return os.fdopen(number, mode, buffering)
    except OSError:
        os.close(number)
        raise


def read_regular(path: Path) -> bytes:
    """Return what is in a regular file. Raises OSError."""
    with open_regular(path) as file:
        return file.read()


def read_again(read: Callable[[], Read]) -> Read:
    """Return what `read` returns, at the second try if another machine has just replaced the file (NFS says ESTALE)."""
    try:
        return read()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
    return read()


def read_beginning(path: Path, most: int) -> bytes | None:
    """Return the first bytes of a file that others, on whichever machine, may replace; None if it can't be read.

    A link is not followed.
    """

    def read() -> bytes:
        """Open it anew: a network drive shows what is in it now only to who does."""
        with open_to_read(path) as file:
            return file.read(most)

    with suppress(OSError):
        return read_again(read)
    return None


def write_whole(file: IO[bytes], data: bytes) -> None:
    """Write all of `data`. Raises OSError.

    An unbuffered file may take only a part; the rest is written again, as only then the system says why it refuses.
    """
    left = memoryview(data)
    while left:
        taken = file.write(left)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = left[taken:]


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


def write_json(path: Path, value: Any, disk: Disk | None = None) -> bool:
    """Write a value to `path` as indented UTF-8 JSON. Returns and raises what `write_file` does."""
    return write_file(path, indented(value), disk)


def indented(value: Any) -> bytes:
    """Return a value as indented UTF-8 JSON. A lone surrogate becomes a question mark, NaN becomes null."""
    try:
        text = _indented(value)
    except ValueError:
        text = _indented(_finite(value))
    return utf8(text + "\n")


class Held(DiskFailure):
    """A file is whole, but another program keeps it open, so that it can't get its name yet."""

    def __init__(self, path: Path) -> None:
        sentence = Sentence(
            "{path} is complete, but another program (a virus scanner?) keeps it open; close that and run again.",
            path=shown_path(path),
        )
        super().__init__("disk", sentence, alone=True)


def replace_file(
    source: Path, target: Path, patience: float = PATIENCE, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Move `source` to `target`, which it replaces. Raises OSError, and Held if that is the reason.

    On Windows it is tried again for `patience` seconds, as a virus scanner may hold either file open.
    """
    wait, waited = 0.05, 0.0
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError as error:
            if os.name != "nt" or target.is_dir():
                raise
            if waited >= patience:
                raise Held(target) from error
        sleep(wait)
        waited, wait = waited + wait, min(2 * wait, 1.0)


def link_or_copy(source: Path, target: Path, disk: Disk | None = None) -> None:
    """Make `target` a hard link to `source`, or a copy where the disk has no hard links. Raises Failure.

    Raises DiskLost if the target is no longer on the `disk` given.
    """
    with disk_errors(target):
        make_folders(target.parent, disk)
        beside = temporary_name(target, disk)
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
    return shutil.disk_usage(existing_folder(path)).free


def has_room(path: Path, least: int) -> bool:
    """Return whether the disk of `path` has so many bytes free, or does not tell its size. Raises OSError."""
    usage = shutil.disk_usage(existing_folder(path))
    return usage.free >= least or not usage.total


# --- Links -----------------------------------------------------------------------------------------


_JUNCTIONS = (0xA0000003, 0xA000000C)  # what Windows calls mount points and symlinks


def is_link(path: Path) -> bool:
    """Return whether a symlink, or on Windows a junction, is at `path`."""
    with suppress(OSError, ValueError):
        return is_link_itself(os.lstat(path))
    return False


def is_link_itself(found: os.stat_result) -> bool:
    """Return whether what `lstat` says is of a symlink or a junction, not of what it leads to."""
    return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) in _JUNCTIONS


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
