"""Tools without a subject of their own: time, text, names, files, HTTP and the transfer of one body.

Nothing here knows what the bytes are for. Sizes are bytes, times are seconds.
"""

from __future__ import annotations

import calendar
import email.utils
import errno
import glob
import hashlib
import http.client
import io
import ipaddress
import itertools
import json
import locale
import math
import os
import re
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import unicodedata
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any, TypeVar, cast
from urllib.parse import parse_qs, urljoin, urlsplit

import backoff
import requests
import urllib3

T = TypeVar("T")

BLOCK = 1 << 20
READ = 1 << 16
MAX_JSON = 64 << 20
MAX_ERROR_BODY = 1 << 16
MAX_REDIRECTS = 5
MAX_COMPONENT = 120
MAX_COMPONENT_BYTES = 240
MAX_PATH = 240
OUTAGE = 600.0


# --- Errors --------------------------------------------------------------------------------------


class Failure(Exception):
    """The one error base: this item can't be had. `reason` is a stable word, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UsageError(Failure):
    """What the user asked for can't be understood or done; raised before anything is fetched."""

    def __init__(self, message: str) -> None:
        super().__init__("usage", message)


class Unreachable(Failure):
    """A fault that may pass: no connection, a cut answer, a server error, a page instead of data."""

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)


class Busy(Failure):
    """The server asks for patience (429, 503); `retry_after` is what it named, in seconds, or None."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__("busy", message)
        self.retry_after = retry_after


class Refused(Failure):
    """An answer that says no (4xx); `status`, `headers` and `body` (at most 64 KiB) tell why."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, url: str) -> None:
        super().__init__("refused", f"{_host(url)} answered {status}; try again later.")
        self.status, self.headers, self.body, self.url = status, headers, body, url


class Stopped(BaseException):
    """The user wants to leave; outside the error base so that no error handler swallows it."""


# --- Time ----------------------------------------------------------------------------------------


class Clock:
    """Time and the wish to stop in one object: every wait ends at once when `stop` is called."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; raises Stopped as soon as the run is to end."""
        if self._stop.wait(max(0.0, seconds)):
            raise Stopped

    def check(self) -> None:
        """Raise Stopped if the run is to end."""
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """End every wait, now and later."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether the run is to end."""
        return self._stop.is_set()


def utc_now() -> str:
    """The time of day as the state log writes it: UTC, to the second."""
    return _utc(time.time())


def _utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


# --- Text ----------------------------------------------------------------------------------------

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_KEY = r"(?:\w+_)?token|sig|signature|authorization|api_?key|x-(?:amz|goog)-[a-z-]+|key-pair-id|policy"
_SECRET = rf"(?:{_SECRET_KEY})(?:=|%3d)[^&;#\s\"'<>\\]*"
_FIRST_SECRET = re.compile(rf"(?i)([?#]|%3f){_SECRET}(&(?:amp;)?)?")
_NEXT_SECRET = re.compile(rf"(?i)(?:&(?:amp;)?|;|%26|\\u0026){_SECRET}")
_BEARER = re.compile(r"(?i)(bearer\s+)(?=[a-z_.~+/-]*\d)[\w.~+/-]{8,}=*")
_WORD = re.compile(r"(?:\"[^\"]*\"|'[^']*'|\S)+")


def read_named(path: Path) -> bytes:
    """The bytes of a file that the user named; raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror}); check its name and rights.") from None


def decode_text(data: bytes) -> str:
    """The text of a hand-made file: UTF-8 or UTF-16 by its mark, else UTF-8, else the code page it looks like."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig")
    # Korean and Japanese bytes are legal in each other's code page, but become half-width kana or odd Hangul there.
    for encoding, sign in (("euc_kr", "[가-힣]"), ("cp932", "[ぁ-ヶ一-龠]"), ("cp949", "[가-힣]")):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if len(re.findall(sign, text)) > len(re.findall("[｡-ﾟ]", text)):
                return text
    with suppress(UnicodeDecodeError, LookupError):
        return data.decode(locale.getpreferredencoding(False))
    return data.decode("latin-1")


def split_words(line: str) -> list[str]:
    """The words of a line; quotes keep blanks together, backslashes are ordinary (Windows paths)."""
    return [re.sub(r"\"([^\"]*)\"|'([^']*)'", r"\1\2", word) for word in _WORD.findall(line)]


def printable(text: str) -> str:
    """The text without control, escape and direction characters, so that a terminal shows it as it is."""
    return _CONTROL.sub(" ", text)


def scrub(text: str) -> str:
    """The text without tokens and signatures: secret query parameters and bearer keys are cut out."""
    text = _FIRST_SECRET.sub(lambda found: found[1] if found[2] else "", _NEXT_SECRET.sub("", text))
    return _BEARER.sub(r"\1(cut)", text)


def scrub_json(value: Any) -> Any:
    """A JSON value with every link in it scrubbed; everything else is kept as it was."""
    if isinstance(value, str):
        return scrub(value) if "://" in value else value
    if isinstance(value, list):
        return [scrub_json(each) for each in value]
    if isinstance(value, dict):
        return {key: scrub_json(each) for key, each in value.items()}
    return value


