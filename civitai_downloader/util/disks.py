"""Disks: what their errors mean, what they can do, and whether an output folder is still the one it was."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from .errors import Failure, Sentence
from .names import MAX_COMPONENT_BYTES, shown_path
from .text import human_size

log = logging.getLogger(__name__)

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # opening a symlink, which a stranger may have planted, is an error
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a pipe does not wait for whoever is to be at its other end
FAT = frozenset(("vfat", "msdos", "umsdos", "fuse.fusefat", "FAT", "FAT32"))
MOST_ON_FAT = (1 << 32) - 1
SHORT_NAMES = 143  # bytes; what eCryptfs leaves of a name


# --- What an error means ---------------------------------------------------------------------------


class DiskFailure(Failure):
    """A disk refuses to do something. `alone` means that only this file is concerned, for example by its size."""

    def __init__(self, reason: str, message: str, /, *, alone: bool = False, **values: object) -> None:
        super().__init__(reason, message, **values)
        self.alone = alone


class DiskLost(DiskFailure):
    """The output folder is gone, or takes nothing more. All work on it ends."""

    def __init__(self, message: str, /, **values: object) -> None:
        super().__init__("disk", Sentence(message, **values))


class NoRegularFile(OSError):
    """A pipe, a socket or a device lies where a file is wanted."""


def _codes(names: str) -> frozenset[int]:
    """Return the numbers of those errors that this system knows."""
    return frozenset(getattr(errno, name) for name in names.split() if hasattr(errno, name))


_GONE = _codes(
    "EIO ENOTCONN ESTALE ENODEV ENXIO ESHUTDOWN EHOSTDOWN EHOSTUNREACH ENETDOWN ENETUNREACH ETIMEDOUT EREMOTEIO "
    "ENOMEDIUM ECONNABORTED ECONNRESET"
)
_GONE_ON_WINDOWS = frozenset((21, 53, 55, 59, 64, 67, 433, 1117, 1167))
_FULL = _codes("ENOSPC EDQUOT")
TAKES_NO_CHANGES = _codes("EACCES EPERM EINVAL ENOTSUP EOPNOTSUPP ESPIPE")
_SYSTEM = {
    **dict.fromkeys(_codes("EMFILE ENFILE"), "Too many files are open; raise ulimit -n, or lower --workers."),
    **dict.fromkeys(_codes("ENOMEM"), "The system has no memory left; close other programs and run again."),
}
_ALONE = {
    **dict.fromkeys(
        _codes("ENAMETOOLONG"),
        "{path} can't be written: the name is too long for this disk; choose another disk with -o.",
    ),
    **dict.fromkeys(_codes("EISDIR ENOTEMPTY"), "{path} can't be written: a folder has this name; move it away."),
    **dict.fromkeys(
        _codes("EBUSY ETXTBSY"),
        "{path} can't be written: another program is using it; close that program and run again.",
    ),
}
_REFUSED = {
    **dict.fromkeys(
        _codes("EROFS"),
        "{path} can't be written: the disk is read-only; make it writable, or choose another folder with -o.",
    ),
    **dict.fromkeys(
        _codes("ENOTDIR EEXIST"),
        "{path} can't be written: a file or a broken symlink is in the place of a folder; move it away.",
    ),
    **dict.fromkeys(
        _codes("ENOENT"), "{path} can't be written: its folder doesn't exist and can't be created; check the path."
    ),
}
NO_FILE = "{path} is a pipe, a socket or a device instead of a file; move it away and run again."
_NO_CACHE = "{path} can't be resumed: this mount needs a write cache for that (rclone: --vfs-cache-mode writes)."


def failure_of(error: OSError, path: Path, size: int = 0) -> Failure:
    """Return what an error on the way to `path` means to the user; `size` is how many bytes the file was to have."""
    shown, code, words = shown_path(path), error.errno or 0, error.strerror or error
    if code in _SYSTEM:
        return Failure("system", _SYSTEM[code])
    if code in _FULL:
        return DiskFailure("disk-full", _why_full(error, path))
    if code == errno.EFBIG:
        return too_big(size)
    if code == errno.ELOOP:
        sentence = Sentence("{path} is a symlink, which is not followed; move it away.", path=shown)
        return DiskFailure("link", sentence, alone=True)
    if code in _ALONE:
        return DiskFailure("disk", _ALONE[code], alone=True, path=shown)
    if isinstance(error, NoRegularFile):
        sentence = Sentence(NO_FILE, path=shown)
        return DiskFailure("disk", sentence, alone=True)
    if code in _GONE or getattr(error, "winerror", 0) in _GONE_ON_WINDOWS:
        sentence = Sentence(
            "{path}: the disk does not respond ({reason}); reconnect it and run again.", path=shown, reason=words
        )
        return DiskFailure("disk", sentence)
    if code in TAKES_NO_CHANGES and _takes_no_changes(error, path):
        return DiskFailure("disk", _NO_CACHE, path=shown)
    if code in _REFUSED:
        return DiskFailure("disk", _REFUSED[code], path=shown)
    sentence = Sentence(
        "{path} can't be written ({reason}); check the permissions of its folder.", path=shown, reason=words
    )
    return DiskFailure("disk", sentence)


def too_big(size: int) -> DiskFailure:
    """Return the failure of a file that is larger than its disk allows; 0 if its size is not known."""
    if size:
        sentence = Sentence(
            "This disk can't hold a file of {size} (FAT32?); choose a folder on another disk with -o.",
            size=human_size(size),
        )
    else:
        sentence = Sentence("This disk can't hold a file this large (FAT32?); choose a folder on another disk with -o.")
    return DiskFailure("disk", sentence, alone=True)


def _why_full(error: OSError, path: Path) -> Sentence:
    shown = shown_path(path)
    if error.errno == getattr(errno, "EDQUOT", -1):
        return Sentence("Your quota on the disk of {path} is used up; free some space and run again.", path=shown)
    if _has_no_inodes(path):
        return Sentence(
            "The disk has no room for more files (inodes) at {path}; delete some files and run again.", path=shown
        )
    return Sentence("The disk is full at {path}; free some space and run again.", path=shown)


def _has_no_inodes(path: Path) -> bool:
    """Return whether bytes are free on a disk, but no place for a further file."""
    if sys.platform == "win32":
        return False
    with suppress(OSError):
        found = os.statvfs(existing_folder(path))
        return found.f_files > 0 and found.f_favail == 0 and found.f_bavail > 0
    return False


def _takes_no_changes(error: OSError, path: Path) -> bool:
    """Return whether a file that may be written by its rights can't be opened for that: so it is on some mounts."""
    if sys.platform == "win32" or error.filename2 is not None or error.filename not in (None, str(path)):
        return False
    return path.is_file() and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def is_special(file: Path | int) -> bool:
    """Return whether a pipe, a socket or a device lies at a path, or is open under a number."""
    with suppress(OSError):
        kind = os.stat(file).st_mode
        return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
    return False


