"""Looks: what is in a folder that is an INPUT, what is known of it, and what is still to be read or asked."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..util.hashes import Hashed
from ..util.text import printable as shown
from .answers import Model, Version
from .choice import is_called_safetensors
from .chronicle import described
from .folders import Seen, Survey
from .found import Found, mark_of, moved_to, name_of
from .hints import Hint, hints_beside
from .ledger import Batch
from .library import Library
from .moved import carry_along
from .settings import Settings

log = logging.getLogger(__name__)


class Look:
    """One look through a folder. `files` is what is known by now of each file in it, `fresh` what is to be asked next.

    `claims` has the SHA256 by which a sidecar has named a file. Hashers and the metadata pool share it under `lock`.
    """

    def __init__(self, batch: Batch, survey: Survey, now: float) -> None:
        """`now` is the time of the run's clock."""
        self._asked = now
        self.batch, self.survey, self.lock = batch, survey, threading.Lock()
        self.seen = {each.path: each for each in survey.files}
        self.files: dict[str, Found] = {}
        self.claims: dict[str, str] = {}
        self.fresh: list[str] = []
        self.unnamed: list[tuple[Found, Found | None]] = []
        self._folders: dict[str, frozenset[str]] = {}

    @property
    def library(self) -> Library:
        """The library that the folder belongs to."""
        return self.batch.library

    @property
    def source(self) -> str:
        """The line or word that named the folder."""
        return self.batch.entry.source

    def keep(self, found: Found) -> None:
        """Put on record what is known of a file now."""
        with self.lock:
            self.files[found.path] = found
        self.library.note_found(found, self.source)

    def hints(self, path: str) -> list[Hint]:
        """Return what the sidecars of a file say about it."""
        seen, folder = self.seen[path], path.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = frozenset(os.listdir(self.library.at(folder)))
        return hints_beside(self.library.at(path), seen.size, seen.mtime, self._folders[folder])

    def known(self, path: str) -> Found:
        """Return what is known of a file, which is at least its size and time."""
        return self.files.get(path) or Found(path, self.seen[path].size, self.seen[path].mtime)

    def add_fresh(self, paths: Iterable[str], now: float, every: float) -> bool:
        """Have files asked for next; return whether it is time to ask, `every` so many seconds."""
        with self.lock:
            self.fresh += paths
            is_time = now - self._asked >= every
            self._asked = now if is_time else self._asked
        return is_time

    def take_fresh(self) -> list[Found]:
        """Return what is to be asked, and forget that it is."""
        with self.lock:
            paths, self.fresh = self.fresh, []
            return [self.files[path] for path in paths]

    # --- What the log knows ---

    def recall(self, hands: Collection[str]) -> list[Seen]:
        """Take over what the log knows of the files, and return those of which it knows nothing, or not these bytes.

        A file that somebody has moved or renamed since keeps what is known. The files in `hands` (see `disk_key`) are
        left to the lines that say what they are.
        """
        seen = [each for each in self.survey.files if disk_key(self.library.folder, each.path) not in hands]
        new = [each for each in seen if not self._is_known(each)]
        for before, after in self._moved(new) if new else ():
            self._follow(before, after)
        return [each for each in new if each.path not in self.files]

    def _is_known(self, seen: Seen) -> bool:
        found = self.library.found(seen.path) or self._fetched(seen)
        if found is None or found.status == "moved" or not found.fits(seen):
            return False
        self.files[seen.path] = found
        return True

    def _fetched(self, seen: Seen) -> Found | None:
        """Return what is known of a file that this program has fetched to its place, and put that on record."""
        fetched = self.library.fetched_at(seen.path)
        if fetched is None or fetched[1].size != seen.size:
            return None
        (_, name), record = fetched
        version, file = map(int, name.split("/"))
        known = self._described.get(version)
        plain = next((each.model for each in self.hints(seen.path) if each.version == version), 0)
        model, called = (known[0].id, name_of(*known)) if known else (plain, seen.path.rpartition("/")[2])
        found = Found(
            seen.path, seen.size, seen.mtime, "success", "sha256", sha256=record.sha256,
            model=model, version=version, file=file, name=called, done=self._brought_with(known),
        )  # fmt: skip
        self.keep(found)
        return found

    def _brought_with(self, known: tuple[Model, Version] | None) -> str:
        """Return the mark of a file that came by a link, with its pictures unless the log knows of none of them."""
        images = known[1].images if known else ()
        has_pictures = not images or any(self.library.succeeded(("image", str(each.id))) for each in images)
        return mark_of(Settings(max_images=0)) if has_pictures else ""

    @cached_property
    def _described(self) -> dict[int, tuple[Model, Version]]:
        return described(self.library)

    def _moved(self, new: Iterable[Seen]) -> Iterator[tuple[Found, Found]]:
        """Yield the files that have left their places, and the same at their new places."""
        known = (each for each in self.library.all_found() if each.status != "moved" and each.path not in self.seen)
        return moved_to([each for each in known if self.library.size(each.path) is None], new)

    def _follow(self, before: Found, after: Found) -> None:
        """Put on record that a file has a new place, and let its sidecars and preview go along, unless they have."""
        self.keep(replace(before, status="moved"))
        del self.files[before.path]
        self.keep(after)
        if self.library.is_writable:
            carry_along(self.library, before.path, after.path, f"{after.version}/{after.file}")
        log.info("%s was moved to %s and keeps its name.", shown(before.path), shown(after.path))

    # --- What is still to be read ---

    def jobs(self, new: Iterable[Seen]) -> list[list[str]]:
        """Return the names of each file that is to be hashed: those without a SHA256, the smallest first."""
        unhashed = [path for path, found in self.files.items() if lacks_hash(found)]
        return self.by_inode([*(seen.path for seen in new), *unhashed])

    def by_inode(self, paths: Iterable[str]) -> list[list[str]]:
        """Return the names of each of these files, the smallest file first."""
        names: dict[tuple[int, int], list[str]] = {}
        for seen in sorted((self.seen[path] for path in paths), key=lambda each: (each.size, each.path)):
            names.setdefault(seen.inode, []).append(seen.path)
        return list(names.values())

    def hashed(self, path: str, hashed: Hashed) -> Found:
        """Return what is known of a file once its bytes have been read.

        What the log knows of the same bytes stays, as does what somebody has said by hand; a name from a sidecar stays
        if that told the right SHA256.
        """
        now: dict[str, Any] = {"size": hashed.size, "mtime": hashed.mtime, "sha256": hashed.sha256, "reason": ""}
        before = self.files.get(path) or self.library.found(path)
        if before is None or before.status == "moved":
            return Found(path, **now)
        if before.how == "hand" or before.sha256 == hashed.sha256:
            return replace(before, **now)
        return replace(before, how="sha256", **now) if self.claims.get(path) == hashed.sha256 else Found(path, **now)

    def is_settled(self, found: Found) -> bool:
        """Return whether nothing is to be asked about what a file is."""
        is_asked_anew = (
            self.batch.entry.settings.refresh and found.how != "hand" and found.status in ("unknown", "gone")
        )
        return found.is_settled(time.time()) and not is_asked_anew


def disk_key(folder: Path, path: str) -> str:
    """Return what all spellings of the whole path of a file have in common."""
    return os.path.normcase(os.path.abspath(os.path.join(folder, path)))


def lacks_hash(found: Found) -> bool:
    """Return whether only a sidecar has told the SHA256 of a file."""
    return found.how == "sidecar" and not found.sha256


def wants_weights(found: Found) -> bool:
    """Return whether the AutoV3 of a file may tell more."""
    return not found.autov3 and is_called_safetensors(found.path)
