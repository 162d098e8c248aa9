"""Names of ours: how a name of the site keeps clear of them, and whose a thing is that lies under one of them."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..util.errors import Failure, Sentence, UsageError
from ..util.files import can_be_continued, disk_errors, is_link, kind_of, planted_link, size_of, write_file
from ..util.logs import json_line
from ..util.names import file_name, folder_name, long_path, name_key, shown_path
from ..util.text import decode_text, utf8
from .data import read_data
from .shares import NAME, files_of_copies

LOG, LOCK = "download_state.jsonl", "download_state.lock"


@cache
def _table() -> Any:
    """Return what `ours.json` says: our names, by where they stand, and the marks of files that we wrote."""
    return json.loads(read_data("ours.json"))


# --- Names -----------------------------------------------------------------------------------------

_OF_COPY = re.compile(rf"\.{NAME}(?=\.[a-z]+$)")
_LEFT_OVER = re.compile(r"(?i)\.(part(?:\.json)?|[0-9a-f]{8}\.tmp)$")


@cache
def _pattern(part: str) -> re.Pattern[str]:
    return re.compile("|".join(_table()[part]), re.S)


@cache
def _names() -> frozenset[str]:
    return frozenset(name for part in ("files", "folders", "others") for name in _table()[part])


def is_ours(name: str) -> bool:
    """Return whether a cleaned name is one of ours on some disk, whichever differences that disk ignores."""
    seen = _as_disks_see(name)
    return seen in _names() or _pattern("patterns").fullmatch(seen) is not None


def _is_reserved(name: str) -> bool:
    """Return whether a cleaned name is one of ours, or one that other programs act on, as `.git`."""
    return is_ours(name) or _pattern("patterns of others").fullmatch(_as_disks_see(name)) is not None


def _as_disks_see(name: str) -> str:
    letters = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Cf")


def harmless_file(name: str) -> str:
    """Return a cleaned file name of the site, so changed that it is none of ours: `_report.json`, `x_part.json`."""
    kept = _LEFT_OVER.sub(r"_\1", name)
    return file_name(f"_{kept}", "_") if _is_reserved(kept) else kept


def harmless_folder(name: str) -> str:
    """Return a cleaned folder name of the site, so changed that it is none of ours: `_lists`."""
    return folder_name(f"_{name}") if _is_reserved(name) else name


def is_earlier_place(recorded: str, path: str) -> bool:
    """Return whether a path differs from another but in what earlier versions of the program did with our names."""
    return name_key(recorded) != name_key(path) and _kept_clear(recorded) == _kept_clear(path)


def _kept_clear(path: str) -> str:
    *folders, name = (part for part in path.split("/") if part != "_")
    return name_key("/".join((*map(harmless_folder, folders), harmless_file(name))))


# --- The top of an output folder -------------------------------------------------------------------


def check_names(root: Path) -> None:
    """Raise UsageError if what bears one of our names at the top of an output folder is a link, or no file or folder.

    The disk itself says what is called so: some ignore case.
    """
    of_copies = _names_of_copies(long_path(root))
    for kind, names in (("file", [*_table()["files"], *of_copies]), ("folder", _table()["folders"])):
        for name in names:
            path = long_path(root) / name
            found = "link" if is_link(path) else kind_of(path)
            if found not in ("", kind):
                values = {"found": Sentence(found), "kind": Sentence(kind)}
                raise _taken(path, Sentence("is a {found}, but the program needs a {kind} there", **values))
    for name in (LOG, LOCK, *of_copies):
        path = long_path(root) / name
        is_right = {".jsonl": _is_log, ".lock": _is_lock}.get(path.suffix.lower())
        if is_right and kind_of(path) and path.stat().st_nlink > 1 and not is_right(path):
            raise _taken(path, Sentence("is a hard link to somebody else's file"))


def _names_of_copies(root: Path) -> list[str]:
    """Return the names at the top of an output folder that copies of a run give to their files."""
    with suppress(OSError):
        return [name for name in os.listdir(root) if _pattern("files of copies").fullmatch(_as_disks_see(name))]
    return []


def check_free(root: Path) -> None:
    """Raise UsageError if a file that a run would write at the top of an output folder is there and not ours."""
    for name in _table()["marks"]:
        path = long_path(root) / name
        try:
            if not is_marked(path):
                raise _taken(path, Sentence("wasn't written by this program"))
        except OSError as error:
            raise _taken(path, Sentence("can't be read ({reason})", reason=error.strerror or error)) from error


def is_marked(path: Path) -> bool:
    """Return whether we may write a file at the top of an output folder: it says that it is ours, or is not there."""
    if not kind_of(path):
        return True
    with path.open("rb") as file:
        head = decode_text(file.read(600))
    tables = (_table()[f"marks{part}"] for part in ("", " of lists", " of the page"))
    name = _OF_COPY.sub("", path.name)
    marks = next(each[name] for each in tables if name in each)
    return not head.strip("\0") or any(mark in head for mark in marks)


def check_mark(path: Path) -> None:
    """Raise Failure if a file at the top of an output folder is not ours to write or remove."""
    with disk_errors(path):
        if is_link(path) or not is_marked(path):
            raise not_ours(path)


UPDATES_MARK = "# Written by civitai-downloader: what is newer than the versions on disk. --updates writes it anew.\n"
FAILED_MARK = "# Written by civitai-downloader: what could not be fetched, and why. --retry-failed tries it again.\n"


def mark_earlier(root: Path, is_fetched: Callable[[str], bool]) -> None:
    """Mark the files that an earlier version of the program wrote at the top of an output folder.

    `failed.txt` gains a first line; the others, which each run makes anew, are removed if they have no mark. Raises
    UsageError for a file that it fetched, as the site could call one so then; Failure.
    """
    for name in _table()["marks"]:
        path = long_path(root) / name
        if is_fetched(name):
            raise _taken(path, Sentence("is a file that an earlier version fetched from the site"))
        with disk_errors(path):
            if is_marked(path):
                continue
            if name == "failed.txt":
                write_file(path, utf8(FAILED_MARK + decode_text(path.read_bytes())))
            else:
                path.unlink()


def _taken(path: Path, why: Sentence) -> UsageError:
    shown = shown_path(path)
    return UsageError("{path} {why}; move it away, or choose another folder with -o.", path=shown, why=why)


def not_ours(path: Path) -> Failure:
    """Return the failure of a file in whose place we would write, and which somebody else wrote."""
    sentence = "{path} wasn't written by this program, so it stays; move it away and run again."
    return Failure("taken", sentence, path=shown_path(path))


def _is_log(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        lines = (json_line(line) or {} for line in file)
        return any(isinstance(each.get("type"), str) and isinstance(each.get("id"), str) for each in lines)
    return False


def _is_lock(path: Path) -> bool:
    with suppress(OSError):
        if not size_of(path):  # we may hold it, and nothing may open a lock that we hold
            return True
        return "pid" in (json_line(path.read_bytes()) or {})
    return False


@cache
def _app_roots() -> frozenset[str]:
    """Return the names at the top of an output folder that are apps' own: `models`, `embeddings` …"""
    apps = json.loads(read_data("apps.json"))
    places = (
        place for app in ("comfyui", "a1111") for part in ("types", "files") for place in apps[app][part].values()
    )
    others = (apps[app]["other"] for app in ("comfyui", "a1111"))
    return frozenset(place.partition("/")[0] for place in (*places, *others))


