"""Holds: what this process holds of an output folder: its lock, and what it claims if it is one of several copies."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..util.clock import Clock
from ..util.errors import UsageError
from ..util.files import disk_errors, read_regular
from ..util.kept import cache_folder
from ..util.locks import FolderLock, is_held
from ..util.logs import json_line
from ..util.rests import Resting
from .shares import Share

LOCK = "download_state.lock"
_NAME = re.compile(r"[0-9]{1,6}-of-[0-9]{1,6}")


class Hold:
    """The lock of a folder and, for one of several copies, what it claims: no other copy brings that meanwhile.

    A claim is a file that only one process can make, with the name of its copy. It is free again once that copy has
    given it back, or no longer has its lock. What is given back stays claimed until the log is on the disk, so that
    others can read what became of it.
    """

    AGAIN, FRESH, UNFINISHED = 0.5, 1.0, 60.0

    def __init__(self, root: Path, lock: FolderLock, share: Share | None, clock: Clock) -> None:
        """`root` is the output folder as the disk is asked for it."""
        self._root, self._lock, self._share, self._clock = root, lock, share, clock
        self._guard = threading.Lock()
        self._mine: dict[Path, int] = {}  # how many have claimed it in this process
        self._given_back: set[Path] = set()
        self._seen: dict[str, tuple[float, bool]] = {}  # by copy: when it was looked at, and whether it works

    @property
    def is_shared(self) -> bool:
        """Whether other copies may work in the folder."""
        return self._share is not None

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
                    self._given_back |= set() if self._mine[path] else {path}

    def settle(self) -> set[Path]:
        """Return what was given back; once the log is on the disk, it is to be passed to `free`."""
        with self._guard:
            return {path for path in self._given_back if not self._mine[path]}

    def free(self, paths: set[Path]) -> None:
        """Let other copies have what was given back, unless it was claimed here again."""
        with self._guard:
            for path in (each for each in paths if not self._mine[each]):
                with suppress(OSError):  # on Windows somebody may be reading it; it stays for the next time
                    path.unlink(missing_ok=True)
                    del self._mine[path]
                    self._given_back.discard(path)

    def release(self) -> None:
        """Give back everything, and the folder."""
        self.free(self.settle())
        self._lock.release()

    # --- One claim ---

    def _claim(self, thing: str) -> Path:
        """Claim a thing and return its file. Raises Resting if another copy has it, Failure."""
        folder = cache_folder(self._root)
        if folder is None:
            raise UsageError("{path} is no folder of this program; move it away.", path=self._root / ".cache")
        path = folder.parent / "claims" / hashlib.sha256(thing.encode("utf-8", "replace")).hexdigest()[:32]
        with self._guard, disk_errors(path):
            if path in self._mine or self._make(path) or (self._is_free(path) and self._take_over(path)):
                self._mine[path] = self._mine.get(path, 0) + 1
                return path
        raise Resting(self._clock.now() + self.AGAIN)

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
        return self._share.name if self._share is not None else ""

    def _is_free(self, path: Path) -> bool:
        """Return whether nobody who works has a claim: its copy has lost its lock, or it was cut off as it was made."""
        try:
            data = read_regular(path)
        except FileNotFoundError:
            return True
        holder = str((json_line(data) or {}).get("copy", ""))
        if not _NAME.fullmatch(holder):
            return time.time() - path.stat().st_mtime > self.UNFINISHED
        return holder == self._name or not self._works(holder)

    def _works(self, copy: str) -> bool:
        """Return whether a copy has its lock, as seen a second ago at most."""
        now = self._clock.now()
        seen, works = self._seen.get(copy, (-self.FRESH, False))
        if now - seen >= self.FRESH or not works:
            works = is_held(self._root / f"download_state.{copy}.lock")
            self._seen[copy] = now, works
        return works

    def _take_over(self, path: Path) -> bool:
        """Claim what a copy has left that is no more. Only who has the folder's lock does that, so that one does."""
        lock = FolderLock(self._root / LOCK)
        try:
            lock.acquire(self._clock)
        except UsageError:
            return False
        try:
            if self._is_free(path):
                path.unlink(missing_ok=True)
                return self._make(path)
            return False
        finally:
            lock.release()
