"""Trees: the folders below a folder, each visited once, wherever links lead. Paths are relative, with `/`."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .files import is_link_itself
from .names import long_path

_LEADS_NOWHERE = (errno.ENOENT, errno.ELOOP)


@dataclass(frozen=True)
class Branch:
    """A folder of a tree. It is `inside` unless it lies behind a link that leads out of the tree's root."""

    path: str
    inside: bool = True


class Tree:
    """What is below the folder `root`.

    `enters` says of the path of a folder whether it is visited. `failed` is told of each folder that can't be read, as
    far as it is still there. Names that are not in the system's encoding keep their bytes (`surrogateescape`).
    """

    def __init__(
        self, root: Path, enters: Callable[[str], bool], failed: Callable[[str, OSError], object] = lambda *_: None
    ) -> None:
        self._root, self._enters, self._failed = os.fspath(long_path(root)), enters, failed
        self._real = os.path.normcase(os.path.join(os.path.realpath(self._root), ""))
        self._visited = set[tuple[int, int] | str]()

    def at(self, path: str) -> str:
        """Return where a path of the tree is on disk."""
        return os.path.join(self._root, path.replace("/", os.sep)) if path else self._root

    def is_inside(self, path: str) -> bool:
        """Return whether a folder is still below the root when all links on the way to it are resolved."""
        return os.path.normcase(os.path.join(os.path.realpath(self.at(path)), "")).startswith(self._real)

    def walk(self, start: str = "") -> Iterator[tuple[Branch, list[os.DirEntry[str]]]]:
        """Yield the folder `start` and those below it, each with its files sorted by name; links count as files too.

        A folder comes before those in it, and one behind a link after all others. `start` is visited in any case.
        """
        folders, links = [Branch(start, self.is_inside(start))], deque[str]()
        while folders or links:
            branch = folders.pop() if folders else Branch(path := links.popleft(), self.is_inside(path))
            if self._is_new(branch.path):
                files, inner, linked = self._sorted(branch, self._entries(branch.path))
                yield branch, files
                folders += reversed(inner)
                links += linked

    def _is_new(self, path: str) -> bool:
        """Return whether a folder has not been visited yet under any of its names."""
        place = self.at(path)
        try:
            found = os.stat(place)
        except OSError as error:
            self._tell(path, error)
            return False
        key = (found.st_dev, found.st_ino) if found.st_ino else os.path.normcase(os.path.realpath(place))
        is_new = key not in self._visited
        self._visited.add(key)
        return is_new

    def _entries(self, path: str) -> list[os.DirEntry[str]]:
        """Return what is in a folder, as far as it can be read."""
        found = list[os.DirEntry[str]]()
        try:
            with os.scandir(self.at(path)) as entries:
                found.extend(entries)
        except OSError as error:
            self._tell(path, error)
        return sorted(found, key=lambda entry: entry.name)

    def _sorted(
        self, branch: Branch, entries: list[os.DirEntry[str]]
    ) -> tuple[list[os.DirEntry[str]], list[Branch], list[str]]:
        """Return the files among the entries of a folder, the folders to visit, and the links to such."""
        files, inner, linked = list[os.DirEntry[str]](), list[Branch](), list[str]()
        for entry in entries:
            path = f"{branch.path}/{entry.name}" if branch.path else entry.name
            try:
                if not entry.is_dir():
                    files.append(entry)
                elif self._enters(path):
                    is_link = is_link_itself(entry.stat(follow_symlinks=False))
                    linked.append(path) if is_link else inner.append(Branch(path, branch.inside))
            except OSError as error:
                if error.errno in _LEADS_NOWHERE:
                    files.append(entry)
                else:
                    self._tell(path, error)
        return files, inner, linked

    def _tell(self, path: str, error: OSError) -> None:
        if error.errno not in _LEADS_NOWHERE:
            self._failed(path, error)
