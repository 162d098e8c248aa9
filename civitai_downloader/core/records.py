"""Records: a line of the state log, how a thing ended, and what is known of it before it is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .answers import number_at, text_at

Outcome = Literal["done", "skipped", "queued", "failed"]


Key = tuple[str, str]


_OUTSIDE = re.compile(r"[/\\]|.?:|(?:.*/)?\.\.(?:/|\Z)", re.S)


@dataclass(frozen=True)
class Record:
    """The last line of the state log about one thing; `until` is when the link of a queued one expires (UTC).

    `layout` is the template that gave a model file its folder ("" another layout).
    """

    status: str
    path: str
    size: int = 0
    sha256: str = ""
    until: str = ""
    layout: str = ""


def read_record(line: Mapping[str, Any]) -> Record | None:
    """Return what a line of the state log says, or None if its path leads out of the folder."""
    words = {name: text_at(line, name) for name in ("status", "path", "sha256", "until", "layout")}
    return None if _OUTSIDE.match(words["path"]) else Record(**words, size=number_at(line, "size"))


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
    brought home to another place.
    """

    in_place: bool = False
    path: str = ""
    size: int | None = None
    source: Path | None = None
    is_copy: bool = False
    twin: Path | None = None
