"""Names and paths that every file system accepts."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path

from .text import CONTROL

MAX_COMPONENT = 120
MAX_COMPONENT_BYTES = 240
MAX_PATH = 240
_ILLEGAL = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\.|$)")
_EXTENSION = re.compile(r"\.[A-Za-z0-9_]{1,12}$")
_TRAIL = re.compile(r"[.\s]+$")


def clean_name(text: str) -> str:
    """One path component without what Windows, a terminal or a path would misread; may be empty."""
    kept = _ILLEGAL.sub("_", unicodedata.normalize("NFC", CONTROL.sub("", text)))
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


def _trim(text: str, units: int, octets: int) -> str:
    """The longest beginning of `text` within `units` UTF-16 units and `octets` bytes of UTF-8."""
    kept = text[:units]
    while _units(kept) > units or len(kept.encode()) > octets:
        kept = kept[:-1]
    return kept


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


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


def shown_path(path: Path) -> str:
    """The path as a message shows it."""
    return re.sub(r"^\\\\\?\\(UNC\\)?", lambda found: "\\\\" if found[1] else "", str(path))


def plain_path(path: Path) -> Path:
    """The absolute path in the form that other programs understand."""
    return Path(shown_path(path.absolute()))
