"""The chronicle: what is kept of a model, post or collection is read, united with what the site says, and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

from ..util.clock import utc_now
from ..util.errors import Failure
from ..util.files import disk_errors, on_one_line, read_regular, write_file, write_json
from ..util.text import scrub_json, utf8
from .answers import Model, Version, number_at, objects_at, read_model
from .archive import add_version, has_other_words, marked_gone, unite, unite_page
from .library import Library
from .ours import check_own
from .places import Folder

_DEEPEST = 100  # levels of objects and lists; no answer of the site comes near


@dataclass(frozen=True)
class Memory:
    """What is known of a model: its place, the bytes there (None: no file), what they say, and what is known today.

    `before` is {} if there is nothing or if it can't be read; `model` has what is gone, too.
    """

    path: str
    there: bytes | None
    before: Mapping[str, Any]
    model: Model

    def light(self, *, keep_before: bool) -> Memory:
        """Return it without what was read from disk, once that is not needed any more: thousands may wait in memory."""
        return replace(self, there=None, before=self.before if keep_before else {})

    def version(self, version: Version) -> Version:
        """Return a version with all that is known of it."""
        return next((each for each in self.model.versions if each.id == version.id), version)

    def earlier(self, version: Version) -> tuple[Model, Version]:
        """Return model and version as they were known before this run, or as they are if they were not."""
        found = (each for each in self.earlier_model.versions if each.id == version.id)
        return next(((self.earlier_model, each) for each in found), (self.model, version))

    @cached_property
    def earlier_model(self) -> Model:
        """The model as it was known before this run."""
        return read_model(self.before) if self.before else self.model


def recall(library: Library, folder: Folder, model: Model) -> Memory:
    """Return what is known of a model by its `model.json` and by the site; nothing is written. Raises Failure."""
    path = library.place(folder, "model.json")
    library.check_links(path)
    there = _read(library, path)
    before = _understood(there or b"", model.id)
    answer = _plain(model.raw)
    united = unite(before, answer, utc_now()[:10])
    named = {number_at(each, "id") for each in objects_at(answer, "modelVersions")}
    for version in model.versions:
        if version.id not in named:
            united = add_version(united, _plain(version.raw))
    return Memory(path, there, before, read_model(united))


def described(library: Library) -> dict[int, tuple[Model, Version]]:
    """Return the models that the pages of a library describe, by the ids of their versions. Never raises.

    Thousands of pages may be read for that.
    """
    models = (read_model(page) for _, page in pages_of(library))
    return {each.id: (model, each) for model in models for each in model.versions}


def pages_of(library: Library) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the folders of the pages of a library, each with its `model.json`. Never raises."""
    for (_, name), records in library.records("page"):
        model_id = number_at({"id": name.partition("model/")[2]}, "id")
        for folder in [record.path for record in records if model_id and record.status == "success"]:
            with suppress(Failure):
                there = _read(library, library.place(folder.split("/"), "model.json"))
                if page := _understood(there or b"", model_id):
                    yield folder, page


def recall_gone(library: Library, folder: Folder, model_id: int) -> Memory | None:
    """Return what is known of a model that the site no longer has, so marked; None if its page can't be read.

    Raises Failure.
    """
    path = library.place(folder, "model.json")
    library.check_links(path)
    there = _read(library, path)
    before = _understood(there or b"", model_id)
    return Memory(path, there, before, read_model(marked_gone(before, utc_now()[:10]))) if before else None


def write_down(library: Library, memory: Memory) -> None:
    """Write `model.json`; an earlier one with other words, or one that can't be read, goes to `history/` first.

    Raises Failure for one that somebody else wrote.
    """
    if memory.there is not None and not memory.before:
        _set_aside_ours(library, memory.path, memory.there, f"model/{memory.model.id}")
    elif memory.there is not None and has_other_words(memory.before, memory.model.raw):
        _set_aside(library, memory.path, memory.there)
    write_json(library.at(memory.path), memory.model.raw, library.disk)


def write_page(
    library: Library, path: str, line: str, facts: Mapping[str, Any], pictures: str, *, seen: tuple[bool, bool]
) -> None:
    """Write the page of a post or collection, united with what it said before; `line` is the id of its line in the log.

    `pictures` is the key of its pictures' ids. `seen` says whether the site has told everything about the thing itself,
    and all of its pictures: only then what is missing is gone.
    """
    library.check_links(path)
    there = _read(library, path)
    before = _understood(there or b"", number_at(facts, "id"))
    if there is not None and not before:
        _set_aside_ours(library, path, there, line)
    today = utc_now()[:10]
    days = (today if seen[0] else "", today if seen[1] else "")
    write_json(library.at(path), unite_page(before, _plain(facts), pictures, days), library.disk)


def _read(library: Library, path: str) -> bytes | None:
    """Return the bytes of a file, or None if there is none. A symlink counts as none, wherever it leads."""
    place = library.at(path)
    with disk_errors(place), suppress(FileNotFoundError):
        return None if place.is_symlink() else read_regular(place)
    return None


def _understood(data: bytes, thing_id: int) -> dict[str, Any]:
    """Return the JSON object about a thing, or {} if the bytes hold none: torn, edited, or of something else."""
    with suppress(ValueError, RecursionError):
        value = json.loads(data)
        is_right = isinstance(value, dict) and number_at(value, "id") == thing_id
        return value if is_right and not _is_deep(value) else {}
    return {}


def _plain(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer without secrets, as it will be read from disk again. Raises Failure for one that can't be."""
    if _is_deep(answer):
        raise Failure("answer", "The site sent data that is nested too deeply to be stored; try again later.")
    plain: dict[str, Any] = scrub_json(answer)
    data = utf8(text := on_one_line(plain))
    return plain if data.decode() == text else json.loads(data)  # lone surrogates become question marks


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        if not level:
            return False
        inner = (outer.values() if isinstance(outer, dict) else outer for outer in level)
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
    return True


def _set_aside_ours(library: Library, path: str, data: bytes, line: str) -> None:
    """Keep a page of ours that can't be read in `history/`. Raises Failure for a file that the log does not know."""
    if library.recorded(("page", line)) is None:
        check_own(library.at(path), lambda _: False)
    _set_aside(library, path, data)


def _set_aside(library: Library, path: str, data: bytes) -> None:
    """Keep the bytes of a page in `history/` beside it, once, under the day's date."""
    for place in _history(path):
        library.check_links(place)
        there = _read(library, place)
        if there is None:
            write_file(library.at(place), data, library.disk)
        if there in (None, data):
            return


def _history(path: str) -> Iterator[str]:
    """Yield the names that an earlier page may have: `model.2026-11-26.json`, `model.2026-11-26-2.json`, …"""
    folder, _, name = path.rpartition("/")
    start = f"{folder}/history/{name.removesuffix('.json')}.{utc_now()[:10]}"
    yield f"{start}.json"
    yield from (f"{start}-{number}.json" for number in count(2))
