"""Homes: the folders of models and versions, found again by id, whatever they and their creators are called by now."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .answers import File, Model, Version
from .library import Library
from .places import Folder, Wanted, app_facts, file_folder, page_folder, template_parts, version_folder
from .records import Key, Record
from .settings import NAMED_LAYOUTS

_OF_VERSION = ("{version_id}", "{version_name}", "{base_model}", "{year}", "{month}")


class Homes:
    """Finds folders by what the log says, else by one look at the disk in a run. It is used by one thread."""

    def __init__(self) -> None:
        self._models: dict[tuple[Path, Folder], dict[int, Folder]] = {}
        self._names: dict[tuple[Path, Folder], dict[int, str]] = {}

    def of_model(self, library: Library, layout: str, model: Model) -> Folder:
        """Return the folder of a model's pages: the one that bears its id, or a new one.

        Of two with this id the one that the log names last has it, else the one that is called as the model is today.
        """
        new = page_folder(layout, model)
        if layout == "sharded":
            return new
        root = new[:-3]
        for path in _paths(library, _keys_of(model)):
            folder = tuple(path.split("/"))[: len(new)]
            if folder[:-3] == root and id_in(folder[-1]) == model.id and _is_folder(library, folder):
                return folder
        if _is_folder(library, new):
            return new
        place = (library.root, root)
        if place not in self._models:
            self._models[place] = _models_in(library, root)
        return self._models[place].get(model.id, new)

    def of_collection(self, library: Library, new: Folder, collection_id: int) -> Folder:
        """Return the folder of a collection: the one that bears its id, or a new one."""
        for path in _paths(library, [("page", f"collection/{collection_id}")]):
            folder = tuple(path.split("/"))
            if folder[:-1] == new[:-1] and id_in(folder[-1]) == collection_id and _is_folder(library, folder):
                return folder
        return (*new[:-1], self._name_in(library, new[:-1], new[-1], collection_id))

    def of_version(self, library: Library, layout: str, home: Folder, version: Version, model: Model) -> Folder:
        """Return the folder of a version's pictures within that of its model (`home`)."""
        name = version_folder(layout, model, version)[-1]
        if layout == "sharded":
            return (*home, name)
        for path in _paths(library, _keys_of_version(version)):
            folder = tuple(path.split("/"))[: len(home) + 1]
            if folder[:-1] == home and id_in(folder[-1]) == version.id and _is_folder(library, folder):
                return folder
        return (*home, self._name_in(library, home, name, version.id))

    def _name_in(self, library: Library, folder: Folder, name: str, number: int) -> str:
        """Return the name of the folder that bears an id within another, or `name` if it is there or none does."""
        if _is_folder(library, (*folder, name)):
            return name
        place = (library.root, folder)
        if place not in self._names:
            self._names[place] = {id_in(each): each for each in _folders_in(library, folder)}
        return self._names[place].get(number, name)


def id_in(name: str) -> int:
    """Return the id that a folder bears in brackets at the end of its name, or 0."""
    found = re.search(r"(?:^| )\[([0-9]{1,18})\]$", name)
    return int(found[1]) if found else 0


def _is_folder(library: Library, folder: Folder) -> bool:
    return os.path.isdir(library.at("/".join(folder)))


def _keys_of(model: Model) -> Iterator[Key]:
    """Yield the keys of the log whose paths tell a model's folder, the surest first."""
    yield "page", f"model/{model.id}"
    for version in model.versions:
        yield from _keys_of_version(version)


def _keys_of_version(version: Version) -> Iterator[Key]:
    yield from (("model", f"{version.id}/{file.id}") for file in version.files)
    yield from (("image", str(image.id)) for image in version.images)


def _paths(library: Library, keys: Iterable[Key]) -> Iterator[str]:
    """Yield where the log says that things are or will be."""
    for record in filter(None, map(library.recorded, keys)):
        if record.status in ("success", "queued"):
            yield record.path


def _folders_in(library: Library, folder: Folder) -> list[str]:
    """Return the names of the folders in a folder, in order; [] if there is no such folder."""
    with suppress(OSError), os.scandir(library.at("/".join(folder))) as found:
        return sorted(each.name for each in found if each.is_dir())
    return []


