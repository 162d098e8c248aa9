"""Libraries: the output folders of a run, each opened once, and locked if the run writes to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from ..util.clock import Clock
from ..util.names import real_path
from .holds import Hold
from .library import Library
from .ours import check_names
from .shares import Share
from .turns import Turn


class Libraries:
    """The output folders of a run, each opened once."""

    def __init__(
        self,
        clock: Clock,
        *,
        wait: Callable[[str], object] | None,
        read_only: bool,
        sealed: Collection[Path] = (),
        share: Share | None = None,
    ) -> None:
        """`wait` is told about another run while this one waits for it; with None it does not wait.

        Nothing is written to the `sealed` folders, which can't be written. `share` says which of several copies of a
        run this is.
        """
        self._clock, self._wait, self._read_only, self._share = clock, wait, read_only, share
        self._sealed = {real_path(folder) for folder in sealed}
        self._found: dict[Path, Library] = {}

    def open(self, root: Path) -> Library:
        """Return the library of an output folder. Raises UsageError when another run writes to it."""
        place = real_path(root)
        if place not in self._found:
            self._found[place] = self._known(root) or self._open(root, place)
        return self._found[place]

    def _known(self, root: Path) -> Library | None:
        """Return the library of the same folder by another way, as a mount: this process has only one lock on it."""
        return next((each for each in self if _is_same(each.root, root)), None)

    def _open(self, root: Path, place: Path) -> Library:
        check_names(root)
        if self._read_only or place in self._sealed:
            return Library(root, share=self._share)
        return self._begin(root)

    def _begin(self, root: Path) -> Library:
        """Return the library of a folder that is locked and has its id."""
        turn = Turn(root, self._share, self._clock)
        lock = turn.take(self._wait)
        try:
            library = Library(root, Hold(turn, lock), self._share)
            if self._share is None or library.library_id:
                library.begin()
            else:
                with turn.moment():
                    library.refresh()
                    library.begin()
        except BaseException:
            lock.release()
            raise
        return library

    def __iter__(self) -> Iterator[Library]:
        return iter(dict.fromkeys(self._found.values()))

    def __len__(self) -> int:
        return len({*self._found.values()})

    @property
    def writable(self) -> list[Library]:
        """Those that this run writes to."""
        return [library for library in self if library.is_writable]

    @property
    def lost(self) -> list[Library]:
        """Those whose folder is gone or takes nothing more."""
        return [library for library in self if library.disk.trouble is not None]


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return os.path.samefile(one, other)
    return False
