"""Arrivals: what Internet Download Manager has brought, and where wrong bytes are put aside."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..util.clock import Clock
from ..util.errors import Failure
from ..util.files import disk_errors, replace_file, sha256_of, size_of
from ..util.idm import delivered, seconds_quiet
from .library import Library
from .proof import has_right_form
from .records import Key, Record


def place_aside(library: Library, name: str) -> Path:
    """Return a path in `corrupted/`, whose folder is there."""
    path = library.place(("corrupted",), name)
    library.check_links(path)
    target = library.at(path)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    return target


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
        digest = sha256_of(path, clock) if key[0] == "model" else ""
        if path != target:
            replace_file(path, target)
    right = digest == record.sha256 if record.sha256 else has_right_form(target, told)
    if state == "wrong" or not right:
        aside = place_aside(library, target.name)
        with disk_errors(aside):
            replace_file(target, aside)
        reason = "size" if state == "wrong" else "hash" if record.sha256 else "broken"
        raise Failure(reason, f"What IDM delivered is wrong ({size} of {record.size} bytes); it lies in corrupted/.")
    return Record("success", record.path, size, digest, layout=record.layout)


def arrival(size: int, expected: int, quiet: float) -> Literal["arriving", "arrived", "wrong"]:
    """Return whether a file that another program writes has come; `quiet` is the seconds since its last change."""
    if not expected:
        return "arrived" if quiet >= 30 else "arriving"
    if size < expected:
        return "arriving" if quiet < 600 else "wrong"
    if size - expected >= 1024:
        return "wrong"
    return "arrived" if quiet >= 5 else "arriving"
