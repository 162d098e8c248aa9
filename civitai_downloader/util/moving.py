"""Moving: a file gets to another place without replacing anything, and is whole at one of the two whenever it stops."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

from .clock import Clock
from .disks import Disk, DiskFailure, failure_of
from .errors import Failure
from .files import is_link, open_making_folders, open_regular, write_whole
from .hashes import BUFFER, blocks, hash_file
from .names import plain_path, shown_path
from .text import utf8

Told = Callable[[int], object]

_IN_USE = frozenset((32, 33))  # Windows: another program has the file open, or a part of it locked
_NO_RIGHT = 1314  # Windows: symlinks need a right, or the developer mode
_NO_LINKS_ON_WINDOWS = frozenset((1, 50))  # what FAT, exFAT and some shares say
_MOST_LINKS_ON_WINDOWS = 1142
_NO_LINKS = frozenset(
    getattr(errno, name) for name in ("EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS") if hasattr(errno, name)
)


# --- What an error means ---------------------------------------------------------------------------


class NoLinks(DiskFailure):
    """Links of a kind can't be made on a disk, or by this user: no other file of it will get one either."""

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__("no-links", message, alone=True, **values)


def move_failure(error: OSError, path: Path) -> Failure:
    """Return what an error means to whoever wants to move, copy or link the file at `path`."""
    if getattr(error, "winerror", None) in _IN_USE or error.errno in (errno.EBUSY, errno.ETXTBSY):
        sentence = "{path} is in use by another program; close that program and run again."
        return DiskFailure("in-use", sentence, alone=True, path=shown_path(path))
    if error.errno == errno.EEXIST:
        return Failure("collision", "{path} is there already; move it away and run again.", path=shown_path(path))
    return failure_of(error, path)


def link_failure(error: OSError, source: Path, target: Path, kind: str) -> Failure:
    """Return what an error means to whoever wants a link, a `hardlink` or a `symlink`."""
    windows, folder = getattr(error, "winerror", None) or 0, shown_path(target.parent)
    if windows == _NO_RIGHT:
        sentence = "Windows lets you make no symlinks; use --organize hardlink, or turn on its developer mode."
        return NoLinks(sentence)
    if error.errno == errno.EXDEV:
        sentence = "A hard link can't lead to another disk, and {folder} is on one; use --organize symlink or copy."
        return DiskFailure("no-links", sentence, alone=True, folder=folder)
    if error.errno == errno.EMLINK or windows == _MOST_LINKS_ON_WINDOWS:
        sentence = "{path} has as many hard links as its disk allows; use --organize symlink or copy."
        return DiskFailure("no-links", sentence, alone=True, path=shown_path(source))
    if error.errno in _NO_LINKS or windows in _NO_LINKS_ON_WINDOWS:
        if kind == "hardlink" and _is_of_another(source):
            sentence = "{path} belongs to another user, so it gets no hard link; use --organize symlink or copy."
            return DiskFailure("no-links", sentence, alone=True, path=shown_path(source))
        if kind == "hardlink":
            sentence = "The disk of {folder} has no hard links (FAT?); use --organize copy or move."
        else:
            sentence = "The disk of {folder} has no symlinks (FAT?); use --organize copy or move."
        return NoLinks(sentence, folder=folder)
    return move_failure(error, target)


def _is_of_another(path: Path) -> bool:
    """Return whether a file belongs to another user, to which some systems allow no hard links."""
    if sys.platform == "win32":
        return False
    with suppress(OSError):
        return os.lstat(path).st_uid != os.geteuid()
    return False


# --- One disk --------------------------------------------------------------------------------------


def put(source: Path, target: Path) -> None:
    """Give a file a name on the same disk that nothing has. Raises OSError, FileExistsError if something has it.

    The file has both names then, so that it has one whenever this is cut short; where a disk has no hard links, and on
    Windows, where a rename replaces nothing, it has the new one alone.
    """
    if os.name != "nt":
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS | {errno.EMLINK}:
                raise
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        else:
            return
    os.rename(source, target)


# --- Across disks ----------------------------------------------------------------------------------


def part_name(target: Path, job: str) -> Path:
    """Return the hidden path beside `target` under which a job prepares it."""
    name = utf8(target.name)
    return target.with_name(f".{name[:60].decode('utf-8', 'ignore')}.{zlib.crc32(name):08x}.{job[:16]}.part")