def bare_url(url: str) -> str:
    """A link fit to be shown: host and path, no query (storage links carry signatures there)."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return printable(f"{parts.hostname or ''}{parts.path}")
    return "a broken link"


def web_link(text: str) -> str:
    """The text if it is a web link that can be opened, else nothing."""
    with suppress(ValueError):
        parts = urlsplit(text)
        return text if parts.scheme in ("http", "https") and _names_host(parts.netloc) else ""
    return ""


@lru_cache(256)
def _names_host(place: str) -> bool:
    """Whether this is a host with a possible port, as it stands in a link; raises ValueError for some that are not."""
    parts = urlsplit(f"//{place}")
    return bool(re.fullmatch(r"\S+", parts.hostname or "")) and parts.port != 0


def parse_devalue(text: str) -> Any:
    """The value behind a devalue text; dates stay text, undefined and not-a-number become None, sets lists.

    The text is a flat JSON list in which every member of a list or object is the index of its value. Raises ValueError
    for anything else, RecursionError for absurd depth. Shared values stay shared, cycles too.
    """
    flat = json.loads(text)
    return _devalue(flat, 0, {}) if isinstance(flat, list) else _devalue([], flat, {})


def _devalue(flat: list[Any], index: Any, built: dict[int, Any]) -> Any:
    """The value at an index, put into `built` before its members are, as these may lead back to it."""
    if isinstance(index, bool) or not isinstance(index, int) or index >= len(flat):
        raise ValueError("a devalue index leads nowhere")
    if index < 0:
        return 0 if index == -6 else None
    if index in built:
        return built[index]
    match flat[index]:
        case ["null", *rest]:
            entry: Any = dict(zip(map(str, rest[::2]), rest[1::2], strict=False))
        case ["Map", *rest]:
            entry = dict(zip((str(_devalue(flat, key, built)) for key in rest[::2]), rest[1::2], strict=False))
        case ["Set", *entry]:
            pass
        case [-7, _, *rest]:
            entry = rest[1::2]
        case ["Object", int(inner)]:
            return _devalue(flat, inner, built)
        case ["BigInt", digits]:
            return int(str(digits))
        case [str(), *rest]:
            return rest[0] if rest else None
        case entry:
            pass
    if isinstance(entry, dict):
        built[index] = {}
        built[index].update((key, _devalue(flat, each, built)) for key, each in entry.items())
    elif isinstance(entry, list):
        built[index] = []
        built[index].extend(_devalue(flat, each, built) for each in entry)
    return built.get(index, entry)


def human_size(size: float) -> str:
    """Bytes in the unit a person would use: `3.4 GB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


# --- Names ---------------------------------------------------------------------------------------

_ILLEGAL = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\.|$)")
_EXTENSION = re.compile(r"\.[A-Za-z0-9_]{1,12}$")
_TRAIL = re.compile(r"[.\s]+$")


def _trim(text: str, units: int, octets: int) -> str:
    """The longest beginning of `text` within `units` UTF-16 units and `octets` bytes of UTF-8."""
    kept = text[:units]
    while _units(kept) > units or len(kept.encode()) > octets:
        kept = kept[:-1]
    return kept


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def clean_name(text: str) -> str:
    """One path component without what Windows, a terminal or a path would misread; may be empty."""
    kept = _ILLEGAL.sub("_", unicodedata.normalize("NFC", _CONTROL.sub("", text)))
    kept = _TRAIL.sub("", kept.strip())
    return f"_{kept}" if _RESERVED.match(kept) else kept


def folder_name(text: str, tail: str = "") -> str:
    """A folder called like `text`, cut to fit, with `tail` (an id in brackets) kept whole."""
    room = MAX_COMPONENT - len(tail)
    kept = clean_name(_trim(clean_name(text), room, MAX_COMPONENT_BYTES - len(tail)))
    return f"{kept}{tail}" if kept else (tail.strip() or "_")


def split_name(name: str) -> tuple[str, str]:
    """A cleaned file name as stem and extension (with its dot, or empty)."""
    found = _EXTENSION.search(name)
    return (name[: found.start()], found.group()) if found else (name, "")


def file_name(text: str, fallback: str, tail: str = "") -> str:
    """A file called like the base name of `text`; `tail` goes before the extension.

    There is always room beside it for `.part.json` and for sidecars as long as `.metadata.json`.
    """
    name = re.sub(r"(?i)\.part$", "_part", clean_name(re.split(r"[/\\]", text)[-1]))
    stem, extension = split_name(name)
    room = len(tail) + max(len(extension) + len(".part.json"), len(".metadata.json"))
    stem = clean_name(_trim(stem, MAX_COMPONENT - room, MAX_COMPONENT_BYTES - room)) or fallback
    return f"{stem}{tail}{extension}"


def name_key(path: str) -> str:
    """What two names share when a file system without case or normal forms takes them for one."""
    return unicodedata.normalize("NFC", path).casefold()


def fit_path(root: str, parts: list[str], limit: int) -> list[str]:
    """The components cut until the whole path has at most `limit` characters; ids in brackets survive."""
    parts = list(parts)
    while _units("/".join((root, *parts))) > limit:
        index = max(range(len(parts)), key=lambda i: len(parts[i]))
        found = re.search(r"(?: \[\d+\])?(?:\.\w{1,12})?$", parts[index])
        tail = found.group() if found else ""
        stem = parts[index].removesuffix(tail)
        if len(stem) < 9:
            break
        parts[index] = clean_name(stem[:-1]) + tail
    return parts


def path_limit() -> int:
    """How long a whole path may be on this machine: 240 on a Windows without long paths."""
    if sys.platform == "win32":
        import winreg  # only there on Windows

        key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as found:
            if winreg.QueryValueEx(found, "LongPathsEnabled")[0] == 1:
                return 4000
        return MAX_PATH
    return 4000


def long_path(path: Path) -> Path:
    """The path in the form in which Windows does not limit its length; elsewhere the path itself."""
    if sys.platform != "win32" or str(path).startswith("\\\\?\\"):
        return path
    text = os.path.abspath(path)  # `..` and `/` mean nothing in that form
    return Path("\\\\?\\UNC\\" + text[2:] if text.startswith("\\\\") else "\\\\?\\" + text)


def real_path(path: Path) -> Path:
    """The path without links and detours, as far as the system tells."""
    with suppress(OSError):
        return long_path(path).resolve()
    return long_path(path)


def told(path: Path) -> str:
    """The path as a message shows it."""
    return re.sub(r"^\\\\\?\\(UNC\\)?", lambda found: "\\\\" if found[1] else "", str(path))


def plain_path(path: Path) -> Path:
    """The absolute path in the form that other programs understand."""
    return Path(told(path.absolute()))


# --- Files ---------------------------------------------------------------------------------------


def write_file(path: Path, data: bytes) -> bool:
    """Put `data` at `path`, whole or not at all; False if it stood there already. Raises Failure."""
    with suppress(OSError):
        if size_of(path) == len(data) and path.read_bytes() == data:
            return False
    with disk_errors(path):
        beside = _beside(path)
        with open_making_folders(beside, os.O_TRUNC | _NO_LINK) as file:
            _write_whole(file, data)
        replace_file(beside, path)
    return True


def _beside(path: Path) -> Path:
    """A name of its own for what is to become `path`, in the same folder."""
    return path.with_name(f"{path.name[:60]}.{zlib.crc32(path.name.encode('utf-8', 'replace')):08x}.tmp")


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # a symlink in its place, which a stranger may have planted, is an error


def open_making_folders(path: Path, flags: int) -> IO[bytes]:
    """An unbuffered file to read and write, made if it is not there, and the folders above it too."""
    flags |= os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, flags, 0o666)
    return os.fdopen(number, "r+b", buffering=0)


_indented = json.JSONEncoder(ensure_ascii=False, indent=2).encode
_on_one_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write_json(path: Path, value: Any) -> bool:
    """Put a value at `path` as indented UTF-8 JSON."""
    return write_file(path, indented(value))


def indented(value: Any) -> bytes:
    """A value as indented UTF-8 JSON; a lone surrogate becomes a question mark."""
    return _octets(_indented(value) + "\n")


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
        beside = _beside(target)
        beside.unlink(missing_ok=True)
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)
        replace_file(beside, target)
        # Where both names are one file already, a rename leaves the second name behind.
        beside.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a Failure that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failure("disk-full", f"The disk is full at {told(path)}; free some space and run again.") from error
        words = error.strerror or error
        raise Failure("disk", f"{told(path)} can't be written ({words}); check the folder's rights.") from error


def _write_whole(file: IO[bytes], data: bytes) -> None:
    """Write all of it: an unbuffered file may take less when the disk has only so much room left."""
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", 0, ".png", "image"), (b"\xff\xd8\xff", 0, ".jpg", "image"),
    (b"GIF8", 0, ".gif", "image"), (b"WEBP", 8, ".webp", "image"),
    (b"ftypavi", 4, ".avif", "image"), (b"ftyphei", 4, ".heic", "image"),
    (b"\xff\x0a", 0, ".jxl", "image"), (b"\0\0\0\x0cJXL ", 0, ".jxl", "image"), (b"BM", 0, ".bmp", "image"),
    (b"ftypM4A", 4, ".m4a", "audio"), (b"WAVE", 8, ".wav", "audio"), (b"OggS", 0, ".ogg", "audio"),
    (b"ID3", 0, ".mp3", "audio"), (b"\xff\xfb", 0, ".mp3", "audio"), (b"fLaC", 0, ".flac", "audio"),
    (b"ftypqt", 4, ".mov", "video"), (b"ftyp", 4, ".mp4", "video"), (b"\x1aE\xdf\xa3", 0, ".webm", "video"),
)  # fmt: skip
MEDIA_EXTENSIONS = frozenset(row[2] for row in _MAGIC)


def sniff_media(head: bytes) -> tuple[str, str]:
    """Extension and kind (`image`, `video`, `audio`) told by the first bytes; two empty words if neither."""
    for magic, offset, extension, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return extension, kind
    return "", ""


def looks_like_page(head: bytes) -> bool:
    """Whether the first bytes are those of an HTML or XML page."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error"))


def is_safetensors(path: Path) -> bool:
    """Whether the file's safetensors header parses and its tensors end where the file ends."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= min(size - 8, 100 << 20):
                return False
            header = json.loads(file.read(length))
        ends = [int(each["data_offsets"][1]) for key, each in header.items() if key != "__metadata__"]
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, struct.error, RecursionError):
        return False
    return bool(max(ends, default=0) == size - 8 - length)


# --- A log of JSON lines -------------------------------------------------------------------------

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
        line = _octets(_on_one_line(value)) + b"\n"
        with self._lock, disk_errors(self._path):
            file, self._file = self._file or self._open(), None
            _write_whole(file, line)
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
            wanted = {self._kinds.get(_octets(kind)) for kind in kinds}
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
        beside = _beside(self._path)
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
    return _octets(f"{kind}\0{name}")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")


# --- One writer a folder -------------------------------------------------------------------------


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
            words = f"{who}, writes to {told(self._path.parent)}"
            if wait is None:
                file.close()
                raise UsageError(f"Another run, {words}; let it end, or add --wait.")
            wait(f"Waiting for another run: {words}.")
            wait = _ignore
            clock.sleep(1)
        with disk_errors(self._path):
            file.truncate(0)
            file.write(_octets(json.dumps({"pid": os.getpid(), "started": utc_now()}) + "\n"))
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


# --- Politeness ----------------------------------------------------------------------------------


class HostDown(Failure):
    """A host that failed many times in a row is left alone until `until` (of the clock), while others answer."""

    def __init__(self, host: str, until: float) -> None:
        words = f"{host} has failed {Health.PATIENCE} times in a row and is left alone for a while; run again later."
        super().__init__("unreachable", words)
        self.host, self.until = host, until


@dataclass
class _Line:
    """How one host does: failures in a row, since when, until when it is left alone, and its last good answer."""

    failures: int = 0
    since: float = 0.0
    until: float = 0.0
    good: float = -math.inf


class Health:
    """How the servers do, and what follows: how fast to go on (`factor`), and whom to leave alone for a while.

    More than a tenth of 429 and 5xx among the answers of the last minute halves the factor, at most to an eighth; a
    minute with fewer doubles it again. A host that failed twenty times in a row (no answer, 5xx) is left alone for 30
    seconds, then a single request tries it.
    """

    MINUTE, FEWEST, LEAST = 60.0, 10, 0.125
    PATIENCE, REST = 20, 30.0

    def __init__(self, clock: Clock, log: Callable[[str], None]) -> None:
        self._clock, self._log, self._lock = clock, log, threading.Lock()
        self._factor, self._changed = 1.0, clock.now()
        self._answers: deque[float] = deque()
        self._troubles: deque[float] = deque()
        self._lines: dict[str, _Line] = {}

    def factor(self) -> float:
        """The share of the full pace, from an eighth to 1."""
        with self._lock:
            self._review(self._clock.now())
            return self._factor

    def note(self, host: str, status: int) -> None:
        """An answer has come, or none (0)."""
        with self._lock:
            now, line = self._clock.now(), self._lines.setdefault(host, _Line())
            if status:
                self._answers.append(now)
            if status == 429 or status >= 500:
                self._troubles.append(now)
            self._review(now)
            if 0 < status < 500:
                if line.failures >= self.PATIENCE:
                    self._say(f"{host} answers again.")
                line.failures, line.good = 0, now
                return
            line.failures += 1
            if line.failures == 1:
                line.since = now
            if line.failures == self.PATIENCE:
                self._say(f"{host} has failed {line.failures} times in a row and is left alone for {self.REST:.0f} s.")
            line.until = now + self.REST

    def _review(self, now: float) -> None:
        for times in (self._answers, self._troubles):
            while times and times[0] <= now - self.MINUTE:
                times.popleft()
        answers, troubles = len(self._answers), len(self._troubles)
        factor = self._factor
        if 10 * troubles > answers:
            factor = max(self.LEAST, factor / 2) if answers >= self.FEWEST else factor
        elif now - self._changed >= self.MINUTE:
            factor = min(1.0, 2 * factor)
        if factor != self._factor:
            self._factor, self._changed = factor, now
            self._answers.clear()
            self._troubles.clear()
            self._say(f"Pace {factor:.1%}: {troubles} of the last {answers} answers were 429 or 5xx.")

    def _say(self, words: str) -> None:
        self._log(f"{utc_now()} {words}")

    def enter(self, host: str, *, patient: bool) -> None:
        """Before a request: wait while the host is left alone, for an hour in all; raises a Failure, Stopped.

        Without patience HostDown is raised at once if meanwhile other hosts answer, for these shall not wait for it;
        when none does, it is the network that is away, and everybody waits for it to come back.
        """
        while left := self._left(host, patient):
            self._clock.sleep(min(5.0, left))

    def _left(self, host: str, patient: bool) -> float:
        """Seconds until this request may go out, in steps; one of them becomes the trial when the time has come."""
        with self._lock:
            now, line = self._clock.now(), self._lines.get(host)
            if line is None or line.failures < self.PATIENCE:
                return 0.0
            if now >= line.until:
                line.until = now + self.REST
                return 0.0
            alone = not patient and any(each.good > line.since for each in self._lines.values() if each is not line)
            if now - line.since >= (OUTAGE if alone else 6 * OUTAGE):
                raise Failure("unreachable", f"{host} can't be reached for a long time; run again later.")
            if alone:
                raise HostDown(host, line.until)
            return line.until - now


class Pace:
    """Spaces calls: at most `rate` a second, whoever asks, and fewer where `factor` says so."""

    def __init__(self, rate: float, clock: Clock, factor: Callable[[], float] = lambda: 1.0) -> None:
        self._rate, self._clock, self._factor = rate, clock, factor
        self._lock, self._next = threading.Lock(), 0.0

    def wait(self, count: float = 1) -> None:
        """Wait for the turn of one call, or of `count` of them; raises Stopped."""
        with self._lock:
            now = self._clock.now()
            turn = max(now, self._next)
            self._next = turn + count / (self._rate * self._factor())
        self._clock.sleep(turn - now)


class Gate:
    """Lets in at most `width` holders at a time, fewer where `factor` says so, but always one.

    Who is in may ask for further connections as long as all together are at most `connections`.
    """

    def __init__(self, width: int, connections: int, clock: Clock, factor: Callable[[], float]) -> None:
        self._width, self._connections, self._clock, self._factor = width, connections, clock, factor
        self._lock, self._inside, self._more = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        while not self._enter():
            self._clock.sleep(0.2)

    def _enter(self) -> bool:
        with self._lock:
            free = self._inside < max(1, int(self._width * self._factor()))
            self._inside += free
            return free

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1

    def more(self) -> bool:
        """Take a further connection if there is one to spare."""
        with self._lock:
            free = self._inside + self._more < self._connections * self._factor()
            self._more += free
            return free

    def less(self) -> None:
        """Give a further connection back."""
        with self._lock:
            self._more -= 1

    @property
    def crowded(self) -> bool:
        """Whether somebody who holds a further connection should give it back."""
        return self._inside + self._more > self._connections * self._factor()


class Throttle(Pace):
    """Bounds the bytes per second of all transfers together; a rate of 0 is no bound."""

    def __init__(self, rate: int, clock: Clock) -> None:
        super().__init__(rate, clock)
        self.block = max(4096, min(READ, rate // 8)) if rate else BLOCK

    def take(self, count: int) -> None:
        """Account for `count` bytes that came and wait until the next may; raises Stopped."""
        if self._rate:
            self.wait(count)


class Pause:
    """One shared standstill: while it lasts nobody opens a request."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock, self._until = clock, threading.Lock(), 0.0

    def begin(self, seconds: float) -> None:
        """Hold everybody back from now on for at least `seconds`."""
        with self._lock:
            self._until = max(self._until, self._clock.now() + seconds)

    def wait(self) -> None:
        """Wait until the standstill is over; raises Stopped."""
        while (left := self._until - self._clock.now()) > 0:
            self._clock.sleep(left)


@dataclass
class Patience:
    """How long one item may still wait for a busy server: five minutes in all."""

    left: float = 300.0
    next_wait: float = 2.0

    def spend(self, busy: Busy) -> float | None:
        """Seconds to wait now (the server's word, else 2 doubling to 64), or None when it is too much."""
        wait = busy.retry_after
        if not wait:
            wait, self.next_wait = min(self.next_wait, self.left), min(64.0, 2 * self.next_wait)
        if wait > self.left or self.left <= 0:
            return None
        self.left -= wait
        return wait


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Seconds named by a `Retry-After` header (a number or a date; `now` is Unix time), None if neither."""
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        date = email.utils.parsedate_tz(text)
        return max(0.0, email.utils.mktime_tz((*date[:9], date[9] or 0)) - now) if date else None
    return None


# --- HTTP ----------------------------------------------------------------------------------------

_SERVER_FAULTS = frozenset((408, 500, 502, 504, *range(520, 531)))
_REDIRECTS = requests.sessions.SessionRedirectMixin()
_PASSING = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True)
class HttpRules:
    """What a particular site adds to HTTP: who it is told we are, who gets the key, what never to retry."""

    agent: str
    sign: Callable[[requests.PreparedRequest], requests.PreparedRequest]
    final: Callable[[Refused], bool] = lambda refused: False
    passing: Callable[[Refused], bool] = lambda refused: False


class Http:
    """Opens requests: connections that all threads share, redirects by hand, the first of the two retry layers.

    The adapters of requests do all that is needed; a session would read the bodies of redirects, endless ones too, and
    look for cookies and a .netrc.

    `timeout` in seconds for a connection and for each read; `retries` after the first try.
    """

    def __init__(
        self, rules: HttpRules, clock: Clock, *, timeout: float, retries: int, log: Callable[[str], None]
    ) -> None:
        self._rules, self._clock, self._log = rules, clock, log
        self._timeout, self._retries = (min(10.0, timeout), timeout), retries
        self._pause = Pause(clock)
        self.health = Health(clock, log)
        self._adapter = _Adapter(pool_connections=32, pool_maxsize=128)
        self._headers = {"User-Agent": rules.agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
        self._verify = next((os.environ[name] for name in names if os.environ.get(name)), True)
        self._proxies: dict[tuple[str, str], dict[str, str]] = {}
        self._lock, self._looking_up = threading.Lock(), threading.Lock()
        self._depths: dict[str, int] = {}
        self.resting = 0

    def open(
        self, url: str, patience: Patience, headers: Mapping[str, str], accept: tuple[int, ...] = ()
    ) -> requests.Response:
        """The streaming answer (2xx or one of `accept`), redirects followed; raises a Failure, Stopped."""
        return self._patiently(lambda: self._follow(url, headers, accept), patience)

    def once(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """As `open`, in a single try."""
        return self._follow(url, headers, ())

    def json(
        self,
        url: str,
        patience: Patience,
        headers: Mapping[str, str] | None = None,
        turn: Callable[[], object] = lambda: None,
        body: Any = None,
    ) -> Any:
        """The JSON answer to a GET, or to a POST of a `body`; at most 64 MB of it. Raises a Failure, Stopped.

        `turn` is waited for before each request.
        """
        return self._patiently(lambda: self._read_json(url, headers or {}, turn, body), patience)

    def _patiently(self, action: Callable[[], T], patience: Patience) -> T:
        """Run `action`; a busy server costs patience, another passing fault costs one of the retries.

        The waits are our own (`backoff` is told to wait 0), so that Ctrl-C ends them and they can be injected.
        """

        def too_long(busy: Exception) -> bool:
            """Whether the patience is used up; if not, everybody waits."""
            wait = patience.spend(busy) if isinstance(busy, Busy) else None
            if wait is not None:
                self._pause.begin(wait)
            return wait is None

        def rest(details: Any) -> None:
            """Say what went wrong and wait."""
            self._log(f"{details['exception']} (try {details['tries']})")
            self.rest(details["tries"])

        at_once = partial(backoff.on_exception, backoff.constant, interval=0, jitter=None, logger=None)
        polite = at_once(Busy, giveup=too_long, on_backoff=lambda details: self._log(str(details["exception"])))
        steady = at_once(Unreachable, max_tries=self._retries + 1, on_backoff=rest)
        done: T = steady(polite(action))()
        return done

    def rest(self, tries: int) -> None:
        """Wait before the next try: up to 2 seconds, doubling to 64, by chance within that; raises Stopped."""
        with self._lock:
            self.resting += 1
        self._clock.sleep(backoff.full_jitter(min(64.0, 2.0**tries)))
        with self._lock:
            self.resting -= 1

    def _follow(
        self,
        url: str,
        headers: Mapping[str, str],
        accept: tuple[int, ...],
        turn: Callable[[], object] | None = None,
        body: Any = None,
    ) -> requests.Response:
        for _ in range(MAX_REDIRECTS + 1):
            self.health.enter(_host(url), patient=turn is not None)
            self._pause.wait()
            if turn is not None:
                turn()
            response = self._send(url, headers, body)
            target = _REDIRECTS.get_redirect_target(response)
            if target is None:
                return self._judge(response, accept)
            _drain(response)
            url = self._outside(url, _led_to(url, target))
        raise Failure("redirect", f"{bare_url(url)} redirects more than {MAX_REDIRECTS} times; try again later.")

    def _outside(self, url: str, there: str) -> str:
        """Where a redirect leads; raises Failure when that is from the net into a private network."""
        if (depth := self._depth(there)) and depth > self._depth(url):
            raise Failure("redirect", f"{bare_url(url)} redirects into a private network; it was refused.")
        return there

    def _depth(self, url: str) -> int:
        """The depth of the link's host, looked up once."""
        host = urlsplit(url).hostname or ""
        with self._looking_up:
            if host not in self._depths:
                self._depths[host] = _depth_of(host)
            return self._depths[host]

    def _send(self, url: str, headers: Mapping[str, str], body: Any) -> requests.Response:
        self._clock.check()
        host, begun, method = _host(url), self._clock.now(), "GET" if body is None else "POST"
        try:
            request = requests.Request(method, url, {**self._headers, **headers}, json=body, auth=self._rules.sign)
            response = self._adapter.send(
                request.prepare(), stream=True, timeout=self._timeout, verify=self._verify,
                proxies=self._proxies_for(url),
            )  # fmt: skip
        except requests.exceptions.SSLError as error:
            raise Failure("certificate", f"{host} has no valid certificate; check clock and proxy.") from error
        except ValueError as error:  # every kind of bad link is one
            raise Failure("redirect", f"{bare_url(url)} is no link that can be opened.") from error
        except _PASSING as error:
            self.health.note(host, 0)
            raise Unreachable(f"{host} can't be reached ({type(error).__name__}); check the connection.") from error
        self.health.note(host, response.status_code)
        self._log(f"{method} {bare_url(url)} {response.status_code} {self._clock.now() - begun:.2f}s")
        return response

    def _proxies_for(self, url: str) -> dict[str, str]:
        """The proxies that the environment names for a host, looked up once."""
        place = urlsplit(url)[:2]
        if place not in self._proxies:
            self._proxies[place] = requests.utils.get_environ_proxies(url)
        return self._proxies[place]

    def _judge(self, response: requests.Response, accept: tuple[int, ...]) -> requests.Response:
        """The response if it can be used; otherwise the error its status stands for."""
        status, host = response.status_code, _host(response.url)
        if 200 <= status < 300 or status in accept:
            return response
        with closing(response):
            body = read_at_most(response, MAX_ERROR_BODY)
        refused = Refused(status, response.headers, body, response.url)
        if self._rules.final(refused):
            raise refused
        if status in (429, 503):
            wait = parse_retry_after(response.headers.get("Retry-After"), time.time())
            raise Busy(f"{host} is busy ({status}) and asked us to wait; run again later.", wait)
        if status in _SERVER_FAULTS or self._rules.passing(refused):
            raise Unreachable(f"{host} has a fault ({status}); try again later.")
        raise refused

    def _read_json(self, url: str, headers: Mapping[str, str], turn: Callable[[], object], body: Any) -> Any:
        host = _host(url)
        with closing(self._follow(url, headers, (), turn, body)) as response:
            if "json" not in response.headers.get("Content-Type", ""):
                raise Unreachable(f"{host} sent a page instead of data (maintenance?); try again later.")
            answer = read_at_most(response, MAX_JSON + 1)
        if len(answer) > MAX_JSON:
            raise Failure("answer", f"{host} sent more than 64 MB of JSON for one page; it was refused.")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Unreachable(f"{host} sent data that is no JSON; try again later.") from error


class _Adapter(requests.adapters.HTTPAdapter):
    """Makes connections, through proxies too, whose answers have to keep up a minimum of speed."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _demand_speed(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The pools of connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            _demand_speed(manager)
        return manager


def _demand_speed(manager: Any) -> None:
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = type("_Connection", (pool.ConnectionCls,), {"response_class": _Answer})
        pools[scheme] = type("_Pool", (pool,), {"ConnectionCls": connection})
    manager.pool_classes_by_scheme = pools


class _Answer(http.client.HTTPResponse):
    """An answer that is ended when its headers drip or its body trickles, which a timeout for each read never sees."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._steady = _SteadyStream(self.fp.detach(), sock)
        self.fp = _Gathering(self._steady)
        self._patience = max(2 * (sock.gettimeout() or 0.0), 4.0)

    def begin(self) -> None:
        """Read status and headers, before a deadline."""
        self._steady.deadline = time.monotonic() + self._patience
        super().begin()
        self._steady.deadline = math.inf


class _Gathering(io.BufferedReader):
    """Its `read1` gives what arrives within a moment: a few large pieces where a socket or TLS gives many small ones.

    That is a view of a buffer which the next call uses again. What came before a connection broke is never lost.
    """

    MOMENT = 0.01

    def __init__(self, steady: _SteadyStream) -> None:
        super().__init__(steady)
        self._steady, self._buffer = steady, bytearray()

    def read1(self, size: int = -1, /) -> Any:
        """What arrives within a moment, at most `size` bytes."""
        if size <= READ:
            return super().read1(size)
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view, until = memoryview(self._buffer)[:size], time.monotonic() + self.MOMENT
        count = more = self.readinto1(view)
        while more and count < size and self._steady.comes(more, until - time.monotonic()):
            try:
                more = self.readinto1(view[count:])
            except OSError:  # the next call meets it again
                break
            count += more
        return view[:count]


class _SteadyStream(io.RawIOBase):
    """Reads from a socket until the deadline, and as long as it gives `SLOWEST` bytes a second over `WINDOW` seconds.

    Only the time spent waiting for the socket counts, so that our own limit of speed is not held against a server.
    """

    SLOWEST, WINDOW, TLS_RECORD = 1024, 120.0, 1 << 14

    def __init__(self, source: Any, sock: socket.socket) -> None:
        self._source, self._sock, self._waited, self._gained = source, sock, 0.0, 0
        self.deadline = math.inf

    def readable(self) -> bool:
        """Yes."""
        return True

    def comes(self, last: int, seconds: float) -> bool:
        """Whether more comes within so many seconds; after a full record of TLS the next is taken for granted."""
        begun = time.monotonic()
        comes = seconds > 0 and (last == self.TLS_RECORD or urllib3.util.wait_for_read(self._sock, seconds))
        self._waited += time.monotonic() - begun
        return comes

    def readinto(self, buffer: Any) -> int:
        """Read what is there; raises TimeoutError when that is too slow."""
        begun = time.monotonic()
        count = self._source.readinto(buffer) or 0
        now = time.monotonic()
        self._waited, self._gained = self._waited + now - begun, self._gained + count
        slow = self._waited >= self.WINDOW and self._gained < self.SLOWEST * self._waited
        if now > self.deadline or slow:
            raise TimeoutError("too slow")
        if self._waited >= self.WINDOW:
            self._waited, self._gained = 0.0, 0
        return int(count)

    def close(self) -> None:
        """Let go of the socket."""
        self._source.close()
        super().close()


def read_at_most(response: requests.Response, limit: int) -> bytes:
    """Up to `limit` bytes of the decoded body; raises Unreachable when the answer is cut."""
    body = bytearray()
    try:
        for chunk in response.iter_content(READ):
            body += chunk
            if len(body) >= limit:
                break
    except _PASSING as error:
        raise Unreachable(f"{_host(response.url)} broke off its answer; try again later.") from error
    return bytes(body)


def _host(url: str) -> str:
    """Host and port, as a message may show them."""
    with suppress(ValueError):
        return printable(urlsplit(url).netloc.rpartition("@")[2]) or "the server"
    return "the server"


def _led_to(url: str, target: str) -> str:
    """The link a redirect leads to; raises Failure for what is none."""
    with suppress(ValueError):
        if there := web_link(urljoin(url, target)):
            return there
    raise Failure("redirect", f"{bare_url(url)} redirects to something that is no web link.")


_MADE_UP = (ipaddress.ip_network("198.18.0.0/15"), ipaddress.ip_network("fc00::/7"))


def _depth_of(host: str) -> int:
    """0 for a host of the public net, 2 for one that is private by its spelling or its address.

    1 is for addresses that VPN programs make up for every name. What can't be looked up here, as behind a proxy, is
    taken for public.
    """
    with suppress(ValueError):
        return 0 if ipaddress.ip_address(host).is_global else 2
    if not re.search(r"\.(?!(?:local|localhost|internal)$)[^\W\d][\w-]*$", host):
        return 2
    with suppress(OSError, ValueError):
        found = [ipaddress.ip_address(each[4][0]) for each in socket.getaddrinfo(host, None)]
        made_up = [any(each in network for network in _MADE_UP) for each in found]
        return max(0 if each.is_global else 2 - known for each, known in zip(found, made_up, strict=True))
    return 0


def _drain(response: requests.Response) -> None:
    """Finish with a redirect: a short body is read so that the connection can be used again."""
    length = response.headers.get("Content-Length", "")
    with closing(response), suppress(*_PASSING):
        if length.isdigit() and int(length) <= READ:
            response.raw.read(READ)


# --- The transfer of one body --------------------------------------------------------------------


@dataclass
class Meter:
    """One transfer as a progress display sees it; `total` is None while unknown."""

    name: str
    total: int | None = None
    done: int = 0


class Progress:
    """What is under way, for a display that looks now and then; the workers only write numbers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: list[Meter] = []
        self.received = 0

    def begin(self, name: str, total: int | None) -> Meter:
        """Show a transfer."""
        meter = Meter(name, total)
        with self._lock:
            self._meters.append(meter)
        return meter

    def add(self, meter: Meter, count: int) -> None:
        """Count bytes that arrived."""
        with self._lock:
            meter.done += count
            self.received += count

    def end(self, meter: Meter) -> None:
        """Show the transfer no more."""
        with self._lock:
            self._meters.remove(meter)

    def active(self) -> list[Meter]:
        """The transfers under way, oldest first."""
        with self._lock:
            return list(self._meters)


@dataclass(frozen=True)
class Received:
    """A body that is whole in its `.part` file: size in bytes, SHA256 in lower case (empty if not asked)."""

    size: int
    sha256: str


def parse_content_range(text: str | None) -> tuple[int | None, int | None] | None:
    """First byte (None in an answer 416) and total size (None if unknown) of a `Content-Range`.

    These are `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`; None if it is anything else.
    """
    found = re.fullmatch(r"\s*bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*", text or "")
    if not found:
        return None
    start, end, total = (int(each) if (each or "*") != "*" else None for each in found.groups())
    if start is not None and end is not None and (end < start or (total is not None and end >= total)):
        return None
    return start, total


@dataclass
class _Stamp:
    """The side record of a `.part` file: whose bytes they are and what the server said of them."""

    identity: str
    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """The value for `If-Range`: a strong ETag, else the date, else nothing."""
        return self.etag or self.modified

    def contradicts(self, other: _Stamp) -> bool:
        """Whether the other answer speaks of different bytes."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.total, other.total))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


class _SideRecord:
    """The file `.part.json` beside a `.part`: its stamp and, where several connections bring it, what is there.

    Such ranges are lines `[start, end]` after the first; without any, all bytes of the `.part` are there.
    """

    def __init__(self, part: Path) -> None:
        self._path, self._lock = part.with_name(part.name + ".json"), threading.Lock()

    def begin(self, stamp: _Stamp) -> None:
        """Speak of other bytes from now on."""
        self.discard()
        with open_making_folders(self._path, os.O_TRUNC | _NO_LINK) as file:
            _write_whole(file, _octets(json.dumps(vars(stamp))))

    def note(self, start: int, end: int) -> None:
        """These bytes are there."""
        with self._lock, self._path.open("ab") as file:
            file.write(b"\n[%d, %d]" % (start, end))

    def read(self, identity: str) -> tuple[_Stamp | None, list[tuple[int, int]]]:
        """The stamp (None if there is none for these bytes) and the ranges; a torn line says nothing."""
        try:
            first, *lines = self._path.read_bytes().split(b"\n")
            stamp = _Stamp(**json.loads(first))
        except (OSError, ValueError, TypeError):
            return None, []
        known = isinstance(stamp.total, (int, type(None))) and stamp.identity == identity
        known = known and isinstance(stamp.etag, str) and isinstance(stamp.modified, str)
        found = (re.fullmatch(rb"\[(\d{1,18}), (\d{1,18})\]", line) for line in lines)
        return stamp if known else None, [(int(each[1]), int(each[2])) for each in found if each]

    def discard(self) -> None:
        """Remove it, if it is there."""
        self._path.unlink(missing_ok=True)


@dataclass(eq=False)
class _Stretch:
    """A part of a body that one connection brings: it is at byte `at` and goes on to before `end`.

    What it brought is on record up to `noted`.
    """

    at: int
    end: int
    noted: int


class _Ranges:
    """Which bytes of a body are there (`here` in number), which are on their way, and which nobody brings yet.

    Once it is `shared`, stretches are handed out in pieces and in order, so that a hash of the beginning keeps up.
    """

    PIECE, SMALL, BOUNDLESS = 16 << 20, 512 << 10, 1 << 62

    def __init__(self, done: Iterable[tuple[int, int]] = (), total: int | None = None) -> None:
        """`done` are the ranges that are there, `total` the size of the body, None if unknown."""
        self._lock = threading.Lock()
        self._missing: list[_Stretch] = []
        self._active: list[_Stretch] = []
        self.here, self.shared, self._top = 0, False, 0
        for start, end in (*sorted(done), (total or self.BOUNDLESS,) * 2):
            if start > self._top:
                self._missing.append(_Stretch(self._top, start, self._top))
            self.here += max(0, end - max(start, self._top))
            self._top = max(self._top, end)

    @property
    def whole(self) -> bool:
        """Whether everything is there."""
        with self._lock:
            return not self._missing and not self._active

    @property
    def frontier(self) -> int:
        """All bytes before this one are there."""
        with self._lock:
            return min((each.at for each in (*self._missing, *self._active)), default=self._top)

    def take(self) -> _Stretch | None:
        """A stretch for a connection: the next that is missing, else half of the longest that is on its way."""
        with self._lock:
            if not self._missing and self._active:
                longest = max(self._active, key=lambda each: each.end - each.at)
                if longest.end - longest.at >= 2 * self.SMALL:
                    self._cut(longest, (longest.at + longest.end) // 2)
            if not self._missing:
                return None
            stretch = self._missing.pop(0)
            self._active.append(stretch)
            if self.shared:
                self._cut(stretch, stretch.at + self.PIECE)
            return stretch

    def tail(self, size: int) -> _Stretch | None:
        """The last gap, or else so many last bytes of a stretch, whose connection needs not be broken for it."""
        with self._lock:
            longest = max(self._active, key=lambda each: each.end - each.at)
            if not self._missing and longest.end - longest.at >= 2 * size:
                self._cut(longest, longest.end - size)
            if not self._missing:
                return None
            self._active.append(self._missing.pop())
            return self._active[-1]

    def share(self) -> None:
        """From now on hand out pieces; nobody keeps more than one."""
        with self._lock:
            self.shared = True
            for stretch in self._active:
                self._cut(stretch, stretch.at + self.PIECE)

    def _cut(self, stretch: _Stretch, end: int) -> None:
        """End a stretch there; its rest is missing again."""
        if stretch.end - end >= self.SMALL:
            self._missing.append(_Stretch(end, stretch.end, end))
            self._missing.sort(key=lambda each: each.at)
            stretch.end = end

    def advance(self, stretch: _Stretch, count: int) -> int:
        """So many bytes of a stretch have come; how many of them belonged to it still."""
        with self._lock:
            count = min(count, stretch.end - stretch.at)
            stretch.at += count
            self.here += count
            return count

    def give_back(self, stretch: _Stretch) -> None:
        """A connection is done with a stretch, whole or not."""
        with self._lock:
            self._active.remove(stretch)
            if stretch.at < stretch.end:
                self._missing.append(stretch)
                self._missing.sort(key=lambda each: each.at)
            elif self._top >= self.BOUNDLESS:
                self._top = stretch.at


class _Crew:
    """The further connections of one transfer: whether they pay, their threads, and their end.

    One is tried early, for the last bytes, and again now and then. When it brings a fifth more bytes a second, as many
    as there are to spare share the rest. Where one of them meets trouble all end with the piece they have. A connection
    gathers speed over some round trips, so it is measured only `RAMP` times as long after its answer as that took.
    """

    ALONE, TRIAL, RAMP, GAIN, WORTH, LATER = 0.04, 0.05, 2.0, 1.2, 3.0, (1.0, 3.0, 10.0)

    def __init__(self, ranges: _Ranges, gate: Gate, clock: Clock, bring: Callable[[_Stretch], None]) -> None:
        """`bring` receives a stretch in the calling thread."""
        self._ranges, self._gate, self._clock, self._bring = ranges, gate, clock, bring
        self._threads: list[threading.Thread] = []
        self._later = itertools.chain(self.LATER, itertools.repeat(30.0))
        self._alone = self._trip = 0.0
        self._trial: _Stretch | None = None
        self.dismissed = self._over = False
        self.trouble: BaseException | None = None
        self._await(self.ALONE)

    def _await(self, window: float) -> None:
        """Measure for so many seconds once the answer has come."""
        self._window = window
        self._measure(math.inf)

    def answered(self, stretch: _Stretch, trip: float) -> None:
        """The answer for a stretch begins, so many seconds after it was asked for."""
        if stretch is self._trial or not self._threads:
            self._trip = min(trip, 1.0)
            self._measure(max(self._window, self._trip), self.RAMP * self._trip)

    def _measure(self, seconds: float, later: float = 0.0) -> None:
        """Measure for so many seconds, beginning so many seconds later."""
        self._begun, self._from = self._clock.now(), self._ranges.here
        self._since = self._begun + later
        self._due = self._since + seconds

    def review(self, left: int, begin: Callable[[], None]) -> None:
        """See by the speed so far and the bytes `left` whether to go on with more; `begin` is called before."""
        now = self._clock.now()
        if now <= self._since:
            self._begun, self._from = now, self._ranges.here
        if now < self._due or self._over:
            return
        speed = (self._ranges.here - self._from) / (now - self._begun)
        if self._ranges.shared:
            self._hire_all()
        elif not self._alone:
            self._try_one(speed, left, begin)
        elif speed > self.GAIN * self._alone:
            self._ranges.share()
            self._hire_all()
        else:
            self._alone = 0.0
            self._measure(next(self._later))

    def _try_one(self, speed: float, left: int, begin: Callable[[], None]) -> None:
        """Hire one for the last bytes: more than it can bring before it is judged, if so many are left."""
        enough = int(2 * speed * (2 * self.RAMP * self._trip + self.TRIAL))
        size = max(self._ranges.PIECE, min(enough, left // 4))
        if speed and left >= max(2 * size, self.WORTH * speed) and self._gate.more():
            begin()
            self._alone, self._trial = speed, self._ranges.tail(size)
            self._await(self.TRIAL)
            if self._hire(self._trial):
                return
            self._alone = 0.0
        self._measure(next(self._later))

    def _hire_all(self) -> None:
        while self._gate.more() and self._hire(self._ranges.take()):
            pass
        self._measure(1.0)

    def _hire(self, stretch: _Stretch | None) -> bool:
        """Give a connection something to do; without anything it is given back."""
        if stretch is None:
            self._gate.less()
            return False
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=self._work, args=(stretch,), name="lora-more", daemon=True))
        self._threads[-1].start()
        return True

    def _work(self, stretch: _Stretch | None) -> None:
        try:
            while stretch is not None:
                try:
                    self._bring(stretch)
                finally:
                    self._ranges.give_back(stretch)
                stays = self._ranges.shared and not self._gate.crowded
                stretch = self._ranges.take() if stays else None
        except (Failure, _Restart, Stopped):
            self._over, self._ranges.shared = True, False
        except BaseException as error:
            self.trouble = error
        finally:
            self._gate.less()

    def dismiss(self) -> None:
        """Let everybody stop, and wait for it."""
        self.dismissed = self._over = True
        for thread in self._threads:
            thread.join()


class _Restart(Exception):
    """What lies in `.part` does not go on with this answer; begin again at byte 0."""


@dataclass
class Transfer:
    """Brings one body into `part`, across cuts and across runs: the second of the two retry layers.

    `identity` names the bytes wanted (a hash or an id); `size` is the size published, None if unknown;
    `limit` is the most that is accepted. `trusted` says that a hash will prove the whole, so that a resume
    without a validator is safe, and several connections are. `open` sends a request with the given headers and returns
    a 200, 206 or 416, `again` sends one to a link that it led to, a single time; `rest` waits before a further try.
    """

    part: Path
    identity: str
    size: int | None
    limit: int
    trusted: bool
    hashing: bool
    open: Callable[[dict[str, str]], requests.Response]
    again: Callable[[str, dict[str, str]], requests.Response]
    gate: Gate
    clock: Clock
    throttle: Throttle
    progress: Progress
    meter: Meter
    rest: Callable[[int], None]
    tries: int
    _stamp: _Stamp = field(init=False)
    _record: _SideRecord = field(init=False)
    _ranges: _Ranges = field(init=False)
    _crew: _Crew = field(init=False)
    _ranged: bool = field(init=False, default=False)
    _alone: bool = field(init=False, default=False)
    _link: str = field(init=False, default="", repr=False)
    _digest: Any = field(init=False, default=None)
    _hashed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._record, self._stamp = _SideRecord(self.part), _Stamp(self.identity)
        self._plan()

    def run(self, *, resume: bool = True, alone: bool = False) -> Received:
        """Receive until the body is whole, by one connection if `alone`.

        Raises a Failure when it does not grow for `tries` attempts, or when attempts that ended have brought less than
        64 KiB in ten minutes.
        """
        self._alone = alone
        with disk_errors(self.part):
            self._recall(resume)
        try:
            return self._persist()
        finally:
            self._crew.dismiss()

    def _persist(self) -> Received:
        barren, mark, lively = 0, self._ranges.here, self.clock.now()
        while True:
            before = self._ranges.here
            try:
                self._attempt()
                return self._received()
            except _Restart:
                self._forget()
                barren += 1
                trouble = Unreachable("The server keeps sending other bytes than asked for; try again later.")
            except Unreachable as error:
                barren = 0 if self._ranges.here > before else barren + 1
                trouble = error
            if not 0 <= self._ranges.here - mark < READ:
                mark, lively = self._ranges.here, self.clock.now()
            if barren > self.tries or self.clock.now() - lively > OUTAGE:
                if not self._ranges.here:
                    self.discard()
                raise trouble
            if barren:
                self.rest(barren)

    def _recall(self, resume: bool) -> None:
        """Take up an earlier `.part` if its side record speaks of the same bytes."""
        self._forget()
        stamp, ranges = self._record.read(self.identity)
        length = self._length() * resume
        if not length or stamp is None or length > (stamp.total or self.limit) or (ranges and not self.trusted):
            return
        self._stamp, self._ranged = stamp, bool(ranges)
        self._plan([(start, min(end, length)) for start, end in ranges or [(0, length)] if start < length])
        self.meter.done = self._ranges.here
        self._hash_on(length)

    def _length(self) -> int:
        """The size of what is there, 0 if nothing is; a symlink is nobody's `.part` and goes."""
        with suppress(FileNotFoundError):
            found = os.lstat(self.part)
            if not stat.S_ISLNK(found.st_mode):
                return found.st_size
            self.part.unlink()
        return 0

    def _plan(self, done: Iterable[tuple[int, int]] = ()) -> None:
        self._ranges = _Ranges(done, self._stamp.total)
        self._crew = _Crew(self._ranges, self.gate, self.clock, self._help)

    def _forget(self) -> None:
        """Begin at byte 0."""
        self._crew.dismiss()
        self._stamp, self._ranged = _Stamp(self.identity), False
        self._plan()
        self._digest, self._hashed = hashlib.sha256(), 0
        self.meter.done = 0

    def _attempt(self) -> None:
        """Bring what is missing by a request for each stretch of it; returns when the body is whole."""
        if self._ranges.here and not (self._stamp.validator or self.trusted):
            self._forget()
        while not self._ranges.whole:
            if stretch := self._ranges.take():
                self._lead(stretch)
            else:
                self._hash_on(16 * BLOCK)
                self.clock.sleep(0.005)
            if self._crew.trouble is not None:
                raise self._crew.trouble

    def _received(self) -> Received:
        self._hash_on(self._ranges.frontier)
        if self._ranges.here > BLOCK:
            with disk_errors(self.part), self.part.open("rb+") as file:
                os.fsync(file.fileno())
        return Received(self._ranges.here, self._digest.hexdigest() if self.hashing else "")

    def _headers(self, stretch: _Stretch) -> dict[str, str]:
        """The headers that ask for a stretch; without any it is the whole body."""
        bounded = stretch.end < (self._stamp.total or self._ranges.BOUNDLESS)
        if not stretch.at and not bounded:
            return {}
        headers = {"Range": f"bytes={stretch.at}-{stretch.end - 1 if bounded else ''}"}
        return headers | ({"If-Range": self._stamp.validator} if self._stamp.validator else {})

    def _lead(self, stretch: _Stretch) -> None:
        """Receive a stretch by the first connection; what it is told of the body counts."""
        ranges = self._ranges
        try:
            asked = self.clock.now()
            with closing(self.open(self._headers(stretch))) as response:
                trip = self.clock.now() - asked
                self._link = response.url
                if self._align(response, stretch):
                    ranges.give_back(stretch)
                    self._plan()
                    ranges = self._ranges
                    stretch = ranges.take() or stretch
                self._crew.answered(stretch, trip)
                if stretch.at < stretch.end:
                    self._fill(response, stretch, self._go_on)
        finally:
            ranges.give_back(stretch)

    def _help(self, stretch: _Stretch) -> None:
        """Receive a stretch by a further connection, whose answer must be what was asked for."""

        def go_on(*_: object) -> None:
            """Leave when nobody waits for this any more."""
            if self._crew.dismissed:
                raise _Restart

        asked = self.clock.now()
        with closing(self.again(self._link, self._headers(stretch))) as response:
            self._crew.answered(stretch, self.clock.now() - asked)
            if response.status_code != 206:
                raise _Restart
            self._align(response, stretch)
            self._fill(response, stretch, go_on)

    def _align(self, response: requests.Response, stretch: _Stretch) -> bool:
        """Whether the answer is a fresh body, from byte 0; otherwise it goes on with the stretch, or ends it (416)."""
        status = response.status_code
        start, total = parse_content_range(response.headers.get("Content-Range")) or (None, None)
        if status == 416:
            if not stretch.at:
                raise Unreachable("The server refuses to send it (416); try again later.")
            if total != stretch.at:
                raise _Restart
            stretch.end = stretch.at
            return False
        if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise Unreachable("The server sent it compressed, which was not asked for; try again later.")
        if status == 206:
            answer = _stamp_of(response, self.identity, total)
            if not self._headers(stretch) or start != stretch.at or self._stamp.contradicts(answer):
                raise _Restart
            return False
        length = response.headers.get("Content-Length", "")
        self._renew(_stamp_of(response, self.identity, int(length) if length.isdigit() else None))
        return True

    def _renew(self, stamp: _Stamp) -> None:
        """Take note of what a fresh body is; raises Failure when it can't be what is wanted."""
        if stamp.total is not None and stamp.total > self.limit:
            words = f"The server offers {stamp.total} bytes, the page says {self.size}; it was refused."
            raise Failure("size", words)
        if self._ranges.here:
            self._forget()
        self._stamp = stamp
        self.meter.total = stamp.total or self.meter.total

    def _fill(self, response: requests.Response, stretch: _Stretch, go_on: Callable[[_Stretch, Any], None]) -> None:
        """Receive a stretch to its end; `go_on` is called with each chunk that was written."""
        # read1 hands over what is there: a cut connection loses nothing that has arrived (urllib3 2).
        read = getattr(response.raw, "read1", response.raw.read)
        with disk_errors(self.part), self._opened(stretch) as file:
            while stretch.at < stretch.end and (chunk := self._chunk(read)):
                self.clock.check()
                if stretch.at + len(chunk) > self.limit:
                    words = f"The server sends more than the {self.limit} bytes announced; it was refused."
                    raise Failure("size", words)
                _write_whole(file, chunk)
                count = self._ranges.advance(stretch, len(chunk))
                self._note(stretch)
                self.progress.add(self.meter, count)
                self.throttle.take(count)
                go_on(stretch, chunk[:count])
        if stretch.end == self._ranges.BOUNDLESS and stretch.at:
            stretch.end = stretch.at
        if stretch.at < stretch.end:
            raise Unreachable(f"The server broke off at {stretch.at} bytes; run again.")

    def _opened(self, stretch: _Stretch) -> IO[bytes]:
        """The `.part` at the beginning of a stretch, with a place of its own for each connection."""
        fresh = not stretch.at and not self._ranged
        file = open_making_folders(self.part, _NO_LINK | (os.O_TRUNC if fresh else 0))
        if fresh:  # after the old bytes are gone: a record must never speak of others
            self._record.begin(self._stamp)
            return file
        if not self._ranged:
            file.truncate(stretch.at)
        file.seek(stretch.at)
        return file

    def _chunk(self, read: Callable[..., Any]) -> Any:
        try:
            return read(self.throttle.block, decode_content=False)
        except _PASSING as error:
            raise Unreachable(f"The connection broke ({type(error).__name__}); run again.") from error

    def _note(self, stretch: _Stretch) -> None:
        """Put on record what a stretch brought, a MiB at a time."""
        if self._ranged and (stretch.at - stretch.noted >= BLOCK or stretch.at == stretch.end):
            self._record.note(stretch.noted, stretch.at)
            stretch.noted = stretch.at

    def _go_on(self, stretch: _Stretch, chunk: Any) -> None:
        """What the first connection sees to after each chunk: the hash, and whether further connections pay."""
        if self.hashing and stretch.at - len(chunk) == self._hashed:
            self._digest.update(chunk)
            self._hashed = stretch.at
        else:
            self._hash_on(16 * BLOCK)
        if self.trusted and self._stamp.total and not self._alone:
            self._crew.review(self._stamp.total - self._ranges.here, partial(self._begin_ranges, stretch))

    def _begin_ranges(self, stretch: _Stretch) -> None:
        """Before bytes come out of order: from now on the record says which are there."""
        if not self._ranged:
            self._record.note(0, stretch.at)
            stretch.noted, self._ranged = stretch.at, True

    def _hash_on(self, most: int) -> None:
        """Take what is there without a gap into the SHA256, at most so many further bytes."""
        end = min(self._ranges.frontier, self._hashed + most)
        if self.hashing and end > self._hashed:
            feed_hash(self._digest, self.part, self._hashed, end, self.clock)
            self._hashed = end

    def discard(self) -> None:
        """Begin at byte 0 with nothing on disk."""
        self._forget()
        discard_part(self.part)

    def land(self, target: Path) -> None:
        """Give the whole body its final name; the side record goes."""
        with disk_errors(target):
            replace_file(self.part, target)
            self._record.discard()


def discard_part(part: Path) -> None:
    """Remove what there may be of a body that was begun: its `.part` and the side record of that."""
    with disk_errors(part):
        part.unlink(missing_ok=True)
        _SideRecord(part).discard()


def _stamp_of(response: requests.Response, identity: str, total: int | None) -> _Stamp:
    """What an answer says of its bytes; a weak ETag says nothing, nor does what can't be sent back."""
    etag = re.fullmatch(r"(?!W/)[!-~]+", response.headers.get("ETag", ""))
    date = re.fullmatch(r"[ -~]+", response.headers.get("Last-Modified", ""))
    return _Stamp(identity, etag[0] if etag else "", date[0] if date else "", total)


# --- An external queue ---------------------------------------------------------------------------


class Idm:
    """Internet Download Manager as a queue: links are handed over, it fetches them in its own time.

    Its command line tells nothing but that the program ran; that a file has come is seen on the disk alone.
    """

    def __init__(self, program: Path, clock: Clock) -> None:
        self._program, self._pace = program, Pace(5, clock)

    def add(self, url: str, folder: Path, name: str) -> None:
        """Put a link into the queue without starting it, without a question; raises Failure."""
        self._pace.wait()
        self._run("/d", url, "/p", str(folder), "/f", name, "/n", "/a")

    def start(self) -> None:
        """Start the queue; raises Failure."""
        self._run("/s")

    def _run(self, *words: str) -> None:
        """Run the program and wait ten seconds at most: a first copy becomes IDM itself and lives on."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            code = subprocess.Popen([str(self._program), *words], **quiet).wait(10)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired:
            return
        except OSError as error:
            raise Failure("idm", f"{self._program.name} can't be run ({error.strerror}); check --idm.") from None
        if code:
            raise Failure("idm", f"{self._program.name} refused the link (exit code {code}); try it by hand once.")


def find_idm(named: str) -> Path:
    """IDMan.exe: as named, else by IDM's own registry entry, else where it is installed, else on the PATH.

    Raises UsageError when it is not there.
    """
    folders = [os.environ[name] for name in ("ProgramFiles(x86)", "ProgramFiles", "ProgramW6432") if name in os.environ]
    places = [Path(folder, "Internet Download Manager", "IDMan.exe") for folder in folders]
    candidates = [Path(named)] if named else [_idm_of_registry(), *places, Path(shutil.which("IDMan") or "")]
    for candidate in candidates:
        if shutil.which(str(candidate.absolute())):
            return candidate.absolute()
    raise UsageError(
        f"Internet Download Manager was not found{f' at {named}' if named else ''}; name it by --idm=PATH."
    )


def _idm_of_registry() -> Path:
    if sys.platform == "win32":
        import winreg  # only there on Windows

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_CURRENT_USER, r"Software\DownloadManager") as found:
            return Path(str(winreg.QueryValueEx(found, "ExePath")[0]))
    return Path()


def delivered(path: Path, size: int) -> Path | None:
    """What was delivered for `path`: itself, or a `name_2.ext` of the right size beside it; None if nothing was."""
    if path.is_file():
        return path
    numbered = path.parent.glob(f"{glob.escape(path.stem)}_*{glob.escape(path.suffix)}")
    whole = (each for each in sorted(numbered) if re.fullmatch(r"_\d+", each.stem[len(path.stem) :]))
    return next((each for each in whole if size and size_of(each) == size), None)


def seconds_quiet(path: Path) -> float:
    """For how long nobody has written to a file; 0 while another program holds it (Windows)."""
    try:
        os.rename(path, path)
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def expiry_of(url: str, now: float) -> float:
    """When a signed link runs out (Unix time), by what it says of itself; a day from `now` if it says nothing."""
    try:
        query = parse_qs(urlsplit(url).query)
        signed, seconds = (query.get(name, [""])[0] for name in ("X-Amz-Date", "X-Amz-Expires"))
        return calendar.timegm(time.strptime(signed, "%Y%m%dT%H%M%SZ")) + min(float(seconds), 7 * 86400.0)
    except (ValueError, OverflowError):
        return now + 86400.0


# --- Answers of a day ----------------------------------------------------------------------------


class KeptAnswers:
    """JSON answers of the last 24 hours in a folder, a log for each day (UTC), without secrets.

    What was asked is not asked again when a run is begun anew, be it in the middle of a long list.
    """

    def __init__(self, folder: Path, listener: str = "", *, read_only: bool = False, write_only: bool = False) -> None:
        """Read the logs of yesterday and today; older ones go, unless nothing may be written.

        What different listeners are told is kept apart; with `write_only` nothing is known from earlier.
        """
        self._listener, self._read_only, self._write_only = listener, read_only, write_only
        paths = [folder / f"answers-{_utc(time.time() - ago)[:10]}.jsonl" for ago in (86400, 0)]
        self._logs = [KeyedLog(path) for path in paths]
        for path in [] if read_only else folder.glob("answers-????-??-??.jsonl"):
            if path not in paths:
                with suppress(OSError):  # another run may read it
                    path.unlink()

    def get(self, key: str) -> Any:
        """The answer kept for a key, or None."""
        records = filter(None, (log.get("answer", self._listener + key) for log in reversed(self._logs)))
        record = next(records, {})
        fresh = _utc(time.time() - 86400) <= str(record.get("at")) <= utc_now()
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
