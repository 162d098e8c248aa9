"""Libraries: the output folders of a run, each opened once, and locked if the run writes to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from ..util.clock import Clock
from ..util.logs import FolderLock
from ..util.names import long_path, real_path
from .library import Library
from .ours import check_names


class Libraries:
    """The output folders of a run, each opened once."""

    def __init__(
        self, clock: Clock, *, wait: Callable[[str], object] | None, read_only: bool, sealed: Collection[Path] = ()
    ) -> None:
        """`wait` is told about another run while this one waits for it; with None it does not wait.

        Nothing is written to the `sealed` folders, which can't be written.
        """
        self._clock, self._wait, self._read_only = clock, wait, read_only
        self._sealed = {real_path(folder) for folder in sealed}
        self._found: dict[Path, Library] = {}

    def open(self, root: Path) -> Library:
        """Return the library of an output folder. Raises UsageError when another run writes to it."""
        place = real_path(root)
        if place not in self._found:
            check_names(root)
            is_read_only = self._read_only or place in self._sealed
            self._found[place] = Library(root) if is_read_only else self._begin(root)
        return self._found[place]

    def _begin(self, root: Path) -> Library:
        """Return the library of a folder that is locked and has its id."""
        lock = FolderLock(long_path(root) / "download_state.lock")
        lock.acquire(self._clock, self._wait)
        try:
            library = Library(root, lock)
            library.begin()
        except BaseException:
            lock.release()
            raise
        return library

    def __iter__(self) -> Iterator[Library]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    @property
    def writable(self) -> list[Library]:
        """Those that this run writes to."""
        return [library for library in self if library.is_writable]

    @property
    def lost(self) -> list[Library]:
        """Those whose folder is gone or takes nothing more."""
        return [library for library in self if library.disk.trouble is not None]