def _models_in(library: Library, users: Folder) -> dict[int, Folder]:
    """Return the folders of the models of all users by the ids that they bear; of two the one written to last."""
    found: dict[int, list[Folder]] = {}
    for user in _folders_in(library, users):
        for name in filter(id_in, _folders_in(library, (*users, user, "models"))):
            found.setdefault(id_in(name), []).append((*users, user, "models", name))

    def written(folder: Folder) -> float:
        """Return when a folder's page was written last."""
        with suppress(OSError):
            return library.at("/".join((*folder, "model.json"))).stat().st_mtime
        return 0.0

    return {number: max(folders, key=written) if folders[1:] else folders[0] for number, folders in found.items()}


# --- Model files ----------------------------------------------------------------------------------


def settled(library: Library, layout: str, own: Folder, expected: Iterable[Folder], key: Key) -> str:
    """Return where a model file lies, or will be put by IDM, if it stays there under this layout; else "".

    `own` is the folder of its version, `expected` are folders that the layout gives it. A file in a folder that bears
    the ids of its model and version, in a folder of the app, or where the same template has put it, stays.
    """
    record = library.recorded(key)
    if record is None or not _is_there(library, record):
        return ""
    folder = record.path.rpartition("/")[0]
    stays = tuple(folder.split("/")) in expected or folder in _folders_of_app(layout) or _bears_ids(folder, own)
    return record.path if stays or (record.layout and record.layout == layout) else ""


def note_layout(library: Library, wanted: Wanted) -> None:
    """Put on record which template a file lies under, where an earlier version of the program did not."""
    record = library.recorded(("model", wanted.id))
    if wanted.layout and record is not None and record.path == wanted.path and not record.layout:
        library.record(("model", wanted.id), replace(record, layout=wanted.layout), source=wanted.source)


def _is_there(library: Library, record: Record) -> bool:
    """Return whether something lies where a file was put when it was whole, or the part of one that is under way."""
    if record.status == "queued":
        return True
    was_whole = record.status == "success" or record.size > 0
    return library.size(record.path if was_whole else f"{record.path}.part") is not None


def _folders_of_app(layout: str) -> set[str]:
    if layout not in ("comfyui", "a1111"):
        return set()
    app = app_facts(layout)
    return {*app["files"].values(), *app["types"].values(), app["other"]}


def _bears_ids(folder: str, own: Folder) -> bool:
    """Return whether a folder is one of the same version of the same model as its own."""
    parts, ids = folder.split("/"), [id_in(each) for each in own[-2:]]
    return all(ids) and parts[:-4] == [*own[:-4]] and [id_in(each) for each in parts[-2:]] == ids


def folder_for(library: Library, layout: str, model: Model, version: Version, file: File) -> Folder:
    """Return the folder that a layout gives a new file. One that bears an id is that of the files that are there."""
    new = file_folder(layout, model, version, file)
    if layout in NAMED_LAYOUTS or not ("{model_id}" in layout or "{version_id}" in layout):
        return new
    parts = [part for part, _ in template_parts(layout, model, version)]
    others = sorted(model.versions, key=lambda each: each.id != version.id)
    for other in others:
        fixed = () if other.id == version.id else _OF_VERSION
        bearing = ("{model_id}", "{version_id}")[: 1 if fixed else 2]
        depth = max((at + 1 for at, part in enumerate(parts) if any(each in part for each in bearing)), default=0)
        for names in _folders_by_template(library, layout, other):
            same = zip(parts[:depth], names, new, strict=False)
            if len(names) == len(new) and all(a == b for part, a, b in same if any(each in part for each in fixed)):
                return (*names[:depth], *new[depth:])
    return new


def _folders_by_template(library: Library, layout: str, version: Version) -> Iterator[Folder]:
    """Yield the folders into which a template has put files of a version."""
    for file in version.files:
        record = library.recorded(("model", f"{version.id}/{file.id}"))
        if record is not None and record.layout == layout and _is_there(library, record):
            yield tuple(record.path.split("/")[:-1])