def check_way(root: Path, path: str) -> None:
    """Raise Failure if the way to a relative path leads over a link that is not to be followed.

    Of folders at the top of an output folder none is, but for apps' folders; of the others, and of files, none is that
    somebody else made.
    """
    first, is_folder, _ = path.partition("/")
    if is_folder and first not in _app_roots() and is_link(root / first):
        sentence = "{path} is a link, and links at the top of the output folder aren't followed; move it away."
        raise Failure("link", sentence, path=shown_path(root / first))
    if link := planted_link(root, root / path):
        sentence = "{path} is a link that somebody else made, so it isn't followed; move it away."
        raise Failure("link", sentence, path=shown_path(link))


def check_output(root: Path) -> None:
    """Raise UsageError if something that is not ours bears one of our names at the top of an output folder.

    What lies there beside a state log is judged when that has been read, by `Library.begin`.
    """
    check_names(root)
    if not any(map(size_of, logs_in(root))):
        check_free(root)


def logs_in(root: Path) -> list[Path]:
    """Return the state logs in a folder: that of a run alone, and those of copies."""
    own, copies = long_path(root) / LOG, files_of_copies(long_path(root), LOG)
    return [*([own] if own.is_file() else []), *copies.values()]


def check_writable(root: Path) -> None:
    """Raise UsageError if nothing can be written to an output folder; only a file with a new name is touched."""
    try:
        long_path(root).mkdir(parents=True, exist_ok=True)
        probe = long_path(root) / f".writable-{uuid4().hex}"
        write_file(probe, b"?")
        with disk_errors(probe):
            can_continue = can_be_continued(probe)
            probe.unlink()
    except (Failure, OSError) as error:
        sentence = "Nothing can be written to {folder}; choose another folder with -o. ({error})"
        told = error.sentence if isinstance(error, Failure) else error
        raise UsageError(sentence, folder=root, error=told) from None
    if not can_continue:
        sentence = "Partial files can't be continued in {folder}; an rclone mount needs --vfs-cache-mode writes."
        raise UsageError(sentence, folder=root)


# --- Below the top ---------------------------------------------------------------------------------


def check_own(path: Path, is_right: Callable[[bytes], bool]) -> None:
    """Raise Failure if a file is there whose bytes are not such as we write there. An empty one is nobody's."""
    found = kind_of(path)
    if not found and not is_link(path):
        return
    if found == "file":
        with disk_errors(path):
            there = path.read_bytes()
        if not there.strip(b"\0") or is_right(there):
            return
    raise not_ours(path)
