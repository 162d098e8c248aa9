"""Found files: what the state log says of the model files of a folder that somebody has given as INPUT."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..util.clock import DAY, utc_now
from ..util.disks import same_time
from ..util.text import printable
from .answers import Model, Version, number_at, text_at, unix_time
from .flaws import read_flaw
from .folders import Seen
from .settings import Settings

Status = Literal["hashed", "success", "unknown", "broken", "gone", "moved"]
How = Literal["", "sha256", "autov3", "sidecar", "hand", "unknown"]
_EVERY = 10**12  # pictures: more than any gallery has
ASKED_AGAIN = 7 * DAY  # what the site did not know may have been published since


@dataclass(frozen=True)
class Found:
    """A model file of a folder, as its line in the state log has it.

    `path` is relative to the library, `size` in bytes, `mtime` in nanoseconds. `sha256` is that of its bytes, "" while
    only a sidecar tells it, and `autov3` was computed only where it was needed. `how` says what named it, and `model`,
    `version` and `file` are the site's ids (0 unknown). `name` is for people. `done` is what a run has
    brought besides (see `mark_of`), `layout` is the one by which it was organised ("": it was not), `reason` says what
    is wrong with it, and `at` is when that was known.
    """

    path: str
    size: int
    mtime: int
    status: Status = "hashed"
    how: How = ""
    sha256: str = ""
    autov3: str = ""
    model: int = 0
    version: int = 0
    file: int = 0
    name: str = ""
    done: str = ""
    layout: str = ""
    reason: str = ""
    at: str = ""

    @property
    def is_identified(self) -> bool:
        """Whether it is known which file of which version it is."""
        return self.status in ("success", "gone")

    @property
    def is_wrong(self) -> bool:
        """Whether --verify has found other bytes in it than those that were hashed."""
        return self.status != "broken" and bool(self.reason)

    def fits(self, seen: Seen) -> bool:
        """Return whether a file on disk is still this one, by its size and its time; one that is wrong is not."""
        return not self.is_wrong and self._is_like(seen.size, seen.mtime)

    def is_as_it_was(self, place: Path) -> bool:
        """Return whether a file lies at a place that has its size and its time."""
        with suppress(OSError):
            there = os.stat(place)
            return self._is_like(there.st_size, there.st_mtime_ns)
        return False

    def _is_like(self, size: int, mtime: int) -> bool:
        return self.size == size and same_time(self.mtime, mtime)

    def is_settled(self, now: float) -> bool:
        """Return whether nothing is to be asked about it at a Unix time; what by hand is nothing is never asked."""
        if self.status in ("unknown", "gone") and self.how != "hand":
            return -DAY < now - unix_time(self.at) < ASKED_AGAIN  # not after a clock that was a year ahead
        return self.status != "hashed"

    def has_all(self, settings: Settings) -> bool:
        """Return whether all is there that a run with these settings brings for it."""
        had, asked = self.done.split(), mark_of(settings).split()
        return bool(had) and set(had[:-1]) >= set(asked[:-1]) and _count_of(had[-1]) >= _count_of(asked[-1])


def mark_of(settings: Settings) -> str:
    """Return what a run with these settings brings for a file: words, and the number of pictures of its gallery."""
    has_texts = settings.only != "models"
    brings = {
        "sidecars": settings.only != "images",
        "preview": settings.only != "metadata",
        "pictures": settings.wants_images,
        "texts": has_texts,
        "prompts": has_texts and settings.gallery,
        "tools": has_texts and settings.full_metadata,
        "mature": not settings.sfw,
    }
    most = _EVERY if settings.max_images is None else settings.max_images
    return " ".join([*(word for word, is_wanted in brings.items() if is_wanted), str(most if brings["prompts"] else 0)])


def _count_of(text: str) -> int:
    """Return a number in a mark; one that nobody can have written brings nothing."""
    return number_at({"count": text}, "count")


_WORDS = ("status", "how", "sha256", "autov3", "name", "done", "layout", "reason")
_NUMBERS = ("model", "version", "file")


def name_of(model: Model, version: Version) -> str:
    """Return what a file of a version is called, for people."""
    return printable(f"{model.name} [{model.id}] {version.name}")


def read_found(line: Mapping[str, Any]) -> Found | None:
    """Return what a line of the state log says of a file, or None if no run can have written it.

    Somebody else may have made the folder: a path that leads out of it, above all, is not believed.
    """
    words: dict[str, Any] = {key: text_at(line, key) for key in (*_WORDS, "at")}
    numbers: dict[str, Any] = {key: number_at(line, key) for key in (*_NUMBERS, "size", "mtime")}
    path, called, why = text_at(line, "path"), printable(words["name"]), read_flaw(printable(words["reason"]))
    is_one = (
        path == line.get("id")
        and not _leads_out(path)
        and words["status"] in get_args(Status)
        and words["how"] in get_args(How)
        and re.fullmatch("([0-9a-f]{64})?", words["sha256"])
        and re.fullmatch("([0-9a-f]{12})?", words["autov3"])
        and min(numbers[key] for key in (*_NUMBERS, "size")) >= 0
        and (words["status"] != "success" or numbers["version"])
    )
    return Found(**{**words, **numbers, "path": path, "name": called, "reason": why}) if is_one else None


def _leads_out(path: str) -> bool:
    """Return whether a relative path leads out of its folder, or names a device or a stream of Windows."""
    is_odd = os.name == "nt" and re.search(r"[\\:]", path)
    return bool(is_odd) or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/"))


def line_of(found: Found, source: str) -> dict[str, Any]:
    """Return the line that the state log gets; what there is nothing to say of is left out."""
    facts = {key: getattr(found, key) for key in (*_WORDS[3:], *_NUMBERS)}
    told = {key: value for key, value in facts.items() if value or key == "reason"}
    head = {"at": utc_now(), "type": "local", "id": found.path, "status": found.status, "path": found.path}
    own = {"size": found.size, "mtime": found.mtime, "sha256": found.sha256, "how": found.how}
    return {**head, **own, **told, "source": source}


def moved_to(gone: Iterable[Found], fresh: Iterable[Seen]) -> Iterator[tuple[Found, Found]]:
    """Yield what was known of a file that has left its place, and the same at its new place.

    They have the same size and time to the nanosecond, and no other file that left or came has.
    """
    left: dict[tuple[int, int], list[Found]] = {}
    came: dict[tuple[int, int], list[Seen]] = {}
    for each in gone:
        left.setdefault((each.size, each.mtime), []).append(each)
    for seen in fresh:
        came.setdefault((seen.size, seen.mtime), []).append(seen)
    for key, files in came.items():
        known = left.get(key, [])
        if len(known) == len(files) == 1:
            yield known[0], replace(known[0], path=files[0].path)


def wasted(files: Iterable[tuple[Found, tuple[int, int]]]) -> tuple[int, dict[str, list[Found]]]:
    """Return how many bytes copies of the same file take, and the copies by their SHA256.

    Each file comes with its inode: two names of one file waste nothing. Only a SHA256 that was computed counts.
    """
    groups: dict[str, dict[tuple[int, int], list[Found]]] = {}
    for found, inode in files:
        if found.sha256:
            groups.setdefault(found.sha256, {}).setdefault(inode, []).append(found)
    copies = {digest: names for digest, names in groups.items() if len(names) > 1}
    bytes_lost = sum((len(names) - 1) * next(iter(names.values()))[0].size for names in copies.values())
    return bytes_lost, {digest: [names[0] for names in found.values()] for digest, found in copies.items()}