def copy_whole(source: Path, part: Path, disk: Disk, clock: Clock, told: Told) -> str:
    """Copy a file to a `part` on a `disk`, with its times and its rights, and return its SHA256.

    It is on the disk then, and was read back from there. `told` is given the number of bytes copied since the last
    call. What is there is written anew. Raises OSError, Failure and Stopped; then no part is left.
    """
    part.unlink(missing_ok=True)
    try:
        digest = _copied(source, part, disk, clock, told)
        if hash_file(part, clock, bytearray(BUFFER), lambda _: None).sha256 != digest:
            sentence = "{path} was read back from its disk with other bytes than were written; check that disk."
            raise DiskFailure("disk", sentence, path=shown_path(part))
    except BaseException:
        with suppress(OSError):  # it takes up what little room there is
            part.unlink()
        raise
    return digest


def _copied(source: Path, part: Path, disk: Disk, clock: Clock, told: Told) -> str:
    """Copy a file and have it on the disk. Raises OSError, Failure if it is changed meanwhile, and Stopped."""
    digest, buffer = hashlib.sha256(), bytearray(BUFFER)
    with open_regular(source, buffering=0) as old, open_making_folders(part, os.O_EXCL, disk) as new:
        before = os.fstat(old.fileno())
        for block in blocks(old, buffer, before.st_size):
            clock.check()
            digest.update(block)
            write_whole(new, block)  # type: ignore[arg-type]
            told(len(block))
        after, count = os.fstat(old.fileno()), new.seek(0, os.SEEK_END)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or count != after.st_size:
            raise Failure(
                "disk", "{path} is being changed while it is read; wait until that has ended, then run again.",
                path=shown_path(source),
            )  # fmt: skip
        disk.confirm(new.fileno())
    with suppress(OSError):  # FAT and some shares have no rights
        shutil.copymode(source, part)
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    return digest.hexdigest()


def confirm_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can do that."""
    if os.name == "nt":
        return
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def same_bytes(one: Path, other: Path, clock: Clock) -> bool:
    """Return whether two files have the same bytes, which are compared one by one. Raises OSError and Stopped."""
    with open_regular(one, buffering=0) as first, open_regular(other, buffering=0) as second:
        size = os.fstat(first.fileno()).st_size
        if size != os.fstat(second.fileno()).st_size:
            return False
        pairs = zip_longest(blocks(first, bytearray(BUFFER), size), blocks(second, bytearray(BUFFER), size))
        for left, right in pairs:
            clock.check()
            if left is None or right is None or left != right:
                return False
    return True


# --- Links -----------------------------------------------------------------------------------------


def symlink_text(source: Path, target: Path, tree: Path) -> str:
    """Return what a symlink `target` to `source` says: the way there within one `tree`, else the whole path.

    The one survives that the tree is moved, the other that the link is.
    """
    folder, root = os.path.realpath(plain_path(target.parent)), os.path.realpath(plain_path(tree))
    whole = os.path.join(os.path.realpath(plain_path(source.parent)), source.name)
    is_within = all(os.path.normcase(each).startswith(os.path.join(os.path.normcase(root), "")) or each == root
                    for each in (folder, whole))  # fmt: skip
    return os.path.relpath(whole, folder) if is_within else str(plain_path(source))


def is_one_file(source: Path, target: Path) -> bool:
    """Return whether `target` is a name of the file `source`, and no symlink to it."""
    with suppress(OSError):
        return not is_link(target) and os.path.samefile(source, target)
    return False


def is_symlink_to(target: Path, source: Path) -> bool:
    """Return whether `target` is a symlink that leads to `source`, which is there."""
    with suppress(OSError):
        return is_link(target) and os.path.samefile(target, source)
    return False


def make_link(source: Path, target: Path, kind: str, tree: Path) -> None:
    """Make `target` a `hardlink` or `symlink` to `source` and replace nothing (see `symlink_text`). Raises Failure."""
    try:
        if kind == "symlink":
            os.symlink(symlink_text(source, target, tree), target)
        else:
            os.link(os.path.realpath(source) if is_link(source) else source, target)
    except OSError as error:
        raise link_failure(error, source, target, kind) from error
