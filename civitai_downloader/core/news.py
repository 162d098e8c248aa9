"""News: what the page has to show anew, by what was added to the state log and by what this run has written again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from .answers import number_at, text_at
from .finds import POST, within
from .library import Library
from .ours import logs_in
from .records import leads_out
from .stock import State, lines_since
from .thumbs import PAGE_FOLDER

_PICTURE_ID = re.compile(r"[1-9][0-9]{0,14}")
_TEXT = re.compile(r"([1-9][0-9]{0,14})\.txt")
_UP = 3  # levels from a picture in `images` up to the folder of its model


@dataclass(frozen=True)
class News:
    """What may have changed: pictures by id, and relative paths of `model.json` and other pages.

    Of each picture it has the paths that new lines of the log name.
    """

    pictures: dict[int, set[str]] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    posts: set[str] = field(default_factory=set)
    collections: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self.pictures or self.models or self.posts or self.collections)


def read_news(library: Library, state: State) -> News | None:
    """Return what may have changed since a state was saved; None if the log can't tell, as after it was rewritten."""
    lines = lines_since(logs_in(library.root), state.log)
    if lines is None:
        return None
    news = News()
    _read_lines(library, state, lines, news)
    for path in library.disk.changed:
        with suppress(ValueError):
            _note_written(news, PurePath(path).relative_to(library.root).as_posix())
    return news


def _note_written(news: News, path: str) -> None:
    """Note a file that was written over, or a small form that was fetched (its path has no extension)."""
    name = path.rpartition("/")[2]
    if path.startswith(f"{PAGE_FOLDER}/thumbs/") and _PICTURE_ID.fullmatch(name):
        news.pictures.setdefault(int(name), set())
    elif found := _TEXT.fullmatch(name):
        news.pictures.setdefault(int(found[1]), set())
    elif name == "model.json":
        news.models.add(path)
    elif name == "collection.json":
        news.collections.add(path)
    elif POST.fullmatch(name):
        news.posts.add(path)


def _read_lines(library: Library, state: State, lines: Iterable[Mapping[str, Any]], news: News) -> None:
    of_version = {version: path for path, _, _, versions in state.models.values() for version in versions}
    folders = set[str]()
    for line in lines:
        kind, name, path = text_at(line, "type"), text_at(line, "id"), text_at(line, "path")
        if leads_out(path):
            continue
        if kind == "page":
            _read_page(library, state, name, path, news)
        elif kind in ("image", "meta") and _PICTURE_ID.fullmatch(name):
            news.pictures.setdefault(int(name), set()).update([path] if kind == "image" else [])
            folders.update(_above(path))
        elif kind in ("model", "local") and (text_at(line, "status") != "failed" or number_at(line, "size")):
            version = int(name.partition("/")[0]) if kind == "model" and _is_pair(name) else number_at(line, "version")
            news.models.update(filter(None, [of_version.get(version, "")]))
            folders.update(_above(path))
    pages = (within(folder, "model.json") for folder in folders)
    news.models.update(page for page in pages if library.size(page) is not None)


def _is_pair(name: str) -> bool:
    return re.fullmatch(r"[0-9]{1,15}/[0-9]{1,15}", name) is not None


def _above(path: str) -> list[str]:
    """Return the folder of a file and those above it in which the pages of its model may be."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: len(parts) - up]) for up in range(min(_UP, len(parts)))]


def _read_page(library: Library, state: State, name: str, folder: str, news: News) -> None:
    kind, _, number = name.partition("/")
    if kind == "model" and number.isdecimal():
        path = within(folder, "model.json")
        told = state.models.get(int(number))
        if told is None or told[:3] != (path, *stamp(library, path)):
            news.models.add(path)
    elif kind == "post":
        news.posts.add(within(folder, "post.json"))
    elif kind == "collection":
        news.collections.add(within(folder, "collection.json"))


def stamp(library: Library, path: str) -> tuple[int, int]:
    """Return when a file was written (nanoseconds) and its size, zeros if there is none."""
    with suppress(OSError):
        found = library.at(path).stat()
        return found.st_mtime_ns, found.st_size
    return 0, 0
