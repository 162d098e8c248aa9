"""Records: a line of the state log, how a thing ended, and what is known of it before it is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..util.names import name_key, split_name
from .answers import number_at, text_at

Outcome = Literal["done", "skipped", "queued", "failed"]


Key = tuple[str, str]


_OUTSIDE = re.compile(r"[/\\]|.?:|(?:.*/)?\.\.(?:/|\Z)", re.S)


@dataclass(frozen=True)
class Record:
    """The last line of the state log about one thing, or about one of its places.

    `until` is when the link of a queued one expires (UTC), `prompt` says that a picture has its `.txt` beside it,
    `source` is the input line that brought it up, and `reason` says why it failed.
    """

    status: str
    path: str
    size: int = 0
    sha256: str = ""
    until: str = ""
    prompt: str = ""
    source: str = ""
    reason: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it was there, or on its way, and was found wrong: what was never there is known by nothing."""
        return self.status == "failed" and bool(self.size or self.sha256 or self.until)


def read_record(line: Mapping[str, Any]) -> Record | None:
    """Return what a line of the state log says, or None if its path leads out of the folder."""
    words = {name: text_at(line, name) for name in ("status", "path", "sha256", "until", "prompt", "source", "reason")}
    return None if _OUTSIDE.match(words["path"]) else Record(**words, size=number_at(line, "size"))


def place_key(kind: str, path: str) -> str:
    """Return what two paths have in common that are one place: of pictures the extension does not count."""
    return name_key(split_name(path)[0] if kind == "image" else path)


def last_words(kind: str, lines: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return the last word on each place of a thing, oldest first. A line without a path speaks of all of them."""
    found: dict[str, Record] = {}
    for record in filter(None, map(read_record, lines)):
        if not record.path:
            found.clear()
        found.pop(place_key(kind, record.path), None)
        found[place_key(kind, record.path)] = record
    return list(found.values())


@dataclass(frozen=True)
class Result:
    """How one thing ended. `path` is relative to the output folder, `size` in bytes; `until` is for IDM's queue.

    `scan` is what the site's scan says of a pickle file, which can run code when it is loaded.
    """

    outcome: Outcome
    kind: str
    id: str
    name: str
    path: str = ""
    size: int = 0
    sha256: str = ""
    reason: str = ""
    message: str = ""
    verified: bool = True
    until: str = ""
    scan: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of one wanted thing before anything is touched. Paths are relative, sizes are bytes.

    `path` and `size` are those of the file at the wanted place (None if there is none); `in_place` says that the log
    knows it and that it is whole. `source` is the file elsewhere that the log knows to hold the same bytes, `is_copy`
    says that the file at the wanted place is a copy of it, and `twin` is a file with the same bytes that this run has
    brought home to another place. `wrong` is what the log says of a file at the wanted place that was found wrong.
    """

    in_place: bool = False
    path: str = ""
    size: int | None = None
    source: Path | None = None
    is_copy: bool = False
    twin: Path | None = None
    wrong: Record | None = None
