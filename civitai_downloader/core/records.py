"""Records: a line of the state log, how a thing ended, and what is known of it before it is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..util.names import name_key, split_name
from .answers import number_at, text_at
from .places import Wanted

Outcome = Literal["done", "skipped", "queued", "failed"]


Key = tuple[str, str]


_OUTSIDE = re.compile(r"[/\\]|.?:|(?:.*/)?\.\.(?:/|\Z)", re.S)


@dataclass(frozen=True)
class Record:
    """The last line of the state log about one thing, or about one of its places.

    `size`, `sha256` and `autov3` are those of the bytes on disk, empty if nobody computed them. `published` is the
    SHA256 that the site named for them, where it is another one: an app has edited the header, or nobody compared.
    `home` is the place that the layout gives to a file which somebody has moved to `path`. The site sent bytes with
    the SHA256 `came` where it publishes `refused`, twice. `until` is when the link of a queued one expires (UTC),
    `prompt` says that a picture has its `.txt` beside it, `source` is the input line that brought it up, and `reason`
    says why it failed. `layout` is the template that gave a model file its folder ("" another layout). `available_at`
    is when the early access ends (UTC) for which a file failed.
    """

    status: str
    path: str
    size: int = 0
    sha256: str = ""
    until: str = ""
    layout: str = ""
    autov3: str = ""
    published: str = ""
    home: str = ""
    refused: str = ""
    came: str = ""
    prompt: str = ""
    source: str = ""
    reason: str = ""
    available_at: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether it was there, or on its way, and was found wrong: what was never there is known by nothing."""
        return self.status == "failed" and bool(self.size or self.sha256 or self.until)

    def fits(self, sha256: str) -> bool:
        """Return whether this may be what the site publishes with a SHA256 ("": it names none)."""
        known = (self.sha256, self.published)
        return not sha256 or sha256 in known or not any(known)


# What a line of the state log has only where there is something to say.
OPTIONAL = ("until", "layout", "autov3", "published", "home", "refused", "came", "prompt", "available_at")


def leads_out(path: str) -> bool:
    """Return whether a path that should be relative leads out of its folder."""
    return _OUTSIDE.match(path) is not None


def read_record(line: Mapping[str, Any]) -> Record | None:
    """Return what a line of the state log says, or None if its path leads out of the folder."""
    words = {name: text_at(line, name) for name in ("status", "path", "sha256", "source", "reason", *OPTIONAL)}
    is_outside = leads_out(words["path"]) or leads_out(words["home"])
    return None if is_outside else Record(**words, size=number_at(line, "size"))


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
    """How one thing ended. `path` is relative to the output folder, `size` in bytes; `until` (UTC) is when the
    link of a queued one expires, or early access to a failed one ends.

    `sha256` and `autov3` are those of its bytes, empty if nobody computed them in this run. `scan` is what the site's
    scan says of a pickle file, which can run code when it is loaded.
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
    autov3: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of one wanted thing before anything is touched. Paths are relative, sizes are bytes.

    `path` and `size` are those of the file at the wanted place (None if there is none); `in_place` says that the log
    knows it and that it is whole. `source` is the file elsewhere that the log knows to hold the same bytes, `is_copy`
    says that the file at the wanted place is a copy of it, and `twin` is a file with the same bytes that this run has
    fetched to another place. `wrong` is what the log says of a file at the wanted place that was found wrong,
    `record` what it says of the file or its source. With `is_gone` the file is not where the log says; with `is_old`
    the site has a new SHA256, and the file is not what is wanted any more; with `is_unproven` nobody has compared it
    with the SHA256 that the site publishes.
    """

    in_place: bool = False
    path: str = ""
    size: int | None = None
    source: Path | None = None
    is_copy: bool = False
    twin: Path | None = None
    wrong: Record | None = None
    record: Record | None = field(default=None, compare=False)
    is_gone: bool = False
    is_old: bool = False
    is_unproven: bool = False


def record_of(wanted: Wanted, result: Result, before: Record | None) -> Record:
    """Return the record of a thing that is there. No hash stands in it that nobody computed.

    What the last record says of where the file was moved from and of what the site sent stays, if it still holds.
    """
    proven = bool(wanted.sha256) and result.sha256 == wanted.sha256
    stays = before is not None and before.path == result.path
    refused = before is not None and before.refused == wanted.sha256 and not proven
    return Record(
        "success", result.path, result.size, result.sha256,
        autov3=result.autov3 or (wanted.autov3 if proven else ""), published="" if proven else wanted.sha256,
        home=before.home if before is not None and stays else "",
        refused=before.refused if before is not None and refused else "",
        came=before.came if before is not None and refused else "", layout=wanted.layout,
    )  # fmt: skip


def after_failure(wanted: Wanted, before: Record | None, size: int | None) -> Record | None:
    """Return what is on record after a failure; None if nothing has changed: the file that was there still is.

    `size` is that of the file `before` names. What it was when it was whole is kept, so that it is known again.
    """
    if before is None or before.status == "queued":
        return Record("failed", wanted.path, layout=wanted.layout)
    if before.status == "success" and size == before.size:
        return None
    return replace(before, status="failed", path=before.path if before.size else wanted.path)
