"""Files: written whole or not at all, linked, measured and hashed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from .clock import Clock
from .errors import Failure
from .names import shown_path
from .text import utf8

BLOCK = 1 << 20
READ = 1 << 16
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # a symlink in its place, which a stranger may have planted, is an error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a Failure that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failure(
                "disk-full", f"The disk is full at {shown_path(path)}; free some space and run again."
            ) from error
        words = error.strerror or error
        raise Failure("disk", f"{shown_path(path)} can't be written ({words}); check the folder's rights.") from error


def write_file(path: Path, data: bytes) -> bool:
    """Put `data` at `path`, whole or not at all; False if it stood there already. Raises Failure."""
    with suppress(OSError):
        if size_of(path) == len(data) and path.read_bytes() == data:
            return False
    with disk_errors(path):
        beside = temporary_name(path)
        with open_making_folders(beside, os.O_TRUNC | NO_FOLLOW) as file:
            write_whole(file, data)
        replace_file(beside, path)
    return True


def temporary_name(path: Path) -> Path:
    """A name of its own for what is to become `path`, in the same folder."""
    return path.with_name(f"{path.name[:60]}.{zlib.crc32(path.name.encode('utf-8', 'replace')):08x}.tmp")


def open_making_folders(path: Path, flags: int) -> IO[bytes]:
    """An unbuffered file to read and write, made if it is not there, and the folders above it too."""
    flags |= os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, flags, 0o666)
    return os.fdopen(number, "r+b", buffering=0)


def write_whole(file: IO[bytes], data: bytes) -> None:
    """Write all of it: an unbuffered file may take less when the disk has only so much room left."""
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


_indented = json.JSONEncoder(ensure_ascii=False, indent=2).encode
on_one_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write_json(path: Path, value: Any) -> bool:
    """Put a value at `path` as indented UTF-8 JSON."""
    return write_file(path, indented(value))


def indented(value: Any) -> bytes:
    """A value as indented UTF-8 JSON; a lone surrogate becomes a question mark."""
    return utf8(_indented(value) + "\n")


def replace_file(source: Path, target: Path) -> None:
    """Move `source` onto `target`, patient with a scanner that holds either for a moment."""
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
    """Make `target` the same file as `source`: a hard link, or a copy where links don't work."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = temporary_name(target)
        beside.unlink(missing_ok=True)
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)
        replace_file(beside, target)
        # Where both names are one file already, a rename leaves the second name behind.
        beside.unlink(missing_ok=True)


def size_of(path: Path | str) -> int | None:
    """The size of the regular file at `path`, or None."""
    with suppress(OSError, ValueError):
        found = os.stat(path)
        return found.st_size if stat.S_ISREG(found.st_mode) else None
    return None


def free_space(path: Path) -> int:
    """Free bytes on the disk that holds `path` or its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def sha256_of(path: Path, clock: Clock) -> Any:
    """A hashlib object over a whole file; raises OSError, Stopped."""
    digest = hashlib.sha256()
    feed_hash(digest, path, 0, path.stat().st_size, clock)
    return digest


def feed_hash(digest: Any, path: Path, start: int, end: int, clock: Clock) -> None:
    """Update a hashlib object with the bytes of a file from `start` to before `end`; raises OSError, Stopped."""
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(BLOCK, end - start))):
            clock.check()
            digest.update(block)
            start += len(block)


@lru_cache(maxsize=4096)
def planted_link(root: Path, folder: Path) -> Path | None:
    """The first symlink on the way from `root` down to `folder` that a stranger made, None if there is none.

    Links of our own, of the administrator and of the owner of `root` may lead out of it, as to another disk: who owns
    `root` could do worse. On Windows, where links need a right of their own, none is a stranger's.
    """
    if root not in folder.parents or sys.platform == "win32":
        return None
    if above := planted_link(root, folder.parent):
        return above
    with suppress(OSError):
        if folder.is_symlink() and folder.lstat().st_uid not in (0, os.geteuid(), root.stat().st_uid):
            return folder
    return None
