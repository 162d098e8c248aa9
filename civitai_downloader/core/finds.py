"""Finds: the pictures, models, posts and collections in an output folder, by walking it or by the state log."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..util.files import is_link
from ..util.media import kind_of_media
from ..util.names import file_name, split_name
from .answers import Model, number_at, read_model, whole_number
from .cards import Held, card
from .columns import Row, Things
from .homes import id_in
from .library import Library
from .ours import harmless_file
from .pages import read_prompt
from .sidecars import PREVIEW_ENDINGS
from .tiles import Copy, tile

_PICTURE = re.compile(r"([1-9][0-9]{0,14})(\.\w{1,5})")
POST = re.compile(r"post(-[0-9]+)?\.json")
_HIDDEN_BUT_OURS = ".civitai"
_NAMED_BY_THE_SITE = ("users/", "collections/", f"{_HIDDEN_BUT_OURS}/users/")  # where any name may begin with a dot
_SET_ASIDE = frozenset(("corrupted", f"{_HIDDEN_BUT_OURS}/replaced"))

Place = tuple[str, str, bool]  # folder of a picture (relative, "" the top), its extension, whether its .txt is there


@lru_cache(maxsize=1024)
def encoded(path: str) -> str:
    """Return a relative path percent-encoded, as the address of a page opened from disk has it."""
    return quote(os.fsencode(path), safe="/")


def within(folder: str, name: str) -> str:
    """Return the relative path of a name in a folder; that of the top is ""."""
    return f"{folder}/{name}" if folder else name


# --- Walking ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """What lies in a folder: places of pictures by id, and relative paths of `model.json` and other pages."""

    pictures: dict[int, list[Place]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)


def walk(root: Path) -> Contents:
    """Look through a folder, but not through hidden ones and links to others; what can't be read is left out."""
    found, waiting = Contents(), [""]
    while waiting:
        folder = waiting.pop()
        names, folders = list[str](), list[str]()
        with suppress(OSError), os.scandir(_spelled(root, folder)) as entries:
            for entry in entries:
                (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
        _note(found, folder, names)
        waiting += [path for name in sorted(folders, reverse=True) if _is_entered(root, path := within(folder, name))]
    return found


def _spelled(root: Path, path: str) -> str:
    return f"{root}{os.sep}{path.replace('/', os.sep)}"


def _is_entered(root: Path, path: str) -> bool:
    name = path.rpartition("/")[2]
    is_shown = not name.startswith(".") or path.startswith(_NAMED_BY_THE_SITE) or path == _HIDDEN_BUT_OURS
    return is_shown and path not in _SET_ASIDE and not is_link(Path(_spelled(root, path)))


def _note(found: Contents, folder: str, names: Iterable[str]) -> None:
    known = {*names}
    for name in known:
        if picture := _PICTURE.fullmatch(name):
            if kind_of_media(picture[2]):
                place = (folder, picture[2], f"{picture[1]}.txt" in known)
                found.pictures.setdefault(int(picture[1]), []).append(place)
        elif name == "model.json":
            found.models.append(within(folder, name))
        elif name == "collection.json":
            found.collections.append(within(folder, name))
        elif POST.fullmatch(name):
            found.posts.append(within(folder, name))


# --- Pictures --------------------------------------------------------------------------------------


def recorded_places(library: Library, image_id: int) -> list[Place] | None:
    """Return where a picture lies by the state log and the disk; None if the log knows nothing of it."""
    records = [each for each in library.places(("image", str(image_id))) if each.path]
    return places_of(library, image_id, (each.path for each in records)) if records else None


def places_of(library: Library, image_id: int, paths: Iterable[str]) -> list[Place]:
    """Return those of some paths at which a picture lies."""
    found = list[Place]()
    for path in paths:
        folder, _, name = path.rpartition("/")
        stem, extension = split_name(name)
        if stem == str(image_id) and kind_of_media(extension) and library.size(path) is not None:
            found.append((folder, extension, library.size(within(folder, f"{stem}.txt")) is not None))
    return found


def picture_row(library: Library, image_id: int, places: Iterable[Place], things: Things, thumb: str) -> Row:
    """Return the row of a picture by its files; a `.txt` that can't be read or is about another thing tells nothing."""
    facts: Mapping[str, Any] = {}
    for folder, _, has_text in sorted(places):
        if has_text and not facts:
            told = read_prompt(library.at(within(folder, f"{image_id}.txt")))
            facts = told if number_at(told, "id") == image_id else {}
    copies = [Copy(encoded(folder), extension, has_text) for folder, extension, has_text in places]
    return tile(image_id, copies, facts, things, thumb)


# --- Models and posts ---------------------------------------------------------------------------------

Ids = tuple[int, int]  # of a version and of one of its files


def model_row(library: Library, path: str, local: Mapping[Ids, str], shown: Callable[[int], str]) -> Row | None:
    """Return the row of a model by its `model.json`, or None if that is none.

    `local` has paths of files that were in the folder before the program came; `shown` gives that of a picture or "".
    """
    raw = read_prompt(library.at(path))
    if number_at(raw, "id") <= 0 or not isinstance(raw.get("modelVersions"), list):
        return None
    model, folder = read_model(raw), path.rpartition("/")[0]
    files = dict(_files_here(library, model, folder, local))
    stills = {key: encoded(still) for key, (place, _) in files.items() if (still := _still(library, place))}
    images = {image.id for version in model.versions for image in version.images}
    pictures = {image_id: encoded(place) for image_id in images if (place := shown(image_id))}
    there = {key: (encoded(place), size) for key, (place, size) in files.items()}
    return card(model, Held(encoded(folder), there, stills, pictures))


def _files_here(
    library: Library, model: Model, folder: str, local: Mapping[Ids, str]
) -> Iterator[tuple[Ids, tuple[str, int]]]:
    """Yield the ids, path and size of every file of a model that is here."""
    homes = folders_of_versions(library, folder)
    for version in model.versions:
        for file in version.files:
            key = (version.id, file.id)
            recorded = library.places(("model", f"{version.id}/{file.id}"))
            whole = [
                each.path for each in recorded if each.status == "success" and library.size(each.path) == each.size
            ]
            name = harmless_file(file_name(file.name, f"{version.id}-{file.id}"))
            named = [within(homes[version.id], name)] if version.id in homes and not recorded else []
            for path in filter(None, [*whole[:1], local.get(key, ""), *named]):
                if (size := library.size(path)) is not None:
                    yield key, (path, size)
                    break


def folders_of_versions(library: Library, folder: str) -> dict[int, str]:
    """Return the folders of versions within that of their model, by the ids which they bear."""
    with suppress(OSError), os.scandir(library.at(folder)) as entries:
        names = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
        return {number: within(folder, name) for name in sorted(names) if (number := id_in(name) or whole_number(name))}
    return {}


def _still(library: Library, path: str) -> str:
    stem = split_name(path)[0]
    return next((stem + ending for ending in PREVIEW_ENDINGS if library.size(stem + ending) is not None), "")


def posts_beside(library: Library, path: str) -> list[str]:
    """Return the paths of the posts that lie in the folders of versions beside a `model.json`."""
    found = list[str]()
    for folder in folders_of_versions(library, path.rpartition("/")[0]).values():
        with suppress(OSError):
            names = os.listdir(library.at(folder))
            found += [within(folder, name) for name in names if POST.fullmatch(name)]
    return found
