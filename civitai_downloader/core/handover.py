"""Handover: what the logs know of a file, and the pages of its model, follow when it is put elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..util.errors import Failure, Sentence
from ..util.files import is_link, link_or_copy
from ..util.media import MEDIA_EXTENSIONS
from ..util.names import plain_path, split_name
from .found import Found
from .journal import Part, Step
from .library import Library
from .records import Record

_PAGES = ("model.json", "model.txt", "description.html")


class Handover:
    """Hands what is known of files over from the log of a library to that of the output folder."""

    def __init__(self, library: Library, out: Library, layout: str) -> None:
        """The two may be one; one may lie within the other."""
        self._library, self._out, self._layout = library, out, layout

    def arrived(self, step: Step, source: str) -> None:
        """Put on record where the files of a step lie now. Raises Failure."""
        for part in step.parts:
            found = self._library.found(_inside(self._library, part.target if part.way == "free" else part.source))
            if found is not None and part.way == "free":
                self._library.note_found(replace(found, mtime=part.landed[1]), source)
            elif found is not None:
                self._found_arrived(part, found, source)
            else:
                self._hand_sidecar(part.source, part.target, is_moved=part.way == "move")

    def _found_arrived(self, part: Part, found: Found, source: str) -> None:
        if part.way == "move":
            self._library.note_found(replace(found, status="moved"), source)
            self._leave_record(found.path, _inside(self._library, part.target), source)
        status = ("success" if found.version else "unknown") if found.status == "moved" else found.status
        now = replace(found, status=status, size=part.landed[0], mtime=part.landed[1], layout=self._layout)
        for library in self._around(part.target):
            library.note_found(replace(now, path=_inside(library, part.target)), source)

    def went_back(self, parts: Iterable[Part], source: str) -> None:
        """Put on record that files are where they were before. Raises Failure."""
        for part in parts:
            found = self._library.found(_inside(self._library, part.target if part.way == "free" else part.source))
            if found is not None and part.way == "free":
                self._library.note_found(replace(found, mtime=part.mtime), source)
            elif found is not None:
                self._found_went_back(part, found, source)
            elif part.way == "move":
                self._hand_sidecar(part.target, part.source, is_moved=True)

    def _found_went_back(self, part: Part, found: Found, source: str) -> None:
        for library in self._around(part.target):
            there = library.found(_inside(library, part.target))
            if there is not None and there.status != "moved":
                library.note_found(replace(there, status="moved"), source)
        if part.way == "move":
            back = replace(found, status="success" if found.version else "unknown")
            self._library.note_found(replace(back, size=part.size, mtime=part.mtime), source)
            self._restore_record(back, source)

    def _around(self, place: Path) -> list[Library]:
        """Return the libraries that a place lies in, each once."""
        libraries = [self._out] if self._out is self._library else [self._out, self._library]
        return [library for library in libraries if _inside(library, place)]

    # --- Files that were fetched ---

    def _leave_record(self, path: str, new: str, source: str) -> None:
        """Put on record that a fetched file has left its place; `new` is where it lies if that is in the library."""
        if (fetched := self._library.fetched_at(path)) is None:
            return
        key, record = fetched
        reason = Sentence("It was moved to {place}.", place=new or plain_path(self._out.folder))
        self._library.record(key, Record("failed", path), source=source, reason=reason)
        if new:
            self._library.record(key, replace(record, path=new, home=record.home or path), source=source)

    def _restore_record(self, found: Found, source: str) -> None:
        key = ("model", f"{found.version}/{found.file}")
        last = next((each for each in self._library.places(key) if each.path == found.path), None)
        if last is not None and last.status == "failed" and found.file:
            record = Record("success", found.path, found.size, found.sha256, autov3=found.autov3)
            self._library.record(key, record, source=source)

    # --- Sidecars ---

    def _hand_sidecar(self, old: Path, new: Path, *, is_moved: bool) -> None:
        """Let what the log knows of a sidecar follow it."""
        known = (library.sidecar_line(_inside(library, old)) for library in self._around(old))
        line = next(filter(None, known), None)
        if line is None:
            return
        for library in self._around(old) if is_moved else ():
            library.forget_sidecar(_inside(library, old))
        for library in self._around(new):
            library.note_sidecar(line, _inside(library, new))

    # --- Pages ---

    def carry_pages(self, model_id: int) -> None:
        """Give the output folder the pages of a model and its pictures, as far as it lacks them. Raises Failure."""
        record = self._library.recorded(("page", f"model/{model_id}"))
        if self._out is self._library or record is None or record.status != "success":
            return
        home = record.path if record.path.startswith(".civitai/") else f".civitai/{record.path}"
        if self._out.recorded(("page", f"model/{model_id}")) is not None:
            return
        for path in _pages_in(self._library, record.path):
            target = home + path.removeprefix(record.path)
            self._out.check_links(target)
            if not os.path.lexists(self._out.at(target)):
                link_or_copy(self._library.at(path), self._out.at(target))
            self._carry_picture(path, target)
        self._out.record(("page", f"model/{model_id}"), replace(record, path=home), source=record.source)

    def _carry_picture(self, path: str, target: str) -> None:
        stem, ending = split_name(path.rpartition("/")[2])
        if not stem.isdigit() or ending.lower() not in MEDIA_EXTENSIONS:
            return
        for record in self._library.places(("image", stem)):
            if record.path == path and record.status == "success":
                self._out.record(("image", stem), replace(record, path=target), source=record.source)


def _inside(library: Library, place: Path) -> str:
    """Return the relative path of a place in a library, "" if it is not in there."""
    root, plain = plain_path(library.folder), plain_path(place)
    return plain.relative_to(root).as_posix() if plain.is_relative_to(root) else ""


def _pages_in(library: Library, folder: str) -> Iterator[str]:
    """Yield the pages of a model, their history, and the pictures of its versions, as paths in the library."""
    for name in _PAGES:
        yield from _files_in(library, folder, (name,))
    yield from _files_in(library, f"{folder}/history")
    with suppress(OSError), os.scandir(library.at(folder)) as entries:
        versions = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        for name in versions:
            yield from _files_in(library, f"{folder}/{name}/images")


def _files_in(library: Library, folder: str, names: tuple[str, ...] = ()) -> Iterator[str]:
    with suppress(OSError, Failure):
        for name in names or sorted(os.listdir(library.at(folder))):
            place = library.at(f"{folder}/{name}")
            if place.is_file() and not is_link(place):
                yield f"{folder}/{name}"
