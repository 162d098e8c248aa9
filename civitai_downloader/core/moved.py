"""Moved: where a model file lies now that somebody has moved or renamed it within the output folder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..util.clock import Clock
from ..util.errors import Failure, Sentence
from ..util.files import move_unless_taken
from ..util.names import name_key, split_name
from ..util.trees import Tree
from .choice import form_of
from .library import Library
from .records import Key, Record
from .sidecars import PREVIEW_ENDINGS, SIDECAR_ENDINGS
from .weights import Verdict, Weights, recognise

log = logging.getLogger(__name__)

_ASIDE = ("corrupted",)  # besides hidden folders


@dataclass(frozen=True)
class Sighting:
    """Where a missing file lies, and its record there; `is_copy` says that it is another place of ours, not moved."""

    record: Record
    is_copy: bool


class MovedFiles:
    """Looks for model files that are not where the log says.

    Each output folder is walked through once, when the first one is missing, and only files of exactly the size of a
    missing one are read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._by_size: dict[Path, dict[int, list[str]]] = {}

    def find(self, library: Library, key: Key, record: Record, home: str) -> Sighting | None:
        """Return where a missing file lies now, or None. `home` is the place that the layout gives it.

        What lies where another model belongs is not taken for it. Raises Stopped.
        """
        if not (record.size and (record.sha256 or record.autov3)):
            return None
        with self._lock:
            sized = self._sizes(library).get(record.size, [])
            free = [path for path in sized if not library.is_held(path, key)]
            ours = {name_key(each.path) for each in library.places(key) if each.size} - {name_key(home)}
            past = {path for path in free if name_key(path) in ours}
            for path in sorted(free, key=lambda each: _rank(each, record.path, is_past=each in past)):
                verdict, seen = self._recognise(library, path, record)
                if verdict in ("same", "edited"):
                    sized.remove(path)
                    return Sighting(_at_new_place(record, seen, path, home), path in past)
        return None

    def _sizes(self, library: Library) -> dict[int, list[str]]:
        """Return the model files of an output folder by their size."""
        if library.root not in self._by_size:
            found: dict[int, list[str]] = {}
            for path, size in model_files(library.root):
                self._clock.check()
                found.setdefault(size, []).append(path)
            self._by_size[library.root] = found
        return self._by_size[library.root]

    def _recognise(self, library: Library, path: str, record: Record) -> tuple[Verdict, Weights]:
        known = Weights(record.size, record.sha256, record.autov3)
        with suppress(Failure):  # what can't be read or may not be followed is not ours
            library.check_links(path)
            return recognise(library.at(path), known, self._clock)
        return "foreign", Weights()


def follow(library: Library, key: Key, found: Record, old: Record, source: str) -> None:
    """Put on record that a file has left its old place, and let its sidecars and preview go along. Raises Failure.

    The caller puts on record where it lies now.
    """
    left = Sentence("It was moved to {place}.", place=found.path)
    library.record(key, Record("failed", old.path), source=source, reason=left)
    carry_along(library, old.path, found.path, key[1])
    log.info("%s was moved to %s and stays there.", old.path, found.path)


def carry_along(library: Library, old: str, new: str, model: str) -> None:
    """Let the sidecars of a model file that was moved, and its preview, go along; `model` is its id in the log."""
    before, after = split_name(old)[0], split_name(new)[0]
    carried = [library.move_sidecar(before + each, after + each, model) for each in SIDECAR_ENDINGS]
    for ending in PREVIEW_ENDINGS if any(carried) else ():
        move_unless_taken(library.at(before + ending), library.at(after + ending))


def model_files(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the model files below a folder with their sizes, as relative paths with `/`.

    Hidden folders and files, what is set aside, symlinks to files and names that are no UTF-8 are left out. Symlinks to
    folders are followed once there is nothing else, each folder once.
    """

    def enters(path: str) -> bool:
        """Return whether model files may have been moved into a folder."""
        return not path.rpartition("/")[2].startswith(".") and path not in _ASIDE and _is_utf8(path)

    for branch, entries in Tree(root, enters).walk():
        for entry in entries:
            if _may_be_ours(entry.name):
                with suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        path = f"{branch.path}/{entry.name}" if branch.path else entry.name
                        yield path, entry.stat().st_size


def _may_be_ours(name: str) -> bool:
    return not name.startswith(".") and form_of(name) not in ("", "text") and _is_utf8(name)


def _is_utf8(name: str) -> bool:
    with suppress(UnicodeEncodeError):
        name.encode()
        return True
    return False


def _rank(path: str, old: str, *, is_past: bool) -> tuple[bool, bool, str]:
    """Return how likely a file is the one that was moved, the likeliest first: it may bear the same name."""
    return is_past, path.rpartition("/")[2] != old.rpartition("/")[2], path


def _at_new_place(record: Record, seen: Weights, path: str, home: str) -> Record:
    """Return the record of a file at the place where it was found."""
    published = record.published or (record.sha256 if record.sha256 != seen.sha256 else "")
    return replace(
        record, status="success", path=path, size=seen.size, sha256=seen.sha256, autov3=seen.autov3,
        published=published, home=home if name_key(home) != name_key(path) else "", until="",
    )  # fmt: skip
