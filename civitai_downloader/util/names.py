"""Names and paths that every file system accepts, and the forms in which Windows wants them."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any

from .text import CONTROL

MAX_COMPONENT = 120  # UTF-16 units
MAX_COMPONENT_BYTES = 240  # bytes of UTF-8
MAX_PATH = 240  # UTF-16 units, on Windows without long paths
_ILLEGAL = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\.|$)")
_EXTENSION = re.compile(r"\.[A-Za-z0-9_]{1,12}$")
_TRAIL = re.compile(r"[.\s]+$")


# --- Names -----------------------------------------------------------------------------------------


def clean_name(text: str) -> str:
    """Return a text as one path component, without what Windows, a terminal or a path would misread.

    The result may be empty.
    """
    kept = _ILLEGAL.sub("_", unicodedata.normalize("NFC", CONTROL.sub("", text)))
    kept = _TRAIL.sub("", kept.strip())
    return f"_{kept}" if _RESERVED.match(kept) else kept


def folder_name(text: str, tail: str = "") -> str:
    """Return a folder name made of `text`, cut to fit, and `tail` (an id in brackets), which is never cut."""
    room = MAX_COMPONENT - len(tail)
    kept = clean_name(_trim(clean_name(text), room, MAX_COMPONENT_BYTES - len(tail)))
    return f"{kept}{tail}" if kept else (tail.strip() or "_")


def split_name(name: str) -> tuple[str, str]:
    """Split a cleaned file name into stem and extension; the extension has its dot, or is empty."""
    found = _EXTENSION.search(name)
    return (name[: found.start()], found.group()) if found else (name, "")


def file_name(text: str, fallback: str, tail: str = "") -> str:
    """Return a file name made of the base name of `text`, or of `fallback`; `tail` goes before the extension.

    It is short enough for `.part.json` behind it and for sidecars with an extension as long as `.metadata.json`.
    """
    name = re.sub(r"(?i)\.part$", "_part", clean_name(re.split(r"[/\\]", text)[-1]))
    stem, extension = split_name(name)
    room = len(tail) + max(len(extension) + len(".part.json"), len(".metadata.json"))
    stem = clean_name(_trim(stem, MAX_COMPONENT - room, MAX_COMPONENT_BYTES - room)) or fallback
    return f"{stem}{tail}{extension}"


def name_key(path: str) -> str:
    """Return what two names have in common if a file system that ignores case or Unicode forms confuses them."""
    return unicodedata.normalize("NFC", path).casefold()


def fit_path(root: str, parts: list[str], limit: int) -> list[str]:
    """Return the components cut so that the whole path has at most `limit` UTF-16 units.

    The longest is cut first. Ids in brackets and extensions are kept; below 9 characters nothing is cut any more.
    """
    parts = list(parts)
    while _units("/".join((root, *parts))) > limit:
        index = max(range(len(parts)), key=lambda i: len(parts[i]))
        stem = re.sub(r"(?: \[\d+\])?(?:\.\w{1,12})?$", "", parts[index])
        tail = parts[index][len(stem) :]
        if len(stem) < 9:
            break
        parts[index] = clean_name(stem[:-1]) + tail
    return parts


def _trim(text: str, units: int, octets: int) -> str:
    """Return the longest beginning of `text` with at most `units` UTF-16 units and `octets` bytes of UTF-8."""
    kept = text[: max(0, units)]
    while kept and (_units(kept) > units or len(kept.encode()) > octets):
        kept = kept[:-1]
    return kept


def _units(text: str) -> int:
    """Return the length of a text in UTF-16 units, in which Windows counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- Paths -----------------------------------------------------------------------------------------


def path_limit() -> int:
    """Return how many UTF-16 units a whole path may have on this machine: 240 on Windows without long paths."""
    key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    if sys.platform == "win32" and registry_value("HKEY_LOCAL_MACHINE", key, "LongPathsEnabled") != 1:
        return MAX_PATH
    return 4000


def registry_value(hive: str, key: str, name: str) -> Any:
    """Return a value of the Windows registry, None if there is no such value or no registry."""
    if sys.platform == "win32":
        import winreg  # only there on Windows

        with suppress(OSError), winreg.OpenKey(getattr(winreg, hive), key) as found:
            return winreg.QueryValueEx(found, name)[0]
    return None


def long_path(path: Path) -> Path:
    """Return the path in the form whose length Windows does not limit; on other systems the path itself."""
    if sys.platform != "win32" or str(path).startswith("\\\\?\\"):
        return path
    absolute = os.path.abspath(path)  # `..` and `/` have no meaning in that form
    return Path("\\\\?\\UNC\\" + absolute[2:] if absolute.startswith("\\\\") else "\\\\?\\" + absolute)


def real_path(path: Path) -> Path:
    """Return the path with symlinks and `..` resolved, or the path itself if the system cannot do that."""
    with suppress(OSError):
        return long_path(path).resolve()
    return long_path(path)


def shown_path(path: Path) -> str:
    """Return the path as a message shows it: without the Windows prefix for long paths."""
    return re.sub(r"^\\\\\?\\(UNC\\)?", lambda found: "\\\\" if found[1] else "", str(path))


def plain_path(path: Path) -> Path:
    """Return the absolute path in the form that other programs understand."""
    return Path(shown_path(path.absolute()))
