"""Holds: what this process holds of an output folder: its lock, and what it claims if it is one of several copies."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..util.files import disk_errors, is_link, kind_of, read_regular
from ..util.kept import cache_folder
from ..util.locks import FolderLock, is_held
from ..util.logs import json_line
from ..util.rests import Resting
from .ours import LOCK, not_ours
from .shares import NAME
from .turns import Turn


class Hold:
    """The lock of a folder and, for one of several copies, what it claims: no other copy brings that meanwhile.

    A claim is a file that only one process can make, with the name of its copy. It is free again once that copy has
    given it back, or no longer has its lock. What is given back stays claimed until the log is on the disk, so that
    others can read what became of it.

    Who can't have a thing asks `AGAIN` seconds later. Whether a copy works is looked at anew after `FRESH` seconds.
    What was given back `SETTLED` seconds ago is on record. A claim without a name was cut off as it was made if it is
    as old as `UNFINISHED` says.
    """

    AGAIN, FRESH, SETTLED, UNFINISHED = 0.5, 1.0, 1.0, 60.0

    def __init__(self, turn: Turn, lock: FolderLock) -> None:
        """`lock` is what the `turn` at this folder has given."""
        self._turn, self._lock, self._guard = turn, lock, threading.Lock()
        self._mine: dict[Path, int] = {}  # how many have claimed it in this process
        self._given_back: dict[Path, float] = {}  # when
        self._seen: dict[str, float] = {}  # by copy: when it was last seen to work

    @property
    def is_shared(self) -> bool:
        """Whether other copies may work in the folder."""
        return self._turn.share is not None

    @contextmanager
    def claiming(self, things: Sequence[str]) -> Iterator[None]:
        """Claim things while something is done with them. Raises Resting if another copy has one of them, Failure."""
        claimed: list[Path] = []
        try:
            for thing in things if self.is_shared else ():
                claimed.append(self._claim(thing))
            yield
        finally:
            with self._guard:
                for path in claimed:
                    self._mine[path] -= 1
                    self._given_back[path] = self._turn.clock.now()

    def settled(self) -> list[Path]:
        """Return the claims of what was given back and is on record; `free` takes them once the log is on the disk."""
        with self._guard:
            latest = self._turn.clock.now() - self.SETTLED
            return [path for path, at in self._given_back.items() if at <= latest and not self._mine[path]]

    def free(self, paths: Iterable[Path]) -> None:
        """Let other copies have what was given back, unless it was claimed here again."""
        with self._guard:
            for path in [each for each in paths if not self._mine[each]]:
                with suppress(OSError):  # on Windows somebody may be reading it; it stays for the next time
                    path.unlink(missing_ok=True)
                    del self._mine[path], self._given_back[path]

    def release(self) -> None:
        """Give back everything, and the folder."""
        self.free([*self._given_back])
        self._lock.release()

    # --- One claim ---

    def _claim(self, thing: str) -> Path:
        """Claim a thing and return its file. Raises Resting if another copy has it, Failure."""
        path = claims_folder(self._turn.root) / hashlib.sha256(thing.encode("utf-8", "replace")).hexdigest()[:32]
        with self._guard, disk_errors(path):
            if path in self._mine or self._make(path) or (self._is_free(path) and self._take_over(path)):
                self._mine[path] = self._mine.get(path, 0) + 1
                return path
        raise Resting(self._turn.clock.now() + self.AGAIN)

    def _make(self, path: Path) -> bool:
        """Make the file of a claim; return False if it is there already."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(json.dumps({"copy": self._name}) + "\n")
        except FileExistsError:
            return False
        return True

    @property
    def _name(self) -> str:
        return self._turn.share.name if self._turn.share is not None else ""

    def _is_free(self, path: Path) -> bool:
        """Return whether nobody who works has a claim: its copy has lost its lock, or it was cut off as it was made.

        One of this copy that this process has not made is left from an earlier process.
        """
        try:
            holder = str((json_line(read_regular(path)) or {}).get("copy", ""))
            if not re.fullmatch(NAME, holder):
                return time.time() - path.stat().st_mtime > self.UNFINISHED
        except FileNotFoundError:
            return True
        return holder == self._name or not self._works(holder)

    def _works(self, copy: str) -> bool:
        """Return whether a copy has its lock now, or had it a moment ago."""
        now = self._turn.clock.now()
        if copy not in self._seen or now - self._seen[copy] >= self.FRESH:
            self._seen.pop(copy, None)
            if is_held(self._turn.root / f"{LOCK.removesuffix('lock')}{copy}.lock"):
                self._seen[copy] = now
        return copy in self._seen

    def _take_over(self, path: Path) -> bool:
        """Claim what a copy has left that is no more. It is removed while no other copy can do so."""
        with self._turn.moment():
            is_free = self._is_free(path)
            if is_free:
                path.unlink(missing_ok=True)
        return is_free and self._make(path)


def claims_folder(root: Path) -> Path:
    """Return the folder of the claims below an output folder. Raises Failure if something stands in its way."""
    lists = cache_folder(root)
    folder = lists.parent / "claims" if lists is not None else root / ".cache"
    if lists is None or is_link(folder) or kind_of(folder) not in ("", "folder"):
        raise not_ours(folder)
    return folder
