"""Arrivals: what Internet Download Manager has brought, and where wrong bytes are put aside."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Literal

from ..util.clock import Clock
from ..util.errors import Failure
from ..util.files import disk_errors, move_unless_taken, replace_file, size_of
from ..util.hashes import hashes_of
from ..util.idm import delivered, seconds_quiet
from ..util.names import file_name
from .choice import is_called_safetensors
from .library import Library
from .places import Wanted
from .proof import check_json, has_right_form
from .records import Key, Record


def place_aside(library: Library, name: str) -> Path:
    """Return a path in `corrupted/`, whose folder is there."""
    path = library.place(("corrupted",), name)
    library.check_links(path)
    target = library.at(path)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    return target


def place_of_wrong(library: Library, wanted: Wanted) -> str:
    """Return where in `corrupted/` the bytes lie that the site sent for a thing and that are wrong."""
    name = file_name(wanted.path, "file", f" [{wanted.id.replace('/', '-')}]")
    return library.place(("corrupted",), name)


def put_wrong_aside(library: Library, wanted: Wanted) -> None:
    """Move a file that was found wrong to `corrupted/`, now that another takes its place. Raises Failure."""
    wrong = library.wrong(wanted)
    if wrong is None or library.size(wrong.path) is None:
        return
    path = library.at(wrong.path)
    if wanted.kind == "image":
        _drop_links(path)
    put_aside(library, wrong.path, f" [{wanted.id.replace('/', '-')}] damaged")


def make_room(library: Library, wanted: Wanted, place: str) -> None:
    """Make room where IDM will write. Raises Failure.

    What was found wrong, and what was whole and will not come again like that, is set aside.
    """
    put_wrong_aside(library, wanted)
    own, path = library.own_at(wanted), library.at(place)
    if own is not None and own.status == "success" and own.sha256 != wanted.sha256 and library.size(place) is not None:
        put_aside(library, place, f" [{wanted.id.replace('/', '-')}]")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)


def _drop_links(picture: Path) -> None:
    """Remove the previews that are the same file as a wrong picture; sidecars are written anew behind it."""
    with disk_errors(picture):
        for preview in picture.parent.parent.glob("*.preview.*") if picture.stat().st_nlink > 1 else ():
            if preview.samefile(picture):
                preview.unlink()


def put_broken_aside(library: Library, key: Key, place: str, path: str) -> None:
    """Move a JSON file to `corrupted/` if --verify found it wrong and it still is. `place` is that in the log."""
    if library.is_failed(key, place) and library.size(path) is not None:
        try:
            check_json(library.at(path), key[1].rpartition("/")[2])
        except Failure:
            put_aside(library, path)


def put_aside(library: Library, path: str, tail: str = "") -> str:
    """Move a file to `corrupted/`, under a name with this tail that no file there has. Raises Failure."""
    name = path.rpartition("/")[2]
    names = (file_name(name, "file", tail + (f"-{number}" if number else "")) for number in count())
    target = next(place for place in (place_aside(library, each) for each in names) if not os.path.lexists(place))
    move_unless_taken(library.at(path), target)
    return f"corrupted/{target.name}"


def receive_queued(library: Library, key: Key, record: Record, clock: Clock, told: str = "") -> Record | None:
    """Return the record of a queued file that has come, or None while it has not. Raises Failure if it is wrong.

    It has come when its size is reached and nobody has written to it for some seconds; a file that IDM called
    `name_2.ext` gets its right name. `told` is what the site says of a model file's form.
    """
    target = library.at(record.path)
    path = delivered(target, record.size)
    if path is None:
        return None
    size, quiet = size_of(path) or 0, seconds_quiet(path)
    state = arrival(size, record.size, quiet)
    if state == "arriving":
        return None
    with disk_errors(path):
        weights = is_called_safetensors(target.name, told)
        digest, autov3 = hashes_of(path, clock, weights=weights)
        if path != target:
            replace_file(path, target)
    right = digest == record.sha256 if record.sha256 else has_right_form(target, told)
    if state == "wrong" or not right:
        aside = place_aside(library, target.name)
        with disk_errors(aside):
            replace_file(target, aside)
        reason = "size" if state == "wrong" else "hash" if record.sha256 else "broken"
        words = "The file from IDM is wrong ({size} of {expected} bytes) and was moved to corrupted/; run again."
        raise Failure(reason, words, size=size, expected=record.size or "?")
    prompt = library.prompt_beside(key, record.path)
    return Record("success", record.path, size, digest, autov3=autov3, prompt=prompt, layout=record.layout)


def arrival(size: int, expected: int, quiet: float) -> Literal["arriving", "arrived", "wrong"]:
    """Return whether a file that another program writes has come; `quiet` is the seconds since its last change."""
    if not expected:
        return "arrived" if quiet >= 30 else "arriving"
    if size < expected:
        return "arriving" if quiet < 600 else "wrong"
    if size - expected >= 1024:
        return "wrong"
    return "arrived" if quiet >= 5 else "arriving"
