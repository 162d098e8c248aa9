"""Owned: what is written below the top of an output folder, where nobody else's words are written over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..util.files import read_regular, size_of, write_file, write_json
from ..util.logs import json_line
from ..util.text import scrub_json, utf8
from .answers import number_at
from .library import Library
from .ours import check_own
from .pages import hand_of, sign

log = logging.getLogger(__name__)


def is_about(thing_id: int) -> Callable[[bytes], bool]:
    """Return whether bytes are a JSON object with this `id`, as a function of the bytes."""
    return lambda there: number_at(json_line(there) or {}, "id") == thing_id


def own_place(library: Library, path: str, thing_id: int) -> Path:
    """Return the place of a JSON file about a thing of the site.

    Raises Failure for one there that is about something else, and for a link on the way.
    """
    library.check_links(path)
    check_own(library.at(path), is_about(thing_id))
    return library.at(path)


def check_about(library: Library, path: str, thing_id: int) -> None:
    """Raise what `own_place` does."""
    own_place(library, path, thing_id)


def write_about(library: Library, path: str, thing_id: int, facts: Mapping[str, Any]) -> None:
    """Write a JSON file about a thing of the site. Raises what `own_place` does."""
    write_json(own_place(library, path, thing_id), scrub_json(facts), library.disk)


def write_for_people(library: Library, path: str, page: str, owner: str) -> None:
    """Write a page for people, signed, so that a later run sees whether somebody has edited it; such a page stays.

    `owner` is the id of the page's line in the log: an earlier version did not sign what it wrote. Raises Failure for a
    page that is somebody else's, and for a link on the way.
    """
    library.check_links(path)
    place = library.at(path)
    check_own(place, lambda there: hand_of(there) != "nobody's" or library.is_earlier_page(owner))
    if size_of(place) and hand_of(read_regular(place)) == "edited":
        log.warning("%s was edited and is left as it is; delete it to get a new one.", path)
    else:
        write_file(place, utf8(sign(page)), library.disk)