# --- Times -----------------------------------------------------------------------------------------

_FAT_STEP, _HOUR = 2 * 10**9, 3600 * 10**9


def same_time(recorded: int, present: int) -> bool:
    """Return whether a file that had one time may have the other one now unchanged; both are in nanoseconds.

    Times on FAT are whole even seconds, and local ones, which jump by an hour in summer. Where one of the two is such a
    time they may differ by up to two seconds, or by exactly an hour; else they are equal.
    """
    apart, on_fat = abs(recorded - present), not (recorded % _FAT_STEP and present % _FAT_STEP)
    return apart == 0 or (on_fat and (apart <= _FAT_STEP or apart == _HOUR))


# --- What a disk can do ----------------------------------------------------------------------------


def existing_folder(path: Path) -> Path:
    """Return the nearest folder upwards that exists."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def longest_name(folder: Path) -> int:
    """Return how many bytes of UTF-8 a name may have on the disk of a folder, at most `MAX_COMPONENT_BYTES`.

    Some servers let a share say more than is true, so a long name is looked for, which is not there.
    """
    if sys.platform == "win32":  # 255 UTF-16 units everywhere
        return MAX_COMPONENT_BYTES
    folder, told = existing_folder(folder), [MAX_COMPONENT_BYTES]
    with suppress(OSError):
        told.append(os.statvfs(folder).f_namemax)
    with suppress(OSError, ValueError):
        told.append(os.pathconf(folder, "PC_NAME_MAX"))
    least = min(each for each in told if each > 0)
    try:
        (folder / ("x" * least)).lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return min(least, SHORT_NAMES)
    return least


def file_system(folder: Path) -> str:
    """Return the type of the file system of a folder as the system calls it, "" if it does not tell."""
    with suppress(OSError, ValueError):
        if sys.platform == "win32":
            return _file_system_on_windows(folder)
        if sys.platform.startswith("linux"):
            device = folder.stat().st_dev
            number = f"{os.major(device)}:{os.minor(device)}"
            lines = map(str.split, Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines())
            return next((words[words.index("-") + 1] for words in lines if words[2] == number), "")
    return ""


def _file_system_on_windows(folder: Path) -> str:
    if sys.platform == "win32":
        import ctypes

        name, root = ctypes.create_unicode_buffer(64), ctypes.create_unicode_buffer(1024)
        system = ctypes.windll.kernel32
        if system.GetVolumePathNameW(str(folder), root, 1024):
            system.GetVolumeInformationW(root.value, None, 0, None, None, None, name, 64)
        return name.value
    return ""


# --- The disk of a folder --------------------------------------------------------------------------


class Disk:
    """The disk of one folder. `trouble` is set once the folder is gone or takes nothing more.

    `changed` has the paths of small files that were written over, and of others that no log tells of.
    """

    PROBE, REFUSALS = 1 << 16, 3

    def __init__(self, folder: Path, *, durable: bool = True, writer: str = "") -> None:
        """The folder is from now on what is found here; one that does not exist yet is not watched.

        What is written need not outlive a power cut if it is not `durable`. Of several processes that write at the same
        time each is a `writer` with a name of its own.
        """
        self.folder, self.writer, self._durable, self._lock = folder, writer, durable, threading.Lock()
        self._refusals, self._confirms = 0, True
        self.trouble: DiskLost | None = None
        self.changed = set[str]()
        self._identity: tuple[int, int] | None = None
        with suppress(OSError):
            self._identity = self._look()
            if self._look() != self._identity:  # some drivers make up another number at each look
                self._identity = self._identity[0], 0

    def _look(self) -> tuple[int, int]:
        found = os.stat(self.folder)
        return found.st_dev, found.st_ino

    @cached_property
    def longest_name(self) -> int:
        """How many bytes of UTF-8 a name may have here."""
        return longest_name(self.folder)

    @cached_property
    def _is_fat(self) -> bool:
        return file_system(existing_folder(self.folder)) in FAT

    @property
    def is_watched(self) -> bool:
        """Whether the folder existed when the run began."""
        return self._identity is not None

    def is_there(self) -> bool:
        """Return whether the folder is still the one that it was."""
        with suppress(OSError):
            if self._identity is None:
                return True
            device, number = self._look()
            return device == self._identity[0] and self._identity[1] in (0, number)
        return False

    def check(self) -> None:
        """Raise DiskLost if the folder takes nothing more, or is another one, as after its disk was taken away."""
        if self.trouble is None and not self.is_there():
            self._lose(
                Sentence(
                    "{folder} is no longer the folder it was when the run began; reconnect its disk and run again.",
                    folder=shown_path(self.folder),
                )
            )
        if self.trouble is not None:
            raise DiskLost(self.trouble.sentence)

    def check_size(self, size: int) -> None:
        """Raise DiskFailure for a file that is larger than the disk is known to allow."""
        if size > MOST_ON_FAT and self._is_fat:
            raise too_big(size)

    def tells_room(self) -> bool:
        """Return whether what it says of its free space can be believed: some disks in the cloud have no size."""
        return sys.platform == "win32" or os.statvfs(existing_folder(self.folder)).f_blocks > 0

    def confirm(self, number: int) -> None:
        """Have what was written to an open file on the disk. Raises OSError for what is lost.

        A disk that can't confirm anything takes it nevertheless; that is said once.
        """
        if not self._durable:
            return
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno in _FULL or error.errno in _GONE - {errno.EIO}:
                raise
            with self._lock:
                told, self._confirms = not self._confirms, False
            if not told:
                log.warning(
                    "The disk of %s does not confirm what was written (%s); a power cut may cost the latest files.",
                    shown_path(self.folder), error.strerror,
                )  # fmt: skip

    def refused(self, failure: DiskFailure) -> None:
        """Look whether the folder takes anything at all. If not, or after three refusals in a row, it is lost."""
        if failure.alone or self.trouble is not None:
            return
        with suppress(DiskLost):
            self.check()
            with self._lock:
                self._refusals += 1
                refusal = self._try()
            if refusal is not None:
                self._lose(failure_of(refusal, self.folder).sentence)
            elif self._refusals >= self.REFUSALS:
                self._lose(failure.sentence)

    def took(self) -> None:
        """Note that something was taken."""
        self._refusals = 0

    def _try(self) -> OSError | None:
        """Write a small file and remove it; return what the disk says if it refuses."""
        probe = self.folder / f".writable-{os.getpid()}.tmp"
        try:
            with probe.open("xb", buffering=0) as file:
                if file.write(bytes(self.PROBE)) != self.PROBE:
                    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except FileExistsError:
            return None
        except OSError as error:
            return error
        finally:
            with suppress(OSError):
                probe.unlink()
        return None

    def _lose(self, sentence: Sentence) -> None:
        with self._lock:
            self.trouble = self.trouble or DiskLost("Stopped: {reason}", reason=sentence)
